/**
 * `imgmirror publish` and `imgmirror import-image`: a file or a pipe becomes an image of a server.
 *
 * What the image is comes from `image-flags.ts`, the bytes go by `transfer.ts`. Here is the order of it all: the image
 * is activated only when the server has been found to hold the very bytes that were sent.
 */
import {readFile, realpath} from 'node:fs/promises';
import {resolve} from 'node:path';
import {MirrorError, describe} from '../errors.js';
import {systemClock, type Clock} from '../host.js';
import type {Compression, JsonObject} from '../image/manifest.js';
import {AnswerError, InterruptedError, mayPass} from './client-errors.js';
import {compressionFor} from './file-kind.js';
import {exitCodes} from './exit-codes.js';
import {describeImage, type Described, type ImageFlags} from './image-flags.js';
import {interruptible} from './interruption.js';
import type {CliIo} from './io.js';
import {showProgress, type Progress} from './progress.js';
import {Publication} from './publication.js';
import {withServer, type Whereabouts} from './reach.js';
import {StreamCheck} from './stream-check.js';
import {commandLineError} from './target.js';
import {FileBytes, PipeBytes, type UploadBytes} from './upload-bytes.js';
import {UploadState} from './upload-state.js';
import {humanBytes, humanTime, printable} from './words.js';

export interface PublishOptions {
	readonly where: Whereabouts;
	/** `undefined`, `-`: what is piped in. */
	readonly file: string | undefined;
	readonly flags: ImageFlags;
	readonly compression: Compression | undefined;
	/** Of the icon. */
	readonly icon: string | undefined;
	readonly channel: string | undefined;
	readonly activate: boolean;
	/** Take up what an earlier run began, and leave something to be taken up. */
	readonly resume: boolean;
	/** Look whether a pipe's bytes are whole. */
	readonly check: boolean;
	/** Without progress. */
	readonly retryForMs: number;
	readonly quiet: boolean;
	readonly json: boolean;
}

export async function publish(options: PublishOptions, io: CliIo): Promise<number> {
	const clock = io.clock ?? systemClock;
	if ((options.file ?? '-') === '-' && io.stdin.isTTY === true) {
		throw commandLineError(['FILE: expected the file of the image, or one piped in']);
	}
	const described = await describeImage(options.flags, {directory: io.directory});
	const icon = options.icon === undefined ? undefined : await readIcon(resolve(io.directory, options.icon));
	const bytes = await openBytes(options, io);
	const {name, version} = described.manifest;
	const label = `${String(name)} ${String(version)}`;
	const progress = showProgress({io, clock, quiet: options.quiet, label});
	try {
		const compression = await checkFile(options, described, bytes);
		return await interruptible(io, signal =>
			withServer(options.where, io, async server => {
				const publication = new Publication({
					server,
					clock,
					signal,
					bytes,
					progress,
					manifest: described.manifest,
					commonNetworks: described.commonNetworks,
					file: {...described.file, compression},
					icon,
					channel: options.channel ?? server.client.target.channel,
					activate: options.activate,
					retryForMs: options.retryForMs,
					state: await stateOf(options, {io, clock, bytes, server: server.name, described}),
				});
				const began = clock.now();
				try {
					const manifest = await publication.run();
					progress.end();
					say(progress, manifest, {ms: clock.now() - began, size: bytes.size ?? 0, label});
					io.stdout.write(options.json ? `${JSON.stringify(manifest, null, 2)}\n` : `${String(manifest['uuid'])}\n`);
					return exitCodes.ok;
				} catch (error) {
					progress.end();
					return await giveUp(error, {publication, io});
				}
			}),
		);
	} finally {
		progress.end();
		await bytes.close();
	}
}

function say(
	progress: Progress,
	manifest: JsonObject,
	{ms, size, label}: {readonly ms: number; readonly size: number; readonly label: string},
): void {
	const rate = ms >= 1000 ? ` (${humanBytes((size * 1000) / ms)}/s)` : '';
	const uuid = String(manifest['uuid']);
	const state = manifest['state'] === 'active' ? '' : `, which is ${String(manifest['state'])}`;
	progress.say(`published ${label} as ${uuid}${state}: ${humanBytes(size)} in ${humanTime(ms)}${rate}`);
}

/** What went wrong, and what can be done about it. */
async function giveUp(error: unknown, {publication, io}: {publication: Publication; io: CliIo}): Promise<number> {
	const stopped = error instanceof InterruptedError;
	const problem = error instanceof MirrorError ? error.message : describe(error);
	if (!stopped && !(error instanceof MirrorError)) {
		throw error;
	}
	// What may go well later is left as it is, for a later run.
	const later = stopped || mayPass(error) || (error instanceof AnswerError && [401, 403].includes(error.status));
	const rest = (later ? publication.resumable : undefined) ?? (await publication.undo());
	io.stderr.write(`imgmirror: ${[problem, rest].map(line => indented(line)).join('\nimgmirror: ')}\n`);
	return stopped ? exitCodes.interrupted : exitCodes.failure;
}

/** Lines that we made stay lines; nothing else gets to the terminal. */
function indented(text: string): string {
	return text.split('\n').map(printable).join('\n');
}

async function openBytes({file, check}: PublishOptions, io: CliIo): Promise<UploadBytes> {
	const inspector = check ? new StreamCheck() : undefined;
	return file === undefined || file === '-'
		? new PipeBytes(io.stdin, {inspector})
		: FileBytes.open(resolve(io.directory, file), {inspector});
}

/** What is known before a byte is sent. Resolves with the compression to declare. Throws MirrorError. */
async function checkFile(options: PublishOptions, {file}: Described, bytes: UploadBytes): Promise<Compression> {
	const first = await bytes.first();
	const {size} = bytes;
	if (size !== undefined && file.size !== undefined && size !== file.size) {
		throw new MirrorError(`the file has ${size} bytes, but its manifest says ${file.size}`);
	}
	return compressionFor(first, options.compression ?? file.compression);
}

async function stateOf(
	{file, compression, channel, resume}: PublishOptions,
	about: {io: CliIo; clock: Clock; bytes: UploadBytes; server: string; described: Described},
): Promise<{state: UploadState; about: Readonly<Record<string, unknown>>} | undefined> {
	const {io, clock, bytes, server, described} = about;
	if (!resume || !(bytes instanceof FileBytes) || file === undefined) {
		return undefined;
	}
	const path = await realpath(resolve(io.directory, file));
	const {size, mtimeMs} = bytes;
	const same = {server, path, size, mtimeMs, image: described.manifest, compression, channel};
	const state = new UploadState(io, clock, same);
	return state.isKept ? {state, about: {server, file: path}} : undefined;
}

export interface IconFile {
	readonly bytes: Buffer;
	readonly contentType: string;
}

const mostIconBytes = 131_072;

const iconKinds: readonly (readonly [string, Buffer])[] = [
	['image/png', Buffer.from([0x89, 0x50, 0x4e, 0x47])],
	['image/jpeg', Buffer.from([0xff, 0xd8, 0xff])],
	['image/gif', Buffer.from('GIF8')],
];

async function readIcon(path: string): Promise<IconFile> {
	const bytes = await readFile(path).catch((error: unknown) => {
		throw new MirrorError(`the icon ${path} cannot be read: ${describe(error)}`, {cause: error});
	});
	const contentType = iconKinds.find(([, magic]) => bytes.subarray(0, magic.length).equals(magic))?.[0];
	if (contentType === undefined) {
		throw new MirrorError(`the icon ${path} is neither PNG nor JPEG nor GIF`);
	}
	if (bytes.length > mostIconBytes) {
		throw new MirrorError(`the icon ${path} has ${bytes.length} bytes: ${mostIconBytes} is the most`);
	}
	return {bytes, contentType};
}
