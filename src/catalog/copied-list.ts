/**
 * A list of images that stand in another list already, put together while it is being sent.
 *
 * How long it is and what its ETag is can be told at once; the bytes are copied by whoever takes them first, a chunk at
 * a time, so a client has the beginning before the end is made. What has been copied stays for those who come later.
 */
import {createHash} from 'node:crypto';
import {digestWords, marks, type LaidOut, type Places} from './list-bytes.js';
import {chunkBytes, type SpareChunks} from './spare-chunks.js';

/** Small: a client waits for it. */
const firstChunkBytes = 64 * 1024;

/** `which`: where the images stand there, in the order in which they are wanted. */
export function copiedList(from: Places, which: readonly number[], spare: SpareChunks): LaidOut {
	const digests = new Uint32Array(which.length * digestWords);
	const end = which.length === 0 ? marks.empty : marks.end;
	const length = from.measure(which, digests) + end.length;
	const etag = createHash('sha1').update(digests).digest('hex');
	const copy = new Copy({from, which, end}, length, spare);
	if (length <= firstChunkBytes) {
		// One chunk is all of it.
		copy.parts().next();
	}
	return {
		...{length, etag},
		chunks: () => (copy.isWhole ? copy.chunks : undefined),
		parts: () => copy.parts(),
	};
}

interface Source {
	readonly from: Places;
	readonly which: readonly number[];
	readonly end: string;
}

class Copy {
	readonly chunks: Buffer[] = [];
	readonly #spare: SpareChunks;
	/** Let go of once all is copied: it may be the only one that still holds a list that is no more. */
	#source: Source | undefined;
	#next = 0;
	#bytesLeft: number;

	constructor(source: Source, length: number, spare: SpareChunks) {
		this.#source = source;
		this.#bytesLeft = length;
		this.#spare = spare;
	}

	get isWhole(): boolean {
		return this.#source === undefined;
	}

	*parts(): Generator<Buffer, void, undefined> {
		for (let at = 0; ; at++) {
			// Somebody else may have come further meanwhile.
			if (at === this.chunks.length && this.#source !== undefined) {
				this.#copyChunk(this.#source);
			}
			const chunk = this.chunks[at];
			if (chunk === undefined) {
				return;
			}
			yield chunk;
		}
	}

	#copyChunk({from, which, end}: Source): void {
		const most = Math.min(this.#bytesLeft, this.chunks.length === 0 ? firstChunkBytes : chunkBytes);
		const first = which[this.#next];
		const size = Math.max(most, first === undefined ? 0 : from.length(first));
		const chunk = size === chunkBytes ? this.#spare.take(size) : Buffer.allocUnsafeSlow(size);
		let used = 0;
		for (; this.#next < which.length; this.#next++) {
			const bytes = from.bytes(which[this.#next] ?? 0);
			if (used + bytes.length > chunk.length) {
				break;
			}
			chunk.set(bytes, used);
			chunk[used] = this.#next === 0 ? marks.open : marks.comma;
			used += bytes.length;
		}
		if (this.#next === which.length && this.#bytesLeft <= chunk.length) {
			used += chunk.write(end, used);
			this.#source = undefined;
		}
		this.#bytesLeft -= used;
		this.chunks.push(chunk.subarray(0, used));
	}
}
