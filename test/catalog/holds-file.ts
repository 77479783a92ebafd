/**
 * The file of holds, in a real directory; writes wait or fail when a test says so.
 */
import {copyFile, readFile} from 'node:fs/promises';
import {join} from 'node:path';
import {writeWhole} from '../../src/blobs/layout.js';
import type {HoldsFile} from '../../src/catalog/catalog.js';
import type {HoldRule} from '../../src/catalog/catalog.js';

export class TestHoldsFile implements HoldsFile {
	readonly path: string;
	writes = 0;
	failure: Error | undefined;
	/** Writes wait for it. */
	gate: Promise<void> | undefined;

	constructor(directory: string) {
		this.path = join(directory, 'holds.json');
	}

	async read(): Promise<string | undefined> {
		return readFile(this.path, 'utf8').catch((error: unknown) => {
			if (error instanceof Error && 'code' in error && error.code === 'ENOENT') {
				return undefined;
			}
			throw error;
		});
	}

	async write(text: string): Promise<void> {
		this.writes++;
		await this.gate;
		if (this.failure !== undefined) {
			throw this.failure;
		}
		await writeWhole(this.path, text);
	}

	setAside(): Promise<void> {
		return copyFile(this.path, `${this.path}.damaged`);
	}

	async content(): Promise<Readonly<Record<string, Readonly<Record<string, unknown>>>>> {
		return JSON.parse(await readFile(this.path, 'utf8')) as Readonly<Record<string, Readonly<Record<string, unknown>>>>;
	}
}

export function hold(rule: Partial<HoldRule>): {readonly hold: HoldRule} {
	return {hold: {publishedMs: 0, seenMs: 0, untilReleased: false, ...rule}};
}
