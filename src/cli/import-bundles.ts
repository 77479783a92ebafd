/**
 * Bundles as they are named on a command line: folders, tars, parts of one, a pipe.
 *
 * What can be read at any place is opened, so that only what is lacking has to be sent. What is compressed or piped in
 * goes as it is: the server unpacks it.
 */
import {createReadStream} from 'node:fs';
import {open, stat} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join, resolve} from 'node:path';
import type {BundleFiles} from '../airgap/bundle-files.js';
import {filesNamed, groupBundles} from '../airgap/bundle-parts.js';
import {compressionOf} from '../airgap/compressed.js';
import {Parts} from '../airgap/file-pieces.js';
import {openBundle} from '../airgap/open-bundle.js';
import {folderSpool} from '../airgap/spool.js';
import {IntegrityError, MirrorError, describe} from '../errors.js';
import {magicBytes} from '../image/magic.js';
import type {CliIo, Input} from './io.js';

export type OpenedBundle = {readonly name: string; close(): Promise<void>} & (
	| {readonly form: 'open'; readonly files: BundleFiles}
	| {
			readonly form: 'raw';
			/** `undefined`: it is a pipe. */
			readonly size: number | undefined;
			pieces(): AsyncIterable<Buffer>;
	  }
);

/** The paths of each bundle. Parts of one tar are one, in whatever order they were typed; anything else is one by itself. */
export async function bundlesNamed(
	words: readonly string[],
	directory: string,
): Promise<readonly (readonly string[])[]> {
	return groupBundles(words.map(word => (word === '-' ? word : resolve(directory, word))));
}

/** Throws MirrorError for what is no bundle, as far as can be seen without reading it all. */
export async function openNamed(
	paths: readonly string[],
	{io, signal}: {readonly io: Pick<CliIo, 'stdin'>; readonly signal: AbortSignal},
): Promise<OpenedBundle> {
	const [name = ''] = paths;
	if (name === '-') {
		return piped('stdin', () => io.stdin);
	}
	const found = await stat(name).catch(() => undefined);
	if (found?.isFIFO() === true || found?.isCharacterDevice() === true) {
		return piped(name, () => createReadStream(name));
	}
	if (found?.isDirectory() !== true) {
		const tar = await filesNamed(paths, found !== undefined);
		const [first] = tar;
		if (first !== undefined && (await isCompressed(first))) {
			const parts = await Parts.open(tar);
			return {name, form: 'raw', size: parts.size, pieces: () => parts.pieces(), close: () => parts.close()};
		}
	}
	const files = await openBundle(paths, {signal, spool: () => folderSpool(join(tmpdir(), 'imgmirror'))});
	try {
		// Whether it is one at all is said before a server is sought.
		await files.index();
	} catch (error) {
		await files.close();
		throw error;
	}
	return {name, form: 'open', files, close: () => files.close()};
}

/** Not opened before it is wanted: from then on it is read. */
function piped(name: string, input: () => Input): OpenedBundle {
	let iterator: AsyncIterator<unknown> | undefined;
	return {
		name,
		form: 'raw',
		size: undefined,
		pieces() {
			iterator = input()[Symbol.asyncIterator]();
			return buffersOf(name, iterator);
		},
		async close() {
			// Not waited for: whoever writes may never end.
			void iterator?.return?.().catch(() => undefined);
			return Promise.resolve();
		},
	};
}

async function* buffersOf(name: string, iterator: AsyncIterator<unknown>): AsyncGenerator<Buffer, void, undefined> {
	let length = 0;
	for (;;) {
		const next = await iterator.next().catch((error: unknown) => {
			throw new MirrorError(`${name} cannot be read: ${describe(error)}`, {cause: error});
		});
		if (next.done === true) {
			break;
		}
		const chunk = next.value;
		const bytes = Buffer.isBuffer(chunk) ? chunk : Buffer.from(chunk instanceof Uint8Array ? chunk : String(chunk));
		length += bytes.length;
		yield bytes;
	}
	if (length === 0) {
		throw new MirrorError(
			`nothing came in through ${name}, so nothing was imported: did the command before it fail? ` +
				'("set -o pipefail" makes a shell tell)',
		);
	}
}

/** Throws MirrorError for what nobody can unpack. */
async function isCompressed(path: string): Promise<boolean> {
	try {
		const handle = await open(path, 'r');
		try {
			const {bytesRead, buffer} = await handle.read(Buffer.alloc(magicBytes), 0, magicBytes, 0);
			return compressionOf(buffer.subarray(0, bytesRead)) !== 'plain';
		} finally {
			await handle.close();
		}
	} catch (error) {
		throw error instanceof IntegrityError
			? new IntegrityError(`${path} is no bundle: ${error.message}`, {cause: error})
			: new MirrorError(`${path} cannot be read: ${describe(error)}`, {cause: error});
	}
}
