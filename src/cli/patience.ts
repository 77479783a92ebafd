/**
 * How long a command goes on trying where the network or the server is in trouble.
 *
 * Waits between tries grow up to half a minute; whatever gets on begins the count anew. Without any progress for as
 * long as the user allows, the last failure stands.
 */
import {pause, type Clock} from '../host.js';
import {AnswerError, mayPass} from './client-errors.js';

const firstMs = 1000;
const longestMs = 30_000;

export class Patience {
	readonly #clock: Clock;
	readonly #random: () => number;
	readonly #forMs: number;
	readonly #say: (text: string) => void;
	readonly #signal: AbortSignal | undefined;
	#since: number | undefined;
	#waitMs = firstMs;

	constructor(options: {
		readonly clock: Clock;
		readonly random: () => number;
		/** Without progress. */
		readonly forMs: number;
		readonly say: (text: string) => void;
		readonly signal?: AbortSignal | undefined;
	}) {
		this.#clock = options.clock;
		this.#random = options.random;
		this.#forMs = options.forMs;
		this.#say = options.say;
		this.#signal = options.signal;
	}

	/** Something has been got done. */
	progress(): void {
		this.#since = undefined;
		this.#waitMs = firstMs;
	}

	/** Resolves when it is time to try again. Throws `error` where that is no use, or enough. */
	async after(error: unknown): Promise<void> {
		this.#signal?.throwIfAborted();
		if (!mayPass(error)) {
			throw error;
		}
		const now = this.#clock.now();
		this.#since ??= now;
		const asked = error instanceof AnswerError ? (error.retryAfterMs ?? 0) : 0;
		// Not all at once, where many lost the same server.
		const waitMs = Math.max(this.#waitMs * (0.5 + this.#random() / 2), Math.min(asked, longestMs));
		if (now + waitMs - this.#since > this.#forMs) {
			throw error;
		}
		this.#waitMs = Math.min(this.#waitMs * 2, longestMs);
		this.#say(`${(error as Error).message}; trying again in ${Math.ceil(waitMs / 1000)} s`);
		await pause(this.#clock, waitMs, this.#signal);
	}

	/** Runs it until it goes well. Only for what may be done twice. */
	async until<T>(run: () => Promise<T>): Promise<T> {
		for (;;) {
			try {
				const value = await run();
				this.progress();
				return value;
			} catch (error) {
				await this.after(error);
			}
		}
	}
}
