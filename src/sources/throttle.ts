/**
 * A bandwidth limit over all file streams of one source.
 *
 * A token bucket that may go into debt: whoever is next in line goes as soon as the balance is positive, so no chunk is
 * ever too big for it. Streams queue small slices, one each, which shares the line out evenly among them.
 */
import {Transform, pipeline, type Readable, type TransformCallback} from 'node:stream';
import type {Clock} from '../host.js';

const sliceBytes = 16 * 1024;

export class Throttle {
	readonly #clock: Clock;
	readonly #bytesPerMs: number;
	readonly #burst: number;
	readonly #waiting = new Set<{readonly bytes: number; readonly go: () => void}>();
	#balance: number;
	#countedAt: number;
	#timing = false;

	constructor({bytesPerSecond, clock}: {readonly bytesPerSecond: number; readonly clock: Clock}) {
		this.#clock = clock;
		this.#bytesPerMs = bytesPerSecond / 1000;
		// A tenth of a second: short enough that a limit of a shared line is kept, long enough for coarse timers.
		this.#burst = bytesPerSecond / 10;
		this.#balance = this.#burst;
		this.#countedAt = clock.now();
	}

	/** The same bytes, no faster than our share. Errors and an early end go both ways. */
	limit(stream: Readable): Readable {
		const slowed = new ThrottledStream(this);
		pipeline(stream, slowed, () => undefined);
		return slowed;
	}

	/** Resolves when that many bytes may pass. */
	take(bytes: number, signal: AbortSignal): Promise<void> {
		return new Promise((resolve, reject) => {
			const onAbort = (): void => {
				this.#waiting.delete(entry);
				reject(signal.reason as Error);
			};
			const entry = {
				bytes,
				go: () => {
					signal.removeEventListener('abort', onAbort);
					resolve();
				},
			};
			this.#waiting.add(entry);
			signal.addEventListener('abort', onAbort, {once: true});
			this.#serve();
		});
	}

	#serve(): void {
		const now = this.#clock.now();
		// A clock that was set back must not stop us.
		const elapsedMs = Math.max(0, now - this.#countedAt);
		this.#countedAt = now;
		this.#balance = Math.min(this.#burst, this.#balance + elapsedMs * this.#bytesPerMs);
		for (const entry of this.#waiting) {
			if (this.#balance <= 0) {
				break;
			}
			this.#balance -= entry.bytes;
			this.#waiting.delete(entry);
			entry.go();
		}
		if (this.#waiting.size > 0 && !this.#timing) {
			this.#timing = true;
			this.#clock.after(Math.max(1, Math.ceil(-this.#balance / this.#bytesPerMs) + 1), () => {
				this.#timing = false;
				this.#serve();
			});
		}
	}
}

class ThrottledStream extends Transform {
	readonly #throttle: Throttle;
	readonly #ended = new AbortController();

	constructor(throttle: Throttle) {
		super({highWaterMark: sliceBytes});
		this.#throttle = throttle;
	}

	override _transform(chunk: Buffer, _encoding: string, callback: TransformCallback): void {
		this.#pass(chunk).then(() => callback(), callback);
	}

	override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
		this.#ended.abort();
		callback(error);
	}

	async #pass(chunk: Buffer): Promise<void> {
		for (let start = 0; start < chunk.length; start += sliceBytes) {
			const slice = chunk.subarray(start, start + sliceBytes);
			await this.#throttle.take(slice.length, this.#ended.signal);
			this.push(slice);
		}
	}
}
