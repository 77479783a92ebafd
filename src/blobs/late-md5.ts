/**
 * MD5s of blobs, computed when nobody is waiting: `Content-MD5` is owed to few clients, and MD5 costs the most.
 *
 * The store adds what lacks one and is told the result. A while passes before the work begins, and the hashing
 * thread does it after everything that somebody waits for.
 */
import {describe} from '../errors.js';
import type {Host} from '../host.js';
import type {Sha1} from '../image/manifest.js';
import type {Hashing} from './hashing.js';
import type {Layout} from './layout.js';

const delayMs = 5000;

export class LateMd5 {
	readonly #layout: Layout;
	readonly #host: Host;
	readonly #hashing: Hashing;
	readonly #sizeOf: (sha1: Sha1) => number | undefined;
	readonly #onMd5: (sha1: Sha1, md5: string) => Promise<void>;
	readonly #waiting = new Set<Sha1>();
	#running = false;
	#stopped = false;

	constructor(options: {
		layout: Layout;
		host: Host;
		hashing: Hashing;
		/** `undefined`: the blob is gone. */
		sizeOf: (sha1: Sha1) => number | undefined;
		onMd5: (sha1: Sha1, md5: string) => Promise<void>;
	}) {
		this.#layout = options.layout;
		this.#host = options.host;
		this.#hashing = options.hashing;
		this.#sizeOf = options.sizeOf;
		this.#onMd5 = options.onMd5;
	}

	add(sha1: Sha1): void {
		this.#waiting.add(sha1);
		if (this.#running || this.#stopped) {
			return;
		}
		this.#running = true;
		this.#host.clock.after(delayMs, () => {
			void this.#work().finally(() => {
				this.#running = false;
			});
		});
	}

	stop(): void {
		this.#stopped = true;
	}

	async #work(): Promise<void> {
		for (const sha1 of this.#waiting) {
			this.#waiting.delete(sha1);
			const size = this.#sizeOf(sha1);
			if (size === undefined || this.#stopped) {
				continue;
			}
			try {
				const {md5} = await this.#hashing.follow(this.#layout.blob(sha1), ['md5'], {urgency: 'idle'}).digests(size);
				if (md5 !== undefined) {
					await this.#onMd5(sha1, md5);
				}
			} catch (error) {
				this.#host.log.debug({sha1, problem: describe(error)}, 'the MD5 of a stored file could not be computed');
			}
		}
	}
}
