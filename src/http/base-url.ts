/**
 * Where a client that came here finds us again: for URLs that go into answers.
 *
 * It is made from where the request came to, unless the configuration says what we are called.
 */
import type {IncomingMessage} from 'node:http';
import type {Exchange} from './exchange.js';

export interface BaseUrlSettings {
	readonly basePath: string;
	readonly publicUrl: string | undefined;
}

/** Without slash at its end. */
export function baseUrl(exchange: Exchange, {publicUrl, basePath}: BaseUrlSettings): string {
	return publicUrl ?? `${exchange.origin}${exchange.target.belowBase ? basePath : ''}`;
}

/** http or https, and the host that the client named: where it would find us again. */
export function originOf({socket, headers}: Pick<IncomingMessage, 'socket' | 'headers'>): string {
	const scheme = 'encrypted' in socket ? 'https' : 'http';
	const {localAddress = 'localhost', localPort} = socket;
	// HTTP/1.0 has no Host.
	const own = localAddress.includes(':') ? `[${localAddress}]` : localAddress;
	const host = headers.host || (localPort === undefined ? own : `${own}:${localPort}`);
	return `${scheme}://${host}`;
}
