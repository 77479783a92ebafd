import {randomUUID} from 'node:crypto';
import {join} from 'node:path';
import test from 'ava';
import type {Right} from '../../src/access/caller.js';
import type {ListenOptions} from '../../src/http/server.js';
import {makeImage} from '../helpers/make-image.js';
import {sameBytes} from '../helpers/same-bytes.js';
import {tempDir} from '../helpers/temp-dir.js';
import {basicLogin, FakeAccess} from './fake-access.js';
import {ask, startFront, tcp} from './front.js';

const users: Readonly<Record<string, readonly Right[]>> = {
	reader: [],
	pub: ['publish'],
	op: ['operate'],
};
const login = (name: string): {authorization: string} => ({authorization: basicLogin(name)});
const wrong = {authorization: basicLogin('pub', 'wrong')};

function codeOf(answer: {readonly json: unknown}): string {
	return (answer.json as {code: string}).code;
}

test('a login shows in ping, and a wrong one is told so', async t => {
	const {url} = await startFront(t, {access: new FakeAccess(users)});
	t.like((await ask(url, '/ping', {headers: login('pub')})).json, {ping: 'pong', user: 'pub', pid: process.pid});
	t.like((await ask(url, '/ping', {headers: login('reader')})).json, {user: 'reader', pid: process.pid});
	t.deepEqual(Object.keys((await ask(url, '/ping')).json as object), ['ping', 'version', 'imgapi']);
	const {status, headers} = await ask(url, '/ping', {headers: wrong});
	t.is(status, 401);
	t.is(headers['www-authenticate'], 'Basic realm="IMGAPI"');
});

test('a network that may publish is authenticated without a name', async t => {
	const access = new FakeAccess({}, {network: ['publish']});
	const {url, mirror} = await startFront(t, {access});
	const {pid, user} = (await ask(url, '/ping')).json as {pid?: number; user?: string};
	t.is(pid, process.pid);
	t.is(user, undefined);
	t.is((await ask(url, '/images?inclAdminFields=true&state=all')).status, 200);
	t.is((await ask(url, '/images', {method: 'POST'})).status, 200);
	t.deepEqual(mirror.publish.calls[0]?.change.actor, {name: undefined, operator: false});
});

test('who may not is told so by 401 without a login and by 403 with one', async t => {
	const image = makeImage();
	const {url, mirror} = await startFront(t, {images: [image], access: new FakeAccess(users)});
	const at = `/images/${image.uuid}`;
	for (const [method, path, right] of [
		['POST', '/images', 'publish'],
		['POST', `${at}?action=activate`, 'publish'],
		['DELETE', at, 'publish'],
		['PUT', `${at}/file`, 'publish'],
		['GET', '/state', 'operate'],
		['POST', '/state?action=dropcaches', 'operate'],
		['POST', '/authkeys/reload', 'operate'],
		['POST', '/adopt', 'operate'],
	] as const) {
		const anonymous = await ask(url, path, {method});
		t.is(anonymous.status, 401, path);
		t.is(codeOf(anonymous), 'UnauthorizedError');
		const known = await ask(url, path, {method, headers: login(right === 'operate' ? 'pub' : 'reader')});
		t.is(known.status, 403, path);
		t.is(codeOf(known), 'NotAuthorizedError');
		t.is(known.headers['www-authenticate'], undefined);
		t.is((await ask(url, path, {method, headers: wrong})).status, 401, path);
	}
	t.is(mirror.publish.calls.length, 0);
});

test('before its login, nothing else of a write is looked at', async t => {
	const {url} = await startFront(t, {access: new FakeAccess(users)});
	for (const headers of [
		{'accept-version': '~99'},
		{accept: 'application/xml'},
		{'if-match': 'x'},
		{origin: 'http://other.example'},
	]) {
		t.is((await ask(url, '/images/nouuid?action=x&action=y', {method: 'POST', headers})).status, 401);
	}
	const ask1 = (headers: object, path = '/images'): Promise<number> =>
		ask(url, path, {method: 'POST', headers: {...login('pub'), ...headers}}).then(({status}) => status);
	t.is(await ask1({'accept-version': '~99'}), 400);
	t.is(await ask1({accept: 'application/xml'}), 406);
	t.is(await ask1({}, '/images/nouuid?action=activate'), 404);
	t.is(await ask1({}, `/images/${randomUUID().toUpperCase()}?action=activate`), 404);
	t.is(await ask1({}, '/images/..%2f..%2fetc?action=activate'), 404);
});

test('a page of another site writes nothing, whoever looks at it', async t => {
	const {url, port, mirror} = await startFront(t, {access: new FakeAccess(users, {network: ['publish']})});
	const status = async (headers: Record<string, string>): Promise<number> =>
		(await ask(url, '/images', {method: 'POST', headers})).status;
	for (const headers of [
		{origin: 'http://other.example'},
		{origin: 'null'},
		{origin: `http://127.0.0.1:${port + 1}`},
		{'sec-fetch-site': 'cross-site'},
		{'sec-fetch-site': 'same-site', origin: `http://127.0.0.1:${port}`},
		{...login('op'), origin: 'http://other.example'},
	]) {
		t.is(await status(headers), 403, JSON.stringify(headers));
	}
	t.is(mirror.publish.calls.length, 0);
	for (const headers of [
		{},
		{origin: `http://127.0.0.1:${port}`},
		{'sec-fetch-site': 'same-origin', origin: 'https://name.of.the.proxy'},
		{'sec-fetch-site': 'none'},
	]) {
		t.is(await status(headers), 200, JSON.stringify(headers));
	}
	t.is((await ask(url, '/images', {headers: {origin: 'http://other.example'}})).status, 200);
});

test('a page whose name was made to mean us writes nothing without a login', async t => {
	const {url, mirror} = await startFront(t, {access: new FakeAccess(users, {network: ['publish']})});
	const status = async (host: string, more: Record<string, string> = {}): Promise<number> =>
		(await ask(url, '/images', {method: 'POST', headers: {host, origin: `http://${host}`, ...more}})).status;
	t.is(await status('rebound.example'), 403);
	t.is(await status('rebound.example:8080'), 403);
	t.is(mirror.publish.calls.length, 0);
	t.is(await status('rebound.example:8080', login('pub')), 200);
	t.is(await status('[fd00::1]:8080'), 200);
	t.is(await status('localhost:8080'), 200);
});

test('a page of another site reads what strangers may, whoever looks at it', async t => {
	const image = makeImage({public: false});
	const {url} = await startFront(t, {images: [image], access: new FakeAccess(users)});
	const at = `/images/${image.uuid}`;
	const dataset = `/datasets/${image.uuid}`;
	for (const path of [at, `${at}/file`, dataset, `${dataset}/${image.path}`]) {
		t.is((await ask(url, path)).status, 200, path);
		t.is((await ask(url, path, {headers: {origin: 'http://other.example'}})).status, 404, path);
		t.is((await ask(url, path, {headers: {'sec-fetch-site': 'cross-site'}})).status, 404, path);
		t.is((await ask(url, path, {headers: {'sec-fetch-site': 'none'}})).status, 200, path);
	}
});

test('where reading is taken away, only ping, health and the way to the documentation are left', async t => {
	const image = makeImage({icon: Buffer.from('x')});
	const access = new FakeAccess({...users, reader: ['read']}, {network: []});
	const {url, mirror} = await startFront(t, {images: [image], access});
	const at = `/images/${image.uuid}`;
	const dataset = `/datasets/${image.uuid}`;
	for (const path of [
		'/images',
		at,
		`${at}/file`,
		`${at}/icon`,
		`${at}/jobs`,
		`/jobs/${randomUUID()}`,
		'/channels',
		'/datasets',
		dataset,
		`${dataset}/${image.path}`,
		`/assets/${image.path}`,
		'/status',
		'/metrics',
	]) {
		for (const headers of [{}, wrong]) {
			const answer = await ask(url, path, {headers});
			t.is(answer.status, 401, path);
			t.is(answer.headers['www-authenticate'], 'Basic realm="IMGAPI"');
			t.is((await ask(url, path, {method: 'HEAD', headers})).status, 401, path);
		}
		t.not((await ask(url, path, {headers: login('reader')})).status, 401, path);
	}
	t.is(mirror.calls.filter(({verb}) => verb === 'find').length, 7);
	for (const path of ['/ping', '/healthz', '/readyz', '/docs/']) {
		t.is((await ask(url, path)).status, 200, path);
	}
	t.is((await ask(url, '/nothing')).status, 404);
	t.is((await ask(url, '/images', {method: 'OPTIONS'})).status, 204);
	t.is((await ask(url, at.slice(0, -1))).status, 404);
});

test('a private image is not there for who may not see it, by any way', async t => {
	const hidden = makeImage({public: false, icon: Buffer.from('x')});
	const shown = makeImage();
	const access = new FakeAccess({...users, insider: ['private']}, {network: ['read']});
	const {url} = await startFront(t, {images: [hidden, shown], access});
	const paths = ({uuid, path}: typeof hidden): readonly string[] => [
		`/images/${uuid}`,
		`/images/${uuid}/file`,
		`/images/${uuid}/jobs`,
		`/images/${uuid}?account=${String(hidden.manifest['owner'])}`,
		`/datasets/${uuid}`,
		`/datasets/${uuid}/${path}`,
		`/datasets/sdc:sdc:${path.replace(/-1\.0\.0.*/, '')}:1.0.0`,
		`/assets/${path}`,
	];
	for (const [index, path] of [...paths(hidden), `/images/${hidden.uuid}/icon`].entries()) {
		for (const headers of [{}, login('reader')]) {
			const answer = await ask(url, path, {headers});
			t.is(answer.status, 404, path);
			t.is(codeOf(answer), 'ResourceNotFound');
		}
		for (const user of ['insider', 'pub', 'op']) {
			t.is((await ask(url, path, {headers: login(user)})).status, 200, `${path} for ${user}`);
		}
		t.is((await ask(url, paths(shown)[index] ?? '/ping')).status, 200, path);
	}
	// As for an image that nobody has, to the letter.
	const none = randomUUID();
	const [one, other] = [await ask(url, `/images/${hidden.uuid}`), await ask(url, `/images/${none}`)];
	t.is(one.text.replaceAll(hidden.uuid, none), other.text);
	t.is(one.headers['x-source'], undefined);
	t.is(one.headers['x-cache'], undefined);
	const count = async (path: string, headers = {}): Promise<number> =>
		((await ask(url, path, {headers})).json as unknown[]).length;
	for (const path of ['/images', '/datasets']) {
		t.is(await count(path), 1, path);
		t.is(await count(path, login('insider')), 2, path);
	}
});

test('a login that is right counts on files, too, and one that is wrong does no harm there', async t => {
	const image = makeImage({public: false});
	const access = new FakeAccess({insider: ['private']}, {network: ['read']});
	const {url} = await startFront(t, {images: [image], access});
	const at = `/images/${image.uuid}/file`;
	sameBytes(t, (await ask(url, at, {headers: login('insider')})).body, image.bytes);
	t.is((await ask(url, at, {headers: wrong})).status, 404);
	t.is((await ask(url, at)).status, 404);
	access.network = ['private'];
	t.is((await ask(url, at, {headers: wrong})).status, 200);
	access.asked.length = 0;
	t.is((await ask(url, at, {headers: login('insider')})).status, 200);
	t.is(access.asked.length, 1, 'where the network will do, no password is looked at');
});

test('access is told all of a request that a signature may cover, as it was sent', async t => {
	const access = new FakeAccess();
	const {url} = await startFront(t, {access, basePath: '/base'});
	await ask(url, '//base//images?name=%61&x', {headers: {date: 'today', 'x-forwarded-for': '1.2.3.4'}});
	t.like(access.asked[0], {
		method: 'GET',
		target: '//base//images?name=%61&x',
		httpVersion: '1.1',
		peer: {kind: 'tcp', address: '127.0.0.1'},
	});
	t.like(access.asked[0]?.headers, {date: 'today', 'x-forwarded-for': '1.2.3.4'});
});

test('the socket for control may do everything and is shown to nobody, any other socket is like a network', async t => {
	const directory = await tempDir(t);
	const socket = (name: string, control: boolean): ListenOptions => ({
		...tcp(),
		...{address: `unix:${join(directory, name)}`, host: undefined, port: undefined},
		path: join(directory, name),
		mode: 0o600,
		...(control ? {control} : {}),
	});
	const access = new FakeAccess(users);
	const image = makeImage();
	const listen = [tcp(), socket('plain', false), socket('control', true)];
	const {front, url, mirror, host} = await startFront(t, {images: [image], access, listen});
	t.is(front.addresses.length, 2);
	t.false(front.addresses.some(address => address.includes('control')));
	const post = (name: string, path: string, body?: string): ReturnType<typeof ask> =>
		ask(url, path, {
			method: 'POST',
			socketPath: join(directory, name),
			headers: {'content-type': 'application/json'},
			...(body === undefined ? {} : {body}),
		});
	t.is((await post('control', '/images', '{}')).status, 200);
	t.deepEqual(mirror.publish.calls[0]?.change.actor, {name: undefined, operator: true});
	t.deepEqual(access.asked.at(-1)?.peer, {kind: 'control', address: undefined});
	t.is((await post('plain', '/images', '{}')).status, 401);
	t.deepEqual(access.asked.at(-1)?.peer, {kind: 'unix', address: undefined});
	t.like((await host.logged(/"action":"create"/))['audit'], {credential: 'control', address: 'control', status: 200});

	mirror.publish.adoption = [
		{what: 'found', images: 1, bytes: 3},
		{what: 'image', uuid: image.uuid, name: 'n', version: 'v', bytes: 3},
		{what: 'done', uuid: image.uuid, outcome: 'failed', problem: 'line\nbreak'},
		{what: 'end', adopted: 0, there: 0, failed: 1},
	];
	const adopted = await post('control', '/adopt', '{"directory":"/old","how":"link","dryRun":true}');
	t.is(adopted.status, 200);
	t.is(adopted.headers['content-type'], 'application/x-ndjson');
	t.deepEqual(
		adopted.text
			.trimEnd()
			.split('\n')
			.map(line => JSON.parse(line) as unknown),
		[...mirror.publish.adoption],
	);
	t.deepEqual(mirror.publish.calls.at(-1)?.given, {directory: '/old', how: 'link', dryRun: true});
	for (const [body, field] of [
		['{}', 'directory'],
		['{"directory":"old"}', 'directory'],
		['{"directory":"/old","how":"burn"}', 'how'],
		['{"directory":"/old","dryRun":1}', 'dryRun'],
		['[]', 'directory'],
	] as const) {
		const {status, json} = await post('control', '/adopt', body);
		t.is(status, 422, body);
		t.is((json as {errors: {field: string}[]}).errors[0]?.field, field);
	}
	mirror.publish.before.adopt = () => {
		throw new RangeError('no such folder');
	};
	t.is((await post('control', '/adopt', '{"directory":"/old"}')).status, 500);
	const operator = await ask(url, '/adopt', {method: 'POST', body: '{"directory":"/old"}', headers: login('op')});
	t.is(operator.status, 403);
});

test('operators see the state, drop caches and have keys read again', async t => {
	const access = new FakeAccess(users);
	const {url} = await startFront(t, {access});
	const headers = login('op');
	const state = await ask(url, '/state', {headers});
	t.is(state.status, 200);
	t.like(state.json, {storageTypes: ['local'], log: {level: 'trace'}});
	for (const [query, status, code] of [
		['', 409, 'MissingParameter'],
		['?action=', 409, 'MissingParameter'],
		['?action=burn', 409, 'InvalidArgument'],
	] as const) {
		const answer = await ask(url, `/state${query}`, {method: 'POST', headers});
		t.is(answer.status, status);
		t.is(codeOf(answer), code);
	}
	const dropped = await ask(url, '/state?action=dropcaches', {method: 'POST', headers});
	t.is(dropped.status, 202);
	t.is(dropped.body.length, 0);
	const reloaded = await ask(url, '/authkeys/reload', {method: 'POST', headers});
	t.is(reloaded.status, 200);
	t.deepEqual(reloaded.json, {});
	t.is(access.reloads, 1);
});
