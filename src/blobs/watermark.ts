/**
 * How far a file on its way in may be read, and whether it will grow further.
 *
 * The download owns the writing side (`advance`, `verified`, `restart`, `fail`); any number of followers wait in
 * `past`. The tail is out of reach until the whole has been verified, so no follower can complete a wrong file.
 */
import {MirrorError, asError} from '../errors.js';

/** Held back until verified. A file that is no longer than this is held back whole. */
export const heldBackBytes = 65_536;

/** So much of a file can be sent before all of it is known to be right. */
export function freeBytesOf({size}: {readonly size: number}): number {
	return Math.max(0, size - heldBackBytes);
}

interface Waiter {
	readonly who: object | undefined;
	readonly offset: number;
	readonly resolve: (bytes: number) => void;
	readonly reject: (error: Error) => void;
}

export class Watermark {
	readonly #size: number;
	readonly #waiters = new Set<Waiter>();
	#written = 0;
	#verified = false;
	#failure: {readonly error: unknown} | undefined;
	#generation = 0;
	#content = {};

	constructor(size: number) {
		this.#size = size;
	}

	/** Bytes on disk. */
	get written(): number {
		return this.#written;
	}

	/** Counts how often the file was begun again: bytes of an earlier generation must not be mixed with this one's. */
	get generation(): number {
		return this.#generation;
	}

	/** An object for each generation. */
	get content(): object {
		return this.#content;
	}

	/** How many bytes may be read. */
	get readable(): number {
		return this.#verified ? this.#size : Math.min(this.#written, freeBytesOf({size: this.#size}));
	}

	/** True once nothing will change any more. */
	get ended(): boolean {
		return this.#verified || this.#failure !== undefined;
	}

	/** Nothing of it may be read any more. */
	get failed(): boolean {
		return this.#failure !== undefined;
	}

	/** Resolves with how many bytes may be read once they exceed `offset`; throws once they never will. */
	past(offset: number, who?: object): Promise<number> {
		// Look and register in the same tick: an `await` between the two would lose a change that lands in the gap.
		if (this.#failure !== undefined) {
			return Promise.reject(asError(this.#failure.error));
		}
		if (this.readable > offset) {
			return Promise.resolve(this.readable);
		}
		if (this.#verified) {
			return Promise.reject(this.#tooShort());
		}
		return new Promise((resolve, reject) => {
			this.#waiters.add({who, offset, resolve, reject});
		});
	}

	/** Whoever that is waits no more: its wait is rejected. A signal for each of a thousand clients would cost more. */
	leave(who: object, reason: Error): void {
		this.#reject(reason, waiter => waiter.who === who);
	}

	advance(written: number): void {
		this.#written = written;
		this.#wake();
	}

	/** The whole file is right: the tail may go. */
	verified(): void {
		this.#written = this.#size;
		this.#verified = true;
		this.#wake();
		this.#reject(this.#tooShort());
	}

	/** The file begins again. Who waits goes on waiting. */
	restart(): void {
		this.#generation++;
		this.#content = {};
		this.#written = 0;
	}

	fail(error: unknown): void {
		if (this.ended) {
			return;
		}
		this.#failure = {error};
		this.#reject(asError(error));
	}

	#tooShort(): MirrorError {
		return new MirrorError(`the file has no more than ${this.#size} bytes`);
	}

	#wake(): void {
		const readable = this.readable;
		for (const waiter of this.#waiters) {
			if (readable > waiter.offset) {
				this.#waiters.delete(waiter);
				waiter.resolve(readable);
			}
		}
	}

	#reject(error: Error, which: (waiter: Waiter) => boolean = () => true): void {
		for (const waiter of this.#waiters) {
			if (which(waiter)) {
				this.#waiters.delete(waiter);
				waiter.reject(error);
			}
		}
	}
}
