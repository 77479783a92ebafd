import {PassThrough, Readable} from 'node:stream';
import {once} from 'node:events';
import test from 'ava';
import {Throttle} from '../../src/sources/throttle.js';
import {ManualClock} from '../helpers/manual-clock.js';

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
	const next = once(throttle.limit(Readable.from([Buffer.alloc(1)])).resume(), 'end');
	await clock.advance(60_000);
	await next;
	t.true(source.destroyed);
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
