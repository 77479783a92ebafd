/**
 * Who is told of the blob that comes of a transfer: each image that the file is wanted for, once.
 */
import type {Host} from '../host.js';
import type {BlobInfo} from './blob-info.js';
import type {OnStored} from './download-options.js';

export class StoredListeners {
	readonly #host: Host;
	readonly #byImage = new Map<string, OnStored>();

	constructor(host: Host) {
		this.#host = host;
	}

	add(image: string, onStored: OnStored): void {
		if (!this.#byImage.has(image)) {
			this.#byImage.set(image, onStored);
		}
	}

	/** Throws nothing. */
	async tell(info: BlobInfo): Promise<void> {
		for (const [image, onStored] of this.#byImage) {
			try {
				await onStored(info);
			} catch (error) {
				this.#host.log.error({err: error, image}, 'what follows a transfer failed');
			}
		}
	}
}
