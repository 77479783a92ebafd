/**
 * A server that is told things, on port 0, and answers as a test says: well, badly, late, never.
 *
 * `startWebhooks` puts webhooks together as the mirror does, with real requests and a clock that stands still.
 */
import {once} from 'node:events';
import {createServer, type IncomingHttpHeaders, type ServerResponse} from 'node:http';
import type {AddressInfo} from 'node:net';
import {Webhooks, type HookSettings} from '../../src/notify/webhooks.js';
import {Poster} from '../../src/sources/post.js';
import {ManualClock, settle} from '../helpers/manual-clock.js';
import type {Scope} from '../helpers/temp-dir.js';
import {testHost, type TestHost} from '../helpers/test-host.js';

export interface Told {
	readonly method: string;
	readonly path: string;
	readonly headers: IncomingHttpHeaders;
	readonly text: string;
	readonly body: {
		readonly type: string;
		readonly timestamp: string;
		readonly data: Readonly<Record<string, unknown>>;
		readonly mirror: object;
	};
}

export type Manner =
	| number
	| {readonly status: number; readonly headers: Readonly<Record<string, string>>}
	/** Never answers. */
	| 'hang'
	/** Breaks the connection in the middle of the headers. */
	| 'cut'
	/** 200, and then a body that never ends. */
	| 'slow'
	/** 200, and then more than anybody wants. */
	| 'flood';

export interface HookServer {
	readonly url: string;
	readonly told: readonly Told[];
	/** For the next requests, one each; then 204 again. */
	next(...manners: readonly Manner[]): void;
	/** For all to come. */
	manner: Manner;
	/** Resolves once so many have come, since the start. */
	received(count: number): Promise<void>;
	readonly types: readonly string[];
}

export async function startHook(t: Scope): Promise<HookServer> {
	const told: Told[] = [];
	const manners: Manner[] = [];
	const waiting = new Set<() => void>();
	const hook = {manner: 204 as Manner};
	const server = createServer((request, response) => {
		const chunks: Buffer[] = [];
		request.on('data', (chunk: Buffer) => chunks.push(chunk));
		request.on('error', () => undefined);
		request.on('end', () => {
			const text = Buffer.concat(chunks).toString();
			const {method = '', url: path = '', headers} = request;
			told.push({method, path, headers, text, body: JSON.parse(text) as Told['body']});
			answer(response, manners.shift() ?? hook.manner);
			for (const look of [...waiting]) {
				look();
			}
		});
	});
	server.listen(0, '127.0.0.1');
	await once(server, 'listening');
	t.teardown(() => {
		server.closeAllConnections();
		server.close();
	});
	return {
		url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook?token=s3cret`,
		told,
		get types() {
			return told.map(({body}) => body.type);
		},
		get manner() {
			return hook.manner;
		},
		set manner(manner) {
			hook.manner = manner;
		},
		next(...more) {
			manners.push(...more);
		},
		received: count =>
			new Promise(resolve => {
				const look = (): void => {
					if (told.length >= count) {
						waiting.delete(look);
						resolve();
					}
				};
				waiting.add(look);
				look();
			}),
	};
}

function answer(response: ServerResponse, manner: Manner): void {
	switch (manner) {
		case 'hang':
			return;
		case 'cut':
			response.socket?.end('HTTP/1.1 200 OK\r\nContent-Le');
			return;
		case 'slow':
			response.writeHead(200, {'content-length': 1000}).write('x');
			return;
		case 'flood': {
			response.writeHead(200).on('error', () => undefined);
			const pour = (): void => {
				while (!response.destroyed && response.write(Buffer.alloc(65_536))) {
					// More.
				}
			};
			response.on('drain', pour);
			pour();
			return;
		}
		default: {
			const {status, headers = {}} = typeof manner === 'number' ? {status: manner} : manner;
			response.writeHead(status, headers).end();
		}
	}
}

/** A file in memory, which a restart finds as it was left. */
export class Kept {
	text: string | undefined;
	writes = 0;
	fails = false;

	aside: string | undefined;

	readonly setAside = (): Promise<string> => {
		this.aside = this.text;
		this.text = undefined;
		return Promise.resolve('hooks.json.unreadable');
	};
	unreadable: Error | undefined;
	readonly read = (): Promise<string | undefined> =>
		this.unreadable === undefined ? Promise.resolve(this.text) : Promise.reject(this.unreadable);
	readonly write = (text: string): Promise<void> => {
		if (this.fails) {
			return Promise.reject(new Error('no space left'));
		}
		this.text = text;
		this.writes++;
		return Promise.resolve();
	};
}

export function hookSettings(url: string, more: Partial<HookSettings> = {}): HookSettings {
	return {
		name: 'ops',
		url,
		events: [],
		secret: undefined,
		headers: {},
		retryForMs: 86_400_000,
		timeoutMs: 10_000,
		...more,
	};
}

export interface StartedWebhooks {
	readonly webhooks: Webhooks;
	readonly host: TestHost;
	readonly clock: ManualClock;
	readonly kept: Kept;
	/** Resolves once so many requests are over, one way or another, and all that follows from that is done. */
	over(count: number): Promise<void>;
	/** As kill -9 does: nothing more is said or written. */
	readonly die: () => void;
}

export async function startWebhooks(
	t: Scope,
	settings: readonly HookSettings[],
	options: {readonly clock?: ManualClock; readonly kept?: Kept; readonly random?: () => number} = {},
): Promise<StartedWebhooks> {
	const host = testHost({clock: options.clock ?? new ManualClock(), ...(options.random && {random: options.random})});
	const kept = options.kept ?? new Kept();
	const environment = {httpProxy: undefined, httpsProxy: undefined, noProxy: undefined};
	const poster = new Poster({host, userAgent: 'imgmirror/0.0.0-test', instanceId: 'mirror-under-test', environment});
	let finished = 0;
	let dead = false;
	const waiting = new Set<() => void>();
	const webhooks = new Webhooks({
		host,
		settings,
		mirror: {version: '1.2.3', host: 'mirror01'},
		async post(request) {
			if (dead) {
				return new Promise(() => undefined);
			}
			try {
				return await poster.post(request);
			} finally {
				finished++;
				void settle().then(() => {
					for (const look of [...waiting]) {
						look();
					}
				});
			}
		},
		read: kept.read,
		setAside: kept.setAside,
		write: text => (dead ? Promise.resolve() : kept.write(text)),
	});
	await webhooks.load();
	webhooks.start();
	t.teardown(async () => {
		await webhooks.stop();
		await poster.close();
	});
	return {
		webhooks,
		host,
		clock: host.clock,
		kept,
		async over(count) {
			await new Promise<void>(resolve => {
				const look = (): void => {
					if (finished >= count) {
						waiting.delete(look);
						resolve();
					}
				};
				waiting.add(look);
				look();
			});
			await settle();
		},
		die: () => {
			dead = true;
		},
	};
}
