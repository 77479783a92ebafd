/**
 * Who is reading which blob just now: what is open is not evicted.
 *
 * The store says when somebody begins; for a handle the end is when it is closed, whoever does that. Both count as use.
 */
import type {FileHandle} from 'node:fs/promises';
import type {Sha1} from '../image/manifest.js';

export class Readers {
	readonly #counts = new Map<Sha1, number>();
	readonly #onUse: (sha1: Sha1) => void;

	constructor(onUse: (sha1: Sha1) => void) {
		this.#onUse = onUse;
	}

	has(sha1: Sha1): boolean {
		return this.#counts.has(sha1);
	}

	/** Returns what ends it; to be called at least once. */
	begin(sha1: Sha1): () => void {
		this.#counts.set(sha1, (this.#counts.get(sha1) ?? 0) + 1);
		this.#onUse(sha1);
		let isOver = false;
		return () => {
			if (isOver) {
				return;
			}
			isOver = true;
			this.#onUse(sha1);
			this.#end(sha1);
		};
	}

	/** Runs `open` as a reader of the blob, and what it resolves with until that is closed. */
	async opening(sha1: Sha1, open: () => Promise<FileHandle | undefined>): Promise<FileHandle | undefined> {
		// Before the file is open: in between, it must not go either.
		this.#counts.set(sha1, (this.#counts.get(sha1) ?? 0) + 1);
		try {
			const handle = await open();
			if (handle !== undefined && tellsOfClose(handle)) {
				handle.once('close', this.begin(sha1));
			}
			return handle;
		} finally {
			this.#end(sha1);
		}
	}

	#end(sha1: Sha1): void {
		const left = (this.#counts.get(sha1) ?? 0) - 1;
		if (left > 0) {
			this.#counts.set(sha1, left);
		} else {
			this.#counts.delete(sha1);
		}
	}
}

/** Every handle does (https://nodejs.org/api/fs.html#event-close), which its type does not say. */
function tellsOfClose(handle: FileHandle): handle is FileHandle & {once(event: 'close', listen: () => void): unknown} {
	return 'once' in handle && typeof handle.once === 'function';
}
