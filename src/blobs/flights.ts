/**
 * One download per file, however many ask, and a bound on how many run.
 *
 * `join` finds the download under way or begins one, in one tick; `fetch` does so for nobody in particular. Clients go
 * first: what is in the background stands still while a client's download takes bytes, and becomes a client's when one
 * comes for it. What nobody follows any more goes on or is suspended as configured; what was suspended is taken up from
 * the disk when it is asked for again.
 */
import {IntegrityError, MirrorError, StoppingError} from '../errors.js';
import type {Host} from '../host.js';
import type {Sha1} from '../image/manifest.js';
import type {FlightStatus} from './flight-status.js';
import {Download, type OnStored, type RightFile} from './download.js';
import type {Pace} from './errands.js';
import type {Follower} from './follower.js';
import type {Wanted} from './partial.js';
import type {Meter} from './meter.js';
import {Passages} from './passages.js';
import {Places, type PlaceLimits} from './places.js';
import type {BlobInfo, BlobStore} from './store.js';
import type {Supplier} from './supply.js';
import {unlessAborted} from './unless-aborted.js';

export type {FlightStatus} from './flight-status.js';

export interface FlightLimits {
	/** Downloads at once that clients wait for. */
	readonly concurrent: number;
	/** Downloads at once that nobody waits for. */
	readonly background?: number;
	/** A download that nobody follows any more goes on if less than this is left. */
	readonly finishAbandonedBytes: number;
	readonly retries: number;
	/** How long clients wait for a source that cannot be reached any more; see `CandidatesOptions`. */
	readonly patienceMs?: number;
}

export interface FetchOptions {
	readonly wanted: Wanted;
	readonly suppliers: () => readonly Supplier[];
	/** Called with the blob that comes of it, or that is here already. */
	readonly onStored: OnStored;
	/** Waited for with every batch of bytes; from when a client comes for the file no more. */
	readonly pace?: Pace | undefined;
	/** Called with how many bytes of the file are on the disk. */
	readonly onProgress?: ((bytes: number) => void) | undefined;
	/** Ends the fetch. What is on the disk stays; where others want the file it goes on without this one. */
	readonly signal: AbortSignal;
}

const backgroundUnlessSaid = 2;
/** So many of the last downloads tell how fast they are. */
const ratedDownloads = 20;

export class Flights {
	readonly #store: BlobStore;
	readonly #host: Host;
	readonly #places: Places;
	readonly #passages = new Passages();
	/** By key and size: a manifest may lie about the size of a file, and whoever believes it must not follow the right one. */
	readonly #downloads = new Map<string, Download>();
	/** Each key's last run, so that a new one begins only when the old has let go of the partial. */
	readonly #runs = new Map<string, Promise<unknown>>();
	/** Of the last downloads that had anything of a source. */
	#meters: readonly Meter[] = [];
	#limits: FlightLimits;
	#stopping = false;

	constructor({store, host, limits}: {store: BlobStore; host: Host; limits: FlightLimits}) {
		this.#store = store;
		this.#host = host;
		this.#limits = limits;
		this.#places = new Places({
			limits: placeLimits(limits),
			onChange: () => {
				this.#count();
			},
		});
	}

	setLimits(limits: FlightLimits): void {
		this.#limits = limits;
		this.#places.setLimits(placeLimits(limits));
	}

	has(wanted: Wanted): boolean {
		return this.#downloads.has(nameOf(wanted));
	}

	/**
	 * The file on its way if all of it is here and right, and only the disk is not done. A client that has just had the
	 * last byte may ask again before it is.
	 */
	right(wanted: Wanted): RightFile | undefined {
		return this.#downloads.get(nameOf(wanted))?.right;
	}

	/** Follows the download of this file, which is begun if there is none. The follower must be closed. */
	join(options: {
		readonly wanted: Wanted;
		readonly suppliers: () => readonly Supplier[];
		readonly start: number;
		readonly end: number;
		/** Called with the blob that comes of it, once for each image that it is wanted for. */
		readonly onStored: OnStored;
	}): {readonly follower: Follower; readonly joined: boolean} {
		if (this.#stopping) {
			throw new StoppingError('the mirror is stopping');
		}
		const {wanted, start, end, onStored} = options;
		const under = this.#downloads.get(nameOf(wanted));
		this.#clear(wanted.key, under);
		const download = under ?? this.#begin(options, {background: false});
		download.tell(wanted.uuid, onStored);
		return {follower: download.follow(start, end), joined: under !== undefined};
	}

	/**
	 * Fetches a file for nobody in particular, whenever no client is in need of the sources. Throws what it failed with,
	 * or the signal's reason. `there`: the file is here already; `uncached`: the disk does not take it.
	 */
	async fetch(options: FetchOptions): Promise<'fetched' | 'there' | 'uncached'> {
		const {wanted, onStored, signal} = options;
		for (let jumps = false; ; jumps = true) {
			signal.throwIfAborted();
			if (this.#stopping) {
				throw new StoppingError('the mirror is stopping');
			}
			const held = this.#held(wanted);
			if (held !== undefined) {
				await onStored(held);
				return 'there';
			}
			const download = this.#downloads.get(nameOf(wanted)) ?? this.#begin(options, {background: true, jumps});
			download.tell(wanted.uuid, onStored);
			const leave = download.runErrand(options);
			try {
				const end = await unlessAborted(download.ended, signal);
				if (end.outcome === 'failed') {
					throw end.error;
				}
				if (end.outcome !== 'suspended') {
					return end.outcome;
				}
			} finally {
				leave();
			}
		}
	}

	/** A file has come in otherwise than by a transfer: those who wait for it have it. */
	came(sha1: Sha1): void {
		for (const download of this.#downloads.values()) {
			if (download.wanted.sha1 === sha1) {
				download.came();
			}
		}
	}

	status(): readonly FlightStatus[] {
		return [...this.#downloads.values()].map(download => ({
			image: download.wanted.uuid,
			file: download.wanted.key,
			size: download.wanted.size,
			written: download.written,
			resumedFrom: download.resumedFrom,
			followers: download.followers,
			source: download.supplier,
			waiting: download.waiting,
			background: download.background,
			passing: false,
			bytesPerSecond: download.meter.bytesPerSecond,
			sinceMs: download.beganAtMs,
		}));
	}

	/** What is on its way to clients only: the disk does not take it. One file may be there several times. */
	passing(): readonly FlightStatus[] {
		return this.#passages.status();
	}

	/** Bytes per second that a download has had lately; `undefined`: nothing to go by. */
	rate(): number | undefined {
		const all = [...this.#meters, ...[...this.#downloads.values()].map(({meter}) => meter)];
		// One that was slowed down does not tell how fast it could have been.
		const free = all.filter(({bytes, slowed}) => bytes > 0 && !slowed);
		const counted = free.length > 0 ? free : all;
		const bytes = counted.reduce((sum, one) => sum + one.bytes, 0);
		const ms = counted.reduce((sum, one) => sum + one.ranMs, 0);
		return bytes > 0 && ms > 0 ? (bytes / ms) * 1000 : undefined;
	}

	/** Stops all transfers so that they can be taken up again. Resolves when the disk has what came in. */
	async suspend(): Promise<void> {
		this.#stopping = true;
		for (const download of this.#downloads.values()) {
			download.stop(new StoppingError('the mirror is stopping'));
		}
		await Promise.all(this.#runs.values());
	}

	#begin(
		{wanted, suppliers}: {readonly wanted: Wanted; readonly suppliers: () => readonly Supplier[]},
		how: {readonly background: boolean; readonly jumps?: boolean},
	): Download {
		const download = new Download({
			wanted,
			suppliers,
			store: this.#store,
			host: this.#host,
			retries: this.#limits.retries,
			patienceMs: this.#limits.patienceMs,
			place: this.#places.begin(how),
			passages: this.#passages,
			onAbandoned: abandoned => {
				this.#abandoned(abandoned);
			},
			onKeptWaiting: waiting => {
				this.#suspend(waiting, 'clients go first');
			},
			onOver: over => {
				this.#forget(over);
				this.#meters = [...this.#meters, over.meter].filter(({bytes}) => bytes > 0).slice(-ratedDownloads);
			},
		});
		this.#downloads.set(nameOf(wanted), download);
		const before = this.#runs.get(wanted.key);
		const run = this.#run(download, before).finally(() => {
			if (this.#runs.get(wanted.key) === run) {
				this.#runs.delete(wanted.key);
			}
		});
		this.#runs.set(wanted.key, run);
		return download;
	}

	async #run(download: Download, before: Promise<unknown> | undefined): Promise<void> {
		await before;
		await download.run();
	}

	/** `undefined`: it is not here. */
	#held({sha1, size}: Wanted): BlobInfo | undefined {
		const info = sha1 === undefined ? undefined : this.#store.stat(sha1);
		if (info !== undefined && info.size !== size) {
			throw new IntegrityError(`the file with this SHA-1 has ${info.size} bytes, its manifest says ${size}`);
		}
		return info;
	}

	/** A client must not wait for what has the same partial and is in the background. */
	#clear(key: string, wanted: Download | undefined): void {
		for (const download of [...this.#downloads.values()]) {
			if (download.wanted.key === key && download !== wanted && download.background) {
				this.#suspend(download, 'a client wants another file of that name');
			}
		}
	}

	#abandoned(download: Download): void {
		const left = download.wanted.size - download.written;
		// With nothing left it is being verified or put in its place: whatever it cost has been paid.
		if (left === 0 || (left < this.#limits.finishAbandonedBytes && !download.background)) {
			return;
		}
		this.#suspend(download, 'nobody follows it any more');
	}

	#suspend(download: Download, reason: string): void {
		// Out of the map in the same tick: whoever comes now begins a new one, which waits for this one's end.
		this.#forget(download);
		download.stop(new MirrorError(reason));
	}

	#forget(download: Download): void {
		const name = nameOf(download.wanted);
		if (this.#downloads.get(name) === download) {
			this.#downloads.delete(name);
		}
	}

	#count(): void {
		const {transfersRunning, transfersWaiting, transfersBackground} = this.#host.metrics;
		const ahead = {running: this.#places.count('held', true), waiting: this.#places.count('waiting', true)};
		transfersRunning.set(this.#places.count('held', false) + ahead.running);
		transfersWaiting.set(this.#places.count('waiting', false) + ahead.waiting);
		for (const [state, number] of Object.entries(ahead)) {
			transfersBackground.set({state}, number);
		}
	}
}

function nameOf({key, size}: Wanted): string {
	return `${key} ${size}`;
}

function placeLimits({concurrent, background = backgroundUnlessSaid}: FlightLimits): PlaceLimits {
	return {clients: concurrent, background};
}
