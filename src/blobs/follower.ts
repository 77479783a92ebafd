/**
 * One client's way through a file that is still arriving.
 *
 * It waits at the watermark and reads the growing file by itself, at its own pace. A transfer makes it and is told when
 * it leaves; where the file is not being kept, the follower goes on straight from upstream.
 */
import {IntegrityError, MirrorError, asError} from '../errors.js';
import type {PassThroughReader} from './pass-through.js';
import type {Reader, Stretch} from './reader.js';
import type {Watermark} from './watermark.js';

/** Not a failure: followers are to go on by themselves. */
export class NotCaching extends MirrorError {}

export class Follower implements Reader {
	readonly #end: number;
	readonly #watermark: Watermark;
	readonly #readFile: (into: Buffer, length: number, position: number) => Promise<number>;
	/** Of the file as it is now; `undefined`: it is not open. */
	readonly #fd: () => number | undefined;
	readonly #newPassThrough: (start: number, end: number) => PassThroughReader;
	readonly #onClose: () => void;
	readonly #supplier: () => string | undefined;
	readonly #contentMd5: () => string | undefined;
	#position: number;
	#sent = 0;
	#generation: number;
	#passThrough: PassThroughReader | undefined;
	/** Why it has been closed. */
	#closed: Error | undefined;

	constructor(options: {
		start: number;
		end: number;
		watermark: Watermark;
		read: (into: Buffer, length: number, position: number) => Promise<number>;
		fd: () => number | undefined;
		passThrough: (start: number, end: number) => PassThroughReader;
		onClose: () => void;
		supplier: () => string | undefined;
		contentMd5: () => string | undefined;
	}) {
		this.#position = options.start;
		this.#end = options.end;
		this.#watermark = options.watermark;
		this.#generation = options.watermark.generation;
		this.#readFile = options.read;
		this.#fd = options.fd;
		this.#newPassThrough = options.passThrough;
		this.#onClose = options.onClose;
		this.#supplier = options.supplier;
		this.#contentMd5 = options.contentMd5;
	}

	/** True when the file is not being kept. */
	get passing(): boolean {
		return this.#passThrough !== undefined;
	}

	/** Until it begins again. */
	get content(): object | undefined {
		return this.passing ? undefined : this.#watermark.content;
	}

	get supplier(): string | undefined {
		return this.#passThrough?.supplier ?? this.#supplier();
	}

	get contentMd5(): string | undefined {
		return this.#passThrough?.contentMd5 ?? this.#contentMd5();
	}

	/** Resolves once the first byte may be sent. */
	async begin(signal: AbortSignal): Promise<void> {
		if (this.#position >= this.#end) {
			return;
		}
		const onAbort = (): void => {
			this.#watermark.leave(this, asError(signal.reason));
		};
		signal.addEventListener('abort', onAbort, {once: true});
		try {
			const begun = this.#past();
			if (signal.aborted) {
				onAbort();
			}
			await begun;
		} catch (error) {
			await this.#switchOr(error).begin();
		} finally {
			signal.removeEventListener('abort', onAbort);
		}
	}

	async read(into: Buffer): Promise<number> {
		if (this.#passThrough !== undefined) {
			return this.#passThrough.read(into);
		}
		while (this.#position < this.#end) {
			let readable: number;
			try {
				readable = await this.#past();
			} catch (error) {
				return this.#switchOr(error).read(into);
			}
			if (this.#checkGeneration()) {
				continue;
			}
			const bytes = await this.#readHere(into, readable);
			if (this.#checkGeneration()) {
				continue;
			}
			this.skip(bytes);
			return bytes;
		}
		return 0;
	}

	async readStretch(into: Buffer): Promise<number> {
		const {readable} = this.#watermark;
		if (this.stretch() === undefined) {
			return 0;
		}
		const bytes = await this.#readHere(into, readable);
		if (this.#generation !== this.#watermark.generation) {
			return 0;
		}
		this.skip(bytes);
		return bytes;
	}

	async ready(): Promise<void> {
		if (this.#passThrough === undefined && this.#position < this.#end) {
			// What it rejects with is for `read` to deal with.
			await this.#past().catch(() => undefined);
		}
	}

	stretch(): Stretch | undefined {
		// What has failed, is not kept or has not come yet is for `read` to find out, which can wait.
		if (this.#passThrough !== undefined || this.#watermark.failed || this.#closed !== undefined) {
			return undefined;
		}
		this.#checkGeneration();
		const fd = this.#fd();
		const length = Math.min(this.#end, this.#watermark.readable) - this.#position;
		return fd === undefined || length <= 0 ? undefined : {fd, position: this.#position, length};
	}

	skip(bytes: number): void {
		this.#position += bytes;
		this.#sent += bytes;
	}

	close(): void {
		this.#closed ??= new MirrorError('the client has gone');
		this.#watermark.leave(this, this.#closed);
		this.#passThrough?.close();
		this.#onClose();
	}

	async #readHere(into: Buffer, readable: number): Promise<number> {
		const generation = this.#generation;
		const length = Math.min(into.length, this.#end - this.#position, readable - this.#position);
		const bytes = await this.#readFile(into, length, this.#position);
		if (bytes === 0 && generation === this.#watermark.generation) {
			throw new MirrorError(`a file on its way ends at ${this.#position}, before ${readable}`);
		}
		return bytes;
	}

	/** Until the next byte may be read. */
	#past(): Promise<number> {
		return this.#closed === undefined ? this.#watermark.past(this.#position, this) : Promise.reject(this.#closed);
	}

	/** True: the file has begun again, and this follower may as well. Throws if it had bytes of the old one. */
	#checkGeneration(): boolean {
		if (this.#generation === this.#watermark.generation) {
			return false;
		}
		if (this.#sent > 0) {
			throw new IntegrityError('the file turned out wrong while it was being sent');
		}
		this.#generation = this.#watermark.generation;
		return true;
	}

	#switchOr(error: unknown): PassThroughReader {
		if (!(error instanceof NotCaching)) {
			throw error;
		}
		if (this.#closed !== undefined) {
			// Nobody would ever close what is begun now.
			throw this.#closed;
		}
		this.#checkGeneration();
		this.#passThrough = this.#newPassThrough(this.#position, this.#end);
		return this.#passThrough;
	}
}
