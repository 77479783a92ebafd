/**
 * Having many images fetched, a few at once: in order, again where one failed, and only while the gate is open.
 *
 * A run of a rule and a one-off are a batch each. The queue is shared by all rules; each batch has only as many in it
 * as run at once, so that one with thousands of images keeps no other waiting.
 */
import type PQueue from 'p-queue';
import {NoSpaceError, NotFoundError, asError, describe} from '../errors.js';
import {pause, type Host} from '../host.js';
import type {AheadApi, Pace} from '../mirror-ahead-api.js';
import type {Gate} from './gate.js';
import type {ChosenImage} from './select.js';

export interface BatchWatch {
	/** Its first try. */
	begun?(image: ChosenImage): void;
	/** Bytes of it that have come so far, those from before included. */
	progress?(image: ChosenImage, bytes: number): void;
	/** Called once for each image, but for those that are not wanted any more or that the end of the batch cut off. */
	done(image: ChosenImage, outcome: 'fetched' | 'there' | 'uncached' | 'failed', problem?: string): void;
}

interface Entry {
	readonly image: ChosenImage;
	tries: number;
	begun: boolean;
}

export class Batch {
	readonly #host: Host;
	readonly #ahead: AheadApi;
	readonly #queue: PQueue;
	readonly #gate: Gate;
	readonly #pace: Pace | undefined;
	readonly #retryAfterMs: readonly number[];
	readonly #isWanted: (image: ChosenImage) => boolean;
	readonly #watch: BatchWatch;
	/** The disk had no room for one of this size. */
	#tooBig = Infinity;

	constructor(options: {
		readonly host: Host;
		readonly ahead: AheadApi;
		readonly queue: PQueue;
		readonly gate: Gate;
		readonly pace: Pace | undefined;
		/** Pauses before an image is tried a second time, a third, … */
		readonly retryAfterMs: readonly number[];
		/** Asked when it is an image's turn. */
		readonly isWanted?: (image: ChosenImage) => boolean;
		readonly watch: BatchWatch;
	}) {
		this.#host = options.host;
		this.#ahead = options.ahead;
		this.#queue = options.queue;
		this.#gate = options.gate;
		this.#pace = options.pace;
		this.#retryAfterMs = options.retryAfterMs;
		this.#isWanted = options.isWanted ?? (() => true);
		this.#watch = options.watch;
	}

	/** Resolves once all are done. Rejects with the signal's reason, when nothing of it runs any more. */
	async run(images: readonly ChosenImage[], signal: AbortSignal): Promise<void> {
		let pending: readonly Entry[] = images.map(image => ({image, tries: 0, begun: false}));
		let round = 0;
		while (pending.length > 0) {
			const opening = await this.#gate.opened(signal);
			try {
				pending = await this.#round(pending, AbortSignal.any([signal, opening.shut]));
			} finally {
				opening.end();
			}
			signal.throwIfAborted();
			// A round that the gate cut short goes on as soon as it opens: waiting for that is pause enough.
			if (pending.length > 0 && !opening.shut.aborted) {
				await pause(this.#host.clock, this.#retryAfterMs[round++] ?? 0, signal);
			}
		}
	}

	/** Everything once. Returns what is to be tried again. */
	async #round(entries: readonly Entry[], signal: AbortSignal): Promise<readonly Entry[]> {
		const again = new Set<Entry>();
		let next = 0;
		const lane = async (): Promise<void> => {
			for (let entry = entries[next++]; entry !== undefined; entry = entries[next++]) {
				if (signal.aborted || !(await this.#turn(entry, signal))) {
					again.add(entry);
				}
			}
		};
		await Promise.all(Array.from({length: Math.min(this.#queue.concurrency, entries.length)}, lane));
		return entries.filter(entry => again.has(entry));
	}

	/** Whether the image is done with. */
	async #turn(entry: Entry, signal: AbortSignal): Promise<boolean> {
		// The queue does not wait for what it aborts; whoever ends a batch wants it to have ended.
		const begun: Promise<boolean>[] = [];
		try {
			await this.#queue.add(
				() => {
					const running = this.#fetch(entry, signal);
					begun.push(running);
					return running;
				},
				{signal},
			);
		} catch (error) {
			if (!signal.aborted) {
				throw error;
			}
		}
		const [isDone = false] = await Promise.all(begun);
		return isDone;
	}

	async #fetch(entry: Entry, signal: AbortSignal): Promise<boolean> {
		const {image} = entry;
		const {uuid} = image.image.manifest;
		if (!this.#isWanted(image)) {
			return true;
		}
		if (image.bytes >= this.#tooBig && !this.#ahead.isHere(uuid)) {
			// To fetch it in vain would cost the line as much as to fetch it.
			this.#watch.done(image, 'failed', 'the disk has no room for it');
			return true;
		}
		entry.tries++;
		if (!entry.begun) {
			entry.begun = true;
			this.#watch.begun?.(image);
		}
		try {
			const outcome = await this.#ahead.fetchAhead(uuid, {
				pace: this.#pace,
				onProgress: bytes => this.#watch.progress?.(image, bytes),
				signal,
			});
			if (outcome === 'uncached') {
				this.#tooBig = Math.min(this.#tooBig, image.bytes);
				this.#watch.done(image, outcome, 'the disk did not take it');
			} else {
				this.#watch.done(image, outcome);
			}
			return true;
		} catch (error) {
			return this.#failed(entry, error, signal);
		}
	}

	#failed(entry: Entry, error: unknown, signal: AbortSignal): boolean {
		const {image} = entry;
		if (signal.aborted) {
			// Cut off, which is no failure of the image.
			entry.tries--;
			return false;
		}
		if (error instanceof NoSpaceError) {
			this.#tooBig = Math.min(this.#tooBig, image.bytes);
		}
		const isHopeless = error instanceof NoSpaceError || error instanceof NotFoundError;
		if (isHopeless || entry.tries > this.#retryAfterMs.length) {
			this.#watch.done(image, 'failed', describe(error));
			return true;
		}
		const {uuid, name, version} = image.image.manifest;
		this.#host.log.debug({image: uuid, name, version, err: asError(error)}, 'prefetch: to be tried again');
		return false;
	}
}
