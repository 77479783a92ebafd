/**
 * Long work cut into slices, with the event loop's turn between them.
 *
 * Whatever walks over a whole list asks `over` at each step and awaits `next` when it says so: no client waits for
 * more than one slice. Measured in real time, not on the host's clock: it is the processor that is shared.
 */
import {setImmediate as nextTurn} from 'node:timers/promises';

/** From so many on, of which one takes some microseconds, the event loop has its turn before and after. */
export const longSteps = 2000;

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

/** The event loop's turn, around what takes so many steps and cannot be cut. */
export async function turnFor(steps: number): Promise<void> {
	if (steps >= longSteps) {
		await nextTurn();
	}
}

/** Work that yields wherever it may stand still, done in slices. Throws what it throws, or the reason of the signal. */
export async function inSlices<T>(steps: Generator<undefined, T, undefined>, signal: AbortSignal): Promise<T> {
	const slices = new Slices();
	for (;;) {
		const step = steps.next();
		if (step.done === true) {
			return step.value;
		}
		if (slices.over) {
			await slices.next();
			signal.throwIfAborted();
		}
	}
}

/** The same where nobody else waits. */
export function atOnce<T>(steps: Generator<undefined, T, undefined>): T {
	for (;;) {
		const step = steps.next();
		if (step.done === true) {
			return step.value;
		}
	}
}
