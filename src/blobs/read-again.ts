/**
 * One whole file read again and compared with what was stored, in steps that keep to a rate.
 *
 * The scrub pulls the steps and decides what becomes of the file. What is wrong or cannot be read is read once more
 * before it is believed: a single bad read need not be the disk's.
 */
import {stat} from 'node:fs/promises';
import {describe} from '../errors.js';
import type {Host} from '../host.js';
import type {BlobInfo} from './blob-info.js';
import type {Gate} from './gate.js';
import type {FileHash, Hashing} from './hashing.js';
import type {RateLimit} from './rate-limit.js';
import {unlessAborted} from './unless-aborted.js';

export type Finding =
	| {readonly what: 'right'}
	| {readonly what: 'wrong'; readonly problem: string; readonly got: object}
	/** The disk does not give it; that may pass. */
	| {readonly what: 'unreadable'; readonly problem: string; readonly code: string}
	/** It was deleted, or stored anew, meanwhile. */
	| {readonly what: 'gone'};

export interface ReadAgain {
	readonly host: Host;
	readonly info: BlobInfo;
	readonly file: string;
	readonly hashing: Pick<Hashing, 'follow'>;
	readonly limit: RateLimit;
	/** Shut while somebody else reads. */
	readonly gate: Gate;
	/** Whether the store still has this very file. */
	readonly isHere: () => boolean;
	readonly signal: AbortSignal;
}

const attempts = 2;
const stepBytes = 1_048_576;

/** Yields how many bytes have been read, each time that some have. Throws the signal's reason only. */
export async function* readAgain(how: ReadAgain): AsyncGenerator<number, Finding, undefined> {
	const {host, info} = how;
	let first: Finding | undefined;
	for (let attempt = 1; ; attempt++) {
		const finding = yield* readOnce(how);
		if (finding.what === 'gone' || !how.isHere()) {
			return {what: 'gone'};
		}
		if (finding.what === 'right' && first !== undefined) {
			const problem = 'problem' in first ? first.problem : '';
			host.log.warn({sha1: info.sha1, problem}, 'a file was wrong when it was read, and right when it was read again');
		}
		if (finding.what === 'right' || attempt === attempts) {
			return finding;
		}
		first = finding;
	}
}

async function* readOnce(how: ReadAgain): AsyncGenerator<number, Finding, undefined> {
	const {info, file, hashing, signal} = how;
	const misfit = await lookAt(file, info);
	if (misfit !== undefined) {
		return misfit;
	}
	let hashed = 0;
	const hash = hashing.follow(file, ['sha1', 'sha256'], {
		onDone: bytes => {
			hashed = bytes;
		},
	});
	try {
		for (let at = 0; at < info.size;) {
			const bytes = Math.min(stepBytes, info.size - at);
			await how.gate.pass(signal);
			await how.limit.take(bytes, signal);
			if (!how.isHere()) {
				return {what: 'gone'};
			}
			at += bytes;
			await upTo(hash, at, signal);
			if (at < info.size && hashed < at) {
				// It has failed, and tells with the digests.
				break;
			}
			how.host.metrics.scrubbedBytes.inc(bytes);
			yield at;
		}
		const {sha1, sha256} = await unlessAborted(hash.digests(info.size), signal);
		if (sha1 === info.sha1 && sha256 === info.sha256) {
			return {what: 'right'};
		}
		const [name, got, expected] = sha1 === info.sha1 ? ['SHA-256', sha256, info.sha256] : ['SHA-1', sha1, info.sha1];
		const problem = `${name} is ${got ?? 'unknown'}, should be ${expected}`;
		return {what: 'wrong', problem, got: {sha1, sha256, size: info.size}};
	} catch (error) {
		signal.throwIfAborted();
		return (await lookAt(file, info)) ?? {what: 'unreadable', problem: describe(error), code: codeOf(error)};
	} finally {
		hash.abandon();
	}
}

/** Has it hashed as far as that, but for the end: that comes with the digests. */
async function upTo(hash: FileHash, bytes: number, signal: AbortSignal): Promise<void> {
	hash.advance(bytes);
	await unlessAborted(hash.within(0), signal);
}

/** What can be told without reading it. */
async function lookAt(file: string, {size}: BlobInfo): Promise<Finding | undefined> {
	try {
		const found = await stat(file);
		return found.size === size
			? undefined
			: {what: 'wrong', problem: `it has ${found.size} bytes, should have ${size}`, got: {size: found.size}};
	} catch (error) {
		const code = codeOf(error);
		return code === 'ENOENT'
			? {what: 'wrong', problem: 'it is not there any more', got: {}}
			: {what: 'unreadable', problem: describe(error), code};
	}
}

function codeOf(error: unknown): string {
	for (const failure of [error, error instanceof Error ? error.cause : undefined]) {
		if (failure instanceof Error && 'code' in failure && 'errno' in failure) {
			return String(failure.code);
		}
	}
	return 'EIO';
}
