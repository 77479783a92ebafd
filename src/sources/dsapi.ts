/**
 * One address of a DSAPI server as a Source (contract 5, 11 and 13.9).
 *
 * Its manifests are v1 and come out as v2; where its files are is said in what v2 has no place for, so that is kept
 * here by uuid. Everything a manifest says about paths and URLs is taken for hostile.
 */
import {NotFoundError} from '../errors.js';
import {datasetFiles, datasetPath, manifestFromAny} from '../image/dataset.js';
import type {Manifest, Uuid} from '../image/manifest.js';
import {Skipped, maxListBytes, maxManifestBytes, readEntries} from './entries.js';
import {asFailure} from './failure.js';
import {askPing, isArray} from './probe.js';
import type {Remote} from './remote.js';
import type {Retry} from './retry.js';
import type {Ask, FileAt, FileBody, Icon, ListEnd, Source} from './source.js';

interface FilePlace {
	readonly path: string | undefined;
	readonly url: string | undefined;
}

/** More than any DSAPI server ever listed: what a hostile one can make us remember. */
const maxPlaces = 100_000;

export class DsapiSource implements Source {
	readonly kind = 'dsapi';
	readonly name: string;
	readonly #base: string;
	readonly #remote: Remote;
	readonly #retry: Retry;
	readonly #places = new Map<Uuid, readonly FilePlace[]>();
	#proven: boolean;

	constructor(options: {
		readonly name: string;
		/** With or without `/datasets` at its end, without trailing slash. */
		readonly base: string;
		readonly remote: Remote;
		readonly retry: Retry;
		readonly proven?: boolean;
	}) {
		this.name = options.name;
		this.#base = options.base.replace(/\/datasets$/, '');
		this.#remote = options.remote;
		this.#retry = options.retry;
		this.#proven = options.proven ?? false;
	}

	async *list(ask: Ask): AsyncGenerator<Manifest, ListEnd, undefined> {
		const url = `${this.#base}/datasets`;
		const yielded = new Set<string>();
		for (let failed = 1; ; failed++) {
			const skipped = new Skipped();
			const here = new Set<string>();
			try {
				for await (const {uuid, manifest, text, reason} of readEntries(
					this.#remote.readChunks(url, ask),
					maxListBytes,
				)) {
					if (manifest === undefined || text === undefined) {
						skipped.add(reason);
						continue;
					}
					if (here.has(manifest.uuid)) {
						skipped.add(`image ${uuid ?? ''} is listed twice`);
						continue;
					}
					here.add(manifest.uuid);
					if (!yielded.has(manifest.uuid)) {
						yielded.add(manifest.uuid);
						this.#remember(manifest.uuid, text);
						yield manifest;
					}
				}
				this.#proven = true;
				return skipped.end;
			} catch (error) {
				if (!(await this.#retry.again(error, failed, ask))) {
					throw asFailure(this.name, `${url} answered no usable list`, error, ask);
				}
			}
		}
	}

	async find(uuid: Uuid, ask: Ask): Promise<Manifest | undefined> {
		const url = `${this.#base}/datasets/${uuid}`;
		const text = await this.#remote.readJson(url, maxManifestBytes, ask);
		if (text === undefined) {
			await this.#proveItself(ask);
			return undefined;
		}
		let manifest: Manifest;
		try {
			manifest = manifestFromAny(text);
		} catch (error) {
			throw this.#remote.failure(url, 'answered no usable manifest', error);
		}
		if (manifest.uuid !== uuid) {
			throw this.#remote.failure(url, `answered with another image, ${manifest.uuid}`);
		}
		this.#remember(uuid, text);
		this.#proven = true;
		return manifest;
	}

	async openFile(image: Manifest, index: number, at: FileAt, ask: Ask): Promise<FileBody> {
		for (const url of await this.#fileUrls(image, index, ask)) {
			const body = await this.#remote.openFile(url, at, image.files[index], ask);
			if (body !== undefined) {
				return {...body, address: this.#base};
			}
		}
		await this.#proveItself(ask);
		throw new NotFoundError(`source ${this.name}: image ${image.uuid} has no file ${index} there`);
	}

	/** DSAPI has no icons. */
	readIcon(): Promise<Icon | undefined> {
		return Promise.resolve(undefined);
	}

	close(): Promise<void> {
		return this.#remote.close();
	}

	/** Where the file may be: below the image, as every DSAPI server has it, then wherever the manifest says. */
	async #fileUrls(image: Manifest, index: number, ask: Ask): Promise<readonly string[]> {
		if (!this.#places.has(image.uuid)) {
			// After a restart the catalog knows the image, and we do not know its file's name.
			await this.find(image.uuid, ask);
		}
		const place = this.#places.get(image.uuid)?.[index];
		const directory = `${this.#base}/datasets/${image.uuid}`;
		const path =
			place?.path !== undefined && isSegment(place.path)
				? place.path
				: image.files[index] === undefined
					? undefined
					: datasetPath(image, index);
		const urls = new Set<string>();
		if (path !== undefined) {
			urls.add(`${directory}/${encodeURIComponent(path)}`);
		}
		const elsewhere = fileUrl(place?.url, `${directory}/`);
		if (elsewhere !== undefined) {
			urls.add(elsewhere);
		}
		return [...urls];
	}

	#remember(uuid: Uuid, text: string): void {
		const [oldest] = this.#places.keys();
		if (this.#places.size >= maxPlaces && oldest !== undefined) {
			this.#places.delete(oldest);
		}
		this.#places.delete(uuid);
		this.#places.set(uuid, datasetFiles(text));
	}

	/** As with IMGAPI: a 404 from what is no image server says nothing about images. */
	async #proveItself(ask: Ask): Promise<void> {
		if (this.#proven) {
			return;
		}
		const isServer =
			(await askPing(this.#remote, this.#base, ask)) !== undefined ||
			(await isArray(this.#remote, `${this.#base}/datasets`, ask));
		if (!isServer) {
			throw this.#remote.failure(this.#base, 'answered 404, but has never answered like a DSAPI server');
		}
		this.#proven = true;
	}
}

/** One segment of a path that cannot lead anywhere else, whatever the server does with it. */
function isSegment(path: string): boolean {
	// Halves of surrogate pairs cannot be written in a URL.
	return path !== '' && path !== '.' && path !== '..' && path.length <= 1024 && !/[/\\\p{Cc}\p{Cs}]/u.test(path);
}

/** `files[].url` as a URL, if it is one of use. Servers wrote `-automatic-` where they meant to fill it in. */
function fileUrl(text: string | undefined, directory: string): string | undefined {
	if (text === undefined || text === '' || text.includes('-automatic-') || !URL.canParse(text, directory)) {
		return undefined;
	}
	const url = new URL(text, directory);
	// Credentials from a manifest are not ours to use.
	url.username = '';
	url.password = '';
	url.hash = '';
	return url.protocol === 'http:' || url.protocol === 'https:' ? url.href : undefined;
}
