/**
 * What the far side has, as an export is told: in files that `imgmirror have` wrote there, and by bundles that it has
 * taken in.
 */
import {readFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {resolve} from 'node:path';
import {haveOfBundle} from '../airgap/have-of-bundle.js';
import {mergeHaves} from '../airgap/have.js';
import {openBundle} from '../airgap/open-bundle.js';
import {folderSpool} from '../airgap/spool.js';
import {InvalidParameterError, MirrorError, describe} from '../errors.js';
import type {CliIo} from './io.js';
import {commandLineError} from './target.js';

/** In one text; `undefined`: nothing was said of it. Throws ConfigError for a file that is no such text. */
export async function haveOf(
	{since, have}: {readonly since: readonly string[]; readonly have: readonly string[]},
	{io, signal, say}: {readonly io: CliIo; readonly signal: AbortSignal; readonly say: (line: string) => void},
): Promise<string | undefined> {
	const texts: string[] = [];
	for (const given of have) {
		const path = resolve(io.directory, given);
		const text = await readFile(path, 'utf8').catch((error: unknown) => {
			throw new MirrorError(`--have ${path} cannot be read: ${describe(error)}`, {cause: error});
		});
		try {
			texts.push(mergeHaves([text]));
		} catch (error) {
			throw error instanceof InvalidParameterError ? commandLineError([`--have ${path}: ${error.message}`]) : error;
		}
	}
	for (const given of since) {
		const files = await openBundle([given === '-' ? given : resolve(io.directory, given)], {
			signal,
			spool: () => folderSpool(tmpdir()),
		});
		try {
			texts.push(await haveOfBundle(files, say));
		} finally {
			await files.close();
		}
	}
	return texts.length === 0 ? undefined : mergeHaves(texts);
}
