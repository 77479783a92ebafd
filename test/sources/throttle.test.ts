import {PassThrough, Readable} from 'node:stream';
import {once} from 'node:events';
import test from 'ava';
import {Throttle} from '../../src/sources/throttle.js';
import {ManualClock} from '../helpers/manual-clock.js';

const never = new AbortController().signal;

test('bytes pass no faster than the limit', async t => {
	const clock = new ManualClock();
	const throttle = new Throttle({bytesPerSecond: 1000, clock});
	let passed = 0;
	const pulling = (async () => {
		for (let count = 0; count < 100; count++) {
			await throttle.take(100, never);
			passed += 100;
		}
	})();

	await clock.advance(0);
	// A tenth of a second's worth at once, and one more on credit.
	t.is(passed, 100);
	await clock.advance(1000);
	t.true(passed >= 1000 && passed <= 1300, String(passed));
	await clock.advance(9000);
	await pulling;
	t.is(passed, 10_000);
});

test('what is not used is not saved up beyond a moment', async t => {
	const clock = new ManualClock();
	const throttle = new Throttle({bytesPerSecond: 1000, clock});
	await clock.advance(3_600_000);
	let passed = 0;
	const pull = async (): Promise<void> => {
		for (;;) {
			await throttle.take(50, never);
			passed += 50;
		}
	};
	void pull();

	await clock.advance(0);
	t.true(passed <= 150, String(passed));
});

test('streams share the limit evenly, whatever the size of their chunks', async t => {
	const clock = new ManualClock();
	const throttle = new Throttle({bytesPerSecond: 1_000_000, clock});
	const received = [0, 0, 0];
	const streams = [1000, 64 * 1024, 300_000].map((size, place) => {
		const stream = throttle.limit(Readable.from(endless(size), {objectMode: false}));
		stream.on('data', (chunk: Buffer) => (received[place] = (received[place] ?? 0) + chunk.length));
		return stream;
	});

	await clock.advance(0);
	await clock.advance(10_000);
	for (const stream of streams) {
		stream.destroy();
	}

	const [small = 0, middle = 0, large = 0] = received;
	t.true(small + middle + large <= 10_200_000, received.join());
	t.true(small + middle + large >= 9_000_000, received.join());
	// Slices make the two with big chunks equal; one slice of the third is one whole chunk of its own.
	t.true(Math.abs(middle - large) <= 200_000, received.join());
});

function* endless(size: number): Generator<Buffer> {
	for (;;) {
		yield Buffer.alloc(size);
	}
}

test('a stream that is destroyed while it waits leaves its place to the others', async t => {
	const clock = new ManualClock();
	const throttle = new Throttle({bytesPerSecond: 1000, clock});
	const source = Readable.from(endless(16 * 1024), {objectMode: false});
	const waiting = throttle.limit(source);
	waiting.resume();
	await once(waiting, 'data');
	await clock.timers();

	const closed = new Promise(resolve => source.once('close', resolve));
	waiting.destroy();
	await closed;
	const next = throttle.take(1, never);
	await clock.advance(60_000);
	await next;
	t.true(source.destroyed);
});

test('an aborted wait rejects with its reason', async t => {
	const throttle = new Throttle({bytesPerSecond: 1000, clock: new ManualClock()});
	await throttle.take(500, never);
	const abort = new AbortController();
	const waiting = throttle.take(1, abort.signal);
	const reason = new Error('enough');

	abort.abort(reason);

	await t.throwsAsync(waiting, {is: reason});
});

test('an error of the source comes out of the limited stream', async t => {
	const throttle = new Throttle({bytesPerSecond: 1_000_000, clock: new ManualClock()});
	const source = new PassThrough();
	const limited = throttle.limit(source);
	limited.resume();
	const broken = new Error('the cable');

	const failed = once(limited, 'error');
	source.destroy(broken);

	t.deepEqual(await failed, [broken]);
});

test('a clock that is set back stops nobody', async t => {
	let now = 1_000_000;
	const timers: (() => void)[] = [];
	const clock = {
		now: () => now,
		after: (_delayMs: number, run: () => void) => {
			timers.push(run);
			return {cancel: () => undefined};
		},
	};
	const throttle = new Throttle({bytesPerSecond: 1000, clock});
	await throttle.take(200, never);
	const waiting = throttle.take(1, never);

	now = 0;
	timers.shift()?.();
	now = 200;
	timers.shift()?.();
	await waiting;
	t.pass();
});
