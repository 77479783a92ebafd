import test from 'ava';
import {Meter} from '../../src/blobs/meter.js';
import {RateLimit} from '../../src/blobs/rate-limit.js';
import type {Clock} from '../../src/host.js';
import {ManualClock, settle} from '../helpers/manual-clock.js';

test('how fast it goes is by the last ten seconds; how long it took is by the time in which it might take bytes', async t => {
	const clock = new ManualClock();
	const meter = new Meter(clock);
	t.is(meter.bytesPerSecond, 0);
	await clock.advance(60_000);
	t.is(meter.ranMs, 0, 'it waited for its turn');
	meter.run();
	meter.run();
	meter.add(500);
	t.is(meter.bytesPerSecond, 500, 'a second at least');
	await clock.advance(500);
	meter.add(500);
	await clock.advance(3500);
	t.is(meter.bytesPerSecond, 250);
	meter.stop();
	await clock.advance(5000);
	t.is(meter.bytesPerSecond, Math.round(1000 / 9));
	meter.run();
	meter.add(2000);
	await clock.advance(2000);
	t.is(meter.bytesPerSecond, 200, 'the first second has passed out of sight');
	t.deepEqual([meter.bytes, meter.ranMs], [3000, 6000]);
});

test('a clock that is set back spoils neither rate nor limit for long', async t => {
	let now = 1_000_000;
	const waits: number[] = [];
	const clock: Clock = {
		now: () => now,
		after(delayMs, run) {
			waits.push(delayMs);
			now += delayMs;
			const timer = setImmediate(run);
			return {
				cancel() {
					clearImmediate(timer);
				},
			};
		},
	};
	const meter = new Meter(clock);
	meter.run();
	meter.add(1000);
	now -= 500_000;
	meter.add(1000);
	t.true(meter.bytesPerSecond >= 1000);
	t.is(meter.ranMs, 0);
	const signal = new AbortController().signal;
	const limit = new RateLimit({clock, bytesPerSecond: () => 1000});
	await limit.take(1000, signal);
	now -= 400_000;
	await limit.take(1000, signal);
	await limit.take(1, signal);
	t.deepEqual(waits, [1000, 2000]);
});

test('a limit ends with its signal, adds up what is less than a tick, and may be lifted', async t => {
	const clock = new ManualClock();
	let rate = 1000;
	const limit = new RateLimit({clock, bytesPerSecond: () => rate});
	const abort = new AbortController();
	for (let number = 0; number < 9; number++) {
		await limit.take(1, abort.signal);
	}
	t.is(clock.pending, 0);
	const waiting = limit.take(1, abort.signal);
	await settle();
	t.is(clock.nextInMs, 10);
	const reason = new Error('enough');
	abort.abort(reason);
	await t.throwsAsync(waiting, {is: reason});
	await t.throwsAsync(limit.take(1, abort.signal), {is: reason});
	rate = 0;
	await limit.take(1e9, new AbortController().signal);
	t.is(clock.pending, 0);
});
