import {generateKeyPairSync} from 'node:crypto';
import {writeFileSync} from 'node:fs';
import {join} from 'node:path';
import test from 'ava';
import type {SourceConfig} from '../../src/config.js';
import {testCertificates} from '../helpers/certificates.js';
import {tempDir, type Scope} from '../helpers/temp-dir.js';
import {configOf, faultsOf, type Around} from './config-file.js';

const url = 'https://images.example.com';

const sourcesOf = async (t: Scope, ...sources: unknown[]): Promise<readonly SourceConfig[]> =>
	(await configOf(t, {sources})).sources;

async function sourceOf(t: Scope, source: unknown, around: Around = {}): Promise<SourceConfig> {
	const {sources} = await configOf(t, {sources: [source]}, around);
	const [only] = sources;
	if (only === undefined) {
		throw new Error('no source was read');
	}
	return only;
}

/** Of a configuration with one source that has these keys beside its URL. */
const faults = (t: Scope, keys: object, around: Around = {}): Promise<readonly string[]> =>
	faultsOf(t, {sources: [{url, ...keys}]}, around);

test('a URL alone is a source', async t => {
	t.like(await sourceOf(t, 'https://images.example.com:8443/some/path/'), {
		name: 'images.example.com',
		type: 'auto',
		channel: undefined,
		auth: {kind: 'none'},
	});
	t.deepEqual((await sourceOf(t, 'https://images.example.com:8443/some/path/')).urls, [
		'https://images.example.com:8443/some/path',
	]);
});

test('every key of a source reaches its place', async t => {
	const {caFile, clientCertFile, clientKeyFile} = testCertificates;
	const source = await sourceOf(t, {
		name: 'lab',
		type: 'imgapi',
		url: ['http://10.0.0.1', 'http://10.0.0.2/'],
		channel: 'staging',
		include: {name: 'base-*', os: ['smartos', 'l{inux,x}']},
		exclude: {uuid: '0*', owner: ['930896af-bf8c-48d4-885c-6573a94b1853'], type: 'docker'},
		listTtl: '10m',
		imageTtl: '1h',
		missingTtl: 0,
		keepFor: 'always',
		connectTimeout: '1s',
		headerTimeout: '2s',
		idleTimeout: '3s',
		retries: 0,
		transfers: 2,
		bandwidth: '10 MB/s',
		proxy: 'http://proxy:3128/',
		caFile,
		certFile: clientCertFile,
		keyFile: clientKeyFile,
		insecure: true,
		auth: {user: 'me', password: ''},
		headers: {'//': 'why', 'X-Site': ' lab '},
		redirects: 'none',
		vanished: 'hide',
		hold: {published: '7d', seen: '1d', untilReleased: false},
	});
	t.deepEqual(source, {
		name: 'lab',
		type: 'imgapi',
		urls: ['http://10.0.0.1', 'http://10.0.0.2'],
		channel: 'staging',
		include: {name: ['base-*'], os: ['smartos', 'l{inux,x}'], type: [], owner: [], uuid: []},
		exclude: {name: [], os: [], type: ['docker'], owner: ['930896af-bf8c-48d4-885c-6573a94b1853'], uuid: ['0*']},
		listTtlMs: 600_000,
		imageTtlMs: 3_600_000,
		missingTtlMs: 0,
		keepForMs: 100 * 365 * 86_400_000,
		connectTimeoutMs: 1000,
		headerTimeoutMs: 2000,
		idleTimeoutMs: 3000,
		retries: 0,
		transfers: 2,
		bandwidth: 10_000_000,
		proxy: 'http://proxy:3128',
		caFile,
		certFile: clientCertFile,
		keyFile: clientKeyFile,
		insecure: true,
		auth: {kind: 'basic', user: 'me', password: ''},
		headers: {'X-Site': 'lab'},
		redirects: 'none',
		vanished: 'hide',
		hold: {publishedMs: 7 * 86_400_000, seenMs: 86_400_000, untilReleased: false},
	});
});

test('a single source needs no array', async t => {
	t.is((await configOf(t, {sources: url})).sources.length, 1);
	t.is((await configOf(t, {sources: {url}})).sources.length, 1);
});

test('the channel comes out of the URL, as imgadm writes it', async t => {
	const source = await sourceOf(t, `${url}/?channel=dev`);
	t.deepEqual([source.channel, source.urls], ['dev', [url]]);
	t.is((await sourceOf(t, {url: [`${url}?channel=dev`, 'http://b/?channel=dev'], channel: 'dev'})).channel, 'dev');
	t.is((await sourceOf(t, `${url}?channel=*`)).channel, '*');
});

test('the channel of the URL goes before that of the defaults', async t => {
	const {sources} = await configOf(t, {
		sourceDefaults: {channel: 'release'},
		sources: [`${url}?channel=dev`, 'http://b'],
	});
	t.deepEqual(
		sources.map(({channel}) => channel),
		['dev', 'release'],
	);
});

test('credentials in the URL become Basic ones and leave the URL', async t => {
	const source = await sourceOf(t, 'https://me:p%40ss%3Aword@images.example.com/');
	t.deepEqual(source.urls, [url]);
	t.deepEqual(source.auth, {kind: 'basic', user: 'me', password: 'p@ss:word'});
});

test('a URL that ends in /datasets is of a DSAPI server, unless a type says otherwise', async t => {
	const [plain, slash, typed, asked] = await sourcesOf(
		t,
		'http://a/datasets',
		'http://b/x/datasets/',
		{url: 'http://c/datasets', type: 'imgapi'},
		{url: 'http://d/datasets', type: 'auto'},
	);
	t.like(plain, {type: 'dsapi'});
	t.deepEqual(plain?.urls, ['http://a']);
	t.deepEqual(slash?.urls, ['http://b/x']);
	t.like(typed, {type: 'imgapi'});
	t.deepEqual(typed?.urls, ['http://c/datasets']);
	t.like(asked, {type: 'auto'});
	t.deepEqual(asked?.urls, ['http://d']);
});

test('a type among the defaults holds for URLs that end in /datasets, too', async t => {
	const {sources} = await configOf(t, {sourceDefaults: {type: 'imgapi'}, sources: ['http://a/datasets']});
	t.is(sources[0]?.type, 'imgapi');
});

test('sources without a name are called after their host, no two alike', async t => {
	const sources = await sourcesOf(
		t,
		'http://a.example.com',
		'https://a.example.com',
		'http://a.example.com:81',
		'http://a.example.com:81/x/y',
		'http://a.example.com:81/x/y',
		{name: 'B', url: 'http://x'},
		'http://b',
		'http://[fd00::1]:80/',
		'http://local',
	);
	const names = sources.map(({name}) => name);
	t.deepEqual(names.slice(0, 4), ['a.example.com', 'a.example.com-2', 'a.example.com-81', 'a.example.com-81-x-y']);
	t.is(new Set(names.map(name => name.toLowerCase())).size, sources.length);
	t.deepEqual(names.slice(5), ['B', 'b-2', 'fd00-1', 'local-2']);
});

test('two sources of one name are a fault, whatever the case', async t => {
	t.deepEqual(
		await faultsOf(t, {
			sources: [
				{name: 'lab', url},
				{name: 'x', url},
				{name: 'Lab', url},
				{name: 'local', url},
			],
		}),
		[
			'sources[2].name (line 1): expected a name of its own for each source, got "Lab", which is the name of sources[0]',
			'sources[3].name (line 1): expected a name of its own for each source, got "local", which is the name of the publish area',
		],
	);
});

test('defaults hold for every source that does not say otherwise, whole keys at a time', async t => {
	const {sources} = await configOf(t, {
		sourceDefaults: {
			retries: 9,
			headers: {'x-a': '1'},
			auth: {user: 'me', password: 'x'},
			caFile: testCertificates.caFile,
		},
		sources: [
			'http://a',
			{url: 'http://b', retries: 1, headers: {'x-b': '2'}, auth: null, caFile: null},
			'http://you:y@c',
		],
	});
	t.deepEqual(
		sources.map(({retries, headers, auth, caFile}) => [
			retries,
			headers,
			auth.kind === 'basic' ? auth.user : '',
			caFile,
		]),
		[
			[9, {'x-a': '1'}, 'me', testCertificates.caFile],
			[1, {'x-b': '2'}, '', undefined],
			[9, {'x-a': '1'}, 'you', testCertificates.caFile],
		],
	);
});

test('the built-in source follows the defaults, too', async t => {
	const {sources} = await configOf(t, {sourceDefaults: {listTtl: '1h'}});
	t.deepEqual(
		sources.map(({name, listTtlMs}) => [name, listTtlMs]),
		[['smartos', 3_600_000]],
	);
});

test('a password can come from a file or a variable', async t => {
	const directory = await tempDir(t);
	writeFileSync(join(directory, 'pw'), 'secret word\n');
	t.deepEqual((await sourceOf(t, {url, auth: {user: 'me', passwordFile: 'pw'}}, {directory})).auth, {
		kind: 'basic',
		user: 'me',
		password: 'secret word',
		from: {passwordFile: join(directory, 'pw')},
	});
	t.deepEqual((await sourceOf(t, {url, auth: {user: 'me', passwordEnv: 'LAB_PW'}}, {env: {LAB_PW: 'x'}})).auth, {
		kind: 'basic',
		user: 'me',
		password: 'x',
		from: {passwordEnv: 'LAB_PW'},
	});
});

const pem = {type: 'pkcs8', format: 'pem'} as const;

test('an HTTP Signature needs a name and an RSA key that can be read', async t => {
	const directory = await tempDir(t);
	const write = (name: string, text: string): void => writeFileSync(join(directory, name), text);
	write('rsa.pem', generateKeyPairSync('rsa', {modulusLength: 2048}).privateKey.export(pem).toString());
	write('ec.pem', generateKeyPairSync('ed25519').privateKey.export(pem).toString());
	write(
		'locked.pem',
		generateKeyPairSync('rsa', {modulusLength: 2048})
			.privateKey.export({...pem, cipher: 'aes-256-cbc', passphrase: 'x'})
			.toString(),
	);
	write('openssh', '-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n');
	const keyFile = join(directory, 'rsa.pem');

	t.deepEqual((await sourceOf(t, {url, auth: {keyId: 'me', keyFile}})).auth, {
		kind: 'signature',
		keyId: 'me',
		keyFile,
		algorithm: 'rsa-sha256',
	});
	t.like(await sourceOf(t, {url, auth: {keyId: 'me', keyFile, algorithm: 'rsa-sha1'}}), {
		auth: {algorithm: 'rsa-sha1'},
	});
	const [ec] = await faults(t, {auth: {keyId: 'me', keyFile: 'ec.pem'}}, {directory});
	t.regex(ec ?? '', /it is a key of type ed25519$/);
	const [locked] = await faults(t, {auth: {keyId: 'me', keyFile: 'locked.pem'}}, {directory});
	t.regex(locked ?? '', /it is encrypted/);
	const [openssh] = await faults(t, {auth: {keyId: 'me', keyFile: 'openssh'}}, {directory});
	t.regex(openssh ?? '', /ssh-keygen -p -m PEM/);
});

test('what is there and wrong is not told of as missing, too', async t => {
	const directory = await tempDir(t);
	const locked = generateKeyPairSync('ed25519').privateKey.export({...pem, cipher: 'aes-256-cbc', passphrase: 'x'});
	writeFileSync(join(directory, 'locked.pem'), locked);
	const pair = {certFile: testCertificates.clientCertFile, keyFile: 'locked.pem'};
	const encrypted = /keyFile \(line 1\): .*it is encrypted/;
	const content: readonly (readonly [content: object, fault: RegExp])[] = [
		[{sources: [{url, ...pair}]}, encrypted],
		[{sourceDefaults: pair, sources: [url, {url: 'http://b', certFile: testCertificates.clientCertFile}]}, encrypted],
		[{listen: [{address: '127.0.0.1:1', tls: pair}]}, encrypted],
		[{sources: [{url, auth: {user: 'a:b', password: 'x'}}]}, /^sources\[0\]\.auth\.user /],
		[{sources: [{url, auth: {user: 'a', password: 5}}]}, /^sources\[0\]\.auth\.password /],
		[{sources: [{url, auth: {keyId: 'me', keyFile: 'locked.pem'}}]}, /^sources\[0\]\.auth\.keyFile .*it is encrypted/],
		[{prefetch: {rules: [{name: 'a b'}, {name: 'bases'}]}}, /^prefetch\.rules\[0\]\.name /],
		[
			{
				channels: [
					{name: 'a b', description: 'x'},
					{name: 'dev', description: 'y'},
				],
			},
			/^channels\[0\]\.name /,
		],
		[{sources: [{url, name: 'a b'}], prefetch: {rules: [{name: 'r', sources: 'a'}]}}, /^sources\[0\]\.name /],
		[{listen: ['127.0.0.1:8080', {address: '127.0.0.1:x', mode: '0660'}]}, /^listen\[1\]\.address /],
	];
	for (const [written, fault] of content) {
		const found = await faultsOf(t, written, {directory});
		t.regex(found[0] ?? '', fault);
		t.is(found.length, 1, found.join('\n'));
	}
});

const refused: Readonly<Record<string, readonly [keys: object, fault: RegExp]>> = {
	'a URL without scheme': [{url: 'images.example.com/x'}, /did you mean "https:\/\/images\.example\.com\/x"\?$/],
	'another scheme': [{url: 'ftp://a'}, /expected an http or https URL.*got "ftp:\/\/a"$/],
	'a blank in the URL': [{url: 'http://a b'}, /expected an http or https URL/],
	'a URL with one slash': [{url: 'http:/a'}, /expected an http or https URL/],
	'a URL without host': [{url: 'http://'}, /expected an http or https URL/],
	'a fragment': [{url: 'http://a/#x'}, /without "#"$/],
	'another query': [{url: 'http://a/?limit=5'}, /nothing after "\?" but a channel/],
	'two channels in a URL': [{url: 'http://a/?channel=a&channel=b'}, /nothing after "\?" but a channel/],
	'no URL': [{url: []}, /got an empty array$/],
	'a number as URL': [{url: 5}, /got 5$/],
	'a broken % in the password': [{url: 'http://me:%zz@a'}, /\/\/\*{8}@a/],
	'one bad URL among good ones': [{url: ['http://a', 'b']}, /^sources\[0\]\.url\[1\] /],
	'URLs of two kinds': [{url: ['http://a', 'http://b/datasets']}, /URLs of one kind, or a type/],
	'two channels': [
		{url: 'http://a?channel=x', channel: 'y'},
		/one channel for all of a source, got "y" and "x"|"x" and "y"$/,
	],
	'two passwords': [{url: ['http://a:b@c', 'http://a:d@c']}, /the same user and password in all URLs/],
	'a password in the URL and beside it': [
		{url: 'http://a:b@c', auth: {user: 'a', password: 'b'}},
		/in the URL or in auth, got both$/,
	],
	'a name with a blank': [{name: 'a b'}, /a name of letters, digits/],
	'an empty name': [{name: ''}, /a name of letters, digits/],
	'an unknown type': [{type: 'imgap'}, /did you mean "imgapi"\?$/],
	'a channel with a slash': [{channel: 'a/b'}, /the name of a channel/],
	'a pattern that is not closed': [{include: {name: '[a-z'}}, /"\[" is not closed$/],
	'an alternative that is not closed': [{include: {name: ['x', '{a,b']}}, /include\.name\[1\].*"\{" is not closed$/],
	'an empty pattern': [{exclude: {os: ''}}, /expected a pattern/],
	'a UUID in upper case': [{include: {uuid: 'ABCD*'}}, /write it in lower case$/],
	'a UUID of other letters': [{include: {owner: 'joyent'}}, /a UUID or a pattern for one/],
	'a filter that is no object': [{include: 'base'}, /expected an object with name, os/],
	'a timeout of 0': [{connectTimeout: 0}, /at least 1ms$/],
	'a rate without "per second"': [{bandwidth: '10 MB'}, /write "10 MB\/s" or "10 Mbit\/s"$/],
	'a rate as a number': [{bandwidth: 1000}, /"1000" is no rate/],
	'a proxy without scheme': [{proxy: 'proxy:3128'}, /did you mean "https?:\/\/proxy:3128"\?$/],
	'a SOCKS proxy': [{proxy: 'socks5://proxy'}, /"env", "none" or the URL of an HTTP proxy/],
	'a proxy with a path': [{proxy: 'http://proxy/x'}, /with nothing after the port$/],
	'a CA file that is not there': [{caFile: 'none.pem'}, /a readable file with a certificate.*ENOENT/],
	'a client certificate without key': [{certFile: testCertificates.clientCertFile}, /keyFile.*as there is a certFile/],
	'a user without password': [{auth: {user: 'me'}}, /a password, passwordFile or passwordEnv with the user/],
	'a password without user': [{auth: {password: 'x'}}, /a user with the password/],
	'two places for a password': [
		{auth: {user: 'me', password: 'x', passwordEnv: 'Y'}},
		/one of password.*got password and passwordEnv$/,
	],
	'a user with a colon': [{auth: {user: 'a:b', password: 'x'}}, /a user name without ":"/],
	'a password with a line break': [
		{auth: {user: 'a', password: 'x\ny'}},
		/^[^\n]*expected a password.*got something else$/,
	],
	'a password that is a number': [{auth: {user: 'a', password: 5}}, /expected a password/],
	'a password file that is not there': [{auth: {user: 'a', passwordFile: '/none'}}, /auth\.passwordFile.*ENOENT/],
	'a password variable that is not set': [
		{auth: {user: 'a', passwordEnv: 'NONE'}},
		/a variable|environment variable that is set, got "NONE"$/,
	],
	'a key without keyId': [{auth: {keyFile: testCertificates.keyFile}}, /RSA|keyId/],
	'a keyId without key': [{auth: {keyId: 'me'}}, /keyId and keyFile, got only keyId$/],
	'a password and a key': [{auth: {user: 'a', password: 'b', keyId: 'c'}}, /a password or a key, got both$/],
	'auth as a string': [{auth: 'me:secret'}, /null, or an object with user and password/],
	'headers as an array': [{headers: []}, /an object of header names/],
	'a header name with a blank': [{headers: {'a b': 'x'}}, /headers\["a b"\].*the name of a header/],
	'a header of ours': [{headers: {Range: 'x'}}, /not the mirror's own business, got "Range"$/],
	'a header twice': [{headers: {'X-A': '1', 'x-a': '2'}}, /each header once, got "x-a" beside "X-A"$/],
	'a header that is a number': [{headers: {'x-a': 1}}, /a string without line breaks, in Latin-1, got a number$/],
	'a header with a line break': [{headers: {'x-a': 'secret\r\nx-b: 2'}}, /^[^\r\n]*got other characters$/],
	'Authorization beside credentials': [
		{auth: {user: 'a', password: 'b'}, headers: {authorization: 'x'}},
		/no Authorization header, as there are credentials/,
	],
};
for (const [what, [keys, fault]] of Object.entries(refused)) {
	test(`refused in a source: ${what}`, async t => {
		const found = await faults(t, keys);
		t.true(found.length >= 1);
		t.true(
			found.some(line => fault.test(line)),
			found.join('\n'),
		);
		t.false(
			found.some(line => /secret|p%|b@c/.test(line)),
			'a secret is shown',
		);
	});
}

test('an empty password file, and one with more in it, are faults', async t => {
	const directory = await tempDir(t);
	writeFileSync(join(directory, 'empty'), '\n');
	writeFileSync(join(directory, 'more'), 'a\nb\n');
	const [empty] = await faults(t, {auth: {user: 'a', passwordFile: 'empty'}}, {directory});
	t.regex(empty ?? '', /it is empty$/);
	const [more] = await faults(t, {auth: {user: 'a', passwordFile: 'more'}}, {directory});
	t.regex(more ?? '', /there is more in it$/);
});

test('a source that is neither a URL nor an object is a fault', async t => {
	t.deepEqual(await faultsOf(t, {sources: [5]}), [
		'sources[0] (line 1): expected a URL or an object with a url, got 5',
	]);
});
