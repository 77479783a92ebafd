/**
 * Lists of datasets as bytes: made once for everybody who asks for the same one, and kept while the catalog's is the same.
 *
 * The URLs in them are the client's way to us, and clients may call us as they like, so each name has lists of its own.
 * There is room for some; what comes when it is full is put together anew for each client, while it is sent: whoever
 * takes nothing keeps a piece of it in memory then, and not the whole.
 */
import {createHash, randomUUID} from 'node:crypto';
import {datasetText, type DatasetNames} from '../image/dataset.js';
import {prettyJson} from '../image/json-text.js';
import type {Manifest} from '../image/manifest.js';
import {slices} from './slices.js';

export interface DatasetList {
	readonly length: number;
	readonly etag: string;
	/** `undefined`: there was no room for it. */
	readonly chunks: readonly Buffer[] | undefined;
	/** The same, made as it is taken where it is not kept. */
	readonly parts: () => AsyncIterable<Buffer> | Iterable<Buffer>;
}

/** A dataset's manifest as it stands in the list, in the pieces between which the base URL goes. */
interface Text {
	readonly pieces: readonly string[];
	readonly bytes: number;
	/** Stands for the pieces in the list's ETag. */
	readonly digest: Buffer;
}

/** What is made of it. */
interface Wanted {
	readonly datasets: readonly Manifest[];
	readonly names: DatasetNames;
	/** As it stands in JSON, without quotes. */
	readonly base: string;
}

/** Of a list: which one of the catalog's, and what is asked of it. */
export interface ListKey {
	readonly version: number;
	readonly text: string;
}

interface Making {
	readonly version: number;
	readonly list: Promise<DatasetList>;
}

const empty = '[]';
const separator = ',\n  ';
const mostBytes = 64 * 2 ** 20;
/** What a list costs beside its bytes: there may be many short ones. */
const entryBytes = 1024;
// Nobody outside knows it, so no manifest can contain it.
const urlPlace = `http://${randomUUID()}`;

export class DatasetLists {
	readonly #maxBytes: number;
	readonly #kept = new Map<string, DatasetList>();
	readonly #making = new Map<string, Making>();
	/** Of what is kept, and is being made to be kept. */
	#bytes = 0;
	#version = -1;
	#names: DatasetNames | undefined;
	#texts = new WeakMap<Manifest, Text>();

	constructor({maxBytes = mostBytes}: {readonly maxBytes?: number} = {}) {
		this.#maxBytes = maxBytes;
	}

	/** What is there already. */
	kept({version, text}: ListKey, names: DatasetNames): DatasetList | undefined {
		return this.#isOf(version, names) ? this.#kept.get(text) : undefined;
	}

	/** Made once for all who ask for it at the same time. */
	make(key: ListKey, wanted: Wanted): Promise<DatasetList> {
		const {version, text} = key;
		const {names} = wanted;
		if (version > this.#version || names !== this.#names) {
			this.#renew(version, names);
		}
		const running = this.#making.get(text);
		if (running?.version === version) {
			return running.list;
		}
		const list = this.#made(key, wanted).finally(() => {
			if (this.#making.get(text) === making) {
				this.#making.delete(text);
			}
		});
		const making = {version, list};
		this.#making.set(text, making);
		return list;
	}

	#isOf(version: number, names: DatasetNames): boolean {
		return version === this.#version && names === this.#names;
	}

	/** What another version said will never be asked for again. */
	#renew(version: number, names: DatasetNames): void {
		this.#version = version;
		this.#kept.clear();
		this.#making.clear();
		this.#bytes = 0;
		if (names !== this.#names) {
			this.#names = names;
			this.#texts = new WeakMap();
		}
	}

	async #made({version, text}: ListKey, wanted: Wanted): Promise<DatasetList> {
		const {length, etag} = await this.#measure(wanted);
		const bytes = this.#bytes + length + text.length + entryBytes;
		if (bytes > this.#maxBytes || !this.#isOf(version, wanted.names)) {
			return {length, etag, chunks: undefined, parts: () => this.#write(wanted)};
		}
		this.#bytes = bytes;
		const chunks: Buffer[] = [];
		for await (const chunk of this.#write(wanted)) {
			chunks.push(chunk);
		}
		const list = {length, etag, chunks, parts: () => chunks};
		if (this.#isOf(version, wanted.names)) {
			this.#kept.set(text, list);
		}
		return list;
	}

	/** What `#write` will have written. */
	async #measure({datasets, names, base}: Wanted): Promise<{length: number; etag: string}> {
		const hash = createHash('sha1').update(base);
		let length = empty.length;
		for await (const slice of slices(datasets)) {
			for (const manifest of slice) {
				const {pieces, bytes, digest} = this.#textOf(manifest, names);
				hash.update(digest);
				length += bytes + (pieces.length - 1) * Buffer.byteLength(base) + separator.length;
			}
		}
		return {length, etag: hash.digest('hex')};
	}

	async *#write({datasets, names, base}: Wanted): AsyncGenerator<Buffer, void, undefined> {
		if (datasets.length === 0) {
			yield Buffer.from(empty);
			return;
		}
		let [before, left] = [`[${separator.slice(1)}`, datasets.length];
		for await (const slice of slices(datasets)) {
			const written = slice.map(manifest => this.#textOf(manifest, names).pieces.join(base)).join(separator);
			left -= slice.length;
			// Not by itself: two bytes would go out when all before them have been acknowledged.
			yield Buffer.from(before + written + (left === 0 ? '\n]' : ''));
			before = separator;
		}
	}

	#textOf(manifest: Manifest, names: DatasetNames): Text {
		// By other names than those of now only for who began before.
		const texts = names === this.#names ? this.#texts : undefined;
		let text = texts?.get(manifest);
		if (text === undefined) {
			const pretty = prettyJson(datasetText(manifest, names)(urlPlace), 1);
			const digest = createHash('sha1').update(pretty.replaceAll(urlPlace, '')).digest();
			const pieces = pretty.split(urlPlace);
			text = {pieces, bytes: pieces.reduce((sum, piece) => sum + Buffer.byteLength(piece), 0), digest};
			texts?.set(manifest, text);
		}
		return text;
	}
}
