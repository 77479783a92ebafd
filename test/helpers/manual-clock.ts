/**
 * A clock that only a test moves.
 *
 * Parts take it as their `Clock`; the test calls `advance` and finds every timer that came due run, in order, with
 * what it set off through promises done. It starts at a fixed time and knows nothing of the machine's.
 */
import type {Clock, Timer} from '../../src/host.js';

interface Pending {
	readonly dueAt: number;
	readonly run: () => void;
}

export class ManualClock implements Clock {
	#now: number;
	// In the order in which they were set, which is the order among those due at one instant.
	readonly #pending = new Set<Pending>();
	readonly #watchers = new Set<() => void>();

	constructor(startAt: number | string = '2026-01-01T00:00:00.000Z') {
		this.#now = typeof startAt === 'number' ? startAt : Date.parse(startAt);
	}

	now(): number {
		return this.#now;
	}

	after(delayMs: number, run: () => void): Timer {
		const timer: Pending = {dueAt: this.#now + Math.max(0, delayMs), run};
		this.#pending.add(timer);
		for (const watcher of [...this.#watchers]) {
			watcher();
		}
		return {
			cancel: () => {
				this.#pending.delete(timer);
			},
		};
	}

	/** How many timers are set. */
	get pending(): number {
		return this.#pending.size;
	}

	/** Milliseconds until the next timer is due; `undefined`: none is set. */
	get nextInMs(): number | undefined {
		const next = this.#next();
		return next === undefined ? undefined : next.dueAt - this.#now;
	}

	/** Resolves once at least `count` timers are set: somebody waits, so the clock may be moved. */
	async timers(count = 1): Promise<void> {
		await this.#when(() => this.#pending.size >= count);
	}

	/** Resolves once a timer is set that is due in at least `fromMs` and at most `toMs`. */
	async timerDueIn(fromMs: number, toMs: number): Promise<void> {
		await this.#when(() =>
			[...this.#pending].some(({dueAt}) => dueAt - this.#now >= fromMs && dueAt - this.#now <= toMs),
		);
	}

	/** Moves the time on, stopping at each timer that comes due on the way (also those that are set meanwhile). */
	async advance(ms: number): Promise<void> {
		const until = this.#now + ms;
		await settle();
		for (let next = this.#next(); next !== undefined && next.dueAt <= until; next = this.#next()) {
			this.#now = Math.max(this.#now, next.dueAt);
			this.#pending.delete(next);
			next.run();
			await settle();
		}
		this.#now = until;
	}

	/** Moves the time on to the next timer and runs it; waits for one to be set first. */
	async next(): Promise<void> {
		await this.timers();
		await this.advance(this.nextInMs ?? 0);
	}

	#next(): Pending | undefined {
		let next: Pending | undefined;
		for (const timer of this.#pending) {
			if (next === undefined || timer.dueAt < next.dueAt) {
				next = timer;
			}
		}
		return next;
	}

	#when(holds: () => boolean): Promise<void> {
		return new Promise(resolve => {
			const look = (): void => {
				if (holds()) {
					this.#watchers.delete(look);
					resolve();
				}
			};
			this.#watchers.add(look);
			look();
		});
	}
}

/** Lets promises that wait for nothing but each other run to their end. What waits for a socket or a disk does not. */
export async function settle(): Promise<void> {
	for (let turn = 0; turn < 5; turn++) {
		await new Promise(resolve => setImmediate(resolve));
	}
}
