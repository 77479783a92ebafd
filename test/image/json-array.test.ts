import test from 'ava';
import fc from 'fast-check';
import {IntegrityError} from '../../src/errors.js';
import {splitJsonArray, type ArrayElement} from '../../src/image/json-array.js';
import {anyCharacter} from '../helpers/any-character.js';

const roomy = {maxElementBytes: 1_000_000, maxBytes: 100_000_000};

async function* chunksOf(bytes: Uint8Array, sizes: readonly number[]): AsyncGenerator<Uint8Array> {
	let at = 0;
	for (let turn = 0; at < bytes.length; turn++) {
		const size = sizes[turn % sizes.length] ?? 1;
		yield bytes.subarray(at, at + size);
		at += size;
	}
}

async function split(
	text: string | Uint8Array,
	sizes: readonly number[] = [1 << 30],
	limits = roomy,
): Promise<ArrayElement[]> {
	const bytes = typeof text === 'string' ? Buffer.from(text) : text;
	const elements: ArrayElement[] = [];
	for await (const element of splitJsonArray(chunksOf(bytes, sizes), limits)) {
		elements.push(element);
	}
	return elements;
}

const texts = (...elements: readonly string[]): ArrayElement[] => elements.map(text => ({text}));

test('any array comes out element by element, wherever its bytes are cut', async t => {
	const sizes = fc.array(fc.integer({min: 1, max: 12}), {minLength: 1, maxLength: 8});
	const value = fc.oneof(fc.jsonValue(), fc.string({unit: anyCharacter}), fc.constant('\u{1f600}é"\\'));
	await fc.assert(
		fc.asyncProperty(fc.array(value), sizes, fc.nat({max: 3}), async (array, cuts, indent) => {
			const elements = await split(JSON.stringify(array, null, indent), cuts);
			const parsed = elements.map(element => ('text' in element ? (JSON.parse(element.text) as unknown) : element));
			t.deepEqual(parsed, JSON.parse(JSON.stringify(array)));
		}),
		{numRuns: 300},
	);
});

test('elements are handed on as they were written', async t => {
	const text = '\n [ {"a" : 1.0e2} ,"x]\\"," , 5,[ [ ] ],null\n] \r\n';
	const expected = texts('{"a" : 1.0e2}', '"x]\\","', '5', '[ [ ] ]', 'null');
	t.deepEqual(await split(text), expected);
	for (const size of [1, 2, 3, 5, 7]) {
		t.deepEqual(await split(text, [size]), expected);
	}
});

test('an element that no parser would take is the parser’s business', async t => {
	t.deepEqual(await split('[{"a":},{"b":[}],tru,{"c":1}]'), texts('{"a":}', '{"b":[}]', 'tru', '{"c":1}'));
});

for (const text of ['[]', ' [ ] ', '\ufeff[]', '\ufeff \n[\n]']) {
	test(`${JSON.stringify(text)} is an empty list`, async t => {
		t.deepEqual(await split(text), []);
		t.deepEqual(await split(text, [1]), []);
	});
}

const broken: readonly (readonly [string, string])[] = [
	['nothing at all', ''],
	['white space', ' \n '],
	['a byte order mark alone', '\ufeff'],
	['a page of HTML', '<!DOCTYPE html><html></html>'],
	['an object', '{"code":"InternalError"}'],
	['a string', '"[]"'],
	['null', 'null'],
	['a list without end', '[{"a":1},{"b":2}'],
	['a list cut after a comma', '[1,'],
	['a list cut in an element', '[{"a":'],
	['a list cut in a string', '["a'],
	['a list cut in an escape', '["a\\'],
	['a list cut in a number', '[12'],
	['an opening bracket', '['],
	['a list with something after it', '[1] x'],
	['two lists', '[1][2]'],
	['a comma with nothing after it', '[1,]'],
	['a comma with nothing before it', '[,1]'],
	['two commas', '[1,,2]'],
	['a comma missing', '[{"a":1}{"b":2}]'],
	['a comma missing between strings', '["a" "b"]'],
	['a comma missing after a number', '[1"a"]'],
	['a comma missing between numbers', '[1 2]'],
	['a closing brace too many', '[1}]'],
	['a closing brace alone', '[}]'],
	['two byte order marks', '\ufeff\ufeff[]'],
	['a byte order mark after white space', ' \ufeff[]'],
];

for (const [what, text] of broken) {
	test(`${what} is no list`, async t => {
		await t.throwsAsync(split(text), {instanceOf: IntegrityError});
		await t.throwsAsync(split(text, [1]), {instanceOf: IntegrityError});
	});
}

test('half a byte order mark is no list', async t => {
	await t.throwsAsync(split(Buffer.from([0xef, 0xbb, 0x5b, 0x5d])), {instanceOf: IntegrityError});
});

test('elements before the break are out already', async t => {
	const elements: ArrayElement[] = [];
	await t.throwsAsync(
		async () => {
			for await (const element of splitJsonArray(chunksOf(Buffer.from('[{"a":1},{"b"'), [4]), roomy)) {
				elements.push(element);
			}
		},
		{instanceOf: IntegrityError},
	);
	t.deepEqual(elements, texts('{"a":1}'));
});

test('an element is out before the next chunk is asked for', async t => {
	let asked = 0;
	async function* chunks(): AsyncGenerator<Uint8Array> {
		for (const text of ['[1,', '{"a":2},', '3]']) {
			asked++;
			yield Buffer.from(text);
		}
	}
	const list = splitJsonArray(chunks(), roomy);
	t.deepEqual(await list.next(), {done: false, value: {text: '1'}});
	t.is(asked, 1);
	t.deepEqual(await list.next(), {done: false, value: {text: '{"a":2}'}});
	t.is(asked, 2);
	await list.return(undefined);
});

test('an element over the limit is passed over, and the rest goes on', async t => {
	const large = JSON.stringify({text: 'x"]},'.repeat(100)});
	const text = `[{"a":1}, ${large}, "${'y'.repeat(200)}" ,${'9'.repeat(150)},{"b":2}]`;
	const expected = [{text: '{"a":1}'}, {tooLarge: large.length}, {tooLarge: 202}, {tooLarge: 150}, {text: '{"b":2}'}];
	const limits = {maxElementBytes: 100, maxBytes: 10_000};
	for (const size of [1, 2, 7, 64, 101, 5000]) {
		t.deepEqual(await split(text, [size], limits), expected);
	}
});

test('an element of exactly the limit is taken', async t => {
	for (const size of [1, 3, 5000]) {
		t.deepEqual(await split('["abc","abcd"]', [size], {maxElementBytes: 5, maxBytes: 100}), [
			{text: '"abc"'},
			{tooLarge: 6},
		]);
	}
});

test('a list over the limit is refused once it is over', async t => {
	const text = JSON.stringify(Array.from({length: 100}, () => 'element'));
	await t.throwsAsync(split(text, [10], {maxElementBytes: 100, maxBytes: text.length - 1}), {
		instanceOf: IntegrityError,
	});
	t.is((await split(text, [10], {maxElementBytes: 100, maxBytes: text.length})).length, 100);
	// Without end, and never held.
	async function* endless(): AsyncGenerator<Uint8Array> {
		yield Buffer.from('["');
		for (;;) {
			yield Buffer.alloc(65_536, 'x');
		}
	}
	await t.throwsAsync(
		async () => {
			for await (const element of splitJsonArray(endless(), {maxElementBytes: 1000, maxBytes: 50_000_000})) {
				t.fail(JSON.stringify(element));
			}
		},
		{instanceOf: IntegrityError},
	);
});

test('a million brackets are an element like any other', async t => {
	const deep = '['.repeat(1e6) + ']'.repeat(1e6);
	t.deepEqual(await split(`[${deep},1]`, [65_536], {maxElementBytes: 1e6, maxBytes: 1e8}), [
		{tooLarge: 2e6},
		{text: '1'},
	]);
});

test('bytes that are no UTF-8 come out as replacement characters', async t => {
	t.deepEqual(await split(Buffer.from([0x5b, 0x22, 0xff, 0x22, 0x5d]), [1]), texts('"\ufffd"'));
});

test('views into larger buffers are read where they begin', async t => {
	const larger = Buffer.from('xx[1,"é"]xx');
	const view = new Uint8Array(larger.buffer, larger.byteOffset + 2, larger.length - 4);
	t.deepEqual(await split(view), texts('1', '"é"'));
});
