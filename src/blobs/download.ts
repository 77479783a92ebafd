/**
 * One transfer of one file, followed by many.
 *
 * The download takes bytes from its suppliers, writes them to a partial and moves the watermark; followers read the
 * growing file by themselves. When all is there it is verified, the tail is let go, and the store makes it a blob.
 * A download outlives its followers; `flights.ts` decides when one begins and how many run.
 */
import {IntegrityError, MirrorError, NoSpaceError, describe} from '../errors.js';
import type {Host} from '../host.js';
import type {PartialBlob, Wanted} from './partial.js';
import {PassThroughReader} from './pass-through.js';
import type {Reader} from './reader.js';
import type {BlobInfo, BlobStore} from './store.js';
import {Supply, fromDisk, type Supplier} from './supply.js';
import {wrongness} from './verdict.js';
import {Watermark} from './watermark.js';

/** Verifications of one file in one download before it gives up: something here is wrong beyond blaming suppliers. */
const maxVerifications = 8;

/** Not a failure: followers are to go on by themselves. */
class NotCaching extends MirrorError {}

export interface DownloadOptions {
	readonly wanted: Wanted;
	readonly suppliers: () => readonly Supplier[];
	readonly store: BlobStore;
	readonly host: Host;
	readonly retries: number;
	/** Nobody follows any more. */
	readonly onAbandoned: (download: Download) => void;
}

export class Download {
	readonly wanted: Wanted;
	readonly beganAtMs: number;
	readonly #options: DownloadOptions;
	readonly #host: Host;
	readonly #watermark: Watermark;
	readonly #followers = new Set<Follower>();
	readonly #abort = new AbortController();
	#partial: PartialBlob | undefined;
	#supply: Supply | undefined;
	#running = false;
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

	/** Waiting for its turn, or at work. */
	get running(): boolean {
		return this.#running;
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

	/** Does the work. Resolves with the blob; `undefined`: not cached, or stopped. Throws nothing. */
	async run(): Promise<BlobInfo | undefined> {
		this.#running = true;
		try {
			this.#abort.signal.throwIfAborted();
			const info = await this.#fetch();
			this.#host.metrics.transfers.inc({outcome: info === undefined ? 'uncached' : 'done'});
			return info;
		} catch (error) {
			const stopped = this.#abort.signal.aborted;
			this.#host.metrics.transfers.inc({outcome: stopped ? 'suspended' : 'failed'});
			this.#host.log[stopped ? 'info' : 'error'](
				{image: this.wanted.uuid, file: this.wanted.key, written: this.written, problem: describe(error)},
				stopped ? 'a transfer was suspended' : 'a transfer failed',
			);
			this.#watermark.fail(error);
			return undefined;
		} finally {
			this.#supply?.close();
			this.#running = false;
			this.#over = true;
			await this.#closeUnlessRead();
		}
	}

	async #fetch(): Promise<BlobInfo | undefined> {
		const {store, suppliers, retries} = this.#options;
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
			} catch (error) {
				if (error instanceof NoSpaceError) {
					return await this.#goOnWithoutCaching(error);
				}
				throw error;
			}
			const digests = await partial.digests();
			const problem = wrongness(this.wanted, digests, supply.contentMd5);
			if (problem === undefined) {
				// Clients are owed the bytes, not the durability: the tail goes before the disk is done.
				this.#watermark.verified();
				return await store.commit(partial, digests, supply.supplier ?? fromDisk);
			}
			await this.#wrong(partial, supply, problem, digests);
			if (attempt === maxVerifications) {
				throw new IntegrityError(problem);
			}
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
		}
	}
}

function diskCode(error: unknown): string {
	const cause = error instanceof Error ? error.cause : undefined;
	return (cause as NodeJS.ErrnoException | undefined)?.code ?? 'ENOSPC';
}

/** One client's way through a file that is still arriving. */
export class Follower implements Reader {
	readonly plain = undefined;
	readonly #end: number;
	readonly #watermark: Watermark;
	readonly #readFile: (into: Buffer, length: number, position: number) => Promise<number>;
	readonly #newPassThrough: (start: number, end: number) => PassThroughReader;
	readonly #onClose: () => void;
	readonly #supplier: () => string | undefined;
	readonly #contentMd5: () => string | undefined;
	readonly #abort = new AbortController();
	#position: number;
	#sent = 0;
	#generation: number;
	#passThrough: PassThroughReader | undefined;

	constructor(options: {
		start: number;
		end: number;
		watermark: Watermark;
		read: (into: Buffer, length: number, position: number) => Promise<number>;
		passThrough: (start: number, end: number) => PassThroughReader;
		onClose: () => void;
		supplier: () => string | undefined;
		contentMd5: () => string | undefined;
	}) {
		this.#position = options.start;
		this.#end = options.end;
		this.#watermark = options.watermark;
		this.#generation = options.watermark.generation;
		this.#readFile = options.read;
		this.#newPassThrough = options.passThrough;
		this.#onClose = options.onClose;
		this.#supplier = options.supplier;
		this.#contentMd5 = options.contentMd5;
	}

	/** True when the file is not being kept. */
	get passing(): boolean {
		return this.#passThrough !== undefined;
	}

	get supplier(): string | undefined {
		return this.#passThrough?.supplier ?? this.#supplier();
	}

	get contentMd5(): string | undefined {
		return this.#passThrough?.contentMd5 ?? this.#contentMd5();
	}

	/** Resolves once the first byte may be sent. */
	async begin(signal: AbortSignal): Promise<void> {
		if (this.#position >= this.#end) {
			return;
		}
		try {
			await this.#watermark.past(this.#position, AbortSignal.any([signal, this.#abort.signal]));
		} catch (error) {
			await this.#switchOr(error).begin();
		}
	}

	async read(into: Buffer): Promise<number> {
		if (this.#passThrough !== undefined) {
			return this.#passThrough.read(into);
		}
		while (this.#position < this.#end) {
			let readable: number;
			try {
				readable = await this.#watermark.past(this.#position, this.#abort.signal);
			} catch (error) {
				return this.#switchOr(error).read(into);
			}
			this.#checkGeneration();
			const length = Math.min(into.length, this.#end - this.#position, readable - this.#position);
			const bytes = await this.#readFile(into, length, this.#position);
			if (this.#checkGeneration()) {
				continue;
			}
			if (bytes === 0) {
				throw new MirrorError(`a file on its way ends at ${this.#position}, before ${readable}`);
			}
			this.#position += bytes;
			this.#sent += bytes;
			return bytes;
		}
		return 0;
	}

	close(): void {
		this.#abort.abort(new MirrorError('the client has gone'));
		this.#passThrough?.close();
		this.#onClose();
	}

	/** True: the file has begun again, and this follower may as well. Throws if it had bytes of the old one. */
	#checkGeneration(): boolean {
		if (this.#generation === this.#watermark.generation) {
			return false;
		}
		if (this.#sent > 0) {
			throw new IntegrityError('the file turned out wrong while it was being sent');
		}
		this.#generation = this.#watermark.generation;
		return true;
	}

	#switchOr(error: unknown): PassThroughReader {
		if (!(error instanceof NotCaching)) {
			throw error;
		}
		this.#checkGeneration();
		this.#passThrough = this.#newPassThrough(this.#position, this.#end);
		return this.#passThrough;
	}
}
