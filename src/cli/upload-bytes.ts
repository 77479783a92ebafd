/**
 * The bytes of one upload: of a file, which can be read again, or of a pipe, which cannot.
 *
 * `transfer.ts` asks for stretches by offset, again where a connection broke. What has been handed out is hashed once,
 * in order, so at the end the SHA-1 is that of all that was sent.
 */
import {createHash, type Hash} from 'node:crypto';
import {open, type FileHandle} from 'node:fs/promises';
import {MirrorError, describe} from '../errors.js';
import type {Input} from './io.js';

/** One request's worth. */
export interface Stretch {
	readonly length: number;
	readonly pieces: AsyncIterable<Buffer> | Iterable<Buffer>;
	/** Nothing comes after it. */
	readonly last: boolean;
}

export interface UploadBytes {
	/** `undefined` as long as nobody can know. */
	readonly size: number | undefined;
	/** Whether all can be sent anew. */
	readonly rereadable: boolean;
	/** The first 16 bytes, or all if there are fewer. */
	first(): Promise<Buffer>;
	/** Whether the stretch that begins there can still be had. */
	has(offset: number): boolean;
	/** From `offset` on. Throws GoneError where that has been let go of. */
	stretch(offset: number): Promise<Stretch>;
	/** Of everything, once the last stretch has been read. Throws where a file has changed meanwhile, or is cut off. */
	sha1(): Promise<string>;
	close(): Promise<void>;
}

/** Bytes of a pipe that were let go of because the server had them. */
export class GoneError extends MirrorError {
	override readonly code = 'GONE';
}

/** Looks at a pipe's bytes as they pass; `end` throws where they cannot be whole. */
export interface Inspector {
	feed(bytes: Buffer): Promise<void>;
	end(): Promise<void>;
}

const stretchBytes = 16 * 1024 * 1024;
const pieceBytes = 256 * 1024;

export class FileBytes implements UploadBytes {
	readonly rereadable = true;
	readonly size: number;
	readonly mtimeMs: number;
	readonly #path: string;
	readonly #handle: FileHandle;
	readonly #inspector: Inspector | undefined;
	readonly #hash = createHash('sha1');
	#hashed = 0;

	private constructor(
		path: string,
		handle: FileHandle,
		{size, mtimeMs, inspector}: {size: number; mtimeMs: number; inspector: Inspector | undefined},
	) {
		this.#path = path;
		this.#inspector = inspector;
		this.#handle = handle;
		this.size = size;
		this.mtimeMs = mtimeMs;
	}

	/** Throws MirrorError where it is no file that can be read, or has nothing in it. */
	static async open(path: string, {inspector}: {inspector?: Inspector | undefined} = {}): Promise<FileBytes> {
		const handle = await open(path, 'r').catch((error: unknown) => {
			throw new MirrorError(`${path} cannot be read: ${describe(error)}`, {cause: error});
		});
		const found = await handle.stat();
		if (found.isFile() && found.size > 0) {
			return new FileBytes(path, handle, {size: found.size, mtimeMs: found.mtimeMs, inspector});
		}
		await handle.close();
		throw new MirrorError(found.isFile() ? `${path} is empty` : `${path} is no file`);
	}

	async first(): Promise<Buffer> {
		const bytes = Buffer.alloc(16);
		const {bytesRead} = await this.#handle.read(bytes, 0, bytes.length, 0);
		return bytes.subarray(0, bytesRead);
	}

	has(): boolean {
		return true;
	}

	async stretch(offset: number): Promise<Stretch> {
		const end = Math.min(this.size, offset + stretchBytes);
		// What an earlier run has sent.
		await this.#hashUpTo(Math.min(offset, this.size));
		return {length: end - offset, pieces: this.#pieces(offset, end), last: end === this.size};
	}

	async sha1(): Promise<string> {
		// A server may have had the last bytes from an earlier run.
		await this.#hashUpTo(this.size);
		const {size, mtimeMs} = await this.#handle.stat();
		if (size !== this.size || mtimeMs !== this.mtimeMs) {
			throw this.#changed();
		}
		await this.#inspector?.end();
		return this.#hash.copy().digest('hex');
	}

	close(): Promise<void> {
		return this.#handle.close();
	}

	async #hashUpTo(end: number): Promise<void> {
		const pieces = this.#pieces(this.#hashed, end);
		while ((await pieces.next()).done !== true) {
			// Hashed as it is read.
		}
	}

	async *#pieces(from: number, end: number): AsyncGenerator<Buffer, void, undefined> {
		for (let at = from; at < end;) {
			// A buffer of its own for each: the network may hold it for a while.
			const piece = Buffer.allocUnsafe(Math.min(pieceBytes, end - at));
			const {bytesRead} = await this.#handle.read(piece, 0, piece.length, at);
			if (bytesRead === 0) {
				throw this.#changed();
			}
			const bytes = piece.subarray(0, bytesRead);
			await this.#hashFrom(at, bytes);
			at += bytesRead;
			yield bytes;
		}
	}

	/** Bytes that are sent again have been hashed already. */
	async #hashFrom(at: number, bytes: Buffer): Promise<void> {
		const surplus = this.#hashed - at;
		if (surplus >= 0 && surplus < bytes.length) {
			const fresh = bytes.subarray(surplus);
			this.#hash.update(fresh);
			this.#hashed = at + bytes.length;
			await this.#inspector?.feed(fresh);
		}
	}

	#changed(): MirrorError {
		return new MirrorError(`${this.#path} was changed while it was read`);
	}
}

interface Filled {
	readonly buffers: readonly Buffer[];
	readonly length: number;
	readonly last: boolean;
}

/** Keeps the stretch that is being sent, and reads the next one meanwhile. */
export class PipeBytes implements UploadBytes {
	readonly rereadable = false;
	readonly #iterator: AsyncIterator<unknown>;
	readonly #inspector: Inspector | undefined;
	readonly #stretchBytes: number;
	readonly #hash: Hash = createHash('sha1');
	#peeked: Buffer | undefined;
	#start = 0;
	#held: Filled = {buffers: [], length: 0, last: false};
	#next: Promise<Filled> | undefined;
	#size: number | undefined;

	constructor(input: Input, options: {inspector?: Inspector | undefined; stretchBytes?: number} = {}) {
		this.#iterator = input[Symbol.asyncIterator]();
		this.#inspector = options.inspector;
		this.#stretchBytes = options.stretchBytes ?? stretchBytes;
	}

	get size(): number | undefined {
		return this.#size;
	}

	/** Throws MirrorError where nothing comes. */
	async first(): Promise<Buffer> {
		const {buffers, length} = await this.#peekNext();
		if (length === 0) {
			throw new MirrorError(
				'nothing came in through the pipe, so nothing was published: did the command before it fail? ' +
					'("set -o pipefail" makes a shell tell)',
			);
		}
		return Buffer.concat(buffers, Math.min(length, 16));
	}

	has(offset: number): boolean {
		return offset >= this.#start && offset <= this.#start + this.#held.length;
	}

	async stretch(offset: number): Promise<Stretch> {
		const end = this.#start + this.#held.length;
		if (offset === end && !this.#held.last) {
			const next = await this.#peekNext();
			this.#next = undefined;
			this.#start = end;
			this.#held = next;
			if (next.last) {
				this.#size = end + next.length;
			} else {
				// Whoever wrote it should not have to wait for the network. A failure shows when it is asked for.
				this.#peekNext().catch(() => undefined);
			}
			return {length: next.length, pieces: next.buffers, last: next.last};
		}
		if (!this.has(offset)) {
			throw new GoneError('a pipe cannot be read twice');
		}
		return {
			length: end - offset,
			pieces: withoutFirst(this.#held.buffers, offset - this.#start),
			last: this.#held.last,
		};
	}

	async sha1(): Promise<string> {
		return Promise.resolve(this.#hash.copy().digest('hex'));
	}

	async close(): Promise<void> {
		// Not waited for: whoever writes may never end.
		void this.#iterator.return?.().catch(() => undefined);
		return Promise.resolve();
	}

	#peekNext(): Promise<Filled> {
		return (this.#next ??= this.#fill());
	}

	async #fill(): Promise<Filled> {
		const buffers: Buffer[] = [];
		let length = 0;
		for (;;) {
			const buffer = await this.#read();
			if (buffer === undefined) {
				await this.#inspector?.end();
				return {buffers, length, last: true};
			}
			if (length >= this.#stretchBytes) {
				this.#peeked = buffer;
				return {buffers, length, last: false};
			}
			buffers.push(buffer);
			length += buffer.length;
		}
	}

	async #read(): Promise<Buffer | undefined> {
		if (this.#peeked !== undefined) {
			const peeked = this.#peeked;
			this.#peeked = undefined;
			return peeked;
		}
		let result;
		do {
			result = await this.#iterator.next().catch((error: unknown) => {
				throw new MirrorError(`the pipe cannot be read: ${describe(error)}`, {cause: error});
			});
			if (result.done === true) {
				return undefined;
			}
		} while (asBuffer(result.value).length === 0);
		const bytes = asBuffer(result.value);
		this.#hash.update(bytes);
		await this.#inspector?.feed(bytes);
		return bytes;
	}
}

function asBuffer(chunk: unknown): Buffer {
	if (Buffer.isBuffer(chunk)) {
		return chunk;
	}
	return chunk instanceof Uint8Array ? Buffer.from(chunk) : Buffer.from(String(chunk));
}

function* withoutFirst(buffers: readonly Buffer[], count: number): Generator<Buffer, void, undefined> {
	let surplus = count;
	for (const buffer of buffers) {
		if (surplus < buffer.length) {
			yield buffer.subarray(surplus);
		}
		surplus = Math.max(0, surplus - buffer.length);
	}
}
