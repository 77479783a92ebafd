/**
 * A blob on its way in: one growing file that is appended, hashed behind the writer, and made a blob by rename.
 *
 * A download owns it and is its only writer; followers read it. What an earlier attempt left behind is taken up: it
 * is rehashed, never trusted. Committing and quarantining are the store's, which knows where things belong.
 */
import {rm, type FileHandle} from 'node:fs/promises';
import {NoSpaceError, describe} from '../errors.js';
import type {EventImage} from '../host.js';
import type {Sha1, Uuid} from '../image/manifest.js';
import {openGrowing, writeAll} from './growing.js';
import type {Digests, FileHash, Hashing} from './hashing.js';

/** What is known of a file before it is here. */
export interface Wanted {
	/** Names the file while it is on its way: its SHA-1 if the manifest has one. */
	readonly key: string;
	readonly size: number;
	readonly sha1: Sha1 | undefined;
	/** Hexadecimal. Looked at only where there is no SHA-1. */
	readonly md5: string | undefined;
	/** The image it is wanted for, for the log. */
	readonly uuid: Uuid;
	/** The same image, for those who listen. */
	readonly about?: EventImage | undefined;
}

const cheapMd5Bytes = 16_777_216;

export class PartialBlob {
	readonly wanted: Wanted;
	readonly file: string;
	readonly #hashing: Hashing;
	readonly #onClose: () => void;
	#handle: FileHandle;
	/** Of what decides whether the file is right. */
	#deciding: FileHash;
	/** Of what is computed besides; `undefined`: nothing. */
	#besides: FileHash | undefined;
	#written: number;
	/** What the hashing thread wrote last, and may be looking at. */
	#beingHashed: readonly Buffer[] = [];
	#closed = false;

	private constructor(options: {
		wanted: Wanted;
		file: string;
		hashing: Hashing;
		handle: FileHandle;
		written: number;
		onClose: () => void;
	}) {
		this.wanted = options.wanted;
		this.file = options.file;
		this.#hashing = options.hashing;
		this.#handle = options.handle;
		this.#written = options.written;
		this.#onClose = options.onClose;
		this.#deciding = this.#decide();
		this.#besides = this.#addBesides();
	}

	/** `begun`: the file, where it is a new one. */
	static async open(options: {
		wanted: Wanted;
		file: string;
		begun?: FileHandle | undefined;
		hashing: Hashing;
		onClose: () => void;
	}): Promise<PartialBlob> {
		if (options.begun !== undefined) {
			return new PartialBlob({...options, handle: options.begun, written: 0});
		}
		let handle = await openGrowing(options.file);
		try {
			const found = await handle.stat();
			let written = found.size;
			// A blob that was taken back may be somebody's own file under another name: that is not to be written to.
			const isOthers = found.nlink > 1 && written !== options.wanted.size;
			if (isOthers || written > options.wanted.size) {
				// Another file in its place: somebody may still be reading this one.
				await handle.close();
				await rm(options.file, {force: true});
				handle = await openGrowing(options.file);
				written = 0;
			}
			return new PartialBlob({...options, handle, written});
		} catch (error) {
			await handle.close().catch(() => undefined);
			throw error;
		}
	}

	/** Bytes on disk. */
	get written(): number {
		return this.#written;
	}

	/** For whoever reads what is written without us; negative once it is closed. */
	get fd(): number {
		return this.#handle.fd;
	}

	/**
	 * Appends. What part of it got to the disk counts as written even where this throws NoSpaceError. Resolves with
	 * chunks that nobody looks at any more: these, or those of an earlier call.
	 */
	async write(chunks: readonly Buffer[]): Promise<readonly Buffer[]> {
		const onWritten = (bytes: number): void => {
			this.#written += bytes;
		};
		let done = chunks;
		try {
			if (await this.#deciding.write(this.#handle.fd, chunks, this.#written, onWritten)) {
				done = this.#beingHashed;
				this.#beingHashed = chunks;
			} else {
				await writeAll(this.#handle, chunks, this.#written, onWritten);
			}
		} catch (error) {
			throw new NoSpaceError(`writing ${this.file} failed: ${describe(error)}`, {cause: error});
		}
		this.#deciding.advance(this.#written);
		this.#besides?.advance(this.#written);
		return done;
	}

	/** What is left of what `write` would have resolved with: once the digests are there, nobody looks at it. */
	rest(): readonly Buffer[] {
		const rest = this.#beingHashed;
		this.#beingHashed = [];
		return rest;
	}

	/** Reads what is written. 0: nothing there. */
	async read(into: Buffer, length: number, position: number): Promise<number> {
		const {bytesRead} = await this.#handle.read(into, 0, length, position);
		return bytesRead;
	}

	/** Those digests of all that is written that decide whether it is right: nobody shall wait for the others. */
	async deciding(): Promise<Digests> {
		try {
			return await this.#deciding.digests(this.#written);
		} catch (error) {
			if (this.#closed) {
				throw error;
			}
			// The thread may have died hours ago. All the bytes are here, so they are read once more.
			this.#deciding = this.#decide();
			return this.#deciding.digests(this.#written);
		}
	}

	/** All digests of all that is written. */
	async digests(): Promise<Digests> {
		const deciding = await this.deciding();
		try {
			return {...deciding, ...(await this.#besides?.digests(this.#written))};
		} catch (error) {
			if (this.#closed) {
				throw error;
			}
			this.#besides = this.#addBesides();
			return {...deciding, ...(await this.#besides?.digests(this.#written))};
		}
	}

	/** Throws away what is there and begins again. */
	async restart(): Promise<void> {
		this.#abandonHashes();
		await this.#handle.truncate(0);
		this.#written = 0;
		this.#beginHashes();
	}

	/** Begins again in a new file, the old one having been moved away or deleted. */
	async replace(): Promise<void> {
		this.#abandonHashes();
		const old = this.#handle;
		// First, so that nobody takes the old bytes for this file's where it cannot be opened.
		this.#written = 0;
		this.#handle = await openGrowing(this.file);
		this.#beginHashes();
		await old.close();
	}

	async sync(): Promise<void> {
		await this.#handle.sync();
	}

	/** Lets go of the file and leaves it as it is. Reads under way finish first. */
	async close(): Promise<void> {
		if (this.#closed) {
			return;
		}
		this.#closed = true;
		this.#abandonHashes();
		this.#onClose();
		await this.#handle.close();
	}

	#abandonHashes(): void {
		// The thread may be at it even now: whoever collects what nobody refers to may have it.
		this.#beingHashed = [];
		this.#deciding.abandon();
		this.#besides?.abandon();
	}

	#beginHashes(): void {
		this.#deciding = this.#decide();
		this.#besides = this.#addBesides();
	}

	/** Where the SHA-1 is not known beforehand, what the source tells may decide. */
	#decide(): FileHash {
		return this.#hashing.follow(this.file, this.wanted.sha1 === undefined ? ['sha1', 'sha256', 'md5'] : ['sha1']);
	}

	#addBesides(): FileHash | undefined {
		if (this.wanted.sha1 === undefined) {
			return undefined;
		}
		// MD5 costs as much as all the rest; for a large file it waits until nobody does.
		const isCheap = this.wanted.size <= cheapMd5Bytes;
		return this.#hashing.follow(this.file, isCheap ? ['sha256', 'md5'] : ['sha256'], {urgency: 'soon'});
	}
}
