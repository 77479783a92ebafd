/**
 * Asking again after the connection failed.
 *
 * For small requests only: what a file's transfer does about a broken stream is its own business. The first repetition
 * comes at once (a kept connection that the server had closed meanwhile is the usual reason), later ones wait a little.
 */
import {pause, type Host} from '../host.js';
import {SourceFailure} from './failure.js';
import type {Ask} from './source.js';

export class Retry {
	readonly #host: Host;
	readonly #attempts: number;

	constructor({host, retries}: {readonly host: Host; readonly retries: number}) {
		this.#host = host;
		this.#attempts = retries;
	}

	/** Resolves with whether to ask again, after the wait; `failed` counts the tries that failed so far. */
	async again(error: unknown, failed: number, ask: Ask): Promise<boolean> {
		if (failed > this.#attempts || ask.signal.aborted || !(error instanceof SourceFailure && error.transient)) {
			return false;
		}
		if (failed > 1) {
			await pause(this.#host.clock, 250 * 2 ** (failed - 2) * (0.75 + this.#host.random() / 2), ask.signal);
		}
		return true;
	}

	async run<T>(ask: Ask, attempt: () => Promise<T>): Promise<T> {
		for (let failed = 1; ; failed++) {
			try {
				return await attempt();
			} catch (error) {
				if (!(await this.again(error, failed, ask))) {
					throw error;
				}
			}
		}
	}
}
