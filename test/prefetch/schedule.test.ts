import test from 'ava';
import fc from 'fast-check';
import {checkCron, dueMs, isOpen, nextChangeMs, type DayWindow} from '../../src/prefetch/schedule.js';
import {dayMs, hourMs, minuteMs} from './rules.js';

// A process of its own: clocks go forward here on 2026-03-08 at 2:00, and back on 2026-11-01 at 2:00.
process.env['TZ'] = 'America/New_York';

const at = (local: string): number => Date.parse(local);
const time = (ms: number): string => new Date(ms).toISOString();
const window = (from: number, to: number): DayWindow => ({fromMinute: from * 60, toMinute: to * 60});
const daily = {kind: 'cron', cron: '30 2 * * *'} as const;

test('the time zone is the one that these tests are about', t => {
	t.is(new Date('2026-01-01T00:00:00').getTimezoneOffset(), 300);
});

test('an interval is counted from when the last run began', t => {
	const every = {kind: 'every', everyMs: hourMs} as const;
	t.is(dueMs(every, undefined, 5000), 5000);
	t.is(dueMs(every, 1000, 5000), 1000 + hourMs);
	t.is(dueMs(every, 1000, 1000 + dayMs), 1000 + hourMs, 'a run that was missed is due in the past');
	t.is(dueMs(every, 1000 + dayMs, 1000), 1000 + hourMs, 'a clock that was set back');
});

test('a cron run is due strictly after the last one', t => {
	const ran = at('2026-01-05T02:30:00');
	t.is(time(dueMs(daily, ran, ran)), time(ran + dayMs));
	t.is(time(dueMs(daily, ran + 1, ran + 5 * dayMs)), time(ran + dayMs));
	t.is(dueMs(daily, undefined, ran), ran);
});

test('an hour that is left out moves a run, one that comes twice does not repeat it', t => {
	const spring = dueMs(daily, at('2026-03-07T12:00:00'), at('2026-03-07T12:00:00'));
	t.is(time(spring), time(at('2026-03-08T03:00:00')));
	t.is(time(dueMs(daily, spring, spring)), time(at('2026-03-09T02:30:00')));

	const early = {kind: 'cron', cron: '30 1 * * *'} as const;
	const autumn = dueMs(early, at('2026-10-31T12:00:00'), at('2026-10-31T12:00:00'));
	t.is(time(autumn), '2026-11-01T05:30:00.000Z');
	t.is(time(dueMs(early, autumn, autumn)), time(at('2026-11-02T01:30:00')));
});

for (const [cron, problem] of [
	['0 2 * * *', undefined],
	['  */15 22-23,0-5 * * MON-FRI ', undefined],
	['30 0 2 * * *', undefined],
	['@daily', undefined],
	['61 * * * *', /minute: 61/],
	['* * * *', /five fields/],
	['0 0 2 * * * 2030', /five fields/],
	['a b c d e', /illegal characters/],
	['2030-01-01T00:00:00', /five fields/],
	['0 0 30 2 *', /no such day/],
	['@now', /./],
	['', /five fields/],
] as const) {
	test(`the cron expression "${cron}" is ${problem === undefined ? 'right' : 'wrong'}`, t => {
		const found = checkCron(cron);
		if (problem === undefined) {
			t.is(found, undefined);
		} else {
			t.regex(found ?? '', problem);
		}
	});
}

test('windows open and shut by local time, and may pass midnight', t => {
	const night = window(22, 6);
	t.true(isOpen(night, at('2026-01-05T22:00:00')));
	t.true(isOpen(night, at('2026-01-06T05:59:59')));
	t.false(isOpen(night, at('2026-01-06T06:00:00')));
	t.false(isOpen(night, at('2026-01-06T21:59:59')));
	t.is(time(nextChangeMs(night, at('2026-01-05T23:10:07'))), time(at('2026-01-06T06:00:00')));
	t.is(time(nextChangeMs(night, at('2026-01-06T06:00:00'))), time(at('2026-01-06T22:00:00')));

	const day = window(6, 22);
	t.true(isOpen(day, at('2026-01-06T06:00:00')));
	t.false(isOpen(day, at('2026-01-06T22:00:00')));
	t.true(isOpen({fromMinute: 0, toMinute: 24 * 60}, at('2026-01-06T23:59:00')));

	for (const always of [undefined, window(5, 5)]) {
		t.true(isOpen(always, at('2026-01-06T12:00:00')));
		t.is(nextChangeMs(always, at('2026-01-06T12:00:00')), Infinity);
	}
});

test('a night is an hour shorter in spring and longer in autumn', t => {
	const night = window(22, 6);
	const length = (evening: string): number => nextChangeMs(night, at(evening)) - at(evening);
	t.is(length('2026-03-07T22:00:00'), 7 * hourMs);
	t.is(length('2026-10-31T22:00:00'), 9 * hourMs);
	t.is(length('2026-06-01T22:00:00'), 8 * hourMs);
});

test('a window that falls into the hour left out opens the next day', t => {
	const short = {fromMinute: 2 * 60, toMinute: 2 * 60 + 30};
	t.is(time(nextChangeMs(short, at('2026-03-08T00:00:00'))), time(at('2026-03-09T02:00:00')));
});

test('a window across the hour that comes twice is open twice', t => {
	const half = {fromMinute: 90, toMinute: 150};
	const changes: string[] = [];
	for (let now = at('2026-11-01T00:00:00'); changes.length < 4;) {
		now = nextChangeMs(half, now);
		changes.push(time(now).slice(11, 16));
	}
	t.deepEqual(changes, ['05:30', '06:00', '06:30', '07:30']);
});

test('between now and the next change nothing changes, on any day', t => {
	const minute = fc.integer({min: 0, max: 24 * 60 - 1});
	const moment = fc.integer({min: at('2026-01-01T00:00:00'), max: at('2027-01-01T00:00:00')});
	fc.assert(
		fc.property(minute, minute, moment, (fromMinute, toMinute, now) => {
			const some = {fromMinute, toMinute};
			const change = nextChangeMs(some, now);
			const until = Math.min(change, now + dayMs);
			for (let ms = now; ms < until; ms += 7 * minuteMs) {
				t.is(isOpen(some, ms), isOpen(some, now));
			}
			t.is(change === Infinity, fromMinute === toMinute);
			if (change < Infinity) {
				t.not(isOpen(some, change), isOpen(some, now));
				t.is(isOpen(some, change - 1), isOpen(some, now));
			}
		}),
		{numRuns: 60},
	);
});
