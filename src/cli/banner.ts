/**
 * The one line on stdout that says that the mirror is ready.
 *
 * It names what really is: the addresses as bound, and a URL that another machine can use where there is one.
 */
import {isIPv6} from 'node:net';
import type {networkInterfaces} from 'node:os';
import type {Config} from '../config.js';

interface BannerParts {
	readonly version: string;
	/** `http://HOST:PORT`, `https://HOST:PORT` or `unix:PATH`. */
	readonly addresses: readonly string[];
	readonly config: Pick<Config, 'basePath' | 'publicUrl' | 'sources'>;
	readonly interfaces: ReturnType<typeof networkInterfaces>;
}

export function banner({version, addresses, config, interfaces}: BannerParts): string {
	const fronted = config.sources.map(({name, urls}) => `${name} (${urls[0] ?? ''})`);
	const fronting = fronted.length === 0 ? 'fronting no source' : `fronting ${listed(fronted)}`;
	const url = config.publicUrl ?? clientUrl(addresses, config.basePath, interfaces);
	const advice = url === undefined ? '' : `; on each SmartOS machine: imgadm sources -a ${url}`;
	return `imgmirror ${version} listening on ${listed(addresses)}, ${fronting}${advice}`;
}

function listed(words: readonly string[]): string {
	return words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} and ${words.at(-1) ?? ''}`;
}

/** `undefined`: there are only unix sockets, so somebody in front of us knows the URL. */
function clientUrl(
	addresses: readonly string[],
	basePath: string,
	interfaces: BannerParts['interfaces'],
): string | undefined {
	const urls = addresses.filter(address => !address.startsWith('unix:')).map(address => new URL(address));
	// Others can reach us only at what is not loopback.
	const url = urls.find(({hostname}) => !isLoopback(hostname)) ?? urls[0];
	if (url === undefined) {
		return undefined;
	}
	const port = url.port === '' ? '' : `:${url.port}`;
	const host = isWildcard(url.hostname) ? ownAddress(interfaces) : url.hostname;
	return `${url.protocol}//${host}${port}${basePath}`;
}

function isLoopback(hostname: string): boolean {
	return hostname.startsWith('127.') || hostname === 'localhost' || hostname === '[::1]';
}

function isWildcard(hostname: string): boolean {
	return hostname === '0.0.0.0' || hostname === '[::]';
}

/** The first that other machines could know us by; IPv4, as provisioning networks have that. */
function ownAddress(interfaces: BannerParts['interfaces']): string {
	const addresses = Object.values(interfaces)
		.flatMap(list => list ?? [])
		.filter(({internal, address}) => !internal && !/^fe80:/i.test(address))
		.map(({address}) => address);
	const address = addresses.find(candidate => !isIPv6(candidate)) ?? addresses[0] ?? '127.0.0.1';
	return isIPv6(address) ? `[${address}]` : address;
}
