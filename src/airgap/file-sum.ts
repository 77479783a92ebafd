/**
 * The bytes of files, of each once, however many images have it: as far as one can tell them apart.
 */
import type {Sha1} from '../image/manifest.js';
import type {CarryFile} from '../mirror-carry-api.js';

export class FileSum {
	readonly #counted = new Set<Sha1>();
	#bytes = 0;

	get bytes(): number {
		return this.#bytes;
	}

	add(files: readonly CarryFile[]): this {
		for (const {sha1, size} of files) {
			if (sha1 === undefined || !this.#counted.has(sha1)) {
				this.#bytes += size;
			}
			if (sha1 !== undefined) {
				this.#counted.add(sha1);
			}
		}
		return this;
	}
}
