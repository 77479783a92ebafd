/**
 * The other ways to publish, before a real publish area: what they leave on disk, when they end well and when they do
 * not, and across a restart.
 */
import {randomBytes} from 'node:crypto';
import {gzipSync} from 'node:zlib';
import test, {type ExecutionContext} from 'ava';
import type {PublishApi} from '../../src/publish/api.js';
import {basic, change, sha1Of, startPublisher, type PublisherRig} from '../publish/start-publisher.js';
import {curl} from './curl.js';
import {basicLogin, FakeAccess} from './fake-access.js';
import {ask, heard, hears, open, startFront, type Answer, type StartedFront} from './front.js';

const login = {authorization: basicLogin('joe')};
const tus = {...login, 'Tus-Resumable': '1.0.0'};
const bytes = gzipSync(randomBytes(300_000));
const sha1 = sha1Of(bytes);
const uuid = 'cc707720-359e-4d84-89a7-e50959ecba43';

interface Rig extends StartedFront {
	readonly rig: PublisherRig;
	readonly send: (method: string, path: string, headers: Record<string, string>, body?: Buffer) => Promise<Answer>;
}

async function start(t: ExecutionContext, rig?: PublisherRig): Promise<Rig> {
	const publisher = rig ?? (await startPublisher(t));
	const access = new FakeAccess({joe: ['publish'], ann: ['publish']}, {network: ['read', 'private']});
	const started = await startFront(t, {access});
	(started.mirror as unknown as {publish: PublishApi}).publish = publisher.publisher;
	return {
		...started,
		rig: publisher,
		send(method, path, headers, body) {
			return ask(started.url, path, {method, headers: {...tus, ...headers}, ...(body === undefined ? {} : {body})});
		},
	};
}

function text(value: string): string {
	return Buffer.from(value).toString('base64');
}

const nothing = {uploads: [], published: [], blobs: []};

test('one curl makes an active image of a pipe, its compression found out', async t => {
	const {url, rig} = await start(t);
	const {out, headers} = await curl(
		[
			'-sS',
			'-i',
			'-u',
			'joe:secret',
			'-T',
			'-',
			`${url}/publish?name=a/b%20c&version=1.0&public=true&tag.%22=%0A%E2%82%AC`,
		],
		bytes,
	);
	const manifest = JSON.parse(out) as {uuid: string};
	t.like(manifest, {
		...{name: 'a/b c', version: '1.0', state: 'active', public: true, type: 'zone-dataset', os: 'smartos'},
		files: [{sha1, size: bytes.length, compression: 'gzip'}],
		tags: {'"': '\n€'},
	});
	t.is(headers['x-image'], manifest.uuid);
	t.deepEqual((await rig.litter()).blobs, [sha1]);
	t.deepEqual((await rig.litter()).uploads, []);
});

test('what cannot become an image is refused, and leaves nothing', async t => {
	const {url, rig} = await start(t);
	const cases: readonly (readonly [number, string, string])[] = [
		[422, 'ValidationFailed', 'name=a%00b&version=1'],
		[422, 'ValidationFailed', 'name=a%0D%0ASet-Cookie:%20x&version=%22'],
		[422, 'ValidationFailed', 'name=a&version=1&type=floppy'],
		[422, 'OriginDoesNotExist', `name=a&version=1&origin=${uuid}`],
		[422, 'InvalidParameter', 'name=a&version=1&uuid=5'],
		[422, 'InvalidParameter', 'name=a&version=1&compression=rar'],
		[400, 'Download', `name=a&version=1&sha1=${'0'.repeat(40)}`],
		[400, 'Upload', 'name=a&version=1&compression=xz'],
	];
	for (const [status, code, query] of cases) {
		const answer = await ask(url, `/publish?${query}`, {method: 'PUT', headers: login, body: bytes});
		t.is(answer.status, status, query);
		t.is((answer.json as {code: string}).code, code, query);
	}
	t.is((await ask(url, '/publish?name=a&version=1', {method: 'PUT', headers: login, body: ''})).status, 400);
	t.deepEqual(await rig.litter(), nothing);
});

function datasetForm(more: object, end = '--\r\n'): Buffer {
	const manifest = {
		...{uuid, name: 'nodejs', version: '1.0.0', description: 'd', type: 'zone-dataset', os: 'smartos'},
		files: [{path: 'nodejs-1.0.0.zfs.gz', sha1, size: bytes.length, ...more}],
	};
	const head = (name: string): string => `--b\r\nContent-Disposition: form-data; name="${name}"; filename="x"\r\n\r\n`;
	return Buffer.concat([
		Buffer.from(`${head('manifest')}${JSON.stringify(manifest)}\r\n${head('nodejs-1.0.0.zfs.gz')}`),
		bytes,
		Buffer.from(`\r\n--b${end}`),
	]);
}

test('a dataset goes in, is there, cannot be put twice, and is its own publisher’s to delete', async t => {
	const {url, rig} = await start(t);
	const form = {...login, 'content-type': 'multipart/form-data; boundary=b'};
	const put = (body: Buffer): Promise<Answer> => ask(url, `/datasets/${uuid}`, {method: 'PUT', headers: form, body});
	for (const [wrong, problem] of [
		[{sha1: '0'.repeat(40)}, /sha1/],
		[{size: bytes.length - 1}, /bytes/],
		[{size: bytes.length + 1}, /bytes/],
	] as const) {
		const refused = await put(datasetForm(wrong));
		t.is(refused.status, 400, refused.text);
		t.regex((refused.json as {error: {message: string}}).error.message, problem);
		t.deepEqual(await rig.litter(), nothing);
	}
	t.is((await put(datasetForm({}, ''))).status, 400, 'without its end');
	t.deepEqual(await rig.litter(), nothing);

	const made = await put(datasetForm({}));
	t.is(made.status, 200, made.text);
	t.is((await ask(url, `/datasets/${uuid}`)).text, made.text);
	t.like(rig.publisher.list()[0], {uuid, state: 'active', public: true});
	t.is((await put(datasetForm({}))).status, 409);
	const ann = {authorization: basicLogin('ann')};
	t.is((await ask(url, `/datasets/${uuid}`, {method: 'DELETE', headers: ann})).status, 403);
	t.is((await ask(url, `/datasets/${uuid}`, {method: 'DELETE', headers: login})).status, 204);
	t.is((await ask(url, `/datasets/${uuid}`)).status, 404);
	t.deepEqual(await rig.litter(), nothing);
});

test('an upload survives a broken line and a restart, and becomes its image', async t => {
	const first = await start(t);
	const metadata = `name ${text('big')},version ${text('1')},sha1 ${text(sha1)},public ${text('true')}`;
	const made = await first.send('POST', '/uploads', {
		'Upload-Length': String(bytes.length),
		'Upload-Metadata': metadata,
	});
	t.is(made.status, 201, made.text);
	const path = String(made.headers.location);

	const socket = await open(first.port);
	socket.write(
		`PATCH ${path} HTTP/1.1\r\nHost: h\r\nAuthorization: ${login.authorization}\r\nTus-Resumable: 1.0.0\r\nUpload-Offset: 0\r\n` +
			`Content-Type: application/offset+octet-stream\r\nContent-Length: ${bytes.length}\r\nExpect: 100-continue\r\n\r\n`,
	);
	await hears(socket, '100 Continue');
	const cut = heard(socket);
	socket.write(bytes.subarray(0, 100_000));
	// Answered when the one before has stopped.
	const looked = await first.send('HEAD', path, {});
	t.is(looked.status, 200);
	await cut;
	const offset = Number(looked.headers['upload-offset']);
	t.true(offset <= 100_000);
	const more = await first.send(
		'PATCH',
		path,
		{'Upload-Offset': String(offset), 'Content-Type': 'application/offset+octet-stream'},
		bytes.subarray(offset, 200_000),
	);
	t.is(more.status, 204);
	await first.front.stop({drainMs: 0});

	const second = await start(t, await first.rig.restart());
	const again = await second.send('HEAD', path, {});
	t.like(again.headers, {
		'upload-offset': '200000',
		'upload-length': String(bytes.length),
		'upload-metadata': metadata,
	});
	t.is((await second.send('HEAD', path, {authorization: basicLogin('ann')})).status, 403, 'its owner is known still');
	const last = await second.send(
		'PATCH',
		path,
		{'Upload-Offset': '200000', 'Content-Type': 'application/offset+octet-stream'},
		bytes.subarray(200_000),
	);
	t.is(last.status, 204, last.text);
	const [image] = second.rig.publisher.list();
	t.like(image, {name: 'big', state: 'active', files: [{sha1, size: bytes.length}]});
	t.is(last.headers['x-image'], image?.uuid);

	const third = await start(t, await second.rig.restart());
	const done = await third.send('HEAD', path, {});
	t.is(done.headers['x-image'], image?.uuid);
	t.is(done.headers.etag, last.headers.etag);
	await third.rig.host.clock.advance(3_600_001);
	t.is((await third.send('HEAD', path, {})).status, 404, 'nobody needs it any more');
});

test('a resumed file that is wrong is refused, and leaves nothing', async t => {
	const {send, rig} = await start(t);
	const metadata = `name ${text('big')},version ${text('1')},sha1 ${text('0'.repeat(40))}`;
	const made = await send('POST', '/uploads', {'Upload-Length': String(bytes.length), 'Upload-Metadata': metadata});
	const answer = await send(
		'PATCH',
		String(made.headers.location),
		{'Upload-Offset': '0', 'Content-Type': 'application/offset+octet-stream'},
		bytes,
	);
	t.is(answer.status, 400);
	t.like(answer.json, {code: 'Download'});
	t.is((await send('HEAD', String(made.headers.location), {})).status, 404);
	t.deepEqual(await rig.litter(), nothing);
	const large = await send('POST', '/uploads', {'Upload-Length': '2000000', 'Upload-Metadata': metadata});
	t.is(large.status, 400, 'larger than is taken');
	t.is((await send('POST', '/uploads', {'Upload-Length': '5', 'Upload-Metadata': `image ${text(uuid)}`})).status, 404);
	t.deepEqual(await rig.litter(), nothing);
});

test('a file for an image that is there, in pieces of unknown number', async t => {
	const {send, rig} = await start(t);
	const target = await rig.publisher.create(basic, change({as: 'joe'}));
	const metadata = `image ${text(target.uuid)},compression ${text('gzip')}`;
	const made = await send('POST', '/uploads', {'Upload-Defer-Length': '1', 'Upload-Metadata': metadata});
	t.is(made.status, 201, made.text);
	const path = String(made.headers.location);
	const piece = {'Content-Type': 'application/offset+octet-stream'};
	t.is((await send('PATCH', path, {...piece, 'Upload-Offset': '0'}, bytes.subarray(0, 1000))).status, 204);
	const last = await send(
		'PATCH',
		path,
		{...piece, 'Upload-Offset': '1000', 'Upload-Length': String(bytes.length)},
		bytes.subarray(1000),
	);
	t.is(last.status, 204, last.text);
	t.is(last.headers['x-image'], target.uuid);
	t.like(rig.publisher.get(target.uuid), {state: 'unactivated', files: [{sha1}]});
});
