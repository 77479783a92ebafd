/**
 * The blobs that are here, counted. The store's memory; what is on the disk is the store's to keep in step.
 *
 * Beside them stand bare files: where a blob would be, but not known to be right. They are nothing to serve, and take
 * their room all the same.
 */
import type {Metrics} from '../host.js';
import type {Sha1} from '../image/manifest.js';
import type {BlobInfo} from './blob-info.js';
import type {KeepBlob} from './built-upon.js';

export interface BareFile {
	readonly sha1: Sha1;
	readonly size: number;
	readonly changedAtMs: number;
}

export class KnownBlobs {
	readonly #metrics: Metrics;
	readonly #blobs = new Map<Sha1, BlobInfo>();
	readonly #bare = new Map<Sha1, BareFile>();
	#bytes = 0;
	#bareBytes = 0;
	#generation = 0;

	constructor(metrics: Metrics) {
		this.#metrics = metrics;
	}

	get bytes(): number {
		return this.#bytes;
	}

	get count(): number {
		return this.#blobs.size;
	}

	get bareBytes(): number {
		return this.#bareBytes;
	}

	/** Another number whenever a blob has come or gone. */
	get generation(): number {
		return this.#generation;
	}

	get(sha1: Sha1): BlobInfo | undefined {
		return this.#blobs.get(sha1);
	}

	/** It is the one that is here, and not another with the same content. */
	hasStill({sha1, storedAtMs, changedAtMs}: BlobInfo): boolean {
		const now = this.#blobs.get(sha1);
		return now?.storedAtMs === storedAtMs && now.changedAtMs === changedAtMs;
	}

	getBare(sha1: Sha1): BareFile | undefined {
		return this.#bare.get(sha1);
	}

	/** Something in this folder is not known to be right. */
	hasBareIn(folder: string): boolean {
		return [...this.#bare.keys()].some(sha1 => sha1.startsWith(folder));
	}

	list(): Iterable<BlobInfo> {
		return this.#blobs.values();
	}

	/** All that takes room. What nobody has used was used when it was stored. */
	*kept(usedAtMs: (sha1: Sha1) => number | undefined): Generator<KeepBlob, void, undefined> {
		for (const {sha1, size, storedAtMs} of this.#blobs.values()) {
			yield {sha1, size, storedAtMs, lastUsedMs: Math.max(storedAtMs, usedAtMs(sha1) ?? 0)};
		}
		for (const {sha1, size, changedAtMs} of this.#bare.values()) {
			yield {sha1, size, storedAtMs: changedAtMs, lastUsedMs: changedAtMs};
		}
	}

	set(info: BlobInfo): void {
		const before = this.#blobs.get(info.sha1);
		this.#generation += before === undefined ? 1 : 0;
		this.#bytes += info.size - (before?.size ?? 0);
		this.#blobs.set(info.sha1, info);
		this.forgetBare(info.sha1);
		this.report();
	}

	/** The file is there, and is not known to be right any more, or never was. */
	setBare(file: BareFile): void {
		this.forget(file.sha1);
		this.forgetBare(file.sha1);
		this.#bare.set(file.sha1, file);
		this.#bareBytes += file.size;
	}

	forget(sha1: Sha1): void {
		const info = this.#blobs.get(sha1);
		if (info !== undefined) {
			this.#generation++;
			this.#bytes -= info.size;
			this.#blobs.delete(sha1);
			this.report();
		}
	}

	forgetBare(sha1: Sha1): void {
		this.#bareBytes -= this.#bare.get(sha1)?.size ?? 0;
		this.#bare.delete(sha1);
	}

	report(): void {
		this.#metrics.storeBytes.set(this.#bytes);
		this.#metrics.storeBlobs.set(this.#blobs.size);
	}
}
