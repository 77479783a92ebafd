/**
 * For whom a proxy forwards a request, as the headers `Forwarded`, `X-Forwarded-For` and `X-Real-IP` say.
 *
 * Only reads: `origin.ts` decides whom to believe. Each reader gives the hops in the order in which they were added,
 * the last one by the proxy that we talk to; a hop that names no address is `undefined`.
 */
import type {IncomingHttpHeaders} from 'node:http';
import {plainAddress} from './networks.js';

export type Hops = readonly (string | undefined)[];

/** Whether anybody says that the request was forwarded. */
export function isForwarded(headers: IncomingHttpHeaders): boolean {
	return [headers['forwarded'], headers['x-forwarded-for'], headers['x-real-ip']].some(found => found !== undefined);
}

/** One entry for each of the headers that is there. */
export function forwardedHops(headers: IncomingHttpHeaders): readonly Hops[] {
	const found: Hops[] = [];
	const forwarded = text(headers['forwarded']);
	if (forwarded !== undefined) {
		found.push(readForwarded(forwarded));
	}
	const list = text(headers['x-forwarded-for']);
	if (list !== undefined) {
		found.push(list.split(',').map(hop => hopAddress(hop.trim())));
	}
	const real = text(headers['x-real-ip']);
	if (real !== undefined) {
		found.push([hopAddress(real.trim())]);
	}
	return found;
}

function text(header: string | string[] | undefined): string | undefined {
	return Array.isArray(header) ? header.join(',') : header;
}

/** An address with or without port; IPv6 perhaps in brackets. `unknown` and names that hide one are `undefined`. */
export function hopAddress(hop: string): string | undefined {
	const inBrackets = /^\[([^\]]*)\](?::[\w.-]+)?$/.exec(hop);
	if (inBrackets !== null) {
		const inside = inBrackets[1] ?? '';
		return inside.includes(':') ? plainAddress(inside) : undefined;
	}
	const withPort = /^(\d+\.\d+\.\d+\.\d+):[\w.-]+$/.exec(hop);
	return plainAddress(withPort?.[1] ?? hop);
}

/**
 * RFC 7239: elements with commas between, each of pairs with semicolons between, values perhaps quoted.
 *
 * What does not follow that grammar is one hop that nobody knows, at the end: whoever wrote it is not believed.
 */
export function readForwarded(header: string): Hops {
	const hops: (string | undefined)[] = [];
	const pair = /[ \t]*(?:([\w!#$%&'*+.^`|~-]+)=(?:"((?:[^"\\]|\\.)*)"|([\w!#$%&'*+.^`|~-]+))[ \t]*)?([;,]|$)/sy;
	let address: string | undefined;
	for (;;) {
		const match = pair.exec(header);
		if (match === null) {
			return [...hops, undefined];
		}
		const [, name, quoted, bare, end] = match;
		if (name?.toLowerCase() === 'for') {
			address = hopAddress(quoted?.replaceAll(/\\(.)/gs, '$1') ?? bare ?? '');
		}
		if (end !== ';') {
			hops.push(address);
			address = undefined;
		}
		if (end === '') {
			return hops;
		}
	}
}
