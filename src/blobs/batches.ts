/**
 * A stream of small chunks as batches: whatever has come in since the last time.
 *
 * While one batch is being written the next gathers, so a slow disk gets few large writes and a fast one is not kept
 * waiting; what comes in quick succession is gathered for some milliseconds. The stream is paused while enough is at
 * hand. The very first chunk goes alone, and no more is taken until it has been dealt with: clients wait for the first
 * byte, not for the megabytes that come with it, nor for the work that those make.
 */
import type {Readable} from 'node:stream';
import {MirrorError} from '../errors.js';
import {sumOf} from './growing.js';

const enoughBytes = 2_097_152;
/** Less than this so soon after the last batch waits for more: each batch wakes everybody who follows the file. */
const fewBytes = 262_144;
const soonMs = 3;
/** A chunk costs memory beside its bytes, and a sender may make them as small as it likes. */
const enoughChunks = 2048;

export class Batches {
	readonly #stream: Readable;
	readonly #chunks: Buffer[] = [];
	#bytes = 0;
	/** The first chunk has been handed out. */
	#begun = false;
	#ended = false;
	#failure: Error | undefined;
	#wake: (() => void) | undefined;
	/** Of which one that waits wants to be told. */
	#wantsBytes = 0;
	#handedOutMs = -Infinity;

	constructor(stream: Readable) {
		this.#stream = stream;
		if (stream.destroyed) {
			// Its events are over, and nobody would ever be woken.
			this.#failure = stream.errored ?? new MirrorError('the connection was closed before the first byte');
		}
		stream.on('data', (chunk: Buffer) => {
			this.#chunks.push(chunk);
			this.#bytes += chunk.length;
			if (!this.#begun || this.#bytes >= enoughBytes || this.#chunks.length >= enoughChunks) {
				stream.pause();
				this.#wake?.();
			} else if (this.#bytes >= this.#wantsBytes) {
				this.#wake?.();
			}
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
		if (this.#begun) {
			this.#stream.resume();
		}
		if (this.#chunks.length === 0 && !this.#isOver) {
			await this.#more(signal, 1);
		}
		const restMs = this.#handedOutMs + soonMs - performance.now();
		if (restMs > 0 && this.#bytes < fewBytes && this.#chunks.length < enoughChunks && !this.#isOver) {
			await this.#more(signal, fewBytes, restMs);
		}
		if (this.#chunks.length > 0) {
			const chunks = this.#chunks.splice(0, this.#begun ? Infinity : 1);
			this.#bytes -= sumOf(chunks);
			this.#handedOutMs = performance.now();
			if (this.#begun) {
				this.#stream.resume();
			}
			this.#begun = true;
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

	/** Nothing more will come. */
	get #isOver(): boolean {
		return this.#ended || this.#failure !== undefined;
	}

	/** Until so many bytes are at hand, enough to pause, or all; no longer than `ms`. */
	#more(signal: AbortSignal, bytes: number, ms?: number): Promise<void> {
		return new Promise((resolve, reject) => {
			const done = (): void => {
				this.#wake = undefined;
				clearTimeout(timer);
				signal.removeEventListener('abort', onAbort);
			};
			const onAbort = (): void => {
				done();
				reject(signal.reason as Error);
			};
			this.#wantsBytes = bytes;
			this.#wake = () => {
				done();
				resolve();
			};
			const timer = ms === undefined ? undefined : setTimeout(this.#wake, ms);
			signal.addEventListener('abort', onAbort, {once: true});
		});
	}
}
