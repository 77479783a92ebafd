import {isIP, isIPv4, isIPv6} from 'node:net';
import test from 'ava';
import fc from 'fast-check';
import {hopAddress, readForwarded} from '../../src/access/forwarded.js';
import {Networks, neighbourhood, plainAddress} from '../../src/access/networks.js';
import {Origins} from '../../src/access/origin.js';
import {implied, noSettings, sorted} from './start-access.js';

test('one address has one form', t => {
	for (const [written, plain] of [
		['10.0.0.1', '10.0.0.1'],
		['::ffff:10.0.0.1', '10.0.0.1'],
		['::FFFF:0a00:0001', '10.0.0.1'],
		['FE80:0:0::1%eth0', 'fe80::1'],
		['2001:DB8:0:0:0:0:0:1', '2001:db8::1'],
		['10.0.0', undefined],
		['010.0.0.1', undefined],
		['localhost', undefined],
		['', undefined],
	] as const) {
		t.is(plainAddress(written), plain, written);
	}
});

test('neighbours share a /64', t => {
	t.is(neighbourhood('2001:db8:1:2:3:4:5:6'), '2001:db8:1:2');
	t.is(neighbourhood('2001:db8:1:2::1'), '2001:db8:1:2');
	t.is(neighbourhood('2001:db8::1'), '2001:db8:0:0');
	t.is(neighbourhood('::1'), '0:0:0:0');
	t.is(neighbourhood('10.1.2.3'), '10.1.2.3');
	t.is(neighbourhood('unix'), 'unix');
	fc.assert(
		fc.property(fc.ipV6(), fc.array(fc.nat(0xffff), {minLength: 4, maxLength: 4}), (address, tail) => {
			const one = plainAddress(address) ?? '';
			fc.pre(isIP(one) === 6);
			const other = plainAddress(`${neighbourhood(one)}:${tail.map(part => part.toString(16)).join(':')}`) ?? '';
			t.true(isIPv6(other));
			t.is(neighbourhood(other), neighbourhood(one));
		}),
	);
});

test('networks hold what is in them, whichever way they are written', t => {
	const networks = new Networks([
		'10.1.2.3/8',
		'192.0.2.7',
		'fd00::/8',
		'2001:db8::5',
		'::ffff:172.16.0.0/108',
		'unix',
	]);
	for (const address of ['10.9.9.9', '192.0.2.7', 'fd12::1', '2001:db8::5', '172.31.0.1', 'unix']) {
		t.true(networks.has(address), address);
	}
	for (const address of ['11.0.0.1', '192.0.2.8', 'fe80::1', '2001:db8::6', '172.32.0.1', 'control', '', 'unknown']) {
		t.false(networks.has(address), address);
	}
	t.false(new Networks([]).has('unix'));
	t.false(new Networks(['10.0.0.0/99', 'nonsense', '', '::ffff:1.2.3.4/3']).has('10.0.0.1'));
	t.true(new Networks(['0.0.0.0/0']).has('8.8.8.8'));
	t.false(new Networks(['0.0.0.0/0']).has('2001:db8::1'));
	t.true(new Networks(['::/0']).has('2001:db8::1'));
});

test('a hop is an address, with a port or without', t => {
	t.is(hopAddress('192.0.2.1'), '192.0.2.1');
	t.is(hopAddress('192.0.2.1:4711'), '192.0.2.1');
	t.is(hopAddress('192.0.2.1:_port'), '192.0.2.1');
	t.is(hopAddress('[2001:db8::1]:80'), '2001:db8::1');
	t.is(hopAddress('[2001:db8::1]'), '2001:db8::1');
	t.is(hopAddress('2001:db8::1'), '2001:db8::1');
	t.is(hopAddress('[::ffff:10.0.0.1]'), '10.0.0.1');
	for (const hop of ['', 'unknown', '_hidden', '[]', '[10.0.0.1]', '10.0.0.1:', '10.0.0.1, 10.0.0.2', 'localhost']) {
		t.is(hopAddress(hop), undefined, hop);
	}
});

test('Forwarded is read as its RFC writes it', t => {
	t.deepEqual(readForwarded('for=192.0.2.60;proto=http;by=203.0.113.43'), ['192.0.2.60']);
	t.deepEqual(readForwarded('For="[2001:db8:cafe::17]:4711"'), ['2001:db8:cafe::17']);
	t.deepEqual(readForwarded('for=192.0.2.43, for=198.51.100.17 ; proto=https,\tfor="_x"'), [
		'192.0.2.43',
		'198.51.100.17',
		undefined,
	]);
	t.deepEqual(readForwarded('proto=https'), [undefined]);
	t.deepEqual(readForwarded(String.raw`for="1\0.0.0.1"`), ['10.0.0.1']);
	t.deepEqual(readForwarded('for="a,b;c", for=10.0.0.1'), [undefined, '10.0.0.1']);
	t.deepEqual(readForwarded(''), [undefined]);
});

test('of a Forwarded that breaks the grammar, the last hop is unknown', t => {
	for (const header of [
		'for',
		'for=',
		'for=10.0.0.1 10.0.0.2',
		'for="10.0.0.1',
		'for=[::1]',
		'for=10.0.0.1,"',
		'a=b;;=',
	]) {
		t.is(readForwarded(header).at(-1), undefined, header);
	}
	fc.assert(
		fc.property(fc.string(), header => {
			t.true(readForwarded(header).every(hop => hop === undefined || isIP(hop) !== 0));
		}),
	);
});

test('every Forwarded that is written by the grammar is read', t => {
	const hop = fc.oneof(
		fc.ipV4().map(address => ({written: `for=${address}`, read: plainAddress(address)})),
		fc
			.ipV6()
			.map(address => ({written: `proto=https; FOR="[${address}]:1"`.replace('; ', ';'), read: plainAddress(address)})),
		fc.constant({written: 'for=unknown;host="a\\"b,c"', read: undefined}),
	);
	fc.assert(
		fc.property(fc.array(hop, {minLength: 1}), fc.constantFrom(',', ', ', ' ,\t'), (hops, comma) => {
			t.deepEqual(
				readForwarded(hops.map(({written}) => written).join(comma)),
				hops.map(({read}) => read),
			);
		}),
	);
});

test('a long Forwarded is read in no time', t => {
	for (const header of [
		`for=1.1.1.1,${' '.repeat(1e6)}"`,
		`for="${'\\'.repeat(1e6)}`,
		'a'.repeat(1e6),
		`${',;'.repeat(1e5)}"`,
	]) {
		t.is(readForwarded(header).at(-1), undefined);
	}
});

const tcp = (address: string): {kind: 'tcp'; address: string} => ({kind: 'tcp', address});
const unix = {kind: 'unix', address: undefined} as const;
const inside = implied('private');
const outside = implied('read');

test('without proxies, the network of the connection counts', t => {
	const origins = new Origins(noSettings);
	const of = (address: string): readonly string[] => sorted(origins.of(tcp(address), {}).rights);
	for (const address of ['127.0.0.1', '::1', '::ffff:10.0.0.9', 'fd00::1%net0']) {
		t.deepEqual(of(address), inside, address);
	}
	for (const address of ['8.8.8.8', '2001:db8::1', '::ffff:8.8.8.8']) {
		t.deepEqual(of(address), outside, address);
	}
	t.is(origins.of(unix, {}).address, 'unix');
	t.deepEqual(sorted(origins.of(unix, {}).rights), inside);
	t.is(origins.of(tcp('::ffff:8.8.8.8'), {}).address, '8.8.8.8');
	t.is(origins.of({kind: 'tcp', address: undefined}, {}).address, 'unknown');
});

test('rights of all networks that match add up', t => {
	const origins = new Origins({
		anonymous: [],
		networks: [
			{cidrs: ['10.0.0.0/8'], may: ['read']},
			{cidrs: ['10.1.0.0/16'], may: ['publish']},
		],
		trustedProxies: [],
	});
	t.deepEqual(sorted(origins.of(tcp('10.1.0.1'), {}).rights), implied('publish'));
	t.deepEqual(sorted(origins.of(tcp('10.2.0.1'), {}).rights), ['read']);
	t.deepEqual(sorted(origins.of(tcp('11.2.0.1'), {}).rights), []);
});

for (const header of ['x-forwarded-for', 'forwarded', 'x-real-ip']) {
	test(`whoever sends ${header} and is no proxy of ours counts as outside`, t => {
		const origins = new Origins({...noSettings, trustedProxies: ['192.0.2.1']});
		for (const value of ['10.0.0.1', 'for=10.0.0.1', '127.0.0.1', '']) {
			const origin = origins.of(tcp('127.0.0.1'), {[header]: value});
			t.deepEqual(sorted(origin.rights), outside);
			t.is(origin.address, '127.0.0.1');
		}
		t.deepEqual(sorted(origins.of(unix, {[header]: '10.0.0.1'}).rights), outside);
	});
}

const proxied = new Origins({...noSettings, trustedProxies: ['127.0.0.1', '192.0.2.0/24', 'unix']});

test('a trusted proxy is believed, from the right', t => {
	for (const [value, address, rights] of [
		['203.0.113.9', '203.0.113.9', outside],
		['10.0.0.1', '10.0.0.1', inside],
		['10.0.0.1, 203.0.113.9', '203.0.113.9', outside],
		// A neighbour that forwards for somebody is a proxy that nobody told us of.
		['203.0.113.9, 10.0.0.1', '10.0.0.1', outside],
		['10.0.0.2, 10.0.0.1', '10.0.0.1', outside],
		['unknown, 10.0.0.1', '10.0.0.1', outside],
		['10.0.0.1,192.0.2.7,192.0.2.8', '10.0.0.1', inside],
		['10.0.0.1, 203.0.113.9, 192.0.2.7', '203.0.113.9', outside],
		['203.0.113.9, 10.0.0.1 ,192.0.2.7,192.0.2.8', '10.0.0.1', outside],
		['192.0.2.7', '192.0.2.7', outside],
		['127.0.0.1, 192.0.2.7', '127.0.0.1', inside],
	] as const) {
		const origin = proxied.of(tcp('127.0.0.1'), {'x-forwarded-for': value});
		t.is(origin.address, address, value);
		t.deepEqual(sorted(origin.rights), rights, value);
		t.deepEqual(proxied.of(unix, {'x-forwarded-for': value}), origin);
	}
	t.is(proxied.of(tcp('127.0.0.1'), {forwarded: 'for=1.1.1.1, for="[fd00::1]:1"'}).address, 'fd00::1');
	t.is(proxied.of(tcp('127.0.0.1'), {'x-real-ip': '1.1.1.1'}).address, '1.1.1.1');
	t.deepEqual(sorted(proxied.of(tcp('127.0.0.1'), {}).rights), inside);
});

test('what a proxy does not know is outside', t => {
	for (const value of ['', 'unknown', '10.0.0.1, unknown', '10.0.0.1,', 'unknown, 192.0.2.7']) {
		t.deepEqual(proxied.of(tcp('127.0.0.1'), {'x-forwarded-for': value}), {
			address: '127.0.0.1',
			rights: new Set(['read']),
		} as never);
	}
});

test('a second header that a client made up wins nothing', t => {
	for (const headers of [
		{'x-forwarded-for': '203.0.113.9', forwarded: 'for=10.0.0.1'},
		{'x-forwarded-for': '10.0.0.1', forwarded: 'for=203.0.113.9'},
		{'x-real-ip': '203.0.113.9', 'x-forwarded-for': '10.0.0.1'},
		{'x-real-ip': '10.0.0.1', forwarded: 'for=203.0.113.9'},
	]) {
		t.deepEqual(sorted(proxied.of(tcp('127.0.0.1'), headers).rights), outside);
	}
	const agreed = {'x-real-ip': '10.0.0.1', 'x-forwarded-for': '10.0.0.1, 192.0.2.7', forwarded: 'for=10.0.0.1'};
	t.deepEqual(sorted(proxied.of(tcp('127.0.0.1'), agreed).rights), inside);
	const behind = {...agreed, 'x-forwarded-for': '1.1.1.1, 10.0.0.1'};
	t.deepEqual(sorted(proxied.of(tcp('127.0.0.1'), behind).rights), outside);
});

test('whatever a client writes in front, the address that a trusted proxy adds is what counts', t => {
	fc.assert(
		fc.property(
			fc.string().filter(text => !/[\r\n]/.test(text)),
			fc.ipV4(),
			(made, client) => {
				fc.pre(isIPv4(client) && !new Networks(['127.0.0.1', '192.0.2.0/24']).has(client));
				const {address} = proxied.of(tcp('192.0.2.3'), {'x-forwarded-for': `${made}, ${client}`});
				t.is(address, client);
			},
		),
	);
});
