/**
 * Where a request comes from, and what anybody from there may do without a login.
 *
 * Headers about forwarding are believed of configured proxies only. A request that has any of them from somebody else
 * has passed a proxy that nobody told us of: its sender could be anywhere, so no network's rights are theirs.
 */
import type {IncomingHttpHeaders} from 'node:http';
import {withImplied, type Right} from './caller.js';
import {forwardedHops, isForwarded, type Hops} from './forwarded.js';
import {Networks, plainAddress, unixAddress} from './networks.js';

export interface OriginSettings {
	/** What everybody may. */
	readonly anonymous: readonly Right[];
	/** What callers from there may besides, each network by itself. */
	readonly networks: readonly {readonly cidrs: readonly string[]; readonly may: readonly Right[]}[];
	readonly trustedProxies: readonly string[];
}

export interface Origin {
	/** The client's, or of the nearest proxy that we cannot see behind. */
	readonly address: string;
	/** Without a login. */
	readonly rights: ReadonlySet<Right>;
}

interface Peer {
	readonly kind: 'tcp' | 'unix';
	readonly address: string | undefined;
}

const mostKnown = 5000;

export class Origins {
	readonly #anonymous: readonly Right[];
	readonly #networks: readonly {readonly networks: Networks; readonly may: readonly Right[]}[];
	readonly #trusted: Networks;
	readonly #outside: ReadonlySet<Right>;
	/** By address as the socket has it: looking at networks costs more than answering many a request. */
	readonly #direct = new Map<string, Origin>();
	/** By which networks an address is in: whoever has the same has the very same set. */
	readonly #rights = new Map<string, ReadonlySet<Right>>();

	constructor({anonymous, networks, trustedProxies}: OriginSettings) {
		this.#anonymous = anonymous;
		this.#networks = networks.map(({cidrs, may}) => ({networks: new Networks(cidrs), may}));
		this.#trusted = new Networks(trustedProxies);
		this.#outside = withImplied(anonymous);
	}

	/** `peer` is who the connection is from. */
	of(peer: Peer, headers: IncomingHttpHeaders): Origin {
		if (!isForwarded(headers)) {
			return this.#directly(peer);
		}
		const nearest = nearestOf(peer);
		if (!this.#trusted.has(nearest)) {
			return {address: nearest, rights: this.#outside};
		}
		const [client, ...others] = forwardedHops(headers).map(hops => this.#client(hops));
		// A proxy writes one of the headers and lets through what the client made up of the others.
		if (client?.address === undefined || others.some(other => other.address !== client.address)) {
			return {address: nearest, rights: this.#outside};
		}
		const {address} = client;
		// Whether it says so by itself, or was a proxy that nobody told us of: as if it had come to us at once.
		return [client, ...others].some(({forwards}) => forwards)
			? {address, rights: this.#outside}
			: this.#inside(address);
	}

	/** With what everybody may, and no more. */
	withoutNetwork({address}: Origin): Origin {
		return {address, rights: this.#outside};
	}

	#directly(peer: Peer): Origin {
		const key = peer.kind === 'unix' ? unixAddress : (peer.address ?? '');
		const known = this.#direct.get(key);
		if (known !== undefined) {
			return known;
		}
		const origin = this.#inside(nearestOf(peer));
		if (this.#direct.size >= mostKnown) {
			this.#direct.clear();
		}
		this.#direct.set(key, origin);
		return origin;
	}

	/** The last hop that is no proxy of ours, and whether there is one before it; the first one if all are. */
	#client(hops: Hops): {readonly address: string | undefined; readonly forwards: boolean} {
		const at = hops.findLastIndex(hop => hop === undefined || !this.#trusted.has(hop));
		return {address: hops[Math.max(0, at)], forwards: at > 0};
	}

	#inside(address: string): Origin {
		const its = [...this.#networks.keys()].filter(at => this.#networks[at]?.networks.has(address) === true);
		if (its.length === 0) {
			return {address, rights: this.#outside};
		}
		const key = its.join(' ');
		const given = its.flatMap(at => this.#networks[at]?.may ?? []);
		const rights = this.#rights.get(key) ?? withImplied([...this.#anonymous, ...given]);
		this.#rights.set(key, rights);
		return {address, rights};
	}
}

function nearestOf({kind, address}: Peer): string {
	return kind === 'unix' ? unixAddress : (plainAddress(address ?? '') ?? address ?? 'unknown');
}
