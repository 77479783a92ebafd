import {get as httpGet, type IncomingMessage} from 'node:http';
import test from 'ava';
import {StoppingError, NotFoundError} from '../../src/errors.js';
import type {VerifyEvent} from '../../src/mirror-operate-api.js';
import {testHost} from '../helpers/test-host.js';
import {FakeAccess, basicLogin} from './fake-access.js';
import {ask, hears, open, startFront, type StartedFront} from './front.js';

const op = {authorization: basicLogin('op')};
const users = {op: ['operate' as const], viewer: ['private' as const]};

interface Stream {
	readonly response: IncomingMessage;
	/** Resolves with all that has come, once `pattern` is in it. */
	until(pattern: RegExp): Promise<string>;
	/** Resolves with all once it has ended, or was cut. */
	readonly ended: Promise<string>;
	leave(): void;
}

/** Of long streams, the last `keep` characters are enough. */
function follow(
	url: string,
	path: string,
	headers: Record<string, string> = {},
	{method = 'GET', keep = Infinity}: {readonly method?: string; readonly keep?: number} = {},
): Promise<Stream> {
	return new Promise((resolve, reject) => {
		const request = httpGet(`${url}${path}`, {headers, agent: false, method}, response => {
			let got = '';
			const waiting = new Set<() => void>();
			const look = (): void => {
				for (const each of [...waiting]) {
					each();
				}
			};
			response.on('data', (chunk: Buffer) => {
				got = (got + chunk.toString()).slice(-keep);
				look();
			});
			response.on('error', () => undefined);
			resolve({
				response,
				until: pattern =>
					new Promise(found => {
						const each = (): void => {
							if (pattern.test(got)) {
								waiting.delete(each);
								found(got);
							}
						};
						waiting.add(each);
						each();
					}),
				ended: new Promise(found => response.once('close', () => found(got))),
				leave: () => request.destroy(),
			});
		});
		request.on('error', reject);
	});
}

/** For what follows a socket's end by itself, without a word. */
async function eventually(holds: () => boolean): Promise<void> {
	while (!holds()) {
		await new Promise(resolve => setImmediate(resolve));
	}
}

function linesIn(text: string): readonly object[] {
	return text
		.trimEnd()
		.split('\n')
		.map(line => JSON.parse(line) as object);
}

const events = (front: StartedFront, headers: Record<string, string> = {}): Promise<Stream> =>
	follow(front.url, '/events', headers);

test('events come as they happen, each with its type and an id', async t => {
	const front = await startFront(t);
	const stream = await events(front);
	t.like(stream.response.headers, {
		'content-type': 'text/event-stream',
		'cache-control': 'no-store',
		'x-accel-buffering': 'no',
		'content-encoding': undefined,
		'content-length': undefined,
	});
	t.is(await stream.until(/\n\n/), 'retry: 2000\nid: this-mirror-0\n\n');
	front.host.events.emit('source.down', {source: 'upstream', problem: 'it is\nbroken'});
	const got = await stream.until(/it is/);
	const [, event] = got.split('\n\n');
	const lines = event?.split('\n') ?? [];
	t.is(lines[0], 'id: this-mirror-1');
	t.is(lines[1], 'event: source.down');
	t.like(JSON.parse(lines[2]?.replace('data: ', '') ?? ''), {id: 1, type: 'source.down', problem: 'it is\nbroken'});
	stream.leave();
	// Of a stream without end, leaving is nothing that anybody wants to read about.
	t.like(await front.host.logged({route: '/events'}), {level: 20, msg: 'client left'});
});

test('whoever comes back is told what it missed; where that cannot be, to look at everything anew', async t => {
	const front = await startFront(t);
	const {host} = front;
	host.events.emit('source.down', {source: 'a'});
	host.events.emit('source.up', {source: 'b'});
	const again = await events(front, {'last-event-id': 'this-mirror-1'});
	const got = await again.until(/this-mirror-2/);
	t.false(got.includes('source.down'));
	t.regex(got, /^retry: 2000\n\nid: this-mirror-2\nevent: source.up\ndata: \{.*\}\n\n$/);
	const current = await events(front, {'last-event-id': 'this-mirror-2'});
	host.events.emit('disk.low');
	t.false(/reset|source/.test(await current.until(/disk\.low/)));

	for (const id of ['other-mirror-1', 'this-mirror-x', 'this-mirror-77', 'x', '1', 'this-mirror--1']) {
		const strange = await events(front, {'last-event-id': id});
		t.regex(
			await strange.until(/data/),
			/^retry: 2000\nid: this-mirror-3\nevent: reset\ndata: \{"because":"[a-z ]+"\}\n\n$/,
			id,
		);
		strange.leave();
	}
	for (let number = 0; number < 1100; number++) {
		host.events.emit('image.cached', {sha1: 'x'});
	}
	const late = await events(front, {'last-event-id': 'this-mirror-2'});
	t.regex(await late.until(/data/), /event: reset\ndata: \{"because":"too long ago"\}/);
	// All that is kept fits.
	const most = await events(front, {'last-event-id': 'this-mirror-104'});
	t.is((await most.until(/this-mirror-1103\n/)).match(/^event:/gm)?.length, 999);
});

test('a comment every fifteen seconds keeps a quiet stream alive, and no timer runs without readers', async t => {
	const front = await startFront(t);
	t.is(front.host.clock.pending, 0);
	const stream = await events(front);
	await stream.until(/retry/);
	t.is(front.host.clock.pending, 1);
	for (let beat = 1; beat <= 3; beat++) {
		await front.host.clock.advance(15_000);
		await stream.until(new RegExp(`^(?:[^:][^]*?:\\n\\n|:\\n\\n){${beat}}`));
	}
	stream.leave();
	await eventually(() => front.host.clock.pending === 0);
	t.pass();
});

test('a healthy stream outlives the limit on idle clients, one whose client reads nothing does not last', async t => {
	const host = testHost();
	const front = await startFront(t, {host});
	const quick = await follow(front.url, '/events', {}, {keep: 50_000});
	const slow = await open(front.port);
	slow.write('GET /events HTTP/1.1\r\nHost: x\r\nx-request-id: slow\r\n\r\n');
	await hears(slow, 'retry');
	slow.pause();
	const cut = host.logged({requestId: 'slow'});
	const seen = {cut: false};
	void cut.then(() => (seen.cut = true));
	const problem = 'x'.repeat(30_000);
	let sent = 0;
	while (!seen.cut && sent < 5000) {
		host.events.emit('disk.error', {problem});
		sent++;
		if (sent % 10 === 0) {
			await quick.until(new RegExp(`id: this-mirror-${sent}\n[^]*\n\n$`));
		}
	}
	t.true(seen.cut, `after ${sent} events`);
	t.like(await cut, {msg: 'answer cut short', problem: 'the client does not read what it asked for'});
	// Nobody else has noticed.
	host.events.emit('disk.ok');
	t.true((await quick.until(/disk\.ok/)).includes(`id: this-mirror-${sent + 1}\n`));
	slow.destroy();
});

test('two hundred readers get the same events, and go without a trace', async t => {
	const front = await startFront(t);
	const streams = await Promise.all(Array.from({length: 200}, () => events(front)));
	await Promise.all(streams.map(stream => stream.until(/retry/)));
	for (let number = 0; number < 20; number++) {
		front.host.events.emit('image.cached', {sha1: String(number)});
	}
	const got = await Promise.all(streams.map(stream => stream.until(/this-mirror-20\n[^]*\n\n/)));
	t.is(new Set(got).size, 1);
	for (const stream of streams) {
		stream.leave();
	}
	// Where so many came at once there may be a timer for the crowd: its second, and one more where there was another.
	await front.host.clock.advance(2000);
	await eventually(() => front.host.clock.pending === 0);
	t.is(front.host.clock.pending, 0);
});

test('a server that stops ends its streams at once, and well', async t => {
	const front = await startFront(t, {access: new FakeAccess(users, {network: ['private']})});
	let ended: unknown;
	front.operate.verifying = async function* (signal): AsyncGenerator<VerifyEvent, void, undefined> {
		yield {what: 'begin', files: 2, bytes: 2};
		await new Promise(resolve => signal.addEventListener('abort', resolve));
		ended = signal.reason;
		signal.throwIfAborted();
	};
	const stream = await events(front);
	const log = await follow(front.url, '/mirror/log?follow=true', op);
	const verify = await follow(front.url, '/mirror/verify', op, {method: 'POST'});
	await Promise.all([stream.until(/retry/), log.until(/two/), verify.until(/begin/)]);
	// No time passes on the test's clock, so nothing was drained to the end of its time.
	await front.front.stop({drainMs: 60_000});
	await Promise.all([stream.ended, log.ended, verify.ended]);
	t.true(stream.response.complete);
	t.true(log.response.complete);
	t.true(verify.response.complete);
	t.true(ended instanceof StoppingError);
	t.deepEqual(linesIn(await verify.ended).at(-1), {
		...{what: 'error', code: 'ServiceUnavailableError', message: 'the mirror is stopping'},
	});
});

test('a stream ends with the login that it was begun with', async t => {
	const access = new FakeAccess(users, {network: ['read']});
	const front = await startFront(t, {access});
	access.sessions.set('w', {name: 'viewer', may: ['private']});
	const stream = await events(front, {cookie: 'imgmirror=w'});
	await stream.until(/retry/);
	await front.host.clock.advance(15_000);
	await stream.until(/:\n\n/);
	access.sessions.delete('w');
	await front.host.clock.advance(15_000);
	await stream.ended;
	t.true(stream.response.complete);
	t.is((await ask(front.url, '/events', {headers: {cookie: 'imgmirror=w'}})).status, 401);
});

test("a stream ends with its reader's right to it, however the login was shown", async t => {
	const access = new FakeAccess(users, {network: ['read']});
	const front = await startFront(t, {access});
	access.sessions.set('w', {name: 'viewer', may: ['private']});
	const login = {authorization: basicLogin('viewer')};
	const byCookie = await events(front, {cookie: 'imgmirror=w'});
	const byPassword = await events(front, login);
	const other = await events(front, op);
	const log = await follow(front.url, '/mirror/log?follow=true', op);
	await Promise.all([byCookie.until(/retry/), byPassword.until(/retry/), other.until(/retry/), log.until(/two/)]);
	await front.host.clock.advance(15_000);
	await Promise.all([byCookie.until(/:\n\n/), byPassword.until(/:\n\n/)]);

	access.sessions.set('w', {name: 'viewer', may: ['read']});
	access.setUser('viewer', undefined);
	await front.host.clock.advance(15_000);
	await Promise.all([byCookie.ended, byPassword.ended]);
	t.true(byCookie.response.complete);
	t.true(byPassword.response.complete);
	front.logTail.say(30, 'still told');
	await log.until(/still told/);

	// Enough for events, and too little for the log.
	access.setUser('op', ['private']);
	await front.host.clock.advance(15_000);
	await log.ended;
	t.true(log.response.complete);
	await eventually(() => front.logTail.listeners.size === 0);
	front.host.events.emit('disk.ok');
	await other.until(/disk\.ok/);
});

test('work tells each step in a line as it goes, and ends when its client leaves', async t => {
	const front = await startFront(t, {access: new FakeAccess(users)});
	let go: () => void = () => undefined;
	let left: unknown;
	front.operate.verifying = async function* (signal): AsyncGenerator<VerifyEvent, void, undefined> {
		yield {what: 'begin', files: 2, bytes: 2};
		await new Promise<void>(resolve => (go = resolve));
		yield {what: 'progress', bytesDone: 1};
		await new Promise(resolve => signal.addEventListener('abort', resolve));
		left = signal.reason;
		front.mirror.moved();
		signal.throwIfAborted();
	};
	const stream = await follow(front.url, '/mirror/verify', {...op, 'x-request-id': 'v'}, {method: 'POST'});
	t.is(stream.response.headers['content-type'], 'application/x-ndjson');
	t.is(await stream.until(/\n/), '{"what":"begin","files":2,"bytes":2}\n');
	go();
	await stream.until(/progress.*\n/);
	stream.leave();
	await front.mirror.until(() => left !== undefined);
	t.is((left as Error).name, 'AbortError');
	t.like(await front.host.logged({msg: 'audit'}), {audit: {action: 'verify', clientLeft: true, status: 200}});
	t.deepEqual(front.host.linesLike({level: 50}), []);
});

test('what is wrong from the start has a status, what goes wrong later is the last line', async t => {
	const front = await startFront(t, {access: new FakeAccess(users)});
	const verify = (): ReturnType<typeof ask> => ask(front.url, '/mirror/verify', {method: 'POST', headers: op});
	front.operate.verifying = () => {
		throw new NotFoundError('there is no such image');
	};
	t.is((await verify()).status, 404);
	front.operate.verifying = async function* () {
		await Promise.resolve();
		throw new NotFoundError('there is no such image');
	};
	t.is((await verify()).status, 404);
	front.operate.verifying = async function* () {
		await Promise.resolve();
		yield {what: 'begin', files: 1, bytes: 1};
		throw new NotFoundError('it is gone');
	};
	const later = await verify();
	t.is(later.status, 200);
	t.deepEqual(linesIn(later.text), [
		{what: 'begin', files: 1, bytes: 1},
		{what: 'error', code: 'ResourceNotFound', message: 'it is gone'},
	]);
	front.operate.verifying = async function* () {
		await Promise.resolve();
		yield {what: 'begin', files: 1, bytes: 1};
		throw new TypeError('a fault of ours');
	};
	t.like(linesIn((await verify()).text).at(-1), {code: 'InternalError'});
	t.is(front.host.linesLike({level: 50}).length, 1);
});

test('a head comes within a second, whenever the first step does', async t => {
	const front = await startFront(t, {access: new FakeAccess(users)});
	let go: () => void = () => undefined;
	front.operate.verifying = async function* () {
		await new Promise<void>(resolve => (go = resolve));
		yield {what: 'end', right: 0, wrong: 0, unreadable: 0};
	};
	const asked = follow(front.url, '/mirror/verify', op, {method: 'POST'});
	await front.host.clock.timerDueIn(1000, 1000);
	await front.host.clock.advance(1000);
	const stream = await asked;
	t.is(stream.response.statusCode, 200);
	go();
	t.regex(await stream.ended, /"what":"end"/);
});

test('the log is read, and followed', async t => {
	const front = await startFront(t, {access: new FakeAccess(users)});
	const {logTail} = front;
	const once = await ask(front.url, '/mirror/log', {headers: op});
	t.is(once.headers['content-type'], 'application/x-ndjson');
	t.deepEqual(linesIn(once.text), logTail.kept);
	t.deepEqual(logTail.asked.at(-1), {level: 'trace', last: 100});
	await ask(front.url, '/mirror/log?lines=1&level=warn', {headers: op});
	t.deepEqual(logTail.asked.at(-1), {level: 'warn', last: 1});
	t.is((await ask(front.url, '/mirror/log?lines=0', {headers: op})).text, '');
	for (const query of ['level=loud', 'lines=x', 'follow=1', 'tail=5']) {
		t.is((await ask(front.url, `/mirror/log?${query}`, {headers: op})).status, 422, query);
	}
	t.is((await ask(front.url, '/mirror/log?follow=true', {method: 'HEAD', headers: op})).status, 200);

	const stream = await follow(front.url, '/mirror/log?follow=true&level=warn', op);
	await stream.until(/two/);
	logTail.say(30, 'not loud enough');
	logTail.say(50, 'three');
	const got = await stream.until(/three/);
	t.false(got.includes('not loud'));
	stream.leave();
	await eventually(() => logTail.listeners.size === 0);
});
