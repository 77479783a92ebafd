import {subscribe, unsubscribe} from 'node:diagnostics_channel';
import {once} from 'node:events';
import {Agent, request as httpRequest} from 'node:http';
import type {Socket} from 'node:net';
import {setImmediate} from 'node:timers/promises';
import test from 'ava';
import {makeImage} from '../helpers/make-image.js';
import {sameBytes} from '../helpers/same-bytes.js';
import {answersIn, ask, heard, hears, open, say, settings, startFront} from './front.js';

const host = 'Host: x\r\n';
const close = `${host}Connection: close\r\n\r\n`;

for (const [what, text, status, code] of [
	['no method', '\x00\x01\x02\x03\r\n\r\n', 400, 'BadRequestError'],
	['a TLS handshake', Buffer.from('16030100a5010000a10303', 'hex').toString('latin1'), 400, 'BadRequestError'],
	['an unknown method', `BREW /ping HTTP/1.1\r\n${close}`, 400, 'BadRequestError'],
	['no version', 'GET /ping\r\n\r\n', 400, 'BadRequestError'],
	['a wrong version', `GET /ping HTTP/9.9\r\n${close}`, 400, 'BadRequestError'],
	['HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 400, 'BadRequestError'],
	['a NUL in the path', `GET /images/\x00 HTTP/1.1\r\n${close}`, 400, 'BadRequestError'],
	['a NUL in a header', `GET /ping HTTP/1.1\r\nx: a\x00b\r\n${close}`, 400, 'BadRequestError'],
	['a space in the path', `GET /images/a b HTTP/1.1\r\n${close}`, 400, 'BadRequestError'],
	['a header without a colon', `GET /ping HTTP/1.1\r\nnonsense\r\n${close}`, 400, 'BadRequestError'],
	['a header name with a space', `GET /ping HTTP/1.1\r\nx : y\r\n${close}`, 400, 'BadRequestError'],
	['no Host', 'GET /ping HTTP/1.1\r\nConnection: close\r\n\r\n', 400, 'BadRequestError'],
	['two Hosts', `GET /ping HTTP/1.1\r\nHost: a\r\n${close}`, 400, 'BadRequestError'],
	[
		'both lengths',
		`POST /images HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n${close}0\r\n\r\n`,
		400,
		'BadRequestError',
	],
	[
		'two lengths',
		`POST /images HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n${close}hello`,
		400,
		'BadRequestError',
	],
	['a negative length', `POST /images HTTP/1.1\r\nContent-Length: -5\r\n${close}`, 400, 'BadRequestError'],
	['a length of no digits', `POST /images HTTP/1.1\r\nContent-Length: 0x10\r\n${close}`, 400, 'BadRequestError'],
	[
		'an overlong length',
		`POST /images HTTP/1.1\r\nContent-Length: ${'9'.repeat(40)}\r\n${close}`,
		400,
		'BadRequestError',
	],
	['an unknown encoding', `POST /images HTTP/1.1\r\nTransfer-Encoding: chunked, x\r\n${close}`, 400, 'BadRequestError'],
	['a bare CR between headers', `GET /ping HTTP/1.1\r\nx: y\rz: a\r\n${close}`, 400, 'BadRequestError'],
	[
		'a giant header',
		`GET /ping HTTP/1.1\r\nx: ${'y'.repeat(20_000)}\r\n${close}`,
		431,
		'RequestHeaderFieldsTooLargeError',
	],
	['a giant path', `GET /${'y'.repeat(20_000)} HTTP/1.1\r\n${close}`, 431, 'RequestHeaderFieldsTooLargeError'],
	[
		'headers without end',
		`GET /ping HTTP/1.1\r\n${'x: y\r\n'.repeat(10_000)}`,
		431,
		'RequestHeaderFieldsTooLargeError',
	],
	['a proxy request', 'CONNECT example.com:443 HTTP/1.1\r\nHost: example.com\r\n\r\n', 405, 'MethodNotAllowedError'],
] as const) {
	test(`${what} is answered with ${status} in IMGAPI's words, and the connection ends`, async t => {
		const {port, url, host: own, mirror} = await startFront(t);
		const [answer, ...more] = answersIn(await say(port, Buffer.from(text, 'latin1')));
		t.is(answer?.status, status);
		t.regex(answer?.head ?? '', /^Content-Type: application\/json\r$/im);
		t.regex(answer?.head ?? '', /^Connection: close\r?$/im);
		t.regex(answer?.head ?? '', /^Server: imgmirror\//im);
		t.regex(answer?.head ?? '', /^x-request-id: \S+/im);
		const body = JSON.parse(answer?.body ?? '') as {code: string; message: string};
		t.is(body.code, code);
		t.is(typeof body.message, 'string');
		t.is(more.length, 0);
		t.is(mirror.calls.length, 0);
		t.is(own.linesLike({status}).length, 1);
		t.is((await ask(url, '/ping')).status, 200);
	});
}

for (const text of [
	'',
	'G',
	'GET /ping HTTP/1.1',
	'GET /ping HTTP/1.1\r\nHost: x',
	'GET /ping HTTP/1.1\r\nHost: x\r\n',
	'POST /images HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf',
	'PUT /images/x/file HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nhalf',
	'PUT /images/x/file HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhal',
	'GET /images/x HTTP/1.1\r\nHost: x\r\n\r\nGET /im',
]) {
	for (const how of ['ends', 'is reset'] as const) {
		test(`a connection that ${how} after ${JSON.stringify(text.slice(0, 60))} leaves nothing behind`, async t => {
			const {port, url, host: own, mirror} = await startFront(t);
			const socket = await open(port);
			socket.resume();
			socket.write(text);
			// A whole exchange on another connection: what was written before has been read by then.
			await ask(url, '/ping');
			if (how === 'ends') {
				socket.end();
				await once(socket, 'close');
			} else {
				socket.resetAndDestroy();
			}
			while ((await own.metric('imgmirror_connections')) > 0) {
				await setImmediate();
			}
			t.is(mirror.openFiles, 0);
			t.is(own.linesLike({level: 50}).length, 0);
			t.is((await ask(url, '/ping')).status, 200);
		});
	}
}

// Alone: what the slow one has said must have been read before its time is up.
test.serial('headers that come too slowly are 408', async t => {
	const limits = {...settings.limits, headersTimeoutMs: 2000};
	const {port, host: own} = await startFront(t, {limits});
	const silent = await open(port);
	const slow = await open(port);
	slow.write('GET /ping HTTP/1.1\r\nHost: x\r\n');
	const [nothing, answer] = await Promise.all([heard(silent), heard(slow)]);
	// Who never said anything gets nothing to read.
	t.is(nothing, '');
	t.is(answersIn(answer)[0]?.status, 408);
	t.like(JSON.parse(answersIn(answer)[0]?.body ?? '') as object, {code: 'RequestTimeoutError'});
	t.is(own.linesLike({status: 408}).length, 1);
});

test('an idle connection is closed when its time is up', async t => {
	const limits = {...settings.limits, keepAliveTimeoutMs: 50};
	const {port} = await startFront(t, {limits});
	const answer = await say(port, `GET /ping HTTP/1.1\r\n${host}\r\n`);
	t.is(answersIn(answer).length, 1);
	t.is(answersIn(answer)[0]?.status, 200);
});

test('ten thousand query keys are refused and cost nothing', async t => {
	const limits = {...settings.limits, maxHeaderBytes: 1024 * 1024};
	const {url, mirror} = await startFront(t, {limits});
	for (const path of ['/images', '/ping', '/datasets']) {
		const query = Array.from({length: 10_000}, (_, number) => `k${number}=v`).join('&');
		const {status, json} = await ask(url, `${path}?${query}`);
		t.is(status, 422, path);
		t.is((json as {code: string}).code, 'InvalidParameter');
	}
	t.is(mirror.calls.length, 0);
	const many = Array.from({length: 1000}, () => 'x=y').join('&');
	t.is((await ask(url, `/images?${many}`)).status, 200);
	t.is((await ask(url, `/images?${'&;'.repeat(5000)}`)).status, 200);
});

test('garbage after a request does not spoil its answer', async t => {
	const image = makeImage({size: 3_000_000});
	const {port, mirror, url} = await startFront(t, {images: [image]});
	const [answer, ...more] = answersIn(
		await say(port, `GET /images/${image.uuid}/file HTTP/1.1\r\n${host}\r\n\x00\x01 garbage \xff\r\n\r\n`),
	);
	t.is(answer?.status, 200);
	t.true(Buffer.from(answer?.body ?? '', 'latin1').equals(image.bytes));
	t.is(more.length, 0);
	await mirror.until();
	t.is((await ask(url, '/ping')).status, 200);
});

test('garbage without end is not read without end', async t => {
	const {port, host: own} = await startFront(t);
	const socket = await open(port);
	const answer = heard(socket);
	const piece = Buffer.alloc(65_536, 'garbage ');
	let sent = 0;
	await new Promise<void>(resolve => {
		const send = (): void => {
			sent += piece.length;
			if (!socket.destroyed && sent < 1_000_000_000) {
				socket.write(piece, error => (error ? resolve() : send()));
			} else {
				resolve();
			}
		};
		send();
	});
	await answer;
	t.true(sent < 100_000_000, `${sent} bytes`);
	while ((await own.metric('imgmirror_connections')) > 0) {
		await setImmediate();
	}
	t.is(own.linesLike({msg: 'no proper request'}).length, 1);
});

test('who goes on after a bad request without taking the answer is cut off in time', async t => {
	const {port, host: own} = await startFront(t);
	const socket = await open(port);
	const first = hears(socket, 'BadRequestError');
	socket.write('nonsense\r\n\r\n');
	await first;
	const ended = once(socket, 'close');
	// allowHalfOpen: this client does not close in its turn.
	await own.clock.timers();
	await own.clock.advance(2000);
	socket.write('more');
	socket.end();
	await ended;
	t.is(own.clock.pending, 0);
});

test('more requests ahead than anybody needs are not taken, those taken are answered', async t => {
	const {port, mirror, host: own} = await startFront(t);
	let release: () => void = () => undefined;
	mirror.before.list = () => new Promise<void>(resolve => (release = resolve));
	const socket = await open(port);
	const text = heard(socket);
	socket.write(`GET /images HTTP/1.1\r\n${host}\r\n`);
	await mirror.until(() => mirror.callsOf('list') === 1);
	delete mirror.before.list;
	socket.write(`GET /ping HTTP/1.1\r\n${host}\r\n`.repeat(5000));
	// They have been read, so far as they ever will be, once another connection has been served.
	await ask(`http://127.0.0.1:${port}`, '/ping');
	release();
	const answers = answersIn(await text);
	t.is(answers.length, 33);
	t.regex(answers.at(-1)?.head ?? '', /^Connection: close\r?$/im);
	t.false(/^Connection: close/im.test(answers.at(-2)?.head ?? ''));
	t.is(await own.metric('imgmirror_requests_total', {route: '/ping'}), 33);
});

test('a client that leaves takes with it what it had asked for ahead', async t => {
	const {port, mirror, host: own} = await startFront(t);
	mirror.before.list = asked =>
		new Promise((_, reject) => asked?.signal.addEventListener('abort', () => reject(asked.signal.reason as Error)));
	const socket = await open(port);
	socket.write(`GET /images HTTP/1.1\r\n${host}\r\n${`GET /status HTTP/1.1\r\n${host}\r\n`.repeat(3)}`);
	await mirror.until(() => mirror.callsOf('list') === 1);
	socket.resetAndDestroy();
	await own.logged({route: '/images', status: 499});
	t.is(own.linesLike({status: 499, msg: 'client left'}).length, 4);
	t.is(mirror.callsOf('status'), 0);
});

test('an offer to speak another protocol is passed over', async t => {
	const {url} = await startFront(t);
	const headers = {connection: 'Upgrade, HTTP2-Settings', upgrade: 'h2c', 'http2-settings': 'AAMAAABkAARAAAAAAAIAAAAA'};
	t.is((await ask(url, '/ping', {headers})).status, 200);
});

const megabyte = Buffer.alloc(1_000_000);
for (const [what, header, piece, end] of [
	['with a length', 'Content-Length: 20000000', megabyte, ''],
	[
		'in chunks',
		'Transfer-Encoding: chunked',
		Buffer.concat([Buffer.from('F4240\r\n'), megabyte, Buffer.from('\r\n')]),
		'0\r\n\r\n',
	],
] as const) {
	test(`a refused upload ${what} can read why after it has sent all of it`, async t => {
		const {port, host: own} = await startFront(t);
		const socket = await open(port);
		// Reads nothing before it has sent everything, as simple clients do.
		socket.pause();
		socket.write(`PUT /images/x/file?compression=gzip HTTP/1.1\r\n${host}${header}\r\n\r\n`);
		for (let sent = 0; sent < 20_000_000; sent += 1_000_000) {
			await new Promise<void>((resolve, reject) => {
				socket.write(piece, error => (error ? reject(error) : resolve()));
			});
		}
		socket.write(end);
		const [answer] = answersIn(await heard(socket));
		t.is(answer?.status, 401);
		t.regex(answer?.head ?? '', /^Connection: close\r?$/im);
		t.true(answer?.body.includes('UnauthorizedError'));
		t.like(await own.logged({status: 401}), {msg: 'request'});
	});
}

test('an upload that asks first is refused before it begins', async t => {
	const {url} = await startFront(t);
	const answer = await new Promise<{status: number; continued: boolean}>((resolve, reject) => {
		let continued = false;
		const request = httpRequest(`${url}/images`, {
			method: 'POST',
			headers: {expect: '100-continue', 'content-length': 1_000_000},
		});
		request.on('continue', () => (continued = true));
		request.on('response', response => {
			response.resume();
			response.once('end', () => {
				resolve({status: response.statusCode ?? 0, continued});
				request.destroy();
			});
		});
		request.on('error', reject);
		request.flushHeaders();
	});
	t.deepEqual(answer, {status: 401, continued: false});
	t.is((await ask(url, '/ping', {headers: {expect: 'miracles'}})).status, 200);
});

test('a refused upload without end is not read without end', async t => {
	const {port, host: own} = await startFront(t);
	const socket = await open(port);
	socket.write(`PUT /images/x/file HTTP/1.1\r\n${host}Content-Length: 100000000000\r\n\r\n`);
	await hears(socket, 'UnauthorizedError');
	const closed = new Promise(resolve => socket.once('close', resolve));
	const piece = Buffer.alloc(1_000_000);
	let sent = 0;
	// Until nobody takes any more.
	while (socket.write(piece) || socket.writableLength < 5_000_000) {
		sent += piece.length;
		await setImmediate();
	}
	t.true(sent < 1_000_000_000, `${sent} bytes`);
	await own.clock.timers();
	await own.clock.advance(10_000);
	socket.resume();
	await closed;
	t.is(own.clock.pending, 0);
	t.is(own.linesLike({status: 401}).length, 1);
});

test('the connection stays good after a small body that nobody wanted', async t => {
	const {port} = await startFront(t);
	const post = `POST /images HTTP/1.1\r\n${host}Content-Length: 5\r\n\r\nhello`;
	const chunked = `POST /images HTTP/1.1\r\n${host}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n`;
	const answers = answersIn(await say(port, `${post}${post}GET /ping HTTP/1.1\r\n${host}\r\n${chunked}`));
	t.deepEqual(
		answers.map(({status}) => status),
		[401, 401, 200, 401],
	);
	// How small a body in chunks is, nobody knows before its end.
	t.deepEqual(
		answers.map(({head}) => /^Connection: (.*?)\r?$/im.exec(head)?.[1]),
		['keep-alive', 'keep-alive', 'keep-alive', 'close'],
	);
});

test('a body on a GET is ignored', async t => {
	const image = makeImage({size: 100_000});
	const {port, url} = await startFront(t, {images: [image]});
	// Kept: a connection that ends while its client still sends may be reset before that has read the answer.
	const agent = new Agent({keepAlive: true, maxSockets: 1});
	t.teardown(() => agent.destroy());
	for (const length of [5, 200_000, 5]) {
		const {status, body} = await ask(url, `/images/${image.uuid}/file`, {body: Buffer.alloc(length), agent});
		t.is(status, 200);
		sameBytes(t, body, image.bytes);
	}
	const [first, second] = answersIn(
		await say(port, `GET /ping HTTP/1.1\r\n${host}Content-Length: 5\r\n\r\nhelloGET /images HTTP/1.1\r\n${close}`),
	);
	t.is(first?.status, 200);
	t.is(second?.body, JSON.stringify([image.manifest], null, 2));
});

test('hundreds of idle connections are kept, and cost the others nothing', async t => {
	const image = makeImage({size: 100_000});
	const {port, url, host: own, front} = await startFront(t, {images: [image]});
	const idle: Socket[] = [];
	for (let batch = 0; batch < 10; batch++) {
		idle.push(...(await Promise.all(Array.from({length: 50}, () => open(port)))));
	}
	for (const socket of idle.slice(0, 100)) {
		const answered = hears(socket, '"pong"');
		socket.write(`GET /ping HTTP/1.1\r\n${host}\r\n`);
		await answered;
	}
	sameBytes(t, (await ask(url, `/images/${image.uuid}/file`)).body, image.bytes);
	t.is(await own.metric('imgmirror_connections'), 500);
	t.false(idle.some(({destroyed, readableEnded}) => destroyed || readableEnded));
	const closed = Promise.all(idle.map(socket => heard(socket)));
	await front.stop({drainMs: 1000});
	await closed;
	t.is(await own.metric('imgmirror_connections'), 0);
});

test('of thousands of requests sent ahead the first are answered, and the rest is not even parsed', async t => {
	const {port, url} = await startFront(t);
	let parsed = 0;
	const count = (message: unknown): void => {
		parsed += (message as {socket: Socket}).socket.localPort === port ? 1 : 0;
	};
	subscribe('http.server.request.start', count);
	t.teardown(() => unsubscribe('http.server.request.start', count));
	const socket = await open(port);
	const all = heard(socket);
	socket.write(`GET /ping HTTP/1.1\r\n${host}\r\n`.repeat(1500));
	const answers = answersIn(await all);
	t.is(answers.length, 33);
	t.true(answers.every(({status}) => status === 200));
	t.is(parsed, 34);
	t.is((await ask(url, '/ping')).status, 200);
});
