/**
 * Answers to what is no request: garbage, headers without end or of giant size, methods for proxies.
 *
 * Node's parser has given up on the connection by then, so the answer is written as it stands and the connection ends.
 */
import {randomUUID} from 'node:crypto';
import {STATUS_CODES} from 'node:http';
import type {Duplex} from 'node:stream';
import type {Socket} from 'node:net';
import type {Connection} from './connection.js';
import type {Front} from './front.js';
import {RequestError, type RequestErrorCode} from './request-error.js';
import {answerTo, errorBody} from './respond.js';

/** How long somebody who sends garbage may go on before the connection is torn down. */
const lingerMs = 2000;
const maxGarbageBytes = 1024 * 1024;

/** On `clientError`. May come again and again for one socket. */
export function answerMalformed(
	front: Front,
	error: NodeJS.ErrnoException,
	socket: Socket,
	connection: Connection,
): void {
	const {code} = error;
	if (!connection.break()) {
		if (connection.garbageBytes > maxGarbageBytes && connection.refuseGarbage()) {
			const {address: remote} = connection.peer;
			front.host.log.debug({remote}, 'what goes on behind the end of a request is not read');
		}
		return;
	}
	// Who has said nothing, or is gone, is told nothing.
	if (!socket.writable || code === 'ECONNRESET' || code === 'EPIPE' || socket.bytesRead === 0) {
		socket.destroy();
		return;
	}
	if (connection.idle) {
		answerAndEnd(front, reasonFor(error), socket);
	} else if (code === 'HPE_INVALID_EOF_STATE') {
		socket.destroy();
	} else {
		// Text of ours in the midst of an answer would be taken for a part of it.
		connection.malformed(reasonFor(error));
	}
}

export function answerAndEnd(front: Front, error: RequestError, socket: Duplex): void {
	const {clock, log, metrics} = front.host;
	const answer = answerTo(error);
	const body = errorBody(answer, false);
	const requestId = randomUUID();
	const headers = {
		'Content-Type': 'application/json',
		'Content-Length': body.length,
		...answer.headers,
		Server: front.product,
		'x-request-id': requestId,
		'x-response-time': 0,
		'x-server-name': front.hostName,
		Date: new Date(clock.now()).toUTCString(),
		Connection: 'close',
	};
	const head = [
		`HTTP/1.1 ${answer.status} ${STATUS_CODES[answer.status] ?? ''}`,
		...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
	].join('\r\n');
	metrics.requests.inc({route: 'malformed', method: 'none', status: String(answer.status)});
	log.info(
		{
			status: answer.status,
			remote: 'remoteAddress' in socket ? socket.remoteAddress : undefined,
			requestId,
			code: answer.code,
			problem: error.message,
		},
		'no proper request',
	);
	const timer = clock.after(lingerMs, () => socket.destroy());
	socket.once('close', () => timer.cancel());
	socket.end(Buffer.concat([Buffer.from(`${head}\r\n\r\n`), body]));
}

const reasons: ReadonlyMap<string | undefined, readonly [RequestErrorCode, string]> = new Map([
	['HPE_HEADER_OVERFLOW', ['HEADERS_TOO_LARGE', 'the headers are too large']],
	['HPE_CHUNK_EXTENSIONS_OVERFLOW', ['TOO_LARGE', 'the chunk extensions are too large']],
	['ERR_HTTP_REQUEST_TIMEOUT', ['REQUEST_TIMEOUT', 'the request took too long to arrive']],
]);

function reasonFor({code, message}: NodeJS.ErrnoException): RequestError {
	return new RequestError(...(reasons.get(code) ?? ['BAD_REQUEST', `not a proper HTTP request: ${message}`]));
}
