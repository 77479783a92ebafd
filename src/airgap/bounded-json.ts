/**
 * JSON that strangers wrote, read within bounds of memory and said of without harm.
 *
 * `oci-read.ts` reads every part of a bundle through it. The nesting is bounded by `readCompact`; here the number of
 * values and of names is, and what of them gets into a message.
 */
import {randomInt} from 'node:crypto';
import {IntegrityError} from '../errors.js';
import {isObject, readCompact, type CompactJson} from '../image/json-text.js';

export type Fields = Readonly<Record<string, unknown>>;

const tab = 0x09;
const lineFeed = 0x0a;
const carriageReturn = 0x0d;
const space = 0x20;
const quote = 0x22;
const comma = 0x2c;
const colon = 0x3a;
const openBracket = 0x5b;
const backslash = 0x5c;
const openBrace = 0x7b;

/** Different ones. Tags are what there may be most of. */
const mostNames = 10_000;
const factor = 2 * randomInt(2 ** 31) + 1;

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
	refuseMany(bytes, what, maxValues);
	try {
		return read(bytes.toString('utf8'));
	} catch (error) {
		throw error instanceof IntegrityError
			? new IntegrityError(`${what}: ${error.message}`, {cause: error.cause})
			: error;
	}
}

/**
 * Counts what begins a value or a gap between tokens, so that no more of either are made than memory has room for, and
 * how many names there are: to make objects of millions takes longer than anybody waits.
 */
function refuseMany(bytes: Buffer, what: string, maxValues: number): void {
	const told = new Uint8Array(65_536);
	let names = 0;
	let values = 0;
	let isGap = false;
	/** Where the last string begins. */
	let last = 0;
	// An iterator takes ten times as long.
	for (let at = 0; at < bytes.length; at++) {
		const byte = bytes[at] ?? 0;
		const wasGap = isGap;
		isGap = false;
		switch (byte) {
			case quote:
				last = at;
				at = closingQuote(bytes, at);
				break;
			case colon: {
				const sum = sumOf(bytes, last, at);
				names += told[sum] === 0 ? 1 : 0;
				told[sum] = 1;
				last = at + 1;
				break;
			}
			case openBrace:
			case openBracket:
			case comma:
				values++;
				break;
			case space:
			case lineFeed:
			case carriageReturn:
			case tab:
				isGap = true;
				values += wasGap ? 0 : 1;
				break;
			default:
		}
		if (values > maxValues || names > mostNames) {
			throw new IntegrityError(`${what} holds more values than any that we would write`);
		}
	}
}

/** Tells most names apart. Who would like many to have the same sum does not know the factor. */
function sumOf(bytes: Buffer, start: number, end: number): number {
	let sum = 0;
	for (let at = start; at < end; at++) {
		sum = Math.imul(sum ^ (bytes[at] ?? 0), factor);
	}
	return sum >>> 16;
}

/** Where the string ends that begins at `start`, or the bytes. */
function closingQuote(bytes: Buffer, start: number): number {
	let at = start + 1;
	while (at < bytes.length && bytes[at] !== quote) {
		at += bytes[at] === backslash ? 2 : 1;
	}
	return at;
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
