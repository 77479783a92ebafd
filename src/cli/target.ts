/**
 * Which server a command talks to, as it is written: `http://user:password@mirror/base` or `unix:PATH`.
 *
 * The same form that imgadm takes as a source, so that one URL does for both. `client.ts` connects to it, `reach.ts`
 * finds one where none is given.
 */
import {ConfigError} from '../errors.js';

export interface Target {
	/** `undefined`: a TCP address. */
	readonly socketPath: string | undefined;
	readonly tls: boolean;
	readonly host: string;
	readonly port: number | undefined;
	/** What all paths there begin with: `''` or `/path`. */
	readonly basePath: string;
	/** Of the URL's `?channel=`. */
	readonly channel: string | undefined;
	/** Of HTTP's `Authorization`. */
	readonly authorization: string | undefined;
	/** As messages show it: without the password. */
	readonly shown: string;
}

const help = 'http://[USER:PASSWORD@]HOST[:PORT][/PATH], the same with https, or unix:PATH';

/** `origin` is the flag or the variable that the text came from. Throws ConfigError. */
export function parseTarget(text: string, origin: string): Target {
	if (text.startsWith('unix:/')) {
		return socketTarget(text.slice('unix:'.length), '');
	}
	if (!/^https?:\/\/[^\s\\]+$/i.test(text) || !URL.canParse(text)) {
		throw fault(origin, `expected ${help}, got ${JSON.stringify(text.replace(/\/\/[^/@\s]+@/, '//********@'))}`);
	}
	const url = new URL(text);
	const strange = [...url.searchParams.keys()].some(key => key !== 'channel');
	if (url.hash !== '' || strange) {
		throw fault(origin, `expected ${help}, with nothing after "?" but a channel`);
	}
	const basePath = url.pathname.replace(/\/+$/, '');
	return {
		socketPath: undefined,
		tls: url.protocol === 'https:',
		// Without the brackets of an IPv6 address.
		host: url.hostname.replace(/^\[(.*)\]$/, '$1'),
		port: url.port === '' ? undefined : Number(url.port),
		basePath,
		channel: url.searchParams.get('channel') ?? undefined,
		authorization: authorizationOf(url, origin),
		shown: `${url.protocol}//${url.host}${basePath}`,
	};
}

export function socketTarget(path: string, basePath: string): Target {
	return {
		socketPath: path,
		tls: false,
		host: 'localhost',
		port: undefined,
		basePath,
		channel: undefined,
		authorization: undefined,
		shown: `unix:${path}`,
	};
}

function authorizationOf(url: URL, origin: string): string | undefined {
	if (url.username === '' && url.password === '') {
		return undefined;
	}
	try {
		const login = `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`;
		return `Basic ${Buffer.from(login).toString('base64')}`;
	} catch {
		throw fault(origin, 'in a user or a password, "%" is written %25');
	}
}

function fault(origin: string, what: string): ConfigError {
	return commandLineError([`${origin}: ${what}`]);
}

/** What was typed cannot be done: exit code 2, with a line for each fault. */
export function commandLineError(faults: readonly string[]): ConfigError {
	return new ConfigError(`the command line: ${faults.length === 1 ? '1 fault' : `${faults.length} faults`}`, faults);
}
