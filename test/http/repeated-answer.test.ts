import {randomBytes} from 'node:crypto';
import type {Socket} from 'node:net';
import {Duplex} from 'node:stream';
import {setImmediate} from 'node:timers/promises';
import fc from 'fast-check';
import test from 'ava';
import {HttpDate} from '../../src/http/http-date.js';
import type {NativeSend} from '../../src/http/native-send.js';
import {bytesOf, RepeatedAnswer, type Body} from '../../src/http/repeated-answer.js';
import {ManualClock} from '../helpers/manual-clock.js';
import {sameBytes} from '../helpers/same-bytes.js';

const limits = {keepAliveMs: 5000, idleMs: 60_000};
const head = 'HTTP/1.1 200 OK\r\nContent-Type: x\r\n';
const clock = new ManualClock();
const date = new HttpDate(clock);
const wholeHead = `${head}x: 1\r\nDate: ${date.now}\r\nConnection: keep-alive\r\nKeep-Alive: timeout=5\r\n\r\n`;

interface Line {
	readonly socket: Socket;
	readonly native: NativeSend;
	/** What has come at the other end, by either way. */
	readonly got: Buffer[];
	readonly timeouts: number[];
	/** By the system; by Node. */
	readonly counts: {passed: number; written: number};
}

/** A connection whose descriptor takes as much as is said here, of one call after the other, and then nothing. */
function lineThatTakes(takes: readonly number[], {fd = 7}: {fd?: number} = {}): Line {
	const got: Buffer[] = [];
	const timeouts: number[] = [];
	const counts = {passed: 0, written: 0};
	const left = [...takes];
	const take = (bytes: Buffer): number => {
		const taken = Math.min(bytes.length, left.shift() ?? 0);
		got.push(Buffer.from(bytes.subarray(0, taken)));
		counts.passed += taken;
		return taken;
	};
	const stream = new Duplex({
		read: () => undefined,
		write(chunk: Buffer, _, done) {
			got.push(Buffer.from(chunk));
			counts.written += chunk.length;
			done();
		},
	});
	const socket = Object.assign(stream, {_handle: {fd}, setTimeout: (ms: number) => timeouts.push(ms)});
	return {
		...{socket: socket as unknown as Socket, got, timeouts, counts},
		native: {
			send: () => 0,
			isCached: () => true,
			write: (to, bytes) => (to === fd ? take(bytes) : 0),
			writeText: (to, text) => (to === fd ? take(Buffer.from(text, 'latin1')) : 0),
			duplicate: () => undefined,
		},
	};
}

async function answered(line: Line, body: Body, native: NativeSend | undefined): Promise<boolean> {
	const answer = new RepeatedAnswer(line.socket, date, limits);
	let closed = 0;
	answer.on('close', () => {
		closed++;
	});
	answer.again(head, body, 'x: 1\r\n', native);
	for (let turn = 0; turn < 10 && closed === 0; turn++) {
		await setImmediate();
	}
	return closed === 1 && answer.writableFinished && answer.headersSent;
}

test('whatever the system takes of it at once, the client has all of it, in order and once', async t => {
	const size = fc.integer({min: 0, max: 3000});
	await fc.assert(
		fc.asyncProperty(
			fc.oneof(fc.string({unit: 'binary-ascii'}), fc.array(size, {maxLength: 4})),
			fc.array(fc.oneof(size, fc.constant(1_000_000)), {maxLength: 6}),
			async (what, takes) => {
				const body = typeof what === 'string' ? what : what.map(length => randomBytes(length));
				const line = lineThatTakes(takes);
				t.true(await answered(line, body, line.native));
				const wanted = [Buffer.from(wholeHead), ...(typeof body === 'string' ? [Buffer.from(body)] : body)];
				t.true(Buffer.concat(line.got).equals(Buffer.concat(wanted)));
				t.is(line.counts.passed + line.counts.written, wholeHead.length + bytesOf(body));
			},
		),
	);
});

test('what the system takes is not written, and needs no time to be taken', async t => {
	const body = [randomBytes(100_000), randomBytes(100_000)];
	const line = lineThatTakes([1e6, 1e6, 1e6]);
	t.true(await answered(line, body, line.native));
	t.deepEqual(line.counts, {passed: wholeHead.length + 200_000, written: 0});
	t.deepEqual(line.timeouts, []);
	const slow = lineThatTakes([1e6, 1e6, 10]);
	t.true(await answered(slow, body, slow.native));
	t.deepEqual(slow.counts, {passed: wholeHead.length + 100_010, written: 99_990});
	t.deepEqual(slow.timeouts, [60_000, 5000], 'a client that takes nothing has its own time for that');
});

test('behind what is still to be sent, and where there is no descriptor, Node writes', async t => {
	const behind = lineThatTakes([1e6]);
	behind.socket.cork();
	behind.socket.write('before');
	const answer = new RepeatedAnswer(behind.socket, date, limits);
	answer.again(head, 'body', 'x: 1\r\n', behind.native);
	behind.socket.uncork();
	await setImmediate();
	t.is(behind.counts.passed, 0);
	sameBytes(t, Buffer.concat(behind.got), Buffer.from(`before${wholeHead}body`));

	const closed = lineThatTakes([1e6], {fd: -1});
	t.true(await answered(closed, 'body', closed.native));
	t.is(closed.counts.passed, 0);
	const without = lineThatTakes([1e6]);
	t.true(await answered(without, 'body', undefined));
	t.is(without.counts.passed, 0);
});
