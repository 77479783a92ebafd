/**
 * The machine's clock, set ahead by whatever a test says: waits take as long as they take, dates are others.
 */
import {systemClock, type Clock, type Timer} from '../../src/host.js';

export class ShiftedClock implements Clock {
	#aheadMs = 0;

	now(): number {
		return systemClock.now() + this.#aheadMs;
	}

	after(delayMs: number, run: () => void): Timer {
		return systemClock.after(delayMs, run);
	}

	/** Further ahead. What waits already is not woken by it. */
	ahead(ms: number): void {
		this.#aheadMs += ms;
	}
}
