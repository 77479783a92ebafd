/**
 * Files read piece by piece: one, or the parts of one that was split.
 *
 * Every piece is memory of its own, as whoever gets it may keep it.
 */
import {open, type FileHandle} from 'node:fs/promises';
import {IntegrityError} from '../errors.js';

export const pieceBytes = 256 * 1024;

/** Reads into `into` from a position on; fewer bytes than fit only at the end. */
export type ReadAt = (into: Buffer, position: number) => Promise<number>;

/** From `start` up to `end`. Throws IntegrityError where it ends earlier. */
export async function* readPieces({
	handle,
	path,
	start,
	end,
}: {
	readonly handle: FileHandle;
	/** For messages. */
	readonly path: string;
	readonly start: number;
	readonly end: number;
}): AsyncGenerator<Buffer, void, undefined> {
	yield* piecesOf(async (into, position) => (await handle.read(into, 0, into.length, position)).bytesRead, {
		path,
		start,
		end,
	});
}

/** The same of anything that can be read at a position. */
export async function* piecesOf(
	readAt: ReadAt,
	{path, start, end}: {readonly path: string; readonly start: number; readonly end: number},
): AsyncGenerator<Buffer, void, undefined> {
	let position = start;
	while (position < end) {
		const piece = Buffer.allocUnsafeSlow(Math.min(pieceBytes, end - position));
		let count: number;
		try {
			count = await readAt(piece, position);
		} catch (cause) {
			// Sticks and disks that are carried about get bad places. What lies elsewhere on them is well.
			throw new IntegrityError(`${path} cannot be read`, {cause});
		}
		if (count === 0) {
			throw new IntegrityError(`${path} is cut off: it ends after ${position - start} of ${end - start} bytes`);
		}
		position += count;
		yield piece.subarray(0, count);
	}
}

/** So many files may be open at once; a tar may be split into any number. */
const maxOpen = 16;

interface Part {
	readonly path: string;
	/** Of its first byte in the whole. */
	readonly position: number;
	readonly size: number;
}

/** Files that are one when put end to end. */
export class Parts {
	readonly size: number;
	readonly #parts: readonly Part[];
	/** The one used last comes last. */
	readonly #handles = new Map<Part, Promise<FileHandle>>();

	private constructor(parts: readonly Part[], size: number) {
		this.#parts = parts;
		this.size = size;
	}

	/** Throws IntegrityError for what is no plain file, and what the file system says. */
	static async open(paths: readonly string[]): Promise<Parts> {
		const parts: Part[] = [];
		let position = 0;
		for (const path of paths) {
			const handle = await open(path, 'r');
			const stats = await handle.stat().finally(() => handle.close());
			if (!stats.isFile()) {
				throw new IntegrityError(`${path} is no plain file`);
			}
			parts.push({path, position, size: stats.size});
			position += stats.size;
		}
		return new Parts(parts, position);
	}

	/** Fills `into` unless the end comes first. */
	async read(into: Buffer, position: number): Promise<number> {
		let filled = 0;
		while (filled < into.length) {
			const part = this.#partAt(position + filled);
			if (part === undefined) {
				break;
			}
			const at = position + filled - part.position;
			const wanted = Math.min(into.length - filled, part.size - at);
			const handle = await this.#handleOf(part);
			const {bytesRead} = await handle.read(into, filled, wanted, at);
			if (bytesRead === 0) {
				// It has become shorter meanwhile: what follows would be at another place than before.
				break;
			}
			filled += bytesRead;
		}
		return filled;
	}

	/** Everything, from the first byte on. */
	async *pieces(): AsyncGenerator<Buffer, void, undefined> {
		yield* piecesOf((into, position) => this.read(into, position), {
			path: this.#parts[0]?.path ?? '',
			start: 0,
			end: this.size,
		});
	}

	async close(): Promise<void> {
		const handles = [...this.#handles.values()];
		this.#handles.clear();
		await Promise.allSettled(handles.map(async handle => (await handle).close()));
	}

	#partAt(position: number): Part | undefined {
		let [low, high] = [0, this.#parts.length];
		while (low < high) {
			const middle = (low + high) >>> 1;
			const part = this.#parts[middle];
			if (part !== undefined && part.position + part.size <= position) {
				low = middle + 1;
			} else {
				high = middle;
			}
		}
		return this.#parts[low];
	}

	async #handleOf(part: Part): Promise<FileHandle> {
		const known = this.#handles.get(part);
		const opening = known ?? open(part.path, 'r');
		this.#handles.delete(part);
		this.#handles.set(part, opening);
		if (known === undefined) {
			// What cannot be opened now may be later: too many files were open, or a stick was out.
			opening.catch(() => this.#handles.delete(part));
		}
		const [oldest] = this.#handles;
		if (this.#handles.size > maxOpen && oldest !== undefined) {
			this.#handles.delete(oldest[0]);
			// Waits for what is being read of it.
			await oldest[1].then(handle => handle.close()).catch(() => undefined);
		}
		return opening;
	}
}
