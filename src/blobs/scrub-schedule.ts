/**
 * When which file is to be read again: so long after it was last found right, the oldest first, within a part of the day.
 *
 * The scrub does the reading. Nothing but the times of files is remembered, so that after a restart it goes on where
 * it was; what has become due together while nothing ran is read one after the other.
 */
import {describe} from '../errors.js';
import {pause, type Host} from '../host.js';
import type {Sha1} from '../image/manifest.js';
import type {BlobInfo} from './blob-info.js';
import {opensAtMs, type DayWindow} from './day-window.js';

export interface SchedulePart {
	readonly store: {list(): Iterable<BlobInfo>};
	readonly host: Host;
	readonly memory: {get(sha1: Sha1): number | undefined};
	readonly options: () => {readonly everyMs: number; readonly window: DayWindow | undefined};
	/** Reads them; ends early where the part of the day does. Throws the signal's reason. */
	readonly run: (due: readonly BlobInfo[], signal: AbortSignal) => Promise<void>;
}

/** A start has other things to do. */
const firstMs = 60_000;
/** New files, and a clock that was set, are noticed so soon. */
const longestMs = 3_600_000;
const dayMs = 24 * 3_600_000;
/** What is due later than that is never due. */
const mostEveryMs = 50 * 365 * dayMs;

export class ScrubSchedule {
	readonly #parts: SchedulePart;
	readonly #host: Host;
	/** Files that the disk did not give, and when to try them again. */
	readonly #putOff = new Map<Sha1, number>();
	#abort: AbortController | undefined;
	#loop: Promise<void> = Promise.resolve();
	#wake = new AbortController();
	#notBeforeMs = 0;

	constructor(parts: SchedulePart) {
		this.#parts = parts;
		this.#host = parts.host;
	}

	start(): void {
		if (this.#abort === undefined) {
			const abort = (this.#abort = new AbortController());
			this.#notBeforeMs = this.#host.clock.now() + firstMs;
			this.#loop = this.#work(abort.signal);
		}
	}

	async stop(): Promise<void> {
		this.#abort?.abort(new Error('stopped'));
		this.#abort = undefined;
		await this.#loop;
	}

	/** The options are others. */
	look(): void {
		this.#wake.abort(new Error('look again'));
	}

	/** Not to be read again for a day. */
	putOff(sha1: Sha1): void {
		this.#putOff.set(sha1, this.#host.clock.now() + Math.min(dayMs, this.#parts.options().everyMs));
	}

	/** `undefined`: nothing will be due, or nothing is scheduled. */
	nextAtMs(): number | undefined {
		const {everyMs, window} = this.#parts.options();
		if (this.#abort === undefined || everyMs >= mostEveryMs) {
			return undefined;
		}
		let earliest = Infinity;
		for (const info of this.#parts.store.list()) {
			earliest = Math.min(earliest, this.#dueAtMs(info));
		}
		if (earliest === Infinity) {
			return undefined;
		}
		const atMs = Math.max(earliest, this.#notBeforeMs, this.#host.clock.now());
		return window === undefined ? atMs : opensAtMs(window, atMs);
	}

	async #work(signal: AbortSignal): Promise<void> {
		const {clock, log} = this.#host;
		const isStopped = (): boolean => signal.aborted;
		while (!isStopped()) {
			try {
				const nextAtMs = this.nextAtMs();
				if (nextAtMs === undefined || nextAtMs > clock.now()) {
					this.#wake = new AbortController();
					const ms = Math.min(longestMs, (nextAtMs ?? Infinity) - clock.now());
					await pause(clock, ms, AbortSignal.any([signal, this.#wake.signal])).catch(() => undefined);
					continue;
				}
				await this.#parts.run(this.#due(), signal);
			} catch (error) {
				if (isStopped()) {
					return;
				}
				log.error({problem: describe(error)}, 'files could not be read again');
			}
			// Files were stored one by one: reading each in the minute it is due would be a run for each.
			const restMs = Math.min(longestMs, this.#parts.options().everyMs / 24);
			this.#notBeforeMs = clock.now() + restMs;
		}
	}

	#due(): readonly BlobInfo[] {
		const now = this.#host.clock.now();
		return [...this.#parts.store.list()]
			.map(info => ({info, dueAtMs: this.#dueAtMs(info)}))
			.filter(({dueAtMs}) => dueAtMs <= now)
			.sort((a, b) => a.dueAtMs - b.dueAtMs)
			.map(({info}) => info);
	}

	#dueAtMs({sha1, storedAtMs}: BlobInfo): number {
		const {everyMs} = this.#parts.options();
		const rightAtMs = Math.max(this.#parts.memory.get(sha1) ?? 0, storedAtMs);
		// Written by a clock that ran far ahead: nobody knows when that was.
		const isBogus = rightAtMs > this.#host.clock.now() + dayMs;
		return Math.max((isBogus ? 0 : rightAtMs) + everyMs, this.#putOff.get(sha1) ?? 0);
	}
}
