import test from 'ava';
import fc from 'fast-check';
import {SteadyRate} from '../src/host-rate.js';
import {ManualClock, settle} from './helpers/manual-clock.js';

const never = new AbortController().signal;

test('over time exactly as much passes as is allowed, however many share it', async t => {
	const clock = new ManualClock();
	const rate = new SteadyRate(clock, 100_000);
	let passed = 0;
	const stop = new AbortController();
	const transfers = [16_384, 65_536, 1000].map(async chunk => {
		for (;;) {
			await rate.take(chunk, stop.signal);
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
	const rate = new SteadyRate(clock, 1000);
	const counts = [0, 0, 0];
	const stop = new AbortController();
	const transfers = counts.map(async (_, index) => {
		for (;;) {
			await rate.take(500, stop.signal);
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
	const rate = new SteadyRate(clock, 0);
	for (let count = 0; count < 100; count++) {
		await rate.take(1_000_000_000, never);
	}
	t.is(clock.pending, 0);
});

test('who is aborted waits no longer, and takes nothing', async t => {
	const clock = new ManualClock();
	const rate = new SteadyRate(clock, 1000);
	await rate.take(1100, never);
	const stop = new AbortController();
	const first = rate.take(5000, stop.signal);
	const second = rate.take(10, never);
	stop.abort(new Error('enough'));
	await t.throwsAsync(first, {message: 'enough'});
	await t.throwsAsync(rate.take(1, stop.signal), {message: 'enough'});
	await clock.advance(1100);
	await second;
	t.is(clock.pending, 0);
});

test('a limit can be changed while somebody waits', async t => {
	const clock = new ManualClock();
	const rate = new SteadyRate(clock, 1000);
	await rate.take(1_000_100, never);
	let passed = 0;
	const waiting = [1, 2].map(async () => {
		await rate.take(1000, never);
		passed++;
	});
	await clock.advance(60_000);
	t.is(passed, 0);
	rate.set(1_000_000);
	await clock.advance(1000);
	t.is(passed, 2);

	await rate.take(1_000_000_000, never);
	const last = rate.take(1, never);
	rate.set(0);
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
				const rate = new SteadyRate(clock, bytesPerSecond);
				let before = 0;
				const work = (async () => {
					for (const chunk of chunks) {
						await rate.take(chunk, never);
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

test('bytes pass no faster than the limit', async t => {
	const clock = new ManualClock();
	const rate = new SteadyRate(clock, 1000);
	let passed = 0;
	const pulling = (async () => {
		for (let count = 0; count < 100; count++) {
			await rate.take(100, never);
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
	const rate = new SteadyRate(clock, 1000);
	await clock.advance(3_600_000);
	let passed = 0;
	const pull = async (): Promise<void> => {
		for (;;) {
			await rate.take(50, never);
			passed += 50;
		}
	};
	void pull();

	await clock.advance(0);
	t.true(passed <= 150, String(passed));
});

test('an aborted wait rejects with its reason', async t => {
	const rate = new SteadyRate(new ManualClock(), 1000);
	await rate.take(500, never);
	const abort = new AbortController();
	const waiting = rate.take(1, abort.signal);
	const reason = new Error('enough');

	abort.abort(reason);

	await t.throwsAsync(waiting, {is: reason});
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
	const rate = new SteadyRate(clock, 1000);
	await rate.take(200, never);
	const waiting = rate.take(1, never);

	now = 0;
	timers.shift()?.();
	now = 200;
	timers.shift()?.();
	await waiting;
	t.pass();
});
