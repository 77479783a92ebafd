/**
 * Whole, verified files by SHA-1, on disk, with the manifests of their images beside them.
 *
 * What lies under `blobs/` with an `.info` beside it and the size that the info tells was verified, synced and renamed
 * there; anything else found at the start is taken back to where it is verified again. The rooms above ask `stat`,
 * `open` and `partial`; downloads end in `commit` or `quarantine`.
 */
import {
	access,
	constants,
	mkdir,
	open,
	readFile,
	readdir,
	rename,
	rm,
	stat,
	statfs,
	type FileHandle,
} from 'node:fs/promises';
import path from 'node:path';
import {MirrorError, NoSpaceError, describe} from '../errors.js';
import type {Host} from '../host.js';
import {isSha1, isUuid, type Sha1, type Uuid} from '../image/manifest.js';
import type {Digests, Hashing} from './hashing.js';
import {HeldImages, type HeldImage} from './held-images.js';
import {LateMd5} from './late-md5.js';
import {syncFolder, writeWhole, type Layout} from './layout.js';
import {PartialBlob, type Wanted} from './partial.js';
import {Quarantine, type QuarantineLimits, type QuarantineNote} from './quarantine.js';
import {Turns} from './turns.js';

export interface BlobInfo {
	readonly sha1: Sha1;
	readonly sha256: string;
	/** Hexadecimal. Computed some time after the blob was stored, where nobody gave it. */
	readonly md5: string | undefined;
	/** Base64, as the source said it and nobody checked. For the time until `md5` is known. */
	readonly toldMd5: string | undefined;
	readonly size: number;
	readonly storedAtMs: number;
	/** When the file was last written to, by the file system's clock. At any other time somebody else wrote to it. */
	readonly changedAtMs: number | undefined;
	/** The source that supplied it. */
	readonly source: string;
}

/** Where a blob's bytes came from. */
export interface BlobOrigin {
	readonly source: string;
	/** The Content-MD5 that came with them. */
	readonly toldMd5: string | undefined;
	/** When they were all there. */
	readonly storedAtMs: number;
}

export interface BlobStore {
	/** `undefined`: surely absent. */
	stat(sha1: Sha1): BlobInfo | undefined;
	/** The handle stays readable even if the blob is deleted meanwhile. */
	open(sha1: Sha1): Promise<FileHandle | undefined>;
	list(): Iterable<BlobInfo>;
	delete(sha1: Sha1): Promise<boolean>;
	/** Takes up what an earlier attempt left, or begins. Throws NoSpaceError where the disk has no room for all of it. */
	partial(wanted: Wanted): Promise<PartialBlob>;
	/** Makes a verified partial a blob. The partial stays readable and must still be closed. */
	commit(partial: PartialBlob, digests: Digests, origin: BlobOrigin): Promise<BlobInfo>;
	/** Moves a wrong partial aside; it is empty afterwards. */
	quarantine(partial: PartialBlob, note: QuarantineNote): Promise<void>;
	/** Deletes what a transfer had written so far: there is no room to go on. */
	discard(partial: PartialBlob): Promise<void>;
}

const scansAtOnce = 16;

function isAsStored(info: BlobInfo, found: {readonly size: number; readonly mtimeMs: number}): boolean {
	return found.size === info.size && (info.changedAtMs === undefined || Math.trunc(found.mtimeMs) === info.changedAtMs);
}

async function changedAt(file: string): Promise<number> {
	return Math.trunc((await stat(file)).mtimeMs);
}

export class DiskStore implements BlobStore {
	readonly quarantined: Quarantine;
	readonly images: HeldImages;
	readonly #layout: Layout;
	readonly #host: Host;
	readonly #hashing: Hashing;
	readonly #blobs = new Map<Sha1, BlobInfo>();
	readonly #partials = new Set<PartialBlob>();
	readonly #md5s: LateMd5;
	/** By SHA-1: a commit, a deletion and a late MD5 of one blob wait for each other. */
	readonly #changes = new Turns();
	#bytes = 0;

	constructor(options: {layout: Layout; host: Host; hashing: Hashing; quarantine: QuarantineLimits}) {
		this.#layout = options.layout;
		this.#host = options.host;
		this.#hashing = options.hashing;
		this.quarantined = new Quarantine({layout: options.layout, host: options.host, limits: options.quarantine});
		this.images = new HeldImages(options);
		this.#md5s = new LateMd5({
			...options,
			sizeOf: sha1 => this.#blobs.get(sha1)?.size,
			onMd5: (sha1, md5) => this.#setMd5(sha1, md5),
		});
	}

	/** Reads what is on the disk, whose folders must be there. Must be over before anything else is called. */
	async load(): Promise<void> {
		const folders = (await readdir(this.#layout.blobs)).filter(name => /^[0-9a-f]{2}$/.test(name));
		const left = folders[Symbol.iterator]();
		await Promise.all(
			Array.from({length: scansAtOnce}, async () => {
				for (const folder of left) {
					await this.#scanFolder(folder);
				}
			}),
		);
		await this.images.loadFound();
		await this.quarantined.sweep();
		this.#count();
	}

	get bytes(): number {
		return this.#bytes;
	}

	get count(): number {
		return this.#blobs.size;
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
		// Without its info it is as good as half-done: the next who wants it has it verified.
		this.#forget(info);
		await rm(this.#layout.info(sha1), {force: true});
		return undefined;
	}

	list(): Iterable<BlobInfo> {
		return this.#blobs.values();
	}

	delete(sha1: Sha1): Promise<boolean> {
		return this.#delete(sha1);
	}

	async partial(wanted: Wanted): Promise<PartialBlob> {
		await this.#takeBack(wanted);
		const partial = await PartialBlob.open({
			wanted,
			file: this.#layout.partial(wanted.key),
			hashing: this.#hashing,
			onClose: () => this.#partials.delete(partial),
		});
		this.#partials.add(partial);
		try {
			if (partial.written < wanted.size) {
				await this.#checkRoom();
			}
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
		const info: BlobInfo = {
			sha1,
			sha256,
			md5: digests.md5,
			toldMd5,
			size: partial.written,
			storedAtMs,
			changedAtMs: await changedAt(partial.file),
			source,
		};
		await partial.sync();
		await mkdir(this.#layout.blobFolder(sha1), {recursive: true});
		await this.#changes.take(sha1, async () => {
			await this.#writeInfo(info);
			await rename(partial.file, this.#layout.blob(sha1));
			await syncFolder(this.#layout.blobFolder(sha1));
			this.#remember(info);
		});
		this.#count();
		return info;
	}

	async quarantine(partial: PartialBlob, note: QuarantineNote): Promise<void> {
		await this.quarantined.add(partial.file, partial.wanted.key, note);
		await partial.replace();
	}

	async discard(partial: PartialBlob): Promise<void> {
		// It may stay open for its readers for a while, but asks for no more room.
		this.#partials.delete(partial);
		await rm(partial.file, {force: true});
	}

	/** Keeps the manifest of an image whose file is here beside it. False: it was there, or the file is not. */
	async keepManifest(image: HeldImage): Promise<boolean> {
		return this.#blobs.has(image.sha1) && (await this.images.keep(image));
	}

	/** The image is to be forgotten; its file too, if no other image has it. */
	async dropImage(uuid: Uuid): Promise<void> {
		for (const sha1 of await this.images.drop(uuid)) {
			await this.delete(sha1);
		}
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
		this.#count();
		const free = await this.freeBytes();
		if (free !== undefined) {
			this.#host.metrics.storeFreeBytes.set(free);
		}
	}

	async close(): Promise<void> {
		this.#md5s.stop();
		await Promise.all([...this.#partials].map(partial => partial.close()));
	}

	/** A file without its info (put there by hand, or by a crash): as good as half-done, so it is verified like one. */
	async #takeBack(wanted: Wanted): Promise<void> {
		const {sha1} = wanted;
		if (sha1 === undefined) {
			return;
		}
		await this.#changes.take(sha1, async () => {
			if (!this.#blobs.has(sha1)) {
				await rename(this.#layout.blob(sha1), this.#layout.partial(wanted.key)).catch(() => undefined);
			}
		});
	}

	/** Counts what every partial still needs against what the disk has. */
	async #checkRoom(): Promise<void> {
		const free = await this.freeBytes();
		if (free === undefined) {
			return;
		}
		let needed = 0;
		for (const partial of this.#partials) {
			needed += Math.max(0, partial.wanted.size - partial.written);
		}
		if (needed > free) {
			throw new NoSpaceError(`the disk has ${free} bytes left, ${needed} are needed for what is on its way`);
		}
	}

	async #scanFolder(folder: string): Promise<void> {
		const names = await readdir(path.join(this.#layout.blobs, folder));
		for (const name of names.filter(isSha1)) {
			const info = await this.#readInfo(name);
			if (info !== undefined) {
				this.#remember(info);
			}
		}
		for (const name of names) {
			await this.#scanBeside(path.join(this.#layout.blobs, folder, name), name);
		}
	}

	/** What lies beside blobs: manifests are read, what belongs to no blob goes. */
	async #scanBeside(file: string, name: string): Promise<void> {
		const [sha1 = '', ...rest] = name.split('.');
		if (!isSha1(sha1) || rest.length === 0) {
			return;
		}
		const info = this.#blobs.get(sha1);
		if (name.endsWith('.new') || (name.endsWith('.info') && info === undefined)) {
			await rm(file, {force: true});
			return;
		}
		const [uuid, index] = rest;
		if (info !== undefined && isUuid(uuid) && name.endsWith('.json')) {
			const number = index === 'json' ? 0 : Number(index);
			await this.images.read(file, {sha1, index: number, source: info.source});
		}
	}

	/** `undefined`: there is none, or the blob is not as it tells. */
	async #readInfo(sha1: Sha1): Promise<BlobInfo | undefined> {
		try {
			const {size} = await stat(this.#layout.blob(sha1));
			const info = JSON.parse(await readFile(this.#layout.info(sha1), 'utf8')) as BlobInfo & {storedAt: string};
			if (info.size !== size || info.sha1 !== sha1) {
				this.#host.log.error(
					{sha1, size, expected: info.size},
					'a stored file is not as it was stored; it will be verified again',
				);
				return undefined;
			}
			const {sha256, md5, toldMd5, changedAtMs, source} = info;
			return {sha1, sha256, md5, toldMd5, changedAtMs, size, storedAtMs: Date.parse(info.storedAt) || 0, source};
		} catch (error) {
			this.#host.log.warn(
				{sha1, problem: describe(error)},
				'a stored file has no readable info; it will be verified again',
			);
			return undefined;
		}
	}

	async #writeInfo(info: BlobInfo): Promise<void> {
		const {storedAtMs, ...rest} = info;
		const content = JSON.stringify({...rest, storedAt: new Date(storedAtMs).toISOString()}, null, 2);
		await writeWhole(this.#layout.info(info.sha1), `${content}\n`);
	}

	/** False: there is none, or not `only` this one any more. */
	#delete(sha1: Sha1, only?: BlobInfo): Promise<boolean> {
		return this.#changes.take(sha1, async () => {
			const info = this.#blobs.get(sha1);
			if (info === undefined || (only !== undefined && only !== info)) {
				return false;
			}
			this.#forget(info);
			// The info first: a blob without one is not served after a crash in between.
			await rm(this.#layout.info(sha1), {force: true});
			await rm(this.#layout.blob(sha1), {force: true});
			await this.images.blobGone(sha1);
			return true;
		});
	}

	#remember(info: BlobInfo): void {
		const before = this.#blobs.get(info.sha1);
		this.#bytes += info.size - (before?.size ?? 0);
		this.#blobs.set(info.sha1, info);
		if (info.md5 === undefined) {
			this.#md5s.add(info.sha1);
		}
	}

	#forget(info: BlobInfo): void {
		if (this.#blobs.delete(info.sha1)) {
			this.#bytes -= info.size;
		}
		this.#count();
	}

	#count(): void {
		this.#host.metrics.storeBytes.set(this.#bytes);
		this.#host.metrics.storeBlobs.set(this.#blobs.size);
	}

	async #setMd5(sha1: Sha1, md5: string): Promise<void> {
		await this.#changes.take(sha1, async () => {
			const info = this.#blobs.get(sha1);
			if (info !== undefined) {
				this.#remember({...info, md5});
				await this.#writeInfo({...info, md5});
			}
		});
	}
}
