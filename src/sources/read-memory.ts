/**
 * The memory that a source's connections read into: large blocks that are filled one read after the other.
 *
 * Left to itself Node makes a small block for each read, and a file that comes in at the line's pace is thousands of
 * them. Whoever has done with what was read may give it back, then the block is used again; otherwise it is the
 * collector's.
 */
import type {OnReadOpts} from 'node:net';

const blockBytes = 524_288;
/** What a connection reads at once to begin with: four times as much whenever all of that has come. */
const firstRead = 65_536;
/** What is kept for the next file. */
const mostSpare = 8;

interface Block {
	readonly memory: Buffer;
	/** Bytes that were read into it. */
	used: number;
	givenBack: number;
	/** Nothing more is read into it. */
	full: boolean;
}

export class ReadMemory {
	readonly #blocks = new WeakMap<ArrayBufferLike, Block>();
	#spare: Block[] = [];

	/** How one connection reads. `take` gets what has come; false: it wants no more for now. */
	forConnection(take: (bytes: Buffer) => boolean): OnReadOpts {
		let block: Block | undefined;
		let readBytes = firstRead;
		return {
			buffer: () => {
				// Short reads cost more than the room is worth.
				if (block === undefined || block.memory.length - block.used < firstRead) {
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
				if (block !== undefined) {
					block.used += bytes;
				}
				return take(Buffer.from(view.buffer, view.byteOffset, bytes));
			},
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
		const spare = this.#spare.pop();
		if (spare !== undefined) {
			return Object.assign(spare, {used: 0, givenBack: 0, full: false});
		}
		const memory = Buffer.allocUnsafeSlow(blockBytes);
		const block: Block = {memory, used: 0, givenBack: 0, full: false};
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
		if (block.full && block.givenBack === block.used && this.#spare.length < mostSpare) {
			this.#spare.push(block);
		}
	}
}
