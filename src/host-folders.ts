/**
 * Folders, with those above them.
 */
import {mkdir, stat} from 'node:fs/promises';
import path from 'node:path';
import {codeOf} from './errors.js';

/** What a data directory may be where it is made: private images are in it, and those who are wanted have a group. */
export const dataMode = 0o750;

/** `mode`: of the last one only. Node's own way has no end where a folder that is there cannot hold another, as in /proc. */
export async function makeFolder(folder: string, mode = 0o777): Promise<void> {
	try {
		await mkdir(folder, mode);
	} catch (error) {
		if (codeOf(error) === 'EEXIST' && (await stat(folder)).isDirectory()) {
			return;
		}
		const above = path.dirname(folder);
		if (codeOf(error) !== 'ENOENT' || above === folder) {
			throw error;
		}
		await makeFolder(above);
		await mkdir(folder, mode).catch(unlessThere);
	}
}

function unlessThere(error: unknown): void {
	if (codeOf(error) !== 'EEXIST') {
		throw error;
	}
}
