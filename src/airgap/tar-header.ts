/**
 * One header block of a tar, whoever wrote it: v7, ustar, GNU's and illumos' own ways.
 *
 * Knows nothing of what stands before or after the block.
 */
import {IntegrityError} from '../errors.js';
import {blockBytes, isOurHeader} from './tar-write.js';

/**
 * `pax` and `longName` say something of the entry that follows, `globalPax` of all that follow; `longLink` and `label`
 * say nothing that we need. `other`: anything else that is not a plain file; `words` say what.
 */
export type TarKind =
	'file' | 'directory' | 'pax' | 'globalPax' | 'longName' | 'longLink' | 'label' | 'sparse' | 'other';

export interface TarHeader {
	readonly kind: TarKind;
	readonly words: string;
	readonly path: string;
	/** Of the bytes that follow. */
	readonly size: number;
	/** To the last byte as `tar-write.ts` writes it. */
	readonly isOurs: boolean;
	/** Of a sparse file: blocks with more of its map stand between the header and its bytes. */
	readonly isExtended: boolean;
}

/** Nothing of that size has ever been carried. Sums of such sizes are still exact. */
export const largestSize: number = 2 ** 50;

const kinds: Readonly<Record<string, readonly [TarKind, string]>> = {
	'\0': ['file', 'a file'],
	'0': ['file', 'a file'],
	'1': ['other', 'a hard link'],
	'2': ['other', 'a symbolic link'],
	'3': ['other', 'a device'],
	'4': ['other', 'a device'],
	'5': ['directory', 'a folder'],
	'6': ['other', 'a named pipe'],
	// Contiguous, which no system of today knows.
	'7': ['file', 'a file'],
	g: ['globalPax', 'a pax header'],
	x: ['pax', 'a pax header'],
	// As illumos' own tar writes it.
	X: ['pax', 'a pax header'],
	L: ['longName', 'a long name'],
	K: ['longLink', 'a long name'],
	M: ['other', 'a piece of a file that began in another tar'],
	S: ['sparse', 'a sparse file'],
	V: ['label', 'a label'],
};

/** Only their headers stand in a tar, whatever size they claim. */
const headerOnly: ReadonlySet<string> = new Set(['1', '2', '3', '4', '5', '6']);

/** `undefined`: an empty block. Throws IntegrityError, saying what is wrong with it and not where it stands. */
export function readHeader(block: Buffer): TarHeader | undefined {
	const sum = checksum(block);
	if (sum.unsigned === emptySum && block.every(byte => byte === 0)) {
		return undefined;
	}
	const expected = readNumber(block.subarray(148, 156));
	// Some old writers took bytes for signed.
	if (expected !== sum.unsigned && expected !== sum.signed) {
		throw new IntegrityError('a header has a wrong checksum');
	}
	const path = readPath(block);
	const type = String.fromCharCode(block[156] ?? 0);
	const [kind, words] = kinds[type] ?? ['other', `something of the unknown type ${shown(JSON.stringify(type))}`];
	// Before there was a type for folders, a slash at the end said it.
	const isFolder = kind === 'directory' || (kind === 'file' && path.endsWith('/'));
	const size = isFolder || headerOnly.has(type) ? 0 : readSize(block, path);
	return {
		kind: isFolder ? 'directory' : kind,
		words,
		path,
		size,
		isOurs: isOurHeader(block, {path, size}),
		isExtended: kind === 'sparse' && block[482] !== 0,
	};
}

/** A name from a tar, for a message: nothing in it that a terminal obeys, and not a page of it. */
export function shown(path: string): string {
	if (path === '') {
		return 'an entry without a name';
	}
	const plain = path.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, '?');
	return plain.length > 120 ? `${plain.slice(0, 120)}…` : plain;
}

/** What an empty block adds up to: the checksum counts itself as spaces. */
const emptySum = 8 * 0x20;

function checksum(block: Buffer): {readonly unsigned: number; readonly signed: number} {
	let unsigned = emptySum;
	let signed = emptySum;
	for (let index = 0; index < blockBytes; index++) {
		if (index < 148 || index >= 156) {
			const byte = block[index] ?? 0;
			unsigned += byte;
			signed += byte < 0x80 ? byte : byte - 0x100;
		}
	}
	return {unsigned, signed};
}

function readPath(block: Buffer): string {
	const name = readText(block.subarray(0, 100));
	// Only where it says "ustar" and a NUL: GNU's own format has times and other things there.
	const prefix = block.toString('latin1', 257, 263) === 'ustar\0' ? readText(block.subarray(345, 500)) : '';
	return prefix === '' ? name : `${prefix}/${name}`;
}

function readSize(block: Buffer, path: string): number {
	const size = readNumber(block.subarray(124, 136));
	if (size === undefined) {
		throw new IntegrityError(`the size of ${shown(path)} is not a number`);
	}
	if (size < 0 || size > largestSize) {
		throw new IntegrityError(`${shown(path)} cannot have ${size} bytes`);
	}
	return size;
}

/** Until the first NUL, or the end. */
export function readText(bytes: Buffer): string {
	const end = bytes.indexOf(0);
	return bytes.toString('utf8', 0, end === -1 ? bytes.length : end);
}

/** Octal digits, or GNU's binary, whose first bit is set (all eight of the first byte for negative ones). */
function readNumber(field: Buffer): number | undefined {
	const first = field[0] ?? 0;
	if (first >= 0x80) {
		const bits = BigInt(8 * field.length);
		const value = BigInt(`0x${field.toString('hex')}`);
		return Number(first >= 0xc0 ? value - (1n << bits) : value - (1n << (bits - 1n)));
	}
	const digits = readText(field).trim();
	if (digits === '') {
		return 0;
	}
	return /^[0-7]+$/u.test(digits) ? Number.parseInt(digits, 8) : undefined;
}
