/**
 * What sources said and when, across restarts: keyv over SQLite, or over plain files where SQLite cannot be had.
 *
 * The catalog works from RAM; it reads here once, when it starts, and writes behind. Nothing here is the truth:
 * whatever cannot be read is as if it had never been, whatever cannot be written is said once and done without.
 * Freshness is the catalog's arithmetic; keyv's expiry only clears away what nobody will ask for again.
 */
import {mkdir} from 'node:fs/promises';
import path from 'node:path';
import {Keyv} from 'keyv';
import {LRUCache} from 'lru-cache';
import {describe} from '../errors.js';
import type {Host} from '../host.js';
import {isObject} from '../image/json-text.js';
import type {Uuid} from '../image/manifest.js';
import {UnpackedTexts} from '../image/packed.js';
import {isDamage, isInPlace, openDatabase, type DatabaseClass} from './database.js';
import {FileStore} from './file-store.js';
import type {Denial, KnownList, LooseImage} from './known.js';
import {looseEntries, readLooseEntries} from './pages.js';
import {StoredLists} from './stored-lists.js';

/** Of all sources together. A loose image is the origin of something, so there are tens; the rest is for who guesses. */
const maxLoose = 5000;
const maxDenials = 50_000;
const looseShards = '0123456789abcdef';

/** Where the values are. */
interface Backend {
	readonly kind: 'sqlite' | 'files';
	readonly keyv: Keyv<unknown>;
	/** False once the file was taken away under us. */
	inPlace(): Promise<boolean>;
}

interface LooseEntry extends LooseImage {
	readonly source: string;
}

export interface MemoryOptions {
	/** For this alone. Made where it is missing. */
	readonly directory: string;
	/** The database's name in it; the files', where it comes to that, is made from it. */
	readonly file: string;
	readonly host: Host;
	/** Brings in @keyv/sqlite, whose native part may be missing. Tests bring others. */
	readonly importSqlite?: () => Promise<unknown>;
}

export class Memory {
	readonly #host: Host;
	readonly #open: () => Promise<Backend>;
	/** Replaced, in one breath with finding out that it must be, by that of a new one: nobody uses one that is closed. */
	#backend: Promise<Backend>;
	#kind: Backend['kind'];
	#damaged = false;
	/** Of the manifests that are kept small. */
	readonly texts = new UnpackedTexts();
	readonly #lists: StoredLists;
	readonly #loose: LRUCache<string, LooseEntry>;
	readonly #denials = new LRUCache<string, Denial>(atMost(maxDenials));
	readonly #keepForMs = new Map<string, number>();
	/** Keys of loose shards that are to be written. */
	readonly #dirty = new Map<string, {readonly source: string; readonly shard: string}>();
	#writing: Promise<void> | undefined;
	#failing = false;

	private constructor(host: Host, open: () => Promise<Backend>, backend: Backend) {
		this.#host = host;
		this.#open = open;
		this.#backend = Promise.resolve(backend);
		this.#kind = backend.kind;
		this.#lists = new StoredLists({
			...{host, texts: this.texts},
			values: {
				get: key => this.#get(key),
				set: (key, value, ttlMs) => this.#set(key, value, ttlMs),
				delete: key => this.#delete(key),
			},
		});
		this.#loose = new LRUCache({
			...atMost(maxLoose),
			dispose: (entry, _key, reason) => {
				if (reason === 'evict') {
					this.#writeShard(entry.source, entry.manifest.uuid);
				}
			},
		});
	}

	static async open({directory, file, host, importSqlite = importKeyvSqlite}: MemoryOptions): Promise<Memory> {
		const database = path.join(directory, file);
		const files = path.join(directory, `${path.parse(file).name}.files`);
		const open = async (): Promise<Backend> => {
			try {
				await mkdir(directory, {recursive: true});
				return await openSqlite(database, await importSqlite(), host);
			} catch (error) {
				host.log.info(`memory is kept in files (${files}), as SQLite cannot be used: ${describe(error)}`);
				return openFiles(files, host);
			}
		};
		return new Memory(host, open, await open());
	}

	get kind(): 'sqlite' | 'files' {
		return this.#kind;
	}

	/** The last list that was saved whole. */
	loadList(source: string): Promise<KnownList | undefined> {
		return this.#lists.load(source);
	}

	/** Stores the list; `changed` says whether more than its times differ from what was saved or loaded before. */
	async saveList(source: string, list: KnownList, keepForMs: number, changed: boolean): Promise<void> {
		await this.#stayInPlace();
		if (await this.#lists.save(source, list, keepForMs, changed)) {
			this.#forgotten(source);
		}
	}

	/** How long loose images of a source are kept from now on. */
	keepFor(source: string, keepForMs: number): void {
		this.#keepForMs.set(source, keepForMs);
	}

	/** Brings back the loose images of a source. */
	async loadLoose(source: string, keepForMs: number): Promise<void> {
		this.keepFor(source, keepForMs);
		const now = this.#host.clock.now();
		for (const shard of looseShards) {
			for (const image of readLooseEntries(await this.#get(looseKey(source, shard)))) {
				if (now - image.fetchedAt <= keepForMs) {
					const fetchedAt = Math.min(image.fetchedAt, now);
					this.#loose.set(imageKey(source, image.manifest.uuid), {...image, fetchedAt, source});
				}
			}
		}
	}

	loose(source: string, uuid: Uuid): LooseImage | undefined {
		return this.#loose.get(imageKey(source, uuid));
	}

	setLoose(source: string, image: LooseImage): void {
		this.#loose.set(imageKey(source, image.manifest.uuid), {...image, source});
		this.#writeShard(source, image.manifest.uuid);
	}

	deleteLoose(source: string, uuid: Uuid): void {
		if (this.#loose.delete(imageKey(source, uuid))) {
			this.#writeShard(source, uuid);
		}
	}

	*looseImages(): Generator<LooseEntry, void, undefined> {
		yield* this.#loose.values();
	}

	denial(source: string, uuid: Uuid): Denial | undefined {
		return this.#denials.get(imageKey(source, uuid));
	}

	deny(source: string, uuid: Uuid, why: Denial['why']): void {
		this.#denials.set(imageKey(source, uuid), {at: this.#host.clock.now(), why});
	}

	allow(source: string, uuid: Uuid): void {
		if (this.#denials.size === 0) {
			return;
		}
		this.#denials.delete(imageKey(source, uuid));
	}

	/** Lets go of a source that is configured no more. What is stored of it stays until it expires. */
	async forget(source: string): Promise<void> {
		await this.flush();
		for (const [key, entry] of this.#loose.entries()) {
			if (entry.source === source) {
				this.#loose.delete(key);
			}
		}
		for (const key of [...this.#denials.keys()]) {
			if (key.startsWith(imageKey(source, ''))) {
				this.#denials.delete(key);
			}
		}
		this.#lists.forget(source);
	}

	/** Resolves once loose images are written, or could not be. */
	async flush(): Promise<void> {
		while (this.#writing !== undefined) {
			await this.#writing;
		}
	}

	async close(): Promise<void> {
		await this.flush();
		const {keyv} = await this.#backend;
		await keyv.disconnect().catch(() => undefined);
	}

	#writeShard(source: string, uuid: Uuid): void {
		const shard = uuid.slice(0, 1);
		this.#dirty.set(looseKey(source, shard), {source, shard});
		this.#startWriting();
	}

	#startWriting(): void {
		this.#writing ??= this.#writeShards().finally(() => {
			this.#writing = undefined;
			// What came between the last look and now.
			if (this.#dirty.size > 0) {
				this.#startWriting();
			}
		});
	}

	async #writeShards(): Promise<void> {
		// What is set in the same breath goes out in one write.
		await Promise.resolve();
		for (const [key, {source, shard}] of this.#dirty) {
			this.#dirty.delete(key);
			const images = [...this.#loose.values()].filter(
				entry => entry.source === source && entry.manifest.uuid.startsWith(shard),
			);
			await this.#set(key, looseEntries(images), this.#keepForMs.get(source) ?? Infinity);
		}
	}

	/** What was stored is stored no more: everything has to be written again. */
	#forgotten(except?: string): void {
		this.#lists.forgetAll(except);
		for (const {source, manifest} of this.#loose.values()) {
			this.#writeShard(source, manifest.uuid);
		}
	}

	async #stayInPlace(): Promise<void> {
		const backend = this.#backend;
		if ((await (await backend).inPlace()) && !this.#damaged) {
			return;
		}
		if (backend !== this.#backend) {
			return;
		}
		this.#host.log.warn('memory was deleted, or cannot be used any more: a new one is begun');
		this.#backend = this.#replace(await backend);
		await this.#backend;
		this.#forgotten();
	}

	async #replace({keyv}: Backend): Promise<Backend> {
		this.#damaged = false;
		// First the old one: SQLite, when it closes, removes its log by name, whoever has that name by then.
		await keyv.disconnect().catch(() => undefined);
		const backend = await this.#open();
		this.#kind = backend.kind;
		return backend;
	}

	async #get(key: string): Promise<unknown> {
		try {
			const {keyv} = await this.#backend;
			return await keyv.get(key);
		} catch (error) {
			this.#failed(error);
			return undefined;
		}
	}

	async #set(key: string, value: unknown, ttlMs: number): Promise<boolean> {
		try {
			const {keyv} = await this.#backend;
			await keyv.set(key, value, Number.isFinite(ttlMs) ? Math.max(1, ttlMs) : undefined);
		} catch (error) {
			this.#failed(error);
			return false;
		}
		if (this.#failing) {
			this.#failing = false;
			this.#host.log.info('memory is written again');
		}
		return true;
	}

	async #delete(key: string): Promise<boolean> {
		const {keyv} = await this.#backend;
		return keyv.delete(key).catch(() => false);
	}

	#failed(error: unknown): void {
		this.#damaged ||= isDamage(error);
		if (!this.#failing) {
			this.#failing = true;
			this.#host.log.warn(
				`memory fails, what sources say is kept in RAM only until it works again: ${describe(error)}`,
			);
		}
	}
}

async function openSqlite(file: string, module: unknown, host: Host): Promise<Backend> {
	if (!isSqliteModule(module)) {
		throw new TypeError('@keyv/sqlite is not what it was');
	}
	const {database, movedAside, inode} = await openDatabase(file, module.KeyvSqlite, host.clock.now());
	if (movedAside !== undefined) {
		host.log.warn(`memory begins empty: ${file} cannot be used (${movedAside.problem}) and is now ${movedAside.to}`);
	}
	return {kind: 'sqlite', keyv: keyvOver(database), inPlace: () => isInPlace(file, inode)};
}

async function openFiles(directory: string, host: Host): Promise<Backend> {
	try {
		return {kind: 'files', keyv: keyvOver(await FileStore.open(directory)), inPlace: () => Promise.resolve(true)};
	} catch (error) {
		host.log.warn(`memory cannot be kept at all, only in RAM: ${describe(error)}`);
		return {kind: 'files', keyv: keyvOver(new Map()), inPlace: () => Promise.resolve(true)};
	}
}

function keyvOver(store: unknown): Keyv<unknown> {
	return new Keyv<unknown>({store, useKeyPrefix: false, emitErrors: false, throwOnErrors: true});
}

/** By a name that the compiler does not follow: where the optional package is missing, the mirror must still build. */
function importKeyvSqlite(): Promise<unknown> {
	return import(['@keyv', 'sqlite'].join('/'));
}

function isSqliteModule(module: unknown): module is {readonly KeyvSqlite: DatabaseClass} {
	return isObject(module) && typeof module['KeyvSqlite'] === 'function';
}

/** As `max`, for which a cache would make room at once. */
function atMost(count: number): {readonly maxSize: number; readonly sizeCalculation: () => number} {
	return {maxSize: count, sizeCalculation: () => 1};
}

function looseKey(source: string, shard: string): string {
	return `loose ${encodeURIComponent(source)} ${shard}`;
}

function imageKey(source: string, uuid: string): string {
	return `${source}\n${uuid}`;
}
