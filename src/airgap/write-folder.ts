/**
 * A bundle as a folder: blobs under their digests, the index last, so that a folder with an index is whole.
 *
 * A blob is written beside its name and renamed when it is right. Killed at any moment, the next run reads again what
 * it finds, keeps what is right, and ends with the very folder that an undisturbed run would have made.
 */
import {basename, dirname, join} from 'node:path';
import {MirrorError} from '../errors.js';
import type {PlannedBlob} from './api.js';
import {readSmall, writeWhole, type Disk} from './disk.js';
import {hexOf, maxIndexBytes} from './oci-terms.js';
import {indexPath, layoutPath, signaturePath} from './plan-entries.js';
import {isThere, putFile, type BlobPlace} from './write-blob.js';
import {ThereAlreadyError, checkRoom, type WriteOptions} from './write-options.js';
import {bytesOf, type BundlePlan} from './write-plan.js';

/** How a folder stands that is to become a bundle. `unfinished`: it was begun, and has no index yet. */
export type FolderState = 'absent' | 'empty' | 'unfinished' | 'bundle';

/** Ends in what no digest ends in, and no index. */
const partSuffix = '.part';

/** What file managers and file systems leave about, also on an empty stick. */
const strays: ReadonlySet<string> = new Set(['lost+found', 'System Volume Information', '$RECYCLE.BIN']);

/** Small blobs that are written at once: each waits for the disk. */
const mostAtOnce = 8;

/** A folder of FAT has 65,536 places, and names of that length take seven of them. */
const mostFatBlobs = 9000;

/** No link, if need be to where one leads. Throws MirrorError where no bundle may be written. */
export async function checkFolder(disk: Disk, folder: string): Promise<FolderState> {
	const found = await disk.find(folder);
	if (found === undefined) {
		if ((await disk.find(dirname(folder)))?.kind !== 'folder') {
			// To make it might be to fill the disk below a stick that is not there.
			throw new MirrorError(`there is no folder ${dirname(folder)} to make ${basename(folder)} in`);
		}
		return 'absent';
	}
	if (found.kind !== 'folder') {
		throw new ThereAlreadyError(`${folder} is there already, and is no folder`);
	}
	const names = (await disk.list(folder)).filter(name => !name.startsWith('.') && !strays.has(name));
	if (names.includes(layoutPath)) {
		return names.includes(indexPath) ? 'bundle' : 'unfinished';
	}
	if (names.some(name => name !== layoutPath + partSuffix)) {
		throw new ThereAlreadyError(
			`${folder} is no bundle, and not empty: name a bundle, an empty folder, or one that is not there yet`,
		);
	}
	return 'empty';
}

/** Resolves with how many bytes were there before. */
export async function writeFolder(folder: string, options: WriteOptions): Promise<number> {
	const {disk, plan, replace} = options;
	const state = await checkFolder(disk, folder);
	const writing = new FolderWriting(folder, options);
	if (state === 'bundle' && !replace && !(await writing.isSame(indexPath))) {
		throw new ThereAlreadyError(`${folder} holds another bundle: --replace replaces it`);
	}
	await writing.look();
	await writing.checkRoom(state === 'absent' ? dirname(folder) : folder);
	await writing.makeFolders();
	await writing.putBlobs(plan);
	await writing.publish();
	await writing.clear();
	return writing.keptBytes;
}

class FolderWriting {
	readonly #folder: string;
	readonly #blobs: string;
	readonly #options: WriteOptions;
	readonly #texts: ReadonlyMap<string, string>;
	/** What is below `blobs/sha256`, by name. */
	readonly #sizes = new Map<string, number>();
	#done = 0;
	keptBytes = 0;

	constructor(folder: string, options: WriteOptions) {
		this.#folder = folder;
		this.#blobs = join(folder, 'blobs', 'sha256');
		this.#options = options;
		this.#texts = new Map(
			options.plan.entries.flatMap(({path, text}) => (text === undefined ? [] : [[path, text] as const])),
		);
	}

	/** Whether a file beside the blobs is there as it is to be. */
	async isSame(name: string): Promise<boolean> {
		const bytes = await readSmall(this.#options.disk, join(this.#folder, name), maxIndexBytes);
		return bytes?.equals(this.#textBytes(name)) ?? false;
	}

	async look(): Promise<void> {
		const {disk, signal} = this.#options;
		for (const folder of [dirname(this.#blobs), this.#blobs]) {
			const kind = (await disk.find(folder))?.kind ?? 'folder';
			if (kind !== 'folder') {
				// By a link, what is written and cleared away would be elsewhere, and whoever imports follows none.
				throw new ThereAlreadyError(`${folder} is there already, and is no folder`);
			}
		}
		for (const name of await disk.list(this.#blobs)) {
			signal.throwIfAborted();
			const found = await disk.find(join(this.#blobs, name));
			if (found?.kind === 'file') {
				this.#sizes.set(name, found.size);
			}
		}
	}

	async checkRoom(folder: string): Promise<void> {
		const {disk, plan} = this.#options;
		const blobs = plan.entries.flatMap(({blob}) => (blob === undefined ? [] : [blob]));
		const largest = blobs.reduce((most, {size}) => Math.max(most, size), 0);
		const advice = 'write a tar in parts, --to NAME.tar --split fat';
		await checkRoom(
			disk,
			folder,
			({blockBytes, isFat}) => {
				if (isFat && blobs.length > mostFatBlobs) {
					throw new MirrorError(
						`${folder} is FAT, whose folders have no room for the names of ${blobs.length} files: ${advice}`,
					);
				}
				const rounded = (bytes: number): number => Math.ceil(bytes / blockBytes) * blockBytes;
				return plan.entries.reduce((sum, {size, blob}) => {
					const there = blob === undefined ? 0 : this.#sizeOf(blob);
					return sum + Math.max(0, rounded(size) - rounded(there));
				}, 0);
			},
			{bytes: largest, advice},
		);
	}

	async makeFolders(): Promise<void> {
		const {disk} = this.#options;
		await disk.makeFolder(this.#folder);
		// First of all: it says what the rest of it is.
		await this.#putText(layoutPath);
		await disk.makeFolder(dirname(this.#blobs));
		await disk.makeFolder(this.#blobs);
	}

	async putBlobs({entries, bytes}: BundlePlan): Promise<void> {
		const {progress, signal} = this.#options;
		progress.start(bytes);
		const few = new Few();
		try {
			for (const {blob} of entries) {
				signal.throwIfAborted();
				if (blob?.file !== undefined) {
					await this.#putFile(blob);
				} else if (blob !== undefined) {
					await few.begin(() => this.#putSmall(blob));
				}
			}
		} finally {
			await few.settled();
		}
		few.check();
		await this.#options.disk.syncFolder(this.#blobs);
	}

	/** From here on the folder is the bundle. */
	async publish(): Promise<void> {
		const {disk} = this.#options;
		const isSame = await this.isSame(indexPath);
		if (!isSame) {
			// Never an index with the signature of another: that would look like fraud.
			await disk.remove(join(this.#folder, indexPath));
		}
		if (this.#texts.has(signaturePath)) {
			await this.#putText(signaturePath);
		} else if (!isSame) {
			await disk.remove(join(this.#folder, signaturePath));
		}
		await this.#putText(indexPath);
		await disk.syncFolder(this.#folder);
	}

	/** What is of another bundle, or of a run that did not come to its end. */
	async clear(): Promise<void> {
		const {disk, plan} = this.#options;
		const wanted = new Set(plan.entries.flatMap(({blob}) => (blob === undefined ? [] : [hexOf(blob.digest)])));
		for (const name of await disk.list(this.#blobs)) {
			if (/^[0-9a-f]{64}(?:\.part)?$/u.test(name) && !wanted.has(name)) {
				await disk.remove(join(this.#blobs, name));
			}
		}
		for (const name of [layoutPath, indexPath, signaturePath]) {
			await disk.remove(join(this.#folder, name + partSuffix));
		}
		await disk.syncFolder(this.#blobs);
		await disk.syncFolder(this.#folder);
	}

	/** As much of the blob as is there, whole or not. */
	#sizeOf({digest, size}: PlannedBlob): number {
		const hex = hexOf(digest);
		const there = this.#sizes.get(hex) === size ? size : (this.#sizes.get(hex + partSuffix) ?? 0);
		return Math.min(size, there);
	}

	async #putSmall(blob: PlannedBlob): Promise<void> {
		const bytes = bytesOf(blob) ?? Buffer.alloc(0);
		const path = join(this.#blobs, hexOf(blob.digest));
		const {disk} = this.#options;
		const there = this.#sizes.get(hexOf(blob.digest)) === blob.size;
		if (there && (await readSmall(disk, path, blob.size))?.equals(bytes) === true) {
			this.keptBytes += blob.size;
		} else {
			await writeWhole(disk, path, bytes, path + partSuffix);
		}
		this.#moved(blob.size);
	}

	async #putFile(blob: PlannedBlob): Promise<void> {
		const {disk, fetch, signal} = this.#options;
		const hex = hexOf(blob.digest);
		const path = join(this.#blobs, hex);
		let last = 0;
		const onMove = (at: number): void => {
			this.#moved(at - last);
			last = at;
		};
		if (this.#sizes.get(hex) === blob.size) {
			const right = await this.#within(path, place => isThere({blob, place, onMove, signal}));
			if (right) {
				this.keptBytes += blob.size;
				return;
			}
			onMove(0);
		}
		const kept = this.#sizes.get(hex + partSuffix) ?? 0;
		await this.#within(path + partSuffix, async place => {
			if (kept > blob.size) {
				await place.truncate(0);
			}
			await putFile({blob, kept: kept > blob.size ? 0 : kept, place, fetch, onMove, signal});
			await place.sync();
		});
		this.keptBytes += kept > blob.size ? 0 : kept;
		await disk.rename(path + partSuffix, path);
	}

	async #within<T>(
		path: string,
		use: (place: BlobPlace & {truncate(size: number): Promise<void>; sync(): Promise<void>}) => Promise<T>,
	): Promise<T> {
		const file = await this.#options.disk.open(path);
		try {
			return await use(file);
		} finally {
			await file.close();
		}
	}

	async #putText(name: string): Promise<void> {
		if (!(await this.isSame(name))) {
			const path = join(this.#folder, name);
			await writeWhole(this.#options.disk, path, this.#textBytes(name), path + partSuffix);
		}
	}

	#textBytes(name: string): Buffer {
		return Buffer.from(this.#texts.get(name) ?? '', 'utf8');
	}

	#moved(bytes: number): void {
		this.#done += bytes;
		this.#options.progress.update(this.#done);
	}
}

/** A few things at once. The first failure ends it. */
class Few {
	readonly #running = new Set<Promise<void>>();
	#failure: {readonly error: unknown} | undefined;

	/** Resolves when there is room for another one. Throws what went wrong before. */
	async begin(work: () => Promise<void>): Promise<void> {
		while (this.#running.size >= mostAtOnce) {
			await Promise.race(this.#running);
		}
		this.check();
		const running = work().then(
			() => void this.#running.delete(running),
			(error: unknown) => {
				this.#failure ??= {error};
				this.#running.delete(running);
			},
		);
		this.#running.add(running);
	}

	async settled(): Promise<void> {
		await Promise.all(this.#running);
	}

	check(): void {
		if (this.#failure !== undefined) {
			throw this.#failure.error;
		}
	}
}
