import {writeFileSync} from 'node:fs';
import {join} from 'node:path';
import test from 'ava';
import type {ListenConfig} from '../../src/config.js';
import {testCertificates} from '../helpers/certificates.js';
import {tempDir, type Scope} from '../helpers/temp-dir.js';
import {configOf, faultsOf} from './config-file.js';

const listening = async (t: Scope, listen: unknown): Promise<ListenConfig | undefined> =>
	(await configOf(t, {listen})).listen[0];

const understood: Readonly<Record<string, readonly [unknown, string, string | undefined, number | undefined]>> = {
	'a host name and a port': ['localhost:80', 'localhost:80', 'localhost', 80],
	'a domain name': ['images.example.com:8080', 'images.example.com:8080', 'images.example.com', 8080],
	'an IPv4 address': ['10.0.0.1:65535', '10.0.0.1:65535', '10.0.0.1', 65_535],
	'an IPv6 address': ['[fd00::1]:80', '[fd00::1]:80', 'fd00::1', 80],
	'every IPv6 address': ['[::]:0', '[::]:0', '::', 0],
	'a port in a string': ['8081', '127.0.0.1:8081', '127.0.0.1', 8081],
	'a port as a number': [8081, '127.0.0.1:8081', '127.0.0.1', 8081],
	'a unix socket': ['unix:/run/imgmirror.sock', 'unix:/run/imgmirror.sock', undefined, undefined],
};
for (const [what, [written, address, host, port]] of Object.entries(understood)) {
	test(`${what} is somewhere to listen`, async t => {
		t.like(await listening(t, written), {address, host, port});
		t.like(await listening(t, {address: written}), {address, host, port, mode: undefined, tls: undefined});
	});
}

const refused: Readonly<Record<string, readonly [unknown, RegExp]>> = {
	'a host without port': ['localhost', /the port is missing: write localhost:8080$/],
	'a port without host': [':8080', /write 0\.0\.0\.0:8080, or \[::\]:8080, to listen on every address$/],
	'a star': ['*:80', /write 0\.0\.0\.0:80/],
	'a URL': ['https://0.0.0.0:443/', /leave out what is before the host/],
	'IPv6 without brackets': ['fd00::1:80', /stands in brackets$/],
	'a bare path': ['/run/sock', /write unix:\/run\/sock for a socket$/],
	'no IPv6 address in brackets': ['[x]:80', /expected HOST:PORT/],
	'a wrong IPv4 address': ['256.0.0.1:80', /expected HOST:PORT/],
	'a port out of range': ['localhost:70000', /a port from 0 \(any that is free\) to 65535, got "localhost:70000"$/],
	'a negative port': [-1, /a port from 0/],
	'a broken port': [80.5, /a port from 0/],
	nothing: ['', /expected HOST:PORT.*got ""$/],
	'a boolean': [true, /got true$/],
	'a socket without path': ['unix:', /expected a path/],
	'a socket below ~': ['unix:~/sock', /only a shell knows "~"/],
	'a path that no socket can have': [`unix:/${'x'.repeat(107)}`, /a socket path of at most 107 bytes, got 108/],
	'an object without address': [{mode: '0660'}, /listen\.address .*got nothing$/],
	'permissions of a TCP listener': [{address: 80, mode: '0660'}, /listen\.mode .*null for a TCP address, got 0660$/],
	'permissions as a number': [
		{address: 'unix:/s', mode: 660},
		/permissions such as "0660", or null|permissions such as "0660", got 660; octal, as a string$/,
	],
	'permissions that are none': [{address: 'unix:/s', mode: '0999'}, /permissions such as "0660", got "0999"$/],
};
for (const [what, [written, fault]] of Object.entries(refused)) {
	test(`refused as somewhere to listen: ${what}`, async t => {
		const faults = await faultsOf(t, {listen: written});
		t.is(faults.length, 1, faults.join('\n'));
		t.regex(faults[0] ?? '', fault);
	});
}

test('the longest path that a socket can have is taken', async t => {
	t.is((await listening(t, `unix:/${'x'.repeat(106)}`))?.path?.length, 107);
});

test('the same address twice is a fault, any free port twice is not', async t => {
	t.deepEqual(await faultsOf(t, {listen: ['127.0.0.1:80', '80', 'localhost:0', 'localhost:0']}), [
		'listen[1] (line 1): expected each address once, got "127.0.0.1:80" again',
	]);
});

test('a socket can have permissions, and any listener TLS', async t => {
	t.is((await listening(t, {address: 'unix:/s', mode: '0660'}))?.mode, 0o660);
	t.is((await listening(t, {address: 'unix:/s', mode: '600'}))?.mode, 0o600);
	const {certFile, keyFile} = testCertificates;
	t.deepEqual((await listening(t, {address: 443, tls: {certFile, keyFile, minVersion: 'TLSv1.3'}}))?.tls, {
		certFile,
		keyFile,
		minVersion: 'TLSv1.3',
	});
	t.is((await listening(t, {address: 443, tls: null}))?.tls, undefined);
	t.is((await listening(t, {address: 443, tls: {certFile: null, keyFile: null}}))?.tls, undefined);
});

test('certificates and keys must be there, be what they should, and belong together', async t => {
	const {certFile, keyFile, clientKeyFile} = testCertificates;
	const directory = await tempDir(t);
	const empty = join(directory, 'empty.pem');
	writeFileSync(empty, '');
	const faults = (tls: object): Promise<readonly string[]> => faultsOf(t, {listen: {address: 443, tls}});
	t.regex(
		(await faults({certFile: '/none.pem', keyFile}))[0] ?? '',
		/^listen\.tls\.certFile .*got "\/none\.pem"; ENOENT: no such file or directory$/,
	);
	t.regex((await faults({certFile: empty, keyFile}))[0] ?? '', /there is no certificate in it$/);
	t.regex(
		(await faults({certFile, keyFile: empty}))[0] ?? '',
		/^listen\.tls\.keyFile .*there is no private key in it$/,
	);
	t.regex((await faults({certFile, keyFile: certFile}))[0] ?? '', /there is no private key in it$/);
	t.regex(
		(await faults({certFile}))[0] ?? '',
		/^listen\.tls\.keyFile .*expected a file, as there is a certFile, got nothing$/,
	);
	t.regex(
		(await faults({keyFile}))[0] ?? '',
		/^listen\.tls\.certFile .*expected a file, as there is a keyFile, got nothing$/,
	);
	t.regex(
		(await faults({certFile, keyFile: clientKeyFile}))[0] ?? '',
		/^listen\.tls .*a certificate and the key to it, got a key in .* that is not the one of/,
	);
	t.regex((await faults({certFile, keyFile, minVersion: 'TLSv1.1'}))[0] ?? '', /"TLSv1\.2" or "TLSv1\.3"/);
});
