/**
 * Folders, with those above them.
 */
import {mkdir, stat} from 'node:fs/promises';
import path from 'node:path';
import {codeOf} from './errors.js';

/** Node's own way has no end where a folder that is there cannot hold another, as in /proc. */
export async function makeFolder(folder: string): Promise<void> {
	try {
		await mkdir(folder);
	} catch (error) {
		if (codeOf(error) === 'EEXIST' && (await stat(folder)).isDirectory()) {
			return;
		}
		const above = path.dirname(folder);
		if (codeOf(error) !== 'ENOENT' || above === folder) {
			throw error;
		}
		await makeFolder(above);
		await mkdir(folder).catch(unlessThere);
	}
}

function unlessThere(error: unknown): void {
	if (codeOf(error) !== 'EEXIST') {
		throw error;
	}
}
