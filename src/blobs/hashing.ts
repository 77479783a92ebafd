/**
 * Digests of files that are still growing, off the main thread.
 *
 * Whoever writes a file tells its `FileHash` how far it has come; a worker thread reads the file behind the writer
 * (from the page cache, mostly), so bytes never cross threads and a resumed file is rehashed by the same means.
 */
import {Worker} from 'node:worker_threads';
import {MirrorError} from '../errors.js';

export type ToWorker =
	| {
			readonly what: 'open';
			readonly id: number;
			readonly file: string;
			readonly algorithms: readonly string[];
			readonly background: boolean;
	  }
	| {readonly what: 'advance'; readonly id: number; readonly upTo: number; readonly ends: boolean}
	| {readonly what: 'abandon'; readonly id: number};

export type FromWorker =
	| {readonly id: number; readonly digests: Readonly<Record<string, string>>}
	| {readonly id: number; readonly error: string};

export type Algorithm = 'sha1' | 'sha256' | 'md5';
export type Digests = Readonly<Partial<Record<Algorithm, string>>>;

interface Pending {
	readonly worker: Worker;
	readonly resolve: (digests: Digests) => void;
	readonly reject: (error: Error) => void;
}

/** Messages cost more than the hashing of a few kilobytes: the worker is told of progress in steps of this. */
const stepBytes = 1_048_576;

export class Hashing {
	readonly #pending = new Map<number, Pending>();
	#worker: Worker | undefined;
	#lastId = 0;

	/** Begins to hash `file`, which must exist. Hexadecimal digests come from `FileHash.digests`. */
	follow(file: string, algorithms: readonly Algorithm[], {background = false} = {}): FileHash {
		const id = ++this.#lastId;
		const worker = this.#running();
		const digests = new Promise<Digests>((resolve, reject) => {
			this.#pending.set(id, {worker, resolve, reject});
		});
		this.#holdProcess();
		// Nobody may be listening yet when the worker fails; whoever asks for the digests is told.
		digests.catch(() => undefined);
		this.#send(worker, {what: 'open', id, file, algorithms, background});
		return new FileHash({
			digests,
			send: (upTo, ends) => this.#send(worker, {what: 'advance', id, upTo, ends}),
			abandon: () => {
				if (this.#pending.delete(id)) {
					this.#holdProcess();
					this.#send(worker, {what: 'abandon', id});
				}
			},
		});
	}

	async close(): Promise<void> {
		const worker = this.#worker;
		this.#worker = undefined;
		await worker?.terminate();
	}

	#running(): Worker {
		if (this.#worker !== undefined) {
			return this.#worker;
		}
		const worker = new Worker(new URL('./hash-worker.js', import.meta.url), {name: 'imgmirror-hashing'});
		worker.on('message', (message: FromWorker) => {
			const pending = this.#pending.get(message.id);
			this.#pending.delete(message.id);
			this.#holdProcess();
			if ('digests' in message) {
				pending?.resolve(message.digests);
			} else {
				pending?.reject(new MirrorError(`hashing failed: ${message.error}`));
			}
		});
		const lost = (error?: Error): void => {
			if (this.#worker === worker) {
				this.#worker = undefined;
			}
			const failure = new MirrorError('the hashing thread has ended', {cause: error});
			// Its own jobs only: by the time that its end is reported there may be a new thread with jobs.
			for (const [id, pending] of this.#pending) {
				if (pending.worker === worker) {
					this.#pending.delete(id);
					pending.reject(failure);
				}
			}
		};
		worker.on('error', lost);
		worker.on('exit', () => lost());
		this.#worker = worker;
		return worker;
	}

	/** The thread keeps the process alive while somebody waits for a digest, and no longer. */
	#holdProcess(): void {
		if (this.#pending.size > 0) {
			this.#worker?.ref();
		} else {
			this.#worker?.unref();
		}
	}

	#send(worker: Worker, message: ToWorker): void {
		worker.postMessage(message);
	}
}

/** The digests-to-be of one file. */
export class FileHash {
	readonly #digests: Promise<Digests>;
	readonly #send: (upTo: number, ends: boolean) => void;
	readonly #abandon: () => void;
	#told = 0;

	constructor(options: {
		readonly digests: Promise<Digests>;
		readonly send: (upTo: number, ends: boolean) => void;
		readonly abandon: () => void;
	}) {
		this.#digests = options.digests;
		this.#send = options.send;
		this.#abandon = options.abandon;
	}

	/** The file is written up to here. */
	advance(bytes: number): void {
		if (bytes - this.#told >= stepBytes) {
			this.#told = bytes;
			this.#send(bytes, false);
		}
	}

	/** The file has this many bytes and will not grow: hashes the rest. */
	digests(bytes: number): Promise<Digests> {
		this.#send(bytes, true);
		return this.#digests;
	}

	/** Nobody wants the digests any more. */
	abandon(): void {
		this.#abandon();
	}
}
