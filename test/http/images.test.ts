import {createHash, randomUUID} from 'node:crypto';
import {hostname} from 'node:os';
import test from 'ava';
import {IntegrityError, MirrorError, NoSpaceError, SourceUnavailableError, StoppingError} from '../../src/errors.js';
import {makeImage, publisher, type TestImage} from '../helpers/make-image.js';
import {sameBytes} from '../helpers/same-bytes.js';
import {get, Talker} from '../helpers/talker.js';
import {basicLogin, FakeAccess} from './fake-access.js';
import {ask, startFront, version, type StartedFront} from './front.js';

const basic = {authorization: 'Basic dXNlcjpwYXNzd29yZA=='};
const uuidForm = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

const ends: (() => unknown)[] = [];

test.after.always(async () => {
	for (const end of ends) {
		await end();
	}
});

/** One front for all tests that only ask what it refuses: starting one for each takes longer than all they ask. */
function sharedFront(images: readonly TestImage[] = []): () => Promise<StartedFront> {
	let started: Promise<StartedFront> | undefined;
	return () => (started ??= startFront({teardown: end => ends.push(end)}, {images}));
}

const known = makeImage();
const empty = sharedFront();
const knowing = sharedFront([known]);

test('ping is what imgadm and its relatives look for', async t => {
	const {url} = await startFront(t);
	const {status, text} = await ask(url, '/ping');
	t.is(status, 200);
	t.is(text, JSON.stringify({ping: 'pong', version, imgapi: true}, null, 2));
});

const everyPath = (uuid: string): readonly string[] => [
	'/ping',
	'/images',
	`/images/${uuid}`,
	`/images/${uuid}/file`,
	`/images/${uuid}/icon`,
	`/images/${uuid}/jobs`,
	'/channels',
	'/state',
	'/nothing/of/the/kind',
	'/datasets',
	`/datasets/${uuid}`,
	'/assets/none',
	'/metrics',
	'/healthz',
	'/readyz',
	'/status',
	'/',
	'/docs',
	'/docs/',
	'/favicon.ico',
];

test('every answer names server, request, host and time, and has its length', async t => {
	const image = makeImage({icon: Buffer.from('icon')});
	const {url} = await startFront(t, {images: [image]});
	for (const path of everyPath(image.uuid)) {
		const {status, headers, body} = await ask(url, path);
		t.is(headers['server'], `imgmirror/${version}`, path);
		t.regex(String(headers['x-request-id']), uuidForm, path);
		t.regex(String(headers['x-response-time']), /^\d+$/, path);
		t.is(headers['x-server-name'], hostname(), path);
		t.is(headers['content-length'], status === 204 ? undefined : String(body.length), path);
		t.is(headers['transfer-encoding'], undefined, path);
		t.is(headers['content-encoding'], undefined, path);
		t.truthy(headers.date, path);
		if (status === 404 || status === 401) {
			t.is(headers['content-type'], 'application/json', path);
		}
	}
});

test('HEAD says what GET says, without the body, and starts no transfer', async t => {
	const image = makeImage({icon: Buffer.from('icon')});
	const {url, mirror} = await startFront(t, {images: [image]});
	const paths = [...everyPath(image.uuid), `/datasets/${image.uuid}/${image.path}`, `/assets/${image.path}`];
	for (const path of paths.filter(each => each !== '/metrics')) {
		const got = await ask(url, path, {headers: {'x-request-id': 'one'}});
		const bodies = mirror.callsOf('body');
		const head = await ask(url, path, {method: 'HEAD', headers: {'x-request-id': 'one'}});
		t.is(head.status, got.status, path);
		t.is(head.body.length, 0, path);
		t.deepEqual({...head.headers, date: ''}, {...got.headers, date: ''}, path);
		t.is(mirror.callsOf('body'), bodies, path);
	}
	t.is(mirror.openFiles, 0);
});

for (const [given, echoed] of [
	[{'x-request-id': 'one-two_3'}, 'one-two_3'],
	[{'request-id': 'four'}, 'four'],
	[{'x-request-id': 'five', 'request-id': 'six'}, 'five'],
	[{'x-request-id': 'x'}, 'x'],
	[{'x-request-id': 'x'.repeat(1024)}, 'x'.repeat(1024)],
	[{'x-request-id': 'x'.repeat(1025)}, undefined],
	[{'x-request-id': 'two words'}, 'two words'],
	[{'x-request-id': '{"a": "b"}'}, '{"a": "b"}'],
	[{'x-request-id': 'two\twords'}, undefined],
	[{'x-request-id': 'caf\u00e9'}, undefined],
	[{'x-request-id': ''}, undefined],
] as const) {
	test(`the request id of ${JSON.stringify(given).slice(0, 50)} is ${echoed?.slice(0, 20) ?? 'a fresh one'}`, async t => {
		const image = makeImage();
		const {url, mirror, host} = await startFront(t, {images: [image]});
		const {headers} = await ask(url, `/images/${image.uuid}`, {headers: given});
		if (echoed === undefined) {
			t.regex(String(headers['x-request-id']), uuidForm);
		} else {
			t.is(headers['x-request-id'], echoed);
		}
		t.is(mirror.calls[0]?.ask?.requestId, headers['x-request-id'] as string);
		t.is((await host.logged({route: '/images/:uuid'}))['requestId'], headers['x-request-id']);
	});
}

test('an image is its manifest to the letter, indented, without channels', async t => {
	const text =
		'{"v":2,"uuid":"7b0a9e3c-41d5-4e2f-9a57-0d3c8f6be3a1","x":1.0,"z":"\\u00e9\\/","10":1,"2":{},"e":[],"channels":["dev"],"name":"ä"}';
	const image = makeImage({text});
	const {url} = await startFront(t, {images: [image]});
	const {status, headers, text: answer} = await ask(url, `/images/${image.uuid}`);
	t.is(status, 200);
	t.is(headers['content-type'], 'application/json');
	t.is(headers['content-md5'], undefined);
	t.is(headers['x-source'], 'upstream');
	t.is(headers['x-cache'], 'hit');
	t.is(
		answer,
		[
			'{',
			'  "v": 2,',
			'  "uuid": "7b0a9e3c-41d5-4e2f-9a57-0d3c8f6be3a1",',
			'  "x": 1.0,',
			'  "z": "\\u00e9\\/",',
			'  "10": 1,',
			'  "2": {},',
			'  "e": [],',
			'  "name": "ä"',
			'}',
		].join('\n'),
	);
	const compact = text.replace('"channels":["dev"],', '');
	t.is(headers.etag, `"${createHash('sha1').update(compact).digest('hex')}"`);
});

test('the list is an array of what the mirror says, oldest first', async t => {
	const images = [makeImage({icon: Buffer.from('x')}), makeImage(), makeImage({state: 'disabled'})];
	const {url, mirror} = await startFront(t, {images});
	mirror.cache = 'stale';
	const {status, headers, text} = await ask(url, '/images');
	t.is(status, 200);
	t.is(
		text,
		JSON.stringify(
			images.slice(0, 2).map(({manifest}) => manifest),
			null,
			2,
		),
	);
	t.is(headers['content-type'], 'application/json');
	t.is(headers['x-cache'], 'stale');
	t.is((await ask(url, '/images?name=none')).text, '[]');
});

test('a list is asked for with the parameters of its query, split at semicolons too', async t => {
	const images = [makeImage({name: 'one'}), makeImage({name: 'two', os: 'linux'}), makeImage({name: 'two'})];
	const {url} = await startFront(t, {images});
	const names = async (query: string): Promise<unknown> =>
		((await ask(url, `/images?${query}`)).json as {uuid: string}[]).map(({uuid}) =>
			images.findIndex(image => image.uuid === uuid),
		);
	t.deepEqual(await names('name=two;os=smartos'), [2]);
	t.deepEqual(await names('name=two&sort=published_at.desc'), [2, 1]);
	t.deepEqual(await names('limit=1&channel=*&unknown=1'), [0]);
	t.deepEqual(await names('state=unactivated'), []);
});

for (const [what, path] of [
	['an image', (uuid: string) => `/images/${uuid}`],
	['a list', () => '/images'],
	['a file', (uuid: string) => `/images/${uuid}/file`],
	['an icon', (uuid: string) => `/images/${uuid}/icon`],
	['a dataset', (uuid: string) => `/datasets/${uuid}`],
	['the datasets', () => '/datasets'],
] as const) {
	test(`${what} is sent only if it fits the conditions`, async t => {
		const image = makeImage({icon: Buffer.from('icon')});
		const {url, mirror} = await startFront(t, {images: [image]});
		const at = path(image.uuid);
		const etag = String((await ask(url, at)).headers.etag);
		t.regex(etag, /^"[0-9a-f]{40}"$/);
		const bare = etag.slice(1, -1);
		const bodies = mirror.callsOf('body');
		for (const value of [etag, bare, `W/${etag}`, `"other", ${etag}`, '*']) {
			for (const method of ['GET', 'HEAD']) {
				const same = await ask(url, at, {method, headers: {'if-none-match': value}});
				t.is(same.status, 304, value);
				t.is(same.headers.etag, etag);
				t.is(same.body.length, 0);
				t.is(same.headers['content-length'], undefined);
			}
		}
		t.is(mirror.callsOf('body'), bodies);
		for (const value of [etag, bare, `W/${etag}`, `"other", ${etag}`, '*']) {
			t.is((await ask(url, at, {headers: {'if-match': value}})).status, 200, value);
		}
		t.is((await ask(url, at, {headers: {'if-none-match': '"other"'}})).status, 200);
		const failed = await ask(url, at, {headers: {'if-match': '"other"'}});
		t.is(failed.status, 412);
		t.is(failed.headers['content-type'], 'application/json');
		t.is((failed.json as {code: string}).code, 'PreconditionFailed');
		t.is(mirror.openFiles, 0);
	});
}

for (const path of [
	'/images/nouuid',
	'/images/7B0A9E3C-41D5-4E2F-9A57-0D3C8F6BE3A1',
	'/images/7b0a9e3c41d54e2f9a570d3c8f6be3a1',
	'/images/7b0a9e3c-41d5-4e2f-9a57-0d3c8f6be3a1%00',
	'/images/7b0a9e3c-41d5-4e2f-9a57-0d3c8f6be3a1%0a',
	'/images/..%2f..%2fetc',
	'/images/%25',
	'/images/..',
	'/images/../../etc/passwd',
	'/images/%2e%2e/file',
	'/images/nouuid/file',
	'/images/nouuid/icon?account=x',
	'/images/nouuid/jobs',
	'/images/caf%C3%A9',
	`/images/${'x'.repeat(10_000)}`,
	'/images/7b0a9e3c-41d5-4e2f-9a57-0d3c8f6be3a1/',
	'/images/7b0a9e3c-41d5-4e2f-9a57-0d3c8f6be3a1/file/',
	'/images/7b0a9e3c-41d5-4e2f-9a57-0d3c8f6be3a1/file0',
	'/images/7b0a9e3c-41d5-4e2f-9a57-0d3c8f6be3a1/file/0',
	'/images%2f7b0a9e3c-41d5-4e2f-9a57-0d3c8f6be3a1',
	'/Images',
	'/PING',
	'/ping/',
	'/channels',
	'/jobs',
	'/api/datasets',
]) {
	test(`GET ${path.slice(0, 70)} is 404`, async t => {
		const {url, mirror} = await empty();
		const {status, json} = await ask(url, path);
		t.is(status, 404);
		t.is((json as {code: string}).code, 'ResourceNotFound');
		t.is(mirror.calls.length, 0);
	});
}

for (const path of ['/images/%zz', '/%', '/images/%ff', '/%c0%ae']) {
	test(`GET ${path} is 400 BadRequestError`, async t => {
		const {url} = await empty();
		const {status, json} = await ask(url, path);
		t.is(status, 400);
		t.is((json as {code: string}).code, 'BadRequestError');
	});
}

for (const path of [
	...['/images?channel=a&channel=b', '/images?%zz=1', '/images?%zz', '/images?nosuch=1&nosuch=2'],
	...['/images/UUID?channel=a&channel=b', '/images/UUID/file?channel=*&channel=x&%=1', '/datasets?channel=a&channel=b'],
]) {
	test(`GET ${path} is as without what means nothing here`, async t => {
		const {url} = await knowing();
		const asked = path.replace('UUID', known.uuid);
		const answer = await ask(url, asked);
		t.is(answer.status, 200);
		t.is(answer.text, (await ask(url, asked.replace(/\?.*/u, ''))).text);
	});
}

for (const [path, field] of [
	['/images?state=running', 'state'],
	['/images?public=zz', 'public'],
	['/images?public=true&public=true', 'public'],
	['/images?name=a&name=b', 'name'],
	['/images?sort=name', 'sort'],
	['/images?sort=published_at&sort=published_at', 'sort'],
	['/images?limit=abc', 'limit'],
	['/images?limit=-1', 'limit'],
	['/images?marker=nonsense', 'marker'],
	['/images?inclAdminFields=yes', 'inclAdminFields'],
	['/images?name=%zz', 'name'],
	['/images/UUID?account=nouuid', 'account'],
	['/images/UUID/file?account=nouuid', 'account'],
	['/images/UUID/icon?account=nouuid', 'account'],
	['/images/UUID/jobs?account=nouuid', 'account'],
	['/images/UUID?inclAdminFields=1', 'inclAdminFields'],
	['/images/UUID/file?index=0&index=1', 'index'],
	['/ping?error=NoSuchThing', 'error'],
	['/ping?error=a&error=b', 'error'],
	['/datasets?name=a&name=b', 'name'],
] as const) {
	test(`GET ${path} is 422 and names ${field}`, async t => {
		const {url} = await knowing();
		const {status, json} = await ask(url, path.replace('UUID', known.uuid));
		t.is(status, 422);
		const {code, message, errors} = json as {code: string; message: string; errors: {field: string}[]};
		t.is(code, 'InvalidParameter');
		t.is(typeof message, 'string');
		t.is(errors[0]?.field, field);
	});
}

test('inclAdminFields is for those who have logged in', async t => {
	const image = makeImage();
	const {url} = await startFront(t, {images: [image]});
	for (const path of [`/images/${image.uuid}`, '/images']) {
		const answer = await ask(url, `${path}?inclAdminFields=true`);
		t.is(answer.status, 401, path);
		t.is((answer.json as {code: string}).code, 'UnauthorizedError');
		t.is((await ask(url, `${path}?inclAdminFields=false`)).status, 200, path);
	}
});

test('an account sees what is its own, what is public, and what is shared with it', async t => {
	const [me, other] = [randomUUID(), randomUUID()];
	const seen = [
		makeImage({owner: me, public: false, state: 'unactivated'}),
		makeImage({public: true}),
		makeImage({public: true, state: 'disabled'}),
		makeImage({public: false, acl: [other, me]}),
	];
	const hidden = [
		makeImage({public: false}),
		makeImage({public: false, acl: [other]}),
		makeImage({public: true, state: 'unactivated'}),
		makeImage({public: false, acl: [me], state: 'unactivated'}),
	];
	const {url} = await startFront(t, {images: [...seen, ...hidden].map(image => ({...image, icon: Buffer.from('x')}))});
	for (const what of ['', '/file', '/icon', '/jobs']) {
		for (const [index, image] of seen.entries()) {
			t.is((await ask(url, `/images/${image.uuid}${what}?account=${me}`)).status, 200, `${what} ${index}`);
		}
		for (const [index, image] of hidden.entries()) {
			t.is((await ask(url, `/images/${image.uuid}${what}?account=${me}`)).status, 404, `${what} ${index}`);
			t.is((await ask(url, `/images/${image.uuid}${what}?account=`)).status, 200, `${what} ${index}`);
			t.is((await ask(url, `/images/${image.uuid}${what}`)).status, 200, `${what} ${index}`);
		}
	}
	t.not(me, publisher);
});

test('the checks of an image come in their order', async t => {
	const image = makeImage();
	const {url, mirror} = await startFront(t, {images: [image]});
	const status = async (path: string, headers = {}): Promise<number> => (await ask(url, path, {headers})).status;
	t.is(await status('/images/nouuid?account=x', basic), 404);
	t.is(await status(`/images/${image.uuid}?account=x`, basic), 401);
	t.is(mirror.callsOf('find'), 0);
	t.is(await status(`/images/${randomUUID()}?account=x`), 422);
	t.is(mirror.callsOf('find'), 0);
	t.is(await status(`/images/${randomUUID()}?inclAdminFields=x`), 404);
	t.is(await status(`/images/${image.uuid}?inclAdminFields=true`, {'if-none-match': '*'}), 401);
	t.is(await status(`/images/${image.uuid}`, {'accept-version': '~99', ...basic}), 400);
});

test('a credential is refused where one is looked at, and does no harm on files and icons', async t => {
	const image = makeImage({icon: Buffer.from('icon')});
	const {url} = await startFront(t, {images: [image]});
	for (const authorization of [basic.authorization, 'Signature keyId="constructor"', 'nonsense']) {
		for (const path of [
			...['/ping', '/images', `/images/${image.uuid}`, '/channels'],
			...['/datasets', `/datasets/${image.uuid}`],
		]) {
			const {status, headers, json} = await ask(url, path, {headers: {authorization}});
			t.is(status, 401, path);
			t.is(headers['www-authenticate'], 'Basic realm="IMGAPI"');
			t.is((json as {code: string}).code, 'UnauthorizedError');
		}
		for (const path of [
			`/images/${image.uuid}/file`,
			`/images/${image.uuid}/icon`,
			`/datasets/${image.uuid}/${image.path}`,
		]) {
			t.is((await ask(url, path, {headers: {authorization}})).status, 200, path);
		}
	}
});

test('whatever writes is 401, whatever else is wrong with it', async t => {
	const image = makeImage();
	const {url, mirror} = await startFront(t, {images: [image]});
	const at = `/images/${image.uuid}`;
	for (const [method, path] of [
		['POST', '/images'],
		['POST', '/images?action=nonsense'],
		['POST', at],
		['POST', `${at}?action=import`],
		['POST', '/images/nouuid?action=activate'],
		['DELETE', at],
		['DELETE', '/images/nouuid'],
		['PUT', `${at}/file?compression=gzip`],
		['POST', `${at}/file/from-url`],
		['PUT', `${at}/icon`],
		['POST', `${at}/icon`],
		['DELETE', `${at}/icon`],
		['POST', `${at}/acl?action=remove`],
		['POST', `${at}/clone`],
		['POST', `${at}/push`],
		['POST', '/authkeys/reload'],
		['GET', '/state'],
		['HEAD', '/state'],
		['POST', '/state?action=dropcaches'],
		['PUT', `/datasets/${image.uuid}`],
		['DELETE', `/datasets/${image.uuid}`],
		['PUT', '/publish?name=x'],
		['POST', '/publish'],
		['POST', '/uploads'],
		['PATCH', '/uploads/x'],
		['POST', '/adopt'],
	] as const) {
		for (const body of [undefined, '{}', 'not json']) {
			const {status, headers, text} = await ask(url, path, {
				method,
				...(body === undefined ? {} : {body, headers: {'content-type': 'application/json'}}),
			});
			t.is(status, 401, `${method} ${path}`);
			t.is(headers['www-authenticate'], 'Basic realm="IMGAPI"');
			t.is(headers['content-type'], 'application/json');
			t.true(method === 'HEAD' || text.includes('"code": "UnauthorizedError"'));
		}
	}
	t.is(mirror.calls.length, 0);
	t.is(mirror.publish.calls.length, 0);
});

for (const [path, allow, methods] of [
	['/ping', 'GET, HEAD, OPTIONS', ['POST', 'PUT', 'DELETE', 'PATCH', 'TRACE', 'PROPFIND', 'M-SEARCH']],
	['/images', 'GET, HEAD, OPTIONS, POST', ['PUT', 'DELETE', 'PATCH']],
	['/images/UUID', 'DELETE, GET, HEAD, OPTIONS, POST', ['PUT', 'PATCH']],
	['/images/UUID/file', 'GET, HEAD, OPTIONS, PUT', ['POST', 'DELETE']],
	['/images/UUID/icon', 'DELETE, GET, HEAD, OPTIONS, POST, PUT', ['PATCH']],
	['/images/UUID/acl', 'OPTIONS, POST', ['GET', 'HEAD']],
	['/images/UUID/jobs', 'GET, HEAD, OPTIONS', ['POST']],
	['/authkeys/reload', 'OPTIONS, POST', ['GET']],
	['/datasets', 'GET, HEAD, OPTIONS', ['PUT']],
	['/datasets/UUID', 'DELETE, GET, HEAD, OPTIONS, PUT', ['POST']],
	['/datasets/UUID/x', 'GET, HEAD, OPTIONS', ['PUT']],
	['/metrics', 'GET, HEAD, OPTIONS', ['POST']],
	['/docs/', 'GET, HEAD, OPTIONS', ['POST']],
	['/', 'GET, HEAD, OPTIONS', ['POST']],
] as const) {
	test(`${path} allows ${allow} and nothing else`, async t => {
		const {url} = await empty();
		const at = path.replace('UUID', randomUUID());
		for (const method of methods) {
			// 405 wins over a version that nobody serves.
			const answer = await ask(url, at, {method, headers: {'accept-version': '~99'}});
			t.is(answer.status, 405, method);
			t.is(answer.headers.allow, allow, method);
			t.true(method === 'HEAD' || (answer.json as {code: string}).code === 'MethodNotAllowedError', method);
		}
		const options = await ask(url, at, {method: 'OPTIONS', headers: {'content-type': ';;;', 'accept-version': 'x'}});
		t.is(options.status, 204);
		t.is(options.headers.allow, allow);
		t.is(options.body.length, 0);
		t.is(options.headers['content-length'], undefined);
	});
}

test('OPTIONS * and the preflight of a browser are answered', async t => {
	const {url} = await startFront(t);
	t.is((await ask(url, '*', {method: 'OPTIONS'})).status, 204);
	const {status, headers} = await ask(url, '/images', {
		method: 'OPTIONS',
		headers: {origin: 'http://page.example', 'access-control-request-method': 'GET'},
	});
	t.is(status, 204);
	t.is(headers['access-control-allow-origin'], '*');
	t.is(headers['access-control-allow-methods'], 'GET, HEAD, OPTIONS, POST');
	t.regex(String(headers['access-control-allow-headers']), /Accept-Version/);
	t.is((await ask(url, '/metrics', {method: 'OPTIONS'})).headers['access-control-allow-origin'], undefined);
});

test('Accept-Version is looked at on every path of IMGAPI, and nowhere else', async t => {
	const image = makeImage({icon: Buffer.from('x')});
	const {url} = await startFront(t, {images: [image], access: new FakeAccess({op: ['operate']})});
	const at = `/images/${image.uuid}`;
	for (const path of ['/ping', '/images', at, `${at}/file`, `${at}/icon`, `${at}/jobs`, '/channels', '/state']) {
		for (const range of ['~99', 'garbage']) {
			const {status, json} = await ask(url, path, {
				headers: {'accept-version': range, ...(path === '/state' ? {authorization: basicLogin('op')} : {})},
			});
			t.is(status, 400, path);
			t.is((json as {code: string}).code, 'InvalidVersion');
		}
	}
	for (const path of ['/datasets', `/datasets/${image.uuid}`, '/metrics', '/docs/']) {
		t.is((await ask(url, path, {headers: {'accept-version': '~99'}})).status, 200, path);
	}
	t.is((await ask(url, '/nothing', {headers: {'accept-version': '~99'}})).status, 404);
	for (const range of ['~2', '~1', '*']) {
		t.is((await ask(url, at, {headers: {'accept-version': range}})).text, image.pretty);
	}
});

test('who excludes JSON gets 406 without a body, but files and icons', async t => {
	const image = makeImage({icon: Buffer.from('x')});
	const {url} = await startFront(t, {images: [image]});
	for (const path of ['/ping', '/images', `/images/${image.uuid}`, '/datasets', `/datasets/${image.uuid}`]) {
		const {status, body, headers} = await ask(url, path, {headers: {accept: 'application/xml'}});
		t.is(status, 406, path);
		t.is(body.length, 0);
		t.is(headers['content-length'], '0');
		t.is((await ask(url, path, {headers: {accept: 'text/plain'}})).headers['content-type'], 'application/json');
	}
	for (const path of [
		`/images/${image.uuid}/file`,
		`/images/${image.uuid}/icon`,
		`/datasets/${image.uuid}/${image.path}`,
	]) {
		for (const accept of ['application/xml', 'application/json']) {
			t.is((await ask(url, path, {headers: {accept}})).status, 200, path);
		}
	}
});

for (const [name, status, code] of [
	['', 500, 'InternalError'],
	['InternalError', 500, 'InternalError'],
	['Internal', 500, 'InternalError'],
	['ValidationFailed', 422, 'ValidationFailed'],
	['ValidationFailedError', 422, 'ValidationFailed'],
	['InvalidParameter', 422, 'InvalidParameter'],
	['ImageFilesImmutable', 422, 'ImageFilesImmutable'],
	['ImageAlreadyActivated', 422, 'ImageAlreadyActivated'],
	['NoActivationNoFile', 422, 'NoActivationNoFile'],
	['OperatorOnly', 403, 'OperatorOnly'],
	['ImageUuidAlreadyExists', 409, 'ImageUuidAlreadyExists'],
	['StorageIsDown', 503, 'StorageIsDown'],
	['StorageUnsupported', 503, 'StorageUnsupported'],
	['RemoteSource', 503, 'RemoteSourceError'],
	['RemoteSourceError', 503, 'RemoteSourceError'],
	['Unauthorized', 401, 'UnauthorizedError'],
] as const) {
	test(`GET /ping?error=${name} plays ${code}`, async t => {
		const {url} = await empty();
		const answer = await ask(url, `/ping?error=${name}&message=mine`);
		t.is(answer.status, status);
		const {code: told, message, errors} = answer.json as {code: string; message: string; errors?: unknown};
		t.is(told, code);
		t.is(typeof message, 'string');
		t.deepEqual(errors, code === 'ValidationFailed' || code === 'InvalidParameter' ? [] : undefined);
	});
}

for (const name of ['constructor', '__proto__', 'toString', 'Error', 'x'.repeat(1000)]) {
	test(`GET /ping?error=${name.slice(0, 20)} is an unknown error`, async t => {
		const {url} = await empty();
		const {status, json} = await ask(url, `/ping?error=${name}`);
		t.is(status, 422);
		t.deepEqual((json as {errors: unknown}).errors, [{field: 'error', code: 'Missing'}]);
	});
}

/** Also with what no sane code would throw. */
async function fails(error: unknown): Promise<void> {
	await Promise.allSettled([]);
	throw error;
}

for (const [error, status, code] of [
	[new SourceUnavailableError('up', 'it is down'), 503, 'RemoteSourceError'],
	[new IntegrityError('the bytes are wrong'), 503, 'RemoteSourceError'],
	[new NoSpaceError('the disk is full'), 503, 'ServiceUnavailableError'],
	[new StoppingError('going away'), 503, 'ServiceUnavailableError'],
	[Object.assign(new RangeError('a secret of the system'), {code: 'EMFILE'}), 503, 'ServiceUnavailableError'],
	[
		new MirrorError('a secret file', {cause: Object.assign(new Error('all are open'), {code: 'ENFILE'})}),
		...([503, 'ServiceUnavailableError'] as const),
	],
	[new MirrorError('a secret path /x'), 500, 'InternalError'],
	[new TypeError('a secret bug'), 500, 'InternalError'],
	['a secret string', 500, 'InternalError'],
] as const) {
	const name = error instanceof Error ? error.name : 'a string';
	test(`${name} is told as ${status} ${code}, and logged once`, async t => {
		const image = makeImage();
		const {url, mirror, host} = await startFront(t, {images: [image]});
		for (const verb of ['find', 'list', 'search', 'openFile', 'body', 'readIcon', 'status', 'readiness'] as const) {
			mirror.before[verb] = () => fails(error);
		}
		const paths = [`/images/${image.uuid}`, '/images', '/datasets', `/images/${image.uuid}/file`, '/status', '/readyz'];
		for (const path of paths) {
			const answer = await ask(url, path);
			t.is(answer.status, status, path);
			t.is(answer.headers['content-type'], 'application/json');
			t.is((answer.json as {code: string}).code, code);
			t.false(answer.text.includes('secret'));
			const lines = host.linesLike({requestId: answer.headers['x-request-id'] as string});
			t.is(lines.length, 1);
			t.is(lines[0]?.level, status === 500 ? 50 : path === '/readyz' ? 20 : 40);
			t.true(String(lines[0]?.['problem']).includes(error instanceof Error ? error.message : 'a secret string'));
			t.is(lines[0]?.['code'], code);
			t.is(lines[0]?.['err'] !== undefined, status === 500);
		}
		for (const what of ['openFile', 'body'] as const) {
			mirror.before.find = undefined;
			t.is((await ask(url, `/images/${image.uuid}/file`)).status, status, what);
			mirror.before.openFile = undefined;
			t.is(mirror.openFiles, 0);
		}
	});
}

test('an error about datasets is in the shapes of both protocols', async t => {
	const {url} = await startFront(t);
	const none = await ask(url, `/datasets/${randomUUID()}`);
	t.is(none.status, 404);
	const {code, message, error} = none.json as {code: string; message: string; error: unknown};
	t.is(code, 'ResourceNotFound');
	t.deepEqual(error, {message, code: 404});
	t.true('error' in ((await ask(url, '/datasets/a/b/c')).json as object));
	t.true('error' in ((await ask(url, '/datasets', {method: 'POST'})).json as object));
	t.true('error' in ((await ask(url, '/assets/none')).json as object));
	t.false('error' in ((await ask(url, '/nothing')).json as object));
	t.deepEqual(Object.keys((await ask(url, '/datasets?name=1&name=2')).json as object), [
		'code',
		'message',
		'errors',
		'error',
	]);
});

test('an icon has its type, its digests, and nothing that would make it a page', async t => {
	const icon = Buffer.from('an icon');
	const image = makeImage({icon});
	const {url, mirror} = await startFront(t, {images: [image, makeImage()]});
	for (const [given, told] of [
		['image/png', 'image/png'],
		['image/jpeg', 'image/jpeg'],
		['image/gif', 'image/gif'],
		['text/html', 'application/octet-stream'],
		['image/svg+xml', 'application/octet-stream'],
	] as const) {
		mirror.iconType = given;
		const {status, headers, body} = await ask(url, `/images/${image.uuid}/icon`);
		t.is(status, 200);
		sameBytes(t, body, icon);
		t.is(headers['content-type'], told);
		t.is(headers['content-md5'], createHash('md5').update(icon).digest('base64'));
		t.is(headers.etag, `"${createHash('sha1').update(icon).digest('hex')}"`);
		t.is(headers['x-content-type-options'], 'nosniff');
		t.is(headers['x-source'], 'upstream');
	}
	const none = mirror.manifests.find(({uuid}) => uuid !== image.uuid)?.uuid ?? '';
	t.is((await ask(url, `/images/${none}/icon`)).status, 404);
});

test('an icon tells when it was had, and a date will do as a condition', async t => {
	const image = makeImage({icon: Buffer.from('icon')});
	const {url} = await startFront(t, {images: [image]});
	const at = `/images/${image.uuid}/icon`;
	const date = (await ask(url, at)).headers['last-modified'] ?? '';
	t.is(date, 'Tue, 02 Jan 2024 03:04:05 GMT');
	t.is((await ask(url, at, {headers: {'if-modified-since': date}})).status, 304);
});

test('jobs are none for an image, and 404 for no image', async t => {
	const image = makeImage();
	const {url} = await startFront(t, {images: [image]});
	t.is((await ask(url, `/images/${image.uuid}/jobs?task=x`)).text, '[]');
	t.is((await ask(url, `/images/${randomUUID()}/jobs`)).status, 404);
});

test('a file asked for through this mirror already is refused unless it is here, any other question goes on', async t => {
	const image = makeImage({icon: Buffer.from('icon')});
	const {url, port, mirror} = await startFront(t, {images: [image]});
	const at = `/images/${image.uuid}`;
	mirror.cache = 'miss';
	for (const path of [`${at}/file`, `${at}/icon`]) {
		for (const via of ['this-mirror', 'other, this-mirror', 'this-mirror, other']) {
			const {status, json} = await ask(url, path, {headers: {'x-imgmirror-via': via}});
			t.is(status, 503, path);
			t.is((json as {code: string}).code, 'RemoteSourceError');
		}
	}
	t.false(mirror.calls.some(({verb}) => verb === 'body' || verb === 'readIcon'));
	mirror.cache = 'hit';
	for (const path of [at, '/images', `${at}/file`, '/datasets', '/ping']) {
		t.is((await ask(url, path, {headers: {'x-imgmirror-via': 'this-mirror, other'}})).status, 200, path);
		// Nobody in between: it has its own address among its sources.
		const {status, json} = await ask(url, path, {headers: {'x-imgmirror-via': 'other, this-mirror'}});
		t.is(status, 503, path);
		t.regex((json as {message: string}).message, /this mirror asks itself/u);
	}
	// Also where the very same has come before, on a connection that answers what it knows by itself.
	const talker = await Talker.open(t, port);
	for (let round = 0; round < 4; round++) {
		t.is((await talker.ask(get(at))).status, 200);
		t.is((await talker.ask(get(at, 'x-imgmirror-via: this-mirror\r\n'))).status, 503);
	}
	mirror.calls.length = 0;
	await ask(url, at, {headers: {'x-imgmirror-via': 'one, two'}});
	t.is(mirror.calls[0]?.ask?.via, 'one, two');
	await ask(url, at);
	t.is(mirror.calls[1]?.ask?.via, undefined);
});
