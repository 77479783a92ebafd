/**
 * Room for lists, some of it at hand.
 *
 * The first touch of new memory costs more than all that is written into it, and most of all on virtual machines; so
 * what the next answer needs is touched beforehand, while nobody waits for one.
 */
import {systemClock, type Clock} from '../host.js';

/** As many bytes as one write to a socket takes well: fewer cost turns of the event loop. */
export const chunkBytes = 1024 * 1024;
/** Who asks one thing after the other would wait for what is touched between two of them. */
export const quietMs = 10;

export class SpareChunks {
	readonly #most: number;
	readonly #clock: Clock;
	readonly #spare: Buffer[] = [];
	#isFilling = false;
	#isTaken = false;

	constructor(most = 5, clock: Clock = systemClock) {
		this.#most = most;
		this.#clock = clock;
	}

	get count(): number {
		return this.#spare.length;
	}

	/** At least `bytes` of them, with anything in it. */
	take(bytes: number): Buffer {
		this.#isTaken = true;
		return (bytes <= chunkBytes ? this.#spare.pop() : undefined) ?? Buffer.allocUnsafeSlow(Math.max(bytes, chunkBytes));
	}

	/** Sees to it that there are some, once nobody takes any: one in each turn of the event loop. */
	refill(): void {
		if (this.#isFilling || this.#spare.length >= this.#most) {
			return;
		}
		this.#isFilling = true;
		if (this.#isTaken) {
			this.#isTaken = false;
			this.#clock.after(quietMs, () => this.#fillOn());
		} else {
			setImmediate(() => {
				this.#spare.push(Buffer.allocUnsafeSlow(chunkBytes).fill(0));
				this.#fillOn();
			});
		}
	}

	#fillOn(): void {
		this.#isFilling = false;
		this.refill();
	}
}
