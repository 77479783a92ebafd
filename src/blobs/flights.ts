/**
 * One download per file, however many ask, and a bound on how many run.
 *
 * `join` finds the download under way or begins one, in one tick. What nobody follows any more goes on or is
 * suspended as configured; what was suspended is taken up from the disk when it is asked for again.
 */
import PQueue from 'p-queue';
import {StoppingError, MirrorError} from '../errors.js';
import type {Host} from '../host.js';
import {Download, type RightFile, type OnStored} from './download.js';
import type {Follower} from './follower.js';
import type {Wanted} from './partial.js';
import type {BlobStore} from './store.js';
import type {Supplier} from './supply.js';

export interface FlightLimits {
	/** Downloads at once. */
	readonly concurrent: number;
	/** A download that nobody follows any more goes on if less than this is left. */
	readonly finishAbandonedBytes: number;
	readonly retries: number;
}

export interface FlightStatus {
	readonly image: string;
	readonly file: string;
	readonly size: number;
	readonly written: number;
	readonly resumedFrom: number;
	readonly followers: number;
	readonly source: string | undefined;
	readonly waiting: boolean;
	readonly sinceMs: number;
}

/** Clients before whatever is fetched ahead of them. */
const clientPriority = 10;

export class Flights {
	readonly #store: BlobStore;
	readonly #host: Host;
	readonly #queue: PQueue;
	/** By key and size: a manifest may lie about the size of a file, and whoever believes it must not follow the right one. */
	readonly #downloads = new Map<string, Download>();
	/** Each key's last run, so that a new one begins only when the old has let go of the partial. */
	readonly #runs = new Map<string, Promise<unknown>>();
	#limits: FlightLimits;
	#stopping = false;

	constructor({store, host, limits}: {store: BlobStore; host: Host; limits: FlightLimits}) {
		this.#store = store;
		this.#host = host;
		this.#limits = limits;
		this.#queue = new PQueue({concurrency: limits.concurrent});
	}

	setLimits(limits: FlightLimits): void {
		this.#limits = limits;
		this.#queue.concurrency = limits.concurrent;
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
		const download = under ?? this.#begin(options);
		download.tell(wanted.uuid, onStored);
		return {follower: download.follow(start, end), joined: under !== undefined};
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
			sinceMs: download.beganAtMs,
		}));
	}

	/** Stops all transfers so that they can be taken up again. Resolves when the disk has what came in. */
	async suspend(): Promise<void> {
		this.#stopping = true;
		for (const download of this.#downloads.values()) {
			download.stop(new StoppingError('the mirror is stopping'));
		}
		await Promise.all(this.#runs.values());
	}

	#begin(options: {readonly wanted: Wanted; readonly suppliers: () => readonly Supplier[]}): Download {
		const {wanted, suppliers} = options;
		const download = new Download({
			wanted,
			suppliers,
			store: this.#store,
			host: this.#host,
			retries: this.#limits.retries,
			onAbandoned: abandoned => {
				this.#abandoned(abandoned);
			},
			onOver: over => {
				this.#forget(over);
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
		await this.#queue.add(
			async () => {
				this.#count();
				await download.run();
			},
			{priority: clientPriority},
		);
		this.#count();
	}

	#abandoned(download: Download): void {
		const left = download.wanted.size - download.written;
		// With nothing left it is being verified or put in its place: whatever it cost has been paid.
		if (left === 0 || left < this.#limits.finishAbandonedBytes) {
			return;
		}
		// Out of the map in the same tick: whoever comes now begins a new one, which waits for this one's end.
		this.#forget(download);
		download.stop(new MirrorError('nobody follows it any more'));
	}

	#forget(download: Download): void {
		const name = nameOf(download.wanted);
		if (this.#downloads.get(name) === download) {
			this.#downloads.delete(name);
		}
	}

	#count(): void {
		this.#host.metrics.transfersRunning.set(this.#queue.pending);
		this.#host.metrics.transfersWaiting.set(this.#queue.size);
	}
}

function nameOf({key, size}: Wanted): string {
	return `${key} ${size}`;
}
