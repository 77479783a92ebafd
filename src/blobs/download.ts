/**
 * One transfer of one file, followed by many.
 *
 * The download takes bytes from its suppliers, writes them to a partial and moves the watermark; followers read the
 * growing file by themselves. When all is there it is verified, the tail is let go, and the store makes it a blob.
 * A download outlives its followers; `flights.ts` decides when one begins and how many run.
 */
import type {FileHandle} from 'node:fs/promises';
import {IntegrityError, MirrorError, NoSpaceError, asError, describe} from '../errors.js';
import type {Host} from '../host.js';
import {Follower, NotCaching} from './follower.js';
import type {Digests} from './hashing.js';
import type {PartialBlob, Wanted} from './partial.js';
import {PassThroughReader} from './pass-through.js';
import type {BlobInfo, BlobOrigin, BlobStore} from './store.js';
import {Supply, fromDisk, type Supplier} from './supply.js';
import {wrongness} from './verdict.js';
import {Watermark} from './watermark.js';

/** Verifications of one file in one download before it gives up: something here is wrong beyond blaming suppliers. */
const maxVerifications = 8;

/** A file that was verified. */
export interface RightFile {
	readonly sha1: string | undefined;
	readonly md5: string | undefined;
	readonly storedAtMs: number;
}

export interface DownloadOptions {
	readonly wanted: Wanted;
	readonly suppliers: () => readonly Supplier[];
	readonly store: BlobStore;
	readonly host: Host;
	readonly retries: number;
	/** Nobody follows any more. */
	readonly onAbandoned: (download: Download) => void;
	/** Nobody may begin to follow any more. */
	readonly onOver: (download: Download) => void;
}

/** Called with the blob that came of a transfer. */
export type OnStored = (info: BlobInfo) => Promise<void>;

export class Download {
	readonly wanted: Wanted;
	readonly beganAtMs: number;
	readonly #options: DownloadOptions;
	readonly #host: Host;
	readonly #watermark: Watermark;
	readonly #followers = new Set<Follower>();
	readonly #onStored = new Map<string, OnStored>();
	readonly #abort = new AbortController();
	#partial: PartialBlob | undefined;
	/** Instead of a partial, where the file had come in before it was this transfer's turn. */
	#blob: FileHandle | undefined;
	#supply: Supply | undefined;
	#right: RightFile | undefined;
	#begun = false;
	#over = false;
	#resumedFrom = 0;

	constructor(options: DownloadOptions) {
		this.#options = options;
		this.wanted = options.wanted;
		this.#host = options.host;
		this.#watermark = new Watermark(options.wanted.size);
		this.beganAtMs = options.host.clock.now();
	}

	get followers(): number {
		return this.#followers.size;
	}

	get written(): number {
		return this.#watermark.written;
	}

	/** What an earlier attempt had left on the disk. */
	get resumedFrom(): number {
		return this.#resumedFrom;
	}

	get supplier(): string | undefined {
		return this.#supply?.supplier;
	}

	get contentMd5(): string | undefined {
		return this.#supply?.contentMd5;
	}

	/** What is known of the file from when it is known to be right, before the disk is done with it. */
	get right(): RightFile | undefined {
		return this.#right;
	}

	/** For its turn. */
	get waiting(): boolean {
		return !this.#begun;
	}

	/** Each image that the file is wanted for has its own `onStored`, however many ask for it. */
	tell(image: string, onStored: OnStored): void {
		if (!this.#onStored.has(image)) {
			this.#onStored.set(image, onStored);
		}
	}

	/** Begins to follow, in this very tick. The follower must be closed. */
	follow(start: number, end: number): Follower {
		const follower: Follower = new Follower({
			start,
			end,
			watermark: this.#watermark,
			read: (into, length, position) => this.#read(into, length, position),
			passThrough: (from, to) => this.#passThrough(from, to),
			onClose: () => {
				this.#left(follower);
			},
			supplier: () => this.supplier,
			contentMd5: () => this.contentMd5,
		});
		this.#followers.add(follower);
		this.#host.metrics.followers.inc();
		return follower;
	}

	/** Stops where it is. What is on the disk stays there for the next attempt. */
	stop(reason: Error): void {
		this.#abort.abort(reason);
	}

	/** Does the work. Throws nothing. */
	async run(): Promise<void> {
		this.#begun = true;
		try {
			this.#abort.signal.throwIfAborted();
			const info = await this.#fetch();
			this.#host.metrics.transfers.inc({outcome: info === undefined ? 'uncached' : 'done'});
			if (info !== undefined) {
				await this.#tellStored(info);
			}
		} catch (error) {
			const stopped = this.#abort.signal.aborted;
			this.#host.metrics.transfers.inc({outcome: stopped ? 'suspended' : 'failed'});
			this.#host.log[stopped ? 'info' : 'error'](
				{image: this.wanted.uuid, file: this.wanted.key, written: this.written, problem: describe(error)},
				stopped ? 'a transfer was suspended' : 'a transfer failed',
			);
			this.#watermark.fail(error);
		} finally {
			this.#supply?.close();
			this.#over = true;
			// In the tick in which the file may be let go of: who comes later must find no closed one.
			this.#options.onOver(this);
			await this.#closeUnlessRead();
		}
	}

	async #tellStored(info: BlobInfo): Promise<void> {
		for (const [image, onStored] of this.#onStored) {
			try {
				await onStored(info);
			} catch (error) {
				this.#host.log.error({err: error, image}, 'what follows a transfer failed');
			}
		}
	}

	/** `undefined`: it is not here. */
	async #held(): Promise<BlobInfo | undefined> {
		const {store} = this.#options;
		const {sha1, size} = this.wanted;
		const info = sha1 === undefined ? undefined : store.stat(sha1);
		if (sha1 === undefined || info === undefined) {
			return undefined;
		}
		if (info.size !== size) {
			throw new IntegrityError(`the file with this SHA-1 has ${info.size} bytes, its manifest says ${size}`);
		}
		this.#blob = await store.open(sha1);
		return this.#blob === undefined ? undefined : info;
	}

	async #fetch(): Promise<BlobInfo | undefined> {
		const {store, suppliers, retries} = this.#options;
		// It may have come in while this transfer waited, for another image or under another size.
		const held = await this.#held();
		if (held !== undefined) {
			this.#right = held;
			this.#watermark.verified();
			return held;
		}
		let partial: PartialBlob;
		try {
			partial = await store.partial(this.wanted);
		} catch (error) {
			return await this.#goOnWithoutCaching(error);
		}
		this.#partial = partial;
		this.#resumedFrom = partial.written;
		this.#watermark.advance(partial.written);
		const supply = new Supply({wanted: this.wanted, suppliers, host: this.#host, retries, position: partial.written});
		this.#supply = supply;
		for (let attempt = 1; ; attempt++) {
			try {
				await this.#fill(partial, supply);
				const digests = await this.#unlessStopped(partial.digests());
				const problem = wrongness(this.wanted, digests, supply.contentMd5);
				if (problem === undefined) {
					// Clients are owed the bytes, not the durability: the tail goes before the disk is done.
					const storedAtMs = this.#host.clock.now();
					this.#right = {sha1: digests.sha1, md5: digests.md5, storedAtMs};
					this.#watermark.verified();
					const source = supply.supplier ?? fromDisk;
					return await this.#commit(partial, digests, {source, storedAtMs, toldMd5: supply.contentMd5});
				}
				await this.#wrong(partial, supply, problem, digests);
				if (attempt === maxVerifications) {
					throw new IntegrityError(problem);
				}
			} catch (error) {
				if (error instanceof NoSpaceError) {
					return await this.#goOnWithoutCaching(error);
				}
				throw error;
			}
		}
	}

	/** The digests of a large file that was found on the disk take minutes; whoever stops the mirror has seconds. */
	#unlessStopped<T>(work: Promise<T>): Promise<T> {
		const {signal} = this.#abort;
		return new Promise((resolve, reject) => {
			const onAbort = (): void => {
				reject(asError(signal.reason));
			};
			signal.addEventListener('abort', onAbort, {once: true});
			if (signal.aborted) {
				onAbort();
			}
			void work.then(resolve, reject).finally(() => {
				signal.removeEventListener('abort', onAbort);
			});
		});
	}

	/** `undefined`: the disk refused. The file is right all the same, and stays for the next attempt. */
	async #commit(partial: PartialBlob, digests: Digests, origin: BlobOrigin): Promise<BlobInfo | undefined> {
		try {
			return await this.#options.store.commit(partial, digests, origin);
		} catch (error) {
			this.#host.metrics.diskErrors.inc({code: diskCode(error)});
			this.#host.log.error(
				{image: this.wanted.uuid, file: this.wanted.key, problem: describe(error)},
				'a file is right but could not be put in its place: the next request tries again',
			);
			return undefined;
		}
	}

	async #fill(partial: PartialBlob, supply: Supply): Promise<void> {
		for (;;) {
			const chunks = await supply.next(this.#abort.signal);
			if (chunks === undefined) {
				return;
			}
			if (chunks === 'restart') {
				// The generation first: a read under way must find out that it read across the change.
				this.#watermark.restart();
				await partial.restart();
				continue;
			}
			await partial.write(chunks);
			this.#watermark.advance(partial.written);
		}
	}

	async #wrong(partial: PartialBlob, supply: Supply, problem: string, got: object): Promise<void> {
		const suppliers = [...supply.contributors];
		for (const source of supply.wrong(problem)) {
			this.#host.metrics.verificationFailures.inc({source});
		}
		const {uuid, sha1, md5, size, key} = this.wanted;
		this.#host.log.error(
			{image: uuid, file: key, suppliers, problem, followers: this.followers},
			'a file is wrong: it is quarantined, its readers are cut off, and it is fetched again',
		);
		this.#watermark.restart();
		await this.#options.store.quarantine(partial, {expected: {uuid, sha1, md5, size}, got, suppliers});
	}

	async #goOnWithoutCaching(error: unknown): Promise<BlobInfo | undefined> {
		this.#host.metrics.diskErrors.inc({code: diskCode(error)});
		this.#host.log.error(
			{image: this.wanted.uuid, file: this.wanted.key, problem: describe(error), followers: this.followers},
			'the disk does not take this file: its readers are served straight from upstream, nothing is kept',
		);
		this.#supply?.close();
		if (this.#partial !== undefined) {
			await this.#options.store.discard(this.#partial).catch(() => undefined);
		}
		this.#watermark.fail(new NotCaching('the file is not being cached'));
		return undefined;
	}

	#passThrough(start: number, end: number): PassThroughReader {
		const {suppliers, retries} = this.#options;
		const onDisk = this.#partial === undefined ? undefined : {partial: this.#partial, bytes: this.#partial.written};
		return new PassThroughReader({wanted: this.wanted, host: this.#host, suppliers, retries, start, end, onDisk});
	}

	async #read(into: Buffer, length: number, position: number): Promise<number> {
		if (this.#blob !== undefined) {
			return (await this.#blob.read(into, 0, length, position)).bytesRead;
		}
		if (this.#partial === undefined) {
			throw new MirrorError('a transfer was read before it began');
		}
		return this.#partial.read(into, length, position);
	}

	#left(follower: Follower): void {
		if (!this.#followers.delete(follower)) {
			return;
		}
		this.#host.metrics.followers.dec();
		if (this.#followers.size > 0) {
			return;
		}
		if (this.#over) {
			void this.#closeUnlessRead();
		} else {
			this.#options.onAbandoned(this);
		}
	}

	/** Followers may still be reading when the transfer is over, and the transfer may go on when they have left. */
	async #closeUnlessRead(): Promise<void> {
		if (this.#followers.size === 0) {
			await this.#partial?.close().catch(() => undefined);
			await this.#blob?.close().catch(() => undefined);
		}
	}
}

function diskCode(error: unknown): string {
	for (const failure of [error, error instanceof Error ? error.cause : undefined]) {
		if (failure instanceof Error && 'errno' in failure && 'code' in failure) {
			return String(failure.code);
		}
	}
	return 'ENOSPC';
}
