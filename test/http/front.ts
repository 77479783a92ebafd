/**
 * An HTTP front on port 0 before a fake mirror, and clients as crude as a test needs them.
 */
import {request as httpRequest, type Agent, type IncomingHttpHeaders, type OutgoingHttpHeaders} from 'node:http';
import {connect, type Socket} from 'node:net';
import {startHttp, type HttpFront, type HttpOptions, type ListenOptions} from '../../src/http/server.js';
import type {Scope} from '../helpers/temp-dir.js';
import {testHost, type TestHost} from '../helpers/test-host.js';
import {FakeAccess} from './fake-access.js';
import {FakeAirgap} from './fake-airgap.js';
import {FakeMirror, type FakeImage} from './fake-mirror.js';
import {FakeHistory, FakeLog, FakeOperate, FakePrefetch} from './fake-operate.js';

export interface StartedFront {
	readonly front: HttpFront;
	readonly mirror: FakeMirror;
	readonly operate: FakeOperate;
	readonly prefetch: FakePrefetch;
	readonly airgap: FakeAirgap;
	readonly history: FakeHistory;
	readonly logTail: FakeLog;
	readonly host: TestHost;
	/** `http://127.0.0.1:PORT` */
	readonly url: string;
	readonly port: number;
}

export type FrontOptions = Partial<
	Omit<HttpOptions, 'mirror' | 'operate' | 'prefetch' | 'airgap' | 'history' | 'logTail' | 'host'>
> & {
	readonly images?: readonly FakeImage[];
	readonly host?: TestHost;
};

export const version = '9.8.7';

export const settings = {
	basePath: '',
	publicUrl: undefined,
	mode: 'any' as const,
	sendfile: 'auto' as const,
	datasetNames: {cloudName: 'sdc', creatorName: 'sdc'},
	limits: {
		// Longer than a machine that has much else to do may keep a test waiting.
		headersTimeoutMs: 600_000,
		keepAliveTimeoutMs: 600_000,
		clientIdleTimeoutMs: 0,
		maxHeaderBytes: 16_384,
		uploadIdleTimeoutMs: 60_000,
	},
};

/** What a front has behind it, besides the mirror. */
export function behind(): {
	operate: FakeOperate;
	prefetch: FakePrefetch;
	airgap: FakeAirgap;
	history: FakeHistory;
	logTail: FakeLog;
	page: undefined;
} {
	return {
		...{operate: new FakeOperate(), prefetch: new FakePrefetch(), history: new FakeHistory()},
		...{airgap: new FakeAirgap(), logTail: new FakeLog(), page: undefined},
	};
}

export function tcp(address = '127.0.0.1:0'): ListenOptions {
	const at = address.lastIndexOf(':');
	return {
		address,
		host: address.slice(0, at).replace(/^\[(.*)\]$/, '$1'),
		port: Number(address.slice(at + 1)),
		path: undefined,
		mode: undefined,
		tls: undefined,
	};
}

export async function startFront(t: Scope, options: FrontOptions = {}): Promise<StartedFront> {
	const {images, host = testHost(), ...rest} = options;
	const mirror = new FakeMirror(images);
	const others = behind();
	const front = await startHttp({
		...settings,
		...others,
		listen: [tcp()],
		access: new FakeAccess(),
		version,
		instanceId: 'this-mirror',
		...rest,
		mirror,
		host,
	});
	t.teardown(() => front.stop({drainMs: 0}));
	const [url = ''] = front.addresses;
	return {front, mirror, ...others, host, url, port: Number(url.split(':').at(-1))};
}

export interface Answer {
	readonly status: number;
	readonly headers: IncomingHttpHeaders;
	readonly body: Buffer;
	readonly text: string;
	/** The body as JSON. */
	readonly json: unknown;
}

export interface AskOptions {
	readonly method?: string;
	readonly headers?: OutgoingHttpHeaders;
	readonly body?: Buffer | string;
	readonly agent?: Agent;
	readonly socketPath?: string;
	readonly signal?: AbortSignal;
}

/** A whole answer; rejects when it is cut short. `path` goes out as it stands. */
export function ask(url: string, path: string, options: AskOptions = {}): Promise<Answer> {
	const {method = 'GET', headers = {}, body, agent, socketPath, signal} = options;
	const {hostname, port} = new URL(url.startsWith('http') ? url : 'http://localhost');
	return new Promise((resolve, reject) => {
		const request = httpRequest(
			{
				...(socketPath === undefined ? {host: hostname, port} : {socketPath}),
				path,
				method,
				headers,
				agent: agent ?? false,
				...(signal === undefined ? {} : {signal}),
			},
			response => {
				const chunks: Buffer[] = [];
				response.on('data', (chunk: Buffer) => chunks.push(chunk));
				response.on('error', reject);
				response.on('end', () => {
					const whole = Buffer.concat(chunks);
					const text = whole.toString();
					resolve({
						status: response.statusCode ?? 0,
						headers: response.headers,
						body: whole,
						text,
						get json(): unknown {
							return JSON.parse(text) as unknown;
						},
					});
				});
			},
		);
		request.on('error', reject);
		request.end(body);
	});
}

/** Sends text as it stands and resolves with all that comes until the connection ends. */
export async function say(port: number, text: string | Buffer): Promise<string> {
	const socket = await open(port);
	socket.write(text);
	return heard(socket);
}

export function open(port: number): Promise<Socket> {
	return new Promise((resolve, reject) => {
		const socket = connect({host: '127.0.0.1', port, allowHalfOpen: true});
		socket.once('error', reject);
		socket.once('connect', () => {
			socket.off('error', reject);
			// Being cut off is what many of these tests are about.
			socket.on('error', () => undefined);
			resolve(socket);
		});
	});
}

/** All that comes until the other side ends or resets the connection. */
export function heard(socket: Socket): Promise<string> {
	return new Promise(resolve => {
		const chunks: Buffer[] = [];
		const finish = (): void => {
			socket.destroy();
			resolve(Buffer.concat(chunks).toString('latin1'));
		};
		socket.on('data', (chunk: Buffer) => chunks.push(chunk));
		socket.once('end', finish);
		socket.once('error', finish);
		socket.once('close', finish);
		socket.resume();
	});
}

/** Resolves once `text` has come; what came before counts, if it came while somebody was listening here. */
export function hears(socket: Socket, text: string): Promise<string> {
	return new Promise((resolve, reject) => {
		let got = '';
		const look = (chunk: Buffer): void => {
			got += chunk.toString('latin1');
			if (got.includes(text)) {
				socket.off('data', look);
				resolve(got);
			}
		};
		socket.on('data', look);
		socket.once('close', () => reject(new Error(`the connection ended after ${JSON.stringify(got.slice(0, 500))}`)));
	});
}

/** The answers in what a connection gave, each as its head and body. `heads`: which of them answer a HEAD. */
export function answersIn(
	text: string,
	heads: readonly number[] = [],
): readonly {readonly status: number; readonly head: string; readonly body: string}[] {
	const answers: {status: number; head: string; body: string}[] = [];
	let rest = text;
	while (rest.length > 0) {
		const end = rest.indexOf('\r\n\r\n');
		const head = rest.slice(0, end);
		const length = heads.includes(answers.length) ? 0 : Number(/^content-length: (\d+)/im.exec(head)?.[1] ?? 0);
		answers.push({status: Number(head.split(' ')[1]), head, body: rest.slice(end + 4, end + 4 + length)});
		rest = rest.slice(end + 4 + length);
	}
	return answers;
}
