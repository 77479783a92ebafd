/**
 * A clock on which short waits are over at once, and count as waited: for commands that try again for an hour.
 *
 * Longer ones, which guard against silence, are as long as they are on the machine's clock, and end with the test.
 */
import type {Clock} from '../../src/host.js';

export class SkippingClock implements Clock {
	readonly #longestMs: number;
	/** How long was not waited. */
	skippedMs = 0;
	readonly waits: number[] = [];

	constructor(longestMs = 30_000) {
		this.#longestMs = longestMs;
	}

	now(): number {
		return Date.now() + this.skippedMs;
	}

	after(delayMs: number, run: () => void): {cancel(): void} {
		if (delayMs > this.#longestMs) {
			const timer = setTimeout(run, delayMs);
			timer.unref();
			return {cancel: () => clearTimeout(timer)};
		}
		this.waits.push(delayMs);
		const immediate = setImmediate(() => {
			this.skippedMs += delayMs;
			run();
		});
		return {cancel: () => clearImmediate(immediate)};
	}
}
