import {setImmediate as nextTurn} from 'node:timers/promises';
import test from 'ava';
import {chunkBytes, SpareChunks} from '../../src/catalog/spare-chunks.js';

test('spare chunks are made one in a turn, as many as are wanted, and given away once', async t => {
	const spare = new SpareChunks(3);
	t.is(spare.count, 0);
	t.is(spare.take(0).length, chunkBytes);
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
