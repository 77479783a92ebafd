/**
 * zstd undone, by the best means that this machine has: Node.js itself where it is new enough, the `zstd` program, and
 * a package in JavaScript where there is neither.
 */
import {spawn, type ChildProcessWithoutNullStreams} from 'node:child_process';
import {once} from 'node:events';
import type {Duplex} from 'node:stream';
import * as zlib from 'node:zlib';
import {IntegrityError} from '../errors.js';
import {shown} from './tar-header.js';
import {through} from './through.js';
import {zstdPieces, type ZstdPiece} from './zstd-frames.js';
import {ZstdThread} from './zstd-thread.js';

/** Tried in this order. The package comes last, and is always there. */
export interface ZstdWays {
	/** A decompressor for one frame. */
	readonly builtIn: (() => Duplex) | undefined;
	/** A program that takes the options of `zstd`. */
	readonly program: string | undefined;
}

/** What Node.js gives at a time. */
const chunkBytes = 256 * 1024;

export function ownZstdWays(): ZstdWays {
	const own = hasZstd(zlib) ? zlib.createZstdDecompress : undefined;
	return {builtIn: own && (() => own({chunkSize: chunkBytes})), program: 'zstd'};
}

/** Throws IntegrityError where the data is damaged or cut off, what the source throws, and the reason of `signal`. */
export async function* unzstd(
	source: AsyncIterable<Buffer>,
	signal: AbortSignal,
	{builtIn, program}: ZstdWays,
): AsyncGenerator<Buffer, void, undefined> {
	const pieces = zstdPieces(source);
	try {
		// Without a single frame, `zstd` complains.
		const first = await pieces.next();
		if (first.done === true) {
			return;
		}
		if (builtIn !== undefined) {
			yield* byNode(first.value, pieces, builtIn, signal);
			return;
		}
		const child = program === undefined ? undefined : await started(program);
		const all = joined(first.value, pieces);
		yield* child === undefined ? byPackage(all, signal) : byProgram(all, child, signal);
	} finally {
		// Not waited for: it may be asking the source for a piece that comes late, or never.
		void pieces.return().catch(() => undefined);
	}
}

/** From Node.js 22.15 on. */
function hasZstd(module: object): module is {createZstdDecompress: (options: {chunkSize: number}) => Duplex} {
	return 'createZstdDecompress' in module && typeof module.createZstdDecompress === 'function';
}

/** Frame by frame: Node.js takes what follows the first one for garbage. */
async function* byNode(
	first: ZstdPiece,
	rest: AsyncGenerator<ZstdPiece, void, undefined>,
	builtIn: () => Duplex,
	signal: AbortSignal,
): AsyncGenerator<Buffer, void, undefined> {
	for (let begin: ZstdPiece | undefined = first; begin !== undefined; begin = (await rest.next()).value ?? undefined) {
		const decompressor = builtIn();
		try {
			yield* through(frameOf(begin, rest), {into: decompressor, from: decompressor}, signal);
		} catch (error) {
			throw error instanceof Error && 'code' in error && /^Z(?:STD)?_/u.test(String(error.code))
				? damaged(error.message, error)
				: error;
		}
	}
}

async function* joined(first: ZstdPiece, rest: AsyncIterable<ZstdPiece>): AsyncGenerator<ZstdPiece, void, undefined> {
	yield first;
	yield* rest;
}

/** What is left of a frame, and nothing of what follows. */
async function* frameOf(
	first: ZstdPiece,
	rest: AsyncGenerator<ZstdPiece, void, undefined>,
): AsyncGenerator<Buffer, void, undefined> {
	for (let piece = first; ;) {
		yield piece.bytes;
		const next = piece.endsFrame ? undefined : await rest.next();
		if (next === undefined || next.done === true) {
			return;
		}
		piece = next.value;
	}
}

/** `undefined`: there is no such program, or we may not start it. */
async function started(program: string): Promise<ChildProcessWithoutNullStreams | undefined> {
	const child = spawn(program, ['-d', '-c', '-q'], {stdio: 'pipe'});
	child.stdin.on('error', () => undefined);
	try {
		await once(child, 'spawn');
		// One that cannot be killed.
		child.on('error', () => undefined);
		return child;
	} catch {
		return undefined;
	}
}

/** Of what the program says, as much is kept. */
const mostWords = 1000;

async function* byProgram(
	pieces: AsyncIterable<ZstdPiece>,
	child: ChildProcessWithoutNullStreams,
	signal: AbortSignal,
): AsyncGenerator<Buffer, void, undefined> {
	const ended = new Promise<void>(resolve => {
		child.once('close', () => {
			resolve();
		});
	});
	let said = '';
	child.stderr.on('data', (words: Buffer) => {
		said = (said + words.toString()).slice(-mostWords);
	});
	try {
		yield* through(bytesOf(pieces), {into: child.stdin, from: child.stdout}, signal);
		await ended;
		if (child.exitCode !== 0) {
			// As in "/*stdin*\ : Decoding error (36) : Data corruption detected".
			const words = said.trim().split(' : ').at(-1);
			throw damaged(shown(words || `zstd ended with ${child.exitCode ?? child.signalCode ?? 'no code'}`));
		}
	} finally {
		child.kill();
	}
}

async function* bytesOf(pieces: AsyncIterable<ZstdPiece>): AsyncGenerator<Buffer, void, undefined> {
	for await (const piece of pieces) {
		yield piece.bytes;
	}
}

/** Does not look at checksums: whoever reads a bundle has better ones. */
async function* byPackage(
	pieces: AsyncIterable<ZstdPiece>,
	signal: AbortSignal,
): AsyncGenerator<Buffer, void, undefined> {
	const thread = new ZstdThread(signal);
	try {
		for await (const {what, bytes} of pieces) {
			if (what !== 'checksum') {
				yield* await thread.push(what, bytes);
			}
		}
	} catch (error) {
		signal.throwIfAborted();
		throw error;
	} finally {
		await thread.close();
	}
}

function damaged(problem: string, cause?: Error): IntegrityError {
	return new IntegrityError(`the zstd data is damaged (${problem})`, {cause});
}
