/**
 * The headers of an answer: its own, and those that every answer has.
 *
 * Made for each answer, as a list: objects of many shapes cost more than all that is in them.
 */
import type {OutgoingHttpHeader, OutgoingHttpHeaders} from 'node:http';
import type {Notes} from './access-log.js';
import type {Exchange} from './exchange.js';
import type {Front} from './front.js';
import {headerText} from './header-text.js';

/** Names and values in turns, as Node takes them. `last`: the connection ends with this answer. */
export function headOf(
	own: OutgoingHttpHeaders,
	{alsoSend, crossOrigin, id}: Pick<Exchange, 'alsoSend' | 'crossOrigin' | 'id'>,
	{front, notes, startedMs, last}: {front: Front; notes: Notes; startedMs: number; last: boolean},
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
	const tookMs = Math.round(front.host.clock.now() - startedMs);
	head.push('Server', front.product, 'x-request-id', id);
	head.push('x-response-time', tookMs, 'x-server-name', front.hostName);
	if (last) {
		head.push('Connection', 'close');
	}
	return head;
}
