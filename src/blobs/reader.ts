/**
 * Bytes of a file for one client, in order. `BlobReader` is the plain case: the file is here and whole.
 */
import type {FileHandle} from 'node:fs/promises';
import {MirrorError} from '../errors.js';

export interface Reader {
	/**
	 * The same object for all readers that have the same bytes at the same place, as long as they do; `undefined`: this
	 * one has them for itself.
	 */
	readonly content: object | undefined;
	/**
	 * Fills `into` with what comes next (at least one byte) and resolves with how much; 0 after the last byte.
	 * Throws when the rest will never come or must not be sent.
	 */
	read(into: Buffer): Promise<number>;
	/**
	 * The same for what `stretch` has in this tick, waiting for nothing but the disk. 0: it is not to be had like this any
	 * more, and `stretch` or `read` says why.
	 */
	readStretch(into: Buffer): Promise<number>;
	/** Resolves once `stretch` has something, or `read` something to say. */
	ready(): Promise<void>;
	/**
	 * What comes next and is in a file already, to be sent without being read; `undefined`: ask `read`. Good for the tick
	 * in which it was asked for. Throws as `read` does.
	 */
	stretch(): Stretch | undefined;
	/** So much of the stretch is on its way: what comes next is behind it. */
	skip(bytes: number): void;
	close(): void;
}

/** Some bytes of an open file; at least one. */
export interface Stretch {
	readonly fd: number;
	readonly position: number;
	readonly length: number;
}

export class BlobReader implements Reader {
	readonly content: object | undefined;
	readonly #handle: FileHandle;
	readonly #end: number;
	#position: number;
	#closed = false;

	constructor(options: {handle: FileHandle; start: number; end: number; content?: object | undefined}) {
		const {handle, start, end, content} = options;
		this.content = content;
		this.#handle = handle;
		this.#position = start;
		this.#end = end;
	}

	ready(): Promise<void> {
		return Promise.resolve();
	}

	stretch(): Stretch | undefined {
		const {fd} = this.#handle;
		const length = this.#end - this.#position;
		return fd < 0 || this.#closed || length <= 0 ? undefined : {fd, position: this.#position, length};
	}

	skip(bytes: number): void {
		this.#position += bytes;
	}

	async read(into: Buffer): Promise<number> {
		const length = Math.min(into.length, this.#end - this.#position);
		if (length <= 0) {
			return 0;
		}
		const {bytesRead} = await this.#handle.read(into, 0, length, this.#position);
		if (bytesRead === 0) {
			throw new MirrorError(`a stored file ends at ${this.#position}, before ${this.#end}`);
		}
		this.#position += bytesRead;
		return bytesRead;
	}

	readStretch(into: Buffer): Promise<number> {
		return this.read(into);
	}

	close(): void {
		this.#closed = true;
		void this.#handle.close().catch(() => undefined);
	}
}
