/**
 * One image's file as the mirror offers it: held, on its way, or still to be fetched.
 *
 * HTTP asks its size and digest before anything moves, then takes a body. Which of the three it is, is decided when
 * the body is asked for: the file may have come in, or gone, since.
 */
import type {Flights} from './blobs/flights.js';
import type {RightFile} from './blobs/download.js';
import type {Follower} from './blobs/follower.js';
import type {Wanted} from './blobs/partial.js';
import {BlobReader, type Reader} from './blobs/reader.js';
import type {BlobInfo, DiskStore} from './blobs/store.js';
import type {Supplier} from './blobs/supply.js';
import {FileLostError, IntegrityError, NotFoundError, SourceUnavailableError} from './errors.js';
import type {ImageFile, Sha1} from './image/manifest.js';
import type {CacheOutcome, FileReader, FoundImage, OpenFile} from './mirror.js';
import type {Ask} from './sources/source.js';

export interface MirrorFileOptions {
	readonly found: FoundImage;
	readonly file: ImageFile;
	/** From the manifest, or found out earlier. */
	readonly sha1: Sha1 | undefined;
	readonly wanted: Wanted;
	readonly store: DiskStore;
	readonly flights: Flights;
	readonly suppliers: (ask: Ask) => readonly Supplier[];
	/** The image was published here: its file is here, or something is wrong. */
	readonly isOurs: boolean;
	/** False: since then the image has been deleted, or was given another file. */
	readonly isStillOurs: () => boolean;
	/** Called with the blob whenever it is or becomes ours to serve. */
	readonly onHeld: (info: BlobInfo) => Promise<void>;
}

export class MirrorFile implements OpenFile {
	readonly size: number;
	readonly #options: MirrorFileOptions;
	readonly #readers = new Set<Reader>();
	#info: BlobInfo | undefined;
	#follower: Follower | undefined;
	#right: RightFile | undefined;
	#cache: CacheOutcome;
	#closed = false;

	constructor(options: MirrorFileOptions) {
		this.#options = options;
		this.size = options.file.size;
		this.#info = options.sha1 === undefined ? undefined : options.store.stat(options.sha1);
		this.#cache =
			this.#info !== undefined ? this.#held : options.flights.has(options.wanted) ? this.#joining() : 'miss';
	}

	get sha1(): string | undefined {
		return this.#options.sha1 ?? this.#right?.sha1;
	}

	get contentMd5(): string | undefined {
		const md5 = this.#info?.md5 ?? this.#options.file.md5 ?? this.#right?.md5;
		const told = this.#info?.toldMd5 ?? this.#follower?.contentMd5;
		return md5 === undefined ? told : Buffer.from(md5, 'hex').toString('base64');
	}

	get storedAtMs(): number | undefined {
		return this.#info?.storedAtMs ?? this.#right?.storedAtMs;
	}

	get source(): string {
		if (this.#options.isOurs && this.#follower === undefined) {
			return this.#options.found.source;
		}
		return this.#info?.source ?? this.#follower?.supplier ?? this.#options.found.source;
	}

	get cache(): CacheOutcome {
		return this.#follower?.passing === true ? 'pass' : this.#cache;
	}

	async body(start: number, end: number, ask: Ask): Promise<FileReader> {
		const {isOurs, isStillOurs, found} = this.#options;
		try {
			const held = await this.#readHeld(start, end);
			if (held !== undefined) {
				return held;
			}
			if (!isOurs || isStillOurs()) {
				return await this.#arriving(start, end, ask);
			}
		} catch (error) {
			throw isOurs ? this.#lost(error) : error;
		}
		throw new NotFoundError(`image ${found.manifest.uuid} does not have that file any more`);
	}

	/** Of what was published here, nobody else need have anything. */
	#lost(error: unknown): unknown {
		const isLost = [FileLostError, IntegrityError, NotFoundError, SourceUnavailableError].some(
			type => error instanceof type,
		);
		const {uuid, name, version} = this.#options.found.manifest;
		return isLost
			? new FileLostError(
					`the file of image ${uuid} (${name} ${version}), which was published here, is gone from the disk or ` +
						'damaged, and cannot be had from any source',
					{cause: error},
				)
			: error;
	}

	close(): void {
		this.#closed = true;
		for (const reader of this.#readers) {
			reader.close();
		}
		this.#readers.clear();
	}

	get #held(): CacheOutcome {
		return this.#options.isOurs ? 'local' : 'hit';
	}

	/** A file that is here and right is a hit, wherever the disk has it. */
	#joining(): CacheOutcome {
		this.#right = this.#options.flights.right(this.#options.wanted);
		return this.#right === undefined ? 'join' : this.#held;
	}

	async #readHeld(start: number, end: number): Promise<FileReader | undefined> {
		const {sha1, store, onHeld} = this.#options;
		if (sha1 === undefined) {
			return undefined;
		}
		const before = store.stat(sha1);
		const handle = await store.open(sha1);
		this.#info = store.stat(sha1);
		if (handle === undefined || this.#info === undefined) {
			await handle?.close();
			this.#info = undefined;
			return undefined;
		}
		// Were it another by now, nobody could tell which of them is open.
		const content = before === this.#info ? before : undefined;
		const reader = new BlobReader({handle, start, end, content});
		this.#keep(reader);
		if (this.#info.size !== this.size) {
			throw new IntegrityError(
				`the manifest says the file has ${this.size} bytes, but the file with its SHA-1 has ${this.#info.size}`,
			);
		}
		this.#cache = this.#held;
		await onHeld(this.#info);
		return reader;
	}

	async #arriving(start: number, end: number, ask: Ask): Promise<FileReader> {
		const {wanted, flights, suppliers, onHeld} = this.#options;
		const {follower, joined} = flights.join({
			wanted,
			// The transfer outlives this request: it has the request's id, not its signal.
			suppliers: () => suppliers(ask),
			start,
			end,
			onStored: onHeld,
		});
		this.#follower = follower;
		this.#cache = joined ? this.#joining() : 'miss';
		this.#keep(follower);
		await follower.begin(ask.signal);
		return follower;
	}

	/** The client may have left while the reader was being made. */
	#keep(reader: Reader): void {
		if (this.#closed) {
			reader.close();
			return;
		}
		this.#readers.add(reader);
	}
}
