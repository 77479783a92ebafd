/**
 * A bundle in a tar that can be read at any place: one file, or the parts it was split into.
 *
 * Its headers are read once, when it is opened; blobs in any order, and several at once. Of one that is cut, everything
 * that is whole can be had. Where a path comes twice, the first counts, as it would in a stream.
 */
import {IntegrityError} from '../errors.js';
import {checkLayout, maxLayoutBytes, maxSignatureBytes, type BundleBlob, type BundleFiles} from './bundle-files.js';
import {partName} from './bundle-parts.js';
import {BundlePlaces, type Place} from './bundle-places.js';
import {piecesOf, type Parts, type ReadAt} from './file-pieces.js';
import {OddThings} from './odd-things.js';
import {blobPath, maxIndexBytes} from './oci.js';
import {scanTar} from './tar-read.js';

interface Extent {
	readonly size: number;
	readonly offset: number;
}

export class TarBundle implements BundleFiles {
	readonly name: string;
	readonly form = 'tar';
	readonly #parts: Parts;
	readonly #odd: OddThings;
	readonly #blobs: ReadonlyMap<string, Extent>;
	readonly #others: ReadonlyMap<Place['what'], Extent>;
	readonly #isTruncated: boolean;

	private constructor(name: string, parts: Parts, found: Found, isTruncated: boolean) {
		this.name = name;
		this.#parts = parts;
		this.#odd = found.odd;
		this.#blobs = found.blobs;
		this.#others = found.others;
		this.#isTruncated = isTruncated;
	}

	/** The parts are closed with the bundle, or at once if this throws: IntegrityError for what is no tar. */
	static async open(name: string, parts: Parts): Promise<TarBundle> {
		try {
			const {entries, truncated, problem, odd} = await scanTar(readOrCut(parts), parts.size);
			const found = new Found(odd);
			for (const entry of entries) {
				found.add(entry);
			}
			if (truncated) {
				// Of parts, the last may have been left behind: their names do not tell.
				const hint = partName(name) === undefined ? '' : ': is its last part missing?';
				found.odd.add(`${problem ?? 'the tar is cut off'}${hint}`);
			}
			return new TarBundle(name, parts, found, truncated);
		} catch (error) {
			await parts.close();
			throw error;
		}
	}

	get odd(): readonly string[] {
		return this.#odd.list;
	}

	async index(): Promise<Buffer> {
		const index = await this.#small('index', 'index.json', maxIndexBytes);
		if (index === undefined) {
			throw new IntegrityError(
				this.#isTruncated
					? `${this.name} is cut off, and what there is has no index.json`
					: `${this.name} is no bundle: there is no index.json in the tar`,
			);
		}
		const layout = await this.#small('layout', 'oci-layout', maxLayoutBytes);
		if (layout === undefined) {
			this.#odd.add('there is no file oci-layout');
		} else {
			checkLayout(layout);
		}
		return index;
	}

	async signature(): Promise<Buffer | undefined> {
		return this.#small('signature', 'index.json.sig', maxSignatureBytes);
	}

	async blob(digest: string): Promise<BundleBlob | undefined> {
		const extent = this.#blobs.get(digest);
		if (extent === undefined) {
			return undefined;
		}
		return {size: extent.size, read: (start = 0) => this.#read(blobPath(digest), extent, start)};
	}

	async drop(): Promise<void> {
		// Everything stays where it is.
	}

	async close(): Promise<void> {
		await this.#parts.close();
	}

	#read(path: string, {offset, size}: Extent, start: number): AsyncGenerator<Buffer, void, undefined> {
		return piecesOf((into, position) => this.#parts.read(into, offset + position), {path, start, end: size});
	}

	async #small(what: Place['what'], path: string, maxBytes: number): Promise<Buffer | undefined> {
		const extent = this.#others.get(what);
		if (extent === undefined) {
			return undefined;
		}
		if (extent.size > maxBytes) {
			throw new IntegrityError(`${path} has ${extent.size} bytes, and may have ${maxBytes}`);
		}
		const pieces: Buffer[] = [];
		for await (const piece of this.#read(path, extent, 0)) {
			pieces.push(piece);
		}
		return Buffer.concat(pieces);
	}
}

/** A bad place on the disk is the end of the tar, and no more than that. */
function readOrCut(parts: Parts): ReadAt {
	return async (into, position) => {
		try {
			return await parts.read(into, position);
		} catch (cause) {
			throw new IntegrityError(`the tar cannot be read from byte ${position} on`, {cause});
		}
	};
}

/** What the headers tell. */
class Found {
	readonly odd = new OddThings();
	readonly blobs = new Map<string, Extent>();
	readonly others = new Map<Place['what'], Extent>();
	readonly #places = new BundlePlaces();

	constructor(odd: readonly string[]) {
		for (const problem of odd) {
			this.odd.add(problem);
		}
	}

	add({path, size, offset}: {readonly path: string} & Extent): void {
		const place = this.#places.of(path);
		if (place === undefined) {
			this.odd.add(`${path} is no part of a bundle`);
		} else if (place.what === 'blob') {
			if (this.blobs.has(place.digest)) {
				this.odd.add(`${path} comes more than once`);
			} else {
				this.blobs.set(place.digest, {size, offset});
			}
		} else if (this.others.has(place.what)) {
			this.odd.add(`${path} comes more than once`);
		} else {
			this.others.set(place.what, {size, offset});
		}
	}
}
