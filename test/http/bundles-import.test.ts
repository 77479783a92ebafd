/**
 * Bundles that come in: taken while they come, answered as soon as there is something to say.
 */
import {writeFile} from 'node:fs/promises';
import {request as httpRequest, type ClientRequest, type IncomingMessage} from 'node:http';
import {join} from 'node:path';
import {Readable} from 'node:stream';
import {setImmediate} from 'node:timers/promises';
import test, {type ExecutionContext} from 'ava';
import type {ImportEvent} from '../../src/airgap/api.js';
import {IntegrityError, NoSpaceError, RefusedError, StoppingError} from '../../src/errors.js';
import {tempDir} from '../helpers/temp-dir.js';
import {curl} from './curl.js';
import {basicLogin, FakeAccess} from './fake-access.js';
import {imported, type FakeAirgap} from './fake-airgap.js';
import {uuidNumber} from './fake-operate.js';
import {ask, heard, hears, open, settings, startFront, type FrontOptions, type StartedFront} from './front.js';

type Steps = AsyncGenerator<ImportEvent, void, undefined>;

const op = {authorization: basicLogin('op')};
const asLines = {...op, accept: 'application/x-ndjson'};
const login = `Host: h\r\nAuthorization: ${op.authorization}\r\n`;
const notTrusted = new RefusedError('BundleNotTrusted', 'nobody has signed this bundle');

function start(t: ExecutionContext, options: FrontOptions = {}): Promise<StartedFront> {
	return startFront(t, {access: new FakeAccess({op: ['operate']}, {network: ['read']}), ...options});
}

function linesIn(text: string): readonly object[] {
	return text
		.trimEnd()
		.split('\n')
		.map(line => JSON.parse(line) as object);
}

function done(number: number, outcome: 'imported' | 'updated' | 'there' | 'failed', problem?: string): ImportEvent {
	return {
		...{what: 'done', uuid: uuidNumber(number), name: 'base', version: String(number), bytes: 5, outcome},
		...(problem === undefined ? {} : {problem}),
	};
}

function end(sums: Partial<Record<'imported' | 'updated' | 'there' | 'failed', number>>): ImportEvent {
	return {what: 'end', ...{imported: 0, updated: 0, there: 0, failed: 0}, ...sums, bytes: 5, ms: 7};
}

/** An import that gives these once all of the body has come. */
function giving(events: Iterable<ImportEvent>): FakeAirgap['importing'] {
	return async function* (body) {
		await Readable.from(body).toArray();
		yield* events;
	};
}

/** One that refuses it after its first bytes. */
async function* refusing(body: AsyncIterable<Buffer>): Steps {
	for await (const piece of body) {
		if (piece.length > 0) {
			throw notTrusted;
		}
	}
	yield* imported;
}

interface Upload {
	readonly request: ClientRequest;
	readonly response: Promise<IncomingMessage>;
}

/** A body that a test sends as it likes. */
function upload(url: string, headers: Record<string, string> = asLines): Upload {
	const request = httpRequest(`${url}/import`, {method: 'PUT', headers, agent: false});
	const response = new Promise<IncomingMessage>((resolve, reject) => {
		request.once('response', resolve);
		request.once('error', reject);
	});
	request.on('error', () => undefined);
	return {request, response};
}

async function textOf(response: IncomingMessage): Promise<string> {
	const chunks: Buffer[] = [];
	for await (const chunk of response as AsyncIterable<Buffer>) {
		chunks.push(chunk);
	}
	return Buffer.concat(chunks).toString();
}

const report = {
	...{imported: 1, updated: 0, there: 0, failed: 0, bytes: 5, ms: 7},
	images: [{uuid: uuidNumber(1), name: 'base', version: '1', outcome: 'imported', bytes: 5}],
	warnings: ['its origin is nowhere'],
};

test('curl -T takes a bundle in, from a file and from a pipe', async t => {
	const {url, airgap, host} = await start(t);
	const directory = await tempDir(t);
	const path = join(directory, 'bundle.tar');
	const bytes = Buffer.alloc(3_000_000, 'tar');
	await writeFile(path, bytes);
	// It asks whether it may before it sends so much.
	const file = await curl(['-sS', '-v', '-u', 'op:secret', '-T', path, `${url}/import`]);
	t.is(file.status, 0);
	t.deepEqual(JSON.parse(file.out), report);
	t.regex(file.err, /< HTTP\/1\.1 100 Continue/);
	t.true(airgap.body?.equals(bytes));
	const pipe = await curl(
		['-sS', '-i', '-u', 'op:secret', '-T', '-', `${url}/import?allowUnsigned=true&dryRun=true`],
		Readable.from([bytes.subarray(0, 10), bytes.subarray(10, 1_000_000), bytes.subarray(1_000_000)]),
	);
	t.is(pipe.code, 200);
	t.is(pipe.headers['content-type'], 'application/json');
	t.is(pipe.headers['cache-control'], 'no-store');
	t.deepEqual(JSON.parse(pipe.out), report);
	t.true(airgap.body?.equals(bytes));
	t.deepEqual(
		airgap.imports.map(({options, by}) => ({options, by})),
		[
			{options: {allowUnsigned: false, dryRun: false}, by: {name: 'op', operator: true}},
			{options: {allowUnsigned: true, dryRun: true}, by: {name: 'op', operator: true}},
		],
	);
	const lines = await curl(
		['-sS', '-N', '-u', 'op:secret', '-H', 'Accept: application/x-ndjson', '-T', '-', `${url}/import`],
		bytes,
	);
	t.deepEqual(linesIn(lines.out), imported);
	const actions = host.linesLike({msg: 'audit'}).map(({audit}) => audit as {action: string; image?: string});
	t.deepEqual(
		actions.map(({action, image}) => [action, image]),
		[
			['import', uuidNumber(1)],
			['try import', uuidNumber(1)],
			['import', uuidNumber(1)],
		],
	);
});

test('lines come while the body does, and the work goes on with it', async t => {
	const {url, airgap} = await start(t);
	const got: string[] = [];
	airgap.importing = async function* (body): Steps {
		let number = 0;
		for await (const piece of body) {
			got.push(piece.toString());
			number++;
			yield number === 1 ? {what: 'begin', images: 2} : done(number, 'imported');
		}
		yield end({imported: 1});
	};
	const {request, response} = upload(url);
	request.write('first');
	const answer = await response;
	t.is(answer.statusCode, 200);
	t.is(answer.headers['content-type'], 'application/x-ndjson');
	const lines = answer[Symbol.asyncIterator]();
	const next = async (): Promise<string> => String(((await lines.next()) as {value: Buffer}).value);
	t.is(await next(), '{"what":"begin","images":2}\n');
	request.write('second');
	t.deepEqual(JSON.parse(await next()), done(2, 'imported'));
	t.deepEqual(got, ['first', 'second']);
	request.end();
	t.deepEqual(JSON.parse(await next()), end({imported: 1}));
	t.true((await lines.next()).done);
});

test('what is not trusted is refused at once, with a status, whichever answer was asked for', async t => {
	for (const headers of [op, asLines]) {
		const {url, airgap, host} = await start(t);
		airgap.importing = refusing;
		const {request, response} = upload(url, headers);
		request.write('index');
		// No end has come, and no clock has moved.
		const answer = await response;
		t.is(answer.statusCode, 403);
		t.is(answer.headers.connection, 'close');
		t.is(answer.headers['content-type'], 'application/json');
		const body = textOf(answer);
		request.end();
		t.deepEqual(JSON.parse(await body), {code: 'BundleNotTrusted', message: notTrusted.message});
		t.like(await host.logged({msg: 'audit'}), {
			audit: {action: 'import', status: 403, code: 'BundleNotTrusted', user: 'op'},
		});
	}
});

test('a client that goes on sending is told all the same why it is refused', async t => {
	const {url, airgap} = await start(t);
	airgap.importing = refusing;
	const size = 8 * 1024 * 1024;
	// `-T -` sends in chunks, and without asking first.
	for (const args of [[], ['-H', 'Accept: application/x-ndjson']]) {
		const {out} = await curl(
			['-sS', '-u', 'op:secret', '-H', 'Expect:', ...args, '-T', '-', `${url}/import`],
			Buffer.alloc(size),
		);
		t.like(JSON.parse(out), {code: 'BundleNotTrusted'});
	}
	const whole = await ask(url, '/import', {method: 'PUT', headers: op, body: Buffer.alloc(size)});
	t.is(whole.status, 403);
});

test('a client that waits is asked for the body once it is wanted, and never where it is not', async t => {
	const {port, airgap} = await start(t);
	const waiting = 'Content-Length: 1000000\r\nExpect: 100-continue\r\n\r\n';
	for (const query of ['typo=1', 'key=', 'dryRun=yes', 'allowUnsigned=']) {
		const socket = await open(port);
		socket.write(`PUT /import?${query} HTTP/1.1\r\n${login}${waiting}`);
		t.regex(await hears(socket, '}'), /^HTTP\/1\.1 422 /, query);
		socket.destroy();
	}
	const stranger = await open(port);
	stranger.write(`PUT /import HTTP/1.1\r\nHost: h\r\n${waiting}`);
	t.regex(await hears(stranger, '}'), /^HTTP\/1\.1 401 /);
	stranger.destroy();
	t.is(airgap.imports.length, 0);

	let go: () => void = () => undefined;
	const asked = new Promise<void>(resolve => (go = resolve));
	airgap.importing = async function* (body): Steps {
		await asked;
		yield* refusing(body);
	};
	const socket = await open(port);
	let got = '';
	socket.on('data', (chunk: Buffer) => (got += chunk.toString()));
	socket.write(`PUT /import HTTP/1.1\r\n${login}${waiting}`);
	while (airgap.imports.length === 0) {
		await setImmediate();
	}
	t.is(got, '');
	const continued = hears(socket, '100 Continue');
	go();
	await continued;
	const refused = hears(socket, 'BundleNotTrusted');
	socket.write('some');
	t.regex(await refused, /^HTTP\/1\.1 403 /);
	socket.destroy();
});

test('nothing is read that nobody has asked for', async t => {
	const {url, airgap} = await start(t);
	let go: () => void = () => undefined;
	const mayGoOn = new Promise<void>(resolve => (go = resolve));
	let taken = 0;
	airgap.importing = async function* (body): Steps {
		for await (const piece of body) {
			taken += piece.length;
			await mayGoOn;
		}
		yield end({});
	};
	let sent = 0;
	const piece = Buffer.alloc(256 * 1024);
	const size = 128 * 1024 * 1024;
	const {request, response} = upload(url, op);
	const sending = (async () => {
		for (; sent < size; sent += piece.length) {
			if (!request.write(piece)) {
				await new Promise(resolve => request.once('drain', resolve));
			}
		}
		request.end();
	})();
	// Until it stands still: the buffers of two sockets and one of ours.
	for (let [before, still] = [-1, 0]; still < 200; still = sent === before ? still + 1 : 0) {
		before = sent;
		await setImmediate();
	}
	t.true(sent < 64 * 1024 * 1024, String(sent));
	t.true(taken <= 1024 * 1024);
	go();
	await sending;
	t.is((await response).statusCode, 200);
	t.is(taken, size);
});

test('a client that hears nothing before it has sent everything does not stop the work', async t => {
	const {url, airgap} = await start(t);
	const count = 40_000;
	airgap.importing = async function* (body): Steps {
		let number = 0;
		for await (const piece of body) {
			// Far more than sockets hold.
			for (let at = 0; at < piece.length && number < count; at += 64) {
				number++;
				yield {what: 'progress', bytesDone: number};
				yield done(number, 'imported', 'x'.repeat(500));
			}
		}
		yield end({imported: number});
	};
	const {request, response} = upload(url);
	const answer = response.then(each => each.pause());
	const piece = Buffer.alloc(64 * 1024);
	for (let sent = 0; sent < count * 64 + 1_000_000; sent += piece.length) {
		if (!request.write(piece)) {
			await new Promise(resolve => request.once('drain', resolve));
		}
	}
	await new Promise<void>(resolve => request.end(resolve));
	const lines = linesIn(await textOf(await answer)) as readonly ImportEvent[];
	t.is(lines.filter(({what}) => what === 'done').length, count);
	t.deepEqual(lines.at(-1), end({imported: count}));
	// All of them would be as many, and outdated.
	t.true(lines.filter(({what}) => what === 'progress').length <= count);
});

test('a client that leaves ends the work, in the middle of its body or after it', async t => {
	for (const accept of ['', 'Accept: application/x-ndjson\r\n']) {
		const {port, airgap, host} = await start(t);
		const outcome: unknown[] = [];
		let began: () => void = () => undefined;
		const reading = new Promise<void>(resolve => (began = resolve));
		airgap.importing = async function* (body, {ask: {signal}}): Steps {
			try {
				for await (const piece of body) {
					yield {what: 'begin', images: piece.length};
					began();
				}
				outcome.push('whole');
			} catch (error) {
				outcome.push((error as Error).name);
				throw new IntegrityError('the tar ends in the middle of index.json', {cause: error});
			} finally {
				outcome.push(signal.aborted);
			}
		};
		const socket = await open(port);
		socket.resume();
		socket.write(`PUT /import HTTP/1.1\r\n${login}${accept}Content-Length: 1000\r\n\r\nsome`);
		await reading;
		socket.destroy();
		const {audit} = await host.logged({msg: 'audit'});
		t.like(audit, {action: 'import', clientLeft: true});
		t.deepEqual(outcome, ['AbortError', true]);
		t.deepEqual(host.linesLike({level: 50}), []);
	}

	const {port, airgap, host} = await start(t);
	let began: () => void = () => undefined;
	const working = new Promise<void>(resolve => (began = resolve));
	airgap.importing = async function* (body, {ask: {signal}}): Steps {
		for await (const piece of body) {
			yield {what: 'begin', images: piece.length};
		}
		began();
		await new Promise(resolve => signal.addEventListener('abort', resolve, {once: true}));
		throw signal.reason;
	};
	const socket = await open(port);
	socket.write(`PUT /import HTTP/1.1\r\n${login}Content-Length: 4\r\n\r\nsome`);
	await working;
	socket.destroy();
	t.like((await host.logged({msg: 'audit'}))['audit'], {status: 499, clientLeft: true});
});

test('a server that goes down ends the work, even where it waits for bytes', async t => {
	for (const headers of [op, asLines]) {
		const {url, airgap, front, host} = await start(t);
		let failed: unknown;
		airgap.importing = async function* (body): Steps {
			try {
				for await (const piece of body) {
					yield {what: 'begin', images: piece.length};
				}
			} catch (error) {
				failed = error;
				throw error;
			}
		};
		const {request, response} = upload(url, headers);
		request.write('some');
		if (headers === asLines) {
			await response;
		} else {
			while (airgap.imports.length === 0) {
				await setImmediate();
			}
		}
		const stopped = front.stop({drainMs: 60_000});
		const answer = await response;
		const body = textOf(answer);
		request.end();
		const told = linesIn(headers === op ? JSON.stringify(JSON.parse(await body)) : await body).at(-1);
		t.is(answer.statusCode, headers === op ? 503 : 200);
		t.like(told, {code: 'ServiceUnavailableError', message: 'the mirror is stopping'});
		await stopped;
		t.true(failed instanceof StoppingError);
		t.is(host.clock.pending, 0);
	}
});

test('images that did not come in make it 422, with the report beside', async t => {
	const {url, airgap, host} = await start(t);
	const events: ImportEvent[] = [
		{what: 'begin', images: 6},
		done(1, 'imported'),
		done(2, 'updated'),
		...[3, 4, 5, 6].map(number => done(number, 'failed', `blob ${number} is missing`)),
		end({imported: 1, updated: 1, failed: 4}),
	];
	airgap.importing = giving(events);
	const {status, json} = await ask(url, '/import', {method: 'PUT', headers: op, body: 'x'});
	t.is(status, 422);
	t.deepEqual(json, {
		code: 'BundleSpoiled',
		message:
			'4 of 6 images could not be imported: ' +
			[3, 4, 5].map(each => `base ${each} (${uuidNumber(each)}): blob ${each} is missing; `).join('') +
			'and 1 more',
		...{imported: 1, updated: 1, there: 0, failed: 4, bytes: 5, ms: 7},
		images: events.slice(1, 7).map(event => {
			const {what, ...image} = event as Extract<ImportEvent, {what: 'done'}>;
			t.is(what, 'done');
			return image;
		}),
		warnings: [],
	});
	t.like(await host.logged({msg: 'audit'}), {
		audit: {status: 422, code: 'BundleSpoiled', image: `${uuidNumber(1)} ${uuidNumber(2)}`},
	});
	t.like(await host.logged({route: '/import'}), {status: 422, code: 'BundleSpoiled', level: 30});

	const lines = await ask(url, '/import', {method: 'PUT', headers: asLines, body: 'x'});
	t.is(lines.status, 200);
	t.deepEqual(linesIn(lines.text), events);

	const nameless: ImportEvent = {
		...{what: 'done', uuid: 'latest', name: '', version: '', bytes: 0, outcome: 'failed'},
		problem: 'its manifest is no JSON',
	};
	airgap.importing = giving([nameless, end({failed: 1})]);
	t.like((await ask(url, '/import', {method: 'PUT', headers: op, body: 'x'})).json, {
		message: '1 of 1 images could not be imported: latest: its manifest is no JSON',
	});
});

test('a bundle that is broken as a whole, and whatever else ends it, has its own code', async t => {
	const {url, airgap, host} = await start(t);
	for (const [error, status, code] of [
		[new IntegrityError('there is no index.json in it'), 422, 'BundleSpoiled'],
		[notTrusted, 403, 'BundleNotTrusted'],
		[new NoSpaceError('the disk is full'), 503, 'ServiceUnavailableError'],
		[new TypeError('a fault of ours'), 500, 'InternalError'],
	] as const) {
		airgap.importing = async function* (body, call): Steps {
			yield* giving([])(body, call);
			throw error;
		};
		for (const headers of [op, asLines]) {
			const answer = await ask(url, '/import', {method: 'PUT', headers, body: 'x'});
			t.is(answer.status, status, code);
			t.like(answer.json, {code, ...(status === 500 ? {} : {message: error.message})});
		}
		airgap.importing = async function* (body, call): Steps {
			yield* giving([{what: 'begin', images: 1}, done(1, 'imported')])(body, call);
			throw error;
		};
		t.is((await ask(url, '/import', {method: 'PUT', headers: op, body: 'x'})).status, status);
		const lines = await ask(url, '/import', {method: 'PUT', headers: asLines, body: 'x'});
		t.is(lines.status, 200);
		t.like(linesIn(lines.text).at(-1), {what: 'error', code});
	}
	t.true(host.linesLike({level: 50}).length >= 3);
	airgap.importing = giving([{what: 'begin', images: 1}]);
	t.is((await ask(url, '/import', {method: 'PUT', headers: op, body: 'x'})).status, 500, 'an import without an end');
});

test('what cannot be a bundle is refused before a byte of it is looked at', async t => {
	const {url, airgap} = await start(t);
	const put = async (headers: Record<string, string>, body: string): Promise<unknown[]> => {
		const {status, json} = await ask(url, '/import', {method: 'PUT', headers: {...op, ...headers}, body});
		return [status, (json as {code: string}).code];
	};
	t.deepEqual(await put({}, ''), [400, 'BadRequestError']);
	t.deepEqual(await put({'content-length': '0'}, ''), [400, 'BadRequestError']);
	t.deepEqual(await put({'content-range': 'bytes 5-9/10'}, 'xxxxx'), [400, 'BadRequestError']);
	t.deepEqual(await put({'content-type': 'multipart/form-data; boundary=x'}, '--x--'), [
		415,
		'UnsupportedMediaTypeError',
	]);
	const form = await curl(['-sS', '-u', 'op:secret', '-X', 'PUT', '-F', 'file=@-', `${url}/import`], Buffer.from('x'));
	t.like(JSON.parse(form.out), {code: 'UnsupportedMediaTypeError'});
	for (const query of [
		'allowUnsigned=1',
		'dryRun=',
		'dryRun=true&dryRun=true',
		'key=a&key=b',
		'key=',
		'unsigned=true',
	]) {
		const {status, json} = await ask(url, `/import?${query}`, {method: 'PUT', headers: op, body: 'x'});
		t.is(status, 422, query);
		t.deepEqual(
			(json as {errors: {field: string}[]}).errors.map(({field}) => field),
			[query.split('=')[0]],
		);
	}
	t.is(airgap.imports.length, 0);
	t.is((await ask(url, '/import', {method: 'POST', headers: op, body: 'x'})).status, 405);
});

test('a key may be trusted this once', async t => {
	const {url, airgap, host} = await start(t);
	const key = 'ssh-ed25519 AAAA+/w= near side';
	const query = new URLSearchParams({key, allowUnsigned: 'true'}).toString();
	t.is((await ask(url, `/import?${query}`, {method: 'PUT', headers: op, body: 'x'})).status, 200);
	t.deepEqual(airgap.imports[0]?.options, {allowUnsigned: true, dryRun: false, key});
	t.like(await host.logged({msg: 'audit'}), {audit: {action: 'import, signed or not'}});
});

test('an import that needs no more of the body answers, and the rest is read and dropped', async t => {
	const {port, url, airgap} = await start(t);
	airgap.importing = async function* (body): Steps {
		for await (const piece of body) {
			t.true(piece.length > 0);
			break;
		}
		yield* imported;
	};
	for (const accept of [[], ['-H', 'Accept: application/x-ndjson']]) {
		const {status, out} = await curl(
			['-sS', '-u', 'op:secret', ...accept, '-T', '-', `${url}/import`],
			Buffer.alloc(4 * 1024 * 1024),
		);
		t.is(status, 0);
		t.true(out.includes(uuidNumber(1)));
	}
	// Nobody knows yet where the rest of it ends, so the connection does.
	const socket = await open(port);
	socket.write(`PUT /import HTTP/1.1\r\n${login}Content-Length: 20\r\n\r\n0123456789`);
	const answered = hears(socket, 'nowhere');
	t.regex(await answered, /^HTTP\/1\.1 200 [^]*Connection: close/);
	socket.end('0123456789');
	t.is(await heard(socket), '');
});

test('a body that stands still too long is given up', async t => {
	const {url, airgap, host} = await start(t);
	airgap.importing = giving([]);
	const {request, response} = upload(url);
	request.write('some');
	while (airgap.imports.length === 0) {
		await setImmediate();
	}
	const idleMs = settings.limits.uploadIdleTimeoutMs;
	await host.clock.timerDueIn(1, idleMs);
	await host.clock.advance(idleMs);
	await host.clock.advance(idleMs);
	const answer = await response;
	t.is(answer.statusCode, 408);
	request.destroy();
});

test('only who asks for lines by their name gets lines', async t => {
	const {url} = await start(t);
	for (const [accept, type] of [
		['*/*', 'application/json'],
		['application/json', 'application/json'],
		['application/x-ndjson;q=0', 'application/json'],
		['application/x-ndjson, application/json', 'application/x-ndjson'],
		['Application/X-NDJSON', 'application/x-ndjson'],
	] as const) {
		const {headers} = await ask(url, '/import', {method: 'PUT', headers: {...op, accept}, body: 'x'});
		t.is(headers['content-type'], type, accept);
	}
});
