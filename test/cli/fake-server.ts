/**
 * A server for commands to publish to, which misbehaves as a test tells it: cuts, refuses, forgets, restarts.
 *
 * Uploads follow tus 1.0 and images IMGAPI, as far as commands use them; everything is kept in memory.
 */
import {createHash, randomUUID} from 'node:crypto';
import {once} from 'node:events';
import {createServer, type IncomingMessage, type Server, type ServerResponse} from 'node:http';
import type {AddressInfo, Socket} from 'node:net';
import type {Scope} from '../helpers/temp-dir.js';

/** What happens to one request with bytes (PATCH), instead of what should. */
export type Fault =
	/** So many bytes are kept, then the connection breaks. */
	| {readonly cutAfter: number}
	/** All is kept and done, but the answer is lost. */
	| {readonly loseAnswer: true}
	/** So many bytes are kept, then that is answered. */
	| {readonly status: number; readonly keep?: number; readonly headers?: Readonly<Record<string, string>>}
	/** The upload is forgotten. */
	| {readonly forget: true}
	/** So many bytes are kept, then the server goes away, and comes back when the test says so. */
	| {readonly stopAfter: number}
	| 'none';

export interface Upload {
	readonly metadata: ReadonlyMap<string, string>;
	readonly chunks: Buffer[];
	offset: number;
	size: number | undefined;
	image: string | undefined;
}

export interface Image {
	manifest: Record<string, unknown>;
	bytes: Buffer | undefined;
	icon: Buffer | undefined;
}

export class FakeServer {
	readonly uploads = new Map<string, Upload>();
	readonly images = new Map<string, Image>();
	/** `PATCH /uploads/…` and its like, with ids as `ID`. */
	readonly requests: string[] = [];
	/** Of requests with bytes, in their order. */
	readonly faults: Fault[] = [];
	/** Called with every request; true: it has been answered. */
	before: (request: IncomingMessage, response: ServerResponse) => boolean = () => false;
	/** `Basic …`; `undefined`: everybody may. */
	login: string | undefined;
	/** Of a tampering server: what it says that it holds. */
	claimedSha1: string | undefined;
	/** Bytes that were received, again ones too. */
	received = 0;
	#server: Server | undefined;
	#address: AddressInfo | string | undefined;
	readonly #sockets = new Set<Socket>();

	async start(at?: string): Promise<void> {
		const server = createServer((request, response) => {
			this.#answer(request, response).catch(() => response.destroy());
		});
		server.on('connection', socket => {
			this.#sockets.add(socket);
			socket.once('close', () => this.#sockets.delete(socket));
		});
		const path = at ?? (typeof this.#address === 'string' ? this.#address : undefined);
		const port = typeof this.#address === 'object' ? this.#address.port : 0;
		server.listen(path === undefined ? {port, host: '127.0.0.1'} : {path});
		await once(server, 'listening');
		this.#address = server.address() ?? undefined;
		this.#server = server;
	}

	async stop(): Promise<void> {
		const server = this.#server;
		this.#server = undefined;
		if (server !== undefined) {
			const closed = once(server, 'close');
			server.close();
			for (const socket of this.#sockets) {
				socket.destroy();
			}
			await closed;
		}
	}

	get url(): string {
		return typeof this.#address === 'object' ? `http://127.0.0.1:${this.#address.port}` : `unix:${this.#address ?? ''}`;
	}

	/** The only one. */
	get image(): Image {
		const [image, ...more] = this.images.values();
		if (image === undefined || more.length > 0) {
			throw new Error(`there are ${this.images.size} images`);
		}
		return image;
	}

	/** How often requests that begin so were made. */
	count(what: string): number {
		return this.requests.filter(request => request.startsWith(what)).length;
	}

	async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
		const {method = '', url = ''} = request;
		this.requests.push(`${method} ${url.replace(/[0-9a-f]{8}-[0-9a-f-]{27}/g, 'ID')}`);
		if (this.before(request, response)) {
			return;
		}
		if (this.login !== undefined && request.headers.authorization !== this.login) {
			refuse(response, 401, 'UnauthorizedError', 'this needs a login');
			return;
		}
		const [path = '', query = ''] = url.split('?');
		const [, room, id = '', below] = path.split('/');
		if (room === 'uploads') {
			await this.#answerUpload(request, response, id);
		} else if (room === 'images') {
			await this.#answerImage(request, response, {id, below, action: new URLSearchParams(query).get('action')});
		} else {
			refuse(response, 404, 'ResourceNotFound', `${path} is not here`);
		}
	}

	async #answerUpload(request: IncomingMessage, response: ServerResponse, id: string): Promise<void> {
		if (request.headers['tus-resumable'] !== '1.0.0') {
			refuse(response, 412, 'PreconditionFailed', 'no tus');
			return;
		}
		if (request.method === 'POST') {
			const uuid = randomUUID();
			const length = request.headers['upload-length'];
			const metadata = readMetadata(String(request.headers['upload-metadata']));
			this.uploads.set(uuid, {
				metadata,
				chunks: [],
				offset: 0,
				size: length === undefined ? undefined : Number(length),
				image: undefined,
			});
			response.writeHead(201, {location: `http://elsewhere.example/uploads/${uuid}`}).end();
			return;
		}
		const upload = this.uploads.get(id);
		if (upload === undefined) {
			refuse(response, 404, 'ResourceNotFound', `there is no upload ${id}`);
		} else if (request.method === 'DELETE') {
			this.uploads.delete(id);
			response.writeHead(204).end();
		} else if (request.method === 'HEAD') {
			this.#finish(upload);
			response.writeHead(200, stateOf(upload, true)).end();
		} else {
			await this.#patch(request, response, {id, upload});
		}
	}

	async #patch(
		request: IncomingMessage,
		response: ServerResponse,
		{id, upload}: {readonly id: string; readonly upload: Upload},
	): Promise<void> {
		const fault = this.faults.shift() ?? 'none';
		if (fault !== 'none' && 'forget' in fault) {
			this.uploads.delete(id);
			refuse(response, 404, 'ResourceNotFound', `there is no upload ${id}`);
			return;
		}
		if (Number(request.headers['upload-offset']) !== upload.offset) {
			refuse(response, 409, 'InvalidArgument', `the upload goes on at ${upload.offset}`);
			return;
		}
		const length = request.headers['upload-length'];
		if (length !== undefined) {
			if (upload.size !== undefined) {
				refuse(response, 400, 'BadRequestError', 'the size is known already');
				return;
			}
			upload.size = Number(length);
		}
		const limit = limitOf(fault);
		for await (const chunk of request as AsyncIterable<Buffer>) {
			this.received += chunk.length;
			const kept = chunk.subarray(0, Math.max(0, limit - (upload.offset - Number(request.headers['upload-offset']))));
			upload.chunks.push(kept);
			upload.offset += kept.length;
			if (kept.length < chunk.length && fault !== 'none' && !('status' in fault)) {
				break;
			}
		}
		if (fault !== 'none' && 'cutAfter' in fault) {
			response.destroy();
		} else if (fault !== 'none' && 'stopAfter' in fault) {
			await this.stop();
		} else if (fault !== 'none' && 'status' in fault) {
			refuse(
				response,
				fault.status,
				fault.status < 500 ? 'Download' : 'InternalError',
				'as the test wants it',
				fault.headers,
			);
		} else {
			this.#finish(upload);
			if (fault !== 'none') {
				response.destroy();
			} else {
				response.writeHead(204, stateOf(upload, false)).end();
			}
		}
	}

	#finish(upload: Upload): void {
		if (upload.size !== upload.offset || upload.image !== undefined) {
			return;
		}
		const {metadata} = upload;
		const bytes = Buffer.concat(upload.chunks);
		const sha1 = this.claimedSha1 ?? createHash('sha1').update(bytes).digest('hex');
		const uuid = metadata.get('image') ?? metadata.get('uuid') ?? randomUUID();
		const before = this.images.get(uuid)?.manifest ?? Object.fromEntries(metadata);
		const files = [{sha1, size: bytes.length, compression: metadata.get('compression')}];
		const state = metadata.get('activate') === 'false' || metadata.has('image') ? 'unactivated' : 'active';
		this.images.set(uuid, {manifest: {...before, uuid, state, files}, bytes, icon: undefined});
		upload.image = uuid;
	}

	async #answerImage(
		request: IncomingMessage,
		response: ServerResponse,
		{id, below, action}: {readonly id: string; readonly below: string | undefined; readonly action: string | null},
	): Promise<void> {
		const body = await wholeBody(request);
		if (request.method === 'POST' && (id === '' || action === 'import')) {
			const uuid = id || randomUUID();
			if (this.images.has(uuid)) {
				refuse(response, 409, 'ImageUuidAlreadyExists', `${uuid} is taken`);
				return;
			}
			const fields = JSON.parse(body.toString()) as Record<string, unknown>;
			const manifest = {...fields, uuid, state: 'unactivated', files: []};
			this.images.set(uuid, {manifest, bytes: undefined, icon: undefined});
			send(response, manifest);
			return;
		}
		const image = this.images.get(id);
		if (image === undefined) {
			refuse(response, 404, 'ResourceNotFound', `there is no image ${id}`);
			return;
		}
		if (request.method === 'DELETE') {
			this.images.delete(id);
			response.writeHead(204).end();
			return;
		}
		if (action === 'activate') {
			if (image.manifest['state'] === 'active') {
				refuse(response, 422, 'ImageAlreadyActivated', 'it is active');
				return;
			}
			image.manifest = {...image.manifest, state: 'active'};
		}
		if (below === 'icon') {
			image.icon = body;
			image.manifest = {...image.manifest, icon: request.headers['content-type']};
		}
		send(response, image.manifest);
	}
}

/** Goes away with the test. `socket`: where to listen, instead of on a port. */
export async function startFakeServer(t: Scope, {socket}: {readonly socket?: string} = {}): Promise<FakeServer> {
	const server = new FakeServer();
	await server.start(socket);
	t.teardown(() => server.stop());
	return server;
}

function limitOf(fault: Fault): number {
	if (fault === 'none') {
		return Infinity;
	}
	if ('cutAfter' in fault) {
		return fault.cutAfter;
	}
	if ('stopAfter' in fault) {
		return fault.stopAfter;
	}
	return 'status' in fault ? (fault.keep ?? Infinity) : Infinity;
}

function stateOf({offset, size, image}: Upload, full: boolean): Record<string, string> {
	return {
		'upload-offset': String(offset),
		...(image === undefined ? {'upload-expires': 'Sat, 28 Nov 2026 12:00:00 GMT'} : {'x-image': image}),
		...(full && size !== undefined ? {'upload-length': String(size)} : {}),
	};
}

function readMetadata(header: string): ReadonlyMap<string, string> {
	return new Map(
		header.split(',').map(pair => {
			const [name = '', value = ''] = pair.split(' ');
			return [name, Buffer.from(value, 'base64').toString()] as const;
		}),
	);
}

async function wholeBody(request: IncomingMessage): Promise<Buffer> {
	const chunks: Buffer[] = [];
	for await (const chunk of request as AsyncIterable<Buffer>) {
		chunks.push(chunk);
	}
	return Buffer.concat(chunks);
}

function send(response: ServerResponse, value: unknown): void {
	response.writeHead(200, {'content-type': 'application/json'}).end(JSON.stringify(value));
}

function refuse(
	response: ServerResponse,
	status: number,
	code: string,
	message: string,
	headers: Readonly<Record<string, string>> = {},
): void {
	response.writeHead(status, {'content-type': 'application/json', ...headers}).end(JSON.stringify({code, message}));
}
