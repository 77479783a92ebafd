/**
 * The memory that a source's connections read into: large blocks that are filled one read after the other.
 *
 * Left to itself Node makes a small block for each read, and a file that comes in at the line's pace is thousands of
 * them. Whoever has done with what was read may give it back, then the block is used again; otherwise it is the
 * collector's. While files are read, other threads can see it, if that is wanted: whoever writes and hashes there needs no
 * copy.
 */
import type {OnReadOpts} from 'node:net';

const blockBytes = 524_288;
/** What a connection reads at once to begin with: four times as much whenever all of that has come. */
const firstRead = 65_536;
/** As much as the head of an answer may have: undici takes none that is longer. */
const headBytes = 16_384;
/** Blocks that are kept while files are read. */
const mostSpare = 8;
/** And for the next file. */
const mostSpareAtRest = 4;
/**
 * Blocks that other threads can see, and as many as a file takes that is received, written and hashed at once. The
 * collector does not count such memory, so we do, and go on using it: what those threads know of it lasts.
 */
const mostShared = 16;

interface Block {
	readonly memory: Buffer;
	readonly shared: boolean;
	/** Bytes that were read into it. */
	used: number;
	givenBack: number;
	/** Nothing more is read into it. */
	full: boolean;
	/** When it was begun, counted in files that began and ended. */
	era: number;
}

export class ReadMemory {
	readonly #blocks = new WeakMap<ArrayBufferLike, Block>();
	readonly #collected = new FinalizationRegistry(() => {
		this.#shared--;
	});
	readonly #shares: boolean;
	readonly #spareShared: Block[] = [];
	#spare: Block[] = [];
	#shared = 0;
	#files = 0;
	/** The heads of answers never come back, and a block that has one is lost: so they go where no file goes. */
	#era = 0;

	/** `shares`: whether other threads have a use for what is read. */
	constructor({shares = false}: {readonly shares?: boolean} = {}) {
		this.#shares = shares;
	}

	/** How one connection reads. `take` gets what has come; false: it wants no more for now. */
	forConnection(take: (bytes: Buffer) => boolean): OnReadOpts {
		let block: Block | undefined;
		let readBytes = firstRead;
		return {
			buffer: () => {
				// Short reads cost more than the room is worth.
				if (block?.era !== this.#era || block.memory.length - block.used < firstRead) {
					this.#retire(block);
					block = this.#begin();
				}
				return block.memory.subarray(block.used, block.used + readBytes);
			},
			callback: (bytes, view) => {
				if (bytes === readBytes) {
					readBytes = Math.min(blockBytes, readBytes * 4);
				} else if (bytes < firstRead) {
					readBytes = firstRead;
				}
				const read = Buffer.from(view.buffer, view.byteOffset, bytes);
				const {era = NaN} = block ?? {};
				if (block === undefined || (era !== this.#era && bytes <= headBytes)) {
					// It may be the head of an answer that came long after its place was chosen.
					return take(Buffer.from(read));
				}
				block.used += bytes;
				if (era === this.#era) {
					return take(read);
				}
				// It may begin with one.
				block.givenBack += headBytes;
				const wantsMore = take(Buffer.from(read.subarray(0, headBytes)));
				return take(read.subarray(headBytes)) && wantsMore;
			},
		};
	}

	/** A file is read from now on, until what is returned is called. */
	fileBegins(): () => void {
		this.#files++;
		this.#era++;
		return () => {
			this.#files--;
			this.#era++;
			if (this.#files === 0) {
				this.#spare = this.#spare.slice(0, mostSpareAtRest);
			}
		};
	}

	/** These bytes have been read here, and nobody looks at them any more. Not to be said twice of the same. */
	giveBack(chunk: Buffer): void {
		const block = this.#blocks.get(chunk.buffer);
		if (block !== undefined) {
			block.givenBack += chunk.length;
			this.#keep(block);
		}
	}

	#begin(): Block {
		const isShared = this.#shares && this.#files > 0;
		const spare = (isShared ? this.#spareShared.pop() : undefined) ?? this.#newShared(isShared) ?? this.#spare.pop();
		if (spare !== undefined) {
			return Object.assign(spare, {used: 0, givenBack: 0, full: false, era: this.#era});
		}
		return this.#add(Buffer.allocUnsafeSlow(blockBytes), false);
	}

	/** `undefined`: none is wanted, or there are enough. */
	#newShared(isWanted: boolean): Block | undefined {
		if (!isWanted || this.#shared >= mostShared) {
			return undefined;
		}
		const block = this.#add(Buffer.from(new SharedArrayBuffer(blockBytes)), true);
		this.#shared++;
		this.#collected.register(block.memory.buffer, undefined);
		return block;
	}

	#add(memory: Buffer, shared: boolean): Block {
		const block = {memory, shared, used: 0, givenBack: 0, full: false, era: this.#era};
		this.#blocks.set(memory.buffer, block);
		return block;
	}

	#retire(block: Block | undefined): void {
		if (block !== undefined) {
			block.full = true;
			this.#keep(block);
		}
	}

	#keep(block: Block): void {
		if (!block.full || block.givenBack !== block.used) {
			return;
		}
		if (block.shared) {
			this.#spareShared.push(block);
		} else if (this.#spare.length < (this.#files === 0 ? mostSpareAtRest : mostSpare)) {
			this.#spare.push(block);
		}
	}
}
