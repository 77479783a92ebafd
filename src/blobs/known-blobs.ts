/**
 * The blobs that are here, counted. The store's memory; what is on the disk is the store's to keep in step.
 */
import type {Metrics} from '../host.js';
import type {Sha1} from '../image/manifest.js';
import type {BlobInfo} from './blob-info.js';

export class KnownBlobs {
	readonly #metrics: Metrics;
	readonly #blobs = new Map<Sha1, BlobInfo>();
	#bytes = 0;

	constructor(metrics: Metrics) {
		this.#metrics = metrics;
	}

	get bytes(): number {
		return this.#bytes;
	}

	get count(): number {
		return this.#blobs.size;
	}

	get(sha1: Sha1): BlobInfo | undefined {
		return this.#blobs.get(sha1);
	}

	list(): Iterable<BlobInfo> {
		return this.#blobs.values();
	}

	set(info: BlobInfo): void {
		this.#bytes += info.size - (this.#blobs.get(info.sha1)?.size ?? 0);
		this.#blobs.set(info.sha1, info);
		this.report();
	}

	forget(sha1: Sha1): void {
		this.#bytes -= this.#blobs.get(sha1)?.size ?? 0;
		this.#blobs.delete(sha1);
		this.report();
	}

	report(): void {
		this.#metrics.storeBytes.set(this.#bytes);
		this.#metrics.storeBlobs.set(this.#blobs.size);
	}
}
