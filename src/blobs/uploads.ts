/**
 * The folder of files that somebody is sending: opens one, takes one up again, and clears away what a restart left.
 *
 * The store makes blobs of them. Also takes files of this machine in, by another name for the same file. What all of it
 * takes of the disk is counted.
 */
import {randomBytes} from 'node:crypto';
import {link, lstat, mkdir, open, readdir, rm, stat, type FileHandle} from 'node:fs/promises';
import path from 'node:path';
import {IntegrityError, MirrorError, RefusedError} from '../errors.js';
import type {Host} from '../host.js';
import {changedAtOf} from './blob-info.js';
import {openGrowing} from './growing.js';
import type {Hashing} from './hashing.js';
import {isUploadId, type Layout} from './layout.js';
import type {Room} from './room.js';
import {Upload, type UploadOptions, type UploadParts} from './upload.js';

export class Uploads {
	readonly #layout: Layout;
	readonly #host: Host;
	readonly #hashing: Hashing;
	readonly #room: Room;
	/** By id. `undefined`: being opened. */
	readonly #open = new Map<string, Upload | undefined>();
	/** Bytes of those that nobody has open, by id. */
	readonly #closed = new Map<string, number>();
	/** Still open, but their files are blobs by now. */
	readonly #moved = new WeakSet<Upload>();

	constructor(options: {layout: Layout; host: Host; hashing: Hashing; room: Room}) {
		this.#layout = options.layout;
		this.#host = options.host;
		this.#hashing = options.hashing;
		this.#room = options.room;
	}

	/** On the disk, and not blobs yet. */
	get bytes(): number {
		let bytes = 0;
		for (const size of this.#closed.values()) {
			bytes += size;
		}
		for (const upload of this.#open.values()) {
			bytes += upload === undefined || this.#moved.has(upload) ? 0 : upload.written;
		}
		return bytes;
	}

	async begin({id = newId(), size, maxBytes}: UploadOptions, onHashed?: (bytes: number) => void): Promise<Upload> {
		const file = this.#layout.upload(id);
		return this.#enter(id, async () => {
			const handle = await openGrowing(file);
			const written = await sizeOf(handle);
			try {
				return await Upload.begin({...this.#parts(id, handle, written, onHashed), size, maxBytes});
			} catch (error) {
				if (written === 0) {
					await rm(file, {force: true});
				}
				throw error;
			}
		});
	}

	/** Gives a file a second name here. It is `original`, or somebody put another one in its place. */
	async link(file: string, original: FileHandle, onHashed?: (bytes: number) => void): Promise<Upload> {
		const id = newId();
		const here = this.#layout.upload(id);
		return this.#enter(id, async () => {
			await mkdir(this.#layout.uploads, {recursive: true});
			await link(file, here);
			try {
				const [wanted, got] = [await original.stat({bigint: true}), await lstat(here, {bigint: true})];
				if (wanted.ino !== got.ino || wanted.dev !== got.dev) {
					throw new IntegrityError(`${file} was replaced while it was being looked at`);
				}
				const handle = await open(here, 'r');
				const size = Number(got.size);
				const changedAtMs = changedAtOf({mtimeMs: Number(got.mtimeMs)});
				return await Upload.begin({...this.#parts(id, handle, size, onHashed), size, maxBytes: size, changedAtMs});
			} catch (error) {
				await rm(here, {force: true});
				throw error;
			}
		});
	}

	/** Removes what nobody can go on with. */
	async load(): Promise<void> {
		const names = new Set(await readdir(this.#layout.uploads));
		for (const name of names) {
			if (!isUploadId(name)) {
				continue;
			}
			if (names.has(`${name}.json`)) {
				this.#closed.set(name, (await stat(this.#layout.upload(name))).size);
			} else {
				await rm(this.#layout.upload(name), {force: true});
			}
		}
	}

	/** Its file is a blob, or one like it was there: what remains is to let go of it. */
	moved(upload: Upload): void {
		this.#moved.add(upload);
	}

	/** A file that nobody had open has been deleted. Any other file is not ours to count. */
	removed(file: string): void {
		if (path.dirname(file) === this.#layout.uploads) {
			this.#closed.delete(path.basename(file));
		}
	}

	async close(): Promise<void> {
		await Promise.all([...this.#open.values()].map(async upload => upload?.close()));
	}

	async #enter(id: string, begin: () => Promise<Upload>): Promise<Upload> {
		if (!isUploadId(id)) {
			throw new MirrorError(`${JSON.stringify(id)} cannot be the name of an upload`);
		}
		if (this.#open.has(id)) {
			throw new RefusedError('Upload', 'this upload is being written to already');
		}
		this.#open.set(id, undefined);
		try {
			const upload = await begin();
			this.#open.set(id, upload);
			this.#closed.delete(id);
			return upload;
		} catch (error) {
			this.#open.delete(id);
			throw error;
		}
	}

	#parts(
		id: string,
		handle: FileHandle,
		written: number,
		onHashed: ((bytes: number) => void) | undefined,
	): Omit<UploadParts, 'size' | 'maxBytes'> {
		return {
			id,
			file: this.#layout.upload(id),
			handle,
			written,
			room: this.#room,
			hashing: this.#hashing,
			...(onHashed === undefined ? {} : {onHashed}),
			onDiskError: error => {
				this.#host.metrics.diskErrors.inc({code: (error as NodeJS.ErrnoException).code ?? 'unknown'});
			},
			onClose: isGone => {
				const upload = this.#open.get(id);
				if (upload !== undefined && !isGone && !this.#moved.has(upload)) {
					this.#closed.set(id, upload.written);
				}
				this.#open.delete(id);
			},
		};
	}
}

function newId(): string {
	return randomBytes(16).toString('hex');
}

async function sizeOf(handle: FileHandle): Promise<number> {
	try {
		return (await handle.stat()).size;
	} catch (error) {
		await handle.close().catch(() => undefined);
		throw error;
	}
}
