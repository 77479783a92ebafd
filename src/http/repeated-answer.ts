/**
 * An answer that goes to its connection without Node's HTTP: the head as text, and what follows it.
 *
 * What an exchange uses of Node's `ServerResponse`, with the same headers on the wire, for requests that Node's parser
 * did not have to read again (`repeats.ts`).
 */
import {STATUS_CODES, type OutgoingHttpHeader} from 'node:http';
import type {Socket} from 'node:net';
import {MirrorError} from '../errors.js';
import {freeDescriptor} from './descriptor.js';
import type {HttpDate} from './http-date.js';
import type {NativeSend} from './native-send.js';

/** What a connection's listener sees to otherwise. */
export interface AnswerLimits {
	readonly keepAliveMs: number;
	/** How long the client of an answer may take nothing of it. */
	readonly idleMs: number;
}

/** An answer that is in memory as a whole, without what is another each time. */
export interface WholeAnswer {
	readonly status: number;
	/** The first line and headers. */
	readonly head: string;
	/** `undefined`: it went out in parts, which are not kept. */
	readonly body: Body | undefined;
}

/** Text: a byte to a character. */
export type Body = string | readonly Buffer[];

type Done = (error?: Error | null) => void;

/** A larger answer may be on its way for longer than an idle connection is kept. */
const quickBytes = 64 * 1024;
const unfit = /[^\t\x20-\x7e\x80-\xff]/u;

export class RepeatedAnswer {
	/** None that could be written to past Node. */
	readonly socket = null;
	readonly writableLength = 0;
	writableFinished = false;
	readonly #connection: Socket;
	readonly #date: HttpDate;
	readonly #limits: AnswerLimits;
	#head: string | undefined;
	#status = 0;
	/** Of the head, what would be the same each time. */
	#fixed = '';
	#body: Body | undefined;
	#headersSent = false;
	#closes = false;
	#isLong = false;
	#isMinded = false;
	#onClose: () => void = () => undefined;

	constructor(connection: Socket, date: HttpDate, limits: AnswerLimits) {
		this.#connection = connection;
		this.#date = date;
		this.#limits = limits;
	}

	get headersSent(): boolean {
		return this.#headersSent;
	}

	/** The answer is out. Where the connection breaks before, that is for its owner to see. */
	on(_event: 'close', listener: () => void): void {
		this.#onClose = listener;
	}

	/** What has been answered, if more like it may follow. */
	get whole(): WholeAnswer | undefined {
		return this.#closes || !this.writableFinished
			? undefined
			: {status: this.#status, head: this.#fixed, body: this.#body};
	}

	/** `headers` and `varying`, those which are other ones each time: names and values in turns. */
	writeHead(status: number, headers: readonly OutgoingHttpHeader[], varying: readonly OutgoingHttpHeader[] = []): void {
		this.#status = status;
		this.#fixed = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\n${this.#lines(headers)}`;
		this.#finishHead(this.#lines(varying));
		this.#mindTaking();
	}

	/** The same as before; `lines` are what is another each time, as they go out. Past Node where that can be. */
	again(head: string, body: Body, lines: string, native: NativeSend | undefined): void {
		this.#fixed = head;
		this.#isLong = bytesOf(body) > quickBytes;
		this.#finishHead(lines);
		const descriptor = native === undefined ? undefined : freeDescriptor(this.#connection);
		const text = typeof body === 'string' ? this.#takeHead() + body : this.#takeHead();
		const parts = typeof body === 'string' ? [] : body;
		if (native === undefined || descriptor === undefined) {
			this.#send(text, parts);
		} else {
			this.#pass(text, parts, (what, more) =>
				typeof what === 'string' ? native.writeText(descriptor, what, more) : native.write(descriptor, what, more),
			);
		}
	}

	/** What the system takes at once. The rest is Node's to send, as it is to find out what is wrong. */
	#pass(text: string, parts: readonly Buffer[], send: (what: string | Buffer, more: boolean) => number): void {
		const taken = send(text, parts.length > 0);
		if (taken < text.length) {
			this.#send(text.slice(taken), parts);
			return;
		}
		for (const [at, part] of parts.entries()) {
			const bytes = send(part, at + 1 < parts.length);
			if (bytes < part.length) {
				this.#send('', [part.subarray(bytes), ...parts.slice(at + 1)]);
				return;
			}
		}
		this.#done(undefined);
	}

	#send(text: string, parts: readonly Buffer[], encoding: 'latin1' = 'latin1'): void {
		const done: Done = error => {
			this.#done(error);
		};
		this.#mindTaking();
		this.#connection.cork();
		if (text !== '' || parts.length === 0) {
			this.#connection.write(text, encoding, parts.length === 0 ? done : undefined);
		}
		for (const [at, part] of parts.entries()) {
			this.#connection.write(part, at + 1 === parts.length ? done : undefined);
		}
		this.#connection.uncork();
	}

	#finishHead(lines: string): void {
		const {keepAliveMs} = this.#limits;
		const stays = keepAliveMs > 0 ? `Keep-Alive: timeout=${Math.floor(keepAliveMs / 1000)}\r\n` : '';
		const kept = this.#closes ? '' : `Connection: keep-alive\r\n${stays}`;
		this.#head = `${this.#fixed}${lines}Date: ${this.#date.now}\r\n${kept}\r\n`;
	}

	/** A client that takes nothing of a long answer has another time to do so than one that asks nothing. */
	#mindTaking(): void {
		if (this.#isLong && !this.#isMinded) {
			this.#isMinded = true;
			this.#connection.setTimeout(this.#limits.idleMs);
		}
	}

	#lines(headers: readonly OutgoingHttpHeader[]): string {
		let lines = '';
		for (let at = 0; at + 1 < headers.length; at += 2) {
			const [name, value] = [String(headers[at]), headers[at + 1]];
			if (typeof value === 'string' ? unfit.test(value) : typeof value !== 'number') {
				throw new MirrorError(`the header ${name} cannot be sent`);
			}
			lines += `${name}: ${String(value)}\r\n`;
			if (name === 'Connection') {
				this.#closes = value === 'close';
			} else if (name === 'Content-Length') {
				this.#isLong = Number(value) > quickBytes;
			}
		}
		return lines;
	}

	/** A request that has a body does not come here. */
	writeContinue(): void {
		throw new MirrorError('no body was announced');
	}

	flushHeaders(): void {
		if (this.#head !== undefined) {
			this.#connection.write(this.#takeHead(), 'latin1');
		}
	}

	write(chunk: Buffer, done?: Done): void {
		this.flushHeaders();
		this.#connection.write(chunk, done);
	}

	end(last?: string | Buffer, encoding: 'latin1' = 'latin1'): void {
		const isWhole = this.#head !== undefined;
		const body = last === undefined || typeof last === 'string' ? (last ?? '') : [last];
		this.#body = isWhole ? body : undefined;
		const head = this.#takeHead();
		this.#send(typeof body === 'string' ? head + body : head, typeof body === 'string' ? [] : body, encoding);
	}

	#takeHead(): string {
		const head = this.#head ?? '';
		this.#head = undefined;
		this.#headersSent = true;
		return head;
	}

	#done(error: Error | null | undefined): void {
		if (error) {
			return;
		}
		this.writableFinished = true;
		if (this.#isMinded) {
			this.#connection.setTimeout(this.#limits.keepAliveMs);
		}
		if (this.#closes) {
			this.#connection.destroySoon();
		}
		this.#onClose();
	}
}

export function bytesOf(body: Body): number {
	return typeof body === 'string' ? body.length : body.reduce((sum, {length}) => sum + length, 0);
}
