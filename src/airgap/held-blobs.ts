/**
 * Blobs of a stream that came before they were asked for: small ones in memory while there is room, others on a disk.
 *
 * `StreamBundle` puts them here. Where the disk has no room for one, that is remembered, and said to whoever asks for it.
 */
import {IntegrityError, NoSpaceError} from '../errors.js';
import {short, type BundleBlob} from './bundle-files.js';
import type {KeptBlob, Spool} from './spool.js';

const smallBytes = 64 * 1024;
const memoryBytes = 16 * 1024 * 1024;

export class HeldBlobs {
	readonly #spool: Spool;
	readonly #blobs = new Map<string, KeptBlob>();
	readonly #lost = new Map<string, NoSpaceError>();
	/** Of those in memory. */
	#bytes = 0;

	constructor(spool: Spool) {
		this.#spool = spool;
	}

	/** `undefined`: it is not here. Throws NoSpaceError where it came and could not be kept. */
	get(digest: string): BundleBlob | undefined {
		const lost = this.#lost.get(digest);
		if (lost !== undefined) {
			throw new NoSpaceError(`${short(digest)} came too early in the stream: ${lost.message}`, {cause: lost});
		}
		return this.#blobs.get(digest);
	}

	has(digest: string): boolean {
		return this.#blobs.has(digest) || this.#lost.has(digest);
	}

	/**
	 * Throws NoSpaceError before anything of `body` is read, or later where others have filled the disk meanwhile. Where
	 * `body` ends early with an IntegrityError, whoever reads it will be told.
	 */
	async keep(digest: string, size: number, body: AsyncIterable<Buffer>): Promise<void> {
		try {
			const isSmall = size <= smallBytes && this.#bytes + size <= memoryBytes;
			this.#blobs.set(digest, isSmall ? await this.#inMemory(size, body) : await this.#onDisk(size, body));
		} catch (error) {
			if (error instanceof NoSpaceError) {
				this.#lost.set(digest, error);
			}
			throw error;
		}
	}

	async drop(digest: string): Promise<void> {
		this.#lost.delete(digest);
		const blob = this.#blobs.get(digest);
		this.#blobs.delete(digest);
		await blob?.remove();
	}

	async close(): Promise<void> {
		this.#blobs.clear();
		await this.#spool.close();
	}

	async #inMemory(size: number, body: AsyncIterable<Buffer>): Promise<KeptBlob> {
		this.#bytes += size;
		const {bytes, cut} = await readAll(body);
		return {
			...memoryBlob(bytes, size, cut),
			remove: async () => {
				this.#bytes -= size;
			},
		};
	}

	async #onDisk(size: number, body: AsyncIterable<Buffer>): Promise<KeptBlob> {
		const file = await this.#spool.create(size);
		try {
			for await (const chunk of body) {
				await file.write(chunk);
			}
		} catch (error) {
			if (!(error instanceof IntegrityError)) {
				await file.discard();
				throw error;
			}
		}
		return file.end();
	}
}

interface Whole {
	/** A copy: what comes in pieces may be a part of much more. */
	readonly bytes: Buffer;
	/** Why there is no more of it. */
	readonly cut: IntegrityError | undefined;
}

export async function readAll(body: AsyncIterable<Buffer>): Promise<Whole> {
	const chunks: Buffer[] = [];
	let cut: IntegrityError | undefined;
	try {
		for await (const chunk of body) {
			chunks.push(chunk);
		}
	} catch (error) {
		if (!(error instanceof IntegrityError)) {
			throw error;
		}
		cut = error;
	}
	return {bytes: Buffer.concat(chunks), cut};
}

/** A blob of that size, of which there may be less. */
export function memoryBlob(bytes: Buffer, size: number, cut: IntegrityError | undefined): BundleBlob {
	return {
		size,
		async *read(start = 0) {
			if (start < bytes.length) {
				yield bytes.subarray(start);
			}
			if (cut !== undefined) {
				throw cut;
			}
		},
	};
}
