import test from 'ava';
import fc from 'fast-check';
import {History, type NamedSample} from '../../src/history/history.js';
import type {HistoryReport} from '../../src/history/api.js';
import {ManualClock} from '../helpers/manual-clock.js';
import {testHost, type TestHost} from '../helpers/test-host.js';

const minute = 60_000;
const hour = 60 * minute;
const noon = Date.parse('2026-01-01T12:00:00.000Z');

/** A file in memory, which a restart finds as it was left. */
class Kept {
	text: string | undefined;
	writes = 0;
	fails = false;

	unreadable = false;

	readonly read = (): Promise<string | undefined> =>
		this.unreadable ? Promise.reject(new Error('not readable')) : Promise.resolve(this.text);
	readonly write = (text: string): Promise<void> => {
		if (this.fails) {
			return Promise.reject(new Error('no space left'));
		}
		this.text = text;
		this.writes++;
		return Promise.resolve();
	};
}

async function start(
	options: {
		readonly clock?: ManualClock;
		readonly kept?: Kept;
		readonly sources?: () => readonly NamedSample[];
		/** As after a restart: counters at 0. */
		readonly host?: TestHost;
	} = {},
) {
	const host = options.host ?? testHost({clock: options.clock ?? new ManualClock(noon)});
	const kept = options.kept ?? new Kept();
	const sources = options.sources ?? (() => []);
	const history = new History({host, sources, read: kept.read, write: kept.write});
	await history.load();
	history.start();
	return {host, clock: host.clock, metrics: host.metrics, history, kept};
}

const total = (report: HistoryReport, of: (point: HistoryReport['points'][number]) => number | undefined): number =>
	report.points.reduce((sum, point) => sum + (of(point) ?? 0), 0);

test('each minute is a point with what came in it', async t => {
	const {clock, metrics, history} = await start();
	metrics.requests.inc({route: '/images', method: 'GET', status: '200'}, 3);
	metrics.requests.inc({route: '/images', method: 'GET', status: '503'});
	metrics.requests.inc({route: '/images/:uuid/file', method: 'GET', status: '500'}, 2);
	metrics.bytesToClients.inc({cache: 'hit'}, 1000);
	metrics.bytesFromSources.inc({source: 'joyent'}, 700);
	metrics.fileRequests.inc({cache: 'hit'}, 2);
	metrics.connections.set(5);
	metrics.storeBytes.set(12_345);
	await clock.advance(minute);
	metrics.bytesToClients.inc({cache: 'hit'}, 11);
	metrics.bytesToClients.inc({cache: 'miss'}, 22);
	metrics.connections.set(1);
	await clock.advance(minute);
	await clock.advance(30_000);
	const {points, ...rest} = history.report(1);
	t.deepEqual(rest, {
		stepMs: minute,
		from: '2026-01-01T11:02:30.000Z',
		to: '2026-01-01T12:02:30.000Z',
		sources: {},
	});
	t.deepEqual(points, [
		{
			at: '2026-01-01T12:01:00.000Z',
			ms: minute,
			requests: 6,
			errors: 3,
			out: {hit: 1000},
			in: {joyent: 700},
			files: {hit: 2},
			connections: 5,
			storeBytes: 12_345,
		},
		{
			at: '2026-01-01T12:02:00.000Z',
			ms: minute,
			requests: 0,
			errors: 0,
			out: {hit: 11, miss: 22},
			in: {},
			files: {},
			connections: 1,
			storeBytes: 12_345,
		},
	]);
});

test('points are at whole minutes, whenever it was started', async t => {
	const {clock, history} = await start({clock: new ManualClock(noon + 41_234)});
	await clock.advance(3 * minute);
	t.deepEqual(
		history.report(1).points.map(({at, ms}) => `${at.slice(11, 23)} ${ms}`),
		['12:01:00.000 18766', '12:02:00.000 60000', '12:03:00.000 60000'],
	);
});

test('whoever only looks whether we live is no request, and their 503 no error', async t => {
	const {clock, metrics, history} = await start();
	for (const route of ['/healthz', '/readyz', '/metrics', '/ping']) {
		metrics.requests.inc({route, method: 'GET', status: '503'}, 10);
	}
	await clock.advance(minute);
	t.like(history.report(1).points[0], {requests: 10, errors: 10});
});

test('a day is kept in minutes, a week in tens of minutes, and no more', async t => {
	// Eight days of timers are not what is tried here.
	let now = noon;
	const host = testHost({clock: {now: () => now, after: () => ({cancel: () => undefined})}});
	const kept = new Kept();
	const history = new History({host, sources: () => [], read: kept.read, write: kept.write});
	for (let at = 0; at < 8 * 24 * 60; at++) {
		host.metrics.bytesToClients.inc({cache: 'hit'}, 10);
		now += minute;
		await history.sample();
	}
	const day = history.report(24);
	t.is(day.stepMs, minute);
	t.is(day.points.length, 24 * 60);
	const week = history.report(7 * 24);
	t.is(week.stepMs, 10 * minute);
	t.is(week.points.length, 7 * 24 * 6);
	t.true(week.points.every(({ms, out}) => ms === 10 * minute && out.hit === 100));
	t.deepEqual(history.report(1000), week);
	t.is(history.report(2).points.length, 120);
	for (const wrong of [Number.NaN, -1, 0]) {
		t.is(history.report(wrong).points.length, 24 * 60);
	}
	t.is(history.report(30).points.length, 180);
});

test('ten minutes end where people would say that they do', async t => {
	const {clock, metrics, history} = await start({clock: new ManualClock(noon + 7 * minute)});
	for (let at = 0; at < 15; at++) {
		metrics.connections.set(at);
		metrics.bytesFromSources.inc({source: at % 2 === 0 ? 'a' : 'b'}, 1);
		await clock.advance(minute);
	}
	t.deepEqual(
		history
			.report(48)
			.points.map(point => ({at: point.at.slice(11, 16), ms: point.ms, in: point.in, open: point.connections})),
		[
			{at: '12:10', ms: 3 * minute, in: {a: 2, b: 1}, open: 2},
			{at: '12:20', ms: 10 * minute, in: {a: 5, b: 5}, open: 12},
			{at: '12:22', ms: 2 * minute, in: {a: 1, b: 1}, open: 14},
		],
	);
});

test('it outlives a restart, and the time between is a gap', async t => {
	const kept = new Kept();
	const one = await start({kept});
	one.metrics.bytesToClients.inc({cache: 'miss'}, 100);
	await one.clock.advance(2 * minute);
	one.metrics.bytesToClients.inc({cache: 'miss'}, 1);
	await one.clock.advance(5000);
	await one.history.stop();
	t.is(kept.writes, 1);
	t.is(one.clock.pending, 0);

	const clock = new ManualClock(one.clock.now() + 3 * hour);
	const two = await start({kept, clock});
	// The counters of a new process begin at 0: nothing of that is negative, nothing counts twice.
	two.metrics.bytesToClients.inc({cache: 'miss'}, 7);
	await clock.advance(2 * minute);
	const report = two.history.report(24);
	t.deepEqual(
		report.points.map(({at, out}) => `${at.slice(11, 19)} ${out.miss ?? 0}`),
		['12:01:00 100', '12:02:00 0', '12:02:05 1', '15:03:00 7', '15:04:00 0'],
	);
	t.is(
		total(two.history.report(100), ({out}) => out.miss),
		108,
	);
});

test('it is written every ten minutes, so that little is lost with the process', async t => {
	const {clock, kept, metrics} = await start();
	await clock.advance(9 * minute);
	t.is(kept.writes, 0);
	metrics.bytesToClients.inc({cache: 'hit'}, 9);
	await clock.advance(2 * minute);
	t.is(kept.writes, 1);
	await clock.advance(20 * minute);
	t.is(kept.writes, 3);

	// As after kill -9.
	const later = await start({kept, clock: new ManualClock(clock.now() + hour)});
	t.is(
		total(later.history.report(24), ({out}) => out.hit),
		9,
	);
});

test('a disk that takes nothing is told of once, and tried again', async t => {
	const {clock, kept, history, host} = await start();
	kept.fails = true;
	await clock.advance(35 * minute);
	t.is(host.linesLike({level: 40}).length, 1);
	t.is(host.linesLike({level: 20}).length, 2);
	kept.fails = false;
	await clock.advance(10 * minute);
	t.is(kept.writes, 1);
	t.is(history.report(1).points.length, 45);
});

test('what cannot be read is left out', async t => {
	for (const text of [
		'',
		'garbage',
		'null',
		'[]',
		'{"version": 2, "minutes": [{"at": 1, "ms": 1}]}',
		'{"version": 1}',
		'{"version": 1, "minutes": 7, "tens": {"a": 1}, "changes": [3]}',
		'{"version": 1, "minutes": [null, 3, {}, {"at": "x"}, {"at": 1e300, "ms": 1}, {"at": -5, "ms": 1}]}',
	]) {
		const kept = new Kept();
		kept.text = text;
		const {history, clock} = await start({kept});
		t.deepEqual(history.report(24).points, [], text);
		await clock.advance(minute);
		t.is(history.report(24).points.length, 1, text);
	}
	const kept = new Kept();
	kept.unreadable = true;
	const {host} = await start({kept});
	t.is(host.linesLike(/not readable/).length, 1);
});

test('of a point that is half wrong, the right half is taken', async t => {
	const kept = new Kept();
	const at = noon - 5 * minute;
	kept.text = JSON.stringify({
		version: 1,
		minutes: [
			{
				at,
				ms: minute,
				requests: 'many',
				out: {hit: 5, miss: -1, join: 'x', secret: 3},
				sources: {a: {state: 'odd'}, b: {state: 'up', ageMs: null}},
			},
			{at: noon + hour, ms: minute},
			{at: at - minute, ms: minute, errors: 2},
		],
		changes: {b: [{at, state: 'down', problem: 5}, {at: noon + hour, state: 'up'}, 'x'], c: 5},
	});
	const {history} = await start({kept});
	const {points, sources} = history.report(1);
	t.deepEqual(
		points.map(({at: when, requests, errors, out}) => ({at: when.slice(11, 16), requests, errors, out})),
		[
			{at: '11:54', requests: 0, errors: 2, out: {}},
			{at: '11:55', requests: 0, errors: 0, out: {hit: 5}},
		],
	);
	t.deepEqual(sources, {
		b: {
			points: [{at: new Date(at).toISOString(), state: 'up'}],
			changes: [{at: new Date(at).toISOString(), state: 'down'}],
		},
	});
});

test('of each source there is how it was, and when that changed', async t => {
	let sample: NamedSample = {name: 'joyent', state: 'unknown'};
	const {clock, history, host} = await start({sources: () => [sample]});
	await clock.advance(minute);
	sample = {name: 'joyent', state: 'up', latencyMs: 12.6, ageMs: 1000};
	await clock.advance(minute);
	await clock.advance(30_000);
	// Between two points it goes and comes.
	host.events.emit('source.down', {source: 'joyent', problem: 'refused the connection'});
	await clock.advance(1000);
	host.events.emit('source.up', {source: 'joyent'});
	await clock.advance(29_000);
	sample = {name: 'joyent', state: 'down', problem: 'away', latencyMs: 12.6, ageMs: 61_000};
	await clock.advance(minute);
	t.deepEqual(history.report(1).sources, {
		joyent: {
			points: [
				{at: '2026-01-01T12:01:00.000Z', state: 'unknown'},
				{at: '2026-01-01T12:02:00.000Z', state: 'up', latencyMs: 13, ageMs: 1000},
				{at: '2026-01-01T12:03:00.000Z', state: 'up', latencyMs: 13, ageMs: 1000},
				{at: '2026-01-01T12:04:00.000Z', state: 'down', latencyMs: 13, ageMs: 61_000},
			],
			changes: [
				{at: '2026-01-01T12:01:00.000Z', state: 'unknown'},
				{at: '2026-01-01T12:02:00.000Z', state: 'up'},
				{at: '2026-01-01T12:02:30.000Z', state: 'down', problem: 'refused the connection'},
				{at: '2026-01-01T12:02:31.000Z', state: 'up'},
				{at: '2026-01-01T12:04:00.000Z', state: 'down', problem: 'away'},
			],
		},
	});
	// What it was when the hour began is part of the hour.
	await clock.advance(3 * hour);
	const {changes} = history.report(1).sources['joyent'] ?? {changes: []};
	t.deepEqual(changes, [{at: history.report(1).from, state: 'down', problem: 'away'}]);
	await history.stop();
	host.events.emit('source.up', {source: 'joyent'});
	t.is(history.report(24).sources['joyent']?.changes.length, 5);
});

test('a source that is no more is forgotten a week later, one that flaps for days fills nothing', async t => {
	let samples: readonly NamedSample[] = [{name: 'old', state: 'up'}];
	const {clock, history, kept, host} = await start({sources: () => samples});
	await clock.advance(minute);
	samples = [{name: 'new', state: 'up'}];
	await clock.advance(hour);
	t.deepEqual(Object.keys(history.report(24).sources), ['new', 'old']);
	t.deepEqual(Object.keys(history.report(0.5).sources), ['new']);
	for (let n = 0; n < 3000; n++) {
		host.events.emit(n % 2 === 0 ? 'source.down' : 'source.up', {source: 'new'});
	}
	t.is(history.report(24).sources['new']?.changes.length, 500);
	await history.stop();
	const later = await start({kept, clock: new ManualClock(clock.now() + 8 * 24 * hour), sources: () => samples});
	await later.clock.advance(11 * minute);
	const {changes} = JSON.parse(kept.text ?? '') as {changes: object};
	t.deepEqual(Object.keys(changes), ['new']);
});

test('a clock that is put forward makes no rate, one that is put back leaves nothing in the future', async t => {
	const clock = new (class extends ManualClock {
		offsetMs = 0;
		override now(): number {
			return super.now() + this.offsetMs;
		}
	})(noon);
	const {history, metrics} = await start({clock});
	await clock.advance(2 * minute);
	clock.offsetMs = 5 * hour;
	metrics.bytesToClients.inc({cache: 'hit'}, 60);
	await clock.advance(minute);
	t.is(history.report(24).points.at(-1)?.at, '2026-01-01T17:03:00.000Z');
	t.is(history.report(24).points.at(-1)?.ms, minute);
	clock.offsetMs = 0;
	metrics.bytesToClients.inc({cache: 'hit'}, 5);
	await clock.advance(minute);
	const {points} = history.report(24);
	t.deepEqual(
		points.map(({at, ms, out}) => `${at.slice(11, 16)} ${ms} ${out.hit ?? 0}`),
		['12:01 60000 0', '12:02 60000 0', '12:04 60000 5'],
	);
});

test('sources that cannot be asked cost a minute, and no more', async t => {
	let broken = true;
	const {clock, history, host} = await start({
		sources: () => {
			if (broken) {
				throw new Error('not now');
			}
			return [];
		},
	});
	await clock.advance(minute);
	t.is(host.linesLike(/not now/).length, 1);
	broken = false;
	await clock.advance(minute);
	t.is(history.report(1).points.length, 1);
});

type Doing =
	| {readonly what: 'count'; readonly cache: 'hit' | 'miss' | 'pass'; readonly bytes: number}
	| {readonly what: 'wait'; readonly ms: number}
	| {readonly what: 'restart'; readonly awayMs: number};

const doing: fc.Arbitrary<Doing> = fc.oneof(
	{
		weight: 4,
		arbitrary: fc.record({
			what: fc.constant('count' as const),
			cache: fc.constantFrom('hit', 'miss', 'pass'),
			bytes: fc.integer({min: 0, max: 1_000_000}),
		}),
	},
	{weight: 4, arbitrary: fc.record({what: fc.constant('wait' as const), ms: fc.integer({min: 1, max: 15 * minute})})},
	{weight: 1, arbitrary: fc.record({what: fc.constant('restart' as const), awayMs: fc.integer({min: 0, max: hour})})},
);

test('whatever happens, all that was counted is in the points once, in order, and nothing is negative', async t => {
	await fc.assert(
		fc.asyncProperty(fc.array(doing, {maxLength: 25}), async all => {
			const kept = new Kept();
			let now = await start({kept});
			const counted = new Map<string, number>();
			for (const one of all) {
				if (one.what === 'count') {
					now.metrics.bytesToClients.inc({cache: one.cache}, one.bytes);
					now.metrics.requests.inc({route: '/images', method: 'GET', status: '200'});
					counted.set(one.cache, (counted.get(one.cache) ?? 0) + one.bytes);
					counted.set('requests', (counted.get('requests') ?? 0) + 1);
				} else if (one.what === 'wait') {
					await now.clock.advance(one.ms);
				} else {
					await now.history.stop();
					now = await start({kept, clock: new ManualClock(now.clock.now() + one.awayMs)});
				}
			}
			await now.history.stop();
			for (const report of [now.history.report(24), now.history.report(48)]) {
				for (const cache of ['hit', 'miss', 'pass'] as const) {
					t.is(
						total(report, ({out}) => out[cache]),
						counted.get(cache) ?? 0,
					);
				}
				t.is(
					total(report, ({requests}) => requests),
					counted.get('requests') ?? 0,
				);
				const times = report.points.map(({at}) => Date.parse(at));
				t.deepEqual(
					times,
					[...new Set(times)].sort((a, b) => a - b),
				);
				for (const {ms, out} of report.points) {
					t.true(ms > 0 && Object.values(out).every(bytes => bytes > 0));
				}
				if (report.stepMs === minute) {
					// A step lasts a millisecond at least, also one that a restart ends in the instant in which it began.
					const spareMs = all.length + 1;
					const overlaps = report.points.some(
						({at, ms}, index) => index > 0 && ms > minute && Date.parse(at) - ms + spareMs < (times[index - 1] ?? 0),
					);
					t.false(overlaps);
				}
			}
		}),
		{numRuns: 60},
	);
});

test('one that was stopped before it had begun leaves what is kept as it was', async t => {
	const {history, clock, kept} = await start();
	await clock.advance(3 * minute);
	await history.stop();
	const {text} = kept;
	const host = testHost({clock: new ManualClock(noon + hour)});
	const other = new History({host, sources: () => [], read: kept.read, write: kept.write});
	await other.stop();
	t.is(kept.text, text);
});
