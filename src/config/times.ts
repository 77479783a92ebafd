/**
 * When something is to happen, or happened: parts of the day, cron expressions, dates.
 *
 * Only their form is looked at here; `prefetch/` and `blobs/` reckon with them.
 */
import type {Kind} from './kinds.js';
import {Fault, shown} from './place.js';
import type {DayWindow} from './types.js';

const dayMinutes = 24 * 60;

export const dayWindow: Kind<DayWindow> = {
	expected: 'a part of the day such as "22:00-06:00"',
	read(value) {
		const match = typeof value === 'string' ? /^(\d{1,2}:\d\d) ?[-–] ?(\d{1,2}:\d\d)$/.exec(value.trim()) : null;
		const [from, to] = [minuteOf(match?.[1]), minuteOf(match?.[2])];
		if (from === undefined || to === undefined) {
			const hours = typeof value === 'string' && /^\d{1,2} ?[-–] ?\d{1,2}$/.test(value.trim());
			throw new Fault(dayWindow.expected, shown(value), hours ? 'with minutes' : undefined);
		}
		// A window that ends at 24:00 ends where the next day begins.
		if (from % dayMinutes === to % dayMinutes) {
			throw new Fault('two different times', shown(value), 'null is the whole day');
		}
		return {fromMinute: from % dayMinutes, toMinute: to % dayMinutes};
	},
	write: ({fromMinute, toMinute}) => `${clock(fromMinute)}-${clock(toMinute)}`,
};

function minuteOf(text = ''): number | undefined {
	const [hour = NaN, minute = NaN] = text.split(':').map(Number);
	const total = hour * 60 + minute;
	return minute < 60 && total <= dayMinutes ? total : undefined;
}

function clock(minute: number): string {
	return [Math.floor(minute / 60), minute % 60].map(part => String(part).padStart(2, '0')).join(':');
}

const datePattern = /^(\d{4})-(\d\d)-(\d\d)(?:T\d\d:\d\d(?::\d\d(?:\.\d{1,3})?)?(?:Z|[+-]\d\d:\d\d))?$/;

/** In milliseconds since 1970. A date alone begins where UTC begins it, as `published_at` counts. */
export const moment: Kind<number> = {
	expected: 'a date such as "2026-01-31", or with a time such as "2026-01-31T12:00:00Z"',
	read(value) {
		const [, year = '', month = '', day = ''] = typeof value === 'string' ? (datePattern.exec(value) ?? []) : [];
		const ms = year === '' ? NaN : Date.parse(String(value));
		// Date.parse takes the 30th of February for the 1st or 2nd of March.
		const isDay = new Date(Date.UTC(Number(year), Number(month) - 1, Number(day))).getUTCDate() === Number(day);
		if (!Number.isFinite(ms) || !isDay) {
			const zoneless = typeof value === 'string' && datePattern.test(`${value}Z`) && value.includes('T');
			throw new Fault(
				moment.expected,
				shown(value),
				zoneless ? 'say which time it is: "Z" at its end is UTC' : undefined,
			);
		}
		return ms;
	},
	write: value => new Date(value).toISOString().replace(/T00:00:00\.000Z$/, ''),
};

interface CronField {
	readonly name: string;
	readonly least: number;
	readonly most: number;
	/** The first one stands for `least`. */
	readonly words?: readonly string[];
	/** What besides numbers is an element. */
	readonly besides?: RegExp;
}

const months = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'];
const weekdays = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'];

const cronFields: readonly CronField[] = [
	{name: 'second', least: 0, most: 59},
	{name: 'minute', least: 0, most: 59},
	{name: 'hour', least: 0, most: 23},
	{name: 'day of the month', least: 1, most: 31, besides: /^L$/i},
	{name: 'month', least: 1, most: 12, words: months},
	// Both 0 and 7 are Sunday. FRI#2 is the second Friday of a month, FRI#L the last.
	{name: 'day of the week', least: 0, most: 7, words: weekdays, besides: /^(?:[0-7]|[a-z]{3})(?:#[1-5L])$/i},
];

/** The most that there can be. */
const monthDays = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

const nicknames = ['@hourly', '@daily', '@midnight', '@weekly', '@monthly', '@yearly', '@annually'];

export const cron: Kind<string> = {
	expected: 'a cron expression such as "0 3 * * *" or "@daily"',
	read(value) {
		if (typeof value !== 'string') {
			throw new Fault(cron.expected, shown(value));
		}
		const text = value.trim().replaceAll(/\s+/g, ' ');
		if (text.startsWith('@')) {
			if (!nicknames.includes(text.toLowerCase())) {
				throw new Fault(cron.expected, shown(value), `there are ${nicknames.join(', ')}`);
			}
			return text.toLowerCase();
		}
		const parts = text.split(' ');
		if (parts.length !== 5 && parts.length !== 6) {
			const count = `${parts.length} field${parts.length === 1 ? '' : 's'}`;
			throw new Fault(cron.expected, shown(value), `it has ${count}, not 5, or 6 with seconds`);
		}
		for (const [index, field] of cronFields.slice(6 - parts.length).entries()) {
			const problem = problemOf(parts[index] ?? '', field);
			if (problem !== undefined) {
				throw new Fault(cron.expected, shown(value), `${field.name}: ${problem}`);
			}
		}
		if (isNever(parts)) {
			throw new Fault(cron.expected, shown(value), 'there is no such day, in no year');
		}
		return text;
	},
	write: value => value,
};

/** None of the months has so many days. Where a day of the week is given, either of the two days will do. */
function isNever(parts: readonly string[]): boolean {
	const [days = '', ofMonths = '', weekday = ''] = parts.slice(-3);
	const [, , , dayField, monthField] = cronFields;
	if ((weekday !== '*' && weekday !== '?') || dayField === undefined || monthField === undefined) {
		return false;
	}
	const longest = Math.max(...numbersIn(ofMonths, monthField).map(month => monthDays[month - 1] ?? 0));
	return Math.min(...numbersIn(days, dayField)) > longest;
}

/** Of a field without faults. For L, the last day, it says the first: each is in every month. */
function numbersIn(text: string, field: CronField): readonly number[] {
	return text.split(',').flatMap(element => {
		const [range = '', step = '1'] = element.split('/');
		const isAll = range === '*' || range === '?';
		const [from = field.least, to = from] = isAll
			? [field.least, field.most]
			: range.split('-').map(end => numberOf(end, field) ?? field.least);
		const all = Array.from({length: to - from + 1}, (_, index) => from + index);
		return all.filter(number => (number - from) % Number(step) === 0);
	});
}

function problemOf(text: string, field: CronField): string | undefined {
	for (const element of text.split(',')) {
		const problem =
			field.besides?.test(element) === true ? wordProblem(element, field) : elementProblem(element, field);
		if (problem !== undefined) {
			return problem;
		}
	}
	return undefined;
}

/** `FRI#2`: the word before the sign must be one. */
function wordProblem(element: string, field: CronField): string | undefined {
	const word = element.split('#')[0] ?? '';
	return element.includes('#') && numberOf(word, field) === undefined ? noElement(element) : undefined;
}

function elementProblem(element: string, field: CronField): string | undefined {
	const [, range = '', step] = /^([^/]*)(?:\/(\d+))?$/.exec(element) ?? [];
	const most = field.least === 0 && field.most !== 7 ? field.most + 1 : field.most;
	if (step !== undefined && (Number(step) < 1 || Number(step) > most)) {
		return `a step is from 1 to ${most}, not ${step}`;
	}
	if (range === '*' || (range === '?' && step === undefined && field.name.startsWith('day'))) {
		return undefined;
	}
	const ends = range.split('-');
	const [from, to] = ends.map(end => numberOf(end, field));
	if (ends.length > 2 || from === undefined || (ends.length === 2 && to === undefined)) {
		return /^\d+(?:-\d+)?$/.test(range) ? `from ${field.least} to ${field.most}` : noElement(element);
	}
	if (to === undefined) {
		return step === undefined ? undefined : `a step needs a range: "${range}-${field.most}/${step}"`;
	}
	return from > to ? `${range} runs backwards: write two ranges` : undefined;
}

function noElement(element: string): string {
	return `${element === '' ? 'nothing' : `"${element}"`} is not understood`;
}

function numberOf(text: string, {least, most, words = []}: CronField): number | undefined {
	const word = words.indexOf(text.toLowerCase());
	const number = word === -1 ? (/^\d{1,2}$/.test(text) ? Number(text) : NaN) : word + least;
	return number >= least && number <= most ? number : undefined;
}
