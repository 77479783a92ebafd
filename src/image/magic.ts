/**
 * What a file is, by its first bytes.
 *
 * Uploads are compared with what their senders declare, pipes are told by it what they carry. Of bytes without a known
 * beginning nothing is said: tests and other tools upload whatever they like.
 */
import type {Compression} from './manifest.js';

/** `zfs`: a zfs send stream that is not compressed. */
export type Magic = 'gzip' | 'bzip2' | 'xz' | 'zstd' | 'zip' | 'lz4' | 'zfs';

/** This many bytes are enough to tell. */
export const magicBytes = 16;

const beginnings: readonly (readonly [Magic, string])[] = [
	['gzip', '1f8b'],
	['xz', 'fd377a585a00'],
	['zstd', '28b52ffd'],
	['zip', '504b0304'],
	['zip', '504b0506'],
	['lz4', '04224d18'],
];

/** A stream begins with a record of type 0, whose length may be anything; then this number, in either byte order. */
const zfsMagics: ReadonlySet<string> = new Set(['accbbaf502000000', '00000002f5bacbac']);

const words: Readonly<Record<Magic, string>> = {
	gzip: 'gzip',
	bzip2: 'bzip2',
	xz: 'xz',
	zstd: 'zstd',
	zip: 'a zip archive',
	lz4: 'lz4',
	zfs: 'a zfs stream without compression',
};

/** `undefined`: none that we know. */
export function magicOf(first: Uint8Array): Magic | undefined {
	const hex = Buffer.from(first.subarray(0, magicBytes)).toString('hex');
	const known = beginnings.find(([, beginning]) => hex.startsWith(beginning));
	if (known !== undefined) {
		return known[0];
	}
	// "BZh", the size of its blocks, and pi for a block or its root for the end.
	if (/^425a683[1-9](?:314159265359|177245385090)/u.test(hex)) {
		return 'bzip2';
	}
	return hex.startsWith('00000000') && zfsMagics.has(hex.slice(16, 32)) ? 'zfs' : undefined;
}

/** What to declare for a file that begins so. `undefined`: hosts cannot unpack it. */
export function compressionOfMagic(magic: Magic | undefined): Compression | undefined {
	switch (magic) {
		case 'gzip':
		case 'bzip2':
		case 'xz':
			return magic;
		case 'zfs':
		case undefined:
			return 'none';
		case 'zstd':
		case 'zip':
		case 'lz4':
			return undefined;
	}
}

/**
 * Why a declared compression cannot be right, in words for its sender; `undefined`: nothing speaks against it. `type`
 * is the image's: one of type `other` may be any file, as it is.
 */
export function contradiction(declared: Compression, first: Uint8Array, type?: string): string | undefined {
	const magic = magicOf(first);
	if (magic === undefined || magic === declared) {
		return undefined;
	}
	if (declared !== 'none') {
		return `the file is ${words[magic]}, not ${declared} as declared`;
	}
	return magic === 'zfs' || type === 'other' ? undefined : `the file is ${words[magic]}, not uncompressed as declared`;
}
