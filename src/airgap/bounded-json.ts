/**
 * JSON that strangers wrote, read within bounds of memory and said of without harm.
 *
 * `oci-read.ts` reads every part of a bundle through it. The nesting is bounded by `readCompact`; here the number of
 * values is, and what of them gets into a message.
 */
import {IntegrityError} from '../errors.js';
import {isObject, readCompact, type CompactJson} from '../image/json-text.js';

export type Fields = Readonly<Record<string, unknown>>;

const tab = 0x09;
const lineFeed = 0x0a;
const carriageReturn = 0x0d;
const space = 0x20;
const comma = 0x2c;
const openBracket = 0x5b;
const openBrace = 0x7b;

/** Throws IntegrityError, with `what` in front, for all but a JSON object of at most so many values. */
export function readObject(bytes: Buffer, what: string, maxValues: number): Fields {
	const {value} = readJson(bytes, what, maxValues, readCompact);
	if (!isObject(value)) {
		throw new IntegrityError(`${what} is no JSON object`);
	}
	return value;
}

/** The same, with a reader of its own for the text. */
export function readJson(
	bytes: Buffer,
	what: string,
	maxValues: number,
	read: (text: string) => CompactJson,
): CompactJson {
	if (hasMoreValues(bytes, maxValues)) {
		throw new IntegrityError(`${what} holds more values than any that we would write`);
	}
	try {
		return read(bytes.toString('utf8'));
	} catch (error) {
		throw error instanceof IntegrityError
			? new IntegrityError(`${what}: ${error.message}`, {cause: error.cause})
			: error;
	}
}

/**
 * Counts what begins a value or a gap between tokens, or might, so that no more of either are made than memory has room
 * for.
 */
function hasMoreValues(bytes: Buffer, most: number): boolean {
	let values = 0;
	let isGap = false;
	let at = 0;
	// An iterator takes ten times as long.
	while (at < bytes.length) {
		const byte = bytes[at++];
		const wasGap = isGap;
		isGap = byte === space || byte === lineFeed || byte === carriageReturn || byte === tab;
		if (byte === comma || byte === openBrace || byte === openBracket || (isGap && !wasGap)) {
			values++;
		}
	}
	return values > most;
}

/** A value of theirs in a message: short, and without anything that a terminal would obey. */
export function shown(value: unknown): string {
	if (typeof value === 'string') {
		const short = value.length > 80 ? `${value.slice(0, 80)}…` : value;
		return JSON.stringify(short).replaceAll(/[^\x20-\x7e…]/gu, '?');
	}
	if (typeof value === 'number' || typeof value === 'boolean') {
		return String(value);
	}
	return value === undefined ? 'missing' : 'neither text nor number';
}
