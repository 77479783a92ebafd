/**
 * Room on a disk for what a stream brings before it is asked for.
 *
 * `StreamBundle` keeps blobs here and frees them again. Nothing in it outlives `close`; what a killed process has left
 * behind is for whoever owns the folder to clear away.
 */
import {mkdir, mkdtemp, open, rm, statfs, unlink, type FileHandle} from 'node:fs/promises';
import {join} from 'node:path';
import {IntegrityError, NoSpaceError} from '../errors.js';
import type {BundleBlob} from './bundle-files.js';
import {readPieces} from './file-pieces.js';

export interface Spool {
	/** Throws NoSpaceError where there is no room for that much. */
	create(size: number): Promise<SpoolFile>;
	/** Removes everything in it. */
	close(): Promise<void>;
}

/** A blob on its way to the disk. */
export interface SpoolFile {
	write(chunk: Buffer): Promise<void>;
	/** Nothing more comes. What is missing of its size is missing to readers, too. */
	end(): Promise<KeptBlob>;
	/** Instead of `end`. */
	discard(): Promise<void>;
}

/** A blob that can be read as often as one likes, until it is removed. */
export interface KeptBlob extends BundleBlob {
	remove(): Promise<void>;
}

/** Below `folder`, which is made when it is needed. So many bytes of the disk stay free. */
export function folderSpool(folder: string, floorBytes = 0): Spool {
	return new FolderSpool(folder, floorBytes);
}

class FolderSpool implements Spool {
	readonly #parent: string;
	readonly #floorBytes: number;
	#folder: Promise<string> | undefined;
	#made = 0;
	/** Promised to files that are being written. */
	#reserved = 0;

	constructor(parent: string, floorBytes: number) {
		this.#parent = parent;
		this.#floorBytes = floorBytes;
	}

	async create(size: number): Promise<SpoolFile> {
		const folder = await (this.#folder ??= this.#make());
		const {bavail, bsize} = await statfs(folder);
		const free = Math.max(0, bavail * bsize - this.#floorBytes - this.#reserved);
		if (size > free) {
			throw new NoSpaceError(
				`${size} bytes come before they can be used, and ${this.#parent} has room for ${free} to put them aside`,
			);
		}
		this.#reserved += size;
		const path = join(folder, String(this.#made++));
		let handle: FileHandle;
		try {
			handle = await open(path, 'wx', 0o600);
		} catch (error) {
			this.#reserved -= size;
			throw error;
		}
		let written = 0;
		const finish = async (): Promise<void> => {
			this.#reserved -= size - written;
			await handle.close();
		};
		return {
			write: async chunk => {
				if (written + chunk.length > size) {
					throw new IntegrityError('more bytes come than were announced');
				}
				await writeAll(handle, chunk);
				written += chunk.length;
				this.#reserved -= chunk.length;
			},
			end: async () => {
				await finish();
				return new SpooledBlob(path, size);
			},
			discard: async () => {
				await finish();
				await unlink(path);
			},
		};
	}

	async close(): Promise<void> {
		const folder = await this.#folder?.catch(() => undefined);
		this.#folder = undefined;
		if (folder !== undefined) {
			await rm(folder, {recursive: true, force: true});
		}
	}

	async #make(): Promise<string> {
		await mkdir(this.#parent, {recursive: true});
		return mkdtemp(join(this.#parent, 'imgmirror-spool-'));
	}
}

class SpooledBlob implements KeptBlob {
	readonly #path: string;
	readonly size: number;

	constructor(path: string, size: number) {
		this.#path = path;
		this.size = size;
	}

	async *read(start = 0): AsyncGenerator<Buffer, void, undefined> {
		const handle = await open(this.#path, 'r');
		try {
			yield* readPieces({handle, path: 'the blob', start, end: this.size});
		} finally {
			await handle.close();
		}
	}

	async remove(): Promise<void> {
		await unlink(this.#path);
	}
}

async function writeAll(handle: FileHandle, chunk: Buffer): Promise<void> {
	try {
		let written = 0;
		while (written < chunk.length) {
			written += (await handle.write(chunk, written)).bytesWritten;
		}
	} catch (error) {
		const isFull = error instanceof Error && 'code' in error && (error.code === 'ENOSPC' || error.code === 'EDQUOT');
		throw isFull ? new NoSpaceError('the disk is full', {cause: error}) : error;
	}
}
