/**
 * A plain HTTP client for tests: sends exactly what it is told, and tells whether the answer came whole.
 *
 * Every request has a connection of its own unless an agent is given. A body that is cut short is no error here:
 * `complete` is false, and `body` is what came.
 */
import {createHash} from 'node:crypto';
import http, {type IncomingHttpHeaders, type IncomingMessage} from 'node:http';
import https from 'node:https';

export interface GetOptions {
	readonly method?: string;
	readonly headers?: Readonly<Record<string, string>>;
	readonly body?: string | Buffer;
	readonly agent?: http.Agent;
	readonly ca?: Buffer;
	readonly socketPath?: string;
	/** The request target, where it is not the URL's path. */
	readonly target?: string;
	/** Hash the body instead of keeping it. */
	readonly hashOnly?: boolean;
	/** Bytes per second to read at; as fast as it comes unless given. */
	readonly bytesPerSecond?: number;
	readonly signal?: AbortSignal;
}

export interface Answer {
	readonly status: number;
	readonly headers: IncomingHttpHeaders;
	readonly rawHeaders: readonly string[];
	readonly body: Buffer;
	readonly bytes: number;
	readonly sha1: string;
	/** The body had the length that its headers said. */
	readonly complete: boolean;
	readonly text: string;
	json(): unknown;
}

/** Resolves with the headers; the body is to be read by the caller. */
export function open(url: string, options: GetOptions = {}): Promise<IncomingMessage> {
	const {protocol, hostname, port, pathname, search} = new URL(url);
	const client = protocol === 'https:' ? https : http;
	return new Promise((resolve, reject) => {
		const request = client.request(
			{
				host: hostname,
				port,
				path: options.target ?? pathname + search,
				method: options.method ?? 'GET',
				headers: options.headers ?? {},
				agent: options.agent ?? false,
				...(options.ca === undefined ? {} : {ca: options.ca}),
				...(options.socketPath === undefined ? {} : {socketPath: options.socketPath}),
				...(options.signal === undefined ? {} : {signal: options.signal}),
			},
			resolve,
		);
		request.on('error', reject);
		request.end(options.body);
	});
}

export async function get(url: string, options: GetOptions = {}): Promise<Answer> {
	const response = await open(url, options);
	const chunks: Buffer[] = [];
	const hash = createHash('sha1');
	let bytes = 0;
	let complete = true;
	try {
		for await (const chunk of response as AsyncIterable<Buffer>) {
			bytes += chunk.length;
			hash.update(chunk);
			if (options.hashOnly !== true) {
				chunks.push(chunk);
			}
			if (options.bytesPerSecond !== undefined) {
				const delayMs = (chunk.length / options.bytesPerSecond) * 1000;
				await new Promise(resolve => setTimeout(resolve, delayMs));
			}
		}
	} catch {
		complete = false;
	}
	const length = response.headers['content-length'];
	if (options.method !== 'HEAD' && length !== undefined && response.statusCode !== 304 && bytes !== Number(length)) {
		complete = false;
	}
	const body = Buffer.concat(chunks);
	return {
		status: response.statusCode ?? 0,
		headers: response.headers,
		rawHeaders: response.rawHeaders,
		body,
		bytes,
		sha1: hash.digest('hex'),
		complete: complete && response.complete,
		get text() {
			return body.toString();
		},
		json: () => JSON.parse(body.toString()) as unknown,
	};
}
