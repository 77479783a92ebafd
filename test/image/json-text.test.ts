import test from 'ava';
import fc from 'fast-check';
import {IntegrityError} from '../../src/errors.js';
import {
	compactJson,
	elementsOf,
	joinMembers,
	memberIn,
	membersOf,
	ownCopy,
	prettyJson,
	readCompact,
} from '../../src/image/json-text.js';
import {anyCharacter} from '../helpers/any-character.js';

/** Any layout: white space of every kind wherever JSON allows it. */
function scattered(value: unknown, blanks: readonly string[]): string {
	let next = 0;
	const blank = (): string => blanks[next++ % Math.max(1, blanks.length)] ?? '';
	return (JSON.stringify(value, null, 1).match(/"(?:[^"\\]|\\.)*"|[[\]{},:]|[^\s[\]{},:"]+/gsu) ?? [])
		.map(token => blank() + token)
		.concat(blank())
		.join('');
}

test('compact and pretty text of any value are what JSON.stringify writes', t => {
	fc.assert(
		fc.property(fc.jsonValue(), fc.nat({max: 5}), (value, indent) => {
			t.is(prettyJson(compactJson(JSON.stringify(value, null, indent))), JSON.stringify(value, null, 2));
			t.is(compactJson(JSON.stringify(value, null, 2)), JSON.stringify(value));
			t.is(compactJson(JSON.stringify(value, null, '\t')), JSON.stringify(value));
		}),
		{numRuns: 500},
	);
});

test('any white space goes, and nothing else', t => {
	const blanks = fc.array(fc.constantFrom('', ' ', '\n', '\t', '\r\n', '   \n'), {minLength: 1});
	fc.assert(
		fc.property(fc.jsonValue(), blanks, (value, layout) => {
			t.is(compactJson(scattered(value, layout)), JSON.stringify(value));
		}),
		{numRuns: 300},
	);
});

test('what is not JSON is refused, and what is JSON is not, exactly as JSON.parse sees it', t => {
	const piece = fc.constantFrom(
		'{',
		'}',
		'[',
		']',
		',',
		':',
		'"',
		'\\',
		' ',
		'\n',
		'1',
		'-',
		'.5',
		'e1',
		'true',
		'"a"',
		'x',
	);
	fc.assert(
		fc.property(fc.array(piece, {maxLength: 8}), pieces => {
			const text = pieces.join('');
			let valid = true;
			try {
				JSON.parse(text);
			} catch {
				valid = false;
			}
			if (valid) {
				t.deepEqual(JSON.parse(compactJson(text)), JSON.parse(text));
			} else {
				t.throws(() => compactJson(text), {instanceOf: IntegrityError});
			}
		}),
		{numRuns: 2000},
	);
});

test('tokens are kept as they were written', t => {
	const text = `{
		"size" : 1.0e2, "big": 123456789012345678901234567890, "minus": -0.0,
		"10": 1, "2": 2, "a": "caf\\u00e9 \\/ \\"x\\" \\\\", "a": [ ],
		"caf\\u00e9": { }, "__proto__": {"constructor" : null}, "text": "  two  spaces\\t"
	}`;
	const compact =
		'{"size":1.0e2,"big":123456789012345678901234567890,"minus":-0.0,"10":1,"2":2,"a":"caf\\u00e9 \\/ \\"x\\" \\\\","a":[],' +
		'"caf\\u00e9":{},"__proto__":{"constructor":null},"text":"  two  spaces\\t"}';
	t.is(compactJson(text), compact);
	t.is(compactJson(compact), compact);
	t.is(compactJson(prettyJson(compact)), compact);
});

test('empty objects and arrays stay on one line', t => {
	t.is(prettyJson('{}'), '{}');
	t.is(prettyJson('[]'), '[]');
	t.is(prettyJson('{"a":[],"b":{},"c":[[],{}]}'), JSON.stringify({a: [], b: {}, c: [[], {}]}, null, 2));
});

test('a value inside another is indented by more, but for its first line', t => {
	const value = {a: [1, {b: 'x'}], c: {}};
	const inside = JSON.stringify([value], null, 2);
	t.is(`[\n  ${prettyJson(JSON.stringify(value), 1)}\n]`, inside);
	t.is(prettyJson('[1]', 20), `[\n${' '.repeat(42)}1\n${' '.repeat(40)}]`);
});

const dropped: readonly (readonly [string, string])[] = [
	['{"a":1,"channels":["x"],"b":2}', '{"a":1,"b":2}'],
	['{"channels":["x"],"a":1}', '{"a":1}'],
	['{"a":1, "channels": {"x":[1,2]} }', '{"a":1}'],
	['{"channels":1}', '{}'],
	['{"channels":1,"a":"x","channels":2}', '{"a":"x"}'],
	['{"ch\\u0061nnels":1,"caf\\u00e9":2}', '{"caf\\u00e9":2}'],
	['{"a":{"channels":1}}', '{"a":{"channels":1}}'],
	['{"a":"channels"}', '{"a":"channels"}'],
	['["channels"]', '["channels"]'],
	['{"a":"\\",\\"channels\\":1","channels":{"]":"}"}}', '{"a":"\\",\\"channels\\":1"}'],
];

for (const [text, expected] of dropped) {
	test(`the top-level key is dropped from ${text}`, t => {
		t.is(compactJson(text, new Set(['channels'])), expected);
	});
}

test('members and elements come apart and together again', t => {
	fc.assert(
		fc.property(
			fc.dictionary(fc.string({unit: anyCharacter}), fc.jsonValue()),
			fc.array(fc.jsonValue()),
			(object, array) => {
				const text = JSON.stringify(object);
				const members = membersOf(text);
				t.deepEqual(
					members.map(member => [member.name, JSON.parse(member.value) as unknown]),
					Object.entries(JSON.parse(text) as object),
				);
				t.is(joinMembers(members), text);
				t.deepEqual(
					elementsOf(JSON.stringify(array)),
					array.map((element): string => JSON.stringify(element)),
				);
			},
		),
	);
});

test('a million brackets are an error, not a crash', t => {
	for (const text of [
		'['.repeat(1e6),
		'['.repeat(1e6) + ']'.repeat(1e6),
		'{"a":'.repeat(1e6),
		']'.repeat(1e6),
		']'.repeat(1e6) + '['.repeat(1e6),
		'[{"a":'.repeat(5e5) + '1' + '}]'.repeat(5e5),
		'"' + '\\'.repeat(1e6),
	]) {
		t.throws(() => compactJson(text), {instanceOf: IntegrityError});
	}
});

test('nesting that a manifest may have is taken', t => {
	const text = '['.repeat(150) + ']'.repeat(150);
	t.is(compactJson(text), text);
});

test('brackets in strings nest nothing', t => {
	const text = JSON.stringify(['['.repeat(10_000), '{"'.repeat(10_000)]);
	t.is(compactJson(text), text);
});

test('a byte order mark is passed over', t => {
	t.deepEqual(readCompact('\ufeff{"a": 1}'), {value: {a: 1}, text: '{"a":1}'});
});

test('one member is found as JSON.parse finds it', t => {
	const name = fc.constantFrom('tags', 'a"b', 'é', '', 'tag');
	t.notThrows(() => {
		fc.assert(
			fc.property(fc.array(fc.tuple(name, fc.jsonValue())), name, (members, asked) => {
				const text = `{${members.map(([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value)}`).join(',')}}`;
				const found = memberIn(text, asked);
				const {[asked]: value} = JSON.parse(text) as Record<string, unknown>;
				t.deepEqual(found === undefined ? undefined : JSON.parse(found), value);
			}),
		);
	});
	t.is(memberIn('{"x":{"tags":1},"t\\u0061gs":{"a":[1,{}]},"y":"tags"}', 'tags'), '{"a":[1,{}]}');
	t.is(memberIn('{"x":"\\"tags\\":1"}', 'tags'), undefined);
});

test('a copy has the same text, well formed', t => {
	t.is(ownCopy('caf\u00e9 \u{1f600}'), 'caf\u00e9 \u{1f600}');
	t.is(ownCopy('a\ud800b'), 'a\ufffdb');
});
