/**
 * The plain files of a tar, one after another, whatever tool wrote it; everything else is passed over and named.
 *
 * Two readers stand on it: one goes through a stream, the other from header to header of a file. Both take, or leave,
 * the bytes of a member before they ask for the next one.
 */
import {IntegrityError} from '../errors.js';
import {largestSize, readHeader, readText, shown, type TarHeader} from './tar-header.js';
import type {TarInput} from './tar-input.js';
import {blockBytes, padding} from './tar-write.js';

export interface TarMember {
	/** Relative, without `./`, `..` or empty parts. */
	readonly path: string;
	readonly size: number;
	/** Until here, the tar is as `tar-write.ts` writes it, and not one that another tool has made of the same files. */
	readonly isOurs: boolean;
}

export interface TarOptions {
	/** Told in words of what is no plain file, or would lead out of the tar. */
	readonly onOdd?: (problem: string) => void;
	/** With folders and extension headers. */
	readonly mostEntries?: number;
}

/** Long names and pax headers are read as a whole. */
const mostExtensionBytes = 64 * 1024;
/** Of them, before one entry. */
const mostExtensions = 16;
/** In all, so that nobody sits for days over what is no bundle. */
const mostPassedOverBytes = 2 ** 30;
const mostMapBlocks = 100_000;
const longestPath = 1024;
/** So many are named. */
const mostOdd = 100;

/**
 * The input stands at the first byte of a member when it is yielded. Throws IntegrityError where the tar is cut off or
 * damaged: what was yielded before is right. `onOdd` is told in words what is no plain file below the tar's folder.
 */
export async function* tarMembers(
	input: TarInput,
	{onOdd = () => undefined, mostEntries = 2_000_000}: TarOptions = {},
): AsyncGenerator<TarMember, void, undefined> {
	const oddities = new Oddities(onOdd);
	let globals = noSayings;
	/** What has been said of the entry that comes. */
	let own = noSayings;
	let extensions = 0;
	let last: string | undefined;
	let isOurs = true;
	for (let headers = 0; ; headers++) {
		const header = await nextHeader(input, last);
		if (header === undefined) {
			// The second of the two empty blocks. Some writers forget it.
			await input.take(blockBytes);
			return;
		}
		if (headers >= mostEntries) {
			throw new IntegrityError(`the tar has more than ${mostEntries} entries: this is no bundle`);
		}
		// Before files of many gigabytes, we write a pax header, too.
		isOurs &&= header.isOurs || header.kind === 'pax';
		if (isExtension(header)) {
			if (++extensions > mostExtensions) {
				throw new IntegrityError(`the tar has too many headers for the entry after ${shown(last ?? 'its beginning')}`);
			}
			const bytes = await readExtension(input, header);
			if (header.kind === 'globalPax') {
				globals = readPax(bytes, globals);
			} else if (header.kind === 'pax') {
				own = readPax(bytes, own);
			} else if (header.kind === 'longName') {
				own = {...own, path: own.path ?? readText(bytes)};
			}
			continue;
		}
		const member = withSayings(header, {...globals, ...own});
		own = noSayings;
		extensions = 0;
		last = member.path;
		if (header.isExtended) {
			await passSparseMap(input, member.path);
		}
		const end = input.position + member.size + padding(member.size);
		const path = cleanPath(member.path);
		if (header.kind === 'file' && !member.isSparse && path !== undefined) {
			yield {path, size: member.size, isOurs};
		} else {
			oddities.pass(header, member, path);
		}
		if (!(await input.skip(end - input.position))) {
			throw new IntegrityError(`the tar ends in the middle of ${shown(member.path)}`);
		}
	}
}

/** What extension headers say of an entry. An empty path takes back what was said before. */
interface Sayings {
	readonly path?: string;
	readonly size?: number;
	readonly isSparse?: boolean;
}

const noSayings: Sayings = {};

interface Named {
	readonly path: string;
	readonly size: number;
	readonly isSparse: boolean;
}

/** What is passed over: told as long as it is not too much. */
class Oddities {
	readonly #onOdd: (problem: string) => void;
	#count = 0;
	#bytes = 0;

	constructor(onOdd: (problem: string) => void) {
		this.#onOdd = onOdd;
	}

	pass(header: TarHeader, {path, size, isSparse}: Named, clean: string | undefined): void {
		this.#bytes += size;
		if (this.#bytes > mostPassedOverBytes) {
			throw new IntegrityError('the tar holds more than a gigabyte of what is no plain file: this is no bundle');
		}
		const words = this.#words(header, isSparse, clean);
		if (words !== undefined) {
			this.#count++;
			if (this.#count <= mostOdd) {
				this.#onOdd(`${shown(path)} ${words}`);
			} else if (this.#count === mostOdd + 1) {
				this.#onOdd('there is more of that kind, which is not listed');
			}
		}
	}

	/** `undefined`: nobody needs to know. */
	#words(header: TarHeader, isSparse: boolean, clean: string | undefined): string | undefined {
		if (header.kind === 'directory' || header.kind === 'label') {
			return undefined;
		}
		if (header.kind === 'sparse' || isSparse) {
			return 'is stored as a sparse file: make the tar without that option';
		}
		if (header.kind === 'file' && clean === undefined) {
			return 'is no path that stays inside the tar';
		}
		return `is ${header.words}`;
	}
}

async function nextHeader(input: TarInput, last: string | undefined): Promise<TarHeader | undefined> {
	const block = await input.take(blockBytes);
	if (block.length < blockBytes) {
		if (last === undefined) {
			throw new IntegrityError(
				input.position === 0 ? 'this is no tar: it is empty' : 'the tar ends in the middle of its first entry',
			);
		}
		throw new IntegrityError(`the tar ends after ${shown(last)}, without an end mark: it was cut off`);
	}
	try {
		return readHeader(block);
	} catch (error) {
		if (!(error instanceof IntegrityError)) {
			throw error;
		}
		if (input.position === blockBytes) {
			throw new IntegrityError(`this is no tar: ${error.message}`, {cause: error});
		}
		const place = last === undefined ? 'in its first entry' : `after ${shown(last)}`;
		throw new IntegrityError(`the tar is damaged ${place}: ${error.message}`, {cause: error});
	}
}

function isExtension(header: TarHeader): boolean {
	return ['pax', 'globalPax', 'longName', 'longLink'].includes(header.kind);
}

async function readExtension(input: TarInput, header: TarHeader): Promise<Buffer> {
	if (header.size > mostExtensionBytes) {
		throw new IntegrityError(`the tar has ${header.words} of ${header.size} bytes: this is no bundle`);
	}
	const bytes = await input.take(header.size);
	if (bytes.length < header.size || !(await input.skip(padding(header.size)))) {
		throw new IntegrityError(`the tar ends in the middle of ${header.words}`);
	}
	return bytes;
}

/** Records `<length> <key>=<value>` and a newline, where the length is that of the whole record. */
function readPax(bytes: Buffer, before: Sayings): Sayings {
	let sayings = before;
	for (let start = 0; start < bytes.length;) {
		const space = bytes.indexOf(0x20, start);
		const digits = space === -1 ? '' : bytes.toString('latin1', start, space);
		const end = start + Number(/^\d{1,6}$/u.test(digits) ? digits : 0);
		const equals = bytes.indexOf(0x3d, space);
		if (end <= space + 1 || end > bytes.length || bytes[end - 1] !== 0x0a || equals === -1 || equals >= end) {
			throw new IntegrityError('the tar has a pax header that cannot be read');
		}
		sayings = withRecord(
			sayings,
			bytes.toString('utf8', space + 1, equals),
			bytes.toString('utf8', equals + 1, end - 1),
		);
		start = end;
	}
	return sayings;
}

function withRecord(sayings: Sayings, key: string, value: string): Sayings {
	if (key === 'path') {
		return {...sayings, path: value};
	}
	if (key === 'size' && value !== '') {
		if (!/^\d+$/u.test(value) || Number(value) > largestSize) {
			throw new IntegrityError(`the tar has a file of ${shown(value)} bytes, which cannot be`);
		}
		return {...sayings, size: Number(value)};
	}
	return key.startsWith('GNU.sparse.') ? {...sayings, isSparse: true} : sayings;
}

function withSayings(header: TarHeader, sayings: Sayings): Named {
	return {
		path: sayings.path || header.path,
		// The field of the header may be too small for it. A link has no bytes, whatever is said of it.
		size: header.kind === 'file' ? (sayings.size ?? header.size) : header.size,
		isSparse: sayings.isSparse ?? false,
	};
}

/** GNU's own sparse files: blocks of their map, each of which says whether another follows. */
async function passSparseMap(input: TarInput, path: string): Promise<void> {
	for (let blocks = 0; blocks < mostMapBlocks; blocks++) {
		const block = await input.take(blockBytes);
		if (block.length < blockBytes) {
			throw new IntegrityError(`the tar ends in the middle of ${shown(path)}`);
		}
		if (block[504] === 0) {
			return;
		}
	}
	throw new IntegrityError(`${shown(path)} is stored as a sparse file of too many pieces`);
}

/** `undefined`: it leads out of the tar's folder, or cannot be a path of a bundle. */
function cleanPath(path: string): string | undefined {
	if (path.startsWith('/') || path.endsWith('/') || path.includes('\0') || path.length > longestPath) {
		return undefined;
	}
	const parts = path.split('/').filter(part => part !== '' && part !== '.');
	return parts.length === 0 || parts.includes('..') ? undefined : parts.join('/');
}
