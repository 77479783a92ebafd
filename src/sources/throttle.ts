/**
 * A bandwidth limit over all file streams of one source.
 *
 * Streams queue small slices at one `SteadyRate`, one each, which shares the line out evenly among them.
 */
import {Transform, pipeline, type Readable, type TransformCallback} from 'node:stream';
import type {Clock} from '../host.js';
import {SteadyRate} from '../host-rate.js';

const sliceBytes = 16 * 1024;

export class Throttle {
	readonly #rate: SteadyRate;

	constructor({bytesPerSecond, clock}: {readonly bytesPerSecond: number; readonly clock: Clock}) {
		this.#rate = new SteadyRate(clock, bytesPerSecond);
	}

	/** The same bytes, no faster than our share. Errors and an early end go both ways. */
	limit(stream: Readable): Readable {
		const slowed = new ThrottledStream(this.#rate);
		pipeline(stream, slowed, () => undefined);
		return slowed;
	}
}

class ThrottledStream extends Transform {
	readonly #rate: SteadyRate;
	readonly #ended = new AbortController();

	constructor(rate: SteadyRate) {
		super({highWaterMark: sliceBytes});
		this.#rate = rate;
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
			await this.#rate.take(slice.length, this.#ended.signal);
			this.push(slice);
		}
	}
}
