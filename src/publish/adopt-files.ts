/**
 * Files of a folder that strangers may write to, looked at with care: no pipe is opened, no link leads us out.
 *
 * The scan uses it for manifests and images alike. Names in manifests are only ever compared with names that are there.
 */
import {constants} from 'node:fs';
import {lstat, open, readdir, realpath, stat} from 'node:fs/promises';
import path from 'node:path';
import {IntegrityError, describe} from '../errors.js';

export interface PlainFile {
	/** Without links in it. */
	readonly file: string;
	readonly size: number;
	/** Tells this very content from another: as far as the file system knows. */
	readonly stamp: string;
	/** `<device>.<inode>` */
	readonly inode: string;
	readonly changedMs: number;
	/** Ours alone to change: no other account owns it and it has no other name. */
	readonly isOurs: boolean;
}

export interface Listing {
	/** Sorted. Of whatever kind but folders. */
	readonly names: readonly string[];
	readonly folders: readonly string[];
}

const ignored = /^\.|\.(?:part|partial|tmp)$|\.problem\.txt$|^node_modules$|^lost\+found$/i;

/** What is hidden, or still on its way in, is not there. */
export async function listFolder(folder: string): Promise<Listing> {
	const entries = await readdir(folder, {withFileTypes: true});
	const shown = entries.filter(({name}) => !ignored.test(name));
	const sorted = (isFolder: boolean): readonly string[] =>
		shown
			.filter(entry => entry.isDirectory() === isFolder)
			.map(({name}) => name)
			.sort();
	return {names: sorted(false), folders: sorted(true)};
}

/** Throws IntegrityError, in words, for what is no plain file below `root`. `undefined`: there is none. */
export async function plainFile(root: string, file: string, {links}: {links: boolean}): Promise<PlainFile | undefined> {
	const found = await lstat(file).catch((error: unknown) => {
		if (isMissing(error)) {
			return undefined;
		}
		throw new IntegrityError(`${path.basename(file)} cannot be looked at: ${describe(error)}`, {cause: error});
	});
	if (found === undefined) {
		return undefined;
	}
	if (!found.isSymbolicLink()) {
		// A folder on its way may have been made a link since it was listed.
		if (!links && !(await isWithin(root, path.dirname(file)))) {
			throw new IntegrityError(`${path.basename(file)} lies behind a link, which is not followed here`);
		}
		return checked(file, found);
	}
	if (!links) {
		throw new IntegrityError(`${path.basename(file)} is a link, which is not followed here`);
	}
	const target = await realpath(file).catch(() => undefined);
	if (target === undefined || !(await isWithin(root, target))) {
		throw new IntegrityError(`${path.basename(file)} is a link that leads out of the folder`);
	}
	return checked(target, await stat(target));
}

async function isWithin(root: string, file: string): Promise<boolean> {
	const [home, target] = await Promise.all([realpath(root), realpath(file)]);
	return target === home || target.startsWith(home.endsWith(path.sep) ? home : home + path.sep);
}

/** A small text. Throws IntegrityError for what is no plain file, or too long. */
export async function readSmall(file: string, maxBytes: number): Promise<Buffer> {
	// Neither does a pipe keep us waiting, nor is a link followed that was put in its place just now.
	const handle = await open(file, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW);
	try {
		const found = await handle.stat();
		if (!found.isFile()) {
			throw new IntegrityError(`${path.basename(file)} is no plain file`);
		}
		if (found.size > maxBytes) {
			throw new IntegrityError(`${path.basename(file)} is longer than ${maxBytes} bytes`);
		}
		const bytes = Buffer.alloc(maxBytes + 1);
		let length = 0;
		for (;;) {
			const {bytesRead} = await handle.read(bytes, length, bytes.length - length, length);
			length += bytesRead;
			if (bytesRead === 0 || length > maxBytes) {
				break;
			}
		}
		if (length > maxBytes) {
			throw new IntegrityError(`${path.basename(file)} is longer than ${maxBytes} bytes`);
		}
		return Buffer.from(bytes.subarray(0, length));
	} finally {
		await handle.close();
	}
}

/** The first bytes of a file, at most `bytes`. */
export async function readFirst(file: string, bytes: number): Promise<Buffer> {
	const handle = await open(file, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW);
	try {
		const first = Buffer.alloc(bytes);
		const {bytesRead} = await handle.read(first, 0, bytes, 0);
		return first.subarray(0, bytesRead);
	} finally {
		await handle.close();
	}
}

export function isMissing(error: unknown): boolean {
	const code = error instanceof Error && 'code' in error ? error.code : undefined;
	return code === 'ENOENT' || code === 'ENOTDIR';
}

function checked(file: string, found: Awaited<ReturnType<typeof stat>>): PlainFile {
	if (!found.isFile()) {
		throw new IntegrityError(`${path.basename(file)} is no plain file`);
	}
	const {dev, ino, size, mtimeMs, uid, nlink} = found;
	return {
		file,
		size: Number(size),
		changedMs: Number(mtimeMs),
		stamp: `${dev}.${ino}.${size}.${mtimeMs}`,
		inode: `${dev}.${ino}`,
		isOurs: Number(nlink) === 1 && (process.getuid === undefined || Number(uid) === process.getuid()),
	};
}
