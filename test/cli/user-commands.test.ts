import {spawn} from 'node:child_process';
import {EventEmitter, once} from 'node:events';
import {existsSync, mkdirSync, readFileSync, readdirSync, statSync, unlinkSync, writeFileSync} from 'node:fs';
import {hostname} from 'node:os';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import bcrypt from 'bcryptjs';
import {Command, CommanderError} from 'commander';
import test from 'ava';
import {Access} from '../../src/access/access.js';
import {askHidden, isTerminal, readPiped} from '../../src/cli/password-input.js';
import {userCommands} from '../../src/cli/user-commands.js';
import type {CliIo, Input} from '../../src/cli/io.js';
import {ConfigError, MirrorError} from '../../src/errors.js';
import {basic, noSettings, request} from '../access/start-access.js';
import {makeKey} from '../access/signing.js';
import {tempDir, type Scope} from '../helpers/temp-dir.js';
import {testHost} from '../helpers/test-host.js';

interface Ran {
	readonly code: number;
	readonly out: string;
	readonly err: string;
}

/** A terminal at which somebody types. */
class FakeTerminal implements Input {
	readonly isTTY = true;
	readonly modes: boolean[] = [];
	readonly #typed: readonly (string | Buffer)[];

	constructor(typed: readonly (string | Buffer)[]) {
		this.#typed = typed;
	}

	setRawMode(raw: boolean): void {
		this.modes.push(raw);
	}

	async *[Symbol.asyncIterator](): AsyncIterator<unknown> {
		yield* this.#typed;
	}
}

async function* piped(text: string): AsyncGenerator {
	const bytes = Buffer.from(text);
	yield bytes.subarray(0, 1);
	yield bytes.subarray(1);
}

/** What `program.ts` and `run.ts` make of it, in short. */
async function run(data: string, argv: readonly string[], stdin: Input = piped('')): Promise<Ran> {
	const said = {out: '', err: ''};
	const io: CliIo = {
		stdin,
		stdout: {write: text => (said.out += String(text))},
		stderr: {write: text => (said.err += String(text))},
		env: {IMGMIRROR_DATA: data},
		directory: data,
		version: '1',
		process: new EventEmitter(),
		exit: () => undefined,
		networkInterfaces: () => ({}),
	};
	const program = new Command('imgmirror').exitOverride().configureOutput({
		writeOut: text => (said.out += text),
		writeErr: text => (said.err += text),
	});
	userCommands(program, io);
	try {
		await program.parseAsync(['user', ...argv], {from: 'user'});
		return {code: 0, ...said};
	} catch (error) {
		if (error instanceof CommanderError) {
			return {code: error.exitCode === 0 ? 0 : 2, ...said};
		}
		if (error instanceof ConfigError) {
			return {code: 2, ...said, err: said.err + error.faults.join('\n')};
		}
		if (error instanceof MirrorError) {
			return {code: 1, ...said, err: said.err + error.message};
		}
		throw error;
	}
}

function identify(data: string, headers: Record<string, string>): ReturnType<Access['identify']> {
	const access = new Access({
		host: testHost(),
		usersFile: join(data, 'users.json'),
		keysFolder: join(data, 'keys'),
		settings: noSettings,
	});
	return access.identify(request(headers));
}

async function withAlice(t: Scope): Promise<string> {
	const data = await tempDir(t);
	await run(data, ['add', 'alice', '--may', 'publish', '--password-stdin'], piped('a:b\n'));
	return data;
}

test('a user who is added can log in, and the password is in no file', async t => {
	const data = await tempDir(t);
	const {code, out, err} = await run(
		data,
		['add', 'alice', '--may', 'publish,operate', '--password-stdin'],
		piped('gehe:im\r\n'),
	);
	t.is(err, '');
	t.is(code, 0);
	t.is(out, `added alice to ${join(data, 'users.json')}, who may publish,operate\n`);
	const caller = await identify(data, basic('alice', 'gehe:im'));
	t.like(caller, {user: 'alice', credential: 'password'});
	t.true(caller.rights.has('operate'));
	t.false(readFileSync(join(data, 'users.json'), 'utf8').includes('gehe'));
	t.is(statSync(join(data, 'users.json')).mode & 0o777, 0o600);
	t.deepEqual(readdirSync(data), ['users.json']);
});

test('--data goes before everything else', async t => {
	const data = await tempDir(t);
	t.is((await run('/nonexistent', ['add', 'alice', '--data', join(data, 'd')])).code, 0);
	t.true(existsSync(join(data, 'd', 'users.json')));
});

test('the data directory of a configuration is used', async t => {
	const data = await tempDir(t);
	writeFileSync(join(data, 'c.json'), '{"data": "elsewhere"}');
	t.is((await run('', ['add', 'alice', '-c', join(data, 'c.json')])).code, 0);
	t.true(existsSync(join(data, 'elsewhere', 'users.json')));
});

test('somebody without a password is told what to do next', async t => {
	const {code, out} = await run(await tempDir(t), ['add', 'alice']);
	t.is(code, 0);
	t.regex(out, /who may nothing of their own\nalice has no password: add a key or a token/);
});

test('hashes of older servers are taken as they are', async t => {
	const data = await tempDir(t);
	const hash = bcrypt.hashSync('old', 4).replace('$2b$', '$2y$');
	t.is((await run(data, ['add', 'bob', '--hash-stdin'], piped(`${hash}\n`))).code, 0);
	t.is((await identify(data, basic('bob', 'old'))).user, 'bob');
	t.regex((await run(data, ['list'])).out, /bob +nothing of their own +bcrypt/);
});

test('passwd changes the password and nothing else', async t => {
	const data = await withAlice(t);
	const {code, out} = await run(data, ['passwd', 'alice', '--password-stdin'], piped('new'));
	t.deepEqual([code, out], [0, 'changed the password of alice\n']);
	const caller = await identify(data, basic('alice', 'new'));
	t.true(caller.rights.has('publish'));
	await t.throwsAsync(identify(data, basic('alice', 'a:b')));
	t.like(await run(data, ['passwd', 'alice']), {
		code: 1,
		err: 'no password was given: pipe it in with --password-stdin',
	});
});

test('may changes what somebody may', async t => {
	const data = await withAlice(t);
	t.like(await run(data, ['may', 'alice', 'operate, read']), {code: 0, out: 'alice may operate,read\n'});
	t.true((await identify(data, basic('alice', 'a:b'))).rights.has('operate'));
	t.like(await run(data, ['may', 'alice', 'none']), {code: 0, out: 'alice may nothing of their own\n'});
	t.false((await identify(data, basic('alice', 'a:b'))).rights.has('publish'));
});

test('who is removed logs in no more', async t => {
	const data = await withAlice(t);
	t.like(await run(data, ['remove', 'alice']), {code: 0, out: 'removed alice\n'});
	await t.throwsAsync(identify(data, basic('alice', 'a:b')));
	t.like(await run(data, ['list']), {
		code: 0,
		out: `there are no users: none in ${join(data, 'users.json')}, and none in the configuration\n`,
	});
	await run(data, ['add', 'alice']);
	mkdirSync(join(data, 'keys'));
	writeFileSync(join(data, 'keys', 'alice.keys'), makeKey('ed25519').line);
	t.regex((await run(data, ['remove', 'alice'])).out, /what is known from keys goes on to be good/);
});

test('keys are added, listed and removed', async t => {
	const data = await withAlice(t);
	const [one, two] = [makeKey('ed25519'), makeKey('rsa')];
	writeFileSync(join(data, 'id.pub'), `# two\n${one.line}\n${two.line}\n`);
	const added = await run(data, ['key', 'add', 'alice', 'id.pub']);
	t.is(added.code, 0);
	const fingerprints = [...added.out.matchAll(/^added (SHA256:\S{43}) to alice$/gm)].map(([, found = '']) => found);
	t.is(fingerprints.length, 2);
	t.regex((await run(data, ['key', 'add', 'alice'], piped(one.line))).out, /^alice has SHA256:\S+ already\n$/);
	const list = await run(data, ['key', 'list', 'alice']);
	t.is(
		list.out,
		`${fingerprints[0]}  ED25519  256   someone@example.com\n${fingerprints[1]}  RSA      2048  someone@example.com\n`,
	);
	t.is(
		(await run(data, ['key', 'remove', 'alice', fingerprints[0] ?? ''])).out,
		`removed ${fingerprints[0]} from alice\n`,
	);
	t.like(await run(data, ['key', 'remove', 'alice', fingerprints[0] ?? '']), {code: 1});
	t.is((await run(data, ['key', 'remove', 'alice', '-'], piped(two.line))).code, 0);
	t.is((await run(data, ['key', 'list', 'alice'])).out, 'alice has no keys\n');
});

test('files that hold no public key are refused', async t => {
	const data = await withAlice(t);
	const before = readFileSync(join(data, 'users.json'), 'utf8');
	for (const [text, said] of [
		['', /there is no key in it/],
		['nonsense', /line 1: that is no SSH public key/],
		['-----BEGIN OPENSSH PRIVATE KEY-----\nb3B\n', /is a private key, which nobody else should have/],
	] as const) {
		const {code, err} = await run(data, ['key', 'add', 'alice', '-'], piped(text));
		t.is(code, 1);
		t.regex(err, said);
	}
	t.regex((await run(data, ['key', 'add', 'alice', 'none.pub'])).err, /cannot be read: ENOENT/);
	t.is(readFileSync(join(data, 'users.json'), 'utf8'), before);
});

test('a token is printed once, alone, and logs in', async t => {
	const data = await withAlice(t);
	const {code, out, err} = await run(data, ['token', 'add', 'alice', 'build server']);
	t.is(code, 0);
	t.regex(out, /^imt_[\da-f]{48}\n$/);
	t.regex(err, /it is not shown again/);
	t.like(await identify(data, {authorization: `Bearer ${out.trim()}`}), {user: 'alice', credential: 'token'});
	t.false(readFileSync(join(data, 'users.json'), 'utf8').includes(out.trim()));
	t.regex((await run(data, ['token', 'list', 'alice'])).out, /^LABEL +CREATED\nbuild server +\d{4}-\S+Z\n$/);
	t.regex((await run(data, ['token', 'add', 'alice', 'build server'])).err, /has a token "build server" already/);
	t.is((await run(data, ['token', 'remove', 'alice', 'build server'])).code, 0);
	t.like(await run(data, ['token', 'remove', 'alice', 'build server']), {code: 1});
	await t.throwsAsync(identify(data, {authorization: `Bearer ${out.trim()}`}));
	t.is((await run(data, ['token', 'list', 'alice'])).out, 'alice has no tokens\n');
});

test('the list shows everybody, wherever they are known from', async t => {
	const data = await withAlice(t);
	const line = makeKey('ed25519').line;
	mkdirSync(join(data, 'keys'));
	writeFileSync(join(data, 'keys', 'carl.keys'), `${line}\nnonsense\n`);
	writeFileSync(
		join(data, 'c.json'),
		JSON.stringify({data, access: {authKeys: {alice: line}, keyUsersMay: ['operate']}}),
	);
	const table = await run(data, ['list', '-c', join(data, 'c.json')]);
	t.is(
		table.out,
		[
			'NAME   MAY      PASSWORD  KEYS  TOKENS  FROM',
			'alice  publish  scrypt    1     0       users.json,configuration',
			'carl   operate  -         1     0       keys',
			'',
		].join('\n'),
	);
	t.regex(table.err, /carl\.keys, line 2: that is no SSH public key\n$/);
	const json = JSON.parse((await run(data, ['list', '-j'])).out) as readonly unknown[];
	t.like(json, [
		{name: 'alice', may: ['publish'], password: 'scrypt', keys: [], tokens: [], from: ['users.json']},
		{name: 'carl', password: null, keys: [{type: 'ed25519', bits: 256, comment: 'someone@example.com'}]},
	]);
	t.deepEqual(JSON.parse((await run(await tempDir(t), ['list', '--json'])).out), []);
});

const mistakes: Readonly<
	Record<string, readonly [code: number, argv: readonly string[], stdin: string, said: RegExp]>
> = {
	'a name with a colon': [2, ['add', 'a:b'], '', /a user name has up to 64 letters/],
	'a name with a slash': [2, ['remove', '../x'], '', /a user name has/],
	'an unknown right': [2, ['add', 'bob', '--may', 'publish,write'], '', /rights are read, private, publish, operate/],
	'no right at all': [2, ['may', 'alice', ''], '', /rights are/],
	'a user who is there': [1, ['add', 'alice', '--password-stdin'], 'x', /there is a user alice already/],
	'a user who is not': [1, ['passwd', 'bob', '--password-stdin'], 'x', /there is no user bob in /],
	'no user to change': [1, ['may', 'bob', 'read'], '', /there is no user bob/],
	'no user to remove': [1, ['remove', 'bob'], '', /there is no user bob/],
	'no user for a key': [1, ['key', 'add', 'bob', '-'], makeKey('ed25519').line, /there is no user bob/],
	'no user for a token': [1, ['token', 'add', 'bob'], '', /there is no user bob/],
	'no user whose keys': [1, ['key', 'list', 'bob'], '', /there is no user bob/],
	'an empty password': [1, ['passwd', 'alice', '--password-stdin'], '\n', /the password is empty/],
	'two lines of password': [1, ['passwd', 'alice', '--password-stdin'], 'a\nb\n', /has a line break/],
	'two ways at once': [1, ['passwd', 'alice', '--password-stdin', '--hash-stdin'], 'a', /there is one pipe/],
	'a clear password as hash': [1, ['passwd', 'alice', '--hash-stdin'], 'geheim', /is no hash that we can check/],
	'a label of two lines': [2, ['token', 'add', 'alice', 'a\nb'], '', /a label is up to 64/],
	'no name': [2, ['add'], '', /missing required argument 'name'/],
	'a configuration that is not there': [2, ['list', '-c', '/none.json'], '', /expected a readable file/],
};
for (const [what, [code, argv, stdin, said]] of Object.entries(mistakes)) {
	test(`exit code ${code}, a reason, and nothing changed: ${what}`, async t => {
		const data = await withAlice(t);
		const before = readFileSync(join(data, 'users.json'), 'utf8');
		const ran = await run(data, argv, piped(stdin));
		t.is(ran.code, code);
		t.regex(ran.err, said);
		t.is(ran.out, '');
		t.is(readFileSync(join(data, 'users.json'), 'utf8'), before);
	});
}

for (const argv of [
	['list'],
	['list', '--json'],
	['passwd', 'alice', '--password-stdin'],
	['may', 'alice', 'read'],
	['remove', 'alice'],
	['key', 'add', 'alice', '-'],
	['key', 'list', 'alice'],
	['key', 'remove', 'alice', `SHA256:${'a'.repeat(43)}`],
	['token', 'add', 'alice'],
	['token', 'list', 'alice'],
	['token', 'remove', 'alice', 'label'],
]) {
	test(`a data directory that is not there is said, and not made: user ${argv.join(' ')}`, async t => {
		const data = join(await tempDir(t), 'absent');
		const {code, out, err} = await run(data, argv, piped(`${makeKey('ed25519').line}\n`));
		t.is(code, 1);
		t.is(out, '');
		t.is(err, `there is no data directory ${data}: name the one of the server with --data or --config`);
		t.false(existsSync(data));
	});
}

test('users of the configuration are listed where there is no data directory', async t => {
	const folder = await tempDir(t);
	const file = join(folder, 'c.json');
	const data = join(folder, 'absent');
	writeFileSync(file, JSON.stringify({data, access: {authKeys: {alice: makeKey('ed25519').line}}}));
	const {code, out, err} = await run('', ['list', '-c', file]);
	t.deepEqual([code, err], [0, '']);
	t.regex(out, /^alice .* configuration$/m);
	t.is((await run('', ['key', 'list', 'alice', '-c', file])).code, 0);
	t.regex((await run('', ['remove', 'alice', '-c', file])).err, /there is no data directory/);
	t.is((await run('', ['add', 'bob', '-c', file])).code, 0);
	t.true(existsSync(join(data, 'users.json')));
});

test('a broken file of users is said and left as it is', async t => {
	const data = await tempDir(t);
	writeFileSync(join(data, 'users.json'), '{');
	for (const argv of [['list'], ['add', 'alice'], ['remove', 'alice'], ['key', 'list', 'alice']]) {
		const {code, err} = await run(data, argv);
		t.is(code, 1);
		t.regex(err, /users\.json is not JSON/);
	}
	t.is(readFileSync(join(data, 'users.json'), 'utf8'), '{');
});

const commands = [
	[],
	...['add', 'list', 'passwd', 'may', 'key', 'token', 'remove'].map(name => [name]),
	...['add', 'list', 'remove'].flatMap(name => [
		['key', name],
		['token', name],
	]),
];
for (const command of commands) {
	test(`help has examples and exit codes: user ${command.join(' ')}`, async t => {
		const {code, out} = await run(await tempDir(t), [...command, '--help']);
		t.is(code, 0);
		t.regex(out, /Examples?:\n/);
		t.regex(out, /Exit codes:\n/);
		t.true(out.split('\n').every(line => line.length <= 100));
	});
}

test('a terminal is asked for a password, twice, without showing it', async t => {
	const data = await tempDir(t);
	const terminal = new FakeTerminal(['ge', 'hx\u007Fe', '\u001Bim\r', Buffer.from('geheim\r')]);
	const {code, out, err} = await run(data, ['add', 'alice'], terminal);
	t.is(code, 0);
	t.is(err, 'Password for alice: \nOnce more: \n');
	t.false(`${out}${err}`.includes('geheim'));
	t.deepEqual(terminal.modes, [true, false]);
	t.is((await identify(data, basic('alice', 'geheim'))).user, 'alice');
	t.is((await run(data, ['add', 'bob', '--no-password'], new FakeTerminal([]))).code, 0);
	t.like(await run(data, ['passwd', 'alice'], new FakeTerminal(['a\r', 'b\r'])), {code: 1});
	t.like(await run(data, ['passwd', 'alice'], new FakeTerminal(['\r\r'])), {code: 1});
});

test('Ctrl-C at the prompt ends it and gives the terminal back', async t => {
	for (const typed of [['abc', '\u0003'], ['\u0004'], ['abc']]) {
		const terminal = new FakeTerminal(typed);
		await t.throwsAsync(askHidden(terminal, {write: () => true}, ['?']), {message: 'stopped'});
		t.deepEqual(terminal.modes, [true, false]);
	}
});

test('characters that arrive in pieces, and lines that are taken back, are read right', async t => {
	const bytes = Buffer.from('xy\u0015ü🔑z\b\n');
	const [answer] = await askHidden(new FakeTerminal([...bytes].map(byte => Buffer.from([byte]))), {write: () => true}, [
		'?',
	]);
	t.is(answer, 'ü🔑');
	t.is(await readPiped(piped('ü\n\n')), 'ü\n');
	t.false(isTerminal(piped('')));
	t.is((await readPiped(piped('x'.repeat(1e6)))).length, 1e6, 'one chunk is what it is');
});

test('a real process waits for the lock of another one', async t => {
	const data = await tempDir(t);
	const lock = join(data, 'users.json.lock');
	writeFileSync(lock, JSON.stringify({pid: process.pid, host: hostname(), nonce: 'x'}));
	const script = `
		import {UserActions} from ${JSON.stringify(new URL('../../src/cli/user-actions.js', import.meta.url).href)};
		const io = {stdin: process.stdin, stdout: process.stdout, stderr: process.stderr, env: {}, directory: '.'};
		process.stdout.write('waiting\\n');
		await new UserActions(io, {env: {}, flags: {data: ${JSON.stringify(data)}}}).add('alice', {password: false});
	`;
	const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
		stdio: ['ignore', 'pipe', 'inherit'],
		cwd: fileURLToPath(new URL('.', import.meta.url)),
	});
	await once(child.stdout, 'data');
	t.false(existsSync(join(data, 'users.json')));
	unlinkSync(lock);
	const [code] = (await once(child, 'exit')) as [number];
	t.is(code, 0);
	t.true(existsSync(join(data, 'users.json')));
	t.false(existsSync(lock));
});
