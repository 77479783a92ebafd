/**
 * Whole, verified files by SHA-1, on disk, with the manifests of their images beside them.
 *
 * What lies under `blobs/` with an `.info` beside it and the size that the info tells was verified, synced and renamed
 * there; anything else found at the start is taken back to where it is verified again. The rooms above ask `stat`,
 * `open` and `partial`; downloads end in `commit` or `quarantine`.
 */
import {access, constants, mkdir, open, rename, rm, stat, statfs, type FileHandle} from 'node:fs/promises';
import {MirrorError, NoSpaceError, describe} from '../errors.js';
import type {Host} from '../host.js';
import {isSha1, type Sha1, type Uuid} from '../image/manifest.js';
import type {BlobOrigin, BlobStore} from './blob-store.js';
import {changedAtOf, isAsStored, writeInfo, type BlobInfo} from './blob-info.js';
import type {Digests, Hashing} from './hashing.js';
import {HeldImages, type HeldImage} from './held-images.js';
import {FileImport, type ImportHow, type ImportOptions} from './import-file.js';
import {KnownBlobs} from './known-blobs.js';
import {LateMd5} from './late-md5.js';
import {syncFolder, type Layout} from './layout.js';
import {PartialBlob, type Wanted} from './partial.js';
import {Pins} from './pins.js';
import {Quarantine, type QuarantineLimits, type QuarantineNote} from './quarantine.js';
import {listFolder, readRecord, removeRecord, sweepUnfinished, writeRecord} from './records.js';
import {Room} from './room.js';
import {scanBlobs} from './scan.js';
import {Turns} from './turns.js';
import type {Upload, UploadOptions} from './upload.js';
import {Uploads} from './uploads.js';

export type {BlobInfo} from './blob-info.js';
export type {BlobOrigin, BlobStore} from './blob-store.js';
export type {ImportHow, ImportOptions} from './import-file.js';

/** What is told when an upload becomes a blob. */
export interface UploadOrigin {
	readonly source: string;
	readonly storedAtMs: number;
	/** Pinned in the same instant: nobody can delete it before whoever wants it has said so. */
	readonly pinnedBy?: string;
}

export class DiskStore implements BlobStore {
	readonly quarantined: Quarantine;
	readonly images: HeldImages;
	readonly #layout: Layout;
	readonly #host: Host;
	readonly #hashing: Hashing;
	readonly #blobs: KnownBlobs;
	readonly #partials = new Set<PartialBlob>();
	readonly #room = new Room(() => this.freeBytes());
	readonly #uploads: Uploads;
	readonly #pins = new Pins();
	readonly #md5s: LateMd5;
	/** By SHA-1: a commit, a deletion and a late MD5 of one blob wait for each other. */
	readonly #changes = new Turns();

	constructor(options: {layout: Layout; host: Host; hashing: Hashing; quarantine: QuarantineLimits}) {
		this.#layout = options.layout;
		this.#host = options.host;
		this.#hashing = options.hashing;
		this.quarantined = new Quarantine({layout: options.layout, host: options.host, limits: options.quarantine});
		this.images = new HeldImages(options);
		this.#blobs = new KnownBlobs(options.host.metrics);
		this.#uploads = new Uploads({...options, room: this.#room});
		this.#md5s = new LateMd5({
			...options,
			sizeOf: sha1 => this.#blobs.get(sha1)?.size,
			onMd5: (sha1, md5) => this.#setMd5(sha1, md5),
		});
	}

	/** Reads what is on the disk, whose folders must be there. Must be over before anything else is called. */
	async load(): Promise<void> {
		await scanBlobs({
			layout: this.#layout,
			log: this.#host.log,
			onBlob: info => {
				this.#remember(info);
			},
			onManifest: (file, where) => this.images.read(file, where),
		});
		for (const folder of [this.#layout.published, this.#layout.jobs, this.#layout.uploads]) {
			await sweepUnfinished(folder);
		}
		await this.#uploads.load();
		await this.images.loadFound();
		await this.quarantined.sweep();
		this.#blobs.report();
	}

	get bytes(): number {
		return this.#blobs.bytes;
	}

	get count(): number {
		return this.#blobs.count;
	}

	stat(sha1: Sha1): BlobInfo | undefined {
		return this.#blobs.get(sha1);
	}

	async open(sha1: Sha1): Promise<FileHandle | undefined> {
		const info = this.#blobs.get(sha1);
		if (info === undefined) {
			return undefined;
		}
		const handle = await open(this.#layout.blob(sha1), 'r').catch((error: unknown) => {
			if ((error as NodeJS.ErrnoException).code === 'ENOENT') {
				return undefined;
			}
			throw new MirrorError(`the file ${sha1} cannot be read: ${describe(error)}`, {cause: error});
		});
		const found = await handle?.stat().catch(() => undefined);
		if (handle !== undefined && found !== undefined && isAsStored(info, found)) {
			return handle;
		}
		await handle?.close();
		if (this.#blobs.get(sha1) !== info) {
			// It was deleted, or stored anew, while we looked.
			return undefined;
		}
		this.#host.log.error(
			{sha1, size: found?.size, expected: info.size},
			'a stored file is not as it was stored; it will be verified again',
		);
		if (found === undefined) {
			await this.#delete(sha1, info);
			return undefined;
		}
		await this.#changes.take(sha1, async () => {
			if (this.#blobs.get(sha1) === info) {
				// Without its info it is as good as half-done: the next who wants it has it verified.
				this.#blobs.forget(sha1);
				await rm(this.#layout.info(sha1), {force: true});
			}
		});
		return undefined;
	}

	list(): Iterable<BlobInfo> {
		return this.#blobs.list();
	}

	/** Pinned ones stay. */
	delete(sha1: Sha1): Promise<boolean> {
		return this.#delete(sha1);
	}

	async partial(wanted: Wanted): Promise<PartialBlob> {
		await this.#takeBack(wanted);
		const partial = await PartialBlob.open({
			wanted,
			file: this.#layout.partial(wanted.key),
			hashing: this.#hashing,
			onClose: () => {
				this.#letGo(partial);
			},
		});
		this.#partials.add(partial);
		try {
			await this.#room.claim(partial, () => wanted.size - partial.written);
		} catch (error) {
			await partial.close();
			if (partial.written === 0) {
				await rm(partial.file, {force: true});
			}
			throw error;
		}
		return partial;
	}

	async commit(partial: PartialBlob, digests: Digests, {source, toldMd5, storedAtMs}: BlobOrigin): Promise<BlobInfo> {
		const {sha1, sha256} = digests;
		if (!isSha1(sha1) || sha256 === undefined) {
			throw new MirrorError('a partial without digests cannot become a blob');
		}
		const changedAtMs = changedAtOf(await stat(partial.file));
		await partial.sync();
		const info: BlobInfo = {
			...{sha1, sha256, md5: digests.md5, toldMd5},
			...{size: partial.written, storedAtMs, changedAtMs, source},
		};
		return this.#place(partial.file, info);
	}

	async quarantine(partial: PartialBlob, note: QuarantineNote): Promise<void> {
		await this.quarantined.add(partial.file, partial.wanted.key, note);
		await partial.replace();
	}

	async discard(partial: PartialBlob): Promise<void> {
		// It may stay open for its readers for a while, but asks for no more room.
		this.#letGo(partial);
		await rm(partial.file, {force: true});
	}

	/** Keeps the manifest of an image whose file is here beside it. False: it was there, or the file is not. */
	async keepManifest(image: HeldImage): Promise<boolean> {
		return this.#blobs.get(image.sha1) !== undefined && (await this.images.keep(image));
	}

	/** The image is to be forgotten; its file too, if no other image has it. */
	async dropImage(uuid: Uuid): Promise<void> {
		for (const sha1 of await this.images.drop(uuid)) {
			await this.delete(sha1);
		}
	}

	/** Begins to take in a file, or goes on. Throws NoSpaceError, or RefusedError `Upload` where it is too big. */
	upload(options: UploadOptions): Promise<Upload> {
		return this.#uploads.begin(options);
	}

	/** Makes a whole upload a blob that lasts. If we have that blob already it stays as it is, and the upload goes. */
	async commitUpload(upload: Upload, {source, storedAtMs, pinnedBy}: UploadOrigin): Promise<BlobInfo> {
		const {sha1, sha256, md5} = await upload.digests();
		if (!isSha1(sha1)) {
			throw new MirrorError('an upload without digests cannot become a blob');
		}
		await upload.sync();
		const changedAtMs = await upload.changedAtMs();
		const size = upload.written;
		const info = {sha1, sha256, md5, toldMd5: undefined, size, storedAtMs, changedAtMs, source};
		const placed = await this.#place(upload.file, info, pinnedBy);
		await upload.discard();
		return placed;
	}

	/**
	 * Takes over a file of this machine. Throws IntegrityError where it is not what was expected or changes meanwhile,
	 * UsageError where it is no plain file: then it is where it was.
	 */
	importFile(file: string, how: ImportHow, options: ImportOptions = {}): Promise<BlobInfo> {
		const {source = 'local', pinnedBy} = options;
		const commit = (upload: Upload): Promise<BlobInfo> =>
			this.commitUpload(upload, {
				...{source, storedAtMs: this.#host.clock.now()},
				...(pinnedBy === undefined ? {} : {pinnedBy}),
			});
		return new FileImport({host: this.#host, uploads: this.#uploads, commit, file, how, options}).run();
	}

	/** Keeps a blob from being deleted while this process runs: whoever has reasons tells them again at the start. */
	pin(sha1: Sha1, by: string): void {
		this.#pins.add(sha1, by);
	}

	unpin(sha1: Sha1, by: string): void {
		this.#pins.remove(sha1, by);
	}

	isPinned(sha1: Sha1): boolean {
		return this.#pins.has(sha1);
	}

	/** Unpins, and deletes the blob unless somebody else has pinned it or an image that is held has it. */
	async release(sha1: Sha1, by: string): Promise<boolean> {
		this.#pins.remove(sha1, by);
		return !this.images.needed().has(sha1) && (await this.#delete(sha1));
	}

	/** Deletes blobs of our own that a crash left without their image: once, when all that is needed is pinned. */
	async sweepOrphans(): Promise<readonly Sha1[]> {
		const orphans: Sha1[] = [];
		const needed = this.images.needed();
		for (const {sha1, source} of [...this.#blobs.list()]) {
			if (source === 'local' && !needed.has(sha1) && (await this.#delete(sha1))) {
				orphans.push(sha1);
			}
		}
		return orphans;
	}

	/** Writes a small file whole or not at all, so that it lasts. */
	async writeRecord(file: string, content: string | Uint8Array): Promise<void> {
		await writeRecord(file, content);
	}

	/** So that it stays away. */
	async removeRecord(file: string): Promise<void> {
		await removeRecord(file);
	}

	/** `undefined`: there is none. */
	async readRecord(file: string): Promise<string | undefined> {
		return readRecord(file);
	}

	/** The names of the files in a folder, sorted, without what a crash left half-written. */
	async listFolder(folder: string): Promise<readonly string[]> {
		return listFolder(folder);
	}

	async freeBytes(): Promise<number | undefined> {
		try {
			const {bavail, bsize} = await statfs(this.#layout.root);
			return bavail * bsize;
		} catch {
			return undefined;
		}
	}

	/** Throws where nothing can be written. */
	async checkWritable(): Promise<void> {
		await access(this.#layout.partials, constants.W_OK);
	}

	async updateMetrics(): Promise<void> {
		this.#blobs.report();
		const free = await this.freeBytes();
		if (free !== undefined) {
			this.#host.metrics.storeFreeBytes.set(free);
		}
	}

	async close(): Promise<void> {
		this.#md5s.stop();
		await Promise.all([...this.#partials].map(partial => partial.close()));
		await this.#uploads.close();
	}

	/** A file without its info (put there by hand, or by a crash): as good as half-done, so it is verified like one. */
	async #takeBack(wanted: Wanted): Promise<void> {
		const {sha1} = wanted;
		if (sha1 === undefined) {
			return;
		}
		await this.#changes.take(sha1, async () => {
			if (this.#blobs.get(sha1) === undefined) {
				await rename(this.#layout.blob(sha1), this.#layout.partial(wanted.key)).catch(() => undefined);
			}
		});
	}

	/** It needs no more room. */
	#letGo(partial: PartialBlob): void {
		this.#room.release(partial);
		this.#partials.delete(partial);
	}

	/** Puts a verified and synced file in its place, so that it lasts. Throws NoSpaceError where the disk refuses. */
	async #place(file: string, info: BlobInfo, pinnedBy?: string): Promise<BlobInfo> {
		try {
			return await this.#changes.take(info.sha1, async () => {
				const placed = await this.#placeOrKeep(file, info);
				if (pinnedBy !== undefined) {
					this.#pins.add(info.sha1, pinnedBy);
				}
				return placed;
			});
		} catch (error) {
			throw new NoSpaceError(`${file} could not be put in its place: ${describe(error)}`, {cause: error});
		}
	}

	/** Where we have that blob already, the file goes instead. */
	async #placeOrKeep(file: string, info: BlobInfo): Promise<BlobInfo> {
		const {sha1, md5} = info;
		const folder = this.#layout.blobFolder(sha1);
		const before = this.#blobs.get(sha1);
		const found = before && (await stat(this.#layout.blob(sha1)).catch(() => undefined));
		if (before !== undefined && found !== undefined && isAsStored(before, found)) {
			const kept = before.md5 === undefined && md5 !== undefined ? {...before, md5} : before;
			if (kept !== before) {
				await writeInfo(this.#layout, kept);
				this.#remember(kept);
			}
			await rm(file, {force: true});
			return kept;
		}
		if ((await mkdir(folder, {recursive: true})) !== undefined) {
			await syncFolder(this.#layout.blobs);
		}
		await writeInfo(this.#layout, info);
		try {
			await rename(file, this.#layout.blob(sha1));
		} catch (error) {
			await rm(this.#layout.info(sha1), {force: true});
			throw error;
		}
		this.#remember(info);
		await syncFolder(folder);
		return info;
	}

	/** False: there is none, or not `only` this one any more, or it is pinned. */
	#delete(sha1: Sha1, only?: BlobInfo): Promise<boolean> {
		return this.#changes.take(sha1, async () => {
			const info = this.#blobs.get(sha1);
			// Pins are for blobs that are there: `only` is given where the file is not.
			if (info === undefined || (only === undefined ? this.#pins.has(sha1) : only !== info)) {
				return false;
			}
			this.#blobs.forget(sha1);
			// An info without its blob is cleared away after a crash in between; the other way round nobody would.
			await rm(this.#layout.blob(sha1), {force: true});
			await rm(this.#layout.info(sha1), {force: true});
			await this.images.blobGone(sha1);
			return true;
		});
	}

	#remember(info: BlobInfo): void {
		this.#blobs.set(info);
		if (info.md5 === undefined) {
			this.#md5s.add(info.sha1);
		}
	}

	async #setMd5(sha1: Sha1, md5: string): Promise<void> {
		await this.#changes.take(sha1, async () => {
			const info = this.#blobs.get(sha1);
			if (info !== undefined) {
				this.#remember({...info, md5});
				await writeInfo(this.#layout, {...info, md5});
			}
		});
	}
}
