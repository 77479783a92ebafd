import {setImmediate as nextRound} from 'node:timers/promises';
import test from 'ava';
import {Turns} from '../../src/http/turns.js';
import {ManualClock} from '../helpers/manual-clock.js';

const mebibyte = 2 ** 20;

test('one client is sent something at once, until others may want the event loop', t => {
	const turns = new Turns(new ManualClock());
	turns.enter();
	const offered: number[] = [];
	// What the connection takes, and what it takes when it has room again.
	for (const taken of [3, 5]) {
		t.is(
			turns.take(most => {
				offered.push(most / mebibyte);
				return taken * mebibyte;
			}),
			undefined,
		);
	}
	t.deepEqual(offered, [8, 5], 'all that the round has: there is nobody else');
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
	void turns.take(() => 8 * mebibyte);
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
	turns.enter();
	turns.enter();
	const turn = (): {readonly sent: number[]; readonly wait: Promise<void> | undefined} => {
		const sent: number[] = [];
		const wait = turns.take(most => {
			sent.push(most / mebibyte);
			return most;
		});
		return {sent, wait};
	};
	const first = Array.from({length: 10}, turn);
	t.deepEqual(
		first.map(({sent}) => sent),
		[...Array.from({length: 4}, () => [0.0625]), ...Array.from({length: 6}, () => [])],
	);
	await nextRound();
	t.is(first.flatMap(({sent}) => sent).length, 8);
	await Promise.all(first.flatMap(({wait}) => wait ?? []));
	t.true(first.every(({sent}) => sent.length === 1 && sent[0] === 0.0625));
	await clock.advance(50);
	await nextRound();
	await nextRound();
	t.deepEqual(turn().sent, [2], 'nobody comes any more');
	await nextRound();
	turns.leave();
	turns.enter();
	t.deepEqual(turn().sent, [0.0625]);
	await nextRound();
	turns.leave();
	t.deepEqual(turn().sent, [2], 'one alone, in a round that was to be short');
	await nextRound();
	t.deepEqual(turn().sent, [8]);
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
	void turns.take(() => 8 * mebibyte);
	const [bad, good] = [
		turns.take(() => {
			throw new Error('later');
		}),
		turns.take(() => 1),
	];
	await t.throwsAsync(async () => bad, {message: 'later'});
	await t.notThrowsAsync(async () => good);
});
