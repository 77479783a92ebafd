/**
 * The section `access`: who may do what.
 *
 * Most users stand in a file that `imgmirror user` writes; what can stand here is what holds for networks and for
 * everybody, and what the configurations of older servers have.
 */
import {isIP} from 'node:net';
import {isComment} from './json.js';
import {choice, list, mask, type Kind, type Written} from './kinds.js';
import {Fault, shown, type Place} from './place.js';
import {field, isObject, section, type Values} from './section.js';
import type {AccessConfig} from './types.js';

const right = choice(['read', 'private', 'publish', 'operate']);
const rights = list(right);

const network: Kind<string> = {
	expected: 'a network such as "10.0.0.0/8", an address, or "unix"',
	read(value) {
		if (value === 'unix') {
			return value;
		}
		const [, address = '', prefix] =
			typeof value === 'string' ? (/^([\da-fA-F:.]+)(?:\/(\d{1,3}))?$/.exec(value) ?? []) : [];
		const bits = isIP(address) === 4 ? 32 : 128;
		if (typeof value !== 'string' || isIP(address) === 0 || Number(prefix ?? 0) > bits) {
			throw new Fault(network.expected, shown(value), adviceFor(value));
		}
		return value;
	},
	write: value => value,
};

function adviceFor(value: unknown): string | undefined {
	if (value === '*' || value === 'all' || value === 'any') {
		return 'everybody is "0.0.0.0/0" and "::/0", or what "anonymous" is about';
	}
	if (typeof value === 'string' && /^[\d.]+\/\d+\.\d+\.\d+\.\d+$/.test(value)) {
		return 'write how many bits the mask has';
	}
	return typeof value === 'string' && /[g-z]/i.test(value) ? 'host names are not looked up' : undefined;
}

/** This machine, and the address ranges that are not routed in the internet. */
const near: readonly string[] = [
	'127.0.0.0/8',
	'::1',
	'10.0.0.0/8',
	'172.16.0.0/12',
	'192.168.0.0/16',
	'169.254.0.0/16',
	'fc00::/7',
	'fe80::/10',
	'unix',
];

const networkFields = {
	cidrs: field(
		'cidrs',
		list(network, {least: 1}),
		near,
		'Networks or addresses, IPv4 or IPv6; "unix" for callers through a unix socket.',
		['cidr', 'from', 'address', 'addresses', 'network', 'networks', 'ip'],
	),
	may: field('may', rights, ['private'], 'What callers from there may without a login.', [
		'rights',
		'allow',
		'permissions',
		'roles',
	]),
};
const networkSection = section(networkFields, 'an object with cidrs and may');

const networkRights: Kind<Values<typeof networkFields>> = {
	...networkSection,
	read(value, at) {
		for (const key of ['cidrs', 'may'] as const) {
			if (isObject(value) && !Object.hasOwn(value, key)) {
				at.child(key).report(new Fault(networkFields[key].kind.expected, 'nothing'));
			}
		}
		return networkSection.read(value, at);
	},
};

const userHelp = 'a user name of up to 64 letters, digits, ".", "_", "@" and "-"';

/** An object with a value for each user. Not shown in faults: a password may stand there. */
function byUser<T>(expected: string, kind: Kind<T>): Kind<Readonly<Record<string, T>>> {
	return {
		expected,
		read(value, at) {
			if (!isObject(value)) {
				throw new Fault(expected, shown(value));
			}
			const users = Object.entries(value).filter(([name]) => !isComment(name));
			return Object.fromEntries(
				users.flatMap(([name, written]) => {
					const place = at.child(name);
					if (!/^[\w.@-]{1,64}$/.test(name)) {
						place.report(new Fault(userHelp, shown(name)));
					}
					const found = place.attempt(inside => kind.read(written, inside));
					return found === undefined ? [] : [[name, found.value] as const];
				}),
			);
		},
		write: (values, secrets) =>
			Object.fromEntries(Object.entries(values).map(([name, value]) => [name, kind.write(value, secrets)])),
	};
}

const sshKey: Kind<string> = {
	expected: 'an SSH public key such as "ssh-ed25519 AAAA… alice@example.com"',
	read(value) {
		const [, type = '', data = ''] =
			typeof value === 'string'
				? (/^\s*([\w@.-]+)[ \t]+([A-Za-z\d+/]+=*)(?:[ \t][^\r\n]*)?\s*$/.exec(value) ?? [])
				: [];
		const blob = Buffer.from(data, 'base64');
		// The key says its type itself, after four bytes of length.
		const inside = blob.length < 4 ? '' : blob.subarray(4, 4 + blob.readUInt32BE(0)).toString('latin1');
		if (typeof value !== 'string' || inside === '' || inside !== type) {
			const isPrivate = typeof value === 'string' && value.includes('PRIVATE');
			throw new Fault(
				sshKey.expected,
				typeof value === 'string' ? 'something else' : shown(value),
				isPrivate ? 'it is a private one: take the file that ends in .pub' : undefined,
			);
		}
		if (!/^(?:ssh-rsa|ssh-dss|ssh-ed25519|ecdsa-sha2-nistp(?:256|384|521))$/.test(type)) {
			throw new Fault(sshKey.expected, `a key of type ${shown(type)}`, 'RSA, DSA, ECDSA and Ed25519 can sign requests');
		}
		return value.trim();
	},
	write: value => value,
};

const passwordHash: Kind<string> = {
	expected: 'the hash of a password: bcrypt ("$2a$…", "$2b$…", "$2y$…") or scrypt ("$scrypt$…")',
	read(value) {
		if (typeof value !== 'string' || !/^\$2[aby]\$(?:0[4-9]|1[0-6])\$[./A-Za-z\d]{53}$|^\$scrypt\$ln=\d/.test(value)) {
			throw new Fault(
				passwordHash.expected,
				typeof value === 'string' ? 'something else' : shown(value),
				typeof value === 'string' ? '"imgmirror user add" takes a password itself, and keeps no clear one' : undefined,
			);
		}
		return value;
	},
	write: (value, secrets) => (secrets === 'masked' ? mask : value),
};

const userFields = {
	password: field('password', passwordHash, '', 'The hash.', ['hash']),
	may: field('may', rights, ['publish'], 'What the user may.', ['rights', 'roles']),
};
const userSection = section(userFields, 'a hash, or an object with password and may');

const configuredUser: Kind<Values<typeof userFields>> = {
	expected: userSection.expected,
	read(value, at: Place) {
		if (!isObject(value)) {
			return {password: passwordHash.read(value, at), may: ['publish']};
		}
		if (!Object.hasOwn(value, 'password')) {
			throw new Fault(userSection.expected, 'no password');
		}
		// Read before the section does: there is no hash that could stand in for a faulty one.
		passwordHash.read(value['password'], at);
		return userSection.read(value, at);
	},
	write: (value, secrets) => userSection.write(value, secrets),
};

/** A host name, with a port or without, or a network. */
const host: Kind<string> = {
	expected: 'a host name, with or without ":PORT", or a network such as "10.1.0.0/16"',
	read(value, at) {
		if (typeof value !== 'string') {
			throw new Fault(host.expected, shown(value));
		}
		const [, name = '', port = '1'] = /^([\w.-]{1,253}|\[[\da-fA-F:.]+\])(?::(\d{1,5}))?$/.exec(value) ?? [];
		const bare = name.replace(/^\[|\]$/g, '');
		const isName = /^(?=.*[a-z])(?![-.])[\w.-]+$/i.test(name);
		if ((isName || isIP(bare) !== 0) && Number(port) >= 1 && Number(port) <= 65_535) {
			return value.toLowerCase();
		}
		if (value !== 'unix' && isNetwork(value, at)) {
			return value.toLowerCase();
		}
		throw new Fault(host.expected, shown(value), value.includes('//') ? 'only the host of the URL' : undefined);
	},
	write: value => value,
};

function isNetwork(value: string, at: Place): boolean {
	try {
		network.read(value, at);
		return true;
	} catch {
		return false;
	}
}

const nothing: Written = {};
const none: Written = [];

export const access: Kind<AccessConfig> = section({
	anonymous: field('anonymous', rights, ['read'], 'What everybody may without a login; [] for nothing.', [
		'guest',
		'everybody',
		'everyone',
		'public',
	]),
	networks: field(
		'networks',
		list(networkRights),
		[{cidrs: near, may: ['private']}],
		'What callers from some addresses may besides; all that match count. [] for none.',
		['network', 'allow', 'addresses'],
	),
	trustedProxies: field(
		'trustedProxies',
		list(network),
		none,
		'Proxies in front of us, as networks or "unix", that are believed about whom they ask for.',
		['proxies', 'trustProxy', 'trustedProxy', 'realIp'],
	),
	authKeys: field(
		'authKeys',
		byUser('an object with a list of SSH public keys for each user', list(sshKey)),
		nothing,
		'SSH public keys by user, beside those that "imgmirror user key" and the folder keys hold.',
		['keys', 'sshKeys'],
	),
	keyUsersMay: field('keyUsersMay', rights, ['publish'], 'What users may of whom nothing but keys is known.', [
		'keyRights',
	]),
	users: field(
		'users',
		byUser('an object with a hash for each user', configuredUser),
		nothing,
		'Users of older servers: a hash each, bcrypt or scrypt, or an object with password and may. "imgmirror user" keeps its own.',
		['user', 'userdb', 'accounts', 'auth'],
	),
	fetchFrom: field(
		'fetchFrom',
		list(host),
		none,
		'Private hosts or networks that clients may have us fetch images and files from, besides the configured sources.',
		['allowFetch', 'importFrom', 'hosts'],
	),
});
