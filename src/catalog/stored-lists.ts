/**
 * The lists of sources among the values of the memory, each whole or not at all.
 *
 * The new pages stand beside the old ones until the record points at them, so whatever happens half-way, one list is
 * whole. `memory.ts` owns the values and survives their loss; what a page looks like is `pages.ts`.
 */
import type {Host} from '../host.js';
import {Slices} from '../host-slices.js';
import type {Manifest} from '../image/manifest.js';
import type {GoneImage, KnownList} from './known.js';
import {Shared, type UnpackedTexts} from '../image/packed.js';
import {pagesOf, readPage, readRecord, type ListRecord} from './pages.js';

/** Values under keys. None of these throws: what cannot be read is absent, what cannot be done is `false`. */
export interface Values {
	readonly get: (key: string) => Promise<unknown>;
	readonly set: (key: string, value: unknown, ttlMs: number) => Promise<boolean>;
	/** False where there was nothing, too. */
	readonly delete: (key: string) => Promise<boolean>;
}

export class StoredLists {
	readonly #host: Host;
	readonly #values: Values;
	readonly #texts: UnpackedTexts;
	/** The generation of each source's list that is stored and the same as what the caller has. */
	readonly #stored = new Map<string, number>();

	constructor(options: {host: Host; values: Values; texts: UnpackedTexts}) {
		this.#host = options.host;
		this.#texts = options.texts;
		this.#values = options.values;
	}

	async load(source: string): Promise<KnownList | undefined> {
		const record = readRecord(await this.#values.get(listKey(source)));
		if (record === undefined) {
			return undefined;
		}
		const listed: Manifest[] = [];
		const gone: GoneImage[] = [];
		let images = 0;
		const slices = new Slices();
		const reader = {texts: this.#texts, shared: new Shared()};
		for (let number = 0; number < record.pages; number++) {
			const page = readPage(await this.#values.get(pageKey(source, record.generation, number)), reader);
			if (page === undefined) {
				break;
			}
			images += page.count;
			listed.push(...page.listed);
			gone.push(...page.gone);
			if (slices.over) {
				await slices.next();
			}
		}
		if (images !== record.images) {
			this.#host.log.warn(
				{source},
				`source ${source}: the list in memory is not whole (${images} of ${record.images} images): passed over`,
			);
			return undefined;
		}
		this.#stored.set(source, record.generation);
		const {fetchedAt, skipped, reasons, kind} = record;
		return {fetchedAt, skipped, reasons, kind, listed, gone};
	}

	/**
	 * `changed`: more than the times differ from what was saved or loaded before. Not to be called for a source while an
	 * earlier call for it is running. True: what was stored before is there no more.
	 */
	async save(source: string, list: KnownList, keepForMs: number, changed: boolean): Promise<boolean> {
		const now = this.#host.clock.now();
		const before = readRecord(await this.#values.get(listKey(source)));
		const isLost = before === undefined && this.#stored.has(source);
		const times = {fetchedAt: list.fetchedAt, skipped: list.skipped, reasons: list.reasons, kind: list.kind};
		const isStored = before !== undefined && this.#stored.get(source) === before.generation;
		if (!changed && isStored && now - before.savedAt < keepForMs) {
			await this.#values.set(listKey(source), {...before, ...times}, keepForMs);
			return false;
		}
		this.#stored.delete(source);
		const generation = (before?.generation ?? 0) + 1;
		let pages = 0;
		for (const page of pagesOf(list, this.#texts)) {
			// As long as their list is confirmed, pages are written anew after keepFor: twice that outlasts it.
			if (!(await this.#values.set(pageKey(source, generation, pages), page, 2 * keepForMs))) {
				return isLost;
			}
			pages++;
		}
		const images = list.listed.length + list.gone.length;
		const record: ListRecord = {generation, pages, images, savedAt: now, ...times};
		if (await this.#values.set(listKey(source), record, keepForMs)) {
			this.#stored.set(source, generation);
			await this.#deletePages(source, generation - 1, 0);
			// Left by a save of more pages that did not come to its end.
			await this.#deletePages(source, generation, pages);
		}
		return isLost;
	}

	/** The caller has the list no more, or it is stored no more: the next save is of all of it. */
	forget(source: string): void {
		this.#stored.delete(source);
	}

	/** As `forget`, but `except` was just saved. */
	forgetAll(except: string | undefined): void {
		for (const source of this.#stored.keys()) {
			if (source !== except) {
				this.#stored.delete(source);
			}
		}
	}

	async #deletePages(source: string, generation: number, from: number): Promise<void> {
		let number = from;
		while (await this.#values.delete(pageKey(source, generation, number))) {
			number++;
		}
	}
}

function listKey(source: string): string {
	return `list ${encodeURIComponent(source)}`;
}

function pageKey(source: string, generation: number, number: number): string {
	return `page ${encodeURIComponent(source)} ${generation} ${number}`;
}
