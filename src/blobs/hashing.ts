/**
 * Digests of files that are still growing, off the main thread.
 *
 * Whoever writes a file tells its `FileHash` how far it has come; a worker thread reads the file behind the writer
 * (from the page cache, mostly), so bytes never cross threads and a resumed file is rehashed by the same means. A second
 * thread does MD5 for those who need all digests at once: it costs as much as the others together. How far a file has
 * come stands in memory that both threads see: a thread that has enough to do is sent no messages.
 *
 * Asked to, the thread also writes what lies in memory that it sees, and hashes it from there: nothing is read back, and
 * one trip between threads does for megabytes. With more than two processors, writing and hashing at once is faster.
 */
import {Worker} from 'node:worker_threads';
import {MirrorError} from '../errors.js';
import {sumOf} from './growing.js';
import {
	progressAt,
	type Algorithm,
	type Digests,
	type Failure,
	type ForWorker,
	type FromWorker,
	type ToWorker,
	type Urgency,
} from './hash-messages.js';

export type {Algorithm, Digests, Urgency} from './hash-messages.js';

interface Pending {
	/** `undefined`: nothing has been asked of a thread yet. */
	thread: Thread | undefined;
	readonly resolve: (digests: Digests) => void;
	readonly reject: (error: Error) => void;
	readonly onReport: (bytes: number) => void;
}

type Thread = ForWorker & {readonly worker: Worker};

interface WriteAnswer {
	readonly written: number;
	readonly failure?: Failure;
}

type Write = (fd: number, chunks: readonly Buffer[], at: number) => Promise<WriteAnswer | undefined> | undefined;

/** Something that a thread was asked to write. */
interface Call {
	readonly thread: Thread;
	/** `undefined`: the thread has ended. */
	readonly resolve: (answer: WriteAnswer | undefined) => void;
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
/** Of what a thread is asked to write, on average: each chunk costs as much to tell of as some kilobytes to write. */
const leastChunkBytes = 16_384;

export class Hashing {
	readonly #main: Lane;
	readonly #aside: Lane;

	/** `writes`: whether the threads write, too. */
	constructor({writes = false}: {readonly writes?: boolean} = {}) {
		this.#main = new Lane(writes);
		this.#aside = new Lane(writes);
	}

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
	/** Not with what is pending: nobody may close a file that is being written, wanted or not. */
	readonly #calls = new Map<number, Call>();
	readonly #writes: boolean;
	#thread: Thread | undefined;
	#lastId = 0;
	#lastCall = 0;

	constructor(writes: boolean) {
		this.#writes = writes;
	}

	follow(file: string, algorithms: readonly Algorithm[], {urgency = 'now', onDone}: FollowOptions): FileHash {
		const id = ++this.#lastId;
		const onReport = (bytes: number): void => {
			hash.reported(bytes);
			onDone?.(bytes);
		};
		const digests = new Promise<Digests>((resolve, reject) => {
			this.#pending.set(id, {thread: undefined, resolve, reject, onReport});
		});
		this.#holdProcess();
		// Nobody may be listening yet when the worker fails; whoever asks for the digests is told.
		digests.catch(() => undefined);
		const progress = new BigInt64Array(new SharedArrayBuffer(16));
		const hash = new FileHash({
			digests,
			// Whoever waits for the first bytes would wait for a thread that begins as well.
			firstStepBytes: this.#thread === undefined && onDone === undefined ? firstStepBytes : stepBytes,
			send: (upTo, ends) => {
				Atomics.store(progress, progressAt.written, BigInt(upTo));
				const pending = this.#pending.get(id);
				if (pending?.thread === undefined) {
					const reports = onDone !== undefined;
					this.#begin(pending, {what: 'open', id, file, algorithms, urgency, reports, progress});
				}
				if (Atomics.exchange(progress, progressAt.waits, 0n) === 1n || ends) {
					pending?.thread?.worker.postMessage({what: 'advance', id, ends} satisfies ToWorker);
				}
			},
			write: (fd, chunks, at) => {
				// Who hashes more than this, or is told how far it is, would have the writer wait for that.
				const isQuick = algorithms.join() === 'sha1' && onDone === undefined;
				const thread = isQuick && this.#writes ? this.#pending.get(id)?.thread : undefined;
				return thread === undefined ? undefined : this.#write(thread, id, fd, chunks, at);
			},
			abandon: () => {
				const pending = this.#pending.get(id);
				if (pending !== undefined) {
					this.#pending.delete(id);
					this.#holdProcess();
					pending.thread?.worker.postMessage({what: 'abandon', id} satisfies ToWorker);
					pending.reject(new MirrorError('the digests of this file are not wanted any more'));
				}
			},
		});
		return hash;
	}

	/** `undefined`: nobody wants it any more. */
	#begin(pending: Pending | undefined, open: ToWorker): void {
		if (pending !== undefined) {
			pending.thread = this.#running();
			this.#holdProcess();
			pending.thread.worker.postMessage(open);
		}
	}

	/** `undefined`: this is not for a thread. */
	#write(
		thread: Thread,
		id: number,
		fd: number,
		chunks: readonly Buffer[],
		at: number,
	): Promise<WriteAnswer | undefined> | undefined {
		const parts = chunks.flatMap(({buffer: memory, byteOffset: from, length: bytes}) =>
			memory instanceof SharedArrayBuffer ? [{memory, from, bytes}] : [],
		);
		if (parts.length < chunks.length || sumOf(chunks) < chunks.length * leastChunkBytes) {
			return undefined;
		}
		return new Promise(resolve => {
			const call = ++this.#lastCall;
			this.#calls.set(call, {thread, resolve});
			Atomics.add(thread.calls, 0, 1);
			thread.worker.postMessage({what: 'write', id, call, fd, at, parts} satisfies ToWorker);
		});
	}

	async close(): Promise<void> {
		const thread = this.#thread;
		this.#thread = undefined;
		await thread?.worker.terminate();
	}

	#running(): Thread {
		if (this.#thread !== undefined) {
			return this.#thread;
		}
		const calls = new Int32Array(new SharedArrayBuffer(4));
		const worker = new Worker(new URL('./hash-worker.js', import.meta.url), {
			name: 'imgmirror-hashing',
			workerData: {calls} satisfies ForWorker,
		});
		worker.on('message', (message: FromWorker) => {
			if ('call' in message) {
				this.#calls.get(message.call)?.resolve(message);
				this.#calls.delete(message.call);
				return;
			}
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
				pending?.reject(new MirrorError(`hashing failed: ${message.error}`, {cause: systemError(message)}));
			}
		});
		const lost = (error?: Error): void => {
			if (this.#thread === thread) {
				this.#thread = undefined;
			}
			const failure = new MirrorError('the hashing thread has ended', {cause: error});
			// Its own jobs only: by the time that its end is reported there may be a new thread with jobs.
			for (const [id, pending] of this.#pending) {
				if (pending.thread === thread) {
					this.#pending.delete(id);
					pending.reject(failure);
				}
			}
			for (const [id, call] of this.#calls) {
				if (call.thread === thread) {
					this.#calls.delete(id);
					call.resolve(undefined);
				}
			}
		};
		const thread = {worker, calls};
		worker.on('error', lost);
		worker.on('exit', () => lost());
		this.#thread = thread;
		return thread;
	}

	/** The thread keeps the process alive while somebody waits for a digest, and no longer. */
	#holdProcess(): void {
		if (this.#pending.size > 0) {
			this.#thread?.worker.ref();
		} else {
			this.#thread?.worker.unref();
		}
	}
}

/** `undefined`: it was not the system that failed. */
function systemError({error, code, errno}: Failure): Error | undefined {
	return code === undefined ? undefined : Object.assign(new Error(error), {code, errno});
}

/** The digests-to-be of one file. */
export class FileHash {
	readonly #digests: Promise<Digests>;
	readonly #send: (upTo: number, ends: boolean) => void;
	readonly #write: Write;
	readonly #abandon: () => void;
	readonly #waiting = new Set<{readonly from: number; readonly resolve: () => void}>();
	#stepBytes: number;
	#told = 0;
	#done = 0;
	#over = false;

	constructor(options: {
		readonly digests: Promise<Digests>;
		readonly send: (upTo: number, ends: boolean) => void;
		/** Unless given, nothing is written. */
		readonly write?: Write;
		readonly abandon: () => void;
		/** Told first when so much is there; as ever unless given. */
		readonly firstStepBytes?: number;
	}) {
		this.#digests = options.digests;
		this.#send = options.send;
		this.#write = options.write ?? (() => undefined);
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

	/**
	 * Has the thread append this to the file, if that is faster; `false`: it is still to be written. `onWritten` is told
	 * how much got there, also where the rest does not. The thread may look at it until the next one has been written.
	 */
	async write(fd: number, chunks: readonly Buffer[], at: number, onWritten: (bytes: number) => void): Promise<boolean> {
		const answer = await this.#write(fd, chunks, at);
		if (answer === undefined) {
			return false;
		}
		this.#told = at + answer.written;
		onWritten(answer.written);
		if (answer.failure !== undefined) {
			throw systemError(answer.failure) ?? new Error(answer.failure.error);
		}
		return true;
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
