/**
 * What is known of a blob, and the `.info` beside it that tells it to the next process.
 *
 * The store writes and reads them; a blob that is not as its info tells is not served. Nothing else about blobs is
 * decided here.
 */
import {readFile, stat} from 'node:fs/promises';
import {describe} from '../errors.js';
import type {Logger} from '../host.js';
import type {Sha1} from '../image/manifest.js';
import {writeWhole, type Layout} from './layout.js';

export interface BlobInfo {
	readonly sha1: Sha1;
	readonly sha256: string;
	/** Hexadecimal. Computed some time after the blob was stored, where nobody gave it. */
	readonly md5: string | undefined;
	/** Base64, as the source said it and nobody checked. For the time until `md5` is known. */
	readonly toldMd5: string | undefined;
	readonly size: number;
	readonly storedAtMs: number;
	/** When the file was last written to, by the file system's clock. At any other time somebody else wrote to it. */
	readonly changedAtMs: number | undefined;
	/** The source that supplied it. */
	readonly source: string;
}

export function isAsStored(info: BlobInfo, found: {readonly size: number; readonly mtimeMs: number}): boolean {
	return found.size === info.size && (info.changedAtMs === undefined || Math.trunc(found.mtimeMs) === info.changedAtMs);
}

/** For `BlobInfo.changedAtMs`. */
export function changedAtOf(found: {readonly mtimeMs: number}): number {
	return Math.trunc(found.mtimeMs);
}

/** `undefined`: there is none, or the blob is not as it tells. Either is reported. */
export async function readInfo(layout: Layout, sha1: Sha1, log: Logger): Promise<BlobInfo | undefined> {
	try {
		const {size} = await stat(layout.blob(sha1));
		const info = JSON.parse(await readFile(layout.info(sha1), 'utf8')) as BlobInfo & {storedAt: string};
		if (info.size !== size || info.sha1 !== sha1) {
			log.error({sha1, size, expected: info.size}, 'a stored file is not as it was stored; it will be verified again');
			return undefined;
		}
		const {sha256, md5, toldMd5, changedAtMs, source} = info;
		return {sha1, sha256, md5, toldMd5, changedAtMs, size, storedAtMs: Date.parse(info.storedAt) || 0, source};
	} catch (error) {
		log.warn({sha1, problem: describe(error)}, 'a stored file has no readable info; it will be verified again');
		return undefined;
	}
}

export async function writeInfo(layout: Layout, info: BlobInfo): Promise<void> {
	const {storedAtMs, ...rest} = info;
	const content = JSON.stringify({...rest, storedAt: new Date(storedAtMs).toISOString()}, null, 2);
	await writeWhole(layout.info(info.sha1), `${content}\n`);
}
