/**
 * The last list of one source, and how it is kept up to date.
 *
 * The catalog owns one per source and merges their `images`. Whoever needs the list calls `touch` and goes on with
 * what is there; a refresh runs behind, one at a time, at most once per `listTtlMs` and with backoff while the source
 * fails, however many clients ask. What vanishes from the list is `gone-images.ts`, the merging is not done here.
 */
import {SourceUnavailableError, describe} from '../errors.js';
import type {Host, Timer} from '../host.js';
import {Slices, longSteps} from '../host-slices.js';
import {compareImages, type Manifest, type Uuid} from '../image/manifest.js';
import {isSameText} from '../image/packed.js';
import type {Ask, ListEnd, SourceKind} from '../sources/source.js';
import {Availability} from './availability.js';
import type {CatalogSource} from './catalog-source.js';
import {GoneImages} from './gone-images.js';
import type {KnownList} from './known.js';
import type {ListOwner} from './list-owner.js';
import type {Memory} from './memory.js';
import type {ListChanges} from './news.js';
import {compareLists, readList, sortedImages, type ReadList} from './read-list.js';
import {Saver} from './saver.js';
import {inWords} from './words.js';

export type {CatalogSource} from './catalog-source.js';
export type {ListOwner} from './list-owner.js';

/** A list is not asked for more often than this, whatever the configuration says. */
const shortestPeriodMs = 1000;

export class SourceList {
	readonly #host: Host;
	readonly #memory: Memory;
	readonly #owner: ListOwner;
	#availability: Availability;
	readonly #gone: GoneImages;
	#entry: CatalogSource;
	#listed: ReadonlyMap<Uuid, Manifest> = new Map();
	#images: readonly Manifest[] = [];
	#hidden: readonly Manifest[] = [];
	#fetchedAt: number | undefined;
	#end: ListEnd = {skipped: 0, reasons: []};
	#rememberedKind: SourceKind | undefined;
	#lastError: string | undefined;
	#remembered = false;
	#wasKnown = false;
	#firstTry: {readonly startedAt: number; readonly ended: Promise<void>} | undefined;
	/** Of the refresh that runs. */
	#progress = {images: 0};
	#running: Promise<void> | undefined;
	#sweeping: Promise<void> = Promise.resolve();
	#timer: Timer | undefined;
	#abort = new AbortController();
	readonly #saver = new Saver(changed => this.#save(changed));

	constructor(options: {entry: CatalogSource; host: Host; memory: Memory; owner: ListOwner}) {
		this.#entry = options.entry;
		this.#host = options.host;
		this.#memory = options.memory;
		this.#owner = options.owner;
		this.#availability = this.#unknownAvailability();
		this.#gone = new GoneImages({list: this, host: options.host, memory: options.memory});
	}

	get name(): string {
		return this.#entry.source.name;
	}

	get entry(): CatalogSource {
		return this.#entry;
	}

	get kind(): SourceKind | undefined {
		return this.#entry.source.kind ?? this.#rememberedKind;
	}

	/** In our list because of this source. Sorted. */
	get images(): readonly Manifest[] {
		return this.#images;
	}

	/** Out of the list, but found by uuid. */
	get hidden(): readonly Manifest[] {
		return this.#hidden;
	}

	get goneCount(): number {
		return this.#gone.size;
	}

	get fetchedAt(): number | undefined {
		return this.#fetchedAt;
	}

	get end(): ListEnd {
		return this.#end;
	}

	get lastError(): string | undefined {
		return this.#lastError;
	}

	get nextTryAt(): number | undefined {
		return this.#availability.listRetryAt;
	}

	/** There was a list in the memory when this began. */
	get remembered(): boolean {
		return this.#remembered;
	}

	/** The first attempt ever, while it is running. */
	get firstTry(): {readonly startedAt: number; readonly ended: Promise<void>; readonly arriving: boolean} | undefined {
		return this.#firstTry === undefined ? undefined : {...this.#firstTry, arriving: this.#progress.images > 0};
	}

	/** Its last list still counts. */
	get known(): boolean {
		return this.#fetchedAt !== undefined && this.#host.clock.now() - this.#fetchedAt <= this.#entry.keepForMs;
	}

	get fresh(): boolean {
		const ageMs = this.#ageMs();
		return ageMs !== undefined && ageMs >= 0 && ageMs < this.#entry.listTtlMs;
	}

	/** Too old, and the source did not help when it was asked. */
	get stale(): boolean {
		return this.known && !this.fresh && this.#availability.isListFailing;
	}

	/** Until when the source is to be left alone with questions for single images; `undefined`: it may be asked. */
	get restingUntil(): number | undefined {
		return this.#availability.restingUntil;
	}

	/** Listed or gone. */
	get(uuid: Uuid): Manifest | undefined {
		return this.#listed.get(uuid) ?? this.#gone.get(uuid)?.manifest;
	}

	/** Not in the list any more, and known all the same. */
	isGone(uuid: Uuid): boolean {
		return !this.#listed.has(uuid) && this.#gone.get(uuid) !== undefined;
	}

	/** Brings back what is remembered. To be called once, first. */
	async load(): Promise<void> {
		const {keepForMs, vanished, matches} = this.#entry;
		const now = this.#host.clock.now();
		const list = await this.#memory.loadList(this.name);
		// A time to come means that the clock was wrong, then or now. The images are none the worse for it.
		if (list !== undefined && now - list.fetchedAt <= keepForMs) {
			this.#fetchedAt = Math.min(list.fetchedAt, now);
			this.#remembered = true;
			this.#end = {skipped: list.skipped, reasons: list.reasons};
			this.#rememberedKind = list.kind;
			const slices = new Slices();
			const listed = new Map<Uuid, Manifest>();
			for (const manifest of list.listed) {
				if (slices.over) {
					await slices.next();
				}
				if (matches(manifest)) {
					listed.set(manifest.uuid, this.#owner.shared(manifest));
				}
			}
			this.#listed = listed;
			this.#gone.load(list.gone, vanished);
			this.#publish();
			this.#owner.remembered(this.name, list);
			this.#host.log.info(
				{source: this.name},
				`source ${this.name}: remembered a list of ${this.#images.length} images, ${inWords(now - this.#fetchedAt)} old`,
			);
		}
		await this.#memory.loadLoose(this.name, keepForMs);
	}

	/** Asks for the list for the first time, and from then on whenever it is due. */
	start(): void {
		const ended = this.#refresh();
		this.#firstTry = {startedAt: this.#host.clock.now(), ended};
	}

	/** Somebody uses the list: refreshes it behind if that is due, and notices if it is too old to count. */
	touch(): void {
		this.#noticeExpiry();
		if (!this.fresh && this.nextTryAt === undefined && this.#timer !== undefined) {
			this.#refreshIfAwake();
		}
	}

	/** One refresh now, with all that follows from it. Never rejects: see `lastError`. */
	async refresh(): Promise<void> {
		await this.#refresh();
		await this.#sweeping;
		await this.#gone.settled();
	}

	/** Takes over another configuration of the source of the same name. */
	async replace(entry: CatalogSource): Promise<void> {
		// A list that is being read was begun under the old configuration.
		await this.#halt();
		this.#abort = new AbortController();
		if (entry.source !== this.#entry.source) {
			this.#availability = this.#unknownAvailability();
		}
		this.#entry = entry;
		this.#listed = new Map([...this.#listed].filter(([, manifest]) => entry.matches(manifest)));
		this.#gone.load([...this.#gone.values()], entry.vanished);
		this.#publish();
		this.#memory.keepFor(this.name, entry.keepForMs);
		if (this.known) {
			void this.#refresh();
		} else {
			this.start();
		}
	}

	async stop(): Promise<void> {
		await this.#halt();
		await this.#saver.done();
	}

	/** The source answered a question for a single image. */
	answered(): void {
		this.#availability.findSucceeded();
	}

	/** It did not. False: others are answered, so it is about that image. */
	failed(): boolean {
		return this.#availability.findFailed();
	}

	/** What is gone is another than before. */
	goneChanged(): void {
		this.#publish();
		this.#saver.save(true);
		this.#owner.changed();
	}

	dropped(manifest: Manifest): void {
		this.#owner.dropped(this, manifest);
	}

	/** One question that ends with `stop`, or with the source. */
	ask(): Ask {
		return {signal: this.#abort.signal};
	}

	#refresh(): Promise<void> {
		this.#running ??= this.#run().finally(() => {
			this.#running = undefined;
			this.#firstTry = undefined;
		});
		return this.#running;
	}

	#refreshIfAwake(): void {
		const {downUntil} = this.#availability;
		if (downUntil !== undefined) {
			this.#arm(downUntil - this.#host.clock.now());
		} else {
			void this.#refresh();
		}
	}

	async #run(): Promise<void> {
		const {signal} = this.#abort;
		const {clock, log} = this.#host;
		const startedAt = clock.now();
		this.#timer?.cancel();
		this.#timer = undefined;
		const progress = {images: 0};
		this.#progress = progress;
		try {
			const read = await readList({
				source: this.#entry.source,
				matches: this.#entry.matches,
				known: manifest => {
					const before = this.get(manifest.uuid);
					return before !== undefined && isSameText(before, manifest) ? before : this.#owner.shared(manifest);
				},
				texts: this.#memory.texts,
				progress,
				signal,
			});
			const sorted = await sortedImages(read.listed);
			const take = (): Promise<ListChanges> => this.#take(read, signal);
			const changes = await (read.listed.size < longSteps ? take() : this.#owner.inTurn(take));
			const wasFailing = this.#lastError !== undefined;
			this.#owner.refreshed(changes, {wasFailing, skipped: read.end.skipped, ms: clock.now() - startedAt});
			this.#availability.listSucceeded();
			this.#lastError = undefined;
			this.#saver.save(changes.any);
			if (changes.any) {
				// What another source has as well is another object by now.
				this.#publish(sorted.map(manifest => this.#listed.get(manifest.uuid) ?? manifest));
				this.#owner.changed();
			}
			this.#gone.confirm();
			const periodMs = Math.max(shortestPeriodMs, this.#entry.listTtlMs);
			this.#arm(periodMs * (1 + this.#host.random() / 10));
			this.#sweeping = this.#sweeping.then(() => this.#owner.sweep(this, read.unwanted, signal));
		} catch (error) {
			if (signal.aborted) {
				return;
			}
			this.#lastError = error instanceof SourceUnavailableError ? error.problem : describe(error);
			const waitMs = this.#availability.listFailed({brought: progress.images});
			log.warn({source: this.name}, `source ${this.name}: no list: ${this.#lastError}; next try in ${inWords(waitMs)}`);
			this.#noticeExpiry();
			this.#arm(waitMs);
		}
	}

	async #take({listed, unwanted, end}: ReadList, signal: AbortSignal): Promise<ListChanges> {
		const {added, changed, removed} = await compareLists(this.#listed, listed);
		await this.#owner.prepare(this.name);
		const slices = new Slices();
		const isLong = listed.size >= longSteps;
		for (const [at, manifest] of added.entries()) {
			// Another source may have been read at the same time: a short list takes no time, a long one has its turn.
			listed.set(manifest.uuid, this.#owner.shared(manifest));
			if (isLong && (slices.over || at === added.length - 1)) {
				await slices.next();
			}
		}
		signal.throwIfAborted();
		const now = this.#host.clock.now();
		const isFirst = this.#fetchedAt === undefined;
		const returned = new Set(added.map(({uuid}) => uuid).filter(uuid => this.#gone.get(uuid) !== undefined));
		this.#listed = listed;
		for (const {uuid} of added) {
			this.#gone.delete(uuid);
			this.#memory.allow(this.name, uuid);
		}
		for (const manifest of removed) {
			if (!unwanted.has(manifest.uuid)) {
				this.#gone.add({manifest, vanishedAt: now, hidden: false});
			}
		}
		for (const uuid of unwanted) {
			this.#gone.delete(uuid);
		}
		const held = [...this.#owner.heldFrom(this.name)];
		const adopted = this.#gone.adopt(held, now);
		for (const {source, manifest} of [...this.#memory.looseImages()]) {
			if (source === this.name && listed.has(manifest.uuid)) {
				this.#memory.deleteLoose(source, manifest.uuid);
			}
		}
		this.#fetchedAt = now;
		this.#end = end;
		const any = !this.#wasKnown || added.length + changed.length + removed.length + adopted > 0;
		const changes = {source: this.name, isFirst, any, images: listed.size, added, returned, changed, removed};
		this.#owner.listed(this, changes, {unwanted, held});
		return changes;
	}

	#publish(sorted: Iterable<Manifest> = this.#listed.values()): void {
		const visible = [...sorted];
		const hidden: Manifest[] = [];
		for (const gone of this.#gone.values()) {
			(gone.hidden ? hidden : visible).push(gone.manifest);
		}
		this.#images = visible.sort(compareImages);
		this.#hidden = hidden;
		this.#wasKnown = this.known;
	}

	#noticeExpiry(): void {
		if (this.#wasKnown && !this.known) {
			this.#wasKnown = false;
			this.#host.log.warn(
				{source: this.name},
				`source ${this.name}: no list for ${inWords(this.#entry.keepForMs)}: its images leave ours`,
			);
			this.#owner.changed();
		}
	}

	#unknownAvailability(): Availability {
		return new Availability({host: this.#host, health: () => this.#entry.health?.()});
	}

	#ageMs(): number | undefined {
		return this.#fetchedAt === undefined ? undefined : this.#host.clock.now() - this.#fetchedAt;
	}

	#arm(delayMs: number): void {
		this.#timer?.cancel();
		this.#timer = this.#host.clock.after(delayMs, () => {
			this.#refreshIfAwake();
		});
	}

	async #save(changed: boolean): Promise<void> {
		if (this.#fetchedAt === undefined) {
			return;
		}
		const list: KnownList = {
			...this.#end,
			...{fetchedAt: this.#fetchedAt, kind: this.kind},
			listed: [...this.#listed.values()],
			gone: [...this.#gone.values()],
		};
		await this.#memory.saveList(this.name, list, this.#entry.keepForMs, changed);
	}

	async #halt(): Promise<void> {
		this.#abort.abort(new Error('stopped'));
		this.#timer?.cancel();
		this.#timer = undefined;
		await this.#running;
		await this.#sweeping;
		await this.#gone.settled();
	}
}
