/**
 * Digests of files that are still growing, off the main thread.
 *
 * Whoever writes a file tells its `FileHash` how far it has come; a worker thread reads the file behind the writer
 * (from the page cache, mostly), so bytes never cross threads and a resumed file is rehashed by the same means. A second
 * thread does MD5 for those who need all digests at once: it costs as much as the others together. How far a file has
 * come stands in memory that both threads see: a thread that has enough to do is sent no messages.
 */
import {Worker} from 'node:worker_threads';
import {MirrorError} from '../errors.js';
import {
	progressAt,
	type Algorithm,
	type Digests,
	type FromWorker,
	type ToWorker,
	type Urgency,
} from './hash-messages.js';

export type {Algorithm, Digests, Urgency} from './hash-messages.js';

interface Pending {
	/** `undefined`: nothing has been asked of a thread yet. */
	worker: Worker | undefined;
	readonly resolve: (digests: Digests) => void;
	readonly reject: (error: Error) => void;
	readonly onReport: (bytes: number) => void;
}

export interface FollowOptions {
	/** `now` unless given. */
	readonly urgency?: Urgency;
	/** On the second thread. */
	readonly aside?: boolean;
	/** Told every few megabytes how many bytes have been hashed. */
	readonly onDone?: (bytes: number) => void;
}

/** Messages cost more than the hashing of a few kilobytes: the worker is told of progress in steps of this. */
const stepBytes = 1_048_576;
/** The first thread is begun once so much is there: on few processors its start is felt by everybody. */
const firstStepBytes = 8 * stepBytes;

export class Hashing {
	readonly #main = new Lane();
	readonly #aside = new Lane();

	/** Begins to hash `file`, which must exist. Hexadecimal digests come from `FileHash.digests`. */
	follow(file: string, algorithms: readonly Algorithm[], options: FollowOptions = {}): FileHash {
		return (options.aside === true ? this.#aside : this.#main).follow(file, algorithms, options);
	}

	async close(): Promise<void> {
		await Promise.all([this.#main.close(), this.#aside.close()]);
	}
}

/** A thread, begun when there is work for it, and begun again where it died. */
class Lane {
	readonly #pending = new Map<number, Pending>();
	#worker: Worker | undefined;
	#lastId = 0;

	follow(file: string, algorithms: readonly Algorithm[], {urgency = 'now', onDone}: FollowOptions): FileHash {
		const id = ++this.#lastId;
		const onReport = (bytes: number): void => {
			hash.reported(bytes);
			onDone?.(bytes);
		};
		const digests = new Promise<Digests>((resolve, reject) => {
			this.#pending.set(id, {worker: undefined, resolve, reject, onReport});
		});
		this.#holdProcess();
		// Nobody may be listening yet when the worker fails; whoever asks for the digests is told.
		digests.catch(() => undefined);
		const progress = new BigInt64Array(new SharedArrayBuffer(16));
		const hash = new FileHash({
			digests,
			// Whoever waits for the first bytes would wait for a thread that begins as well.
			firstStepBytes: this.#worker === undefined && onDone === undefined ? firstStepBytes : stepBytes,
			send: (upTo, ends) => {
				Atomics.store(progress, progressAt.written, BigInt(upTo));
				const pending = this.#pending.get(id);
				if (pending?.worker === undefined) {
					const reports = onDone !== undefined;
					this.#begin(pending, {what: 'open', id, file, algorithms, urgency, reports, progress});
				}
				if (Atomics.exchange(progress, progressAt.waits, 0n) === 1n || ends) {
					pending?.worker?.postMessage({what: 'advance', id, ends} satisfies ToWorker);
				}
			},
			abandon: () => {
				const pending = this.#pending.get(id);
				if (pending !== undefined) {
					this.#pending.delete(id);
					this.#holdProcess();
					pending.worker?.postMessage({what: 'abandon', id} satisfies ToWorker);
					pending.reject(new MirrorError('the digests of this file are not wanted any more'));
				}
			},
		});
		return hash;
	}

	/** `undefined`: nobody wants it any more. */
	#begin(pending: Pending | undefined, open: ToWorker): void {
		if (pending !== undefined) {
			pending.worker = this.#running();
			this.#holdProcess();
			pending.worker.postMessage(open);
		}
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
			if ('done' in message) {
				pending?.onReport(message.done);
				return;
			}
			this.#pending.delete(message.id);
			this.#holdProcess();
			if ('digests' in message) {
				pending?.resolve(message.digests);
			} else {
				const {error, code, errno} = message;
				const cause = code === undefined ? undefined : Object.assign(new Error(error), {code, errno});
				pending?.reject(new MirrorError(`hashing failed: ${error}`, {cause}));
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
}

/** The digests-to-be of one file. */
export class FileHash {
	readonly #digests: Promise<Digests>;
	readonly #send: (upTo: number, ends: boolean) => void;
	readonly #abandon: () => void;
	readonly #waiting = new Set<{readonly from: number; readonly resolve: () => void}>();
	#stepBytes: number;
	#told = 0;
	#done = 0;
	#over = false;

	constructor(options: {
		readonly digests: Promise<Digests>;
		readonly send: (upTo: number, ends: boolean) => void;
		readonly abandon: () => void;
		/** Told first when so much is there; as ever unless given. */
		readonly firstStepBytes?: number;
	}) {
		this.#digests = options.digests;
		this.#send = options.send;
		this.#abandon = options.abandon;
		this.#stepBytes = options.firstStepBytes ?? stepBytes;
		this.#digests
			.catch(() => undefined)
			.finally(() => {
				this.#end();
			});
	}

	/** The file is written up to here. */
	advance(bytes: number): void {
		if (bytes - this.#told >= this.#stepBytes) {
			this.#stepBytes = stepBytes;
			this.#told = bytes;
			this.#send(bytes, false);
		}
	}

	/** The file has this many bytes and will not grow: hashes the rest. */
	digests(bytes: number): Promise<Digests> {
		this.#send(bytes, true);
		return this.#digests;
	}

	/**
	 * Resolves once at most `bytes` of what was told are still to be hashed, or nothing more will be. Only for those who
	 * gave `onDone`: nobody else's thread says how far it is.
	 */
	within(bytes: number): Promise<void> {
		const from = this.#told - bytes;
		return this.#over || this.#done >= from
			? Promise.resolve()
			: new Promise(resolve => {
					this.#waiting.add({from, resolve});
				});
	}

	/** The thread says how far it is. */
	reported(bytes: number): void {
		this.#done = bytes;
		for (const waiting of this.#waiting) {
			if (bytes >= waiting.from) {
				this.#waiting.delete(waiting);
				waiting.resolve();
			}
		}
	}

	/** Nobody wants the digests any more. Whoever waits for them is told. */
	abandon(): void {
		this.#abandon();
		this.#end();
	}

	#end(): void {
		this.#over = true;
		this.reported(Infinity);
	}
}
