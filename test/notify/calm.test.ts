import test from 'ava';
import fc from 'fast-check';
import {Events, type EventType, type MirrorEvent} from '../../src/host.js';
import {Calm} from '../../src/notify/calm.js';
import {ManualClock} from '../helpers/manual-clock.js';

function start() {
	const clock = new ManualClock(0);
	const told: {
		readonly at: number;
		readonly type: EventType;
		readonly source: string | undefined;
		readonly id: number;
	}[] = [];
	const calm = new Calm({clock, tell: ({type, source, id}) => told.push({at: clock.now(), type, source, id})});
	const events = new Events(clock);
	events.listen((event: MirrorEvent) => {
		calm.take(event);
	});
	return {clock, calm, events, told, short: () => told.map(({at, type}) => `${at} ${type}`)};
}

test('what happens once is told at once', t => {
	const {events, short, clock} = start();
	events.emit('source.down', {source: 'a'});
	events.emit('source.down', {source: 'b'});
	events.emit('disk.low', {});
	events.emit('image.cached', {});
	events.emit('image.cached', {});
	t.deepEqual(short(), ['0 source.down', '0 source.down', '0 disk.low', '0 image.cached', '0 image.cached']);
	t.is(clock.pending, 3);
});

test('a source that comes and goes is told of now and then, and as it is in the end', async t => {
	const {events, short, clock} = start();
	for (let n = 0; n < 25; n++) {
		events.emit(n % 2 === 0 ? 'source.down' : 'source.up', {source: 'a'});
		await clock.advance(1000);
	}
	await clock.advance(60_000);
	// After the second pause there is nothing new to say, so the next event is told at once.
	t.deepEqual(short(), ['0 source.down', '10000 source.up', '20000 source.down']);
	t.is(clock.pending, 0);
});

test('what is held back is passed on when it ends', t => {
	const {events, calm, short, clock} = start();
	events.emit('source.down', {source: 'a'});
	events.emit('source.up', {source: 'a'});
	events.emit('disk.low', {});
	events.emit('disk.ok', {});
	events.emit('disk.low', {});
	calm.flush();
	t.deepEqual(short(), ['0 source.down', '0 disk.low', '0 source.up']);
	t.is(clock.pending, 0);
});

test('however it comes and goes, nobody is told too often, or is left with what is not so', async t => {
	const doing = fc.record({
		source: fc.constantFrom('a', 'b'),
		type: fc.constantFrom('source.down' as const, 'source.up' as const),
		ms: fc.integer({min: 0, max: 12_000}),
	});
	await fc.assert(
		fc.asyncProperty(fc.array(doing, {maxLength: 30}), async all => {
			const {events, told, clock} = start();
			for (const {source, type, ms} of all) {
				events.emit(type, {source});
				await clock.advance(ms);
			}
			await clock.advance(30_000);
			for (const source of ['a', 'b']) {
				const heard = told.filter(one => one.source === source);
				t.is(heard.at(-1)?.type, all.filter(one => one.source === source).at(-1)?.type);
				t.true(heard.every(({at}, n) => at - (heard[n - 1]?.at ?? -Infinity) >= 10_000));
				t.deepEqual(
					heard.map(({id}) => id),
					heard.map(({id}) => id).sort((x, y) => x - y),
				);
			}
		}),
		{numRuns: 50},
	);
});
