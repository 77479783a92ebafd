/**
 * Tars made by hand, block by block, with whatever should not be in them; and what our readers make of them.
 */
import type {TarOptions} from '../../src/airgap/tar-members.js';
import {readTar} from '../../src/airgap/tar-read.js';
import {asError} from '../../src/errors.js';

export interface RawHeader {
	readonly name?: string | Buffer;
	readonly type?: string;
	readonly size?: number | Buffer | string;
	readonly magic?: 'ustar' | 'gnu' | 'v7';
	readonly prefix?: string;
	readonly checksum?: 'right' | 'wrong' | 'signed';
	/** Bytes set after all the rest, before the checksum. */
	readonly patch?: Readonly<Record<number, number>>;
}

export function rawHeader({
	name = 'file',
	type = '0',
	size = 0,
	magic = 'ustar',
	prefix = '',
	checksum = 'right',
	patch = {},
}: RawHeader): Buffer {
	const block = Buffer.alloc(512);
	Buffer.from(name).copy(block, 0, 0, 100);
	block.write('0000644\u00000000000\u00000000000\0', 100, 'latin1');
	if (typeof size === 'number') {
		block.write(`${size.toString(8).padStart(11, '0')}\0`, 124, 'latin1');
	} else {
		Buffer.from(size).copy(block, 124, 0, 12);
	}
	block.write('00000000000\0', 136, 'latin1');
	block.write(type, 156, 'latin1');
	block.write({ustar: 'ustar\u000000', gnu: 'ustar  \0', v7: ''}[magic], 257, 'latin1');
	block.write(prefix, 345, 'latin1');
	for (const [offset, byte] of Object.entries(patch)) {
		block[Number(offset)] = byte;
	}
	block.write('        ', 148, 'latin1');
	const signed = checksum === 'signed';
	const sum = block.reduce((total, byte) => total + (signed && byte > 127 ? byte - 256 : byte), 0);
	block.write(`${(checksum === 'wrong' ? sum + 1 : sum).toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
	return block;
}

/** Twelve bytes as GNU writes large sizes. */
export function base256(value: bigint): Buffer {
	const field = Buffer.from(BigInt.asUintN(96, value).toString(16).padStart(24, '0'), 'hex');
	field[0] = value < 0n ? 0xff : (field[0] ?? 0) | 0x80;
	return field;
}

export function padded(bytes: Buffer | string): Buffer {
	const body = Buffer.from(bytes);
	return Buffer.concat([body, Buffer.alloc((512 - (body.length % 512)) % 512)]);
}

export function rawFile(name: string, body: Buffer | string, header: RawHeader = {}): Buffer {
	return Buffer.concat([rawHeader({name, size: Buffer.byteLength(body), ...header}), padded(body)]);
}

export function paxRecord(key: string, value: string): string {
	const rest = Buffer.byteLength(` ${key}=${value}\n`);
	let length = rest + 1;
	while (String(length).length + rest !== length) {
		length = String(length).length + rest;
	}
	return `${length} ${key}=${value}\n`;
}

export function pax(records: Readonly<Record<string, string>>, type = 'x'): Buffer {
	const text = Object.entries(records).map(([key, value]) => paxRecord(key, value));
	return rawFile('PaxHeaders/0', text.join(''), {type});
}

export const rawEnd: Buffer = Buffer.alloc(1024);

/** A stream of pieces of that size, and whether it was let go of. */
export class Pieces implements AsyncIterable<Buffer> {
	readonly #bytes: Buffer;
	readonly #size: number;
	readonly #failure: Error | undefined;
	given = 0;
	isClosed = false;

	constructor(bytes: Buffer, size = 4096, failure?: Error) {
		this.#bytes = bytes;
		this.#size = size;
		this.#failure = failure;
	}

	async *[Symbol.asyncIterator](): AsyncGenerator<Buffer, void, undefined> {
		try {
			while (this.given < this.#bytes.length) {
				const piece = this.#bytes.subarray(this.given, this.given + this.#size);
				this.given += piece.length;
				yield piece;
			}
			if (this.#failure !== undefined) {
				throw this.#failure;
			}
		} finally {
			this.isClosed = true;
		}
	}
}

export async function collect(source: AsyncIterable<Buffer>): Promise<Buffer> {
	const pieces: Buffer[] = [];
	for await (const piece of source) {
		pieces.push(piece);
	}
	return Buffer.concat(pieces);
}

export interface Read {
	/** Whole entries. */
	readonly entries: readonly (readonly [string, string])[];
	/** What there was of the one that was cut off. */
	readonly part: readonly [string, string] | undefined;
	readonly odd: readonly string[];
	readonly error: Error | undefined;
}

/** Reads to the end, or to what is wrong. Bodies are latin1. */
export async function readWhole(source: Buffer | AsyncIterable<Buffer>, options: TarOptions = {}): Promise<Read> {
	const entries: [string, string][] = [];
	const odd: string[] = [];
	let part: [string, string] | undefined;
	try {
		const stream = Buffer.isBuffer(source) ? new Pieces(source) : source;
		for await (const {path, size, body} of readTar(stream, {onOdd: problem => odd.push(problem), ...options})) {
			part = [path, ''];
			for await (const piece of body) {
				part[1] += piece.toString('latin1');
			}
			if (part[1].length !== size) {
				throw new Error(`${path}: ${part[1].length} of ${size} bytes, and no word about it`);
			}
			entries.push(part);
			part = undefined;
		}
		return {entries, part, odd, error: undefined};
	} catch (error) {
		return {entries, part, odd, error: asError(error)};
	}
}
