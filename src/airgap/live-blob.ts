/**
 * A blob that is read from a stream itself, once, by whoever comes first.
 *
 * `StreamBundle` hands it out and waits for its end before it goes on. Where nobody has begun to read it by then, it is
 * put aside, and read from there.
 */
import {IntegrityError} from '../errors.js';
import {short, type BundleBlob} from './bundle-files.js';
import type {TarEntry} from './tar-read.js';

export class LiveBlob implements BundleBlob {
	readonly digest: string;
	readonly entry: TarEntry;
	/** Whoever reads it has come to the end, or given up. */
	readonly over: Promise<void>;
	#isBegun = false;
	#end: () => void = () => undefined;
	#instead: Promise<BundleBlob | undefined> | undefined;
	readonly #onFailure: (error: unknown) => void;

	constructor(digest: string, entry: TarEntry, onFailure: (error: unknown) => void) {
		this.digest = digest;
		this.entry = entry;
		this.#onFailure = onFailure;
		this.over = new Promise(resolve => {
			this.#end = resolve;
		});
	}

	get size(): number {
		return this.entry.size;
	}

	get isBegun(): boolean {
		return this.#isBegun;
	}

	/** From where it is being put; rejects with why it could not be. */
	readInstead(held: Promise<BundleBlob | undefined>): void {
		this.#instead = held;
		// Perhaps nobody reads it.
		held.catch(() => undefined);
	}

	async *read(start = 0): AsyncGenerator<Buffer, void, undefined> {
		// Looked at and begun in one tick, or it might be put aside in between.
		const held = this.#instead === undefined ? undefined : await this.#instead;
		if (held !== undefined) {
			yield* held.read(start);
			return;
		}
		if (this.#isBegun || this.#instead !== undefined) {
			throw new IntegrityError(`${short(this.digest)} comes but once in a stream, and has been read already`);
		}
		this.#isBegun = true;
		try {
			let passed = 0;
			for await (const chunk of this.entry.body) {
				const from = Math.max(0, start - passed);
				passed += chunk.length;
				if (from < chunk.length) {
					yield from === 0 ? chunk : chunk.subarray(from);
				}
			}
		} catch (error) {
			if (!(error instanceof IntegrityError)) {
				this.#onFailure(error);
			}
			throw error;
		} finally {
			this.#end();
		}
	}
}
