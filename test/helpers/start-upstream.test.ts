import {once} from 'node:events';
import {readFileSync} from 'node:fs';
import {Agent, get, request, type IncomingMessage} from 'node:http';
import {request as httpsRequest} from 'node:https';
import {connect} from 'node:net';
import {gunzipSync} from 'node:zlib';
import test from 'ava';
import {testCertificates} from './certificates.js';
import {digest, makeImage, makeManifests} from './make-image.js';
import {sameBytes} from './same-bytes.js';
import {deadUrl, hostileEntries, startUpstream, unreachableUrl} from './start-upstream.js';

interface Got {
	readonly status: number;
	readonly headers: IncomingMessage['headers'];
	readonly body: Buffer;
	/** Whether the body ended as HTTP says it should. */
	readonly whole: boolean;
}

async function fetchAll(url: string, headers: Record<string, string> = {}): Promise<Got> {
	const asked = request(url, {headers, agent: false}).end();
	// Data after the last byte that HTTP expects is an error, even when the response is there already.
	asked.on('error', () => undefined);
	const [response] = (await once(asked, 'response')) as [IncomingMessage];
	return collect(response);
}

async function collect(response: IncomingMessage): Promise<Got> {
	const chunks: Buffer[] = [];
	response.on('data', (chunk: Buffer) => chunks.push(chunk));
	response.on('error', () => undefined);
	await new Promise(resolve => response.once('close', resolve));
	const {statusCode: status = 0, headers, complete: whole} = response;
	return {status, headers, body: Buffer.concat(chunks), whole};
}

const listOf = (got: Got): {uuid: string}[] => JSON.parse(got.body.toString()) as {uuid: string}[];
const code = async (url: string): Promise<unknown> =>
	fetchAll(url).then(
		got => got.status,
		(error: unknown) => (error as {code: string}).code,
	);

test('an IMGAPI upstream answers as the reference does', async t => {
	const [old, young] = [makeImage(), makeImage({size: 3000, compression: 'none'})];
	const hidden = makeImage({state: 'disabled'});
	const upstream = await startUpstream(t, {images: [young, old, hidden]});

	t.like(JSON.parse((await fetchAll(`${upstream.url}/ping`)).body.toString()), {imgapi: true, ping: 'pong'});
	const list = await fetchAll(`${upstream.url}/images`);
	t.deepEqual(listOf(list), [old.manifest, young.manifest] as unknown as {uuid: string}[]);
	t.is(list.headers['content-type'], 'application/json');

	const one = await fetchAll(`${upstream.url}/images/${hidden.uuid}`);
	t.is(one.body.toString(), hidden.pretty);
	t.regex(one.headers.etag ?? '', /^[0-9a-f]{40}$/);
	const again = await fetchAll(`${upstream.url}/images/${hidden.uuid}`, {
		'If-None-Match': `"${one.headers.etag ?? ''}"`,
	});
	t.is(again.status, 304);

	const file = await fetchAll(`${upstream.url}/images/${young.uuid}/file`, {Range: 'bytes=10-'});
	t.is(file.status, 200);
	t.true(file.body.equals(young.bytes));
	t.like(file.headers, {'content-length': '3000', etag: young.sha1, 'content-md5': young.contentMd5});
	t.deepEqual(upstream.fileRequests, [young.uuid]);
	t.deepEqual(upstream.rangeRequests, ['bytes=10-']);
	t.is(upstream.bytesSent, 3000);
	t.is(upstream.requests.at(-1)?.outcome, 'done');

	const missing = await fetchAll(`${upstream.url}/images/${makeImage().uuid}`);
	t.is(missing.status, 404);
	t.like(JSON.parse(missing.body.toString()), {code: 'ResourceNotFound'});
	t.is((await fetchAll(`${upstream.url}/datasets`)).status, 404);
});

test('a page begins with its marker', async t => {
	const images = [makeImage(), makeImage(), makeImage(), makeImage()];
	const upstream = await startUpstream(t, {images});
	const page = await fetchAll(`${upstream.url}/images?marker=${images[1]?.uuid ?? ''}&limit=2`);
	t.deepEqual(
		listOf(page).map(({uuid}) => uuid),
		images.slice(1, 3).map(({uuid}) => uuid),
	);
	t.is((await fetchAll(`${upstream.url}/images?marker=${makeImage().uuid}`)).status, 404);

	upstream.misbehave('list', {paging: 'exclusive'}, {times: 1});
	const exclusive = await fetchAll(`${upstream.url}/images?marker=${images[1]?.uuid ?? ''}&limit=3`);
	t.is(listOf(exclusive)[0]?.uuid, images[2]?.uuid);
	upstream.misbehave('list', {paging: 'endless'}, {when: ({query}) => query.has('marker')});
	t.is(listOf(await fetchAll(`${upstream.url}/images?marker=x&limit=50`)).length, 50);
	upstream.misbehave('list', {paging: 'ignored'});
	t.is(listOf(await fetchAll(`${upstream.url}/images?marker=x&limit=2`)).length, 4);
});

test('DSAPI upstreams list v1 manifests, newest first, with files under them', async t => {
	const [old, young] = [makeImage({origin: makeImage()}), makeImage({compression: 'bzip2'})];
	for (const kind of ['dsapi', 'both'] as const) {
		const upstream = await startUpstream(t, {kind, images: [old, young]});
		const list = listOf(await fetchAll(`${upstream.url}/datasets`)) as unknown as (typeof old.dataset)[];
		t.deepEqual(
			list.map(({uuid}) => uuid),
			[young.uuid, old.uuid],
		);
		t.like(list[1], {creator_uuid: old.manifest['owner'], origin: old.manifest['origin'], v: undefined});
		const [{url}] = list[0]?.['files'] as [{url: string}];
		t.true((await fetchAll(url)).body.equals(young.bytes));
		t.is(upstream.of('file')[0]?.uuid, young.uuid);
		t.is((await fetchAll(`${upstream.url}/images/${old.uuid}`)).status, kind === 'both' ? 200 : 404);
	}
});

test('a static upstream honours ranges under a quoted ETag', async t => {
	const image = makeImage({size: 1000});
	const upstream = await startUpstream(t, {kind: 'static', images: [image], basePath: '/deep/er'});
	const url = `${upstream.url}/images/${image.uuid}/file`;
	const {headers} = await fetchAll(url);
	const part = await fetchAll(url, {Range: 'bytes=100-199', 'If-Range': headers.etag ?? ''});
	t.is(part.status, 206);
	t.is(part.headers['content-range'], 'bytes 100-199/1000');
	t.true(part.body.equals(image.bytes.subarray(100, 200)));
	t.is((await fetchAll(url, {Range: 'bytes=100-', 'If-Range': '"other"'})).status, 200);
	sameBytes(t, (await fetchAll(url, {Range: 'bytes=-10'})).body, image.bytes.subarray(990));
	t.is((await fetchAll(url, {Range: 'bytes=1000-'})).status, 416);
	t.is((await fetchAll(`${upstream.origin}/images`)).status, 404);
});

test('a held file goes on when it is released, and a cut one does not', async t => {
	const image = makeImage({size: 200_000});
	const upstream = await startUpstream(t, {images: [image], holdAfter: 1000});
	const url = `${upstream.url}/images/${image.uuid}/file`;

	const held = fetchAll(url);
	await upstream.reached(1000);
	await upstream.holding();
	t.is(upstream.bytesSent, 1000);
	upstream.release();
	sameBytes(t, (await held).body, image.bytes);
	t.true((await fetchAll(url)).body.equals(image.bytes));

	upstream.misbehave('file', {cutAt: 0.5}, {times: 1});
	upstream.misbehave('file', {cutAt: -1}, {times: 1});
	const half = await fetchAll(url);
	t.deepEqual([half.whole, half.body.length, half.headers['content-length']], [false, 100_000, '200000']);
	const almost = await fetchAll(url);
	t.deepEqual([almost.whole, almost.body.length], [false, 199_999]);
	t.true((await fetchAll(url)).whole);
	t.deepEqual(
		upstream.requests.map(({outcome}) => outcome),
		['done', 'done', 'cut', 'cut', 'done'],
	);
});

test('headers can be stalled, and a client that leaves is noticed', async t => {
	const image = makeImage();
	const upstream = await startUpstream(t, {images: [image]});
	upstream.misbehave('any', {stallHeaders: true});
	const asked = get(`${upstream.url}/ping`, {agent: false}).on('error', () => undefined);
	const seen = await upstream.asked('ping');
	await upstream.holding();
	asked.destroy();
	await upstream.until(() => seen.outcome === 'left');
	const second = fetchAll(`${upstream.url}/ping`);
	await upstream.asked('ping', 2);
	upstream.release();
	t.is((await second).status, 200);
	t.is(upstream.of('ping')[0]?.sentBytes, 0);
});

test('statuses come with the body that was ordered', async t => {
	const upstream = await startUpstream(t);
	const url = `${upstream.url}/ping`;
	upstream.misbehave('ping', {status: 503, retryAfter: '7'}, {times: 1});
	upstream.misbehave('ping', {status: 502, body: 'html'}, {times: 1});
	upstream.misbehave('ping', {status: 500, body: 'empty'}, {times: 1});
	upstream.misbehave('ping', {body: 'html'}, {times: 1});
	upstream.misbehave('ping', {text: '{"ping":"pong"}'}, {times: 1});
	upstream.misbehave('ping', {redirect: '/elsewhere', status: 307}, {times: 1});
	upstream.misbehave('ping', {headers: {'x-long': 'y'.repeat(9000)}, gzip: true}, {times: 1});
	upstream.serve('/elsewhere', 'here');

	const busy = await fetchAll(url);
	t.deepEqual([busy.status, busy.headers['retry-after']], [503, '7']);
	t.like(JSON.parse(busy.body.toString()), {code: 'ServiceUnavailableError'});
	const html = await fetchAll(url);
	t.deepEqual([html.status, html.headers['content-type']], [502, 'text/html']);
	t.like(await fetchAll(url), {status: 500, body: Buffer.alloc(0)});
	t.like((await fetchAll(url)).headers, {'content-type': 'text/html'});
	t.is((await fetchAll(url)).body.toString(), '{"ping":"pong"}');
	t.like(await fetchAll(url), {status: 307, headers: {location: '/elsewhere'}});
	const packed = await fetchAll(url);
	t.is(packed.headers['x-long']?.length, 9000);
	t.like(JSON.parse(gunzipSync(packed.body).toString()), {ping: 'pong'});
	t.is((await fetchAll(`${upstream.url}/elsewhere`)).body.toString(), 'here');
	t.is((await fetchAll(url)).status, 200);
});

test('wrong bytes keep their length', async t => {
	const image = makeImage({size: 5000});
	const upstream = await startUpstream(t, {images: [image]});
	const url = `${upstream.url}/images/${image.uuid}/file`;
	upstream.misbehave('file', {wrongBytes: 'all'}, {times: 1});
	upstream.misbehave('file', {wrongBytes: 'tail'}, {times: 1});
	upstream.misbehave('file', {wrongBytes: {at: 17}}, {times: 1});
	upstream.misbehave('file', {file: Buffer.from('other')}, {times: 1});
	upstream.misbehave('file', {etag: '"other"'}, {uuid: makeImage().uuid});

	const all = await fetchAll(url);
	t.is(all.body.length, 5000);
	t.not(all.body[0], image.bytes[0]);
	const tail = await fetchAll(url);
	sameBytes(t, tail.body.subarray(0, 4000), image.bytes.subarray(0, 4000));
	t.not(digest('sha1', tail.body), image.sha1);
	const one = await fetchAll(url);
	t.deepEqual(
		[...one.body.keys()].filter(place => one.body[place] !== image.bytes[place]),
		[17],
	);
	t.is((await fetchAll(url)).body.toString(), 'other');
	t.is((await fetchAll(url)).headers.etag, image.sha1);
});

test('ranges go wrong in every way', async t => {
	const image = makeImage({size: 1000});
	const upstream = await startUpstream(t, {images: [image], ranges: true});
	const ranged = async (range: NonNullable<Parameters<typeof upstream.misbehave>[1]['range']>): Promise<unknown[]> => {
		upstream.misbehave('file', {range}, {times: 1});
		const got = await fetchAll(`${upstream.url}/images/${image.uuid}/file`, {Range: 'bytes=400-'});
		return [got.status, got.headers['content-range'], image.bytes.indexOf(got.body), got.body.length];
	};
	t.deepEqual(await ranged('honoured'), [206, 'bytes 400-999/1000', 400, 600]);
	t.deepEqual(await ranged('ignored'), [200, undefined, 0, 1000]);
	t.deepEqual((await ranged('refused')).slice(0, 2), [416, 'bytes */1000']);
	t.deepEqual(await ranged('shifted'), [206, 'bytes 200-999/1000', 200, 800]);
	t.deepEqual(await ranged('lying'), [206, 'bytes 400-999/1000', 0, 600]);
	t.deepEqual(await ranged('mislabelled'), [206, 'bytes 401-1000/1001', 400, 600]);
	t.deepEqual(await ranged('unlabelled'), [206, undefined, 400, 600]);
	t.deepEqual(await ranged('other-total'), [206, 'bytes 400-999/1007', 400, 600]);
	t.deepEqual(await ranged('short'), [206, 'bytes 400-699/1000', 400, 300]);
});

test('lengths and framing go wrong', async t => {
	const image = makeImage({size: 1000});
	const upstream = await startUpstream(t, {images: [image]});
	const url = `${upstream.url}/images/${image.uuid}/file`;
	for (const contentLength of ['none', 'close', 5, -5] as const) {
		upstream.misbehave('file', {contentLength}, {times: 1});
	}
	const chunked = await fetchAll(url);
	t.deepEqual([chunked.headers['content-length'], chunked.headers['transfer-encoding']], [undefined, 'chunked']);
	const closed = await fetchAll(url);
	t.deepEqual([closed.headers['content-length'], closed.headers['transfer-encoding']], [undefined, undefined]);
	t.true(closed.body.equals(image.bytes));
	t.like(await fetchAll(url), {whole: false, headers: {'content-length': '1005'}, body: {length: 1000}});
	t.like(await fetchAll(url), {headers: {'content-length': '995'}, body: {length: 995}});
	upstream.misbehave('file', {contentLength: 'both'}, {times: 1});
	await t.throwsAsync(fetchAll(url), {message: /Parse Error/});
	upstream.misbehave('any', {raw: 'SSH-2.0-OpenSSH\r\n'}, {times: 1});
	await t.throwsAsync(fetchAll(url), {message: /Parse Error/});
	upstream.misbehave('file', {trickle: 10_000}, {times: 1});
	t.true((await fetchAll(url)).body.equals(image.bytes));
});

test('lists hold what they should not', async t => {
	const image = makeImage();
	const upstream = await startUpstream(t, {images: [image]});
	upstream.misbehave('list', {insert: hostileEntries(image.uuid)}, {times: 1});
	upstream.misbehave('list', {truncateAt: 0.5}, {times: 1});
	upstream.misbehave('list', {text: honest => `{"images": ${honest}}`}, {times: 1});
	const entries = listOf(await fetchAll(`${upstream.url}/images`));
	t.is(entries.length, hostileEntries().length + 1);
	const broken = await fetchAll(`${upstream.url}/images`);
	t.true(broken.whole);
	t.throws(() => listOf(broken), {instanceOf: SyntaxError});
	t.deepEqual(Object.keys(listOf(await fetchAll(`${upstream.url}/images`))), ['images']);
});

test('what was given to the letter goes out to the letter', async t => {
	const uuid = makeImage().uuid;
	const text = `{"v":2,"uuid":"${uuid}","state":"active","image_size":1.0,"10":1,"2":"\\u00e9","files":[]}`;
	const upstream = await startUpstream(t, {images: [makeImage({text})]});
	t.is((await fetchAll(`${upstream.url}/images/${uuid}`)).body.toString(), text);
	t.true((await fetchAll(`${upstream.url}/images`)).body.includes(text));
});

test('images come and go', async t => {
	const [first, second] = [makeImage(), makeImage()];
	const upstream = await startUpstream(t, {images: [first]});
	upstream.add(second);
	t.is(listOf(await fetchAll(`${upstream.url}/images`)).length, 2);
	upstream.remove(first);
	t.is(listOf(await fetchAll(`${upstream.url}/images`)).length, 1);
	upstream.add(makeImage({uuid: second.uuid, name: 'renamed'}));
	t.like(listOf(await fetchAll(`${upstream.url}/images`)), [{uuid: second.uuid, name: 'renamed'}]);
});

test('channels split the list', async t => {
	const [dev, release] = [makeImage({extra: {channels: ['dev']}}), makeImage({extra: {channels: ['release']}})];
	const upstream = await startUpstream(t, {
		images: [dev, release],
		channels: ['dev', 'release'],
		defaultChannel: 'dev',
	});
	const uuids = async (query: string): Promise<string[]> =>
		listOf(await fetchAll(`${upstream.url}/images${query}`)).map(({uuid}) => uuid);
	t.deepEqual(await uuids(''), [dev.uuid]);
	t.deepEqual(await uuids('?channel=release'), [release.uuid]);
	t.deepEqual(await uuids('?channel=*'), [dev.uuid, release.uuid]);
	t.is((await fetchAll(`${upstream.url}/images?channel=x`)).status, 422);
	t.is((await fetchAll(`${upstream.url}/images/${release.uuid}/file`)).status, 404);
	const shown = await fetchAll(`${upstream.url}/images/${dev.uuid}`, {'Accept-Version': '~2'});
	t.like(JSON.parse(shown.body.toString()), {channels: ['dev']});
});

test('credentials are asked for', async t => {
	const upstream = await startUpstream(t, {auth: {user: 'joe', password: 'a:b'}});
	t.is((await fetchAll(`${upstream.url}/ping`)).status, 401);
	const Authorization = `Basic ${Buffer.from('joe:a:b').toString('base64')}`;
	t.is((await fetchAll(`${upstream.url}/ping`, {Authorization})).status, 200);
});

test('a stopped upstream refuses, and comes back on its port', async t => {
	const upstream = await startUpstream(t, {state: 'dead'});
	const url = `${upstream.url}/ping`;
	t.is(await code(url), 'ECONNREFUSED');
	await upstream.start();
	t.is(await code(url), 200);
	await upstream.stop();
	t.is(await code(url), 'ECONNREFUSED');
	await upstream.start();
	t.is(await code(url), 200);
	t.is(`${upstream.url}/ping`, url);
	t.is(await code(await deadUrl(t)), 'ECONNREFUSED');
});

test('a black hole accepts and is silent; what cannot be reached does not even accept', async t => {
	const upstream = await startUpstream(t, {state: 'blackhole'});
	const socket = connect({port: upstream.port, host: '127.0.0.1'});
	await once(socket, 'connect');
	await upstream.until(() => upstream.connections === 1);
	t.is(socket.bytesRead, 0);
	socket.destroy();

	const far = connect({port: Number(new URL(await unreachableUrl(t)).port), host: '127.0.0.1'});
	far.on('error', () => undefined);
	// Others connect meanwhile; this one is still trying.
	await upstream.stop();
	await upstream.start();
	t.is(await code(`${upstream.url}/ping`), 200);
	if (process.platform === 'linux') {
		t.true(far.connecting);
	}
	far.destroy();
});

test('TLS upstreams prove who they are, and ask who is there', async t => {
	const ca = readFileSync(testCertificates.caFile);
	const secured = await startUpstream(t, {tls: true, images: [makeImage()]});
	const mutual = await startUpstream(t, {tls: 'mutual'});
	const status = async (url: string, more: object = {}): Promise<unknown> => {
		const asked = httpsRequest(`${url}/ping`, {ca, agent: false, ...more}).end();
		const [response] = (await once(asked, 'response')) as [IncomingMessage];
		return (await collect(response)).status;
	};
	t.is(await status(secured.url), 200);
	await t.throwsAsync(status(secured.url, {ca: undefined}), {code: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE'});
	await t.throwsAsync(status(mutual.url));
	const cert = readFileSync(testCertificates.clientCertFile);
	const key = readFileSync(testCertificates.clientKeyFile);
	t.is(await status(mutual.url, {cert, key}), 200);
});

test('connections are numbered', async t => {
	const upstream = await startUpstream(t);
	const agent = new Agent({keepAlive: true, maxSockets: 1});
	t.teardown(() => agent.destroy());
	for (let turn = 0; turn < 2; turn++) {
		const asked = get(`${upstream.url}/ping`, {agent});
		const [response] = (await once(asked, 'response')) as [IncomingMessage];
		await collect(response);
	}
	await fetchAll(`${upstream.url}/ping`);
	t.deepEqual(
		upstream.requests.map(({connection}) => connection),
		[1, 1, 2],
	);
	upstream.forget();
	t.deepEqual(upstream.requests, []);
});

test('25,000 manifests are a normal day', async t => {
	const manifests = makeManifests(25_000);
	t.is(new Set(manifests.map(({uuid}) => uuid)).size, 25_000);
	const size = manifests.reduce((sum, {text}) => sum + text.length, 0) / 25_000;
	t.true(size > 900 && size < 1500, `${size} bytes each`);
	const upstream = await startUpstream(t, {images: manifests});
	t.is(listOf(await fetchAll(`${upstream.url}/images`)).length, 25_000);
});

test('the same seed makes the same bytes', t => {
	sameBytes(t, makeImage({seed: 7, size: 999}).bytes, makeImage({seed: 7, size: 999}).bytes);
	t.notDeepEqual(makeImage({size: 999}).bytes, makeImage({size: 999}).bytes);
	t.is(makeImage({size: 0}).bytes.length, 0);
	const lying = makeImage({claimedSha1: undefined, claimedSize: 5, withMd5: true});
	t.deepEqual(lying.manifest['files'], [{size: 5, compression: 'gzip', md5: lying.md5}]);
});
