/**
 * Lists of manifests laid out as bytes, and how one is put together out of another without laying anything out again.
 *
 * In a list, each image stands as four bytes of separator and its manifest, in few large buffers; what holds some of
 * the same images is copied from there. `listing.ts` decides what is kept.
 */
import {createHash} from 'node:crypto';
import {Slices} from '../host-slices.js';
import {prettyJson} from '../image/json-text.js';
import {manifestEtag, servedText, type Manifest, type Shown} from '../image/manifest.js';
import type {NotedTags} from '../image/query.js';
import {chunkBytes, type SpareChunks} from './spare-chunks.js';

/** A JSON array's bytes. */
export interface LaidOut {
	/** `undefined`: they are not all there yet. */
	readonly chunks: () => readonly Buffer[] | undefined;
	/** The same, made as they are taken where they are not there yet. */
	readonly parts: () => Iterable<Buffer>;
	readonly length: number;
	/** Without quotes. The same manifests in the same order have the same one, here and after a restart. */
	readonly etag: string;
}

const separator = ',\n  ';
/** What the separator's first byte is, before the first image and before others, and what stands behind the last. */
export const marks = {open: '['.charCodeAt(0), comma: ','.charCodeAt(0), end: '\n]', empty: '[]'};
/** The clock is looked at once for so many. */
const stepLength = 16;
/** Of a sha1, in 32 bits each. */
export const digestWords = 5;

/** Where images stand in a list. */
export class Places {
	readonly #images: readonly Manifest[];
	readonly #chunks: readonly Buffer[];
	readonly #stretches: Stretches;
	#byManifest: ReadonlyMap<Manifest, number> | undefined;

	constructor(images: readonly Manifest[], chunks: readonly Buffer[], stretches: Stretches) {
		this.#images = images;
		this.#chunks = chunks;
		this.#stretches = stretches;
	}

	/** `undefined`: it is not there. A manifest that changes is another object. */
	of(manifest: Manifest): number | undefined {
		// Asked only where the list has become another.
		this.#byManifest ??= new Map(this.#images.map((image, place) => [image, place]));
		return this.#byManifest.get(manifest);
	}

	/** Separator and manifest; what the separator's first byte is depends on the place. */
	bytes(place: number): Buffer {
		const {chunkOf, starts, ends} = this.#stretches;
		return this.#chunks[chunkOf[place] ?? 0]?.subarray(starts[place], ends[place]) ?? Buffer.alloc(0);
	}

	/** Of these bytes. */
	length(place: number): number {
		const {starts, ends} = this.#stretches;
		return (ends[place] ?? 0) - (starts[place] ?? 0);
	}

	/** How many bytes these have together; their digests go to the beginning of `digestsOf`. */
	measure(which: readonly number[], digestsOf: Uint32Array): number {
		// In one go, as whoever has asked waits for it.
		const {starts, ends, digests} = this.#stretches;
		let length = 0;
		let at = 0;
		for (const place of which) {
			length += (ends[place] ?? 0) - (starts[place] ?? 0);
			const from = place * digestWords;
			for (let word = 0; word < digestWords; word++) {
				digestsOf[at++] = digests[from + word] ?? 0;
			}
		}
		return length;
	}

	copyDigest(place: number, into: Uint32Array, at: number): void {
		const {digests} = this.#stretches;
		for (let word = 0; word < digestWords; word++) {
			into[at * digestWords + word] = digests[place * digestWords + word] ?? 0;
		}
	}
}

/** For each place: which chunk, from where to where, and the digest of the manifest. */
interface Stretches {
	readonly chunkOf: Uint16Array;
	readonly starts: Uint32Array;
	readonly ends: Uint32Array;
	readonly digests: Uint32Array;
}

/** Where some of the images stand already, laid out for somebody who is shown nothing more. */
export interface Known {
	readonly places: Places;
	/** `at`: the how manieth of the images it is. */
	readonly placeOf: (manifest: Manifest, at: number) => number | undefined;
}

export interface LayOutOptions {
	readonly shown: Shown;
	readonly known: Known | undefined;
	readonly spare: SpareChunks;
	/** Where their tags are noted on the way; `before` goes with `known`. */
	readonly tags?: {readonly noted: NotedTags; readonly before: NotedTags | undefined};
}

/** Of our own images as much is shown as of those of sources. */
export function isPlain({channels, admin}: Shown): boolean {
	return !channels && !admin;
}

/** As `JSON.stringify(images, null, 2)` would lay them out. */
export async function layOut(
	images: readonly Manifest[],
	{shown, known, spare, tags}: LayOutOptions,
): Promise<{readonly list: LaidOut; readonly places: () => Places}> {
	const slices = new Slices();
	const writer = new Writer(images.length, spare);
	let at = 0;
	for (const manifest of images) {
		const place = isPlain(shown) || manifest.local === undefined ? known?.placeOf(manifest, at) : undefined;
		const bytes = place === undefined ? undefined : known?.places.bytes(place);
		if (place === undefined || bytes === undefined) {
			const text = servedText(manifest, shown);
			writer.layOut(text, manifestEtag(manifest, shown));
			if (manifest.local === undefined) {
				tags?.noted.note(at, text);
			}
		} else {
			if (tags?.before !== undefined) {
				tags.noted.copy(at, tags.before, place);
			}
			known?.places.copyDigest(place, writer.digests, writer.count);
			writer.copy(bytes);
		}
		at++;
		if (at % stepLength === 0 && slices.over) {
			await slices.next();
		}
	}
	const list = writer.end();
	return {list, places: () => new Places(images, writer.chunks, writer)};
}

class Writer implements Stretches {
	readonly chunkOf: Uint16Array;
	readonly starts: Uint32Array;
	readonly ends: Uint32Array;
	readonly digests: Uint32Array;
	count = 0;
	readonly #spare: SpareChunks;
	readonly chunks: Buffer[] = [];
	#chunk: Buffer;
	#used = 0;

	constructor(images: number, spare: SpareChunks) {
		this.#spare = spare;
		this.chunkOf = new Uint16Array(images);
		this.starts = new Uint32Array(images);
		this.ends = new Uint32Array(images);
		this.digests = new Uint32Array(images * digestWords);
		// Many an answer is one image, or none.
		const few = 16 + images * 2048;
		this.#chunk = few < chunkBytes / 2 ? Buffer.allocUnsafeSlow(few) : spare.take(0);
	}

	/** The digest has been written already. */
	copy(bytes: Buffer): void {
		this.#makeRoom(bytes.length);
		this.#chunk.set(bytes, this.#used);
		this.#chunk[this.#used] = marks.comma;
		this.#add(bytes.length);
	}

	/** `digest`: hexadecimal. */
	layOut(text: string, digest: string): void {
		const pretty = separator + prettyJson(text, 1);
		const length = Buffer.byteLength(pretty);
		this.#makeRoom(length);
		this.#chunk.write(pretty, this.#used);
		for (let word = 0; word < digestWords; word++) {
			this.digests[this.count * digestWords + word] = Number.parseInt(digest.slice(word * 8, word * 8 + 8), 16);
		}
		this.#add(length);
	}

	end(): LaidOut {
		const end = this.count === 0 ? marks.empty : marks.end;
		this.#makeRoom(end.length);
		this.#used += this.#chunk.write(end, this.#used);
		this.#flush();
		const {chunks} = this;
		const [first] = chunks;
		if (first !== undefined) {
			first[0] = marks.open;
		}
		return {
			chunks: () => chunks,
			parts: () => chunks,
			length: chunks.reduce((sum, {length}) => sum + length, 0),
			etag: createHash('sha1').update(this.digests).digest('hex'),
		};
	}

	#add(length: number): void {
		this.starts[this.count] = this.#used;
		this.#used += length;
		this.ends[this.count] = this.#used;
		this.chunkOf[this.count] = this.chunks.length;
		this.count++;
	}

	/** No image stands in two chunks. */
	#makeRoom(bytes: number): void {
		if (this.#used + bytes > this.#chunk.length) {
			this.#flush();
			this.#chunk = this.#spare.take(bytes);
		}
	}

	/** What is left over of a chunk would be kept as long as the list is: of a short list, that would be much. */
	#flush(): void {
		if (this.#used > 0) {
			const used = this.#chunk.subarray(0, this.#used);
			const isWorthIt = this.#used > this.#chunk.length * 0.9 || this.chunks.length >= 3;
			this.chunks.push(isWorthIt ? used : Buffer.concat([used]));
		}
		this.#used = 0;
	}
}
