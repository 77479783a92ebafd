/**
 * When each rule last ran, across restarts: so that a run that fell into a break is made up for, and one that was done
 * is not done again.
 *
 * Only runs that came to their end count. A file that is not there or not readable is as if no rule had ever run, which
 * costs a look at the catalog; one that cannot be written is told to the log.
 */
import {readFile, rename, writeFile} from 'node:fs/promises';
import {asError} from '../errors.js';
import type {Host} from '../host.js';

export class LastRuns {
	readonly #host: Host;
	readonly #file: string | undefined;
	readonly #at = new Map<string, number>();
	#written: Promise<void> = Promise.resolve();
	#isQueued = false;

	/** Without a file, only for as long as the process lives. */
	constructor(host: Host, file: string | undefined) {
		this.#host = host;
		this.#file = file;
	}

	/** Of these rules: what others did is forgotten. */
	async read(rules: readonly string[]): Promise<void> {
		for (const [rule, at] of Object.entries(await this.#stored())) {
			const atMs = typeof at === 'string' ? Date.parse(at) : NaN;
			if (!Number.isNaN(atMs) && rules.includes(rule)) {
				this.#at.set(rule, atMs);
			}
		}
	}

	get(rule: string): number | undefined {
		return this.#at.get(rule);
	}

	set(rule: string, atMs: number): void {
		this.#at.set(rule, atMs);
		this.#write();
	}

	delete(rule: string): void {
		if (this.#at.delete(rule)) {
			this.#write();
		}
	}

	/** Resolves once everything is on the disk, or never will be. */
	async close(): Promise<void> {
		await this.#written;
	}

	async #stored(): Promise<object> {
		if (this.#file === undefined) {
			return {};
		}
		try {
			const stored: unknown = JSON.parse(await readFile(this.#file, 'utf8'));
			return typeof stored === 'object' && stored !== null ? stored : {};
		} catch (error) {
			if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) {
				this.#host.log.warn({file: this.#file, err: asError(error)}, 'when rules last ran cannot be read');
			}
			return {};
		}
	}

	/** One after the other, and of what gathers meanwhile only the last. */
	#write(): void {
		const file = this.#file;
		if (file === undefined || this.#isQueued) {
			return;
		}
		this.#isQueued = true;
		this.#written = this.#written.then(async () => {
			this.#isQueued = false;
			const text = JSON.stringify(
				Object.fromEntries([...this.#at].map(([rule, atMs]) => [rule, new Date(atMs).toISOString()])),
			);
			try {
				await writeFile(`${file}.new`, `${text}\n`);
				await rename(`${file}.new`, file);
			} catch (error) {
				this.#host.log.warn({file, err: asError(error)}, 'when rules last ran cannot be written down');
			}
		});
	}
}
