/**
 * When each file was last read again and found right, across restarts.
 *
 * The scrub tells and asks. Written at most once a minute, whole or not at all: a crash costs the last minute. A line
 * that cannot be read costs that file one more reading, and nothing else.
 */
import {readFile} from 'node:fs/promises';
import {describe} from '../errors.js';
import type {Host, Timer} from '../host.js';
import {isSha1, type Sha1} from '../image/manifest.js';
import {writeWhole, type Layout} from './layout.js';

const saveAfterMs = 60_000;

export class ScrubMemory {
	readonly #layout: Layout;
	readonly #host: Host;
	readonly #isHere: (sha1: Sha1) => boolean;
	readonly #rightAtMs = new Map<Sha1, number>();
	#lastMs: number | undefined;
	#timer: Timer | undefined;
	#saving: Promise<void> = Promise.resolve();

	constructor({layout, host, isHere}: {layout: Layout; host: Host; isHere: (sha1: Sha1) => boolean}) {
		this.#layout = layout;
		this.#host = host;
		this.#isHere = isHere;
	}

	async load(): Promise<void> {
		const text = await readFile(this.#layout.scrub, 'utf8').catch((error: unknown) => {
			if ((error as NodeJS.ErrnoException).code !== 'ENOENT') {
				this.#host.log.warn({problem: describe(error)}, 'when files were last read again cannot be told');
			}
			return '';
		});
		let bad = 0;
		for (const line of text.split('\n').filter(one => one !== '')) {
			const [sha1 = '', at = ''] = line.split(' ');
			const rightAtMs = /^\d{1,15}$/.test(at) ? Number(at) : undefined;
			if (isSha1(sha1) && rightAtMs !== undefined) {
				this.#rightAtMs.set(sha1, rightAtMs);
				this.#lastMs = Math.max(rightAtMs, this.#lastMs ?? 0);
			} else {
				bad++;
			}
		}
		if (bad > 0) {
			this.#host.log.warn({lines: bad}, 'some of when files were last read again cannot be read');
		}
	}

	get(sha1: Sha1): number | undefined {
		return this.#rightAtMs.get(sha1);
	}

	/** When any file was. `undefined`: none ever, as far as is known. */
	get lastMs(): number | undefined {
		return this.#lastMs;
	}

	right(sha1: Sha1): void {
		this.#lastMs = this.#host.clock.now();
		this.#rightAtMs.set(sha1, this.#lastMs);
		this.#timer ??= this.#host.clock.after(saveAfterMs, () => {
			void this.save();
		});
	}

	/** What is not written yet, at once. Throws nothing: the next time tries again. */
	async save(): Promise<void> {
		if (this.#timer !== undefined) {
			this.#timer.cancel();
			this.#timer = undefined;
			this.#saving = this.#saving.then(() => this.#write());
		}
		await this.#saving;
	}

	async #write(): Promise<void> {
		for (const sha1 of this.#rightAtMs.keys()) {
			if (!this.#isHere(sha1)) {
				this.#rightAtMs.delete(sha1);
			}
		}
		const lines = [...this.#rightAtMs].map(([sha1, at]) => `${sha1} ${at}\n`);
		try {
			await writeWhole(this.#layout.scrub, lines.join(''));
		} catch (error) {
			this.#host.log.warn({problem: describe(error)}, 'when files were last read again cannot be written');
		}
	}
}
