/**
 * The small parts of publishing, each by itself.
 */
import {createHash} from 'node:crypto';
import {mkdirSync, readdirSync, utimesSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {Readable} from 'node:stream';
import {gzipSync} from 'node:zlib';
import test from 'ava';
import fc from 'fast-check';
import {answerError} from '../../src/cli/client-errors.js';
import {metadataOf} from '../../src/cli/image-metadata.js';
import {shellWords} from '../../src/cli/shell-words.js';
import {showProgress} from '../../src/cli/progress.js';
import {CutStreamError, StreamCheck} from '../../src/cli/stream-check.js';
import {parseTarget} from '../../src/cli/target.js';
import {encodeMetadata} from '../../src/cli/tus.js';
import {FileBytes, GoneError, PipeBytes, type UploadBytes} from '../../src/cli/upload-bytes.js';
import {UploadState} from '../../src/cli/upload-state.js';
import {humanBytes, humanTime, painter, printable, table} from '../../src/cli/words.js';
import {readDescribed} from '../../src/http/publish-stream-fields.js';
import {parseMetadata} from '../../src/http/uploads-headers.js';
import {newManifest} from '../../src/image/new-manifest.js';
import {pseudoRandom} from '../helpers/make-image.js';
import {ManualClock} from '../helpers/manual-clock.js';
import {sameBytes} from '../helpers/same-bytes.js';
import {tempDir} from '../helpers/temp-dir.js';
import {FakeIo} from './fake-io.js';

const word = fc.string({unit: 'grapheme', maxLength: 12}).filter(text => !text.includes('\0'));

test('words that were quoted for a shell come out as they were', t => {
	const single = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;
	const double = (text: string): string => `"${text.replaceAll(/["\\$`]/g, '\\$&')}"`;
	const bare = (text: string): string => (/^[\w.\/=-]+$/.test(text) ? text : single(text));
	const how = fc.constantFrom(single, double, bare);
	fc.assert(
		fc.property(fc.array(fc.tuple(word, how)), pairs => {
			t.deepEqual(
				shellWords(`  ${pairs.map(([text, quote]) => quote(text)).join(' \t')} `),
				pairs.map(([text]) => text),
			);
		}),
	);
});

test('what a shell would run stays text; what is not closed is no words', t => {
	t.deepEqual(shellWords('a $(id) `id` $HOME * "x $y"'), ['a', '$(id)', '`id`', '$HOME', '*', 'x $y']);
	t.deepEqual(shellWords('a\\ b \'c\'"d"e \\\nf "g\\\nh" \'\' "\\n"'), ['a b', 'cde', 'f', 'gh', '', '\\n']);
	t.deepEqual(shellWords(''), []);
	for (const open of ["'a", '"a', 'a\\', '"a\\"']) {
		t.is(shellWords(open), undefined, open);
	}
	fc.assert(fc.property(fc.string(), text => void shellWords(text)));
});

test('metadata means to the server what the manifest says', t => {
	const text = fc.string({unit: 'grapheme', minLength: 1, maxLength: 30});
	const plain = fc.stringMatching(/^[\w. -]{1,10}$/);
	const key = fc.stringMatching(/^[\w.-]{1,10}$/).filter(name => name !== '__proto__');
	const manifest = fc.record(
		{
			name: text,
			version: text,
			v: fc.constant(2),
			uuid: text,
			owner: text,
			type: text,
			os: text,
			description: fc.oneof(text, fc.constant('')),
			origin: text,
			public: fc.boolean(),
			disabled: fc.boolean(),
			image_size: fc.nat(),
			acl: fc.array(plain, {minLength: 1}),
			billing_tags: fc.array(plain, {minLength: 1}),
			tags: fc.dictionary(key, fc.oneof({weight: 30, arbitrary: text}, fc.nat()), {minKeys: 1, noNullPrototype: true}),
			requirements: fc.record(
				{
					brand: text,
					min_ram: fc.nat(),
					ssh_key: fc.boolean(),
					min_platform: fc.dictionary(key, text, {minKeys: 1, maxKeys: 2, noNullPrototype: true}),
				},
				{requiredKeys: ['min_ram'], noNullPrototype: true},
			),
		},
		{requiredKeys: ['name', 'version'], noNullPrototype: true},
	);
	let said = 0;
	fc.assert(
		fc.property(manifest, given => {
			const metadata = metadataOf(given);
			if (metadata === undefined) {
				return;
			}
			said++;
			const read = new Map([...parseMetadata(encodeMetadata(metadata))].map(([name, value]) => [name, [value]]));
			const wanted = Object.entries(given).filter(([name]) => name !== 'v');
			t.deepEqual({...readDescribed(read).image.manifest}, Object.fromEntries(wanted));
		}),
		{numRuns: 300},
	);
	t.true(said > 50);
});

test('metadata leaves to others what it cannot say', t => {
	const base = {name: 'a', version: '1'};
	for (const more of [
		{v: 1},
		{published_at: '2020-01-01T00:00:00Z'},
		{tags: {}},
		{tags: {a: 1}},
		{tags: {'a b': 'c'}},
		{tags: {ü: 'c'}},
		{tags: {'a,b': 'c'}},
		{acl: []},
		{acl: ['a,b']},
		{users: [{name: 'root'}]},
		{requirements: {networks: []}},
		{requirements: {min_platform: '2020'}},
		{requirements: {min_ram: -1}},
		{public: 'true'},
		{description: 'x'.repeat(10_000)},
		{constructor: 'x'},
	]) {
		t.is(metadataOf({...base, ...more}), undefined, JSON.stringify(more).slice(0, 60));
	}
	const made = newManifest({name: 'a', version: '1'});
	t.is(metadataOf(made), undefined);
	t.deepEqual(Object.fromEntries(metadataOf(made, {leaveOutNetworks: true}) ?? []), {
		name: 'a',
		version: '1',
		public: 'false',
		type: 'zone-dataset',
		os: 'smartos',
	});
});

/** As zfs sends them: 312 bytes, the type first; the first one with the magic number. */
function record(type: number, {big = false, magic = false} = {}): Buffer {
	const bytes = Buffer.alloc(312);
	if (big) {
		bytes.writeUInt32BE(type, 0);
		bytes.writeBigUInt64BE(magic ? 0x2f5bacbacn : 0n, 8);
	} else {
		bytes.writeUInt32LE(type, 0);
		bytes.writeBigUInt64LE(magic ? 0x2f5bacbacn : 0n, 8);
	}
	return bytes;
}

async function check(bytes: Buffer, size: number): Promise<unknown> {
	const inspector = new StreamCheck();
	for (let at = 0; at < bytes.length; at += size) {
		await inspector.feed(bytes.subarray(at, at + size));
	}
	try {
		await inspector.end();
		return 'whole';
	} catch (error) {
		return error instanceof CutStreamError ? 'cut' : error;
	}
}

for (const big of [false, true]) {
	test(`a zfs stream is whole when it ends in an end record (${big ? 'big' : 'little'} endian)`, async t => {
		const body = pseudoRandom(5000, 1);
		const whole = Buffer.concat([record(0, {big, magic: true}), body, record(5, {big})]);
		const cut = [
			whole.subarray(0, -1),
			whole.subarray(0, 312),
			whole.subarray(0, 16),
			whole.subarray(0, 4000),
			Buffer.concat([whole, Buffer.alloc(1)]),
		];
		for (const size of [1, 7, 312, 100_000]) {
			t.is(await check(whole, size), 'whole');
			t.is(await check(gzipSync(whole), size), 'whole');
		}
		for (const bytes of cut) {
			t.is(await check(bytes, 300), 'cut');
			t.is(await check(gzipSync(bytes), 300), 'cut', 'what gzip was given was cut');
			t.is(await check(gzipSync(whole).subarray(0, -1), 300), 'cut');
		}
	});
}

test('of other kinds of files, nothing is said', async t => {
	for (const bytes of [
		pseudoRandom(1000, 2),
		Buffer.from('x'),
		gzipSync(Buffer.from('tiny')),
		Buffer.from('fd377a585a00', 'hex'),
	]) {
		t.is(await check(bytes, 3), 'whole');
	}
	// As tapes pad it, and more of that than any buffer takes.
	t.is(await check(Buffer.concat([gzipSync(pseudoRandom(1000, 3)), Buffer.alloc(1_000_000)]), 100), 'whole');
	// As pigz writes them: several gzip files in a row.
	t.is(await check(Buffer.concat([gzipSync(Buffer.from('a')), gzipSync(pseudoRandom(1000, 3))]), 10), 'whole');
});

async function gather(bytes: UploadBytes, from: number): Promise<{readonly got: Buffer; readonly last: boolean}> {
	const {pieces, length, last} = await bytes.stretch(from);
	const chunks: Buffer[] = [];
	for await (const piece of pieces) {
		chunks.push(Buffer.from(piece));
	}
	const got = Buffer.concat(chunks);
	if (got.length !== length) {
		throw new Error(`${got.length} bytes instead of ${length}`);
	}
	return {got, last};
}

test('a pipe gives any stretch again until it is let go of, whatever comes how', async t => {
	await fc.assert(
		fc.asyncProperty(
			fc.array(fc.uint8Array({maxLength: 40}), {maxLength: 12}),
			fc.infiniteStream(fc.nat({max: 100})),
			async (chunks, numbers) => {
				const whole = Buffer.concat(chunks);
				const pipe = new PipeBytes(Readable.from(chunks), {stretchBytes: 30});
				if (whole.length === 0) {
					await t.throwsAsync(pipe.first(), {message: /nothing came in/});
					return;
				}
				sameBytes(t, await pipe.first(), whole.subarray(0, 16));
				let at = 0;
				for (let ended = false; !ended;) {
					t.true(pipe.has(at));
					const {got, last} = await gather(pipe, at);
					sameBytes(t, got, whole.subarray(at, at + got.length));
					// The server may have any part of it.
					const kept = Math.min(got.length, Number(numbers.next().value));
					at += kept;
					ended = last && at === whole.length;
				}
				t.is(pipe.size, whole.length);
				t.is(await pipe.sha1(), createHash('sha1').update(whole).digest('hex'));
			},
		),
		{numRuns: 100},
	);
});

test('what a pipe has let go of is gone', async t => {
	const pipe = new PipeBytes(Readable.from([Buffer.alloc(40, 1), Buffer.alloc(40, 2), Buffer.alloc(5, 3)]), {
		stretchBytes: 30,
	});
	t.false((await gather(pipe, 0)).last);
	t.is(pipe.size, undefined);
	t.false((await gather(pipe, 40)).last);
	t.false(pipe.has(0));
	await t.throwsAsync(pipe.stretch(0), {instanceOf: GoneError});
	await t.throwsAsync(pipe.stretch(81), {instanceOf: GoneError});
	t.true((await gather(pipe, 80)).last);
	t.is(pipe.size, 85);
});

test('a file is hashed once, wherever the sending begins and begins again', async t => {
	const file = join(await tempDir(t), 'f');
	const content = pseudoRandom(1_000_000, 4);
	writeFileSync(file, content);
	for (const from of [[0], [500_000], [1_000_000], [0, 300_000, 0, 999_999], []]) {
		const bytes = await FileBytes.open(file);
		for (const at of from) {
			sameBytes(t, (await gather(bytes, at)).got, content.subarray(at));
		}
		t.is(await bytes.sha1(), createHash('sha1').update(content).digest('hex'));
		await bytes.close();
	}
});

test('uploads are remembered where the user keeps state, and old ones forgotten', async t => {
	const home = await tempDir(t);
	const clock = new ManualClock('2026-06-01T00:00:00Z');
	const same = {file: '/f', size: 1};
	const folder = join(home, 'imgmirror/uploads');
	const state = new UploadState({env: {XDG_STATE_HOME: home, HOME: '/absent'}}, clock, same);
	t.is(await state.recall(), undefined);
	mkdirSync(folder, {recursive: true});
	writeFileSync(join(folder, 'old.json'), '{}');
	utimesSync(join(folder, 'old.json'), 0, Date.parse('2026-01-01') / 1000);
	t.true(await state.remember({upload: 'abc', image: 'u'}, {server: 's'}));
	t.deepEqual(await state.recall(), {upload: 'abc', image: 'u'});
	t.is(readdirSync(folder).length, 1);
	const [name = ''] = readdirSync(folder);
	for (const content of ['', '[]', '{"upload": 1}', '{"upload": "../x"}']) {
		writeFileSync(join(folder, name), content);
		t.is(await state.recall(), undefined, content);
	}
	t.is(await new UploadState({env: {XDG_STATE_HOME: home}}, clock, {...same, size: 2}).recall(), undefined);
	await state.forget();
	t.deepEqual(readdirSync(folder), []);
	const homeless = new UploadState({env: {}}, clock, same);
	t.false(homeless.isKept);
	t.false(await homeless.remember({upload: 'x'}, {}));
	writeFileSync(join(home, 'file'), '');
	t.false(await new UploadState({env: {HOME: join(home, 'file')}}, clock, same).remember({upload: 'x'}, {}));
});

test('a log hears of progress every half minute', async t => {
	const io = new FakeIo();
	const clock = new ManualClock();
	const progress = showProgress({io, clock, quiet: false, label: 'base'});
	progress.start(100_000_000);
	for (let second = 1; second <= 65; second++) {
		await clock.advance(1000);
		progress.update(second * 1_000_000);
	}
	progress.end();
	t.is(
		io.err,
		'imgmirror: base: 30.0 MB of 100 MB, 1.00 MB/s, 1 min 10 s left\nimgmirror: base: 60.0 MB of 100 MB, 1.00 MB/s, 40 s left\n',
	);
	io.err = '';
	progress.start(undefined, 5);
	await clock.advance(31_000);
	progress.update(5_000_000);
	t.is(io.err, 'imgmirror: base: 5.00 MB, 161 kB/s\n');
});

test('amounts and times are as people say them', t => {
	t.deepEqual([0, 999, 1000, 1234, 99_949, 99_950, 999_499, 999_500, 20 * 1024 ** 3].map(humanBytes), [
		...['0 B', '999 B', '1.00 kB', '1.23 kB', '99.9 kB', '100 kB', '999 kB', '1.00 MB', '21.5 GB'],
	]);
	t.deepEqual([0, 59_400, 60_000, 3_599_000, 3_600_000, 90_000_000].map(humanTime), [
		...['0 s', '59 s', '1 min 0 s', '59 min 59 s', '1 h 0 min', '25 h 0 min'],
	]);
	t.is(printable('a\u001b\u202e\nb'), 'a�� b');
	t.is(
		table([
			['a', 'b'],
			['ccc', 'd'],
		]),
		'a    b\nccc  d\n',
	);
	const write = (): void => undefined;
	t.is(painter({write, isTTY: true}, {env: {}})('red', 'x'), '\u001b[31mx\u001b[0m');
	for (const env of [{NO_COLOR: '1'}, {TERM: 'dumb'}]) {
		t.is(painter({write, isTTY: true}, {env})('red', 'x'), 'x');
	}
	t.is(painter({write}, {env: {}})('red', 'x'), 'x');
});

test('a server is named as imgadm names a source', t => {
	t.like(parseTarget('http://alice:p%40ss@mirror:8080/base//?channel=dev', '--url'), {
		tls: false,
		host: 'mirror',
		port: 8080,
		basePath: '/base',
		channel: 'dev',
		authorization: `Basic ${Buffer.from('alice:p@ss').toString('base64')}`,
		shown: 'http://mirror:8080/base',
	});
	t.like(parseTarget('https://[::1]', '--url'), {
		tls: true,
		host: '::1',
		port: undefined,
		basePath: '',
		authorization: undefined,
	});
	t.like(parseTarget('unix:/run/x.sock', '--url'), {socketPath: '/run/x.sock', shown: 'unix:/run/x.sock'});
	for (const wrong of ['ftp://a', 'mirror', 'http://', 'http://a b', 'unix:x', 'http://a/#b', 'http://u:p@ a']) {
		const error = t.throws(() => parseTarget(wrong, '--url'), {code: 'CONFIG'}, wrong);
		t.false(JSON.stringify(error).includes('u:p'));
	}
});

test("an answer that is not the mirror's own comes with advice", t => {
	const said = (status: number, body: string, url: string): string =>
		answerError({status, body, retryAfter: undefined}, parseTarget(url, '--url')).message;
	t.regex(
		said(413, '<html></html>', 'http://m'),
		/status 413\n {2}a proxy in front of it .* "client_max_body_size 0;"$/,
	);
	t.notRegex(said(413, '{"code": "RequestEntityTooLarge"}', 'http://m'), /proxy/);
	t.regex(said(404, '', 'http://m/base/images/'), /\n {2}the URL should end before \/images, it seems$/);
	t.notRegex(said(404, '', 'http://m/images-mirror'), /\n/);
});
