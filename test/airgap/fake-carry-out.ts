/**
 * A mirror as exports see it: images are known by number, their files lie in a directory, and what is not here comes
 * when it is fetched.
 */
import {open, rm, writeFile, type FileHandle} from 'node:fs/promises';
import {join} from 'node:path';
import {MirrorError, NotFoundError} from '../../src/errors.js';
import {prettyJson} from '../../src/image/json-text.js';
import {compareImages, isActive, isSha1, type Manifest, type Sha1, type Uuid} from '../../src/image/manifest.js';
import type {AheadImage} from '../../src/mirror-ahead-api.js';
import type {CarryBlob, CarryImage, CarryOut} from '../../src/mirror-carry-api.js';
import type {Ask, Icon} from '../../src/sources/source.js';
import {digest, pseudoRandom} from '../helpers/make-image.js';
import {image, uuid} from '../image/manifests.js';

export interface CarriedOptions {
	readonly name?: string;
	readonly version?: string;
	readonly os?: string;
	readonly type?: string;
	readonly state?: string;
	readonly publishedAt?: string;
	/** The number of another. */
	readonly origin?: number;
	/** One file of 1000 bytes unless given. A number is a size. */
	readonly files?: readonly (Buffer | number)[];
	readonly compression?: string;
	/** False: to be fetched. */
	readonly here?: boolean;
	/** False: the manifest does not say the sha1. */
	readonly saysSha1?: boolean;
	/** False: sources have to be asked for it. */
	readonly known?: boolean;
	readonly sources?: readonly string[];
	readonly icon?: Icon;
	/** Its manifest says that it has one, and nobody gives it. */
	readonly iconLost?: boolean;
	readonly more?: object;
}

interface Carried {
	readonly manifest: Manifest;
	readonly files: readonly {readonly sha1: Sha1; readonly bytes: Buffer}[];
	readonly options: CarriedOptions;
	text: string;
}

export function id(number: number): Uuid {
	return uuid(number) as Uuid;
}

export class FakeCarryOut implements CarryOut {
	readonly #folder: string;
	readonly #images = new Map<Uuid, Carried>();
	readonly #here = new Map<Sha1, CarryBlob>();
	#offered: readonly AheadImage[] | undefined;
	readonly #helds = new Map<string, Set<Sha1>>();
	readonly channels = new Map<string, readonly Uuid[]>();
	/** Sources were asked for these. */
	readonly asked: Uuid[] = [];
	readonly fetched: Uuid[] = [];
	/** What finding, or fetching, an image comes to instead. */
	readonly findMishaps = new Map<Uuid, Error>();
	readonly fetchMishaps = new Map<Uuid, Error>();
	/** Called while an image is being fetched. */
	onFetch: (uuid: Uuid, how: Parameters<CarryOut['fetch']>[1]) => Promise<void> = () => Promise.resolve();
	/** Called whenever an image is looked up. */
	onFind: (uuid: Uuid) => void = () => undefined;
	/** Handles that were given out and are open. */
	opened = 0;

	constructor(folder: string) {
		this.#folder = folder;
	}

	async add(number: number, options: CarriedOptions = {}): Promise<Uuid> {
		const files = (options.files ?? [1000]).map(file => {
			const bytes = typeof file === 'number' ? pseudoRandom(file, number) : file;
			return {bytes, sha1: sha1Of(digest('sha1', bytes))};
		});
		const {name = `image-${number}`, version = '1.0.0', os = 'smartos', type = 'zone-dataset'} = options;
		const manifest = image(number, {
			...{name, version, os, type, state: options.state ?? 'active', disabled: options.state === 'disabled'},
			...(options.publishedAt === undefined ? {} : {published_at: options.publishedAt}),
			files: files.map(({bytes, sha1}) => ({
				...(options.saysSha1 === false ? {} : {sha1}),
				size: bytes.length,
				compression: options.compression ?? 'gzip',
			})),
			...(options.origin === undefined ? {} : {origin: uuid(options.origin)}),
			...(options.icon === undefined && options.iconLost !== true ? {} : {icon: true}),
			...options.more,
		});
		this.#images.set(manifest.uuid, {manifest, files, options, text: prettyJson(manifest.text)});
		this.#offered = undefined;
		if (options.here !== false) {
			await this.#take(files);
		}
		return manifest.uuid;
	}

	/** Something else is said of it from now on. */
	setText(number: number, text: string): void {
		this.#carried(id(number)).text = text;
	}

	textOf(number: number): string {
		return this.#carried(id(number)).text;
	}

	fileOf(number: number, index = 0): {readonly sha1: Sha1; readonly bytes: Buffer} {
		const file = this.#carried(id(number)).files[index];
		if (file === undefined) {
			throw new Error(`image ${number} has no file ${index}`);
		}
		return file;
	}

	path(sha1: Sha1): string {
		return join(this.#folder, sha1);
	}

	/** Whoever holds it. */
	async lose(sha1: Sha1): Promise<void> {
		this.#here.delete(sha1);
		await rm(this.path(sha1));
	}

	/** By all who hold any. */
	get held(): readonly Sha1[] {
		return [...new Set([...this.#helds.values()].flatMap(held => [...held]))].sort();
	}

	images(): readonly AheadImage[] {
		this.#offered ??= [...this.#images.values()]
			.filter(({manifest, options}) => isActive(manifest) && options.known !== false)
			.map(aheadImage)
			.sort((a, b) => compareImages(a.manifest, b.manifest));
		return this.#offered;
	}

	image(uuid: Uuid): AheadImage | undefined {
		const carried = this.#images.get(uuid);
		return carried === undefined || carried.options.known === false ? undefined : aheadImage(carried);
	}

	inChannel(channel: string): readonly Uuid[] {
		const uuids = this.channels.get(channel);
		if (uuids === undefined) {
			throw new MirrorError(`no channel ${channel}`);
		}
		return uuids;
	}

	whole(): readonly Uuid[] {
		return [...this.#images.values()]
			.filter(({manifest, files}) => manifest.state !== 'unactivated' && files.every(({sha1}) => this.#here.has(sha1)))
			.map(({manifest}) => manifest.uuid);
	}

	async find(uuid: Uuid, ask: Ask): Promise<CarryImage> {
		this.onFind(uuid);
		ask.signal.throwIfAborted();
		const mishap = this.findMishaps.get(uuid);
		if (mishap !== undefined) {
			throw mishap;
		}
		const carried = this.#images.get(uuid);
		if (carried === undefined || carried.options.known === false) {
			this.asked.push(uuid);
			await Promise.resolve();
		}
		if (carried === undefined) {
			throw new NotFoundError(`image ${uuid} not found`);
		}
		const {manifest, files, text, options} = carried;
		return {
			...{manifest, source: options.sources?.[0] ?? 'smartos', text},
			files: manifest.files.map(({sha1, size, compression}, index) => {
				const blob = this.#here.get(files[index]?.sha1 ?? digestless);
				return {sha1: sha1 ?? blob?.sha1, size, compression, here: blob !== undefined};
			}),
		};
	}

	async fetch(uuid: Uuid, how: Parameters<CarryOut['fetch']>[1]): Promise<void> {
		this.fetched.push(uuid);
		await this.onFetch(uuid, how);
		how.signal.throwIfAborted();
		const mishap = this.fetchMishaps.get(uuid);
		if (mishap !== undefined) {
			throw mishap;
		}
		const {files} = this.#carried(uuid);
		await this.#take(files);
		how.onProgress(files.reduce((sum, {bytes}) => sum + bytes.length, 0));
	}

	hold(sha1: Sha1, by: string): CarryBlob | undefined {
		const blob = this.#here.get(sha1);
		if (blob !== undefined) {
			this.#helds.set(by, (this.#helds.get(by) ?? new Set()).add(sha1));
		}
		return blob;
	}

	letGo(by: string): void {
		this.#helds.delete(by);
	}

	async open(sha1: Sha1): Promise<FileHandle | undefined> {
		if (!this.#here.has(sha1)) {
			return undefined;
		}
		const handle = await open(this.path(sha1));
		this.opened++;
		const close = handle.close.bind(handle);
		handle.close = () => {
			this.opened--;
			return close();
		};
		return handle;
	}

	icon({manifest}: CarryImage): Promise<Icon | undefined> {
		return Promise.resolve(this.#carried(manifest.uuid).options.icon);
	}

	#carried(uuid: Uuid): Carried {
		const carried = this.#images.get(uuid);
		if (carried === undefined) {
			throw new Error(`no image ${uuid}`);
		}
		return carried;
	}

	async #take(files: Carried['files']): Promise<void> {
		for (const {sha1, bytes} of files) {
			await writeFile(this.path(sha1), bytes);
			this.#here.set(sha1, {sha1, sha256: digest('sha256', bytes), size: bytes.length});
		}
	}
}

const digestless = sha1Of('0'.repeat(40));

function sha1Of(text: string): Sha1 {
	if (!isSha1(text)) {
		throw new Error(`${text} is no sha1`);
	}
	return text;
}

function aheadImage({manifest, options}: Carried): AheadImage {
	return {manifest, sources: options.sources ?? ['smartos']};
}
