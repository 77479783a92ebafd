import test from 'ava';
import fc from 'fast-check';
import {readTar, scanTar, type TarScan} from '../../src/airgap/tar-read.js';
import {asError, IntegrityError} from '../../src/errors.js';
import {base256, pax, Pieces, rawEnd, rawFile, rawHeader, readWhole} from './raw-tar.js';

function scanned(tar: Buffer): Promise<TarScan> {
	return scanTar(async (into, position) => tar.copy(into, 0, position), tar.length);
}

const good = rawFile('good', 'good');

test('paths that lead out of the tar are passed over and named', async t => {
	const names = ['/etc/passwd', '//x', '..', '../x', 'a/../../x', 'a/..', './../x', '.', './', 'x'.repeat(1025)];
	const tar = Buffer.concat([
		...names.flatMap(name => [pax({path: name}), rawFile('x', 'evil')]),
		rawFile('', 'nameless'),
		// GNU's names end at a NUL, those of pax do not.
		pax({path: 'blobs/sha256/ab\0../../x'}),
		rawFile('x', 'evil'),
		rawFile('././@LongLink', 'visible\0/../../x', {type: 'L'}),
		rawFile('x', 'harmless'),
		rawFile(Buffer.from('until\0here').toString('latin1'), 'harmless'),
		good,
		rawEnd,
	]);
	const {entries, odd, error} = await readWhole(tar);
	t.is(error, undefined);
	t.deepEqual(entries, [
		['visible', 'harmless'],
		['until', 'harmless'],
		['good', 'good'],
	]);
	const words = 'is no path that stays inside the tar';
	t.deepEqual(odd, [
		...names.map(name => `${name.length > 120 ? `${'x'.repeat(120)}…` : name} ${words}`),
		`an entry without a name ${words}`,
		`blobs/sha256/ab?../../x ${words}`,
	]);
	t.deepEqual((await scanned(tar)).odd, odd);
});

test('paths are told in their shortest form', async t => {
	const names = ['./a', '././/b', 'c//d', 'e/./f', '...', '..g', 'h..', 'i\\..\\j', '.k/l'];
	const tar = Buffer.concat([...names.map(name => rawFile(name, '')), rawEnd]);
	const {entries, odd} = await readWhole(tar);
	t.deepEqual(
		entries.map(([name]) => name),
		['a', 'b', 'c/d', 'e/f', '...', '..g', 'h..', 'i\\..\\j', '.k/l'],
	);
	t.deepEqual(odd, []);
});

test('nothing in a name reaches a terminal', async t => {
	const name = '\u001b[2J\u0007a\nb\u202ec\u2028d\u009b';
	const {odd, error} = await readWhole(
		Buffer.concat([pax({path: `/${name}`}), rawFile('x', ''), pax({path: name}), rawHeader({size: 5})]),
	);
	t.deepEqual(odd, ['/?[2J?a?b?c?d? is no path that stays inside the tar']);
	t.is(error?.message, 'the tar ends in the middle of ?[2J?a?b?c?d?');
	const typed = await readWhole(Buffer.concat([rawHeader({name: 'x', type: '\u001b'}), rawEnd]));
	t.deepEqual(typed.odd, ['x is something of the unknown type "\\u001b"']);
});

const refused: readonly (readonly [string, readonly Buffer[], RegExp])[] = [
	[
		'a wrong checksum',
		[rawHeader({checksum: 'wrong'})],
		/^the tar is damaged after good: a header has a wrong checksum$/,
	],
	['rubbish', [Buffer.alloc(512, 'rubbish')], /^the tar is damaged after good: a header has a wrong checksum$/],
	['a negative size', [rawHeader({size: base256(-1n)})], /^the tar is damaged after good: file cannot have -1 bytes$/],
	['the smallest size', [rawHeader({size: base256(-(2n ** 88n))})], /file cannot have -3\.09\d*e\+26 bytes$/],
	['a size beyond all numbers', [rawHeader({size: base256(2n ** 94n - 1n)})], /file cannot have 1\.98\d*e\+28 bytes$/],
	['a petabyte and one', [rawHeader({size: base256(2n ** 50n + 1n)})], /file cannot have 1125899906842625 bytes$/],
	['a size in words', [rawHeader({size: 'forty-two'})], /the size of file is not a number$/],
	['a size with a sign', [rawHeader({size: '-0000000001'})], /the size of file is not a number$/],
	['a size in decimals', [rawHeader({size: '00000000009'})], /the size of file is not a number$/],
	[
		'a huge pax header',
		[rawHeader({type: 'x', size: 65_537})],
		/^the tar has a pax header of 65537 bytes: this is no bundle$/,
	],
	['a huge header for all', [rawHeader({type: 'g', size: base256(2n ** 40n)})], /a pax header of 1099511627776 bytes/],
	['a huge name', [rawHeader({type: 'L', size: 0o77777777777})], /^the tar has a long name of 8589934591 bytes/],
	['a huge target', [rawHeader({type: 'K', size: 70_000})], /^the tar has a long name of 70000 bytes/],
	[
		'a pax header of no records',
		[rawFile('p', 'rubbish', {type: 'x'})],
		/^the tar has a pax header that cannot be read$/,
	],
	['a record without "="', [rawFile('p', '7 path\n', {type: 'x'})], /pax header that cannot be read/],
	['a record without its end', [rawFile('p', '8 a=b c\0', {type: 'x'})], /pax header that cannot be read/],
	[
		'a record that is longer than the header',
		[rawFile('p', '99 path=a\n', {type: 'x'})],
		/pax header that cannot be read/,
	],
	['a record of no length', [rawFile('p', '0 path=a\n', {type: 'x'})], /pax header that cannot be read/],
	['a record of negative length', [rawFile('p', '-9 path=a\n', {type: 'x'})], /pax header that cannot be read/],
	['a record that ends in its own length', [rawFile('p', '2 path=\n', {type: 'x'})], /pax header that cannot be read/],
	[
		'a record whose "=" is that of the next',
		[rawFile('p', '5 ab\n6 c=d\n', {type: 'x'})],
		/pax header that cannot be read/,
	],
	['a negative size in pax', [pax({size: '-1'})], /^the tar has a file of -1 bytes, which cannot be$/],
	['a size of hexadecimal digits in pax', [pax({size: '0x10'})], /^the tar has a file of 0x10 bytes, which cannot be$/],
	['a huge size in pax', [pax({size: '9'.repeat(400)})], /^the tar has a file of 9{120}… bytes, which cannot be$/],
	[
		'headers upon headers',
		Array.from({length: 17}, () => pax({comment: ''})),
		/too many headers for the entry after good$/,
	],
	[
		'an endless map of holes',
		[rawHeader({type: 'S', patch: {482: 1}}), Buffer.alloc(512, 1)],
		/ends in the middle of file$/,
	],
];

for (const [what, blocks, message] of refused) {
	test(`${what} ends the tar, after what comes before`, async t => {
		const tar = Buffer.concat([good, ...blocks]);
		const {entries, error} = await readWhole(tar);
		t.deepEqual(entries, [['good', 'good']]);
		t.true(error instanceof IntegrityError, error?.stack);
		t.regex(error?.message ?? '', message);
		const scan = await scanned(tar);
		t.deepEqual(
			scan.entries.map(entry => [entry.path, entry.offset]),
			[['good', 512]],
		);
		t.true(scan.truncated);
		t.is(scan.problem, error?.message);
	});
}

test('what is no tar is called so', async t => {
	for (const [bytes, message] of [
		[Buffer.alloc(0), 'this is no tar: it is empty'],
		[Buffer.from('{}'), 'the tar ends in the middle of its first entry'],
		[Buffer.alloc(5000, 'a'), 'this is no tar: a header has a wrong checksum'],
		[rawHeader({size: base256(-5n)}), 'this is no tar: file cannot have -5 bytes'],
	] as const) {
		const {error} = await readWhole(bytes);
		t.true(error instanceof IntegrityError);
		t.is(error?.message, message);
		await t.throwsAsync(scanned(bytes), {instanceOf: IntegrityError, message});
	}
	const first = Buffer.concat([pax({path: 'a'}), Buffer.alloc(512, 'a')]);
	t.is((await readWhole(first)).error?.message, 'the tar is damaged in its first entry: a header has a wrong checksum');
});

test('a path may come twice: whoever reads decides', async t => {
	const tar = Buffer.concat([rawFile('a', '1'), rawFile('./a', '2'), rawEnd]);
	t.deepEqual((await readWhole(tar)).entries, [
		['a', '1'],
		['a', '2'],
	]);
	t.deepEqual(
		(await scanned(tar)).entries.map(({path, offset}) => [path, offset]),
		[
			['a', 512],
			['a', 1536],
		],
	);
});

/** Members with the end of each, so that a test knows what is whole at any place. */
const member = fc.oneof(
	fc.record({kind: fc.constant('file' as const), size: fc.oneof(fc.constant(0), fc.nat(1600), fc.constant(512))}),
	fc.record({kind: fc.constantFrom('pax', 'long', 'folder', 'link', 'sparse'), size: fc.nat(700)}),
);

function partsOf(
	members: readonly {readonly kind: string; readonly size: number}[],
): readonly (readonly [Buffer, string?])[] {
	return members.map(({kind, size}, index) => {
		const name = `m${index}`;
		const body = String(index % 10).repeat(size);
		switch (kind) {
			case 'pax':
				return [
					Buffer.concat([pax({path: `long/${name}`, size: String(size)}), rawFile('x', body, {size: 1})]),
					`long/${name}`,
				];
			case 'long':
				return [Buffer.concat([rawFile('L', `${name}\0`, {type: 'L'}), rawFile('x', body)]), name];
			case 'folder':
				return [rawHeader({name, type: '5'})];
			case 'link':
				return [rawHeader({name, type: '2', size})];
			case 'sparse': {
				const map = Buffer.alloc(512);
				const header = rawHeader({name, type: 'S', size, patch: {482: 1}});
				return [Buffer.concat([header, map, rawFile('', body).subarray(512)])];
			}
			default:
				return [rawFile(name, body), name];
		}
	});
}

test('wherever a tar is cut off, what came before is right, and then it says so', async t => {
	await fc.assert(
		fc.asyncProperty(
			fc.array(member, {minLength: 1, maxLength: 6}),
			fc.nat(),
			fc.integer({min: 1, max: 2000}),
			async (members, where, pieceSize) => {
				const parts = partsOf(members);
				const tar = Buffer.concat([...parts.map(([bytes]) => bytes), rawEnd]);
				const whole = await readWhole(tar);
				t.is(whole.error, undefined);
				// Any place before the first of the two empty blocks is whole.
				const cut = where % (tar.length - 512);
				const expected: string[] = [];
				let end = 0;
				for (const [bytes, name] of parts) {
					end += bytes.length;
					if (name !== undefined && end <= cut) {
						expected.push(name);
					}
				}
				const read = await readWhole(new Pieces(tar.subarray(0, cut), pieceSize));
				t.true(read.error instanceof IntegrityError, read.error?.stack);
				// Cut in its padding, the last one is there to its last byte as well.
				t.true([expected.length, expected.length + 1].includes(read.entries.length));
				t.deepEqual(
					read.entries.slice(0, expected.length).map(([name]) => name),
					expected,
				);
				t.deepEqual(read.entries, whole.entries.slice(0, read.entries.length));
				if (read.part !== undefined) {
					const [name, body] = whole.entries[read.entries.length] ?? ['', ''];
					t.is(read.part[0], name);
					t.true(body.startsWith(read.part[1]) && body.length > read.part[1].length);
				}
				const scan = await scanned(tar.subarray(0, cut)).catch((error: unknown) => asError(error));
				if (scan instanceof Error) {
					t.true(scan instanceof IntegrityError);
					t.true(cut <= 512);
				} else {
					t.true(scan.truncated);
					t.is(scan.problem, read.error?.message);
					t.deepEqual(
						scan.entries.map(({path}) => path),
						read.entries.map(([path]) => path),
					);
				}
			},
		),
		{numRuns: 300},
	);
});

test('whatever bytes come, both readers see the same, and nothing but IntegrityError is thrown', async t => {
	const flip = fc.tuple(fc.nat(), fc.nat(255));
	await fc.assert(
		fc.asyncProperty(
			fc.array(member, {maxLength: 5}),
			fc.array(flip, {minLength: 1, maxLength: 6}),
			fc.boolean(),
			async (members, flips, isSummed) => {
				const tar = Buffer.concat([...partsOf(members).map(([bytes]) => bytes), rawEnd]);
				for (const [where, byte] of flips) {
					const place = where % tar.length;
					tar[place] = byte;
					// As somebody would who wants it to be believed.
					const start = place - (place % 512);
					if (isSummed && tar.toString('latin1', start + 257, start + 262) === 'ustar') {
						tar.write('        ', start + 148, 'latin1');
						const sum = tar.subarray(start, start + 512).reduce((total, value) => total + value, 0);
						tar.write(`${sum.toString(8).padStart(6, '0')}\0 `, start + 148, 'latin1');
					}
				}
				const read = await readWhole(tar);
				const scan = await scanned(tar).catch((error: unknown) => asError(error));
				if (read.error !== undefined) {
					t.true(read.error instanceof IntegrityError, read.error.stack);
				}
				if (scan instanceof Error) {
					t.is(scan.message, read.error?.message ?? 'none');
				} else {
					t.is(scan.problem, read.error?.message);
					t.deepEqual(scan.odd, read.odd);
					t.deepEqual(
						scan.entries.map(({path, size, offset}) => [path, tar.toString('latin1', offset, offset + size)]),
						read.entries,
					);
				}
			},
		),
		{numRuns: 500},
	);
});

/** For ever the same. */
async function* endlessly(block: Buffer): AsyncGenerator<Buffer, void, undefined> {
	const piece = Buffer.concat(Array.from({length: Math.max(1, Math.floor(262_144 / block.length))}, () => block));
	for (;;) {
		yield piece;
	}
}

test('what never ends is given up', async t => {
	const link = rawHeader({name: 'link', type: '2'});
	const odd: string[] = [];
	await t.throwsAsync(readAll(endlessly(link), odd, 20_000), {
		instanceOf: IntegrityError,
		message: 'the tar has more than 20000 entries: this is no bundle',
	});
	t.is(odd.length, 101);
	t.is(odd.at(-1), 'there is more of that kind, which is not listed');

	await t.throwsAsync(readAll(endlessly(pax({comment: 'x'.repeat(60_000)}, 'g'))), {
		instanceOf: IntegrityError,
		message: 'the tar has too many headers for the entry after its beginning',
	});
	await t.throwsAsync(readAll(endlessly(rawFile('device', Buffer.alloc(1_000_000), {type: 'D'}))), {
		instanceOf: IntegrityError,
		message: 'the tar holds more than a gigabyte of what is no plain file: this is no bundle',
	});
	await t.throwsAsync(readAll(endlessly(rawHeader({name: 'map', type: 'S', patch: {482: 1, 504: 1}}))), {
		instanceOf: IntegrityError,
		message: 'map is stored as a sparse file of too many pieces',
	});
});

async function readAll(source: AsyncIterable<Buffer>, odd: string[] = [], mostEntries = 500_000): Promise<number> {
	let entries = 0;
	for await (const entry of readTar(source, {onOdd: problem => odd.push(problem), mostEntries})) {
		entries += entry.path.length > 0 ? 1 : 0;
	}
	return entries;
}

test.serial('memory stays flat, however much comes', async t => {
	const megabyte = Buffer.alloc(1_048_576, 'x');
	async function* source(): AsyncGenerator<Buffer, void, undefined> {
		for (let entry = 0; entry < 3; entry++) {
			yield rawHeader({name: `large-${entry}`, size: 512 * megabyte.length});
			for (let piece = 0; piece < 512; piece++) {
				yield megabyte;
			}
		}
		for (let entry = 0; entry < 50_000; entry++) {
			yield rawHeader({name: `small-${entry}`});
		}
		yield rawEnd;
	}
	const before = process.memoryUsage().rss;
	let most = before;
	let entries = 0;
	for await (const {path, size, body} of readTar(source())) {
		entries++;
		if (path === 'large-1') {
			let bytes = 0;
			for await (const piece of body) {
				bytes += piece.length;
			}
			t.is(bytes, size);
		}
		most = Math.max(most, process.memoryUsage.rss());
	}
	t.is(entries, 50_003);
	t.true(most - before < 64 * 1024 * 1024, `${Math.round((most - before) / 1024 / 1024)} MiB`);
});
