/**
 * The tus 1.0 protocol, as far as publishing needs it: one method per request. https://tus.io/protocols/resumable-upload
 *
 * `transfer.ts` puts them together and tries again. Everything throws as `Client` does.
 */
import type {IncomingHttpHeaders} from 'node:http';
import {ConnectionError} from './client-errors.js';
import type {Client} from './client.js';
import type {Stretch} from './upload-bytes.js';

/** Where an upload stands, as its server says. */
export interface Standing {
	readonly offset: number;
	/** `undefined`: not known yet. */
	readonly size: number | undefined;
	/** What came of it, once it is finished. */
	readonly image: string | undefined;
	/** As the server writes it. */
	readonly expires: string | undefined;
}

/** The server checks what it has when the last byte is there: that can take a while. */
const finishMs = 15 * 60_000;
const answerMs = 2 * 60_000;

export class Tus {
	readonly #client: Client;
	readonly #signal: AbortSignal | undefined;

	constructor({client, signal}: {client: Client; signal?: AbortSignal | undefined}) {
		this.#client = client;
		this.#signal = signal;
	}

	/** Resolves with the name of the upload. */
	async create(metadata: ReadonlyMap<string, string>, size: number | undefined): Promise<string> {
		const {headers} = await this.#client.call({
			method: 'POST',
			path: '/uploads',
			headers: {
				'tus-resumable': '1.0.0',
				...(size === undefined ? {'upload-defer-length': '1'} : {'upload-length': String(size)}),
				'upload-metadata': encodeMetadata(metadata),
			},
			answerMs,
			signal: this.#signal,
		});
		// The last part of the path: what comes before it depends on proxies, and we know where we sent this.
		const id = /\/([^/?#]+)\/?(?:[?#].*)?$/.exec(headers.location ?? '')?.[1];
		if (id === undefined) {
			throw new ConnectionError(`${this.#client.target.shown} takes no resumable uploads`, {final: true});
		}
		return id;
	}

	/** Of an upload that is all there, the server makes the image now, if it has not yet. */
	async standing(id: string): Promise<Standing> {
		const {headers} = await this.#client.call({
			method: 'HEAD',
			path: this.#path(id),
			headers: {'tus-resumable': '1.0.0'},
			answerMs: finishMs,
			signal: this.#signal,
		});
		return standingIn(headers);
	}

	/** `size` goes with the last bytes of an upload whose size was not known before. */
	async append(
		id: string,
		at: {offset: number; size: number | undefined},
		{length, pieces, last}: Stretch,
		onSent: (bytes: number) => void,
	): Promise<Standing> {
		const {headers} = await this.#client.call({
			method: 'PATCH',
			path: this.#path(id),
			headers: {
				'tus-resumable': '1.0.0',
				'content-type': 'application/offset+octet-stream',
				'upload-offset': String(at.offset),
				...(at.size === undefined ? {} : {'upload-length': String(at.size)}),
			},
			body: {length, pieces, onSent},
			answerMs: last ? finishMs : answerMs,
			signal: this.#signal,
		});
		return standingIn(headers);
	}

	async remove(id: string): Promise<void> {
		await this.#client.call({method: 'DELETE', path: this.#path(id), headers: {'tus-resumable': '1.0.0'}});
	}

	#path(id: string): string {
		return `/uploads/${encodeURIComponent(id)}`;
	}
}

/** `key base64,key base64` */
export function encodeMetadata(metadata: ReadonlyMap<string, string>): string {
	return [...metadata]
		.map(([key, value]) => (value === '' ? key : `${key} ${Buffer.from(value).toString('base64')}`))
		.join(',');
}

function standingIn(headers: IncomingHttpHeaders): Standing {
	const offset = headerIn(headers, 'upload-offset') ?? '';
	if (!/^\d{1,15}$/.test(offset)) {
		throw new ConnectionError('the answer does not say how much of the upload has arrived', {final: true});
	}
	const size = headerIn(headers, 'upload-length') ?? '';
	return {
		offset: Number(offset),
		size: /^\d{1,15}$/.test(size) ? Number(size) : undefined,
		image: headerIn(headers, 'x-image'),
		expires: headerIn(headers, 'upload-expires'),
	};
}

function headerIn(headers: IncomingHttpHeaders, name: string): string | undefined {
	const value = headers[name];
	return typeof value === 'string' && value !== '' ? value : undefined;
}
