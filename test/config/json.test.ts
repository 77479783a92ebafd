import test from 'ava';
import fc from 'fast-check';
import {JsonSyntaxError, readJson} from '../../src/config/json.js';

/** Objects have no prototype here; a round trip gives them one. */
const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value));

test('what JSON.parse reads is read to the same', t => {
	const layouts = fc.constantFrom(undefined, 2, '\t', '\r\n ');
	fc.assert(
		fc.property(fc.jsonValue({maxDepth: 5}), layouts, (value, layout) => {
			const text = JSON.stringify(value, null, layout === '\r\n ' ? ' ' : layout);
			t.deepEqual(plain(readJson(layout === '\r\n ' ? text.replaceAll('\n', '\r\n') : text).value), JSON.parse(text));
		}),
	);
});

test('what JSON.parse refuses is refused, and nothing else', t => {
	const pieces = [
		'{',
		'}',
		'[',
		']',
		',',
		':',
		'"a"',
		'"\\u00e9"',
		'"\\x"',
		'"',
		'1',
		'-0.5e+3',
		'01',
		'true',
		'nul',
		' ',
		'\n',
		'\\',
	];
	const texts = fc.oneof(
		fc.array(fc.constantFrom(...pieces), {maxLength: 8}).map(parts => parts.join('')),
		fc.string(),
	);
	fc.assert(
		fc.property(texts, text => {
			let expected: unknown;
			try {
				expected = JSON.parse(text);
			} catch {
				t.throws(() => readJson(text), {instanceOf: JsonSyntaxError}, text);
				return;
			}
			// Numbers beyond all bounds are written as null, on both sides.
			t.deepEqual(plain(readJson(text).value), plain(expected));
		}),
		{numRuns: 3000},
	);
});

test('a damaged text never brings down the reader', t => {
	const texts = fc
		.tuple(fc.json(), fc.nat(), fc.constantFrom('', '"', '}', ',', '\n', 'x'))
		.map(
			([text, at, piece]) =>
				`${text.slice(0, at % (text.length + 1))}${piece}${text.slice((at % (text.length + 1)) + 1)}`,
		);
	fc.assert(
		fc.property(texts, text => {
			try {
				readJson(text);
				t.notThrows(() => JSON.parse(text) as unknown);
			} catch (error) {
				t.true(error instanceof JsonSyntaxError);
			}
		}),
	);
});

test('a byte order mark is passed over', t => {
	t.deepEqual(readJson('\uFEFF[1]').value, [1]);
});

test('every value has its line', t => {
	const {lines} = readJson('{\n\t"a": {\n\t\t"b c": [1,\n2]\n\t}\n}');
	t.deepEqual(Object.fromEntries(lines), {'': 1, a: 2, 'a["b c"]': 3, 'a["b c"][0]': 3, 'a["b c"][1]': 4});
});

test('keys written twice are found, comments may be', t => {
	t.deepEqual(readJson('{"a": 1, "//": 1,\n"//": 2, "b": {"c": 1,\n"c": 2}, "a": 3}').repeated, [
		{path: 'b.c', line: 3, firstLine: 2},
		{path: 'a', line: 3, firstLine: 1},
	]);
});

test('no key is special', t => {
	const {value} = readJson('{"__proto__": {"polluted": true}, "constructor": 1}');
	t.deepEqual(Object.keys(value as object), ['__proto__', 'constructor']);
	t.is(Object.getPrototypeOf(value), null);
});

const faults: Readonly<Record<string, readonly [text: string, line: number, column: number, message: RegExp]>> = {
	'an empty file': ['', 1, 1, /got an empty file/],
	'only blanks': [' \n\n', 3, 1, /got an empty file/],
	'a comma after the last key': ['{\n\t"a": 1,\n}', 3, 1, /no comma after the last value/],
	'a comma after the last element': ['[1, ]', 1, 5, /no comma after the last value/],
	'a missing comma': ['{"a": 1\n"b": 2}', 2, 1, /expected a comma or "}", got "\\""/],
	'a missing comma in a list': ['[1 2]', 1, 4, /expected a comma or "\]", got "2"/],
	'a missing colon': ['{"a" 1}', 1, 6, /expected ":" after the key "a", got "1"/],
	'a comment': ['{ // why\n}', 1, 3, /JSON has no comments/],
	'a shell comment': ['# why\n{}', 1, 1, /JSON has no comments/],
	'single quotes': ["{'a': 1}", 1, 2, /double quotes only/],
	'a key without quotes': ['{a: 1}', 1, 2, /a key in double quotes or "}", got "a"/],
	'a word': ['{"a": yes}', 1, 7, /expected a value.*got "yes"/],
	NaN: ['NaN', 1, 1, /got "NaN"/],
	'a number with a leading zero': ['[007]', 1, 2, /got "007"/],
	'a string over the end of the line': ['{"a": "b\n"}', 1, 9, /closing double quote.*end of the line/],
	'a string over the end of the file': ['["b', 1, 4, /closing double quote.*end of the file/],
	'a tab in a string': ['["\t"]', 1, 3, /closing double quote/],
	'an unknown escape': ['["C:\\dir"]', 1, 5, /a backslash is/],
	'something after the end': ['{} {}', 1, 4, /expected the end of the file, got "{"/],
	'an end that comes too early': ['{"a": {', 1, 8, /got the end of the file/],
	'too many brackets': ['['.repeat(200), 1, 102, /no more than 100 levels/],
};
for (const [what, [text, line, column, message]] of Object.entries(faults)) {
	test(`${what}: refused, with the place`, t => {
		const error = t.throws(() => readJson(text), {instanceOf: JsonSyntaxError, message});
		t.deepEqual([error.line, error.column], [line, column]);
	});
}

test('of a long line only the part in question is shown', t => {
	const error = t.throws(() => readJson(`[${'1, '.repeat(500)}oops, ${'1, '.repeat(500)}]`), {
		instanceOf: JsonSyntaxError,
	});
	t.true(error.excerpt.includes('oops'));
	t.true(error.excerpt.length <= 120);
});
