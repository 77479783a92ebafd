/**
 * Whose turn it is to be sent something past Node, and how much.
 *
 * A call that sends keeps everybody else waiting, so the event loop goes round after so many bytes: whoever has to wait
 * is sent more in the next round, in the order in which they came. While clients keep coming, as a fleet does that was
 * told to in the same minute, rounds are short: in each of them Node takes in a few connections only.
 */
import {asError} from '../errors.js';
import type {Clock} from '../host.js';

/** Of one client among others, in one turn. */
const turnBytes = 2 * 2 ** 20;
const shortTurnBytes = 64 * 1024;
/** Of all together, before the event loop goes round. */
const roundBytes = 8 * 2 ** 20;
const shortRoundBytes = 256 * 1024;
/** They still come if the last one came no longer ago. */
const comingMs = 50;

export class Turns {
	readonly #clock: Clock;
	readonly #waiting: (() => number)[] = [];
	#clients = 0;
	#cameAtMs = -Infinity;
	/** What this round may still send. */
	#left = roundBytes;
	#scheduled = false;

	constructor(clock: Clock) {
		this.#clock = clock;
	}

	/** A client begins, or ends, to be sent something. */
	enter(): void {
		this.#clients++;
		this.#cameAtMs = this.#clock.now();
		if (this.#areComing) {
			this.#left = Math.min(this.#left, shortRoundBytes);
		}
	}

	leave(): void {
		this.#clients--;
	}

	/**
	 * Calls `send` with how much it may send, and is told how much it did; at once where it can be, and then there is
	 * nothing to wait for. Otherwise resolves after that, or rejects with what `send` throws.
	 */
	take(send: (most: number) => number): Promise<void> | undefined {
		if (this.#waiting.length === 0 && this.#left > 0) {
			this.#spend(send(this.#turn));
			return undefined;
		}
		this.#schedule();
		return new Promise((resolve, reject) => {
			this.#waiting.push(() => {
				let bytes = 0;
				try {
					bytes = send(this.#turn);
					resolve();
				} catch (error) {
					reject(asError(error));
				}
				return bytes;
			});
		});
	}

	#spend(bytes: number): void {
		this.#left -= bytes;
		this.#schedule();
	}

	#schedule(): void {
		if (!this.#scheduled) {
			this.#scheduled = true;
			setImmediate(() => {
				this.#scheduled = false;
				this.#nextRound();
			});
		}
	}

	#nextRound(): void {
		this.#left = this.#areComing ? shortRoundBytes : roundBytes;
		for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) {
			this.#spend(next());
			if (this.#left <= 0) {
				return;
			}
		}
	}

	get #turn(): number {
		if (this.#clients <= 1) {
			// A turn of its own would be for nobody's sake.
			return Math.max(turnBytes, this.#left);
		}
		return this.#areComing ? shortTurnBytes : turnBytes;
	}

	/** More than one, and the last of them just now. */
	get #areComing(): boolean {
		const sinceMs = this.#clock.now() - this.#cameAtMs;
		return this.#clients > 1 && sinceMs >= 0 && sinceMs < comingMs;
	}
}
