import test from 'ava';
import {FairTurns} from '../../src/http/fair-turns.js';
import {ManualClock} from '../helpers/manual-clock.js';

const kibibyte = 1024;

test('turns are large for few, smaller for many, and smallest while clients keep coming', async t => {
	const clock = new ManualClock();
	const turns = new FairTurns(clock);
	for (let clients = 1; clients <= 4; clients++) {
		turns.enter();
		t.is(turns.bytes, 2048 * kibibyte, `${clients} clients`);
	}
	turns.enter();
	t.is(turns.bytes, 128 * kibibyte, 'the fifth has just come, and may not be the last');
	await clock.advance(49);
	t.is(turns.bytes, 128 * kibibyte);
	await clock.advance(1);
	t.is(turns.bytes, 2048 * kibibyte, 'nobody comes any more');
	for (let clients = 6; clients <= 64; clients++) {
		turns.enter();
	}
	await clock.advance(50);
	t.is(turns.bytes, 256 * kibibyte);
	for (let clients = 65; clients <= 1000; clients++) {
		turns.enter();
	}
	await clock.advance(50);
	t.is(turns.bytes, 128 * kibibyte, 'no less, however many');
	for (let clients = 1000; clients > 8; clients--) {
		turns.leave();
	}
	t.is(turns.bytes, 2048 * kibibyte);
});
