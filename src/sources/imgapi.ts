/**
 * One address of an IMGAPI server as a Source (contract 6, 7 and 13).
 *
 * Knows its URLs, its paging, and what its answers must hold; `remote.ts` does the asking. Retrying what a caller can
 * see is left to whoever wraps it: only a list, which cannot be begun again from outside, repeats its own pages.
 */
import {NotFoundError} from '../errors.js';
import {manifestFromAny} from '../image/dataset.js';
import type {Manifest, Uuid} from '../image/manifest.js';
import {Skipped, maxListBytes, maxManifestBytes, readEntries} from './entries.js';
import {asFailure} from './failure.js';
import {askPing, isArray} from './probe.js';
import type {Remote} from './remote.js';
import type {Retry} from './retry.js';
import type {Ask, FileAt, FileBody, Icon, ListEnd, Source} from './source.js';

/** imgadm's own number: a list shorter than this is whole. Smaller pages would meet a defect of the reference. */
const pageSize = 1000;
/** No server has that many images of one instant. */
const maxPageSize = 1_024_000;
const maxIconBytes = 128 * 1024;

interface Page {
	/** Entries, usable or not. */
	count: number;
	/** Of them, those whose uuid no earlier page had. */
	fresh: number;
	/** The marker was among them; some servers leave it out, after counting it. */
	hasMarker: boolean;
	bytes: number;
	first: string | undefined;
	last: string | undefined;
}

interface ListState {
	/** With whether something usable came of it. */
	readonly seen: Map<string, boolean>;
	readonly skipped: Skipped;
	readonly bytesLeft: number;
	readonly marker: string | undefined;
	readonly limit: number;
	/** Of the first page. */
	readonly first: string | undefined;
}

export class ImgapiSource implements Source {
	readonly kind = 'imgapi';
	readonly name: string;
	readonly #base: string;
	readonly #channel: string | undefined;
	readonly #remote: Remote;
	readonly #retry: Retry;
	readonly #maxListBytes: number;
	/** It has answered like an IMGAPI server at least once. */
	#proven: boolean;

	constructor(options: {
		readonly name: string;
		/** Without trailing slash. */
		readonly base: string;
		readonly channel: string | undefined;
		readonly remote: Remote;
		readonly retry: Retry;
		readonly proven?: boolean;
		readonly maxListBytes?: number;
	}) {
		this.name = options.name;
		this.#base = options.base;
		this.#channel = options.channel;
		this.#remote = options.remote;
		this.#retry = options.retry;
		this.#proven = options.proven ?? false;
		this.#maxListBytes = options.maxListBytes ?? maxListBytes;
	}

	async *list(ask: Ask): AsyncGenerator<Manifest, ListEnd, undefined> {
		const seen = new Map<string, boolean>();
		const skipped = new Skipped();
		let marker: string | undefined;
		let limit = pageSize;
		let bytesLeft = this.#maxListBytes;
		let first: string | undefined;
		for (;;) {
			const query = marker === undefined ? {} : {marker, limit: String(limit)};
			const page: Page = {count: 0, fresh: 0, hasMarker: false, bytes: 0, first: undefined, last: undefined};
			const list = {seen, skipped, bytesLeft, marker, limit, first};
			yield* this.#page(this.#url('/images', query), page, list, ask);
			bytesLeft -= page.bytes;
			first ??= page.first;
			this.#proven = true;
			const isShort = page.count + (marker === undefined || page.hasMarker ? 0 : 1) < limit;
			if (isShort || page.last === undefined) {
				const cappedTie = limit > pageSize && page.fresh === 0 && page.count >= pageSize && page.first !== first;
				if (cappedTie) {
					throw this.#remote.failure(
						this.#url('/images', query),
						`gives no more than ${page.count} images of one instant`,
					);
				}
				return skipped.end;
			}
			if (marker === undefined || page.fresh > 0) {
				marker = page.last;
				continue;
			}
			// A full page of nothing new. More than asked for: the server knows neither marker nor limit, and we have
			// it all. Else more images than fit a page have the marker's published_at, which is all a marker means.
			if (page.count > limit || limit >= maxPageSize) {
				return skipped.end;
			}
			limit *= 2;
		}
	}

	async find(uuid: Uuid, ask: Ask): Promise<Manifest | undefined> {
		const url = this.#url(`/images/${uuid}`);
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
		this.#proven = true;
		return manifest;
	}

	async openFile(image: Manifest, index: number, at: FileAt, ask: Ask): Promise<FileBody> {
		const url = this.#url(`/images/${image.uuid}/file`, index === 0 ? {} : {index: String(index)});
		const body = await this.#remote.openFile(url, at, image.files[index], ask);
		if (body === undefined) {
			await this.#proveItself(ask);
			throw new NotFoundError(`source ${this.name}: image ${image.uuid} has no file ${index} there`);
		}
		return {...body, address: this.#base};
	}

	async readIcon(image: Manifest, ask: Ask): Promise<Icon | undefined> {
		const icon = await this.#remote.readIcon(this.#url(`/images/${image.uuid}/icon`), maxIconBytes, ask);
		if (icon === undefined) {
			await this.#proveItself(ask);
		}
		return icon;
	}

	close(): Promise<void> {
		return this.#remote.close();
	}

	/** One page, asked for again while its connection fails: what came before is known by then, and not repeated. */
	async *#page(url: string, page: Page, list: ListState, ask: Ask): AsyncGenerator<Manifest, undefined, undefined> {
		for (let failed = 1; ; failed++) {
			page.count = 0;
			try {
				yield* this.#readPage(url, page, list, ask);
				return undefined;
			} catch (error) {
				if (!(await this.#retry.again(error, failed, ask))) {
					throw asFailure(this.name, `${url} answered no usable list`, error, ask);
				}
			}
		}
	}

	async *#readPage(
		url: string,
		page: Page,
		{seen, skipped, bytesLeft, marker, limit, first}: ListState,
		ask: Ask,
	): AsyncGenerator<Manifest, undefined, undefined> {
		const here = new Set<string>();
		const counted = countBytes(this.#remote.readChunks(url, ask), bytes => (page.bytes += bytes));
		for await (const {uuid, manifest, reason} of readEntries(counted, bytesLeft)) {
			page.count++;
			if (uuid === undefined) {
				skipped.add(reason);
				continue;
			}
			page.first ??= uuid;
			page.last = uuid;
			page.hasMarker ||= uuid === marker;
			const isKnown = seen.has(uuid);
			if (here.has(uuid)) {
				skipped.add(`image ${uuid} is listed twice`);
			} else if (!isKnown && manifest === undefined) {
				skipped.add(reason);
			}
			here.add(uuid);
			if (!isKnown) {
				page.fresh++;
			}
			if (seen.get(uuid) !== true) {
				seen.set(uuid, manifest !== undefined);
				if (manifest !== undefined) {
					yield manifest;
				}
			}
			if (marker !== undefined && page.count > limit && page.fresh === 0 && page.first === first) {
				// The first page over again: what is left of it costs both sides much, and says nothing new.
				return undefined;
			}
		}
		return undefined;
	}

	/**
	 * A 404 says "absent" only where an image server says it: behind a wrong base path everything is 404, and images
	 * must not vanish by a typing error.
	 */
	async #proveItself(ask: Ask): Promise<void> {
		if (this.#proven) {
			return;
		}
		const isServer =
			(await askPing(this.#remote, this.#base, ask)) === 'imgapi' ||
			(await isArray(this.#remote, this.#url('/images'), ask));
		if (!isServer) {
			throw this.#remote.failure(this.#base, 'answered 404, but has never answered like an IMGAPI server');
		}
		this.#proven = true;
	}

	/** The channel comes first, as imgadm has it. */
	#url(path: string, query: Readonly<Record<string, string>> = {}): string {
		const all = new URLSearchParams({...(this.#channel === undefined ? {} : {channel: this.#channel}), ...query});
		return `${this.#base}${path}${all.size === 0 ? '' : `?${all.toString()}`}`;
	}
}

async function* countBytes(
	chunks: AsyncIterable<Uint8Array>,
	add: (bytes: number) => void,
): AsyncGenerator<Uint8Array, undefined, undefined> {
	for await (const chunk of chunks) {
		add(chunk.length);
		yield chunk;
	}
	return undefined;
}
