import test from 'ava';
import fc from 'fast-check';
import {InvalidParameterError} from '../../src/errors.js';
import {booleanParam, parseQueryString, scalarParam} from '../../src/image/query.js';
import {anyCharacter} from '../helpers/any-character.js';

const queries: readonly (readonly [string, readonly (readonly [string, readonly string[]])[]])[] = [
	['', []],
	['a=1', [['a', ['1']]]],
	[
		'a=1&b=2',
		[
			['a', ['1']],
			['b', ['2']],
		],
	],
	[
		'sha1=abc;compression=gzip',
		[
			['sha1', ['abc']],
			['compression', ['gzip']],
		],
	],
	['a=1&a=2;a=3', [['a', ['1', '2', '3']]]],
	['a', [['a', ['']]]],
	['a=', [['a', ['']]]],
	['=x', [['', ['x']]]],
	['&&;&a=1;&', [['a', ['1']]]],
	['tag.role=db', [['tag.role', ['db']]]],
	['a=b=c', [['a', ['b=c']]]],
	['a=x+y%20z%2B', [['a', ['x y z+']]]],
	['%61%2e=%C3%A9%00', [['a.', ['é\0']]]],
	['a+b=1', [['a b', ['1']]]],
	['a=%26%3b%3D', [['a', ['&;=']]]],
	[
		'__proto__=1&constructor=2',
		[
			['__proto__', ['1']],
			['constructor', ['2']],
		],
	],
	[
		'%zz=1&a=2&%=',
		[
			['%zz', ['1']],
			['a', ['2']],
			['%', ['']],
		],
	],
	['a=?b', [['a', ['?b']]]],
	['name=é', [['name', ['é']]]],
];

for (const [raw, expected] of queries) {
	test(`the query string '${raw}' is read`, t => {
		t.deepEqual([...parseQueryString(raw, 100)] as unknown, expected);
	});
}

for (const raw of ['a=%', 'a=%f', 'a=%zz', 'a=%ff', 'a=%C3', 'a=%ed%a0%80', 'ok=1&a=%c0%80']) {
	test(`the query string '${raw}' is malformed`, t => {
		const error = t.throws(() => parseQueryString(raw, 100), {instanceOf: InvalidParameterError});
		t.is(error.errors[0]?.code, 'Invalid');
		t.is(error.errors[0]?.field, 'a');
	});
}

test('more keys than allowed are refused, however they repeat', t => {
	t.is(parseQueryString('a&b&&c', 3).size, 3);
	t.throws(() => parseQueryString('a&b&c&d', 3), {instanceOf: InvalidParameterError});
	t.throws(() => parseQueryString('a;a;a;a', 3), {instanceOf: InvalidParameterError});
	t.throws(() => parseQueryString('a=1&'.repeat(100_000), 1000), {instanceOf: InvalidParameterError});
});

test('what a client encodes comes out as it was', t => {
	const pair = fc.tuple(fc.string({unit: 'grapheme'}), fc.string({unit: 'grapheme'}));
	fc.assert(
		fc.property(fc.array(pair), fc.constantFrom('&', ';'), (pairs, separator) => {
			const kept = pairs.filter(([name, value]) => name !== '' || value !== '');
			const raw = kept
				.map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`)
				.join(separator);
			const expected = new Map<string, string[]>();
			for (const [name, value] of kept) {
				expected.set(name, [...(expected.get(name) ?? []), value]);
			}
			t.deepEqual(parseQueryString(raw, 1000), expected);
			t.deepEqual(parseQueryString(new URLSearchParams(kept).toString(), 1000), expected);
		}),
	);
});

test('any text is read or refused as a wrong parameter', t => {
	const text = fc
		.array(fc.constantFrom('a', '%', '%2', '%41', '%ff', '&', ';', '=', '+', '\0', 'é', '\ud800'))
		.map(parts => parts.join(''));
	fc.assert(
		fc.property(fc.oneof(text, fc.string({unit: anyCharacter})), raw => {
			try {
				t.true(parseQueryString(raw, 5).size <= 5);
			} catch (error) {
				t.true(error instanceof InvalidParameterError);
			}
		}),
		{numRuns: 1000},
	);
});

test('scalars may be given once', t => {
	const params = parseQueryString('a=1&b=&c=1&c=1', 10);
	t.is(scalarParam(params, 'a'), '1');
	t.is(scalarParam(params, 'b'), '');
	t.is(scalarParam(params, 'd'), undefined);
	const error = t.throws(() => scalarParam(params, 'c'), {instanceOf: InvalidParameterError});
	t.like(error.errors, [{field: 'c', code: 'Invalid'}]);
});

test('booleans are true or false and nothing else', t => {
	t.is(booleanParam(parseQueryString('a=true', 1), 'a'), true);
	t.is(booleanParam(parseQueryString('a=false', 1), 'a'), false);
	t.is(booleanParam(parseQueryString('', 1), 'a'), undefined);
	for (const value of ['', 'True', '1', '0', 'yes', 'zz', ' true']) {
		const error = t.throws(() => booleanParam(new Map([['a', [value]]]), 'a'), {instanceOf: InvalidParameterError});
		t.like(error.errors, [{field: 'a', code: 'Invalid'}]);
	}
});
