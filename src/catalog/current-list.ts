/**
 * The merged list as clients are given it: whether there is enough of it to be given, and whether it is old.
 *
 * Whoever asks for it reminds the sources of their age, so that one whose list has become old is asked again behind.
 */
import {absentFromLists, asError, NotFoundError, SourceUnavailableError, type SilentSource} from '../errors.js';
import type {Clock} from '../host.js';
import {fromPlaceOf, markerUuid, runImageQuery, type ImageQuery} from '../image/query.js';
import type {Ask} from '../sources/source.js';
import {firstLists, nobodyWaits, type FirstListsOwner} from './first-lists.js';
import {LatelyGone} from './lately-gone.js';
import {Listings, type ListBytes} from './listing.js';
import type {MergedList} from './merged-list.js';
import type {Snapshot} from './options.js';
import type {SourceList} from './source-list.js';
import {untilAborted} from './waiting.js';

/** A list as bytes ready to send. */
export interface CurrentBytes extends ListBytes {
	readonly cache: Snapshot['cache'];
}

export interface CurrentOwner {
	readonly clock: Clock;
	readonly merged: MergedList;
	readonly lists: () => readonly SourceList[];
	readonly isStopped: () => boolean;
	/** Throws StoppingError. */
	readonly checkRunning: () => void;
	/** The same, and reminds the sources of their age. */
	readonly touch: () => void;
	/** It came from us in the first place. */
	readonly isCircle: (ask: Ask) => boolean;
}

export class CurrentList {
	readonly #owner: CurrentOwner;
	readonly #graceMs: number;
	readonly #listings: Listings;
	readonly #gone: LatelyGone;
	readonly #first: Pick<FirstListsOwner, 'isEmpty' | 'lists'>;

	/** `graceMs`: for sources that are asked for the first time. `maxBytes`: for the lists kept as bytes. */
	constructor(
		owner: CurrentOwner,
		{graceMs = 2000, maxBytes}: {graceMs: number | undefined; maxBytes: number | undefined},
	) {
		this.#owner = owner;
		this.#graceMs = graceMs;
		this.#gone = new LatelyGone(owner.clock);
		this.#listings = new Listings(maxBytes === undefined ? {} : {maxBytes});
		this.#first = {lists: owner.lists, isEmpty: () => this.#isEmpty()};
	}

	/** As it is, without waiting. */
	snapshot(): Snapshot {
		const {merged} = this.#owner;
		let isStale = false;
		let silent: SourceList | undefined;
		for (const list of this.#owner.lists()) {
			if (list.known) {
				isStale ||= list.stale;
			} else {
				silent ??= list;
			}
		}
		const cache = isStale || silent !== undefined ? 'stale' : 'hit';
		this.#gone.see(merged.merged.images);
		return {version: merged.version, images: merged.merged.images, cache, silent: silent && whyOf(silent)};
	}

	/**
	 * As it should be served: at once if anything is known, but for a short grace to sources asked for the first time.
	 * Throws SourceUnavailableError where nothing is known and nobody answered.
	 */
	async get(ask: Ask): Promise<Snapshot> {
		this.#owner.touch();
		const {clock, merged, isStopped, isCircle, lists} = this.#owner;
		const hasWaited = await firstLists(ask, {
			...{clock, ...this.#first, graceMs: this.#graceMs},
			mayWait: () => !isStopped() && !isCircle(ask),
			settled: () => merged.settled(),
		});
		this.#owner.checkRunning();
		if (this.#isEmpty() && lists().length > 0) {
			const problem = lists().find(list => list.lastError !== undefined)?.lastError;
			const names = lists()
				.map(({name}) => name)
				.join(', ');
			throw new SourceUnavailableError(names, `no list yet: ${problem ?? 'it has not answered so far'}`);
		}
		const snapshot = this.snapshot();
		return hasWaited ? {...snapshot, cache: 'miss'} : snapshot;
	}

	/** Those that match. */
	async search(query: ImageQuery, ask: Ask): Promise<Snapshot> {
		const current = await this.get(ask);
		return this.#fromMarker(query, current, from => ({...current, images: runImageQuery(from, current.images)}));
	}

	/** What `get` would give at once; `undefined`: it would take longer. */
	state(): Snapshot | undefined {
		this.#owner.touch();
		return nobodyWaits(this.#first) ? this.snapshot() : undefined;
	}

	/** The same as bytes. */
	async bytes(query: ImageQuery, ask: Ask): Promise<CurrentBytes> {
		const ready = this.ready(query);
		if (ready !== undefined) {
			return ready;
		}
		const current = await this.get(ask);
		const {version, images, cache} = current;
		return this.#fromMarker(query, current, async from => {
			const bytes = await untilAborted(this.#listings.get(version, from, images), ask.signal);
			return {...bytes, cache};
		});
	}

	/** Its marker may be an image that has just gone. */
	async #fromMarker<T>(query: ImageQuery, current: Snapshot, run: (query: ImageQuery) => Promise<T> | T): Promise<T> {
		try {
			return await run(query);
		} catch (error) {
			const uuid = error instanceof NotFoundError ? markerUuid(query) : undefined;
			const gone = uuid && this.#gone.image(uuid);
			const from = gone && fromPlaceOf(gone, query);
			if (from === undefined) {
				throw unlessAllSaySo(error, current);
			}
			return run(from);
		}
	}

	/** What `bytes` would give at once, as others have been given it before; `undefined`: it would take longer. */
	ready(query: ImageQuery): CurrentBytes | undefined {
		const state = this.state();
		if (state === undefined) {
			return undefined;
		}
		const {version, cache} = state;
		const kept = this.#listings.kept(version, query);
		if (kept === undefined) {
			return undefined;
		}
		// One by one: this is asked for with every request, and a spread object would be of another kind each time.
		const {chunks, parts, length, etag, encodings, encoded} = kept;
		return {chunks, parts, length, etag, encodings, encoded, cache};
	}

	/** There is nothing to say yet. */
	#isEmpty(): boolean {
		const {merged, lists} = this.#owner;
		return merged.merged.images.length === 0 && !lists().some(list => list.known);
	}
}

function whyOf({name, lastError}: SourceList): SilentSource {
	return {source: name, problem: lastError ?? 'it has not answered so far'};
}

/** That the image of a marker is not there is for every source to say. */
function unlessAllSaySo(error: unknown, {silent}: Snapshot): Error {
	return error instanceof NotFoundError ? absentFromLists(error.message, silent) : asError(error);
}
