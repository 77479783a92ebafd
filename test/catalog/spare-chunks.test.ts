import {setImmediate as nextTurn} from 'node:timers/promises';
import test from 'ava';
import {chunkBytes, quietMs, SpareChunks} from '../../src/catalog/spare-chunks.js';
import {ManualClock} from '../helpers/manual-clock.js';

test('spare chunks are made one in a turn, as many as are wanted, and given away once', async t => {
	const clock = new ManualClock();
	const spare = new SpareChunks(3, clock);
	t.is(spare.count, 0);
	spare.refill();
	spare.refill();
	for (const count of [1, 2, 3, 3]) {
		await nextTurn();
		t.is(spare.count, count);
	}
	t.not(spare.take(chunkBytes), spare.take(1));
	t.is(spare.count, 1);
	t.is(spare.take(chunkBytes + 1).length, chunkBytes + 1);
	t.is(spare.count, 1);
});

test('while some are taken, none are made', async t => {
	const clock = new ManualClock();
	const spare = new SpareChunks(2, clock);
	t.is(spare.take(0).length, chunkBytes);
	spare.refill();
	await clock.advance(quietMs - 1);
	await nextTurn();
	t.is(spare.count, 0);
	spare.take(0);
	await clock.advance(1);
	await nextTurn();
	t.is(spare.count, 0, 'one more was taken meanwhile');
	await clock.advance(quietMs);
	await nextTurn();
	await nextTurn();
	t.is(spare.count, 2);
	spare.take(0);
	spare.refill();
	await nextTurn();
	t.is(spare.count, 1);
	await clock.advance(quietMs);
	await nextTurn();
	t.is(spare.count, 2);
});
