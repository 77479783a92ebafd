/**
 * The files that keys are kept in: read whole, written whole or not at all.
 *
 * `keys.ts` alone uses them, and knows what stands in them.
 */
import {randomBytes} from 'node:crypto';
import {open, rename, rm} from 'node:fs/promises';
import path from 'node:path';
import {describe, IntegrityError, MirrorError} from '../errors.js';
import {diskError, machineDisk} from './disk.js';

const maxBytes = 1_048_576;

/** `undefined`: there is no such file. */
export async function readKeyFile(file: string): Promise<string | undefined> {
	try {
		const handle = await open(file, 'r');
		try {
			if ((await handle.stat()).size > maxBytes) {
				throw new IntegrityError(`${file} is longer than any that holds keys`);
			}
			return await handle.readFile('utf8');
		} finally {
			await handle.close();
		}
	} catch (error) {
		if (error instanceof IntegrityError) {
			throw error;
		}
		if (error instanceof Error && 'code' in error && error.code === 'ENOENT') {
			return undefined;
		}
		throw new MirrorError(`${file} cannot be read: ${describe(error)}`, {cause: error});
	}
}

/** Nobody else ever sees a part of it, nor has it more rights for a moment than `mode`. */
export async function writeKeyFile(file: string, text: string, mode: number): Promise<void> {
	const folder = path.dirname(file);
	const temporary = path.join(folder, `.${path.basename(file)}.${randomBytes(4).toString('hex')}.new`);
	try {
		const handle = await open(temporary, 'wx', mode);
		try {
			await handle.writeFile(text);
			await handle.sync();
		} finally {
			await handle.close();
		}
		await rename(temporary, file);
	} catch (error) {
		await rm(temporary, {force: true}).catch(() => undefined);
		throw diskError(file, error);
	}
	await machineDisk.syncFolder(folder);
}
