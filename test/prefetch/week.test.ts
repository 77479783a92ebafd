import {join} from 'node:path';
import test from 'ava';
import fc from 'fast-check';
import {MirrorError} from '../../src/errors.js';
import type {PrefetchRule} from '../../src/prefetch/rule.js';
import {isOpen, type DayWindow} from '../../src/prefetch/schedule.js';
import {ManualClock} from '../helpers/manual-clock.js';
import {tempDir} from '../helpers/temp-dir.js';
import {FakeAhead, id, type Offered} from './fake-ahead.js';
import {dayMs, hourMs, minuteMs, rule} from './rules.js';
import {numberOf, startPrefetcher, type Started} from './start-prefetcher.js';

// A process of its own: clocks go forward here on Sunday 2026-03-08 at 2:00.
process.env['TZ'] = 'America/New_York';

const night: DayWindow = {fromMinute: 22 * 60, toMinute: 6 * 60};
const GB = 1_000_000_000;

const rules: readonly PrefetchRule[] = [
	rule({
		name: 'bases',
		include: {name: ['base-64*', 'minimal-64*']},
		newest: 2,
		schedule: {kind: 'cron', cron: '0 2 * * *'},
		window: night,
		bandwidth: 5_000_000,
	}),
	rule({
		name: 'week',
		sources: ['other'],
		publishedWithinMs: 3 * dayMs,
		schedule: {kind: 'every', everyMs: 6 * hourMs},
	}),
	rule({
		name: 'room',
		include: {os: ['linux']},
		maxBytes: 2.5 * GB,
		schedule: {kind: 'cron', cron: '30 4 * * MON,THU'},
	}),
];

test('a week: what is published each day, wanted at once, fetched in its time, and let go', async t => {
	const file = join(await tempDir(t), 'runs.json');
	let now: Started = await startPrefetcher(t, {
		rules,
		file,
		at: '2026-03-04T12:00:00',
		prepare(mirror) {
			mirror.speed = 20_000_000;
			mirror.chunk = 5_000_000;
			// A year old.
			mirror.add(1, {name: 'base-64', size: GB, publishedAt: '2025-03-01T00:00:00Z'});
			mirror.add(2, {name: 'minimal-64', size: 0.2 * GB, publishedAt: '2025-03-01T00:00:00Z'});
			mirror.add(3, {name: 'ubuntu', os: 'linux', size: 2 * GB, publishedAt: '2025-03-01T00:00:00Z'});
		},
	});
	const {ahead, clock} = now;
	let next = 10;
	const publish = (of: Offered): number => {
		const number = next++;
		ahead.add(number, {publishedAt: new Date(clock.now()).toISOString(), ...of});
		now.prefetcher.catalogChanged();
		return number;
	};
	/** What has begun to come until then since this was asked last, with the local time at which it did. */
	let seen = 0;
	const until = async (local: string): Promise<readonly string[]> => {
		await clock.advance(Date.parse(local) - clock.now());
		const before = seen;
		seen = ahead.fetches.length;
		return ahead.fetches
			.slice(before)
			.map(({uuid, atMs}) => `${numberOf(uuid)} at ${new Date(atMs).toTimeString().slice(0, 5)}`);
	};

	// Wednesday. What is not bound to the night comes at once: nobody knows when it was last looked for.
	t.deepEqual(await until('2026-03-04T18:00:00'), ['3 at 12:00']);
	t.deepEqual(now.wanted('bases'), [2, 1]);
	t.deepEqual(now.wanted('room'), [3]);
	t.true(now.report('bases').waiting);
	t.is(publish({name: 'base-64', size: 0.5 * GB}), 10);
	t.is(publish({name: 'tool', sources: ['other'], size: 1000}), 11);
	await clock.advance(1000);
	t.deepEqual(now.wanted('bases'), [10, 2, 1]);
	t.deepEqual(now.wanted('week'), [11]);

	// The night: 1.7 GB at 5 MB/s take 340 s. The other source had not been heard of before, so no run has been missed.
	t.deepEqual(await until('2026-03-05T12:00:00'), ['11 at 18:00', '10 at 22:00', '2 at 22:00', '1 at 22:01']);
	const bases = ahead.fetches.slice(-3);
	t.true(bases.every(({outcome}) => outcome === 'fetched'));

	// Thursday. A third base: the oldest may go from now on, though it is still here.
	t.is(publish({name: 'base-64', size: 0.5 * GB}), 12);
	t.is(publish({name: 'debian', os: 'linux', size: GB}), 13);
	t.is(publish({name: 'alpine', os: 'linux', size: 0.4 * GB}), 14);
	await clock.advance(1000);
	t.deepEqual(now.wanted('bases'), [12, 10, 2]);
	t.deepEqual(now.wanted('room'), [14, 13], '2 GB do not fit beside them');
	t.true(ahead.here.has(id(1)) && ahead.here.has(id(3)));
	t.deepEqual(await until('2026-03-06T12:00:00'), ['12 at 02:00']);

	// Friday. A restart at noon does nothing again; one over the night makes up for it.
	now = await now.restart();
	t.deepEqual(await until('2026-03-06T20:00:00'), []);
	t.is(publish({name: 'minimal-64', size: 0.1 * GB, origin: 15}), 15, 'its own origin, says its manifest');
	t.is(publish({name: 'minimal-64', size: 0.1 * GB, origin: 3}), 16);
	await clock.advance(1000);
	t.deepEqual(now.wanted('bases'), [3, 16, 15, 12, 10]);
	await now.prefetcher.stop();
	await clock.advance(Date.parse('2026-03-07T05:00:00') - clock.now());
	now = await now.restart();
	t.deepEqual(await until('2026-03-07T12:00:00'), ['16 at 05:00', '15 at 05:00']);

	// Saturday: three days after it was published, the tool is wanted no more. It was looked for every six hours.
	t.deepEqual(now.wanted('week'), [11]);
	t.deepEqual(await until('2026-03-07T18:00:02'), []);
	t.deepEqual(now.wanted('week'), []);
	t.true(ahead.here.has(id(11)));

	// Sunday has no 2:00. One that fails is tried again within the run, and in the next.
	t.is(publish({name: 'base-64', size: 0.5 * GB}), 17);
	ahead.mishaps.set(
		id(17),
		Array.from({length: 4}, () => new MirrorError('broken')),
	);
	t.deepEqual(await until('2026-03-08T12:00:00'), ['17 at 03:00', '17 at 03:00', '17 at 03:02', '17 at 03:12']);
	t.is(now.report('bases').lastProblem, 'base-64 1.0.0: broken');
	t.deepEqual(now.wanted('bases'), [17, 3, 16, 15, 12]);

	// Monday: the rest of Thursday's linux, too.
	t.deepEqual(await until('2026-03-09T12:00:00'), ['17 at 02:00', '14 at 04:30', '13 at 04:30']);
	t.false('lastProblem' in now.report('bases'));
	t.like(now.report('room'), {images: 2, imagesHere: 2, nextRunAt: '2026-03-12T08:30:00.000Z'});

	// The source goes away with all that it had: what is here stays wanted.
	const before = now.wanted('bases');
	ahead.forgetLists();
	now.prefetcher.catalogChanged();
	t.deepEqual(await until('2026-03-11T12:00:00'), []);
	t.deepEqual(now.wanted('bases'), before);
	t.is(ahead.fetches.filter(({outcome}) => outcome === 'stopped').length, 0);
});

test('whatever is published in a week, each rule wants what it says, and has it after its next night', async t => {
	const names = ['base-64', 'minimal-64', 'other'];
	const publications = fc.array(
		fc.record({
			afterMinutes: fc.integer({min: 1, max: 24 * 60}),
			name: fc.constantFrom(...names),
			size: fc.integer({min: 1, max: 50}).map(size => size * 1_000_000),
			isRestart: fc.boolean(),
		}),
		{minLength: 1, maxLength: 10},
	);
	const what = rule({
		newest: 2,
		schedule: {kind: 'cron', cron: '0 23 * * *'},
		window: night,
		bandwidth: 1_000_000,
	});
	await fc.assert(
		fc.asyncProperty(publications, async published => {
			const clock = new ManualClock(Date.parse('2026-03-05T12:00:00'));
			const ahead = new FakeAhead(clock);
			ahead.chunk = 1_000_000;
			let now = await startPrefetcher(t, {rules: [what], clock, ahead});
			const newest = new Map<string, number[]>();
			for (const [index, {afterMinutes, name, size, isRestart}] of published.entries()) {
				await clock.advance(afterMinutes * minuteMs);
				ahead.add(index + 1, {name, size, publishedAt: new Date(clock.now()).toISOString()});
				newest.set(name, [index + 1, ...(newest.get(name) ?? [])].slice(0, 2));
				now.prefetcher.catalogChanged();
				await clock.advance(1000);
				const wanted = [...newest.values()].flat().toSorted((a, b) => b - a);
				t.deepEqual(now.wanted(), wanted);
				now = isRestart ? await now.restart() : now;
				t.deepEqual(now.wanted(), wanted);
			}
			await clock.advance(dayMs);
			t.true((now.wanted() ?? []).every(number => ahead.here.has(id(number))));
			t.true(ahead.fetches.every(({atMs}) => isOpen(night, atMs)));
			t.is(
				new Set(ahead.fetches.filter(({outcome}) => outcome === 'fetched').map(({uuid}) => uuid)).size,
				ahead.here.size,
			);
			t.is(ahead.running, 0);
			await now.prefetcher.stop();
			t.is(clock.pending, 0);
		}),
		{numRuns: 15},
	);
});
