/**
 * A mirror's side for operators without a mirror: it answers what a test puts in, over real HTTP, and notes what it was
 * asked. Shapes are the mirror's own types, so that commands are tested with what it really sends.
 */
import {once} from 'node:events';
import {createServer, type IncomingMessage, type Server, type ServerResponse} from 'node:http';
import type {AddressInfo, Socket} from 'node:net';
import {join} from 'node:path';
import {text} from 'node:stream/consumers';
import {gzipSync} from 'node:zlib';
import type {ExecutionContext} from 'ava';
import {runCli} from '../../src/cli/run.js';
import type {MirrorEvent} from '../../src/host-events.js';
import type {Uuid} from '../../src/image/manifest.js';
import type {
	ImageDetails,
	ImageRow,
	ScrubReport,
	SourceReport,
	StorageReport,
	TransferReport,
} from '../../src/mirror-operate-api.js';
import type {RuleReport} from '../../src/prefetch/api.js';
import {tempDir} from '../helpers/temp-dir.js';
import {FakeIo} from './fake-io.js';

/** What is answered: JSON with 200, or as it says. */
export type Canned =
	| {readonly json: unknown}
	| {readonly status: number; readonly code: string; readonly message: string}
	/** A line each; `cut`: the connection breaks after them; a promise is waited for. */
	| {readonly lines: readonly (object | Promise<unknown>)[]; readonly cut?: true}
	/** As it is. */
	| {readonly text: string};

export interface Asked {
	readonly what: string;
	readonly body: unknown;
}

export class FakeOperator {
	/** By `GET /mirror/sources`, with or without the query. */
	readonly answers = new Map<string, Canned | (() => Canned)>();
	readonly asked: Asked[] = [];
	/** `Basic …`; `undefined`: everybody may. */
	login: string | undefined;
	readonly #server: Server;
	readonly #sockets = new Set<Socket>();
	readonly #watchers = new Set<() => void>();

	constructor() {
		this.#server = createServer((request, response) => {
			this.#answer(request, response).catch(() => response.destroy());
		});
		this.#server.on('connection', socket => {
			this.#sockets.add(socket);
			socket.once('close', () => this.#sockets.delete(socket));
		});
	}

	async start(socket?: string): Promise<void> {
		this.#server.listen(socket === undefined ? {port: 0, host: '127.0.0.1'} : {path: socket});
		await once(this.#server, 'listening');
	}

	async stop(): Promise<void> {
		const closed = once(this.#server, 'close');
		this.#server.close();
		for (const socket of this.#sockets) {
			socket.destroy();
		}
		await closed;
	}

	/** With a login, if given. */
	url(login = ''): string {
		const {port} = this.#server.address() as AddressInfo;
		return `http://${login === '' ? '' : `${login}@`}127.0.0.1:${port}`;
	}

	json(what: string, value: unknown): void {
		this.answers.set(what, {json: value});
	}

	/** Resolves once so many requests of that kind have come. */
	async until(what: string, count = 1): Promise<void> {
		await new Promise<void>(resolve => {
			const look = (): void => {
				if (this.asked.filter(one => one.what.startsWith(what)).length >= count) {
					this.#watchers.delete(look);
					resolve();
				}
			};
			this.#watchers.add(look);
			look();
		});
	}

	async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
		const {method = '', url = ''} = request;
		const body = await text(request);
		const what = `${method} ${url}`;
		this.asked.push({what, body: body === '' ? undefined : (JSON.parse(body) as unknown)});
		const respond = (status: number, value: unknown): void => {
			const json = JSON.stringify(value);
			const packed = String(request.headers['accept-encoding']).includes('gzip') && json.length > 200;
			response
				.writeHead(status, {'content-type': 'application/json', ...(packed ? {'content-encoding': 'gzip'} : {})})
				.end(packed ? gzipSync(json) : json);
		};
		if (this.login !== undefined && request.headers.authorization !== this.login) {
			respond(401, {code: 'UnauthorizedError', message: 'this needs a login that may private'});
		} else {
			const found = this.answers.get(what) ?? this.answers.get(what.replace(/\?.*$/, ''));
			const answer = typeof found === 'function' ? found() : found;
			if (answer === undefined) {
				respond(404, {code: 'ResourceNotFound', message: `${url} does not exist`});
			} else if ('status' in answer) {
				respond(answer.status, {code: answer.code, message: answer.message});
			} else if ('text' in answer) {
				response.end(answer.text);
			} else if ('lines' in answer) {
				await tell(response, answer.lines, answer.cut ?? false);
			} else {
				respond(200, answer.json);
			}
		}
		for (const watcher of [...this.#watchers]) {
			watcher();
		}
	}
}

async function tell(
	response: ServerResponse,
	lines: readonly (object | Promise<unknown>)[],
	cut: boolean,
): Promise<void> {
	response.writeHead(200, {'content-type': 'application/x-ndjson'});
	for (const line of lines) {
		if (line instanceof Promise) {
			await line;
		} else {
			await new Promise<void>(resolve => response.write(`${JSON.stringify(line)}\n`, () => resolve()));
		}
	}
	if (cut) {
		response.destroy();
	} else {
		response.end();
	}
}

export interface Bench {
	readonly io: FakeIo;
	readonly server: FakeOperator;
	/** Runs a command against the server, by its URL. */
	readonly run: (...argv: string[]) => Promise<number>;
	/** The same through the socket of a data directory. */
	readonly runHere: (...argv: string[]) => Promise<number>;
}

/** What a healthy mirror says, which a test may change. Times are reckoned from the clock's beginning. */
export async function bench(t: ExecutionContext): Promise<Bench> {
	const io = new FakeIo();
	const server = new FakeOperator();
	await server.start();
	const data = await tempDir(t);
	const here = new FakeOperator();
	const socket = join(data, 'control.sock');
	await here.start(socket);
	t.teardown(async () => {
		await server.stop();
		await here.stop();
	});
	for (const [what, value] of healthy()) {
		server.json(what, value);
		here.json(what, value);
	}
	io.control = {controlSocket: async () => socket, isRunning: async () => true};
	return {
		io,
		server,
		run: (...argv) => runCli([...argv, '--url', server.url()], io),
		runHere: (...argv) => runCli([...argv, '--data', data], io),
	};
}

function healthy(): readonly (readonly [string, unknown])[] {
	return [
		['GET /status', {name: 'imgmirror', version: '1.2.3', startedAt: ago(3 * day), merged: 1204, conflictCount: 0}],
		['GET /readyz', {status: 'ready', problems: []}],
		['GET /mirror/sources', [source('joyent')]],
		['GET /mirror/storage', storage()],
		['GET /mirror/transfers', []],
		['GET /mirror/prefetch', []],
		['GET /mirror/failures', []],
		['GET /mirror/images', []],
		['GET /mirror/held', []],
	];
}

export const minute = 60_000;
export const hour = 60 * minute;
export const day = 24 * hour;

export const ago = (ms: number): string => new Date(Date.now() - ms).toISOString();
export const ahead = (ms: number): string => new Date(Date.now() + ms).toISOString();

export const uuidOf = (digits: string): Uuid =>
	`${digits}${'01b2c898-945f-11e1-a523-af1afbe22822'.slice(digits.length)}` as Uuid;

export function row(digits: string, fields: Partial<ImageRow> = {}): ImageRow {
	return {
		uuid: uuidOf(digits),
		name: 'base',
		version: '1.0.0',
		os: 'smartos',
		type: 'zone-dataset',
		state: 'active',
		owner: '930896af-bf8c-48d4-885c-6573a94b1853',
		public: true,
		publishedAt: '2026-01-02T03:04:05.678Z',
		size: 1_500_000,
		source: 'joyent',
		sources: ['joyent'],
		here: 'away',
		pinned: false,
		wantedBy: [],
		vanished: false,
		...fields,
	};
}

export function details(image: ImageRow, fields: Partial<ImageDetails> = {}): ImageDetails {
	return {...image, manifest: {v: 2, uuid: image.uuid}, origins: [], dependents: [], files: [], ...fields};
}

export function source(name: string, fields: Partial<SourceReport> = {}): SourceReport {
	return {
		...{name, kind: 'imgapi', urls: [`https://${name}.example`]},
		...{images: 1204, held: 0, vanished: 0, skipped: 0, reasons: [], fresh: true},
		...{fetchedAt: ago(2 * minute), nextTryAt: ahead(28 * minute)},
		health: {
			...{state: 'up', since: ago(3 * day), lastSuccessAt: ago(2 * minute)},
			...{consecutiveFailures: 0, latencyMs: 80, requests: 12, failures: 0, marks: 0},
		},
		...fields,
	};
}

export function storage(fields: Partial<StorageReport> = {}): StorageReport {
	return {
		...{files: 345, bytes: 120e9, partials: 0, partialBytes: 0, reservedBytes: 0, freeBytes: 80e9, diskBytes: 1e12},
		limits: {maxBytes: 500e9, minFreeBytes: 10e9, allowedBytes: 490e9, highBytes: 441e9, lowBytes: 392e9},
		byReason: {published: 12e9, pinned: 3e9, 'free-to-go': 105e9},
		all: [],
		next: {files: 0, bytes: 0, because: ''},
		quarantine: [],
		scrub: scrub(),
		...fields,
	};
}

export function scrub(fields: Partial<ScrubReport> = {}): ScrubReport {
	return {
		...{running: false, files: 345, filesDone: 345, bytes: 120e9, bytesDone: 120e9, wrong: 0, damaged: []},
		...{beganAt: ago(2 * day + hour), endedAt: ago(2 * day), nextAt: ahead(5 * day)},
		...fields,
	};
}

export function transfer(digits: string, fields: Partial<TransferReport> = {}): TransferReport {
	return {
		image: {uuid: uuidOf(digits), name: 'base', version: '1.0.0'},
		...{sha1: 'a'.repeat(40), size: 4e9, written: 1e9, resumedFrom: 0, followers: 4, source: 'joyent'},
		...{waiting: false, background: false, since: ago(minute), bytesPerSecond: 12e6, etaMs: 250_000},
		...fields,
	};
}

export function rule(name: string, fields: Partial<RuleReport> = {}): RuleReport {
	return {
		...{name, chooses: 'the newest 2 of each name', images: 14, imagesHere: 12, bytes: 4e9, bytesHere: 3.2e9},
		...{running: false, waiting: false, lastRunAt: ago(21 * hour), nextRunAt: ahead(3 * hour)},
		...fields,
	};
}

export function failure(id: number, fields: Partial<MirrorEvent> = {}): MirrorEvent {
	return {id, type: 'source.down', at: ago(5 * minute), source: 'lab', problem: 'connect ECONNREFUSED', ...fields};
}
