/**
 * The thread that hashes files as they grow.
 *
 * Talks to `hashing.ts` only. Each job follows one file: it reads up to where it was told the file is written, and
 * answers with the digests once it was told that the file ends. Jobs take turns, a slice each.
 */
import {createHash, type Hash} from 'node:crypto';
import {closeSync, openSync, readSync} from 'node:fs';
import {parentPort} from 'node:worker_threads';
import type {FromWorker, ToWorker} from './hashing.js';

interface Job {
	readonly id: number;
	readonly fd: number;
	readonly hashes: ReadonlyMap<string, Hash>;
	readonly background: boolean;
	readonly reports: boolean;
	done: number;
	upTo: number;
	ends: boolean;
}

const slice = Buffer.allocUnsafeSlow(1_048_576);
const slicesPerTurn = 8;
const jobs = new Map<number, Job>();
const port = parentPort;
let scheduled = false;

function answer(message: FromWorker): void {
	port?.postMessage(message);
}

function fail(id: number, error: unknown): void {
	const {code, errno} = error as NodeJS.ErrnoException;
	answer({id, error: String(error), ...(code === undefined || errno === undefined ? {} : {code, errno})});
}

function drop(job: Job): void {
	jobs.delete(job.id);
	closeSync(job.fd);
}

function open({id, file, algorithms, background, reports}: Extract<ToWorker, {what: 'open'}>): void {
	try {
		const hashes = new Map(algorithms.map(name => [name, createHash(name)]));
		jobs.set(id, {id, fd: openSync(file, 'r'), hashes, background, reports, done: 0, upTo: 0, ends: false});
	} catch (error) {
		fail(id, error);
	}
}

/** Hashes what is there, a turn's worth. */
function work(job: Job): void {
	const before = job.done;
	for (let turn = 0; turn < slicesPerTurn && job.done < job.upTo; turn++) {
		const bytes = readSync(job.fd, slice, 0, Math.min(slice.length, job.upTo - job.done), job.done);
		if (bytes === 0) {
			throw new Error(`the file ends at ${job.done}, before ${job.upTo}`);
		}
		const part = slice.subarray(0, bytes);
		for (const hash of job.hashes.values()) {
			hash.update(part);
		}
		job.done += bytes;
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

function turn(): void {
	scheduled = false;
	const all = [...jobs.values()];
	// Somebody waits for the others: the background's turn is when they have none.
	const urgent = all.filter(job => !job.background && (job.done < job.upTo || job.ends));
	for (const job of urgent.length > 0 ? urgent : all) {
		try {
			work(job);
		} catch (error) {
			drop(job);
			fail(job.id, error);
		}
	}
	if ([...jobs.values()].some(job => job.done < job.upTo || job.ends)) {
		schedule();
	}
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
	const job = jobs.get(message.id);
	if (job === undefined) {
		return;
	}
	if (message.what === 'abandon') {
		drop(job);
		return;
	}
	job.upTo = Math.max(job.upTo, message.upTo);
	job.ends ||= message.ends;
	schedule();
});
