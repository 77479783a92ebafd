/**
 * The last of what has come in of a file, in memory, in order and without a gap.
 *
 * A passage pushes at one end and lets go at the other; its riders copy from in between. Bytes are kept in batches: of
 * each it is known what all that comes before it hashes to.
 */
import type {Hash} from 'node:crypto';
import {MirrorError} from '../errors.js';
import {sumOf} from './growing.js';

/** What comes in pieces is put together to this. */
const batchBytes = 262_144;
/** A chunk costs memory beside its bytes, and a sender may make them as small as it likes. */
const [fewChunks, smallBytes] = [64, 4096];

export interface Batch {
	readonly from: number;
	readonly end: number;
	readonly chunks: readonly Buffer[];
	/** Of all that comes before it; `undefined`: that is not known. */
	readonly before: Hash | undefined;
}

export class Window {
	#batches: Batch[];
	#bytes: number;

	constructor(batches: readonly Batch[] = []) {
		this.#batches = [...batches];
		this.#bytes = bytesOf(batches);
	}

	get bytes(): number {
		return this.#bytes;
	}

	get oldest(): Batch | undefined {
		return this.#batches[0];
	}

	/** What will be the oldest when that has gone. */
	get next(): Batch | undefined {
		return this.#batches[1];
	}

	/** What begins at `from`, behind what is here. `hash` is of all that comes before it. */
	push(chunks: readonly Buffer[], from: number, hash: Hash | undefined): void {
		const bytes = sumOf(chunks);
		const last = this.#batches.at(-1);
		this.#bytes += bytes;
		if (last !== undefined && last.end - last.from < batchBytes) {
			const both = {...last, end: from + bytes, chunks: packed([...last.chunks, ...chunks])};
			this.#batches.splice(-1, 1, both);
		} else {
			this.#batches.push({from, end: from + bytes, chunks: packed(chunks), before: hash?.copy()});
		}
	}

	/** Lets go of the oldest, which it returns. */
	drop(): Batch | undefined {
		const oldest = this.#batches.shift();
		this.#bytes -= oldest === undefined ? 0 : oldest.end - oldest.from;
		return oldest;
	}

	/** Lets go of all that ends before `position` or there, and returns it. */
	dropUpTo(position: number): readonly Batch[] {
		const kept = this.#batches.findIndex(({end}) => end > position);
		const dropped = this.#batches.splice(0, kept === -1 ? this.#batches.length : kept);
		this.#bytes -= bytesOf(dropped);
		return dropped;
	}

	clear(): void {
		this.#batches = [];
		this.#bytes = 0;
	}

	/** Copies what begins at `position`, as much as there is room for, but nothing from `upTo` on. Returns how much. */
	copy(position: number, upTo: number, into: Buffer): number {
		const end = Math.min(upTo, position + into.length);
		// What is newest is asked for most.
		const first = this.#batches.findLastIndex(({from}) => from <= position);
		let at = position;
		for (let index = first; at < end; index++) {
			const batch = this.#batches[index];
			if (batch === undefined || batch.end <= at) {
				throw new MirrorError(`a client is at ${at} of a file that is passed on, and that is not here`);
			}
			let chunkAt = batch.from;
			for (const chunk of batch.chunks) {
				const chunkEnd = chunkAt + chunk.length;
				if (chunkEnd > at && chunkAt < end) {
					at += chunk.copy(into, at - position, at - chunkAt, Math.min(chunkEnd, end) - chunkAt);
				}
				chunkAt = chunkEnd;
			}
		}
		return at - position;
	}
}

function bytesOf(batches: readonly Batch[]): number {
	return batches.reduce((bytes, {from, end}) => bytes + end - from, 0);
}

function packed(chunks: readonly Buffer[]): readonly Buffer[] {
	return chunks.length > fewChunks && sumOf(chunks) < chunks.length * smallBytes ? [Buffer.concat(chunks)] : chunks;
}
