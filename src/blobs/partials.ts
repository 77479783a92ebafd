/**
 * The folder of files on their way in, counted: those that somebody writes, and those that wait to be gone on with.
 *
 * The store opens and closes them through here and says when one has been moved away; what is counted is what is on
 * the disk. Which are too old is the sweep's to say.
 */
import {readdir, rm, stat, type FileHandle} from 'node:fs/promises';
import type {Host} from '../host.js';
import type {Uuid} from '../image/manifest.js';
import {openNew} from './growing.js';
import type {Hashing} from './hashing.js';
import type {Layout} from './layout.js';
import {PartialBlob, type Wanted} from './partial.js';
import {Turns} from './turns.js';

/** One of them as it is on the disk. */
export interface PartialOnDisk {
	readonly key: string;
	readonly size: number;
	/** When it last grew, as far as is known. */
	readonly changedAtMs: number;
	/** Somebody is writing to it, or reading it. */
	readonly open: boolean;
}

interface Entry {
	size: number;
	changedAtMs: number;
	/** Whoever opened it last; earlier ones have another file under their handles, or this one to read. */
	partial: PartialBlob | undefined;
}

export class Partials {
	readonly #layout: Layout;
	readonly #host: Host;
	readonly #hashing: Hashing;
	readonly #onClose: (partial: PartialBlob) => void;
	readonly #entries = new Map<string, Entry>();
	readonly #open = new Set<PartialBlob>();
	/** By key: whoever opens a file must not find that somebody is just deleting it. */
	readonly #turns = new Turns();
	#generation = 0;

	constructor(options: {
		readonly layout: Layout;
		readonly host: Host;
		readonly hashing: Hashing;
		readonly onClose: (partial: PartialBlob) => void;
	}) {
		this.#layout = options.layout;
		this.#host = options.host;
		this.#hashing = options.hashing;
		this.#onClose = options.onClose;
	}

	get bytes(): number {
		let bytes = 0;
		for (const entry of this.#entries.values()) {
			bytes += sizeOf(entry);
		}
		return bytes;
	}

	get count(): number {
		return this.#entries.size;
	}

	/** Another number whenever one has come or gone. */
	get generation(): number {
		return this.#generation;
	}

	has(key: string): boolean {
		return this.#entries.has(key);
	}

	isOpen(partial: PartialBlob): boolean {
		return this.#open.has(partial);
	}

	/** Images whose files are on their way. */
	*arriving(): Generator<Uuid, void, undefined> {
		for (const {wanted} of this.#open) {
			yield wanted.uuid;
		}
	}

	/** Reads what earlier runs left. */
	async load(): Promise<void> {
		for (const key of await this.#names()) {
			await this.#count(key);
		}
	}

	/**
	 * Takes up the file of that name, or begins it. `takeBack` may put one there, and says whether it has; it runs while
	 * nobody else opens or deletes it.
	 */
	open(wanted: Wanted, takeBack: () => Promise<boolean>): Promise<PartialBlob> {
		const {key} = wanted;
		return this.#turns.take(key, async () => {
			try {
				const file = this.#layout.partial(key);
				const partial = await PartialBlob.open({
					...{wanted, file, begun: await this.#begin(key, file, takeBack)},
					hashing: this.#hashing,
					onClose: () => {
						this.#closed(partial);
					},
				});
				this.#open.add(partial);
				this.#set(key, {size: 0, changedAtMs: this.#host.clock.now(), partial});
				return partial;
			} catch (error) {
				await this.#count(key);
				throw error;
			}
		});
	}

	/** A new file, where nothing is known of one: clients wait for it, so it is begun while one is looked for elsewhere. */
	async #begin(key: string, file: string, takeBack: () => Promise<boolean>): Promise<FileHandle | undefined> {
		const beginning = this.#entries.has(key) ? undefined : openNew(file);
		let isTakenBack = true;
		try {
			isTakenBack = await takeBack();
		} finally {
			if (isTakenBack) {
				// In its place, or there before it could be begun.
				await (await beginning)?.close();
			}
		}
		return isTakenBack ? undefined : beginning;
	}

	/** Its file has been moved away. It may stay open for its readers for a while. */
	moved(partial: PartialBlob): void {
		if (this.#isTheFile(partial)) {
			this.#forget(partial.wanted.key);
		}
	}

	/** Its file is a new one, after the old was moved away. */
	replaced(partial: PartialBlob): void {
		if (this.#open.has(partial)) {
			this.#set(partial.wanted.key, {size: 0, changedAtMs: this.#host.clock.now(), partial});
		}
	}

	/** Deletes the file of one that is open. */
	async delete(partial: PartialBlob): Promise<void> {
		const {key} = partial.wanted;
		await this.#turns.take(key, async () => {
			if (this.#isTheFile(partial)) {
				await rm(partial.file, {force: true});
				this.#forget(key);
			}
		});
	}

	/** What is there now, also what somebody else has put there or taken away. */
	async list(): Promise<readonly PartialOnDisk[]> {
		for (const key of new Set([...(await this.#names()), ...this.#entries.keys()])) {
			await this.#turns.take(key, () => this.#count(key));
		}
		return this.listKnown();
	}

	listKnown(): readonly PartialOnDisk[] {
		return [...this.#entries].map(([key, entry]) => {
			const {changedAtMs, partial} = entry;
			return {key, size: sizeOf(entry), changedAtMs, open: partial !== undefined};
		});
	}

	/** False: somebody has it open, or there is none. */
	remove(key: string): Promise<boolean> {
		return this.#turns.take(key, async () => {
			const entry = this.#entries.get(key);
			if (entry === undefined || entry.partial !== undefined) {
				return false;
			}
			await rm(this.#layout.partial(key), {force: true});
			this.#forget(key);
			return true;
		});
	}

	async close(): Promise<void> {
		await Promise.all([...this.#open].map(partial => partial.close()));
	}

	#closed(partial: PartialBlob): void {
		this.#open.delete(partial);
		const entry = this.#entries.get(partial.wanted.key);
		if (entry?.partial === partial) {
			Object.assign(entry, {size: partial.written, changedAtMs: this.#host.clock.now(), partial: undefined});
		}
		this.#onClose(partial);
	}

	/** Nobody has begun another one under its name since. */
	#isTheFile(partial: PartialBlob): boolean {
		return this.#entries.get(partial.wanted.key)?.partial === partial;
	}

	/** As the disk has it; while somebody writes to it, that one knows. */
	async #count(key: string): Promise<void> {
		const entry = this.#entries.get(key);
		if (entry?.partial !== undefined) {
			return;
		}
		const found = await stat(this.#layout.partial(key)).catch(() => undefined);
		if (found?.isFile() !== true) {
			this.#forget(key);
		} else if (entry === undefined) {
			this.#set(key, {size: found.size, changedAtMs: found.mtimeMs, partial: undefined});
		} else {
			entry.size = found.size;
		}
	}

	#set(key: string, entry: Entry): void {
		this.#generation += this.#entries.has(key) ? 0 : 1;
		this.#entries.set(key, entry);
	}

	#forget(key: string): void {
		this.#generation += this.#entries.delete(key) ? 1 : 0;
	}

	async #names(): Promise<readonly string[]> {
		// Without the folder there are none: it is made anew with the first.
		return readdir(this.#layout.partials).catch(() => []);
	}
}

function sizeOf({partial, size}: Entry): number {
	return partial?.written ?? size;
}
