/**
 * A JSON array cut into its elements while its bytes arrive.
 *
 * Sources read their lists through it, so that no list is ever held whole, and one giant or broken entry costs that
 * entry only. Elements come out as text: whether that text is JSON is for whoever parses it; here only strings, brackets
 * and commas are told apart.
 */
import {IntegrityError} from '../errors.js';

export interface ArrayLimits {
	/** Longer elements are passed over. */
	readonly maxElementBytes: number;
	/** More than this in all, and the whole array is refused. */
	readonly maxBytes: number;
}

/** One element, or the size in bytes of one that is over the limit. */
export type ArrayElement = {readonly text: string} | {readonly tooLarge: number};

/**
 * Yields each element as soon as it has arrived. Throws IntegrityError once it is sure that the whole is not one JSON
 * array within the limit; what was yielded before stands.
 */
export async function* splitJsonArray(
	chunks: AsyncIterable<Uint8Array>,
	limits: ArrayLimits,
): AsyncGenerator<ArrayElement, undefined, undefined> {
	const splitter = new Splitter(limits.maxElementBytes);
	let total = 0;
	for await (const chunk of chunks) {
		total += chunk.length;
		if (total > limits.maxBytes) {
			throw new IntegrityError(`the list is longer than ${limits.maxBytes} bytes`);
		}
		let at = 0;
		while (at < chunk.length) {
			at = splitter.read(chunk, at);
			const element = splitter.take();
			if (element !== undefined) {
				yield element;
			}
		}
	}
	splitter.end();
	return undefined;
}

const quote = 0x22;
const comma = 0x2c;
const openBracket = 0x5b;
const backslash = 0x5c;
const closeBracket = 0x5d;
const openBrace = 0x7b;
const closeBrace = 0x7d;
const byteOrderMark: readonly number[] = [0xef, 0xbb, 0xbf];

/** What the next byte belongs to. */
const enum Place {
	BeforeArray,
	/** An element, or the end of an empty array. */
	FirstElement,
	/** An element: a comma came. */
	NextElement,
	/** Inside a number, `true`, `false` or `null`. */
	Scalar,
	/** Inside brackets, outside strings. */
	Nested,
	InString,
	/** After a backslash. */
	Escaped,
	AfterElement,
	AfterArray,
}

class Splitter {
	readonly #maxElementBytes: number;
	#place = Place.BeforeArray;
	/** Brackets open within the element. */
	#depth = 0;
	/** Bytes of the byte order mark seen; all three once anything else came. */
	#mark = 0;
	/** What earlier chunks held of the element. */
	#held = Buffer.alloc(0);
	/** How much of `#held` counts. */
	#heldBytes = 0;
	/** The element's bytes in earlier chunks, held or passed over. */
	#earlierBytes = 0;
	#element: ArrayElement | undefined;

	constructor(maxElementBytes: number) {
		this.#maxElementBytes = maxElementBytes;
	}

	/** The element that the last `read` stopped after. */
	take(): ArrayElement | undefined {
		const element = this.#element;
		this.#element = undefined;
		return element;
	}

	/** Reads from `from` to the end of an element or of the chunk, and returns where it stopped. */
	read(chunk: Uint8Array, from: number): number {
		let start = from;
		let at = from;
		let place = this.#place;
		let depth = this.#depth;
		while (at < chunk.length) {
			const byte = chunk[at] ?? 0;
			switch (place) {
				case Place.InString:
					// The two loops that nearly all bytes go through: this one and the next.
					while (at < chunk.length && chunk[at] !== quote && chunk[at] !== backslash) {
						at++;
					}
					if (at < chunk.length) {
						place = chunk[at] === backslash ? Place.Escaped : depth > 0 ? Place.Nested : Place.AfterElement;
						at++;
					}
					break;
				case Place.Nested:
					while (at < chunk.length) {
						const code = chunk[at++];
						if (code === quote) {
							place = Place.InString;
							break;
						}
						if (code === openBrace || code === openBracket) {
							depth++;
						} else if (code === closeBrace || code === closeBracket) {
							depth--;
							if (depth === 0) {
								place = Place.AfterElement;
								break;
							}
						}
					}
					break;
				case Place.Escaped:
					place = Place.InString;
					at++;
					continue;
				case Place.Scalar:
					if (byte === comma || byte === closeBracket || isWhiteSpace(byte)) {
						place = Place.AfterElement;
						break;
					}
					if (byte === quote || byte === openBrace || byte === openBracket || byte === closeBrace) {
						throw unexpected(byte);
					}
					at++;
					continue;
				case Place.BeforeArray:
					place = this.#begin(byte);
					at++;
					continue;
				case Place.FirstElement:
				case Place.NextElement:
					if (byte === closeBracket && place === Place.FirstElement) {
						place = Place.AfterArray;
					} else if (!isWhiteSpace(byte)) {
						place = placeWithin(byte);
						depth = place === Place.Nested ? 1 : 0;
						start = at;
					}
					at++;
					continue;
				case Place.AfterElement:
					if (byte === comma) {
						place = Place.NextElement;
					} else if (byte === closeBracket) {
						place = Place.AfterArray;
					} else if (!isWhiteSpace(byte)) {
						throw unexpected(byte);
					}
					at++;
					continue;
				case Place.AfterArray:
					if (!isWhiteSpace(byte)) {
						throw new IntegrityError('the list goes on after its end');
					}
					at++;
					continue;
			}
			if (place === Place.AfterElement) {
				this.#finish(chunk, start, at);
				this.#place = place;
				this.#depth = 0;
				return at;
			}
		}
		this.#place = place;
		this.#depth = depth;
		if (isWithin(place)) {
			this.#hold(chunk, start);
		}
		return at;
	}

	/** Throws unless the array was complete. */
	end(): void {
		if (this.#place === Place.BeforeArray) {
			throw new IntegrityError('the list is empty: not even an array');
		}
		if (this.#place !== Place.AfterArray) {
			throw new IntegrityError('the list ends in the middle');
		}
	}

	#begin(byte: number): Place {
		if (this.#mark < byteOrderMark.length && byte === byteOrderMark[this.#mark]) {
			this.#mark++;
			return Place.BeforeArray;
		}
		if (this.#mark === 0 || this.#mark === byteOrderMark.length) {
			this.#mark = byteOrderMark.length;
			if (isWhiteSpace(byte)) {
				return Place.BeforeArray;
			}
			if (byte === openBracket) {
				return Place.FirstElement;
			}
		}
		throw new IntegrityError(`the list is no JSON array: it begins with ${printable(byte)}`);
	}

	/** Keeps what this chunk holds of the element: the chunk itself would be far more than that. */
	#hold(chunk: Uint8Array, start: number): void {
		const more = chunk.length - start;
		this.#earlierBytes += more;
		if (this.#earlierBytes > this.#maxElementBytes) {
			this.#heldBytes = 0;
			return;
		}
		const needed = this.#heldBytes + more;
		if (needed > this.#held.length) {
			const grown = Buffer.alloc(Math.min(Math.max(needed, this.#held.length * 2, 4096), this.#maxElementBytes));
			this.#held.copy(grown, 0, 0, this.#heldBytes);
			this.#held = grown;
		}
		this.#held.set(start === 0 ? chunk : chunk.subarray(start), this.#heldBytes);
		this.#heldBytes = needed;
	}

	#finish(chunk: Uint8Array, start: number, end: number): void {
		const bytes = this.#earlierBytes + end - start;
		if (bytes > this.#maxElementBytes) {
			this.#element = {tooLarge: bytes};
		} else if (this.#earlierBytes === 0) {
			this.#element = {text: Buffer.from(chunk.buffer, chunk.byteOffset + start, end - start).toString('utf8')};
		} else {
			this.#element = {
				text: Buffer.concat([this.#held.subarray(0, this.#heldBytes), chunk.subarray(start, end)]).toString('utf8'),
			};
		}
		this.#heldBytes = 0;
		this.#earlierBytes = 0;
	}
}

function isWithin(place: Place): boolean {
	return place === Place.Nested || place === Place.InString || place === Place.Escaped || place === Place.Scalar;
}

/** Where one is after the first byte of an element. */
function placeWithin(byte: number): Place {
	switch (byte) {
		case openBrace:
		case openBracket:
			return Place.Nested;
		case quote:
			return Place.InString;
		case comma:
		case closeBrace:
		case closeBracket:
			throw unexpected(byte);
		default:
			return Place.Scalar;
	}
}

function isWhiteSpace(byte: number): boolean {
	return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
}

function unexpected(byte: number): IntegrityError {
	return new IntegrityError(`the list is no JSON: ${printable(byte)} where no such thing may stand`);
}

function printable(byte: number): string {
	return byte > 0x20 && byte < 0x7f ? `'${String.fromCharCode(byte)}'` : `byte 0x${byte.toString(16).padStart(2, '0')}`;
}
