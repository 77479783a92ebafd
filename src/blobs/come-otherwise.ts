/**
 * What a transfer does with a file that comes in otherwise while it is being fetched: sent to us, or carried here.
 *
 * Nobody need wait for a source then. Where what has come of it is how that file begins, those who follow the transfer
 * go on in it; where it is not, what has come was wrong.
 */
import type {FileHandle} from 'node:fs/promises';
import {IntegrityError, MirrorError, NoSpaceError} from '../errors.js';
import type {PartialBlob, Wanted} from './partial.js';
import type {Place} from './places.js';
import type {BlobInfo, BlobStore} from './store.js';

export interface HeldBlob {
	readonly info: BlobInfo;
	/** To be closed by whoever asked. */
	readonly blob: FileHandle;
}

const pieceBytes = 1_048_576;

export class ComeOtherwise {
	readonly #wanted: Wanted;
	readonly #store: BlobStore;
	#abort = new AbortController();

	constructor({wanted, store}: {readonly wanted: Wanted; readonly store: BlobStore}) {
		this.#wanted = wanted;
		this.#store = store;
	}

	/** It has. */
	tell(): void {
		this.#abort.abort(new MirrorError('the file has come in otherwise'));
	}

	/** Resolves when it is the transfer's turn, or the file is here. */
	async turn(place: Place, stop: AbortSignal): Promise<void> {
		let isOver = false;
		while (!isOver) {
			isOver = (await this.during(stop, signal => place.turn(signal))) || this.#info !== undefined;
		}
	}

	/** Runs `work` until it is done, or the file has come in otherwise: false. */
	async during(stop: AbortSignal, work: (signal: AbortSignal) => Promise<void>): Promise<boolean> {
		const {signal} = this.#abort;
		try {
			await work(AbortSignal.any([stop, signal]));
			return true;
		} catch (error) {
			// What the disk has not taken is not asked for again here.
			if (!signal.aborted || stop.aborted || error instanceof NoSpaceError) {
				throw error;
			}
			this.#abort = new AbortController();
			return false;
		}
	}

	/** `undefined`: it is not here. */
	async held(): Promise<HeldBlob | undefined> {
		const {size} = this.#wanted;
		const info = this.#info;
		if (info === undefined) {
			return undefined;
		}
		if (info.size !== size) {
			throw new IntegrityError(`the file with this SHA-1 has ${info.size} bytes, its manifest says ${size}`);
		}
		const blob = await this.#store.open(info.sha1);
		return blob === undefined ? undefined : {info, blob};
	}

	get #info(): BlobInfo | undefined {
		const {sha1} = this.#wanted;
		return sha1 === undefined ? undefined : this.#store.stat(sha1);
	}
}

/** Whether what has come of a file is how that one begins. */
export async function isItsBeginning({blob}: HeldBlob, partial: PartialBlob, signal: AbortSignal): Promise<boolean> {
	const [here, there] = [Buffer.allocUnsafe(pieceBytes), Buffer.allocUnsafe(pieceBytes)];
	for (let at = 0; at < partial.written;) {
		signal.throwIfAborted();
		const length = await partial.read(here, Math.min(pieceBytes, partial.written - at), at);
		const {bytesRead} = await blob.read(there, 0, length, at);
		if (length === 0 || bytesRead < length || !here.subarray(0, length).equals(there.subarray(0, length))) {
			return false;
		}
		at += length;
	}
	return true;
}
