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
import {Slices} from '../host-slices.js';
import {prettyJson} from '../image/json-text.js';
import {isSha1, isUuid, parseManifest, type Manifest, type Sha1, type Uuid} from '../image/manifest.js';
import {Packer, UnpackedTexts, isSameText, textDigest} from '../image/packed.js';
import type {KnownManifest, Shelf} from './blob-index.js';
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
	readonly #bySha1 = new Map<Sha1, string | Set<string>>();
	readonly #found = new Map<string, Sha1>();
	/** What is to be on the disk and is not yet, by file: on its way there, or refused by it. */
	readonly #unwritten = new Map<string, string>();
	readonly #writes = new Turns();
	/** Of folders of blobs that are as they were written down. */
	readonly #untaken = new Map<string, Omit<Shelf, 'blobs'>>();
	readonly #packer = new Packer(new UnpackedTexts({max: 4}));
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
		this.#takeAll();
		return this.#images.values();
	}

	/** Those that have this file. */
	with(sha1: Sha1): readonly HeldImage[] {
		this.#takeFolder(sha1.slice(0, 2), () => undefined);
		const keys = this.#bySha1.get(sha1) ?? [];
		return [...(typeof keys === 'string' ? [keys] : keys)].flatMap(key => this.#images.get(key) ?? []);
	}

	/** Takes in a manifest that lies beside its blob. False: it cannot be read, which is reported, and is left there. */
	async read(
		file: string,
		where: {readonly sha1: Sha1; readonly index: number; readonly source: string},
	): Promise<boolean> {
		try {
			const manifest = this.#packer.pack(parseManifest(await readFile(file, 'utf8')));
			this.#set(imageKeyOf(manifest.uuid, where.index), {manifest, ...where});
			return true;
		} catch (error) {
			this.#host.log.warn({file, problem: describe(error)}, 'a manifest beside its file cannot be read');
			return false;
		}
	}

	/** Those of a folder of blobs, once somebody wants to know. */
	takeLater(folder: string, shelf: Omit<Shelf, 'blobs'>): void {
		this.#untaken.set(folder, shelf);
	}

	/** Uses the manifests that somebody else has, where they say the same: nothing is there twice. */
	async share(known: (uuid: Uuid) => Iterable<Manifest>): Promise<void> {
		const slices = new Slices();
		const find: KnownManifest = (uuid, digest) => {
			for (const manifest of known(uuid)) {
				if (textDigest(manifest) === digest) {
					return manifest;
				}
			}
			return undefined;
		};
		this.#packer.end();
		for (const [key, {manifest, source, sha1, index}] of this.#images) {
			const same = find(manifest.uuid, textDigest(manifest));
			if (same !== undefined) {
				this.#images.set(key, {manifest: same, source, sha1, index});
			}
			if (slices.over) {
				await slices.next();
			}
		}
		for (const folder of [...this.#untaken.keys()]) {
			this.#takeFolder(folder, find);
			if (slices.over) {
				await slices.next();
			}
		}
	}

	/** Something of this blob folder is on its way to the disk, or the disk would not take it. */
	isUnsettled(folder: string): boolean {
		const files = [...this.#writes.names, ...this.#unwritten.keys()];
		return files.some(file => path.basename(file).startsWith(folder));
	}

	/** Keeps the manifest beside the blob, so that it outlives the catalog's memory. False: it was there. */
	async keep(image: HeldImage): Promise<boolean> {
		this.#takeAll();
		const {manifest, sha1, index} = image;
		const key = imageKeyOf(manifest.uuid, index);
		const before = this.#images.get(key);
		if (before?.sha1 === sha1 && isSameText(before.manifest, manifest)) {
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
		this.#takeAll();
		const files = [...this.#images.values()].filter(({manifest}) => manifest.uuid === uuid);
		for (const image of files) {
			await this.#remove(image);
		}
		return files.map(({sha1}) => sha1).filter(sha1 => !this.#bySha1.has(sha1));
	}

	/** The files that some image has. */
	needed(): ReadonlySet<Sha1> {
		return new Set([...this.#bySha1.keys(), ...[...this.#untaken.values()].flatMap(({needed}) => needed)]);
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

	#takeAll(): void {
		for (const folder of [...this.#untaken.keys()]) {
			this.#takeFolder(folder, () => undefined);
		}
	}

	#takeFolder(folder: string, known: KnownManifest): void {
		const images = this.#untaken.get(folder)?.images(known) ?? [];
		this.#untaken.delete(folder);
		for (const image of images) {
			this.#set(imageKeyOf(image.manifest.uuid, image.index), image);
		}
	}

	async #remove(image: HeldImage): Promise<void> {
		const {manifest, sha1, index} = image;
		const key = imageKeyOf(manifest.uuid, index);
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
		// Nearly every file is one image's.
		const others = this.#bySha1.get(image.sha1);
		const set = typeof others === 'string' ? new Set([others]) : others;
		this.#bySha1.set(image.sha1, set === undefined ? key : set.add(key));
		this.#generation++;
	}

	#forget(key: string, {sha1}: HeldImage): void {
		this.#images.delete(key);
		const keys = this.#bySha1.get(sha1);
		if (keys instanceof Set) {
			keys.delete(key);
		}
		if (keys === key || (keys instanceof Set && keys.size === 0)) {
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

/** Nearly every image has one file. */
function imageKeyOf(uuid: Uuid, index: number): string {
	return index === 0 ? uuid : keyOf(uuid, index);
}

function keyOf(uuid: Uuid, index: number): string {
	return `${uuid}.${index}`;
}
