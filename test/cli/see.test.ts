/**
 * The commands that show how the mirror fares: `status`, `sources`, `refresh`, `transfers`, `log`.
 */
import {writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import test from 'ava';
import {runCli} from '../../src/cli/run.js';
import {ManualClock} from '../helpers/manual-clock.js';
import {tempDir} from '../helpers/temp-dir.js';
import {FakeIo} from './fake-io.js';
import {ago, bench, failure, hour, rule, scrub, source, storage, transfer, uuidOf} from './fake-operator.js';

test('status of a healthy mirror fits a screen of 80 columns', async t => {
	const {io, server, run} = await bench(t);
	server.json('GET /mirror/transfers', [transfer('aa'), transfer('bb', {waiting: true, followers: 1})]);
	server.json('GET /mirror/prefetch', [rule('nightly')]);
	t.is(await run('status'), 0);
	t.is(io.err, '');
	t.is(
		io.out,
		[
			'imgmirror 1.2.3, up for 3 d: all is well',
			'',
			'Sources',
			'  NAME    STATE  FOR  LAST SUCCESS  NEXT TRY   IMAGES  HELD',
			'  joyent  up     3 d  2 min ago     in 28 min   1,204     0',
			'',
			'Images and files',
			'  catalog    1,204 images',
			'  held here  345 files, 120 GB of 490 GB (24%)',
			'  disk       80.0 GB free of 1.00 TB',
			'  verified   345 files 2 d ago, none was wrong; next in 5 d',
			'',
			'On its way',
			'  IMAGE          SIZE     DONE       RATE        LEFT  CLIENTS  FROM',
			'  base 1.0.0  4.00 GB      25%  12.0 MB/s  4 min 10 s        4  joyent',
			'  base 1.0.0  4.00 GB  waiting                               1  joyent',
			'',
			'Fetched ahead',
			'  RULE     IMAGES HERE  BYTES HERE          LAST RUN  NEXT RUN',
			'  nightly  12 of 14     3.20 GB of 4.00 GB  21 h ago  in 3 h',
			'',
		].join('\n'),
	);
	t.true(io.out.split('\n').every(line => line.length <= 80));
});

/** All that can be wrong at once. */
const ill = (server: Awaited<ReturnType<typeof bench>>['server']): void => {
	server.answers.set('GET /readyz', {json: {status: 'not ready', problems: ['the data directory cannot be written']}});
	const {health, ...lab} = source('lab', {lastError: 'connect ECONNREFUSED', held: 3});
	server.json('GET /mirror/sources', [
		source('joyent'),
		{
			...lab,
			health: {...health, state: 'down', since: '2026-01-02T03:04:05.000Z', lastError: 'connect\u001b[2J refused'},
		},
	]);
	server.json(
		'GET /mirror/storage',
		storage({
			freeBytes: 1e9,
			partials: 1,
			partialBytes: 3e8,
			quarantine: [{name: 'q', size: 12e6, since: ago(hour)}],
			scrub: scrub({
				wrong: 1,
				damaged: [{uuid: uuidOf('cc'), name: 'web', sha1: 'c'.repeat(40), since: ago(hour)}],
			}),
		}),
	);
	server.json('GET /mirror/failures', [failure(2), failure(1, {type: 'verification.failed', problem: 'another sha1'})]);
};

test('status says when files were last found right, also before the mirror was started', async t => {
	const {io, server, run} = await bench(t);
	const {files, filesDone, bytes, bytesDone, wrong, damaged, running, nextAt = ''} = scrub();
	const since = {files, filesDone, bytes, bytesDone, wrong, damaged, running, nextAt};
	for (const [report, line] of [
		[{...since, rightAt: ago(2 * hour)}, 'last 2 h ago, before this start; next in 5 d'],
		[since, 'not yet; next in 5 d'],
	] as const) {
		io.out = '';
		server.json('GET /mirror/storage', storage({scrub: report}));
		t.is(await run('status'), 0);
		t.true(io.out.includes(`  verified   ${line}\n`), io.out);
	}
});

test('status says what is not well, and is no failure for that', async t => {
	const {io, server, run} = await bench(t);
	ill(server);
	t.is(await run('status'), 0);
	t.true(
		io.out.startsWith(
			[
				'imgmirror 1.2.3, up for 3 d: 4 problems',
				'  the data directory cannot be written',
				'  source lab is down since 2026-01-02T03:04:05.000Z: connect�[2J refused',
				'  the disk is low: 1.00 GB free, 10.0 GB should be ("imgmirror du" says what stays, and why)',
				`  web (${uuidOf('cc')}) was published here, and its file is damaged`,
				'',
			].join('\n'),
		),
		io.out,
	);
	t.regex(io.out, /\n {2}lab {5}down .*\n {4}connect�\[2J refused\n/);
	t.regex(io.out, /catalog +1,204 images, 3 held back\n/);
	t.regex(io.out, /in part +1 file, 300 MB\n/);
	t.regex(io.out, /quarantine +1 file, 12.0 MB\n/);
	t.regex(
		io.out,
		/What failed lately\n {2}5 min ago {2}source down {2}lab: connect ECONNREFUSED\n.*wrong file +lab: another sha1\n$/,
	);
});

test('status --check has a line for each trouble and fails; where all is well it says so, or nothing with --quiet', async t => {
	const {io, server, run} = await bench(t);
	t.is(await run('status', '--check'), 0);
	t.is(io.out, 'ok: 1 source, 1,204 images, 345 files with 120 GB\n');
	io.out = '';
	t.is(await run('status', '--check', '--quiet'), 0);
	t.is(io.out, '');
	ill(server);
	t.is(await run('status', '--check', '-q'), 1);
	t.is(io.out.split('\n').length, 5);
	t.regex(io.out, /^the data directory cannot be written\nsource lab is down/);
	t.is(io.err, '');
	io.out = '';
	t.is(await run('status', '--check', '--json'), 1);
	t.is((JSON.parse(io.out) as {problems: unknown[]}).problems.length, 4);
});

test('what the server warns of is trouble for status, once', async t => {
	const {io, server, run} = await bench(t);
	const warnings = [
		'a source is down: lab',
		'a source sends wrong files: joyent',
		'there is no room for more files: the disk has 5 B left',
		'the file of the published image x (y) is damaged, and there is no other',
		'a webhook does not answer: ops',
	];
	server.json('GET /readyz', {status: 'ready', problems: [], warnings});
	t.is(await run('status', '--check'), 1);
	t.is(io.out, warnings.map(line => `${line}\n`).join(''));
	io.out = '';
	ill(server);
	server.json('GET /readyz', {status: 'ready', problems: [], warnings});
	t.is(await run('status', '--check'), 1);
	t.deepEqual(
		io.out.split('\n').map(line => line.slice(0, 12)),
		['source lab i', 'the disk is ', 'web (ccb2c89', 'a source sen', 'a webhook do', ''],
	);
});

test('a mirror that is not ready answers 503, and status shows it', async t => {
	const {io, server, run} = await bench(t);
	server.answers.set('GET /readyz', {status: 503, code: 'x', message: 'y'});
	t.is(await run('status', '--check'), 1);
	t.is(io.out, 'the mirror is not ready\n');
});

test('status --json is what the server said, and nothing else', async t => {
	const {io, run} = await bench(t);
	t.is(await run('status', '--json'), 0);
	t.like(JSON.parse(io.out), {status: {version: '1.2.3'}, sources: [{name: 'joyent'}], problems: []});
	t.is(io.err, '');
});

test('colours are for terminals, and not for those who have said NO_COLOR', async t => {
	const {io, run} = await bench(t);
	io.stdout.isTTY = true;
	await run('status');
	t.true(io.out.includes('\u001b[32mall is well\u001b[0m'));
	// Cells stand below each other all the same.
	const plain = io.out.replaceAll(/\u001b\[\d+m/g, '');
	io.out = '';
	io.env['NO_COLOR'] = '1';
	await run('status');
	t.is(io.out, plain);
});

test('without a server, commands that show one say that it was started for them', async t => {
	const {io, runHere} = await bench(t);
	io.control = {...io.control, isRunning: async () => false};
	t.is(await runHere('status'), 0);
	t.regex(io.err, /^imgmirror: no server runs on \/\S+: started one for this\n$/);
	t.regex(io.out, /^imgmirror 1\.2\.3, not running: 1 problem\n {2}no server runs on \/\S+: clients are not served\n/);
	t.is(io.mirror.stops, 1);
	io.err = '';
	t.is(await runHere('images'), 0);
	t.is(io.err, '');
});

test('status --check starts none: that none runs is what it finds', async t => {
	const {io, runHere} = await bench(t);
	io.control = {...io.control, isRunning: async () => false};
	t.is(await runHere('status', '--check', '--quiet'), 1);
	t.regex(io.out, /^no server runs on \/\S+\n$/);
	t.is(io.assembled.length, 0);
});

test('a log is of a server that runs', async t => {
	const {io, runHere} = await bench(t);
	io.control = {...io.control, isRunning: async () => false};
	t.is(await runHere('log'), 1);
	t.regex(io.err, /^imgmirror: no server runs on \/\S+: what the last one said is where .*svcs -L imgmirror/);
	t.is(io.assembled.length, 0);
});

test('no server is started on a directory where something else is kept', async t => {
	const io = new FakeIo();
	const directory = await tempDir(t);
	await writeFile(join(directory, 'letters.txt'), '');
	t.is(await runCli(['status', '--data', directory], io), 1);
	t.regex(io.err, /^imgmirror: \/\S+ is no data directory of an imgmirror, and none is made of it for this: /);
	t.is(io.assembled.length, 0);
});

test('without a data directory there is nothing to look at', async t => {
	const io = new FakeIo();
	t.is(await runCli(['status', '--data', '/none/such'], io), 1);
	t.regex(io.err, /there is no data directory \/none\/such: name the server with --url/);
});

test('an older server, or another one, is told from an image that is not there', async t => {
	const {io, server, run} = await bench(t);
	t.is(await run('images', 'show', uuidOf('dd')), 1);
	t.regex(io.err, /says: \/mirror\/images\/dd\S+ does not exist \(ResourceNotFound\)\n$/);
	io.err = '';
	server.answers.clear();
	t.is(await run('sources'), 1);
	t.regex(
		io.err,
		/^imgmirror: http:\/\/\S+ knows nothing of this command: it is an older imgmirror, or another image server\n$/,
	);
});

test('who may not is told which right it takes, and who gives it', async t => {
	const {io, server, run} = await bench(t);
	server.login = 'Basic YTpi';
	t.is(await run('sources'), 1);
	t.regex(
		io.err,
		/wants a login: put user and password into the URL.*\n {2}this takes the right "private".*"imgmirror user may NAME private"/,
	);
	io.err = '';
	t.is(await runCli(['sources', '--url', server.url('a:b')], io), 0);
	server.login = undefined;
	server.answers.set('POST /mirror/refresh', {
		status: 403,
		code: 'NotAuthorizedError',
		message: 'bob may not operate here',
	});
	t.is(await run('refresh'), 1);
	t.regex(io.err, /bob may not operate here \(NotAuthorizedError\)\n {2}this takes the right "operate"/);
});

test('a URL out of the browser is told from a wrong server, and the name of a source is said once', async t => {
	const {io, server, run} = await bench(t);
	server.answers.clear();
	t.is(await runCli(['images', '--url', `${server.url()}/ui/`], io), 1);
	t.regex(io.err, /knows nothing of this command: the URL should end before \/ui, it seems\n$/);
	server.answers.set('GET /ui/mirror/images', {text: '<html>'});
	io.err = '';
	t.is(await runCli(['images', '--url', `${server.url()}/ui`], io), 1);
	t.regex(io.err, /is not an imgmirror's: the URL should end before \/ui, it seems\n$/);
	server.json('GET /mirror/sources', [source('lab', {lastError: 'source lab: slow'})]);
	t.is(await run('sources'), 0);
	t.regex(io.out, /\n {2}slow\n/);
});

test('what is no JSON is no imgmirror', async t => {
	const {io, server, run} = await bench(t);
	server.answers.set('GET /mirror/sources', {text: '<html>'});
	t.is(await run('sources'), 1);
	t.regex(io.err, /what http:\/\/\S+ answers is not an imgmirror's\n$/);
});

test('sources are shown with their URLs and what is wrong with them', async t => {
	const {io, server, run} = await bench(t);
	server.json('GET /mirror/sources', [
		source('joyent', {skipped: 2, reasons: ['no uuid'], vanished: 7, lastError: 'slow', wrongFiles: true}),
	]);
	t.is(await run('sources'), 0);
	t.is(
		io.out,
		[
			'NAME    STATE  FOR  LAST SUCCESS  NEXT TRY   IMAGES  HELD',
			'joyent  up     3 d  2 min ago     in 28 min   1,204     0',
			'  imgapi https://joyent.example',
			'  slow',
			'  it sends wrong files, and no right one between them: others are asked before it',
			'  7 images are in its list no more',
			'  2 entries could not be used: no uuid',
			'',
		].join('\n'),
	);
	io.out = '';
	t.is(await run('sources', '-j'), 0);
	t.like(JSON.parse(io.out), [{name: 'joyent', skipped: 2}]);
	server.json('GET /mirror/sources', []);
	io.out = '';
	await run('sources');
	t.is(io.out, 'no sources\n');
});

test('refresh asks all sources or those named, and fails if one did not answer', async t => {
	const {io, server, run} = await bench(t);
	server.json('POST /mirror/refresh', [{source: 'joyent'}, {source: 'lab', problem: 'connect ECONNREFUSED'}]);
	server.json('POST /mirror/refresh?source=a%20b', [{source: 'a b'}]);
	t.is(await run('refresh'), 1);
	t.is(io.out, 'joyent: refreshed\nlab: connect ECONNREFUSED\n');
	io.out = '';
	t.is(await run('refresh', 'a b'), 0);
	t.is(io.out, 'a b: refreshed\n');
	io.out = '';
	t.is(await run('refresh', '--json'), 1);
	t.is((JSON.parse(io.out) as unknown[]).length, 2);
});

test('transfers are a table, or say that there are none', async t => {
	const {io, server, run} = await bench(t);
	t.is(await run('transfers'), 0);
	t.is(io.out, 'nothing is on its way\n');
	const begun = transfer('bb', {background: true, followers: 0, written: 0, bytesPerSecond: 0});
	const unknown = {...begun, etaMs: undefined, source: undefined};
	server.json('GET /mirror/transfers', [transfer('aa'), unknown, transfer('cc', {passing: true})]);
	io.out = '';
	t.is(await run('transfers'), 0);
	t.is(
		io.out,
		[
			'IMAGE          SIZE  DONE       RATE        LEFT  CLIENTS  FROM',
			'base 1.0.0  4.00 GB   25%  12.0 MB/s  4 min 10 s        4  joyent',
			'base 1.0.0  4.00 GB    0%      0 B/s                ahead',
			'base 1.0.0  4.00 GB   25%  12.0 MB/s  4 min 10 s        4  joyent, not kept',
			'',
		].join('\n'),
	);
	io.out = '';
	t.is(await run('transfers', '--json'), 0);
	t.is((JSON.parse(io.out) as unknown[]).length, 3);
});

test('transfers --watch draws the table in its place until Ctrl-C, which is 130 and no word', async t => {
	const {io, server, run} = await bench(t);
	const clock = new ManualClock();
	io.clock = clock;
	io.env['NO_COLOR'] = '1';
	io.stdout.isTTY = true;
	server.json('GET /mirror/transfers', [transfer('aa')]);
	const running = run('transfers', '--watch');
	await io.until(() => io.out.includes('25%'));
	server.json('GET /mirror/transfers', []);
	await clock.timerDueIn(1000, 1000);
	await clock.advance(1000);
	await io.until(() => io.out.includes('nothing is on its way'));
	// Over the two lines from before.
	t.true(io.out.includes('\u001b[2A\rnothing is on its way\u001b[K\n\u001b[J'));
	io.process.emit('SIGINT');
	t.is(await running, 130);
	t.is(io.err, '');
});

test('transfers --watch in a log has a line for what begins, goes on and ends, and waits for a server that is away', async t => {
	const {io, server, run} = await bench(t);
	const clock = new ManualClock();
	io.clock = clock;
	server.json('GET /mirror/transfers', [transfer('aa'), transfer('bb', {waiting: true, sha1: 'b'.repeat(40)})]);
	const running = run('transfers', '--watch');
	const next = async (): Promise<void> => {
		await clock.timerDueIn(1000, 1000);
		await clock.advance(1000);
	};
	await io.until(() => io.out.includes('waits'));
	server.answers.set('GET /mirror/transfers', {status: 503, code: 'ServiceUnavailableError', message: 'stopping'});
	await next();
	await io.until(() => io.err.includes('still trying'));
	await next();
	server.json('GET /mirror/transfers', [transfer('aa')]);
	await next();
	await io.until(() => io.out.includes('no more'));
	for (let second = 0; second < 8; second++) {
		await next();
		await server.until('GET /mirror/transfers', 5 + second);
	}
	await io.until(() => io.out.split('\n').length === 5);
	io.process.emit('SIGTERM');
	t.is(await running, 130);
	const line = 'base 1.0.0, 25% of 4.00 GB, 12.0 MB/s, 4 min 10 s, 4 clients, from joyent';
	t.is(
		io.out,
		[
			`2026-01-01T00:00:00.000Z ${line}`,
			'2026-01-01T00:00:00.000Z base 1.0.0, waits for its turn, 4 clients, from joyent',
			'2026-01-01T00:00:03.000Z base 1.0.0 is on its way no more',
			`2026-01-01T00:00:10.000Z ${line}`,
			'',
		].join('\n'),
	);
	t.is(io.err.match(/still trying/g)?.length, 1);
});

test('transfers --watch --json has an array a line', async t => {
	const {io, server, run} = await bench(t);
	const clock = new ManualClock();
	io.clock = clock;
	server.json('GET /mirror/transfers', [transfer('aa')]);
	const running = run('transfers', '--watch', '-j');
	await io.until(() => io.out !== '');
	await clock.timerDueIn(1000, 1000);
	await clock.advance(1000);
	await io.until(() => io.out.split('\n').length === 3);
	io.process.emit('SIGINT');
	t.is(await running, 130);
	t.deepEqual(
		io.out
			.trim()
			.split('\n')
			.map(line => (JSON.parse(line) as unknown[]).length),
		[1, 1],
	);
});

const lines = [
	{level: 30, time: '2026-01-02T03:04:05.678Z', msg: 'listening', addresses: ['http://x'], source: 'a b'},
	{
		level: 50,
		time: '2026-01-02T03:04:06.000Z',
		msg: 'bro\u001bken',
		code: 'E',
		message: 'm',
		err: {type: 'Error', stack: 'Error: x\n    at y'},
	},
];

test('log prints lines as the server writes them as text, or as they are', async t => {
	const {io, server, run} = await bench(t);
	server.answers.set('GET /mirror/log?lines=50&level=warn', {lines});
	t.is(await run('log', '-n', '50', '--level', 'warn'), 0);
	t.is(
		io.out,
		[
			'2026-01-02T03:04:05.678Z info  listening addresses=["http://x"] source="a b"'.replace(
				'["http://x"]',
				'"[\\"http://x\\"]"',
			),
			'2026-01-02T03:04:06.000Z error bro�ken code=E message=m',
			'Error: x',
			'    at y',
			'',
		].join('\n'),
	);
	io.out = '';
	t.is(await run('log', '-n', '50', '--level', 'warn', '--json'), 0);
	t.deepEqual(
		io.out
			.trim()
			.split('\n')
			.map(line => JSON.parse(line) as unknown),
		lines,
	);
});

test('log --follow goes on until Ctrl-C', async t => {
	const {io, server, run} = await bench(t);
	const never = new Promise(() => undefined);
	server.answers.set('GET /mirror/log?follow=true', {lines: [...lines, never]});
	const running = run('log', '-f');
	await io.until(() => io.out.includes('at y'));
	io.process.emit('SIGINT');
	t.is(await running, 130);
	t.is(io.err, '');
	t.is(await run('log', '--level', 'loud'), 2);
	t.is(await run('log', '-n', '0'), 2);
});

test('a second signal does not wait for what is under way', async t => {
	const {io, server, run} = await bench(t);
	server.answers.set('GET /mirror/log?follow=true', {lines: [...lines, new Promise(() => undefined)]});
	const running = run('log', '-f');
	await io.until(() => io.out.includes('at y'));
	io.process.emit('SIGINT');
	io.process.emit('SIGINT');
	t.is(await running, 130);
	t.deepEqual(io.exits, [130]);
});

test('a data directory is reached through its socket', async t => {
	const {io, runHere} = await bench(t);
	const data = await tempDir(t);
	t.is(await runHere('sources'), 0);
	t.regex(io.out, /joyent/);
	io.env['IMGMIRROR_URL'] = 'http://127.0.0.1:1';
	t.is(await runCli(['sources', '--data', data], io), 0);
});
