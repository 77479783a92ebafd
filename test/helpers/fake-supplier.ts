/**
 * Suppliers for tests of transfers: bytes from memory, with a script of what goes wrong.
 *
 * Each `open` takes the next step of the script; after the script's end the supplier behaves. Nothing here uses a
 * socket: what real servers do is tested in `test/sources` and `test/whole`.
 */
import {EventEmitter, once} from 'node:events';
import {Readable} from 'node:stream';
import {NotFoundError, SourceUnavailableError} from '../../src/errors.js';
import type {Supplier, SupplierBody} from '../../src/blobs/supply.js';

export interface Step {
	/** `open` throws this. */
	readonly refuse?: Error;
	/** The stream breaks when the file's byte with this number is due. */
	readonly cutAt?: number;
	/** The stream ends, without an error, when the file's byte with this number is due. */
	readonly endAt?: number;
	/** The stream stops there until `release` is called. */
	readonly holdAt?: number;
	readonly ignoreRange?: boolean;
	/** Other bytes than the right ones. */
	readonly bytes?: Buffer;
	readonly size?: number | undefined;
	readonly etag?: string;
	readonly contentMd5?: string;
	/** Begins further on than was asked for. */
	readonly leap?: number;
}

export class FakeSupplier implements Supplier {
	readonly name: string;
	doubtful = false;
	downSinceMs: number | undefined;
	/** The offsets that were asked for. */
	readonly opened: number[] = [];
	readonly ifRange: (string | undefined)[] = [];
	readonly marks: string[] = [];
	readonly #bytes: Buffer;
	readonly #script: Step[];
	readonly #events = new EventEmitter();
	#released = false;
	#reached = 0;

	constructor(name: string, bytes: Buffer, script: readonly Step[] = []) {
		this.name = name;
		this.#bytes = bytes;
		this.#script = [...script];
	}

	async open(at: {readonly offset: number; readonly etag?: string}): Promise<SupplierBody> {
		const step = this.#script.shift() ?? {};
		this.opened.push(at.offset);
		this.ifRange.push(at.etag);
		if (step.refuse !== undefined) {
			throw step.refuse;
		}
		const offset = step.ignoreRange ? 0 : at.offset + (step.leap ?? 0);
		return {
			stream: Readable.from(this.#chunks(offset, step), {objectMode: false}),
			offset,
			size: 'size' in step ? step.size : this.#bytes.length,
			etag: step.etag,
			contentMd5: step.contentMd5,
		};
	}

	mark(problem: string): void {
		this.marks.push(problem);
	}

	/** Resolves once the stream has given out `bytes` bytes of the file. */
	async reached(bytes: number): Promise<void> {
		while (this.#reached < bytes) {
			await once(this.#events, 'progress');
		}
	}

	release(): void {
		this.#released = true;
		this.#events.emit('release');
	}

	async *#chunks(offset: number, step: Step): AsyncGenerator<Buffer> {
		const bytes = step.bytes ?? this.#bytes;
		let position = offset;
		while (position < bytes.length) {
			if (step.holdAt !== undefined && position >= step.holdAt && !this.#released) {
				await once(this.#events, 'release');
			}
			if (step.cutAt !== undefined && position >= step.cutAt) {
				throw new SourceUnavailableError(this.name, 'cut off');
			}
			if (step.endAt !== undefined && position >= step.endAt) {
				return;
			}
			const stops = [step.holdAt, step.cutAt, step.endAt].filter(
				stop => stop !== undefined && stop > position,
			) as number[];
			const end = Math.min(position + 16_384, bytes.length, ...stops);
			yield bytes.subarray(position, end);
			position = end;
			this.#reached = Math.max(this.#reached, position);
			this.#events.emit('progress');
		}
	}
}

export const refused = (name: string): Step => ({refuse: new SourceUnavailableError(name, 'connection refused')});
export const absent: Step = {refuse: new NotFoundError('not there')};
