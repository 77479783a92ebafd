/**
 * The package that decompresses zstd, on a thread of its own: it is slow, and a block that was made for it may keep it
 * busy for a long time.
 *
 * One block goes in and what it holds comes out, before the next: 128 KiB at most, however the data was made.
 */
import {Worker} from 'node:worker_threads';
import {asError, IntegrityError, MirrorError} from '../errors.js';

export interface ToThread {
	readonly what: 'begin' | 'block' | 'last-block';
	readonly bytes: Uint8Array;
}

/** `problem`: the data is damaged. */
export type FromThread = {readonly pieces: readonly Uint8Array[]} | {readonly problem: string};

export class ZstdThread {
	readonly #worker: Worker;
	readonly #signal: AbortSignal;
	#answered: ((answer: FromThread) => void) | undefined;
	#failed: ((error: Error) => void) | undefined;
	#failure: Error | undefined;

	constructor(signal: AbortSignal) {
		signal.throwIfAborted();
		this.#signal = signal;
		this.#worker = new Worker(new URL('./zstd-worker.js', import.meta.url), {name: 'imgmirror-zstd'});
		this.#worker.on('message', (answer: FromThread) => this.#answered?.(answer));
		this.#worker.on('error', error => {
			this.#fail(asError(error));
		});
		this.#worker.on('exit', () => {
			this.#fail(new MirrorError('the thread that decompresses zstd has ended'));
		});
		signal.addEventListener('abort', this.#onAbort, {once: true});
	}

	/** Pieces of a frame in their order, checksums left out. Throws IntegrityError, or the reason of the signal. */
	async push(what: ToThread['what'], bytes: Buffer): Promise<readonly Buffer[]> {
		if (this.#failure !== undefined) {
			throw this.#failure;
		}
		const answer = await new Promise<FromThread>((resolve, reject) => {
			this.#answered = resolve;
			this.#failed = reject;
			const message: ToThread = {what, bytes};
			this.#worker.postMessage(message);
		});
		if ('problem' in answer) {
			throw new IntegrityError(`the zstd data is damaged (${answer.problem})`);
		}
		return answer.pieces.map(piece => Buffer.from(piece.buffer, piece.byteOffset, piece.length));
	}

	async close(): Promise<void> {
		this.#signal.removeEventListener('abort', this.#onAbort);
		await this.#worker.terminate();
	}

	readonly #onAbort = (): void => {
		this.#fail(asError(this.#signal.reason));
	};

	#fail(error: Error): void {
		this.#failure ??= error;
		this.#failed?.(this.#failure);
	}
}
