/**
 * Request bodies: those that are read, at their reader's pace, and those that nobody wants.
 *
 * An answer may be given before the body has come; what is left of it has to be read all the same, within bounds, or
 * the client never gets to see why it was refused. What the bytes mean is not known here.
 */
import type {IncomingMessage} from 'node:http';
import type {Clock, Timer} from '../host.js';
import {RequestError} from './request-error.js';

/** So much more costs less to read than a new connection does. */
const smallBody = 64 * 1024;
/** Past this, the client is left to find out by itself that nobody reads. */
const maxDrainedBytes = 32 * 1024 * 1024;
const maxDrainMs = 10_000;

/** Read ahead of the reader, so that disk and network both have something to do. */
const maxWaitingBytes = 4 * 1024 * 1024;
/** A chunked body may come byte by byte, and each piece costs more than its bytes. */
const maxWaitingPieces = 1024;

export class ClientGone extends DOMException {
	constructor() {
		super('the client is gone', 'AbortError');
	}
}

/** Bytes that were announced; `undefined`: they come in chunks, as many as there are. */
export function announcedSize({headers}: Pick<IncomingMessage, 'headers'>): number | undefined {
	return headers['transfer-encoding'] === undefined ? Number(headers['content-length'] ?? 0) : undefined;
}

interface Reader {
	readonly resolve: (result: IteratorResult<Buffer, undefined>) => void;
	readonly reject: (error: Error) => void;
}

/**
 * A body in the pieces in which it comes. Read once; whoever stops before the end reads no more of it. Throws
 * ClientGone where the connection breaks before the end, RequestError where nothing comes for too long.
 */
export class RequestBody implements AsyncIterableIterator<Buffer, undefined> {
	/** Bytes that have come. */
	received = 0;
	readonly #request: IncomingMessage;
	readonly #clock: Clock;
	readonly #idleMs: number;
	readonly #begin: () => void;
	readonly #waiting: Buffer[] = [];
	#waitingBytes = 0;
	#begun = false;
	#end: {readonly failure: Error | undefined} | undefined;
	#stopped = false;
	#reader: Reader | undefined;
	#readerSinceMs = 0;
	#timer: Timer | undefined;

	/** `begin` is called when the first piece is asked for. `idleMs` 0: a client may take its time for ever. */
	constructor(
		request: IncomingMessage,
		{clock, idleMs, begin}: {readonly clock: Clock; readonly idleMs: number; readonly begin: () => void},
	) {
		this.#request = request;
		this.#clock = clock;
		this.#idleMs = idleMs;
		this.#begin = begin;
	}

	[Symbol.asyncIterator](): this {
		return this;
	}

	next(): Promise<IteratorResult<Buffer, undefined>> {
		this.#start();
		const piece = this.#waiting.shift();
		if (piece !== undefined) {
			this.#waitingBytes -= piece.length;
			if (!this.#stopped && this.#request.isPaused() && !this.#isFull(2)) {
				this.#request.resume();
			}
			return Promise.resolve({done: false, value: piece});
		}
		if (this.#end?.failure !== undefined) {
			return Promise.reject(this.#end.failure);
		}
		if (this.#end !== undefined || this.#stopped) {
			return Promise.resolve({done: true, value: undefined});
		}
		return new Promise((resolve, reject) => {
			this.#reader = {resolve, reject};
			this.#readerSinceMs = this.#clock.now();
			this.#watch(this.#idleMs);
		});
	}

	return(): Promise<IteratorResult<Buffer, undefined>> {
		this.#finish(undefined);
		this.#waiting.length = 0;
		this.#waitingBytes = 0;
		this.stop();
		return Promise.resolve({done: true, value: undefined});
	}

	/** Ends it with `error` after what has come already. */
	breakOff(error: Error): void {
		this.#finish(error);
	}

	/**
	 * Lets go of the request, which stands still from then on. What has come already can still be read; a body that has
	 * not come to its end breaks off after it, so that nobody takes it for whole.
	 */
	stop(): void {
		if (this.#stopped) {
			return;
		}
		this.#finish(new ClientGone());
		this.#stopped = true;
		this.#timer?.cancel();
		if (this.#begun) {
			this.#request.pause();
			this.#request.off('data', this.#onData);
			this.#request.off('end', this.#onEnd);
			this.#request.off('close', this.#onClose);
		}
	}

	#start(): void {
		if (this.#begun || this.#stopped) {
			return;
		}
		this.#begun = true;
		if (this.#request.readableEnded) {
			this.#finish(undefined);
			return;
		}
		if (this.#request.destroyed) {
			this.#finish(new ClientGone());
			return;
		}
		this.#begin();
		this.#request.on('error', () => undefined);
		this.#request.on('end', this.#onEnd);
		this.#request.on('close', this.#onClose);
		this.#request.on('data', this.#onData);
	}

	readonly #onData = (piece: Buffer): void => {
		this.received += piece.length;
		const reader = this.#takeReader();
		if (reader !== undefined) {
			reader.resolve({done: false, value: piece});
			return;
		}
		this.#waiting.push(piece);
		this.#waitingBytes += piece.length;
		if (this.#isFull(1)) {
			this.#request.pause();
		}
	};

	readonly #onEnd = (): void => this.#finish(undefined);

	/** After the end, or in place of it. */
	readonly #onClose = (): void => this.#finish(new ClientGone());

	#finish(failure: Error | undefined): void {
		if (this.#end !== undefined) {
			return;
		}
		this.#end = {failure};
		this.#timer?.cancel();
		const reader = this.#takeReader();
		if (failure === undefined) {
			reader?.resolve({done: true, value: undefined});
		} else {
			reader?.reject(failure);
		}
	}

	#takeReader(): Reader | undefined {
		const reader = this.#reader;
		this.#reader = undefined;
		return reader;
	}

	#isFull(part: number): boolean {
		return this.#waitingBytes >= maxWaitingBytes / part || this.#waiting.length >= maxWaitingPieces / part;
	}

	/** One timer that goes off now and then, rather than one for each piece. */
	#watch(inMs: number): void {
		if (this.#timer !== undefined || this.#idleMs === 0) {
			return;
		}
		this.#timer = this.#clock.after(inMs, () => {
			this.#timer = undefined;
			if (this.#end !== undefined || this.#stopped || this.#reader === undefined) {
				// Whoever asks next starts it again.
				return;
			}
			const leftMs = this.#readerSinceMs + this.#idleMs - this.#clock.now();
			if (leftMs > 0) {
				this.#watch(leftMs);
			} else {
				this.#finish(new RequestError('REQUEST_TIMEOUT', 'nothing more of the body has come for too long'));
			}
		});
	}
}

/** `false` also where so little is left that Node reads it by itself and the connection stays good. */
export function isUnread(request: Pick<IncomingMessage, 'complete' | 'headers'>, begun: boolean): boolean {
	if (request.complete) {
		return false;
	}
	if (begun) {
		return true;
	}
	const {expect, 'content-length': length, 'transfer-encoding': encoding} = request.headers;
	if (encoding !== undefined) {
		return true;
	}
	const bytes = Number(length ?? 0);
	// Somebody who waits for "100 Continue" may send its body or not: only closing tells a next request from it.
	return bytes > smallBody || (bytes > 0 && expect !== undefined);
}

/** Reads and drops the rest of a body; calls `done` at its end, or once that has taken long enough. */
export function drain(request: IncomingMessage, clock: Clock, done: () => void): void {
	let bytes = 0;
	const timer = clock.after(maxDrainMs, finish);
	request.on('data', (chunk: Buffer) => {
		bytes += chunk.length;
		if (bytes > maxDrainedBytes) {
			request.pause();
		}
	});
	request.once('end', finish);
	request.once('close', finish);
	// It may have been stopped in the middle.
	request.resume();

	function finish(): void {
		timer.cancel();
		request.off('end', finish);
		request.off('close', finish);
		done();
	}
}
