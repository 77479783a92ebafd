/**
 * Icons that were had from sources lately, so that an upstream's absence does not show.
 *
 * They are small and few: some megabytes of them are kept in memory, the oldest go first. The mirror asks here before
 * it asks a source; an icon is kept under the text of its manifest, as another manifest may mean another icon.
 */
import {createHash} from 'node:crypto';
import type {Manifest} from './image/manifest.js';
import type {IconFile} from './mirror.js';

export class IconCache {
	readonly #maxBytes: number;
	readonly #icons = new Map<string, IconFile>();
	#bytes = 0;

	constructor({maxBytes = 8_388_608}: {maxBytes?: number} = {}) {
		this.#maxBytes = maxBytes;
	}

	get(manifest: Manifest): IconFile | undefined {
		return this.#icons.get(keyOf(manifest));
	}

	keep(manifest: Manifest, icon: IconFile): void {
		const key = keyOf(manifest);
		// Two clients may have had the same one fetched at once.
		this.#drop(key);
		this.#icons.set(key, icon);
		this.#bytes += icon.bytes.length;
		for (const oldest of this.#icons.keys()) {
			if (this.#bytes <= this.#maxBytes) {
				break;
			}
			this.#drop(oldest);
		}
	}

	#drop(key: string): void {
		this.#bytes -= this.#icons.get(key)?.bytes.length ?? 0;
		this.#icons.delete(key);
	}
}

function keyOf({text}: Manifest): string {
	return createHash('sha1').update(text).digest('hex');
}
