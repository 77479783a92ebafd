/**
 * A bundle in a tar that comes but once: from a pipe, over a network, out of a compressed file.
 *
 * Of a tar of ours, nothing touches the disk when blobs are asked for in the order of its index. Tars of other tools
 * have them in any order: what comes too early is put aside until it is asked for. A stream that breaks off as a tar
 * or as a compressed file gives what came before; one whose source fails, fails.
 */
import {IntegrityError, NoSpaceError, asError} from '../errors.js';
import {
	checkLayout,
	maxLayoutBytes,
	maxSignatureBytes,
	short,
	type BundleBlob,
	type BundleFiles,
} from './bundle-files.js';
import {BundlePlaces, type Place} from './bundle-places.js';
import {HeldBlobs, memoryBlob, readAll} from './held-blobs.js';
import {LiveBlob} from './live-blob.js';
import {OddThings} from './odd-things.js';
import {maxIndexBytes} from './oci.js';
import type {Spool} from './spool.js';
import {StreamOrder} from './stream-order.js';
import {readTar, type TarEntry} from './tar-read.js';

/** Up to this, a blob is taken into memory when it is asked for, and the stream is free for the next. */
const smallBytes = 1024 * 1024;
const maxEntries = 1_000_000;
/** Of what belongs to no bundle. */
const maxJunkBytes = 1024 * 1024 * 1024;

export interface StreamOptions {
	/** Closed with the bundle. */
	readonly spool: Spool;
	/** As messages name it. */
	readonly name?: string | undefined;
	readonly signal?: AbortSignal | undefined;
	/** What the source is made of can be let go of. */
	readonly onClose?: () => Promise<void>;
}

interface Arrived {
	readonly entry: TarEntry;
	/** `undefined`: it is no part of a bundle. */
	readonly place: Place | undefined;
}

export class StreamBundle implements BundleFiles {
	readonly name: string;
	readonly form = 'stream';
	readonly #entries: AsyncGenerator<TarEntry, void, undefined>;
	readonly #held: HeldBlobs;
	readonly #signal: AbortSignal | undefined;
	readonly #onClose: (() => Promise<void>) | undefined;
	readonly #odd = new OddThings();
	readonly #places = new BundlePlaces();
	readonly #order = new StreamOrder();
	/** Handed out, and gone with the stream. */
	readonly #given = new Set<string>();
	readonly #dropped = new Set<string>();
	#index: Buffer | undefined;
	#signature: Buffer | undefined;
	#hasLayout = false;
	/** Read from the stream, and left for whoever asks next. */
	#waiting: Arrived | undefined;
	/** The large blob that was handed out last. */
	#live: LiveBlob | undefined;
	#count = 0;
	#junkBytes = 0;
	#isEnded = false;
	/** Why there is no more. */
	#problem: string | undefined;
	/** What the source threw: nothing can be had any more. */
	#failure: Error | undefined;
	#turn: Promise<unknown> = Promise.resolve();

	/** `source` is a tar, no longer compressed. */
	constructor(source: AsyncIterable<Buffer>, {spool, name = 'what came', signal, onClose}: StreamOptions) {
		this.name = name;
		this.#held = new HeldBlobs(spool);
		this.#signal = signal;
		this.#onClose = onClose;
		this.#entries = readTar(source, {onOdd: problem => this.#odd.add(problem)});
	}

	get odd(): readonly string[] {
		return this.#odd.list;
	}

	async index(): Promise<Buffer> {
		return this.#inTurn(() => this.#readIndex());
	}

	async signature(): Promise<Buffer | undefined> {
		return this.#inTurn(async () => {
			await this.#readIndex();
			while (this.#signature === undefined) {
				const arrived = await this.#next();
				if (arrived === undefined) {
					break;
				}
				// A tar of ours has it right after the index, and all of the blobs need not be kept to know.
				if (this.#order.isOurs && arrived.place?.what === 'blob') {
					this.#waiting = arrived;
					break;
				}
				await this.#take(arrived);
			}
			return this.#signature;
		});
	}

	async blob(digest: string, {again = false}: {readonly again?: boolean} = {}): Promise<BundleBlob | undefined> {
		return this.#inTurn(async () => {
			await this.#readIndex();
			for (;;) {
				await this.#settle();
				const held = this.#held.get(digest);
				if (held !== undefined) {
					return held;
				}
				if (this.#given.has(digest)) {
					throw new IntegrityError(`${short(digest)} comes but once in a stream, and has been read already`);
				}
				if (this.#dropped.has(digest)) {
					throw new IntegrityError(`${short(digest)} has been passed over already`);
				}
				const arrived = await this.#next();
				if (arrived === undefined) {
					return undefined;
				}
				if (arrived.place?.what === 'blob' && arrived.place.digest === digest) {
					return this.#give(digest, arrived.entry, again);
				}
				if (this.#order.hasPassed(digest, arrived.place)) {
					this.#waiting = arrived;
					return undefined;
				}
				await this.#take(arrived);
			}
		});
	}

	async drop(digests: Iterable<string>): Promise<void> {
		for (const digest of digests) {
			this.#dropped.add(digest);
			await this.#held.drop(digest);
		}
	}

	async close(): Promise<void> {
		this.#isEnded = true;
		// Whoever reads still finds that out by itself.
		await this.#entries.return(undefined);
		await this.#held.close();
		await this.#onClose?.();
	}

	async #readIndex(): Promise<Buffer> {
		while (this.#index === undefined) {
			const arrived = await this.#next();
			if (arrived === undefined) {
				throw new IntegrityError(`${this.name} is no bundle: ${this.#problem ?? 'there is no index.json in the tar'}`);
			}
			await this.#take(arrived);
		}
		return this.#index;
	}

	async #give(digest: string, entry: TarEntry, again: boolean): Promise<BundleBlob> {
		this.#given.add(digest);
		if (entry.size > smallBytes) {
			const live = new LiveBlob(digest, entry, error => this.#fail(error));
			this.#live = live;
			return live;
		}
		const {bytes, cut} = await this.#watched(readAll(entry.body));
		const blob = memoryBlob(bytes, entry.size, cut);
		if (again) {
			await this.#keep(digest, entry.size, blob.read());
		}
		return blob;
	}

	/** What nobody has asked for. */
	async #take({entry, place}: Arrived): Promise<void> {
		const {path, size, body} = entry;
		switch (place?.what) {
			case 'blob': {
				const {digest} = place;
				if (this.#given.has(digest) || this.#held.has(digest)) {
					this.#passOver(path, size, 'comes more than once');
				} else if (!this.#dropped.has(digest)) {
					await this.#keep(digest, size, body);
				}
				break;
			}
			case 'index':
				if (this.#index === undefined) {
					this.#index = await this.#small(entry, maxIndexBytes);
					this.#order.useIndex(this.#index);
				} else {
					this.#passOver(path, size, 'comes more than once');
				}
				break;
			case 'signature':
				if (this.#signature === undefined) {
					this.#signature = await this.#small(entry, maxSignatureBytes);
				} else {
					this.#passOver(path, size, 'comes more than once');
				}
				break;
			case 'layout':
				if (!this.#hasLayout) {
					this.#hasLayout = true;
					checkLayout(await this.#small(entry, maxLayoutBytes));
				}
				break;
			case undefined:
				this.#passOver(path, size, 'is no part of a bundle');
		}
	}

	/**
	 * Before the index is known, nearly everything is needed, and no room means that nothing will come of it. Later, one
	 * that cannot be kept may well be one that nobody asks for.
	 */
	async #keep(digest: string, size: number, body: AsyncIterable<Buffer>): Promise<void> {
		try {
			await this.#watched(this.#held.keep(digest, size, body));
		} catch (error) {
			if (!(error instanceof NoSpaceError) || this.#index === undefined) {
				throw error;
			}
		}
		if (this.#dropped.has(digest)) {
			await this.#held.drop(digest);
		}
	}

	#passOver(path: string, size: number, why: string): void {
		this.#odd.add(`${path} ${why}`);
		this.#junkBytes += size;
		if (this.#junkBytes > maxJunkBytes) {
			throw this.#fail(new IntegrityError(`${this.name} has more than a gigabyte of what is no part of a bundle`));
		}
	}

	async #small({path, size, body}: TarEntry, maxBytes: number): Promise<Buffer> {
		if (size > maxBytes) {
			throw this.#fail(new IntegrityError(`${path} has ${size} bytes, and may have ${maxBytes}`));
		}
		const {bytes, cut} = await this.#watched(readAll(body));
		if (cut !== undefined) {
			throw this.#fail(cut);
		}
		return bytes;
	}

	/** Its body has not been begun. `undefined`: there are no more. */
	async #next(): Promise<Arrived | undefined> {
		await this.#settle();
		const waiting = this.#waiting;
		if (waiting !== undefined) {
			this.#waiting = undefined;
			return waiting;
		}
		if (this.#failure !== undefined) {
			throw this.#failure;
		}
		if (this.#isEnded) {
			return undefined;
		}
		this.#signal?.throwIfAborted();
		let entry: TarEntry | undefined;
		try {
			const next = await this.#entries.next();
			entry = next.done === true ? undefined : next.value;
		} catch (error) {
			if (!(error instanceof IntegrityError)) {
				throw this.#fail(error);
			}
			this.#problem = error.message;
			this.#odd.add(error.message);
		}
		if (entry === undefined) {
			this.#isEnded = true;
			return undefined;
		}
		if (++this.#count > maxEntries) {
			throw this.#fail(new IntegrityError(`${this.name} has more than ${maxEntries} entries: this is no bundle`));
		}
		const place = this.#places.of(entry.path);
		this.#order.see(place, entry);
		return {entry, place};
	}

	/** Makes the stream free: waits for whoever reads from it, and puts aside what nobody has begun to read. */
	async #settle(): Promise<void> {
		const live = this.#live;
		if (live === undefined) {
			return;
		}
		if (live.isBegun) {
			await live.over;
		} else {
			const {digest, entry} = live;
			const keeping = this.#dropped.has(digest) ? Promise.resolve() : this.#keep(digest, entry.size, entry.body);
			live.readInstead(keeping.then(() => this.#held.get(digest)));
			await keeping;
		}
		this.#live = undefined;
	}

	async #watched<T>(reading: Promise<T>): Promise<T> {
		try {
			return await reading;
		} catch (error) {
			throw error instanceof NoSpaceError ? error : this.#fail(error);
		}
	}

	#fail(error: unknown): Error {
		return (this.#failure ??= asError(error));
	}

	#inTurn<T>(run: () => Promise<T>): Promise<T> {
		const result = this.#turn.then(run);
		this.#turn = result.catch(() => undefined);
		return result;
	}
}
