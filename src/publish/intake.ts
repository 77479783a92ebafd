/**
 * Files on their way into the store: what the sender says of them is checked, before the first byte and after the last.
 *
 * `intake` takes in a whole file; resumable uploads bring theirs in pieces and use `verify` and `keep`. What comes out
 * is held in the store until its owner releases it, so that nothing can delete it before an image names it.
 */
import {randomUUID} from 'node:crypto';
import type {FileHandle} from 'node:fs/promises';
import type {BlobInfo} from '../blobs/store.js';
import type {Upload, UploadDigests} from '../blobs/upload.js';
import {InvalidParameterError, MirrorError, RefusedError} from '../errors.js';
import type {Host} from '../host.js';
import {compressionOfMagic, contradiction, magicOf} from '../image/magic.js';
import {isSha1, type Compression, type Sha1} from '../image/manifest.js';
import type {StoredFile} from '../image/rules.js';
import type {Ask} from '../sources/source.js';
import type {Change, FileOffer} from './api.js';
import type {HeldFile, Incoming, PublishStore} from './internal.js';

/** What is known of a file but its bytes. */
export type ToldFile = Omit<Incoming, 'body'>;

/** An upload that is all there and right. */
export interface VerifiedUpload {
	readonly digests: UploadDigests & {readonly sha1: Sha1};
	readonly compression: Compression;
}

const compressions: ReadonlyMap<string, Compression> = new Map(
	(['gzip', 'bzip2', 'xz', 'none'] as const).map(name => [name, name]),
);

/** A wish that nobody minds: everything is kept here. */
const storages: ReadonlySet<string> = new Set(['local', 'manta']);

const longestGuid = 128;

/** The parameters of AddImageFile (contract 6.6), in its order. */
export function readOffer(
	offer: Omit<FileOffer, 'body'>,
	{account}: Pick<Change, 'account'>,
	{compressionMayMiss = false, maxBytes}: {readonly compressionMayMiss?: boolean; readonly maxBytes: number},
): ToldFile {
	const compression = offer.compression === undefined ? undefined : compressions.get(offer.compression);
	if (compression === undefined && !(compressionMayMiss && offer.compression === undefined)) {
		const code = offer.compression === undefined ? 'Missing' : 'Invalid';
		throw new InvalidParameterError('compression is gzip, bzip2, xz or none', [{field: 'compression', code}]);
	}
	if (offer.storage !== undefined) {
		if (!storages.has(offer.storage)) {
			throw new InvalidParameterError('storage is local or manta', [{field: 'storage', code: 'Invalid'}]);
		}
		if (account !== undefined && account !== '') {
			throw new InvalidParameterError('storage is not an account’s to choose', [
				{field: 'storage', code: 'NotAllowed'},
			]);
		}
	}
	const {datasetGuid} = offer;
	if (datasetGuid !== undefined && (datasetGuid === '' || datasetGuid.length > longestGuid)) {
		throw new InvalidParameterError('dataset_guid is no ZFS guid', [{field: 'dataset_guid', code: 'Invalid'}]);
	}
	const sha1 = offer.sha1 === undefined || offer.sha1 === '' ? undefined : offer.sha1.toLowerCase();
	if (sha1 !== undefined && !isSha1(sha1)) {
		throw new RefusedError('Download', 'the sha1 given is none, so no file can have it');
	}
	if (offer.size !== undefined && offer.size > maxBytes) {
		throw new RefusedError('Upload', `the file has ${offer.size} bytes, and ${maxBytes} is the most`);
	}
	return {compression, sha1, size: offer.size, datasetGuid};
}

export class Intake {
	readonly #host: Host;
	readonly #store: PublishStore;

	constructor({host, store}: {host: Host; store: PublishStore}) {
		this.#host = host;
		this.#store = store;
	}

	/** Nothing is left of a file that is refused, or that does not come to its end. */
	async receive(incoming: Incoming, {signal}: Ask, maxBytes: number): Promise<HeldFile> {
		signal.throwIfAborted();
		const upload = await this.#store.upload({size: incoming.size, maxBytes});
		try {
			await upload.fill(watched(incoming, signal));
			signal.throwIfAborted();
			const verified = await this.verify(upload, incoming);
			signal.throwIfAborted();
			return await this.keep(upload, verified, incoming);
		} finally {
			// After a commit, nothing.
			await upload.discard();
		}
	}

	/** Throws RefusedError where the file is not what its sender says. */
	async verify(upload: Upload, told: ToldFile): Promise<VerifiedUpload> {
		if (upload.written === 0) {
			throw new RefusedError('Download', 'the file is empty');
		}
		if (told.size !== undefined && upload.written !== told.size) {
			throw new RefusedError('Download', `the file has ${upload.written} bytes, not ${told.size}`);
		}
		const first = upload.first(16);
		const wrong = told.compression === undefined ? undefined : contradiction(told.compression, first, told.imageType);
		if (wrong !== undefined) {
			throw new RefusedError('Upload', wrong);
		}
		const magic = magicOf(first);
		const compression = told.compression ?? compressionOfMagic(magic);
		if (compression === undefined) {
			throw new RefusedError('Upload', `the file is ${magic ?? 'of a kind'} that SmartOS cannot install`);
		}
		if (magic === undefined && compression !== 'none') {
			this.#host.log.warn(
				{compression, size: upload.written},
				'a file was sent that does not begin as one with this compression does',
			);
		}
		const digests = await upload.digests();
		if (!isSha1(digests.sha1)) {
			throw new MirrorError('the hashing thread gave no SHA-1');
		}
		if (told.sha1 !== undefined && digests.sha1 !== told.sha1) {
			throw new RefusedError('Download', `the file has the sha1 ${digests.sha1}, not ${told.sha1}`);
		}
		return {digests: {...digests, sha1: digests.sha1}, compression};
	}

	/** Makes it a blob that lasts. */
	async keep(upload: Upload, {digests, compression}: VerifiedUpload, told: ToldFile): Promise<HeldFile> {
		const reason = newReason();
		const info = await this.#store.commitUpload(upload, {
			source: 'local',
			storedAtMs: this.#host.clock.now(),
			pinnedBy: reason,
		});
		return this.#held(info, {...told, compression}, digests.md5, reason);
	}

	/** `undefined`: the store does not have it. */
	async holdStored(
		sha1: Sha1,
		told: {readonly compression: Compression; readonly datasetGuid?: string | undefined},
	): Promise<HeldFile | undefined> {
		const info = this.#store.stat(sha1);
		if (info === undefined) {
			return undefined;
		}
		const reason = newReason();
		this.#store.pin(sha1, reason);
		if (!(await this.#isThere(sha1, reason))) {
			return undefined;
		}
		return this.#held(info, told, info.md5, reason);
	}

	/** What the store remembers may be gone from the disk, or changed there. Unpins what is not to be held then. */
	async #isThere(sha1: Sha1, reason: string): Promise<boolean> {
		let handle: FileHandle | undefined;
		try {
			handle = await this.#store.open(sha1);
			await handle?.close();
		} finally {
			if (handle === undefined) {
				this.#store.unpin(sha1, reason);
			}
		}
		return handle !== undefined;
	}

	#held(
		{sha1, sha256, size}: BlobInfo,
		{compression, datasetGuid}: {readonly compression: Compression; readonly datasetGuid?: string | undefined},
		md5: string | undefined,
		reason: string,
	): HeldFile {
		const file: StoredFile = {
			sha1,
			size,
			compression,
			...(datasetGuid === undefined ? {} : {dataset_guid: datasetGuid}),
			sha256,
			...(md5 === undefined ? {} : {contentMD5: Buffer.from(md5, 'hex').toString('base64')}),
			mtime: new Date(this.#host.clock.now()).toISOString(),
		};
		return {
			sha1,
			file,
			release: async () => {
				await this.#store.release(sha1, reason);
			},
		};
	}
}

function newReason(): string {
	return `intake ${randomUUID()}`;
}

/** The body, until somebody has left, or it is longer than it should be. */
async function* watched(
	{body, size, onProgress}: Incoming,
	signal: AbortSignal,
): AsyncGenerator<Buffer, void, undefined> {
	let bytes = 0;
	for await (const chunk of body) {
		signal.throwIfAborted();
		bytes += chunk.length;
		if (size !== undefined && bytes > size) {
			throw new RefusedError('Download', `the file has more than the ${size} bytes that were announced`);
		}
		onProgress?.(bytes);
		yield chunk;
	}
}
