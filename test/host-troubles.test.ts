import test from 'ava';
import {Troubles} from '../src/host-troubles.js';

test('each trouble is there until it is over, in its last words', t => {
	const troubles = new Troubles();
	troubles.set('a', 'one');
	troubles.set('b', 'two');
	troubles.set('a', 'three');
	t.deepEqual(troubles.list(), ['three', 'two']);
	troubles.set('a', undefined);
	troubles.set('never', undefined);
	t.deepEqual(troubles.list(), ['two']);
});
