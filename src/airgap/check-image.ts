/**
 * One image of a bundle, checked without a mirror: whether all that it needs is there, and is what it should be.
 *
 * `check-bundle.ts` goes through all of them, in the order of the index. What is found wrong is returned in words; only
 * what has nothing to do with the bundle is thrown.
 */
import {createHash} from 'node:crypto';
import {IntegrityError} from '../errors.js';
import {hashed, readVerified, short, type BundleFiles} from './bundle-files.js';
import {
	checkConfig,
	maxIconBytes,
	maxManifestBytes,
	parseImage,
	type BundleEntry,
	type BundleImage,
	type CheckedConfig,
	type Descriptor,
} from './oci.js';

export interface ImageFindings {
	/** `undefined`: it cannot even be read. */
	readonly config: CheckedConfig | undefined;
	/** Of its files, whether or not they are in the bundle. */
	readonly size: number;
	/** `undefined`: it is right. */
	readonly problem: string | undefined;
}

/** So often, in bytes, somebody is told how far it is. */
const tellBytes = 4 * 1024 * 1024;

export class ImageChecks {
	readonly #files: BundleFiles;
	readonly #deep: boolean;
	readonly #signal: AbortSignal;
	/** Files that were read before, as images may share them: their sha1, or what is wrong with them. */
	readonly #known = new Map<string, {readonly sha1?: string; readonly problem?: string}>();
	#bytesDone = 0;

	/** `deep`: every byte is read. */
	constructor({
		files,
		deep,
		signal,
	}: {
		readonly files: BundleFiles;
		readonly deep: boolean;
		readonly signal: AbortSignal;
	}) {
		this.#files = files;
		this.#deep = deep;
		this.#signal = signal;
	}

	/** Yields how many bytes of files have been dealt with in all. */
	async *check(entry: BundleEntry): AsyncGenerator<number, ImageFindings, undefined> {
		let image: BundleImage | undefined;
		let config: CheckedConfig | undefined;
		let problem: string | undefined;
		try {
			image = parseImage(await this.#read(entry.descriptor, 'its OCI manifest', maxManifestBytes));
			config = checkConfig(image, await this.#read(image.config, 'its manifest', maxManifestBytes));
			for (const [index, {descriptor, sha1}] of image.files.entries()) {
				if (!entry.filesElsewhere) {
					yield* this.#checkFile(descriptor, config.manifest.files[index]?.sha1 ?? sha1);
				}
			}
			if (image.icon !== undefined) {
				await this.#read(image.icon, 'its icon', maxIconBytes, true);
			}
		} catch (error) {
			if (!(error instanceof IntegrityError)) {
				throw error;
			}
			problem = error.message;
			// A stream would keep what it takes for needed.
			await this.#files.drop(image?.files.map(({descriptor}) => descriptor.digest) ?? []);
		}
		const size = image?.files.reduce((sum, {descriptor}) => sum + descriptor.size, 0) ?? 0;
		return {config, size, problem};
	}

	async #read({digest, size}: Descriptor, what: string, maxBytes: number, again = false): Promise<Buffer> {
		this.#signal.throwIfAborted();
		const blob = await this.#files.blob(digest, {again});
		if (blob === undefined) {
			throw new IntegrityError(`${what} is missing (${short(digest)})`);
		}
		try {
			return await readVerified(blob, {digest, size}, maxBytes);
		} catch (error) {
			throw error instanceof IntegrityError
				? new IntegrityError(`${what}: ${error.message}`, {cause: error.cause})
				: error;
		}
	}

	async *#checkFile(descriptor: Descriptor, sha1: string | undefined): AsyncGenerator<number, void, undefined> {
		const {digest} = descriptor;
		let found = this.#known.get(digest);
		if (found === undefined) {
			try {
				found = yield* this.#readFile(descriptor);
			} catch (error) {
				if (!(error instanceof IntegrityError)) {
					throw error;
				}
				found = {problem: error.message};
			}
			this.#known.set(digest, found);
		}
		if (found.problem !== undefined) {
			throw new IntegrityError(`its file: ${found.problem}`);
		}
		if (sha1 !== undefined && found.sha1 !== undefined && found.sha1 !== sha1) {
			throw new IntegrityError(`its file has the sha1 ${found.sha1}, and should have ${sha1}`);
		}
	}

	async *#readFile({digest, size}: Descriptor): AsyncGenerator<number, {readonly sha1?: string}, undefined> {
		const before = this.#bytesDone;
		const blob = await this.#files.blob(digest);
		if (blob === undefined) {
			throw new IntegrityError(`${short(digest)} is missing`);
		}
		if (!this.#deep) {
			await this.#files.drop([digest]);
			if (blob.size !== size) {
				throw new IntegrityError(`${short(digest)} has ${blob.size} bytes instead of ${size}`);
			}
			return {};
		}
		const hash = createHash('sha1');
		let told = before;
		try {
			for await (const chunk of hashed(blob, {digest, size})) {
				this.#signal.throwIfAborted();
				hash.update(chunk);
				this.#bytesDone += chunk.length;
				if (this.#bytesDone - told >= tellBytes) {
					told = this.#bytesDone;
					yield told;
				}
			}
		} finally {
			// What is damaged has been dealt with as well.
			this.#bytesDone = before + size;
		}
		yield this.#bytesDone;
		return {sha1: hash.digest('hex')};
	}
}
