/**
 * Uploads by the tus protocol: each of its rules, and what becomes of one that is whole.
 */
import {createHash, randomBytes} from 'node:crypto';
import test, {type ExecutionContext} from 'ava';
import fc from 'fast-check';
import {RefusedError} from '../../src/errors.js';
import {fullHeaders, parseMetadata} from '../../src/http/uploads-headers.js';
import {UploadTurns} from '../../src/http/uploads-turns.js';
import {anyCharacter} from '../helpers/any-character.js';
import {sameBytes} from '../helpers/same-bytes.js';
import {curl} from './curl.js';
import {basicLogin, FakeAccess} from './fake-access.js';
import {FakeUploads} from './fake-uploads.js';
import {ask, heard, hears, open, startFront, type Answer, type FrontOptions, type StartedFront} from './front.js';

const image = '11111111-2222-4333-8444-555555555555';
const joe = basicLogin('joe');
const tus = {'Tus-Resumable': '1.0.0', authorization: joe};
const bytesType = {'Content-Type': 'application/offset+octet-stream'};
const described = `name ${text('nodejs')},version ${text('1.0.0')}`;

function text(value: string): string {
	return Buffer.from(value).toString('base64');
}

interface Started extends StartedFront {
	readonly uploads: FakeUploads;
	/** A request with the headers that all of them have. */
	readonly send: (
		method: string,
		path: string,
		headers?: Record<string, string>,
		body?: Buffer | string,
	) => Promise<Answer>;
	/** A new upload's path. */
	readonly create: (headers: Record<string, string>) => Promise<string>;
}

async function start(t: ExecutionContext, options: FrontOptions = {}): Promise<Started> {
	const access = new FakeAccess(
		{joe: ['publish'], ann: ['publish'], root: ['operate'], guest: ['private']},
		{network: ['read']},
	);
	const started = await startFront(t, {access, ...options});
	const uploads = new FakeUploads();
	started.mirror.publish.uploads = uploads;
	started.mirror.publish.put(uploads.made);
	const send: Started['send'] = (method, path, headers = {}, body) =>
		ask(started.url, path, {method, headers: {...tus, ...headers}, ...(body === undefined ? {} : {body})});
	return {
		...started,
		uploads,
		send,
		async create(headers) {
			const made = await send('POST', '/uploads', {'Upload-Metadata': described, ...headers});
			t.is(made.status, 201, made.text);
			return String(made.headers.location);
		},
	};
}

/** One that is in the midst of its bytes. */
async function halfSent(
	t: ExecutionContext,
	started: Started,
	path: string,
	half: Buffer,
	whole: number,
): Promise<Sending> {
	const socket = await open(started.port);
	const ended = heard(socket);
	const arrived = new Promise<void>(resolve => {
		started.uploads.onPiece = (_, offset) => offset >= half.length && resolve();
	});
	socket.write(
		`PATCH ${path} HTTP/1.1\r\nHost: h\r\nAuthorization: ${joe}\r\nTus-Resumable: 1.0.0\r\nUpload-Offset: 0\r\n` +
			`Content-Type: application/offset+octet-stream\r\nContent-Length: ${whole}\r\n\r\n`,
	);
	socket.write(half);
	await arrived;
	t.pass();
	return {ended, hears: text => hears(socket, text), leave: () => socket.destroy()};
}

interface Sending {
	/** What it was answered. */
	readonly ended: Promise<string>;
	readonly hears: (text: string) => Promise<string>;
	readonly leave: () => void;
}

test('an upload is made, sent in pieces, and becomes an image with its last byte', async t => {
	const {send, uploads, host} = await start(t);
	const bytes = randomBytes(1000);
	const metadata = `${described},os ${text('smartos')},sha1 ${text('abc')},filename ${text('x.gz')},is_confidential`;
	const refused = await send('POST', '/uploads', {'Upload-Length': '1000', 'Upload-Metadata': metadata});
	t.is(refused.status, 422, 'a name that means nothing');
	const known = metadata.replace(',is_confidential', '');
	const made = await send('POST', '/uploads', {'Upload-Length': '1000', 'Upload-Metadata': known});
	t.is(made.status, 201);
	t.is(made.headers.location, '/uploads/upload-1');
	t.is(made.headers['tus-resumable'], '1.0.0');
	t.is(made.headers['upload-expires'], 'Tue, 02 Jan 2024 03:04:05 GMT');
	t.is(made.headers['upload-offset'], '0');
	const kept = uploads.kept.get('upload-1');
	t.deepEqual(kept?.purpose, {
		kind: 'image',
		image: {manifest: {name: 'nodejs', version: '1.0.0', os: 'smartos'}, adopt: false, activate: true},
	});
	t.is(kept?.offer.sha1, 'abc');
	t.deepEqual(kept?.change.actor, {name: 'joe', operator: false});

	const path = String(made.headers.location);
	const first = await send('PATCH', path, {...bytesType, 'Upload-Offset': '0'}, bytes.subarray(0, 400));
	t.is(first.status, 204);
	t.is(first.headers['upload-offset'], '400');
	t.truthy(first.headers['upload-expires']);
	t.is(first.headers['x-image'], undefined);

	const head = await send('HEAD', path);
	t.is(head.status, 200);
	t.like(head.headers, {
		'tus-resumable': '1.0.0',
		'upload-offset': '400',
		'upload-length': '1000',
		'upload-metadata': known,
		'cache-control': 'no-store',
	});

	const last = await send('PATCH', path, {...bytesType, 'Upload-Offset': '400'}, bytes.subarray(400));
	t.is(last.status, 204);
	t.like(last.headers, {'upload-offset': '1000', 'x-image': image, 'tus-resumable': '1.0.0'});
	t.is(last.headers.etag, `"${createHash('sha1').update(uploads.made.text).digest('hex')}"`);
	t.is(last.headers['upload-expires'], undefined);
	sameBytes(t, uploads.finished[0]?.bytes, bytes);
	const done = await send('HEAD', path);
	t.like(done.headers, {'upload-offset': '1000', 'upload-length': '1000', 'x-image': image, etag: last.headers.etag});
	const again = await send('PATCH', path, {...bytesType, 'Upload-Offset': '1000'});
	t.is(again.status, 204, 'somebody who missed the answer');
	t.is(again.headers['x-image'], image);
	t.is(uploads.finished.length, 1);
	const line = await host.logged(/"action":"finish upload"/);
	t.like(line['audit'], {user: 'joe', image, status: 204});
});

test('an upload may be the file of an image that is there', async t => {
	const {create, send, uploads} = await start(t);
	const metadata = `image ${text(image)},compression ${text('gzip')},dataset_guid ${text('7')},channel ${text('dev')}`;
	await create({'Upload-Length': '5', 'Upload-Metadata': metadata});
	const kept = uploads.kept.get('upload-1');
	t.deepEqual(kept?.purpose, {kind: 'file', image});
	t.deepEqual(kept?.offer, {compression: 'gzip', sha1: undefined, datasetGuid: '7', storage: undefined});
	t.is(kept?.change.channel, 'dev');
	await send('PATCH', '/uploads/upload-1', {...bytesType, 'Upload-Offset': '0'}, '12345');
	t.is(uploads.finished[0]?.change.channel, 'dev');
	for (const wrong of [`image ${text('x')}`, `${metadata},name ${text('x')}`]) {
		t.is((await send('POST', '/uploads', {'Upload-Length': '5', 'Upload-Metadata': wrong})).status, 422, wrong);
	}
	const missing = await send('POST', '/uploads', {'Upload-Length': '5'});
	t.is(missing.status, 422);
	t.like(missing.json, {code: 'ValidationFailed', errors: [{field: 'name'}, {field: 'version'}]});
});

test('the first bytes may come with the making, all of them too', async t => {
	const {send, uploads} = await start(t);
	const headers = {...bytesType, 'Upload-Metadata': described};
	const part = await send('POST', '/uploads', {...headers, 'Upload-Length': '10'}, 'part');
	t.is(part.status, 201);
	t.is(part.headers['upload-offset'], '4');
	const all = await send('POST', '/uploads', {...headers, 'Upload-Length': '3'}, 'all');
	t.is(all.status, 201);
	t.like(all.headers, {'upload-offset': '3', 'x-image': image, location: '/uploads/upload-2'});
	t.deepEqual(
		uploads.finished.map(({bytes}) => bytes.toString()),
		['all'],
	);
	t.is((await send('POST', '/uploads', {...headers, 'Upload-Length': '3'}, 'more')).status, 413);
	const none = await send('POST', '/uploads', {'Upload-Metadata': described, 'Upload-Length': '0'});
	t.is(none.headers['x-image'], image, 'the publish room says what it thinks of nothing');
});

test('the length may come later, once', async t => {
	const {create, send, uploads} = await start(t);
	const path = await create({'Upload-Defer-Length': '1'});
	const first = await send('PATCH', path, {...bytesType, 'Upload-Offset': '0'}, '1234');
	t.is(first.status, 204);
	t.is(first.headers['upload-defer-length'], '1');
	const head = await send('HEAD', path);
	t.is(head.headers['upload-defer-length'], '1');
	t.is(head.headers['upload-length'], undefined);
	const sized = {...bytesType, 'Upload-Offset': '4'};
	t.is((await send('PATCH', path, {...sized, 'Upload-Length': '3'}, 'x')).status, 400, 'less than is there');
	t.is((await send('PATCH', path, {...sized, 'Upload-Length': '6'}, '5')).status, 204);
	t.is((await send('PATCH', path, {...bytesType, 'Upload-Offset': '5', 'Upload-Length': '7'}, '6')).status, 400);
	const last = await send('PATCH', path, {...bytesType, 'Upload-Offset': '5', 'Upload-Length': '6'}, '6');
	t.is(last.headers['x-image'], image);
	t.is(uploads.finished[0]?.bytes.toString(), '123456');
});

test('what breaks the rules of the protocol is refused as it says', async t => {
	const {create, send, url, uploads} = await start(t);
	const path = await create({'Upload-Length': '10'});
	const piece = {...bytesType, 'Upload-Offset': '0'};
	const cases: readonly (readonly [number, string, string, Record<string, string>, string?])[] = [
		[412, 'PATCH', path, {...piece, 'Tus-Resumable': '0.2.2'}, 'x'],
		[412, 'HEAD', path, {'Tus-Resumable': ''}],
		[400, 'POST', '/uploads', {'Upload-Metadata': described}],
		[400, 'POST', '/uploads', {'Upload-Metadata': described, 'Upload-Length': '1', 'Upload-Defer-Length': '1'}],
		[400, 'POST', '/uploads', {'Upload-Metadata': described, 'Upload-Defer-Length': '2'}],
		[400, 'POST', '/uploads', {'Upload-Metadata': described, 'Upload-Length': '-1'}],
		[400, 'POST', '/uploads', {'Upload-Metadata': described, 'Upload-Length': '1e3'}],
		[400, 'POST', '/uploads', {'Upload-Metadata': described, 'Upload-Length': '9999999999999999'}],
		[400, 'POST', '/uploads', {'Upload-Metadata': described, 'Upload-Length': '1', 'Upload-Concat': 'partial'}],
		[400, 'POST', '/uploads', {'Upload-Metadata': 'name ???', 'Upload-Length': '1'}],
		[400, 'POST', '/uploads', {'Upload-Metadata': `name ${text('a')},name ${text('b')}`, 'Upload-Length': '1'}],
		[400, 'POST', '/uploads', {'Upload-Metadata': 'name /w==', 'Upload-Length': '1'}],
		[422, 'POST', '/uploads', {'Upload-Metadata': `${described},__proto__ ${text('a')}`, 'Upload-Length': '1'}],
		[415, 'PATCH', path, {'Upload-Offset': '0', 'Content-Type': 'application/octet-stream'}, 'x'],
		[400, 'PATCH', path, {...bytesType}, 'x'],
		[400, 'PATCH', path, {...bytesType, 'Upload-Offset': 'x'}, 'x'],
		[409, 'PATCH', path, {...bytesType, 'Upload-Offset': '1'}, 'x'],
		[413, 'PATCH', path, piece, 'more than ten'],
		[413, 'PATCH', path, {...piece, 'Transfer-Encoding': 'chunked'}, 'more than ten'],
		[404, 'PATCH', '/uploads/nobody-knows', piece, 'x'],
		[404, 'HEAD', '/uploads/..%2f..%2fetc%2fpasswd', {}],
		[404, 'DELETE', '/uploads/nobody-knows', {}],
		[405, 'POST', path, piece, 'x'],
		[405, 'PUT', path, piece, 'x'],
	];
	for (const [status, method, at, headers, body] of cases) {
		const answer = await send(method, at, headers, body);
		t.is(answer.status, status, `${method} ${at} ${JSON.stringify(headers)}`);
		if (status !== 405 || method === 'POST') {
			t.is(answer.headers['tus-resumable'], '1.0.0');
		}
		if (status === 412) {
			t.is(answer.headers['tus-version'], '1.0.0');
		}
		if (method !== 'HEAD') {
			t.is(typeof (answer.json as {code: unknown}).code, 'string');
		}
	}
	const conflict = await send('PATCH', path, {...bytesType, 'Upload-Offset': '1'}, 'x');
	t.is(conflict.headers['upload-offset'], '0');
	const without = await ask(url, path, {method: 'PATCH', headers: {authorization: joe, ...piece}, body: 'x'});
	t.is(without.status, 412);
	t.is(uploads.kept.get('upload-1')?.upload.offset, 0);
	t.is(uploads.kept.size, 1);
});

test('anybody may ask what is spoken', async t => {
	const {url} = await start(t);
	for (const path of ['/uploads', '/uploads/x']) {
		const answer = await ask(url, path, {method: 'OPTIONS'});
		t.is(answer.status, 204);
		t.like(answer.headers, {
			'tus-version': '1.0.0',
			'tus-extension': 'creation,creation-with-upload,creation-defer-length,expiration,termination',
		});
	}
});

test('only who has begun an upload goes on with it, and operators', async t => {
	const {create, send, url} = await start(t);
	const path = await create({'Upload-Length': '3'});
	const as = (user: string): Record<string, string> => ({authorization: basicLogin(user)});
	for (const method of ['HEAD', 'PATCH', 'DELETE', 'GET']) {
		const piece = {...bytesType, 'Upload-Offset': '0'};
		t.is((await send(method, path, {...as('ann'), ...piece})).status, 403, method);
		t.is((await send(method, path, {...as('guest'), ...piece})).status, 403, method);
		t.is((await ask(url, path, {method, headers: piece})).status, 401, method);
	}
	t.is((await send('HEAD', path, as('root'))).status, 200);
	t.is((await send('PATCH', path, {...as('root'), ...bytesType, 'Upload-Offset': '0'}, 'abc')).status, 204);
	t.is((await ask(url, '/uploads', {method: 'POST'})).status, 401);
});

test('a connection that breaks keeps what came, and its client goes on from there', async t => {
	const started = await start(t);
	const {create, send, uploads} = started;
	const bytes = randomBytes(200_000);
	const path = await create({'Upload-Length': String(bytes.length)});
	const sending = await halfSent(t, started, path, bytes.subarray(0, 90_000), bytes.length);
	sending.leave();
	const head = await send('HEAD', path);
	t.is(head.headers['upload-offset'], '90000');
	const rest = await send('PATCH', path, {...bytesType, 'Upload-Offset': '90000'}, bytes.subarray(90_000));
	t.is(rest.headers['x-image'], image);
	sameBytes(t, uploads.finished[0]?.bytes, bytes);
});

test('whoever comes again takes over from a connection that the server believes to be alive', async t => {
	for (const method of ['HEAD', 'PATCH', 'DELETE']) {
		const started = await start(t);
		const path = await started.create({'Upload-Length': '2000'});
		const sending = await halfSent(t, started, path, Buffer.alloc(1000, 'x'), 2000);
		const answer = await started.send(
			method,
			path,
			{...bytesType, 'Upload-Offset': '1000'},
			method === 'PATCH' ? Buffer.alloc(500, 'y') : undefined,
		);
		t.is(answer.status, method === 'HEAD' ? 200 : 204, method);
		if (method !== 'DELETE') {
			t.is(answer.headers['upload-offset'], method === 'HEAD' ? '1000' : '1500');
		}
		t.is(await sending.ended, '', 'the older one is cut');
		await started.host.logged(/another request goes on/);
	}
});

test('one who may not go on with an upload cuts nobody off', async t => {
	const started = await start(t);
	const path = await started.create({'Upload-Length': '2000'});
	const sending = await halfSent(t, started, path, Buffer.alloc(1000, 'x'), 2000);
	t.is((await started.send('HEAD', path, {authorization: basicLogin('ann')})).status, 403);
	t.is((await started.send('GET', path)).status, 200, 'and looking does not, either');
	sending.leave();
	t.is((await started.send('HEAD', path)).headers['upload-offset'], '1000');
});

test('a wrong file is refused as anywhere, and the upload is gone', async t => {
	const {create, send, uploads} = await start(t);
	uploads.onFinish = () => {
		throw new RefusedError('Download', 'the sha1 differs');
	};
	const path = await create({'Upload-Length': '3'});
	const answer = await send('PATCH', path, {...bytesType, 'Upload-Offset': '0'}, 'bad');
	t.is(answer.status, 400);
	t.like(answer.json, {code: 'Download', message: 'the sha1 differs'});
	t.is(answer.headers['tus-resumable'], '1.0.0');
	t.is((await send('HEAD', path)).status, 404);
});

test('what was whole when the server went down becomes its image when its client asks', async t => {
	const {create, send, uploads} = await start(t);
	const path = await create({'Upload-Length': '3'});
	await uploads.append(
		'upload-1',
		0,
		(async function* () {
			yield Buffer.from('all');
		})(),
	);
	t.deepEqual(uploads.finished, []);
	const head = await send('HEAD', path);
	t.is(head.headers['x-image'], image);
	t.is(uploads.finished.length, 1);
});

test('a client that leaves before the answer does not stop what becomes of its upload', async t => {
	const started = await start(t);
	const {uploads, send} = started;
	const path = await started.create({'Upload-Length': '3'});
	let go: () => void = () => undefined;
	const held = new Promise<void>(resolve => (go = resolve));
	const asked = new Promise<void>(resolve => {
		uploads.onFinish = async () => {
			resolve();
			await held;
		};
	});
	const {leave} = await halfSent(t, started, path, Buffer.from('all'), 3);
	await asked;
	leave();
	const head = send('HEAD', path);
	go();
	t.is((await head).headers['x-image'], image);
	t.is(uploads.finished.length, 1);
	t.false(uploads.finished[0]?.change.ask.signal.aborted);
});

test('an upload that stands still for too long ends, and keeps what came', async t => {
	const started = await start(t);
	const path = await started.create({'Upload-Length': '2000'});
	const sending = await halfSent(t, started, path, Buffer.alloc(700, 'x'), 2000);
	const told = sending.hears('RequestTimeoutError');
	await started.host.clock.advance(60_001);
	t.regex(await told, /^HTTP\/1\.1 408 /);
	sending.leave();
	t.is((await started.send('HEAD', path)).headers['upload-offset'], '700');
});

test('an upload can be given up, by POST as well', async t => {
	const {create, send} = await start(t);
	const first = await create({'Upload-Length': '3'});
	t.is((await send('DELETE', first)).status, 204);
	t.is((await send('HEAD', first)).status, 404);
	const second = await create({'Upload-Length': '3'});
	const piece = {...bytesType, 'Upload-Offset': '0', 'X-HTTP-Method-Override': 'PATCH'};
	t.is((await send('POST', second, piece, 'ab')).headers['upload-offset'], '2');
	t.is((await send('POST', second, {'X-HTTP-Method-Override': 'DELETE'})).status, 204);
	t.is((await send('HEAD', second)).status, 404);
});

test('the path of a new upload is below what the server is called', async t => {
	const below = await start(t, {basePath: '/imgapi'});
	const made = await below.send('POST', '/imgapi//uploads', {'Upload-Length': '3', 'Upload-Metadata': described});
	t.is(made.headers.location, '/imgapi/uploads/upload-1');
	t.is((await below.send('HEAD', String(made.headers.location))).status, 200);
	const named = await start(t, {publicUrl: 'https://images.example/x'});
	const location = await named.create({'Upload-Length': '3'});
	t.is(location, 'https://images.example/x/uploads/upload-1');
});

test('curl alone is a client', async t => {
	const {url, uploads} = await start(t);
	const all = ['-sS', '-i', '-u', 'joe:secret', '-H', 'Tus-Resumable: 1.0.0'];
	const made = await curl([
		...all,
		'-X',
		'POST',
		'-H',
		'Upload-Length: 11',
		'-H',
		`Upload-Metadata: ${described}`,
		`${url}/uploads`,
	]);
	t.is(made.code, 201);
	const sent = await curl(
		[
			...[...all, '-X', 'PATCH', '-H', 'Upload-Offset: 0', '-H', 'Content-Type: application/offset+octet-stream'],
			...['-T', '-', `${url}${made.headers['location'] ?? ''}`],
		],
		Buffer.from('hello\0\r\nyou'),
	);
	t.is(sent.code, 204);
	t.is(sent.headers['x-image'], image);
	t.is(uploads.finished[0]?.bytes.toString(), 'hello\0\r\nyou');
});

test('metadata comes back as it was sent, whatever is in it', t => {
	const names = fc.stringMatching(/^[\x21-\x2b\x2d-\x7e]{1,10}$/);
	fc.assert(
		fc.property(
			fc.dictionary(names, fc.string({unit: anyCharacter, maxLength: 20}), {noNullPrototype: true}),
			metadata => {
				const header = fullHeaders({id: 'x', offset: 0, size: 1, owner: undefined, metadata, expiresAtMs: 0})[
					'Upload-Metadata'
				];
				t.deepEqual(Object.fromEntries(parseMetadata(header?.toString())), metadata);
			},
		),
	);
	t.deepEqual([...parseMetadata(`__proto__ ${text('x')}`)], [['__proto__', 'x']]);
	t.deepEqual([...parseMetadata(undefined)], []);
});

test('one at a time works on an upload, and the newest is let in', async t => {
	const turns = new UploadTurns();
	const order: string[] = [];
	const end = await turns.take('a', () => order.push('first asked to stop'));
	const second = turns
		.take('a', () => order.push('second asked to stop'))
		.then(over => {
			order.push('second in');
			over();
		});
	const other = await turns.take('b', () => t.fail());
	other();
	end();
	await second;
	t.deepEqual(order, ['first asked to stop', 'second in']);
});
