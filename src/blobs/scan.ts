/**
 * Reads the folder of blobs at the start: which there are, and which manifests lie beside them.
 *
 * The store is told of each. What belongs to no blob, or was left half-written, goes; foreign files are left alone.
 */
import {readdir, rm, stat} from 'node:fs/promises';
import path from 'node:path';
import type {Logger} from '../host.js';
import {isSha1, isUuid, type Sha1} from '../image/manifest.js';
import {readInfo, type BlobInfo} from './blob-info.js';
import type {BareFile} from './known-blobs.js';
import type {Layout} from './layout.js';

const scansAtOnce = 16;

export interface Scan {
	readonly layout: Layout;
	readonly log: Logger;
	readonly onBlob: (info: BlobInfo) => void;
	/** A file where a blob would be that is not known to be right. */
	readonly onBare: (file: BareFile) => void;
	/** A manifest beside the blob that was told of before. */
	readonly onManifest: (
		file: string,
		where: {readonly sha1: Sha1; readonly index: number; readonly source: string},
	) => Promise<void>;
}

export async function scanBlobs(scan: Scan): Promise<void> {
	const folders = (await readdir(scan.layout.blobs)).filter(name => /^[0-9a-f]{2}$/.test(name));
	const left = folders[Symbol.iterator]();
	await Promise.all(
		Array.from({length: scansAtOnce}, async () => {
			for (const folder of left) {
				await scanFolder(scan, path.join(scan.layout.blobs, folder));
			}
		}),
	);
}

async function scanFolder(scan: Scan, folder: string): Promise<void> {
	const names = await readdir(folder);
	const blobs = new Map<string, BlobInfo>();
	for (const name of names.filter(isSha1)) {
		const info = await readInfo(scan.layout, name, scan.log);
		if (info !== undefined) {
			blobs.set(name, info);
			scan.onBlob(info);
			continue;
		}
		const found = await stat(scan.layout.blob(name)).catch(() => undefined);
		if (found?.isFile() === true) {
			scan.onBare({sha1: name, size: found.size, changedAtMs: found.mtimeMs});
		}
	}
	const whole = new Set(names);
	for (const name of names) {
		await scanBeside(scan, path.join(folder, name), {blobs, isThere: sha1 => whole.has(sha1)});
	}
}

async function scanBeside(
	scan: Scan,
	file: string,
	{blobs, isThere}: {blobs: ReadonlyMap<string, BlobInfo>; isThere: (sha1: string) => boolean},
): Promise<void> {
	const name = path.basename(file);
	const [sha1 = '', ...rest] = name.split('.');
	if (!isSha1(sha1) || rest.length === 0) {
		return;
	}
	const info = blobs.get(sha1);
	if (name.endsWith('.new') || (name.endsWith('.info') && info === undefined)) {
		await rm(file, {force: true});
		return;
	}
	const [uuid, index] = rest;
	if (!isUuid(uuid) || !name.endsWith('.json')) {
		return;
	}
	if (info !== undefined) {
		const number = index === 'json' ? 0 : Number(index);
		await scan.onManifest(file, {sha1, index: number, source: info.source});
	} else if (!isThere(sha1)) {
		// A crash came between the blob and this. One that only lost its info is verified again, and needs it then.
		await rm(file, {force: true});
	}
}
