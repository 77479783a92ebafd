/**
 * A rule's window as something to wait at: fetching begins when it is open, and ends when it shuts.
 *
 * Transfers are cut off at that moment instead of being slowed to nothing: no source has a connection held open until
 * the next night, and what is on the disk stays there.
 */
import {pause, type Clock, type Timer} from '../host.js';
import {isOpen, nextChangeMs, type DayWindow} from './schedule.js';

/** The machine's time may be set anew meanwhile, so nobody sleeps longer than this without looking. */
export const longestSleepMs = 60 * 60 * 1000;

/** The gate stood open from now on, until `shut` is aborted or whoever came in goes out by `end`. */
export interface Opening {
	readonly shut: AbortSignal;
	end(): void;
}

export class Gate {
	readonly #clock: Clock;
	readonly #window: DayWindow | undefined;

	constructor(clock: Clock, window: DayWindow | undefined) {
		this.#clock = clock;
		this.#window = window;
	}

	get isOpen(): boolean {
		return isOpen(this.#window, this.#clock.now());
	}

	/** Resolves as soon as it is open. Rejects with the signal's reason. */
	async opened(signal: AbortSignal): Promise<Opening> {
		signal.throwIfAborted();
		while (!this.isOpen) {
			await pause(this.#clock, this.#sleepMs(), signal);
		}
		const shut = new AbortController();
		let timer: Timer | undefined;
		const watch = (): void => {
			if (!this.isOpen) {
				shut.abort();
			} else if (nextChangeMs(this.#window, this.#clock.now()) < Infinity) {
				timer = this.#clock.after(this.#sleepMs(), watch);
			}
		};
		watch();
		return {
			shut: shut.signal,
			end() {
				timer?.cancel();
			},
		};
	}

	#sleepMs(): number {
		const now = this.#clock.now();
		return Math.min(longestSleepMs, nextChangeMs(this.#window, now) - now);
	}
}
