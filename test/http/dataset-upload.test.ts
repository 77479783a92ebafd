/**
 * DSAPI as its publishers use it: a manifest and a file in one form, by curl; the end of a dataset.
 */
import {createHash, randomBytes} from 'node:crypto';
import {writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {Readable} from 'node:stream';
import test, {type ExecutionContext} from 'ava';
import {InvalidParameterError, RefusedError, ValidationError} from '../../src/errors.js';
import {parseManifest} from '../../src/image/manifest.js';
import type {FileOffer, WholeImage} from '../../src/publish/api.js';
import {tempDir} from '../helpers/temp-dir.js';
import {sameBytes} from '../helpers/same-bytes.js';
import {basicLogin, FakeAccess} from './fake-access.js';
import {curl} from './curl.js';
import {ask, open, startFront, type Answer, type StartedFront} from './front.js';

const uuid = 'cc707720-359e-4d84-89a7-e50959ecba43';
const login = {authorization: basicLogin('joe')};
const path = 'nodejs-1.0.0.zfs.bz2';
const bytes = randomBytes(200_000);
const sha1 = createHash('sha1').update(bytes).digest('hex');
const nobody = '00000000-0000-0000-0000-000000000000';
const manifest = {
	name: 'nodejs',
	version: '1.0.0',
	description: 'Node.js “quoted”',
	type: 'zone-dataset',
	os: 'smartos',
	uuid,
	files: [{path, sha1, size: bytes.length}],
};

async function start(t: ExecutionContext): Promise<StartedFront> {
	const started = await startFront(t, {
		access: new FakeAccess({joe: ['publish'], guest: ['read']}, {network: ['read']}),
	});
	started.mirror.publish.made = parseManifest(
		JSON.stringify({
			...{v: 2, uuid, owner: nobody, name: 'nodejs', version: '1.0.0', state: 'active', disabled: false, public: true},
			...{published_at: '2024-01-02T03:04:05.678Z', type: 'zone-dataset', os: 'smartos'},
			files: [{sha1, size: bytes.length, compression: 'bzip2'}],
		}),
	);
	return started;
}

function given({mirror}: StartedFront): {readonly image: WholeImage; readonly offer: FileOffer} {
	return mirror.publish.calls.at(-1)?.given as {image: WholeImage; offer: FileOffer};
}

interface Part {
	readonly name: string;
	readonly content: string | Buffer | object;
}

function form(parts: readonly Part[], end = '--\r\n'): Buffer {
	return Buffer.concat([
		...parts.flatMap(({name, content}) => [
			Buffer.from(`--b\r\nContent-Disposition: form-data; name="${name}"; filename="f"\r\n\r\n`),
			Buffer.isBuffer(content) ? content : Buffer.from(typeof content === 'string' ? content : JSON.stringify(content)),
			Buffer.from('\r\n'),
		]),
		Buffer.from(`--b${end}`),
	]);
}

function put(
	{url}: StartedFront,
	parts: readonly Part[],
	{at = `/datasets/${uuid}`, method = 'PUT', end = '--\r\n'} = {},
): Promise<Answer> {
	const headers = {...login, 'content-type': 'multipart/form-data; boundary=b'};
	return ask(url, at, {method, headers, body: form(parts, end)});
}

const whole: readonly Part[] = [
	{name: 'manifest', content: manifest},
	{name: path, content: bytes},
];

interface Problem {
	readonly code: string;
	readonly message: string;
	readonly error: {readonly message: string; readonly code: number};
}

function refused(t: ExecutionContext, answer: Answer, status: number, pattern: RegExp): void {
	t.is(answer.status, status);
	const {error, message} = answer.json as Problem;
	t.is(error.code, status);
	t.is(error.message, message);
	t.regex(message, pattern);
}

test('the curl line of the old documentation makes a dataset', async t => {
	const started = await start(t);
	const folder = await tempDir(t);
	await writeFile(join(folder, 'nodejs-1.0.0.dsmanifest'), JSON.stringify(manifest, undefined, 2));
	await writeFile(join(folder, path), bytes);
	const {out, code, headers} = await curl(
		[
			...['-sS', '-i', `${started.url}/datasets/${uuid}`, '-X', 'PUT', '-u', 'joe:secret'],
			...['-F', 'manifest=@nodejs-1.0.0.dsmanifest', '-F', `${path}=@${path}`],
		],
		undefined,
		folder,
	);
	t.is(code, 200);
	const dataset = await ask(started.url, `/datasets/${uuid}`);
	t.is(dataset.status, 404, 'the fake does not keep it');
	t.like(JSON.parse(out) as object, {
		...{uuid, name: 'nodejs', creator_uuid: nobody, platform_type: 'smartos'},
		files: [{path, sha1, size: bytes.length, url: `${started.url}/datasets/${uuid}/${path}`}],
	});
	t.is(headers['x-image'], uuid);
	t.is(started.mirror.publish.bodies.length, 1);
	sameBytes(t, started.mirror.publish.bodies[0], bytes);
	const {image, offer} = given(started);
	t.deepEqual(image, {manifest: {...manifest, creator_uuid: nobody}, adopt: false, activate: true});
	t.like(offer, {compression: 'bzip2', sha1, size: bytes.length, datasetGuid: undefined, storage: undefined});
	const {audit} = await started.host.logged({msg: 'audit'});
	t.like(audit, {user: 'joe', action: 'upload dataset', image: uuid, status: 200});
});

test('the answer is what GET gives from then on, ETag and all', async t => {
	const started = await start(t);
	const answer = await put(started, whole);
	started.mirror.publish.put(started.mirror.publish.made);
	const got = await ask(started.url, `/datasets/${uuid}`);
	t.is(got.text, answer.text);
	t.is(got.headers.etag, answer.headers.etag);
});

test('dsapid’s way: POST /api/upload, with parts called manifest and file', async t => {
	const started = await start(t);
	const withoutUuid = {...manifest, uuid: undefined};
	for (const told of [manifest, withoutUuid]) {
		const answer = await put(
			started,
			[
				{name: 'manifest', content: told},
				{name: 'file', content: bytes},
			],
			{at: '/api/upload', method: 'POST'},
		);
		t.is(answer.status, 200);
		const {uuid: made} = given(started).image.manifest;
		t.regex(String(made), /^[0-9a-f-]{36}$/u);
		t.is(made === manifest.uuid, told === manifest);
	}
});

test('a manifest of v2 comes through as it is, and its file may have any name', async t => {
	const started = await start(t);
	const files = [{sha1, size: bytes.length, compression: 'gzip', dataset_guid: '123'}];
	const v2 = {v: 2, uuid, owner: nobody, name: 'a', version: '1', type: 'zvol', os: 'linux', public: false, files};
	const answer = await put(started, [
		{name: 'manifest', content: {...v2, icon: true}},
		{name: 'whatever.zvol.gz', content: bytes},
	]);
	t.is(answer.status, 200);
	t.deepEqual(given(started).image.manifest, v2);
	t.like(given(started).offer, {compression: 'gzip', datasetGuid: '123'});
});

test('what a DSAPI server fills in is filled in, and dsapid’s own keys are left out', async t => {
	const started = await start(t);
	const file = {name: 'file', content: bytes};
	await put(started, [
		{name: 'manifest', content: {...manifest, type: 'zvol', provider: 'x', metadata_info: {}}},
		file,
	]);
	t.deepEqual(given(started).image.manifest, {
		...manifest,
		type: 'zvol',
		cpu_type: 'qemu64',
		creator_uuid: nobody,
	});
	await put(started, [{name: 'manifest', content: {...manifest, owner: nobody}}, file]);
	t.is(given(started).image.manifest['v'], 2);
	const withoutUuid = {...manifest, uuid: undefined};
	await put(started, [{name: 'manifest', content: withoutUuid}, file]);
	t.is(given(started).image.manifest['uuid'], uuid);
});

test('a form that is not right is refused with a reason, and nothing is published', async t => {
	const withoutFiles = {...manifest, files: undefined};
	const file = {name: path, content: bytes};
	const cases: readonly (readonly [string, readonly Part[], RegExp])[] = [
		['nothing', [], /first part of the form must be the manifest/],
		['file first', [file, {name: 'manifest', content: manifest}], /must be the manifest: it is called "nodejs-1/],
		['no file', [{name: 'manifest', content: manifest}], /has no part for the file nodejs-1\.0\.0\.zfs\.bz2/],
		['other uuid', [{name: 'manifest', content: {...manifest, uuid: nobody}}, file], /uuid is not cc707720/],
		['uuid of a kind', [{name: 'manifest', content: {...manifest, uuid: 5}}, file], /uuid is not cc707720/],
		['no files', [{name: 'manifest', content: withoutFiles}, file], /must name one file/],
		['files are text', [{name: 'manifest', content: {...manifest, files: 'x'}}, file], /must name one file/],
		['two files', [{name: 'manifest', content: {...manifest, files: [{}, {}]}}, file], /must name one file/],
		[
			'size is text',
			[{name: 'manifest', content: {...manifest, files: [{path, size: '5'}]}}, file],
			/no number of bytes/,
		],
		[
			'other name',
			[
				{name: 'manifest', content: manifest},
				{name: '../../etc/passwd', content: bytes},
			],
			/must be its file/,
		],
		['no JSON', [{name: 'manifest', content: '{"a":'}, file], /not JSON/],
		['no object', [{name: 'manifest', content: '[]'}, file], /no object/],
		['too deep', [{name: 'manifest', content: '['.repeat(1_000_000)}, file], /manifest/],
		[
			'a part too many',
			[{name: 'manifest', content: manifest}, file, {name: 'x', content: 'y'}],
			/a part too many: "x"/,
		],
	];
	for (const [what, parts, pattern] of cases) {
		const started = await start(t);
		refused(t, await put(started, parts), 400, pattern);
		t.deepEqual(started.mirror.publish.bodies, [], what);
	}
	const started = await start(t);
	refused(t, await put(started, whole, {end: ''}), 400, /no proper end/);
	t.deepEqual(started.mirror.publish.bodies, []);
	const large = await put(started, [
		{name: 'manifest', content: Buffer.alloc(3_000_000, ' ')},
		{name: path, content: bytes},
	]);
	t.is(large.status, 413);
	const plain = await ask(started.url, `/datasets/${uuid}`, {method: 'PUT', headers: login, body: '{}'});
	refused(t, plain, 400, /multipart\/form-data/);
	t.is(started.mirror.publish.calls.length, 1, 'of the form without its end');
});

test('names that quotes and line ends are in are known again', async t => {
	const odd = 'a"b\\c ü\r\n.zfs.gz';
	const told = {...manifest, files: [{...manifest.files[0], path: odd}]};
	for (const name of ['a%22b\\c ü%0D%0A.zfs.gz']) {
		const started = await start(t);
		const answer = await put(started, [
			{name: 'manifest', content: told},
			{name, content: bytes},
		]);
		t.is(answer.status, 200, answer.text);
		t.is(given(started).offer.compression, 'gzip');
	}
});

test('refusals of the publish room have DSAPI’s statuses', async t => {
	const cases: readonly (readonly [Error, number, RegExp])[] = [
		[new ValidationError('no', [{field: 'name', code: 'Invalid', message: 'too odd'}]), 400, /no; name: too odd/],
		[new InvalidParameterError('no', [{field: 'sha1', code: 'Invalid'}]), 400, /sha1: Invalid/],
		[new RefusedError('Download', 'the sha1 differs'), 400, /sha1 differs/],
		[new RefusedError('OriginDoesNotExist', 'no origin'), 400, /no origin/],
		[new RefusedError('ImageUuidAlreadyExists', 'there already'), 409, /there already/],
		[new RefusedError('NotImageOwner', 'not yours'), 403, /not yours/],
	];
	for (const [error, status, pattern] of cases) {
		const started = await start(t);
		started.mirror.publish.before.publishFile = () => {
			throw error;
		};
		refused(t, await put(started, whole), status, pattern);
	}
});

test('whoever may not publish is turned away before the form is read', async t => {
	const {url, mirror} = await start(t);
	t.is((await ask(url, `/datasets/${uuid}`, {method: 'PUT', body: 'x'})).status, 401);
	const guest = {authorization: basicLogin('guest')};
	t.is((await ask(url, `/datasets/${uuid}`, {method: 'PUT', headers: guest, body: 'x'})).status, 403);
	t.is((await ask(url, `/datasets/${uuid}`, {method: 'DELETE'})).status, 401);
	t.is((await ask(url, '/api/upload', {method: 'POST'})).status, 401);
	t.is((await ask(url, '/datasets/no-uuid', {method: 'PUT', headers: login})).status, 404);
	t.deepEqual(mirror.publish.calls, []);
});

test('a client that leaves in the midst of its file publishes nothing', async t => {
	const {port, mirror} = await start(t);
	let began: () => void = () => undefined;
	const reading = new Promise<void>(resolve => (began = resolve));
	let ended: (how: unknown) => void = () => undefined;
	const outcome = new Promise<unknown>(resolve => (ended = resolve));
	mirror.publish.take = async body => {
		try {
			for await (const piece of body) {
				t.true(piece.length > 0);
				began();
			}
			ended('whole');
		} catch (error) {
			ended(error);
			throw error;
		}
	};
	const body = form(whole);
	const socket = await open(port);
	socket.write(
		`PUT /datasets/${uuid} HTTP/1.1\r\nHost: h\r\nAuthorization: ${login.authorization}\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: ${body.length}\r\n\r\n`,
	);
	socket.write(body.subarray(0, 100_000));
	await reading;
	socket.destroy();
	t.is(((await outcome) as Error).name, 'AbortError');
});

test('DELETE ends a dataset', async t => {
	const {url, mirror} = await start(t);
	mirror.publish.put(mirror.publish.made);
	const gone = await ask(url, `/datasets/${uuid}`, {method: 'DELETE', headers: login});
	t.is(gone.status, 204);
	t.is(gone.body.length, 0);
	t.like(mirror.publish.calls.at(-1), {verb: 'delete', uuid, given: {forceAllChannels: true}});
	const again = await ask(url, `/datasets/${uuid}`, {method: 'DELETE', headers: login});
	refused(t, again, 404, /not found/);
	mirror.publish.before.delete = () => {
		throw new RefusedError('NotImageOwner', 'not yours');
	};
	refused(t, await ask(url, `/datasets/${uuid}`, {method: 'DELETE', headers: login}), 403, /not yours/);
	t.is((await ask(url, '/datasets/a:b:c:d', {method: 'DELETE', headers: login})).status, 404);
});

test('a large file passes through without being held', async t => {
	const {url, mirror} = await start(t);
	const size = 300 * 1024 * 1024;
	const hash = createHash('sha1');
	let sent = 0;
	let got = 0;
	let mostOnTheWay = 0;
	mirror.publish.take = async body => {
		for await (const piece of body) {
			got += piece.length;
			hash.update(piece);
			// Slower than its sender, who then has to wait.
			await new Promise(resolve => setImmediate(resolve));
		}
	};
	const block = randomBytes(1024 * 1024);
	const expected = createHash('sha1');
	const stream = Readable.from(
		(function* () {
			const large = {...manifest, files: [{path, size}]};
			yield form([{name: 'manifest', content: large}], '');
			yield Buffer.from(`\r\nContent-Disposition: form-data; name="${path}"\r\n\r\n`);
			while (sent < size) {
				expected.update(block);
				sent += block.length;
				mostOnTheWay = Math.max(mostOnTheWay, sent - got);
				yield block;
			}
			yield Buffer.from('\r\n--b--\r\n');
		})(),
	);
	const {out} = await curl(
		[
			...['-sS', '-u', 'joe:secret', '-X', 'PUT', '-H', 'Content-Type: multipart/form-data; boundary=b', '-T', '-'],
			`${url}/datasets/${uuid}`,
		],
		stream,
	);
	t.is((JSON.parse(out) as {uuid: string}).uuid, uuid);
	t.is(got, size);
	t.is(hash.digest('hex'), expected.digest('hex'));
	// Between them are curl and the kernel's buffers; what memory Node leaves uncollected says nothing.
	t.true(mostOnTheWay < 64 * 1024 * 1024, `${Math.round(mostOnTheWay / 1024 / 1024)} MiB`);
});
