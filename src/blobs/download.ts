/**
 * One transfer of one file, followed by many.
 *
 * The download takes bytes from its suppliers, writes them to a partial and moves the watermark; followers read the
 * growing file by themselves. When all is there it is verified, the tail is let go, and the store makes it a blob.
 * A download outlives its followers; `flights.ts` decides when one begins and how many run. One that nobody follows is
 * in the background until somebody does: it gives way to clients' downloads, and keeps to the pace of its errands.
 */
import type {FileHandle} from 'node:fs/promises';
import {IntegrityError, MirrorError, NoSpaceError, asError} from '../errors.js';
import type {Host} from '../host.js';
import {ComeOtherwise, isItsBeginning} from './come-otherwise.js';
import {commitPartial} from './commit-partial.js';
import {Errands, type Errand} from './errands.js';
import {Follower, NotCaching} from './follower.js';
import type {DownloadEnd, DownloadOptions, OnStored, RightFile} from './download-options.js';
import type {Meter} from './meter.js';
import type {PartialBlob, Wanted} from './partial.js';
import {PassThroughReader} from './pass-through.js';
import type {Place} from './places.js';
import type {BlobInfo} from './store.js';
import {StandingAside} from './standing-aside.js';
import {StoredListeners} from './stored-listeners.js';
import {Supply, fromDisk} from './supply.js';
import {TransferEvents} from './transfer-events.js';
import {unlessAborted} from './unless-aborted.js';
import {wrongness} from './verdict.js';
import {Watermark} from './watermark.js';

export type {DownloadEnd, DownloadOptions, OnStored, RightFile} from './download-options.js';

/** Verifications of one file in one download before it gives up: something here is wrong beyond blaming suppliers. */
const maxVerifications = 8;

export class Download {
	readonly wanted: Wanted;
	readonly beganAtMs: number;
	/** Resolves when all of it is over. */
	readonly ended: Promise<DownloadEnd>;
	readonly #options: DownloadOptions;
	readonly #host: Host;
	readonly #watermark: Watermark;
	readonly #followers = new Set<Follower>();
	readonly #onStored: StoredListeners;
	readonly #abort = new AbortController();
	readonly #comeOtherwise: ComeOtherwise;
	readonly #errands = new Errands();
	readonly #events: TransferEvents;
	readonly #place: Place;
	#waitsForSource = false;
	readonly #aside: StandingAside;
	#settle: (end: DownloadEnd) => void = () => undefined;
	#partial: PartialBlob | undefined;
	/** Instead of a partial, where the file came in otherwise: before it was this transfer's turn, or meanwhile. */
	#blob: FileHandle | undefined;
	#supply: Supply | undefined;
	#right: RightFile | undefined;
	#begun = false;
	#over = false;
	#resumedFrom = 0;

	constructor(options: DownloadOptions) {
		this.#options = options;
		this.wanted = options.wanted;
		this.#host = options.host;
		this.#onStored = new StoredListeners(options.host);
		this.#comeOtherwise = new ComeOtherwise(options);
		this.#watermark = new Watermark(options.wanted.size);
		this.beganAtMs = options.host.clock.now();
		this.#place = options.place;
		this.#events = new TransferEvents({
			...{host: options.host, wanted: options.wanted},
			state: () => ({
				...{written: this.#partial?.written ?? this.written, followers: this.followers},
				...{background: this.background, source: this.supplier},
			}),
		});
		this.#aside = new StandingAside({
			...{place: options.place, meter: this.meter, clock: options.host.clock},
			onTooLong: () => {
				options.onKeptWaiting(this);
			},
		});
		this.ended = new Promise(resolve => {
			this.#settle = resolve;
		});
	}

	/** No client has come for it yet. */
	get background(): boolean {
		return this.#place.background;
	}

	/** What sources gave so far, and how fast. */
	get meter(): Meter {
		return this.#events.meter;
	}

	get followers(): number {
		return this.#followers.size;
	}

	get written(): number {
		return this.#watermark.written;
	}

	/** What an earlier attempt had left on the disk. */
	get resumedFrom(): number {
		return this.#resumedFrom;
	}

	get supplier(): string | undefined {
		return this.#supply?.supplier;
	}

	get contentMd5(): string | undefined {
		return this.#supply?.contentMd5;
	}

	/** What is known of the file from when it is known to be right, before the disk is done with it. */
	get right(): RightFile | undefined {
		return this.#right;
	}

	/** For its turn. */
	get waiting(): boolean {
		return !this.#begun;
	}

	/** Each image that the file is wanted for has its own `onStored`, however many ask for it. */
	tell(image: string, onStored: OnStored): void {
		this.#onStored.add(image, onStored);
	}

	/** Begins to follow, in this very tick. The follower must be closed. */
	follow(start: number, end: number): Follower {
		const follower: Follower = new Follower({
			start,
			end,
			watermark: this.#watermark,
			read: (into, length, position) => this.#read(into, length, position),
			fd: () => this.#fd,
			passThrough: (from, to) => this.#passThrough(from, to),
			onClose: () => {
				this.#left(follower);
			},
			supplier: () => this.supplier,
			contentMd5: () => this.contentMd5,
		});
		this.#followers.add(follower);
		this.#host.metrics.followers.inc();
		this.#errands.hurry();
		this.#place.toClients();
		this.#lend();
		return follower;
	}

	/** Has it fetched without following. Returns how to leave; where nobody wants it any more, that stops it. */
	runErrand(errand: Errand): () => void {
		const leave = this.#errands.add(errand);
		return () => {
			leave();
			this.#leftAlone();
		};
	}

	/** The file has come in otherwise: nobody need wait for a source any more. */
	came(): void {
		this.#comeOtherwise.tell();
		this.#supply?.close();
	}

	/** Stops where it is. What is on the disk stays there for the next attempt. */
	stop(reason: Error): void {
		this.#abort.abort(reason);
	}

	/** Waits for its turn and does the work. Throws nothing. */
	async run(): Promise<void> {
		let end: DownloadEnd;
		try {
			await this.#comeOtherwise.turn(this.#place, this.#abort.signal);
			this.#begun = true;
			const info = await this.#fetch();
			this.#events.ended(info === undefined ? 'uncached' : 'done');
			end = {outcome: info === undefined ? 'uncached' : this.#blob === undefined ? 'fetched' : 'there'};
			if (info !== undefined) {
				await this.#onStored.tell(info);
			}
		} catch (error) {
			if (this.#abort.signal.aborted) {
				this.#events.ended('suspended', asError(error));
				end = {outcome: 'suspended'};
			} else {
				this.#events.failed(error);
				end = {outcome: 'failed', error};
			}
			this.#watermark.fail(error);
		}
		this.#aside.end();
		this.#supply?.close();
		this.#over = true;
		// In the tick in which the file may be let go of: who comes later must find no closed one.
		this.#options.onOver(this);
		this.#place.giveBack();
		await this.#closeUnlessRead();
		// Those who are served straight from upstream go on taking bytes until they leave.
		if (end.outcome !== 'uncached') {
			this.#place.end();
		}
		this.#settle(end);
	}

	/** Goes on in what has come in otherwise. `undefined`: nothing has, or it is gone again. */
	async #leaveOff(): Promise<BlobInfo | undefined> {
		const held = await this.#comeOtherwise.held();
		const [partial, supply] = [this.#partial, this.#supply];
		if (held !== undefined && partial !== undefined && supply !== undefined) {
			try {
				if (!(await isItsBeginning(held, partial, this.#abort.signal))) {
					await this.#wrong(partial, supply, 'the file that came in otherwise does not begin like this', {});
				}
			} catch (error) {
				await held.blob.close();
				throw error;
			}
			await this.#options.store.discard(partial).catch(() => undefined);
		}
		if (held !== undefined) {
			this.#blob = held.blob;
			this.#right = held.info;
			this.#watermark.verified();
		}
		return held?.info;
	}

	async #fetch(): Promise<BlobInfo | undefined> {
		const {store} = this.#options;
		// It may have come in while this transfer waited, for another image or under another size.
		const there = await this.#leaveOff();
		if (there !== undefined) {
			return there;
		}
		const isNew = store.lacks(this.wanted);
		if (isNew && !this.background) {
			// A client waits: sources are asked meanwhile.
			this.#supply = this.#supplyFrom(0);
			this.#supply.askAhead(this.#abort.signal);
		}
		let partial: PartialBlob;
		try {
			partial = await store.partial(this.wanted);
		} catch (error) {
			return await this.#goOnWithoutCaching(error);
		}
		this.#partial = partial;
		this.#resumedFrom = partial.written;
		this.#watermark.advance(partial.written);
		if (this.#supply === undefined || partial.written > 0) {
			this.#supply?.close();
			this.#supply = this.#supplyFrom(partial.written);
		}
		const supply = this.#supply;
		this.#events.begun(partial.written);
		for (let attempt = 1; ; attempt++) {
			try {
				this.#aside.begin(supply);
				const isWhole = await this.#comeOtherwise.during(this.#abort.signal, signal =>
					this.#fill(partial, supply, signal),
				);
				this.#aside.cease();
				if (!isWhole) {
					const info = await this.#leaveOff();
					if (info !== undefined) {
						return info;
					}
					continue;
				}
				// The digests of a large file that was found on the disk take minutes; whoever stops the mirror has seconds.
				const digests = await unlessAborted(partial.deciding(), this.#abort.signal);
				supply.giveBack(partial.rest());
				const problem = wrongness(this.wanted, digests, supply.contentMd5);
				if (problem === undefined) {
					// Clients are owed the bytes, not the durability: the tail goes before the disk is done.
					const storedAtMs = this.#host.clock.now();
					this.#right = {sha1: digests.sha1, md5: digests.md5, storedAtMs};
					this.#watermark.verified();
					const source = supply.supplier ?? fromDisk;
					const origin = {source, storedAtMs, toldMd5: supply.contentMd5};
					return await commitPartial(partial, origin, {store, events: this.#events, signal: this.#abort.signal});
				}
				await this.#wrong(partial, supply, problem, digests);
				if (attempt >= maxVerifications) {
					throw new IntegrityError(problem);
				}
			} catch (error) {
				if (error instanceof NoSpaceError) {
					return await this.#goOnWithoutCaching(error);
				}
				throw error;
			}
		}
	}

	#supplyFrom(position: number): Supply {
		const {suppliers, retries, patienceMs} = this.#options;
		return new Supply({
			...{wanted: this.wanted, suppliers, host: this.#host, retries, patienceMs, position},
			isBackground: () => this.background || this.#followers.size === 0,
			waits: waits => this.#lend(waits),
		});
	}

	async #fill(partial: PartialBlob, supply: Supply, signal: AbortSignal): Promise<void> {
		for (;;) {
			signal.throwIfAborted();
			const chunks = await supply.next(signal);
			if (chunks === undefined) {
				return;
			}
			if (chunks === 'restart') {
				// The generation first: a read under way must find out that it read across the change.
				this.#watermark.restart();
				await partial.restart();
				continue;
			}
			const before = partial.written;
			try {
				supply.giveBack(await partial.write(chunks));
			} finally {
				this.#events.moved(partial.written - before);
			}
			this.#watermark.advance(partial.written);
			this.#errands.told(partial.written);
			this.meter.slowed ||= this.#errands.paced;
			await this.#errands.pace(partial.written - before, signal);
		}
	}

	async #wrong(partial: PartialBlob, supply: Supply, problem: string, got: object): Promise<void> {
		const suppliers = [...supply.contributors];
		this.#events.wrong(suppliers, supply.wrong(problem), problem);
		const {uuid, sha1, md5, size} = this.wanted;
		this.#watermark.restart();
		await this.#options.store.quarantine(partial, {expected: {uuid, sha1, md5, size}, got, suppliers});
	}

	async #goOnWithoutCaching(error: unknown): Promise<BlobInfo | undefined> {
		const info = await this.#leaveOff().catch(() => undefined);
		if (info !== undefined) {
			return info;
		}
		this.#events.refused(error);
		this.#supply?.close();
		if (this.#partial !== undefined) {
			await this.#options.store.discard(this.#partial).catch(() => undefined);
		}
		this.#watermark.fail(new NotCaching('the file is not being cached'));
		return undefined;
	}

	#passThrough(start: number, end: number): PassThroughReader {
		const partial = this.#partial;
		const onDisk = partial === undefined || partial.written === 0 ? undefined : {partial, bytes: partial.written};
		return new PassThroughReader({...this.#options, start, end, onDisk});
	}

	get #fd(): number | undefined {
		const fd = this.#blob?.fd ?? this.#partial?.fd ?? -1;
		return fd < 0 ? undefined : fd;
	}

	async #read(into: Buffer, length: number, position: number): Promise<number> {
		if (this.#blob !== undefined) {
			return (await this.#blob.read(into, 0, length, position)).bytesRead;
		}
		if (this.#partial === undefined) {
			throw new MirrorError('a transfer was read before it began');
		}
		return this.#partial.read(into, length, position);
	}

	#left(follower: Follower): void {
		if (!this.#followers.delete(follower)) {
			return;
		}
		this.#host.metrics.followers.dec();
		if (this.#over) {
			void this.#closeUnlessRead();
		} else {
			this.#leftAlone();
			this.#lend();
			this.#supply?.left();
		}
	}

	#lend(waitsForSource = this.#waitsForSource): void {
		this.#waitsForSource = waitsForSource;
		this.#place.lend(waitsForSource || this.#followers.size === 0);
	}

	#leftAlone(): void {
		if (!this.#over && this.#followers.size === 0 && this.#errands.size === 0) {
			this.#options.onAbandoned(this);
		}
	}

	/** Followers may still be reading when the transfer is over, and the transfer may go on when they have left. */
	async #closeUnlessRead(): Promise<void> {
		if (this.#followers.size === 0) {
			this.#place.end();
			if (this.#partial?.written === 0) {
				// Nothing has come of it that anybody could go on with.
				await this.#options.store.discard(this.#partial).catch(() => undefined);
			}
			await this.#partial?.close().catch(() => undefined);
			await this.#blob?.close().catch(() => undefined);
		}
	}
}
