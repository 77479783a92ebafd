/**
 * Takes over files that are on this machine already: copies them, links them or moves them in.
 *
 * What counts is what we have stored, so a copy is read back, and a link is looked at again after it has been read. The
 * original is left alone unless it is to be moved; then it goes last, when the blob is known to last.
 */
import {access, constants, lstat, open, rm, type FileHandle} from 'node:fs/promises';
import path from 'node:path';
import {IntegrityError, NotFoundError, UsageError, describe} from '../errors.js';
import type {Host} from '../host.js';
import type {Sha1} from '../image/manifest.js';
import type {BlobInfo} from './blob-info.js';
import {syncFolder} from './layout.js';
import type {Upload} from './upload.js';
import type {Uploads} from './uploads.js';

/** `link`: another name for the same file, or a copy where the file system does not allow that. */
export type ImportHow = 'copy' | 'link' | 'move';

export interface ImportOptions {
	/** What the file should be; without it, any file will do. */
	readonly expected?: {readonly sha1: Sha1; readonly size: number};
	/** Which one it was when it was looked at, as `<device>.<inode>`: a folder on its path may be another by now. */
	readonly inode?: string;
	/** `local` unless given. */
	readonly source?: string;
	/** See `DiskStore.commitUpload`. */
	readonly pinnedBy?: string;
	/** Called with how many bytes have been verified so far. */
	readonly onProgress?: (bytes: number) => void;
	readonly signal?: AbortSignal;
}

/** Why there cannot be another name for a file: another file system, one that has none, or not ours to name. */
const unlinkable = new Set(['EXDEV', 'EPERM', 'EACCES', 'EMLINK', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS']);
const copyBytes = 1_048_576;

export class FileImport {
	readonly #host: Host;
	readonly #uploads: Uploads;
	readonly #commit: (upload: Upload) => Promise<BlobInfo>;
	readonly #file: string;
	readonly #how: ImportHow;
	readonly #options: ImportOptions;

	constructor(parts: {
		readonly host: Host;
		readonly uploads: Uploads;
		readonly commit: (upload: Upload) => Promise<BlobInfo>;
		readonly file: string;
		readonly how: ImportHow;
		readonly options: ImportOptions;
	}) {
		this.#host = parts.host;
		this.#uploads = parts.uploads;
		this.#commit = parts.commit;
		this.#file = path.resolve(parts.file);
		this.#how = parts.how;
		this.#options = parts.options;
	}

	async run(): Promise<BlobInfo> {
		const {signal, expected, inode} = this.#options;
		signal?.throwIfAborted();
		const original = await openPlain(this.#file);
		try {
			const before = await versionOf(original);
			if (inode !== undefined && inode !== `${before.dev}.${before.ino}`) {
				throw new IntegrityError(`${this.#file} is another file than a moment ago`);
			}
			if (expected !== undefined && BigInt(expected.size) !== before.size) {
				throw new IntegrityError(`${this.#file} has ${before.size} bytes, should have ${expected.size}`);
			}
			const {upload, isLink} = await this.#take(original, Number(before.size));
			const stop = (): void => {
				// Whoever waits for its digests is told.
				void upload.discard().catch(() => undefined);
			};
			signal?.addEventListener('abort', stop, {once: true});
			try {
				if (!isLink) {
					await upload.fill(this.#read(original, Number(before.size)));
				}
				await this.#check(upload, original, before);
				signal?.throwIfAborted();
				signal?.removeEventListener('abort', stop);
				const info = await this.#commit(upload);
				if (this.#how === 'move') {
					await this.#removeOriginal(original, before);
				}
				return info;
			} catch (error) {
				await upload.discard();
				signal?.throwIfAborted();
				throw error;
			} finally {
				signal?.removeEventListener('abort', stop);
			}
		} finally {
			await original.close();
		}
	}

	async #check(upload: Upload, original: FileHandle, before: Version): Promise<void> {
		const {sha1} = await upload.digests();
		if (!isSame(await versionOf(original), before)) {
			throw new IntegrityError(`${this.#file} changed while it was being read`);
		}
		const {expected} = this.#options;
		if (expected !== undefined && sha1 !== expected.sha1) {
			throw new IntegrityError(`${this.#file} has SHA-1 ${sha1}, should have ${expected.sha1}`);
		}
	}

	async #take(original: FileHandle, size: number): Promise<{upload: Upload; isLink: boolean}> {
		const {onProgress} = this.#options;
		if (this.#how !== 'copy') {
			try {
				// A file that we could not write to could not be taken back either, were it found to have changed.
				await access(this.#file, constants.W_OK);
				return {upload: await this.#uploads.link(this.#file, original, onProgress), isLink: true};
			} catch (error) {
				if (!unlinkable.has((error as NodeJS.ErrnoException).code ?? '')) {
					throw error;
				}
				this.#host.log.info({file: this.#file, problem: describe(error)}, 'a file cannot be linked, and is copied');
			}
		}
		return {upload: await this.#uploads.begin({size, maxBytes: size}, onProgress), isLink: false};
	}

	/** Never more than was announced: what is appended meanwhile shows in the size. */
	async *#read(original: FileHandle, size: number): AsyncGenerator<Buffer, void, undefined> {
		for (let position = 0; position < size;) {
			this.#options.signal?.throwIfAborted();
			const into = Buffer.allocUnsafeSlow(Math.min(copyBytes, size - position));
			const {bytesRead} = await original.read(into, 0, into.length, position);
			if (bytesRead === 0) {
				throw new IntegrityError(`${this.#file} became shorter while it was being read`);
			}
			position += bytesRead;
			yield into.subarray(0, bytesRead);
		}
	}

	/** Unless it is another file by now. */
	async #removeOriginal(original: FileHandle, before: Version): Promise<void> {
		const there = await lstat(this.#file, {bigint: true}).catch(() => undefined);
		if (there === undefined || !isSame(there, before) || !isSame(await versionOf(original), before)) {
			this.#host.log.warn({file: this.#file}, 'a file changed after it had been taken over, and is left where it is');
			return;
		}
		await rm(this.#file, {force: true});
		await syncFolder(path.dirname(this.#file));
	}
}

interface Version {
	readonly dev: bigint;
	readonly ino: bigint;
	readonly size: bigint;
	readonly mtimeNs: bigint;
}

function versionOf(handle: FileHandle): Promise<Version> {
	return handle.stat({bigint: true});
}

function isSame(one: Version, other: Version): boolean {
	return one.dev === other.dev && one.ino === other.ino && one.size === other.size && one.mtimeNs === other.mtimeNs;
}

/** Anything but a plain file could be something else the next time we look, or never end. */
async function openPlain(file: string): Promise<FileHandle> {
	const what = await open(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK).catch(
		(error: unknown) => {
			const {code} = error as NodeJS.ErrnoException;
			if (code === 'ENOENT') {
				throw new NotFoundError(`there is no file ${file}`, {cause: error});
			}
			const why = code === 'ELOOP' ? 'it is a symbolic link' : describe(error);
			throw new UsageError(`${file} cannot be taken over: ${why}`, {cause: error});
		},
	);
	try {
		if ((await what.stat()).isFile()) {
			return what;
		}
	} catch (error) {
		await what.close();
		throw error;
	}
	await what.close();
	throw new UsageError(`${file} cannot be taken over: it is not a plain file`);
}
