/**
 * A file that the operator names, written whole or not at all: a stick may be full.
 *
 * What is no regular file, as a device or a FIFO, is written to as it is and never replaced. A link stays, and what
 * it leads to is written.
 */
import {constants} from 'node:fs';
import {open, readlink, realpath, rename, rm, stat} from 'node:fs/promises';
import {dirname, resolve} from 'node:path';
import {MirrorError, codeOf, describe} from '../errors.js';

/** Throws MirrorError. */
export async function writeWhole(path: string, text: string): Promise<void> {
	try {
		const found = await stat(path).catch(unlessAbsent);
		if (found?.isDirectory() === true) {
			throw new MirrorError('it is a folder: name a file in it');
		}
		if (found?.isFile() === false) {
			await writeInto(path, text);
		} else {
			await replace(await targetOf(path), text);
		}
	} catch (error) {
		throw new MirrorError(`${path} cannot be written: ${describe(error)}`, {cause: error});
	}
}

async function writeInto(path: string, text: string): Promise<void> {
	const handle = await open(path, constants.O_WRONLY);
	try {
		await handle.writeFile(text);
	} finally {
		await handle.close();
	}
}

async function replace(path: string, text: string): Promise<void> {
	const temporary = `${path}.part`;
	try {
		const handle = await open(temporary, 'w');
		try {
			await handle.writeFile(text);
			await handle.sync();
		} finally {
			await handle.close();
		}
		await rename(temporary, path);
	} catch (error) {
		await rm(temporary, {force: true}).catch(() => undefined);
		throw error;
	}
}

/** Where links lead, also to what is not there yet. */
async function targetOf(path: string): Promise<string> {
	const real = await realpath(path).catch(unlessAbsent);
	if (real !== undefined) {
		return real;
	}
	const link = await readlink(path).catch(unlessLink);
	return link === undefined ? path : targetOf(resolve(await realpath(dirname(path)), link));
}

function unlessAbsent(error: unknown): undefined {
	if (codeOf(error) !== 'ENOENT') {
		throw error;
	}
}

function unlessLink(error: unknown): undefined {
	if (codeOf(error) !== 'EINVAL' && codeOf(error) !== 'ENOENT') {
		throw error;
	}
}
