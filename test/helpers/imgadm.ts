/**
 * imgadm as it is on the wire: its requests, in its order, with its headers, and what it refuses or dies of.
 *
 * Only what it does with a server is here; nothing is installed. Where the real one would crash or take a wrong thing
 * for right, this throws.
 */
import {createHash, randomUUID} from 'node:crypto';
import {get, type Answer} from './http-client.js';

export type Json = Record<string, unknown>;

export interface Imported {
	readonly uuid: string;
	readonly manifest: Json;
	readonly file: Buffer;
}

const compressions = ['none', 'gzip', 'bzip2', 'xz'];

export class Imgadm {
	readonly #base: string;
	readonly #dsapi: boolean;
	readonly #channel: string | undefined;
	readonly #authorization: Record<string, string>;

	/** `base` as `sources -a` was given it, `-t dsapi` where it ends in `/datasets`. */
	constructor(base: string) {
		const [url = '', channel] = base.split('?channel=');
		this.#dsapi = url.endsWith('/datasets');
		// What is before /datasets is dropped, and so is it.
		const {username, password} = new URL(url);
		const plain = url.replace(/\/\/[^/@]*@/, '//');
		this.#base = this.#dsapi ? new URL(plain).origin : plain.replace(/\/$/, '');
		this.#channel = channel;
		const login = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
		// It has no other way to log in.
		this.#authorization = login === ':' ? {} : {authorization: `Basic ${Buffer.from(login).toString('base64')}`};
	}

	/**
	 * `imgadm publish`, and `imgadm create -p`: import, upload, activate; after a failure of one of the last two, delete.
	 * Resolves with the image as the server last said it. Throws what imgadm would print.
	 */
	async publish(manifest: Json, file: Buffer): Promise<Json> {
		const uuid = String(manifest['uuid']);
		const [described] = manifest['files'] as Json[];
		await this.#write('POST', `/images/${uuid}`, {action: 'import'}, manifest);
		try {
			const {compression, sha1, size} = described ?? {};
			const query = this.#query({compression: String(compression), sha1: String(sha1)});
			const uploaded = await get(`${this.#base}/images/${uuid}/file${query}`, {
				method: 'PUT',
				headers: {
					...this.#publishing(),
					// Though it is the raw file.
					'content-type': 'application/json',
					'content-length': String(size),
				},
				body: file,
			});
			checkSuccess(uploaded);
			const [stored] = (uploaded.json() as Json)['files'] as Json[];
			if (stored?.['sha1'] !== sha1 || stored?.['size'] !== size) {
				throw new Error('UploadError: the server has another file than was sent');
			}
			return await this.#write('POST', `/images/${uuid}`, {action: 'activate'}, {});
		} catch (error) {
			await get(`${this.#base}/images/${uuid}${this.#query({})}`, {
				method: 'DELETE',
				headers: {...this.#publishing(), 'content-length': '0'},
			});
			throw error;
		}
	}

	async #write(method: string, path: string, query: Record<string, string>, body: Json): Promise<Json> {
		const text = JSON.stringify(body);
		const answer = await get(this.#base + path + this.#query(query), {
			method,
			headers: {
				...this.#publishing(),
				'content-type': 'application/json',
				'content-length': String(Buffer.byteLength(text)),
				'content-md5': createHash('md5').update(text).digest('base64'),
			},
			body: text,
		});
		checkSuccess(answer);
		return answer.json() as Json;
	}

	#publishing(): Record<string, string> {
		return {...this.#headers(), 'accept-version': '*', connection: 'close'};
	}

	/** `imgadm sources -a` */
	async addSource(): Promise<void> {
		const answer = await this.#json('/ping');
		if (answer.status !== 200 || (!this.#dsapi && !(answer.json() as Json)['imgapi'])) {
			throw new Error(`not an image source: ${answer.status} ${answer.text}`);
		}
	}

	/** `imgadm avail` */
	async avail(): Promise<readonly Json[]> {
		const path = this.#dsapi ? '/datasets' : '/images';
		let page = (await this.#json(path)).json() as Json[];
		const all = [...page];
		if (this.#dsapi) {
			return all;
		}
		while (page.length >= 1000) {
			const marker = String(all.at(-1)?.['uuid']);
			page = (await this.#json(path, {marker, limit: '1000'})).json() as Json[];
			if (page.length === 0 || page.at(-1)?.['uuid'] === marker) {
				break;
			}
			all.push(...(page[0]?.['uuid'] === marker ? page.slice(1) : page));
		}
		return all;
	}

	/** `imgadm show` */
	async show(uuid: string): Promise<Json> {
		const answer = await this.#json(this.#dsapi ? `/datasets/${uuid}` : `/images/${uuid}`);
		if (answer.status !== 200) {
			throw new Error(`${answer.status} ${answer.text}`);
		}
		return answer.json() as Json;
	}

	/** `imgadm import`: the image and its origins, base first. */
	async import(uuid: string): Promise<readonly Imported[]> {
		const chain: Json[] = [];
		for (let next: unknown = uuid; typeof next === 'string'; next = chain[0]?.['origin']) {
			chain.unshift(await this.show(next));
			if (this.#dsapi && chain.length === 1) {
				// It asks twice, nobody knows why.
				await this.show(next);
			}
		}
		const wanted = chain.at(-1);
		if (!this.#dsapi && wanted?.['state'] !== 'active') {
			throw new Error('the image is not active');
		}
		const imported: Imported[] = [];
		for (const manifest of chain) {
			imported.push({uuid: String(manifest['uuid']), manifest, file: await this.#file(manifest)});
		}
		return imported;
	}

	async #file(manifest: Json): Promise<Buffer> {
		const [file] = manifest['files'] as Json[];
		const compression = file?.['compression'];
		if (typeof file?.['size'] !== 'number' || !compressions.includes(String(compression))) {
			throw new Error('imgadm dies of this manifest');
		}
		const headers = {...this.#headers(), ...(this.#channel === undefined || this.#dsapi ? {} : {})};
		const target = this.#dsapi
			? ((file['url'] as string | undefined) ?? '/')
			: `/images/${String(manifest['uuid'])}/file${this.#query({})}`;
		const prefix = this.#dsapi ? '' : new URL(this.#base).pathname.replace(/\/$/, '');
		const answer = await get(this.#base, {target: prefix + target, headers});
		if (answer.status !== 200 || answer.headers['content-length'] !== String(file['size'])) {
			throw new Error(
				`invalid Content-Length header: ${answer.headers['content-length'] ?? 'undefined'} ${answer.status}`,
			);
		}
		const sha1 = createHash('sha1').update(answer.body).digest('hex');
		if (answer.bytes !== file['size'] || (file['sha1'] !== undefined && sha1 !== file['sha1'])) {
			throw new Error('the download is incomplete or wrong');
		}
		return answer.body;
	}

	#json(path: string, query: Record<string, string> = {}): Promise<Answer> {
		const withQuery = path === '/ping' ? '' : this.#query(query);
		return get(this.#base + path + withQuery, {headers: this.#headers()});
	}

	#query(query: Record<string, string>): string {
		const channel: Record<string, string> = this.#channel === undefined || this.#dsapi ? {} : {channel: this.#channel};
		const text = new URLSearchParams({...channel, ...query}).toString();
		return text === '' ? '' : `?${text}`;
	}

	#headers(): Record<string, string> {
		const own: Record<string, string> = this.#dsapi ? {} : {'x-request-id': randomUUID(), 'accept-version': '~2'};
		return {
			...own,
			...this.#authorization,
			accept: 'application/json',
			'user-agent': 'imgadm/3.9.5 (node/0.10.48; OpenSSL/1.0.1u)',
			date: new Date().toUTCString(),
			connection: 'keep-alive',
		};
	}
}

/** Anything below 400 counts as success. */
function checkSuccess(answer: Answer): void {
	if (answer.status < 400) {
		return;
	}
	const {code, message} = answer.json() as Json;
	throw new Error(`${String(code)}: ${String(message)}`);
}
