/**
 * A stream of small chunks as batches: whatever has come in since the last time.
 *
 * While one batch is being written the next gathers, so a slow disk gets few large writes and a fast one is not kept
 * waiting. The stream is paused while enough is at hand.
 */
import type {Readable} from 'node:stream';
import {MirrorError} from '../errors.js';

const enoughBytes = 2_097_152;
/** A chunk costs memory beside its bytes, and a sender may make them as small as it likes. */
const enoughChunks = 2048;

export class Batches {
	readonly #stream: Readable;
	#chunks: Buffer[] = [];
	#bytes = 0;
	#ended = false;
	#failure: Error | undefined;
	#wake: (() => void) | undefined;

	constructor(stream: Readable) {
		this.#stream = stream;
		if (stream.destroyed) {
			// Its events are over, and nobody would ever be woken.
			this.#failure = stream.errored ?? new MirrorError('the connection was closed before the first byte');
		}
		stream.on('data', (chunk: Buffer) => {
			this.#chunks.push(chunk);
			this.#bytes += chunk.length;
			if (this.#bytes >= enoughBytes || this.#chunks.length >= enoughChunks) {
				stream.pause();
			}
			this.#wake?.();
		});
		stream.once('end', () => {
			this.#ended = true;
			this.#wake?.();
		});
		// Stays for good: a stream that is destroyed may still report an error, which must not end the process.
		stream.on('error', error => {
			this.#failure ??= error;
			this.#wake?.();
		});
		stream.once('close', () => {
			if (!this.#ended) {
				this.#failure ??= new MirrorError('the connection was closed before the end');
				this.#wake?.();
			}
		});
	}

	/** Resolves with what has come in, `undefined` after the end. What came before a failure is still handed out. */
	async next(signal: AbortSignal): Promise<Buffer[] | undefined> {
		signal.throwIfAborted();
		if (this.#chunks.length === 0 && !this.#ended && this.#failure === undefined) {
			await this.#more(signal);
		}
		if (this.#chunks.length > 0) {
			const chunks = this.#chunks;
			this.#chunks = [];
			this.#bytes = 0;
			this.#stream.resume();
			return chunks;
		}
		if (this.#failure !== undefined) {
			throw this.#failure;
		}
		return undefined;
	}

	close(): void {
		this.#stream.destroy();
	}

	#more(signal: AbortSignal): Promise<void> {
		return new Promise((resolve, reject) => {
			const onAbort = (): void => {
				this.#wake = undefined;
				reject(signal.reason as Error);
			};
			this.#wake = () => {
				this.#wake = undefined;
				signal.removeEventListener('abort', onAbort);
				resolve();
			};
			signal.addEventListener('abort', onAbort, {once: true});
		});
	}
}
