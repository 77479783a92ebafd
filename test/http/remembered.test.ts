import test from 'ava';
import {Remembered} from '../../src/http/remembered.js';

test('what was made of a text is made once, unless making it failed', t => {
	const remembered = new Remembered<object>();
	const made = {};
	t.throws(() =>
		remembered.of('a', () => {
			throw new Error('no');
		}),
	);
	t.is(
		remembered.of('a', () => made),
		made,
	);
	t.is(
		remembered.of('a', () => ({})),
		made,
	);
	t.not(
		remembered.of('b', () => ({})),
		made,
	);
});

test('few are kept, and none that is long', t => {
	const remembered = new Remembered<object>();
	remembered.of('x'.repeat(501), () => ({}));
	t.is(remembered.size, 0);
	for (let number = 0; number < 2000; number++) {
		remembered.of(String(number), () => ({}));
	}
	t.true(remembered.size <= 500);
});
