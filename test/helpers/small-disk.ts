/**
 * A real file system of a few megabytes, for tests that fill it.
 */
import {execFile} from 'node:child_process';
import {mkdir} from 'node:fs/promises';
import path from 'node:path';
import {promisify} from 'node:util';
import type {ExecutionContext} from 'ava';
import {tempDir} from './temp-dir.js';

const run = promisify(execFile);

/** `undefined` where this user may not mount one. */
export async function smallDisk(t: ExecutionContext, megabytes: number): Promise<string | undefined> {
	const folder = path.join(await tempDir(t), 'disk');
	await mkdir(folder);
	try {
		await run('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m`, 'tmpfs', folder]);
	} catch {
		t.log('a tmpfs cannot be mounted here: what is tested with one is tested with a file size limit only');
		return undefined;
	}
	t.teardown(() => run('umount', ['-l', folder]));
	return folder;
}
