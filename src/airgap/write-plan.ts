/**
 * A plan as it is told, line by line, made into what is to be written and what there is to report.
 *
 * The command line hands in every event; the writers take the `BundlePlan` that comes of them. The plan came over the
 * wire: digests become names of files, so nothing goes on that is not what it says it is.
 */
import {createHash} from 'node:crypto';
import {IntegrityError} from '../errors.js';
import {isUuid} from '../image/manifest.js';
import type {PlanEvent, PlannedBlob} from './api.js';
import {digestOf, isDigest} from './oci-terms.js';
import {PackedTexts} from './packed-texts.js';
import {planEntries, type PlanEntry} from './plan-entries.js';

type EventOf<What extends PlanEvent['what']> = Extract<PlanEvent, {readonly what: What}>;

/** Of an image that goes, everything but its blobs. */
export type GoingImage = Omit<EventOf<'image'>, 'what' | 'blobs'>;
export type LeftOutImage = EventOf<'left-out'>;

/** Everything that a bundle is made of. */
export interface BundlePlan {
	/** In the order of the tar. */
	readonly entries: readonly PlanEntry[];
	/** The same for the same bytes only. */
	readonly etag: string;
	/** Of all blobs. */
	readonly bytes: number;
	/** How many of them are files of images. */
	readonly files: number;
	/** The fingerprint of the key. */
	readonly signedBy: string | undefined;
}

/**
 * Opens the bytes of a file from `start` on. Goes on by itself where the line breaks, as long as that is any use; whoever
 * reads it checks what came.
 */
export type FetchFile = (blob: PlannedBlob, start: number, signal: AbortSignal) => Promise<AsyncIterable<Buffer>>;

export class PlanCollector {
	readonly images: GoingImage[] = [];
	readonly leftOut: LeftOutImage[] = [];
	readonly warnings: string[] = [];
	begin: EventOf<'begin'> | undefined;
	end: EventOf<'end'> | undefined;
	readonly #texts = new PackedTexts();
	readonly #blobs = new Map<string, PlannedBlob>();
	#index: EventOf<'index'> | undefined;

	/** Throws IntegrityError for what cannot be. */
	take(event: PlanEvent): void {
		switch (event.what) {
			case 'begin':
				this.begin = event;
				break;
			case 'image': {
				const {uuid, name, version, bytes, originOf, filesLeftOut} = event;
				this.images.push({
					...{uuid, name, version, bytes, filesLeftOut},
					...(originOf === undefined ? {} : {originOf}),
				});
				for (const blob of event.blobs) {
					this.#add(blob);
				}
				break;
			}
			case 'left-out':
				this.leftOut.push(event);
				break;
			case 'warning':
				this.warnings.push(event.message);
				break;
			case 'index':
				this.#index = event;
				break;
			case 'end':
				this.end = event;
				break;
			case 'fetching':
			case 'progress':
		}
	}

	/** `undefined`: there was no index, as of a dry run. */
	plan(): BundlePlan | undefined {
		if (this.#index === undefined) {
			return undefined;
		}
		const {text, signature, signedBy} = this.#index;
		const blobs = [...this.#blobs.values()];
		return {
			entries: planEntries(blobs, text, signature),
			etag: createHash('sha256')
				.update(`${text}\0${signature ?? ''}`)
				.digest('hex'),
			bytes: blobs.reduce((sum, {size}) => sum + size, 0),
			files: blobs.filter(({file}) => file !== undefined).length,
			signedBy,
		};
	}

	#add(blob: PlannedBlob): void {
		const {digest, size, file} = blob;
		if (!isDigest(digest) || !Number.isSafeInteger(size) || size < 0) {
			throw new IntegrityError(`the plan has a blob ${JSON.stringify(digest).slice(0, 100)} of ${size} bytes`);
		}
		if (this.#blobs.has(digest)) {
			return;
		}
		const bytes = bytesOf(blob);
		if (bytes === undefined) {
			if (file === undefined || !isUuid(file.uuid) || !Number.isSafeInteger(file.index) || file.index < 0) {
				throw new IntegrityError(`the plan does not say where ${digest} is to be had`);
			}
			this.#blobs.set(digest, {digest, size, file});
			return;
		}
		if (bytes.length !== size || digestOf(bytes) !== digest) {
			throw new IntegrityError(`the plan has other bytes for ${digest} than it says`);
		}
		const read = this.#texts.add(bytes);
		this.#blobs.set(
			digest,
			blob.text === undefined ? new PackedBytes(digest, size, read) : new PackedText(digest, size, read),
		);
	}
}

/** `undefined`: it is a file of an image, and has to be fetched. */
export function entryBytes({text, blob}: PlanEntry): Buffer | undefined {
	return text === undefined ? bytesOf(blob) : Buffer.from(text, 'utf8');
}

/** The same of a blob. */
export function bytesOf({text, base64}: PlannedBlob): Buffer | undefined {
	if (text !== undefined) {
		return Buffer.from(text, 'utf8');
	}
	return base64 === undefined ? undefined : Buffer.from(base64, 'base64');
}

class PackedText implements PlannedBlob {
	readonly digest: string;
	readonly size: number;
	readonly #read: () => Buffer;

	constructor(digest: string, size: number, read: () => Buffer) {
		this.digest = digest;
		this.size = size;
		this.#read = read;
	}

	get text(): string {
		return this.#read().toString('utf8');
	}
}

class PackedBytes implements PlannedBlob {
	readonly digest: string;
	readonly size: number;
	readonly #read: () => Buffer;

	constructor(digest: string, size: number, read: () => Buffer) {
		this.digest = digest;
		this.size = size;
		this.#read = read;
	}

	get base64(): string {
		return this.#read().toString('base64');
	}
}
