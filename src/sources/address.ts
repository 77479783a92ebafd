/**
 * Where a source is: one of its configured URLs, taken apart.
 *
 * Credentials and the channel come out of the URL here, so that no URL we ask for, log or hand on carries a secret.
 * The configuration has been checked by then; what still cannot be read is a programming mistake and throws.
 */
import {basicAuthorization} from './credentials.js';

export interface Address {
	/** Without credentials, query and trailing slash: everything is appended to it. */
	readonly base: string;
	readonly origin: string;
	readonly hostname: string;
	/** From `user:password@` in the URL. */
	readonly authorization: string | undefined;
	/** From `?channel=`, as imgadm writes it. */
	readonly channel: string | undefined;
}

export function parseAddress(text: string): Address {
	const url = new URL(text);
	if (url.protocol !== 'http:' && url.protocol !== 'https:') {
		throw new TypeError(`not an http or https URL: ${showUrl(url)}`);
	}
	return {
		base: `${url.origin}${url.pathname.replace(/\/+$/, '')}`,
		origin: url.origin,
		hostname: url.hostname,
		authorization:
			url.username === '' && url.password === ''
				? undefined
				: basicAuthorization(decode(url.username), decode(url.password)),
		channel: url.searchParams.get('channel') ?? undefined,
	};
}

/** A URL for people: credentials are never shown. */
export function showUrl(url: URL): string {
	const shown = new URL(url);
	if (shown.username !== '' || shown.password !== '') {
		shown.username = '***';
		shown.password = '';
	}
	return shown.href;
}

function decode(text: string): string {
	try {
		return decodeURIComponent(text);
	} catch {
		return text;
	}
}
