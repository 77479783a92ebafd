import test from 'ava';
import fc from 'fast-check';
import {editDistance, nearest} from '../../src/config/spelling.js';

test('the nearest known word is found', t => {
	const known = ['listen', 'listTtl', 'keepFor', 'publicUrl', 'log', 'data'];
	t.is(nearest('lisen', known), 'listen');
	t.is(nearest('lsiten', known), 'listen');
	t.is(nearest('LISTTTL', known), 'listTtl');
	t.is(nearest('list_ttl', known), 'listTtl');
	t.is(nearest('public-url', known), 'publicUrl');
	t.is(nearest('dta', known), 'data');
	t.is(nearest('entirely', known), undefined);
	t.is(nearest('x', known), undefined);
});

test('the distance is that of Damerau and Levenshtein', t => {
	t.is(editDistance('', 'abc'), 3);
	t.is(editDistance('abc', ''), 3);
	t.is(editDistance('kitten', 'sitting'), 3);
	t.is(editDistance('ab', 'ba'), 1);
});

test('it is symmetric, 0 only for the same, and never more than the longer word', t => {
	const word = fc.string({maxLength: 12});
	fc.assert(
		fc.property(word, word, (a, b) => {
			const distance = editDistance(a, b);
			t.is(distance, editDistance(b, a));
			t.is(distance === 0, a === b);
			t.true(distance <= Math.max(a.length, b.length));
		}),
	);
});
