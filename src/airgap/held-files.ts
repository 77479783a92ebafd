/**
 * Files of the store that nothing pushes out while they are carried away, and those that are fetched for it.
 *
 * Whoever made it has the mirror let go of them in the end, by the name that they are held under.
 */
import {pause, type Clock} from '../host.js';
import type {Sha1, Uuid} from '../image/manifest.js';
import type {CarryBlob, CarryFile, CarryOut} from '../mirror-carry-api.js';
import type {Ask} from '../sources/source.js';

const progressEveryMs = 200;

export class HeldFiles {
	readonly #carry: Pick<CarryOut, 'hold' | 'fetch' | 'find'>;
	readonly #by: string;
	readonly #held = new Map<Sha1, CarryBlob>();

	constructor(carry: Pick<CarryOut, 'hold' | 'fetch' | 'find'>, by: string) {
		this.#carry = carry;
		this.#by = by;
	}

	/** `undefined`: it is not here. */
	hold(sha1: Sha1): CarryBlob | undefined {
		const held = this.#held.get(sha1) ?? this.#carry.hold(sha1, this.#by);
		if (held !== undefined) {
			this.#held.set(sha1, held);
		}
		return held;
	}

	/** Those that are not here; the others are held from now on. */
	missing(files: readonly CarryFile[]): readonly CarryFile[] {
		return files.filter(({sha1}) => sha1 === undefined || this.hold(sha1) === undefined);
	}

	/** Has what an image lacks fetched. */
	async fetch(uuid: Uuid, ask: Ask): Promise<void> {
		await this.#carry.fetch(uuid, {onProgress: () => undefined, signal: ask.signal});
		await this.#holdAll(uuid, ask);
	}

	/** The same. Yields the bytes so far, now and then; whoever stops reading ends it. */
	async *fetching(uuid: Uuid, clock: Clock, ask: Ask): AsyncGenerator<number, void, undefined> {
		const leaving = new AbortController();
		const fetching = {bytes: 0, isOver: false};
		const work = this.#carry
			.fetch(uuid, {
				onProgress(bytes) {
					fetching.bytes = bytes;
				},
				signal: AbortSignal.any([ask.signal, leaving.signal]),
			})
			.finally(() => {
				fetching.isOver = true;
			});
		let told = 0;
		try {
			while (!fetching.isOver) {
				await firstOf(work, clock);
				if (fetching.bytes > told) {
					told = fetching.bytes;
					yield told;
				}
			}
			// It may have ended, or failed, while whoever reads was busy with the last of them.
			await work;
		} finally {
			leaving.abort();
			// What it failed with was thrown above, unless whoever read has left.
			await work.catch(() => undefined);
		}
		await this.#holdAll(uuid, ask);
	}

	/** At once, before anything else may push them out. Only now is it known of some what they are. */
	async #holdAll(uuid: Uuid, ask: Ask): Promise<void> {
		const {files} = await this.#carry.find(uuid, ask);
		this.missing(files);
	}
}

/** Until it is time to tell of the work, or until it is done. */
async function firstOf(work: Promise<void>, clock: Clock): Promise<void> {
	const done = new AbortController();
	try {
		await Promise.race([work, pause(clock, progressEveryMs, done.signal).catch(() => undefined)]);
	} finally {
		done.abort();
	}
}
