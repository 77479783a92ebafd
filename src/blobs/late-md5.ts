/**
 * MD5s of blobs, computed when nobody is waiting: `Content-MD5` is owed to few clients, and MD5 costs the most.
 *
 * The store adds what lacks one and is told the result. A while passes before the work begins, longer where the mirror
 * is busy with its clients, and the hashing thread does it after everything that somebody waits for.
 */
import {describe} from '../errors.js';
import type {Host} from '../host.js';
import type {Sha1} from '../image/manifest.js';
import type {Hashing} from './hashing.js';
import type {Layout} from './layout.js';

const delayMs = 5000;
/** A mirror that is always busy does it all the same after so many delays: ten minutes. */
const mostDelays = 120;

export class LateMd5 {
	readonly #layout: Layout;
	readonly #host: Host;
	readonly #hashing: Hashing;
	readonly #sizeOf: (sha1: Sha1) => number | undefined;
	readonly #onMd5: (sha1: Sha1, md5: string) => Promise<void>;
	readonly #isBusy: () => boolean;
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
		/** Whether the mirror had much to do since it was last asked. Never, unless given. */
		isBusy?: (() => boolean) | undefined;
	}) {
		this.#layout = options.layout;
		this.#host = options.host;
		this.#hashing = options.hashing;
		this.#sizeOf = options.sizeOf;
		this.#onMd5 = options.onMd5;
		this.#isBusy = options.isBusy ?? (() => false);
	}

	add(sha1: Sha1): void {
		this.#waiting.add(sha1);
		if (this.#running || this.#stopped) {
			return;
		}
		this.#running = true;
		this.#wait(1);
	}

	stop(): void {
		this.#stopped = true;
	}

	#wait(delays: number): void {
		// What was before does not count.
		this.#isBusy();
		this.#host.clock.after(delayMs, () => {
			const isTime = delays >= mostDelays;
			if (this.#stopped) {
				this.#running = false;
			} else if (this.#isBusy() && !isTime) {
				this.#wait(delays + 1);
			} else {
				void this.#work(() => !isTime && this.#isBusy());
			}
		});
	}

	async #work(mustWait: () => boolean): Promise<void> {
		for (const sha1 of this.#waiting) {
			this.#waiting.delete(sha1);
			await this.#compute(sha1);
			if (this.#waiting.size > 0 && mustWait()) {
				this.#wait(1);
				return;
			}
		}
		this.#running = false;
	}

	async #compute(sha1: Sha1): Promise<void> {
		const size = this.#sizeOf(sha1);
		if (size === undefined || this.#stopped) {
			return;
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
