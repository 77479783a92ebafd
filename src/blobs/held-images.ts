/**
 * The images whose files are here: their manifests as plain JSON beside the blobs, and digests that were found out.
 *
 * The store tells it what it finds on disk and which blobs go; the mirror has it keep what it serves. It knows nothing
 * of bytes: whether a blob is here is the store's to say.
 */
import {readFile, readdir, rm} from 'node:fs/promises';
import path from 'node:path';
import {describe} from '../errors.js';
import type {Host} from '../host.js';
import {prettyJson} from '../image/json-text.js';
import {isSha1, parseManifest, type Manifest, type Sha1, type Uuid} from '../image/manifest.js';
import {writeWhole, type Layout} from './layout.js';

/** An image some file of which is here. */
export interface HeldImage {
	readonly manifest: Manifest;
	readonly source: string;
	readonly sha1: Sha1;
	readonly index: number;
}

export class HeldImages {
	readonly #layout: Layout;
	readonly #host: Host;
	readonly #images = new Map<string, HeldImage>();
	readonly #found = new Map<string, Sha1>();

	constructor({layout, host}: {layout: Layout; host: Host}) {
		this.#layout = layout;
		this.#host = host;
	}

	list(): Iterable<HeldImage> {
		return this.#images.values();
	}

	/** Takes in a manifest that lies beside its blob. One that cannot be read is reported and left where it is. */
	async read(
		file: string,
		where: {readonly sha1: Sha1; readonly index: number; readonly source: string},
	): Promise<void> {
		try {
			const manifest = parseManifest(await readFile(file, 'utf8'));
			this.#images.set(keyOf(manifest.uuid, where.index), {manifest, ...where});
		} catch (error) {
			this.#host.log.warn({file, problem: describe(error)}, 'a manifest beside its file cannot be read');
		}
	}

	/** Keeps the manifest beside the blob, so that it outlives the catalog's memory. False: it was there. */
	async keep(image: HeldImage): Promise<boolean> {
		const {manifest, sha1, index} = image;
		const key = keyOf(manifest.uuid, index);
		const before = this.#images.get(key);
		if (before?.manifest.text === manifest.text && before.sha1 === sha1) {
			return false;
		}
		this.#images.set(key, image);
		try {
			await writeWhole(this.#layout.manifest(sha1, manifest.uuid, index), `${prettyJson(manifest.text)}\n`);
			if (before !== undefined && before.sha1 !== sha1) {
				await rm(this.#layout.manifest(before.sha1, manifest.uuid, index), {force: true});
			}
		} catch (error) {
			this.#host.metrics.diskErrors.inc({code: (error as NodeJS.ErrnoException).code ?? 'unknown'});
			this.#host.log.error({image: manifest.uuid, problem: describe(error)}, 'a manifest could not be written');
		}
		return true;
	}

	/** Forgets an image. Resolves with the blobs that no other image has. */
	async drop(uuid: Uuid): Promise<readonly Sha1[]> {
		const files = [...this.#images.values()].filter(({manifest}) => manifest.uuid === uuid);
		for (const image of files) {
			await this.#remove(image);
		}
		const needed = new Set([...this.#images.values()].map(({sha1}) => sha1));
		return files.map(({sha1}) => sha1).filter(sha1 => !needed.has(sha1));
	}

	/** The blob is gone, and so are the images' claims to be held. */
	async blobGone(sha1: Sha1): Promise<void> {
		for (const image of [...this.#images.values()].filter(held => held.sha1 === sha1)) {
			await this.#remove(image);
		}
	}

	/** The SHA-1 that the file of an image without one was found to have. */
	foundSha1(uuid: Uuid, index: number): Sha1 | undefined {
		return this.#found.get(keyOf(uuid, index));
	}

	async rememberSha1(uuid: Uuid, index: number, sha1: Sha1): Promise<void> {
		this.#found.set(keyOf(uuid, index), sha1);
		await writeWhole(this.#layout.digest(uuid, index), `${sha1}\n`);
	}

	async loadFound(): Promise<void> {
		for (const name of await readdir(this.#layout.digests)) {
			const sha1 = (await readFile(path.join(this.#layout.digests, name), 'utf8')).trim();
			if (isSha1(sha1)) {
				this.#found.set(name, sha1);
			}
		}
	}

	async #remove({manifest, sha1, index}: HeldImage): Promise<void> {
		this.#images.delete(keyOf(manifest.uuid, index));
		await rm(this.#layout.manifest(sha1, manifest.uuid, index), {force: true});
	}
}

function keyOf(uuid: Uuid, index: number): string {
	return `${uuid}.${index}`;
}
