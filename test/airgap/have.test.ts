import test from 'ava';
import fc from 'fast-check';
import {haveText, mergeHaves, parseHave, type HaveImage} from '../../src/airgap/have.js';
import {InvalidParameterError} from '../../src/errors.js';
import {anyCharacter} from '../helpers/any-character.js';

const uuid = '7b5981c4-1889-11e6-b4c5-3f3bdfc9b88b';
const other = '0084dad6-05c1-11e6-bb5c-e3f4b4d2ae92';
const config = 'c'.repeat(64);
const sha1 = 'a'.repeat(40);
const sha1b = 'b'.repeat(40);
const line = `${uuid} ${config} ${sha1}`;

const digits = Array.from({length: 16}, (_, digit) => digit.toString(16));
const hex = (length: number): fc.Arbitrary<string> =>
	fc.string({unit: fc.constantFrom(...digits), minLength: length, maxLength: length});
const images: fc.Arbitrary<HaveImage[]> = fc.uniqueArray(
	fc.record({uuid: fc.uuid(), configSha256: hex(64), sha1s: fc.array(hex(40), {maxLength: 3})}),
	{selector: image => image.uuid, maxLength: 20},
);

test('the text is to the byte as the format says, sorted by uuid', t => {
	const text = haveText([
		{uuid, configSha256: config, sha1s: [sha1b, sha1]},
		{uuid: other, configSha256: 'd'.repeat(64), sha1s: []},
	]);
	t.is(text, `# imgmirror have 1\n${other} ${'d'.repeat(64)} -\n${uuid} ${config} ${sha1b},${sha1}\n`);
	t.is(haveText([]), '# imgmirror have 1\n');
	t.is(parseHave(haveText([])).size, 0);
});

test('what is written is read again, whatever order it came in', t => {
	t.notThrows(() =>
		fc.assert(
			fc.property(images, all => {
				const text = haveText(all);
				t.is(haveText([...all].reverse()), text);
				t.is(mergeHaves([text]), text);
				t.is(mergeHaves([text, text]), text);
				const have = parseHave(text);
				t.is(have.size, all.length);
				for (const image of all) {
					t.is(have.has(image.uuid, image.configSha256), 'same');
					t.is(have.has(image.uuid, 'not this one'), 'changed');
					t.true(image.sha1s.every(one => have.hasFile(one)));
				}
			}),
		),
	);
});

test('images and files that nobody spoke of are absent', t => {
	const have = parseHave(`# imgmirror have 1\n${line}\n`);
	t.is(have.has(uuid, config), 'same');
	t.is(have.has(uuid, 'd'.repeat(64)), 'changed');
	t.is(have.has(other, config), 'absent');
	t.is(have.has('__proto__', config), 'absent');
	t.true(have.hasFile(sha1));
	t.false(have.hasFile(sha1b));
	t.false(have.hasFile('-'));
	t.false(have.hasFile('constructor'));
	t.is(have.size, 1);
});

test('two texts that differ in what is said of an image say only that it is there', t => {
	const changed = `${uuid} ${'d'.repeat(64)} ${sha1b}`;
	const merged = mergeHaves([`# imgmirror have 1\n${line}\n`, `# imgmirror have 1\n${changed}\n`]);
	t.is(merged, `# imgmirror have 1\n${line}\n${changed}\n`);
	const have = parseHave(merged);
	t.is(have.size, 1);
	t.is(have.has(uuid, config), 'changed');
	t.is(have.has(uuid, 'd'.repeat(64)), 'changed');
	t.true(have.hasFile(sha1));
	t.true(have.hasFile(sha1b));
	// Nor does saying the first once more decide between them.
	t.is(parseHave(`${merged}${line}\n`).has(uuid, config), 'changed');
});

test('what editors, mail and cat make of it is taken as well', t => {
	for (const text of [
		`# imgmirror have 1\r\n${line}\r\n`,
		`\uFEFF# imgmirror have 1\n${line}`,
		`# imgmirror have 1\n\n# a comment\n  ${line}  \n\n\n`,
		`# imgmirror have 1\n${line}\n# imgmirror have 1\n${line}\n`,
		`# imgmirror have 1\n${uuid}\t${config}   ${sha1}\n`,
	]) {
		const have = parseHave(text);
		t.is(have.size, 1);
		t.is(have.has(uuid, config), 'same');
		t.true(have.hasFile(sha1));
	}
});

for (const [what, text, message] of [
	['nothing', '', /line 1 is not "# imgmirror have 1"/u],
	['something else', '{"images": []}', /line 1 is not "# imgmirror have 1"/u],
	['a first line that is missing', `${line}\n`, /line 1 is not "# imgmirror have 1"/u],
	['a blank first line', `\n# imgmirror have 1\n`, /line 1 is not/u],
	['a later version', '# imgmirror have 2\n', /line 1 says version 2, and this mirror knows 1/u],
	['no uuid', `# imgmirror have 1\n\nx ${config} -\n`, /line 3 does not begin with the uuid/u],
	['capitals', `# imgmirror have 1\n${line.toUpperCase()}\n`, /line 2 does not begin with the uuid/u],
	['a uuid alone', `# imgmirror have 1\n${uuid}\n`, /line 2: the second word is no sha256/u],
	['a sha1 for a sha256', `# imgmirror have 1\n${uuid} ${sha1} -\n`, /line 2: the second word is no sha256/u],
	['no files', `# imgmirror have 1\n${uuid} ${config}\n`, /line 2: the third word/u],
	['a comma too many', `# imgmirror have 1\n${line},\n`, /line 2: the third word/u],
	['a file that is none', `# imgmirror have 1\n${line},x\n`, /line 2: the third word/u],
	['a word too many', `# imgmirror have 1\n${line} more\n`, /line 2 goes on after the files/u],
	['a line without an end', `# imgmirror have 1\n${line}${`,${sha1}`.repeat(1000)}\n`, /line 2 is too long/u],
	['lines without an end', `# imgmirror have 1${'\n'.repeat(1_000_001)}`, /more than 1000000 lines/u],
	['a text without an end', '\n'.repeat(67_108_865), /more than 67108864 characters/u],
] as const) {
	test(`it is refused with the number of the line: ${what}`, t => {
		const error = t.throws(() => parseHave(text), {instanceOf: InvalidParameterError, message});
		t.is(error.errors[0]?.field, 'have');
		t.true(error.message.length < 200);
		t.throws(() => mergeHaves(['# imgmirror have 1\n', text]), {instanceOf: InvalidParameterError, message});
	});
}

test('whatever happens to the text, nothing but InvalidParameterError comes of it', t => {
	const text = haveText([{uuid, configSha256: config, sha1s: [sha1, sha1b]}]);
	t.notThrows(() => {
		fc.assert(
			fc.property(fc.nat(text.length), fc.nat(5), fc.string({unit: anyCharacter}), (at, cut, put) => {
				try {
					return parseHave(text.slice(0, at) + put + text.slice(at + cut)).size <= 2;
				} catch (error) {
					return error instanceof InvalidParameterError;
				}
			}),
			{numRuns: 500},
		);
	});
});

test('ten thousand images are read at once', t => {
	const all = Array.from({length: 10_000}, (_, number) => ({
		uuid: `00000000-0000-0000-0000-${String(number).padStart(12, '0')}`,
		configSha256: config,
		sha1s: [String(number).padStart(40, '0')],
	}));
	const have = parseHave(haveText(all));
	t.is(have.size, 10_000);
	t.true(have.hasFile('9999'.padStart(40, '0')));
});
