import test from 'ava';
import {testHost} from '../helpers/test-host.js';
import {FakeAccess} from './fake-access.js';
import {ask, startFront, version} from './front.js';

test('metrics are for Prometheus and up to date', async t => {
	const {url, mirror, host} = await startFront(t);
	mirror.before.updateMetrics = () => host.metrics.storeBlobs.set(42);
	await ask(url, '/ping');
	await ask(url, '/nothing');
	const {status, headers, text} = await ask(url, '/metrics');
	t.is(status, 200);
	t.is(headers['content-type'], 'text/plain; version=0.0.4; charset=utf-8');
	t.regex(text, /^imgmirror_requests_total\{route="\/ping",method="GET",status="200"\} 1$/m);
	t.regex(text, /^imgmirror_requests_total\{route="none",method="GET",status="404"\} 1$/m);
	t.regex(text, /^imgmirror_store_blobs 42$/m);
	t.regex(text, /^imgmirror_client_bytes_total\{cache="hit"\} 0$/m);
	t.regex(text, /^imgmirror_connections 1$/m);
	t.regex(text, /^imgmirror_request_seconds_count\{route="\/ping"\} 1$/m);
});

test('alive is whoever answers; ready is whoever can serve', async t => {
	const {url, mirror} = await startFront(t);
	t.deepEqual((await ask(url, '/healthz')).json, {status: 'alive'});
	const ready = await ask(url, '/readyz');
	t.is(ready.status, 200);
	t.deepEqual(ready.json, {status: 'ready', problems: []});
	mirror.ready = {ready: true, problems: ['one source is down'], warnings: []};
	t.deepEqual((await ask(url, '/readyz')).json, {status: 'ready', problems: ['one source is down']});
	mirror.ready = {ready: false, problems: ['no list yet'], warnings: []};
	const not = await ask(url, '/readyz');
	t.is(not.status, 503);
	t.deepEqual(not.json, {status: 'not ready', problems: ['no list yet']});
	t.is((await ask(url, '/healthz')).status, 200);
});

test('status is what the mirror says', async t => {
	const {url} = await startFront(t);
	const {status, headers, json} = await ask(url, '/status');
	t.is(status, 200);
	t.is(headers['content-type'], 'application/json');
	t.deepEqual(json, {sources: [{name: 'upstream', up: true}]});
});

test('status names images only to those who may see all of them', async t => {
	const {url} = await startFront(t, {access: new FakeAccess({}, {network: ['read']})});
	t.like((await ask(url, '/status')).json, {namesImages: false});
});

test('probes and scrapers are for debugging only in the log, requests are information', async t => {
	const {url, host, mirror} = await startFront(t);
	mirror.ready = {ready: false, problems: ['x'], warnings: []};
	for (const [path, level] of [
		['/healthz', 20],
		['/readyz', 20],
		['/metrics', 20],
		['/favicon.ico', 20],
		['/status', 30],
		['/ping', 30],
		['/images?name=x', 30],
		['/nothing', 30],
	] as const) {
		const {status, headers} = await ask(url, path, {headers: {'user-agent': 'imgadm/3.9.5'}});
		const id = String(headers['x-request-id']);
		const lines = host.linesLike({requestId: id});
		t.is(lines.length, 1, path);
		t.like(lines[0], {
			level,
			msg: 'request',
			method: 'GET',
			url: path,
			status,
			bytes: Number(headers['content-length'] ?? 0),
			ms: 0,
			remote: '127.0.0.1',
			userAgent: 'imgadm/3.9.5',
		});
	}
});

test('long URLs and agents are shortened in the log', async t => {
	const {url, host} = await startFront(t);
	await ask(url, `/images?name=${'x'.repeat(5000)}`, {
		headers: {'user-agent': 'y'.repeat(1000), 'x-request-id': 'long'},
	});
	const line = await host.logged({requestId: 'long'});
	t.is(String(line['url']).length, 2049);
	t.is(String(line['userAgent']).length, 257);
});

test('the time an answer takes is told and counted', async t => {
	const host = testHost();
	const {url, mirror} = await startFront(t, {host});
	mirror.before.list = () => host.clock.advance(1234);
	const {headers} = await ask(url, '/images', {headers: {'x-request-id': 'slow'}});
	t.is(headers['x-response-time'], '1234');
	t.is((await host.logged({requestId: 'slow'}))['ms'], 1234);
	const {text} = await ask(url, '/metrics');
	t.true(text.includes('imgmirror_request_seconds_bucket{le="2",route="/images"} 1'));
	t.true(text.includes('imgmirror_request_seconds_bucket{le="0.5",route="/images"} 0'));
});

test('people are led to a page that needs nothing from anywhere', async t => {
	const {url} = await startFront(t);
	for (const [path, location] of [
		['/', 'docs/'],
		['/docs', 'docs/'],
	] as const) {
		const {status, headers, body} = await ask(url, path);
		t.is(status, 301);
		t.is(headers.location, location);
		t.is(headers['content-length'], '0');
		t.is(body.length, 0);
	}
	const {status, headers, text} = await ask(url, '/docs/');
	t.is(status, 200);
	t.is(headers['content-type'], 'text/html; charset=utf-8');
	t.regex(String(headers['content-security-policy']), /^default-src 'none'; style-src 'sha256-[A-Za-z0-9+/]{43}='/);
	t.is(headers['x-content-type-options'], 'nosniff');
	t.false(/<script|src=|href="(?:https?:)?\/|@import|url\(/.test(text));
	t.true(text.includes(version));
	for (const endpoint of ['GET /images', 'GET /datasets/:id/:path', 'GET /metrics']) {
		t.true(text.includes(endpoint));
	}
	const icon = await ask(url, '/favicon.ico');
	t.is(icon.status, 204);
	t.is(icon.headers['content-length'], undefined);
});

test('programs that ask for JSON are told the endpoints', async t => {
	const {url} = await startFront(t);
	const {status, headers, json} = await ask(url, '/', {headers: {accept: 'application/json'}});
	t.is(status, 200);
	t.is(headers['content-type'], 'application/json');
	const {
		endpoints,
		version: told,
		cloud_name: cloud,
	} = json as {endpoints: string[]; version: string; cloud_name: string};
	t.true(endpoints.includes('GET /datasets'));
	t.is(told, version);
	t.is(cloud, 'sdc');
	t.is(headers.vary, 'Accept');
	const other = await ask(url, '/', {headers: {accept: '*/*'}});
	t.is(other.status, 301);
	t.is(other.headers.vary, 'Accept');
});
