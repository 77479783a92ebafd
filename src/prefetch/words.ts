/**
 * What a rule chooses and when, as an operator would say it: `newest 2 of each name base-64* from smartos; every day at
 * 2:00 (0 2 * * *), 22:00-06:00, 5 MB/s`.
 */
import {patternFields, type Choosing, type ImagePatterns, type PrefetchRule} from './rule.js';
import type {DayWindow, Schedule} from './schedule.js';

const days = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday', 'Sunday'];
const dayMs = 24 * 60 * 60 * 1000;

export function describeRule(rule: PrefetchRule): string {
	const {schedule, window, bandwidth} = rule;
	const when = [
		describeSchedule(schedule),
		...(window === undefined ? [] : [describeWindow(window)]),
		...(bandwidth === 0 ? [] : [`${sizeText(bandwidth)}/s`]),
	];
	return `${describeChoosing(rule)}; ${when.join(', ')}`;
}

export function describeChoosing(what: Choosing): string {
	const names = what.include.name.join(', ');
	const newest = what.newest === undefined ? '' : `newest ${what.newest} of each name`;
	const head = newest === '' ? (names === '' ? 'all images' : `images named ${names}`) : `${newest} ${names}`.trim();
	const from = what.sources.length === 0 ? '' : ` from ${what.sources.join(', ')}`;
	return [
		head + from,
		...patternTexts('', {...what.include, name: []}),
		...patternTexts('not ', what.exclude),
		...(what.version === undefined ? [] : [`version ${what.version}`]),
		...(what.publishedSinceMs === undefined ? [] : [`published since ${dateText(what.publishedSinceMs)}`]),
		...(what.publishedWithinMs === undefined
			? []
			: [`published within the last ${durationText(what.publishedWithinMs)}`]),
		...(what.maxBytes === Infinity ? [] : [`at most ${sizeText(what.maxBytes)}`]),
	].join(', ');
}

function patternTexts(not: string, patterns: ImagePatterns): readonly string[] {
	return patternFields
		.filter(field => patterns[field].length > 0)
		.map(field => `${not}${field === 'name' ? 'named' : field} ${patterns[field].join(' or ')}`);
}

function describeSchedule(schedule: Schedule): string {
	if (schedule.kind === 'every') {
		return `every ${durationText(schedule.everyMs)}`;
	}
	const words = cronWords(schedule.cron.trim());
	return words === undefined ? `cron ${schedule.cron}` : `${words} (${schedule.cron})`;
}

/** Of the few forms that nearly everybody uses; `undefined`: another one. */
function cronWords(cron: string): string | undefined {
	const [minute = '', hour = '', day, month, weekday = '', ...more] = cron.split(/\s+/u);
	if (!/^\d+$/u.test(minute) || day !== '*' || month !== '*' || more.length > 0) {
		return undefined;
	}
	const minutes = minute.padStart(2, '0');
	if (hour === '*' && weekday === '*') {
		return `every hour at :${minutes}`;
	}
	if (!/^\d+(?:,\d+)*$/u.test(hour)) {
		return undefined;
	}
	const times = hour
		.split(',')
		.map(one => `${Number(one)}:${minutes}`)
		.join(' and ');
	if (weekday === '*') {
		return `every day at ${times}`;
	}
	const name = /^\d$/u.test(weekday) ? days[Number(weekday)] : undefined;
	return name === undefined ? undefined : `every ${name} at ${times}`;
}

function describeWindow({fromMinute, toMinute}: DayWindow): string {
	return fromMinute === toMinute ? 'at any time' : `${clockText(fromMinute)}-${clockText(toMinute)}`;
}

function clockText(minute: number): string {
	return `${String(Math.floor(minute / 60)).padStart(2, '0')}:${String(minute % 60).padStart(2, '0')}`;
}

function dateText(ms: number): string {
	const iso = new Date(ms).toISOString();
	return ms % dayMs === 0 ? iso.slice(0, 10) : iso;
}

/** To three digits, which is what one can keep in mind. */
function sizeText(bytes: number): string {
	const units = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];
	let amount = bytes;
	let unit = 0;
	while (amount >= 999.5 && unit < units.length - 1) {
		amount /= 1000;
		unit++;
	}
	return `${Number(amount.toPrecision(3))} ${units[unit]}`;
}

function durationText(ms: number): string {
	if (ms >= dayMs && ms % dayMs === 0) {
		return ms === dayMs ? 'day' : `${ms / dayMs} days`;
	}
	const parts = [
		[Math.floor(ms / 3_600_000), 'h'],
		[Math.floor(ms / 60_000) % 60, 'm'],
		[Math.floor(ms / 1000) % 60, 's'],
	] as const;
	const text = parts.map(([count, unit]) => (count === 0 ? '' : `${count}${unit}`)).join('');
	return text === '' ? `${ms}ms` : text;
}
