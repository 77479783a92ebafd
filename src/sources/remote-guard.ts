/**
 * Where a client may send us: not to this machine and not into its network, unless the configuration names the host.
 *
 * `remote-servers.ts` asks before it opens anything, and gives `lookupFor` to the connection itself, so that a name that
 * changes its address between the two (DNS rebinding) gains nothing.
 */
import {lookup as systemLookup} from 'node:dns';
import {BlockList, isIP, type LookupFunction} from 'node:net';
import {isPrivateAddress, publicLookup} from './private-address.js';

export class RemoteGuard {
	readonly #names = new Set<string>();
	readonly #networks = new BlockList();
	readonly #lookup: LookupFunction | undefined;

	constructor(options: {
		/** Host names, addresses, `host:port`, and networks as CIDR. What is none of these is passed over. */
		readonly allow: readonly string[];
		/** URLs whose host and port the operator has configured. */
		readonly trusted: readonly string[];
		/** Instead of the system's: for tests. */
		readonly lookup?: LookupFunction | undefined;
	}) {
		this.#lookup = options.lookup;
		for (const entry of options.allow) {
			const network = /^([^/]+)\/(\d{1,3})$/.exec(entry.trim());
			if (network?.[1] === undefined) {
				this.#names.add(bare(entry));
			} else {
				this.#allowNetwork(network[1], Number(network[2]));
			}
		}
		for (const url of options.trusted) {
			this.#names.add(withPort(new URL(url)));
		}
	}

	/** Whether that URL's host is private by its very name. Other names are found out by the lookup. */
	refuses(url: URL): boolean {
		const host = bare(url.hostname);
		return !this.#isNamed(url) && (this.#isRefused(host) || /(^|\.)localhost\.?$/.test(host));
	}

	/** For connections to that URL's host. `undefined`: the usual one. */
	lookupFor(url: URL): LookupFunction | undefined {
		return this.#isNamed(url)
			? this.#lookup
			: publicLookup(this.#lookup, address => this.#isRefused(address.replace(/%.*$/, '')));
	}

	/** For names that a proxy is going to look up: whether they are private for us. We believe in what we cannot tell. */
	async resolvesPrivate(url: URL): Promise<boolean> {
		if (this.#isNamed(url)) {
			return false;
		}
		const lookup = this.#lookup ?? systemLookup;
		return new Promise(done => {
			lookup(bare(url.hostname), {all: true}, (error, found) => {
				const addresses = typeof found === 'string' ? [{address: found}] : found;
				done(error === null && addresses.some(({address}) => this.#isRefused(address)));
			});
		});
	}

	#isNamed(url: URL): boolean {
		return this.#names.has(bare(url.hostname)) || this.#names.has(withPort(url));
	}

	#isRefused(address: string): boolean {
		const family = isIP(address);
		return isPrivateAddress(address) && !this.#networks.check(address, family === 6 ? 'ipv6' : 'ipv4');
	}

	#allowNetwork(network: string, prefix: number): void {
		const address = bare(network);
		const family = isIP(address);
		if (family !== 0 && prefix <= (family === 4 ? 32 : 128)) {
			this.#networks.addSubnet(address, prefix, family === 4 ? 'ipv4' : 'ipv6');
		}
	}
}

/** As URLs have hosts, without the brackets of an IPv6 address. */
function bare(host: string): string {
	return host
		.trim()
		.toLowerCase()
		.replace(/^\[([^\]]*)\]$/, '$1');
}

function withPort(url: URL): string {
	return `${url.hostname.toLowerCase()}:${url.port || (url.protocol === 'https:' ? '443' : '80')}`;
}
