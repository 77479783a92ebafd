import test from 'ava';
import {Turns} from '../../src/blobs/turns.js';
import {settle} from '../helpers/manual-clock.js';

test('under one name one thing at a time, in order, also after a failure', async t => {
	const turns = new Turns();
	const done: string[] = [];
	let release = (): void => undefined;
	const first = turns.take('a', async () => {
		await new Promise<void>(resolve => {
			release = resolve;
		});
		done.push('first');
		throw new Error('failed');
	});
	const second = turns.take('a', async () => done.push('second'));
	const other = turns.take('b', async () => done.push('other'));
	await other;
	await settle();
	t.deepEqual(done, ['other']);
	release();
	await t.throwsAsync(first, {message: 'failed'});
	await second;
	t.deepEqual(done, ['other', 'first', 'second']);
});
