import test from 'ava';
import {Meter} from '../../src/blobs/meter.js';
import {Places} from '../../src/blobs/places.js';
import {StandingAside} from '../../src/blobs/standing-aside.js';
import type {Supply} from '../../src/blobs/supply.js';
import {ManualClock} from '../helpers/manual-clock.js';

test('while clients need the sources a transfer in the background takes nothing, and its watch stands still', async t => {
	const clock = new ManualClock();
	const places = new Places({limits: {clients: 1, background: 1}, onChange: () => undefined});
	const meter = new Meter(clock);
	const said: string[] = [];
	const place = places.begin({background: true});
	const aside = new StandingAside({place, meter, clock, onTooLong: () => said.push('too long')});
	await place.turn(new AbortController().signal);
	aside.begin({hold: () => said.push('hold'), goOn: () => said.push('go on')} as unknown as Supply);
	t.deepEqual(said, ['go on']);
	await clock.advance(1000);
	t.is(meter.ranMs, 1000);

	const client = places.begin({background: false});
	t.deepEqual(said.splice(0), ['go on', 'hold']);
	await clock.advance(10_000);
	t.is(meter.ranMs, 1000, 'that is not its own slowness');
	client.end();
	t.deepEqual(said.splice(0), ['go on']);
	await clock.advance(500);
	t.is(meter.ranMs, 1500);
	await clock.advance(60_000);
	t.deepEqual(said, [], 'only standing still for long is too long');

	places.begin({background: false});
	await clock.advance(29_999);
	t.deepEqual(said.splice(0), ['hold']);
	await clock.advance(1);
	t.deepEqual(said.splice(0), ['too long']);
	aside.end();
	await clock.advance(60_000);
	t.deepEqual(said, []);
});
