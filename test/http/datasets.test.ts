import {randomUUID} from 'node:crypto';
import {request as httpRequest} from 'node:http';
import test from 'ava';
import fc from 'fast-check';
import {anyCharacter} from '../helpers/any-character.js';
import {makeImage, makeManifests} from '../helpers/make-image.js';
import {sameBytes} from '../helpers/same-bytes.js';
import type {FakeImage} from './fake-mirror.js';
import {basicLogin, FakeAccess} from './fake-access.js';
import {answersIn, ask, say, settings, startFront} from './front.js';

interface Dataset {
	readonly uuid: string;
	readonly name: string;
	readonly urn: string;
	readonly files: readonly {readonly path: string; readonly url: string; readonly compression: string}[];
}

async function list(url: string, query = ''): Promise<readonly Dataset[]> {
	return (await ask(url, `/datasets${query}`)).json as readonly Dataset[];
}

test('the list shows public active images that DSAPI knows the type of, newest first', async t => {
	const listed = [makeImage(), makeImage({type: 'zvol', os: 'linux'}), makeImage()];
	const others = [
		makeImage({type: 'lx-dataset'}),
		makeImage({state: 'disabled'}),
		makeImage({public: false}),
		makeImage({extra: {files: []}}),
	];
	const access = new FakeAccess({insider: ['private']}, {network: ['read']});
	const {url} = await startFront(t, {images: [...listed, ...others], access});
	const {status, headers, text, json} = await ask(url, '/datasets');
	t.is(status, 200);
	t.deepEqual(
		(json as readonly Dataset[]).map(({uuid}) => uuid),
		listed.map(({uuid}) => uuid).reverse(),
	);
	t.is(text, JSON.stringify(json, null, 2));
	t.is(headers['content-type'], 'application/json');
	t.is(headers['content-length'], String(Buffer.byteLength(text)));
	t.is(headers['access-control-allow-origin'], '*');
	t.is(headers['x-cache'], 'hit');
	const inside = await ask(url, '/datasets', {headers: {authorization: basicLogin('insider')}});
	t.is((inside.json as readonly Dataset[]).length, listed.length + 1);
});

test('an empty list is an empty array', async t => {
	const {url} = await startFront(t);
	t.is((await ask(url, '/datasets')).text, '[]');
});

test('the list takes the filters of DSAPI and no others', async t => {
	const images = [
		makeImage({name: 'base', version: '1.0', os: 'smartos', owner: randomUUID()}),
		makeImage({name: 'base', version: '2.0', type: 'zvol', os: 'linux'}),
		makeImage({name: 'other', version: '1.0'}),
	];
	const {url} = await startFront(t, {images});
	const numbers = async (query: string): Promise<readonly number[]> =>
		(await list(url, query)).map(({uuid}) => images.findIndex(image => image.uuid === uuid));
	t.deepEqual(await numbers('?name=base'), [1, 0]);
	t.deepEqual(await numbers('?name=base;version=1.0'), [0]);
	t.deepEqual(await numbers('?type=zvol'), [1]);
	t.deepEqual(await numbers('?os=smartos'), [2, 0]);
	t.deepEqual(await numbers(`?creator_uuid=${String(images[0]?.manifest['owner'])}`), [0]);
	t.deepEqual(await numbers(`?restricted_to_uuid=${randomUUID()}`), []);
	t.deepEqual(await numbers('?name=~base'), []);
	t.deepEqual(await numbers('?limit=1&state=all'), [2, 1, 0]);
});

test('a dataset is found by uuid, URN and the shortcuts of it', async t => {
	const old = makeImage({name: 'base', version: '1.0'});
	const recent = makeImage({name: 'base', version: '2.0'});
	const foreign = makeImage({name: 'base', version: '9.0', urn: 'a:b:base:9.0'});
	const {url} = await startFront(t, {images: [old, recent, foreign]});
	for (const [id, image] of [
		[old.uuid, old],
		['sdc:sdc:base:1.0', old],
		['base:1.0', old],
		['sdc:sdc:base', recent],
		['base', recent],
		['a:b:base:9.0', foreign],
		['a:b:base', foreign],
		['a%3Ab%3Abase', foreign],
	] as const) {
		const {status, json} = await ask(url, `/datasets/${id}`);
		t.is(status, 200, id);
		t.is((json as Dataset).uuid, image.uuid, id);
		const file = await ask(url, `/datasets/${id}/${image.path}`);
		t.true(file.body.equals(image.bytes), id);
	}
	for (const id of [
		'none',
		'base:3.0',
		'x:y:base:1.0',
		randomUUID(),
		'x:y:base',
		'%00',
		'..%2f..',
		old.uuid.toUpperCase(),
	]) {
		const answer = await ask(url, `/datasets/${id}`);
		t.is(answer.status, 404, id);
		t.like(answer.json, {code: 'ResourceNotFound', error: {code: 404}});
	}
});

test('what is in no list can be had by uuid, since it may be an origin, unless it has no file', async t => {
	const disabled = makeImage({state: 'disabled'});
	const bare = makeImage({extra: {files: []}});
	const {url} = await startFront(t, {images: [disabled, bare]});
	t.is((await ask(url, `/datasets/${disabled.uuid}`)).status, 200);
	sameBytes(t, (await ask(url, `/datasets/${disabled.uuid}/${disabled.path}`)).body, disabled.bytes);
	t.is((await ask(url, `/datasets/${bare.uuid}`)).status, 404);
	t.is((await ask(url, `/datasets/${disabled.path}`)).status, 404);
});

test('files are served by the path that the dataset gives them, whole or in part', async t => {
	const image = makeImage({size: 100_000});
	const {url, mirror} = await startFront(t, {images: [image]});
	const [dataset] = await list(url);
	const [file] = dataset?.files ?? [];
	t.is(file?.url, `${url}/datasets/${image.uuid}/${file?.path ?? ''}`);
	const path = new URL(file?.url ?? '').pathname;
	const whole = await ask(url, path);
	t.is(whole.status, 200);
	t.true(whole.body.equals(image.bytes));
	t.is(whole.headers['content-type'], 'application/octet-stream');
	const part = await ask(url, path, {headers: {range: 'bytes=10-19'}});
	t.is(part.status, 206);
	t.true(part.body.equals(image.bytes.subarray(10, 20)));
	t.is((await ask(url, path, {method: 'HEAD'})).headers['content-length'], '100000');
	for (const wrong of ['x', `${file?.path ?? ''}x`, '..%2f..%2fetc%2fpasswd', '%00', 'file']) {
		const {status, json} = await ask(url, `/datasets/${image.uuid}/${wrong}`);
		t.is(status, 404, wrong);
		t.true('error' in (json as object));
	}
	t.is(mirror.openFiles, 0);
});

test('imgadm sends the URL back as the target, whatever host is in it', async t => {
	const image = makeImage({size: 5000, name: 'a b/c%d', version: '1;2?3'});
	const {url, port} = await startFront(t, {images: [image], publicUrl: 'https://images.example.com/behind/proxy'});
	const [dataset] = await list(url);
	const target = dataset?.files[0]?.url ?? '';
	t.true(target.startsWith('https://images.example.com/behind/proxy/datasets/'));
	const direct = target.replace('/behind/proxy', '');
	const [answer] = answersIn(await say(port, `GET ${direct} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`));
	t.is(answer?.status, 200);
	t.true(Buffer.from(answer?.body ?? '', 'latin1').equals(image.bytes));
});

for (const [host, base] of [
	['mirror', 'http://mirror'],
	['mirror.example.com:8080', 'http://mirror.example.com:8080'],
	['[::1]:8080', 'http://[::1]:8080'],
	['under_score', 'http://under_score'],
	['', undefined],
	[undefined, undefined],
] as const) {
	test(`with ${host === undefined ? 'no Host' : `the Host ${JSON.stringify(host)}`}, URLs are below it or what we listen on`, async t => {
		const image = makeImage();
		const {url, port} = await startFront(t, {images: [image]});
		const lines = host === undefined ? 'HTTP/1.0\r\n' : `HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n`;
		for (const path of ['/datasets', `/datasets/${image.uuid}`]) {
			const [answer] = answersIn(await say(port, `GET ${path} ${lines}\r\n`));
			t.is(answer?.status, 200);
			t.true(answer?.body.includes(`"url": "${base ?? url}/datasets/${image.uuid}/`), answer?.body);
		}
	});
}

for (const host of ['a b', 'a/b', 'a"b', 'user@host', 'host:port', 'host:123456', '<x>', 'a\u00e9', '[::1', 'a,b']) {
	test(`the Host ${JSON.stringify(host)} is a bad request`, async t => {
		const {port} = await startFront(t);
		const text = Buffer.from(`GET /datasets HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`, 'latin1');
		const [answer] = answersIn(await say(port, text));
		t.is(answer?.status, 400);
		t.true(answer?.body.includes('BadRequestError'));
	});
}

test('below a base path URLs have it, at the root they do not, and both work', async t => {
	const image = makeImage();
	const {url} = await startFront(t, {images: [image], basePath: '/mirror'});
	for (const [path, base] of [
		['/mirror/datasets', `${url}/mirror`],
		['/datasets', url],
	] as const) {
		const [dataset] = (await ask(url, path)).json as readonly Dataset[];
		const file = dataset?.files[0]?.url ?? '';
		t.is(file, `${base}/datasets/${image.uuid}/${image.path}`);
		sameBytes(t, (await ask(url, new URL(file).pathname)).body, image.bytes);
	}
	t.is((await ask(url, '/mirror/images')).status, 200);
	t.is((await ask(url, '/mirror/ping')).status, 200);
	t.is((await ask(url, '/ping')).status, 200);
	for (const path of ['/images', `/images/${image.uuid}`, '/', '/metrics', '/mirrorimages', `/assets/${image.path}`]) {
		t.is((await ask(url, path)).status, 404, path);
	}
	t.is((await ask(url, '/mirror')).headers.location, 'mirror/docs/');
	t.is((await ask(url, '/mirror/')).headers.location, 'docs/');
	t.is((await ask(url, '/mirror/docs')).headers.location, 'docs/');
	t.is((await ask(url, '/mirror/docs/')).status, 200);
});

test('assets are files by path alone: unknown is 404, ambiguous is 400', async t => {
	const only = makeImage({name: 'only'});
	const twins = [makeImage({name: 'twin'}), makeImage({name: 'twin'})];
	const hidden = makeImage({name: 'hidden', public: false});
	const access = new FakeAccess({insider: ['private']}, {network: ['read']});
	const {url, mirror} = await startFront(t, {images: [only, ...twins, hidden], access});
	const found = await ask(url, `/assets/${only.path}`);
	t.is(found.status, 200);
	t.true(found.body.equals(only.bytes));
	const several = await ask(url, `/assets/${twins[0]?.path ?? ''}`);
	t.is(several.status, 400);
	t.like(several.json, {code: 'BadRequestError', error: {code: 400}});
	t.is((await ask(url, `/assets/${hidden.path}`)).status, 404);
	const inside = await ask(url, `/assets/${hidden.path}`, {headers: {authorization: basicLogin('insider')}});
	t.true(inside.body.equals(hidden.bytes));
	t.is((await ask(url, '/assets/none')).status, 404);
	t.is((await ask(url, '/assets/')).status, 404);
	t.is(mirror.openFiles, 0);
});

test('what is in no list may be in that of a source that does not answer', async t => {
	const image = makeImage({name: 'base', version: '1'});
	const {url, mirror} = await startFront(t, {images: [image]});
	const search = mirror.search.bind(mirror);
	mirror.search = async (...asked) => ({
		...(await search(...asked)),
		silent: {source: 'other', problem: 'it is dead'},
	});
	for (const path of ['/datasets/sdc:sdc:none:1', '/datasets/none', '/assets/none']) {
		const {status, json} = await ask(url, path);
		t.is(status, 503, path);
		t.regex(
			(json as {message: string}).message,
			/^source other: cannot tell whether it is there \(.*none.*\): it is dead$/u,
		);
	}
	t.is((await ask(url, '/datasets/sdc:sdc:base:1')).status, 200);
	t.is((await ask(url, `/assets/${image.path}`)).status, 200);
	mirror.search = search;
	t.is((await ask(url, '/datasets/none')).status, 404);
});

test('a wrong login is told so; the files of a dataset are given all the same', async t => {
	const image = makeImage({size: 100});
	const access = new FakeAccess({insider: ['private']}, {network: ['read']});
	const {url} = await startFront(t, {images: [image], access});
	const headers = {authorization: basicLogin('insider', 'wrong')};
	for (const path of ['/datasets', `/datasets/${image.uuid}`]) {
		const {status, headers: answered} = await ask(url, path, {headers});
		t.is(status, 401, path);
		t.regex(String(answered['www-authenticate']), /^Basic /u);
	}
	t.is((await ask(url, `/datasets/${image.uuid}/${image.path}`, {headers})).status, 200);
	t.is((await ask(url, `/assets/${image.path}`, {headers})).status, 200);
});

test('whatever an image is called, the URL in its dataset leads to its file', async t => {
	const names = fc.sample(fc.tuple(fc.string({unit: anyCharacter, maxLength: 300}), fc.string({maxLength: 20})), 150);
	const pairs: readonly (readonly [name: string, version: string])[] = [
		...names,
		['..', '..'],
		['a%2fb', '%25'],
		['a/b\\c', '?#;&'],
		['\u0000', '\n'],
		['%', '%zz'],
		['ä€😀', '+ '],
		['x'.repeat(1024), 'y'.repeat(512)],
	];
	const images = pairs.map(([name, version]) => makeImage({size: 50, name, version}));
	const {url} = await startFront(t, {images});
	const datasets = await list(url);
	t.is(datasets.length, images.length);
	await Promise.all(
		images.map(async image => {
			const file = datasets.find(({uuid}) => uuid === image.uuid)?.files[0];
			// As imgadm does: as it stands.
			const {status, body} = await ask(url, file?.url ?? '');
			t.is(status, 200, file?.url);
			sameBytes(t, body, image.bytes);
		}),
	);
});

test('25,000 datasets are listed while others are served, with the right length, again and again', async t => {
	const images: readonly FakeImage[] = makeManifests(25_000).map(({uuid, text}) => {
		const asPublic = text.replace('"public":false', '"public":true');
		return {uuid, manifest: {}, text: asPublic};
	});
	const {url} = await startFront(t, {images});
	const listed = new AbortController();
	const pinging = (async () => {
		let pings = 0;
		for (; !listed.signal.aborted; pings++) {
			await ask(url, '/ping');
		}
		return pings;
	})();
	const first = await ask(url, '/datasets');
	listed.abort();
	t.true((await pinging) > 10);
	const datasets = first.json as readonly Dataset[];
	t.is(datasets.length, 25_000);
	t.is(first.text, JSON.stringify(datasets, null, 2));
	const again = await ask(url, '/datasets');
	t.true(again.body.equals(first.body));
	t.is(again.headers.etag, first.headers.etag);
	t.is((await ask(url, '/datasets', {headers: {'if-none-match': String(first.headers.etag)}})).status, 304);
	const elsewhere = await ask(url, '/datasets', {headers: {host: 'elsewhere'}});
	t.not(elsewhere.headers.etag, first.headers.etag);
	t.is(elsewhere.text, first.text.replaceAll(`"url": "${url}/`, '"url": "http://elsewhere/'));
});

test('a client that leaves in the midst of a list is no trouble', async t => {
	const images = makeManifests(3000).map(({uuid, text}) => ({
		uuid,
		manifest: {},
		text: text.replace('"public":false', '"public":true'),
	}));
	const {url, host} = await startFront(t, {images});
	for (const path of ['/datasets', '/images']) {
		await new Promise<void>(resolve => {
			const request = httpRequest(`${url}${path}`, {headers: {'x-request-id': `left-${path}`}}, response => {
				response.once('data', () => request.destroy());
				response.once('close', resolve);
				response.on('error', () => undefined);
			});
			request.on('error', () => undefined);
			request.end();
		});
		t.is((await host.logged({requestId: `left-${path}`}))['status'], 200);
	}
	t.is((await ask(url, '/ping')).status, 200);
});

test('other names are used as soon as they are configured', async t => {
	const image = makeImage({name: 'base', version: '1'});
	const {url, front} = await startFront(t, {images: [image]});
	t.is((await list(url))[0]?.urn, 'sdc:sdc:base:1');
	front.setOptions({...settings, datasetNames: {cloudName: 'here', creatorName: 'me'}, publicUrl: 'http://pub'});
	const [dataset] = await list(url);
	t.is(dataset?.urn, 'here:me:base:1');
	t.is(dataset?.files[0]?.url, `http://pub/datasets/${image.uuid}/${image.path}`);
	t.is((await ask(url, '/datasets/here:me:base')).status, 200);
	t.is((await ask(url, '/datasets/sdc:sdc:base')).status, 404);
	const root = await ask(url, '/', {headers: {accept: 'application/json'}});
	t.is((root.json as {cloud_name: string}).cloud_name, 'here');
});
