/**
 * What stays and what goes: `evict`, `pin`, `unpin`, `du`, `verify`, `hold`, `release`, `held`.
 */
import test from 'ava';
import type {EvictOutcome, HeldReport, PinOutcome, StoredFile, VerifyEvent} from '../../src/mirror-operate-api.js';
import {ManualClock} from '../helpers/manual-clock.js';
import {ago, bench, day, details, hour, row, scrub, storage, uuidOf} from './fake-operator.js';

test('evict says of each what went and what stays, and fails if one stays', async t => {
	const {io, server, run} = await bench(t);
	server.json('GET /mirror/images', [row('abcd')]);
	const outcomes: readonly EvictOutcome[] = [
		{uuid: uuidOf('abcd'), bytes: 1_500_000},
		{uuid: uuidOf('bb'), bytes: 20, problem: 'it is pinned'},
	];
	server.json('POST /mirror/evict', outcomes);
	t.is(await run('evict', 'abcd', uuidOf('bb'), uuidOf('bb'), '--force'), 1);
	t.deepEqual(server.asked.at(-1)?.body, {uuids: [uuidOf('abcd'), uuidOf('bb')], force: true});
	t.is(
		io.out,
		[
			`${uuidOf('abcd')}  base 1.0.0  1.50 MB  gone`,
			`${uuidOf('bb')}                 20 B  stays: it is pinned`,
			'1 image with 1.50 MB gone',
			'',
		].join('\n'),
	);
	server.json('POST /mirror/evict', outcomes.slice(0, 1));
	server.json(`GET /mirror/images/${uuidOf('abcd')}`, details(row('abcd')));
	io.out = '';
	t.is(await run('evict', uuidOf('abcd')), 0);
	t.regex(io.out, /^abcd\S+ {2}base 1\.0\.0 {2}1\.50 MB {2}gone\n/);
	io.out = '';
	t.is(await run('evict', uuidOf('abcd'), '--json'), 0);
	t.deepEqual(JSON.parse(io.out), outcomes.slice(0, 1));
	t.deepEqual(server.asked.at(-1)?.body, {uuids: [uuidOf('abcd')], force: false});
});

test('the names of very many images are asked for all at once', async t => {
	const {io, server, run} = await bench(t);
	const digits = Array.from({length: 1500}, (_, at) => `abc${at.toString(16).padStart(5, '0')}`);
	server.json('GET /mirror/images', [...digits.slice(1).map(each => row(each)), row('dd')]);
	server.json(
		'POST /mirror/evict',
		digits.map(each => ({uuid: uuidOf(each), bytes: 20})),
	);
	t.is(await run('evict', ...digits.map(each => uuidOf(each))), 0);
	t.deepEqual(
		server.asked.map(({what}) => what),
		['GET /mirror/images', 'POST /mirror/evict'],
	);
	t.deepEqual(server.asked[1]?.body, {uuids: digits.map(each => uuidOf(each)), force: false});
	t.regex(io.out, /^abc00000\S+ +20 B {2}gone\nabc00001\S+ {2}base 1\.0\.0 {2}20 B {2}gone\n/);
});

test('evict --dry-run changes nothing and says what would go', async t => {
	const {io, server, run} = await bench(t);
	const file = {sha1: 'a'.repeat(40), size: 5e6, here: 'here' as const, stays: []};
	server.json(
		`GET /mirror/images/${uuidOf('aa')}`,
		details(row('aa'), {files: [{...file, stays: ['in use just now']}]}),
	);
	server.json(
		`GET /mirror/images/${uuidOf('bb')}`,
		details(row('bb'), {files: [{...file, stays: ['rule x wants it']}]}),
	);
	server.json(`GET /mirror/images/${uuidOf('cc')}`, details(row('cc'), {files: [{...file, here: 'part'}]}));
	t.is(await run('evict', '--dry-run', uuidOf('aa')), 0);
	t.is(io.out, `${uuidOf('aa')}  base 1.0.0  5.00 MB  would go\n1 image with 5.00 MB would go\n`);
	io.out = '';
	t.is(await run('evict', '--dry-run', uuidOf('aa'), uuidOf('bb'), uuidOf('cc')), 1);
	t.regex(io.out, /stays: rule x wants it\n/);
	t.regex(io.out, /stays: it is not here\n1 image with/);
	io.out = '';
	t.is(await run('evict', '--dry-run', '--force', uuidOf('bb')), 1);
	t.regex(io.out, /--force passes over rules/);
	t.true(server.asked.every(({what}) => what.startsWith('GET ')));
});

const pinned: PinOutcome = {
	uuid: uuidOf('aa'),
	chain: [
		{uuid: uuidOf('aa'), name: 'base 1.0.0', here: false},
		{uuid: uuidOf('bb'), name: 'minimal', here: true},
	],
	unchanged: false,
};

test('pin names the origins that stay as well, and what is not here yet', async t => {
	const {io, server, run} = await bench(t);
	server.json(`POST /mirror/images/${uuidOf('aa')}?action=pin`, pinned);
	t.is(await run('pin', uuidOf('aa')), 0);
	const digits = uuidOf('aa').slice(0, 8);
	t.is(
		io.out,
		`base 1.0.0 (${digits}) is pinned: it stays, and so do its origins minimal (${uuidOf('bb').slice(0, 8)}); ` +
			`not here yet: base 1.0.0 (${digits}) ("imgmirror prefetch ${uuidOf('aa')}" fetches what is missing)\n`,
	);
	server.json(`POST /mirror/images/${uuidOf('aa')}?action=pin`, {
		...pinned,
		chain: [{uuid: uuidOf('aa'), here: true}],
		unchanged: true,
	});
	io.out = '';
	t.is(await run('pin', uuidOf('aa')), 0);
	t.is(io.out, `${uuidOf('aa')} was pinned already: it stays\n`);
	io.out = '';
	t.is(await run('pin', uuidOf('aa'), '-j'), 0);
	t.like(JSON.parse(io.out), [{uuid: uuidOf('aa'), unchanged: true}]);
});

test('unpin says what may go', async t => {
	const {io, server, run} = await bench(t);
	server.json(`POST /mirror/images/${uuidOf('aa')}?action=unpin`, pinned);
	server.json(`POST /mirror/images/${uuidOf('bb')}?action=unpin`, {...pinned, chain: [], unchanged: true});
	t.is(await run('unpin', uuidOf('aa'), uuidOf('bb')), 0);
	t.regex(
		io.out,
		/^base 1\.0\.0 \(\w+\) is pinned no more: it may go, and so may its origins minimal \(\w+\), when room is needed, unless something else keeps them\n/,
	);
	t.true(io.out.endsWith(`${uuidOf('bb')} was not pinned\n`));
});

test('of several images the one that cannot be is named, the others are done', async t => {
	const {io, server, run} = await bench(t);
	server.json(`POST /mirror/images/${uuidOf('aa')}?action=pin`, pinned);
	t.is(await run('pin', uuidOf('cc'), uuidOf('aa')), 1);
	t.regex(io.out, /^base 1\.0\.0/);
	t.regex(io.err, new RegExp(`^imgmirror: ${uuidOf('cc')}: http://\\S+ says: .*does not exist`));
	t.is(await run('pin'), 2);
	t.is(await run('pin', 'nonsense'), 2);
});

const file = (name: string, fields: Partial<StoredFile> = {}): StoredFile => ({
	...{sha1: name.padEnd(40, '0'), size: 12e9, storedAt: ago(20 * day), lastUsedAt: ago(3 * day)},
	images: [{uuid: uuidOf('aa'), name, version: '1'}],
	stays: [],
	...fields,
});

test('du explains itself', async t => {
	const {io, server, run} = await bench(t);
	server.json(
		'GET /mirror/storage',
		storage({
			...{partials: 2, partialBytes: 3e8, reservedBytes: 1.2e9},
			limits: {...storage().limits, maxUnusedMs: 90 * day},
			all: [
				file('old'),
				file('older', {images: []}),
				file('young'),
				file('ours', {stays: ['published here', 'pinned']}),
			],
			next: {files: 2, bytes: 24e9, because: 'files take more than the 490 GB that they may'},
			quarantine: [{name: '2026-bad', size: 12e6, since: ago(hour), note: {suppliers: ['lab'], expected: {}}}],
			scrub: scrub({damaged: [{uuid: uuidOf('dd'), name: 'web', sha1: 'd'.repeat(40), since: ago(day)}]}),
		}),
	);
	t.is(await run('du', '-n', '2'), 0);
	t.deepEqual(
		server.asked.map(({what}) => what),
		['GET /mirror/storage?files=all'],
	);
	t.is(
		io.out,
		[
			'345 files                                  120 GB',
			'  published or imported here: never goes  12.0 GB',
			'  pinned by an operator                   3.00 GB',
			'  may go when room is needed               105 GB',
			'2 files in part                            300 MB',
			'promised to what is on its way            1.20 GB',
			'',
			'Limits',
			'  Files may take 500 GB altogether (store.maxSize).',
			'  The disk is to have 10.0 GB left (store.minFree), and has 80.0 GB of 1.00 TB.',
			'  What nobody has used for 90d goes by itself.',
			'  Files take more than the 490 GB that they may.',
			'  Next: 2 files with 24.0 GB.',
			'',
			'Would go, in this order',
			'     SIZE  LAST USED  IMAGE                      SHA1',
			'  12.0 GB  3 d ago    old 1                      old000000000',
			'  12.0 GB  3 d ago    of no image that is known  older0000000',
			'  and 1 file more with 12.0 GB: -a shows all',
			'',
			'Stays',
			'     SIZE  LAST USED  IMAGE   WHY',
			'  12.0 GB  3 d ago    ours 1  published here; pinned',
			'',
			'Quarantine: were not what they should be',
			'  12.0 MB  60 min ago  2026-bad  from lab',
			'',
			'Damaged: published here, and there is no other',
			`  web  ${uuidOf('dd')}  dddddddddddd`,
			'',
		].join('\n'),
	);
});

test('du without limits, with little left, and as JSON', async t => {
	const {io, server, run} = await bench(t);
	server.json('GET /mirror/storage', storage({limits: {minFreeBytes: 10e9}, freeBytes: 1e9}));
	t.is(await run('du', '--all'), 0);
	t.regex(io.out, /No size is set for all files together/);
	t.regex(io.out, /and has 1\.00 GB of 1\.00 TB\.\n$/);
	server.json('GET /mirror/storage', storage());
	io.out = '';
	t.is(await run('du'), 0);
	t.regex(
		io.out,
		/room for 490 GB, of which 24% is taken\.\n {2}Above 441 GB the least recently used go, until 392 GB are left\.\n$/,
	);
	io.out = '';
	t.is(await run('du', '--json', '-n', '5'), 0);
	t.like(JSON.parse(io.out), {files: 345});
	t.is(await run('du', '--json', '-a'), 0);
	t.deepEqual(
		server.asked.map(({what}) => what.split('=')[1]),
		['all', 'all', '5', 'all'],
	);
	t.is(await run('du', '-a', '-n', '5'), 2);
});

const images = [{uuid: uuidOf('aa'), name: 'base', version: '1'}];
const right: readonly VerifyEvent[] = [
	{what: 'begin', files: 2, bytes: 3e6},
	{what: 'progress', bytesDone: 1e6},
	{what: 'file', sha1: 'a'.repeat(40), images, outcome: 'right'},
	{what: 'file', sha1: 'b'.repeat(40), images: [], outcome: 'gone'},
	{what: 'end', right: 1, wrong: 0, unreadable: 0},
];
const wrong: readonly VerifyEvent[] = [
	{what: 'begin', files: 3, bytes: 3e6},
	{what: 'file', sha1: 'a'.repeat(40), images, outcome: 'refetching', problem: 'sha1 is another'},
	{what: 'file', sha1: 'b'.repeat(40), images: [], outcome: 'unreadable', problem: 'EIO'},
	{what: 'file', sha1: 'c'.repeat(40), images: [], outcome: 'lost'},
	{what: 'end', right: 0, wrong: 2, unreadable: 1},
];

test('verify is quiet about what is right', async t => {
	const {io, server, run} = await bench(t);
	server.answers.set('POST /mirror/verify', {lines: right});
	t.is(await run('verify', '-q'), 0);
	t.is(io.err, '');
	t.is(io.out, `${'b'.repeat(40)} has gone meanwhile\n1 file right, 0 wrong (3.00 MB)\n`);
	t.deepEqual(server.asked[0]?.body, {});
	t.is(await run('verify', uuidOf('aa'), '--rate', '50 MB/s'), 0);
	t.deepEqual(server.asked[1]?.body, {uuids: [uuidOf('aa')], bytesPerSecond: 50e6});
	t.regex(io.err, /^imgmirror: 2 files with 3\.00 MB\n/);
});

test('verify fails where something is wrong, and says what became of it', async t => {
	const {io, server, run} = await bench(t);
	server.answers.set('POST /mirror/verify', {lines: wrong});
	t.is(await run('verify', '-q'), 1);
	t.is(
		io.out,
		[
			'base 1 was wrong: it is in quarantine, and fetched again (sha1 is another)',
			`${'b'.repeat(40)} cannot be read (EIO)`,
			`${'c'.repeat(40)} was wrong: it is in quarantine, and nobody has another`,
			'0 files right, 2 wrong, 1 cannot be read (3.00 MB)',
			'',
		].join('\n'),
	);
	io.out = '';
	t.is(await run('verify', '--json'), 1);
	t.deepEqual(JSON.parse(io.out), {files: wrong.slice(1, 4), end: wrong[4]});
	t.is(io.err, '');
});

test('verify on a terminal has a bar, which goes before the outcome', async t => {
	const {io, server, run} = await bench(t);
	io.clock = new ManualClock();
	io.stderr.isTTY = true;
	server.answers.set('POST /mirror/verify', {lines: right});
	t.is(await run('verify'), 0);
	t.regex(io.err, /verifying {2}\[ +\] 0%/);
});

test('verify that is stopped, or whose server goes away, says how far it was', async t => {
	const {io, server, run} = await bench(t);
	const begun = right.slice(0, 4);
	server.answers.set('POST /mirror/verify', {lines: [...begun, new Promise(() => undefined)]});
	const running = run('verify');
	await io.until(() => io.err.includes('has gone'));
	io.process.emit('SIGINT');
	t.is(await running, 130);
	t.regex(io.err, /imgmirror: stopped: 1 file right, 1 not so far\n$/);
	server.answers.set('POST /mirror/verify', {lines: begun});
	t.is(await run('verify'), 1);
	t.regex(io.err, /the server has stopped before the end: 1 file right, 1 not so far\n$/);
	server.answers.set('POST /mirror/verify', {
		lines: [...begun, {what: 'error', code: 'InternalError', message: 'the disk is gone'}],
	});
	t.is(await run('verify'), 1);
	t.regex(io.err, /says: the disk is gone \(InternalError\)\n$/);
});

const heldReport: HeldReport = {
	...{uuid: uuidOf('aa'), name: 'base', version: '1', publishedAt: '2026-01-02T00:00:00.000Z'},
	reasons: [
		{source: 'joyent', why: 'rule'},
		{source: 'joyent', why: 'operator', by: 'alice', note: 'why not'},
	],
};

test('hold and release say what became of each, held lists why', async t => {
	const {io, server, run} = await bench(t);
	server.json(`POST /mirror/images/${uuidOf('aa')}?action=hold`, heldReport);
	server.json(`POST /mirror/images/${uuidOf('aa')}?action=release`, {released: [uuidOf('aa'), uuidOf('bb')]});
	server.json(`POST /mirror/images/${uuidOf('cc')}?action=release`, {released: []});
	t.is(await run('hold', uuidOf('aa'), '--note', 'why not'), 0);
	t.deepEqual(server.asked.at(-1)?.body, {note: 'why not'});
	t.is(await run('hold', uuidOf('aa')), 0);
	t.deepEqual(server.asked.at(-1)?.body, {});
	t.is(await run('release', uuidOf('aa'), uuidOf('cc')), 0);
	t.is(
		io.out,
		[
			'base 1 is held: offered to nobody until it is released',
			'base 1 is held: offered to nobody until it is released',
			`${uuidOf('aa')} is offered from now on, with 1 origin: ${uuidOf('bb')}`,
			`${uuidOf('cc')} was not held`,
			'',
		].join('\n'),
	);
	io.out = '';
	t.is(await run('held'), 0);
	t.is(io.out, 'nothing is held\n');
	server.json('GET /mirror/held', [heldReport]);
	io.out = '';
	t.is(await run('held'), 0);
	t.is(
		io.out,
		[
			'UUID                                  NAME  VERSION  PUBLISHED   SEEN  WHY',
			`${uuidOf('aa')}  base  1        2026-01-02  -     joyent offers only what somebody released; held back by alice; why not`,
			'',
		].join('\n'),
	);
	io.out = '';
	t.is(await run('held', '--json'), 0);
	t.deepEqual(JSON.parse(io.out), [heldReport]);
});
