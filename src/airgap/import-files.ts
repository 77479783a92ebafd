/**
 * The files of one import: each is had from the store or from the bundle, once, however many images name it.
 *
 * Images ask for theirs with `find`, one after the other, and claim them when all are whole; what nobody has claimed in
 * the end is released by `close`. A blob is taken for what its sha256 says. Whether its sha1 and size are what an image
 * says of it is compared for each image, so that one that lies spoils no other that shares its file.
 */
import {createHash} from 'node:crypto';
import {IntegrityError, MirrorError, describe} from '../errors.js';
import type {Logger} from '../host.js';
import {isSha1, type Sha1} from '../image/manifest.js';
import type {CarryIn, TakenFile} from '../mirror-carry-api.js';
import type {Ask} from '../sources/source.js';
import {blobOf, hashed, readVerified, short, type BundleBlob, type BundleFiles, type Expected} from './bundle-files.js';
import type {Slots} from './import-slots.js';
import {hexOf, type Descriptor, type Digest} from './oci.js';

/** Up to this a file is held in memory, and the bundle is read on while the store takes it. */
export const smallBytes = 1024 * 1024;

/** What one image wants. */
export interface WantedFile {
	readonly descriptor: Descriptor;
	/** As far as the image says it. */
	readonly sha1: Sha1 | undefined;
	/** The bundle was made for somebody who has it. */
	readonly isElsewhere: boolean;
	/** Told how many bytes more of it have come. */
	readonly onBytes: (bytes: number) => void;
}

/** One image's share in a file. */
export interface FoundFile {
	/** Rejects where it cannot be had after all. */
	readonly whole: Promise<void>;
	/** Once it is whole. */
	claim(): Promise<ClaimedFile>;
	/** Instead of that, or where it failed. */
	letGo(): Promise<void>;
}

export interface ClaimedFile {
	/** `undefined`: nothing is to be kept, so nothing is held. */
	readonly taken: TakenFile | undefined;
	/** How many of its bytes came with this import. */
	readonly newBytes: number;
	/** `isKept`: an image names it from now on. Otherwise another may want it still. */
	release(isKept: boolean): Promise<void>;
}

/** What a blob has turned out to be. */
interface Facts {
	readonly sha1: Sha1;
	readonly size: number;
}

interface Unclaimed {
	readonly taken: TakenFile | undefined;
	readonly size: number;
}

export class ImportFiles {
	readonly #carry: CarryIn;
	readonly #bundle: Pick<BundleFiles, 'blob' | 'drop'>;
	readonly #slots: Slots;
	readonly #ask: Ask;
	readonly #log: Logger;
	readonly #dryRun: boolean;
	/** Everything that came out of the bundle, or what was wrong with it. */
	readonly #come = new Map<Digest, Promise<Facts>>();
	/** In the store, and no image's yet. */
	readonly #unclaimed = new Map<Digest, Unclaimed>();

	constructor(parts: {
		readonly carry: CarryIn;
		readonly bundle: Pick<BundleFiles, 'blob' | 'drop'>;
		readonly slots: Slots;
		readonly ask: Ask;
		readonly log: Logger;
		readonly dryRun: boolean;
	}) {
		this.#carry = parts.carry;
		this.#bundle = parts.bundle;
		this.#slots = parts.slots;
		this.#ask = parts.ask;
		this.#log = parts.log;
		this.#dryRun = parts.dryRun;
	}

	/**
	 * Resolves when the bundle can be read on: a small file may be on its way into the store then. Throws IntegrityError
	 * where it is not to be had, or is not what the image says.
	 */
	async find(wanted: WantedFile): Promise<FoundFile> {
		const {descriptor, sha1} = wanted;
		const {digest} = descriptor;
		// What came with this import and is nobody's yet counts as new for the first that keeps it.
		const stored = this.#unclaimed.has(digest) ? undefined : await this.#stored(descriptor, sha1);
		if (stored !== undefined) {
			try {
				await this.#bundle.drop([digest]);
			} catch (error) {
				await stored.letGo();
				throw error;
			}
			return stored;
		}
		if (!this.#come.has(digest)) {
			await this.#fetch(wanted);
		}
		const whole = this.#whole(descriptor, sha1);
		// Whoever waits for all files of an image hears of it there.
		whole.catch(() => undefined);
		return {whole, claim: () => this.#claim(digest), letGo: async () => undefined};
	}

	/** Nothing is held any more. */
	async close(): Promise<void> {
		await Promise.allSettled(this.#come.values());
		for (const {taken} of this.#unclaimed.values()) {
			await this.#release(taken);
		}
		this.#unclaimed.clear();
	}

	/** `undefined`: the store does not have it. */
	async #stored({digest, size}: Descriptor, sha1: Sha1 | undefined): Promise<FoundFile | undefined> {
		const stored = sha1 === undefined ? undefined : this.#carry.stored(sha1);
		if (stored === undefined) {
			return undefined;
		}
		if (stored.size !== size || stored.sha256 !== hexOf(digest)) {
			throw new IntegrityError(
				`the file with the sha1 ${stored.sha1} has ${stored.size} bytes and the sha256 ${stored.sha256} here: what ` +
					`the bundle says of it (${size} bytes, ${digest}) cannot be true`,
			);
		}
		const taken = this.#dryRun ? undefined : await this.#carry.holdStored(stored.sha1);
		if (taken === undefined && !this.#dryRun) {
			// It was thought to be on the disk, and is not.
			return undefined;
		}
		const release = (): Promise<void> => this.#release(taken);
		return {whole: Promise.resolve(), claim: async () => ({taken, newBytes: 0, release}), letGo: release};
	}

	/** Has the bundle give it. */
	async #fetch({descriptor, isElsewhere, onBytes}: WantedFile): Promise<void> {
		const {digest, size} = descriptor;
		if (isElsewhere) {
			throw new IntegrityError(
				`its file (${short(digest)}) is not here, and the bundle was made for a mirror that has it`,
			);
		}
		const blob = await this.#bundle.blob(digest);
		if (blob === undefined) {
			throw new IntegrityError(`its file (${short(digest)}) is not in the bundle`);
		}
		if (blob.size > smallBytes && blob.size !== size) {
			throw wrongSize(digest, blob.size, size);
		}
		// A small one is taken for what it is, as another image may tell the truth of it.
		const file = {digest, size: blob.size};
		if (blob.size <= smallBytes) {
			const giveBack = await this.#slots.take();
			const read = readVerified(blob, file, smallBytes);
			this.#begun(digest, read.then(bytes => this.#receive(blobOf(bytes), file, onBytes)).finally(giveBack));
			await read.catch(() => undefined);
			return;
		}
		const work = this.#receive(blob, file, onBytes);
		this.#begun(digest, work);
		try {
			await work;
		} catch (error) {
			// What has not been read of it is of no use to anybody.
			await this.#bundle.drop([digest]);
			throw error;
		}
	}

	#begun(digest: Digest, work: Promise<Facts>): void {
		work.catch(() => undefined);
		this.#come.set(digest, work);
	}

	/** Into the store, where nobody sees it yet. */
	async #receive(blob: BundleBlob, file: Expected, onBytes: (bytes: number) => void): Promise<Facts> {
		const {digest, size} = file;
		if (this.#dryRun) {
			const sha1 = await sha1Of(counted(hashed(blob, file), onBytes, this.#ask.signal));
			this.#unclaimed.set(digest, {taken: undefined, size});
			return {sha1, size};
		}
		// The store computes both digests in a thread of its own: once is enough.
		const body = counted(blob.read(), onBytes, this.#ask.signal);
		const taken = await this.#carry.take({sha1: undefined, size, body}, this.#ask);
		if (taken.sha256 !== hexOf(digest) || taken.size !== size) {
			await this.#release(taken);
			throw new IntegrityError(`${short(digest)} is damaged: its bytes have another digest`);
		}
		this.#unclaimed.set(digest, {taken, size});
		return {sha1: taken.sha1, size};
	}

	/** Resolves when it is here and is what this image says. */
	async #whole({digest, size}: Descriptor, told: Sha1 | undefined): Promise<void> {
		const facts = await this.#facts(digest);
		if (facts.size !== size) {
			throw wrongSize(digest, facts.size, size);
		}
		if (told !== undefined && facts.sha1 !== told) {
			throw new IntegrityError(`${short(digest)} has the sha1 ${facts.sha1}, and not ${told} as the image says`);
		}
	}

	#facts(digest: Digest): Promise<Facts> {
		const facts = this.#come.get(digest);
		if (facts === undefined) {
			throw new MirrorError(`${short(digest)} was never asked for`);
		}
		return facts;
	}

	async #claim(digest: Digest): Promise<ClaimedFile> {
		const unclaimed = this.#unclaimed.get(digest);
		if (unclaimed !== undefined) {
			this.#unclaimed.delete(digest);
			const {taken, size} = unclaimed;
			return {
				taken,
				newBytes: size,
				release: async isKept => {
					if (isKept) {
						await this.#release(taken);
					} else {
						this.#unclaimed.set(digest, unclaimed);
					}
				},
			};
		}
		const {sha1} = await this.#facts(digest);
		const taken = this.#dryRun ? undefined : await this.#carry.holdStored(sha1);
		if (taken === undefined && !this.#dryRun) {
			throw new IntegrityError(`${short(digest)} has gone from the store again`);
		}
		return {taken, newBytes: 0, release: () => this.#release(taken)};
	}

	/** An import does not fail because something stays in the store for longer than it must. */
	async #release(taken: TakenFile | undefined): Promise<void> {
		try {
			await taken?.release();
		} catch (error) {
			this.#log.warn({sha1: taken?.sha1, problem: describe(error)}, 'a file of a bundle cannot be let go of');
		}
	}
}

function wrongSize(digest: Digest, bytes: number, told: number): IntegrityError {
	return new IntegrityError(`${short(digest)} has ${bytes} bytes, and not ${told} as the image says`);
}

async function* counted(
	chunks: AsyncIterable<Buffer>,
	onBytes: (bytes: number) => void,
	signal: AbortSignal,
): AsyncGenerator<Buffer, void, undefined> {
	for await (const chunk of chunks) {
		signal.throwIfAborted();
		onBytes(chunk.length);
		yield chunk;
	}
}

async function sha1Of(chunks: AsyncIterable<Buffer>): Promise<Sha1> {
	const hash = createHash('sha1');
	for await (const chunk of chunks) {
		hash.update(chunk);
	}
	const sha1 = hash.digest('hex');
	if (!isSha1(sha1)) {
		throw new MirrorError('a digest is not one');
	}
	return sha1;
}
