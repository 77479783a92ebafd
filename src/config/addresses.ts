/**
 * Where to listen: `HOST:PORT`, `[V6]:PORT`, a port alone, `unix:PATH`; or an object with that and TLS.
 *
 * Certificates are read here once to find out whether they can be used; the server reads them again.
 */
import {isIPv4, isIPv6} from 'node:net';
import {certificateFile, checkPair, keyFile} from './files.js';
import {choice, optional, path, type Kind, type Written} from './kinds.js';
import {Fault, shown, type Place} from './place.js';
import {field, isObject, section} from './section.js';
import type {ListenConfig, TlsConfig} from './types.js';

const addressHelp = 'HOST:PORT, [IPV6]:PORT, a port or unix:PATH';

/** What fits into sockaddr_un on Linux and illumos, without the final NUL. */
const longestSocketPath = 107;

type Address = Pick<ListenConfig, 'address' | 'host' | 'port' | 'path'>;

const address: Kind<Address> = {
	expected: addressHelp,
	read(value, at) {
		if (typeof value === 'number') {
			return tcp('127.0.0.1', String(value), value);
		}
		if (typeof value !== 'string' || value === '') {
			throw new Fault(addressHelp, shown(value));
		}
		if (value.startsWith('unix:')) {
			return unix(value, at);
		}
		if (/^\d+$/.test(value)) {
			return tcp('127.0.0.1', value, value);
		}
		const v6 = /^\[([^\]]+)\]:(\d+)$/.exec(value);
		if (v6?.[1] !== undefined && v6[2] !== undefined && isIPv6(v6[1])) {
			return tcp(v6[1], v6[2], value);
		}
		const named = /^([^:]+):(\d+)$/.exec(value);
		if (named?.[1] !== undefined && named[2] !== undefined && isHostName(named[1])) {
			return tcp(named[1], named[2], value);
		}
		throw new Fault(addressHelp, shown(value), adviceFor(value));
	},
	write: value => value.address,
};

function tcp(host: string, digits: string, written: unknown): Address {
	const port = Number(digits);
	if (!Number.isInteger(port) || port < 0 || port > 65_535) {
		throw new Fault('a port from 0 (any that is free) to 65535', shown(written));
	}
	return {address: `${isIPv6(host) ? `[${host}]` : host}:${port}`, host, port, path: undefined};
}

function unix(value: string, at: Place): Address {
	const socket = path.read(value.slice('unix:'.length), at);
	const length = Buffer.byteLength(socket);
	if (length > longestSocketPath) {
		throw new Fault(`a socket path of at most ${longestSocketPath} bytes`, `${length}: ${shown(socket)}`);
	}
	return {address: `unix:${socket}`, host: undefined, port: undefined, path: socket};
}

function isHostName(host: string): boolean {
	return /^[\d.]+$/.test(host) ? isIPv4(host) : /^(?!-)[\w-]{1,63}(?:\.[\w-]{1,63})*\.?$/.test(host);
}

function adviceFor(value: string): string | undefined {
	const port = /:(\d+)\/?$/.exec(value)?.[1] ?? '8080';
	if (/^https?:\/\//i.test(value)) {
		return 'leave out what is before the host ("tls" makes it https)';
	}
	if (/^(?:\*|):\d+$/.test(value)) {
		return `write 0.0.0.0:${port}, or [::]:${port}, to listen on every address`;
	}
	if (/^[./~]/.test(value)) {
		return `write unix:${value} for a socket`;
	}
	if (isIPv6(value) || isIPv6(value.replace(/:\d+$/, ''))) {
		return 'an IPv6 address stands in brackets';
	}
	return isHostName(value) ? `the port is missing: write ${value}:8080` : undefined;
}

const tlsFields = {
	certFile: field(
		'certFile',
		optional(certificateFile),
		null,
		'Certificate, then its chain (PEM). Without it: no TLS.',
		['cert', 'certificate', 'crt'],
	),
	keyFile: field('keyFile', optional(keyFile), null, 'Its private key (PEM).', ['key', 'privateKey']),
	minVersion: field(
		'minVersion',
		choice(['TLSv1.2', 'TLSv1.3']),
		'TLSv1.2',
		'Oldest TLS version that is spoken. imgadm knows none newer than 1.2.',
	),
};
const tlsSection = section(tlsFields, 'an object with certFile and keyFile');

const tls: Kind<TlsConfig | undefined> = {
	...tlsSection,
	read(value, at) {
		const {certFile, keyFile: key, minVersion} = tlsSection.read(value, at);
		checkPair(certFile, key, at);
		return certFile === undefined || key === undefined ? undefined : {certFile, keyFile: key, minVersion};
	},
	write: (value, secrets) => (value === undefined ? null : tlsSection.write(value, secrets)),
	example: written => tlsSection.example(written),
};

const mode: Kind<number> = {
	expected: 'permissions such as "0660"',
	read(value) {
		if (typeof value !== 'string' || !/^0?[0-7]{3}$/.test(value)) {
			throw new Fault(mode.expected, shown(value), typeof value === 'number' ? 'octal, as a string' : undefined);
		}
		return Number.parseInt(value, 8);
	},
	write: value => value.toString(8).padStart(4, '0'),
};

const listenFields = {
	address: field('address', address, '127.0.0.1:8080', `${addressHelp}. A port alone is one of 127.0.0.1.`, [
		'host',
		'hostname',
		'port',
		'bind',
		'ip',
		'path',
		'socket',
		'unix',
		'url',
	]),
	mode: field('mode', optional(mode), null, 'Permissions of a unix socket; null: as umask says.', ['permissions']),
	tls: field('tls', optional(tls), null, 'Speak TLS here: certFile and keyFile.', ['ssl', 'https']),
};
const listenSection = section(listenFields);

export const listener: Kind<ListenConfig> = {
	expected: addressHelp,
	fields: listenFields,
	read(value, at) {
		if (!isObject(value)) {
			return {...address.read(value, at), mode: undefined, tls: undefined};
		}
		const {address: where, ...rest} = listenSection.read(value, at);
		if (!Object.hasOwn(value, 'address')) {
			at.child('address').report(new Fault(addressHelp, 'nothing'));
		} else if (rest.mode !== undefined && where.path === undefined && !at.child('address').isFaulty) {
			at.child('mode').report(new Fault('null for a TCP address', mode.write(rest.mode, 'plain') as string));
		}
		return {...where, ...rest};
	},
	write: (value, secrets) =>
		value.mode === undefined && value.tls === undefined
			? value.address
			: listenSection.write({address: value, mode: value.mode, tls: value.tls}, secrets),
	example: (written: Written) => listenSection.example(isObject(written) ? written : {address: written}),
};
