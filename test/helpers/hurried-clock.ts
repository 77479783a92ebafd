/** A clock on which every wait is over at once: for tests in which backing off is beside the point. */
import type {Clock} from '../../src/host.js';

export const hurriedClock: Clock = {
	now: () => Date.now(),
	after(_delayMs, run) {
		const timer = setImmediate(run);
		return {
			cancel() {
				clearImmediate(timer);
			},
		};
	},
};
