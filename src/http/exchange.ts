/**
 * One request and its answer.
 *
 * Routes read the request and answer through it, by one call of `json`, `chunks`, `empty`, `fail` or the three of a
 * file (`begin`, `write`, `end`); it sees to the headers that every answer has, to clients that go away, and to the
 * line in the log. The connection decides when it starts, and when it is over.
 */
import {IncomingMessage, type IncomingHttpHeaders, type OutgoingHttpHeaders} from 'node:http';
import type {Asked} from '../access/access.js';
import type {Caller} from '../access/caller.js';
import {describe, MirrorError} from '../errors.js';
import {parseQueryString, type QueryParams} from '../image/query.js';
import type {Ask} from '../sources/source.js';
import {recordAnswer, type Notes} from './access-log.js';
import {sendHead} from './answer-head.js';
import {ClientAsk, isCircle, viaOf} from './client-ask.js';
import {Audit} from './audit.js';
import {originOf} from './base-url.js';
import {nobodyAt, type Peer} from './callers.js';
import {descriptorOf} from './descriptor.js';
import {announcedSize, ClientGone, drain, isUnread, RequestBody} from './request-body.js';
import type {Front} from './front.js';
import {requestId} from './header-text.js';
import type {AnyRequest, AnyResponse} from './repeats.js';
import {RequestError} from './request-error.js';
import {answerTo, errorBody, json, type ErrorAnswer} from './respond.js';
import {isOfDatasets, type Target} from './target.js';

const maxQueryKeys = 1000;
const shortBytes = 8192;
const mediumBytes = 1024 * 1024;

export class Exchange {
	readonly method: string;
	readonly headers: IncomingHttpHeaders;
	/** The caller's, or a fresh one. */
	readonly id: string;
	readonly peer: Peer;
	/** Nobody, who may nothing, until the route has found out. */
	caller: Caller;
	/** The route's name in metrics and log. */
	route = 'none';
	/** Probes and scrapers fill no log. */
	quiet = false;
	/** Pages of other sites may read the answer. */
	crossOrigin = false;
	/** Where it goes, once that has been read. */
	target: Target;
	/** Headers of whatever the answer will be. */
	alsoSend: OutgoingHttpHeaders | undefined;
	/** What the answer is about. */
	readonly notes: Notes = {};
	/** Whether another request like this would be answered the same; left out: nobody can tell. */
	holds: (() => boolean) | undefined;
	/** Where that is so, and its body goes out in parts: which these would be now. */
	partsNow: (() => readonly Buffer[] | undefined) | undefined;

	readonly #front: Front;
	readonly #request: AnyRequest;
	readonly #response: AnyResponse;
	readonly #startedMs: number;
	/** As it came; the router is given another. */
	readonly #rawTarget: string;
	readonly #onDone: () => void;
	#query: QueryParams | undefined;
	#abort: AbortController | undefined;
	#body: RequestBody | undefined;
	#malformed: Error | undefined;
	#audit: Audit | undefined;
	#cutWrite: ((error: Error) => void) | undefined;
	#status: number | undefined;
	#bytes = 0;
	/** Handed over as a whole, though the connection may stay open for a while. */
	#answeredMs: number | undefined;
	#failure: {readonly error: unknown; readonly answer: ErrorAnswer} | undefined;
	#cutBecause: string | undefined;
	#closeAfter = false;
	#over = false;

	constructor(options: {
		readonly front: Front;
		readonly request: AnyRequest;
		readonly response: AnyResponse;
		readonly peer: Peer;
		readonly onDone: () => void;
	}) {
		({front: this.#front, request: this.#request, response: this.#response, onDone: this.#onDone} = options);
		this.#startedMs = options.front.host.clock.now();
		this.#rawTarget = options.request.url ?? '';
		this.peer = options.peer;
		this.caller = nobodyAt(options.peer);
		this.target = {path: undefined, query: '', asked: options.request.url ?? '', belowBase: false};
		this.method = options.request.method ?? 'GET';
		this.headers = options.request.headers;
		this.id = requestId(this.headers);
		this.#response.on('close', () => this.over());
	}

	/** Throws InvalidParameterError for a query that cannot be read. */
	get query(): QueryParams {
		return (this.#query ??= parseQueryString(this.target.query, maxQueryKeys));
	}

	/** For whoever finds out who asks. */
	get asked(): Asked {
		const {method, headers, peer} = this;
		return {method, target: this.#rawTarget, httpVersion: this.#request.httpVersion, headers, peer};
	}

	/** Bytes of the body as announced; 0: there is none; `undefined`: they come in chunks. */
	get bodySize(): number | undefined {
		return announcedSize(this.#request);
	}

	/**
	 * The body in pieces, as fast as they are taken. A client that waits to be asked for it is asked when the first piece
	 * is: whoever refuses it does so before. Always the same one, to be read once.
	 */
	requestBody(): RequestBody {
		if (this.#body !== undefined) {
			return this.#body;
		}
		this.#body = new RequestBody(this.#withBody, {
			clock: this.#front.host.clock,
			idleMs: this.#front.uploadIdleMs(),
			begin: () => {
				const {httpVersion, headers} = this.#request;
				if (headers.expect?.toLowerCase() === '100-continue' && httpVersion === '1.1' && this.#status === undefined) {
					this.#response.writeContinue();
				}
			},
		});
		if (this.#malformed !== undefined) {
			this.#body.breakOff(this.#malformed);
		}
		return this.#body;
	}

	/** As Node has read it. What is known without reading it again has no body. */
	get #withBody(): IncomingMessage {
		if (this.#request instanceof IncomingMessage) {
			return this.#request;
		}
		throw new MirrorError('a request without body was asked for it');
	}

	malformed(error: Error): void {
		if (!this.#request.complete) {
			this.#malformed = error;
			this.#body?.breakOff(error);
		}
	}

	/** Who did what to which image goes into the log when it is over, with what came of it. May be said again. */
	audit(action: string, image?: string): void {
		this.#audit ??= new Audit(this.#over ? this.#isWhole : undefined);
		this.#audit.note(action, image);
	}

	get head(): boolean {
		return this.method === 'HEAD';
	}

	/** Aborted when the client is gone before it has its answer. */
	get signal(): AbortSignal {
		if (this.#abort === undefined) {
			this.#abort = new AbortController();
			if (this.#over && !this.#response.writableFinished) {
				this.#abort.abort(new ClientGone());
			}
		}
		return this.#abort.signal;
	}

	/** On whose behalf sources are asked. Mostly none is, so the signal is made when somebody looks at it. */
	get ask(): Ask {
		return new ClientAsk(this.id, viaOf(this.headers), () => this.signal);
	}

	/**
	 * Throws RequestError if we are asked, around a circle of mirrors, for what we asked for ourselves. Lists and manifests
	 * see to it by themselves; but a file that is waited for here would wait for itself.
	 */
	refuseCircle(): void {
		if (isCircle(this.headers, this.#front.instanceId)) {
			throw new RequestError('LOOP', 'the request has come through this mirror already: its sources form a circle');
		}
	}

	/** http or https, and the host that the client named. */
	get origin(): string {
		return originOf(this.#request);
	}

	get isEncrypted(): boolean {
		return 'encrypted' in this.#request.socket;
	}

	note(notes: Notes): void {
		Object.assign(this.notes, notes);
	}

	/** The connection ends with this answer; the client is told so, unless its head is out already. */
	closeAfter(): void {
		this.#closeAfter = true;
	}

	json(status: number, value: object | Buffer, headers: OutgoingHttpHeaders = {}): void {
		const body = Buffer.isBuffer(value) ? value : json(value);
		this.body(status, body, {'Content-Type': 'application/json', ...headers});
	}

	/** An answer that is in memory as a whole. */
	body(status: number, body: Buffer, headers: OutgoingHttpHeaders): void {
		this.begin(status, {...headers, 'Content-Length': body.length});
		this.end(this.head ? undefined : body);
	}

	/** 204, 304, a redirect, or an error without words. */
	empty(status: number, headers: OutgoingHttpHeaders = {}): void {
		const bodiless = status === 204 || status === 304;
		this.begin(status, bodiless ? headers : {...headers, 'Content-Length': 0});
		this.end();
	}

	/** The same in parts, which stay as they are: all are handed over at once, and what waits for a client is references. */
	async whole(status: number, parts: readonly Buffer[], headers: OutgoingHttpHeaders): Promise<void> {
		const [first, ...more] = parts;
		if (first !== undefined && more.length === 0 && first.length <= mediumBytes) {
			this.body(status, first, headers);
			return;
		}
		this.begin(status, {...headers, 'Content-Length': parts.reduce((sum, {length}) => sum + length, 0)});
		if (!this.head) {
			this.#front.together.join(this.#request.socket);
			await Promise.all(parts.map(part => this.write(part)));
		}
		this.end();
	}

	/** An answer in parts, `length` bytes in all; the next part is asked for when the one before is on its way. */
	async chunks(
		status: number,
		parts: AsyncIterable<Buffer> | Iterable<Buffer>,
		headers: OutgoingHttpHeaders & {readonly 'Content-Length': number},
	): Promise<void> {
		this.begin(status, headers);
		if (!this.head) {
			for await (const part of parts) {
				await this.write(part);
			}
		}
		this.end();
	}

	begin(status: number, headers: OutgoingHttpHeaders): void {
		this.#status = status;
		const last = this.#closeAfter || this.#hasUnread;
		sendHead(this, this.#response, {front: this.#front, status, own: headers, startedMs: this.#startedMs, last});
	}

	/** An answer whose parts come when there are any: its head goes out at once, and each part when it comes. */
	stream(headers: OutgoingHttpHeaders): void {
		this.#request.socket.setNoDelay(true);
		this.begin(200, {...headers, 'Cache-Control': 'no-store', 'X-Accel-Buffering': 'no'});
		this.#response.flushHeaders();
	}

	/** Resolves once the socket has taken all of `chunk`; rejects once it never will. */
	write(chunk: Buffer): Promise<void> {
		return new Promise((resolve, reject) => {
			if (this.#over) {
				reject(new ClientGone());
				return;
			}
			this.#cutWrite = reject;
			this.#response.write(chunk, error => {
				if (error) {
					// The client's doing, whichever of the two Node reports first: this, or that the connection is closed.
					reject(new ClientGone());
					return;
				}
				this.#cutWrite = this.#cutWrite === reject ? undefined : this.#cutWrite;
				this.#bytes += chunk.length;
				resolve();
			});
		});
	}

	/** For bytes that go past Node: where the connection is, in this very tick; `undefined`: not now, or not any more. */
	get descriptor(): number | undefined {
		return this.#over ? undefined : descriptorOf(this.#response);
	}

	/** So many have gone there. */
	passed(bytes: number): void {
		this.#bytes += bytes;
	}

	end(last?: Buffer): void {
		const length = last?.length ?? 0;
		this.#bytes += length;
		this.#body?.stop();
		// What is malformed is read by nobody any more: there is no end to wait for.
		if (!this.#hasUnread || this.#malformed !== undefined) {
			// As text, a byte to a character, a short one goes out in one piece with the head: that costs less than two.
			if (length <= mediumBytes) {
				this.#front.together.join(this.#request.socket);
			}
			this.#response.end(length <= shortBytes ? last?.toString('latin1') : last, 'latin1');
			if (this.#body !== undefined) {
				// What has come already and was not taken stands in the way of the next request.
				this.#withBody.resume();
			}
			return;
		}
		// Closing with bytes unread would reset the connection and take the answer away from a client still sending.
		if (last === undefined) {
			this.#response.flushHeaders();
		} else {
			this.#response.write(last);
		}
		this.#answeredMs = this.#front.host.clock.now();
		drain(this.#withBody, this.#front.host.clock, () => this.#response.end());
	}

	/** Answers with an error; where the answer has begun already, cuts it short of its length. */
	fail(error: unknown): void {
		if (this.#over) {
			this.#failUnheard(error);
			return;
		}
		if (error instanceof ClientGone) {
			this.#request.socket.destroy();
			return;
		}
		if (this.#status !== undefined) {
			this.cut(describe(error));
			return;
		}
		const answer = answerTo(error, this.headers);
		this.#failure = {error, answer};
		if (error instanceof RequestError && error.code === 'NOT_ACCEPTABLE') {
			this.empty(answer.status, answer.headers);
			return;
		}
		this.json(answer.status, errorBody(answer, isOfDatasets(this.target)), answer.headers);
	}

	/** Breaks the connection: no client may take what it has got for the whole. */
	cut(because: string): void {
		this.#cutBecause ??= because;
		this.#request.socket.destroy();
	}

	/** Answered, cut, or left by its client: whichever comes first. */
	over(): void {
		if (this.#over) {
			return;
		}
		this.#over = true;
		this.#body?.stop();
		if (!this.#response.writableFinished) {
			this.#abort?.abort(new ClientGone());
		}
		this.#cutWrite?.(new ClientGone());
		this.#record();
		this.#audit?.over(this.#isWhole);
		this.#writeAudit();
		this.#onDone();
	}

	/** The route is through with the request; its client may have left long before. */
	handled(): void {
		this.#audit?.handled();
		this.#writeAudit();
	}

	/** Nobody is there to be told, but the log. */
	#failUnheard(error: unknown): void {
		if (error instanceof ClientGone || this.#status !== undefined) {
			return;
		}
		const answer = answerTo(error);
		this.#failure = {error, answer};
		this.#status = answer.status;
		if (answer.code === 'InternalError') {
			this.#front.host.log.error({err: error, requestId: this.id}, 'a request failed after its client had left');
		}
	}

	#writeAudit(): void {
		const code = this.#failure?.answer.code;
		this.#audit?.write(this.#front.host, {caller: this.caller, status: this.#status, code});
	}

	/** The client was sent all of it. */
	get #isWhole(): boolean {
		return this.#response.writableFinished || this.#answeredMs !== undefined;
	}

	get #hasUnread(): boolean {
		return isUnread(this.#request, this.#body !== undefined);
	}

	#record(): void {
		recordAnswer(this.#front.host, {
			asked: this,
			status: this.#status,
			bytes: this.#bytes,
			ms: (this.#answeredMs ?? this.#front.host.clock.now()) - this.#startedMs,
			notes: this.notes,
			received: this.#body?.received,
			failure: this.#failure,
			cutBecause: this.#cutBecause,
			whole: this.#isWhole,
		});
	}
}
