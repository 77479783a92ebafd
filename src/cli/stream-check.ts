/**
 * Whether what is to be published is whole, as far as its bytes can tell.
 *
 * A pipe ends in the same way whether its writer was done or died: `zfs send | gzip | ssh` hands on half an image
 * without a word when the first of them fails or the last one's line is cut. But a gzip file says where it ends, and so
 * does a zfs stream: its last record is an end record.
 */
import {once} from 'node:events';
import {createGunzip, type Gunzip} from 'node:zlib';
import {MirrorError} from '../errors.js';
import type {Inspector} from './upload-bytes.js';

/** The size of a record's header in a zfs stream. */
const recordBytes = 312;
const beginMagic = 0x2f5bacbacn;
/** Of a record's type, `drr_type`. */
const endType = 5;

/** The bytes are not all there. Nothing must be made of them. */
export class CutStreamError extends MirrorError {
	override readonly code = 'CUT_STREAM';
}

export class StreamCheck implements Inspector {
	#start = Buffer.alloc(0);
	#unzip: Unzip | undefined;
	#plain: RecordCheck | undefined;

	async feed(bytes: Buffer): Promise<void> {
		if (this.#plain !== undefined || this.#unzip !== undefined) {
			this.#plain?.feed(bytes);
			await this.#unzip?.feed(bytes);
			return;
		}
		// Pipes may bring a byte at a time.
		this.#start = Buffer.concat([this.#start, bytes]);
		if (this.#start.length >= 2) {
			this.#plain = new RecordCheck();
			this.#unzip = this.#start.readUInt16BE(0) === 0x1f8b ? new Unzip() : undefined;
			const start = this.#start;
			this.#start = Buffer.alloc(0);
			await this.feed(start);
		}
	}

	/** Throws CutStreamError. */
	async end(): Promise<void> {
		if (this.#unzip !== undefined) {
			await this.#unzip.end();
		} else {
			this.#plain?.end();
		}
	}
}

/** What is compressed, looked at as it is unpacked, and not kept. */
class Unzip {
	readonly #gunzip: Gunzip = createGunzip();
	readonly #records = new RecordCheck();
	#length = 0;
	#failure: Error | undefined;
	#isEnded = false;

	constructor() {
		this.#gunzip.on('data', (chunk: Buffer) => {
			this.#length += chunk.length;
			this.#records.feed(chunk);
		});
		this.#gunzip.on('error', error => {
			this.#failure = error;
		});
		// What follows the last gzip file in there (zeros from a tape, say) is not looked at, and never drained.
		this.#gunzip.on('end', () => {
			this.#isEnded = true;
		});
	}

	async feed(bytes: Buffer): Promise<void> {
		if (this.#failure === undefined && !this.#isEnded && !this.#gunzip.write(bytes)) {
			await this.#event('drain');
		}
	}

	async end(): Promise<void> {
		this.#gunzip.end();
		await this.#event('end');
		if (this.#failure !== undefined) {
			throw new CutStreamError(
				`this is no whole gzip file (${this.#failure.message}): did the command that made it fail?`,
				{cause: this.#failure},
			);
		}
		if (this.#length === 0) {
			throw new CutStreamError(
				'this is the gzip file of nothing: did the command before gzip fail? ' +
					'("set -o pipefail" makes a shell tell)',
			);
		}
		this.#records.end();
	}

	/** Resolves at the end, and for a failure, as well. */
	async #event(name: string): Promise<void> {
		if (this.#failure !== undefined || this.#isEnded) {
			return;
		}
		const over = new AbortController();
		try {
			await Promise.race([name, 'end'].map(event => once(this.#gunzip, event, {signal: over.signal})));
		} catch {
			// A failure is kept by the listener above.
		} finally {
			over.abort();
		}
	}
}

/** The first and the last record of a zfs stream. Knows nothing of anything else. */
class RecordCheck {
	#first = Buffer.alloc(0);
	#last = Buffer.alloc(0);

	feed(bytes: Buffer): void {
		if (this.#first.length < 16) {
			this.#first = Buffer.concat([this.#first, bytes.subarray(0, 16 - this.#first.length)]);
		}
		const tail = bytes.subarray(-recordBytes);
		const kept = this.#last.subarray(Math.max(0, this.#last.length + tail.length - recordBytes));
		this.#last = Buffer.concat([kept, tail]);
	}

	end(): void {
		if (this.#first.length < 16) {
			return;
		}
		const little = this.#first.readBigUInt64LE(8) === beginMagic;
		if (!little && this.#first.readBigUInt64BE(8) !== beginMagic) {
			return;
		}
		const type = little ? this.#last.readUInt32LE(0) : this.#last.readUInt32BE(0);
		if (this.#last.length < recordBytes || type !== endType) {
			throw new CutStreamError('this zfs stream has no end: did "zfs send" fail, or the line break?');
		}
	}
}
