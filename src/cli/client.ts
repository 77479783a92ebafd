/**
 * HTTP as the commands speak it: to a server by its URL, or through the socket of a data directory.
 *
 * Bodies are sent piece by piece, with nothing gathered; an answer that comes before all is sent ends the sending, unless
 * it is one that is told meanwhile. There is no limit to how long anything may take as long as it moves. Trying again is
 * `transfer.ts`'s.
 */
import http, {type ClientRequest, type IncomingHttpHeaders, type IncomingMessage} from 'node:http';
import https from 'node:https';
import {MirrorError, asError} from '../errors.js';
import {ConnectionError, answerError, connectionError} from './client-errors.js';
import type {Clock} from '../host.js';
import type {Target} from './target.js';

/** A body that is made while it is sent. */
export interface Pieces {
	/** `undefined`: nobody knows before its end. */
	readonly length: number | undefined;
	readonly pieces: AsyncIterable<Buffer> | Iterable<Buffer>;
	/** Told of every piece that has been handed to the network. */
	readonly onSent?: (bytes: number) => void;
}

export interface Call {
	readonly method?: string;
	/** Below the target's base path, perhaps with a query. */
	readonly path: string;
	readonly headers?: Readonly<Record<string, string>>;
	readonly body?: Buffer | Pieces | undefined;
	/** How long the server may be silent once it has the request. */
	readonly answerMs?: number;
	/** An answer that is no refusal is told while the body is sent: `read` gets it, and throws what the body throws. */
	readonly meanwhile?: boolean;
	readonly signal?: AbortSignal | undefined;
}

export interface Answer {
	readonly status: number;
	readonly headers: IncomingHttpHeaders;
	readonly text: string;
}

/** How long a connection may stand still. */
const idleMs = 60_000;
const mostAnswerBytes = 64 * 1024 * 1024;

export class Client {
	readonly target: Target;
	readonly #agent: http.Agent;
	readonly #clock: Clock;
	readonly #userAgent: string;
	/** Of answers that are told while their request is sent: whatever moves, either way, is life. */
	readonly #watches = new WeakMap<IncomingMessage, Watch>();

	constructor({target, clock, version}: {target: Target; clock: Clock; version: string}) {
		this.target = target;
		this.#clock = clock;
		this.#userAgent = `imgmirror/${version}`;
		const options = {keepAlive: true, maxFreeSockets: 1};
		this.#agent = target.tls ? new https.Agent(options) : new http.Agent(options);
	}

	close(): void {
		this.#agent.destroy();
	}

	/** The answer, whatever its status. Throws ConnectionError. */
	async request(call: Call): Promise<Answer> {
		const response = await this.open(call);
		const chunks: Buffer[] = [];
		let length = 0;
		for await (const chunk of this.read(response, call)) {
			length += chunk.length;
			if (length > mostAnswerBytes) {
				response.destroy();
				throw new ConnectionError(`${this.target.shown} answers without end`, {final: true});
			}
			chunks.push(chunk);
		}
		return {
			status: response.statusCode ?? 0,
			headers: response.headers,
			text: Buffer.concat(chunks).toString('utf8'),
		};
	}

	/** The answer of a request that went well. Throws AnswerError for any status but 2xx. */
	async call(call: Call): Promise<Answer> {
		const answer = await this.request(call);
		this.expectSuccess(answer.status, answer.text, answer.headers);
		return answer;
	}

	/** As `call`, for answers that are JSON objects. `body` is sent as JSON. */
	async json({
		body,
		...call
	}: Omit<Call, 'body'> & {readonly body?: unknown}): Promise<Readonly<Record<string, unknown>>> {
		const answer = await this.call({
			...call,
			headers: {accept: 'application/json', ...call.headers, ...(body === undefined ? {} : jsonType)},
			body: body === undefined ? undefined : Buffer.from(JSON.stringify(body)),
		});
		try {
			const value = JSON.parse(answer.text) as unknown;
			if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
				return value as Readonly<Record<string, unknown>>;
			}
		} catch {
			// Said below.
		}
		throw new ConnectionError(`what ${this.target.shown} answers is not an image server's`, {final: true});
	}

	expectSuccess(status: number, body: string, headers: IncomingHttpHeaders): void {
		if (status < 200 || status > 299) {
			throw answerError({status, body, retryAfter: headers['retry-after']}, this.target);
		}
	}

	/** Resolves with the headers of the answer; its body is to be read. */
	open(call: Call): Promise<IncomingMessage> {
		const {signal} = call;
		signal?.throwIfAborted();
		const request = this.#start(call);
		const isMeanwhile = call.meanwhile === true;
		const movesWithinMs = isMeanwhile ? (call.answerMs ?? idleMs) : idleMs;
		let told: IncomingMessage | undefined;
		const watch = new Watch(this.#clock, () => {
			(told ?? request).destroy(new ConnectionError(`${this.target.shown} has been silent for too long`));
		});
		return new Promise<IncomingMessage>((resolve, reject) => {
			let ended = false;
			const sending = new Sending(request, () => ended);
			const end = (): void => {
				ended = true;
				watch.stop();
				sending.wake();
			};
			const forget = (): void => signal?.removeEventListener('abort', onAbort);
			const fail = (error: unknown): void => {
				end();
				if (told !== undefined && signal?.aborted !== true) {
					// What it has told until then is read first; that it is cut is found out after it.
					return;
				}
				forget();
				request.destroy();
				reject(signal?.aborted === true ? (signal.reason as Error) : connectionError(error, this.target));
			};
			const onAbort = (): void => {
				request.destroy();
				fail(signal?.reason);
			};
			request.once('response', response => {
				if (isMeanwhile && response.statusCode === 200) {
					told = response;
					this.#watches.set(response, watch);
				} else {
					end();
				}
				response.once('close', () => {
					end();
					forget();
					// It was answered before it was all sent: such a connection is good for nothing more.
					if (!request.writableFinished) {
						request.destroy();
					}
				});
				resolve(response);
			});
			request.on('error', fail);
			request.once('close', () => {
				if (!ended && told === undefined) {
					fail(new ConnectionError(`the connection to ${this.target.shown} broke`));
				}
			});
			signal?.addEventListener('abort', onAbort, {once: true});
			watch.within(movesWithinMs);
			sending
				.send(call.body, () => watch.within(movesWithinMs))
				.then(
					() => {
						if (!ended) {
							watch.within(call.answerMs ?? idleMs);
						}
					},
					// The body's own failure goes to the caller as it is.
					(error: unknown) => {
						end();
						if (told !== undefined) {
							told.destroy(asError(error));
							return;
						}
						forget();
						request.destroy();
						reject(asError(error));
					},
				);
		});
	}

	/** The body of an answer. Throws ConnectionError where it is cut, or where nothing comes (or goes) for too long. */
	async *read(
		response: IncomingMessage,
		{answerMs: idle = idleMs, signal}: Pick<Call, 'answerMs' | 'signal'> = {},
	): AsyncGenerator<Buffer, void, undefined> {
		const watch =
			this.#watches.get(response) ??
			new Watch(this.#clock, () => {
				response.destroy(new ConnectionError(`${this.target.shown} has been silent for too long`));
			});
		try {
			watch.within(idle);
			for await (const chunk of response as AsyncIterable<Buffer>) {
				watch.within(idle);
				yield chunk;
			}
		} catch (error) {
			if (signal?.aborted === true) {
				throw signal.reason as Error;
			}
			throw error instanceof MirrorError ? error : connectionError(error, this.target);
		} finally {
			watch.stop();
		}
	}

	#start({method = 'GET', path, headers, body}: Call): ClientRequest {
		const {target} = this;
		const {authorization} = target;
		const empty = method === 'GET' || method === 'HEAD' ? undefined : 0;
		// Without a length it goes in chunks.
		const length = body === undefined ? empty : body.length;
		const request = (target.tls ? https : http).request({
			...(target.socketPath === undefined
				? {host: target.host, port: target.port ?? (target.tls ? 443 : 80)}
				: {socketPath: target.socketPath}),
			method,
			path: target.basePath + path,
			agent: this.#agent,
			headers: {
				'user-agent': this.#userAgent,
				'accept-version': '~2',
				...(authorization === undefined ? {} : {authorization}),
				...(length === undefined ? {} : {'content-length': String(length)}),
				...headers,
			},
		});
		// A peer that is gone for good is found out even where we only wait.
		request.setSocketKeepAlive(true, 15_000);
		return request;
	}
}

const jsonType = {'content-type': 'application/json'} as const;

/** Writes a body no faster than it is taken. */
class Sending {
	readonly #request: ClientRequest;
	readonly #ended: () => boolean;
	#wake: () => void = () => undefined;

	constructor(request: ClientRequest, ended: () => boolean) {
		this.#request = request;
		this.#ended = ended;
	}

	/** The request has ended: nobody waits for room any more. */
	wake(): void {
		this.#wake();
	}

	async send(body: Buffer | Pieces | undefined, onMove: () => void): Promise<void> {
		if (body === undefined || Buffer.isBuffer(body)) {
			this.#request.end(body);
			return;
		}
		for await (const piece of body.pieces) {
			if (this.#ended()) {
				return;
			}
			if (!this.#request.write(piece)) {
				await this.#drained();
			}
			if (!this.#ended()) {
				body.onSent?.(piece.length);
				onMove();
			}
		}
		if (!this.#ended()) {
			this.#request.end();
		}
	}

	#drained(): Promise<void> {
		return new Promise(resolve => {
			const done = (): void => {
				this.#request.off('drain', done);
				resolve();
			};
			this.#wake = done;
			this.#request.once('drain', done);
		});
	}
}

/** Calls `late` when nothing has happened for too long. */
class Watch {
	readonly #clock: Clock;
	readonly #late: () => void;
	#cancel: () => void = () => undefined;

	constructor(clock: Clock, late: () => void) {
		this.#clock = clock;
		this.#late = late;
	}

	within(ms: number): void {
		this.#cancel();
		const timer = this.#clock.after(ms, this.#late);
		this.#cancel = () => {
			timer.cancel();
		};
	}

	stop(): void {
		this.#cancel();
	}
}
