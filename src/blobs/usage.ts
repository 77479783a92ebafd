/**
 * When each blob was last used, across restarts: most file systems do not tell, or are told not to.
 *
 * The store says `touch`; what it was told is appended every few seconds to a journal of short lines, which is written
 * anew when it has grown. A crash costs the last seconds, a line that nobody can read costs that line. What the disk
 * refuses is tried again.
 */
import {mkdir, open, readFile, rename, stat} from 'node:fs/promises';
import path from 'node:path';
import {describe} from '../errors.js';
import type {Host, Timer} from '../host.js';
import {isSha1, type Sha1} from '../image/manifest.js';
import {writeWhole, type Layout} from './layout.js';
import {sweepUnfinished} from './records.js';

const writeEveryMs = 5000;
/** The journal is written anew when it has so many bytes more than it needs. */
const spareBytes = 1_048_576;
/** Nothing that we wrote gets longer. */
const mostBytes = 268_435_456;
/** SHA-1, milliseconds with leading zeros: what a crash has cut off is not taken for an earlier time. */
const line = /^([0-9a-f]{40}) (\d{15})$/;
const lineBytes = 57;

export class Usage {
	readonly #host: Host;
	readonly #folder: string;
	readonly #file: string;
	readonly #isHere: (sha1: Sha1) => boolean;
	readonly #last = new Map<Sha1, number>();
	/** Not on the disk yet. */
	readonly #unwritten = new Set<Sha1>();
	#generation = 0;
	#bytes = 0;
	#timer: Timer | undefined;
	#writing = Promise.resolve();
	#isFailing = false;
	#closed = false;

	constructor(options: {readonly host: Host; readonly layout: Layout; readonly isHere: (sha1: Sha1) => boolean}) {
		this.#host = options.host;
		this.#folder = options.layout.usage;
		this.#file = path.join(options.layout.usage, 'journal');
		this.#isHere = options.isHere;
	}

	/** Another number whenever a blob has been used. */
	get generation(): number {
		return this.#generation;
	}

	/** `undefined`: not since it was stored, as far as anybody knows. */
	lastUsedMs(sha1: Sha1): number | undefined {
		return this.#last.get(sha1);
	}

	/** It is being used. */
	touch(sha1: Sha1): void {
		this.#last.set(sha1, this.#host.clock.now());
		this.#generation++;
		this.#unwritten.add(sha1);
		this.#writeLater();
	}

	/** The blob is gone. */
	forget(sha1: Sha1): void {
		this.#last.delete(sha1);
		this.#unwritten.delete(sha1);
	}

	/** Reads what is on the disk; the blobs must be known. Throws nothing: without it, blobs were used when stored. */
	async load(): Promise<void> {
		try {
			await mkdir(this.#folder, {recursive: true});
			await sweepUnfinished(this.#folder);
			await this.#read();
		} catch (error) {
			this.#host.log.error(
				{file: this.#file, problem: describe(error)},
				'when files were last used cannot be read: they count as used when they were stored',
			);
			return;
		}
		await this.#inTurn(() => this.#rewrite());
	}

	/** Writes what has come since the last time. Throws nothing. */
	flush(): Promise<void> {
		return this.#inTurn(() => this.#append());
	}

	/** Writes the last of it. */
	async close(): Promise<void> {
		this.#closed = true;
		this.#timer?.cancel();
		await this.flush();
	}

	async #read(): Promise<void> {
		const found = await stat(this.#file).catch(() => undefined);
		if (found === undefined) {
			return;
		}
		if (!found.isFile() || found.size > mostBytes) {
			await rename(this.#file, `${this.#file}.unreadable`);
			this.#host.log.error(
				{file: this.#file, size: found.size},
				'this is not what was written there; it is moved aside',
			);
			return;
		}
		const now = this.#host.clock.now();
		let unreadable = 0;
		for (const text of (await readFile(this.#file, 'latin1')).split('\n')) {
			const [, sha1, ms] = line.exec(text) ?? [];
			if (isSha1(sha1)) {
				// A clock that was wrong for a while must not keep a file for years. Later lines win.
				this.#set(sha1, Math.min(Number(ms), now));
			} else if (text !== '') {
				unreadable++;
			}
		}
		if (unreadable > 0) {
			this.#host.log.warn({file: this.#file, lines: unreadable}, 'lines about the use of files cannot be read');
		}
	}

	#set(sha1: Sha1, ms: number): void {
		if (this.#isHere(sha1)) {
			this.#last.set(sha1, ms);
		}
	}

	#writeLater(): void {
		if (this.#timer === undefined && !this.#closed) {
			this.#timer = this.#host.clock.after(writeEveryMs, () => {
				this.#timer = undefined;
				void this.flush();
			});
		}
	}

	#inTurn(work: () => Promise<void>): Promise<void> {
		this.#writing = this.#writing.then(work).then(
			() => {
				if (this.#isFailing) {
					this.#isFailing = false;
					this.#host.log.info({file: this.#file}, 'the use of files is written down again');
				}
			},
			(error: unknown) => {
				this.#host.metrics.diskErrors.inc({code: (error as NodeJS.ErrnoException).code ?? 'unknown'});
				if (!this.#isFailing) {
					this.#isFailing = true;
					this.#host.log.warn(
						{file: this.#file, problem: describe(error)},
						'the use of files cannot be written down; it is tried again',
					);
				}
				this.#writeLater();
			},
		);
		return this.#writing;
	}

	async #append(): Promise<void> {
		const lines = [...this.#unwritten];
		if (lines.length === 0) {
			return;
		}
		if (this.#bytes > 2 * lineBytes * this.#last.size + spareBytes) {
			await this.#rewrite();
			return;
		}
		// What stands before it may have been cut off.
		const content = `\n${lines.map(sha1 => this.#line(sha1)).join('')}`;
		this.#unwritten.clear();
		try {
			await mkdir(this.#folder, {recursive: true});
			const handle = await open(this.#file, 'a');
			try {
				await handle.writeFile(content);
			} finally {
				await handle.close();
			}
		} catch (error) {
			this.#writeAgain(lines);
			throw error;
		}
		this.#bytes += content.length;
	}

	async #rewrite(): Promise<void> {
		const lines = [...this.#unwritten];
		this.#unwritten.clear();
		try {
			const content = [...this.#last.keys()].map(sha1 => this.#line(sha1)).join('');
			await writeWhole(this.#file, content);
			this.#bytes = content.length;
		} catch (error) {
			this.#writeAgain(lines);
			// Not each time: it would fail each time, and appending may not.
			this.#bytes = 0;
			throw error;
		}
	}

	#writeAgain(lines: readonly Sha1[]): void {
		for (const sha1 of lines) {
			if (this.#last.has(sha1)) {
				this.#unwritten.add(sha1);
			}
		}
	}

	#line(sha1: Sha1): string {
		return `${sha1} ${String(this.#last.get(sha1) ?? 0).padStart(15, '0')}\n`;
	}
}
