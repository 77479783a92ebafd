/**
 * The headers of an answer: its own, and those that every answer has.
 *
 * Made for each answer: put together step by step, in one object.
 */
import type {OutgoingHttpHeaders} from 'node:http';
import type {Notes} from './access-log.js';
import type {Exchange} from './exchange.js';
import type {Front} from './front.js';
import {headerText} from './header-text.js';

/** `last`: the connection ends with this answer. */
export function headOf(
	own: OutgoingHttpHeaders,
	{alsoSend, crossOrigin, id}: Pick<Exchange, 'alsoSend' | 'crossOrigin' | 'id'>,
	{front, notes, startedMs, last}: {front: Front; notes: Notes; startedMs: number; last: boolean},
): OutgoingHttpHeaders {
	const head: OutgoingHttpHeaders = {...alsoSend, ...own};
	if (notes.cache !== undefined) {
		head['x-cache'] = notes.cache;
	}
	if (notes.source !== undefined) {
		head['x-source'] = headerText(notes.source);
	}
	if (crossOrigin) {
		head['Access-Control-Allow-Origin'] = '*';
	}
	head['Server'] = front.product;
	head['x-request-id'] = id;
	head['x-response-time'] = Math.round(front.host.clock.now() - startedMs);
	head['x-server-name'] = front.hostName;
	if (last) {
		head['Connection'] = 'close';
	}
	return head;
}
