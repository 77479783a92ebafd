/**
 * Bytes pushed through something that takes them at one end and gives others at the other: a transform, or a process.
 *
 * No more is pushed in than its own buffers take: it stands still as long as nobody asks for what comes out.
 */
import type {Readable, Writable} from 'node:stream';
import {asError} from '../errors.js';

export interface Passage {
	readonly into: Writable;
	readonly from: Readable;
}

/**
 * What comes out of `from`. Throws what the source throws (after all that could be made of the bytes before, if the
 * passage takes their end well), what the passage itself throws, and the reason of `signal`. When it ends, in whatever
 * way, both ends are destroyed; the source is let go of as soon as it gives, or refuses, the piece that it is asked for.
 */
export async function* through(
	source: AsyncIterable<Buffer>,
	{into, from}: Passage,
	signal: AbortSignal,
): AsyncGenerator<Buffer, void, undefined> {
	signal.throwIfAborted();
	const state: {failure?: Error} = {};
	const onAbort = (): void => {
		from.destroy(asError(signal.reason));
	};
	signal.addEventListener('abort', onAbort, {once: true});
	// A process that ends early; a transform's failure comes out of `from` as well.
	into.on('error', () => undefined);
	void feed(source, into).catch((error: unknown) => {
		state.failure = asError(error);
		into.end();
	});
	try {
		const pieces: AsyncIterable<Buffer> = from;
		yield* pieces;
	} catch (error) {
		signal.throwIfAborted();
		throw state.failure ?? error;
	} finally {
		signal.removeEventListener('abort', onAbort);
		into.destroy();
		from.destroy();
	}
	if (state.failure !== undefined) {
		throw state.failure;
	}
}

async function feed(source: AsyncIterable<Buffer>, into: Writable): Promise<void> {
	for await (const piece of source) {
		if (!into.destroyed && !into.write(piece)) {
			await drained(into);
		}
		if (into.destroyed) {
			return;
		}
	}
	into.end();
}

/** Resolves when there is room again, or never will be. */
function drained(into: Writable): Promise<void> {
	return new Promise(resolve => {
		const done = (): void => {
			into.off('drain', done);
			into.off('close', done);
			resolve();
		};
		if (into.destroyed) {
			resolve();
			return;
		}
		into.on('drain', done);
		into.on('close', done);
	});
}
