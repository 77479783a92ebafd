/**
 * The bytes of a tar from its beginning on: out of a stream, or out of what can be read at any place.
 *
 * Both hold no more than the piece that they are at.
 */

export interface TarInput {
	/** How many bytes have been taken or passed over. */
	readonly position: number;
	/** So many bytes; fewer only where the input ends before. */
	take(bytes: number): Promise<Buffer>;
	/** False: the input ends before. */
	skip(bytes: number): Promise<boolean>;
}

export class StreamInput implements TarInput {
	readonly #source: AsyncIterator<Buffer>;
	/** What has come and was not taken yet. */
	#rest: Buffer = Buffer.alloc(0);
	#position = 0;
	#isEnded = false;

	constructor(source: AsyncIterable<Buffer>) {
		this.#source = source[Symbol.asyncIterator]();
	}

	get position(): number {
		return this.#position;
	}

	async take(bytes: number): Promise<Buffer> {
		const first = await this.some(bytes);
		if (first === undefined || first.length === bytes) {
			return first ?? Buffer.alloc(0);
		}
		const pieces = [first];
		for (let lacking = bytes - first.length; lacking > 0;) {
			const piece = await this.some(lacking);
			if (piece === undefined) {
				break;
			}
			pieces.push(piece);
			lacking -= piece.length;
		}
		return Buffer.concat(pieces);
	}

	async skip(bytes: number): Promise<boolean> {
		for (let lacking = bytes; lacking > 0;) {
			const piece = await this.some(lacking);
			if (piece === undefined) {
				return false;
			}
			lacking -= piece.length;
		}
		return true;
	}

	/** What is there, at least one byte and at most so many, without copying. `undefined`: the input has ended. */
	async some(most: number): Promise<Buffer | undefined> {
		while (this.#rest.length === 0) {
			if (this.#isEnded) {
				return undefined;
			}
			await this.#pull();
		}
		const piece = this.#rest.length <= most ? this.#rest : this.#rest.subarray(0, most);
		this.#rest = this.#rest.subarray(piece.length);
		this.#position += piece.length;
		return piece;
	}

	/** Lets go of the source, wherever it is. */
	async close(): Promise<void> {
		this.#rest = Buffer.alloc(0);
		if (!this.#isEnded) {
			this.#isEnded = true;
			await this.#source.return?.();
		}
	}

	async #pull(): Promise<void> {
		try {
			const next = await this.#source.next();
			if (next.done === true) {
				this.#isEnded = true;
			} else {
				this.#rest = next.value;
			}
		} catch (error) {
			this.#isEnded = true;
			throw error;
		}
	}
}

/** Reads ahead a little: one read for many small entries, and one for the header of a large one. */
const aheadBytes = 64 * 1024;

export class PlaceInput implements TarInput {
	readonly #read: (into: Buffer, position: number) => Promise<number>;
	readonly #size: number;
	readonly #ahead: Buffer;
	/** Where in the tar `#ahead` begins, and how much of it is filled. */
	#start = 0;
	#filled = 0;
	#position = 0;

	constructor(read: (into: Buffer, position: number) => Promise<number>, size: number) {
		this.#read = read;
		this.#size = size;
		this.#ahead = Buffer.alloc(Math.min(aheadBytes, Math.max(size, 1)));
	}

	get position(): number {
		return this.#position;
	}

	async take(bytes: number): Promise<Buffer> {
		const taken = Buffer.alloc(Math.max(0, Math.min(bytes, this.#size - this.#position)));
		let length = 0;
		while (length < taken.length) {
			const offset = this.#position - this.#start;
			if (offset < 0 || offset >= this.#filled) {
				await this.#fill();
				if (this.#filled === 0) {
					break;
				}
				continue;
			}
			const copied = this.#ahead.copy(taken, length, offset, this.#filled);
			length += copied;
			this.#position += copied;
		}
		return taken.subarray(0, length);
	}

	async skip(bytes: number): Promise<boolean> {
		const isThere = this.#position + bytes <= this.#size;
		this.#position = Math.min(this.#position + bytes, this.#size);
		return isThere;
	}

	async #fill(): Promise<void> {
		this.#start = this.#position;
		this.#filled = 0;
		const wanted = this.#ahead.subarray(0, Math.min(this.#ahead.length, this.#size - this.#position));
		this.#filled = await this.#read(wanted, this.#start);
	}
}
