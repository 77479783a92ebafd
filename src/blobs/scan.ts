/**
 * Reads the folder of blobs at the start: which there are, and which manifests lie beside them.
 *
 * The store is told of each. A folder that was written down and is as it was then is not looked into. What belongs to no blob, or was left half-written, goes; foreign files are left alone.
 */
import {readdir, rm, stat} from 'node:fs/promises';
import path from 'node:path';
import type {Logger} from '../host.js';
import {isSha1, isUuid} from '../image/manifest.js';
import {isFolderName, type BlobIndex} from './blob-index.js';
import {readInfo, type BlobInfo} from './blob-info.js';
import type {HeldImages} from './held-images.js';
import type {BareFile} from './known-blobs.js';
import type {Layout} from './layout.js';

const scansAtOnce = 16;

export interface Scan {
	readonly layout: Layout;
	readonly log: Logger;
	/** What was written down of the folders. */
	readonly index: BlobIndex;
	/** Told of each blob. */
	readonly files: {remember(info: BlobInfo): void};
	/** Told of files where a blob would be that are not known to be right. */
	readonly blobs: {setBare(file: BareFile): void};
	/** Told of manifests beside blobs, after these. */
	readonly images: Pick<HeldImages, 'read' | 'takeLater'>;
}

export async function scanBlobs(scan: Scan): Promise<void> {
	const folders = (await readdir(scan.layout.blobs)).filter(isFolderName);
	const left = folders[Symbol.iterator]();
	await Promise.all(
		Array.from({length: scansAtOnce}, async () => {
			for (const folder of left) {
				await scanFolder(scan, folder);
			}
		}),
	);
}

async function scanFolder(scan: Scan, name: string): Promise<void> {
	const folder = path.join(scan.layout.blobs, name);
	const shelf = await scan.index.read(name, folder);
	if (shelf === undefined) {
		await lookAround(scan, folder);
		return;
	}
	for (const info of shelf.blobs) {
		scan.files.remember(info);
	}
	scan.images.takeLater(name, shelf);
}

async function lookAround(scan: Scan, folder: string): Promise<void> {
	const names = await readdir(folder);
	const blobs = new Map<string, BlobInfo>();
	for (const name of names.filter(isSha1)) {
		const info = await readInfo(scan.layout, name, scan.log);
		if (info !== undefined) {
			blobs.set(name, info);
			scan.files.remember(info);
			continue;
		}
		scan.index.leaveOut(path.basename(folder));
		const found = await stat(scan.layout.blob(name)).catch(() => undefined);
		if (found?.isFile() === true) {
			scan.blobs.setBare({sha1: name, size: found.size, changedAtMs: found.mtimeMs});
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
		await clear(file);
		return;
	}
	const [uuid, index] = rest;
	if (!isUuid(uuid) || !name.endsWith('.json')) {
		return;
	}
	if (info !== undefined) {
		const number = index === 'json' ? 0 : Number(index);
		if (!(await scan.images.read(file, {sha1, index: number, source: info.source}))) {
			scan.index.leaveOut(sha1.slice(0, 2));
		}
	} else if (!isThere(sha1)) {
		// A crash came between the blob and this. One that only lost its info is verified again, and needs it then.
		await clear(file);
	}
}

/** A directory there is damage, and must not keep all the others from being served. */
async function clear(file: string): Promise<void> {
	await rm(file, {force: true, recursive: true});
}
