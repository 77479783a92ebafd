/**
 * On whose behalf a request asks sources, if it comes to that: most are answered from memory.
 */
import type {IncomingHttpHeaders} from 'node:http';
import type {Ask} from '../sources/source.js';
import {headerText} from './header-text.js';

/** Its signal is made when somebody looks at it: that costs more than to find an image. */
export class ClientAsk implements Ask {
	readonly requestId: string;
	declare readonly via?: string;
	readonly #signal: () => AbortSignal;

	constructor(requestId: string, via: string, signal: () => AbortSignal) {
		this.requestId = requestId;
		if (via !== '') {
			this.via = via;
		}
		this.#signal = signal;
	}

	get signal(): AbortSignal {
		return this.#signal();
	}
}

/** Whether what that mirror asked for itself has come back to it. */
export function isCircle(headers: IncomingHttpHeaders, instanceId: string): boolean {
	return hopsOf(headers).includes(instanceId);
}

/** Whether it came back with nobody in between: that mirror has its own address among its sources. */
export function isOwnQuestion(headers: IncomingHttpHeaders, instanceId: string): boolean {
	return headers['x-imgmirror-via'] !== undefined && hopsOf(headers).at(-1) === instanceId;
}

function hopsOf(headers: IncomingHttpHeaders): readonly string[] {
	return viaOf(headers)
		.split(',')
		.map(name => name.trim());
}

/** The mirrors that it has come through already; empty: none. */
export function viaOf({'x-imgmirror-via': given}: IncomingHttpHeaders): string {
	return typeof given === 'string' ? headerText(given) : '';
}
