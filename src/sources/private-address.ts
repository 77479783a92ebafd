/**
 * Addresses that a stranger's redirect must not lead us to: this machine, this network, and what is no host at all.
 *
 * The check sits in the name lookup of the connection itself. A name that resolves to a harmless address when we look
 * and to 127.0.0.1 when we connect (DNS rebinding) therefore gains nothing.
 */
import {lookup as systemLookup, type LookupAddress} from 'node:dns';
import {BlockList, isIP, type LookupFunction} from 'node:net';

/** A connection was about to go to a private address. */
export class PrivateAddressError extends Error {
	readonly code = 'EPRIVATE';

	constructor(hostname: string) {
		super(`${hostname} is, or resolves to, a private address`);
		this.name = 'PrivateAddressError';
	}
}

const privateNetworks: readonly (readonly [string, number, 'ipv4' | 'ipv6'])[] = [
	['0.0.0.0', 8, 'ipv4'],
	['10.0.0.0', 8, 'ipv4'],
	['100.64.0.0', 10, 'ipv4'],
	['127.0.0.0', 8, 'ipv4'],
	['169.254.0.0', 16, 'ipv4'],
	['172.16.0.0', 12, 'ipv4'],
	['192.0.0.0', 24, 'ipv4'],
	['192.0.2.0', 24, 'ipv4'],
	['192.88.99.0', 24, 'ipv4'],
	['192.168.0.0', 16, 'ipv4'],
	['198.18.0.0', 15, 'ipv4'],
	['198.51.100.0', 24, 'ipv4'],
	['203.0.113.0', 24, 'ipv4'],
	['224.0.0.0', 4, 'ipv4'],
	['240.0.0.0', 4, 'ipv4'],
	// Unspecified, loopback, and IPv4 written as IPv6 in the old way.
	['::', 96, 'ipv6'],
	// The same for networks that translate, and back.
	['::ffff:0:0:0', 96, 'ipv6'],
	['64:ff9b:1::', 48, 'ipv6'],
	['100::', 64, 'ipv6'],
	// Teredo and its neighbours, documentation, 6to4: all can carry an IPv4 address inside.
	['2001::', 23, 'ipv6'],
	['2001:db8::', 32, 'ipv6'],
	['2002::', 16, 'ipv6'],
	['3fff::', 20, 'ipv6'],
	['5f00::', 16, 'ipv6'],
	['fc00::', 7, 'ipv6'],
	['fe80::', 10, 'ipv6'],
	['fec0::', 10, 'ipv6'],
	['ff00::', 8, 'ipv6'],
];

const blocked = new BlockList();
for (const [network, prefix, family] of privateNetworks) {
	blocked.addSubnet(network, prefix, family);
}
for (const [network, prefix, family] of privateNetworks) {
	// NAT64 (RFC 6052) puts the IPv4 address into the last 32 bits. A network that has it names public hosts so.
	if (family === 'ipv4') {
		blocked.addSubnet(`64:ff9b::${network}`, 96 + prefix, 'ipv6');
	}
}

/** `address` is an IP address in text, with or without brackets and zone. Anything else is not private: it is a name. */
export function isPrivateAddress(address: string): boolean {
	const bare = address.replace(/^\[|\]$/g, '').replace(/%.*$/, '');
	const family = isIP(bare);
	// The block list also finds ::ffff:10.0.0.1 under its IPv4 rules.
	return family !== 0 && blocked.check(bare, family === 4 ? 'ipv4' : 'ipv6');
}

/**
 * A name lookup that knows no private addresses (or none of those that `isRefused` names). Literal addresses are never
 * looked up: check those before.
 */
export function publicLookup(
	resolve: LookupFunction = systemLookup,
	isRefused: (address: string) => boolean = isPrivateAddress,
): LookupFunction {
	return (hostname, options, callback) => {
		resolve(hostname, {...options, all: true}, (error, found) => {
			if (error) {
				callback(error, '');
				return;
			}
			const addresses: readonly LookupAddress[] =
				typeof found === 'string' ? [{address: found, family: isIP(found)}] : found;
			const open = addresses.filter(({address}) => !isRefused(address));
			const [first] = open;
			if (first === undefined) {
				callback(new PrivateAddressError(hostname), '');
			} else if (options.all === true) {
				callback(null, open);
			} else {
				callback(null, first.address, first.family);
			}
		});
	};
}
