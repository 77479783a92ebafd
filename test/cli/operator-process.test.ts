/**
 * Operators' commands as processes of their own: on a terminal, in a pipe, stopped by a signal.
 */
import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {existsSync} from 'node:fs';
import {text} from 'node:stream/consumers';
import test from 'ava';
import {imgmirror, mainFile, run} from '../helpers/run-command.js';
import {bench, row, transfer, uuidOf} from './fake-operator.js';

test('in a pipe, tables are plain and JSON is JSON', async t => {
	const {server} = await bench(t);
	server.json('GET /mirror/images', [row('aa', {here: 'here'})]);
	const env = {IMGMIRROR_URL: server.url()};
	const {code, stdout, stderr} = await imgmirror(['images'], {env});
	t.deepEqual([code, stderr], [0, '']);
	t.is(stdout.split('\n')[1], `${uuidOf('aa')}  base  1.0.0    smartos  zone-dataset  2026-01-02  here`);
	const json = await imgmirror(['status', '--json'], {env});
	t.is(json.code, 0);
	t.like(JSON.parse(json.stdout), {status: {version: '1.2.3'}});
});

test('25,000 images are listed whole, and nobody has to read them to the end', async t => {
	const {server} = await bench(t);
	const rows = Array.from({length: 25_000}, (_, at) => row(at.toString(16).padStart(8, '0')));
	server.json('GET /mirror/images', rows);
	const env = {IMGMIRROR_URL: server.url()};
	const {code, stdout} = await imgmirror(['images', '-H', '-o', 'uuid'], {env});
	t.is(code, 0);
	t.is(stdout.split('\n').length, 25_001);
	const first = await run(
		'/bin/bash',
		['-c', `"$0" "$@" | head -1; echo "\${PIPESTATUS[0]}"`, process.execPath, mainFile, 'images', '-H'],
		{env},
	);
	t.regex(first.stdout, /^00000000-.*\n0\n$/);
	t.is(first.stderr, '');
});

const script = ['/usr/bin/script', '/bin/script'].find(file => existsSync(file));
/** util-linux's; illumos' and BSD's take a command in other ways. */
const ifTerminal = script !== undefined && process.platform === 'linux' ? test : test.skip;

ifTerminal('on a terminal there are colours, unless somebody has said NO_COLOR', async t => {
	const {server} = await bench(t);
	// AVA has said FORCE_COLOR, of which Node warns.
	const typed = `env -u FORCE_COLOR ${process.execPath} ${mainFile} status`;
	const env = {IMGMIRROR_URL: server.url(), TERM: 'xterm', NO_COLOR: ''};
	const coloured = await run(script ?? '', ['-qec', typed, '/dev/null'], {env});
	t.is(coloured.code, 0, coloured.stdout);
	t.true(coloured.stdout.includes('\u001b[32mall is well\u001b[0m'), coloured.stdout);
	const plain = await run(script ?? '', ['-qec', typed, '/dev/null'], {env: {...env, NO_COLOR: '1'}});
	t.is(plain.code, 0);
	t.notRegex(plain.stdout, /\u001b\[\d+m/);
	t.is(coloured.stdout.replaceAll(/\u001b\[\d+m/g, ''), plain.stdout);
});

for (const [signal, argv] of [
	['SIGINT', ['transfers', '--watch']],
	['SIGTERM', ['log', '--follow']],
	['SIGINT', ['prefetch', '--name', '*']],
] as const) {
	test(`${argv.join(' ')} ends by ${signal}, in order`, async t => {
		const {server} = await bench(t);
		server.json('GET /mirror/transfers', [transfer('aa')]);
		server.answers.set('GET /mirror/log', {
			lines: [{level: 30, time: 'now', msg: 'listening'}, new Promise(() => undefined)],
		});
		server.answers.set('POST /mirror/prefetch', {
			lines: [{what: 'done', uuid: uuidOf('aa'), outcome: 'fetched'}, new Promise(() => undefined)],
		});
		const child = spawn(process.execPath, [mainFile, ...argv], {
			env: {IMGMIRROR_URL: server.url()},
			stdio: ['ignore', 'pipe', 'pipe'],
		});
		t.teardown(() => void child.kill('SIGKILL'));
		const err = text(child.stderr);
		// Something has come through: it listens to signals by now.
		await (argv[0] === 'prefetch' ? once(child.stderr, 'data') : once(child.stdout, 'data'));
		const exited = once(child, 'exit');
		child.kill(signal);
		t.deepEqual(await exited, [130, null]);
		t.is((await err).includes('stopped: 1 of'), argv[0] === 'prefetch');
	});
}

test('a server that is not there is one line and 1', async t => {
	const {code, stdout, stderr} = await imgmirror(['status'], {env: {IMGMIRROR_URL: 'http://127.0.0.1:1'}});
	t.deepEqual([code, stdout], [1, '']);
	t.regex(stderr, /^imgmirror: cannot connect to http:\/\/127\.0\.0\.1:1: connection refused .*\n$/);
});
