/**
 * Those for whom a file is fetched that no client waits for: how fast each may have it, and who is told how far it is.
 *
 * A transfer has one of these. The most generous pace counts; from when a client has come none does any more.
 */

import {unlessAborted} from './unless-aborted.js';

/** Waits until so many more bytes may be taken. Rejects when the signal is aborted. */
export type Pace = (bytes: number, signal: AbortSignal) => Promise<void>;

export interface Errand {
	readonly pace?: Pace | undefined;
	/** Called with how many bytes of the file are on the disk. */
	readonly onProgress?: ((bytes: number) => void) | undefined;
}

export class Errands {
	readonly #all = new Set<Errand>();
	/** The wait that is under way. */
	#wait: AbortController | undefined;
	#hurried = false;

	get size(): number {
		return this.#all.size;
	}

	/** Whether anything slows the transfer down. */
	get paced(): boolean {
		return !this.#hurried && this.#all.size > 0 && [...this.#all].every(({pace}) => pace !== undefined);
	}

	/** Returns how to leave. */
	add(errand: Errand): () => void {
		this.#all.add(errand);
		if (!this.paced) {
			this.#wait?.abort();
		}
		return () => {
			this.#all.delete(errand);
		};
	}

	/** No pace counts any more, the one that is being waited for included. */
	hurry(): void {
		this.#hurried = true;
		this.#wait?.abort();
	}

	/** Resolves when somebody lets so many more bytes be taken. Rejects with the signal only. */
	async pace(bytes: number, signal: AbortSignal): Promise<void> {
		if (this.paced) {
			const wait = new AbortController();
			this.#wait = wait;
			const either = AbortSignal.any([signal, wait.signal]);
			const waits = [...this.#all].map(async ({pace}) => pace?.(bytes, either));
			await unlessAborted(Promise.any(waits), either).catch(() => undefined);
			// The others must not go on waiting for bytes that have been let through.
			wait.abort();
			this.#wait = undefined;
		}
		signal.throwIfAborted();
	}

	told(written: number): void {
		for (const {onProgress} of this.#all) {
			onProgress?.(written);
		}
	}
}
