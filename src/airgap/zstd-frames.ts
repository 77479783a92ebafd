/**
 * The outer form of zstd data: frames of blocks (RFC 8878, section 3.1).
 *
 * Whoever decompresses gets the pieces from here, whole and of a size that can be borne: decoders differ in what they
 * make of frames in a row, of the end of the data in the middle of one, and of a window of terabytes.
 */
import {IntegrityError} from '../errors.js';
import {StreamInput} from './tar-input.js';

export interface ZstdPiece {
	/** `begin`: a frame's magic number and header. A block stands with its header. */
	readonly what: 'begin' | 'block' | 'last-block' | 'checksum';
	readonly bytes: Buffer;
	/** It is the last piece of its frame. */
	readonly endsFrame: boolean;
}

/** What `zstd` itself takes without being told to. */
export const largestWindowBytes: number = 128 * 1024 * 1024;
const largestBlockBytes = 128 * 1024;

const magic = 0xfd2fb528;
/** Sixteen of them: four bits are the writer's own. */
const skippable = 0x184d2a5;

/** Frames in their order; those that readers pass over do not come. Throws IntegrityError, and what the source throws. */
export async function* zstdPieces(source: AsyncIterable<Buffer>): AsyncGenerator<ZstdPiece, void, undefined> {
	const input = new Input(source);
	try {
		for (;;) {
			const start = await input.start();
			if (start === undefined) {
				return;
			}
			if (start.readUInt32LE(0) >>> 4 === skippable) {
				await input.skip((await input.take(4)).readUInt32LE(0));
			} else if (start.readUInt32LE(0) === magic) {
				yield* frame(input, start);
			} else {
				throw new IntegrityError('the zstd data is damaged: something else follows a frame of it');
			}
		}
	} finally {
		await input.close();
	}
}

async function* frame(input: Input, start: Buffer): AsyncGenerator<ZstdPiece, void, undefined> {
	const descriptor = await input.take(1);
	const flags = descriptor.readUInt8(0);
	const isSingleSegment = (flags & 0x20) !== 0;
	const sizeBytes = [isSingleSegment ? 1 : 0, 2, 4, 8][flags >> 6] ?? 0;
	if ((flags & 0x08) !== 0) {
		throw new IntegrityError('the zstd data is of a kind that is not known here');
	}
	if ((flags & 0x03) !== 0) {
		throw new IntegrityError('the zstd data needs a dictionary, which did not come with it');
	}
	const rest = await input.take((isSingleSegment ? 0 : 1) + sizeBytes);
	const window = isSingleSegment ? contentSize(rest) : windowSize(rest.readUInt8(0));
	if (window > largestWindowBytes) {
		throw new IntegrityError(
			`the zstd data needs a window of ${Math.ceil(window / 1024 / 1024)} MiB: compress it without "--long", ` +
				`or with "--long=27" at most`,
		);
	}
	yield {what: 'begin', bytes: Buffer.concat([start, descriptor, rest]), endsFrame: false};
	const hasChecksum = (flags & 0x04) !== 0;
	for (let isLast = false; !isLast;) {
		const header = await input.take(3);
		const word = header.readUIntLE(0, 3);
		const type = (word >> 1) & 3;
		const size = word >> 3;
		isLast = (word & 1) !== 0;
		if (type === 3 || size > Math.min(window, largestBlockBytes)) {
			throw new IntegrityError('the zstd data is damaged: a block in it cannot be one');
		}
		// The second type is one byte, and how often it comes.
		const bytes = Buffer.concat([header, await input.take(type === 1 ? 1 : size)]);
		yield {what: isLast ? 'last-block' : 'block', bytes, endsFrame: isLast && !hasChecksum};
	}
	if (hasChecksum) {
		yield {what: 'checksum', bytes: await input.take(4), endsFrame: true};
	}
}

/** How far back in what was decompressed a frame refers: a power of two, and eighths of it on top. */
function windowSize(descriptor: number): number {
	const base = 2 ** (10 + (descriptor >> 3));
	return base + (base / 8) * (descriptor & 7);
}

/** As far as a frame in one segment goes, which says no other window. */
function contentSize(field: Buffer): number {
	switch (field.length) {
		case 1:
			return field.readUInt8(0);
		case 2:
			return field.readUInt16LE(0) + 256;
		case 4:
			return field.readUInt32LE(0);
		default:
			return Number(field.readBigUInt64LE(0));
	}
}

/** Where the data must go on. */
class Input {
	readonly #input: StreamInput;

	constructor(source: AsyncIterable<Buffer>) {
		this.#input = new StreamInput(source);
	}

	/** The first four bytes of a frame. `undefined`: there is none any more. */
	async start(): Promise<Buffer | undefined> {
		const bytes = await this.#input.take(4);
		return bytes.length === 0 ? undefined : this.#whole(bytes, 4);
	}

	async take(count: number): Promise<Buffer> {
		return this.#whole(await this.#input.take(count), count);
	}

	async skip(count: number): Promise<void> {
		if (!(await this.#input.skip(count))) {
			this.#whole(Buffer.alloc(0), count);
		}
	}

	close(): Promise<void> {
		return this.#input.close();
	}

	#whole(bytes: Buffer, count: number): Buffer {
		if (bytes.length < count) {
			throw new IntegrityError('the zstd data is cut off');
		}
		return bytes;
	}
}
