/**
 * Many small texts that are much like each other, packed in memory until they are written one after another.
 *
 * The manifests of ten thousand images are some tens of megabytes as they are, and a few when they are packed together.
 * Read in the order in which they were added, each pack is unpacked once.
 */
import {deflateRawSync, inflateRawSync} from 'node:zlib';

interface Where {
	readonly pack: number;
	readonly start: number;
	readonly end: number;
}

const packBytes = 262_144;

export class PackedTexts {
	readonly #packs: Buffer[] = [];
	#open: Buffer[] = [];
	#openBytes = 0;
	#last: {readonly pack: number; readonly bytes: Buffer} | undefined;

	/** Returns what reads it again. */
	add(bytes: Buffer): () => Buffer {
		const where = {pack: this.#packs.length, start: this.#openBytes, end: this.#openBytes + bytes.length};
		this.#open.push(bytes);
		this.#openBytes = where.end;
		if (this.#openBytes >= packBytes) {
			this.#packs.push(deflateRawSync(Buffer.concat(this.#open), {level: 1}));
			this.#open = [];
			this.#openBytes = 0;
		}
		return () => this.#read(where);
	}

	#read({pack, start, end}: Where): Buffer {
		if (this.#last?.pack !== pack) {
			const packed = this.#packs[pack];
			const bytes = packed === undefined ? Buffer.concat(this.#open) : inflateRawSync(packed);
			if (packed === undefined) {
				// More may be added to it.
				return bytes.subarray(start, end);
			}
			this.#last = {pack, bytes};
		}
		return this.#last.bytes.subarray(start, end);
	}
}
