/**
 * Addresses that the configuration names: of sources, of a proxy, of ourselves.
 *
 * What a URL can carry beside the address (`?channel=`, `user:password@`) is taken out of it here, as imgadm's users
 * write it there.
 */
import {mask, type Kind} from './kinds.js';
import {Fault, shown} from './place.js';

export interface SourceUrl {
	/** Without credentials, query and trailing slash. */
	readonly url: string;
	readonly host: string;
	readonly port: string;
	readonly channel: string | undefined;
	readonly credentials: {readonly user: string; readonly password: string} | undefined;
	/** It is written as imgadm wants a DSAPI source written. */
	readonly datasets: boolean;
}

const sourceHelp = 'an http or https URL such as "https://images.example.com"';

export const channelPattern = /^(?:\*|[A-Za-z0-9][\w-]*)$/;

export const sourceUrl: Kind<string> = {
	expected: sourceHelp,
	read: value => readSourceUrl(value).url,
	write: value => value,
};

export function readSourceUrl(value: unknown): SourceUrl {
	const url = readUrl(value, sourceHelp);
	const bare = bareUrl(url);
	const channels = url.searchParams.getAll('channel');
	const others = [...url.searchParams.keys()].filter(key => key !== 'channel');
	const [channel] = channels;
	if (others.length > 0 || channels.length > 1 || (channel !== undefined && !channelPattern.test(channel))) {
		throw new Fault(`${sourceHelp}, with nothing after "?" but a channel`, shown(value));
	}
	return {
		url: bare,
		host: url.hostname,
		port: url.port,
		channel,
		credentials: credentialsOf(url, value),
		datasets: url.pathname.replace(/\/+$/, '').endsWith('/datasets'),
	};
}

function credentialsOf(url: URL, value: unknown): SourceUrl['credentials'] {
	if (url.username === '' && url.password === '') {
		return undefined;
	}
	try {
		return {user: decodeURIComponent(url.username), password: decodeURIComponent(url.password)};
	} catch {
		throw new Fault('a user and a password with % only as %25 and the like', shown(value));
	}
}

function readUrl(value: unknown, expected: string): URL {
	// The URL class forgives much that other programs on the way would not: blanks, backslashes, a missing "//".
	if (typeof value !== 'string' || !/^https?:\/\/[^\s\\]+$/i.test(value) || !URL.canParse(value)) {
		throw new Fault(expected, shown(value), typeof value === 'string' ? adviceFor(value) : undefined);
	}
	const url = new URL(value);
	if (url.hash !== '' || value.endsWith('#')) {
		throw new Fault(expected, shown(value), 'without "#"');
	}
	return url;
}

function adviceFor(value: string): string | undefined {
	if (/^[a-z][\w+.-]*:\/\//i.test(value)) {
		return undefined;
	}
	return URL.canParse(`https://${value}`) && /^[\w.:[\]/-]+$/.test(value)
		? `did you mean "https://${value}"?`
		: undefined;
}

function bareUrl(url: URL): string {
	return `${url.protocol}//${url.host}${url.pathname.replace(/\/+$/, '')}`;
}

const publicHelp = 'the http or https URL that clients use, such as "https://mirror.example.com"';

export const publicUrl: Kind<string> = {
	expected: publicHelp,
	read(value) {
		const url = readUrl(value, publicHelp);
		if (url.search !== '' || url.username !== '' || url.password !== '') {
			throw new Fault(publicHelp, shown(value), 'without a query, a user or a password');
		}
		return bareUrl(url);
	},
	write: value => value,
};

const proxyHelp = '"env", "none" or the URL of an HTTP proxy such as "http://proxy.example.com:3128"';

/** `'env'`, `undefined` for none, or a URL, perhaps with credentials. */
export const proxy: Kind<string | undefined> = {
	expected: proxyHelp,
	read(value) {
		if (value === 'env' || value === 'none') {
			return value === 'none' ? undefined : value;
		}
		return proxyUrl(value, proxyHelp);
	},
	write: (value, secrets) => (value === undefined ? 'none' : secrets === 'plain' ? value : maskedUrl(value)),
};

export function proxyUrl(value: unknown, expected: string): string {
	const url = readUrl(value, expected);
	if (url.pathname !== '/' || url.search !== '') {
		throw new Fault(expected, shown(value), 'with nothing after the port');
	}
	return url.href.replace(/\/$/, '');
}

export function maskedUrl(url: string): string {
	return url.replace(/\/\/[^/@]+@/, `//${mask}@`);
}

const webhookHelp = 'an http or https URL such as "https://hooks.example.com/imgmirror"';

/** With everything that it carries: a user and a password, or a token after "?". */
export const webhookUrl: Kind<string> = {
	expected: webhookHelp,
	read: value => readUrl(value, webhookHelp).href,
	write: (value, secrets) => (secrets === 'plain' ? value : maskedUrl(value).replace(/\?.+$/, `?${mask}`)),
};

/** Of our own HTTP paths: `''` or `/path`. */
export const basePath: Kind<string> = {
	expected: 'a path such as "/images-mirror", or "" for none',
	read(value) {
		if (typeof value !== 'string' || !/^(?:\/[\w.~-]+)*\/?$/.test(value) || /\/\.{1,2}(?:\/|$)/.test(value)) {
			throw new Fault(
				basePath.expected,
				shown(value),
				typeof value === 'string' && /^\w/.test(value) ? 'it begins with "/"' : undefined,
			);
		}
		return value.replace(/\/$/, '');
	},
	write: value => value,
};
