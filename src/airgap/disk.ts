/**
 * The file system that bundles are written to: the few operations that takes, and what their failures mean in words.
 *
 * Sticks are often FAT: no links, no modes, no files of 4 GiB, folders that nobody can sync. Writers do with this and
 * nothing else, so that a test can end them at every operation and every byte.
 */
import {constants, lstat, mkdir, open, readdir, rename, rm, statfs, type FileHandle} from 'node:fs/promises';
import {codeOf, MirrorError, NoSpaceError, describe} from '../errors.js';

export interface DiskFile {
	size(): Promise<number>;
	/** Fills as much of `into` as there are bytes from `position` on. */
	read(into: Buffer, position: number): Promise<number>;
	/** All of them, or it throws. */
	write(bytes: Buffer, position: number): Promise<void>;
	truncate(size: number): Promise<void>;
	/** Resolves when what was written outlives a power cut, as far as the disk is honest. */
	sync(): Promise<void>;
	close(): Promise<void>;
}

/** What lies under a path itself, wherever a link there may lead. */
export interface Found {
	readonly kind: 'file' | 'folder' | 'other';
	readonly size: number;
}

export interface Room {
	readonly freeBytes: number;
	/** What every file takes a multiple of. */
	readonly blockBytes: number;
	/** FAT, as far as the system tells: exFAT is none. */
	readonly isFat: boolean;
}

/** Failures are MirrorErrors that name the path; a full disk is NoSpaceError. */
export interface Disk {
	find(path: string): Promise<Found | undefined>;
	/** To be read and written; made where it is not there. Never follows a link. */
	open(path: string): Promise<DiskFile>;
	/** Names; none where there is no such folder. */
	list(folder: string): Promise<readonly string[]>;
	/** It may be there. The one above it has to be. */
	makeFolder(path: string): Promise<void>;
	/** Whatever is called `to` goes. */
	rename(from: string, to: string): Promise<void>;
	/** A file; it may be gone already. */
	remove(path: string): Promise<void>;
	/** Makes names outlive a power cut, where the file system can. */
	syncFolder(path: string): Promise<void>;
	/** `undefined`: it does not tell. */
	room(path: string): Promise<Room | undefined>;
}

/** Of Linux's statfs. */
const fatType = 0x4d44;

export const machineDisk: Disk = {
	async find(path) {
		try {
			const found = await lstat(path);
			return {kind: found.isFile() ? 'file' : found.isDirectory() ? 'folder' : 'other', size: found.size};
		} catch (error) {
			if (['ENOENT', 'ENOTDIR'].includes(codeOf(error) ?? '')) {
				return undefined;
			}
			throw diskError(path, error);
		}
	},

	async open(path) {
		const {O_RDWR, O_CREAT, O_NOFOLLOW} = constants;
		return new HandleFile(path, await said(path, open(path, O_RDWR | O_CREAT | O_NOFOLLOW, 0o666)));
	},

	async list(folder) {
		try {
			return await readdir(folder);
		} catch (error) {
			if (codeOf(error) === 'ENOENT') {
				return [];
			}
			throw diskError(folder, error);
		}
	},

	async makeFolder(path) {
		try {
			await mkdir(path);
		} catch (error) {
			if (codeOf(error) !== 'EEXIST') {
				throw diskError(path, error);
			}
		}
	},

	rename: (from, to) => said(to, rename(from, to)),
	remove: path => said(path, rm(path, {force: true})),

	async syncFolder(path) {
		try {
			const handle = await open(path, 'r');
			try {
				await handle.sync();
			} finally {
				await handle.close();
			}
		} catch {
			// Where folders cannot be synced, names are as safe as they get.
		}
	},

	async room(path) {
		try {
			const {bavail, bsize, type} = await statfs(path);
			return {freeBytes: bavail * bsize, blockBytes: bsize, isFat: type === fatType};
		} catch {
			return undefined;
		}
	},
};

/** All of a small file; `undefined` where there is none, or where it is larger than that. */
export async function readSmall(disk: Disk, path: string, mostBytes: number): Promise<Buffer | undefined> {
	const found = await disk.find(path);
	if (found?.kind !== 'file' || found.size > mostBytes) {
		return undefined;
	}
	const file = await disk.open(path);
	try {
		const bytes = Buffer.alloc(found.size);
		return bytes.subarray(0, await file.read(bytes, 0));
	} finally {
		await file.close();
	}
}

/** All at once: the file is as it was, or as it is to be. `temporary` lies beside it, and is gone in the end. */
export async function writeWhole(disk: Disk, path: string, bytes: Buffer, temporary: string): Promise<void> {
	const file = await disk.open(temporary);
	try {
		await file.write(bytes, 0);
		await file.truncate(bytes.length);
		await file.sync();
	} finally {
		await file.close();
	}
	await disk.rename(temporary, path);
}

/** What a failure of the file system means to whoever looks after the disk. */
export function diskError(path: string, error: unknown): MirrorError {
	const options = {cause: error};
	switch (codeOf(error) ?? '') {
		case 'ENOSPC':
		case 'EDQUOT':
			return new NoSpaceError(`there is no room left for ${path}`, options);
		case 'EFBIG':
			return new MirrorError(`${path} grows larger than its file system takes files (FAT: less than 4 GiB)`, options);
		case 'EROFS':
			return new MirrorError(`${path} cannot be written: the disk is read-only`, options);
		case 'EACCES':
		case 'EPERM':
			return new MirrorError(`${path} cannot be written: this account may not do so`, options);
		case 'ENOENT':
		case 'ENOTDIR':
			return new MirrorError(`${path} cannot be written: there is no such folder`, options);
		case 'EISDIR':
			return new MirrorError(`${path} cannot be written: it is a folder`, options);
		case 'ELOOP':
			return new MirrorError(`${path} cannot be written: it is a link`, options);
		case 'EIO':
		case 'ENODEV':
		case 'ENXIO':
			return new MirrorError(`${path}: the disk fails (was it pulled out?)`, options);
		default:
			return new MirrorError(`${path}: ${describe(error)}`, options);
	}
}

class HandleFile implements DiskFile {
	readonly #path: string;
	readonly #handle: FileHandle;

	constructor(path: string, handle: FileHandle) {
		this.#path = path;
		this.#handle = handle;
	}

	async size(): Promise<number> {
		return (await said(this.#path, this.#handle.stat())).size;
	}

	async read(into: Buffer, position: number): Promise<number> {
		let done = 0;
		while (done < into.length) {
			const {bytesRead} = await said(this.#path, this.#handle.read(into, done, into.length - done, position + done));
			if (bytesRead === 0) {
				break;
			}
			done += bytesRead;
		}
		return done;
	}

	async write(bytes: Buffer, position: number): Promise<void> {
		for (let done = 0; done < bytes.length;) {
			const rest = this.#handle.write(bytes, done, bytes.length - done, position + done);
			done += (await said(this.#path, rest)).bytesWritten;
		}
	}

	truncate(size: number): Promise<void> {
		return said(this.#path, this.#handle.truncate(size));
	}

	async sync(): Promise<void> {
		try {
			await this.#handle.sync();
		} catch (error) {
			// Some file systems of user space know no such thing.
			if (!['EINVAL', 'ENOSYS', 'ENOTSUP', 'EOPNOTSUPP'].includes(codeOf(error) ?? '')) {
				throw diskError(this.#path, error);
			}
		}
	}

	close(): Promise<void> {
		return said(this.#path, this.#handle.close());
	}
}

async function said<T>(path: string, work: Promise<T>): Promise<T> {
	try {
		return await work;
	} catch (error) {
		throw diskError(path, error);
	}
}
