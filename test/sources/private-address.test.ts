import type {LookupAddress} from 'node:dns';
import type {LookupFunction} from 'node:net';
import test from 'ava';
import {isPrivateAddress, publicLookup, PrivateAddressError} from '../../src/sources/private-address.js';

test('private addresses are known in all their writings', t => {
	const all = [
		...['0.0.0.0', '10.255.0.1', '100.64.0.1', '127.0.0.1', '127.255.255.254', '169.254.169.254', '172.16.0.1'],
		...['172.31.255.255', '192.0.0.8', '192.168.1.1', '198.18.0.1', '224.0.0.1', '240.0.0.1', '255.255.255.255'],
		...['::', '::1', '::127.0.0.1', '::ffff:127.0.0.1', '::ffff:7f00:1', '[::1]', 'fc00::1', 'fdff::1', 'fe80::1'],
		...[
			'fe80::1%eth0',
			'fec0::1',
			'ff02::1',
			'64:ff9b::10.0.0.1',
			'64:ff9b::a00:1',
			'2002:7f00:1::',
			'2001::1',
			'::ffff:0:7f00:1',
			'3fff::1',
		],
	];
	t.deepEqual(
		all.filter(address => !isPrivateAddress(address)),
		[],
	);
});

test('public addresses and names are not private', t => {
	const all = [
		...['8.8.8.8', '172.32.0.1', '100.128.0.1', '192.169.0.1', '198.20.0.1', '2606:4700::1', '[2a00::1]'],
		...['64:ff9b::8.8.8.8', '::ffff:8.8.8.8', 'localhost', 'example.com', ''],
	];
	t.deepEqual(all.filter(isPrivateAddress), []);
});

const resolving =
	(answer: Error | string | readonly LookupAddress[]): LookupFunction =>
	(_hostname, _options, callback) => {
		if (answer instanceof Error) {
			callback(answer, '');
		} else {
			callback(null, typeof answer === 'string' ? answer : [...answer]);
		}
	};

function look(lookup: LookupFunction, all: boolean): Promise<unknown> {
	return new Promise((resolve, reject) => {
		lookup('example.com', {all}, (error, address, family) => {
			if (error) {
				reject(error);
			} else {
				resolve(all ? address : [address, family]);
			}
		});
	});
}

test('a lookup gives public addresses only', async t => {
	const both = [
		{address: '10.0.0.1', family: 4},
		{address: '8.8.8.8', family: 4},
		{address: 'fd00::1', family: 6},
	];
	t.deepEqual(await look(publicLookup(resolving(both)), true), [{address: '8.8.8.8', family: 4}]);
	t.deepEqual(await look(publicLookup(resolving(both)), false), ['8.8.8.8', 4]);
	t.deepEqual(await look(publicLookup(resolving('2606:4700::1')), false), ['2606:4700::1', 6]);
});

test('a lookup that finds none fails', async t => {
	await t.throwsAsync(look(publicLookup(resolving('127.0.0.1')), false), {instanceOf: PrivateAddressError});
	await t.throwsAsync(look(publicLookup(resolving([{address: '::1', family: 6}])), true), {
		instanceOf: PrivateAddressError,
	});
	const failed = new Error('no such name');
	await t.throwsAsync(look(publicLookup(resolving(failed)), true), {is: failed});
});

test('the system resolves where nobody else is named', async t => {
	await t.throwsAsync(
		new Promise((resolve, reject) => {
			publicLookup()('localhost', {}, (error, address) => (error ? reject(error) : resolve(address)));
		}),
		{instanceOf: PrivateAddressError},
	);
});
