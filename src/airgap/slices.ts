/**
 * Work on thousands of images cut into slices, with the event loop's turn between them: no client waits for more than
 * one slice.
 *
 * Measured in real time, not on the host's clock: it is the processor that is shared.
 */
import {setImmediate as nextTurn} from 'node:timers/promises';

export class Slices {
	readonly #maxMs: number;
	#since = performance.now();

	constructor(maxMs = 8) {
		this.#maxMs = maxMs;
	}

	/** It is time to await `next`. */
	get over(): boolean {
		return performance.now() - this.#since > this.#maxMs;
	}

	async next(): Promise<void> {
		await nextTurn();
		this.#since = performance.now();
	}
}
