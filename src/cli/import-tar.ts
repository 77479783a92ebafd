/**
 * What goes over the wire of a bundle that can be read here: a tar of it, in the order in which the server wants it,
 * without the files that are there already.
 *
 * The plan is made before the first byte goes, so the size is known. Whether bytes are right is the server's to find
 * out; what is missing here is not sent, and the server names the images that lack it.
 */
import {readVerified, type BundleBlob, type BundleFiles, type Expected} from '../airgap/bundle-files.js';
import {gathered} from '../airgap/gathered.js';
import type {Have} from '../airgap/have.js';
import {blobPath, layoutText, maxManifestBytes, parseImage, parseIndex, type BundleImage} from '../airgap/oci.js';
import {annotationNames} from '../airgap/oci-terms.js';
import {headerBytes, padding, tarEnd, tarHeader} from '../airgap/tar-write.js';
import {IntegrityError, MirrorError, describe} from '../errors.js';

/** What there is, and what of it goes. */
export interface Amounts {
	readonly images: number;
	/** Of their files, as the bundle speaks of them. */
	readonly bytes: number;
	/** Images that the far side has as they are, and those that it has with something else said of them. */
	readonly there: number;
	readonly changed: number;
	/** Of the files that go. */
	readonly bytesToSend: number;
}

interface Entry {
	readonly path: string;
	readonly size: number;
	/** `sha256:…`, or the bytes themselves. */
	readonly from: string | Buffer;
}

interface TarOptions {
	/** Told of what is found out only while it is sent. */
	readonly warn: (message: string) => void;
	readonly signal: AbortSignal;
}

/** After so many blobs in a row that cannot be read it is not they that are broken. */
const mostUnreadable = 3;
/** Small ones go together: each piece is a write of its own. */
const gatheredBytes = 64 * 1024;
const zeros = Buffer.alloc(gatheredBytes);

export class BundleTar {
	readonly amounts: Amounts;
	/** Of the tar. */
	readonly size: number;
	readonly #files: BundleFiles;
	readonly #entries: readonly Entry[];

	private constructor(files: BundleFiles, entries: readonly Entry[], amounts: Amounts) {
		this.#files = files;
		this.#entries = entries;
		this.amounts = amounts;
		this.size = entries.reduce((sum, {size}) => sum + headerBytes(size) + size + padding(size), tarEnd.length);
	}

	/** Throws IntegrityError where there is no index that can be read. */
	static async plan(files: BundleFiles, have: Have, signal: AbortSignal): Promise<BundleTar> {
		const plan = new Plan(files, have);
		const index = await files.index();
		plan.addBytes('oci-layout', Buffer.from(layoutText));
		plan.addBytes('index.json', index);
		const signature = await files.signature();
		if (signature !== undefined) {
			plan.addBytes('index.json.sig', signature);
		}
		for (const {descriptor, name, foreign} of parseIndex(index)) {
			signal.throwIfAborted();
			if (!foreign) {
				await plan.addImage(descriptor, name);
			}
		}
		return new BundleTar(files, plan.entries, plan.amounts);
	}

	/** All of it, in pieces of some size. Throws MirrorError where the bundle cannot be read any more. */
	async *pieces({warn, signal}: TarOptions): AsyncGenerator<Buffer, void, undefined> {
		for await (const piece of gathered(this.#all(warn), gatheredBytes)) {
			signal.throwIfAborted();
			yield piece;
		}
	}

	async *#all(warn: (message: string) => void): AsyncGenerator<Buffer, void, undefined> {
		let unreadable = 0;
		for (const {path, size, from} of this.#entries) {
			yield tarHeader(path, size);
			if (Buffer.isBuffer(from)) {
				yield from;
			} else {
				const problem = yield* this.#blob(from, size);
				unreadable = problem === undefined ? 0 : unreadable + 1;
				if (unreadable >= mostUnreadable) {
					throw new MirrorError(`${this.#files.name} cannot be read any more (is it still there?): ${problem ?? ''}`);
				}
				if (problem !== undefined) {
					warn(`${path} cannot be read: ${problem}`);
				}
			}
			yield zeros.subarray(0, padding(size));
		}
		yield tarEnd;
	}

	/**
	 * As many bytes as were promised. Where they cannot be read, zeros go in their place: the server finds that they are
	 * not what they should be, and the images behind them come through all the same. Returns what is wrong.
	 */
	async *#blob(digest: string, size: number): AsyncGenerator<Buffer, string | undefined, undefined> {
		let sent = 0;
		let problem: string | undefined;
		try {
			const blob = await this.#files.blob(digest);
			for await (const piece of blob?.read() ?? []) {
				// It may have grown meanwhile.
				const bytes = piece.subarray(0, size - sent);
				sent += bytes.length;
				yield bytes;
			}
			if (sent < size) {
				problem = blob === undefined ? 'it has gone' : 'it has become shorter';
			}
		} catch (error) {
			problem = describe(error);
		}
		while (sent < size) {
			const bytes = zeros.subarray(0, size - sent);
			sent += bytes.length;
			yield bytes;
		}
		return problem;
	}
}

class Plan {
	readonly #files: BundleFiles;
	readonly #have: Have;
	readonly #paths = new Set<string>();
	readonly #entries: Entry[] = [];
	readonly #amounts = {images: 0, bytes: 0, there: 0, changed: 0, bytesToSend: 0};

	constructor(files: BundleFiles, have: Have) {
		this.#files = files;
		this.#have = have;
	}

	get entries(): readonly Entry[] {
		return this.#entries;
	}

	get amounts(): Amounts {
		return this.#amounts;
	}

	addBytes(path: string, bytes: Buffer): void {
		this.#entries.push({path, size: bytes.length, from: bytes});
	}

	async addImage(descriptor: Expected, name: string): Promise<void> {
		this.#amounts.images++;
		const blob = await this.#find(descriptor);
		if (blob === undefined) {
			return;
		}
		this.#add(descriptor);
		const image = await readImage(blob, descriptor);
		if (image === undefined) {
			return;
		}
		const {config, files, icon, annotations} = image;
		const standing = this.#have.has(annotations[annotationNames.uuid] ?? name, config.digest.replace(/^sha256:/, ''));
		this.#amounts.there += Number(standing === 'same');
		this.#amounts.changed += Number(standing === 'changed');
		await this.#addIfThere(config);
		for (const {descriptor: file, sha1} of files) {
			this.#amounts.bytes += file.size;
			if ((sha1 === undefined || !this.#have.hasFile(sha1)) && (await this.#addIfThere(file))) {
				this.#amounts.bytesToSend += file.size;
			}
		}
		if (icon !== undefined) {
			await this.#addIfThere(icon);
		}
	}

	/** True: it goes, and did not before. */
	async #addIfThere(expected: Expected): Promise<boolean> {
		return (await this.#find(expected)) !== undefined && this.#add(expected);
	}

	#add({digest, size}: Expected): boolean {
		const path = blobPath(digest);
		if (this.#paths.has(path)) {
			return false;
		}
		this.#paths.add(path);
		this.#entries.push({path, size, from: digest});
		return true;
	}

	/** `undefined`: what lies there, if anything does, cannot be what is meant. */
	async #find({digest, size}: Expected): Promise<BundleBlob | undefined> {
		const blob = await unlessBroken(this.#files.blob(digest));
		return blob?.size === size ? blob : undefined;
	}
}

/** `undefined`: something is wrong with it, and the server will say what. */
async function readImage(blob: BundleBlob, descriptor: Expected): Promise<BundleImage | undefined> {
	return unlessBroken(readVerified(blob, descriptor, maxManifestBytes).then(parseImage));
}

async function unlessBroken<T>(reading: Promise<T>): Promise<T | undefined> {
	try {
		return await reading;
	} catch (error) {
		if (error instanceof IntegrityError) {
			return undefined;
		}
		throw error;
	}
}
