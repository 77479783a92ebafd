import test from 'ava';
import {banner} from '../../src/cli/banner.js';
import {readConfig, type Flags} from '../../src/config.js';
import type {CliIo} from '../../src/cli/io.js';

type Interfaces = ReturnType<CliIo['networkInterfaces']>;

const v4 = (address: string, internal = false): NonNullable<Interfaces[string]>[number] => ({
	address,
	internal,
	family: 'IPv4',
	netmask: '255.255.255.0',
	mac: '00:00:00:00:00:00',
	cidr: null,
});
const v6 = (address: string): NonNullable<Interfaces[string]>[number] => ({...v4(address), family: 'IPv6', scopeid: 0});

const line = (
	addresses: readonly string[],
	flags: Flags = {sources: ['lab=http://10.0.0.5']},
	interfaces: Interfaces = {},
): string => banner({version: '0.1.0', addresses, config: readConfig({env: {}, flags}), interfaces});

test('it says where it listens, what it fronts, and what to type', t => {
	t.is(
		line(['http://127.0.0.1:8080'], {}),
		'imgmirror 0.1.0 listening on http://127.0.0.1:8080, fronting smartos (https://images.smartos.org); on each SmartOS machine: imgadm sources -a http://127.0.0.1:8080',
	);
});

test('several listeners and sources are all listed', t => {
	t.is(
		line(['http://127.0.0.1:80', 'https://10.0.0.1', 'unix:/run/s'], {sources: ['a=http://x', 'b=http://y']}),
		'imgmirror 0.1.0 listening on http://127.0.0.1:80, https://10.0.0.1 and unix:/run/s, fronting a (http://x) and b (http://y); on each SmartOS machine: imgadm sources -a https://10.0.0.1',
	);
});

test('an address that only this machine knows is not what others are told, if there is another', t => {
	t.regex(line(['http://localhost:80', 'http://[::1]:80', 'http://10.0.0.1:80']), /-a http:\/\/10\.0\.0\.1$/);
});

test('listening everywhere, it suggests the first address that others can reach', t => {
	const interfaces = {lo: [v4('127.0.0.1', true)], net0: [v6('fe80::1'), v6('fd00::2'), v4('10.1.2.3')]};
	t.regex(line(['http://0.0.0.0:8080'], {}, interfaces), / http:\/\/0\.0\.0\.0:8080, .*-a http:\/\/10\.1\.2\.3:8080$/);
	t.regex(line(['http://[::]:8080'], {}, interfaces), /-a http:\/\/10\.1\.2\.3:8080$/);
	t.regex(line(['https://[::]:8080'], {}, {net0: [v6('fd00::2')]}), /-a https:\/\/\[fd00::2\]:8080$/);
	t.regex(line(['http://0.0.0.0:8080'], {}, {none: undefined}), /-a http:\/\/127\.0\.0\.1:8080$/);
});

test('the public URL is what others are told', t => {
	t.regex(
		line(['http://0.0.0.0:8080'], {publicUrl: 'https://images.example.com'}),
		/-a https:\/\/images\.example\.com$/,
	);
});

test('the base path belongs to what others are told', t => {
	t.regex(
		line(['http://10.0.0.1:8080'], {basePath: '/m'}),
		/ http:\/\/10\.0\.0\.1:8080, .*-a http:\/\/10\.0\.0\.1:8080\/m$/,
	);
});

test('with unix sockets only, nobody can say what others should be told', t => {
	t.is(line(['unix:/run/s']), 'imgmirror 0.1.0 listening on unix:/run/s, fronting lab (http://10.0.0.5)');
	t.regex(line(['unix:/run/s'], {publicUrl: 'https://x'}), /-a https:\/\/x$/);
});

test('without sources it says so', t => {
	const config = {...readConfig({env: {}}), sources: []};
	t.regex(banner({version: '1', addresses: ['http://10.0.0.1:1'], config, interfaces: {}}), /, fronting no source; /);
});
