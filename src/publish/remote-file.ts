/**
 * A file that another server has, on its way into our store.
 *
 * What the store holds already is not fetched again. A transfer that breaks is gone on with where it stopped, a few
 * times; whether the bytes are right is the intake's to find out.
 */
import {NotFoundError, RefusedError, SourceUnavailableError} from '../errors.js';
import {pause, type Host} from '../host.js';
import {fieldsOf, type JsonObject, type Manifest} from '../image/manifest.js';
import type {Ask, FileBody, Source} from '../sources/source.js';
import type {HeldFile, LocalWrites} from './internal.js';

/** Without progress between them. */
const mostFailures = 4;
/** With progress: a server that gives a byte at a time is no server. */
const mostBreaks = 100;

export interface RemoteFile {
	readonly source: Source;
	readonly image: Manifest;
	readonly index: number;
}

/** Verified and held. Throws SourceUnavailableError, or what the intake throws. */
export async function holdRemoteFile(
	{source, image, index}: RemoteFile,
	deps: {
		readonly host: Host;
		readonly writes: LocalWrites;
		readonly ask: Ask;
		readonly onProgress?: (bytes: number) => void;
	},
): Promise<HeldFile> {
	const {host, writes, ask, onProgress} = deps;
	const file = image.files[index];
	if (file === undefined) {
		throw new SourceUnavailableError(source.name, `image ${image.uuid} has no file there`);
	}
	const {sha1, size, compression} = file;
	const datasetGuid = textIn(rawFile(image, index), 'dataset_guid');
	const held = sha1 === undefined ? undefined : await writes.holdStored(sha1, {compression, datasetGuid});
	if (held !== undefined) {
		if (held.file.size === size) {
			onProgress?.(size);
			return held;
		}
		await held.release();
		throw new RefusedError('Download', `image ${image.uuid}: its manifest gives ${size} bytes for file ${sha1 ?? ''}`);
	}
	return writes.intake(
		{compression, sha1, size, datasetGuid, onProgress, body: remoteBytes({source, image, index}, host, ask)},
		ask,
	);
}

/** What the manifest says of a file and we do not know: to be kept beside what we do. */
export function unknownOf(image: Manifest, index: number): JsonObject | undefined {
	const rest = Object.entries(rawFile(image, index)).filter(([key]) => !known.has(key));
	return rest.length === 0 ? undefined : Object.fromEntries(rest);
}

const known: ReadonlySet<string> = new Set([
	...['sha1', 'size', 'compression', 'dataset_guid', 'digest', 'uncompressedDigest', 'sha256', 'contentMD5', 'mtime'],
	...['stor', 'path', 'url', '__proto__'],
]);

async function* remoteBytes(file: RemoteFile, host: Host, ask: Ask): AsyncGenerator<Buffer, void, undefined> {
	const at: Place = {offset: 0, etag: undefined};
	let failures = 0;
	for (let breaks = 1; ; breaks++) {
		const before = at.offset;
		try {
			yield* bytesFrom(at, file, ask);
			return;
		} catch (error) {
			failures = at.offset > before ? 1 : failures + 1;
			const isTheirs = error instanceof SourceUnavailableError && !ask.signal.aborted;
			if (!isTheirs || failures > mostFailures || breaks > mostBreaks) {
				throw error;
			}
			host.log.info(
				{image: file.image.uuid, source: file.source.name, bytes: at.offset, problem: error.problem},
				'a transfer broke and is gone on with',
			);
		}
		await pause(host.clock, 500 * 2 ** (failures - 1), ask.signal);
	}
}

interface Place {
	offset: number;
	etag: string | undefined;
}

async function* bytesFrom(
	at: Place,
	{source, image, index}: RemoteFile,
	ask: Ask,
): AsyncGenerator<Buffer, void, undefined> {
	const body = await open(at, {source, image, index}, ask);
	try {
		const size = body.size ?? image.files[index]?.size;
		// A server that ignores ranges sends from the start: what we have is passed over.
		let surplus = at.offset - body.offset;
		for await (const chunk of body.stream as AsyncIterable<Buffer>) {
			const fresh = chunk.subarray(Math.min(surplus, chunk.length));
			surplus -= chunk.length - fresh.length;
			if (fresh.length > 0) {
				at.offset += fresh.length;
				yield fresh;
			}
		}
		if (size !== undefined && at.offset < size) {
			throw new SourceUnavailableError(source.name, `sent ${at.offset} of ${size} bytes`);
		}
	} finally {
		body.stream.destroy();
	}
}

async function open(at: Place, {source, image, index}: RemoteFile, ask: Ask): Promise<FileBody> {
	const {offset, etag} = at;
	let body: FileBody;
	try {
		body = await source.openFile(image, index, {offset, ...(etag === undefined ? {} : {etag})}, ask);
	} catch (error) {
		if (error instanceof NotFoundError) {
			throw new SourceUnavailableError(source.name, `image ${image.uuid} has no file there`, {cause: error});
		}
		throw error;
	}
	// Without a digest nobody would notice that the two halves are of different files.
	if (offset > 0 && body.etag !== etag && image.files[index]?.sha1 === undefined) {
		body.stream.destroy();
		throw new RefusedError('Download', `source ${source.name}: the file changed while it was fetched`);
	}
	at.etag = body.etag;
	// It may break before it is read; the reader is told then.
	body.stream.on('error', () => undefined);
	return body;
}

function rawFile(image: Manifest, index: number): JsonObject {
	const {files} = fieldsOf(image);
	const file: unknown = Array.isArray(files) ? files[index] : undefined;
	return typeof file === 'object' && file !== null ? (file as JsonObject) : {};
}

function textIn(fields: JsonObject, key: string): string | undefined {
	const value = fields[key];
	return typeof value === 'string' && value !== '' ? value : undefined;
}
