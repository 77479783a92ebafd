import {createHash, randomBytes} from 'node:crypto';
import {once} from 'node:events';
import {Agent, request as httpRequest, type IncomingMessage} from 'node:http';
import test from 'ava';
import {RefusedError} from '../../src/errors.js';
import {parseManifest} from '../../src/image/manifest.js';
import type {FileOffer} from '../../src/publish/api.js';
import {makeImage} from '../helpers/make-image.js';
import {sameBytes} from '../helpers/same-bytes.js';
import type {Scope} from '../helpers/temp-dir.js';
import {basicLogin, FakeAccess} from './fake-access.js';
import {answersIn, ask, heard, hears, open, settings, startFront, type StartedFront} from './front.js';

const authorization = basicLogin('pub');

interface Started extends StartedFront {
	readonly at: string;
	/** The head of an upload, to be sent as it stands. */
	readonly head: (headers: string) => string;
}

async function start(t: Scope): Promise<Started> {
	const started = await startFront(t, {access: new FakeAccess({pub: ['publish']})});
	const image = parseManifest(makeImage({state: 'unactivated'}).text);
	started.mirror.publish.put(image);
	const at = `/images/${image.uuid}/file?compression=none`;
	return {
		...started,
		at,
		head: headers => `PUT ${at} HTTP/1.1\r\nhost: x\r\nauthorization: ${authorization}\r\n${headers}\r\n\r\n`,
	};
}

test('a file comes as its bytes, whatever type they are called', async t => {
	const {url, mirror, at} = await start(t);
	const body = randomBytes(300_000);
	for (const headers of [
		{},
		{'content-type': 'application/json'},
		{'content-type': 'application/x-www-form-urlencoded', 'content-md5': 'nonsense'},
		{'content-type': 'application/x-gzip', 'content-encoding': 'gzip'},
		{'transfer-encoding': 'chunked'},
		{expect: '100-continue', 'content-length': body.length},
	]) {
		const answer = await ask(url, at, {method: 'PUT', body, headers: {authorization, ...headers}});
		t.is(answer.status, 200);
		sameBytes(t, mirror.publish.bodies.at(-1), body);
		const chunked = 'transfer-encoding' in headers;
		t.is((mirror.publish.calls.at(-1)?.given as FileOffer).size, chunked ? undefined : body.length);
	}
	t.is((await ask(url, at, {method: 'PUT', headers: {authorization, 'content-length': 0}})).status, 200);
	t.is(mirror.publish.bodies.at(-1)?.length, 0);
	t.is((mirror.publish.calls.at(-1)?.given as FileOffer).size, 0);
});

test('a connection is good for more after an upload', async t => {
	const {url, mirror, at, host} = await start(t);
	const agent = new Agent({keepAlive: true, maxSockets: 1});
	t.teardown(() => agent.destroy());
	for (let round = 0; round < 3; round++) {
		for (const headers of [{}, {expect: '100-continue'}, {'transfer-encoding': 'chunked'}]) {
			const answer = await ask(url, at, {
				...{method: 'PUT', agent, body: randomBytes(200_000)},
				headers: {authorization, ...headers},
			});
			t.is(answer.status, 200);
			t.not(answer.headers.connection, 'close');
		}
		t.is((await ask(url, '/ping', {agent})).status, 200);
	}
	t.is(mirror.publish.bodies.length, 9);
	t.is(await host.metric('imgmirror_connections'), 1);
});

test('a client that waits is asked for its file only when somebody wants it', async t => {
	const {port, mirror, head} = await start(t);
	let go = (): void => undefined;
	const asked = new Promise<void>(resolve => {
		mirror.publish.before.addFile = () => {
			resolve();
			return new Promise<void>(want => (go = want));
		};
	});
	const socket = await open(port);
	let got = '';
	socket.on('data', chunk => (got += String(chunk)));
	socket.write(head('expect: 100-continue\r\ncontent-length: 3'));
	await asked;
	t.is(got, '');
	const continued = hears(socket, '100 Continue\r\n\r\n');
	go();
	await continued;
	const answered = hears(socket, '"uuid"');
	socket.write('abc');
	t.regex(await answered, /HTTP\/1\.1 200 OK/);
	t.is(mirror.publish.bodies[0]?.toString(), 'abc');
	socket.destroy();
});

test('a refused file is not asked for, and its client hears why at once', async t => {
	const {port, mirror, head, host} = await start(t);
	mirror.publish.before.addFile = () => {
		throw new RefusedError('ImageFilesImmutable', 'too late');
	};
	for (const headers of [
		'expect: 100-continue\r\ncontent-length: 22548578304',
		'expect: 100-continue\r\ntransfer-encoding: chunked',
		'content-length: 22548578304',
	]) {
		const socket = await open(port);
		const answer = hears(socket, 'ImageFilesImmutable');
		socket.write(head(headers));
		const text = await answer;
		t.regex(text, /^HTTP\/1\.1 422 /, headers);
		t.regex(text, /\r\nConnection: close\r\n/i);
		socket.end();
		await heard(socket);
	}
	t.is(mirror.publish.bodies.length, 0);
	t.is(host.linesLike({msg: 'audit'}).length, 3);
});

test('a file refused in its midst is read on as far as it takes for its client to hear why', async t => {
	const {port, mirror, head} = await start(t);
	mirror.publish.take = async body => {
		for await (const piece of body) {
			t.true(piece.length > 0);
			throw new RefusedError('Upload', 'too large');
		}
	};
	for (const [headers, body] of [
		['content-length: 20000000', Buffer.alloc(20_000_000)],
		['content-length: 3000', Buffer.alloc(3000)],
		['transfer-encoding: chunked', Buffer.from(`400\r\n${'x'.repeat(1024)}\r\n`.repeat(2000) + '0\r\n\r\n')],
	] as const) {
		const socket = await open(port);
		const all = heard(socket);
		socket.write(head(headers));
		socket.write(body);
		socket.end();
		const [answer] = answersIn(await all);
		t.is(answer?.status, 400, headers);
		t.true(answer?.body.includes('"code": "Upload"'));
	}
	t.is((await ask(`http://127.0.0.1:${port}`, '/ping')).status, 200);
});

test('a body that turns into nonsense is answered, and nobody waits for the rest of it', async t => {
	const {port, mirror, head} = await start(t);
	for (const rest of ['-1\r\nabc', 'x\r\n', `5;${'a'.repeat(30_000)}\r\nabcde\r\n0\r\n\r\n`]) {
		let failure: unknown;
		mirror.publish.take = async pieces => {
			try {
				for await (const piece of pieces) {
					t.true(piece.length > 0);
				}
			} catch (error) {
				failure = error;
				throw error;
			}
		};
		const socket = await open(port);
		const all = heard(socket);
		socket.write(`${head('transfer-encoding: chunked')}5\r\nabcde\r\n`);
		socket.write(rest);
		const [answer] = answersIn(await all);
		t.true([400, 413].includes(answer?.status ?? 0), rest.slice(0, 10));
		t.truthy(failure);
	}
});

test('whoever leaves before the end has sent nothing', async t => {
	const {port, mirror, head, host} = await start(t);
	for (const [headers, body] of [
		['content-length: 100000', 'x'.repeat(5000)],
		['transfer-encoding: chunked', '5\r\nabcde\r\n'],
		['transfer-encoding: chunked', '5\r\nabc'],
		['content-length: 5', ''],
	] as const) {
		for (const how of ['end', 'destroy'] as const) {
			let failed: (error: unknown) => void = () => undefined;
			const failure = new Promise<unknown>(resolve => (failed = resolve));
			const begun = new Promise<void>(resolve => {
				mirror.publish.take = async pieces => {
					resolve();
					try {
						for await (const piece of pieces) {
							t.true(piece.length > 0);
						}
						failed(undefined);
					} catch (error) {
						failed(error);
						throw error;
					}
				};
			});
			const socket = await open(port);
			socket.write(head(headers) + body);
			await begun;
			socket[how]();
			t.is(((await failure) as Error).name, 'AbortError', `${headers} ${how}`);
			socket.destroy();
		}
	}
	t.is((await ask(`http://127.0.0.1:${port}`, '/ping')).status, 200);
	t.is(host.linesLike(/"msg":"audit"/).length, 8);
	t.true(host.linesLike(/"msg":"audit"/).every(line => (line['audit'] as {status: number}).status === 499));
	t.is(host.linesLike({level: 50}).length, 0);
});

test('a file may take for ever as long as something comes, and is given up when nothing does', async t => {
	const {port, mirror, head, host} = await start(t);
	const idleMs = settings.limits.uploadIdleTimeoutMs;
	let pieces = 0;
	let moved = (): void => undefined;
	mirror.publish.take = async body => {
		for await (const piece of body) {
			t.is(piece.length, 1);
			pieces++;
			moved();
		}
	};
	const socket = await open(port);
	socket.write(head('content-length: 1000'));
	for (let round = 1; round <= 20; round++) {
		const came = new Promise<void>(resolve => (moved = resolve));
		socket.write('x');
		await came;
		await host.clock.timers(1);
		await host.clock.advance(idleMs - 1);
	}
	t.is(pieces, 20);
	const answer = hears(socket, 'RequestTimeoutError');
	await host.clock.advance(idleMs);
	t.regex(await answer, /^HTTP\/1\.1 408 /);
	t.regex(await answer, /\r\nConnection: close\r\n/i);
	socket.destroy();
	t.like((await host.logged(/"msg":"audit"/))['audit'], {status: 408, code: 'RequestTimeoutError'});
});

test('a reader that takes its time is no idle client, and bounds what is read ahead of it', async t => {
	const {port, mirror, head, host} = await start(t);
	let taken = 0;
	let go = (): void => undefined;
	const begun = new Promise<void>(resolve => {
		mirror.publish.take = async body => {
			for await (const piece of body) {
				if (taken === 0) {
					resolve();
					await new Promise<void>(want => (go = want));
				}
				taken += piece.length;
			}
		};
	});
	const size = 256 * 1024 * 1024;
	const socket = await open(port);
	socket.write(head(`content-length: ${size}`));
	const piece = Buffer.alloc(1024 * 1024);
	let sent = 0;
	const sending = (async () => {
		while (sent < size) {
			sent += piece.length;
			if (!socket.write(piece)) {
				await once(socket, 'drain');
			}
		}
	})();
	await begun;
	// Until the kernel and we take no more of it.
	let before = -1;
	while (socket.bytesWritten !== before) {
		before = socket.bytesWritten;
		await new Promise(resolve => setTimeout(resolve, 300));
	}
	t.true(sent < 64 * 1024 * 1024, `${sent} bytes were read ahead`);
	await host.clock.advance(settings.limits.uploadIdleTimeoutMs * 10);
	const answer = hears(socket, '"uuid"');
	go();
	await sending;
	t.regex(await answer, /HTTP\/1\.1 200 OK/);
	t.is(taken, size);
	socket.destroy();
});

test('bytes that come one by one are all there', async t => {
	const {port, mirror, head} = await start(t);
	const socket = await open(port);
	const body = randomBytes(50_000);
	const chunks = [...body].map(byte => Buffer.concat([Buffer.from('1\r\n'), Buffer.from([byte]), Buffer.from('\r\n')]));
	const answer = hears(socket, '"uuid"');
	socket.write(head('transfer-encoding: chunked'));
	socket.write(Buffer.concat([...chunks, Buffer.from('0\r\n\r\n')]));
	t.regex(await answer, /HTTP\/1\.1 200 OK/);
	sameBytes(t, mirror.publish.bodies[0], body);
	socket.destroy();
});

test('several uploads at once come to what each of them sent', async t => {
	const {url, mirror, at} = await start(t);
	const bodies = Array.from({length: 8}, () => randomBytes(3_000_000));
	const answers = await Promise.all(
		bodies.map(body => ask(url, at, {method: 'PUT', body, headers: {authorization, 'transfer-encoding': 'chunked'}})),
	);
	t.deepEqual(
		answers.map(({status}) => status),
		bodies.map(() => 200),
	);
	const digest = (body: Buffer): string => createHash('sha1').update(body).digest('hex');
	t.deepEqual(mirror.publish.bodies.map(digest).sort(), bodies.map(digest).sort());
});

test('what is left of an answered upload stays within bounds, pipelined requests behind one are answered', async t => {
	const {port, mirror, head} = await start(t);
	const socket = await open(port);
	const all = heard(socket);
	socket.write(`${head('content-length: 3')}abc${head('content-length: 3')}def`);
	socket.end(`GET /ping HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`);
	t.deepEqual(
		answersIn(await all).map(({status}) => status),
		[200, 200, 200],
	);
	t.deepEqual(
		mirror.publish.bodies.map(body => body.toString()),
		['abc', 'def'],
	);
});

test('who sends more than was said has the answer all the same, and is not read for ever', async t => {
	const {port, mirror, head, host} = await start(t);
	const {take} = mirror.publish;
	for (const isHeld of [false, true]) {
		let release: () => void = () => undefined;
		const held = new Promise<void>(resolve => (release = resolve));
		mirror.publish.take = async body => {
			await take(body);
			await (isHeld ? held : undefined);
		};
		const socket = await open(port);
		const all = heard(socket);
		socket.write(head('content-length: 300000'));
		socket.write(Buffer.alloc(300_000));
		// A file that grows while it is sent.
		socket.write(Buffer.alloc(20_000_000));
		if (isHeld) {
			await host.logged(/behind the end of a request is not read/);
			t.is(socket.bytesRead, 0);
			release();
		}
		const answers = answersIn(await all);
		t.deepEqual(
			answers.map(({status}) => status),
			[200],
		);
		t.regex(answers[0]?.head ?? '', /^connection: close$/im);
		t.is(mirror.publish.bodies.at(-1)?.length, 300_000);
	}
	while ((await host.metric('imgmirror_connections')) > 0) {
		await new Promise(resolve => setImmediate(resolve));
	}
});

test('a stop lets an upload that is under way come to its end', async t => {
	const {url, front, mirror, at} = await start(t);
	let stopped: Promise<void> | undefined;
	const begun = new Promise<void>(resolve => {
		mirror.publish.before.addFile = () => {
			stopped = front.stop({drainMs: 60_000});
			resolve();
		};
	});
	const sending = httpRequest(`${url}${at}`, {method: 'PUT', headers: {authorization}, agent: false});
	sending.write('a');
	await begun;
	sending.end('b');
	const [response] = (await once(sending, 'response')) as [IncomingMessage];
	t.is(response.statusCode, 200);
	response.resume();
	await stopped;
	t.is(mirror.publish.bodies[0]?.toString(), 'ab');
});
