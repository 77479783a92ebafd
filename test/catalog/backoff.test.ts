import test from 'ava';
import fc from 'fast-check';
import {Availability, type Health} from '../../src/catalog/availability.js';
import {Backoff} from '../../src/catalog/backoff.js';
import {inWords} from '../../src/catalog/words.js';
import {testHost} from '../helpers/test-host.js';
import {day, minute} from './fake-source.js';

test('waits grow from one second to five minutes, whatever chance says', t => {
	fc.assert(
		fc.property(fc.array(fc.double({min: 0, max: 1, maxExcluded: true, noNaN: true}), {minLength: 30}), chances => {
			let at = 0;
			const backoff = new Backoff(testHost({random: () => chances[at++ % chances.length] ?? 0}));
			const waits = chances.map(() => backoff.failed());
			t.true(waits.every(waitMs => waitMs >= 1000 && waitMs <= 5 * minute));
			t.true(waits.slice(12).every(waitMs => waitMs >= 0.75 * 5 * minute));
			t.is(backoff.failures, chances.length);
			backoff.succeeded();
			t.is(backoff.retryAt, undefined);
			t.true(backoff.failed() < 2000);
		}),
	);
});

test('a clock that is set back does not make a source wait for the time that it lost', async t => {
	const host = testHost();
	const said: {health?: Health} = {};
	const availability = new Availability({host, health: () => said.health});
	await host.clock.advance(day);
	availability.findFailed();
	said.health = {state: 'down', retryAtMs: host.clock.now() + minute};
	t.is(availability.restingUntil, host.clock.now() + minute);
	const early = host.clock.now() - day;
	host.clock.now = () => early;
	t.is(availability.restingUntil, undefined);
	t.is(availability.downUntil, undefined);
});

test('times are said in words', t => {
	t.deepEqual([0, 1500, 42_000, 3 * minute, 7.4e6, 30 * day].map(inWords), [
		'0.0 s',
		'1.5 s',
		'42 s',
		'3 min',
		'2 h',
		'30 d',
	]);
});
