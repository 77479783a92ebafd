/**
 * Addresses, and which configured networks they are in.
 *
 * A network is written as an address, as CIDR, or as `unix` for callers through a unix socket. IPv4 written as IPv6
 * (`::ffff:10.0.0.1`, which is how a socket for both shows it) is IPv4 here.
 */
import {BlockList, SocketAddress, isIP} from 'node:net';

/** For callers that have no address. */
export const unixAddress = 'unix';

/** One way to write an address; without brackets' zone. `undefined`: it is none. */
export function plainAddress(text: string): string | undefined {
	const bare = text.replace(/%.*$/s, '');
	const family = isIP(bare);
	if (family !== 6) {
		return family === 4 ? bare : undefined;
	}
	const {address} = new SocketAddress({address: bare, family: 'ipv6'});
	return /^::ffff:(\d+\.\d+\.\d+\.\d+)$/.exec(address)?.[1] ?? address;
}

/** Callers that an attacker can hardly tell apart: an IPv6 host has a /64 to choose from. */
export function neighbourhood(address: string): string {
	if (isIP(address) !== 6) {
		return address;
	}
	const [before = '', after] = address.split('::');
	const head = before === '' ? [] : before.split(':');
	const tail = after === undefined || after === '' ? [] : after.split(':');
	// The canonical form has its gap at most once; an IPv4 tail counts twice, but never within the first four.
	const width = [...head, ...tail].reduce((sum, part) => sum + (part.includes('.') ? 2 : 1), 0);
	const gap = after === undefined ? 0 : Math.max(0, 8 - width);
	return [...head, ...Array.from({length: gap}, () => '0'), ...tail].slice(0, 4).join(':');
}

/** A list of networks. What cannot be read as one is in none: the configuration's reader has refused it before. */
export class Networks {
	readonly #list = new BlockList();
	readonly #unix: boolean;

	constructor(cidrs: readonly string[]) {
		this.#unix = cidrs.includes(unixAddress);
		for (const cidr of cidrs) {
			this.#add(cidr);
		}
	}

	/** `address` is as `plainAddress` gives it, or `unix`. */
	has(address: string): boolean {
		const family = isIP(address);
		if (family === 0) {
			return this.#unix && address === unixAddress;
		}
		return this.#list.check(address, family === 4 ? 'ipv4' : 'ipv6');
	}

	#add(cidr: string): void {
		const match = /^([^/]+)(?:\/(\d{1,3}))?$/.exec(cidr);
		const written = match?.[1] ?? '';
		const address = plainAddress(written);
		if (address === undefined) {
			return;
		}
		const bits = isIP(address) === 4 ? 32 : 128;
		const mapped = bits === 32 && isIP(written) === 6;
		const prefix = match?.[2] === undefined ? bits : Number(match[2]) - (mapped ? 96 : 0);
		if (prefix >= 0 && prefix <= bits) {
			this.#list.addSubnet(address, prefix, bits === 32 ? 'ipv4' : 'ipv6');
		}
	}
}
