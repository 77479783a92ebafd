/**
 * Files that were not what their digest says, kept for a while so that the operator can look at them.
 *
 * The store moves a wrong partial or blob in; age and total size are bounded, the oldest go first. Beside each file
 * stands a `.json` that tells what it should have been and who supplied it. What was published here and is nowhere else
 * may have lost no more than a bit: it stays until there is another, or nobody needs it.
 */
import {mkdir, readFile, readdir, rename, rm, stat} from 'node:fs/promises';
import path from 'node:path';
import {describe} from '../errors.js';
import type {Host} from '../host.js';
import {writeWhole, type Layout} from './layout.js';

export interface QuarantineLimits {
	readonly keepForMs: number;
	readonly maxBytes: number;
}

export interface QuarantineNote {
	readonly expected: object;
	readonly got: object;
	readonly suppliers: readonly string[];
}

export interface QuarantinedFile {
	readonly name: string;
	readonly size: number;
	readonly sinceMs: number;
	/** What was told of it when it came. */
	readonly note: object | undefined;
}

/** Of a file and its note one is there before the other. */
const graceMs = 3_600_000;
/** In the names of files that were published here, before the SHA-1 that they should have. */
const published = '-published-';

export interface QuarantineParts {
	readonly layout: Layout;
	readonly host: Host;
	readonly limits: QuarantineLimits;
	/** It was published here, is needed still, and there is no other. */
	readonly isLost?: (sha1: string) => Promise<boolean>;
}

export class Quarantine {
	readonly #layout: Layout;
	readonly #host: Host;
	readonly #isLost: (sha1: string) => Promise<boolean>;
	#limits: QuarantineLimits;

	constructor({layout, host, limits, isLost = () => Promise.resolve(false)}: QuarantineParts) {
		this.#layout = layout;
		this.#host = host;
		this.#limits = limits;
		this.#isLost = isLost;
	}

	setLimits(limits: QuarantineLimits): void {
		this.#limits = limits;
	}

	/**
	 * Moves the file in. Where that cannot be done it is deleted: wrong bytes must not stay in its place. `isOurs`: it was
	 * published here, and the key is its SHA-1.
	 */
	async add(file: string, key: string, note: QuarantineNote, isOurs = false): Promise<void> {
		const stamp = new Date(this.#host.clock.now()).toISOString().replaceAll(/[:.]/g, '');
		const name = `${stamp}${isOurs ? published : '-'}${key}`;
		try {
			await mkdir(this.#layout.quarantine, {recursive: true});
			await rename(file, this.#layout.quarantined(name));
		} catch (error) {
			const isThere = await stat(file).then(
				() => true,
				() => false,
			);
			if (!isThere) {
				// Nothing is left of it to be looked at.
				return;
			}
			this.#host.log.warn({file, problem: describe(error)}, 'a wrong file could not be quarantined and is deleted');
			await rm(file, {force: true});
		}
		try {
			await writeWhole(this.#layout.quarantined(`${name}.json`), `${JSON.stringify(note, null, 2)}\n`);
			await this.sweep();
		} catch (error) {
			// The file is out of the way: a transfer must not fail for a note about it.
			this.#host.log.warn({file: name, problem: describe(error)}, 'the quarantine could not be put in order');
		}
	}

	async list(): Promise<readonly QuarantinedFile[]> {
		const names = await readdir(this.#layout.quarantine).catch(() => []);
		const files: QuarantinedFile[] = [];
		for (const name of names.filter(name => !name.endsWith('.json') && !name.endsWith('.new'))) {
			const found = await stat(this.#layout.quarantined(name)).catch(() => undefined);
			if (found !== undefined) {
				files.push({name, size: found.size, sinceMs: found.ctimeMs, note: await this.#noteOf(name)});
			}
		}
		return files.sort((a, b) => b.sinceMs - a.sinceMs || (a.name < b.name ? 1 : -1));
	}

	/** Deletes what is too old or too much, and what has lost its other half. */
	async sweep(): Promise<void> {
		let bytes = 0;
		let lostBytes = 0;
		for (const file of await this.list()) {
			const tooOld = this.#host.clock.now() - file.sinceMs > this.#limits.keepForMs;
			if (await this.#isOnlyOne(file.name)) {
				lostBytes += file.size;
			} else if (tooOld || bytes + file.size > this.#limits.maxBytes) {
				await rm(this.#layout.quarantined(file.name), {force: true});
				await rm(this.#layout.quarantined(`${path.basename(file.name)}.json`), {force: true});
			} else {
				bytes += file.size;
			}
		}
		this.#host.metrics.quarantineBytes.set(bytes + lostBytes);
		await this.#sweepHalves();
	}

	/** Notes whose file is gone, files without a note, notes half-written. */
	async #sweepHalves(): Promise<void> {
		const names = new Set(await readdir(this.#layout.quarantine).catch(() => []));
		for (const name of names) {
			const other = name.endsWith('.json') ? name.slice(0, -'.json'.length) : `${name}.json`;
			const found = names.has(other) ? undefined : await stat(this.#layout.quarantined(name)).catch(() => undefined);
			const isOver = found?.isFile() === true && this.#host.clock.now() - found.ctimeMs > graceMs;
			if (isOver && !(await this.#isOnlyOne(name))) {
				await rm(this.#layout.quarantined(name), {force: true});
			}
		}
	}

	async #isOnlyOne(name: string): Promise<boolean> {
		const [, sha1] = name.split(published);
		return sha1 !== undefined && (await this.#isLost(sha1));
	}

	async #noteOf(name: string): Promise<object | undefined> {
		try {
			const note: unknown = JSON.parse(await readFile(this.#layout.quarantined(`${name}.json`), 'utf8'));
			return typeof note === 'object' && note !== null ? note : undefined;
		} catch {
			return undefined;
		}
	}
}
