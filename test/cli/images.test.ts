/**
 * `images list`, `images show`, and images named by the first digits of their uuids.
 */
import test from 'ava';
import fc from 'fast-check';
import {columnsOf, orderOf} from '../../src/cli/image-columns.js';
import {readFilters} from '../../src/cli/image-filters.js';
import {readRow} from '../../src/cli/wire.js';
import {painted} from '../../src/cli/words.js';
import type {HoldReason} from '../../src/mirror-operate-api.js';
import {ago, ahead, bench, day, details, hour, row, uuidOf} from './fake-operator.js';

const held: HoldReason = {source: 'joyent', why: 'age', until: '2026-03-01T00:00:00.000Z'};

const rows = [
	row('aa', {publishedAt: '2026-01-03T00:00:00.000Z', here: 'here', lastUsedAt: '2026-02-01T00:00:00.123Z'}),
	row('bb', {name: 'debian', version: '12', os: 'linux', type: 'lx-dataset', size: 900, wantedBy: ['nightly', 'x']}),
	row('cc', {name: 'new\u001b[2J', held}),
	row('dd', {name: 'old', state: 'disabled'}),
	row('ee', {name: 'gone', vanished: true, pinned: true}),
];

test('images are listed in the columns of imgadm, oldest first, without what nobody is offered', async t => {
	const {io, server, run} = await bench(t);
	server.json('GET /mirror/images', rows);
	const expected = [
		'UUID                                  NAME    VERSION  OS       TYPE          PUB         HERE',
		`${uuidOf('bb')}  debian  12       linux    lx-dataset    2026-01-02  away`,
		`${uuidOf('aa')}  base    1.0.0    smartos  zone-dataset  2026-01-03  here`,
		'',
	].join('\n');
	for (const argv of [['images'], ['images', 'list']]) {
		io.out = '';
		t.is(await run(...argv), 0);
		t.is(io.out, expected);
	}
	t.is(io.err, '');
});

test('--all lists them all, other columns are for the asking, and so is the order', async t => {
	const {io, server, run} = await bench(t);
	server.json('GET /mirror/images', rows);
	t.is(await run('images', '--all', '-o', 'name,held,size,pinned,wanted,vanished,used', '-s', '-size,name'), 0);
	t.is(
		io.out,
		[
			'NAME     HELD                     SIZE  PINNED  WANTED     VANISHED  USED',
			'base     -                     1.50 MB  false   -          false     2026-02-01T00:00:00Z',
			'gone     -                     1.50 MB  true    -          true      -',
			'new�[2J  age until 2026-03-01  1.50 MB  false   -          false     -',
			'old      -                     1.50 MB  false   -          false     -',
			'debian   -                       900 B  false   nightly,x  false     -',
			'',
		].join('\n'),
	);
});

test('-p is for programs: ":" between, no heads, bytes; -H leaves only the heads out', async t => {
	const {io, server, run} = await bench(t);
	server.json('GET /mirror/images', [row('aa', {name: 'a:b\\c', here: 'here'})]);
	t.is(await run('images', '-p', '-o', 'name,size,published,origin'), 0);
	t.is(io.out, 'a\\:b\\\\c:1500000:2026-01-02T03\\:04\\:05Z:-\n');
	io.out = '';
	t.is(await run('images', '-H', '-o', 'uuid,size'), 0);
	t.is(io.out, `${uuidOf('aa')}  1.50 MB\n`);
});

test('--json is the rows as the server has them, filtered and in order', async t => {
	const {io, server, run} = await bench(t);
	server.json('GET /mirror/images', [{...rows[0], further: 'field'}, ...rows.slice(1)]);
	t.is(await run('images', 'list', '--json', '-s', 'name'), 0);
	t.like(JSON.parse(io.out), [{uuid: uuidOf('aa'), further: 'field'}, {uuid: uuidOf('bb')}]);
	t.is((JSON.parse(io.out) as unknown[]).length, 2);
	t.is(io.err, '');
});

test('nothing found is nothing printed, and no failure', async t => {
	const {io, run} = await bench(t);
	t.is(await run('images', 'name=none'), 0);
	t.is(io.out, '');
});

test('filters and their flags go to the server', async t => {
	const {server, run} = await bench(t);
	t.is(await run('images', 'name=~base & co', 'type=!zvol', 'here=here', '--os', 'smartos', '--version', '1'), 0);
	t.is(await run('images', 'list', 'state=all', 'held=true'), 0);
	t.is(await run('images', '--state', 'disabled', 'wanted=false'), 0);
	t.deepEqual(
		server.asked.map(({what}) => new URLSearchParams(what.split('?')[1]).toString()),
		[
			new URLSearchParams({name: '~base & co', type: '!zvol', here: 'here', version: '1', os: 'smartos'}).toString(),
			'state=all&held=true',
			'wanted=false&state=disabled',
		],
	);
});

test('what is left out by itself is shown when it is asked for', t => {
	const shown = (...filters: string[]): readonly string[] => {
		const filter = readFilters(filters, {all: false});
		return rows.filter(one => filter.shows(readRow(one))).map(({name}) => name);
	};
	t.deepEqual(shown(), ['base', 'debian']);
	t.deepEqual(shown('state=all'), ['base', 'debian', 'old']);
	t.deepEqual(shown('held=true'), ['base', 'debian', rows[2]?.name ?? '']);
	t.deepEqual(shown('held=false'), ['base', 'debian']);
	t.deepEqual(shown('vanished=true'), ['base', 'debian', 'gone']);
});

const mistakes: Readonly<Record<string, readonly [readonly string[], RegExp]>> = {
	'a filter that is none': [
		['nme=base'],
		/"nme=base": expected NAME=VALUE with one of name, .*; did you mean "name"\?/,
	],
	'a word that is no filter': [['base'], /"base": expected NAME=VALUE/],
	'a flag that is neither true nor false': [['pinned=yes'], /pinned=yes: expected true or false/],
	'a state that there is not': [['state=here'], /state=here: expected one of active, disabled/],
	'a filter without a value': [['name='], /name=: the value is missing/],
	'a filter twice': [['name=a', '--name', 'b'], /name=b: name is filtered by already/],
	'a column that there is not': [['-o', 'uuid,nmae'], /--output: there is no column "nmae"; did you mean "name"\?/],
	'an order that there is not': [['-s', '-xyzzy'], /--sort: there is no column "xyzzy": expected some of uuid, /],
	'a prototype': [['-o', 'constructor'], /there is no column "constructor"/],
};
for (const [what, [argv, said]] of Object.entries(mistakes)) {
	test(`exit code 2, before anything is asked: ${what}`, async t => {
		const {io, server, run} = await bench(t);
		t.is(await run('images', 'list', ...argv), 2);
		t.regex(io.err, said);
		t.is(server.asked.length, 0);
	});
}

test('the order is a total one whatever the columns, and "-" turns it round', t => {
	const some = fc.record({
		name: fc.constantFrom('a', 'b', '10', '9'),
		size: fc.nat(3),
		publishedAt: fc.option(fc.constantFrom('2026-01-01T00:00:00Z', '2026-01-02T00:00:00Z'), {nil: undefined}),
	});
	fc.assert(
		fc.property(fc.array(some), fc.constantFrom('size', 'published', 'size,published'), (fields, names) => {
			const all = fields.map(one => readRow({...row('aa'), ...one}));
			const order = orderOf(names);
			const turned = orderOf(names.replaceAll(/(^|,)/g, '$1-'));
			const sorted = [...all].sort(order);
			t.true(sorted.every((one, at) => at === 0 || order(sorted[at - 1] ?? one, one) <= 0));
			t.true(all.every(a => all.every(b => order(a, b) === -turned(a, b) || order(a, b) === 0)));
		}),
	);
	t.true(orderOf('version')(readRow(row('aa', {version: '9'})), readRow(row('bb', {version: '10'}))) < 0);
});

test('columns of any text stand below each other', t => {
	const cell = fc.string({unit: 'grapheme', maxLength: 8}).map(text => `x${text}`);
	fc.assert(
		fc.property(fc.array(fc.tuple(cell, cell, cell), {minLength: 1}), rows => {
			const lines = painted(rows, {paint: (_, text) => text, right: ' r'})
				.trimEnd()
				.split('\n');
			t.is(lines.length, rows.length);
			t.true(lines.every(line => !/\p{Cc}/u.test(line)));
		}),
	);
	t.deepEqual(
		columnsOf('uuid, name').map(({name}) => name),
		['uuid', 'name'],
	);
});

const origin = row('0aaa', {name: 'minimal', here: 'here'});
const shown = details(
	row('aa', {
		here: 'here',
		sources: ['joyent', 'lab'],
		wantedBy: ['nightly'],
		pinned: true,
		publishedAt: ago(3 * day),
		lastUsedAt: ago(2 * hour),
	}),
	{
		origins: [origin, {uuid: uuidOf('0bbb')}],
		dependents: [row('cccc', {name: 'web', here: 'away'}), row('dddd', {name: 'db', here: 'part'})],
		files: [
			{
				sha1: 'a'.repeat(40),
				size: 1_500_000,
				here: 'here',
				storedAt: ago(day),
				verifiedAt: ago(2 * hour),
				stays: ['pinned'],
			},
		],
	},
);

test('images show tells all of one image, with its family as a tree', async t => {
	const {io, server, run} = await bench(t);
	server.json(`GET /mirror/images/${uuidOf('aa')}`, shown);
	io.env['LANG'] = 'C.UTF-8';
	t.is(await run('images', 'show', uuidOf('aa').toUpperCase()), 0);
	t.is(
		io.out,
		[
			'base 1.0.0',
			`  uuid       ${uuidOf('aa')}`,
			'  kind       smartos, zone-dataset',
			'  state      active, public',
			`  published  ${shown.publishedAt ?? ''} (3 d ago)`,
			'  owner      930896af-bf8c-48d4-885c-6573a94b1853',
			'  source     joyent; also lab',
			'  here       yes, whole and verified (1.50 MB)',
			'  last used  2 h ago',
			'  wanted     by rule nightly',
			'  pinned     yes, with its origins',
			'',
			'Origins, and what is built upon it',
			`  ${uuidOf('0bbb')}  nobody knows it`,
			`  └─ minimal 1.0.0  ${uuidOf('0aaa')}  yes, whole and verified`,
			'     └─ base 1.0.0  this one',
			`        ├─ web 1.0.0  ${uuidOf('cccc')}  no`,
			`        └─ db 1.0.0  ${uuidOf('dddd')}  in part`,
			'',
			'File',
			`  1.50 MB, sha1 ${'a'.repeat(40)}`,
			'  stored    24 h ago',
			'  verified  2 h ago',
			'  stays     pinned',
			'',
			'On a SmartOS machine that has this mirror as a source:',
			`  imgadm import -S ${server.url()} ${uuidOf('aa')}`,
			'',
		].join('\n'),
	);
	io.out = '';
	io.env['LC_ALL'] = 'C';
	t.is(await run('images', 'show', uuidOf('aa')), 0);
	t.regex(io.out, / {8}\|- web 1\.0\.0 .*\n {8}`- db/);
	io.out = '';
	t.is(await run('images', 'show', uuidOf('aa'), '--json'), 0);
	t.deepEqual(JSON.parse(io.out), JSON.parse(JSON.stringify(shown)));
});

test('images show of one that is held, away and without a family', async t => {
	const {io, server, run} = await bench(t);
	const image = row('aa', {
		held: {source: 'joyent', why: 'operator', by: 'alice', note: 'breaks sshd'},
		vanished: true,
		public: false,
	});
	server.json(`GET /mirror/images/${uuidOf('aa')}`, details(image, {files: [{size: 3, here: 'away', stays: []}]}));
	t.is(await run('images', 'show', uuidOf('aa')), 0);
	t.regex(io.out, /state +active, private, gone from its source\n/);
	t.regex(io.out, /held +held back by alice; breaks sshd\n/);
	t.regex(io.out, /\nFile\n {2}3 B, sha1 unknown\n\n/);
	t.notRegex(io.out, /Origins/);
	server.json(
		`GET /mirror/images/${uuidOf('bb')}`,
		details(row('bb', {held: {source: 'joyent', why: 'age', until: ahead(3 * day)}})),
	);
	io.out = '';
	t.is(await run('images', 'show', uuidOf('bb')), 0);
	t.regex(io.out, /held +joyent offers only what is older; offered in 3 d\n/);
	t.regex(io.out, /It has no file\./);
	server.json(`GET /mirror/images/${uuidOf('cc')}`, details(row('cc', {source: 'local', sources: ['local', 'lab']})));
	io.out = '';
	t.is(await run('images', 'show', uuidOf('cc')), 0);
	t.regex(io.out, /source +local: it was published or imported here; also lab\n/);
});

test('through the socket there is no URL to import from', async t => {
	const {io, runHere} = await bench(t);
	t.is(await runHere('images', 'show', 'abcd'), 1);
	t.regex(io.err, /no image has a uuid that begins with abcd\n$/);
});

test('the first digits of a uuid will do, if only one image has them', async t => {
	const {io, server, run} = await bench(t);
	const twins = [row('abcd1'), row('abcd2', {name: 'twin\u001b]'})];
	server.json('GET /mirror/images', [...twins, ...Array.from({length: 12}, (_, at) => row(`ffff${at.toString(16)}`))]);
	server.json(`GET /mirror/images/${uuidOf('abcd1')}`, details(row('abcd1')));
	t.is(await run('images', 'show', 'ABCD1'), 0);
	t.is(await run('images', 'show', uuidOf('abcd1').replaceAll('-', '').slice(0, 20)), 0);
	t.is(await run('images', 'show', 'abcd'), 1);
	t.is(
		io.err,
		`imgmirror: the uuids of 2 images begin with abcd:\n  ${uuidOf('abcd1')}  base 1.0.0\n  ${uuidOf('abcd2')}  twin�] 1.0.0\n`,
	);
	io.err = '';
	t.is(await run('images', 'show', 'ffff'), 1);
	t.regex(io.err, /the uuids of 12 images begin with ffff:\n(?: {2}ffff.*\n){10} {2}and 2 more\n$/);
	const before = server.asked.length;
	for (const wrong of ['abc', 'a-b-', 'xyzw', '', 'a'.repeat(33)]) {
		t.is(await run('images', 'show', wrong), 2, wrong);
	}
	t.is(server.asked.length, before);
});
