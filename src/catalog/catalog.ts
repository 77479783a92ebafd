/**
 * One list of images out of many sources, and single images that are in no list.
 *
 * The mirror asks for lists and images; everything is answered from RAM where RAM has an answer, and renewed behind.
 * What one source said is `source-list.ts`, what all of them make together `merge.ts`, an image by its uuid
 * `finder.ts`. Nothing here opens a file or knows HTTP.
 */
import {NotFoundError, SourceUnavailableError, StoppingError, describe} from '../errors.js';
import type {Host} from '../host.js';
import {isActive, type Manifest, type Uuid} from '../image/manifest.js';
import {runImageQuery, type ImageQuery} from '../image/query.js';
import type {Ask} from '../sources/source.js';
import type {CatalogSource} from './catalog-source.js';
import {ConflictLog} from './conflict-log.js';
import {Finder, type FoundManifest} from './finder.js';
import {firstLists} from './first-lists.js';
import type {HeldImage} from './known.js';
import {Listings, type ListBytes} from './listing.js';
import type {Memory} from './memory.js';
import {mergeLocal, type LocalImages} from './local-images.js';
import {merge, nothingMerged, type Merged, type MergeSource} from './merge.js';
import {SourceList} from './source-list.js';
import {catalogStatus, type CatalogStatus} from './status.js';
import {suppliersFor, type Supplier} from './suppliers.js';
import {untilAborted} from './waiting.js';

export type {FoundManifest} from './finder.js';
export type {HeldImage} from './known.js';
export type {LocalImages} from './local-images.js';
export type {ListBytes} from './listing.js';
export type {Conflict} from './merge.js';
export type {CatalogSource} from './catalog-source.js';
export type {CatalogStatus, SourceStatus} from './status.js';
export type {Supplier} from './suppliers.js';

/** Images whose files we hold on disk: what is left to say when the sources are away and the memory was deleted. */
export interface HeldImages {
	list(): Iterable<HeldImage>;
	/** The operator wants what vanishes upstream dropped, and this has: its file may go. */
	onDrop?(manifest: Manifest): void;
}

export interface Snapshot {
	/** Another number for every other list. */
	readonly version: number;
	/** Sorted by `compareImages`. */
	readonly images: readonly Manifest[];
	readonly cache: 'hit' | 'stale' | 'miss';
}

export interface RefreshOutcome {
	readonly source: string;
	/** `undefined`: it went well. */
	readonly problem: string | undefined;
}

export interface CatalogOptions {
	readonly host: Host;
	readonly memory: Memory;
	/** In their order of precedence. */
	readonly sources: readonly CatalogSource[];
	readonly held: HeldImages;
	/** Our own images: before those of all sources. */
	readonly local?: LocalImages;
	/** What this mirror adds to `Ask.via`. */
	readonly instanceId?: string;
	/** How long a list that can be given already waits for sources that are asked for theirs for the first time. */
	readonly firstListGraceMs?: number;
	/** How long a source that has an image waits for a slower one that is before it. */
	readonly findGraceMs?: number;
	/** For the lists kept as bytes. */
	readonly maxListBytes?: number;
}

export class Catalog {
	readonly #host: Host;
	readonly #memory: Memory;
	readonly #held: HeldImages;
	readonly #local: LocalImages | undefined;
	readonly #firstListGraceMs: number;
	readonly #finder: Finder;
	readonly #listings: Listings;
	#lists: readonly SourceList[];
	#merged: Merged = nothingMerged;
	#heldByUuid: ReadonlyMap<Uuid, HeldImage> = new Map();
	/** The held images that are in the merged list for want of a source. */
	#mergedOrphans: readonly HeldImage[] = [];
	#version = 0;
	#isDirty = false;
	#merging: Promise<void> | undefined;
	readonly #conflictLog: ConflictLog;
	#reconfiguring: Promise<void> = Promise.resolve();
	#stopped = false;

	constructor(options: CatalogOptions) {
		this.#host = options.host;
		this.#memory = options.memory;
		this.#held = options.held;
		this.#local = options.local;
		this.#firstListGraceMs = options.firstListGraceMs ?? 2000;
		this.#conflictLog = new ConflictLog(options.host);
		this.#listings = new Listings(options.maxListBytes === undefined ? {} : {maxBytes: options.maxListBytes});
		this.#lists = options.sources.map(entry => this.#listOf(entry));
		this.#finder = new Finder({
			host: options.host,
			memory: options.memory,
			owner: {
				lists: () => this.#lists,
				merged: () => this.#merged,
				held: uuid => this.#heldByUuid.get(uuid),
				dropped: (list, manifest) => this.#dropped(list, manifest),
			},
			instanceId: options.instanceId ?? '',
			graceMs: options.findGraceMs ?? 500,
		});
	}

	/** Resolves when everything remembered is there; only then is the first source asked, behind. */
	async start(): Promise<void> {
		// One after another, so that what several sources list alike becomes one object.
		for (const list of this.#lists) {
			await list.load();
		}
		this.#changed();
		await this.settled();
		for (const list of this.#lists) {
			list.start();
		}
	}

	/** Aborts what is under way and waits until it has ended and what is known is stored. */
	async stop(): Promise<void> {
		this.#stopped = true;
		await this.#reconfiguring;
		await Promise.all([this.#finder.stop(), ...this.#lists.map(list => list.stop())]);
		await this.settled();
		await this.#memory.flush();
	}

	/** The list as it is, without waiting. */
	snapshot(): Snapshot {
		const {images} = this.#merged;
		const known = this.#lists.filter(list => list.known);
		const isStale = known.some(list => list.stale) || (known.length === 0 && this.#lists.length > 0);
		return {version: this.#version, images, cache: isStale ? 'stale' : 'hit'};
	}

	/**
	 * The list as it should be served: at once if anything is known, but for a short grace to sources asked for the
	 * first time. Throws SourceUnavailableError where nothing is known and nobody answered.
	 */
	async current(ask: Ask): Promise<Snapshot> {
		this.#checkRunning();
		ask.signal.throwIfAborted();
		for (const list of this.#lists) {
			list.touch();
		}
		const hasWaited = await firstLists(ask, {
			clock: this.#host.clock,
			graceMs: this.#firstListGraceMs,
			lists: () => this.#lists,
			isEmpty: () => this.#isEmpty(),
			mayWait: () => !this.#stopped && !this.#finder.isCircle(ask),
			settled: () => this.settled(),
		});
		this.#checkRunning();
		if (this.#isEmpty() && this.#lists.length > 0) {
			const problem = this.#lists.find(list => list.lastError !== undefined)?.lastError;
			const names = this.#lists.map(({name}) => name).join(', ');
			throw new SourceUnavailableError(names, `no list yet: ${problem ?? 'it has not answered so far'}`);
		}
		const snapshot = this.snapshot();
		return hasWaited ? {...snapshot, cache: 'miss'} : snapshot;
	}

	async search(query: ImageQuery, ask: Ask): Promise<{images: readonly Manifest[]; cache: Snapshot['cache']}> {
		const {images, cache} = await this.current(ask);
		return {images: runImageQuery(query, images), cache};
	}

	/** The same as bytes ready to send. */
	async list(query: ImageQuery, ask: Ask): Promise<ListBytes & {readonly cache: Snapshot['cache']}> {
		const {version, images, cache} = await this.current(ask);
		const bytes = await untilAborted(this.#listings.get(version, query, images), ask.signal);
		return {...bytes, cache};
	}

	/** Throws NotFoundError (nobody has it) or SourceUnavailableError (nobody can tell). */
	async find(uuid: Uuid, ask: Ask): Promise<FoundManifest> {
		this.#checkRunning();
		for (const list of this.#lists) {
			list.touch();
		}
		return this.#finder.find(uuid, ask);
	}

	/** Whom to ask for the file, in this order. */
	suppliersFor(manifest: Manifest, index: number): readonly Supplier[] {
		const sources = this.#lists.map(list => ({
			source: list.entry.source,
			resting: list.restingUntil !== undefined,
			get: (uuid: Uuid) => this.#finder.manifestFrom(list, uuid),
		}));
		return suppliersFor(manifest, index, sources, this.#merged.twins);
	}

	/** Asks now, whatever is fresh or failing. Throws NotFoundError for a name that is no source's. */
	async refresh(name?: string): Promise<readonly RefreshOutcome[]> {
		this.#checkRunning();
		const lists = this.#lists.filter(list => name === undefined || list.name === name);
		if (lists.length === 0 && name !== undefined) {
			throw new NotFoundError(`no source is called ${name}`);
		}
		await Promise.all(lists.map(list => list.refresh()));
		await this.settled();
		return lists.map(list => ({source: list.name, problem: list.lastError}));
	}

	/**
	 * Goes on with other sources. What is known of one that keeps its name stays known; of one that goes, it is kept on
	 * disk until it expires, so that it may come back.
	 */
	setSources(sources: readonly CatalogSource[]): Promise<void> {
		const done = this.#reconfiguring.then(() => this.#setSources(sources));
		this.#reconfiguring = done.catch(() => undefined);
		return done;
	}

	/** What we hold on disk is other than before. */
	heldChanged(): void {
		const held = [...this.#held.list()];
		this.#heldByUuid = new Map(held.map(image => [image.manifest.uuid, image]));
		const orphans = this.#orphans(held);
		const isSame = ({manifest}: HeldImage, at: number): boolean => manifest === this.#mergedOrphans[at]?.manifest;
		// Mostly it is a file of an image that some source lists, and the list stays as it is.
		if (orphans.length !== this.#mergedOrphans.length || !orphans.every(isSame)) {
			this.#changed();
		}
	}

	/** Our own images are other than before. Resolves when lists show it. */
	async localChanged(): Promise<void> {
		this.#changed();
		await this.settled();
	}

	/** Resolves when everything that has happened is in the list. */
	async settled(): Promise<void> {
		while (this.#merging !== undefined) {
			await this.#merging;
		}
	}

	status(): CatalogStatus {
		return catalogStatus(this.#lists, this.#merged, this.#host.clock.now());
	}

	/** Sets what changes by itself; to be called when somebody looks. */
	updateMetrics(): void {
		const {metrics, clock} = this.#host;
		for (const list of this.#lists) {
			const labels = {source: list.name};
			metrics.catalogImages.set(labels, list.known ? list.images.length : 0);
			metrics.catalogSkipped.set(labels, list.end.skipped);
			if (list.fetchedAt !== undefined) {
				metrics.catalogAgeSeconds.set(labels, Math.max(0, clock.now() - list.fetchedAt) / 1000);
			}
		}
		metrics.catalogMerged.set(this.#merged.images.length);
		metrics.catalogConflicts.set(this.#merged.conflicts.length);
	}

	#listOf(entry: CatalogSource): SourceList {
		return new SourceList({
			entry,
			host: this.#host,
			memory: this.#memory,
			owner: {
				changed: () => this.#changed(),
				dropped: (list, manifest) => this.#dropped(list, manifest),
				heldFrom: name => [...this.#held.list()].filter(({source}) => source === name),
				shared: manifest => {
					for (const list of this.#lists) {
						const known = list.get(manifest.uuid);
						if (known?.text === manifest.text) {
							return known;
						}
					}
					return manifest;
				},
			},
		});
	}

	async #setSources(sources: readonly CatalogSource[]): Promise<void> {
		this.#checkRunning();
		const before = new Map(this.#lists.map(list => [list.name, list]));
		const fresh: SourceList[] = [];
		const kept: [SourceList, CatalogSource][] = [];
		const lists = sources.map(entry => {
			const list = before.get(entry.source.name);
			if (list === undefined) {
				const created = this.#listOf(entry);
				fresh.push(created);
				return created;
			}
			before.delete(list.name);
			kept.push([list, entry]);
			return list;
		});
		for (const list of fresh) {
			await list.load();
		}
		await Promise.all(kept.map(([list, entry]) => list.replace(entry)));
		this.#lists = lists;
		for (const list of before.values()) {
			await list.stop();
			await this.#memory.forget(list.name);
			const {catalogImages, catalogAgeSeconds, catalogSkipped} = this.#host.metrics;
			for (const gauge of [catalogImages, catalogAgeSeconds, catalogSkipped]) {
				gauge.remove({source: list.name});
			}
		}
		this.#changed();
		await this.settled();
		for (const list of fresh) {
			list.start();
		}
	}

	/** There is nothing to say yet. */
	#isEmpty(): boolean {
		return this.#merged.images.length === 0 && !this.#lists.some(list => list.known);
	}

	#changed(): void {
		this.#isDirty = true;
		this.#merging ??= this.#merge().finally(() => {
			this.#merging = undefined;
			if (this.#isDirty) {
				this.#changed();
			}
		});
	}

	async #merge(): Promise<void> {
		// What changes in the same breath is merged once.
		await Promise.resolve();
		while (this.#isDirty) {
			this.#isDirty = false;
			const held = [...this.#held.list()];
			const orphans = this.#orphans(held);
			const before = this.#merged;
			this.#mergedOrphans = orphans;
			const sources = [...mergeLocal(this.#local), ...this.#lists.filter(list => list.known).map(mergeSource)];
			const merged = await merge(sources, orphans, before);
			this.#merged = merged;
			this.#heldByUuid = new Map(held.map(image => [image.manifest.uuid, image]));
			if (merged.images !== before.images) {
				this.#version++;
			}
			this.#conflictLog.write(merged.conflicts);
		}
		this.updateMetrics();
	}

	/**
	 * Held images that no source answers for. One whose source has a list is in it, or gone from it, or kept out of it:
	 * the source's own list has already decided.
	 */
	#orphans(held: readonly HeldImage[]): readonly HeldImage[] {
		const lists = new Map(this.#lists.map(list => [list.name, list]));
		return held.filter(({manifest, source}) => {
			const list = lists.get(source);
			return isActive(manifest) && (list === undefined || (!list.known && list.entry.matches(manifest)));
		});
	}

	#dropped(list: SourceList, manifest: Manifest): void {
		const isElsewhere = this.#lists.some(
			other => other !== list && this.#finder.manifestFrom(other, manifest.uuid) !== undefined,
		);
		if (isElsewhere) {
			return;
		}
		try {
			this.#held.onDrop?.(manifest);
		} catch (error) {
			this.#host.log.error({image: manifest.uuid}, `image ${manifest.uuid} cannot be dropped: ${describe(error)}`);
		}
	}

	#checkRunning(): void {
		if (this.#stopped) {
			throw new StoppingError('the catalog has stopped');
		}
	}
}

function mergeSource(list: SourceList): MergeSource {
	return {name: list.name, images: list.images, hidden: list.hidden, get: uuid => list.get(uuid)};
}
