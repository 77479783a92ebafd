/**
 * Whole, verified files by SHA-1, on disk, with the manifests of their images beside them.
 *
 * What lies under `blobs/` with an `.info` beside it and the size that the info tells was verified, synced and renamed
 * there; anything else found at the start is taken back to where it is verified again. The rooms above ask `stat`,
 * `open` and `partial`; downloads end in `commit` or `quarantine`. How much there may be of it, and what goes where that
 * is too much, is the `keeper`'s.
 */
import {access, constants, stat, type FileHandle} from 'node:fs/promises';
import {MirrorError} from '../errors.js';
import type {Host} from '../host.js';
import {isSha1, type Sha1, type Uuid} from '../image/manifest.js';
import {BlobFiles} from './blob-files.js';
import {BlobIndex} from './blob-index.js';
import type {BlobOrigin, BlobStore, StoreOptions, UploadOrigin} from './blob-store.js';
import {changedAtOf, type BlobInfo} from './blob-info.js';
import {spaceOn} from './disk-room.js';
import type {Digests} from './hashing.js';
import {HeldImages, type HeldImage} from './held-images.js';
import {FileImport, type ImportHow, type ImportOptions} from './import-file.js';
import {noLimits} from './keep-limits.js';
import {Keeper} from './keeper.js';
import {KnownBlobs} from './known-blobs.js';
import type {Layout} from './layout.js';
import {OwnFiles} from './own-files.js';
import type {PartialBlob, Wanted} from './partial.js';
import {Partials, type PartialOnDisk} from './partials.js';
import {Pins} from './pins.js';
import {Quarantine, type QuarantineNote} from './quarantine.js';
import {Readers} from './readers.js';
import {listFolder, readRecord, removeRecord, setRecordAside, sweepUnfinished, writeRecord} from './records.js';
import {Room} from './room.js';
import {scanBlobs} from './scan.js';
import type {Upload, UploadOptions} from './upload.js';
import {Uploads} from './uploads.js';
import {Usage} from './usage.js';

export type {BlobInfo} from './blob-info.js';
export type {BlobOrigin, BlobStore, StoreOptions, UploadOrigin} from './blob-store.js';
export type {ImportHow, ImportOptions} from './import-file.js';

/** Whoever imports an image reads its origin first, and has to install that. */
const graceMs = 60_000;

export class DiskStore implements BlobStore {
	readonly quarantined: Quarantine;
	readonly images: HeldImages;
	readonly keeper: Keeper;
	readonly own: OwnFiles;
	readonly #layout: Layout;
	readonly #host: Host;
	readonly #blobs: KnownBlobs;
	readonly #files: BlobFiles;
	readonly #usage: Usage;
	readonly #readers: Readers;
	readonly #partials: Partials;
	/** Transfers that have become blobs and are still being read, with what ends that. */
	readonly #committed = new Map<PartialBlob, () => void>();
	readonly #room: Room;
	readonly #uploads: Uploads;
	readonly #pins = new Pins();
	readonly #index: BlobIndex;
	readonly #onSent: (sha1: Sha1) => void;

	constructor(options: StoreOptions) {
		const {layout, host} = options;
		this.#layout = layout;
		this.#host = host;
		this.#onSent = options.onSent ?? (() => undefined);
		const isLost = (sha1: string): Promise<boolean> => this.own.isLost(sha1);
		this.quarantined = new Quarantine({layout, host, limits: options.quarantine, isLost});
		this.images = new HeldImages(options);
		this.#index = new BlobIndex(options);
		this.#blobs = new KnownBlobs(host.metrics);
		this.#usage = new Usage({layout, host, isHere: sha1 => this.#blobs.get(sha1) !== undefined});
		this.#readers = new Readers(sha1 => {
			this.#usage.touch(sha1);
		});
		this.#files = new BlobFiles({
			...{layout, host, hashing: options.hashing, blobs: this.#blobs, isBusy: options.isBusy},
			onGone: async sha1 => {
				this.#usage.forget(sha1);
				await this.images.blobGone(sha1);
			},
		});
		this.#partials = new Partials({
			...{layout, host, hashing: options.hashing},
			onClose: partial => {
				this.#letGo(partial);
			},
		});
		this.#room = new Room(() => this.keeper);
		this.#uploads = new Uploads({...options, room: this.#room});
		this.keeper = this.#makeKeeper(options);
		this.own = new OwnFiles({
			...{layout, host, pin: (sha1, by) => this.pin(sha1, by), delete: sha1 => this.delete(sha1)},
			list: () => [...this.#blobs.list()],
			isHere: sha1 => this.#blobs.get(sha1) !== undefined,
			needed: () => this.images.needed(),
			isPinned: sha1 => this.#pins.has(sha1),
		});
	}

	/** Reads what is on the disk, whose folders must be there. Must be over before anything else is called. */
	async load(): Promise<void> {
		await scanBlobs({
			...{layout: this.#layout, log: this.#host.log},
			...{index: this.#index, files: this.#files, blobs: this.#blobs, images: this.images},
		});
		for (const folder of [this.#layout.published, this.#layout.jobs, this.#layout.uploads]) {
			await sweepUnfinished(folder);
		}
		await this.#usage.load();
		await this.#partials.load();
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

	get partialBytes(): number {
		return this.#partials.bytes;
	}

	get partialCount(): number {
		return this.#partials.count;
	}

	/** Promised to what is on its way, not yet written. */
	get reservedBytes(): number {
		return this.#room.reservedBytes;
	}

	/** Another number whenever a blob or a partial has come or gone. */
	get generation(): number {
		return this.#blobs.generation + this.#partials.generation;
	}

	/** Another number whenever a blob has been used. */
	get usageGeneration(): number {
		return this.#usage.generation;
	}

	stat(sha1: Sha1): BlobInfo | undefined {
		return this.#blobs.get(sha1);
	}

	/** When it was last read, or stored. `undefined`: it is not here. */
	lastUsedMs(sha1: Sha1): number | undefined {
		const info = this.#blobs.get(sha1);
		return info && Math.max(info.storedAtMs, this.#usage.lastUsedMs(sha1) ?? 0);
	}

	/** Whoever opens it uses it, until the handle is closed. */
	open(sha1: Sha1): Promise<FileHandle | undefined> {
		return this.#readers.opening(sha1, () => this.#files.open(sha1));
	}

	list(): Iterable<BlobInfo> {
		return this.#blobs.list();
	}

	/** Pinned ones stay. */
	delete(sha1: Sha1): Promise<boolean> {
		return this.#files.delete(sha1, () => this.#blobs.get(sha1) !== undefined && !this.#pins.has(sha1));
	}

	lacks({key, size}: Wanted): boolean {
		const isBare = this.#blobs.getBare(key as Sha1) !== undefined;
		return !isBare && !this.#partials.has(key) && this.keeper.surelyHas(size);
	}

	async partial(wanted: Wanted): Promise<PartialBlob> {
		const {sha1, key, size} = wanted;
		// A new file needs all of its room: where there is enough, that is found out while it is begun.
		const early = this.#room.early(this.lacks(wanted) ? size : 0);
		const opening = this.#partials.open(wanted, () => this.#files.takeBack(sha1, this.#layout.partial(key)));
		opening.catch(early.drop);
		const partial = await opening;
		try {
			await early.pass(partial, () => size - partial.written, 'transfer');
		} catch (error) {
			if (partial.written === 0) {
				await this.#partials.delete(partial);
			}
			await partial.close();
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
		const placed = await this.#files.place(partial.file, info, () => {
			this.#partials.moved(partial);
			if (this.#partials.isOpen(partial)) {
				// Whoever follows the transfer goes on reading it there.
				this.#committed.set(partial, this.#readers.begin(sha1));
			}
		});
		this.keeper.sweepSoon();
		return placed;
	}

	async quarantine(partial: PartialBlob, note: QuarantineNote): Promise<void> {
		await this.quarantined.add(partial.file, partial.wanted.key, note);
		this.#partials.moved(partial);
		await partial.replace();
		this.#partials.replaced(partial);
	}

	/**
	 * Moves a blob aside that turned out wrong, whoever has pinned it: from then on it is not here. False: it is not the
	 * one that was meant any more.
	 */
	quarantineBlob(blob: BlobInfo, note: QuarantineNote): Promise<boolean> {
		const {sha1} = blob;
		const move = async (file: string): Promise<void> =>
			this.quarantined.add(file, sha1, note, await this.own.isOurs(sha1));
		return this.#files.moveAway(sha1, () => this.#blobs.hasStill(blob), move);
	}

	async discard(partial: PartialBlob): Promise<void> {
		// It may stay open for its readers for a while, but asks for no more room.
		this.#room.release(partial);
		await this.#partials.delete(partial);
	}

	/** Whether the beginning of a file is on the disk. */
	hasPartial(key: string): boolean {
		return this.#partials.has(key);
	}

	/** All that is there of files on their way, counted anew. */
	partialsOnDisk(): Promise<readonly PartialOnDisk[]> {
		return this.#partials.list();
	}

	/** False: it is being written to or read, or is gone. */
	removePartial(key: string): Promise<boolean> {
		return this.#partials.remove(key);
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
		const info = {sha1, sha256, md5, toldMd5: undefined, size: upload.written, storedAtMs, changedAtMs, source};
		const placed = await this.#files.place(upload.file, info, () => {
			this.#uploads.moved(upload);
			if (pinnedBy !== undefined) {
				this.#pins.add(sha1, pinnedBy);
			}
		});
		this.#onSent(sha1);
		await upload.discard();
		this.keeper.sweepSoon();
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
		this.keeper.changed();
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
		return this.images.with(sha1).length === 0 && (await this.delete(sha1));
	}

	/** Writes a small file whole or not at all, so that it lasts. */
	async writeRecord(file: string, content: string | Uint8Array): Promise<void> {
		await writeRecord(file, content);
	}

	/** So that it stays away. */
	async removeRecord(file: string): Promise<void> {
		await removeRecord(file);
		this.#uploads.removed(file);
	}

	/** `undefined`: there is none. */
	async readRecord(file: string): Promise<string | undefined> {
		return readRecord(file);
	}

	/** Keeps one that is damaged under another name, which it resolves with. */
	async setRecordAside(file: string): Promise<string> {
		return setRecordAside(file, this.#host.clock.now());
	}

	/** The names of the files in a folder, sorted, without what a crash left half-written. */
	async listFolder(folder: string): Promise<readonly string[]> {
		return listFolder(folder);
	}

	/** `undefined`: nobody knows. */
	async freeBytes(): Promise<number | undefined> {
		return (await spaceOn(this.#layout.root))?.freeBytes;
	}

	/** Throws where nothing can be written. */
	async checkWritable(): Promise<void> {
		await access(this.#layout.partials, constants.W_OK);
	}

	async updateMetrics(): Promise<void> {
		this.#blobs.report();
		const {storeFreeBytes, storePartials, storePartialBytes} = this.#host.metrics;
		storePartials.set(this.partialCount);
		storePartialBytes.set(this.partialBytes);
		const free = await this.freeBytes();
		if (free !== undefined) {
			storeFreeBytes.set(free);
		}
		await this.keeper.updateMetrics();
	}

	/** Writes down what is here, so that the next start need not look. */
	writeIndex(): Promise<void> {
		return this.#index.write({blobs: this.#blobs, images: this.images, files: this.#files});
	}

	async close(): Promise<void> {
		this.#files.stop();
		await this.keeper.stop();
		await this.#partials.close();
		await this.#uploads.close();
		await this.#usage.close();
		await this.writeIndex();
	}

	#makeKeeper({host, keep = noLimits, graceMs: grace = graceMs}: StoreOptions): Keeper {
		return new Keeper({
			...{host, limits: keep, graceMs: grace, images: this.images},
			usedBytes: () => this.bytes + this.#blobs.bareBytes + this.partialBytes + this.#uploads.bytes,
			reservedBytes: () => this.reservedBytes,
			freeBytes: () => this.freeBytes(),
			diskBytes: async () => (await spaceOn(this.#layout.root))?.diskBytes,
			blobs: () => this.#blobs.kept(sha1 => this.#usage.lastUsedMs(sha1)),
			usedAtMs: sha1 => this.#usage.lastUsedMs(sha1),
			isOpen: sha1 => this.#readers.has(sha1),
			pinReasons: sha1 => this.#pins.reasonsFor(sha1),
			arriving: () => this.#partials.arriving(),
			partials: () => this.#partials.listKnown(),
			removePartial: key => this.removePartial(key),
			evict: sha1 => this.#files.delete(sha1, () => !this.#pins.has(sha1) && !this.#readers.has(sha1)),
		});
	}

	/** It needs no more room, and nobody reads it any more. */
	#letGo(partial: PartialBlob): void {
		this.#room.release(partial);
		this.#committed.get(partial)?.();
		this.#committed.delete(partial);
	}
}
