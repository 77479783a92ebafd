/**
 * A file that somebody is sending us: appended in order, hashed behind the writer, kept by the store once it is whole.
 *
 * `DiskStore.upload` makes them and `DiskStore.commitUpload` makes blobs of them; in between their owner appends (one
 * call at a time) or has `fill` do so. What is not committed is the owner's to `discard`, or to `close` where it is to
 * be gone on with later. Taking an upload up reads all that is there once more: keep it open between appends.
 */
import {createHash} from 'node:crypto';
import {rm, type FileHandle} from 'node:fs/promises';
import {IntegrityError, MirrorError, NoSpaceError, RefusedError, describe} from '../errors.js';
import {changedAtOf} from './blob-info.js';
import {sumOf, writeAll} from './growing.js';
import type {Algorithm, Digests, FileHash, Hashing} from './hashing.js';
import type {Room} from './room.js';

export interface UploadOptions {
	/** Takes up what is there under this name, or begins. Absent: a new one that a restart clears away. */
	readonly id?: string;
	/** As announced: NoSpaceError where the disk has no room for it, and room is reserved. `undefined`: nobody knows. */
	readonly size: number | undefined;
	/** Whatever would get longer is refused. */
	readonly maxBytes: number;
}

/** Hexadecimal. */
export type UploadDigests = Digests & {readonly sha1: string; readonly sha256: string; readonly md5: string};

const firstBytes = 16;
/** `fill` writes when this much is at hand, or this many chunks: a chunk costs memory beside its bytes. */
const enoughBytes = 1_048_576;
const enoughChunks = 1024;
/** How far the hashing may fall behind: what is sent faster than that waits, so that there is little to do at the end. */
const mostBehindBytes = 268_435_456;
/** Written out to the disk in steps of this, while more comes in. */
const syncStepBytes = 67_108_864;
/** Up to this much is read once more at its end, and hashed here: to talk to two threads about it costs more. */
const littleBytes = 65_536;

/** What its maker hands to an upload. */
export interface UploadParts {
	readonly id: string;
	readonly file: string;
	readonly handle: FileHandle;
	/** What is there already. */
	readonly written: number;
	readonly size: number | undefined;
	readonly maxBytes: number;
	/** For files that others may write to as well: when that was last done. */
	readonly changedAtMs?: number;
	readonly room: Room;
	readonly hashing: Hashing;
	readonly onHashed?: (bytes: number) => void;
	readonly onDiskError: (error: unknown) => void;
	/** `isGone`: the file is not there any more. */
	readonly onClose: (isGone: boolean) => void;
}

export class Upload {
	readonly id: string;
	readonly file: string;
	readonly #parts: UploadParts;
	readonly #handle: FileHandle;
	readonly #tookUp: number;
	#size: number | undefined;
	#written: number;
	#first = Buffer.alloc(0);
	/** None for as long as there is only a little. */
	#hashes: readonly FileHash[] = [];
	#digests: Promise<UploadDigests> | undefined;
	#synced: number;
	#syncing: Promise<void> | undefined;
	/** All of what is written now. */
	#syncingAll: Promise<void> | undefined;
	#syncFailure: NoSpaceError | undefined;
	#closed = false;
	/** Letting go of the file, and deleting it where that was asked for first. */
	#ending: Promise<void> | undefined;

	private constructor(parts: UploadParts) {
		this.#parts = parts;
		this.id = parts.id;
		this.file = parts.file;
		this.#handle = parts.handle;
		this.#size = parts.size;
		this.#written = parts.written;
		this.#tookUp = parts.written;
		this.#synced = parts.written;
		this.#followIfMuch();
	}

	/** The handle is the upload's from here on, also where this throws. */
	static async begin(parts: UploadParts): Promise<Upload> {
		const upload = new Upload(parts);
		try {
			if (parts.size !== undefined) {
				await upload.announce(parts.size);
			}
			const first = Buffer.alloc(Math.min(firstBytes, parts.written));
			await parts.handle.read(first, 0, first.length, 0);
			upload.#first = first;
			upload.#check(parts.written);
			return upload;
		} catch (error) {
			await upload.close().catch(() => undefined);
			throw error;
		}
	}

	/** Bytes on disk. */
	get written(): number {
		return this.#written;
	}

	/** As announced. */
	get size(): number | undefined {
		return this.#size;
	}

	/** The size has become known: as if it had been announced at the start. */
	async announce(size: number): Promise<void> {
		if (size > this.#parts.maxBytes) {
			throw tooBig(this.#parts.maxBytes);
		}
		if (size < this.#written) {
			throw new RefusedError('Upload', `${this.#written} bytes have come already, it cannot be ${size} in all`);
		}
		await this.#parts.room.claim(this, () => size - this.#written, 'upload');
		this.#size = size;
	}

	/** What got to the disk counts as written even where this throws. */
	async append(chunks: readonly Buffer[]): Promise<void> {
		this.#check(this.#written + sumOf(chunks));
		if (this.#digests !== undefined) {
			// Somebody asked too early.
			this.#digests = undefined;
			this.#abandonHashes();
		}
		const before = this.#written;
		try {
			await writeAll(this.#handle, chunks, before, bytes => {
				this.#written += bytes;
			});
		} catch (error) {
			throw this.#refused(error);
		} finally {
			this.#syncingAll = undefined;
			this.#keepFirst(chunks, this.#written - before);
		}
		this.#followIfMuch();
		for (const hash of this.#hashes) {
			hash.advance(this.#written);
		}
		if (this.#written - this.#synced >= syncStepBytes) {
			await this.#syncing;
			this.#syncing = this.#flush();
		}
		// What was taken up is being read again, and nobody shall wait for that before the end.
		const behind = this.#tookUp + mostBehindBytes;
		await Promise.all(this.#hashes.map(hash => hash.within(behind)));
	}

	/** Appends all of `body`: the next bytes are gathered while the last are being written. */
	async fill(body: AsyncIterable<Buffer>): Promise<void> {
		let gathered: Buffer[] = [];
		let bytes = 0;
		let writing = Promise.resolve();
		const write = async (): Promise<void> => {
			await writing;
			writing = this.append(gathered);
			// Looked at before the next is written; until then nobody is listening.
			writing.catch(() => undefined);
			gathered = [];
			bytes = 0;
		};
		try {
			for await (const chunk of body) {
				gathered.push(chunk);
				bytes += chunk.length;
				if (bytes >= enoughBytes || gathered.length >= enoughChunks) {
					await write();
				}
			}
		} finally {
			// Also where the sender left: what came before is gone on from.
			await write();
			await writing;
		}
	}

	/** The first bytes, up to 16: for telling what kind of file it is. */
	first(bytes: number): Buffer {
		return this.#first.subarray(0, bytes);
	}

	/** Of all that is written. */
	digests(): Promise<UploadDigests> {
		this.#digests ??= this.#hashAll();
		return this.#digests;
	}

	/** Once this has failed it does so for good: nobody knows what of the file is on the disk. */
	sync(): Promise<void> {
		this.#syncingAll ??= this.#sync();
		return this.#syncingAll;
	}

	/** When the file was last written to, for the blob that it becomes. Throws where others have been at it. */
	async changedAtMs(): Promise<number> {
		const found = await this.#handle.stat();
		if (found.size !== this.#written) {
			throw new IntegrityError(`${this.file} has ${found.size} bytes, and ${this.#written} were written to it`);
		}
		const changedAtMs = changedAtOf(found);
		if ((this.#parts.changedAtMs ?? changedAtMs) !== changedAtMs) {
			throw new IntegrityError(`${this.file} changed while it was being read`);
		}
		return changedAtMs;
	}

	/** Lets go of the file and leaves it as it is. */
	close(): Promise<void> {
		return this.#end(false);
	}

	/** Lets go of the file and deletes it. Once it is closed or committed: only waits until that has been done. */
	discard(): Promise<void> {
		return this.#end(true);
	}

	#end(isDeleted: boolean): Promise<void> {
		this.#closed = true;
		this.#parts.room.release(this);
		this.#abandonHashes();
		this.#ending ??= isDeleted ? this.#delete() : this.#letGo(false);
		return this.#ending;
	}

	async #delete(): Promise<void> {
		let isGone = false;
		try {
			// While nobody else can have the name.
			await rm(this.file, {force: true});
			isGone = true;
		} finally {
			await this.#letGo(isGone);
		}
	}

	async #letGo(isGone: boolean): Promise<void> {
		try {
			await this.#handle.close();
		} finally {
			this.#parts.onClose(isGone);
		}
	}

	#check(bytes: number): void {
		if (this.#closed) {
			throw new MirrorError('an upload was used after it had been closed');
		}
		if (bytes > this.#parts.maxBytes) {
			throw tooBig(this.#parts.maxBytes);
		}
		if (this.#size !== undefined && bytes > this.#size) {
			throw new RefusedError('Upload', `more than the ${this.#size} bytes came that were announced`);
		}
	}

	/** Of these chunks so many bytes were written. */
	#keepFirst(chunks: readonly Buffer[], written: number): void {
		let left = Math.min(written, firstBytes - this.#first.length);
		for (const chunk of left > 0 ? chunks : []) {
			const part = chunk.subarray(0, left);
			this.#first = Buffer.concat([this.#first, part]);
			left -= part.length;
		}
	}

	async #sync(): Promise<void> {
		await this.#syncing;
		if (this.#syncFailure !== undefined) {
			throw this.#syncFailure;
		}
		try {
			await this.#handle.sync();
		} catch (error) {
			this.#syncFailure = this.#refused(error);
			throw this.#syncFailure;
		}
	}

	#followIfMuch(): void {
		if (this.#hashes.length === 0 && this.#written > littleBytes) {
			this.#hashes = this.#beginHashes();
		}
	}

	#beginHashes(): readonly FileHash[] {
		const {hashing, onHashed} = this.#parts;
		const done = {sha: 0, md5: 0};
		const follow = (lane: 'sha' | 'md5', algorithms: readonly Algorithm[]): FileHash =>
			hashing.follow(this.file, algorithms, {
				aside: lane === 'md5',
				onDone: bytes => {
					done[lane] = bytes;
					onHashed?.(Math.min(done.sha, done.md5));
				},
			});
		return [follow('sha', ['sha1', 'sha256']), follow('md5', ['md5'])];
	}

	async #hashAll(): Promise<UploadDigests> {
		this.#check(this.#written);
		// The disk has time to catch up meanwhile.
		void this.sync().catch(() => undefined);
		if (this.#hashes.length === 0) {
			return this.#hashLittle();
		}
		const all = (): Promise<Digests[]> => Promise.all(this.#hashes.map(hash => hash.digests(this.#written)));
		let parts: Digests[];
		try {
			parts = await all();
		} catch (error) {
			if (this.#closed) {
				throw error;
			}
			// A thread may have died hours ago. All the bytes are here, so they are read once more.
			this.#abandonHashes();
			this.#hashes = this.#beginHashes();
			parts = await all();
		}
		const {sha1, sha256, md5} = Object.assign({}, ...parts) as Digests;
		if (sha1 === undefined || sha256 === undefined || md5 === undefined) {
			throw new MirrorError('the hashing thread has left out a digest');
		}
		return {sha1, sha256, md5};
	}

	/** From the file, like the threads: what counts is what can be read again. */
	async #hashLittle(): Promise<UploadDigests> {
		const bytes = Buffer.alloc(this.#written);
		const {bytesRead} = await this.#handle.read(bytes, 0, bytes.length, 0);
		if (bytesRead < bytes.length) {
			throw new MirrorError(`hashing failed: ${this.file} ends at ${bytesRead}, before ${bytes.length}`);
		}
		const digest = (algorithm: Algorithm): string => createHash(algorithm).update(bytes).digest('hex');
		this.#parts.onHashed?.(bytes.length);
		return {sha1: digest('sha1'), sha256: digest('sha256'), md5: digest('md5')};
	}

	#abandonHashes(): void {
		for (const hash of this.#hashes) {
			hash.abandon();
		}
		this.#hashes = [];
	}

	/** Throws nothing: `sync` tells. */
	async #flush(): Promise<void> {
		this.#synced = this.#written;
		try {
			await this.#handle.datasync();
		} catch (error) {
			this.#syncFailure ??= this.#refused(error);
		}
	}

	#refused(error: unknown): NoSpaceError {
		this.#parts.onDiskError(error);
		return new NoSpaceError(`writing ${this.file} failed: ${describe(error)}`, {cause: error});
	}
}

function tooBig(maxBytes: number): RefusedError {
	return new RefusedError('Upload', `a file may have ${maxBytes} bytes at most`);
}
