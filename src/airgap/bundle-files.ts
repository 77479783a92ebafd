/**
 * The files of a bundle, whatever it lies in: a folder, a tar, a stream.
 *
 * `openBundle` finds out which, import and check read through it. Nothing here is believed yet: what a blob's bytes
 * are, only `readVerified` and `hashed` tell.
 */
import {createHash} from 'node:crypto';
import {IntegrityError} from '../errors.js';
import {isObject} from '../image/json-text.js';

export interface BundleFiles {
	/** As messages name it: what was typed, or `stdin`. */
	readonly name: string;
	/** Of a `stream`, each blob can be had but once, and best in the order of the index. */
	readonly form: 'folder' | 'tar' | 'stream';
	/** index.json. Throws IntegrityError where there is none. */
	index(): Promise<Buffer>;
	/** index.json.sig. Ask after `index`. */
	signature(): Promise<Buffer | undefined>;
	/**
	 * `undefined`: surely not in the bundle. Throws IntegrityError for what lies there and is no plain file, NoSpaceError
	 * where a stream brought it too early and there was no room to keep it.
	 *
	 * Of a stream, an image's OCI manifest is asked for before its other blobs, or these may seem to be missing. Small
	 * blobs are in memory then and can be read at any time; a large one is read before the next is asked for, which waits
	 * until its reader has come to the end or given up. With `again`, for an icon that images share, it can be asked for
	 * several times.
	 */
	blob(digest: string, options?: {readonly again?: boolean}): Promise<BundleBlob | undefined>;
	/** Nobody will ask for these (any more): a stream passes over them, and frees the room where they were kept. */
	drop(digests: Iterable<string>): Promise<void>;
	/** What else was found and passed over, in words; grows while reading. */
	readonly odd: readonly string[];
	close(): Promise<void>;
}

export interface BundleBlob {
	readonly size: number;
	/** Does not verify. Throws IntegrityError where the bundle is cut. */
	read(start?: number): AsyncIterable<Buffer>;
}

/** What an index or a manifest says that a blob is. */
export interface Expected {
	/** `sha256:…`. */
	readonly digest: string;
	readonly size: number;
}

export const maxSignatureBytes = 64 * 1024;
export const maxLayoutBytes = 64 * 1024;

/** All of a small blob, once it is right. Throws IntegrityError. */
export async function readVerified(blob: BundleBlob, expected: Expected, maxBytes: number): Promise<Buffer> {
	if (expected.size > maxBytes) {
		throw new IntegrityError(`${short(expected.digest)} has ${expected.size} bytes, more than the ${maxBytes} allowed`);
	}
	const chunks: Buffer[] = [];
	for await (const chunk of hashed(blob, expected)) {
		chunks.push(chunk);
	}
	return Buffer.concat(chunks);
}

/**
 * The blob's bytes as they come. Throws IntegrityError where they are not what they should be: before the last of them
 * has gone out, so that whoever waits for all of them never has them all.
 */
export async function* hashed(blob: BundleBlob, expected: Expected): AsyncGenerator<Buffer, void, undefined> {
	const {digest, size} = expected;
	if (blob.size !== size) {
		throw new IntegrityError(`${short(digest)} has ${blob.size} bytes instead of ${size}`);
	}
	const hash = createHash('sha256');
	let read = 0;
	let last: Buffer | undefined;
	for await (const chunk of blob.read()) {
		if (chunk.length === 0) {
			continue;
		}
		if (last !== undefined) {
			yield last;
		}
		read += chunk.length;
		if (read > size) {
			throw new IntegrityError(`${short(digest)} has more than its ${size} bytes`);
		}
		hash.update(chunk);
		last = chunk;
	}
	if (read !== size) {
		throw new IntegrityError(`${short(digest)} ends after ${read} of ${size} bytes`);
	}
	if (`sha256:${hash.digest('hex')}` !== digest) {
		throw new IntegrityError(`${short(digest)} is damaged: its bytes have another digest`);
	}
	if (last !== undefined) {
		yield last;
	}
}

/** Bytes that are in memory, as a blob. */
export function blobOf(bytes: Buffer): BundleBlob {
	return {
		size: bytes.length,
		async *read(start = 0) {
			if (start < bytes.length) {
				yield bytes.subarray(start);
			}
		},
	};
}

/** A digest as messages show it: enough of it to find the file. */
export function short(digest: string): string {
	return `blob ${digest.slice(0, 'sha256:'.length + 12)}…`;
}

/** Throws IntegrityError for what is not an OCI image layout that can be read here. */
export function checkLayout(bytes: Buffer): void {
	let layout: unknown;
	try {
		layout = JSON.parse(bytes.toString('utf8'));
	} catch (cause) {
		throw new IntegrityError('the file oci-layout is no JSON', {cause});
	}
	const version = isObject(layout) ? layout['imageLayoutVersion'] : undefined;
	if (typeof version !== 'string' || !/^1\.\d/.test(version)) {
		throw new IntegrityError('the file oci-layout is of no version 1.x, and only that can be read here');
	}
}
