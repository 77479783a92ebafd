import {spawn, type ChildProcess} from 'node:child_process';
import {once} from 'node:events';
import {createServer, request} from 'node:http';
import type {AddressInfo} from 'node:net';
import {existsSync, mkdirSync, openSync, readFileSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {createInterface} from 'node:readline';
import {text} from 'node:stream/consumers';
import {fileURLToPath} from 'node:url';
import test from 'ava';
import {tempDir, type Scope} from '../helpers/temp-dir.js';

const main = fileURLToPath(new URL('../../src/main.js', import.meta.url));
const root = new URL('../../../', import.meta.url);

interface Options {
	readonly directory?: string;
	readonly env?: Readonly<Record<string, string>>;
	/** Instead of pipes. */
	readonly stdout?: number;
	readonly stderr?: number;
}

/** None of the variables that are set where the tests run: neither proxies nor our own. */
const start = (t: Scope, argv: readonly string[], options: Options = {}): ChildProcess => {
	const {directory, env = {}, stdout = 'pipe', stderr = 'pipe'} = options;
	const child = spawn(process.execPath, [main, ...argv], {cwd: directory, env, stdio: ['ignore', stdout, stderr]});
	t.teardown(() => void child.kill('SIGKILL'));
	return child;
};

const whole = async (stream: ChildProcess['stdout']): Promise<string> => (stream === null ? '' : text(stream));

async function run(t: Scope, argv: readonly string[], options?: Options): Promise<readonly [unknown, string, string]> {
	const child = start(t, argv, options);
	const [[code], out, err] = await Promise.all([
		once(child, 'exit') as Promise<unknown[]>,
		whole(child.stdout),
		whole(child.stderr),
	]);
	return [code, out, err];
}

/** Resolves with the ready line; the log is read, lest the pipe fill up. */
async function serve(
	t: Scope,
	argv: readonly string[],
	options?: Options,
): Promise<{child: ChildProcess; line: string}> {
	const child = start(t, ['serve', ...argv], options);
	const err = whole(child.stderr);
	if (child.stdout === null) {
		throw new Error('no stdout');
	}
	const line = once(createInterface(child.stdout), 'line').then(([first]) => String(first));
	const early = once(child, 'exit').then(async () => {
		throw new Error(`ended early: ${await err}`);
	});
	return {child, line: await Promise.race([line, early])};
}

async function stop(child: ChildProcess): Promise<unknown> {
	const ended = once(child, 'exit');
	child.kill('SIGTERM');
	const [code] = (await ended) as unknown[];
	return code;
}

test('the version is that of the package', async t => {
	const {version} = JSON.parse(readFileSync(new URL('package.json', root), 'utf8')) as {version: string};
	t.deepEqual(await run(t, ['--version']), [0, `imgmirror ${version}\n`, '']);
});

test('the outcome becomes the exit code', async t => {
	const [code, out, err] = await run(t, ['config', 'chek']);
	t.is(code, 2);
	t.is(out, '');
	t.regex(err, /Did you mean check\?/);
	t.is((await run(t, ['config', 'check', '--listen', '0']))[0], 0);
});

test('the environment is read', async t => {
	const directory = await tempDir(t);
	writeFileSync(join(directory, 'c.json'), '{"data": "here", "sources": "http://10.0.0.5"}');
	const [code, out] = await run(t, ['config', 'check'], {
		directory,
		env: {IMGMIRROR_CONFIG: 'c.json', IMGMIRROR_LISTEN: '0.0.0.0:80,unix:s'},
	});
	t.is(code, 0);
	t.true(out.includes(`listens on 0.0.0.0:80, unix:${directory}/s\n`), out);
	t.true(out.includes(`keeps everything in ${directory}/here\n`), out);
});

test('nobody reading the output is no failure', async t => {
	const child = start(t, ['config', 'example']);
	child.stdout?.destroy();
	const [[code], err] = await Promise.all([once(child, 'exit') as Promise<unknown[]>, whole(child.stderr)]);
	t.deepEqual([code, err], [0, '']);
});

/** A disk without space, where there is such a thing. */
const ifFull = existsSync('/dev/full') ? test : test.skip;

ifFull('what cannot be printed is one line, and 1', async t => {
	const [code, , err] = await run(t, ['config', 'example'], {stdout: openSync('/dev/full', 'w')});
	t.is(code, 1);
	t.regex(err, /^imgmirror: what was to be printed could not be: ENOSPC.*\n$/);
});

ifFull('a log on a full disk does not stop the mirror', async t => {
	const {child, line} = await serve(t, ['--listen', '127.0.0.1:0', '--source', 'http://127.0.0.1:1'], {
		directory: await tempDir(t),
		stderr: openSync('/dev/full', 'w'),
	});
	const url = / on (\S+),/.exec(line)?.[1] ?? '';
	for (let request = 0; request < 3; request++) {
		t.is((await fetch(`${url}/ping`)).status, 200);
		// Asked of the source, whose failure is logged.
		t.is((await fetch(`${url}/images`)).status, 503);
	}
	t.is(await stop(child), 0);
});

test('ready is one line with the port that was really bound, and SIGTERM ends it with 0', async t => {
	const directory = await tempDir(t);
	const {child, line} = await serve(t, ['--listen', '127.0.0.1:0', '--source', 'lab=http://127.0.0.1:1'], {directory});
	const [, url, advised] =
		/^imgmirror \S+ listening on (\S+), fronting lab \(http:\/\/127\.0\.0\.1:1\); on each SmartOS machine: imgadm sources -a (\S+)$/.exec(
			line,
		) ?? [];
	t.is(url, advised);
	const response = await fetch(`${url ?? ''}/ping`);
	t.is(response.status, 200);
	t.like(await response.json(), {imgapi: true});
	t.is(await stop(child), 0);
});

test('listening everywhere and on a socket: both work, and others are told an address they can reach', async t => {
	const directory = await tempDir(t);
	const {child, line} = await serve(t, ['-l', '0.0.0.0:0', '-l', 'unix:s', '-s', 'http://127.0.0.1:1', '-d', 'd'], {
		directory,
	});
	t.regex(line, / listening on http:\/\/0\.0\.0\.0:\d+ and unix:\/\S+\/s, /);
	const advised = /imgadm sources -a (http:\S+)$/.exec(line)?.[1] ?? '';
	t.notRegex(advised, /0\.0\.0\.0/);
	t.is((await fetch(`${advised}/ping`)).status, 200);
	const asking = request({socketPath: join(directory, 's'), path: '/ping'}).end();
	const [answer] = (await once(asking, 'response')) as [{statusCode: number; resume(): void}];
	answer.resume();
	t.is(answer.statusCode, 200);
	t.is(await stop(child), 0);
});

test('a port that is taken is one line of advice, and 1', async t => {
	const other = createServer().listen(0, '127.0.0.1');
	t.teardown(() => void other.close());
	await once(other, 'listening');
	const {port} = other.address() as AddressInfo;
	const [code, out, err] = await run(
		t,
		['serve', '-l', `127.0.0.1:${port}`, '-s', 'http://127.0.0.1:1', '--log-level', 'error'],
		{
			directory: await tempDir(t),
		},
	);
	t.is(code, 1);
	t.is(out, '');
	t.is(
		err,
		`imgmirror: cannot listen on 127.0.0.1:${port}: another process does so already; stop it, or choose another address with --listen\n`,
	);
});

test('a data directory that cannot be made is one line of advice, and 1', async t => {
	const directory = await tempDir(t);
	writeFileSync(join(directory, 'file'), '');
	const [code, , err] = await run(t, ['serve', '-l', '0', '-s', 'http://127.0.0.1:1', '-d', 'file/data'], {directory});
	t.is(code, 1);
	t.regex(
		err,
		/^imgmirror: the data directory \/\S+\/file\/data cannot be used: ENOTDIR.*; choose another data directory with --data.*\n$/,
	);
});

test('a data directory that another process has is waited for', async t => {
	const directory = await tempDir(t);
	mkdirSync(join(directory, 'd'));
	const argv = ['-l', '127.0.0.1:0', '-s', 'http://127.0.0.1:1', '-d', 'd'];
	const first = await serve(t, argv, {directory});
	const second = start(t, ['serve', ...argv], {directory});
	const {stdout, stderr} = second;
	if (stdout === null || stderr === null) {
		throw new Error('no pipes');
	}
	const ready = once(createInterface(stdout), 'line');
	const [logged] = (await once(createInterface(stderr), 'line')) as unknown[];
	t.like(JSON.parse(String(logged)), {
		msg: 'another imgmirror is using the data directory: waiting for it to end',
		data: join(directory, 'd'),
	});
	t.is(await stop(first.child), 0);
	t.regex(String(await ready), /^imgmirror \S+ listening on /);
	t.is(await stop(second), 0);
});

test('a log that nobody reads any more does not stop the mirror', async t => {
	const {child, line} = await serve(t, ['-l', '127.0.0.1:0', '-s', 'http://127.0.0.1:1', '--log-level', 'trace'], {
		directory: await tempDir(t),
	});
	child.stderr?.destroy();
	child.stdout?.destroy();
	const url = /listening on (\S+),/.exec(line)?.[1] ?? '';
	for (let asked = 0; asked < 3; asked++) {
		t.is((await fetch(`${url}/ping`)).status, 200);
	}
	t.is(await stop(child), 0);
});
