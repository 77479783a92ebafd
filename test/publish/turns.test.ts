import test from 'ava';
import {Turns} from '../../src/publish/turns.js';
import {settle} from '../helpers/manual-clock.js';

test('work on one name runs in the order in which it was given, even if the first fails', async t => {
	const turns = new Turns();
	const seen: string[] = [];
	const first = turns.take(['a'], async () => {
		await settle();
		seen.push('first');
		throw new Error('no');
	});
	const second = turns.take(['a'], async () => seen.push('second'));
	await t.throwsAsync(first, {message: 'no'});
	await second;
	t.deepEqual(seen, ['first', 'second']);
});

test('work on other names does not wait', async t => {
	const turns = new Turns();
	let end = (): void => undefined;
	const waiting = turns.take(['a'], () => new Promise<void>(resolve => (end = resolve)));
	t.is(await turns.take(['b'], async () => 5), 5);
	end();
	await waiting;
});

test('two who want the same two names in opposite order do not wait for each other', async t => {
	const turns = new Turns();
	const seen: string[] = [];
	const enter = (names: string[], what: string): Promise<void> =>
		turns.take(names, async () => {
			seen.push(`${what} in`);
			await settle();
			seen.push(`${what} out`);
		});
	await Promise.all([enter(['a', 'b'], '1'), enter(['b', 'a'], '2'), enter(['b'], '3'), enter(['a'], '4')]);
	t.deepEqual(seen.slice(0, 4), ['1 in', '1 out', '2 in', '2 out']);
	t.is(seen.length, 8);
});

test('one who wants the same name twice does not wait for itself', async t => {
	t.is(await new Turns().take(['a', 'a'], async () => 1), 1);
});
