import test from 'ava';
import fc from 'fast-check';
import {createGlob} from '../../src/image/glob.js';

for (const [pattern, matching, others] of [
	['base-64', ['base-64'], ['base-64-lts', 'Base-64', 'xbase-64', '']],
	['base*', ['base', 'base-64', 'base/x'], ['abase']],
	['*', ['', 'anything'], []],
	['**a**b**', ['ab', 'xaxbx'], ['ba', 'a']],
	['?', ['a', '€', '😀'], ['', 'ab']],
	['base-[36]*', ['base-32', 'base-64'], ['base-16']],
	['[a-cx]1', ['a1', 'b1', 'x1'], ['d1', '-1']],
	['[!a-c]1', ['d1'], ['a1', '1']],
	['[^a]', ['b'], ['a']],
	['[]a]', [']', 'a'], ['b']],
	['[a-]', ['a', '-'], ['b']],
	['[z-a]', [], ['a', 'm', 'z']],
	['[a', ['[a'], ['a']],
	['{base,minimal}-64', ['base-64', 'minimal-64'], ['base', '{base,minimal}-64']],
	['{a,b{c,d},}x', ['ax', 'bcx', 'bdx', 'x'], ['bx']],
	['{a}', ['{a}'], ['a']],
	['{a,b', ['{a,b'], ['a']],
	['a}', ['a}'], []],
	['\\*', ['*'], ['a', '\\*']],
	['\\{a,b\\}', ['{a,b}'], ['a']],
	['{\\,,a\\}}', [',', 'a}'], ['\\,']],
	['a\\', ['a\\'], ['a']],
	['[.]+(x|y)$', ['.+(x|y)$'], ['.x']],
] as const) {
	test(`the glob ${pattern} matches what it says`, t => {
		const glob = createGlob(pattern);
		t.deepEqual(
			matching.filter(text => !glob(text)),
			[],
		);
		t.deepEqual(
			others.filter(text => glob(text)),
			[],
		);
	});
}

test('a pattern without special characters matches itself only', t => {
	const plain = fc.string({unit: 'grapheme'}).filter(text => !/[*?[\]{}\\]/.test(text));
	fc.assert(fc.property(plain, plain, (a, b) => createGlob(a)(a) && createGlob(a)(b) === (a === b)));
	t.pass();
});

test('any text matches itself with a star put in', t => {
	fc.assert(
		fc.property(fc.string(), fc.string(), fc.string(), (a, b, c) => {
			const escaped = (text: string): string => text.replaceAll(/[*?[\]{}\\]/g, '\\$&');
			return createGlob(`${escaped(a)}*${escaped(c)}`)(a + b + c);
		}),
	);
	t.pass();
});

test('a name made to keep a pattern busy does not', t => {
	// Exponential in a backtracking matcher: it would not come back within the age of the universe.
	t.false(createGlob(`${'*a'.repeat(40)}b`)('a'.repeat(5000)));
});

test('braces do not multiply without bound', t => {
	const glob = createGlob('{a,b}'.repeat(40));
	t.false(glob('a'.repeat(40)));
	t.true(createGlob('{a,b}'.repeat(9))('ab'.repeat(4) + 'a'));
});
