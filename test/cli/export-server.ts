/**
 * A mirror's side of an export without a mirror: it tells the plan that a test puts in, hands out files of images, and
 * breaks where it is told to.
 */
import {once} from 'node:events';
import {createServer, type IncomingMessage, type Server, type ServerResponse} from 'node:http';
import type {AddressInfo, Socket} from 'node:net';
import {text} from 'node:stream/consumers';
import type {PlanEvent} from '../../src/airgap/api.js';
import type {TestImage} from '../helpers/make-image.js';
import type {Scope} from '../helpers/temp-dir.js';

export class ExportServer {
	/** A line each; a promise is waited for. */
	events: readonly (PlanEvent | Record<string, unknown> | Promise<unknown>)[] = [];
	/** The answer to the plan is cut after so many lines, so many times. */
	cutPlan = {lines: Infinity, times: 0};
	/** Instead of a plan. */
	refusal: {readonly status: number; readonly code: string; readonly message: string} | undefined;
	/** The connection breaks after so many bytes of files altogether, each time that many have gone out. */
	cutFiles = {bytes: Infinity, times: 0};
	/** Every request for a file is answered so. */
	fileStatus: {readonly status: number; readonly body: string} | undefined;
	ignoresRanges = false;
	/** What is said of the file instead of the right range. */
	wrongRange: string | undefined;
	spoil: (bytes: Buffer) => Buffer = bytes => bytes;
	/** Called when so many bytes of files have gone out. */
	onSent: (bytes: number) => void = () => undefined;
	readonly json = new Map<string, unknown>([['GET /mirror/images', []]]);
	readonly asked: {readonly what: string; readonly body: unknown; readonly range: string | undefined}[] = [];
	sent = 0;
	url = '';
	readonly #images = new Map<string, TestImage>();
	readonly #server: Server;
	readonly #sockets = new Set<Socket>();

	constructor(images: readonly TestImage[]) {
		for (const image of images) {
			this.#images.set(image.uuid, image);
		}
		this.#server = createServer((request, response) => {
			this.#answer(request, response).catch(() => response.destroy());
		});
		this.#server.on('connection', socket => {
			this.#sockets.add(socket);
			socket.once('close', () => this.#sockets.delete(socket));
		});
	}

	async start(): Promise<void> {
		this.#server.listen({port: 0, host: '127.0.0.1'});
		await once(this.#server, 'listening');
		this.url = `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
	}

	/** All at once, as if it had been killed. */
	async stop(): Promise<void> {
		if (!this.#server.listening) {
			return;
		}
		const closed = once(this.#server, 'close');
		this.#server.close();
		for (const socket of this.#sockets) {
			socket.destroy();
		}
		await closed;
	}

	/** Of the files that were asked for: `uuid` and the byte from which. */
	get files(): readonly string[] {
		return this.asked
			.filter(({what}) => what.includes('/file'))
			.map(({what, range}) => `${what.split('/')[2] ?? ''} ${/bytes=(\d+)-/.exec(range ?? '')?.[1] ?? '0'}`);
	}

	async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
		const {method = '', url = ''} = request;
		const body = await text(request);
		const {range} = request.headers;
		this.asked.push({what: `${method} ${url}`, body: body === '' ? undefined : (JSON.parse(body) as unknown), range});
		const uuid = /^\/images\/([^/]+)\/file\?index=0&channel=\*$/.exec(url)?.[1];
		const known = this.json.get(`${method} ${url}`);
		if (method === 'POST' && url === '/mirror/export') {
			await this.#plan(response);
		} else if (method === 'GET' && uuid !== undefined) {
			await this.#file(response, uuid, range);
		} else if (known === undefined) {
			refuse(response, 404, 'ResourceNotFound', `${url} does not exist`);
		} else {
			response.writeHead(200, {'content-type': 'application/json'}).end(JSON.stringify(known));
		}
	}

	async #plan(response: ServerResponse): Promise<void> {
		if (this.refusal !== undefined) {
			refuse(response, this.refusal.status, this.refusal.code, this.refusal.message);
			return;
		}
		response.writeHead(200, {'content-type': 'application/x-ndjson'});
		response.flushHeaders();
		const cuts = this.cutPlan.times > 0;
		for (const [index, event] of this.events.entries()) {
			if (cuts && index >= this.cutPlan.lines) {
				this.cutPlan.times--;
				response.destroy();
				return;
			}
			if (event instanceof Promise) {
				await event;
			} else {
				await new Promise<void>(resolve => response.write(`${JSON.stringify(event)}\n`, () => resolve()));
			}
		}
		response.end();
	}

	async #file(response: ServerResponse, uuid: string, range: string | undefined): Promise<void> {
		const image = this.#images.get(uuid);
		if (image === undefined) {
			refuse(response, 404, 'ResourceNotFound', `image ${uuid} not found`);
			return;
		}
		if (this.fileStatus !== undefined) {
			response.writeHead(this.fileStatus.status, {'content-type': 'application/json'}).end(this.fileStatus.body);
			return;
		}
		const all = this.spoil(image.bytes);
		const start = this.ignoresRanges ? 0 : Number(/^bytes=(\d+)-$/.exec(range ?? '')?.[1] ?? 0);
		const ranged = range !== undefined && !this.ignoresRanges;
		response.writeHead(ranged ? 206 : 200, {
			'content-type': 'application/octet-stream',
			'content-length': all.length - start,
			...(ranged ? {'content-range': this.wrongRange ?? `bytes ${start}-${all.length - 1}/${all.length}`} : {}),
		});
		for (let at = start; at < all.length; at += 1000) {
			const piece = all.subarray(at, at + 1000);
			await new Promise<void>(resolve => response.write(piece, () => resolve()));
			this.sent += piece.length;
			this.onSent(this.sent);
			if (this.cutFiles.times > 0 && this.sent >= this.cutFiles.bytes) {
				this.cutFiles = {bytes: this.sent + this.cutFiles.bytes, times: this.cutFiles.times - 1};
				response.destroy();
				return;
			}
		}
		response.end();
	}
}

export async function startExportServer(t: Scope, images: readonly TestImage[]): Promise<ExportServer> {
	const server = new ExportServer(images);
	await server.start();
	t.teardown(() => server.stop());
	return server;
}

function refuse(response: ServerResponse, status: number, code: string, message: string): void {
	response.writeHead(status, {'content-type': 'application/json'}).end(JSON.stringify({code, message}));
}
