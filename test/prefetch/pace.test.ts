import test from 'ava';
import fc from 'fast-check';
import {SteadyPace} from '../../src/prefetch/pace.js';
import {ManualClock, settle} from '../helpers/manual-clock.js';

const never = new AbortController().signal;

test('over time exactly as much passes as is allowed, however many share it', async t => {
	const clock = new ManualClock();
	const pace = new SteadyPace(clock, 100_000);
	let passed = 0;
	const stop = new AbortController();
	const transfers = [16_384, 65_536, 1000].map(async chunk => {
		for (;;) {
			await pace.take(chunk, stop.signal);
			passed += chunk;
		}
	});
	await clock.advance(3_600_000);
	const allowed = 100_000 * 3600;
	// One burst more at the beginning, one chunk into debt at the end.
	t.true(passed <= allowed + 10_000 + 65_536 && passed > allowed - 1000, `${passed}`);
	stop.abort();
	await Promise.allSettled(transfers);
	t.is(clock.pending, 0);
});

test('each of those who wait has its turn', async t => {
	const clock = new ManualClock();
	const pace = new SteadyPace(clock, 1000);
	const counts = [0, 0, 0];
	const stop = new AbortController();
	const transfers = counts.map(async (_, index) => {
		for (;;) {
			await pace.take(500, stop.signal);
			counts[index] = (counts[index] ?? 0) + 1;
		}
	});
	await clock.advance(60_000);
	t.true(Math.max(...counts) - Math.min(...counts) <= 1, counts.join());
	stop.abort();
	await Promise.allSettled(transfers);
});

test('without a limit nobody waits', async t => {
	const clock = new ManualClock();
	const pace = new SteadyPace(clock, 0);
	for (let count = 0; count < 100; count++) {
		await pace.take(1_000_000_000, never);
	}
	t.is(clock.pending, 0);
});

test('who is aborted waits no longer, and takes nothing', async t => {
	const clock = new ManualClock();
	const pace = new SteadyPace(clock, 1000);
	await pace.take(1100, never);
	const stop = new AbortController();
	const first = pace.take(5000, stop.signal);
	const second = pace.take(10, never);
	stop.abort(new Error('enough'));
	await t.throwsAsync(first, {message: 'enough'});
	await t.throwsAsync(pace.take(1, stop.signal), {message: 'enough'});
	await clock.advance(1100);
	await second;
	t.is(clock.pending, 0);
});

test('a limit can be changed while somebody waits', async t => {
	const clock = new ManualClock();
	const pace = new SteadyPace(clock, 1000);
	await pace.take(1_000_100, never);
	let passed = 0;
	const waiting = [1, 2].map(async () => {
		await pace.take(1000, never);
		passed++;
	});
	await clock.advance(60_000);
	t.is(passed, 0);
	pace.set(1_000_000);
	await clock.advance(1000);
	t.is(passed, 2);

	await pace.take(1_000_000_000, never);
	const last = pace.take(1, never);
	pace.set(0);
	await last;
	await settle();
	await Promise.all(waiting);
	t.is(clock.pending, 0);
});

test('at no time more has passed than the rate allows by then', async t => {
	await fc.assert(
		fc.asyncProperty(
			fc.integer({min: 1, max: 1_000_000}),
			fc.array(fc.integer({min: 1, max: 200_000}), {minLength: 1, maxLength: 20}),
			async (bytesPerSecond, chunks) => {
				const clock = new ManualClock(0);
				const pace = new SteadyPace(clock, bytesPerSecond);
				let before = 0;
				const work = (async () => {
					for (const chunk of chunks) {
						await pace.take(chunk, never);
						// All before this one has been paid for.
						t.true(before <= (clock.now() / 1000 + 0.1) * bytesPerSecond + 1e-6);
						before += chunk;
					}
				})();
				const total = chunks.reduce((sum, chunk) => sum + chunk, 0);
				await clock.advance((total / bytesPerSecond) * 1000 + 2 * chunks.length);
				await work;
			},
		),
		{numRuns: 50},
	);
});
