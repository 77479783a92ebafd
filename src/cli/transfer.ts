/**
 * One upload from its first byte to the image that came of it, whatever the line does meanwhile.
 *
 * After every failure the server is asked how far it got, and the sending goes on from there: what it has on disk is
 * not sent twice. Bytes are let go of only when the server has acknowledged them.
 */
import {MirrorError} from '../errors.js';
import {AnswerError, ConnectionError} from './client-errors.js';
import type {Patience} from './patience.js';
import type {Standing, Tus} from './tus.js';
import {GoneError, type UploadBytes} from './upload-bytes.js';

export interface TransferOptions {
	readonly tus: Tus;
	readonly bytes: UploadBytes;
	readonly metadata: ReadonlyMap<string, string>;
	readonly patience: Patience;
	/** An upload that an earlier run began. */
	readonly begun?: string | undefined;
	/** Called with the name of every upload that is begun, before any byte is sent. */
	readonly onBegun?: (id: string) => Promise<void>;
	/** How many bytes the server has, or will have when what is on its way arrives. */
	readonly onProgress: (bytes: number) => void;
	readonly say: (text: string) => void;
}

/** How often an upload that its server has lost is begun anew. */
const mostBeginnings = 3;

export class Transfer {
	readonly #options: TransferOptions;
	#id: string | undefined;
	#beginnings = 0;
	/** `undefined`: the server has to be asked. */
	#standing: Standing | undefined;
	#expires: string | undefined;
	#acknowledged = 0;
	/** The server did not want bytes at this offset. */
	#conflict: {readonly at: number; readonly error: AnswerError} | undefined;

	constructor(options: TransferOptions) {
		this.#options = options;
		this.#id = options.begun;
	}

	/** The upload on the server, if there is one. */
	get id(): string | undefined {
		return this.#id;
	}

	/** Until when the server keeps it, if it says so. */
	get expires(): string | undefined {
		return this.#expires;
	}

	/** Resolves with the uuid of the image. */
	async run(): Promise<string> {
		const {patience} = this.#options;
		for (;;) {
			try {
				const image = await this.#step();
				if (image !== undefined) {
					return image;
				}
			} catch (error) {
				// Whatever it was: only the server knows how far it got.
				const at = this.#standing?.offset;
				this.#standing = undefined;
				if (isLost(error) && this.#id !== undefined) {
					this.#startOver(error);
				} else if (isConflict(error) && at !== undefined) {
					this.#conflict = {at, error};
				} else {
					await patience.after(error);
				}
			}
		}
	}

	/** One request, and what follows from its answer. `undefined`: there is more to do. */
	async #step(): Promise<string | undefined> {
		const {tus, bytes, metadata, onBegun} = this.#options;
		if (this.#id === undefined) {
			this.#beginnings++;
			this.#id = await tus.create(metadata, bytes.rereadable ? bytes.size : undefined);
			this.#standing = {offset: 0, size: undefined, image: undefined, expires: undefined};
			await onBegun?.(this.#id);
			return undefined;
		}
		if (this.#standing !== undefined) {
			return this.#append(this.#id, this.#standing);
		}
		const standing = await tus.standing(this.#id);
		if (this.#conflict?.at === standing.offset) {
			// It was not about the offset, so asking again changes nothing.
			throw this.#conflict.error;
		}
		this.#conflict = undefined;
		this.#take(standing);
		return standing.image;
	}

	async #append(id: string, {offset, size}: Standing): Promise<string | undefined> {
		const {tus, bytes, onProgress} = this.#options;
		if (bytes.size !== undefined && offset > bytes.size) {
			throw new MirrorError(`the server has ${offset} bytes of this upload, more than there are to send`);
		}
		const stretch = await bytes.stretch(offset);
		const sizeToTell = stretch.last && !bytes.rereadable && size === undefined ? bytes.size : undefined;
		let sent = 0;
		const standing = await tus.append(id, {offset, size: sizeToTell}, stretch, count => {
			sent += count;
			onProgress(offset + sent);
		});
		if (standing.offset < offset) {
			throw new ConnectionError('the server has less of the upload than before');
		}
		this.#take(standing);
		if (stretch.last && standing.offset === bytes.size && standing.image === undefined) {
			throw new ConnectionError('the server has not said what came of the upload');
		}
		return standing.image;
	}

	#take(standing: Standing): void {
		const {patience, onProgress} = this.#options;
		this.#standing = standing;
		this.#expires = standing.expires ?? this.#expires;
		onProgress(standing.offset);
		// Nothing else is progress: a server that takes bytes and loses them again gets nobody anywhere.
		if (standing.offset > this.#acknowledged) {
			this.#acknowledged = standing.offset;
			patience.progress();
		}
	}

	#startOver(error: unknown): void {
		const {bytes, say} = this.#options;
		this.#id = undefined;
		this.#acknowledged = 0;
		if (!bytes.has(0)) {
			throw new GoneError(
				'the server has lost this upload, and what came through the pipe cannot be read again: nothing was published',
				{cause: error},
			);
		}
		if (this.#beginnings >= mostBeginnings) {
			throw error;
		}
		say('the server does not have this upload any more: it begins anew');
	}
}

/** Whether the server says that it has no such upload. */
function isLost(error: unknown): boolean {
	return error instanceof AnswerError && (error.status === 404 || error.status === 410);
}

/** Whether the bytes were not those that the server waits for. It has other conflicts, which do not go away. */
function isConflict(error: unknown): error is AnswerError {
	return error instanceof AnswerError && error.status === 409 && ['', 'InvalidArgument'].includes(error.reason);
}
