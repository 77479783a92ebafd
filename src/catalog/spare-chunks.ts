/**
 * Room for lists, some of it at hand.
 *
 * The first touch of new memory costs more than all that is written into it, and most of all on virtual machines; so
 * what the next answer needs is touched beforehand, while nobody waits for it.
 */

/** As many bytes as one write to a socket takes well: fewer cost turns of the event loop. */
export const chunkBytes = 1024 * 1024;

export class SpareChunks {
	readonly #most: number;
	readonly #spare: Buffer[] = [];
	#isFilling = false;

	constructor(most = 5) {
		this.#most = most;
	}

	get count(): number {
		return this.#spare.length;
	}

	/** At least `bytes` of them, with anything in it. */
	take(bytes: number): Buffer {
		return (bytes <= chunkBytes ? this.#spare.pop() : undefined) ?? Buffer.allocUnsafeSlow(Math.max(bytes, chunkBytes));
	}

	/** Sees to it that there are some, one in each turn of the event loop. */
	refill(): void {
		if (this.#isFilling || this.#spare.length >= this.#most) {
			return;
		}
		this.#isFilling = true;
		setImmediate(() => {
			this.#spare.push(Buffer.allocUnsafeSlow(chunkBytes).fill(0));
			this.#isFilling = false;
			this.refill();
		});
	}
}
