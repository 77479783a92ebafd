/**
 * Sizes, durations and rates as people write them: `500 GB`, `1h30m`, `10 MB/s`.
 *
 * `parse…` gives a number or throws `UnitError`, never NaN; `format…` gives the shortest text that is exactly the same
 * number again. k, M, G … are decimal; Ki, Mi, Gi … binary. Where a text could mean two things it is refused.
 */

/** The text is not a quantity. The message says what is wrong; `sizeHelp` and its like say what is understood. */
export class UnitError extends Error {}

export const sizeHelp = 'a size such as "500 GB", "64 MiB", "1.5 TB" or a number of bytes';
export const durationHelp = 'a duration such as "500ms", "30s", "15m", "1h30m" or "30 days"';
export const rateHelp = 'a rate such as "10 MB/s" or "100 Mbit/s"';

const decimalPrefixes = ['', 'k', 'M', 'G', 'T', 'P'] as const;
const binaryPrefixes = ['', 'Ki', 'Mi', 'Gi', 'Ti', 'Pi'] as const;

const factors: ReadonlyMap<string, number> = new Map([
	...decimalPrefixes.map((prefix, power) => [prefix.toLowerCase(), 1000 ** power] as const),
	...binaryPrefixes.map((prefix, power) => [prefix.toLowerCase(), 1024 ** power] as const),
]);

/** In bytes. */
export function parseSize(text: string): number {
	const {digits, unit} = split(text);
	return scaled(digits, byteFactor(unit), unit === '' || /^b/i.test(unit));
}

/** In bytes per second. */
export function parseRate(text: string): number {
	const {digits, unit} = split(text);
	const match = /^([KMGTPkmgtp]?i?)(B|[Bb]ytes?|[Bb]its?|b)(ps| ?\/ ?s(?:ec(?:ond)?)?)$/.exec(unit);
	const [, prefix = '', what = '', per = ''] = match ?? [];
	if (match === null || prefix === 'i') {
		throw new UnitError(`${JSON.stringify(text)} is no rate: write "${digits} MB/s" or "${digits} Mbit/s"`);
	}
	if (what === 'b' && per !== 'ps') {
		throw new UnitError(`"${unit}" could be bits or bytes: write "${prefix}B/s" or "${prefix}bit/s"`);
	}
	const bits = /^b(?:it|$)/i.test(what) && what !== 'B';
	return scaled(digits, prefixFactor(prefix) / (bits ? 8 : 1), false);
}

function byteFactor(unit: string): number {
	const match = /^([kmgtp]?i?)(?:b|bytes?)?$/i.exec(unit);
	const prefix = match?.[1] ?? '';
	if (match === null || /^i/i.test(prefix)) {
		throw new UnitError(`"${unit}" is no unit of size`);
	}
	// "Mb" is how megabits are written.
	if (/(?:^|[A-Z]i?)b$/.test(unit)) {
		throw new UnitError(`"${unit}" could be bits or bytes: write "${prefix}B"`);
	}
	return prefixFactor(prefix);
}

function prefixFactor(prefix: string): number {
	const factor = factors.get(prefix.toLowerCase());
	if (factor === undefined) {
		throw new UnitError(`"${prefix}" is no prefix of a unit`);
	}
	return factor;
}

const second = 1000;
const minute = 60 * second;
const hour = 60 * minute;
const day = 24 * hour;

/** In the order in which the parts of a duration stand. */
const durationUnits = [
	{ms: 365 * day, names: ['y', 'year', 'years']},
	{ms: 7 * day, names: ['w', 'week', 'weeks']},
	{ms: day, names: ['d', 'day', 'days']},
	{ms: hour, names: ['h', 'hr', 'hrs', 'hour', 'hours']},
	{ms: minute, names: ['m', 'min', 'mins', 'minute', 'minutes']},
	{ms: second, names: ['s', 'sec', 'secs', 'second', 'seconds']},
	{ms: 1, names: ['ms', 'msec', 'msecs', 'millisecond', 'milliseconds']},
] as const;

/** In milliseconds. A unit is obligatory but for 0. */
export function parseDuration(text: string): number {
	const trimmed = text.trim();
	if (trimmed === '0') {
		return 0;
	}
	if (/^[\d.]+$/.test(trimmed)) {
		throw new UnitError(`the unit is missing: write "${trimmed}s" or "${trimmed}m"`);
	}
	if (!/^\d+(?:\.\d+)? ?[A-Za-z]+(?:(?:,? )?\d+(?:\.\d+)? ?[A-Za-z]+)*$/.test(trimmed)) {
		throw new UnitError(`${JSON.stringify(text)} is no duration`);
	}
	let total = 0;
	let lastIndex = -1;
	for (const [, digits = '', name = ''] of trimmed.matchAll(/([\d.]+) ?([A-Za-z]+)/g)) {
		const index = durationUnits.findIndex(({names}) => names.some(known => known === lowerWord(name)));
		const unit = durationUnits[index];
		if (unit === undefined) {
			throw new UnitError(noDurationUnit(name));
		}
		if (index <= lastIndex) {
			throw new UnitError('larger units stand before smaller ones, each once');
		}
		lastIndex = index;
		total += scaled(digits, unit.ms, false);
	}
	return checked(total);
}

/** "Days" and "DAYS" are days; "M" is left alone, being months to some and minutes to others. */
function lowerWord(name: string): string {
	return name.length > 2 ? name.toLowerCase() : name;
}

function noDurationUnit(name: string): string {
	if (/^mo/i.test(name) || name === 'M') {
		return `"${name}" is no unit of time here: months differ in length, write days, and minutes are "m"`;
	}
	if (durationUnits.some(({names}) => names.some(known => known === name.toLowerCase()))) {
		return `units are in lower case: "${name.toLowerCase()}"`;
	}
	return `"${name}" is no unit of time`;
}

function split(text: string): {readonly digits: string; readonly unit: string} {
	const match = /^(\d+(?:\.\d+)?)(?: ?([A-Za-z].*|\/ ?s.*))?$/.exec(text.trim());
	if (match === null) {
		throw new UnitError(
			/^\d+,\d/.test(text.trim()) ? 'a fraction has a point, not a comma' : `${JSON.stringify(text)} is no quantity`,
		);
	}
	return {digits: match[1] ?? '', unit: (match[2] ?? '').trim()};
}

/** To the nearest whole; what is more than nothing never becomes nothing. */
function scaled(digits: string, factor: number, wholeOnly: boolean): number {
	const exact = Number(digits) * factor;
	if (wholeOnly && !Number.isInteger(exact)) {
		throw new UnitError('there is no part of a byte');
	}
	const whole = Math.round(exact);
	if (whole === 0 && exact > 0) {
		throw new UnitError('that is less than the smallest unit');
	}
	return checked(whole);
}

function checked(value: number): number {
	if (!Number.isSafeInteger(value)) {
		throw new UnitError('that is too large');
	}
	return value;
}

/** The shortest of the exact ways to write it; the decimal one if there are two. */
export function formatSize(bytes: number): string {
	const ways = [`${bytes} B`];
	for (const [prefixes, base] of [
		[decimalPrefixes, 1000],
		[binaryPrefixes, 1024],
	] as const) {
		for (const [power, prefix] of prefixes.entries()) {
			const amount = bytes / base ** power;
			// With three digits after the point the division is exact enough to be read back as the same number.
			const text = String(Math.round(amount * 1000) / 1000);
			if (power > 0 && amount >= 1 && Math.round(Number(text) * base ** power) === bytes) {
				ways.push(`${text} ${prefix}B`);
			}
		}
	}
	return ways.reduce((best, way) => (way.length < best.length ? way : best));
}

export function formatRate(bytesPerSecond: number): string {
	return `${formatSize(bytesPerSecond)}/s`;
}

export function formatDuration(ms: number): string {
	let rest = ms;
	let text = '';
	for (const {ms: size, names} of durationUnits) {
		// Weeks and years are read but not written: nobody counts 90 days as 12w6d.
		const count = size > day ? 0 : Math.floor(rest / size);
		rest -= count * size;
		text += count === 0 ? '' : `${count}${names[0]}`;
	}
	return text || '0s';
}
