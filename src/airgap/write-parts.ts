/**
 * The tar as files on the disk: one, or several of at most so many bytes that are one when put end to end.
 *
 * While it is written each has `.part` after its name, and a journal lies beside them. `write-tar.ts` knows what is in
 * them; here is what they are called, how far they reach, and how all of them get their names in the end.
 */
import {basename, dirname, join} from 'node:path';
import {MirrorError} from '../errors.js';
import {isObject} from '../image/json-text.js';
import {readSmall, writeWhole, type Disk, type DiskFile} from './disk.js';

const partSuffix = '.part';
/** More would be sorted wrongly by whoever puts them together by name. */
export const mostParts = 999;

/** What one export has begun. */
export interface Journal {
	/** Of its plan. */
	readonly etag: string;
	/** Of the whole tar. */
	readonly size: number;
	/** `undefined`: it is one file. */
	readonly partBytes: number | undefined;
	/** So much outlives a power cut. */
	readonly bytes: number;
	/** It is whole, and files are getting their names. */
	readonly naming: boolean;
}

/** What there is under the names of a tar. */
export interface TarNames {
	/** `x.tar`, `x.tar.001` … */
	readonly whole: readonly string[];
	/** The same with `.part`. */
	readonly unfinished: readonly string[];
}

/** What the files of a tar are called when they are whole. Throws MirrorError where they would be too many. */
export function tarPaths(file: string, {size, partBytes}: Pick<Journal, 'size' | 'partBytes'>): readonly string[] {
	if (partBytes === undefined) {
		return [file];
	}
	const count = Math.ceil(size / partBytes);
	if (count > mostParts) {
		throw new MirrorError(`that would be ${count} parts, and ${mostParts} are the most: let them be larger`);
	}
	return Array.from({length: count}, (_, index) => `${file}.${String(index + 1).padStart(3, '0')}`);
}

export async function tarNames(disk: Disk, file: string): Promise<TarNames> {
	const names = (await disk.list(dirname(file))).filter(name => name.startsWith(basename(file))).sort();
	const called = (form: RegExp): string[] =>
		names.filter(name => form.test(name.slice(basename(file).length))).map(name => join(dirname(file), name));
	return {whole: called(/^(?:\.\d{3})?$/u), unfinished: called(/^(?:\.\d{3})?\.part$/u)};
}

/** Files that are one. Whoever opens them closes them. */
export class PartFiles {
	readonly #disk: Disk;
	readonly #paths: readonly string[];
	readonly #partBytes: number;
	#current: {readonly index: number; readonly file: DiskFile} | undefined;

	constructor(disk: Disk, paths: readonly string[], partBytes = Infinity) {
		this.#disk = disk;
		this.#paths = paths.map(path => path + partSuffix);
		this.#partBytes = partBytes;
	}

	/** As far as there is no gap. */
	async size(): Promise<number> {
		let size = 0;
		for (const path of this.#paths) {
			const found = await this.#disk.find(path);
			if (found !== undefined && found.kind !== 'file') {
				throw new MirrorError(`${path} is there already, and is no file`);
			}
			size += Math.min(this.#partBytes, found?.size ?? 0);
			if ((found?.size ?? 0) < this.#partBytes) {
				break;
			}
		}
		return size;
	}

	async read(into: Buffer, position: number): Promise<number> {
		let done = 0;
		for (const {index, at, from, to} of this.#pieces(position, into.length)) {
			const count = await (await this.#file(index)).read(into.subarray(from, to), at);
			done += count;
			if (count < to - from) {
				break;
			}
		}
		return done;
	}

	async write(bytes: Buffer, position: number): Promise<void> {
		for (const {index, at, from, to} of this.#pieces(position, bytes.length)) {
			await (await this.#file(index)).write(bytes.subarray(from, to), at);
		}
	}

	/** No file is longer than it should be, of a tar that has `size` bytes. */
	async trim(size: number): Promise<void> {
		for (const index of this.#paths.keys()) {
			const file = await this.#file(index);
			const wanted = Math.min(this.#partBytes, index === 0 ? size : size - index * this.#partBytes);
			if ((await file.size()) > wanted) {
				await file.truncate(wanted);
			}
		}
	}

	async sync(): Promise<void> {
		await this.#current?.file.sync();
	}

	async close(): Promise<void> {
		const current = this.#current;
		this.#current = undefined;
		await current?.file.close();
	}

	/** Each gets its name; what had it before goes. */
	async name(): Promise<void> {
		for (const path of this.#paths) {
			await this.#disk.rename(path, path.slice(0, -partSuffix.length));
		}
	}

	/** The way back from a `name` that did not come to its end. */
	async unname(): Promise<void> {
		for (const path of this.#paths) {
			const named = path.slice(0, -partSuffix.length);
			if ((await this.#disk.find(path)) === undefined && (await this.#disk.find(named)) !== undefined) {
				await this.#disk.rename(named, path);
			}
		}
	}

	*#pieces(
		position: number,
		length: number,
	): Generator<{readonly index: number; readonly at: number; readonly from: number; readonly to: number}> {
		for (let done = 0; done < length;) {
			const index = Math.floor((position + done) / this.#partBytes);
			const at = index === 0 ? position + done : position + done - index * this.#partBytes;
			const to = Math.min(length, done + this.#partBytes - at);
			yield {index, at, from: done, to};
			done = to;
		}
	}

	/** One is open at a time: what is left is safe on the disk. */
	async #file(index: number): Promise<DiskFile> {
		if (this.#current?.index !== index) {
			await this.sync();
			await this.close();
			const path = this.#paths[index];
			if (path === undefined) {
				throw new MirrorError(`there is no part ${index + 1} of the tar`);
			}
			this.#current = {index, file: await this.#disk.open(path)};
		}
		return this.#current.file;
	}
}

const mostJournalBytes = 4096;

/** The file beside the parts that says what they are to be. */
export class JournalFile {
	readonly #disk: Disk;
	readonly #path: string;

	constructor(disk: Disk, file: string) {
		this.#disk = disk;
		this.#path = `${file}.part.json`;
	}

	/** `undefined` where there is none, or none that can be read. */
	async read(): Promise<Journal | undefined> {
		const bytes = await readSmall(this.#disk, this.#path, mostJournalBytes);
		try {
			return journalOf(JSON.parse(bytes?.toString('utf8') ?? ''));
		} catch {
			return undefined;
		}
	}

	async write(journal: Journal): Promise<void> {
		const about = 'an export of imgmirror that has not come to its end; the same command again goes on';
		const bytes = Buffer.from(`${JSON.stringify({about, ...journal})}\n`, 'utf8');
		await writeWhole(this.#disk, this.#path, bytes, this.#temporary);
	}

	async remove(): Promise<void> {
		await this.#disk.remove(this.#temporary);
		await this.#disk.remove(this.#path);
	}

	get #temporary(): string {
		return `${this.#path}.new`;
	}
}

function journalOf(value: unknown): Journal | undefined {
	if (!isObject(value)) {
		return undefined;
	}
	const {etag, size, partBytes, bytes, naming} = value;
	const isCount = (count: unknown): count is number => Number.isSafeInteger(count) && Number(count) >= 0;
	if (typeof etag !== 'string' || !isCount(size) || !isCount(bytes) || typeof naming !== 'boolean') {
		return undefined;
	}
	return partBytes === undefined || (isCount(partBytes) && partBytes > 0)
		? {etag, size, partBytes, bytes, naming}
		: undefined;
}
