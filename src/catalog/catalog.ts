/**
 * One list of images out of many sources, and single images that are in no list.
 *
 * The mirror asks for lists and images; everything is answered from RAM where RAM has an answer, and renewed behind.
 * What one source said is `source-list.ts`, what all of them make together `merge.ts`, an image by its uuid
 * `finder.ts`. Nothing here opens a file or knows HTTP.
 */
import {NotFoundError, StoppingError, asError, describe} from '../errors.js';
import type {Host} from '../host.js';
import type {Manifest, Uuid} from '../image/manifest.js';
import {isSameText} from '../image/packed.js';
import type {ImageQuery} from '../image/query.js';
import type {Ask} from '../sources/source.js';
import type {CatalogSource} from './catalog-source.js';
import {claimOf, type Claim} from './claims.js';
import {CurrentList, type CurrentBytes} from './current-list.js';
import {Finder, type FoundManifest} from './finder.js';
import {HoldVerbs} from './hold-verbs.js';
import {Holds} from './holds.js';
import type {Memory} from './memory.js';
import type {LocalImages} from './local-images.js';
import {MergedList} from './merged-list.js';
import {News} from './news.js';
import {Offers} from './offers.js';
import type {CatalogOptions, HeldImages, RefreshOutcome, Snapshot} from './options.js';
import {Overview, type HeldBackImage, type KnownImage} from './overview.js';
import {SourceList} from './source-list.js';
import {catalogStatus, removeGauges, updateGauges, type CatalogStatus} from './status.js';
import {suppliersFor, type Supplier} from './suppliers.js';
import {OneByOne} from './waiting.js';

export type {HeldImage} from './known.js';
export type {ListBytes} from './listing.js';
export type {CatalogSource, HoldRule} from './catalog-source.js';
export type {HoldsFile, OperatorHold} from './holds.js';
export type {CatalogOptions, HeldImages, RefreshOutcome, Snapshot} from './options.js';
export type {HeldBackImage, KnownImage} from './overview.js';

export class Catalog {
	readonly #host: Host;
	readonly #memory: Memory;
	readonly #held: HeldImages;
	readonly #local: LocalImages | undefined;
	readonly #finder: Finder;
	readonly #current: CurrentList;
	#lists: readonly SourceList[];
	readonly #list: MergedList;
	readonly #holds: Holds;
	readonly #offers: Offers;
	readonly #news: News;
	readonly #overview: Overview;
	/** What operators say about single images. */
	readonly holds: HoldVerbs;
	readonly #takes = new OneByOne();
	#reconfiguring: Promise<void> = Promise.resolve();
	#stopped = false;

	constructor(options: CatalogOptions) {
		this.#host = options.host;
		this.#memory = options.memory;
		this.#held = options.held;
		this.#local = options.local;
		const {host, local} = options;
		const holds = new Holds({host, file: options.holds});
		const offers = new Offers({
			host,
			holds,
			owner: {
				lookUp: uuid => this.#overview.manifest(uuid),
				ruleOf: source => this.#lists.find(({name}) => name === source)?.entry.hold,
				ripened: () => this.#list.changed(),
			},
		});
		const news = new News({host, holds, offers});
		[this.#holds, this.#offers, this.#news] = [holds, offers, news];
		this.#list = new MergedList({host, held: options.held, local, offers, news, lists: () => this.#lists});
		this.#lists = options.sources.map(entry => this.#listOf(entry));
		this.#finder = new Finder({
			host: options.host,
			memory: options.memory,
			owner: {
				lists: () => this.#lists,
				merged: () => this.#list.merged,
				held: uuid => this.#list.held(uuid),
				isHeldBack: (manifest, source) => offers.isHeldBack(manifest, source),
				isHeldByOperator: image => offers.heldByOperator(image) !== undefined,
				seen: (list, uuid) => {
					this.#list.touch();
					news.found(list.name, uuid);
				},
				dropped: (list, manifest) => this.#dropped(list, manifest),
			},
			instanceId: options.instanceId ?? '',
			graceMs: options.findGraceMs ?? 500,
		});
		this.#current = new CurrentList(
			{
				...{clock: host.clock, merged: this.#list, lists: () => this.#lists},
				isStopped: () => this.#stopped,
				checkRunning: () => {
					this.#checkRunning();
				},
				touch: () => {
					this.#touch();
				},
				isCircle: ask => this.#finder.isCircle(ask),
			},
			{graceMs: options.firstListGraceMs, maxBytes: options.maxListBytes},
		);
		this.holds = new HoldVerbs({
			...{host, holds, offers, news},
			owner: {
				lookUp: uuid => this.#overview.manifest(uuid),
				isHeldBack: uuid => this.#list.merged.heldBack.has(uuid),
				show: () => this.localChanged(),
				checkRunning: () => {
					this.#checkRunning();
				},
			},
		});
		this.#overview = new Overview({
			...{offers, local},
			owner: {
				merged: () => this.#list.merged,
				lists: () => this.#lists,
				version: () => this.#list.changes,
				loose: (source, uuid) => options.memory.loose(source, uuid),
				onDisk: uuid => this.#list.held(uuid),
				manifestFrom: (list, uuid) => this.#finder.manifestFrom(list, uuid),
				firstSeenMs: (source, uuid) => holds.firstSeen.ms(source, uuid),
				heldByOperators: () => holds.held.keys(),
			},
		});
	}

	/** Resolves when everything remembered is there; only then is the first source asked, behind. */
	async start(): Promise<void> {
		await this.#holds.load();
		this.#useSources();
		// One after another, so that what several sources list alike becomes one object.
		for (const list of this.#lists) {
			await list.load();
		}
		await this.#held.share?.(uuid => this.#lists.flatMap(list => list.get(uuid) ?? []));
		this.#list.changed();
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
		this.#offers.stop();
		await this.#holds.stop();
		await this.#memory.flush();
	}

	/** The list as it is, without waiting. */
	snapshot(): Snapshot {
		return this.#current.snapshot();
	}

	/**
	 * The list as it should be served: at once if anything is known, but for a short grace to sources asked for the
	 * first time. Throws SourceUnavailableError where nothing is known and nobody answered.
	 */
	current(ask: Ask): Promise<Snapshot> {
		return this.#current.get(ask);
	}

	search(query: ImageQuery, ask: Ask): Promise<Snapshot> {
		return this.#current.search(query, ask);
	}

	/** What `search` would look at without waiting; `undefined`: it would wait. */
	state(): Snapshot | undefined {
		return this.#current.state();
	}

	/** The same as bytes ready to send. */
	list(query: ImageQuery, ask: Ask): Promise<CurrentBytes> {
		return this.#current.bytes(query, ask);
	}

	/** What `list` would give without waiting; `undefined`: that cannot be said without. */
	listNow(query: ImageQuery): CurrentBytes | undefined {
		return this.#current.ready(query);
	}

	/** Another number whenever something of `overview` or `known` may be other. */
	get version(): number {
		return this.#list.changes;
	}

	/** Every image in a list or held back from it, in the order of lists. The same array until something is other. */
	overview(): readonly KnownImage[] {
		return this.#overview.all();
	}

	/** Makes what `overview` gives, in slices. */
	prepareOverview(): Promise<void> {
		return this.#overview.prepare();
	}

	/** Every image that is known of any source, hidden ones and those found by uuid included; some more than once. */
	*manifests(): Generator<Manifest, void, undefined> {
		yield* this.overview().map(({manifest}) => manifest);
		yield* this.#lists.flatMap(({hidden}) => hidden);
		for (const {manifest} of this.#memory.looseImages()) {
			yield manifest;
		}
	}

	/** An image as far as it is known without asking anybody, whether or not it is offered. */
	known(uuid: Uuid): KnownImage | undefined {
		return this.#overview.of(uuid);
	}

	/** Everything that is held back, and why, in the order of lists. */
	heldImages(): readonly HeldBackImage[] {
		return this.#overview.heldBack();
	}

	/** As `find`, and what is held back as well. */
	async lookUp(uuid: Uuid, ask: Ask): Promise<KnownImage> {
		const known = this.known(uuid);
		if (known !== undefined) {
			return known;
		}
		this.#checkRunning();
		const problem = await this.#finder.findAny(uuid, ask).then(() => undefined, asError);
		const found = this.known(uuid);
		if (found === undefined) {
			throw problem ?? new NotFoundError(`no source has image ${uuid}`);
		}
		return found;
	}

	/** Throws NotFoundError (nobody has it, or whoever has it holds it back) or SourceUnavailableError (nobody can tell). */
	async find(uuid: Uuid, ask: Ask): Promise<FoundManifest> {
		this.#touch();
		return this.#finder.find(uuid, ask);
	}

	/** What `find` would say of an image that is in the list; `undefined`: it takes longer to tell. */
	findNow(uuid: Uuid): FoundManifest | undefined {
		this.#touch();
		return this.#finder.listed(uuid);
	}

	/** A source that has it, whether it is offered or not. Throws SourceUnavailableError where none can tell. */
	claimOf(uuid: Uuid, ask: Ask): Promise<Claim | undefined> {
		return claimOf(uuid, ask, {lists: this.#lists, finder: this.#finder, held: this.#list.held(uuid)});
	}

	/** Whom to ask for the file, in this order. */
	suppliersFor(manifest: Manifest, index: number): readonly Supplier[] {
		const sources = this.#lists.map(list => ({
			source: list.entry.source,
			resting: list.restingUntil !== undefined,
			get: (uuid: Uuid) => this.#finder.manifestFrom(list, uuid),
		}));
		return suppliersFor(manifest, index, sources, this.#list.merged.twins);
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
		this.#list.heldChanged();
	}

	/** Our own images are other than before. Resolves when lists show it. */
	async localChanged(): Promise<void> {
		this.#list.changed();
		await this.settled();
	}

	/** Resolves when everything that has happened is in the list. */
	settled(): Promise<void> {
		return this.#list.settled();
	}

	status(): CatalogStatus {
		const now = this.#host.clock.now();
		return catalogStatus(this.#lists, this.#list.merged, now, name => this.#offers.heldBackBy(name).length);
	}

	/** Sets what changes by itself; to be called when somebody looks. */
	updateMetrics(): void {
		updateGauges(this.#host, this.#lists, this.#list.merged);
	}

	#listOf(entry: CatalogSource): SourceList {
		return new SourceList({
			entry,
			host: this.#host,
			memory: this.#memory,
			owner: {
				changed: () => this.#list.changed(),
				dropped: (list, manifest) => this.#dropped(list, manifest),
				remembered: (source, list) => this.#news.remembered(source, list),
				inTurn: take => this.#takes.run(take),
				prepare: source => this.#news.prepare(source),
				listed: (list, changes, besides) => {
					const others = this.#lists.filter(other => other !== list && other.known);
					const isElsewhere = (uuid: Uuid): boolean =>
						this.#local?.get(uuid) !== undefined || others.some(other => other.get(uuid) !== undefined);
					this.#news.listed(changes, besides, isElsewhere);
				},
				sweep: (list, unwanted, signal) => {
					const isKnown = (uuid: Uuid): boolean => this.#finder.manifestFrom(list, uuid) !== undefined;
					return this.#news.sweep(list.name, uuid => unwanted.has(uuid) || isKnown(uuid), signal);
				},
				refreshed: (changes, how) => {
					this.#news.refreshed(changes, how);
				},
				heldFrom: name => [...this.#held.list()].filter(({source}) => source === name),
				shared: manifest => this.#shared(manifest),
			},
		});
	}

	/** The same manifest as an object that is in a list already, if there is one. */
	#shared(manifest: Manifest): Manifest {
		const isAlike = (known: Manifest | undefined): boolean => known !== undefined && isSameText(known, manifest);
		return this.#lists.find(list => isAlike(list.get(manifest.uuid)))?.get(manifest.uuid) ?? manifest;
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
		this.#useSources();
		for (const list of before.values()) {
			await list.stop();
			await this.#memory.forget(list.name);
			removeGauges(this.#host, list.name);
		}
		this.#list.changed();
		await this.settled();
		for (const list of fresh) {
			list.start();
		}
	}

	#useSources(): void {
		this.#holds.use(new Set(this.#lists.map(({name}) => name)));
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

	/** Whoever asks for something reminds the sources of their age. */
	#touch(): void {
		this.#checkRunning();
		for (const list of this.#lists) {
			list.touch();
		}
	}

	#checkRunning(): void {
		if (this.#stopped) {
			throw new StoppingError('the catalog has stopped');
		}
	}
}
