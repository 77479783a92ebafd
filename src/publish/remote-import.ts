/**
 * What a client has us fetch at once: a manifest from another image server, the file that belongs to it, or a file
 * from any https URL (contract 6.6, 6.13).
 *
 * Imports that take longer than a client waits are `jobs.ts`'s. Images are written by `LocalWrites`, as ever.
 */
import {InvalidParameterError, RefusedError, SourceUnavailableError, describe} from '../errors.js';
import type {Host} from '../host.js';
import type {JsonObject, Manifest, Uuid} from '../image/manifest.js';
import type {Ask, FileBody, RemoteServers, Source} from '../sources/source.js';
import type {Change, FileOffer} from './api.js';
import type {HeldFile, LocalWrites} from './internal.js';
import {holdRemoteFile} from './remote-file.js';

export class RemoteImport {
	readonly #host: Host;
	readonly #writes: LocalWrites;
	readonly #remote: RemoteServers;

	constructor({host, writes, remote}: {host: Host; writes: LocalWrites; remote: RemoteServers}) {
		this.#host = host;
		this.#writes = writes;
		this.#remote = remote;
	}

	/** AdminImportImage with `source`. */
	async importFrom(uuid: Uuid, source: string, change: Change): Promise<Manifest> {
		// What needs no other server comes first.
		this.#writes.checkOperator(change);
		this.#writes.channelsFor(change.channel);
		return this.#with(source, async server => {
			const manifest = await findRemote(server, uuid, change.ask);
			return this.#writes.importForeign(manifest, change);
		});
	}

	/** AddImageFile with `source`: the file of the same image there, as its manifest there says it is. */
	async addFileFrom(uuid: Uuid, source: string, change: Change): Promise<Manifest> {
		const {born} = await this.#writes.fileTarget(uuid, change);
		return this.#with(source, async server => {
			const image = await findRemote(server, uuid, change.ask);
			const held = await holdRemoteFile(
				{source: server, image, index: 0},
				{host: this.#host, writes: this.#writes, ask: change.ask},
			);
			return this.#set(uuid, held, change, born);
		});
	}

	/** AddImageFileFromUrl. */
	async addFileFromUrl(
		uuid: Uuid,
		url: unknown,
		offer: Omit<FileOffer, 'body' | 'size'>,
		change: Change,
	): Promise<Manifest> {
		const {born} = await this.#writes.fileTarget(uuid, change);
		const incoming = this.#writes.checkOffer({...offer, size: undefined}, change);
		const address = readUrl(url);
		const body = await this.#fetch(address, change.ask);
		try {
			this.#writes.checkOffer({...offer, size: body.size}, change);
			const bytes = downloaded(body.stream as AsyncIterable<Buffer>);
			const held = await this.#writes.intake({...incoming, size: body.size, body: bytes}, change.ask);
			return await this.#set(uuid, held, change, born);
		} finally {
			body.stream.destroy();
		}
	}

	async #set(uuid: Uuid, held: HeldFile, change: Change, born: string): Promise<Manifest> {
		try {
			return await this.#writes.setFile(uuid, held, change, born);
		} finally {
			await held.release();
		}
	}

	async #fetch(url: string, ask: Ask): Promise<FileBody> {
		try {
			return await this.#remote.fetch(url, ask);
		} catch (error) {
			throw asDownload(error);
		}
	}

	async #with<T>(source: string, work: (server: Source) => Promise<T>): Promise<T> {
		const server = this.#remote.open(source);
		try {
			return await work(server);
		} finally {
			void server.close().catch((error: unknown) => {
				this.#host.log.debug({err: error, source: server.name}, 'a source could not be closed');
			});
		}
	}
}

/** That very image. Throws SourceUnavailableError where the other server does not have it. */
export async function findRemote(source: Source, uuid: Uuid, ask: Ask): Promise<Manifest> {
	const manifest = await source.find(uuid, ask);
	if (manifest === undefined) {
		throw new SourceUnavailableError(source.name, `has no image ${uuid}`);
	}
	if (manifest.uuid !== uuid) {
		throw new SourceUnavailableError(source.name, `answered with another image, ${manifest.uuid}`);
	}
	return manifest;
}

export function without(fields: JsonObject, ...names: readonly string[]): JsonObject {
	return Object.fromEntries(Object.entries(fields).filter(([name]) => !names.includes(name)));
}

function readUrl(url: unknown): string {
	if (url === undefined || url === null || url === '') {
		throw new InvalidParameterError('file_url is missing', [{field: 'file_url', code: 'Missing'}]);
	}
	if (typeof url !== 'string' || !/^https:\/\//i.test(url) || !URL.canParse(url)) {
		throw new InvalidParameterError('file_url is not an https URL', [{field: 'file_url', code: 'Invalid'}]);
	}
	return url;
}

async function* downloaded(stream: AsyncIterable<Buffer>): AsyncGenerator<Buffer, void, undefined> {
	try {
		yield* stream;
	} catch (error) {
		throw asDownload(error);
	}
}

/** Whatever keeps a URL's file from coming is a failed download, as IMGAPI has it. */
function asDownload(error: unknown): unknown {
	return error instanceof SourceUnavailableError
		? new RefusedError('Download', describe(error), {cause: error})
		: error;
}
