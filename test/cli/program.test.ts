import {writeFileSync} from 'node:fs';
import {join} from 'node:path';
import test from 'ava';
import {nodesOf, treeOf} from '../../src/cli/command-tree.js';
import {createProgram, type Actions} from '../../src/cli/program.js';
import {runCli} from '../../src/cli/run.js';
import {tempDir} from '../helpers/temp-dir.js';
import {FakeIo} from './fake-io.js';

const run = async (...argv: string[]): Promise<{code: number; out: string; err: string; io: FakeIo}> => {
	const io = new FakeIo();
	const code = await runCli(argv, io);
	return {code, out: io.out, err: io.err, io};
};

test('the version is printed', async t => {
	t.like(await run('--version'), {code: 0, out: 'imgmirror 1.2.3\n', err: ''});
	t.like(await run('-V'), {code: 0, out: 'imgmirror 1.2.3\n', err: ''});
});

for (const argv of [['--help'], ['help'], ['-h']]) {
	test(`${argv.join(' ')} prints all commands, examples and exit codes`, async t => {
		const {code, out, err} = await run(...argv);
		t.is(code, 0);
		t.is(err, '');
		for (const part of [
			'Usage: imgmirror',
			'serve',
			'status',
			'images',
			'prefetch',
			'evict',
			'publish',
			'adopt',
			'lint',
			'export',
			'import',
			'have',
			'key',
			'bundle',
			'user',
			'config',
			'Examples:',
			'Exit codes:',
		]) {
			t.true(out.includes(part), part);
		}
	});
}

const refusing = new Proxy({}, {get: () => () => Promise.reject(new Error('nothing is to be run'))}) as Actions;
const commands = nodesOf(treeOf(createProgram(refusing, new FakeIo(), () => undefined)))
	.map(({path}) => path)
	.filter(path => path.length > 0 && path.at(-1) !== 'help');

test('all commands are known to this test', t => {
	t.true(commands.length > 50);
	t.true(commands.some(path => path.join(' ') === 'prefetch rules'));
});

for (const command of commands) {
	test(`help for "${command.join(' ')}" has examples and exit codes`, async t => {
		const {code, out} = await run(...command, '--help');
		t.is(code, 0);
		t.regex(out, /Examples?:\n/);
		t.regex(out, /Exit codes:\n/);
		t.true(out.split('\n').every(line => line.length <= 100));
		t.is((await run(...command.slice(0, -1), 'help', ...command.slice(-1))).out, out);
		t.is((await run('help', ...command)).out, out);
	});
}

const mistakes: Readonly<Record<string, readonly [argv: readonly string[], said: RegExp]>> = {
	'no command': [[], /^Usage: imgmirror /],
	'no command of config': [['config'], /^Usage: imgmirror config /],
	'an unknown command': [['serv'], /^imgmirror: unknown command 'serv'\n\(Did you mean serve\?\)/],
	'an unknown command of config': [['config', 'shw'], /unknown command 'shw'\n\(Did you mean show\?\)/],
	'an unknown flag': [['serve', '--lisen', '80'], /^imgmirror: unknown option '--lisen'\n\(Did you mean --listen\?\)/],
	'a flag without its value': [['serve', '--data'], /argument missing/],
	'help for what is no command': [
		['help', 'statsu'],
		/^imgmirror: unknown command 'statsu'\n\(Did you mean status\?\)/,
	],
	'an argument left out': [
		['prefetch', 'run'],
		/missing required argument 'rule'\n\("imgmirror help prefetch run" says what may stand there\)\n$/,
	],
	'too many arguments': [['config', 'check', 'x.json'], /too many arguments/],
	'a file that is not there': [
		['config', 'check', '--config', '/none.json'],
		/--config: expected a readable file.*ENOENT/,
	],
	'a wrong value': [
		['serve', '--log-level', 'loud'],
		/^imgmirror: the configuration: 1 fault\n {2}--log-level: expected .*got "loud"\n$/,
	],
};
for (const [what, [argv, said]] of Object.entries(mistakes)) {
	test(`exit code 2 and a reason on stderr: ${what}`, async t => {
		const {code, out, err, io} = await run(...argv);
		t.is(code, 2);
		t.is(out, '');
		t.regex(err, said);
		t.is(io.assembled.length, 0);
	});
}

test('config check says that there are no faults, and what the configuration comes to', async t => {
	const {code, out} = await run(
		'config',
		'check',
		'--source',
		'lab=http://10.0.0.5/datasets',
		'-l',
		'81',
		'-l',
		'unix:/s',
		'-d',
		'/d',
	);
	t.is(code, 0);
	t.is(
		out,
		[
			'the built-in configuration: no faults',
			'  listens on 127.0.0.1:81, unix:/s',
			'  keeps everything in /d',
			'  fronts lab: http://10.0.0.5 (dsapi)',
			'',
		].join('\n'),
	);
});

test('config check reports every fault on a line of its own', async t => {
	const file = join(await tempDir(t), 'c.json');
	writeFileSync(file, '{"lisen": 1,\n"data": 2}');
	const {code, err} = await run('config', 'check', '-c', file);
	t.is(code, 2);
	t.is(
		err,
		[
			`imgmirror: ${file}: 2 faults`,
			'  lisen (line 1): expected a known key, got "lisen"; did you mean "listen"?',
			'  data (line 2): expected a path, absolute or relative to the configuration file, got 2',
			'',
		].join('\n'),
	);
});

test('config show prints a configuration that config check accepts', async t => {
	const file = join(await tempDir(t), 'c.json');
	const {code, out} = await run(
		'config',
		'show',
		'--data',
		'/d',
		'--base-path',
		'/b',
		'--public-url',
		'http://x/b',
		'--log-format',
		'json',
	);
	t.is(code, 0);
	writeFileSync(file, out);
	t.like(JSON.parse(out), {
		'// data': 'from --data',
		data: '/d',
		basePath: '/b',
		publicUrl: 'http://x/b',
		log: {format: 'json'},
	});
	t.is((await run('config', 'check', '--config', file)).code, 0);
});

test('config example prints a configuration that config check accepts', async t => {
	const file = join(await tempDir(t), 'c.json');
	const {code, out} = await run('config', 'example');
	t.is(code, 0);
	writeFileSync(file, out);
	t.is((await run('config', 'check', '--config', file)).code, 0);
});

test('what nobody expected is said, with exit code 1', async t => {
	const io = new FakeIo();
	io.stdout.write = () => {
		throw new TypeError('broken');
	};
	t.is(await runCli(['config', 'example'], io), 1);
	t.regex(io.err, /^imgmirror: TypeError: broken\n {4}at /);
});
