/**
 * How the store stands, as the operator is told it: limits, bytes by what keeps them, what would go next.
 */
import {chooseVictims, verdictsOf, type Judgement} from './eviction.js';
import type {Verdict} from './keep-facts.js';
import {bytesInWords, hasEnd, wordsForNext, type KeepLimits, type Standing} from './keep-limits.js';

export interface KeepReport {
	readonly freeBytes?: number;
	readonly diskBytes?: number;
	readonly limits: {
		readonly maxBytes?: number;
		readonly minFreeBytes: number;
		readonly maxUnusedMs?: number;
		/** What files may take altogether, and the marks of it; left out where nothing limits them but the disk. */
		readonly allowedBytes?: number;
		readonly highBytes?: number;
		readonly lowBytes?: number;
	};
	/** By the strongest reason of each file; `free-to-go` where there is none. */
	readonly byReason: Readonly<Record<string, number>>;
	/** What would go, were the high mark passed now. */
	readonly next: {readonly files: number; readonly bytes: number; readonly because: string};
}

export function keepReport(
	standing: Standing,
	limits: KeepLimits,
	{judgement, diskBytes}: {readonly judgement: Judgement | undefined; readonly diskBytes: number | undefined},
): KeepReport {
	const {usedBytes, freeBytes, allowedBytes, highBytes, lowBytes} = standing;
	const {maxBytes, minFreeBytes, maxUnusedMs} = limits;
	const isLimited = highBytes !== Infinity;
	const next =
		judgement === undefined || !isLimited ? [] : chooseVictims(judgement, Math.max(usedBytes, highBytes) - lowBytes);
	return {
		...(freeBytes === undefined ? {} : {freeBytes}),
		...(diskBytes === undefined ? {} : {diskBytes}),
		limits: {
			...(maxBytes === Infinity ? {} : {maxBytes}),
			minFreeBytes,
			...(hasEnd(maxUnusedMs) ? {maxUnusedMs} : {}),
			...(isLimited ? {allowedBytes, highBytes: Math.floor(highBytes), lowBytes: Math.floor(lowBytes)} : {}),
		},
		byReason: bytesByReason(judgement === undefined ? [] : verdictsOf(judgement)),
		next: {
			files: next.length,
			bytes: next.reduce((bytes, {size}) => bytes + size, 0),
			because: wordsForNext(standing, limits),
		},
	};
}

/** Why not more of it can go, for a message about too little room. */
export function wordsForStaying(judgement: Judgement | undefined): string {
	if (judgement === undefined) {
		return 'what of them may go is not known yet';
	}
	const {'free-to-go': free = 0, ...others} = bytesByReason(verdictsOf(judgement));
	const reasons = Object.entries(others).map(([reason, bytes]) => `${bytesInWords(bytes)} ${reason}`);
	return `${bytesInWords(free)} may go${reasons.length === 0 ? '' : `, others stay: ${reasons.join(', ')}`}`;
}

function bytesByReason(verdicts: readonly Verdict[]): Readonly<Record<string, number>> {
	const bytes: Record<string, number> = {};
	for (const {size, protections} of verdicts) {
		const reason = protections[0]?.kind ?? 'free-to-go';
		bytes[reason] = (bytes[reason] ?? 0) + size;
	}
	return bytes;
}
