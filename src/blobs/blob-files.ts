/**
 * The files below `blobs/`: puts verified ones in their place, opens them, and takes them away.
 *
 * The store's hands: it decides what comes and goes. Whatever changes the files of one blob waits for its turn, and
 * what is known of them is changed in the tick in which that is true.
 */
import {mkdir, open, rename, rm, stat, type FileHandle} from 'node:fs/promises';
import {FileLostError, MirrorError, NoSpaceError, describe, isExhausted} from '../errors.js';
import type {Host} from '../host.js';
import type {Sha1} from '../image/manifest.js';
import {isAsStored, writeInfo, type BlobInfo} from './blob-info.js';
import type {Hashing} from './hashing.js';
import type {KnownBlobs} from './known-blobs.js';
import {LateMd5} from './late-md5.js';
import {syncFolder, type Layout} from './layout.js';
import {Turns} from './turns.js';

export class BlobFiles {
	readonly #layout: Layout;
	readonly #host: Host;
	readonly #blobs: KnownBlobs;
	readonly #onGone: (sha1: Sha1) => Promise<void>;
	readonly #md5s: LateMd5;
	/** By SHA-1: a commit, a deletion and a late MD5 of one blob wait for each other. */
	readonly #changes = new Turns();

	constructor(options: {
		readonly layout: Layout;
		readonly host: Host;
		readonly hashing: Hashing;
		readonly blobs: KnownBlobs;
		/** A blob has been deleted. */
		readonly onGone: (sha1: Sha1) => Promise<void>;
		/** See `StoreOptions`. */
		readonly isBusy?: (() => boolean) | undefined;
	}) {
		this.#layout = options.layout;
		this.#host = options.host;
		this.#blobs = options.blobs;
		this.#onGone = options.onGone;
		this.#md5s = new LateMd5({
			...options,
			sizeOf: sha1 => this.#blobs.get(sha1)?.size,
			onMd5: (sha1, md5) => this.#setMd5(sha1, md5),
		});
	}

	/** It is there and right. */
	remember(info: BlobInfo): void {
		this.#blobs.set(info);
		if (info.md5 === undefined) {
			this.#md5s.add(info.sha1);
		}
	}

	/** `undefined`: it is not there, or not as it was stored, and will have to be verified again. */
	async open(sha1: Sha1): Promise<FileHandle | undefined> {
		const info = this.#blobs.get(sha1);
		if (info === undefined) {
			return undefined;
		}
		const handle = await open(this.#layout.blob(sha1), 'r').catch((error: unknown) => {
			if ((error as NodeJS.ErrnoException).code === 'ENOENT') {
				return undefined;
			}
			throw isExhausted(error)
				? new MirrorError(`the file ${sha1} cannot be opened now`, {cause: error})
				: new FileLostError(`the file ${sha1} cannot be read from the disk`, {cause: error});
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
			await this.delete(sha1, () => this.#blobs.get(sha1) === info);
			return undefined;
		}
		await this.#changes.take(sha1, async () => {
			if (this.#blobs.get(sha1) === info) {
				// Without its info it is as good as half-done: the next who wants it has it verified.
				this.#blobs.setBare({sha1, size: found.size, changedAtMs: found.mtimeMs});
				await rm(this.#layout.info(sha1), {force: true});
			}
		});
		return undefined;
	}

	/**
	 * Puts a verified and synced file in its place, so that it lasts. Throws NoSpaceError where the disk refuses.
	 * `onPlaced` is called in the tick in which the blob is here and the file is not where it was.
	 */
	async place(file: string, info: BlobInfo, onPlaced: () => void): Promise<BlobInfo> {
		try {
			return await this.#changes.take(info.sha1, () => this.#placeOrKeep(file, info, onPlaced));
		} catch (error) {
			throw new NoSpaceError(`${file} could not be put in its place: ${describe(error)}`, {cause: error});
		}
	}

	/**
	 * A file without its info (put there by hand, or by a crash): as good as half-done, so it is verified like one.
	 * False: there is none.
	 */
	async takeBack(sha1: Sha1 | undefined, to: string): Promise<boolean> {
		if (sha1 === undefined) {
			return false;
		}
		return this.#changes.take(sha1, async () => {
			if (this.#blobs.get(sha1) !== undefined) {
				return false;
			}
			try {
				await rename(this.#layout.blob(sha1), to);
			} catch {
				return false;
			}
			this.#blobs.forgetBare(sha1);
			return true;
		});
	}

	/** Has somebody else move the file of a blob away, which is then as good as deleted. False: there is none any more. */
	moveAway(sha1: Sha1, mayGo: () => boolean, move: (file: string) => Promise<void>): Promise<boolean> {
		return this.#changes.take(sha1, async () => this.#remove(sha1, mayGo, () => move(this.#layout.blob(sha1))));
	}

	/** False: there is none, or it may not go. `mayGo` is asked in the tick from which nobody can open it any more. */
	delete(sha1: Sha1, mayGo: () => boolean): Promise<boolean> {
		return this.moveAway(sha1, mayGo, file => rm(file, {force: true}));
	}

	/** Something in this folder of blobs is being changed. */
	isChanging(folder: string): boolean {
		return [...this.#changes.names].some(sha1 => sha1.startsWith(folder));
	}

	stop(): void {
		this.#md5s.stop();
	}

	async #remove(sha1: Sha1, mayGo: () => boolean, remove: () => Promise<void>): Promise<boolean> {
		const info = this.#blobs.get(sha1);
		const bare = this.#blobs.getBare(sha1);
		if ((info === undefined && bare === undefined) || !mayGo()) {
			return false;
		}
		this.#blobs.forget(sha1);
		try {
			// An info without its blob is cleared away after a crash in between; the other way round nobody would.
			await remove();
		} catch (error) {
			if (info !== undefined) {
				this.#blobs.set(info);
			}
			throw error;
		}
		this.#blobs.forgetBare(sha1);
		await rm(this.#layout.info(sha1), {force: true});
		await this.#onGone(sha1);
		return true;
	}

	/** Where we have that blob already, the file goes instead. */
	async #placeOrKeep(file: string, info: BlobInfo, onPlaced: () => void): Promise<BlobInfo> {
		const {sha1, md5} = info;
		const folder = this.#layout.blobFolder(sha1);
		const before = this.#blobs.get(sha1);
		const found = before && (await stat(this.#layout.blob(sha1)).catch(() => undefined));
		if (before !== undefined && found !== undefined && isAsStored(before, found)) {
			const kept = before.md5 === undefined && md5 !== undefined ? {...before, md5} : before;
			if (kept !== before) {
				await writeInfo(this.#layout, kept);
				this.remember(kept);
			}
			await rm(file, {force: true});
			onPlaced();
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
			if (before !== undefined) {
				this.#unknow(before, found);
			}
			throw error;
		}
		this.remember(info);
		onPlaced();
		await syncFolder(folder);
		return info;
	}

	/** Its info is gone. */
	#unknow({sha1}: BlobInfo, found: {readonly size: number; readonly mtimeMs: number} | undefined): void {
		if (found === undefined) {
			this.#blobs.forget(sha1);
		} else {
			this.#blobs.setBare({sha1, size: found.size, changedAtMs: found.mtimeMs});
		}
	}

	async #setMd5(sha1: Sha1, md5: string): Promise<void> {
		await this.#changes.take(sha1, async () => {
			const info = this.#blobs.get(sha1);
			if (info !== undefined) {
				this.remember({...info, md5});
				await writeInfo(this.#layout, {...info, md5});
			}
		});
	}
}
