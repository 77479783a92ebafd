/**
 * So many bytes per second and no more, by the clock of the host.
 *
 * Whoever takes bytes owes the time that they are worth, and waits for it. Shares of less than a tick add up.
 */
import {pause, type Clock} from '../host.js';

/** Timers are no finer than this. */
const tickMs = 10;

export class RateLimit {
	readonly #clock: Clock;
	readonly #bytesPerSecond: () => number;
	#owedMs = 0;
	#countedAtMs: number;

	/** Asked for anew each time; 0: no limit. */
	constructor({clock, bytesPerSecond}: {clock: Clock; bytesPerSecond: () => number}) {
		this.#clock = clock;
		this.#bytesPerSecond = bytesPerSecond;
		this.#countedAtMs = clock.now();
	}

	/** Resolves when the next bytes may be taken after these. */
	async take(bytes: number, signal: AbortSignal): Promise<void> {
		signal.throwIfAborted();
		const rate = this.#bytesPerSecond();
		const now = this.#clock.now();
		// A clock that was set back pays nothing, and costs no more than is owed.
		this.#owedMs = Math.max(0, this.#owedMs - Math.max(0, now - this.#countedAtMs));
		this.#countedAtMs = now;
		if (rate <= 0) {
			this.#owedMs = 0;
			return;
		}
		this.#owedMs += (bytes / rate) * 1000;
		if (this.#owedMs >= tickMs) {
			await pause(this.#clock, this.#owedMs, signal);
		}
	}
}
