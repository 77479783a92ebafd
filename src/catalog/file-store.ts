/**
 * Keys and values in plain files: what keyv stands on where SQLite cannot be had.
 *
 * One file per key, named by the key's hash, put in place by rename, and checked against its own digest when read:
 * a file is right or not there. `open` clears away what has expired; beyond `maxBytes` the oldest files go.
 */
import {createHash} from 'node:crypto';
import {mkdir, open, readdir, readFile, rename, rm, stat} from 'node:fs/promises';
import path from 'node:path';

const headForm = /^imgmirror-memory 1 ([0-9a-f]{40}) (\d+) ([^\n]+)$/u;
const longestHead = 1024;

export class FileStore {
	/** keyv looks at these two. */
	readonly opts = {dialect: 'files'};
	namespace: string | undefined;
	readonly #directory: string;
	readonly #maxBytes: number;
	/** Bytes of each file, in the order in which they were written. */
	readonly #sizes = new Map<string, number>();
	#bytes = 0;
	#writes = 0;

	private constructor(directory: string, maxBytes: number) {
		this.#directory = directory;
		this.#maxBytes = maxBytes;
	}

	static async open(directory: string, {maxBytes = 2 ** 30, now = Date.now()} = {}): Promise<FileStore> {
		const store = new FileStore(directory, maxBytes);
		await mkdir(directory, {recursive: true});
		await store.#lookAround(now);
		return store;
	}

	async get(key: string): Promise<string | undefined> {
		const content = await readFile(this.#file(key), 'utf8').catch((error: unknown) => {
			if (isAbsence(error)) {
				return undefined;
			}
			throw error;
		});
		if (content === undefined) {
			return undefined;
		}
		const end = content.indexOf('\n');
		const head = headForm.exec(content.slice(0, end));
		const value = content.slice(end + 1);
		if (end === -1 || head?.[3] !== key || head[1] !== sha1(value)) {
			// Cut short by a crash, or somebody else's.
			await this.delete(key);
			return undefined;
		}
		return value;
	}

	async set(key: string, value: string, ttlMs?: number): Promise<boolean> {
		const expiresAt = ttlMs === undefined ? 0 : Date.now() + Math.ceil(ttlMs);
		const file = this.#file(key);
		const temporary = `${file}.${this.#writes++}.new`;
		await mkdir(path.dirname(file), {recursive: true});
		const content = Buffer.from(`imgmirror-memory 1 ${sha1(value)} ${expiresAt} ${key}\n${value}`);
		try {
			const handle = await open(temporary, 'w');
			try {
				await handle.writeFile(content);
				await handle.sync();
			} finally {
				await handle.close();
			}
			await rename(temporary, file);
		} catch (error) {
			await rm(temporary, {force: true}).catch(() => undefined);
			throw error;
		}
		this.#count(file, content.length);
		await this.#shrink(file);
		return true;
	}

	async delete(key: string): Promise<boolean> {
		const file = this.#file(key);
		try {
			await rm(file);
		} catch (error) {
			this.#count(file, undefined);
			if (isAbsence(error)) {
				return false;
			}
			throw error;
		}
		this.#count(file, undefined);
		return true;
	}

	async clear(): Promise<void> {
		await rm(this.#directory, {recursive: true, force: true});
		this.#sizes.clear();
		this.#bytes = 0;
	}

	#file(key: string): string {
		const name = createHash('sha1').update(key).digest('hex');
		return path.join(this.#directory, name.slice(0, 2), name.slice(2));
	}

	#count(file: string, bytes: number | undefined): void {
		this.#bytes -= this.#sizes.get(file) ?? 0;
		this.#sizes.delete(file);
		if (bytes !== undefined) {
			this.#sizes.set(file, bytes);
			this.#bytes += bytes;
		}
	}

	async #shrink(newest?: string): Promise<void> {
		for (const file of [...this.#sizes.keys()]) {
			if (this.#bytes <= this.#maxBytes || file === newest) {
				return;
			}
			await rm(file, {force: true});
			this.#count(file, undefined);
		}
	}

	async #lookAround(now: number): Promise<void> {
		const found: {file: string; bytes: number; writtenAt: number}[] = [];
		for (const shard of await readdir(this.#directory, {withFileTypes: true})) {
			if (!shard.isDirectory() || !/^[0-9a-f]{2}$/u.test(shard.name)) {
				continue;
			}
			const folder = path.join(this.#directory, shard.name);
			for (const name of await readdir(folder)) {
				const file = path.join(folder, name);
				if (name.endsWith('.new') || (await hasExpired(file, now))) {
					await rm(file, {force: true});
					continue;
				}
				const {size, mtimeMs} = await stat(file);
				found.push({file, bytes: size, writtenAt: mtimeMs});
			}
		}
		found.sort((a, b) => a.writtenAt - b.writtenAt);
		for (const {file, bytes} of found) {
			this.#count(file, bytes);
		}
		await this.#shrink();
	}
}

async function hasExpired(file: string, now: number): Promise<boolean> {
	const handle = await open(file, 'r');
	try {
		const {buffer, bytesRead} = await handle.read(Buffer.alloc(longestHead), 0, longestHead, 0);
		const head = headForm.exec(buffer.toString('utf8', 0, bytesRead).split('\n', 1)[0] ?? '');
		const expiresAt = Number(head?.[2] ?? 0);
		return expiresAt > 0 && expiresAt < now;
	} finally {
		await handle.close();
	}
}

function sha1(text: string): string {
	return createHash('sha1').update(text).digest('hex');
}

function isAbsence(error: unknown): boolean {
	return error instanceof Error && 'code' in error && error.code === 'ENOENT';
}
