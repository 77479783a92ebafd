/**
 * Bytes of a file for one client, in order. `BlobReader` is the plain case: the file is here and whole.
 */
import type {FileHandle} from 'node:fs/promises';
import {MirrorError} from '../errors.js';

export interface Reader {
	/**
	 * Fills `into` with what comes next (at least one byte) and resolves with how much; 0 after the last byte.
	 * Throws when the rest will never come or must not be sent.
	 */
	read(into: Buffer): Promise<number>;
	/** Where the bytes are a plain file: for sending without copying. */
	readonly plain: {readonly handle: FileHandle; readonly position: number; readonly length: number} | undefined;
	close(): void;
}

export class BlobReader implements Reader {
	readonly #handle: FileHandle;
	readonly #end: number;
	#position: number;

	constructor({handle, start, end}: {handle: FileHandle; start: number; end: number}) {
		this.#handle = handle;
		this.#position = start;
		this.#end = end;
	}

	get plain(): Reader['plain'] {
		return {handle: this.#handle, position: this.#position, length: this.#end - this.#position};
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

	close(): void {
		void this.#handle.close().catch(() => undefined);
	}
}
