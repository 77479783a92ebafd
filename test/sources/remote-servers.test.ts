import {readFileSync} from 'node:fs';
import type {LookupAddress} from 'node:dns';
import type {LookupFunction} from 'node:net';
import test, {type ExecutionContext} from 'ava';
import {InvalidParameterError, SourceUnavailableError} from '../../src/errors.js';
import {ClientNamedServers, type ConfiguredSource} from '../../src/sources/remote-servers.js';
import {hurriedClock} from '../helpers/hurried-clock.js';
import {testCertificates} from '../helpers/certificates.js';
import {makeImage} from '../helpers/make-image.js';
import {sameBytes} from '../helpers/same-bytes.js';
import {deadUrl, startUpstream, type Upstream} from '../helpers/start-upstream.js';
import {testHost} from '../helpers/test-host.js';
import {ask, noProxies, openTestSource, readBody, sourceSettings, uuidOf} from './make-source.js';

/** Answers in turn; the last one stays. Keeps the names it was asked for. */
function resolving(...answers: readonly (readonly string[])[]): LookupFunction & {readonly asked: string[]} {
	const asked: string[] = [];
	const lookup: LookupFunction = (hostname, options, callback) => {
		const now = answers[Math.min(asked.length, answers.length - 1)] ?? [];
		asked.push(hostname);
		const found: LookupAddress[] = now.map(address => ({address, family: address.includes(':') ? 6 : 4}));
		if (options.all === true) {
			callback(null, found);
		} else {
			callback(null, found[0]?.address ?? '', found[0]?.family);
		}
	};
	return Object.assign(lookup, {asked});
}

function servers(
	options: {
		readonly allow?: readonly string[];
		readonly configured?: readonly ConfiguredSource[];
		readonly lookup?: LookupFunction;
		readonly environment?: typeof noProxies | {httpProxy: string; httpsProxy: string; noProxy: undefined};
	} = {},
): ClientNamedServers {
	return new ClientNamedServers({
		host: testHost({clock: hurriedClock}),
		userAgent: 'imgmirror/0.0.0-test',
		instanceId: 'mirror-under-test',
		environment: options.environment ?? noProxies,
		settings: {allow: options.allow ?? []},
		configured: () => options.configured ?? [],
		ca: readFileSync(testCertificates.caFile, 'utf8'),
		...(options.lookup === undefined ? {} : {lookup: options.lookup}),
	});
}

function configure(t: ExecutionContext, url: string, more: {name?: string; user?: string} = {}): ConfiguredSource {
	const {name = 'joyent', user} = more;
	const settings = {
		...sourceSettings,
		name,
		urls: [url],
		...(user === undefined ? {} : {auth: {kind: 'basic', user, password: 'secret'} as const}),
	};
	return {settings, source: openTestSource(t, url, settings)};
}

const hostOf = (upstream: Upstream): string => `127.0.0.1:${upstream.port}`;

test('a server that a client names is asked for manifests, files and icons', async t => {
	const image = makeImage({icon: Buffer.from('icon')});
	const upstream = await startUpstream(t, {images: [image], basePath: '/base'});
	const source = servers({allow: ['127.0.0.1']}).open(`${upstream.url}/`);
	t.teardown(() => source.close());
	t.is(source.name, upstream.url);
	const manifest = await source.find(uuidOf(image), ask());
	t.is(manifest?.uuid, uuidOf(image));
	if (manifest !== undefined) {
		sameBytes(t, await readBody(await source.openFile(manifest, 0, {offset: 0}, ask())), image.bytes);
		sameBytes(t, (await source.readIcon(manifest, ask()))?.bytes, image.icon);
	}
	t.is(await source.find(uuidOf(makeImage()), ask()), undefined);
});

test('a DSAPI server can be named as well', async t => {
	const image = makeImage();
	const upstream = await startUpstream(t, {kind: 'dsapi', images: [image]});
	const source = servers({allow: ['127.0.0.1']}).open(`${upstream.url}/datasets`);
	t.teardown(() => source.close());
	t.is((await source.find(uuidOf(image), ask()))?.uuid, uuidOf(image));
});

test('the channel in the URL goes out as a query with every request', async t => {
	const image = makeImage({extra: {channels: ['dev']}});
	const upstream = await startUpstream(t, {images: [image], channels: ['dev', 'release'], defaultChannel: 'release'});
	const named = servers({allow: ['127.0.0.1']});
	const inDev = named.open(`${upstream.url}?channel=dev`);
	t.teardown(() => inDev.close());
	t.is((await inDev.find(uuidOf(image), ask()))?.uuid, uuidOf(image));
	const everywhere = named.open(`${upstream.url}/?channel=*`);
	t.teardown(() => everywhere.close());
	t.is((await everywhere.find(uuidOf(image), ask()))?.uuid, uuidOf(image));
	const byDefault = named.open(upstream.url);
	t.teardown(() => byDefault.close());
	t.is(await byDefault.find(uuidOf(image), ask()), undefined);
});

test('credentials in the URL are used and told to nobody', async t => {
	const image = makeImage();
	const upstream = await startUpstream(t, {images: [image], auth: {user: 'joe', password: 'pa:ss word'}});
	const named = servers({allow: ['127.0.0.1']});
	const source = named.open(upstream.url.replace('://', '://joe:pa%3Ass%20word@'));
	t.teardown(() => source.close());
	t.is((await source.find(uuidOf(image), ask()))?.uuid, uuidOf(image));
	t.false(source.name.includes('pa'));

	const wrong = named.open(upstream.url.replace('://', '://joe:geheim@'));
	t.teardown(() => wrong.close());
	const error = await t.throwsAsync(wrong.find(uuidOf(image), ask()), {instanceOf: SourceUnavailableError});
	t.regex(error.message, /401/);
	t.false(/geheim|Z2VoZWlt/.test(`${error.message}${error.stack ?? ''}`));
});

test('a configured source is taken by its name or by its URL, as configured', async t => {
	const image = makeImage();
	const upstream = await startUpstream(t, {images: [image], auth: {user: 'mirror', password: 'secret'}});
	const configured = configure(t, upstream.url, {user: 'mirror'});
	const named = servers({configured: [configured]});
	for (const source of ['joyent', upstream.url, `${upstream.url}/`, `${upstream.url}?channel=*`]) {
		const opened = named.open(source);
		t.is((await opened.find(uuidOf(image), ask()))?.uuid, uuidOf(image), source);
		t.is(opened.name, 'joyent');
		await opened.close();
	}
	t.is((await configured.source.find(uuidOf(image), ask()))?.uuid, uuidOf(image), 'it is still open');
});

test('clients with credentials of their own are not given ours', async t => {
	const image = makeImage();
	const upstream = await startUpstream(t, {images: [image], auth: {user: 'mirror', password: 'secret'}});
	const configured = configure(t, upstream.url, {user: 'mirror'});
	const source = servers({configured: [configured]}).open(upstream.url.replace('://', '://joe:guess@'));
	t.teardown(() => source.close());
	await t.throwsAsync(source.find(uuidOf(image), ask()), {instanceOf: SourceUnavailableError, message: /401/});
});

test('what is neither a URL nor a name is an invalid source', t => {
	const named = servers({allow: ['127.0.0.1']});
	for (const source of [
		'',
		'joyent',
		'ftp://example.com',
		'file:///etc/passwd',
		'http://',
		`http://x/${'x'.repeat(5000)}`,
	]) {
		const error = t.throws(() => named.open(source), {instanceOf: InvalidParameterError});
		t.deepEqual(
			error.errors.map(({field, code}) => ({field, code})),
			[{field: 'source', code: 'Invalid'}],
			source,
		);
	}
});

test('private addresses are refused in whatever form they are written', async t => {
	const named = servers();
	const all = [
		...[
			'127.0.0.1',
			'127.1',
			'2130706433',
			'0x7f.1',
			'0177.0.0.1',
			'[::1]',
			'[::ffff:127.0.0.1]',
			'0.0.0.0',
			'10.1.2.3',
		],
		...[
			'169.254.169.254',
			'192.168.0.1',
			'172.16.9.9',
			'[fd00::1]',
			'[fe80::1]',
			'localhost',
			'LOCALHOST.',
			'a.localhost',
		],
		...['127.0.0.1.', '%31%32%37.0.0.1', '１２７.0.0.1'],
	];
	for (const host of all) {
		t.throws(() => named.open(`http://${host}/`), {instanceOf: SourceUnavailableError, message: /fetchFrom/}, host);
		await t.throwsAsync(
			named.fetch(`https://${host}/file`, ask()),
			{instanceOf: SourceUnavailableError, message: /fetchFrom/},
			host,
		);
	}
});

test('a name that resolves to a private address is refused when the connection is made', async t => {
	const upstream = await startUpstream(t, {images: [makeImage()]});
	const lookup = resolving(['127.0.0.1']);
	const source = servers({lookup}).open(`http://images.example.com:${upstream.port}`);
	t.teardown(() => source.close());
	await t.throwsAsync(source.find(uuidOf(makeImage()), ask()), {
		instanceOf: SourceUnavailableError,
		message: /private address/,
	});
	t.is(upstream.requests.length, 0);
	t.is(upstream.connections, 0);
});

test('a name that changes its address after somebody looked gains nothing', async t => {
	const upstream = await startUpstream(t, {images: [makeImage()]});
	const lookup = resolving(['8.8.8.8'], ['127.0.0.1', '::1', '10.0.0.1'], ['127.0.0.1']);
	const named = servers({lookup});
	const source = named.open(`http://rebinding.example.com:${upstream.port}`);
	t.teardown(() => source.close());
	lookup('rebinding.example.com', {all: true}, (error, found) => {
		t.is(error, null);
		t.deepEqual(found, [{address: '8.8.8.8', family: 4}]);
	});
	for (let time = 0; time < 2; time++) {
		await t.throwsAsync(source.find(uuidOf(makeImage()), ask()), {message: /private address/});
	}
	const url = `https://rebinding.example.com:${upstream.port}/file`;
	await t.throwsAsync(named.fetch(url, ask()), {message: /private address/});
	t.true(lookup.asked.length > 3);
	t.is(upstream.connections, 0);
	t.is(upstream.requests.length, 0);
});

test('hosts are allowed by name, by name and port, by address and by network', async t => {
	const image = makeImage();
	const upstream = await startUpstream(t, {images: [image]});
	const other = await startUpstream(t, {images: [image]});
	const lookup = resolving(['127.0.0.1']);
	const tries: readonly (readonly [allow: string, host: string, works: boolean])[] = [
		['127.0.0.1', hostOf(upstream), true],
		['127.0.0.0/8', hostOf(upstream), true],
		['127.0.0.0/8', `images.example.com:${upstream.port}`, true],
		[hostOf(upstream), hostOf(upstream), true],
		[hostOf(upstream), hostOf(other), false],
		['Images.Example.COM', `images.example.com:${upstream.port}`, true],
		[`images.example.com:${upstream.port}`, `images.example.com:${upstream.port}`, true],
		[`images.example.com:${upstream.port}`, `images.example.com:${other.port}`, false],
		['images.example.com', `evil.example.com:${upstream.port}`, false],
		['images.example.com', `images.example.com.evil.org:${upstream.port}`, false],
		['10.0.0.0/8', hostOf(upstream), false],
		['127.0.0.0/99', hostOf(upstream), false],
		['nonsense/8', hostOf(upstream), false],
	];
	for (const [allow, host, works] of tries) {
		const attempt = async (): Promise<string | undefined> => {
			const source = servers({allow: [allow], lookup}).open(`http://${host}`);
			try {
				return (await source.find(uuidOf(image), ask()))?.uuid;
			} finally {
				await source.close();
			}
		};
		if (works) {
			t.is(await attempt(), uuidOf(image), `${allow} for ${host}`);
		} else {
			await t.throwsAsync(attempt(), {instanceOf: SourceUnavailableError}, `${allow} for ${host}`);
		}
	}
});

test('the host and port of a configured source are allowed, its other ports are not', async t => {
	const image = makeImage();
	const upstream = await startUpstream(t, {images: [image]});
	const other = await startUpstream(t, {images: [image]});
	const named = servers({configured: [configure(t, `${upstream.url}/base`)]});
	const source = named.open(upstream.url);
	t.teardown(() => source.close());
	t.is((await source.find(uuidOf(image), ask()))?.uuid, uuidOf(image));
	t.throws(() => named.open(other.url), {instanceOf: SourceUnavailableError});
});

test('what is allowed can change while running', async t => {
	const upstream = await startUpstream(t);
	const named = servers();
	t.throws(() => named.open(upstream.url), {instanceOf: SourceUnavailableError});
	named.setSettings({allow: ['127.0.0.1']});
	const source = named.open(upstream.url);
	t.is(await source.find(uuidOf(makeImage()), ask()), undefined);
	await source.close();
});

test('no redirect is followed, wherever it leads', async t => {
	const image = makeImage();
	const other = await startUpstream(t, {images: [image]});
	const upstream = await startUpstream(t, {images: [image], tls: true});
	upstream.misbehave('manifest', {redirect: `${other.url}/images/${image.uuid}`});
	upstream.misbehave('file', {redirect: `${other.url}/images/${image.uuid}/file`});
	const named = servers({allow: ['127.0.0.1']});
	const source = named.open(upstream.url);
	t.teardown(() => source.close());
	await t.throwsAsync(source.find(uuidOf(image), ask()), {instanceOf: SourceUnavailableError, message: /redirect/});
	await t.throwsAsync(named.fetch(`${upstream.url}/images/${image.uuid}/file`, ask()), {
		instanceOf: SourceUnavailableError,
		message: /redirect/,
	});
	t.is(other.requests.length, 0);
});

test('behind a proxy a name that is private for us is refused as well', async t => {
	const proxy = await startUpstream(t);
	const environment = {httpProxy: proxy.url, httpsProxy: proxy.url, noProxy: undefined};
	const named = servers({environment, lookup: resolving(['10.0.0.1'])});
	const source = named.open('http://images.example.com');
	t.teardown(() => source.close());
	await t.throwsAsync(source.find(uuidOf(makeImage()), ask()), {message: /fetchFrom/});
	await t.throwsAsync(named.fetch('https://images.example.com/file', ask()), {message: /fetchFrom/});
	t.is(proxy.requests.length, 0);
});

test('a server that is not there fails at once', async t => {
	const named = servers({allow: ['127.0.0.1']});
	const source = named.open(await deadUrl(t));
	t.teardown(() => source.close());
	await t.throwsAsync(source.find(uuidOf(makeImage()), ask()), {
		instanceOf: SourceUnavailableError,
		message: /refused the connection/,
	});
});

test('a file is had from an https URL', async t => {
	const upstream = await startUpstream(t, {tls: true, auth: {user: 'joe', password: 'secret'}});
	const bytes = makeImage({size: 300_000}).bytes;
	upstream.serve('/pub/image.zfs.gz', bytes);
	const named = servers({allow: ['127.0.0.1']});
	const body = await named.fetch(`${upstream.url}/pub/image.zfs.gz?signature=abc#top`, ask());
	t.is(body.size, bytes.length);
	t.is(body.offset, 0);
	sameBytes(t, await readBody(body), bytes);
	t.true(upstream.requests[0]?.url.includes('?signature=abc'));
	t.is(upstream.requests[0]?.headers.authorization, undefined);
	await readBody(await named.fetch(`${upstream.url.replace('://', '://joe:secret@')}/pub/image.zfs.gz`, ask()));
	t.is(upstream.requests[1]?.headers.authorization, `Basic ${Buffer.from('joe:secret').toString('base64')}`);
	t.false(upstream.requests[1]?.url.includes('joe') ?? true);
});

test('only https URLs are fetched', async t => {
	const named = servers({allow: ['127.0.0.1']});
	for (const url of ['', 'http://127.0.0.1/x', 'file:///etc/passwd', 'ftp://127.0.0.1/x', 'HTTPS', 'javascript:1']) {
		const error = await t.throwsAsync(named.fetch(url, ask()), {instanceOf: InvalidParameterError});
		t.deepEqual(
			error.errors.map(({field, code}) => ({field, code})),
			[{field: 'file_url', code: 'Invalid'}],
		);
	}
});

test('what a URL answers other than a file is a failure that keeps its query to itself', async t => {
	const upstream = await startUpstream(t, {tls: true});
	upstream.serve('/file', 'x');
	const named = servers({allow: ['127.0.0.1']});
	const url = `${upstream.url}/file?X-Signature=hush`;
	const misbehaviours = [
		{status: 404},
		{status: 403},
		{status: 500},
		{status: 206},
		{status: 204},
		{raw: 'nonsense\r\n\r\n'},
		{headers: {'Content-Type': 'text/html'}},
		{headers: {'Content-Encoding': 'br'}},
	];
	for (const how of misbehaviours) {
		upstream.misbehave('any', how, {times: 1});
		const error = await t.throwsAsync(
			named.fetch(url, ask()),
			{instanceOf: SourceUnavailableError},
			JSON.stringify(how),
		);
		t.false(error.message.includes('hush'), error.message);
	}
	upstream.misbehave('any', {contentLength: 5, cutAt: 1}, {times: 1});
	const cut = await named.fetch(url, ask());
	const error = await t.throwsAsync(readBody(cut), {instanceOf: SourceUnavailableError});
	t.false(error.message.includes('hush'), error.message);
});

test('a certificate that nobody vouches for is not believed', async t => {
	const upstream = await startUpstream(t, {tls: true});
	const named = new ClientNamedServers({
		host: testHost({clock: hurriedClock}),
		userAgent: 'x',
		instanceId: 'x',
		environment: noProxies,
		settings: {allow: ['127.0.0.1']},
		configured: () => [],
	});
	await t.throwsAsync(named.fetch(`${upstream.url}/file`, ask()), {instanceOf: SourceUnavailableError});
	t.is(upstream.requests.length, 0);
});
