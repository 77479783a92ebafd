/**
 * A stream passed on: bytes as they are, errors in our words.
 *
 * The transport and the watch put one around a file's body. Destroying either end ends both at once, also while the
 * sender is silent (a generator behind `Readable.from` would wait for its next chunk first).
 */
import {Readable} from 'node:stream';

export class Relay extends Readable {
	readonly #from: Readable;
	readonly #onBytes: (bytes: number) => void;
	#flowing = false;

	constructor(
		from: Readable,
		options: {readonly onBytes?: (bytes: number) => void; readonly mapError?: (error: unknown) => Error} = {},
	) {
		// A chunk, however large: whoever wants no more now wants none of what a line could bring meanwhile.
		super({highWaterMark: 1});
		const mapError = options.mapError ?? (error => (error instanceof Error ? error : new Error(String(error))));
		this.#from = from;
		this.#onBytes = options.onBytes ?? (() => undefined);
		let ended = false;
		from.on('end', () => {
			ended = true;
			this.push(null);
		});
		from.on('error', error => this.destroy(mapError(error)));
		from.on('close', () => {
			if (!ended && !this.destroyed) {
				this.destroy(mapError(new Error('the stream was closed before its end')));
			}
		});
	}

	override _read(): void {
		if (this.#flowing) {
			this.#from.resume();
			return;
		}
		this.#flowing = true;
		this.#from.on('data', (chunk: Buffer) => {
			this.#onBytes(chunk.length);
			if (!this.push(chunk)) {
				this.#from.pause();
			}
		});
	}

	override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
		// Without the error: it is either the sender's own, or none of its business.
		this.#from.destroy();
		callback(error);
	}
}
