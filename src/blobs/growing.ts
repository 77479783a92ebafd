/**
 * Files that grow: opening one where it may be there already, and appending to it. Partials and uploads use it.
 */
import {writeSync} from 'node:fs';
import {constants, mkdir, open, type FileHandle} from 'node:fs/promises';
import path from 'node:path';
import {NoSpaceError, describe} from '../errors.js';

const readWriteOrBegin = constants.O_RDWR | constants.O_CREAT;

/** Begins a file that is not there; `undefined`: it is there, or cannot be begun just so. */
export async function openNew(file: string): Promise<FileHandle | undefined> {
	return open(file, readWriteOrBegin | constants.O_EXCL).catch(() => undefined);
}

/** Opens for reading and writing. What is there stays. */
export async function openGrowing(file: string): Promise<FileHandle> {
	try {
		return await open(file, readWriteOrBegin).catch((error: unknown) => {
			if ((error as NodeJS.ErrnoException).code !== 'ENOENT') {
				throw error;
			}
			// Somebody may have cleared away the folder.
			return mkdir(path.dirname(file), {recursive: true}).then(() => open(file, readWriteOrBegin));
		});
	} catch (error) {
		throw new NoSpaceError(`${file} cannot be written: ${describe(error)}`, {cause: error});
	}
}

/**
 * At once, and up to a multiple of it: Linux takes memory in such pieces for what is written, and a virtual machine has
 * to ask its host for larger ones, which costs several times as much as the writing.
 */
const pieceBytes = 262_144;
/** The same for a thread that may wait, where a piece costs no trip through the event loop. */
const smallPieceBytes = 131_072;

/** Writes all of `chunks` at `position`. `onWritten` is told of each part that got there, also where the rest does not. */
export async function writeAll(
	handle: FileHandle,
	chunks: readonly Buffer[],
	position: number,
	onWritten: (bytes: number) => void,
): Promise<void> {
	let rest = chunks;
	let at = position;
	while (rest.length > 0) {
		const {bytesWritten} = await handle.writev(firstBytes(rest, pieceBytes - (at % pieceBytes)), at);
		at += bytesWritten;
		onWritten(bytesWritten);
		rest = dropBytes(rest, bytesWritten);
	}
}

/** For threads that may wait. Returns how many bytes were written; whatever ended it before all were is in `failure`. */
export function writeAllNow(
	fd: number,
	chunks: readonly Buffer[],
	position: number,
): {readonly written: number; readonly failure?: unknown} {
	let at = position;
	try {
		for (const chunk of chunks) {
			for (let from = 0; from < chunk.length;) {
				const bytes = Math.min(chunk.length - from, smallPieceBytes - (at % smallPieceBytes));
				const written = writeSync(fd, chunk, from, bytes, at);
				from += written;
				at += written;
			}
		}
		return {written: at - position};
	} catch (failure) {
		return {written: at - position, failure};
	}
}

export function sumOf(chunks: readonly Buffer[]): number {
	return chunks.reduce((bytes, chunk) => bytes + chunk.length, 0);
}

function firstBytes(chunks: readonly Buffer[], bytes: number): Buffer[] {
	const first: Buffer[] = [];
	let left = bytes;
	for (const chunk of chunks) {
		first.push(chunk.subarray(0, left));
		left -= chunk.length;
		if (left <= 0) {
			break;
		}
	}
	return first;
}

function dropBytes(chunks: readonly Buffer[], bytes: number): readonly Buffer[] {
	let left = bytes;
	let first = 0;
	for (const chunk of chunks) {
		if (left < chunk.length) {
			break;
		}
		left -= chunk.length;
		first++;
	}
	const rest = chunks.slice(first);
	const [head, ...tail] = rest;
	return head === undefined ? [] : [head.subarray(left), ...tail];
}
