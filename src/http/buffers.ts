/**
 * The memory that file bodies are moved through: a budget shared by all responses.
 *
 * A response takes a buffer for each read and hands it back once the socket has taken its bytes. Few responses get
 * large buffers, many get small ones, and what stalled clients hold counts against what others get.
 */
export class BufferBudget {
	readonly maxBytes: number;
	/** Taken and not handed back. */
	#heldBytes = 0;
	/** Kept for later reads, by size. */
	readonly #spare = new Map<number, Buffer[]>();
	#spareBytes = 0;
	#users = 0;

	constructor({maxBytes = 28 * mebibyte}: {maxBytes?: number} = {}) {
		this.maxBytes = maxBytes;
	}

	/** A response begins or ends to use buffers. */
	enter(): void {
		this.#users++;
	}

	leave(): void {
		this.#users--;
		if (this.#users === 0) {
			this.#drop();
		}
	}

	get users(): number {
		return this.#users;
	}

	get heldBytes(): number {
		return this.#heldBytes;
	}

	/** What lies idle. */
	get spareBytes(): number {
		return this.#spareBytes;
	}

	/** One buffer is read into while another is being sent: many responses have each other's time for that. */
	get double(): boolean {
		return Math.min(this.#share / 2, this.#free) >= large;
	}

	/** How large a buffer is now. */
	get size(): number {
		const fair = this.double ? this.#share / 2 : this.#share;
		const size = Math.max(smallest, Math.min(largest, fair, this.#free));
		return 2 ** Math.floor(Math.log2(size));
	}

	take(): Buffer {
		const {size} = this;
		const isRoom = this.#heldBytes + this.#spareBytes + size <= this.maxBytes;
		// Rather one of half the size than that what is kept goes.
		const kept = this.#pop(size) ?? (isRoom ? undefined : this.#pop(size / 2));
		if (kept === undefined && !isRoom) {
			this.#drop();
		}
		const buffer = kept ?? Buffer.allocUnsafeSlow(size);
		this.#heldBytes += buffer.length;
		return buffer;
	}

	/** `reusable`: nobody reads into it or sends from it any more. */
	give(buffer: Buffer, reusable: boolean): void {
		this.#heldBytes -= buffer.length;
		if (reusable && this.#heldBytes + this.#spareBytes + buffer.length <= this.maxBytes) {
			this.#keep(buffer);
		}
	}

	/** Clients that came earlier and have stalled may hold more than their share by now, so nobody gets all that is left. */
	get #free(): number {
		return (this.maxBytes - this.#heldBytes) / 8;
	}

	get #share(): number {
		return (this.maxBytes * overcommitted) / Math.max(1, this.#users);
	}

	#keep(buffer: Buffer): void {
		const kept = this.#spare.get(buffer.length);
		if (kept === undefined) {
			this.#spare.set(buffer.length, [buffer]);
		} else {
			kept.push(buffer);
		}
		this.#spareBytes += buffer.length;
	}

	/** One of that size, if need be half of a larger one: what is dropped is memory until the collector comes. */
	#pop(size: number): Buffer | undefined {
		const kept = this.#spare.get(size)?.pop();
		if (kept !== undefined) {
			this.#spareBytes -= size;
			return kept;
		}
		const twice = size < largest ? this.#pop(size * 2) : undefined;
		if (twice !== undefined) {
			this.#keep(twice.subarray(size));
		}
		return twice?.subarray(0, size);
	}

	#drop(): void {
		this.#spare.clear();
		this.#spareBytes = 0;
	}
}

const mebibyte = 1024 * 1024;
const largest = mebibyte;
const large = 512 * 1024;
const smallest = 16 * 1024;
/** Hardly ever has everybody a buffer at the same time; who comes when all is taken gets a small one. */
const overcommitted = 8 / 7;
