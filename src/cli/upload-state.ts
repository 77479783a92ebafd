/**
 * Uploads of files that a later run of the same command may go on with, remembered in the user's own state directory.
 *
 * One small file each, named by what must be the same: the server, the file as it was, and what is to become of it.
 * Nothing breaks without them; the upload begins anew.
 */
import {createHash, randomBytes} from 'node:crypto';
import {mkdir, readFile, readdir, rename, rm, stat, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import type {Clock} from '../host.js';
import type {CliIo} from './io.js';

/** No server keeps an upload for that long. */
const keptMs = 60 * 24 * 60 * 60_000;

export interface RememberedUpload {
	/** Its name on the server. */
	readonly upload: string;
	/** Made before the upload, to take the file; `undefined`: the upload makes it. */
	readonly image?: string;
}

export class UploadState {
	readonly #directory: string | undefined;
	readonly #file: string | undefined;
	readonly #clock: Clock;

	/** `same` is all that must be so again. Without a home directory nothing is remembered. */
	constructor({env}: Pick<CliIo, 'env'>, clock: Clock, same: Readonly<Record<string, unknown>>) {
		this.#clock = clock;
		const base = env['XDG_STATE_HOME'] || (env['HOME'] ? join(env['HOME'], '.local', 'state') : undefined);
		if (base?.startsWith('/') === true) {
			const name = createHash('sha1').update(JSON.stringify(same)).digest('hex');
			this.#directory = join(base, 'imgmirror', 'uploads');
			this.#file = join(this.#directory, `${name}.json`);
		}
	}

	get isKept(): boolean {
		return this.#file !== undefined;
	}

	async recall(): Promise<RememberedUpload | undefined> {
		if (this.#file === undefined) {
			return undefined;
		}
		try {
			const found = JSON.parse(await readFile(this.#file, 'utf8')) as Readonly<Record<string, unknown>>;
			const {upload, image} = found;
			if (typeof upload !== 'string' || !/^[\w.~-]+$/.test(upload)) {
				return undefined;
			}
			return {upload, ...(typeof image === 'string' ? {image} : {})};
		} catch {
			return undefined;
		}
	}

	/** Resolves with whether it could be written. `about` is for people who look into the file. */
	async remember(upload: RememberedUpload, about: Readonly<Record<string, unknown>>): Promise<boolean> {
		if (this.#file === undefined || this.#directory === undefined) {
			return false;
		}
		try {
			await mkdir(this.#directory, {recursive: true, mode: 0o700});
			const temporary = `${this.#file}.${randomBytes(4).toString('hex')}.new`;
			const content = {...upload, ...about, since: new Date(this.#clock.now()).toISOString()};
			await writeFile(temporary, `${JSON.stringify(content, undefined, '\t')}\n`, {mode: 0o600});
			await rename(temporary, this.#file);
			await this.#sweep(this.#directory);
			return true;
		} catch {
			return false;
		}
	}

	async forget(): Promise<void> {
		if (this.#file !== undefined) {
			await rm(this.#file, {force: true}).catch(() => undefined);
		}
	}

	async #sweep(directory: string): Promise<void> {
		for (const name of await readdir(directory)) {
			const file = join(directory, name);
			const {mtimeMs} = await stat(file);
			if (this.#clock.now() - mtimeMs > keptMs) {
				await rm(file, {force: true});
			}
		}
	}
}
