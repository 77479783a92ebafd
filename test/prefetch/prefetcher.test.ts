import {join} from 'node:path';
import {setImmediate as nextTurn} from 'node:timers/promises';
import test from 'ava';
import {ConfigError, MirrorError, NotFoundError} from '../../src/errors.js';
import {Prefetcher} from '../../src/prefetch/prefetcher.js';
import {ManualClock, settle} from '../helpers/manual-clock.js';
import {tempDir} from '../helpers/temp-dir.js';
import {testHost} from '../helpers/test-host.js';
import {FakeAhead, aheadImage, id} from './fake-ahead.js';
import {dayMs, hourMs, minuteMs, rule} from './rules.js';
import {startPrefetcher} from './start-prefetcher.js';

const cron = (expression: string): {readonly schedule: {readonly kind: 'cron'; readonly cron: string}} => ({
	schedule: {kind: 'cron', cron: expression},
});
const night = {window: {fromMinute: 22 * 60, toMinute: 6 * 60}};

function three(ahead: FakeAhead): void {
	ahead.add(1, {name: 'a'});
	ahead.add(2, {name: 'b', origin: 1});
	ahead.add(3, {name: 'b'});
}

test('at its first start a rule wants what it should and fetches it, whatever its schedule says', async t => {
	const {fetched, wanted, report, told, host, ahead} = await startPrefetcher(t, {
		rules: [rule({newest: 1, include: {name: ['b']}, ...cron('0 2 * * *')}), rule({name: 'a', include: {name: ['a']}})],
		prepare(mirror) {
			three(mirror);
			mirror.here.add(id(1));
		},
	});
	t.deepEqual(wanted(), [3]);
	t.deepEqual(wanted('a'), [1]);
	t.deepEqual(fetched(), [3]);
	t.deepEqual(told(), ['all begun', 'all ended'], 'a run that has nothing to do is told to nobody');
	t.deepEqual(
		host.events.recent(new Set(['prefetch.begun', 'prefetch.ended']), 9).map(({more}) => more),
		[
			{images: 1, fetched: 1, failed: 0, bytes: 1000},
			{images: 1, bytes: 1000},
		],
	);
	t.like(host.linesLike({rule: 'all', level: 30}), [
		{msg: 'prefetch: begun'},
		{msg: 'prefetch: ended, done', fetched: 1},
	]);
	t.is(ahead.fetches[0]?.outcome, 'fetched');
	t.deepEqual(report(), {
		name: 'all',
		chooses: 'newest 1 of each name b; every day at 2:00 (0 2 * * *)',
		images: 1,
		imagesHere: 1,
		bytes: 1000,
		bytesHere: 1000,
		running: false,
		waiting: false,
		lastRunAt: new Date('2026-01-05T12:00:00').toISOString(),
		nextRunAt: new Date('2026-01-06T02:00:00').toISOString(),
	});
	t.is(await host.metric('imgmirror_prefetch_wanted_images', {rule: 'all'}), 1);
	t.is(await host.metric('imgmirror_prefetch_missing_images', {rule: 'all'}), 0);
	t.is(await host.metric('imgmirror_prefetch_runs_total', {rule: 'all', outcome: 'done'}), 1);
	t.is(await host.metric('imgmirror_prefetch_runs_total', {rule: 'a', outcome: 'done'}), 1);
});

test('what is new is wanted at once, and fetched when the schedule says', async t => {
	const {ahead, clock, prefetcher, wanted, fetched, host} = await startPrefetcher(t, {
		rules: [rule({newest: 1, ...cron('0 2 * * *')})],
		prepare: three,
	});
	await clock.advance(hourMs);
	fetched();
	ahead.add(4, {name: 'b'});
	prefetcher.catalogChanged();
	prefetcher.catalogChanged();
	await clock.advance(1000);
	t.deepEqual(wanted(), [4, 1]);
	t.is(await host.metric('imgmirror_prefetch_missing_images', {rule: 'all'}), 1);
	await clock.advance(12 * hourMs);
	t.deepEqual(fetched(), []);
	await clock.advance(hourMs);
	t.deepEqual(fetched(), [4]);
});

test('in the minutes after a start, lists come in one by one and what they show is fetched', async t => {
	const {ahead, clock, prefetcher, wanted, fetched, report} = await startPrefetcher(t, {
		rules: [rule(cron('0 2 * * *'))],
	});
	t.deepEqual(wanted(), []);
	t.false('lastRunAt' in report(), 'with no source heard of, nothing has been looked for');
	t.false('nextRunAt' in report());
	await clock.advance(3 * hourMs);
	ahead.add(1);
	prefetcher.catalogChanged();
	await clock.advance(1000);
	t.deepEqual(fetched(), [1]);
	await clock.advance(5 * minuteMs);
	ahead.add(2, {sources: ['other']});
	prefetcher.catalogChanged();
	await clock.advance(1000);
	t.deepEqual(fetched(), [2]);
	await clock.advance(10 * minuteMs);
	ahead.add(3, {sources: ['late']});
	prefetcher.catalogChanged();
	await clock.advance(1000);
	t.deepEqual(fetched(), []);
	t.deepEqual(wanted(), [3, 2, 1]);
});

test('what failed in the minutes after a start is left for the next run', async t => {
	const {clock, prefetcher, fetched} = await startPrefetcher(t, {
		rules: [rule({schedule: {kind: 'every', everyMs: hourMs}})],
		prepare(mirror) {
			mirror.mishaps.set(mirror.add(1), ['uncached', 'uncached']);
		},
	});
	t.deepEqual(fetched(), [1]);
	prefetcher.catalogChanged();
	await clock.advance(5 * minuteMs);
	t.deepEqual(fetched(), []);
	await clock.advance(hourMs);
	t.deepEqual(fetched(), [1]);
});

test('while sources are away and nothing of them is known, what is here stays wanted', async t => {
	const {ahead, clock, prefetcher, wanted, restart, fetched} = await startPrefetcher(t, {
		rules: [rule({sources: ['smartos'], newest: 1})],
		prepare: three,
	});
	t.deepEqual(wanted(), [3, 1]);
	t.deepEqual(fetched(), [3, 1]);
	ahead.forgetLists();
	prefetcher.catalogChanged();
	await clock.advance(1000);
	t.deepEqual(wanted(), [3, 1]);

	const again = await restart();
	t.deepEqual(again.wanted(), [3, 1]);
	// Only now it is known that they are gone.
	again.ahead.add(9, {name: 'other'});
	again.prefetcher.catalogChanged();
	await clock.advance(1000);
	t.deepEqual(again.wanted(), [9]);
});

test('images get too old for a rule by the hour', async t => {
	const {clock, wanted} = await startPrefetcher(t, {
		rules: [rule({publishedWithinMs: 10 * dayMs})],
		at: '2026-01-10T00:00:00',
		prepare(mirror) {
			mirror.add(1, {publishedAt: new Date('2026-01-01T06:00:00').toISOString()});
			mirror.add(2, {publishedAt: new Date('2026-01-01T06:30:00').toISOString(), origin: 99});
		},
	});
	t.deepEqual(wanted(), [2, 1]);
	await clock.advance(dayMs + 6 * hourMs);
	t.deepEqual(wanted(), [2, 1]);
	await clock.advance(1000);
	t.deepEqual(wanted(), [2]);
	await clock.advance(31 * minuteMs);
	t.deepEqual(wanted(), []);
});

test('outside of its window a rule fetches nothing, and goes on where it was', async t => {
	const {clock, ahead, report, fetched, told} = await startPrefetcher(t, {
		rules: [rule({...night})],
		concurrent: 1,
		prepare(mirror) {
			mirror.speed = 1000;
			// Three hours each.
			for (const number of [1, 2, 3, 4]) {
				mirror.chunk = 60_000;
				mirror.add(number, {size: 3 * 3600 * 1000});
			}
		},
	});
	t.like(report(), {running: false, waiting: true, nextRunAt: new Date('2026-01-05T22:00:00').toISOString()});
	await clock.advance(10 * hourMs - 1);
	t.deepEqual(fetched(), []);
	t.deepEqual(told(), []);
	await clock.advance(1);
	t.like(report(), {running: true, waiting: false});
	t.false('nextRunAt' in report());
	await clock.advance(7 * hourMs);
	t.deepEqual(fetched(), [4, 3, 2]);
	await clock.advance(2 * hourMs);
	t.like(report(), {
		running: true,
		waiting: true,
		imagesHere: 2,
		nextRunAt: new Date('2026-01-06T22:00:00').toISOString(),
	});
	t.is(ahead.running, 0);
	t.is(ahead.fetches.at(-1)?.outcome, 'stopped');
	// Two hours' worth, but for what was just under way.
	t.is(ahead.partial.get(id(2)), 2 * 3600 * 1000 - 60_000);
	await clock.advance(20 * hourMs);
	t.deepEqual(fetched(), [2, 1]);
	t.like(report(), {running: false, waiting: false, imagesHere: 4});
	t.deepEqual(told(), ['all begun', 'all ended']);
});

test('one that fails keeps no other from coming, is tried again, and then left for the next run', async t => {
	const {clock, fetched, report, host, told} = await startPrefetcher(t, {
		rules: [rule({schedule: {kind: 'every', everyMs: dayMs}})],
		prepare(mirror) {
			mirror.add(1);
			mirror.mishaps.set(
				mirror.add(2, {name: 'bad', version: '7'}),
				Array.from({length: 4}, () => new MirrorError('broken')),
			);
			mirror.mishaps.set(mirror.add(3), [new MirrorError('cut off')]);
		},
	});
	t.deepEqual(fetched(), [3, 2, 1]);
	t.like(report(), {running: true, imagesHere: 1});
	await clock.advance(30_000);
	t.deepEqual(fetched(), [3, 2]);
	await clock.advance(120_000 + 600_000);
	t.deepEqual(fetched(), [2, 2]);
	t.like(report(), {running: false, imagesHere: 2, lastProblem: '1 of 3 images: bad 7: broken'});
	t.like(host.linesLike({level: 40}), [{msg: 'prefetch: ended, failed', fetched: 2, failed: 1}]);
	t.is(await host.metric('imgmirror_prefetch_runs_total', {outcome: 'failed'}), 1);
	t.is(await host.metric('imgmirror_prefetch_missing_images'), 1);
	await clock.advance(dayMs);
	t.deepEqual(fetched(), [2]);
	t.false('lastProblem' in report());
	t.deepEqual(told(), ['all begun', 'all ended', 'all begun', 'all ended']);
});

test('what a rule does not want any more is not fetched when its turn comes', async t => {
	const {ahead, clock, prefetcher, fetched} = await startPrefetcher(t, {
		rules: [rule({newest: 1})],
		concurrent: 1,
		prepare(mirror) {
			mirror.speed = 100;
			mirror.add(1, {name: 'a'});
			mirror.add(2, {name: 'b'});
		},
	});
	ahead.add(3, {name: 'a'});
	prefetcher.catalogChanged();
	await clock.advance(30 * minuteMs);
	t.deepEqual(fetched(), [2, 3]);
});

test('all rules together fetch no more at once than is allowed, and take turns', async t => {
	const {ahead, clock, fetched} = await startPrefetcher(t, {
		rules: [rule({name: 'a', include: {name: ['a']}}), rule({name: 'b', include: {name: ['b']}})],
		concurrent: 2,
		prepare(mirror) {
			mirror.speed = 1000;
			for (let number = 1; number <= 12; number++) {
				mirror.add(number, {name: number <= 6 ? 'a' : 'b'});
			}
		},
	});
	await clock.advance(20_000);
	t.is(ahead.mostRunning, 2);
	const numbers = fetched();
	t.is(numbers.length, 12);
	t.true(numbers.slice(0, 6).filter(number => number <= 6).length >= 2, numbers.join());
	t.true(numbers.slice(0, 6).filter(number => number > 6).length >= 2, numbers.join());
});

test('a rule keeps to its bandwidth, whatever others do', async t => {
	const {ahead, clock} = await startPrefetcher(t, {
		rules: [
			rule({name: 'slow', include: {name: ['a']}, bandwidth: 10_000}),
			rule({name: 'fast', include: {name: ['b']}}),
		],
		concurrent: 10,
		prepare(mirror) {
			mirror.chunk = 5000;
			[1, 2, 3].forEach(number => mirror.add(number, {name: 'a', size: 1_200_000}));
			mirror.add(4, {name: 'b', size: 1_200_000});
		},
	});
	t.true(ahead.here.has(id(4)));
	for (let minute = 1; minute <= 5; minute++) {
		await clock.advance(minuteMs);
		const bytes = [1, 2, 3].reduce((sum, number) => sum + (ahead.partial.get(id(number)) ?? 0), 0);
		t.true(Math.abs(bytes - minute * 600_000) <= 6000, `${bytes}`);
	}
	await clock.advance(minuteMs + 2000);
	t.is(ahead.here.size, 4);
});

test('a rule can be run now, but not outside of its window', async t => {
	const {ahead, clock, prefetcher, fetched, told, report} = await startPrefetcher(t, {
		rules: [rule(cron('0 2 * * *')), rule({name: 'night', include: {name: ['x']}, ...night, ...cron('0 2 * * *')})],
		prepare: three,
	});
	await clock.advance(hourMs);
	ahead.add(4, {name: 'a'});
	ahead.add(5, {name: 'x', sources: ['other']});
	fetched();
	prefetcher.run('night');
	await settle();
	t.deepEqual(fetched(), []);
	t.true(report('night').waiting);
	prefetcher.run('all');
	await settle();
	t.deepEqual(fetched(), [5, 4]);
	prefetcher.run('all');
	await settle();
	t.deepEqual(fetched(), []);
	t.is(told().filter(line => line === 'all ended').length, 3, 'who asked is told, even of nothing');
	t.throws(
		() => {
			prefetcher.run('none');
		},
		{instanceOf: NotFoundError},
	);
});

test('a changed configuration changes only the rules that changed', async t => {
	const same = rule({name: 'same', include: {name: ['a']}, ...cron('0 2 * * *')});
	const other = rule({name: 'other', include: {name: ['b']}, newest: 1, ...cron('0 2 * * *')});
	const gone = rule({name: 'gone', ...cron('0 2 * * *')});
	const {ahead, clock, prefetcher, wanted, fetched, report, host} = await startPrefetcher(t, {
		rules: [same, other, gone],
		prepare(mirror) {
			three(mirror);
		},
	});
	await clock.advance(hourMs);
	fetched();
	ahead.here.delete(id(1));
	ahead.here.delete(id(2));
	prefetcher.setSettings({concurrent: 3, rules: [{...other, newest: 2}, same, rule({name: 'new', version: '9'})]});
	t.deepEqual(ahead.forgotten, ['gone']);
	t.deepEqual(wanted('other'), [3], 'until it is known what it wants now, it wants what it did');
	await clock.advance(0);
	t.deepEqual(wanted('other'), [3, 1, 2]);
	t.deepEqual(wanted('new'), []);
	t.deepEqual(fetched(), [1, 2], 'it never looked for that');
	t.deepEqual(
		prefetcher.rules().map(({name}) => name),
		['other', 'same', 'new'],
	);
	const metrics = await host.metrics.registry.metrics();
	t.false(metrics.includes('imgmirror_prefetch_wanted_images{rule="gone"}'));

	// Another schedule alone is no reason to run.
	ahead.here.clear();
	prefetcher.setSettings({concurrent: 3, rules: [{...same, ...cron('0 4 * * *'), bandwidth: 5}]});
	await clock.advance(hourMs);
	t.deepEqual(fetched(), []);
	t.is(report('same').nextRunAt, new Date('2026-01-06T04:00:00').toISOString());
});

test('a run goes on when only when and how fast its rule may fetch has changed', async t => {
	const slow = rule({bandwidth: 1000, ...cron('0 2 * * *')});
	const {ahead, clock, prefetcher, report, told} = await startPrefetcher(t, {
		rules: [slow],
		prepare(mirror) {
			mirror.add(1, {size: 100_000});
			mirror.here.add(id(1));
		},
	});
	await clock.advance(hourMs);
	ahead.add(2, {size: 1_000_000});
	prefetcher.run('all');
	await clock.advance(100_000);
	const before = ahead.partial.get(id(2)) ?? 0;
	t.true(before >= 99_000 && before <= 102_000, `${before}`);
	prefetcher.setSettings({concurrent: 2, rules: [{...slow, bandwidth: 5000}]});
	await clock.advance(100_000);
	const after = ahead.partial.get(id(2)) ?? 0;
	t.true(after >= 598_000 && after <= 602_000, `${after}`);
	t.is(ahead.fetches.length, 1, 'it was not cut off for that');
	t.regex(report().chooses, /5 kB\/s/);

	prefetcher.setSettings({concurrent: 2, rules: [{...slow, bandwidth: 0, ...night}]});
	await clock.advance(hourMs);
	t.like(report(), {running: false, waiting: true, nextRunAt: new Date('2026-01-05T22:00:00').toISOString()});
	await clock.advance(10 * hourMs);
	t.true(ahead.here.has(id(2)));
	t.deepEqual(
		ahead.fetches.map(({outcome}) => outcome),
		['stopped', 'fetched'],
	);
	t.deepEqual(told(), ['all begun', 'all ended', 'all begun', 'all ended']);
});

test('a rule that goes away in the middle of a run is cut off, others are not', async t => {
	const a = rule({name: 'a', include: {name: ['a']}});
	const b = rule({name: 'b', include: {name: ['b']}});
	const {ahead, clock, prefetcher, host} = await startPrefetcher(t, {
		rules: [a, b],
		prepare(mirror) {
			mirror.speed = 100;
			mirror.add(1, {name: 'a'});
			mirror.add(2, {name: 'b'});
		},
	});
	t.is(ahead.running, 2);
	prefetcher.setSettings({concurrent: 2, rules: [b]});
	await settle();
	t.is(ahead.running, 1);
	t.is(await host.metric('imgmirror_prefetch_runs_total', {rule: 'a', outcome: 'stopped'}), 1);
	await clock.advance(10_000);
	t.deepEqual([...ahead.here], [id(2)]);
});

test('a cron expression that makes no sense is refused with the name of the rule, and nothing changes', async t => {
	const bad = [rule({name: 'one', ...cron('61 * * * *')}), rule({name: 'two', ...cron('0 0 31 2 *')})];
	const {prefetcher, report} = await startPrefetcher(t, {rules: [rule()]});
	const error = t.throws(
		() => {
			prefetcher.setSettings({concurrent: 2, rules: bad});
		},
		{instanceOf: ConfigError},
	);
	t.is(error.faults.length, 2);
	t.throws(
		() => {
			prefetcher.check({concurrent: 2, rules: bad});
		},
		{message: error.message},
	);
	t.is(error.message, 'the prefetch rules: 2 faults');
	t.regex(error.faults[0] ?? '', /^prefetch\.rules\[0\]\.cron: rule one, "61 \* \* \* \*": .*61/);
	t.is(report().name, 'all');
	const host = testHost();
	t.throws(() => new Prefetcher({host, ahead: new FakeAhead(host.clock), settings: {concurrent: 2, rules: bad}}), {
		instanceOf: ConfigError,
	});
});

test('stopping is quick, keeps what has come, and leaves no timer', async t => {
	const {ahead, clock, prefetcher, wanted, told} = await startPrefetcher(t, {
		rules: [
			rule(),
			rule({name: 'night', ...night}),
			rule({name: 'slow', bandwidth: 1, publishedWithinMs: 99_999 * dayMs}),
		],
		prepare(mirror) {
			mirror.speed = 1;
			for (let number = 1; number <= 50; number++) {
				mirror.add(number);
			}
		},
	});
	prefetcher.catalogChanged();
	await prefetcher.stop();
	t.is(ahead.running, 0);
	t.is(clock.pending, 0);
	t.is(wanted()?.length, 50);
	t.deepEqual(ahead.forgotten, []);
	t.deepEqual(told().toSorted(), ['all begun', 'all ended', 'slow begun', 'slow ended']);
	prefetcher.catalogChanged();
	t.is(clock.pending, 0);
});

test('a run that fell into a break is made up for, one that was done is not done again', async t => {
	const file = join(await tempDir(t), 'runs.json');
	const started = await startPrefetcher(t, {rules: [rule(cron('0 2 * * *'))], file, prepare: three});
	t.deepEqual(started.fetched(), [3, 1, 2]);
	const {clock, ahead} = started;

	await clock.advance(hourMs);
	ahead.add(4);
	const noon = await started.restart();
	await clock.advance(hourMs);
	t.deepEqual(noon.fetched(), []);
	t.deepEqual(noon.wanted()?.[0], 4);
	t.is(noon.report().nextRunAt, new Date('2026-01-06T02:00:00').toISOString());

	await noon.prefetcher.stop();
	await clock.advance(dayMs);
	const late = await noon.restart();
	t.deepEqual(late.fetched(), [4]);

	// A run that was cut off counts for nothing.
	ahead.speed = 100;
	ahead.add(5);
	await clock.advance(13 * hourMs);
	t.deepEqual(late.fetched(), [5]);
	ahead.add(6);
	await clock.advance(5 * hourMs);
	ahead.speed = 1;
	await clock.advance(20 * hourMs);
	t.deepEqual(late.fetched(), [6]);
	ahead.add(7);
	const broken = await late.restart();
	await clock.advance(dayMs);
	t.deepEqual(broken.fetched().slice(0, 1), [7]);
});

test('a mirror that fails to tell its images is told to the log, and asked again', async t => {
	const {ahead, clock, host, prefetcher, fetched} = await startPrefetcher(t, {
		rules: [rule({schedule: {kind: 'every', everyMs: hourMs}})],
		prepare: three,
	});
	fetched();
	const images = ahead.images.bind(ahead);
	ahead.images = () => {
		throw new Error('no catalog');
	};
	prefetcher.catalogChanged();
	await clock.advance(hourMs);
	t.is(host.linesLike(/what rules want cannot be told/).length, 1);
	t.is(host.linesLike(/the run broke off/).length, 1);
	ahead.images = images;
	ahead.add(4);
	await clock.advance(minuteMs);
	t.deepEqual(fetched(), [4]);
});

test('25,000 images and twenty rules keep nobody waiting', async t => {
	const clock = new ManualClock();
	const host = testHost({clock, logLevel: 'warn'});
	const ahead = new FakeAhead(clock);
	const images = Array.from({length: 25_000}, (_, number) =>
		aheadImage(number + 1, {name: `name-${number % 700}`, version: `${number % 90}.${number % 13}.${number}`}),
	);
	const byUuid = new Map(images.map(image => [image.manifest.uuid, image]));
	ahead.images = () => images;
	ahead.image = uuid => byUuid.get(uuid);
	ahead.isHere = () => true;
	const rules = Array.from({length: 20}, (_, number) =>
		rule({
			name: `rule-${number}`,
			include: {name: [`name-*${number % 10}`, `*${number}*`]},
			version: number % 2 === 0 ? `>=${number}` : undefined,
			newest: number % 3 === 0 ? 2 : undefined,
			maxBytes: 20_000_000,
		}),
	);
	const prefetcher = new Prefetcher({host, ahead, settings: {concurrent: 2, rules}});
	t.teardown(() => prefetcher.stop());

	const done = new AbortController();
	let longestMs = 0;
	const watch = (async () => {
		// The processor's time: how long others keep us from it says nothing.
		for (let before = process.cpuUsage(); !done.signal.aborted; before = process.cpuUsage()) {
			await nextTurn();
			const {user, system} = process.cpuUsage(before);
			longestMs = Math.max(longestMs, (user + system) / 1000);
		}
	})();
	await prefetcher.start();
	done.abort();
	await watch;
	t.true(ahead.wanted.size === 20 && (ahead.wanted.get('rule-2')?.length ?? 0) > 1000);
	t.log(`at most ${longestMs.toFixed()} ms at once`);
	t.true(longestMs < 250, `${longestMs} ms`);
});

test('an origin that nobody had is wanted as soon as it is known, though no list is another for it', async t => {
	const {ahead, clock, prefetcher, wanted} = await startPrefetcher(t, {
		rules: [rule({include: {name: ['b']}})],
		prepare(mirror) {
			mirror.add(2, {name: 'b', origin: 1});
		},
	});
	t.deepEqual(wanted(), [2]);
	const lookUp = ahead.image.bind(ahead);
	const origin = aheadImage(1);
	ahead.image = uuid => (uuid === id(1) ? origin : lookUp(uuid));
	prefetcher.catalogChanged();
	await clock.advance(1000);
	await settle();
	t.deepEqual(wanted(), [1, 2]);
});

test('nights that were too short for a file do not count as failures of it', async t => {
	const {ahead, clock, told, report} = await startPrefetcher(t, {
		rules: [rule(night)],
		at: '2026-01-05T21:00:00',
		prepare(mirror) {
			mirror.add(1, {size: 1_000_000});
			mirror.speed = 1;
		},
	});
	for (let nights = 0; nights < 5; nights++) {
		await clock.advance(dayMs);
	}
	t.deepEqual(
		ahead.fetches.map(({outcome}) => outcome),
		Array.from({length: 5}, () => 'stopped'),
	);
	ahead.speed = Infinity;
	ahead.mishaps.set(id(1), [new MirrorError('the source is away')]);
	await clock.advance(hourMs + 2 * minuteMs);
	t.deepEqual(
		ahead.fetches.slice(5).map(({outcome}) => outcome),
		['failed', 'fetched'],
	);
	t.deepEqual(told(), ['all begun', 'all ended'], 'all in one run');
	t.is(report().lastProblem, undefined);
});
