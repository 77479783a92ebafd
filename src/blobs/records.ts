/**
 * Small files that must last: written whole or not at all, and gone for good when removed.
 *
 * The rooms above keep one thing in each and load them all at their start; what they say is theirs.
 */
import {readFile, readdir, rename, rm} from 'node:fs/promises';
import path from 'node:path';
import {NoSpaceError, describe} from '../errors.js';
import {syncFolder, writeWhole} from './layout.js';

/** What `writeWhole` calls a file that it has not finished. */
const unfinished = /\.[0-9a-f]{8}\.new$/;

/** Throws NoSpaceError where the disk does not take it: what was there before is there still. */
export async function writeRecord(file: string, content: string | Uint8Array): Promise<void> {
	try {
		await writeWhole(file, content);
	} catch (error) {
		throw new NoSpaceError(`${file} cannot be written: ${describe(error)}`, {cause: error});
	}
	await syncFolder(path.dirname(file));
}

/** It may be gone already. */
export async function removeRecord(file: string): Promise<void> {
	await rm(file, {force: true});
	await syncFolder(path.dirname(file));
}

/** Keeps what is damaged under another name, for somebody to look at. Resolves with that name. */
export async function setRecordAside(file: string, nowMs: number): Promise<string> {
	const aside = `${file}.unreadable-${new Date(nowMs).toISOString().replaceAll(/[:.]/g, '')}`;
	await rename(file, aside);
	return aside;
}

/** `undefined`: there is none. Throws where it cannot be read. */
export async function readRecord(file: string): Promise<string | undefined> {
	return readFile(file, 'utf8').catch((error: unknown) => {
		if ((error as NodeJS.ErrnoException).code === 'ENOENT') {
			return undefined;
		}
		throw error;
	});
}

/** The names of the files in it, sorted. A folder that is not there has none. */
export async function listFolder(folder: string): Promise<readonly string[]> {
	const entries = await readdir(folder, {withFileTypes: true}).catch((error: unknown) => {
		if ((error as NodeJS.ErrnoException).code === 'ENOENT') {
			return [];
		}
		throw error;
	});
	return entries
		.filter(entry => entry.isFile() && !unfinished.test(entry.name))
		.map(({name}) => name)
		.sort();
}

/** Removes what a crash left half-written. */
export async function sweepUnfinished(folder: string): Promise<void> {
	for (const name of await readdir(folder)) {
		if (unfinished.test(name)) {
			await rm(path.join(folder, name), {force: true});
		}
	}
}
