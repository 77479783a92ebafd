/**
 * The Range header (RFC 9110, section 14): which bytes of a file a client wants.
 *
 * What is malformed, or asks for several ranges, is as if it were not there: the whole file is always a right answer.
 */
export interface ByteRange {
	readonly start: number;
	/** Exclusive. */
	readonly end: number;
}

const single = /^(?:(?<first>\d+)-(?<last>\d*)|-(?<suffix>\d+))$/u;

/** `undefined`: the whole file. */
export function parseRange(header: string, size: number): ByteRange | 'unsatisfiable' | undefined {
	const [unit, set, ...rest] = header.split('=');
	if (unit?.trim().toLowerCase() !== 'bytes' || set === undefined || rest.length > 0) {
		return undefined;
	}
	const groups = single.exec(set.trim())?.groups;
	if (groups === undefined) {
		return undefined;
	}
	if (groups['suffix'] !== undefined) {
		const length = Number(groups['suffix']);
		return length === 0 || size === 0 ? 'unsatisfiable' : {start: Math.max(0, size - length), end: size};
	}
	const first = Number(groups['first']);
	const last = groups['last'] === '' ? Infinity : Number(groups['last']);
	if (last < first) {
		return undefined;
	}
	return first >= size ? 'unsatisfiable' : {start: first, end: Math.min(last + 1, size)};
}
