/**
 * What files may take of the disk altogether, and how that stands: numbers, and the words for them.
 *
 * `Keeper` measures and decides; nothing here looks at the disk.
 */

export interface KeepLimits {
	/** All files together, published ones included. Infinity: no limit. */
	readonly maxBytes: number;
	/** What the disk must have left. */
	readonly minFreeBytes: number;
	/** Files that nobody has used for so long go. Infinity, or more than the clock has counted: never. */
	readonly maxUnusedMs: number;
	/** Shares of what files may take altogether: above the high one files go until they take the low one. */
	readonly highMark: number;
	readonly lowMark: number;
}

/** Nothing but the disk limits anything. */
export const noLimits: KeepLimits = {
	maxBytes: Infinity,
	minFreeBytes: 0,
	maxUnusedMs: Infinity,
	highMark: 0.95,
	lowMark: 0.9,
};

/** Which of them is the narrower one: the size limit, or what the disk must have left. */
export type Bound = 'limit' | 'floor';

export interface Standing {
	/** Whole files, partials, uploads and what is to be verified again: all that is on the disk of them. */
	readonly usedBytes: number;
	/** Promised to what is on its way, not yet written. */
	readonly reservedBytes: number;
	/** `undefined`: nobody knows. */
	readonly freeBytes: number | undefined;
	/** What files may take altogether. */
	readonly allowedBytes: number;
	/** Where files begin to go, and where that ends. Infinity: nothing limits them but the disk. */
	readonly highBytes: number;
	readonly lowBytes: number;
	readonly bound: Bound;
}

/** `capacityBytes`: what files take now and what is free, together. */
export function standingOf(
	limits: KeepLimits,
	now: {readonly usedBytes: number; readonly reservedBytes: number; readonly capacityBytes: number | undefined},
): Standing {
	const {usedBytes, reservedBytes, capacityBytes} = now;
	const byFloor = capacityBytes === undefined ? Infinity : Math.max(0, capacityBytes - limits.minFreeBytes);
	const allowedBytes = Math.min(limits.maxBytes, byFloor);
	const isLimited = limits.maxBytes !== Infinity || limits.minFreeBytes > 0;
	return {
		...{usedBytes, reservedBytes, allowedBytes},
		freeBytes: capacityBytes === undefined ? undefined : Math.max(0, capacityBytes - usedBytes),
		highBytes: isLimited ? allowedBytes * limits.highMark : Infinity,
		lowBytes: isLimited ? allowedBytes * Math.min(limits.lowMark, limits.highMark) : Infinity,
		bound: limits.maxBytes <= byFloor ? 'limit' : 'floor',
	};
}

/** By how much files and promises are too much. */
export function excessOf({usedBytes, reservedBytes, allowedBytes}: Standing): number {
	return usedBytes + reservedBytes - allowedBytes;
}

/** Why there is no room: for who asked for it, and for the operator. */
export function wordsForNoRoom(standing: Standing, limits: KeepLimits, stays: string): string {
	const {usedBytes, reservedBytes, freeBytes = 0, bound} = standing;
	if (bound === 'limit') {
		return (
			`files may take ${bytesInWords(limits.maxBytes)}; ${bytesInWords(usedBytes)} are here and ` +
			`${bytesInWords(reservedBytes)} are needed for what is on its way; ${stays}`
		);
	}
	const floor = limits.minFreeBytes === 0 ? '' : `, ${bytesInWords(limits.minFreeBytes)} of which must stay free`;
	const needed = `${bytesInWords(reservedBytes)} are needed for what is on its way`;
	return `the disk has ${bytesInWords(freeBytes)} left${floor}, ${needed}; ${stays}`;
}

/** What would go next and why, in a sentence. */
export function wordsForNext(
	{usedBytes, allowedBytes, highBytes, lowBytes, bound}: Standing,
	limits: KeepLimits,
): string {
	const old = hasEnd(limits.maxUnusedMs)
		? `; what nobody has used for ${inWords(limits.maxUnusedMs)} goes in any case`
		: '';
	if (highBytes === Infinity) {
		return `nothing limits what files may take but the disk: they go when it is full${old}`;
	}
	const why =
		bound === 'limit' ? 'they may' : `they may while the disk keeps ${bytesInWords(limits.minFreeBytes)} free`;
	return (
		`files take ${bytesInWords(usedBytes)} of the ${bytesInWords(allowedBytes)} ${why}; above ` +
		`${bytesInWords(highBytes)} the least recently used go until ${bytesInWords(lowBytes)}${old}`
	);
}

/** Infinity, and whatever stands for always, has none. */
export function hasEnd(ms: number): boolean {
	// A century and more.
	return ms < 36_500 * 86_400_000;
}

function inWords(ms: number): string {
	const days = ms / 86_400_000;
	return days >= 2 ? `${Math.round(days)} days` : `${Math.max(1, Math.round(ms / 3_600_000))} h`;
}

const units = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];

/** `1.5 GB`. */
export function bytesInWords(bytes: number): string {
	let amount = bytes;
	let unit = 0;
	while (amount >= 999.5 && unit < units.length - 1) {
		amount /= 1000;
		unit++;
	}
	return `${amount.toFixed(unit === 0 || amount >= 9.95 ? 0 : 1)} ${units[unit] ?? ''}`;
}
