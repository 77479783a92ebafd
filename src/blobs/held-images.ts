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
import {isSha1, isUuid, parseManifest, type Manifest, type Sha1, type Uuid} from '../image/manifest.js';
import {syncFolder, writeWhole, type Layout} from './layout.js';
import {Turns} from './turns.js';

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
	/** The images that have a file, by their keys. */
	readonly #bySha1 = new Map<Sha1, Set<string>>();
	readonly #found = new Map<string, Sha1>();
	/** What is to be on the disk and is not yet, by file: on its way there, or refused by it. */
	readonly #unwritten = new Map<string, string>();
	readonly #writes = new Turns();
	#generation = 0;

	constructor({layout, host}: {layout: Layout; host: Host}) {
		this.#layout = layout;
		this.#host = host;
	}

	/** Another number whenever the images are others. */
	get generation(): number {
		return this.#generation;
	}

	list(): Iterable<HeldImage> {
		return this.#images.values();
	}

	/** Those that have this file. */
	with(sha1: Sha1): readonly HeldImage[] {
		return [...(this.#bySha1.get(sha1) ?? [])].flatMap(key => this.#images.get(key) ?? []);
	}

	/** Takes in a manifest that lies beside its blob. One that cannot be read is reported and left where it is. */
	async read(
		file: string,
		where: {readonly sha1: Sha1; readonly index: number; readonly source: string},
	): Promise<void> {
		try {
			const manifest = parseManifest(await readFile(file, 'utf8'));
			this.#set(keyOf(manifest.uuid, where.index), {manifest, ...where});
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
		this.#set(key, image);
		await this.#write(this.#layout.manifest(sha1, manifest.uuid, index), `${prettyJson(manifest.text)}\n`);
		if (before !== undefined && before.sha1 !== sha1) {
			await this.#delete(this.#layout.manifest(before.sha1, manifest.uuid, index));
		}
		return true;
	}

	/** Tries again to write what the disk would not take. */
	async writeMissing(): Promise<void> {
		for (const [file, content] of [...this.#unwritten]) {
			await this.#write(file, content);
		}
	}

	/** Forgets an image. Resolves with the blobs that no other image has. */
	async drop(uuid: Uuid): Promise<readonly Sha1[]> {
		const files = [...this.#images.values()].filter(({manifest}) => manifest.uuid === uuid);
		for (const image of files) {
			await this.#remove(image);
		}
		return files.map(({sha1}) => sha1).filter(sha1 => !this.#bySha1.has(sha1));
	}

	/** The files that some image has. */
	needed(): ReadonlySet<Sha1> {
		return new Set(this.#bySha1.keys());
	}

	/** The blob is gone, and so are the images' claims to be held. */
	async blobGone(sha1: Sha1): Promise<void> {
		for (const image of this.with(sha1)) {
			await this.#remove(image);
		}
	}

	/** The SHA-1 that the file of an image without one was found to have. */
	foundSha1(uuid: Uuid, index: number): Sha1 | undefined {
		return this.#found.get(keyOf(uuid, index));
	}

	async rememberSha1(uuid: Uuid, index: number, sha1: Sha1): Promise<void> {
		this.#found.set(keyOf(uuid, index), sha1);
		await this.#write(this.#layout.digest(uuid, index), `${sha1}\n`);
	}

	/** `<uuid>.<index>` of each of them. */
	foundNames(): readonly string[] {
		return [...this.#found.keys()];
	}

	/** The image is nobody's any more. */
	async forgetFound(name: string): Promise<void> {
		const [uuid, index] = name.split('.');
		if (this.#found.delete(name) && isUuid(uuid)) {
			await this.#delete(this.#layout.digest(uuid, Number(index)));
		}
	}

	async loadFound(): Promise<void> {
		for (const name of await readdir(this.#layout.digests)) {
			const file = path.join(this.#layout.digests, name);
			if (name.endsWith('.new')) {
				await rm(file, {force: true});
				continue;
			}
			const sha1 = (await readFile(file, 'utf8').catch(() => '')).trim();
			if (isSha1(sha1)) {
				this.#found.set(name, sha1);
			}
		}
	}

	async #remove(image: HeldImage): Promise<void> {
		const {manifest, sha1, index} = image;
		const key = keyOf(manifest.uuid, index);
		// It may have got another file while the ones before it were removed.
		if (this.#images.get(key) === image) {
			this.#forget(key, image);
		}
		await this.#delete(this.#layout.manifest(sha1, manifest.uuid, index));
	}

	#set(key: string, image: HeldImage): void {
		const before = this.#images.get(key);
		if (before !== undefined) {
			this.#forget(key, before);
		}
		this.#images.set(key, image);
		this.#bySha1.set(image.sha1, (this.#bySha1.get(image.sha1) ?? new Set()).add(key));
		this.#generation++;
	}

	#forget(key: string, {sha1}: HeldImage): void {
		this.#images.delete(key);
		const others = this.#bySha1.get(sha1);
		others?.delete(key);
		if (others?.size === 0) {
			this.#bySha1.delete(sha1);
		}
		this.#generation++;
	}

	/** Where the disk refuses, that is reported, and `writeMissing` tries again: nobody who wants bytes waits for it. */
	async #write(file: string, content: string): Promise<void> {
		this.#unwritten.set(file, content);
		await this.#writes.take(file, async () => {
			const latest = this.#unwritten.get(file);
			if (latest === undefined) {
				// Written by whoever was before us, or not wanted any more.
				return;
			}
			try {
				await writeWhole(file, latest);
				await syncFolder(path.dirname(file));
			} catch (error) {
				this.#host.metrics.diskErrors.inc({code: (error as NodeJS.ErrnoException).code ?? 'unknown'});
				this.#host.log.error({file, problem: describe(error)}, 'what is known of an image could not be written');
				return;
			}
			if (this.#unwritten.get(file) === latest) {
				this.#unwritten.delete(file);
			}
		});
	}

	async #delete(file: string): Promise<void> {
		this.#unwritten.delete(file);
		await this.#writes.take(file, async () => {
			// Unless somebody wants it there again by now.
			if (!this.#unwritten.has(file)) {
				await rm(file, {force: true});
			}
		});
	}
}

function keyOf(uuid: Uuid, index: number): string {
	return `${uuid}.${index}`;
}
