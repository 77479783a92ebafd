import test from 'ava';
import {InvalidParameterError, MirrorError, NoSpaceError, NotFoundError} from '../../src/errors.js';
import type {PrefetchEvent, Selection} from '../../src/prefetch/api.js';
import {Prefetcher} from '../../src/prefetch/prefetcher.js';
import {settle} from '../helpers/manual-clock.js';
import {testHost, type TestHost} from '../helpers/test-host.js';
import {FakeAhead, id} from './fake-ahead.js';
import {rule} from './rules.js';

interface Bench {
	readonly host: TestHost;
	readonly ahead: FakeAhead;
	readonly prefetcher: Prefetcher;
	/** Reads everything in the background. */
	readonly fetch: (
		selection: Selection,
		options?: {readonly bytesPerSecond?: number; readonly concurrent?: number; readonly signal?: AbortSignal},
	) => {readonly events: readonly PrefetchEvent[]; readonly ended: Promise<void>};
}

function bench(): Bench {
	const host = testHost();
	const ahead = new FakeAhead(host.clock);
	const prefetcher = new Prefetcher({host, ahead, settings: {concurrent: 2, rules: [rule({name: 'bases'})]}});
	return {
		host,
		ahead,
		prefetcher,
		fetch(selection, {bytesPerSecond = 0, concurrent = 0, signal = new AbortController().signal} = {}) {
			const events: PrefetchEvent[] = [];
			const read = async (): Promise<void> => {
				for await (const event of prefetcher.fetch(selection, {bytesPerSecond, concurrent}, signal)) {
					events.push(event);
				}
			};
			return {events, ended: read()};
		},
	};
}

const all: Selection = {name: ['*']};
const kinds = (events: readonly PrefetchEvent[]): readonly string[] => events.map(({what}) => what);

test('a one-off tells its plan, each image and a summary', async t => {
	const {ahead, fetch, host} = bench();
	ahead.add(1, {size: 3000});
	ahead.add(2, {size: 5000, origin: 1, version: '2.0'});
	ahead.add(3, {size: 500});
	ahead.here.add(id(3));
	const {events, ended} = fetch(all, {concurrent: 1});
	await ended;
	t.deepEqual(kinds(events), ['plan', 'done', 'image', 'done', 'image', 'done', 'end']);
	t.deepEqual(events.slice(1), [
		{what: 'done', uuid: id(3), outcome: 'there'},
		{what: 'image', uuid: id(1), name: 'base', version: '1.0.0', bytes: 3000},
		{what: 'done', uuid: id(1), outcome: 'fetched'},
		{what: 'image', uuid: id(2), name: 'base', version: '2.0', bytes: 5000},
		{what: 'done', uuid: id(2), outcome: 'fetched'},
		{what: 'end', fetched: 2, there: 1, failed: 0, bytes: 8000, ms: 0},
	]);
	t.is(host.clock.pending, 0);

	const again = fetch(all);
	await again.ended;
	t.deepEqual(again.events.at(-1), {what: 'end', fetched: 0, there: 3, failed: 0, bytes: 0, ms: 0});
});

test('several images come at once, each with its progress a few times a second', async t => {
	const {ahead, fetch, host} = bench();
	ahead.speed = 100_000;
	for (const number of [1, 2, 3, 4]) {
		ahead.add(number, {size: 200_000});
	}
	const {events, ended} = fetch(all, {concurrent: 3});
	await host.clock.advance(5000);
	await ended;
	t.is(ahead.mostRunning, 3);
	const progress = events.filter(event => event.what === 'progress');
	for (const number of [1, 2, 3, 4]) {
		const own = progress.filter(({uuid}) => uuid === id(number)).map(({bytes}) => bytes);
		// Two seconds each.
		t.true(own.length >= 8 && own.length <= 11, `${own.length}`);
		t.deepEqual(
			own,
			own.toSorted((a, b) => a - b),
		);
	}
	t.deepEqual(events.at(-1), {what: 'end', fetched: 4, there: 0, failed: 0, bytes: 800_000, ms: 4000});
	t.is(host.clock.pending, 0);
});

test('all together keep to the bandwidth that was given', async t => {
	const {ahead, fetch, host} = bench();
	for (const number of [1, 2, 3]) {
		ahead.add(number, {size: 1_000_000});
	}
	const {events, ended} = fetch(all, {concurrent: 3, bytesPerSecond: 100_000});
	await host.clock.advance(31_000);
	await ended;
	const end = events.at(-1);
	t.true(end?.what === 'end' && end.ms >= 29_800 && end.ms <= 30_100, JSON.stringify(end));
});

test('one that fails is tried again, and keeps no other from coming', async t => {
	const {ahead, fetch, host} = bench();
	ahead.add(1, {name: 'good'});
	ahead.mishaps.set(ahead.add(2, {name: 'slow'}), [new MirrorError('cut off'), new MirrorError('cut off')]);
	ahead.mishaps.set(
		ahead.add(3, {name: 'bad'}),
		Array.from({length: 9}, () => new MirrorError('broken')),
	);
	ahead.mishaps.set(ahead.add(4, {name: 'gone'}), [new NotFoundError('no source has it')]);
	const {events, ended} = fetch(all);
	await settle();
	t.is(ahead.fetches.length, 4);
	await host.clock.advance(60_000);
	await ended;
	t.is(ahead.fetches.filter(({uuid}) => uuid === id(3)).length, 4);
	t.deepEqual(
		events.filter(event => event.what === 'done'),
		[
			{what: 'done', uuid: id(4), outcome: 'failed', problem: 'no source has it'},
			{what: 'done', uuid: id(1), outcome: 'fetched'},
			{what: 'done', uuid: id(2), outcome: 'fetched'},
			{what: 'done', uuid: id(3), outcome: 'failed', problem: 'broken'},
		],
	);
	t.is(events.filter(({what}) => what === 'image').length, 4, 'each begins once');
	t.deepEqual(events.at(-1), {what: 'end', fetched: 2, there: 0, failed: 2, bytes: 2000, ms: 42_000});
});

test('what the disk did not take is told, and nothing as big is fetched in vain', async t => {
	const {ahead, fetch} = bench();
	ahead.add(1, {size: 4000});
	ahead.add(2, {size: 1000});
	ahead.mishaps.set(ahead.add(3, {size: 3000}), ['uncached']);
	ahead.mishaps.set(ahead.add(4, {size: 9000}), [new NoSpaceError('the disk is full')]);
	const {events, ended} = fetch(all, {concurrent: 1});
	await ended;
	t.deepEqual(
		events.filter(event => event.what === 'done').map(({uuid, outcome, problem}) => [uuid, outcome, problem]),
		[
			[id(4), 'failed', 'the disk is full'],
			[id(3), 'uncached', 'the disk did not take it'],
			[id(2), 'fetched', undefined],
			[id(1), 'failed', 'the disk has no room for it'],
		],
	);
	t.deepEqual(events.at(-1), {what: 'end', fetched: 1, there: 0, failed: 3, bytes: 1000, ms: 0});
});

test('what is cut short keeps what has come, sums up, and goes on when it is asked for again', async t => {
	const {ahead, fetch, host} = bench();
	ahead.speed = 1000;
	ahead.chunk = 100;
	ahead.add(1, {size: 10_000});
	ahead.add(2, {size: 10_000});
	const stop = new AbortController();
	const {events, ended} = fetch(all, {concurrent: 1, signal: stop.signal});
	await host.clock.advance(15_000);
	stop.abort();
	await ended;
	t.deepEqual(events.at(-1), {what: 'end', fetched: 1, there: 0, failed: 0, bytes: 10_000, ms: 15_000});
	t.is(ahead.running, 0);
	t.is(host.clock.pending, 0);
	t.is(ahead.partial.get(id(1)), 5000);

	const again = fetch(all);
	await host.clock.advance(5000);
	await again.ended;
	t.deepEqual(again.events.at(-1), {what: 'end', fetched: 1, there: 1, failed: 0, bytes: 10_000, ms: 5000});
});

test('whoever stops reading ends it', async t => {
	const {ahead, prefetcher, host} = bench();
	ahead.speed = 1000;
	ahead.add(1, {size: 10_000});
	ahead.add(2, {size: 10_000});
	const events = prefetcher.fetch(all, {bytesPerSecond: 5000, concurrent: 1}, new AbortController().signal);
	t.is((await events.next()).value?.what, 'plan');
	t.is((await events.next()).value?.what, 'image');
	t.is(ahead.running, 1);
	await events.return();
	t.is(ahead.running, 0);
	t.is(ahead.fetches.length, 1);
	t.is(host.clock.pending, 0);
});

test('a reader who takes his time gets the newest of the progress only', async t => {
	const {ahead, prefetcher, host} = bench();
	ahead.speed = 1000;
	ahead.chunk = 100;
	ahead.add(1, {size: 10_000});
	const events = prefetcher.fetch(all, {bytesPerSecond: 0, concurrent: 1}, new AbortController().signal);
	await events.next();
	await events.next();
	await host.clock.advance(9000);
	t.deepEqual((await events.next()).value, {what: 'progress', uuid: id(1), bytes: 9000});
	await host.clock.advance(1000);
	t.deepEqual((await events.next()).value, {what: 'done', uuid: id(1), outcome: 'fetched'});
	t.is((await events.next()).value?.what, 'end');
	t.true((await events.next()).done);
});

test('a mirror that stops ends one-offs', async t => {
	const {ahead, fetch, prefetcher} = bench();
	ahead.speed = 1;
	ahead.add(1);
	const {events, ended} = fetch(all);
	await settle();
	await prefetcher.stop();
	await ended;
	t.is(events.at(-1)?.what, 'end');
	const {signal} = new AbortController();
	t.throws(() => prefetcher.fetch(all, {bytesPerSecond: 0, concurrent: 0}, signal), {message: /stopped/});
});

test('what cannot be is refused before anything begins', t => {
	const {prefetcher, ahead} = bench();
	ahead.add(1);
	const {signal} = new AbortController();
	const fetch = (selection: Selection, bytesPerSecond: number, concurrent: number): unknown =>
		prefetcher.fetch(selection, {bytesPerSecond, concurrent}, signal);
	t.throws(() => fetch({}, 0, 0), {instanceOf: InvalidParameterError});
	t.throws(() => fetch(all, -1, 0), {instanceOf: InvalidParameterError, message: /bytesPerSecond/});
	t.throws(() => fetch(all, 0, 1.5), {instanceOf: InvalidParameterError, message: /concurrent/});
	t.throws(() => fetch({rule: 'none'}, 0, 0), {instanceOf: NotFoundError});
	t.throws(() => prefetcher.plan({version: ''}), {instanceOf: InvalidParameterError});
	t.is(prefetcher.plan({rule: 'bases'}).images.length, 1);
	t.deepEqual(ahead.fetches, []);
});
