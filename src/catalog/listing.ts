/**
 * Lists as ready-made bytes: a JSON array indented by two spaces, with its digest.
 *
 * The catalog asks per version of its list and per query; an answer is made once for all who ask at the same time, in
 * slices, and kept while the list stays the same and there is room. What a query means is `image/query.ts`.
 */
import {createHash} from 'node:crypto';
import {LRUCache} from 'lru-cache';
import {Slices} from '../host-slices.js';
import {prettyJson} from '../image/json-text.js';
import {servedText, type Manifest, type Shown} from '../image/manifest.js';
import {runImageQuery, type ImageQuery} from '../image/query.js';

/** A JSON array's bytes. */
export interface ListBytes {
	readonly chunks: readonly Buffer[];
	readonly length: number;
	/** Without quotes. */
	readonly etag: string;
}

const chunkBytes = 128 * 1024;
/** What an answer costs beside its bytes: there may be many small ones. */
const entryBytes = 1024;

export class Listings {
	readonly #kept: LRUCache<string, ListBytes>;
	readonly #making = new Map<string, Promise<ListBytes>>();
	#version = -1;

	constructor({maxBytes = 192 * 2 ** 20}: {maxBytes?: number} = {}) {
		this.#kept = new LRUCache({
			maxSize: maxBytes,
			sizeCalculation: ({length}, key) => length + key.length + entryBytes,
		});
	}

	/** `images`: the whole list at this version. */
	get(version: number, query: ImageQuery, images: readonly Manifest[]): Promise<ListBytes> {
		if (version !== this.#version) {
			// What another version said will never be asked for again.
			this.#version = version;
			this.#kept.clear();
		}
		const kept = this.#kept.get(query.key);
		if (kept !== undefined) {
			return Promise.resolve(kept);
		}
		const key = `${version} ${query.key}`;
		const running = this.#making.get(key);
		if (running !== undefined) {
			return running;
		}
		const making = this.#make(version, query, images).finally(() => {
			this.#making.delete(key);
		});
		this.#making.set(key, making);
		return making;
	}

	async #make(version: number, query: ImageQuery, images: readonly Manifest[]): Promise<ListBytes> {
		const shown = {channels: query.showChannels, admin: query.inclAdminFields};
		const bytes = await listBytes(runImageQuery(query, images), shown);
		if (version === this.#version) {
			this.#kept.set(query.key, bytes);
		}
		return bytes;
	}
}

/** As JSON.stringify(images, null, 2) would lay them out. */
export async function listBytes(
	images: readonly Manifest[],
	shown: Shown = {channels: false, admin: false},
): Promise<ListBytes> {
	const slices = new Slices();
	const hash = createHash('sha1');
	const chunks: Buffer[] = [];
	let parts: string[] = [];
	let characters = 0;
	let length = 0;
	const flush = (): void => {
		const chunk = Buffer.from(parts.join(''));
		hash.update(chunk);
		chunks.push(chunk);
		length += chunk.length;
		parts = [];
		characters = 0;
	};
	let separator = '[\n  ';
	for (const manifest of images) {
		const pretty = prettyJson(servedText(manifest, shown), 1);
		parts.push(separator, pretty);
		characters += pretty.length;
		separator = ',\n  ';
		if (characters >= chunkBytes) {
			flush();
		}
		if (slices.over) {
			await slices.next();
		}
	}
	parts.push(images.length === 0 ? '[]' : '\n]');
	flush();
	return {chunks, length, etag: hash.digest('hex')};
}
