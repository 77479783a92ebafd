import {subscribe, unsubscribe} from 'node:diagnostics_channel';
import {once} from 'node:events';
import type {IncomingMessage} from 'node:http';
import {setImmediate} from 'node:timers/promises';
import test, {type ExecutionContext} from 'ava';
import fc from 'fast-check';
import {isAllOf} from '../../src/http/repeats.js';
import {makeImage} from '../helpers/make-image.js';
import {alike, get, Talker, type TalkerAnswer} from '../helpers/talker.js';
import {answersIn, ask, heard, startFront} from './front.js';

const images = Array.from({length: 40}, () => makeImage({size: 100}));
const [{uuid, sha1}] = images as [(typeof images)[0]];
const host = 'Host: x\r\n';

/** Where the requests wanted to go that Node's parser has found in what came to this port. */
function parsed(t: ExecutionContext, port: number): string[] {
	const urls: string[] = [];
	const note = (message: unknown): void => {
		const {url = '', socket} = (message as {request: IncomingMessage}).request;
		if (socket.localPort === port) {
			urls.push(url);
		}
	};
	subscribe('http.server.request.start', note);
	t.teardown(() => unsubscribe('http.server.request.start', note));
	return urls;
}

for (const [what, text, status] of [
	['ping', get('/ping'), 200],
	['ping, with a request id', get('/ping', 'x-request-id: mine\r\n'), 200],
	['a list', get('/images', 'Accept: application/json\r\nUser-Agent: somebody/1\r\n'), 200],
	['a list, compressed', get('/images', 'Accept-Encoding: gzip\r\n'), 200],
	['a filtered list', get('/images?name=image-3&os=smartos'), 200],
	['an image', get(`/images/${uuid}`, 'Connection: Keep-Alive\r\n'), 200],
	['an image of no source', get(`/images/${uuid.replace(/^.{8}/u, '00000000')}`), 404],
	['a query that makes no sense', get('/images?limit=x'), 422],
	['a version that is not spoken', get('/images', 'Accept-Version: ~99\r\n'), 400],
	['what cannot be had', get('/images', 'Accept: text/html\r\n'), 406],
	['the head of an image', get(`/images/${uuid}`, '', 'HEAD'), 200],
	['the head of a list', get('/images', '', 'HEAD'), 200],
] as const) {
	test(`what is asked for again is answered as before, and parsed no more: ${what}`, async t => {
		const {
			port,
			host: {clock},
		} = await startFront(t, {images});
		const urls = parsed(t, port);
		const talker = await Talker.open(t, port);
		const answers: TalkerAnswer[] = [];
		for (let round = 0; round < 12; round++) {
			answers.push(await talker.ask(text));
		}
		const [first = {status: 0, head: '', body: ''}] = answers;
		t.is(first.status, status);
		t.deepEqual(
			answers.map(alike),
			answers.map(() => alike(first)),
		);
		t.true(urls.length < 6, `parsed ${urls.length} times`);
		const ids = new Set(answers.map(({head}) => /^x-request-id: (.*)$/imu.exec(head)?.[1]));
		t.is(ids.size, text.includes('mine') ? 1 : 12);
		for (const {head} of answers) {
			const date = /^date: (.*)$/imu.exec(head)?.[1] ?? '';
			t.is(new Date(date).toUTCString(), date, String(clock.now()));
		}
	});
}

test('a condition is looked at each time', async t => {
	const {port, mirror} = await startFront(t, {images});
	const talker = await Talker.open(t, port);
	const {head} = await talker.ask(get(`/images/${uuid}`));
	const etag = /^etag: (.*)$/imu.exec(head)?.[1] ?? '';
	const text = get(`/images/${uuid}`, `If-None-Match: ${etag}\r\n`);
	for (let round = 0; round < 6; round++) {
		const {status, body, head: again} = await talker.ask(text);
		t.is(status, 304);
		t.is(body, '');
		t.regex(again, new RegExp(`^etag: ${etag}`, 'imu'));
		t.notRegex(again, /content-length/iu);
	}
	mirror.before.find = () => {
		throw new Error('now it is another');
	};
	t.is((await talker.ask(text)).status, 500);
});

test('what a request leads to is looked at anew: what the log, the metrics and access see is a request like any', async t => {
	const {port, host: ours, mirror} = await startFront(t, {images});
	const talker = await Talker.open(t, port);
	for (let round = 0; round < 10; round++) {
		await talker.ask(get(`/images/${uuid}`, 'User-Agent: again/1\r\n'));
	}
	t.is(mirror.callsOf('find'), 10);
	const lines = ours.lines.filter(({msg}) => msg === 'request');
	// The last one's line is written once its answer is out.
	t.true(lines.length >= 9);
	t.true(
		lines.every(({userAgent, route, status}) => userAgent === 'again/1' && route === '/images/:uuid' && status === 200),
	);
});

for (const [what, text] of [
	['with a login', get('/ping', 'Authorization: Basic eDp5\r\n')],
	['of a session', get('/images', 'Cookie: a=b\r\n')],
	['for a file', get(`/images/${uuid}/file`)],
	['of a proxy that closes', get('/ping', 'Connection: upgrade\r\nUpgrade: h2c\r\n')],
	['that announces a body', get('/ping', 'Content-Length: 0\r\n')],
	['of great length', get('/ping', `x: ${'y'.repeat(2000)}\r\n`)],
] as const) {
	test(`a request ${what} is parsed each time`, async t => {
		const {port} = await startFront(t, {images});
		const urls = parsed(t, port);
		const talker = await Talker.open(t, port);
		for (let round = 0; round < 8; round++) {
			await talker.ask(text);
		}
		t.is(urls.length, 8);
	});
}

test('bytes that look like a known request are none in the middle of another', async t => {
	const {port} = await startFront(t, {images});
	const known = get('/ping');
	const talker = await Talker.open(t, port);
	for (let round = 0; round < 5; round++) {
		await talker.ask(known);
	}
	// One request: its last header's value begins with what was known, and goes on with its headers.
	talker.socket.write(`GET /images/${uuid} HTTP/1.1\r\n${host}x: `);
	await setImmediate();
	const inside = await talker.ask(known);
	t.is(inside.status, 400, 'two Hosts');
	for (let round = 0; round < 5; round++) {
		const {status, body} = await talker.ask(known);
		t.is(status, 200);
		t.true(body.includes('pong'));
	}

	talker.socket.write('POST /images HTTP/1.1\r\nContent-Type: application/json\r\n');
	await setImmediate();
	talker.socket.write(`${host}Content-Length: ${known.length}\r\n\r\n`);
	await setImmediate();
	const posted = await talker.ask(known);
	t.true(posted.status >= 400 && !posted.body.includes('pong'));
	t.true((await talker.ask(known)).body.includes('pong'));
});

test('what comes while a known request is answered waits for its turn', async t => {
	const {port, mirror} = await startFront(t, {images});
	const known = get(`/images/${uuid}`);
	const talker = await Talker.open(t, port);
	for (let round = 0; round < 5; round++) {
		await talker.ask(known);
	}
	let go: () => void = () => undefined;
	let called: () => void = () => undefined;
	const isCalled = new Promise<void>(resolve => {
		called = resolve;
	});
	mirror.before.find = () => {
		mirror.before.find = undefined;
		called();
		return new Promise(resolve => {
			go = resolve;
		});
	};
	talker.socket.write(known);
	await isCalled;
	talker.socket.write(get('/ping'));
	await setImmediate();
	talker.socket.write(known + get('/ping') + known.slice(0, 20));
	await setImmediate();
	go();
	t.true((await talker.next()).body.includes(uuid));
	t.true((await talker.next()).body.includes('pong'));
	t.true((await talker.next()).body.includes(uuid));
	t.true((await talker.next()).body.includes('pong'));
	talker.socket.write(known.slice(20));
	t.true((await talker.next()).body.includes(uuid));
});

test('a known request whose answer is not ready keeps its connection while the server stops', async t => {
	const {port, front, mirror} = await startFront(t, {images});
	const known = get(`/images/${uuid}`);
	const talker = await Talker.open(t, port);
	for (let round = 0; round < 5; round++) {
		await talker.ask(known);
	}
	let go: () => void = () => undefined;
	const isCalled = new Promise<void>(resolve => {
		mirror.before.find = () => {
			resolve();
			return new Promise(done => {
				go = done;
			});
		};
	});
	talker.socket.write(known);
	await isCalled;
	const stopped = front.stop({drainMs: 600_000});
	go();
	const all = heard(talker.socket);
	await stopped;
	const [answer, ...others] = answersIn(await all);
	t.is(others.length, 0);
	t.is(answer?.status, 200);
	t.regex(answer?.head ?? '', /^connection: close/imu);
});

test('a client that leaves while its known request is answered is forgotten', async t => {
	const {port, mirror, host: ours} = await startFront(t, {images});
	const known = get(`/images/${uuid}`);
	const talker = await Talker.open(t, port);
	for (let round = 0; round < 5; round++) {
		await talker.ask(known);
	}
	const aborted = new Promise<void>(resolve => {
		mirror.before.find = given => {
			given?.signal.addEventListener('abort', () => resolve());
			talker.socket.destroy();
			return new Promise(() => undefined);
		};
	});
	talker.socket.write(known);
	await aborted;
	t.truthy(ours.lines.find(({msg, status}) => msg === 'client left' && status === 499));
});

test('a connection that is to be something else is nobody else’s business', async t => {
	const {port} = await startFront(t, {images});
	const talker = await Talker.open(t, port);
	for (let round = 0; round < 5; round++) {
		await talker.ask(get('/ping'));
	}
	const tunnel = await talker.ask(`CONNECT x:443 HTTP/1.1\r\n${host}\r\n`);
	t.is(tunnel.status, 405);
	// Node's parser is another connection's by now.
	const other = await Talker.open(t, port);
	await other.ask(get('/ping'));
	const ended = once(talker.socket, 'close');
	talker.socket.resume();
	talker.socket.write(get('/ping'));
	talker.socket.write('GET /images HTTP/1.1\r\n');
	await setImmediate();
	t.true((await other.ask(get(`/images/${uuid}`))).body.includes(uuid));
	talker.socket.end();
	await ended;
});

test('what is no HTTP after known requests is told so', async t => {
	const {port} = await startFront(t, {images});
	const talker = await Talker.open(t, port);
	for (let round = 0; round < 5; round++) {
		await talker.ask(get('/ping'));
	}
	const answer = await talker.ask('nonsense\r\n\r\n');
	t.is(answer.status, 400);
	talker.socket.write(get('/ping'));
	t.is(await heard(talker.socket), '');
});

test('an answer of any size goes out whole', async t => {
	const many = Array.from({length: 800}, () => makeImage({size: 10}));
	const {port, url} = await startFront(t, {images: many});
	const {text} = await ask(url, '/images');
	t.true(text.length > 256 * 1024);
	const talker = await Talker.open(t, port);
	for (let round = 0; round < 6; round++) {
		const {body} = await talker.ask(get('/images'));
		t.true(body === text, `round ${round}`);
	}
});

test('however a stream of requests is cut, each has its answer, in order', async t => {
	const {port, url} = await startFront(t, {images});
	const paths = ['/ping', '/images', `/images/${uuid}`, '/images/none', `/images/${uuid}/file`, '/nowhere'];
	const expected = new Map<string, string>();
	for (const path of paths) {
		expected.set(path, (await ask(url, path)).body.toString('latin1').replaceAll(/"request_?id":.*/giu, ''));
	}
	await fc.assert(
		fc.asyncProperty(
			fc.array(fc.constantFrom(...paths), {minLength: 1, maxLength: 12}),
			fc.array(fc.integer({min: 0, max: 1000}), {maxLength: 12}),
			async (asked, cuts) => {
				const talker = await Talker.open(t, port);
				for (const path of ['/ping', '/ping', '/ping', `/images/${uuid}`, `/images/${uuid}`, '/ping']) {
					await talker.ask(get(path));
				}
				const text = asked.map(path => get(path)).join('');
				let from = 0;
				const answers = (async () => {
					const bodies: string[] = [];
					while (bodies.length < asked.length) {
						bodies.push((await talker.next()).body);
					}
					return bodies;
				})();
				for (const to of [...cuts.map(cut => cut % text.length).sort((a, b) => a - b), text.length]) {
					if (to > from) {
						talker.socket.write(text.slice(from, to));
						await setImmediate();
						await setImmediate();
					}
					from = Math.max(from, to);
				}
				const bodies = await answers;
				t.deepEqual(
					bodies.map(body => body.replaceAll(/"request_?id":.*/giu, '')),
					asked.map(path => expected.get(path)),
				);
				talker.socket.destroy();
			},
		),
		{numRuns: 60},
	);
	t.truthy(sha1);
});

test('only a request that is all of these bytes is known by them', t => {
	const text = get('/ping', 'X-A: b\r\n');
	const request = {
		...{method: 'GET', url: '/ping', httpVersion: '1.1', headers: {host: 'x', 'x-a': 'b'}},
		rawHeaders: ['Host', 'x', 'X-A', 'b'],
	};
	const is = (changes: object, of = text): boolean =>
		isAllOf(of, {...request, ...changes} as unknown as IncomingMessage);
	t.true(is({}));
	t.false(is({url: '/pong'}));
	t.false(is({method: 'HEAD'}));
	t.false(is({httpVersion: '1.0'}));
	t.false(is({rawHeaders: ['Host', 'x']}));
	t.false(is({rawHeaders: ['X-Before', 'y', 'Host', 'x', 'X-A', 'b']}));
	t.false(is({rawHeaders: ['Host', 'x', 'X-A', 'c']}));
	t.false(is({headers: {connection: 'close'}}));
	t.false(is({headers: {'transfer-encoding': 'chunked'}}));
	t.false(is({}, text.replace('X-A: b', 'X-A:b')), 'as it is usually written, or not at all');
});
