import test from 'ava';
import {makeImage} from '../helpers/make-image.js';
import {sameBytes} from '../helpers/same-bytes.js';
import {answersIn, ask, hears, heard, open, settings, startFront} from './front.js';

const host = 'Host: x\r\n';

test('a stop lets running answers come to their end, closes what is idle and takes nothing new', async t => {
	const image = makeImage({size: 4_000_000});
	const {front, mirror, host: own, url, port} = await startFront(t, {images: [image]});
	let release: () => void = () => undefined;
	mirror.readSize = 1_000_000;
	mirror.before.read = (_, position) =>
		position === 2_000_000 ? new Promise<void>(resolve => (release = resolve)) : undefined;
	const running = ask(url, `/images/${image.uuid}/file`, {headers: {connection: 'keep-alive'}});
	const idle = await open(port);
	const answered = hears(idle, '"pong"');
	idle.write(`GET /ping HTTP/1.1\r\n${host}\r\n`);
	await answered;
	await mirror.until(() => mirror.callsOf('read') === 3);

	const stopped = front.stop({drainMs: 60_000});
	await heard(idle);
	await t.throwsAsync(ask(url, '/ping'), {code: 'ECONNREFUSED'});
	release();
	sameBytes(t, (await running).body, image.bytes);
	await stopped;
	t.is(own.clock.pending, 0);
	t.is(await own.metric('imgmirror_connections'), 0);
	// A second one has nothing to do.
	await front.stop({drainMs: 0});
});

test('what was asked for before the stop is answered, the last of it with Connection: close', async t => {
	const {front, mirror, port} = await startFront(t);
	let release: () => void = () => undefined;
	mirror.before.list = () => new Promise<void>(resolve => (release = resolve));
	const socket = await open(port);
	const text = heard(socket);
	socket.write(
		`GET /images HTTP/1.1\r\n${host}\r\nGET /readyz HTTP/1.1\r\n${host}\r\nGET /healthz HTTP/1.1\r\n${host}\r\n`,
	);
	await mirror.until(() => mirror.callsOf('list') === 1);
	const stopped = front.stop({drainMs: 60_000});
	release();
	const answers = answersIn(await text);
	t.deepEqual(
		answers.map(({status}) => status),
		[200, 503, 200],
	);
	t.deepEqual((JSON.parse(answers[1]?.body ?? '') as {problems: unknown}).problems, ['the mirror is stopping']);
	t.deepEqual(
		answers.map(({head}) => /^Connection: (.*?)\r?$/im.exec(head)?.[1]),
		['keep-alive', 'keep-alive', 'close'],
	);
	await stopped;
});

test('what takes longer than it may is cut, and says so', async t => {
	const image = makeImage({size: 4_000_000});
	const {front, mirror, host: own, url} = await startFront(t, {images: [image]});
	mirror.readSize = 1_000_000;
	mirror.before.read = (asked, position) =>
		position === 2_000_000
			? new Promise<void>((_, reject) =>
					asked?.signal.addEventListener('abort', () => reject(asked.signal.reason as Error)),
				)
			: undefined;
	const running = t.throwsAsync(ask(url, `/images/${image.uuid}/file`, {headers: {'x-request-id': 'cut'}}));
	await mirror.until(() => mirror.callsOf('read') === 3);
	const stopped = front.stop({drainMs: 10_000});
	await own.clock.timerDueIn(10_000, 10_000);
	await own.clock.advance(10_000);
	await running;
	await stopped;
	await mirror.until();
	t.like(await own.logged({requestId: 'cut'}), {status: 200});
	t.is(own.clock.pending, 0);
});

test('a stop without patience cuts at once', async t => {
	const {front, mirror, url} = await startFront(t);
	mirror.before.list = asked =>
		new Promise((_, reject) => asked?.signal.addEventListener('abort', () => reject(asked.signal.reason as Error)));
	const running = t.throwsAsync(ask(url, '/images'));
	await mirror.until(() => mirror.callsOf('list') === 1);
	await front.stop({drainMs: 0});
	await running;
});

test('settings change for what comes', async t => {
	const image = makeImage();
	const {front, url, port} = await startFront(t, {images: [image]});
	const kept = await open(port);
	front.setOptions({...settings, basePath: '/below', limits: {...settings.limits, keepAliveTimeoutMs: 50}});
	t.is((await ask(url, '/below/images')).status, 200);
	t.is((await ask(url, '/images')).status, 404);
	// Also on connections that were there before.
	const text = heard(kept);
	kept.write(`GET /ping HTTP/1.1\r\n${host}\r\n`);
	t.is(answersIn(await text)[0]?.status, 200);
});
