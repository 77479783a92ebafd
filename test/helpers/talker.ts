/**
 * A client that sends bytes as it is told and reads answer after answer from one connection.
 */
import {once} from 'node:events';
import {connect, type Socket} from 'node:net';
import type {Scope} from './temp-dir.js';

export interface TalkerAnswer {
	readonly status: number;
	readonly head: string;
	readonly body: string;
}

/** A connection that reads answer after answer. */
export class Talker {
	readonly socket: Socket;
	#got = '';

	constructor(socket: Socket) {
		this.socket = socket;
		socket.setNoDelay(true);
	}

	static async open(t: Scope, port: number): Promise<Talker> {
		const socket = connect({host: '127.0.0.1', port, allowHalfOpen: true});
		await once(socket, 'connect');
		// Being cut off is what some tests are about.
		socket.on('error', () => undefined);
		t.teardown(() => {
			socket.destroy();
		});
		return new Talker(socket);
	}

	async ask(text: string): Promise<TalkerAnswer> {
		this.socket.write(text);
		return this.next(text.startsWith('HEAD'));
	}

	async next(isHead = false): Promise<TalkerAnswer> {
		for (;;) {
			const end = this.#got.indexOf('\r\n\r\n') + 4;
			const head = this.#got.slice(0, end);
			const length = isHead ? 0 : Number(/^content-length: (\d+)/im.exec(head)?.[1] ?? 0);
			if (end > 4 && this.#got.length >= end + length) {
				const body = this.#got.slice(end, end + length);
				this.#got = this.#got.slice(end + length);
				return {status: Number(head.split(' ')[1]), head, body};
			}
			const [chunk] = (await once(this.socket, 'data')) as [Buffer];
			this.#got += chunk.toString('latin1');
		}
	}
}

/** But for what is another in each answer. */
export function alike({head, body}: TalkerAnswer): string {
	return head.replaceAll(/^(x-request-id|x-response-time|date): .*$/gimu, '$1: …') + body;
}

export function get(path: string, headers = '', method = 'GET'): string {
	return `${method} ${path} HTTP/1.1\r\nHost: x\r\n${headers}\r\n`;
}
