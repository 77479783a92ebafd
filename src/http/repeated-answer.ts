/**
 * An answer that goes to its connection without Node's HTTP: the head as text, and what follows it.
 *
 * What an exchange uses of Node's `ServerResponse`, with the same headers on the wire, for requests that Node's parser
 * did not have to read again (`repeats.ts`).
 */
import {STATUS_CODES, type OutgoingHttpHeader} from 'node:http';
import type {Socket} from 'node:net';
import {MirrorError} from '../errors.js';
import type {HttpDate} from './http-date.js';

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
	/** Text: a byte to a character. */
	readonly body: string | Buffer;
}

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
	#body: string | Buffer | undefined;
	#headersSent = false;
	#closes = false;
	#isLong = false;
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

	/** What has been answered, if it was handed over as a whole and more like it may follow. */
	get whole(): WholeAnswer | undefined {
		return this.#body === undefined || this.#closes || !this.writableFinished
			? undefined
			: {status: this.#status, head: this.#fixed, body: this.#body};
	}

	/** `headers` and `varying`, those which are other ones each time: names and values in turns. */
	writeHead(status: number, headers: readonly OutgoingHttpHeader[], varying: readonly OutgoingHttpHeader[] = []): void {
		this.#status = status;
		this.#fixed = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\n${this.#lines(headers)}`;
		this.#finishHead(varying);
	}

	/** The same as before, but for what is another each time. */
	again({head, body}: WholeAnswer, varying: readonly OutgoingHttpHeader[]): void {
		this.#fixed = head;
		this.#isLong = body.length > quickBytes;
		this.#finishHead(varying);
		this.end(body);
	}

	#finishHead(varying: readonly OutgoingHttpHeader[]): void {
		const lines = this.#lines(varying);
		const {keepAliveMs, idleMs} = this.#limits;
		const stays = keepAliveMs > 0 ? `Keep-Alive: timeout=${Math.floor(keepAliveMs / 1000)}\r\n` : '';
		const kept = this.#closes ? '' : `Connection: keep-alive\r\n${stays}`;
		this.#head = `${this.#fixed}${lines}Date: ${this.#date.now}\r\n${kept}\r\n`;
		if (this.#isLong) {
			this.#connection.setTimeout(idleMs);
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
		const done: Done = error => {
			this.#done(error);
		};
		const isText = last === undefined || typeof last === 'string';
		// What has gone before it in parts is not kept.
		this.#body = this.#head === undefined ? undefined : (last ?? '');
		if (isText) {
			this.#connection.write(this.#takeHead() + (last ?? ''), encoding, done);
		} else {
			this.#connection.cork();
			this.flushHeaders();
			this.#connection.write(last, done);
			this.#connection.uncork();
		}
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
		if (this.#isLong) {
			this.#connection.setTimeout(this.#limits.keepAliveMs);
		}
		if (this.#closes) {
			this.#connection.destroySoon();
		}
		this.#onClose();
	}
}
