import {once} from 'node:events';
import {createServer, request} from 'node:http';
import {connect, type AddressInfo} from 'node:net';
import test, {type ExecutionContext} from 'ava';
import {SourceUnavailableError} from '../../src/errors.js';
import {proxyFor} from '../../src/sources/proxy.js';
import {testCertificates} from '../helpers/certificates.js';
import {makeImage} from '../helpers/make-image.js';
import {sameBytes} from '../helpers/same-bytes.js';
import {deadUrl, startUpstream} from '../helpers/start-upstream.js';
import {ask, makeAddress, manifestOf, noProxies, openTestSource, readBody, readList} from './make-source.js';

interface Seen {
	readonly method: string;
	readonly url: string;
	readonly authorization: string | undefined;
}

/** An HTTP proxy as Squid is by default: CONNECT to TLS ports only, which here are those in `tlsPorts`. */
async function startProxy(
	t: ExecutionContext,
	tlsPorts: readonly number[] = [],
): Promise<{readonly url: string; readonly seen: Seen[]}> {
	const seen: Seen[] = [];
	const server = createServer((incoming, outgoing) => {
		const {method = '', url = '', headers} = incoming;
		seen.push({method, url, authorization: headers['proxy-authorization']});
		const forwarded = request(url, {method, headers}, answer => {
			outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
			answer.pipe(outgoing);
		});
		forwarded.on('error', () => outgoing.writeHead(502).end());
		forwarded.end();
	});
	server.on('connect', (incoming, socket) => {
		const {method = '', url = '', headers} = incoming;
		seen.push({method, url, authorization: headers['proxy-authorization']});
		const [host = '', port = ''] = url.split(':');
		socket.on('error', () => undefined);
		if (!tlsPorts.includes(Number(port))) {
			socket.end('HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n');
			return;
		}
		const far = connect(Number(port), host, () => {
			socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
			far.pipe(socket);
			socket.pipe(far);
		});
		far.on('error', () => socket.destroy());
		socket.on('close', () => far.destroy());
	});
	server.listen(0, '127.0.0.1');
	await once(server, 'listening');
	t.teardown(() => {
		server.closeAllConnections();
		server.close();
	});
	return {url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, seen};
}

test('what is http goes through a proxy as a plain request, never by CONNECT', async t => {
	const image = makeImage({size: 200_000});
	const upstream = await startUpstream(t, {images: [image], basePath: '/base'});
	const proxy = await startProxy(t);
	const source = openTestSource(t, upstream.url, {proxy: proxy.url.replace('//', '//me:secret@')});

	t.is((await readList(source)).images.length, 1);
	sameBytes(t, await readBody(await source.openFile(manifestOf(image), 0, {offset: 0}, ask())), image.bytes);

	const authorization = `Basic ${Buffer.from('me:secret').toString('base64')}`;
	t.deepEqual(proxy.seen, [
		{method: 'GET', url: `${upstream.url}/images`, authorization},
		{method: 'GET', url: `${upstream.url}/images/${image.uuid}/file`, authorization},
	]);
	t.is(upstream.requests[0]?.headers.host, `127.0.0.1:${upstream.port}`);
});

test('what is https goes through a proxy by CONNECT', async t => {
	const upstream = await startUpstream(t, {tls: true, images: [makeImage()]});
	const proxy = await startProxy(t, [upstream.port]);
	const source = openTestSource(t, upstream.url, {proxy: proxy.url, caFile: testCertificates.caFile});

	t.is((await readList(source)).images.length, 1);
	t.deepEqual(
		proxy.seen.map(({method, url}) => `${method} ${url}`),
		[`CONNECT 127.0.0.1:${upstream.port}`],
	);
});

test('a proxy that refuses, or is away, is a failure of the source', async t => {
	const upstream = await startUpstream(t, {tls: true});
	const proxy = await startProxy(t);

	for (const url of [proxy.url, await deadUrl(t)]) {
		await t.throwsAsync(readList(openTestSource(t, upstream.url, {proxy: url})), {instanceOf: SourceUnavailableError});
	}
	t.deepEqual(upstream.requests, []);
});

test('the proxies of the environment are used where the settings say so', async t => {
	const upstream = await startUpstream(t, {images: [makeImage()]});
	const proxy = await startProxy(t);
	const deps = {environment: {...noProxies, httpProxy: proxy.url}};

	await readList(openTestSource(t, upstream.url, {proxy: 'env', deps}));
	await readList(openTestSource(t, upstream.url, {deps}));
	const bypassed = {environment: {...deps.environment, noProxy: '127.0.0.1'}};
	await readList(openTestSource(t, upstream.url, {proxy: 'env', deps: bypassed}));

	t.is(proxy.seen.length, 1);
	t.is(upstream.requests.length, 3);
});

test('behind a proxy, too, redirects do not lead to private addresses', async t => {
	const upstream = await startUpstream(t);
	const proxy = await startProxy(t);
	upstream.misbehave('list', {redirect: 'http://inside.example.com/images'});
	const source = makeAddress(t, 'imgapi', upstream.url, {
		settings: {
			proxy: proxy.url,
			lookup: (_hostname, _options, callback) => callback(null, [{address: '10.0.0.7', family: 4}]),
		},
	});

	await t.throwsAsync(readList(source), {message: /private address/});
	t.is(proxy.seen.length, 1);
});

test('a name that only the proxy can resolve is left to it', async t => {
	const upstream = await startUpstream(t);
	const proxy = await startProxy(t);
	upstream.misbehave('list', {redirect: 'http://cdn.invalid/images'});
	const source = makeAddress(t, 'imgapi', upstream.url, {
		settings: {
			proxy: proxy.url,
			lookup: (_hostname, _options, callback) => callback(Object.assign(new Error('no'), {code: 'ENOTFOUND'}), ''),
		},
	});

	await t.throwsAsync(readList(source), {message: /cdn\.invalid\/images answered 502 Bad Gateway/});
	t.is(proxy.seen.length, 2);
});

const environment = (noProxy: string | undefined): Parameters<typeof proxyFor>[2] => ({
	httpProxy: 'plain.example.com:3128',
	httpsProxy: 'http://tls.example.com:3128',
	noProxy,
});

test('the proxy depends on the scheme of the target', t => {
	t.is(proxyFor(new URL('http://a/'), 'env', environment(undefined))?.href, 'http://plain.example.com:3128/');
	t.is(proxyFor(new URL('https://a/'), 'env', environment(''))?.href, 'http://tls.example.com:3128/');
	t.is(proxyFor(new URL('http://a/'), 'env', noProxies), undefined);
	t.is(proxyFor(new URL('http://a/'), undefined, environment(undefined)), undefined);
	t.is(proxyFor(new URL('http://a/'), 'http://own:1', environment('*'))?.href, 'http://own:1/');
});

for (const [noProxy, url, bypassed] of [
	['*', 'http://anything/', true],
	['', 'http://a.example.com/', false],
	['example.com', 'http://example.com/', true],
	['example.com', 'http://a.example.com/', true],
	['example.com', 'http://badexample.com/', false],
	['.example.com', 'http://a.b.example.com/', true],
	['*.Example.com', 'http://A.EXAMPLE.com/', true],
	['a, example.com\tb', 'http://example.com/', true],
	['example.com:8080', 'http://example.com:8080/', true],
	['example.com:8080', 'http://example.com/', false],
	['example.com:443', 'https://example.com/', true],
	['10.0.0.1', 'http://10.0.0.1/', true],
	['0.0.1', 'http://10.0.0.1/', false],
	['10.0.0.0/8', 'http://10.9.8.7/', true],
	['10.0.0.0/8', 'http://11.9.8.7/', false],
	['10.0.0.0/99', 'http://10.9.8.7/', false],
	['fd00::/8', 'http://[fd12::1]/', true],
	['fd00::/8', 'http://10.9.8.7/', false],
	['::1', 'http://[::1]/', true],
	['[::1]:8080', 'http://[::1]:8080/', true],
	['[::1]:8080', 'http://[::1]/', false],
] as const) {
	test(`no_proxy "${noProxy}" ${bypassed ? 'covers' : 'does not cover'} ${url}`, t => {
		t.is(proxyFor(new URL(url), 'env', environment(noProxy)) === undefined, bypassed);
	});
}
