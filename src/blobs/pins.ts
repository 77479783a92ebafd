/**
 * Who needs which blobs to stay, whatever happens to the images that brought them.
 *
 * The store asks before it deletes. Nothing of it is on the disk: whoever has reasons tells them again at the start.
 */
import type {Sha1} from '../image/manifest.js';

const none: ReadonlySet<string> = new Set();

export class Pins {
	readonly #reasons = new Map<Sha1, Set<string>>();

	add(sha1: Sha1, by: string): void {
		const reasons = this.#reasons.get(sha1) ?? new Set();
		this.#reasons.set(sha1, reasons.add(by));
	}

	remove(sha1: Sha1, by: string): void {
		const reasons = this.#reasons.get(sha1);
		reasons?.delete(by);
		if (reasons?.size === 0) {
			this.#reasons.delete(sha1);
		}
	}

	has(sha1: Sha1): boolean {
		return this.#reasons.has(sha1);
	}

	reasonsFor(sha1: Sha1): ReadonlySet<string> {
		return this.#reasons.get(sha1) ?? none;
	}
}
