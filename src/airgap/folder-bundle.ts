/**
 * A bundle in a folder.
 *
 * Whoever made it may have put links in it: they are not followed, so nothing outside of the folder is read. The
 * folder that was named may itself be reached by one.
 */
import {constants} from 'node:fs';
import {lstat, open, type FileHandle} from 'node:fs/promises';
import {join} from 'node:path';
import {IntegrityError, codeOf, isExhausted} from '../errors.js';
import {checkLayout, maxLayoutBytes, maxSignatureBytes, type BundleBlob, type BundleFiles} from './bundle-files.js';
import {readPieces} from './file-pieces.js';
import {blobPath, isDigest, maxIndexBytes} from './oci.js';

export class FolderBundle implements BundleFiles {
	readonly name: string;
	readonly form = 'folder';
	readonly #odd: string[] = [];
	/** Whether `blobs/sha256` is a folder, and not a link to one. Looked at once. */
	#hasBlobs: Promise<boolean> | undefined;

	constructor(directory: string) {
		this.name = directory;
	}

	get odd(): readonly string[] {
		return this.#odd;
	}

	async index(): Promise<Buffer> {
		const index = await this.#small('index.json', maxIndexBytes);
		if (index === undefined) {
			// An index is written last.
			throw new IntegrityError(
				(await (this.#hasBlobs ??= this.#findBlobs()))
					? `${this.name} is no whole bundle: there are blobs, and no index.json; has its export come to an end?`
					: `${this.name} is no bundle: there is no index.json in it`,
			);
		}
		const layout = await this.#small('oci-layout', maxLayoutBytes);
		if (layout === undefined) {
			this.#note('there is no file oci-layout');
		} else {
			checkLayout(layout);
		}
		return index;
	}

	async signature(): Promise<Buffer | undefined> {
		return this.#small('index.json.sig', maxSignatureBytes);
	}

	async blob(digest: string): Promise<BundleBlob | undefined> {
		if (!isDigest(digest) || !(await (this.#hasBlobs ??= this.#findBlobs()))) {
			return undefined;
		}
		const path = blobPath(digest);
		const handle = await this.#open(path);
		if (handle === undefined) {
			return undefined;
		}
		const {size} = await handle.stat().finally(() => handle.close());
		return {
			size,
			read: (start = 0) => this.#read(path, start, size),
		};
	}

	async drop(): Promise<void> {
		// Everything stays where it is.
	}

	async close(): Promise<void> {
		// Files are open only while they are read.
	}

	async *#read(path: string, start: number, size: number): AsyncGenerator<Buffer, void, undefined> {
		const handle = await this.#open(path);
		if (handle === undefined) {
			throw new IntegrityError(`${path} has gone`);
		}
		try {
			yield* readPieces({handle, path, start, end: size});
		} finally {
			await handle.close();
		}
	}

	async #small(path: string, maxBytes: number): Promise<Buffer | undefined> {
		const handle = await this.#open(path);
		if (handle === undefined) {
			return undefined;
		}
		try {
			const {size} = await handle.stat();
			if (size > maxBytes) {
				throw new IntegrityError(`${path} has ${size} bytes, and may have ${maxBytes}`);
			}
			const pieces: Buffer[] = [];
			for await (const piece of readPieces({handle, path, start: 0, end: size})) {
				pieces.push(piece);
			}
			return Buffer.concat(pieces);
		} finally {
			await handle.close();
		}
	}

	/** `undefined`: it is not there. Throws IntegrityError for what is no plain file. */
	async #open(path: string): Promise<FileHandle | undefined> {
		let handle: FileHandle;
		try {
			// A pipe would be waited for until somebody writes into it.
			handle = await open(join(this.name, path), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
		} catch (error) {
			const code = codeOf(error);
			if (code === 'ENOENT' || code === 'ENOTDIR') {
				return undefined;
			}
			if (code === 'ELOOP' || code === 'EMLINK') {
				throw new IntegrityError(`${path} is a link, and links are not followed`, {cause: error});
			}
			// A socket.
			if (code === 'ENXIO' || code === 'EOPNOTSUPP') {
				throw new IntegrityError(`${path} is no plain file`, {cause: error});
			}
			throw isExhausted(error) ? error : new IntegrityError(`${path} cannot be read`, {cause: error});
		}
		try {
			if (!(await handle.stat()).isFile()) {
				throw new IntegrityError(`${path} is no plain file`);
			}
		} catch (error) {
			await handle.close();
			throw error;
		}
		return handle;
	}

	async #findBlobs(): Promise<boolean> {
		for (const path of ['blobs', 'blobs/sha256']) {
			const stats = await lstat(join(this.name, path)).catch(() => undefined);
			if (stats?.isDirectory() !== true) {
				this.#note(
					stats?.isSymbolicLink() === true
						? `${path} is a link, and links are not followed`
						: `there is no folder ${path}`,
				);
				return false;
			}
		}
		return true;
	}

	#note(what: string): void {
		if (!this.#odd.includes(what)) {
			this.#odd.push(what);
		}
	}
}
