/**
 * Sending a file by the tus protocol, slice by slice, for as long as it takes: https://tus.io/protocols/resumable-upload
 *
 * One object is one upload of one file, whatever happens to the line: it asks where the mirror is and goes on from
 * there, waiting longer after each failure. How a request is made and how time passes comes in from outside;
 * `xhr.ts` is what a browser has for it.
 */
import {ApiError, errorOf} from './api-error.js';

export interface TusRequest {
	readonly method: 'POST' | 'PATCH' | 'HEAD' | 'DELETE';
	/** Below the mirror's root. */
	readonly path: string;
	readonly headers: Readonly<Record<string, string>>;
	readonly body?: Blob;
	/** Bytes of the body that have left. */
	readonly onSent?: (bytes: number) => void;
	readonly signal: AbortSignal;
}

export interface TusAnswer {
	readonly status: number;
	header(name: string): string | undefined;
	readonly body: string;
}

/** Throws ApiError with status 0 where there was no answer, and an AbortError where it was stopped. */
export type TusTransport = (request: TusRequest) => Promise<TusAnswer>;

export interface TusHooks {
	/** A new upload has this name; it is worth remembering. */
	readonly begun: (id: string) => void;
	readonly progress: (bytes: number) => void;
	/** Nothing gets through; it is tried again after so long. */
	readonly waiting: (waitMs: number, problem: ApiError) => void;
}

const tus = {'tus-resumable': '1.0.0'};
const firstWaitMs = 1000;
const mostWaitMs = 30_000;

export class TusUpload {
	readonly #transport: TusTransport;
	readonly #pause: (ms: number, signal: AbortSignal) => Promise<void>;
	readonly #sliceBytes: number;

	constructor(parts: {
		transport: TusTransport;
		pause: (ms: number, signal: AbortSignal) => Promise<void>;
		sliceBytes?: number;
	}) {
		this.#transport = parts.transport;
		this.#pause = parts.pause;
		this.#sliceBytes = parts.sliceBytes ?? 16 * 2 ** 20;
	}

	/**
	 * Resolves with the uuid of the image that it became. `id`: of an upload that was begun before; where the mirror does
	 * not know it any more, another one is begun. Throws ApiError for what trying again does not help.
	 */
	async send(
		{
			file,
			metadata,
			id,
		}: {readonly file: Blob; readonly metadata: ReadonlyMap<string, string>; readonly id?: string | undefined},
		hooks: TusHooks,
		signal: AbortSignal,
	): Promise<string> {
		let known = id;
		let failures = 0;
		for (;;) {
			try {
				if (known === undefined) {
					known = await this.#create(file.size, metadata, signal);
					hooks.begun(known);
				}
				const image = await this.#goOn(known, file, hooks, signal, () => {
					failures = 0;
				});
				return image;
			} catch (error) {
				if (!(error instanceof ApiError)) {
					throw error;
				}
				if ((error.status === 404 || error.status === 410) && known !== undefined) {
					known = undefined;
				} else if (!error.mayPass && !isElsewhere(error)) {
					throw error;
				}
				const waitMs = Math.min(mostWaitMs, firstWaitMs * 2 ** failures);
				failures++;
				hooks.waiting(waitMs, error);
				await this.#pause(waitMs, signal);
			}
		}
	}

	/** How much of it the mirror has. `undefined`: it knows no such upload. */
	async standing(id: string, signal: AbortSignal): Promise<{offset: number; image: string | undefined} | undefined> {
		try {
			return standingIn(await this.#call({method: 'HEAD', path: pathOf(id), headers: tus, signal}));
		} catch (error) {
			if (error instanceof ApiError && (error.status === 404 || error.status === 410)) {
				return undefined;
			}
			throw error;
		}
	}

	async remove(id: string, signal: AbortSignal): Promise<void> {
		await this.#call({method: 'DELETE', path: pathOf(id), headers: tus, signal});
	}

	async #create(size: number, metadata: ReadonlyMap<string, string>, signal: AbortSignal): Promise<string> {
		const answer = await this.#call({
			method: 'POST',
			path: 'uploads',
			headers: {...tus, 'upload-length': String(size), 'upload-metadata': encodeMetadata(metadata)},
			signal,
		});
		// The last part of the path: what comes before it depends on proxies, and we know where we sent this.
		const id = /\/([^/?#]+)\/?(?:[?#].*)?$/.exec(answer.header('location') ?? '')?.[1];
		if (id === undefined) {
			throw new ApiError('The mirror takes no resumable uploads.', {status: 400});
		}
		return id;
	}

	async #goOn(id: string, file: Blob, {progress}: TusHooks, signal: AbortSignal, moved: () => void): Promise<string> {
		// Also makes the image of an upload that is all there.
		let {offset, image} = standingIn(await this.#call({method: 'HEAD', path: pathOf(id), headers: tus, signal}));
		progress(offset);
		while (image === undefined) {
			const from = offset;
			const standing = standingIn(
				await this.#call({
					method: 'PATCH',
					path: pathOf(id),
					headers: {...tus, 'content-type': 'application/offset+octet-stream', 'upload-offset': String(from)},
					body: file.slice(from, Math.min(file.size, from + this.#sliceBytes)),
					onSent: sent => progress(from + sent),
					signal,
				}),
			);
			({offset, image} = standing);
			if (image === undefined && offset <= from) {
				throw new ApiError('The mirror took nothing of what was sent.', {status: 503});
			}
			moved();
			progress(offset);
		}
		return image;
	}

	async #call(request: TusRequest): Promise<TusAnswer> {
		const answer = await this.#transport(request);
		if (answer.status >= 400) {
			throw errorOf(answer.status, answer.body);
		}
		return answer;
	}
}

/** `key base64,key base64` */
export function encodeMetadata(metadata: ReadonlyMap<string, string>): string {
	return [...metadata].map(([key, value]) => (value === '' ? key : `${key} ${base64(value)}`)).join(',');
}

function base64(text: string): string {
	return btoa(Array.from(new TextEncoder().encode(text), byte => String.fromCharCode(byte)).join(''));
}

/** The mirror is at another byte than we thought: a request that we gave up has arrived after all. */
function isElsewhere({status}: ApiError): boolean {
	return status === 409 || status === 423;
}

function pathOf(id: string): string {
	return `uploads/${encodeURIComponent(id)}`;
}

function standingIn(answer: TusAnswer): {offset: number; image: string | undefined} {
	const offset = answer.header('upload-offset') ?? '';
	if (!/^\d{1,15}$/.test(offset)) {
		throw new ApiError('The answer does not say how much of the upload has arrived.', {status: 502});
	}
	return {offset: Number(offset), image: answer.header('x-image')};
}
