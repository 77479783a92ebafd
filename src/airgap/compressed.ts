/**
 * A stream that may be compressed, as what it was before: by its first bytes, not by anybody's word for it.
 *
 * Nothing is held but the piece at hand: however much comes out of a few bytes, it comes only as fast as it is asked
 * for. What the bytes are (a tar, one hopes) is the reader's business.
 */
import {createGunzip} from 'node:zlib';
import {IntegrityError} from '../errors.js';
import {magicBytes, magicOf, type Magic} from '../image/magic.js';
import {through} from './through.js';
import {ownZstdWays, unzstd, type ZstdWays} from './zstd.js';

export type BundleCompression = 'plain' | 'gzip' | 'zstd';

export interface Decompressed {
	readonly stream: AsyncIterable<Buffer>;
	readonly kind: BundleCompression;
}

/** What zlib gives at a time. */
const chunkBytes = 256 * 1024;

/**
 * Reads as much of `source` as tells what it is. `stream` must be read, or at least begun, for the source to be let
 * go of. It throws IntegrityError where the data is damaged or cut off, what the source throws, and the reason of
 * `signal`.
 */
export async function decompressed(
	source: AsyncIterable<Buffer>,
	signal: AbortSignal,
	{zstd = ownZstdWays()}: {readonly zstd?: ZstdWays} = {},
): Promise<Decompressed> {
	const rest = source[Symbol.asyncIterator]();
	let first: Buffer;
	let kind: BundleCompression;
	try {
		first = await beginning(rest);
		kind = compressionOf(first);
	} catch (error) {
		await rest.return?.();
		throw error;
	}
	const whole = joined(first, rest);
	switch (kind) {
		case 'plain':
			return {kind, stream: whole};
		case 'gzip':
			return {kind, stream: gunzipped(whole, signal)};
		case 'zstd':
			return {kind, stream: unzstd(whole, signal, zstd)};
	}
}

/** How a tar that begins so is packed; `magicBytes` tell. Throws IntegrityError for what we cannot unpack. */
export function compressionOf(first: Buffer): BundleCompression {
	// A zstd file may begin with what its readers pass over.
	if (first.length >= 4 && first.readUInt32LE(0) >>> 4 === 0x184d2a5) {
		return 'zstd';
	}
	const magic = magicOf(first);
	if (magic === undefined) {
		return 'plain';
	}
	if (magic === 'gzip' || magic === 'zstd') {
		return magic;
	}
	throw new IntegrityError(`this is ${words[magic]}`);
}

const words: Readonly<Record<Exclude<Magic, 'gzip' | 'zstd'>, string>> = {
	xz: 'compressed by xz: unpack it first',
	bzip2: 'compressed by bzip2: unpack it first',
	lz4: 'compressed by lz4: unpack it first',
	zip: 'a zip archive: unpack it first',
	zfs: 'a zfs stream, not a tar',
};

/** Pipes may bring a byte at a time. */
async function beginning(source: AsyncIterator<Buffer>): Promise<Buffer> {
	let first: Buffer = Buffer.alloc(0);
	while (first.length < magicBytes) {
		const next = await source.next();
		if (next.done === true) {
			break;
		}
		first = first.length === 0 ? next.value : Buffer.concat([first, next.value]);
	}
	return first;
}

async function* joined(first: Buffer, rest: AsyncIterator<Buffer>): AsyncGenerator<Buffer, void, undefined> {
	let isDone = false;
	try {
		yield first;
		for (;;) {
			const next = await rest.next();
			if (next.done === true) {
				isDone = true;
				return;
			}
			yield next.value;
		}
	} finally {
		if (!isDone) {
			await rest.return?.();
		}
	}
}

/** Files one after another are one file; zeros behind them, as a tape leaves them, are nobody's. */
async function* gunzipped(source: AsyncIterable<Buffer>, signal: AbortSignal): AsyncGenerator<Buffer, void, undefined> {
	const gunzip = createGunzip({chunkSize: chunkBytes});
	try {
		yield* through(source, {into: gunzip, from: gunzip}, signal);
	} catch (error) {
		if (!(error instanceof Error) || !('code' in error) || !String(error.code).startsWith('Z_')) {
			throw error;
		}
		const problem = error.code === 'Z_BUF_ERROR' ? 'is cut off' : `is damaged (${error.message})`;
		throw new IntegrityError(`the gzip data ${problem}`, {cause: error});
	}
}
