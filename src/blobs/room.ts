/**
 * What the disk has left, and what of it is promised to files that are on their way.
 *
 * Partials and uploads claim what they still need; who begins one asks whether all claims together can be met.
 */
import {NoSpaceError} from '../errors.js';

/** Bytes that are still needed, asked for anew each time. */
type Claim = () => number;

export class Room {
	readonly #freeBytes: () => Promise<number | undefined>;
	readonly #claims = new Map<object, Claim>();

	/** `freeBytes` resolves with `undefined` where nobody knows: then there is room. */
	constructor(freeBytes: () => Promise<number | undefined>) {
		this.#freeBytes = freeBytes;
	}

	/** In place of what it claimed before. Where there is not room enough, throws NoSpaceError, and nothing has changed. */
	async claim(who: object, claim: Claim): Promise<void> {
		const before = this.#claims.get(who);
		this.#claims.set(who, claim);
		try {
			if (claim() > 0) {
				await this.#check();
			}
		} catch (error) {
			if (before === undefined) {
				this.#claims.delete(who);
			} else {
				this.#claims.set(who, before);
			}
			throw error;
		}
	}

	/** It needs no more. */
	release(who: object): void {
		this.#claims.delete(who);
	}

	async #check(): Promise<void> {
		const free = await this.#freeBytes();
		if (free === undefined) {
			return;
		}
		let needed = 0;
		for (const claim of this.#claims.values()) {
			needed += Math.max(0, claim());
		}
		if (needed > free) {
			throw new NoSpaceError(`the disk has ${free} bytes left, ${needed} are needed for what is on its way`);
		}
	}
}
