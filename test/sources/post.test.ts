import {once} from 'node:events';
import {createServer, request as httpRequest} from 'node:http';
import type {AddressInfo} from 'node:net';
import test, {type ExecutionContext} from 'ava';
import {SourceUnavailableError} from '../../src/errors.js';
import {Poster} from '../../src/sources/post.js';
import {deadUrl} from '../helpers/start-upstream.js';
import {testHost} from '../helpers/test-host.js';
import {noProxies} from './make-source.js';

function makePoster(
	t: ExecutionContext,
	environment = noProxies as ConstructorParameters<typeof Poster>[0]['environment'],
) {
	const poster = new Poster({host: testHost(), userAgent: 'imgmirror/test', instanceId: 'me', environment});
	t.teardown(() => poster.close());
	return poster;
}

async function startServer(
	t: ExecutionContext,
	status = 204,
	headers: Readonly<Record<string, string>> = {},
): Promise<{readonly url: string; readonly seen: string[]}> {
	const seen: string[] = [];
	const server = createServer((incoming, outgoing) => {
		const chunks: Buffer[] = [];
		incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
		incoming.on('end', () => {
			const {method = '', url = '', headers: got} = incoming;
			seen.push(`${method} ${url} ${got.authorization ?? '-'} ${Buffer.concat(chunks).toString()}`);
			outgoing.writeHead(status, headers).end('some words');
		});
	});
	server.listen(0, '127.0.0.1');
	await once(server, 'listening');
	t.teardown(() => {
		server.closeAllConnections();
		server.close();
	});
	return {url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, seen};
}

const request = (url: string, body = '{}') => ({
	url,
	headers: {'content-type': 'application/json'},
	body,
	timeoutMs: 10_000,
	signal: new AbortController().signal,
});

test('what is posted arrives, with the login that is in the URL', async t => {
	const server = await startServer(t, 200, {'retry-after': '7'});
	const poster = makePoster(t);
	const withLogin = `${server.url.replace('//', '//me:secret@')}/a/b/?c=d#e`;
	t.deepEqual(await poster.post(request(withLogin, 'grüße')), {status: 200, retryAfterMs: 7000});
	await poster.post(request(withLogin, 'again'));
	await poster.post(request(`${server.url}/x`));
	const login = `Basic ${Buffer.from('me:secret').toString('base64')}`;
	t.deepEqual(server.seen, [`POST /a/b/?c=d ${login} grüße`, `POST /a/b/?c=d ${login} again`, 'POST /x - {}']);
});

test('whatever is answered is the answer', async t => {
	const poster = makePoster(t);
	const other = await startServer(t);
	for (const status of [201, 302, 307, 404, 410, 429, 500]) {
		const server = await startServer(t, status, {location: other.url});
		t.deepEqual(await poster.post(request(server.url)), {status, retryAfterMs: undefined});
		t.is(server.seen.length, 1);
	}
	t.deepEqual(other.seen, []);
});

test('where nobody answers, the problem says who, and none of the secrets in the URL', async t => {
	const dead = await deadUrl(t);
	const url = `${dead.replace('//', '//me:hush@')}/hush/path?token=hush`;
	const error = await t.throwsAsync(makePoster(t).post(request(url)), {instanceOf: SourceUnavailableError});
	t.true(error.message.includes(dead));
	t.regex(error.problem, /refused the connection/);
	t.false(error.message.includes('hush'));
});

test('it ends with its signal', async t => {
	const server = createServer();
	server.listen(0, '127.0.0.1');
	await once(server, 'listening');
	t.teardown(() => {
		server.closeAllConnections();
		server.close();
	});
	const stop = new AbortController();
	const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
	const posting = makePoster(t).post({...request(url), signal: stop.signal});
	await once(server, 'request');
	stop.abort(new Error('enough'));
	await t.throwsAsync(posting, {message: 'enough'});
});

test('the proxy of the environment is used, but not for what is exempt from it', async t => {
	const server = await startServer(t);
	const asked: string[] = [];
	const proxy = createServer((incoming, outgoing) => {
		asked.push(`${incoming.method ?? ''} ${incoming.url ?? ''}`);
		const {method, headers} = incoming;
		incoming.pipe(
			httpRequest(incoming.url ?? '', {method, headers}, answer => {
				outgoing.writeHead(answer.statusCode ?? 502);
				answer.pipe(outgoing);
			}),
		);
	});
	proxy.listen(0, '127.0.0.1');
	await once(proxy, 'listening');
	t.teardown(() => {
		proxy.closeAllConnections();
		proxy.close();
	});
	const httpProxy = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
	t.is((await makePoster(t, {...noProxies, httpProxy}).post(request(`${server.url}/x`))).status, 204);
	await makePoster(t, {...noProxies, httpProxy, noProxy: '127.0.0.1'}).post(request(`${server.url}/y`));
	t.deepEqual(asked, [`POST ${server.url}/x`]);
	t.is(server.seen.length, 2);
});
