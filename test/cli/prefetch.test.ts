/**
 * `prefetch`, its rules, and the progress of several files at once.
 */
import test from 'ava';
import {showFiles} from '../../src/cli/progress-files.js';
import {readSince} from '../../src/cli/common-flags.js';
import type {PrefetchEvent, PrefetchPlan} from '../../src/prefetch/api.js';
import {ManualClock} from '../helpers/manual-clock.js';
import {FakeIo} from './fake-io.js';
import {bench, row, rule, uuidOf} from './fake-operator.js';

const plan: PrefetchPlan = {
	images: [
		{uuid: uuidOf('bb'), name: 'minimal', version: '1', size: 1e6, here: false, originOf: uuidOf('aa')},
		{uuid: uuidOf('aa'), name: 'base', version: '1.0.0', size: 3e6, here: false},
		{uuid: uuidOf('cc'), name: 'here\u001b[2J', version: '2', size: 5e6, here: true},
	],
	...{bytes: 9e6, bytesToFetch: 4e6, bytesPerSecond: 2e6, ms: 2000, leftOut: 0, missing: []},
};
const events: readonly PrefetchEvent[] = [
	{what: 'plan', plan},
	{what: 'done', uuid: uuidOf('cc'), outcome: 'there'},
	{what: 'image', uuid: uuidOf('bb'), name: 'minimal', version: '1', bytes: 1e6},
	{what: 'image', uuid: uuidOf('aa'), name: 'base', version: '1.0.0', bytes: 3e6},
	{what: 'progress', uuid: uuidOf('bb'), bytes: 5e5},
	{what: 'progress', uuid: uuidOf('aa'), bytes: 1e6},
	{what: 'done', uuid: uuidOf('bb'), outcome: 'fetched'},
	{what: 'done', uuid: uuidOf('aa'), outcome: 'fetched'},
	{what: 'end', fetched: 2, there: 1, failed: 0, bytes: 4e6, ms: 2000},
];

test('prefetch tells what it does in lines and ends with a summary', async t => {
	const {io, server, run} = await bench(t);
	server.answers.set('POST /mirror/prefetch', {lines: events});
	t.is(
		await run(
			'prefetch',
			'--name',
			'base*',
			'--name',
			'min*',
			'--newest',
			'2',
			'--max-size',
			'1 GB',
			'--bandwidth',
			'10 MB/s',
			'--concurrent',
			'3',
			'--version',
			'>=1',
			'--source',
			'joyent',
			'--since',
			'2026-01-31',
		),
		0,
	);
	t.deepEqual(server.asked[0]?.body, {
		selection: {
			...{name: ['base*', 'min*'], version: '>=1', sources: ['joyent'], newest: 2, maxBytes: 1e9},
			...{publishedSince: '2026-01-31T00:00:00.000Z'},
		},
		...{bytesPerSecond: 10e6, concurrent: 3},
	});
	t.is(
		io.err,
		[
			'imgmirror: 3 images with 9.00 MB: 1 here already, 4.00 MB to fetch, about 2 s at 2.00 MB/s',
			'imgmirror: minimal 1: fetched',
			'imgmirror: base 1.0.0: fetched',
			'',
		].join('\n'),
	);
	t.is(io.out, '2 images fetched, 1 here already: 4.00 MB in 2 s (2.00 MB/s)\n');
});

test('prefetch takes the first digits of uuids', async t => {
	const {server, run} = await bench(t);
	server.json('GET /mirror/images', [row('abcd')]);
	server.answers.set('POST /mirror/prefetch', {lines: events});
	t.is(await run('prefetch', 'abcd', '-q'), 0);
	t.deepEqual(server.asked.at(-1)?.body, {selection: {uuids: [uuidOf('abcd')]}});
});

test('prefetch --json is one object, and nothing besides', async t => {
	const {io, server, run} = await bench(t);
	server.answers.set('POST /mirror/prefetch', {lines: events});
	t.is(await run('prefetch', '--rule', 'nightly', '--json'), 0);
	t.deepEqual(server.asked[0]?.body, {selection: {rule: 'nightly'}});
	t.is(io.err, '');
	t.like(JSON.parse(io.out), {
		plan: {bytes: 9e6},
		images: [
			{name: 'here\u001b[2J', outcome: 'there'},
			{name: 'minimal', outcome: 'fetched'},
			{name: 'base', bytes: 3e6},
		],
		end: {fetched: 2},
	});
	io.out = '';
	t.is(await run('prefetch', '--rule', 'nightly', '--quiet'), 0);
	t.is(io.out + io.err, '');
});

test('prefetch fails where an image failed, and for what cannot be had', async t => {
	const {io, server, run} = await bench(t);
	const missing = [{uuid: uuidOf('ee'), problem: 'nobody has it'}];
	server.answers.set('POST /mirror/prefetch', {
		lines: [
			{what: 'plan', plan: {...plan, missing, leftOut: 3}},
			{what: 'done', uuid: uuidOf('bb'), outcome: 'failed', problem: 'the source is down'},
			{what: 'done', uuid: uuidOf('aa'), outcome: 'uncached'},
			{what: 'later', something: 'else'},
			{what: 'end', fetched: 0, there: 0, failed: 2, bytes: 0, ms: 0},
		],
	});
	t.is(await run('prefetch', '--name', '*'), 1);
	t.regex(io.err, /3 left out, as the size allows no more\n/);
	t.regex(io.err, new RegExp(`${uuidOf('ee')} cannot be had: nobody has it\n`));
	t.regex(io.err, /minimal 1: failed: the source is down\n.*base 1\.0\.0: came, but the disk has no room to keep it\n/);
	t.is(io.out, '0 images fetched, 1 not kept for want of room, 1 failed, 1 cannot be had: 0 B in 0 s\n');
});

test('prefetch counts an image that was not kept once, and fails', async t => {
	const {io, server, run} = await bench(t);
	server.answers.set('POST /mirror/prefetch', {
		lines: [
			{what: 'plan', plan},
			{what: 'done', uuid: uuidOf('aa'), outcome: 'uncached'},
			{what: 'end', fetched: 0, there: 0, failed: 1, bytes: 0, ms: 0},
		],
	});
	t.is(await run('prefetch', '--name', '*'), 1);
	t.is(io.out, '0 images fetched, 1 not kept for want of room: 0 B in 0 s\n');
});

test('prefetch --dry-run only tells what would be fetched, and how long it would take', async t => {
	const {io, server, run} = await bench(t);
	server.json('POST /mirror/prefetch', plan);
	t.is(await run('prefetch', '--os', 'smartos', '--dry-run'), 0);
	t.deepEqual(server.asked[0]?.body, {selection: {os: ['smartos']}, dryRun: true});
	t.is(
		io.out,
		[
			'UUID                                  NAME      VERSION     SIZE  HERE',
			`${uuidOf('bb')}  minimal   1        1.00 MB  to fetch, as an origin`,
			`${uuidOf('aa')}  base      1.0.0    3.00 MB  to fetch`,
			`${uuidOf('cc')}  here�[2J  2        5.00 MB  here`,
			'3 images with 9.00 MB: 1 here already, 4.00 MB to fetch, about 2 s at 2.00 MB/s',
			'',
		].join('\n'),
	);
	io.out = '';
	t.is(await run('prefetch', '--os', 'smartos', '--dry-run', '-j'), 0);
	t.deepEqual(JSON.parse(io.out), plan);
	server.json('POST /mirror/prefetch', {...plan, images: [], missing: [{uuid: uuidOf('ee'), problem: 'x'}]});
	t.is(await run('prefetch', uuidOf('ee'), '--dry-run'), 1);
});

test('Ctrl-C ends a prefetch with 130, and says what is kept', async t => {
	const {io, server, run} = await bench(t);
	server.answers.set('POST /mirror/prefetch', {lines: [...events.slice(0, 7), new Promise(() => undefined)]});
	const running = run('prefetch', '--name', '*');
	await io.until(() => io.err.includes('minimal 1: fetched'));
	io.process.emit('SIGINT');
	t.is(await running, 130);
	t.is(io.out, '');
	t.regex(
		io.err,
		/imgmirror: stopped: 2 of 3 images done; what came of the others is kept, and the same command again goes on there\n$/,
	);
});

test('a private server stays until the prefetch is done, and is stopped also by Ctrl-C', async t => {
	const {io, runHere} = await bench(t);
	io.control = {...io.control, isRunning: async () => false};
	// The socket's own stand-in has no such answer: it fails, and the server is stopped.
	t.is(await runHere('prefetch', '--name', '*'), 1);
	t.is(io.mirror.stops, 1);
	t.regex(io.err, /^imgmirror: no server runs on \S+: started one for this\n/);
	io.beforeAssembled = async () => {
		io.process.emit('SIGINT');
	};
	t.is(await runHere('prefetch', '--name', '*'), 130);
	t.is(io.mirror.stops, 2);
});

test('a server that stops before the end is a failure', async t => {
	const {io, server, run} = await bench(t);
	server.answers.set('POST /mirror/prefetch', {lines: events.slice(0, 7)});
	t.is(await run('prefetch', '--name', '*', '--json'), 1);
	t.regex(io.err, /^imgmirror: the server has stopped before the end: 2 of 3 images done; what came/);
	t.is((JSON.parse(io.out) as {images: unknown[]}).images.length, 3);
	server.answers.set('POST /mirror/prefetch', {lines: events.slice(0, 7), cut: true});
	t.is(await run('prefetch', '--name', '*'), 1);
	t.regex(io.err, /the connection to \S+ broke/);
});

test('prefetch without a selection says what to do', async t => {
	const {io, server, run} = await bench(t);
	for (const argv of [[], ['--max-size', '1 GB'], ['--dry-run']]) {
		io.err = '';
		t.is(await run('prefetch', ...argv), 2);
		t.regex(io.err, /expected uuids, or flags that say which images: --name "base-\*"/);
	}
	io.err = '';
	t.is(await run('prefetch', '--rule', 'x', '--newest', '2'), 2);
	t.regex(io.err, /--rule: the rule says which images/);
	for (const argv of [
		['--newest', '0'],
		['--since', 'yesterday'],
		['--bandwidth', '10'],
		['--max-size', 'x'],
	]) {
		t.is(await run('prefetch', '--name', '*', ...argv), 2, argv.join(' '));
	}
	t.is(server.asked.length, 0);
});

test('since is a date, or how long ago', t => {
	const now = Date.parse('2026-03-01T12:00:00.000Z');
	t.is(readSince('2026-01-31', now), '2026-01-31T00:00:00.000Z');
	t.is(readSince('2026-01-31T10:00:00Z', now), '2026-01-31T10:00:00.000Z');
	t.is(readSince('1d', now), '2026-02-28T12:00:00.000Z');
	t.throws(() => readSince('2026-13-01', now));
	t.throws(() => readSince('30', now));
	t.throws(() => readSince('900000 years', now));
});

test('rules are shown with how far they are, and run on demand', async t => {
	const {io, server, run} = await bench(t);
	t.is(await run('prefetch', 'rules'), 0);
	t.is(io.out, 'no rules: "prefetch.rules" of the configuration has them\n');
	const waiting = rule('weekly', {waiting: true, imagesHere: 14, lastProblem: 'the disk is full'});
	server.json('GET /mirror/prefetch', [rule('nightly'), waiting, rule('now', {running: true})]);
	io.out = '';
	t.is(await run('prefetch', 'rules'), 0);
	t.is(
		io.out,
		[
			'RULE     IMAGES HERE  BYTES HERE          LAST RUN  NEXT RUN',
			'nightly  12 of 14     3.20 GB of 4.00 GB  21 h ago  in 3 h',
			'  the newest 2 of each name',
			'weekly   14 of 14     3.20 GB of 4.00 GB  21 h ago  in its window',
			'  the newest 2 of each name',
			'  the disk is full',
			'now      12 of 14     3.20 GB of 4.00 GB  21 h ago  runs now',
			'  the newest 2 of each name',
			'',
		].join('\n'),
	);
	io.out = '';
	t.is(await run('prefetch', 'rules', '--json'), 0);
	t.is((JSON.parse(io.out) as unknown[]).length, 3);
	server.json('POST /mirror/prefetch/run?rule=nightly', {});
	io.out = '';
	t.is(await run('prefetch', 'run', 'nightly'), 0);
	t.regex(io.out, /^nightly runs; "imgmirror transfers --watch"/);
});

test('a rule runs only on a server that stays', async t => {
	const {io, runHere} = await bench(t);
	io.control = {...io.control, isRunning: async () => false};
	t.is(await runHere('prefetch', 'run', 'nightly'), 1);
	t.regex(io.err, /no server runs on \S+: "imgmirror prefetch --rule nightly" fetches the same without one\n$/);
	t.is(io.assembled.length, 0);
});

test('on a terminal each file has a bar, which goes when it is done; what is said stays above', async t => {
	const io = new FakeIo();
	const clock = new ManualClock();
	io.stderr.isTTY = true;
	io.stderr.columns = 100;
	const progress = showFiles({io, clock, quiet: false, label: 'all'});
	// What draws would keep the process alive.
	t.teardown(() => progress.end());
	progress.say('before');
	t.is(io.err, 'before\n');
	progress.start(4e6);
	progress.begin('b', 'minimal 1', 1e6);
	progress.begin('a', 'a name that is longer than there is room for', 3e6);
	await clock.advance(1000);
	progress.update('b', 5e5);
	progress.update('a', 1e6);
	await io.until(() => io.err.includes('1.00 MB of 3.00 MB'));
	t.regex(io.err, /all {25} {2}\[=+ +\] 37% {2}1\.50 MB of 4\.00 MB/);
	t.regex(io.err, /minimal 1 {19} {2}\[=+ +\] 50% {2}500 kB of 1\.00 MB/);
	t.regex(io.err, /a name that is longer than … {2}\[/);
	progress.update('b', 1e6);
	progress.finish('b');
	progress.say('minimal 1: fetched');
	progress.end();
	t.regex(io.err, /minimal 1: fetched\u001b\[K\n/);
	// The cursor is where the bars began, and the lines wrap again.
	t.regex(io.err, /\u001b\[\?7h[^\n]*\u001b\[0?J$/);
	progress.end();
});

test('in a log there is a line now and then, for all and for each that is under way', async t => {
	const io = new FakeIo();
	const clock = new ManualClock();
	const progress = showFiles({io, clock, quiet: false, label: 'all'});
	progress.start(4e6);
	progress.begin('b', 'minimal 1', 1e6);
	progress.begin('a', 'base 1', 3e6);
	progress.update('b', 1e6);
	progress.finish('b');
	await clock.advance(30_000);
	progress.update('a', 1e6);
	t.regex(io.err, /^imgmirror: all: 2\.00 MB of 4\.00 MB.*\nimgmirror: {3}base 1: 1\.00 MB of 3\.00 MB.*\n$/);
	progress.end();
});
