/**
 * One client's way through a file that the disk cannot take.
 *
 * It begins with what had reached the disk and goes on in a passage, which it shares with whoever is at about the same
 * place.
 */
import {MirrorError} from '../errors.js';
import type {Timer} from '../host.js';
import type {Passage} from './passage.js';
import type {PassageOptions, Rider} from './passage-options.js';
import type {Passages} from './passages.js';
import type {Reader} from './reader.js';
import {freeBytesOf} from './watermark.js';

/** A client that has taken nothing for so long keeps no other from the source: it gives way there, and goes on later. */
const stalledMs = 2000;

export interface PassThroughOptions extends PassageOptions {
	readonly passages: Passages;
	readonly start: number;
	readonly end: number;
}

export class PassThroughReader implements Pick<Reader, 'read' | 'close'> {
	readonly #options: PassThroughOptions;
	readonly #rider: Rider;
	/** Up to where what is on the disk may be sent without more ado. */
	readonly #diskEnd: number;
	#told: {readonly supplier: string | undefined; readonly contentMd5: string | undefined} | undefined;
	#stall: Timer | undefined;
	#closed: Error | undefined;

	constructor(options: PassThroughOptions) {
		const {wanted, start, end, onDisk} = options;
		this.#options = options;
		const freeBytes = freeBytesOf(wanted);
		const verifies = end > freeBytes;
		this.#rider = {position: start, isStalled: false, heldUpMs: 0, verifies, passage: undefined};
		this.#diskEnd = Math.min(onDisk?.bytes ?? 0, freeBytes, end);
	}

	get supplier(): string | undefined {
		return (this.#rider.passage ?? this.#told)?.supplier;
	}

	get contentMd5(): string | undefined {
		return (this.#rider.passage ?? this.#told)?.contentMd5;
	}

	/** Resolves once the first byte may be sent. */
	async begin(): Promise<void> {
		if (this.#rider.position >= this.#diskEnd && !this.#isComplete) {
			await this.#board().ready(this.#rider);
		}
	}

	async read(into: Buffer): Promise<number> {
		this.#stall?.cancel();
		this.#rider.isStalled = false;
		const filled = this.#isComplete ? 0 : await this.#fill(into);
		if (this.#isComplete) {
			// Whatever the client takes its time for: it is all had.
			this.#leave();
		} else if (this.#closed === undefined) {
			this.#stall = this.#options.host.clock.after(stalledMs, () => {
				this.#rider.isStalled = true;
				this.#rider.passage?.stalled();
			});
		}
		return filled;
	}

	close(): void {
		this.#closed ??= new MirrorError('the client has gone');
		this.#stall?.cancel();
		this.#leave();
	}

	get #isComplete(): boolean {
		return this.#rider.position >= this.#options.end;
	}

	async #fill(into: Buffer): Promise<number> {
		const {onDisk, end} = this.#options;
		const {position} = this.#rider;
		if (onDisk === undefined || position >= this.#diskEnd) {
			return this.#board().take(this.#rider, into.subarray(0, end - position));
		}
		const bytes = await onDisk.partial.read(into, Math.min(into.length, this.#diskEnd - position), position);
		if (bytes === 0) {
			throw new MirrorError('what was on the disk of this file is gone');
		}
		this.#rider.position += bytes;
		return bytes;
	}

	#board(): Passage {
		if (this.#closed !== undefined) {
			throw this.#closed;
		}
		return this.#rider.passage ?? this.#options.passages.board(this.#rider, this.#options);
	}

	#leave(): void {
		const {passage} = this.#rider;
		if (passage !== undefined) {
			this.#told = {supplier: passage.supplier, contentMd5: passage.contentMd5};
			passage.leave(this.#rider);
		}
	}
}
