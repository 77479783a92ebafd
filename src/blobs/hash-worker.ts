/**
 * The thread that hashes files as they grow.
 *
 * Talks to `hashing.ts` only. Each job follows one file: it reads up to where it was told the file is written, and
 * answers with the digests once it was told that the file ends. The most urgent take turns, some slices each. Asked to
 * write what it will have to hash, it does that before all else, and need not read it.
 */
import {createHash, type Hash} from 'node:crypto';
import {closeSync, openSync, readSync} from 'node:fs';
import {parentPort, workerData} from 'node:worker_threads';
import {describe} from '../errors.js';
import {writeAllNow} from './growing.js';
import {
	progressAt,
	type Failure,
	type ForWorker,
	type FromWorker,
	type ToWorker,
	type ToWrite,
	type Urgency,
} from './hash-messages.js';

interface Job {
	readonly id: number;
	readonly fd: number;
	readonly hashes: ReadonlyMap<string, Hash>;
	readonly urgency: Urgency;
	readonly reports: boolean;
	readonly progress: BigInt64Array<SharedArrayBuffer>;
	done: number;
	upTo: number;
	ends: boolean;
	/** When it was told that the file ends. */
	endedMs: number;
}

const slice = Buffer.allocUnsafeSlow(262_144);
const slicesPerTurn = 32;
/** What is not urgent must not keep anything waiting that comes up meanwhile. */
const slicesPerQuietTurn = 8;
/** As long as urgent work comes at shorter intervals than this, the processors are left to those who bring it. */
const quietMs = 5;
/** What is wanted soon waits no longer than this once its file is whole: the transfer has its place until then. */
const patienceMs = 1000;
/** Of the time, what is done when idle takes this share: others may be busy who do not tell. */
const idleShare = 0.25;
/** What is no further behind a write than this is caught up with at once: from then on there is nothing to read. */
const catchUpBytes = 16_777_216;
const urgencies: readonly Urgency[] = ['now', 'soon', 'idle'];
const jobs = new Map<number, Job>();
const port = parentPort;
const {calls} = workerData as ForWorker;
let scheduled = false;
let lastUrgentMs = 0;
let resting: NodeJS.Timeout | undefined;

function answer(message: FromWorker): void {
	port?.postMessage(message);
}

function failure(error: unknown): Failure {
	const {code, errno} = error as NodeJS.ErrnoException;
	return {error: describe(error), ...(code === undefined || errno === undefined ? {} : {code, errno})};
}

function drop(job: Job): void {
	jobs.delete(job.id);
	closeSync(job.fd);
}

function dropFailed(job: Job, error: unknown): void {
	drop(job);
	answer({id: job.id, ...failure(error)});
}

function open({file, algorithms, ...told}: Extract<ToWorker, {what: 'open'}>): void {
	const {id} = told;
	try {
		const hashes = new Map(algorithms.map(name => [name, createHash(name)]));
		jobs.set(id, {...told, fd: openSync(file, 'r'), hashes, done: 0, upTo: 0, ends: false, endedMs: Infinity});
		schedule();
	} catch (error) {
		answer({id, ...failure(error)});
	}
}

function hash(job: Job, bytes: Buffer): void {
	for (const one of job.hashes.values()) {
		one.update(bytes);
	}
	job.done += bytes.length;
}

function hashSlice(job: Job, upTo: number): void {
	const bytes = readSync(job.fd, slice, 0, Math.min(slice.length, upTo - job.done), job.done);
	if (bytes === 0) {
		throw new Error(`the file ends at ${job.done}, before ${upTo}`);
	}
	hash(job, slice.subarray(0, bytes));
}

/** Hashes what is there, a turn's worth. */
function work(job: Job): void {
	const before = job.done;
	const slices = job.urgency === 'now' ? slicesPerTurn : slicesPerQuietTurn;
	for (let turn = 0; turn < slices && job.done < job.upTo && Atomics.load(calls, 0) === 0; turn++) {
		hashSlice(job, job.upTo);
	}
	if (job.reports && job.done > before) {
		answer({id: job.id, done: job.done});
	}
	if (job.ends && job.done === job.upTo) {
		const digests = Object.fromEntries([...job.hashes].map(([name, hash]) => [name, hash.digest('hex')]));
		drop(job);
		answer({id: job.id, digests});
	}
}

/** Whether there is something to do. Where there is not, its writer is asked for a message when there is. */
function isReady(job: Job): boolean {
	job.upTo = Number(Atomics.load(job.progress, progressAt.written));
	if (job.done === job.upTo && !job.ends) {
		Atomics.store(job.progress, progressAt.waits, 1n);
		// Looked at once more: the writer looks at `waits` after it has written this.
		job.upTo = Number(Atomics.load(job.progress, progressAt.written));
	}
	return job.done < job.upTo || job.ends;
}

function turn(): void {
	scheduled = false;
	const ready = [...jobs.values()].filter(isReady);
	const nowMs = performance.now();
	const urgencyOf = ({urgency: own, endedMs}: Job): Urgency =>
		own === 'soon' && nowMs - endedMs > patienceMs ? 'now' : own;
	const urgency = urgencies.find(level => ready.some(job => urgencyOf(job) === level));
	if (urgency === 'now') {
		lastUrgentMs = nowMs;
	} else if (ready.length > 0 && nowMs - lastUrgentMs < quietMs) {
		rest(quietMs);
		return;
	}
	for (const job of ready.filter(one => urgencyOf(one) === urgency)) {
		try {
			work(job);
		} catch (error) {
			dropFailed(job, error);
		}
	}
	if (urgency === 'idle') {
		rest((performance.now() - nowMs) * (1 / idleShare - 1));
	} else if (ready.length > 0) {
		schedule();
	}
}

function write({id, call, fd, at, parts}: ToWrite): void {
	Atomics.sub(calls, 0, 1);
	lastUrgentMs = performance.now();
	const chunks = parts.map(({memory, from, bytes}) => Buffer.from(memory, from, bytes));
	const {written, failure: reason} = writeAllNow(fd, chunks, at);
	const job = jobs.get(id);
	if (job !== undefined) {
		Atomics.store(job.progress, progressAt.written, BigInt(at + written));
	}
	// First, so that whoever waits for the bytes does not wait for their digest.
	answer({call, written, ...(reason === undefined ? {} : {failure: failure(reason)})});
	if (job === undefined) {
		return;
	}
	try {
		while (job.done < at && at - job.done <= catchUpBytes) {
			hashSlice(job, at);
		}
		if (job.done === at && reason === undefined) {
			chunks.forEach(chunk => {
				hash(job, chunk);
			});
		} else {
			schedule();
		}
	} catch (error) {
		dropFailed(job, error);
	}
}

/** Unless something comes up. */
function rest(ms: number): void {
	resting ??= setTimeout(() => {
		resting = undefined;
		schedule();
	}, ms);
}

function schedule(): void {
	if (!scheduled) {
		scheduled = true;
		setImmediate(turn);
	}
}

port?.on('message', (message: ToWorker) => {
	if (message.what === 'open') {
		open(message);
		return;
	}
	if (message.what === 'write') {
		write(message);
		return;
	}
	const job = jobs.get(message.id);
	if (job === undefined) {
		return;
	}
	if (message.what === 'abandon') {
		drop(job);
		return;
	}
	if (message.ends && !job.ends) {
		job.ends = true;
		job.endedMs = performance.now();
	}
	schedule();
});
