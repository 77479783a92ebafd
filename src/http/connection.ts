/**
 * One client connection: its requests in the order in which they came.
 *
 * A pipelined request starts when the answer before it is out, so that never more than one answer of a connection
 * costs memory and a failure in one cuts none of those before. The listener owns the socket's life.
 */
import type {Socket} from 'node:net';
import type {IncomingMessage} from 'node:http';
import type {Clock, Timer} from '../host.js';
import type {Peer} from './callers.js';

/** What a connection needs to know of an exchange. */
export interface Queued {
	closeAfter(): void;
	/** What comes after it is no HTTP; if its body has not come to an end, it never will. */
	malformed(error: Error): void;
	cut(because: string): void;
	over(): void;
}

/** More requests than this sent ahead are left unanswered, as a server may: their client sends them again. */
const maxQueued = 32;
/** How long somebody who sends what makes no sense is listened to behind the last answer, so that it arrives. */
const lingerMs = 2000;
/** Where the parser cannot be stopped, the connection ends after so many: Node keeps each of them as long as it lasts. */
const maxDropped = 100;

export class Connection {
	readonly socket: Socket;
	readonly peer: Peer;
	readonly #clock: Clock;
	/** Reads what comes before Node's parser does. */
	reader: {readonly heard: (request: IncomingMessage) => void} | undefined;
	#current: Queued | undefined;
	readonly #waiting: {readonly exchange: Queued; readonly start: () => void}[] = [];
	#last: Queued | undefined;
	#closing = false;
	/** How much had come when it made no sense any more. */
	#brokenAt: number | undefined;
	#lingering: Timer | undefined;
	#used = false;
	#dropped = 0;

	constructor(socket: Socket, kind: Peer['kind'], clock: Clock) {
		this.socket = socket;
		this.#clock = clock;
		// The address is gone from the socket once it is closed.
		this.peer = {kind, address: kind === 'tcp' ? socket.remoteAddress : undefined};
		socket.once('close', () => {
			this.#closing = true;
			this.#lingering?.cancel();
			const left = this.#waiting.splice(0).map(({exchange}) => exchange);
			this.#current?.over();
			for (const exchange of left) {
				exchange.over();
			}
		});
	}

	get idle(): boolean {
		return this.#current === undefined;
	}

	/** A request that comes now would be answered at once. */
	get free(): boolean {
		return this.#current === undefined && !this.#closing;
	}

	/** Nothing has moved for long: ends what waits for the client, and lets be what the client waits for. */
	timeout(): void {
		if (this.#current === undefined) {
			// Until the first request has come, the limit on headers is what holds.
			if (this.#used) {
				this.socket.destroy();
			}
		} else if (this.socket.writableLength > 0) {
			this.#current.cut('the client takes nothing any more');
		}
	}

	/** What came after a request made no sense; nothing more is read as HTTP. `true` the first time. */
	break(): boolean {
		const first = this.#brokenAt === undefined;
		this.#brokenAt ??= this.socket.bytesRead;
		return first;
	}

	/** How much has come since then. */
	get garbageBytes(): number {
		return this.socket.bytesRead - (this.#brokenAt ?? this.socket.bytesRead);
	}

	/** It is too much. `true`: no more is read until what is being answered has been. */
	refuseGarbage(): boolean {
		if (this.#current !== undefined) {
			this.socket.pause();
			return true;
		}
		if (this.#lingering === undefined) {
			this.socket.destroy();
		}
		return false;
	}

	/** No more requests; those it has are answered, the last one perhaps by `error`. */
	malformed(error: Error): void {
		this.#last?.malformed(error);
		this.close();
	}

	/** Asked before anything is made for a request. `false`: it is dropped, and no later one is answered. */
	takesOne(): boolean {
		if (!this.#closing && this.#waiting.length < maxQueued) {
			return true;
		}
		if (!this.#closing) {
			this.close();
			stopReading(this.socket);
		}
		if (++this.#dropped > maxDropped) {
			this.socket.destroy();
		}
		return false;
	}

	/** Calls `start` when it is this exchange's turn. Only after `takesOne`. */
	add(exchange: Queued, start: () => void): void {
		this.#last = exchange;
		if (this.#current === undefined) {
			this.#current = exchange;
			start();
		} else {
			this.#waiting.push({exchange, start});
		}
	}

	/** That exchange is over: the next one starts. */
	done(exchange: Queued): void {
		if (this.#current !== exchange) {
			return;
		}
		this.#used = true;
		const next = this.#waiting.shift();
		this.#current = next?.exchange;
		if (next !== undefined) {
			next.start();
		} else if (this.#closing) {
			this.#end();
		}
	}

	/** Closing while more comes would reset the connection, and take the answer away from who sends it. */
	#end(): void {
		if (this.#brokenAt === undefined) {
			this.socket.destroySoon();
			return;
		}
		this.#lingering = this.#clock.after(lingerMs, () => this.socket.destroy());
		this.socket.resume();
		this.socket.end();
	}

	/** Takes no more requests; ends once those it has are answered. */
	close(): void {
		if (this.#closing) {
			return;
		}
		this.#closing = true;
		if (this.#current === undefined) {
			this.socket.destroySoon();
		} else {
			this.#last?.closeAfter();
		}
	}
}

/**
 * Unread, requests wait in the kernel; read, they would cost us memory. A pause keeps Node from reading more, but not
 * from parsing what it has: thousands of short requests, and with a thousand such connections more than memory holds.
 * What its parser asks about each says by a 2 that no HTTP follows.
 */
function stopReading(socket: Socket): void {
	socket.pause();
	const {parser} = socket as {parser?: {onIncoming?: () => number} | null};
	if (parser?.onIncoming) {
		parser.onIncoming = () => 2;
	}
}
