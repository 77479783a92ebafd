/**
 * Bundles that go out: as a tar, as a plan, and what tells the near side what is lacking.
 */
import {readFile, stat, truncate, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {setImmediate} from 'node:timers/promises';
import test, {type ExecutionContext} from 'ava';
import type {PlanEvent} from '../../src/airgap/api.js';
import {NotFoundError, RefusedError, SourceUnavailableError} from '../../src/errors.js';
import {operations} from '../../src/http/openapi-operations.js';
import {sameBytes} from '../helpers/same-bytes.js';
import {tempDir} from '../helpers/temp-dir.js';
import {curl} from './curl.js';
import {basicLogin, FakeAccess} from './fake-access.js';
import {FakeTar, planned, tarBytes} from './fake-airgap.js';
import {uuidNumber} from './fake-operate.js';
import {answersIn, ask, heard, open, startFront, type Answer, type AskOptions, type StartedFront} from './front.js';

const op = {authorization: basicLogin('op')};
const users = {op: ['operate' as const], publisher: ['publish' as const], viewer: ['private' as const]};

interface Problem {
	readonly code: string;
	readonly message: string;
	readonly errors?: readonly {readonly field: string}[];
}

function start(t: ExecutionContext): Promise<StartedFront> {
	return startFront(t, {access: new FakeAccess(users, {network: ['read']})});
}

function asOperator({url}: StartedFront, path: string, {headers = {}, ...rest}: AskOptions = {}): Promise<Answer> {
	return ask(url, path, {headers: {...op, ...headers}, ...rest});
}

function linesIn(text: string): readonly object[] {
	return text
		.trimEnd()
		.split('\n')
		.map(line => JSON.parse(line) as object);
}

/** For what follows a socket's end by itself, without a word. */
async function eventually(holds: () => boolean): Promise<void> {
	while (!holds()) {
		await setImmediate();
	}
}

test('a bundle is a tar with all that a client may check and go on by', async t => {
	const front = await start(t);
	const {tar} = front.airgap;
	const {status, headers, body} = await asOperator(front, '/export?all=true', {headers: {'x-request-id': 'r'}});
	t.is(status, 200);
	sameBytes(t, body, tarBytes(0, tar.size));
	t.like(headers, {
		'content-type': 'application/x-tar',
		'content-length': '25000',
		'content-disposition': 'attachment; filename="imgmirror-0123456789ab.tar"',
		'accept-ranges': 'bytes',
		etag: '"bundle-1"',
		'cache-control': 'private, no-cache',
		'x-content-type-options': 'nosniff',
		'transfer-encoding': undefined,
		'access-control-allow-origin': undefined,
	});
	t.is(tar.closed, 1);
	t.deepEqual(front.airgap.requests, [{all: true, origins: true}]);
	t.is(await front.host.metric('imgmirror_client_bytes_total', {cache: 'hit'}), 25_000);
	t.like(await front.host.logged({msg: 'audit'}), {audit: {user: 'op', action: 'export', status: 200}});
});

test('HEAD makes the bundle and reads nothing of it', async t => {
	const front = await start(t);
	const {tar} = front.airgap;
	const {status, headers, body} = await asOperator(front, '/export?all=true', {
		method: 'HEAD',
		headers: {range: 'bytes=0-9'},
	});
	t.is(status, 200);
	t.is(headers['content-length'], '25000');
	t.is(headers.etag, '"bundle-1"');
	t.is(body.length, 0);
	t.deepEqual(tar.reads, []);
	t.is(tar.closed, 1);
	t.deepEqual(front.host.linesLike({msg: 'audit'}), []);
});

test('parts and conditions are as those of files', async t => {
	const front = await start(t);
	for (const [headers, status, range] of [
		[{range: 'bytes=0-0'}, 206, [0, 1]],
		[{range: 'bytes=10000-19999'}, 206, [10_000, 20_000]],
		[{range: 'bytes=24999-'}, 206, [24_999, 25_000]],
		[{range: 'bytes=-7'}, 206, [24_993, 25_000]],
		[{range: 'bytes=5-', 'if-range': '"bundle-1"'}, 206, [5, 25_000]],
		[{range: 'bytes=5-', 'if-range': '"bundle-2"'}, 200, [0, 25_000]],
		[{range: 'bytes=5-', 'if-range': 'W/"bundle-1"'}, 200, [0, 25_000]],
		[{range: 'bytes=0-1,5-6'}, 200, [0, 25_000]],
		[{range: 'lines=0-1'}, 200, [0, 25_000]],
		[{range: 'bytes=25000-'}, 416, undefined],
		[{range: 'bytes=-0'}, 416, undefined],
		[{'if-none-match': '"other", "bundle-1"'}, 304, undefined],
		[{'if-none-match': '"other"'}, 200, [0, 25_000]],
		[{'if-match': '"bundle-1"', range: 'bytes=1-2'}, 206, [1, 3]],
		[{'if-match': '"other"'}, 412, undefined],
	] as const) {
		const tar = (front.airgap.tar = new FakeTar());
		const answer = await asOperator(front, '/export?all=true', {headers});
		const told = JSON.stringify(headers);
		t.is(answer.status, status, told);
		t.is(tar.closed, 1, told);
		if (range === undefined) {
			t.deepEqual(tar.reads, [], told);
			t.is(answer.headers['content-disposition'], undefined, told);
		} else {
			const [from, end] = range;
			t.deepEqual(tar.reads, [{start: from, end}], told);
			sameBytes(t, answer.body, tarBytes(from, end), told);
			t.is(answer.headers['content-length'], String(end - from), told);
			t.is(answer.headers['content-range'], status === 206 ? `bytes ${from}-${end - 1}/25000` : undefined, told);
		}
		t.is(answer.headers['content-range'], status === 416 ? 'bytes */25000' : answer.headers['content-range'], told);
		t.is(answer.headers.etag, status === 416 ? undefined : '"bundle-1"', told);
	}
});

test('curl saves it by its name, and goes on where it was', async t => {
	const front = await start(t);
	const directory = await tempDir(t);
	const args = ['-sS', '-u', 'op:secret', '-J', `${front.url}/export?all=true`];
	t.is((await curl(['-O', ...args], undefined, directory)).status, 0);
	const path = join(directory, 'imgmirror-0123456789ab.tar');
	sameBytes(t, await readFile(path), tarBytes(0, 25_000));
	await truncate(path, 12_345);
	t.is((await curl(['-C', '-', '-o', path, ...args.slice(0, 3), ...args.slice(4)])).status, 0);
	sameBytes(t, await readFile(path), tarBytes(0, 25_000));
	t.deepEqual(front.airgap.tar.reads.at(-1), {start: 12_345, end: 25_000});
});

test('what goes wrong before the first byte has a status, later it cuts the connection', async t => {
	const front = await start(t);
	front.airgap.exporting = () => {
		throw new SourceUnavailableError('upstream', 'it does not answer');
	};
	const refused = await asOperator(front, '/export?all=true');
	t.is(refused.status, 503);
	t.like(refused.json, {code: 'RemoteSourceError'});

	const {tar} = front.airgap;
	front.airgap.exporting = () => tar;
	tar.beforePiece = () => {
		throw new NotFoundError('a file has gone');
	};
	t.like(await asOperator(front, '/export?all=true'), {status: 404});
	t.is(tar.closed, 1);

	tar.beforePiece = at => {
		if (at === 10_000) {
			throw new NotFoundError('a file has gone');
		}
	};
	await t.throwsAsync(asOperator(front, '/export?all=true', {headers: {'x-request-id': 'cut'}}), {code: 'ECONNRESET'});
	t.is(tar.closed, 2);
	t.like(await front.host.logged({requestId: 'cut'}), {msg: 'answer cut short', problem: 'a file has gone'});

	for (const realSize of [20_000, 25_001, 10, 40_000]) {
		const lying = (front.airgap.tar = new FakeTar());
		front.airgap.exporting = () => lying;
		lying.realSize = realSize;
		await t.throwsAsync(asOperator(front, '/export?all=true'), {code: 'ECONNRESET'}, String(realSize));
		t.is(lying.closed, 1, String(realSize));
	}
});

test('a client that leaves ends the reading, whether it has begun or not', async t => {
	const front = await start(t);
	const {tar} = front.airgap;
	let stuck: () => void = () => undefined;
	const reached = new Promise<void>(resolve => (stuck = resolve));
	const waits = async (signal: AbortSignal): Promise<never> => {
		stuck();
		await new Promise(resolve => signal.addEventListener('abort', resolve, {once: true}));
		throw signal.reason;
	};
	tar.beforePiece = (at, signal) => (at === 20_000 ? waits(signal) : undefined);
	const socket = await open(front.port);
	socket.resume();
	socket.write(`GET /export?all=true HTTP/1.1\r\nHost: h\r\nAuthorization: ${op.authorization}\r\n\r\n`);
	await reached;
	socket.destroy();
	await eventually(() => tar.closed === 1);
	t.like(await front.host.logged({route: '/export', method: 'GET'}), {msg: 'client left'});

	let left: unknown;
	let asked: () => void = () => undefined;
	const preparing = new Promise<void>(resolve => (asked = resolve));
	front.airgap.exporting = async (_request, {signal}) => {
		asked();
		await new Promise(resolve => signal.addEventListener('abort', resolve, {once: true}));
		left = signal.reason;
		front.mirror.moved();
		// It was there after all.
		return tar;
	};
	const early = await open(front.port);
	early.write(`GET /export?all=true HTTP/1.1\r\nHost: h\r\nAuthorization: ${op.authorization}\r\n\r\n`);
	await preparing;
	early.destroy();
	await front.mirror.until(() => left !== undefined);
	await eventually(() => tar.closed === 2);
	t.is((left as Error).name, 'AbortError');
	t.is(tar.closed, 2);
	t.deepEqual(front.host.linesLike({level: 50}), []);
});

test('a server that goes down does not wait for what is still being fetched', async t => {
	const front = await start(t);
	let asked: () => void = () => undefined;
	const preparing = new Promise<void>(resolve => (asked = resolve));
	front.airgap.exporting = async (_request, {signal}) => {
		asked();
		await new Promise(resolve => signal.addEventListener('abort', resolve, {once: true}));
		throw new Error('fetching was ended');
	};
	const answer = asOperator(front, '/export?all=true');
	await preparing;
	await front.front.stop({drainMs: 60_000});
	t.like(await answer, {status: 503});
	t.like((await answer).json, {code: 'ServiceUnavailableError', message: 'the mirror is stopping'});
});

test('a large one flows at the pace of whoever takes it', async t => {
	const front = await start(t);
	const size = 192 * 1024 * 1024;
	const tar = (front.airgap.tar = new FakeTar(size));
	const piece = Buffer.alloc(1024 * 1024, 7);
	let given = 0;
	let taken = 0;
	let most = 0;
	tar.read = async function* (from, end) {
		for (let at = from; at < end; at += piece.length) {
			await Promise.resolve();
			most = Math.max(most, given - taken);
			given += piece.length;
			yield piece;
		}
	};
	const socket = await open(front.port);
	socket.write(
		`GET /export?all=true HTTP/1.1\r\nHost: h\r\nConnection: close\r\nAuthorization: ${op.authorization}\r\n\r\n`,
	);
	for await (const chunk of socket as AsyncIterable<Buffer>) {
		taken += chunk.length;
		await setImmediate();
	}
	t.true(taken > size);
	t.true(most < 32 * 1024 * 1024, String(most));
	t.is(tar.closed, 1);
});

test('the query says which images, as strictly as a body', async t => {
	const front = await start(t);
	const [one, two] = [uuidNumber(1), uuidNumber(2)];
	const query = [
		`uuid=${one}&uuid=${two}&uuid=${one}&name=debian*&name=base&os=linux&os=smartos&type=lx-dataset&owner=${one}`,
		'source=upstream&source=local&version=>=1&newest=2&publishedSince=2024-01-01&maxBytes=1000&rule=ours',
		'channel=dev&all=true&origins=false',
	].join('&');
	t.is((await asOperator(front, `/export?${query}`)).status, 200);
	t.deepEqual(front.airgap.requests.pop(), {
		selection: {
			...{uuids: [one, two], sources: ['upstream', 'local'], name: ['debian*', 'base'], os: ['linux', 'smartos']},
			...{type: ['lx-dataset'], owner: [one], version: '>=1', newest: 2, publishedSince: '2024-01-01'},
			...{maxBytes: 1000, rule: 'ours'},
		},
		...{channel: 'dev', all: true, origins: false},
	});
	t.is((await asOperator(front, '/export?maxBytes=0&all=false&origins=true')).status, 200);
	t.deepEqual(front.airgap.requests.pop(), {selection: {maxBytes: 0}, all: false, origins: true});
	t.is((await asOperator(front, '/export')).status, 200);
	// That this is nothing is the air gap's to say.
	t.deepEqual(front.airgap.requests.pop(), {origins: true});

	for (const [wrong, field] of [
		['all=yes', 'all'],
		['all=', 'all'],
		['all=true&all=true', 'all'],
		['origins=0', 'origins'],
		['uuid=nonsense', 'uuid'],
		['uuid=', 'uuid'],
		['name=', 'name'],
		['name=a&name=', 'name'],
		['version=', 'version'],
		['version=1&version=2', 'version'],
		['newest=0', 'newest'],
		['newest=', 'newest'],
		['newest=x', 'newest'],
		['maxBytes=-1', 'maxBytes'],
		['publishedSince=soon', 'publishedSince'],
		['channel=', 'channel'],
		['rule=', 'rule'],
		['uuids=x', 'uuids'],
		['dryRun=true', 'dryRun'],
		['have=x', 'have'],
		['__proto__=x', '__proto__'],
		[`name=${'x'.repeat(1001)}`, 'name'],
	] as const) {
		for (const method of ['GET', 'POST']) {
			const answer = await asOperator(front, `/export?${wrong}`, {method, ...(method === 'POST' ? {body: 'x'} : {})});
			t.is(answer.status, 422, wrong);
			const {code, errors} = answer.json as Problem;
			t.is(code, 'InvalidParameter', wrong);
			t.deepEqual(
				errors?.map(each => each.field),
				[field],
				wrong,
			);
		}
	}
	t.deepEqual(front.airgap.requests, []);
	const several = (await asOperator(front, '/export?nmae=a&al=true')).json as Problem;
	t.deepEqual(
		several.errors?.map(each => each.field),
		['nmae', 'al'],
	);
});

test('what the far side has comes as a body, of any type that curl gives it', async t => {
	const front = await start(t);
	const {airgap} = front;
	const have = `# imgmirror have 1\n${uuidNumber(1)} ${'a'.repeat(64)} -\n`;
	const directory = await tempDir(t);
	const path = join(directory, 'have.txt');
	await writeFile(path, have);
	const {status, code, headers} = await curl(
		['-sS', '-i', '-o', join(directory, 'out'), '-D', '-', '-u', 'op:secret'].concat([
			...['-H', 'Range: bytes=0-9', '-H', 'If-None-Match: *'],
			...['--data-binary', `@${path}`, `${front.url}/export?all=true`],
		]),
	);
	t.is(status, 0);
	t.is(code, 200, 'neither ranges nor conditions are of a POST');
	t.is(headers['etag'], '"bundle-1"');
	t.true((await stat(join(directory, 'out'))).size >= 25_000);
	t.deepEqual(airgap.requests.pop(), {all: true, origins: true, have});
	t.is(airgap.tar.closed, 1);
	t.like(await front.host.logged({msg: 'audit'}), {audit: {action: 'export', status: 200}});

	t.is((await asOperator(front, '/export?all=true', {method: 'POST', body: '\uFEFFä'})).status, 200);
	const problem = async (body: Buffer | string, more: Record<string, string> = {}): Promise<unknown[]> => {
		const answer = await asOperator(front, '/export?all=true', {method: 'POST', body, headers: more});
		return [answer.status, (answer.json as Problem).code];
	};
	airgap.requests.length = 0;
	t.deepEqual(await problem(''), [422, 'InvalidParameter']);
	t.deepEqual(await problem(Buffer.from([0x61, 0xff])), [422, 'InvalidParameter']);
	t.deepEqual(await problem('x', {'content-type': 'multipart/form-data; boundary=x'}), [
		415,
		'UnsupportedMediaTypeError',
	]);
	t.deepEqual(await problem('x', {'content-encoding': 'gzip'}), [415, 'UnsupportedMediaTypeError']);
	t.deepEqual(await problem(Buffer.alloc(32 * 1024 * 1024 + 1, 'x')), [413, 'RequestEntityTooLargeError']);
	t.deepEqual(airgap.requests, []);
	airgap.exporting = () => {
		throw new NotFoundError('nobody has it');
	};
	t.deepEqual(await problem('x'), [404, 'ResourceNotFound']);
});

test('a plan is lines, for whoever writes the bundle', async t => {
	const front = await start(t);
	const plan = (body: object, path = '/mirror/export'): Promise<Answer> =>
		asOperator(front, path, {method: 'POST', body: JSON.stringify(body)});
	const have = `${'x'.repeat(3_000_000)}\n`;
	const answer = await plan({
		selection: {uuids: [uuidNumber(1)], name: 'debian*', newest: 1},
		...{channel: 'dev', all: true, origins: false, have, dryRun: true},
	});
	t.is(answer.status, 200);
	t.is(answer.headers['content-type'], 'application/x-ndjson');
	t.deepEqual(linesIn(answer.text), planned);
	t.deepEqual(front.airgap.requests.pop(), {
		selection: {uuids: [uuidNumber(1)], name: ['debian*'], newest: 1},
		...{channel: 'dev', all: true, origins: false, have, dryRun: true},
	});
	t.like(await front.host.logged({msg: 'audit'}), {audit: {user: 'op', action: 'plan export', status: 200}});
	await plan({selection: {}});
	t.deepEqual(front.airgap.requests.pop(), {selection: {}, origins: true});
	t.true(front.host.linesLike(/"action":"export"/).length === 1);

	for (const [wrong, field] of [
		[{al: true}, 'al'],
		[{all: 'yes'}, 'all'],
		[{origins: 1}, 'origins'],
		[{selection: {nmae: 'x'}}, 'nmae'],
		[{selection: null}, 'selection'],
		[{selection: {uuids: ['x']}}, 'uuids'],
		[{channel: ''}, 'channel'],
		[{have: ''}, 'have'],
		[{have: 5}, 'have'],
		[{dryRun: 'true'}, 'dryRun'],
		[[], 'body'],
	] as const) {
		const refused = await plan(wrong);
		t.is(refused.status, 422, JSON.stringify(wrong));
		t.deepEqual(
			(refused.json as Problem).errors?.map(each => each.field),
			[field],
		);
	}
	t.is((await plan({all: true}, '/mirror/export?all=true')).status, 422);
	t.deepEqual(front.airgap.requests, []);

	front.airgap.planning = async function* (): AsyncGenerator<PlanEvent, void, undefined> {
		await Promise.resolve();
		throw new RefusedError('KeyAlreadyExists', 'for the sake of a status');
		yield* planned;
	};
	t.is((await plan({all: true})).status, 409);
});

test('a plan ends when its client leaves', async t => {
	const front = await start(t);
	let left: unknown;
	front.airgap.planning = async function* (_request, {signal}): AsyncGenerator<PlanEvent, void, undefined> {
		yield {what: 'begin', images: 1, bytes: 1, bytesToFetch: 1};
		await new Promise(resolve => signal.addEventListener('abort', resolve, {once: true}));
		left = signal.reason;
		front.mirror.moved();
		signal.throwIfAborted();
	};
	const socket = await open(front.port);
	socket.write(
		`POST /mirror/export HTTP/1.1\r\nHost: h\r\nAuthorization: ${op.authorization}\r\nContent-Length: 12\r\n\r\n{"all":true}`,
	);
	await new Promise(resolve => socket.once('data', resolve));
	socket.destroy();
	await front.mirror.until(() => left !== undefined);
	t.is((left as Error).name, 'AbortError');
});

test('what is here is told as text to those who may see all images', async t => {
	const front = await start(t);
	const viewer = {authorization: basicLogin('viewer')};
	const {status, headers, text} = await ask(front.url, '/mirror/have', {headers: viewer});
	t.is(status, 200);
	t.is(text, front.airgap.haveText);
	t.is(headers['content-type'], 'text/plain; charset=utf-8');
	t.is(headers['cache-control'], 'no-store');
	t.is((await ask(front.url, '/mirror/have', {headers: viewer, method: 'HEAD'})).body.length, 0);
	t.is((await ask(front.url, '/mirror/have?all=true', {headers: viewer})).status, 422);
	t.is((await ask(front.url, '/mirror/have')).status, 401);
});

test('all of it is for operators, and nothing of it for pages of other sites', async t => {
	const front = await start(t);
	const {url, airgap} = front;
	for (const [method, path] of [
		['GET', '/export?all=true'],
		['HEAD', '/export?all=true'],
		['POST', '/export?all=true'],
		['PUT', '/import'],
		['POST', '/mirror/export'],
		['GET', '/mirror/keys'],
		['POST', '/mirror/keys'],
		['POST', '/mirror/keys/trusted'],
		['DELETE', '/mirror/keys/trusted?key=x'],
	] as const) {
		const body = method === 'POST' || method === 'PUT' ? {body: '{"all": true}'} : {};
		// What is wrong with the question is for those to know who may ask it.
		const asked = `${path}${path.includes('?') ? '&' : '?'}typo=1`;
		t.is((await ask(url, asked, {method, ...body})).status, 401, path);
		const headers = {authorization: basicLogin('publisher')};
		t.is((await ask(url, asked, {method, headers, ...body})).status, 403, path);
		t.is((await ask(url, asked, {method, headers: {authorization: basicLogin('op', 'no')}, ...body})).status, 401);
		if (method !== 'GET' && method !== 'HEAD') {
			const foreign = {...op, origin: 'http://evil.example'};
			t.is((await ask(url, path, {method, headers: foreign, ...body})).status, 403, path);
		}
	}
	// A page of another site cannot use its reader's network.
	const open = await startFront(t, {access: new FakeAccess(users, {network: ['operate']})});
	const cross = {'sec-fetch-site': 'cross-site'};
	t.is((await ask(open.url, '/export?all=true', {headers: cross})).status, 401);
	t.is((await ask(open.url, '/import', {method: 'PUT', headers: cross, body: 'x'})).status, 403);
	t.is((await ask(open.url, '/export?all=true')).status, 200);
	t.deepEqual([airgap.requests, airgap.imports, airgap.keys.calls, airgap.dsapid], [[], [], [], []]);
	t.is((await ask(url, '/import', {headers: op})).status, 405);
	t.is((await ask(url, '/import', {method: 'OPTIONS'})).headers.allow, 'OPTIONS, PUT');
	for (const path of ['/export', '/import', '/mirror/export', '/mirror/keys', '/mirror/keys/trusted']) {
		t.true(
			operations.some(each => each.path === path && each.right === 'operate' && each.group === 'Carrying by hand'),
			path,
		);
	}
});

test('a session counts for its own page only', async t => {
	const access = new FakeAccess(users, {network: ['read']});
	access.sessions.set('w', {name: 'op', may: ['operate']});
	const {url, airgap} = await startFront(t, {access});
	const cookie = {cookie: 'imgmirror=w'};
	t.is((await ask(url, '/import', {method: 'PUT', headers: cookie, body: 'x'})).status, 403);
	t.is(airgap.imports.length, 0);
	const page = {...cookie, 'x-imgmirror': 'page'};
	t.is((await ask(url, '/import', {method: 'PUT', headers: page, body: 'x'})).status, 200);
	t.is((await ask(url, '/export?all=true', {headers: cookie})).status, 200);
});

test('the next request on a connection follows a bundle, and a refusal', async t => {
	const front = await start(t);
	const socket = await open(front.port);
	const head = `Host: h\r\nAuthorization: ${op.authorization}\r\n`;
	socket.write(
		`GET /export?all=true HTTP/1.1\r\n${head}Range: bytes=0-4\r\n\r\n` +
			`GET /export?al=true HTTP/1.1\r\n${head}\r\n` +
			`POST /export?all=true HTTP/1.1\r\n${head}Content-Length: 3\r\n\r\nabc` +
			`GET /ping HTTP/1.1\r\n${head}Connection: close\r\n\r\n`,
	);
	t.deepEqual(
		answersIn(await heard(socket)).map(({status}) => status),
		[206, 422, 200, 200],
	);
	t.is(front.airgap.tar.closed, 2);
});
