/**
 * The memory that file bodies are moved through: a budget shared by all responses.
 *
 * A response takes a buffer for each read and hands it back once the socket has taken its bytes. Few responses get
 * large buffers, many get small ones, and what stalled clients hold counts against what others get.
 */
export class BufferBudget {
	readonly #maxBytes: number;
	/** Taken and not handed back. */
	#heldBytes = 0;
	/** Kept for the next read; only of one size, the present one. */
	#spare: Buffer[] = [];
	#spareSize = 0;
	#users = 0;

	constructor({maxBytes = 64 * 1024 * 1024}: {maxBytes?: number} = {}) {
		this.#maxBytes = maxBytes;
	}

	/** A response begins or ends to use buffers. */
	enter(): void {
		this.#users++;
	}

	leave(): void {
		this.#users--;
		if (this.#users === 0) {
			this.#spare = [];
		}
	}

	get users(): number {
		return this.#users;
	}

	get heldBytes(): number {
		return this.#heldBytes;
	}

	/** Room for one buffer being read into while another is being sent. */
	get double(): boolean {
		return Math.min(this.#share / 2, this.#free) >= usual;
	}

	/** How large a buffer is now. */
	get size(): number {
		const fair = this.double ? this.#share / 2 : this.#share;
		const size = Math.max(smallest, Math.min(largest, fair, this.#free));
		return 2 ** Math.floor(Math.log2(size));
	}

	take(): Buffer {
		const {size} = this;
		this.#heldBytes += size;
		if (size !== this.#spareSize) {
			this.#spare = [];
			this.#spareSize = size;
		}
		return this.#spare.pop() ?? Buffer.allocUnsafeSlow(size);
	}

	/** `reusable`: nobody reads into it or sends from it any more. */
	give(buffer: Buffer, reusable: boolean): void {
		this.#heldBytes -= buffer.length;
		const fits = buffer.length === this.#spareSize && (this.#spare.length + 1) * buffer.length <= this.#maxBytes / 4;
		if (reusable && fits) {
			this.#spare.push(buffer);
		}
	}

	/** Clients that came earlier and have stalled may hold more than their share by now, so nobody gets all that is left. */
	get #free(): number {
		return (this.#maxBytes - this.#heldBytes) / 8;
	}

	get #share(): number {
		return this.#maxBytes / Math.max(1, this.#users);
	}
}

const largest = 1024 * 1024;
const usual = 64 * 1024;
const smallest = 16 * 1024;
