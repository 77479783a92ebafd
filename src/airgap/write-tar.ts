/**
 * A bundle as a tar: in a file, or in parts of limited size.
 *
 * Every byte of the tar is known beforehand, or has a digest that is. Killed at any moment, the next run with the same
 * plan reads again what it finds, writes what is not right, and ends with the very bytes of an undisturbed run.
 */
import {dirname} from 'node:path';
import {MirrorError} from '../errors.js';
import type {PlannedBlob} from './api.js';
import type {Disk} from './disk.js';
import type {PlanEntry} from './plan-entries.js';
import {TarLayout, padding, tarEnd, tarHeader, type LaidOut} from './tar-write.js';
import {pieceBytes, putFile} from './write-blob.js';
import {ThereAlreadyError, checkRoom, type WriteOptions} from './write-options.js';
import {JournalFile, PartFiles, tarNames, tarPaths, type Journal} from './write-parts.js';
import {entryBytes} from './write-plan.js';

export interface WriteTarOptions extends WriteOptions {
	/** `undefined`: one file, however large. */
	readonly partBytes?: number | undefined;
}

export interface WrittenTar {
	readonly paths: readonly string[];
	readonly bytes: number;
	/** So many were there before. */
	readonly keptBytes: number;
}

/** After so many bytes the disk is made to keep them. */
const syncBytes = 33_554_432;
/** What is small is gathered before it is written. */
const gatherBytes = 1_048_576;

/** Throws MirrorError where nothing may be written, as far as that can be told before there is a plan. */
export async function checkTar(disk: Disk, file: string, {replace}: {readonly replace: boolean}): Promise<void> {
	const folder = dirname(file);
	if ((await disk.find(folder))?.kind !== 'folder') {
		throw new MirrorError(`there is no folder ${folder} to write the tar to`);
	}
	const journal = await new JournalFile(disk, file).read();
	// Which of the names are an export's that was about to end is seen when it is gone on with.
	if (!replace && journal?.naming !== true) {
		const {whole, unfinished} = await tarNames(disk, file);
		const [there] = journal === undefined ? [...whole, ...unfinished] : whole;
		if (there !== undefined) {
			throw thereAlready(there);
		}
	}
}

export async function writeTar(file: string, options: WriteTarOptions): Promise<WrittenTar> {
	const layout = new TarLayout(options.plan.entries);
	const writing = new TarWriting(file, layout, options);
	await writing.prepare();
	await writing.write();
	await writing.finish();
	return {paths: writing.paths, bytes: layout.size, keptBytes: writing.keptBytes};
}

class TarWriting {
	readonly paths: readonly string[];
	readonly #file: string;
	readonly #layout: TarLayout<PlanEntry>;
	readonly #options: WriteTarOptions;
	readonly #journal: JournalFile;
	readonly #files: PartFiles;
	/** Where the next of the small ones goes, and those that wait. */
	#gathered: Buffer[] = [];
	#gatheredBytes = 0;
	#gatheredAt = 0;
	/** From an earlier run; right or not. */
	#kept = 0;
	/** Where the last bytes ended that were written. */
	#reached = 0;
	#unsynced = 0;
	keptBytes = 0;

	constructor(file: string, layout: TarLayout<PlanEntry>, options: WriteTarOptions) {
		this.#file = file;
		this.#layout = layout;
		this.#options = options;
		this.paths = tarPaths(file, {size: layout.size, partBytes: options.partBytes});
		this.#journal = new JournalFile(options.disk, file);
		this.#files = new PartFiles(options.disk, this.paths, options.partBytes);
	}

	/** Throws where nothing may be written, or the room is not enough. */
	async prepare(): Promise<void> {
		const {disk, partBytes, replace} = this.#options;
		await checkTar(disk, this.#file, {replace});
		const journal = await this.#journal.read();
		const isOurs = journal !== undefined && this.#isOfThisPlan(journal);
		if (journal?.naming === true) {
			await this.#backFromNaming(journal, isOurs);
		}
		if (!replace) {
			const [whole] = (await tarNames(disk, this.#file)).whole;
			if (whole !== undefined) {
				throw thereAlready(whole);
			}
		}
		if (!isOurs) {
			await this.#beginAnew(journal);
		}
		const found = await this.#files.size();
		this.#kept = isOurs ? Math.min(journal.bytes, found) : 0;
		const {size} = this.#layout;
		// What no journal vouches for, as on a disk that was full, is written over: it needs no room again.
		await checkRoom(disk, dirname(this.#file), () => size - found, {
			bytes: Math.min(size, partBytes ?? size),
			advice: 'write it in parts, --split fat',
		});
		await this.#journal.write(this.#journalOf(this.#kept, false));
	}

	async write(): Promise<void> {
		const {progress, signal} = this.#options;
		progress.start(this.#layout.size);
		try {
			for (const entry of this.#layout.entries) {
				signal.throwIfAborted();
				await this.#gather(entry.headerOffset, tarHeader(entry.path, entry.size));
				const bytes = entryBytes(entry);
				if (bytes === undefined) {
					await this.#flush();
					await this.#putFile(entry);
				} else {
					await this.#gather(entry.bodyOffset, bytes);
				}
				await this.#gather(entry.bodyOffset + entry.size, Buffer.alloc(padding(entry.size)));
			}
			await this.#gather(this.#layout.size - tarEnd.length, tarEnd);
			await this.#flush();
			await this.#files.sync();
		} catch (error) {
			// What has come so far is kept for the next run, if the disk still takes anything.
			await this.#mark().catch(() => undefined);
			throw error;
		} finally {
			await this.#files.close();
		}
	}

	/** From here on the tar is there, and nothing else of it. */
	async finish(): Promise<void> {
		const {disk} = this.#options;
		const {size} = this.#layout;
		try {
			await this.#files.trim(size);
			await this.#files.sync();
		} finally {
			await this.#files.close();
		}
		await this.#journal.write(this.#journalOf(size, true));
		await this.#files.name();
		await disk.syncFolder(dirname(this.#file));
		const {whole, unfinished} = await tarNames(disk, this.#file);
		for (const path of [...whole, ...unfinished]) {
			if (!this.paths.includes(path)) {
				await disk.remove(path);
			}
		}
		await this.#journal.remove();
		await disk.syncFolder(dirname(this.#file));
	}

	#isOfThisPlan({etag, size, partBytes}: Journal): boolean {
		const {plan, partBytes: ours} = this.#options;
		return etag === plan.etag && size === this.#layout.size && partBytes === ours;
	}

	#journalOf(bytes: number, naming: boolean): Journal {
		const {plan, partBytes} = this.#options;
		return {etag: plan.etag, size: this.#layout.size, partBytes, bytes, naming};
	}

	/** It was whole when it ended, but its files had not all got their names. */
	async #backFromNaming(journal: Journal, isOurs: boolean): Promise<void> {
		const {disk} = this.#options;
		const {unfinished} = await tarNames(disk, this.#file);
		if (!isOurs && unfinished.length === 0) {
			// They had: what it made is a tar like any other.
			await this.#journal.remove();
			return;
		}
		await new PartFiles(disk, tarPaths(this.#file, journal), journal.partBytes).unname();
		await this.#journal.write({...journal, naming: false});
	}

	async #beginAnew(journal: Journal | undefined): Promise<void> {
		const {disk, progress} = this.#options;
		const {unfinished} = await tarNames(disk, this.#file);
		if (journal !== undefined && unfinished.length > 0) {
			progress.say('what an earlier export began there is of other images, or in other parts: it begins anew');
		}
		// From the last on: what is left is never a tar with a gap.
		for (const path of [...unfinished].reverse()) {
			await disk.remove(path);
		}
		await this.#journal.remove();
	}

	async #putFile({blob, bodyOffset}: LaidOut<PlanEntry>): Promise<void> {
		const {fetch, signal} = this.#options;
		if (blob !== undefined) {
			await putFile({
				blob,
				kept: Math.max(0, Math.min(blob.size, this.#kept - bodyOffset)),
				place: {
					read: (into, position) => this.#files.read(into, bodyOffset + position),
					write: async (bytes, position) => this.#write(bytes, bodyOffset + position),
				},
				fetch,
				onMove: at => this.#options.progress.update(bodyOffset + at),
				signal,
			});
			this.#count(blob, bodyOffset);
		}
	}

	#count({size}: PlannedBlob, offset: number): void {
		this.keptBytes += Math.max(0, Math.min(size, this.#kept - offset));
	}

	async #gather(offset: number, bytes: Buffer): Promise<void> {
		if (this.#gathered.length === 0) {
			this.#gatheredAt = offset;
		}
		this.#gathered.push(bytes);
		this.#gatheredBytes += bytes.length;
		if (this.#gatheredBytes >= gatherBytes) {
			await this.#flush();
		}
	}

	async #flush(): Promise<void> {
		const bytes = Buffer.concat(this.#gathered);
		const offset = this.#gatheredAt;
		this.#gathered = [];
		this.#gatheredBytes = 0;
		for (let at = 0; at < bytes.length; at += pieceBytes) {
			this.#options.signal.throwIfAborted();
			const piece = bytes.subarray(at, at + pieceBytes);
			if (!(await this.#isThere(piece, offset + at))) {
				await this.#write(piece, offset + at);
			}
			this.#options.progress.update(offset + at + piece.length);
		}
	}

	async #isThere(bytes: Buffer, offset: number): Promise<boolean> {
		if (offset + bytes.length > this.#kept) {
			return false;
		}
		const there = Buffer.allocUnsafe(bytes.length);
		return (await this.#files.read(there, offset)) === bytes.length && there.equals(bytes);
	}

	async #write(bytes: Buffer, position: number): Promise<void> {
		await this.#files.write(bytes, position);
		this.#reached = position + bytes.length;
		this.#unsynced += bytes.length;
		if (this.#unsynced >= syncBytes) {
			await this.#mark();
		}
	}

	/** What there is so far outlives a power cut. */
	async #mark(): Promise<void> {
		await this.#files.sync();
		this.#unsynced = 0;
		await this.#journal.write(this.#journalOf(Math.max(this.#reached, this.#kept), false));
	}
}

function thereAlready(path: string): ThereAlreadyError {
	return new ThereAlreadyError(`${path} is there already: --replace replaces it`);
}
