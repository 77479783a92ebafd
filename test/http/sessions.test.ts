import {join} from 'node:path';
import test from 'ava';
import type {Right} from '../../src/access/caller.js';
import {makeImage} from '../helpers/make-image.js';
import {tempDir} from '../helpers/temp-dir.js';
import {basicLogin, FakeAccess} from './fake-access.js';
import {ask, startFront, version, type Answer} from './front.js';

const users: Readonly<Record<string, readonly Right[]>> = {reader: [], pub: ['publish'], op: ['operate']};
const page = {'x-imgmirror': 'page'};

async function logIn(url: string, user = 'op', path = '/session'): Promise<{answer: Answer; cookie: string}> {
	const answer = await ask(url, path, {
		method: 'POST',
		headers: {...page, 'content-type': 'application/json'},
		body: JSON.stringify({user, password: 'secret'}),
	});
	const [set = ''] = answer.headers['set-cookie'] ?? [];
	return {answer, cookie: set.split(';')[0] ?? ''};
}

test('a login gives a cookie that no script and no other site can use', async t => {
	const {url, host} = await startFront(t, {access: new FakeAccess(users, {network: ['read']})});
	t.deepEqual((await ask(url, '/session')).json, {
		...{rights: ['read'], credential: 'none', hasUsers: true, mode: 'any', channels: [], version},
	});
	const {answer, cookie} = await logIn(url);
	t.is(answer.status, 200);
	t.like(answer.json, {user: 'op', rights: ['read', 'private', 'publish', 'operate'], credential: 'session'});
	t.deepEqual(answer.headers['set-cookie'], [`${cookie}; Path=/; HttpOnly; SameSite=Strict`]);
	t.is(answer.headers['cache-control'], 'no-store');
	t.like((await ask(url, '/session', {headers: {cookie}})).json, {user: 'op', credential: 'session'});
	t.is((await ask(url, '/mirror/log', {headers: {cookie}})).status, 200);
	t.like(host.linesLike({msg: 'audit'})[0], {
		audit: {user: 'op', credential: 'session', action: 'log in', status: 200},
	});
	t.false(JSON.stringify(host.lines).includes('secret'));
});

test('where the page is decides where the cookie goes, and whether it needs TLS', async t => {
	for (const [basePath, publicUrl, origin, attributes] of [
		['', undefined, undefined, 'Path=/; HttpOnly; SameSite=Strict'],
		['/img', undefined, undefined, 'Path=/img; HttpOnly; SameSite=Strict'],
		['/img', 'https://pub.example/img', undefined, 'Path=/img; HttpOnly; SameSite=Strict; Secure'],
		['/img', 'http://pub.example/img/', undefined, 'Path=/img; HttpOnly; SameSite=Strict'],
		['/img', 'https://pub.example/other', undefined, 'Path=/; HttpOnly; SameSite=Strict; Secure'],
		['', 'https://pub.example', 'http://HOST', 'Path=/; HttpOnly; SameSite=Strict'],
		['', undefined, 'https://HOST', 'Path=/; HttpOnly; SameSite=Strict; Secure'],
	] as const) {
		const {url, port} = await startFront(t, {basePath, publicUrl, access: new FakeAccess(users)});
		const answer = await ask(url, `${basePath}/session`, {
			method: 'POST',
			headers: origin === undefined ? {} : {origin: origin.replace('HOST', `127.0.0.1:${port}`)},
			body: JSON.stringify({user: 'op', password: 'secret'}),
		});
		t.is(String(answer.headers['set-cookie']).replace(/^[^;]*; /, ''), attributes);
	}
});

test('a wrong login is told so, without the window that browsers have for it', async t => {
	const {url} = await startFront(t, {access: new FakeAccess(users, {network: ['read']})});
	const wrong = (body: string, headers: Record<string, string> = {}): Promise<Answer> =>
		ask(url, '/session', {method: 'POST', headers, body});
	for (const body of ['{"user": "op", "password": "wrong"}', '{"user": "op", "password": ""}', '{}', '']) {
		const answer = await wrong(body, page);
		t.is(answer.status, 401, body);
		t.is(answer.headers['www-authenticate'], 'Cookie realm="IMGAPI", cookie-name="imgmirror"');
		t.is(answer.headers['set-cookie'], undefined);
	}
	t.is((await wrong('{"user": "op", "password": 5}')).status, 422);
	t.is((await wrong('{"name": "op"}')).status, 422);
	t.is((await wrong(`{"user": "${'x'.repeat(20_000)}"}`)).status, 413);
	for (const headers of [page, {accept: 'text/event-stream'}, {'sec-fetch-dest': 'empty'}]) {
		t.regex(String((await ask(url, '/events', {headers})).headers['www-authenticate']), /^Cookie/);
	}
	t.is((await ask(url, '/mirror/images')).headers['www-authenticate'], 'Basic realm="IMGAPI"');
});

test('logging out ends the session, logging in again the one before', async t => {
	const access = new FakeAccess(users);
	const {url} = await startFront(t, {access});
	const {cookie} = await logIn(url);
	const {headers} = await ask(url, '/session', {
		method: 'POST',
		headers: {...page, cookie},
		body: JSON.stringify({user: 'pub', password: 'secret'}),
	});
	t.is(access.sessions.size, 1);
	const second = String(headers['set-cookie']).split(';')[0] ?? '';
	const out = await ask(url, '/session', {method: 'DELETE', headers: {...page, cookie: second}});
	t.is(out.status, 204);
	t.deepEqual(out.headers['set-cookie'], ['imgmirror=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0']);
	t.is(access.sessions.size, 0);
	t.is((await ask(url, '/session', {method: 'DELETE', headers: page})).status, 204);
});

test('a cookie that is worth nothing is no login, and no fault', async t => {
	const {url} = await startFront(t, {access: new FakeAccess(users, {network: ['read']})});
	for (const cookie of ['imgmirror=x', 'imgmirror=', 'other=1', 'imgmirror=word-of-op-0; imgmirror=y', ';;=']) {
		t.is((await ask(url, '/images', {headers: {cookie}})).status, 200);
		t.is((await ask(url, '/ping', {headers: {cookie}})).status, 200);
		t.like((await ask(url, '/session', {headers: {cookie}})).json, {credential: 'none', rights: ['read']});
		t.is((await ask(url, '/mirror/images', {headers: {cookie}})).status, 401);
	}
});

test('an Authorization header goes before the cookie', async t => {
	const {url} = await startFront(t, {access: new FakeAccess(users)});
	const {cookie} = await logIn(url);
	const as = (authorization: string): Promise<Answer> => ask(url, '/session', {headers: {cookie, authorization}});
	t.like((await as(basicLogin('pub'))).json, {user: 'pub', credential: 'password'});
	t.is((await as(basicLogin('op', 'wrong'))).status, 401);
});

test('a session shows images that are not public, and their files', async t => {
	const image = makeImage({public: false});
	const {url} = await startFront(t, {images: [image], access: new FakeAccess(users, {network: ['read']})});
	const {cookie} = await logIn(url, 'pub');
	for (const path of [`/images/${image.uuid}`, `/images/${image.uuid}/file`]) {
		t.is((await ask(url, path)).status, 404);
		t.is((await ask(url, path, {headers: {cookie}})).status, 200, path);
		// What other sites' pages make a browser ask for is no business of its user's login.
		for (const headers of [{'sec-fetch-site': 'cross-site'}, {'sec-fetch-site': 'same-site'}, {origin: 'http://x'}]) {
			t.is((await ask(url, path, {headers: {cookie, ...headers}})).status, 404, JSON.stringify(headers));
		}
	}
});

test('a session writes only for our own page', async t => {
	const {url, port, mirror, operate, host} = await startFront(t, {access: new FakeAccess(users)});
	const {cookie} = await logIn(url);
	const here = `127.0.0.1:${port}`;
	const allowed: readonly Record<string, string>[] = [
		page,
		{'sec-fetch-site': 'same-origin'},
		{'sec-fetch-site': 'same-origin', origin: 'https://proxy.example'},
		{origin: `http://${here}`},
		{origin: `https://${here}`},
		// A proxy that says another Host than the browser did: no other site's page can send the header.
		{...page, origin: 'http://proxy.example'},
	];
	const refused: readonly Record<string, string>[] = [
		{},
		{'sec-fetch-site': 'none'},
		{'sec-fetch-site': 'same-site'},
		{'sec-fetch-site': 'cross-site'},
		{'sec-fetch-site': 'cross-site', ...page},
		{'sec-fetch-site': 'cross-site', origin: `http://${here}`},
		{'sec-fetch-site': 'same-site', ...page, origin: `http://${here}`},
		{origin: 'http://other.example'},
		{origin: 'null'},
		{origin: `http://127.0.0.1:${port + 1}`},
		{'x-imgmirror': 'Page'},
		{referer: `http://${here}/ui/`},
	];
	const writes = [
		['POST', '/images'],
		['POST', '/mirror/refresh'],
		['POST', '/mirror/verify'],
		['POST', '/mirror/check'],
		['DELETE', '/session'],
	] as const;
	for (const headers of refused) {
		for (const [method, path] of writes) {
			const {status} = await ask(url, path, {method, headers: {cookie, ...headers}});
			t.is(status, 403, `${method} ${path} ${JSON.stringify(headers)}`);
		}
	}
	t.deepEqual([...mirror.publish.calls, ...operate.calls], []);
	for (const headers of allowed) {
		for (const [method, path] of writes.slice(0, -1)) {
			const {status} = await ask(url, path, {method, headers: {cookie, ...headers}});
			t.is(status, 200, `${method} ${path} ${JSON.stringify(headers)}`);
		}
	}
	t.like(host.linesLike({msg: 'audit'}).at(-1), {audit: {user: 'op', credential: 'session'}});
	// A login that no browser sends by itself needs none of that.
	t.is((await ask(url, '/mirror/refresh', {method: 'POST', headers: {authorization: basicLogin('op')}})).status, 200);
	// Nor do other sites log anybody in or out.
	for (const method of ['POST', 'DELETE']) {
		const body = JSON.stringify({user: 'op', password: 'secret'});
		t.is((await ask(url, '/session', {method, headers: {origin: 'http://other.example'}, body})).status, 403);
	}
	t.is((await ask(url, '/mirror/log', {headers: {cookie}})).status, 200);
});

test('no preflight lets another site’s page send our header', async t => {
	const {url} = await startFront(t);
	for (const path of ['/images', '/session', '/mirror/refresh', '/uploads']) {
		const {headers} = await ask(url, path, {
			method: 'OPTIONS',
			headers: {origin: 'http://other.example', 'access-control-request-headers': 'x-imgmirror'},
		});
		t.notRegex(String(headers['access-control-allow-headers']), /imgmirror/i);
		t.is(headers['access-control-allow-credentials'], undefined);
	}
});

test('the control socket may do everything, and says so', async t => {
	const path = join(await tempDir(t), 'control');
	const {front} = await startFront(t, {
		listen: [
			{address: `unix:${path}`, host: undefined, port: undefined, path, mode: 0o600, tls: undefined, control: true},
		],
		basePath: '/img',
	});
	t.deepEqual(front.addresses, []);
	t.like((await ask('', '/session', {socketPath: path})).json, {
		...{credential: 'control', rights: ['read', 'private', 'publish', 'operate'], hasUsers: false},
	});
	t.is((await ask('', '/mirror/verify', {socketPath: path, method: 'POST'})).status, 200);
	t.is((await ask('', '/mirror/log', {socketPath: path})).status, 200);
});
