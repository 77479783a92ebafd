/**
 * Which proxy a request goes through, if any.
 *
 * The rules of http_proxy, https_proxy and no_proxy as curl reads them. The variables come in as data; nothing here
 * looks at the environment of the process.
 */
import {BlockList, isIP} from 'node:net';

export interface ProxyEnvironment {
	readonly httpProxy: string | undefined;
	readonly httpsProxy: string | undefined;
	readonly noProxy: string | undefined;
}

/** `proxy` as in the source's settings: a URL, `'env'`, or `undefined` for none. */
export function proxyFor(url: URL, proxy: string | undefined, environment: ProxyEnvironment): URL | undefined {
	if (proxy === undefined) {
		return undefined;
	}
	// A proxy configured for this very source holds for all it asks; no_proxy is about the other two.
	if (proxy !== 'env') {
		return parseProxy(proxy);
	}
	const chosen = url.protocol === 'https:' ? environment.httpsProxy : environment.httpProxy;
	if (!chosen || bypasses(url, environment.noProxy ?? '')) {
		return undefined;
	}
	return parseProxy(chosen);
}

function parseProxy(text: string): URL {
	// `proxy.example.com:3128` is what people write; as a URL it would be of the scheme "proxy.example.com".
	return new URL(/^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `http://${text}`);
}

function bypasses(url: URL, list: string): boolean {
	const host = bare(url.hostname);
	const port = url.port || (url.protocol === 'https:' ? '443' : '80');
	return list
		.split(/[\s,]+/)
		.filter(entry => entry !== '')
		.some(entry => entryMatches(entry.toLowerCase(), host, port));
}

function entryMatches(entry: string, host: string, port: string): boolean {
	if (entry === '*') {
		return true;
	}
	if (entry.includes('/')) {
		return inNetwork(entry, host);
	}
	const withPort = /^(\[[^\]]+\]|[^:]+):(\d+)$/.exec(entry);
	if (withPort?.[2] !== undefined && withPort[2] !== port) {
		return false;
	}
	const name = bare(withPort?.[1] ?? entry).replace(/^\*?\./, '');
	return host === name || (isIP(host) === 0 && host.endsWith(`.${name}`));
}

function inNetwork(entry: string, host: string): boolean {
	const [network = '', prefix = ''] = entry.split('/');
	const family = isIP(bare(network));
	const bits = Number(prefix);
	if (family === 0 || isIP(host) !== family || !/^\d+$/.test(prefix) || bits > (family === 4 ? 32 : 128)) {
		return false;
	}
	const list = new BlockList();
	list.addSubnet(bare(network), bits, family === 4 ? 'ipv4' : 'ipv6');
	return list.check(host, family === 4 ? 'ipv4' : 'ipv6');
}

/** A host name or address as the URL has it, without the brackets of IPv6. */
function bare(hostname: string): string {
	return hostname.replace(/^\[|\]$/g, '').toLowerCase();
}
