import test from 'ava';
import fc from 'fast-check';
import {readConfig, showConfig} from '../../src/config.js';
import {makeKey} from '../access/signing.js';
import {configFile, configOf, faultsOf} from './config-file.js';

const bcryptHash = '$2y$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy';

test('by default everybody reads, those who are near see private images, and nobody writes', t => {
	const {access, mode, channels, publish, http} = readConfig({env: {}});
	t.deepEqual(access, {
		anonymous: ['read'],
		networks: [
			{
				cidrs: [
					...['127.0.0.0/8', '::1', '10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '169.254.0.0/16'],
					...['fc00::/7', 'fe80::/10', 'unix'],
				],
				may: ['private'],
			},
		],
		trustedProxies: [],
		authKeys: {},
		keyUsersMay: ['publish'],
		users: {},
		fetchFrom: [],
	});
	t.is(mode, 'any');
	t.deepEqual(channels, []);
	t.deepEqual(publish, {maxFileBytes: 20 * 1024 ** 3, resumableForMs: 7 * 86_400_000, dropFolder: undefined});
	t.is(http.uploadIdleTimeoutMs, 5 * 60_000);
});

test('every key reaches its place', async t => {
	const [key, other] = [makeKey('ed25519').line, makeKey('rsa').line];
	const config = await configOf(
		t,
		{
			access: {
				anonymous: [],
				networks: {cidrs: '10.0.0.0/8', may: 'publish'},
				trustedProxies: ['unix', '::1', '192.0.2.0/24'],
				authKeys: {'// alice': 'hers', alice: [key, ` ${other} `], 'bob@x.org': key},
				keyUsersMay: ['operate'],
				users: {
					old: bcryptHash,
					other: {password: bcryptHash, may: ['operate', 'read']},
					constructor: {password: bcryptHash},
				},
				fetchFrom: ['Images.lan', 'images.lan:8080', '10.1.2.3', '10.0.0.0/8', 'fd00::/8', '[fd00::1]:80', 'fd00::1'],
			},
			mode: 'private',
			channels: [
				{name: 'experimental', description: 'fresh'},
				{name: 'dev', description: 'tried', default: true},
				{name: 'a_b-1', description: 'ü', default: false},
			],
			publish: {maxFileSize: '1 TB', resumableFor: '1h', dropFolder: 'drop'},
			http: {uploadIdleTimeout: 'never'},
		},
		{directory: '/tmp'},
	);
	t.deepEqual(config.access, {
		anonymous: [],
		networks: [{cidrs: ['10.0.0.0/8'], may: ['publish']}],
		trustedProxies: ['unix', '::1', '192.0.2.0/24'],
		authKeys: {alice: [key, other], 'bob@x.org': [key]},
		keyUsersMay: ['operate'],
		users: {
			old: {password: bcryptHash, may: ['publish']},
			other: {password: bcryptHash, may: ['operate', 'read']},
			constructor: {password: bcryptHash, may: ['publish']},
		},
		fetchFrom: ['images.lan', 'images.lan:8080', '10.1.2.3', '10.0.0.0/8', 'fd00::/8', '[fd00::1]:80', 'fd00::1'],
	});
	t.is(config.mode, 'private');
	t.deepEqual(config.channels, [
		{name: 'experimental', description: 'fresh'},
		{name: 'dev', description: 'tried', default: true},
		{name: 'a_b-1', description: 'ü'},
	]);
	t.deepEqual(config.publish, {maxFileBytes: 1e12, resumableForMs: 3_600_000, dropFolder: '/tmp/drop'});
	t.is(config.http.uploadIdleTimeoutMs, 0);
});

test('all faults are found at once, and no hash or key is shown', async t => {
	const faults = await faultsOf(t, {
		access: {
			anonymous: ['raed'],
			networks: [{cidrs: ['10.0.0.0/33', 'localhost', '10.0.0.0/255.0.0.0', '*']}, {may: ['read']}, 'x'],
			trustedProxies: ['10.0.0'],
			authKeys: {'a:b': [], carl: ['ssh-rsa AAAA', 'geheim'], dora: 5},
			users: {emil: 'geheim', fritz: {may: []}, 'g h': bcryptHash, ida: {password: 'geheim'}},
			fetchFrom: ['http://images.lan', 'a b', 'a:99999', '-x', 7],
			keys: {},
		},
		mode: 'dc',
		channels: [
			{name: 'Dev', description: 'x'},
			{name: 'a'},
			{name: 'b', description: 'x', default: true},
			{name: 'b', description: 'y', default: true},
		],
		publish: {maxFileSize: 0, resumableFor: '1s', drop: '/x'},
	});
	const paths = faults.map(fault => fault.replace(/ \(line \d+\)/, '').split(': ')[0]);
	t.deepEqual(
		paths.sort(),
		[
			'access.anonymous[0]',
			'access.authKeys.carl[0]',
			'access.authKeys.carl[1]',
			'access.authKeys.dora',
			'access.authKeys["a:b"]',
			...[0, 1, 2, 3, 4].map(index => `access.fetchFrom[${index}]`),
			'access.keys',
			...[0, 1, 2, 3].map(index => `access.networks[0].cidrs[${index}]`),
			'access.networks[0].may',
			'access.networks[1].cidrs',
			'access.networks[2]',
			'access.trustedProxies[0]',
			'access.users.emil',
			'access.users.fritz',
			'access.users.ida',
			'access.users["g h"]',
			'channels[0].name',
			'channels[1].description',
			'channels[3]',
			'channels[3]',
			'mode',
			'publish.drop',
			'publish.maxFileSize',
			'publish.resumableFor',
		].sort(),
	);
	const all = faults.join('\n');
	t.false(all.includes('geheim'));
	t.regex(all, /anonymous\[0\].*did you mean "read"\?/);
	t.regex(all, /"imgmirror user add" takes a password itself/);
	t.regex(all, /did you mean "authKeys"\?/);
	t.regex(all, /did you mean "dropFolder"\?/);
	t.regex(all, /each channel once, got "b" again/);
	t.regex(all, /one default, got "b" as another/);
	t.regex(all, /host names are not looked up/);
});

test('a private key is refused with advice, and not shown', async t => {
	const [fault = ''] = await faultsOf(t, {access: {authKeys: {a: '-----BEGIN OPENSSH PRIVATE KEY-----\nsecret'}}});
	t.regex(fault, /take the file that ends in \.pub/);
	t.false(fault.includes('secret'));
});

test('hashes are masked where the configuration is shown', async t => {
	const file = await configFile(t, {access: {users: {old: bcryptHash}, fetchFrom: 'x.lan'}});
	const shown = JSON.stringify(showConfig({file, env: {}}));
	t.false(shown.includes(bcryptHash));
	t.true(shown.includes('"users":{"old":{"password":"********","may":["publish"]}}'));
	t.true(shown.includes('"fetchFrom":["x.lan"]'));
});

test('what is shown is read as the same', async t => {
	const content = {
		access: {authKeys: {a: makeKey('ecdsa').line}, networks: []},
		channels: [{name: 'dev', description: 'd', default: true}],
		mode: 'public',
	};
	const file = await configFile(t, content);
	const again = await configOf(t, showConfig({file, env: {}}));
	t.deepEqual({...again, file: ''}, {...readConfig({file, env: {}}), file: ''});
});

test('keys of older servers are found at the right place', async t => {
	const faults = await faultsOf(t, {authKeys: {}, users: {}, trustedProxies: []});
	t.regex(faults.join('\n'), /"access\.authKeys".*\n.*"access\.users".*\n.*"access\.trustedProxies"/);
});

test('whatever stands in access, reading it gives a configuration or faults', async t => {
	const network = fc.oneof(
		fc.ipV4(),
		fc.ipV6(),
		fc.string(),
		fc.constant('unix'),
		fc.tuple(fc.ipV4(), fc.nat(40)).map(([a, b]) => `${a}/${b}`),
	);
	const anything = fc.record(
		{
			networks: fc.anything(),
			trustedProxies: fc.array(network),
			authKeys: fc.dictionary(fc.string(), fc.array(fc.string())),
			fetchFrom: fc.array(network),
		},
		{requiredKeys: []},
	);
	await fc.assert(
		fc.asyncProperty(anything, async access => {
			const faults = await faultsOf(t, JSON.stringify({access}));
			t.true(
				faults.every(fault => fault.startsWith('access') || /^line|expected each key/.test(fault)),
				faults.join('\n'),
			);
		}),
		{numRuns: 40},
	);
});
