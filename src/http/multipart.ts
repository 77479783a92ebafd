/**
 * Forms with files (`multipart/form-data`, RFC 7578), read part by part as they come.
 *
 * Nothing is kept: a part's bytes are read from the connection when its reader asks for them, and no faster. Parts come
 * in the order in which they were sent; what they mean is for whoever reads them.
 */
import type {Readable} from 'node:stream';
import {Busboy} from '@fastify/busboy';
import {asError} from '../errors.js';
import {RequestError} from './request-error.js';

export interface Part {
	readonly name: string;
	/** To be read to its end before the next part is asked for. Throws where the form breaks off. */
	readonly body: AsyncIterable<Buffer>;
}

/** A manifest and its files are two or three. More than these is somebody trying us. */
const maxParts = 16;
const maxHeaderBytes = 16 * 1024;
const maxHeaders = 32;
/** Between the connection and a part's reader. */
const bufferBytes = 256 * 1024;

const formType = /^multipart\/form-data\s*(?:;|$)/iu;
/** RFC 2046: 1 to 70 characters. */
const boundary = /;\s*boundary\s*=\s*(?:"[^"]{1,70}"|[^\s;"]{1,70})\s*(?:;|$)/iu;

export function isForm(contentType: string | undefined): boolean {
	return contentType !== undefined && formType.test(contentType);
}

/**
 * The parts of a form. Throws RequestError for what is none, or not a whole one: the last part's reader may have come
 * to its end by then, so that what has been read counts only once this has come to its own.
 */
export async function* readForm(
	contentType: string | undefined,
	body: AsyncIterable<Buffer>,
): AsyncGenerator<Part, void, undefined> {
	const form = new Form(contentType, body);
	try {
		for (;;) {
			const part = await form.next();
			if (part === undefined) {
				return;
			}
			yield part;
		}
	} finally {
		form.stop();
	}
}

class Form {
	readonly #busboy;
	readonly #streams = new Set<Readable>();
	readonly #waiting: {readonly name: string; readonly stream: Readable}[] = [];
	#reading = false;
	#parsed = false;
	#sent = false;
	#failure: Error | undefined;
	#stopped = false;
	#wake: () => void = () => undefined;
	#cut: (error: Error) => void = () => undefined;

	constructor(contentType: string | undefined, body: AsyncIterable<Buffer>) {
		if (contentType === undefined || !isForm(contentType)) {
			throw new RequestError('BAD_REQUEST', 'the body must be a form with files: multipart/form-data');
		}
		if (!boundary.test(contentType)) {
			throw new RequestError('BAD_REQUEST', 'the Content-Type names no boundary of at most 70 characters');
		}
		this.#busboy = new Busboy({
			headers: {'content-type': contentType},
			highWaterMark: bufferBytes,
			fileHwm: bufferBytes,
			// Fields as well: a manifest may come with a file's name or without.
			isPartAFile: () => true,
			limits: {parts: maxParts, headerSize: maxHeaderBytes, headerPairs: maxHeaders},
		});
		this.#busboy.on('file', (name: string | undefined, stream) => {
			// Whoever reads is told by `#fail`.
			stream.on('error', () => undefined);
			stream.once('close', () => this.#streams.delete(stream));
			this.#streams.add(stream);
			this.#waiting.push({name: name ?? '', stream});
			this.#wake();
		});
		this.#busboy.on('partsLimit', () => this.#fail(broken(`it has more than ${maxParts} parts`)));
		this.#busboy.on('error', error => this.#fail(broken('it has no proper end', error)));
		this.#busboy.on('finish', () => {
			this.#parsed = true;
			this.#wake();
		});
		void this.#feed(body);
	}

	async next(): Promise<Part | undefined> {
		if (this.#reading) {
			throw new Error('the part before has not been read to its end');
		}
		for (;;) {
			if (this.#failure !== undefined) {
				throw this.#failure;
			}
			const part = this.#waiting.shift();
			if (part !== undefined) {
				this.#reading = true;
				return {name: part.name, body: this.#read(part.stream)};
			}
			if (this.#parsed && this.#sent) {
				return undefined;
			}
			await new Promise<void>(resolve => (this.#wake = resolve));
		}
	}

	/** Reads no more of the body. */
	stop(): void {
		this.#stopped = true;
		this.#cut(new Error('nobody reads the form any more'));
	}

	async *#read(stream: Readable): AsyncGenerator<Buffer, void, undefined> {
		try {
			yield* stream as AsyncIterable<Buffer>;
		} catch (error) {
			throw this.#failure ?? error;
		}
		if (this.#failure !== undefined) {
			throw this.#failure;
		}
		this.#reading = false;
	}

	async #feed(body: AsyncIterable<Buffer>): Promise<void> {
		try {
			for await (const chunk of body) {
				if (this.#stopped) {
					return;
				}
				await this.#write(chunk);
			}
			this.#sent = true;
			this.#busboy.end();
			this.#wake();
		} catch (error) {
			this.#fail(asError(error));
		}
	}

	/** Resolves once there is room for more; rejects once there never will be. */
	#write(chunk: Buffer): Promise<void> {
		return new Promise((resolve, reject) => {
			this.#cut = reject;
			this.#busboy.write(chunk, error => {
				if (error) {
					reject(error);
				} else {
					resolve();
				}
			});
		});
	}

	#fail(error: Error): void {
		if (!this.#stopped) {
			this.#failure ??= error;
			this.#cut(error);
			for (const stream of this.#streams) {
				stream.destroy(error);
			}
			this.#wake();
		}
	}
}

function broken(why: string, cause?: unknown): RequestError {
	const error = new RequestError('BAD_REQUEST', `the form cannot be read: ${why}`);
	error.cause = cause;
	return error;
}
