/**
 * Where a source may send us: the rules by which a redirect is followed, or not.
 *
 * The transport asks before each step, also before the first where that is on a stranger's host already (the file of a
 * DSAPI image may be). Nothing is fetched here; names that only a proxy can resolve are believed in.
 */
import {lookup as systemLookup} from 'node:dns';
import type {LookupFunction} from 'node:net';
import {isPrivateAddress} from './private-address.js';

/** `safe`: never from https to http, never to a private address on another host. */
export type RedirectPolicy = 'none' | 'safe' | 'any';

const maxRedirects = 5;

export class RedirectRules {
	readonly #policy: RedirectPolicy;
	readonly #isOwnHost: (url: URL) => boolean;
	readonly #isProxied: (url: URL) => boolean;
	readonly #lookup: LookupFunction;

	constructor(options: {
		readonly policy: RedirectPolicy;
		/** One of the source's own hosts, which may be anywhere. */
		readonly isOwnHost: (url: URL) => boolean;
		readonly isProxied: (url: URL) => boolean;
		readonly lookup?: LookupFunction | undefined;
	}) {
		this.#policy = options.policy;
		this.#isOwnHost = options.isOwnHost;
		this.#isProxied = options.isProxied;
		this.#lookup = options.lookup ?? systemLookup;
	}

	/** Why a request must not begin there; `undefined`: it may. */
	async refuseStart(url: URL): Promise<string | undefined> {
		if (this.#isOwnHost(url)) {
			return undefined;
		}
		return this.#policy === 'none'
			? 'on no host of this source, and redirects are not followed'
			: this.#refuseHost(url);
	}

	/** Why `from` must not lead to `to`, having come through all of `visited`; `undefined`: it may. */
	async refuseStep(from: URL, to: URL, visited: ReadonlySet<string>): Promise<string | undefined> {
		if (this.#policy === 'none') {
			return 'redirects are not followed';
		}
		if (to.protocol !== 'http:' && to.protocol !== 'https:') {
			return 'neither http nor https';
		}
		if (this.#policy === 'safe' && from.protocol === 'https:' && to.protocol === 'http:') {
			return 'from https to http';
		}
		if (visited.has(to.href)) {
			return 'redirects in a circle';
		}
		if (visited.size > maxRedirects) {
			return `more than ${maxRedirects} redirects`;
		}
		return this.#isOwnHost(to) ? undefined : this.#refuseHost(to);
	}

	/**
	 * Refuses what is private by its very name. Names are checked by the connection's own lookup; behind a proxy, where
	 * the proxy looks them up, we ask as well, and believe in it where we cannot tell.
	 */
	async #refuseHost(url: URL): Promise<string | undefined> {
		if (this.#policy === 'any') {
			return undefined;
		}
		const hostname = url.hostname.replace(/^\[|\]$/g, '');
		const isPrivate =
			isPrivateAddress(hostname) ||
			/(^|\.)localhost\.?$/i.test(hostname) ||
			(this.#isProxied(url) && (await this.#resolvesPrivate(hostname)));
		return isPrivate ? 'a private address, where redirects must not lead' : undefined;
	}

	#resolvesPrivate(hostname: string): Promise<boolean> {
		return new Promise(done => {
			this.#lookup(hostname, {all: true}, (error, found) => {
				const addresses = typeof found === 'string' ? [{address: found}] : found;
				done(error === null && addresses.some(({address}) => isPrivateAddress(address)));
			});
		});
	}
}

/** Where a Location header points, without the credentials that a server may write into it: they are not ours to use. */
export function locationFrom(header: string, base: URL): URL | undefined {
	if (!URL.canParse(header, base.href)) {
		return undefined;
	}
	const url = new URL(header, base.href);
	url.username = '';
	url.password = '';
	url.hash = '';
	return url;
}
