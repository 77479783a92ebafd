/**
 * Amounts, times and ages as people read them. Numbers go in, text comes out; every view uses them.
 */
const units = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'] as const;

/** Three digits are enough: `1.53 GB`. As the command line writes them. */
export function bytesText(bytes: number): string {
	let amount = bytes;
	let unit = 0;
	// What would be rounded to 1000 is one of the next unit.
	while (amount >= 999.5 && unit < units.length - 1) {
		amount /= 1000;
		unit++;
	}
	const digits = unit === 0 || amount >= 99.95 ? 0 : amount >= 9.995 ? 1 : 2;
	return `${amount.toFixed(digits)} ${units[unit] ?? ''}`;
}

export function rateText(bytesPerSecond: number): string {
	return `${bytesText(bytesPerSecond)}/s`;
}

/** `47 s`, `3 min 20 s`, `2 h 5 min`, `3 d 4 h`. */
export function durationText(ms: number): string {
	const seconds = Math.max(0, Math.round(ms / 1000));
	if (seconds < 60) {
		return `${seconds} s`;
	}
	if (seconds < 3600) {
		return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
	}
	const minutes = Math.round(seconds / 60);
	if (minutes < 48 * 60) {
		return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
	}
	const hours = Math.round(minutes / 60);
	return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** One unit only: `47 s`, `3 min`, `5 h`, `12 d`. */
export function roughly(ms: number): string {
	const seconds = Math.max(0, ms / 1000);
	const steps: readonly (readonly [number, number, string])[] = [
		[60, 1, 's'],
		[3600, 60, 'min'],
		[48 * 3600, 3600, 'h'],
		[730 * 86_400, 86_400, 'd'],
	];
	for (const [below, size, unit] of steps) {
		if (seconds < below) {
			return `${Math.floor(seconds / size)} ${unit}`;
		}
	}
	return `${Math.floor(seconds / (365.25 * 86_400))} y`;
}

/** `3 min ago`, `in 5 h`. An empty text for what is not known. */
export function agoText(iso: string | undefined, nowMs: number): string {
	const ms = iso === undefined ? NaN : Date.parse(iso);
	if (Number.isNaN(ms)) {
		return '';
	}
	const age = nowMs - ms;
	if (Math.abs(age) < 2000) {
		return 'now';
	}
	return age > 0 ? `${roughly(age)} ago` : `in ${roughly(-age)}`;
}

/** The day, as lists have it. Of a date that is none, what was said. */
export function dayText(iso: string | undefined): string {
	return iso === undefined ? '' : (/^\d{4}-\d\d-\d\d/.exec(iso)?.[0] ?? iso);
}

/** Day and time where the reader is. */
export function timeText(iso: string | undefined): string {
	const date = iso === undefined ? undefined : new Date(iso);
	if (date === undefined || Number.isNaN(date.getTime())) {
		return iso ?? '';
	}
	const two = (number: number): string => String(number).padStart(2, '0');
	const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
	return `${day} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

/** The time alone where the reader is. */
export function clockText(iso: string): string {
	return timeText(iso).slice(-8);
}

/** `25 000`: a thin space keeps digits together in any language. */
export function countText(count: number): string {
	return String(Math.round(count)).replaceAll(/\B(?=(\d{3})+$)/g, '\u202f');
}

/** `1 image`, `25 000 images`. */
export function plural(count: number, one: string, many = `${one}s`): string {
	return `${countText(count)} ${count === 1 ? one : many}`;
}

/** `0.4 %`, `12 %`. */
export function percentText(share: number): string {
	const percent = share * 100;
	return `${percent > 0 && percent < 9.95 ? percent.toFixed(1) : Math.round(percent)} %`;
}

/** `a, b and c`. */
export function listText(items: readonly string[]): string {
	return items.length < 2 ? (items[0] ?? '') : `${items.slice(0, -1).join(', ')} and ${items.at(-1) ?? ''}`;
}

/** The beginning of a uuid, which is enough to tell two apart. */
export function shortUuid(uuid: string): string {
	return uuid.slice(0, 8);
}

/** With a capital at its beginning and an end: what programs say is often only a part of one. */
export function sentence(text: string): string {
	const trimmed = text.trim();
	const begun = trimmed.charAt(0).toUpperCase() + trimmed.slice(1);
	return /[.!?…]$/.test(begun) ? begun : `${begun}.`;
}
