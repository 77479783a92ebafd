/**
 * Requests that come again, byte for byte, as pollers and fleets send them: they need not be parsed again.
 *
 * Node's parser reads each of them first. Where it found one whole request without body in exactly these bytes, and
 * stood at the beginning of a message, the same bytes mean the same next time, and are answered past it. What a request
 * leads to is looked at anew each time; who carries a credential is not remembered.
 */
import type {IncomingHttpHeaders, IncomingMessage, ServerResponse} from 'node:http';
import type {Socket} from 'node:net';
import type {Answerer} from './known-paths.js';
import {bytesOf as lengthOf, type RepeatedAnswer} from './repeated-answer.js';
import type {Standing} from './standing.js';
import type {Target} from './target.js';

/** A request as Node's parser has read it before. */
export interface Repeat {
	readonly method: string;
	readonly url: string;
	readonly headers: IncomingHttpHeaders;
	readonly target: Target;
	readonly answer: Answerer;
	/** What was answered last. */
	standing?: Standing | undefined;
}

/** What an exchange uses of Node's `IncomingMessage`, of a request that has come before. */
export class RepeatedRequest {
	readonly method: string;
	readonly url: string;
	readonly headers: IncomingHttpHeaders;
	readonly socket: Socket;
	readonly httpVersion = '1.1';
	readonly complete = true;

	constructor({method, url, headers}: Repeat, socket: Socket) {
		this.method = method;
		this.url = url;
		this.headers = headers;
		this.socket = socket;
	}
}

/** Whether Node has read it or not. */
export type AnyRequest = IncomingMessage | RepeatedRequest;
export type AnyResponse = ServerResponse | RepeatedAnswer;

const most = 1000;
const longest = 1024;
/** Of the answers that stand: each may hold bytes that nobody else has any more. */
const mostBytes = 16 * 2 ** 20;
const endOfHead = '\r\n\r\n';
/** With any of these it is no plain question, or nobody else's business. */
const unwanted = [
	...['authorization', 'cookie', 'content-length', 'transfer-encoding', 'expect', 'upgrade', 'trailer'],
	'proxy-authorization',
] as const;

/** Those that one server knows. */
export class Repeats {
	readonly #known = new Map<string, Repeat>();
	/** Those with an answer that stands. */
	readonly #standing = new Set<Repeat>();
	#bytes = 0;

	get(text: string): Repeat | undefined {
		return this.#known.get(text);
	}

	remember(text: string, repeat: Repeat): void {
		if (this.#known.has(text)) {
			return;
		}
		if (this.#known.size >= most) {
			this.#known.clear();
			this.forgetAnswers();
		}
		this.#known.set(text, repeat);
	}

	/** What was answered to it last; `undefined`: that says nothing of the next time. */
	answered(repeat: Repeat, standing: Standing | undefined): void {
		this.#bytes += bytesOf(standing) - bytesOf(repeat.standing);
		repeat.standing = standing;
		if (standing === undefined) {
			this.#standing.delete(repeat);
		} else {
			this.#standing.add(repeat);
		}
		if (this.#bytes > mostBytes) {
			this.forgetAnswers();
		}
	}

	/** What they were made of is other than before. */
	forgetAnswers(): void {
		for (const repeat of this.#standing) {
			repeat.standing = undefined;
		}
		this.#standing.clear();
		this.#bytes = 0;
	}
}

function bytesOf(standing: Standing | undefined): number {
	return standing === undefined ? 0 : standing.answer.head.length + lengthOf(standing.answer.body ?? '');
}

/** The text of one whole head and nothing else; `undefined`: these bytes are anything else. */
function headIn(chunk: Buffer): string | undefined {
	if (chunk.length > longest) {
		return undefined;
	}
	const text = chunk.toString('latin1');
	return text.indexOf(endOfHead) === text.length - endOfHead.length ? text : undefined;
}

/** Whether the parser has found in this request what stands in this text, all of it and nothing else. */
export function isAllOf(
	text: string,
	{method = '', url = '', rawHeaders, httpVersion, headers}: IncomingMessage,
): boolean {
	const [line, ...fields] = text.slice(0, -endOfHead.length).split('\r\n');
	const {connection = 'keep-alive'} = headers;
	return (
		(method === 'GET' || method === 'HEAD') &&
		httpVersion === '1.1' &&
		line === `${method} ${url} HTTP/1.1` &&
		fields.length * 2 === rawHeaders.length &&
		fields.every((field, at) => field === `${rawHeaders[at * 2]}: ${rawHeaders[at * 2 + 1]}`) &&
		connection.toLowerCase() === 'keep-alive' &&
		unwanted.every(name => headers[name] === undefined)
	);
}

/** What a connection tells of itself. */
export interface Following {
	/** A request that comes now would be answered at once. */
	readonly free: boolean;
}

/** Stands before Node's parser on one connection. */
export class RepeatReader {
	readonly #socket: Socket;
	readonly #connection: Following;
	readonly #repeats: Repeats;
	readonly #parser: unknown;
	readonly #parse: (chunk: Buffer) => void;
	readonly #learn: (request: IncomingMessage) => Repeat | undefined;
	readonly #serve: (repeat: Repeat, over: () => void) => void;
	/** The parser stands between two messages. */
	#isBetween = false;
	#isParsing = false;
	#isServing = false;
	/** What Node's parser has found in the bytes that it is reading. */
	#heard: IncomingMessage[] = [];
	/** What came while a request was served. */
	readonly #held: Buffer[] = [];

	/** `undefined`: this version of Node works otherwise than those that are known. */
	static attach(
		socket: Socket,
		options: {
			readonly connection: Following;
			readonly repeats: Repeats;
			/** What to remember of a request; `undefined`: nothing. */
			readonly learn: (request: IncomingMessage) => Repeat | undefined;
			/** Calls `over` when the answer is out. */
			readonly serve: (repeat: Repeat, over: () => void) => void;
		},
	): RepeatReader | undefined {
		const [parse, ...others] = socket.listeners('data');
		if (parse === undefined || others.length > 0 || !parserOf(socket)) {
			return undefined;
		}
		const reader = new RepeatReader(socket, parse as (chunk: Buffer) => void, options);
		// Node's HTTP lets go of the socket's handle when somebody else listens, and gets its data like everybody.
		socket.on('data', chunk => {
			reader.#take(chunk);
		});
		socket.off('data', parse as (chunk: Buffer) => void);
		return reader;
	}

	private constructor(
		socket: Socket,
		parse: (chunk: Buffer) => void,
		{connection, repeats, learn, serve}: Parameters<typeof RepeatReader.attach>[1],
	) {
		this.#socket = socket;
		this.#parser = parserOf(socket);
		this.#parse = parse;
		this.#connection = connection;
		this.#repeats = repeats;
		this.#learn = learn;
		this.#serve = serve;
	}

	heard(request: IncomingMessage): void {
		if (this.#isParsing) {
			this.#heard.push(request);
		}
	}

	#take(chunk: Buffer): void {
		if (this.#isServing) {
			this.#held.push(chunk);
			this.#socket.pause();
			return;
		}
		const text = headIn(chunk);
		if (text === undefined) {
			this.#isBetween = false;
			this.#pass(chunk);
			return;
		}
		const repeat = this.#isBetween && this.#connection.free ? this.#repeats.get(text) : undefined;
		if (repeat === undefined) {
			this.#parseHead(text, chunk);
			return;
		}
		this.#isServing = true;
		this.#serve(repeat, () => {
			this.#served();
		});
	}

	/** Node takes its parser away from what is no HTTP any more, and gives it to somebody else. */
	#pass(chunk: Buffer): void {
		if (parserOf(this.#socket) === this.#parser) {
			this.#parse(chunk);
		}
	}

	#parseHead(text: string, chunk: Buffer): void {
		this.#isParsing = true;
		this.#pass(chunk);
		this.#isParsing = false;
		const [request, ...others] = this.#heard.splice(0);
		this.#isBetween = request !== undefined && others.length === 0 && isAllOf(text, request);
		if (this.#isBetween && request !== undefined) {
			const repeat = this.#learn(request);
			if (repeat !== undefined) {
				this.#repeats.remember(text, repeat);
			}
		}
	}

	#served(): void {
		this.#isServing = false;
		if (this.#held.length === 0) {
			return;
		}
		const held = this.#held.splice(0);
		for (const chunk of held) {
			this.#take(chunk);
		}
		if (this.#held.length === 0 && !this.#socket.destroyed) {
			this.#socket.resume();
		}
	}
}

/** Node's, of this connection; none once it has let go of it. */
function parserOf(socket: Socket): unknown {
	return (socket as {parser?: unknown}).parser ?? undefined;
}
