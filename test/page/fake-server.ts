/**
 * A mirror as the page sees it: the built page under its real policy, and answers in the shapes of the wire.
 *
 * What it knows is made up (`fake-data.ts`), what it is told to do it does: fail, go away, tell events, take uploads.
 * It serves everything below a base path, because the page must not care.
 */
import {once} from 'node:events';
import {readFile} from 'node:fs/promises';
import {createServer, type IncomingMessage, type Server, type ServerResponse} from 'node:http';
import type {AddressInfo} from 'node:net';
import path from 'node:path';
import type {EventType, MirrorEvent} from '../../src/host-events.js';
import type {ImageRow, TransferReport} from '../../src/mirror-operate-api.js';
import {builtPage} from '../helpers/browser.js';
import type {Scope} from '../helpers/temp-dir.js';
import {
	detailsOf,
	makeHistory,
	makeRows,
	makeRules,
	makeSources,
	makeStorage,
	makeTransfers,
	uuidOf,
} from './fake-data.js';
import {FakeTus} from './fake-tus.js';

export type Right = 'read' | 'private' | 'publish' | 'operate';

export interface FakeOptions {
	readonly images?: number;
	/** Of whoever has not logged in. All unless given. */
	readonly rights?: readonly Right[];
	/** What is answered below these paths, instead: a status. */
	readonly fail?: Readonly<Record<string, number>>;
	readonly channels?: readonly {readonly name: string; readonly description: string; readonly default?: true}[];
	/** Times are as of now instead of a fixed day. */
	readonly isNow?: boolean;
	/** The folder that the page was built to. */
	readonly page?: string;
}

const base = '/some/base';
const all: readonly Right[] = ['read', 'private', 'publish', 'operate'];
const policy = [
	...["default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self' data:", "connect-src 'self'"],
	...["font-src 'self'", "manifest-src 'self'", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"],
].join('; ');
const kinds: Readonly<Record<string, string>> = {
	...{'.html': 'text/html; charset=utf-8', '.js': 'text/javascript; charset=utf-8', '.css': 'text/css; charset=utf-8'},
	...{'.svg': 'image/svg+xml', '.map': 'application/json'},
};

export class FakeServer {
	/** `METHOD path`, without the base path, but those of the page's own files. */
	readonly requests: string[] = [];
	readonly bodies: {readonly request: string; readonly body: unknown}[] = [];
	readonly tus = new FakeTus();
	rows: readonly ImageRow[];
	transfers: readonly TransferReport[];
	rights: readonly Right[];
	user: string | undefined;
	hasUsers = true;
	fail: Readonly<Record<string, number>>;
	/** With the first request like this (`METHOD path`) the login has ended. */
	loginEndsAt: RegExp | undefined;
	/** Fetching ahead comes to its half, and no further. */
	isPrefetchSlow = false;
	/** How many of those have been given up by the page. */
	prefetchesLeft = 0;
	/** What a manifest's check says, by the name that is typed. */
	problemsOf: (manifest: Readonly<Record<string, unknown>>) => readonly object[] = manifest =>
		['name', 'version']
			.filter(field => manifest[field] === undefined)
			.map(field => ({field, code: 'Missing', message: 'is missing'}));
	readonly #options: FakeOptions;
	readonly #readers = new Set<ServerResponse>();
	readonly #server: Server;
	readonly #changes = new Set<() => void>();
	#port = 0;
	#eventId = 0;

	private constructor(options: FakeOptions) {
		this.#options = options;
		this.rows = makeRows(options.images ?? 300);
		this.transfers = makeTransfers(this.rows);
		this.rights = options.rights ?? all;
		this.fail = options.fail ?? {};
		this.#server = createServer((request, response) => {
			this.#answer(request, response).catch((error: unknown) => {
				response.writeHead(500).end(String(error));
			});
		});
	}

	static async start(t: Scope, options: FakeOptions = {}): Promise<FakeServer> {
		const fake = new FakeServer(options);
		await fake.listen();
		t.teardown(() => fake.stop());
		return fake;
	}

	get url(): string {
		return `http://127.0.0.1:${this.#port}${base}/ui/`;
	}

	/** Again on the same port, where it was stopped. */
	async listen(): Promise<void> {
		this.#server.listen(this.#port, '127.0.0.1');
		await once(this.#server, 'listening');
		this.#port = (this.#server.address() as AddressInfo).port;
	}

	async stop(): Promise<void> {
		if (this.#server.listening) {
			const closed = once(this.#server, 'close');
			this.#server.close();
			this.#server.closeAllConnections();
			await closed;
		}
	}

	/** How many read events just now. */
	get readers(): number {
		return this.#readers.size;
	}

	emit(type: EventType, about: Omit<MirrorEvent, 'id' | 'type' | 'at'> = {}): void {
		const event: MirrorEvent = {id: ++this.#eventId, type, at: new Date().toISOString(), ...about};
		this.write(`id: fake-${event.id}\nevent: ${type}\ndata: ${JSON.stringify(event)}\n\n`);
	}

	write(text: string): void {
		for (const reader of this.#readers) {
			reader.write(text);
		}
	}

	/** Resolves once it has been asked for something like this, in all or after `from`. */
	async asked(pattern: RegExp, from = 0): Promise<void> {
		await this.until(() => this.requests.slice(from).some(request => pattern.test(request)));
	}

	/** Resolves once `look` is so, looked at after every request. */
	async until(look: () => boolean): Promise<void> {
		while (!look()) {
			await new Promise<void>(resolve => {
				const changed = (): void => {
					this.#changes.delete(changed);
					resolve();
				};
				this.#changes.add(changed);
			});
		}
	}

	#tell(): void {
		for (const changed of [...this.#changes]) {
			changed();
		}
	}

	async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
		const {pathname, search} = new URL(request.url ?? '', 'http://fake');
		if (!pathname.startsWith(`${base}/`)) {
			response.writeHead(404).end();
			return;
		}
		const target = pathname.slice(base.length + 1);
		if (target.startsWith('ui/')) {
			await this.#page(target.slice(3) || 'index.html', response);
			return;
		}
		const asked = `${request.method ?? ''} ${target}${search}`;
		this.requests.push(asked);
		this.#tell();
		if (this.loginEndsAt?.test(asked) === true) {
			this.loginEndsAt = undefined;
			this.rights = ['read'];
			request.resume();
			json(response, 401, {code: 'UnauthorizedError', message: 'the login has ended'});
			return;
		}
		const [, status] = Object.entries(this.fail).find(([start]) => target.startsWith(start)) ?? [];
		if (status !== undefined) {
			request.resume();
			json(response, status, {code: 'InternalError', message: `the test says ${status}`});
		} else if (target === 'events') {
			this.#events(request, response);
		} else if (target.startsWith('uploads')) {
			await this.tus.answer(request, response, target.slice(8));
			this.#tell();
		} else {
			await this.#api(request, response, target, new URLSearchParams(search), asked);
		}
	}

	#events(request: IncomingMessage, response: ServerResponse): void {
		response.writeHead(200, {'content-type': 'text/event-stream', 'cache-control': 'no-store'});
		response.write('retry: 200\nid: fake-0\n\n');
		this.#readers.add(response);
		this.#tell();
		request.on('close', () => this.#readers.delete(response));
		response.on('close', () => this.#readers.delete(response));
	}

	async #page(name: string, response: ServerResponse): Promise<void> {
		const folder = this.#options.page ?? builtPage;
		try {
			const bytes = await readFile(path.join(folder, path.normalize(`/${name}`)));
			response.writeHead(200, {
				'content-type': kinds[path.extname(name)] ?? 'application/octet-stream',
				'content-security-policy': policy,
				'x-content-type-options': 'nosniff',
				'cache-control': 'no-cache',
			});
			response.end(bytes);
		} catch {
			response.writeHead(404).end();
		}
	}

	async #api(
		request: IncomingMessage,
		response: ServerResponse,
		target: string,
		query: URLSearchParams,
		asked: string,
	): Promise<void> {
		const isRead = request.method === 'GET';
		const body: unknown = isRead ? undefined : await bodyOf(request);
		if (body !== undefined) {
			this.bodies.push({request: asked, body});
		}
		if (target === 'session') {
			this.#session(request, response, body);
			return;
		}
		if (target.startsWith('mirror/') && isRead && !this.rights.includes('private')) {
			json(response, 401, {code: 'UnauthorizedError', message: 'this needs a login that may private'});
			return;
		}
		const [, kind, uuid] = /^(?:mirror\/)?(images)\/([0-9a-f-]{36})$/.exec(target) ?? [];
		const row = kind === undefined ? undefined : this.rows.find(one => one.uuid === uuid);
		if (uuid !== undefined && row === undefined) {
			json(response, 404, {code: 'ResourceNotFound', message: `image ${uuid} not found`});
		} else if (row !== undefined) {
			this.#image(request, response, {target, row, action: query.get('action') ?? ''});
		} else {
			this.#rest(response, target, query, body);
		}
	}

	#image(
		{method = ''}: IncomingMessage,
		response: ServerResponse,
		{target, row, action}: {readonly target: string; readonly row: ImageRow; readonly action: string},
	): void {
		const {uuid} = row;
		const details = detailsOf(row, this.rows);
		if (method === 'GET') {
			const channels = this.#options.channels?.slice(0, 1).map(({name}) => name);
			json(response, 200, target.startsWith('mirror/') ? details : {...details.manifest, channels});
		} else if (method === 'DELETE') {
			this.rows = this.rows.filter(one => one.uuid !== uuid);
			response.writeHead(204).end();
		} else {
			this.change(uuid, actions[action]?.(row) ?? {});
			const chain = [{uuid, name: row.name, here: row.here === 'here'}];
			const answers: Readonly<Record<string, object>> = {
				pin: {uuid, chain, unchanged: false},
				unpin: {uuid, chain, unchanged: false},
				hold: {uuid, name: row.name, version: row.version, reasons: []},
				release: {released: [uuid]},
			};
			json(response, 200, answers[action] ?? details.manifest);
		}
	}

	/** As if it had changed at the mirror, without a word about it. */
	change(uuid: string, change: Partial<ImageRow>): void {
		this.rows = this.rows.map(row => (row.uuid === uuid ? {...row, ...change} : row));
	}

	#rest(response: ServerResponse, target: string, query: URLSearchParams, body: unknown): void {
		const isEmpty = this.rows.length === 0;
		const nowMs = this.#options.isNow === true ? Date.now() : undefined;
		const answers: Readonly<Record<string, () => unknown>> = {
			'mirror/images': () => this.rows,
			images: () => this.rows.filter(row => row.public).map(row => detailsOf(row, []).manifest),
			'mirror/storage': () => makeStorage(this.rows),
			'mirror/transfers': () => this.transfers,
			'mirror/sources': () => makeSources(isEmpty),
			'mirror/conflicts': () =>
				isEmpty
					? []
					: [
							{
								...{uuid: uuidOf(12), name: 'windows-2022', version: '1.0.0'},
								sources: [
									{name: 'smartos', sha1: '1'.repeat(40)},
									{name: 'old', sha1: '2'.repeat(40)},
								],
							},
						],
			'mirror/failures': () => (isEmpty ? [] : failures),
			'mirror/held': () =>
				this.rows
					.filter(({held}) => held !== undefined)
					.map(({uuid, name, version, publishedAt, held}) => ({uuid, name, version, publishedAt, reasons: [held]})),
			'mirror/prefetch': () => makeRules(isEmpty),
			'mirror/history': () => makeHistory(Number(query.get('hours')), isEmpty, nowMs),
			'mirror/refresh': () => [{source: query.get('source') ?? 'smartos'}],
			'mirror/prefetch/run': () => ({}),
			'mirror/check': () => ({errors: this.problemsOf(body as Record<string, unknown>), advice: []}),
			'mirror/evict': () => this.#evict(body as {uuids: readonly string[]}),
		};
		if (target === 'mirror/verify') {
			lines(response, [
				{what: 'begin', files: 2, bytes: 200},
				{what: 'progress', bytesDone: 100},
				{what: 'file', sha1: '1'.repeat(40), images: [], outcome: 'right'},
				{what: 'file', sha1: '2'.repeat(40), images: [], outcome: 'refetching', problem: 'it is wrong'},
				{what: 'end', right: 1, wrong: 1, unreadable: 0},
			]);
		} else if (target === 'mirror/prefetch' && body !== undefined) {
			this.#prefetch(response, (body as {selection: {uuids: readonly string[]}}).selection.uuids[0] ?? '');
		} else {
			const answer = answers[target];
			json(
				response,
				answer === undefined ? 404 : 200,
				answer?.() ?? {code: 'ResourceNotFound', message: 'no such path'},
			);
		}
	}

	#evict({uuids}: {readonly uuids: readonly string[]}): readonly object[] {
		return uuids.map(uuid => {
			const row = this.rows.find(one => one.uuid === uuid);
			if (row?.pinned === true) {
				return {uuid, bytes: 0, problem: 'it is pinned'};
			}
			this.change(uuid, {here: 'away'});
			return {uuid, bytes: row?.size ?? 0};
		});
	}

	#prefetch(response: ServerResponse, uuid: string): void {
		const row = this.rows.find(one => one.uuid === uuid);
		const {name = '', version = '', size = 0} = row ?? {};
		const plan = {
			images: [{uuid, name, version, size, here: false}],
			bytes: size,
			bytesToFetch: size,
			leftOut: 0,
			missing: [],
		};
		const begun = [
			{what: 'plan', plan},
			{what: 'image', uuid, name, version, bytes: size},
			{what: 'progress', uuid, bytes: size / 2},
		];
		if (this.isPrefetchSlow) {
			response.writeHead(200, {'content-type': 'application/x-ndjson'});
			response.write(begun.map(line => `${JSON.stringify(line)}\n`).join(''));
			response.on('close', () => {
				this.prefetchesLeft++;
				this.#tell();
			});
			return;
		}
		this.change(uuid, {here: 'here'});
		lines(response, [
			...begun,
			{what: 'done', uuid, outcome: 'fetched'},
			{what: 'end', fetched: 1, there: 0, failed: 0, bytes: size, ms: 1200},
		]);
	}

	#session({method}: IncomingMessage, response: ServerResponse, body: unknown): void {
		if (method === 'POST') {
			const {user, password} = body as {readonly user: string; readonly password: string};
			if (password !== 'secret') {
				json(response, 401, {code: 'UnauthorizedError', message: 'wrong'});
				return;
			}
			this.user = user;
			this.rights = all;
		} else if (method === 'DELETE') {
			this.user = undefined;
			this.rights = this.#options.rights ?? all;
			response.writeHead(204).end();
			return;
		}
		const {channels = []} = this.#options;
		json(response, 200, {
			user: this.user,
			rights: this.rights,
			mode: 'any',
			channels,
			version: '1.2.3',
			hasUsers: this.hasUsers,
		});
	}
}

const actions: Readonly<Record<string, (row: ImageRow) => Partial<ImageRow>>> = {
	pin: () => ({pinned: true}),
	unpin: () => ({pinned: false}),
	hold: () => ({held: {source: 'smartos', why: 'operator', by: 'op'}}),
	enable: () => ({state: 'active'}),
	activate: () => ({state: 'active'}),
	disable: () => ({state: 'disabled'}),
};

const failures: readonly MirrorEvent[] = [
	{
		...{id: 9, type: 'transfer.failed', at: '2026-03-01T11:58:01.000Z', source: 'triton'},
		image: {uuid: uuidOf(13), name: 'imgapi', version: '20.0.3', public: true},
		problem: 'cut off after 31 MB, and no other source has it',
	},
	{
		id: 7,
		type: 'source.down',
		at: '2026-03-01T10:53:20.000Z',
		source: 'triton',
		problem: 'connect timed out after 10 s',
	},
];

function json(response: ServerResponse, status: number, body: unknown): void {
	response.writeHead(status, {'content-type': 'application/json'});
	response.end(JSON.stringify(body));
}

function lines(response: ServerResponse, all: readonly object[]): void {
	response.writeHead(200, {'content-type': 'application/x-ndjson'});
	response.end(all.map(line => `${JSON.stringify(line)}\n`).join(''));
}

async function bodyOf(request: IncomingMessage): Promise<unknown> {
	const pieces: Buffer[] = [];
	for await (const piece of request) {
		pieces.push(piece as Buffer);
	}
	const text = Buffer.concat(pieces).toString();
	return text === '' ? undefined : JSON.parse(text);
}
