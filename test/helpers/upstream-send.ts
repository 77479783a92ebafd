/**
 * How an answer travels: at once or in drops, held, cut, with a Content-Length that is right or not.
 *
 * `send` writes one answer and resolves when it is through with it, also when the client has gone. What it has sent
 * is counted in the request as it goes, so that a test can wait for a byte.
 */
import {STATUS_CODES, type IncomingMessage, type ServerResponse} from 'node:http';
import type {Writable} from 'node:stream';
import type {Answer} from './upstream-answer.js';
import {bytesOf, type Misbehaviour} from './upstream-misbehaviour.js';
import type {SeenRequest} from './upstream-request.js';

export interface SendHooks {
	/** Resolves when the answer may go on. */
	readonly hold: () => Promise<void>;
	/** Called after every change of the request's `sentBytes` or `outcome`. */
	readonly changed: () => void;
}

const pieceBytes = 64 * 1024;

export async function send(
	exchange: {readonly message: IncomingMessage; readonly response: ServerResponse; readonly seen: SeenRequest},
	answer: Answer,
	how: Misbehaviour,
	hooks: SendHooks,
): Promise<void> {
	const {message, response, seen} = exchange;
	const gone = new Promise<void>(resolve => response.once('close', resolve));
	const wait = (held: Promise<unknown>): Promise<unknown> => Promise.race([held, gone]);
	if (how.stallHeaders) {
		await wait(hooks.hold());
	}
	if (isGone(response) || isGone(message.socket)) {
		end(seen, 'left', hooks);
		return;
	}
	if (how.raw !== undefined) {
		message.socket.end(how.raw);
		end(seen, 'cut', hooks);
		return;
	}
	seen.status = answer.status;
	const isHead = seen.method === 'HEAD';
	const body = isHead ? Buffer.alloc(0) : answer.body;
	const out = begin(message, response, answer, how);
	const mark = async (place: number): Promise<boolean> => {
		if (holds.includes(place)) {
			await wait(hooks.hold());
		}
		if (place !== cut) {
			return false;
		}
		end(seen, 'cut', hooks);
		if (how.reset) {
			message.socket.resetAndDestroy();
		} else {
			message.socket.destroy();
		}
		return true;
	};
	const holds = [how.holdAt ?? []].flat().map(amount => bytesOf(amount, body.length));
	const cut = how.cutAt === undefined ? undefined : bytesOf(how.cutAt, body.length);
	const stops = [...holds, ...(cut === undefined ? [] : [cut]), body.length].sort((a, b) => a - b);
	for (;;) {
		if (await mark(seen.sentBytes)) {
			return;
		}
		if (seen.sentBytes >= body.length) {
			break;
		}
		const step = how.trickle === undefined ? pieceBytes : Math.max(1, Math.floor(how.trickle / 20));
		const stop = stops.find(place => place > seen.sentBytes) ?? body.length;
		const piece = body.subarray(seen.sentBytes, Math.min(stop, seen.sentBytes + step));
		await wait(write(out, framed(piece, how)));
		if (isGone(out) || isGone(message.socket)) {
			end(seen, 'left', hooks);
			return;
		}
		seen.sentBytes += piece.length;
		hooks.changed();
		if (how.trickle !== undefined) {
			await wait(new Promise(resolve => setTimeout(resolve, (1000 * piece.length) / (how.trickle ?? 1))));
		}
	}
	if (how.contentLength === 'both') {
		out.write('0\r\n\r\n');
	}
	end(seen, 'done', hooks);
	out.end();
	if (typeof how.contentLength === 'number' && how.contentLength > 0) {
		message.socket.destroySoon();
	}
}

// A function, because the compiler does not expect the answer to change.
function isGone(stream: {readonly destroyed: boolean}): boolean {
	return stream.destroyed;
}

function end(seen: SeenRequest, outcome: SeenRequest['outcome'], hooks: SendHooks): void {
	if (seen.outcome === 'open') {
		seen.outcome = outcome;
	}
	hooks.changed();
}

/** Sends the head; returns what the body is to be written to. */
function begin(message: IncomingMessage, response: ServerResponse, answer: Answer, how: Misbehaviour): Writable {
	const length = answer.body.length;
	const headers = Object.entries(answer.headers);
	if (how.contentLength === 'both' || how.contentLength === 'close') {
		// Node would never send these, so the head is written by hand.
		const isBoth = how.contentLength === 'both';
		const framing = isBoth ? [`Content-Length: ${length}`, 'Transfer-Encoding: chunked'] : ['Connection: close'];
		const lines = [
			`HTTP/1.${isBoth ? 1 : 0} ${answer.status} ${STATUS_CODES[answer.status] ?? ''}`,
			...headers.map(([name, value]) => `${name}: ${value}`),
			...framing,
		];
		message.socket.write(`${lines.join('\r\n')}\r\n\r\n`);
		return message.socket;
	}
	const wantsLength = how.contentLength !== 'none' && answer.status !== 204 && answer.status !== 304;
	const said = typeof how.contentLength === 'number' ? Math.max(0, length + how.contentLength) : length;
	response.writeHead(answer.status, [...headers, ...(wantsLength ? [['Content-Length', String(said)]] : [])].flat());
	response.flushHeaders();
	return response;
}

function framed(piece: Buffer, how: Misbehaviour): Buffer {
	return how.contentLength === 'both'
		? Buffer.concat([Buffer.from(`${piece.length.toString(16)}\r\n`), piece, Buffer.from('\r\n')])
		: piece;
}

/** Resolves once the system has taken the bytes, so that a cut right after loses none of them. */
function write(out: Writable, bytes: Buffer): Promise<void> {
	return new Promise(resolve => {
		out.write(bytes, () => resolve());
	});
}
