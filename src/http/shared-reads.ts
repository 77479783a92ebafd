/**
 * Reading files for those who are sent them: what several clients need at about the same time is read once.
 *
 * A fleet that was told to in the same minute is at the same place of the same file, more or less, and stays together:
 * who is behind finds what has been read already, who is ahead has to read it. Pieces lie in buffers of the budget, are
 * sent to any number of clients, and are kept for a while for those who come later.
 */
import type {FileReader} from '../mirror.js';
import type {BufferBudget} from './buffers.js';

/** What comes next. */
export interface Piece {
	/** At least one byte, unless that was all. */
	readonly bytes: Buffer;
	/** To be called once whoever took it does not look at it any more. `reusable`: nor does the system on its behalf. */
	readonly release: (reusable: boolean) => void;
}

/** A part of a file, read or being read. */
interface Shared {
	readonly of: Content;
	readonly start: number;
	readonly buffer: Buffer;
	/** Resolves when it has been read, or that has failed; then it is not to be found any more. */
	readonly reading: Promise<void>;
	/** What it is meant to have, and once it has been read: what it has. */
	length: number;
	isRead: boolean;
	hasFailed: boolean;
	users: number;
	isReusable: boolean;
}

/** A file that somebody is being sent. */
interface Content {
	clients: number;
	/** By where they begin. */
	readonly pieces: Map<number, Shared>;
}

/** What buffers may have: pieces end at multiples of that, so that those meet who began anywhere. */
const smallestBytes = 16_384;
const largestBytes = 1_048_576;
/** Of the budget so much is kept for those who are behind. */
const idleShare = 1 / 7;

export class SharedReads {
	readonly #budget: BufferBudget;
	readonly #contents = new Map<object, Content>();
	/** Nobody is looking at them; first the one that has been so for longest. */
	readonly #idle = new Set<Shared>();
	#idleBytes = 0;

	constructor(budget: BufferBudget) {
		this.#budget = budget;
	}

	/** One piece is read while another is being sent. */
	get double(): boolean {
		return this.#budget.double;
	}

	/** A client begins to be sent a file. Returns how that ends. Of the budget, all who have the same file have one share. */
	enter({content}: FileReader): () => void {
		if (content === undefined) {
			this.#budget.enter();
			return () => this.#budget.leave();
		}
		const entered = this.#contents.get(content) ?? {clients: 0, pieces: new Map<number, Shared>()};
		if (entered.clients === 0) {
			this.#contents.set(content, entered);
			this.#budget.enter();
		}
		entered.clients++;
		return () => this.#leave(content, entered);
	}

	/** What comes next for this reader. Throws what reading throws. */
	async next(reader: FileReader): Promise<Piece> {
		for (;;) {
			let stretch = reader.stretch();
			if (stretch === undefined) {
				await reader.ready();
				stretch = reader.stretch();
			}
			const content = reader.content === undefined ? undefined : this.#contents.get(reader.content);
			const found = stretch === undefined || content === undefined ? undefined : pieceAt(content, stretch.position);
			if (stretch === undefined || content === undefined || (found === undefined && content.clients < 2)) {
				return this.#readAlone(reader);
			}
			if (found === undefined) {
				return (await this.#readFirst(reader, content, stretch.position)) ?? this.#readAlone(reader);
			}
			if (found.isRead) {
				const from = stretch.position - found.start;
				const bytes = found.buffer.subarray(from, Math.min(found.length, from + stretch.length));
				reader.skip(bytes.length);
				this.#use(found);
				return {bytes, release: reusable => this.#release(found, reusable)};
			}
			await found.reading;
			if (found.hasFailed) {
				// Not one after another: the disk may take its time for each.
				return this.#readAlone(reader);
			}
		}
	}

	async #readAlone(reader: FileReader): Promise<Piece> {
		const buffer = this.#budget.take();
		try {
			const length = await reader.read(buffer);
			return {bytes: buffer.subarray(0, length), release: reusable => this.#budget.give(buffer, reusable)};
		} catch (error) {
			this.#budget.give(buffer, false);
			throw error;
		}
	}

	/** Whoever comes to the same place meanwhile waits for it. `undefined`: it was not to be had like that. */
	async #readFirst(reader: FileReader, of: Content, start: number): Promise<Piece | undefined> {
		const {content} = reader;
		const buffer = this.#budget.take();
		let done = (): void => undefined;
		const reading = new Promise<void>(resolve => {
			done = resolve;
		});
		const length = buffer.length - (start % buffer.length);
		const states = {isRead: false, hasFailed: false, isReusable: true};
		const piece: Shared = {...{of, start, buffer, reading, length, users: 1}, ...states};
		of.pieces.set(start, piece);
		try {
			piece.length = await reader.readStretch(buffer.subarray(0, length));
			piece.isRead = true;
			if (piece.length === 0 || reader.content !== content) {
				// The file began again meanwhile, or is not kept: this is nobody else's.
				this.#forget(piece);
			}
			if (piece.length === 0) {
				this.#release(piece, true);
				return undefined;
			}
			const bytes = buffer.subarray(0, piece.length);
			return {bytes, release: reusable => this.#release(piece, reusable)};
		} catch (error) {
			piece.hasFailed = true;
			this.#forget(piece);
			this.#release(piece, false);
			throw error;
		} finally {
			done();
		}
	}

	#use(piece: Shared): void {
		piece.users++;
		if (this.#idle.delete(piece)) {
			this.#idleBytes -= piece.buffer.length;
		}
	}

	#release(piece: Shared, reusable: boolean): void {
		piece.users--;
		piece.isReusable &&= reusable;
		if (piece.users > 0) {
			return;
		}
		if (piece.of.clients > 1 && piece.of.pieces.get(piece.start) === piece) {
			this.#idle.add(piece);
			this.#idleBytes += piece.buffer.length;
			this.#trim();
		} else {
			this.#drop(piece);
		}
	}

	#trim(): void {
		for (const oldest of this.#idle) {
			if (this.#idleBytes <= this.#budget.maxBytes * idleShare) {
				return;
			}
			this.#drop(oldest);
		}
	}

	/** Its memory goes to whoever needs some next. */
	#drop(piece: Shared): void {
		if (this.#idle.delete(piece)) {
			this.#idleBytes -= piece.buffer.length;
		}
		this.#forget(piece);
		this.#budget.give(piece.buffer, piece.isReusable);
	}

	#forget(piece: Shared): void {
		if (piece.of.pieces.get(piece.start) === piece) {
			piece.of.pieces.delete(piece.start);
		}
	}

	#leave(content: object, left: Content): void {
		left.clients--;
		if (left.clients < 2) {
			for (const piece of left.pieces.values()) {
				if (piece.users === 0) {
					this.#drop(piece);
				}
			}
		}
		if (left.clients === 0) {
			this.#contents.delete(content);
			this.#budget.leave();
		}
	}
}

function pieceAt({pieces}: Content, position: number): Shared | undefined {
	for (let size = 1; size <= largestBytes; size = size === 1 ? smallestBytes : size * 2) {
		const piece = pieces.get(position - (position % size));
		if (piece !== undefined && position < piece.start + piece.length) {
			return piece;
		}
	}
	return undefined;
}
