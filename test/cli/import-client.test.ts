/**
 * A request whose answer is told while its body is still being sent.
 */
import {once} from 'node:events';
import {createServer, type IncomingMessage, type ServerResponse} from 'node:http';
import type {AddressInfo} from 'node:net';
import {setImmediate as turn} from 'node:timers/promises';
import test, {type ExecutionContext} from 'ava';
import {ConnectionError} from '../../src/cli/client-errors.js';
import {Client, type Call} from '../../src/cli/client.js';
import {jsonLines, type Line} from '../../src/cli/json-lines.js';
import {parseTarget} from '../../src/cli/target.js';
import {MirrorError} from '../../src/errors.js';
import {systemClock} from '../../src/host.js';
import {ManualClock} from '../helpers/manual-clock.js';

type Answer = (request: IncomingMessage, response: ServerResponse) => void;

async function clientOf(t: ExecutionContext, answer: Answer, clock = systemClock): Promise<Client> {
	const server = createServer(answer);
	server.listen(0, '127.0.0.1');
	await once(server, 'listening');
	const {port} = server.address() as AddressInfo;
	const client = new Client({target: parseTarget(`http://127.0.0.1:${port}`, '--url'), clock, version: '1'});
	t.teardown(() => {
		client.close();
		server.closeAllConnections();
		server.close();
	});
	return client;
}

const call = (pieces: AsyncIterable<Buffer> | Iterable<Buffer>, more: Partial<Call> = {}): Call => ({
	...{method: 'PUT', path: '/', meanwhile: true, body: {length: undefined, pieces}},
	...more,
});

const line = (value: object): string => `${JSON.stringify(value)}\n`;

test('both go at once: each piece is answered before the next is made', async t => {
	const client = await clientOf(t, (request, response) => {
		response.writeHead(200).flushHeaders();
		request.on('data', (chunk: Buffer) => response.write(line({what: 'got', text: chunk.toString()})));
		request.on('end', () => response.end(line({what: 'end'})));
	});
	let heard: () => void = () => undefined;
	const pieces = async function* (): AsyncGenerator<Buffer> {
		for (const text of ['a', 'b', 'c']) {
			const answered = new Promise<void>(resolve => (heard = resolve));
			yield Buffer.from(text);
			await answered;
		}
	};
	const lines: Line[] = [];
	for await (const one of jsonLines(client, call(pieces()))) {
		lines.push(one);
		heard();
	}
	t.deepEqual(lines, [...['a', 'b', 'c'].map(text => ({what: 'got', text})), {what: 'end'}]);
});

test('without it, an answer ends the sending', async t => {
	const client = await clientOf(t, (request, response) => {
		request.resume();
		response.writeHead(200).write(line({what: 'enough'}));
		request.on('close', () => response.destroy());
	});
	let made = 0;
	let close: () => void = () => undefined;
	const closed = new Promise<void>(resolve => (close = resolve));
	const pieces = async function* (): AsyncGenerator<Buffer> {
		try {
			for (;;) {
				made++;
				yield Buffer.alloc(1000);
				await turn();
			}
		} finally {
			close();
		}
	};
	const response = await client.open(call(pieces(), {meanwhile: false}));
	const before = made;
	await closed;
	t.true(made <= before + 2);
	response.destroy();
});

test('what the body fails with is what the reader gets, before the answer and after it', async t => {
	const early = await clientOf(t, request => request.resume());
	const fails = async function* (error: Error, until: Promise<unknown>): AsyncGenerator<Buffer> {
		yield Buffer.from('some');
		await until;
		throw error;
	};
	const lines = async (client: Client, pieces: AsyncIterable<Buffer>): Promise<readonly Line[]> => {
		const all: Line[] = [];
		for await (const one of jsonLines(client, call(pieces))) {
			all.push(one);
		}
		return all;
	};
	const error = new MirrorError('the stick is gone');
	t.is(await t.throwsAsync(lines(early, fails(error, Promise.resolve()))), error);
	let answered: () => void = () => undefined;
	const told = new Promise<void>(resolve => (answered = resolve));
	const late = await clientOf(t, (request, response) => {
		request.resume();
		response.writeHead(200).write(line({what: 'begin'}));
	});
	const heard: Line[] = [];
	const reading = (async () => {
		for await (const one of jsonLines(late, call(fails(error, told)))) {
			heard.push(one);
			answered();
		}
	})();
	t.is(await t.throwsAsync(reading), error);
	t.deepEqual(heard, [{what: 'begin'}]);
});

test('a refusal ends the sending, with its reason', async t => {
	const client = await clientOf(t, (request, response) => {
		request.resume();
		response.writeHead(403, {'content-type': 'application/json'}).end(line({code: 'Never', message: 'not you'}));
	});
	const pieces = async function* (): AsyncGenerator<Buffer> {
		for (;;) {
			yield Buffer.alloc(10_000);
			await turn();
		}
	};
	await t.throwsAsync(jsonLines(client, call(pieces())).next(), {message: /says: not you \(Never\)$/});
});

test('where nothing moves either way it is given up; where something does, it is not', async t => {
	const clock = new ManualClock();
	let more: () => void = () => undefined;
	const client = await clientOf(
		t,
		(request, response) => {
			request.on('data', () => undefined);
			response.writeHead(200).write(line({what: 'begin'}));
			more = () => response.write(line({what: 'more'}));
		},
		clock,
	);
	let send: () => void = () => undefined;
	const sent: number[] = [];
	const pieces = async function* (): AsyncGenerator<Buffer> {
		for (let count = 0; ; count++) {
			const wanted = new Promise<void>(resolve => (send = resolve));
			yield Buffer.from('x');
			sent.push(count);
			await wanted;
		}
	};
	const lines = jsonLines(client, call(pieces(), {answerMs: 100_000}));
	t.deepEqual((await lines.next()).value, {what: 'begin'});
	const until = async (count: number): Promise<void> => {
		while (sent.length < count) {
			await turn();
		}
	};
	await until(1);
	const next = lines.next();
	for (let count = 2; count < 6; count++) {
		await clock.advance(90_000);
		send();
		await until(count);
	}
	await clock.advance(90_000);
	more();
	t.deepEqual((await next).value, {what: 'more'});
	const last = lines.next();
	await clock.advance(90_000);
	await clock.advance(10_000);
	const error = await t.throwsAsync(last, {instanceOf: ConnectionError});
	t.regex(error.message, /has been silent for too long$/);
});

test('an answer that breaks off, or a caller who stops, ends it', async t => {
	const endless = async function* (): AsyncGenerator<Buffer> {
		for (;;) {
			yield Buffer.alloc(100_000);
			await turn();
		}
	};
	let breakOff: () => void = () => undefined;
	const breaking = await clientOf(t, (request, response) => {
		request.resume();
		response.writeHead(200).write(line({what: 'begin'}));
		breakOff = () => response.destroy();
	});
	const lines = jsonLines(breaking, call(endless()));
	t.deepEqual((await lines.next()).value, {what: 'begin'});
	breakOff();
	await t.throwsAsync(lines.next(), {instanceOf: ConnectionError, message: /^the connection to http:\S+ broke$/});
	const telling = await clientOf(t, (request, response) => {
		request.resume();
		response.writeHead(200).write(line({what: 'begin'}));
	});
	const controller = new AbortController();
	const stopped = jsonLines(telling, call(endless(), {signal: controller.signal}));
	t.deepEqual((await stopped.next()).value, {what: 'begin'});
	const why = new MirrorError('stopped');
	const last = stopped.next();
	controller.abort(why);
	t.is(await t.throwsAsync(last), why);
});
