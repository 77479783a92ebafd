/**
 * A bundle found and opened, whatever it lies in: a folder, a tar, the parts of one, something compressed, a pipe.
 *
 * The command line opens here what somebody has typed; what comes over HTTP is a `StreamBundle` from the beginning.
 */
import {createReadStream, type Stats} from 'node:fs';
import {access, readdir, stat} from 'node:fs/promises';
import {join} from 'node:path';
import {IntegrityError, MirrorError, NotFoundError, UsageError} from '../errors.js';
import type {BundleFiles} from './bundle-files.js';
import {filesNamed, groupBundles, partName} from './bundle-parts.js';
import {compressionOf, decompressed} from './compressed.js';
import {Parts} from './file-pieces.js';
import {FolderBundle} from './folder-bundle.js';
import type {Spool} from './spool.js';
import {StreamBundle} from './stream-bundle.js';
import {TarBundle} from './tar-bundle.js';
import {untilAborted} from './until-aborted.js';

export interface OpenOptions {
	/** For `-`. */
	readonly stdin?: AsyncIterable<unknown> | undefined;
	/** Ends reading of what may never come to an end. */
	readonly signal: AbortSignal;
	/** Where streams put aside what comes too early. Made only when it is needed. */
	readonly spool: () => Spool;
}

const expected = 'expected a bundle: a folder or a tar, as "imgmirror export" makes them';
/** Tells compressed ones from plain ones. */
const beginningBytes = 64;

/**
 * Opens one bundle: a path, or all that were named of the parts of one. Throws NotFoundError, IntegrityError and what the
 * file system says, each with the path; UsageError for paths that are not of one bundle.
 */
export async function openBundle(paths: readonly string[], options: OpenOptions): Promise<BundleFiles> {
	const [path] = paths;
	if (path === undefined || (await groupBundles(paths)).length > 1) {
		throw new UsageError(`one bundle is opened at a time, not ${paths.length} (${paths.join(', ')})`);
	}
	if (path === '-') {
		return openStdin(options);
	}
	const stats = await statOf(path);
	if (stats?.isDirectory() === true) {
		return openFolder(path);
	}
	if (stats !== undefined && !stats.isFile()) {
		// A pipe or a tape.
		return openStream(path, createReadStream(path), options);
	}
	const files = await filesNamed(paths, stats !== undefined);
	if (files.length === 0) {
		throw await absent(path);
	}
	return openFiles(path, files, options);
}

async function openStdin({stdin, ...options}: OpenOptions): Promise<BundleFiles> {
	if (stdin === undefined) {
		throw new UsageError(`there is nothing on stdin: ${expected}`);
	}
	return openStream('stdin', stdin, options);
}

async function openFolder(path: string): Promise<BundleFiles> {
	const names = await readdir(path);
	if (!names.includes('index.json') && !names.includes('blobs')) {
		const meant = await bundlesIn(path, names);
		throw new IntegrityError(
			meant.length === 0
				? `${path} is no bundle: there is no index.json in it; ${expected}`
				: `${path} is no bundle itself; did you mean ${meant.slice(0, 3).join(' or ')}?`,
		);
	}
	return new FolderBundle(path);
}

/** What looks like a bundle: folders first, and of the parts of a tar the first. */
async function bundlesIn(path: string, names: readonly string[]): Promise<readonly string[]> {
	const sorted = [...names].sort();
	const folders: string[] = [];
	for (const name of sorted) {
		if (await isThere(join(path, name, 'index.json'))) {
			folders.push(name);
		}
	}
	const tars = new Map<string, string>();
	for (const name of sorted.filter(one => /\.tar(?:\.gz|\.zst|\.\d{3,9})?$/u.test(one))) {
		const stem = partName(name)?.stem ?? name;
		tars.set(stem, tars.get(stem) ?? name);
	}
	return [...folders, ...tars.values()].map(name => join(path, name));
}

async function isThere(path: string): Promise<boolean> {
	return access(path).then(
		() => true,
		() => false,
	);
}

async function openStream(
	name: string,
	source: AsyncIterable<unknown>,
	{signal, spool}: OpenOptions,
): Promise<BundleFiles> {
	const {stream} = await named(name, decompressed(buffersOf(untilAborted(source, signal)), signal));
	return new StreamBundle(stream, {name, spool: spool(), signal});
}

async function openFiles(name: string, paths: readonly string[], options: OpenOptions): Promise<BundleFiles> {
	const {signal, spool} = options;
	const parts = await named(name, Parts.open(paths));
	try {
		const beginning = Buffer.alloc(beginningBytes);
		const length = await parts.read(beginning, 0);
		if ((await named(name, kindOf(beginning.subarray(0, length)))) === 'plain') {
			return await named(name, TarBundle.open(name, parts));
		}
		const {stream} = await named(name, decompressed(parts.pieces(), signal));
		return new StreamBundle(stream, {name, spool: spool(), signal, onClose: () => parts.close()});
	} catch (error) {
		await parts.close();
		throw error;
	}
}

async function kindOf(beginning: Buffer): Promise<string> {
	return compressionOf(beginning);
}

async function absent(path: string): Promise<NotFoundError> {
	if ((await statOf(`${path}.part`)) !== undefined) {
		return new NotFoundError(`${path} is not whole yet: its export has not come to an end (there is ${path}.part)`);
	}
	return new NotFoundError(`there is no ${path}`);
}

async function statOf(path: string): Promise<Stats | undefined> {
	try {
		return await stat(path);
	} catch (error) {
		if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR')) {
			return undefined;
		}
		throw new MirrorError(`${path} cannot be read`, {cause: error});
	}
}

/** What is wrong with it, with its name. */
async function named<T>(name: string, opening: Promise<T>): Promise<T> {
	try {
		return await opening;
	} catch (error) {
		if (error instanceof IntegrityError) {
			throw new IntegrityError(`${name}: ${error.message}; ${expected}`, {cause: error.cause});
		}
		if (error instanceof Error && 'syscall' in error) {
			throw new MirrorError(`${name} cannot be read`, {cause: error});
		}
		throw error;
	}
}

async function* buffersOf(chunks: AsyncIterable<unknown>): AsyncGenerator<Buffer, void, undefined> {
	for await (const chunk of chunks) {
		yield chunk instanceof Uint8Array
			? Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)
			: Buffer.from(String(chunk));
	}
}
