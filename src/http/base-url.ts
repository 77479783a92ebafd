/**
 * Where a client that came here finds us again: for URLs that go into answers.
 *
 * It is made from where the request came to, unless the configuration says what we are called.
 */
import type {Exchange} from './exchange.js';

export interface BaseUrlSettings {
	readonly basePath: string;
	readonly publicUrl: string | undefined;
}

/** Without slash at its end. */
export function baseUrl(exchange: Exchange, {publicUrl, basePath}: BaseUrlSettings): string {
	return publicUrl ?? `${exchange.origin}${exchange.target.belowBase ? basePath : ''}`;
}
