import {setImmediate as nextRound} from 'node:timers/promises';
import test from 'ava';
import {Turns} from '../../src/http/turns.js';
import {ManualClock} from '../helpers/manual-clock.js';

const mebibyte = 2 ** 20;

/** A client that always has more: takes turn after turn until it has had `bytes`. */
async function client(turns: Turns, name: string, bytes: number, log: string[]): Promise<void> {
	turns.enter();
	for (let left = bytes; left > 0;) {
		await turns.take(most => {
			const sent = Math.min(left, most);
			left -= sent;
			log.push(`${name} ${sent / mebibyte}`);
			return sent;
		});
	}
	turns.leave();
}

test('one client is sent something at once, until others may want the event loop', t => {
	const turns = new Turns(new ManualClock());
	turns.enter();
	for (let sent = 0; sent < 8; sent += 2) {
		t.is(
			turns.take(most => {
				t.is(most, 2 * mebibyte);
				return most;
			}),
			undefined,
		);
	}
	let called = false;
	const later = turns.take(() => {
		called = true;
		return 0;
	});
	t.false(called);
	return later?.then(() => {
		t.true(called);
	});
});

test('who has to wait goes first in the next round, in the order in which they came', async t => {
	const clock = new ManualClock();
	const turns = new Turns(clock);
	const log: string[] = [];
	turns.enter();
	turns.enter();
	await clock.advance(50);
	// All that this round has.
	turns.take(() => 8 * mebibyte);
	const waiting = ['a', 'b', 'c'].map(name =>
		turns.take(most => {
			log.push(name);
			return name === 'a' ? 6 * mebibyte : most;
		}),
	);
	await nextRound();
	t.deepEqual(log, ['a', 'b']);
	const late = turns.take(() => {
		log.push('late');
		return 0;
	});
	await Promise.all([...waiting, late]);
	t.deepEqual(log, ['a', 'b', 'c', 'late']);
});

test('while clients keep coming, turns and rounds are short', async t => {
	const clock = new ManualClock();
	const turns = new Turns(clock);
	const log: string[] = [];
	const all = Promise.all([client(turns, 'a', 3 * mebibyte, log), client(turns, 'b', 2 * mebibyte, log)]);
	await nextRound();
	t.true(log.slice(1).every(line => line.endsWith(' 0.25')));
	const before = log.length;
	await nextRound();
	t.true(log.length - before <= 4);
	await clock.advance(50);
	const comingUntil = log.length;
	await all;
	t.true(log.slice(comingUntil).some(line => !line.endsWith(' 0.25')));
	t.is(
		log.reduce((sum, line) => sum + Number(line.split(' ')[1]), 0),
		5,
	);
});

test('what one of them throws is thrown at that one', async t => {
	const turns = new Turns(new ManualClock());
	t.throws(
		() =>
			turns.take(() => {
				throw new Error('at once');
			}),
		{message: 'at once'},
	);
	turns.take(() => 8 * mebibyte);
	const [bad, good] = [
		turns.take(() => {
			throw new Error('later');
		}),
		turns.take(() => 1),
	];
	await t.throwsAsync(async () => bad, {message: 'later'});
	await t.notThrowsAsync(async () => good);
});
