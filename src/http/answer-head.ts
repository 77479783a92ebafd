/**
 * The headers of an answer: its own, and those that every answer has.
 *
 * Made for each answer, as a list: objects of many shapes cost more than all that is in them.
 */
import type {OutgoingHttpHeader, OutgoingHttpHeaders} from 'node:http';
import type {Exchange} from './exchange.js';
import type {Front} from './front.js';
import {headerText} from './header-text.js';
import {RepeatedAnswer} from './repeated-answer.js';
import type {AnyResponse} from './repeats.js';

/** `own`: of this answer. `last`: the connection ends with it. */
export function sendHead(
	exchange: Pick<Exchange, 'alsoSend' | 'crossOrigin' | 'id' | 'notes'>,
	response: AnyResponse,
	{
		front,
		status,
		own,
		startedMs,
		last,
	}: {
		front: Front;
		status: number;
		own: OutgoingHttpHeaders;
		startedMs: number;
		last: boolean;
	},
): void {
	const head = headOf(own, exchange, front);
	if (last) {
		head.push('Connection', 'close');
	}
	const varying = varyingHead(exchange.id, Math.round(front.host.clock.now() - startedMs));
	if (response instanceof RepeatedAnswer) {
		response.writeHead(status, head, varying);
	} else {
		head.push(...varying);
		response.writeHead(status, head);
	}
}

/** What is another each time: names and values in turns. */
export function varyingHead(id: string, tookMs: number): readonly OutgoingHttpHeader[] {
	return ['x-request-id', id, 'x-response-time', tookMs];
}

/** The same as lines, of an id that may stand in a header. */
export function varyingLines(id: string, tookMs: number): string {
	return `x-request-id: ${id}\r\nx-response-time: ${tookMs}\r\n`;
}

/** What would be the same in another answer like it, in the same form, as Node takes it. */
function headOf(
	own: OutgoingHttpHeaders,
	{alsoSend, crossOrigin, notes}: Pick<Exchange, 'alsoSend' | 'crossOrigin' | 'notes'>,
	front: Front,
): OutgoingHttpHeader[] {
	const head: OutgoingHttpHeader[] = [];
	for (const name in alsoSend) {
		const value = alsoSend[name];
		if (value !== undefined && own[name] === undefined) {
			head.push(name, value);
		}
	}
	for (const name in own) {
		const value = own[name];
		if (value !== undefined) {
			head.push(name, value);
		}
	}
	if (notes.cache !== undefined) {
		head.push('x-cache', notes.cache);
	}
	if (notes.source !== undefined) {
		head.push('x-source', headerText(notes.source));
	}
	if (crossOrigin) {
		head.push('Access-Control-Allow-Origin', '*');
	}
	head.push('Server', front.product, 'x-server-name', front.hostName);
	return head;
}
