/**
 * Where an export goes, as it is typed: a folder, a tar, parts of one, or a pipe.
 *
 * Everything that can stand against it is said here, before a server is asked for anything, as far as that is known by
 * then.
 */
import {realpath, stat} from 'node:fs/promises';
import {resolve} from 'node:path';
import {machineDisk} from '../airgap/disk.js';
import {checkFolder, writeFolder} from '../airgap/write-folder.js';
import type {WriteOptions} from '../airgap/write-options.js';
import {streamTar} from '../airgap/write-stream.js';
import {checkTar, writeTar} from '../airgap/write-tar.js';
import {MirrorError} from '../errors.js';
import type {CliIo, Output} from './io.js';
import {commandLineError} from './target.js';

/** What came of it. */
export interface Written {
	/** Of the bundle, or of all its parts; none of a pipe. */
	readonly paths: readonly string[];
	/** As it lies there. */
	readonly bytes: number;
	/** Of files that were there before. */
	readonly keptBytes: number;
}

export interface Destination {
	/** As messages name it. */
	readonly shown: string;
	/** What has been written is gone on with. */
	readonly isResumable: boolean;
	/** Throws MirrorError where nothing may be written. */
	check(replace: boolean): Promise<void>;
	write(options: Omit<WriteOptions, 'disk'>): Promise<Written>;
}

/** Throws ConfigError for what cannot be meant. */
export async function destinationOf(
	{to, split}: {readonly to: string | undefined; readonly split: number | undefined},
	io: CliIo,
): Promise<Destination> {
	if (to === undefined || to === '') {
		throw commandLineError(['--to: expected where the bundle goes: a folder, NAME.tar, or - for a pipe']);
	}
	if (to === '-') {
		return pipe(split, io);
	}
	if (/\.tar\.\d{3,}$/.test(to)) {
		const whole = to.replace(/\.\d+$/, '');
		throw commandLineError([`--to: expected the name of the whole tar: ${whole}; --split makes the parts of it`]);
	}
	if (/\.(?:tar\.\w+|tgz|tzst|txz|tbz2?|zip)$/i.test(to)) {
		throw commandLineError(['--to: a tar is written as it is: "--to - | zstd > NAME.tar.zst" compresses it']);
	}
	const given = resolve(io.directory, to);
	const found = await stat(given).catch(() => undefined);
	const path = found === undefined ? given : await realpath(given);
	if (found?.isDirectory() !== true && /\.tar$/i.test(to)) {
		return tar(given, split);
	}
	if (split !== undefined) {
		throw commandLineError(['--split: parts are of a tar: --to NAME.tar']);
	}
	return folder(path);
}

function folder(path: string): Destination {
	return {
		shown: path,
		isResumable: true,
		async check() {
			await checkFolder(machineDisk, path);
		},
		async write(options) {
			const keptBytes = await writeFolder(path, {...options, disk: machineDisk});
			return {paths: [path], bytes: options.plan.bytes, keptBytes};
		},
	};
}

function tar(path: string, split: number | undefined): Destination {
	return {
		shown: path,
		isResumable: true,
		check: replace => checkTar(machineDisk, path, {replace}),
		write: options => writeTar(path, {...options, disk: machineDisk, partBytes: split}),
	};
}

function pipe(split: number | undefined, {stdout}: CliIo): Destination {
	if (stdout.isTTY === true) {
		throw commandLineError(['--to: a tar is nothing for a terminal: pipe it into something, or name a file']);
	}
	if (split !== undefined) {
		throw commandLineError(['--split: there are no parts of a pipe: --to NAME.tar']);
	}
	return {
		shown: 'the pipe',
		isResumable: false,
		check: () => Promise.resolve(),
		async write(options) {
			const bytes = await streamTar(piece => sent(stdout, piece), options);
			return {paths: [], bytes, keptBytes: 0};
		},
	};
}

/** No faster than it is taken. */
function sent(stdout: Output, piece: Buffer): Promise<void> {
	return new Promise((done, fail) => {
		stdout.write(piece, error => {
			if (error) {
				// It may as well be a file on a disk that is full.
				const why = 'code' in error && error.code === 'EPIPE' ? ': whoever reads it has ended' : '';
				fail(new MirrorError(`the pipe takes no more${why}`, {cause: error}));
			} else {
				done();
			}
		});
	});
}
