/**
 * Lists as ready-made bytes: a JSON array indented by two spaces, with its ETag, plain and compressed.
 *
 * The catalog asks per version of its list and per query; an answer is made once for all who ask at the same time, in
 * slices, and kept while the list stays the same and there is room. Whatever has been laid out once, for any query or
 * for the version before, is copied from there. How bytes come about is `list-bytes.ts` and `encoded-list.ts`.
 */
import {LRUCache} from 'lru-cache';
import {inSlices} from '../host-slices.js';
import type {Manifest, Shown} from '../image/manifest.js';
import {imageQuerySteps, NameIndex, NotedTags, type ImageQuery} from '../image/query.js';
import {copiedList} from './copied-list.js';
import {encodeList, type EncodedList, type ListEncoding} from './encoded-list.js';
import {isPlain, layOut, type Known, type LaidOut, type Places} from './list-bytes.js';
import {chunkBytes, SpareChunks} from './spare-chunks.js';

export type {EncodedList, ListEncoding} from './encoded-list.js';

/** A JSON array's bytes. */
export interface ListBytes extends LaidOut {
	/** What it is to be had in besides; the best comes first. */
	readonly encodings: readonly ListEncoding[];
	/** Made once for everybody, when somebody asks first. */
	readonly encoded: (encoding: ListEncoding) => Promise<EncodedList>;
}

/** All images laid out, for others to be copied from. */
interface Whole {
	readonly images: readonly Manifest[];
	readonly list: LaidOut;
	readonly places: Places;
	readonly index: NameIndex;
	readonly noted: NotedTags;
}

interface Kept {
	readonly list: ListBytes;
	/** With what has been compressed so far. */
	bytes: number;
}

/** A packet holds as much. */
const leastEncoded = 1024;
const encodings: readonly ListEncoding[] = ['br', 'gzip'];
/** So long ones are compressed one after another: files need Node's threads, too. */
const longBytes = 1024 * 1024;
/** What an answer costs beside its bytes: there may be many small ones. */
const entryBytes = 1024;
/** Of an image in a list. */
const usualBytes = 1400;
const plain = {channels: false, admin: false};

export class Listings {
	readonly #kept: LRUCache<string, Kept>;
	readonly #making = new Map<string, Promise<ListBytes>>();
	readonly #maxWholeBytes: number;
	readonly #spare = new SpareChunks();
	readonly #unstoppable = new AbortController().signal;
	#version = -1;
	/** Of this version or one before. */
	#whole: Whole | undefined;
	#layingOut: {readonly images: readonly Manifest[]; readonly list: Promise<LaidOut>} | undefined;
	#lastLong: Promise<unknown> = Promise.resolve();

	constructor({maxBytes = 192 * 2 ** 20}: {maxBytes?: number} = {}) {
		// The whole list and what is kept are the same bytes, mostly.
		this.#maxWholeBytes = Math.floor(maxBytes / 3);
		this.#kept = new LRUCache({
			maxSize: maxBytes - this.#maxWholeBytes,
			sizeCalculation: ({bytes}, key) => bytes + key.length + entryBytes,
		});
	}

	/** `images`: the whole list at this version. */
	get(version: number, query: ImageQuery, images: readonly Manifest[]): Promise<ListBytes> {
		const kept = this.kept(version, query);
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

	/** What is there already. */
	kept(version: number, query: ImageQuery): ListBytes | undefined {
		if (version !== this.#version) {
			// What another version said will never be asked for again.
			this.#version = version;
			this.#kept.clear();
		}
		return this.#kept.get(query.key)?.list;
	}

	async #make(version: number, query: ImageQuery, images: readonly Manifest[]): Promise<ListBytes> {
		const {index, noted} = (this.#whole?.images === images ? this.#whole : undefined) ?? {};
		const steps = imageQuerySteps(query, images, {index, noted});
		const found = await inSlices(steps, this.#unstoppable);
		const shown = {channels: query.showChannels, admin: query.inclAdminFields};
		const isWhole = found.length === images.length && !query.newestFirst;
		const isCopy = isPlain(shown) || found.every(place => images[place]?.local === undefined);
		const laidOut = await (isWhole && isCopy
			? this.#layOutWhole(images)
			: this.#layOutSome(images, found, shown, isCopy));
		if (version === this.#version) {
			this.#prepare(version, images, found.length === 0 ? usualBytes : laidOut.length / found.length);
		}
		const kept = this.#answer(query.key, laidOut);
		if (version === this.#version) {
			this.#kept.set(query.key, kept);
		}
		return kept.list;
	}

	/** `isCopy`: all of them look as they do in the whole list. */
	async #layOutSome(
		images: readonly Manifest[],
		places: readonly number[],
		shown: Shown,
		isCopy: boolean,
	): Promise<LaidOut> {
		const whole = this.#whole;
		if (isCopy && whole?.images === images) {
			return copiedList(whole.places, places, this.#spare);
		}
		const found: Manifest[] = [];
		for (const place of places) {
			const image = images[place];
			if (image !== undefined) {
				found.push(image);
			}
		}
		const known = this.#known(images, (_, at) => places[at]);
		const {list} = await layOut(found, {shown, known, spare: this.#spare});
		return list;
	}

	/** What has been laid out, be it of a list of before. `placeOf`: in `images`. */
	#known(images: readonly Manifest[], placeOf: Known['placeOf']): Known | undefined {
		const whole = this.#whole;
		if (whole === undefined) {
			return undefined;
		}
		const {places} = whole;
		return {places, placeOf: whole.images === images ? placeOf : manifest => places.of(manifest)};
	}

	/** After one question there is another about the same images. `bytesEach`: about. */
	#prepare(version: number, images: readonly Manifest[], bytesEach: number): void {
		// One that is there has been found short enough, whatever is asked about its largest images.
		if (this.#whole?.images === images || images.length * bytesEach <= this.#maxWholeBytes) {
			// Whoever has asked gets the answer first.
			setImmediate(() => {
				if (version === this.#version) {
					this.#layOutWhole(images).catch(() => undefined);
				}
				if (images.length * bytesEach > chunkBytes) {
					this.#spare.refill();
				}
			});
		} else {
			this.#whole = undefined;
		}
	}

	#layOutWhole(images: readonly Manifest[]): Promise<LaidOut> {
		if (this.#whole?.images === images) {
			return Promise.resolve(this.#whole.list);
		}
		if (this.#layingOut?.images !== images) {
			this.#layingOut = {images, list: this.#layOutAll(images)};
		}
		return this.#layingOut.list;
	}

	async #layOutAll(images: readonly Manifest[]): Promise<LaidOut> {
		try {
			const known = this.#known(images, (_, at) => at);
			const noted = new NotedTags(images.length, this.#whole?.noted);
			const tags = {noted, before: this.#whole?.noted};
			const {list, places} = await layOut(images, {shown: plain, known, spare: this.#spare, tags});
			if (this.#layingOut?.images === images) {
				const isKept = list.length <= this.#maxWholeBytes;
				this.#whole = isKept ? {images, list, places: places(), index: new NameIndex(images), noted} : undefined;
			}
			return list;
		} finally {
			if (this.#layingOut?.images === images) {
				this.#layingOut = undefined;
			}
		}
	}

	#answer(key: string, laidOut: LaidOut): Kept {
		const made = new Map<ListEncoding, Promise<EncodedList>>();
		const list: ListBytes = {
			...laidOut,
			encodings: laidOut.length < leastEncoded ? [] : encodings,
			encoded: encoding => {
				let encoded = made.get(encoding);
				if (encoded === undefined) {
					encoded = this.#encode(laidOut, encoding);
					made.set(encoding, encoded);
					encoded.then(
						({length}) => this.#grow(key, kept, length),
						() => made.delete(encoding),
					);
				}
				return encoded;
			},
		};
		const kept = {list, bytes: laidOut.length};
		return kept;
	}

	#encode(list: LaidOut, encoding: ListEncoding): Promise<EncodedList> {
		if (list.length < longBytes) {
			return encodeList(list, encoding);
		}
		const encoded = this.#lastLong.then(() => encodeList(list, encoding));
		this.#lastLong = encoded.then(
			() => undefined,
			() => undefined,
		);
		return encoded;
	}

	/** Counts what has been compressed along with its list: they are kept, and go, together. */
	#grow(key: string, kept: Kept, bytes: number): void {
		kept.bytes += bytes;
		if (this.#kept.peek(key) === kept) {
			this.#kept.delete(key);
			this.#kept.set(key, kept);
		}
	}
}
