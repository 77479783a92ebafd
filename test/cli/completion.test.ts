/**
 * Completions as the shells themselves find them.
 */
import {existsSync} from 'node:fs';
import {writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {nodesOf, treeOf} from '../../src/cli/command-tree.js';
import {createProgram, type Actions} from '../../src/cli/program.js';
import {runCli} from '../../src/cli/run.js';
import {run} from '../helpers/run-command.js';
import {tempDir} from '../helpers/temp-dir.js';
import {FakeIo} from './fake-io.js';

async function script(shell: string): Promise<string> {
	const io = new FakeIo();
	const code = await runCli(['completion', shell], io);
	if (code !== 0) {
		throw new Error(io.err);
	}
	return io.out;
}

/** What bash offers for the last of the words. */
async function bash(t: ExecutionContext, ...words: string[]): Promise<readonly string[]> {
	const cwd = await tempDir(t);
	await writeFile(join(cwd, 'completion'), await script('bash'));
	await writeFile(join(cwd, 'a file.json'), '');
	await writeFile(join(cwd, 'afolder-not'), '');
	const asked = [
		'source ./completion',
		'mkdir -p afolder',
		'COMP_WORDS=(imgmirror "$@"); COMP_CWORD=$#; _imgmirror',
		'printf "%s\\n" "${COMPREPLY[@]}"',
	].join('\n');
	const {code, stdout, stderr} = await run('/bin/bash', ['-c', asked, 'bash', ...words], {cwd});
	t.is(code, 0, stderr);
	t.is(stderr, '');
	return stdout.split('\n').filter(line => line !== '');
}

test('bash completes commands, at every depth', async t => {
	t.deepEqual(await bash(t, 'sta'), ['status']);
	const all = await bash(t, '');
	for (const name of ['serve', 'status', 'images', 'prefetch', 'verify', 'completion', 'help']) {
		t.true(all.includes(name), name);
	}
	t.deepEqual(await bash(t, 'images', ''), ['list', 'show', 'help']);
	t.deepEqual(await bash(t, 'user', 'key', 'a'), ['add']);
	t.deepEqual(await bash(t, 'key', ''), ['new', 'show', 'list', 'trust', 'untrust', 'help']);
	t.deepEqual(await bash(t, 'bundle', ''), ['inspect', 'verify', 'help']);
	t.deepEqual(await bash(t, 'impo'), ['import-image', 'import']);
	t.deepEqual(await bash(t, 'prefetch', '--quiet', 'ru'), ['rules', 'run']);
	// After an image there is no command any more.
	t.deepEqual(await bash(t, 'prefetch', '01b2c898', 'ru'), []);
	t.deepEqual(await bash(t, 'help', 'stat'), ['status']);
});

test('bash completes flags, those of the command that stands there', async t => {
	t.deepEqual(await bash(t, 'prefetch', '--dr'), ['--dry-run']);
	t.deepEqual(await bash(t, 'prefetch', 'rules', '--dr'), []);
	// Where none is named, list is meant.
	t.deepEqual(await bash(t, 'images', '--out'), ['--output']);
	t.deepEqual(await bash(t, 'images', 'show', '--out'), []);
	t.deepEqual((await bash(t, 'status', '-')).includes('--check'), true);
	t.deepEqual(await bash(t, 'evict', '01b2c898', '--f'), ['--force']);
});

test('bash completes what stands behind a flag or a command: words, files, folders', async t => {
	t.deepEqual(await bash(t, 'log', '--level', 'w'), ['warn']);
	t.deepEqual(await bash(t, 'completion', ''), ['bash', 'zsh']);
	t.deepEqual([...(await bash(t, 'serve', '-c', 'a'))].sort(), ['a file.json', 'afolder', 'afolder-not']);
	t.deepEqual(await bash(t, 'serve', '--data', 'a'), ['afolder']);
	t.deepEqual(await bash(t, 'adopt', 'a'), ['afolder']);
	t.deepEqual(await bash(t, 'publish', 'a '), ['a file.json']);
	// A bundle is a folder or a file, and so is where one is written to; a key may be a file.
	for (const words of [['import'], ['bundle', 'verify'], ['export', '--to'], ['export', '--since'], ['key', 'trust']]) {
		t.deepEqual([...(await bash(t, ...words, 'a'))].sort(), ['a file.json', 'afolder', 'afolder-not'], words.join(' '));
	}
	// A name may be anything: no command, no file.
	t.deepEqual(await bash(t, 'prefetch', '--name', ''), []);
	t.deepEqual(await bash(t, 'log', '-n', '5', '--fo'), ['--follow']);
});

const zshProgram = ['/bin/zsh', '/usr/bin/zsh', '/usr/local/bin/zsh'].find(file => existsSync(file));
const ifZsh = zshProgram === undefined ? test.skip : test;

/** What a real zsh has made of the line when TAB was pressed. */
async function zsh(t: ExecutionContext, line: string): Promise<string> {
	const cwd = await tempDir(t);
	await writeFile(join(cwd, '_imgmirror'), await script('zsh'));
	const asked = [
		'zmodload zsh/zpty',
		'zpty z zsh -f -i',
		`zpty -w z "PS1=; stty -echo; fpath=(${cwd} \\$fpath); autoload -Uz compinit && compinit -u -D"`,
		'zpty -w z \'zstyle ":completion:*" menu no; bindkey "^I" complete-word; imgmirror() { print -r -- "GOT[$*]" }; print REA""DY\'',
		'zpty -r -m z out "*READY*"',
		// TAB completes what there is one of; the command then prints its words.
		`zpty -w -n z ${JSON.stringify(line)}$'\\t\\n'`,
		'zpty -r -m z out "*GOT\\[*\\]*"',
		'print -r -- "$out"',
		'zpty -d z',
	].join('\n');
	const {stdout, stderr} = await run(zshProgram ?? '', ['-f', '-c', asked], {cwd, env: {TERM: 'dumb', HOME: cwd}});
	const [, got] = /GOT\[([^\]]*)\]/.exec(stdout) ?? [];
	t.truthy(got, stdout + stderr);
	return got?.trim() ?? '';
}

ifZsh('zsh finds no fault with its script', async t => {
	const file = join(await tempDir(t), '_imgmirror');
	await writeFile(file, await script('zsh'));
	t.deepEqual(await run(zshProgram ?? '', ['-n', file]), {code: 0, stdout: '', stderr: ''});
});

ifZsh('zsh completes commands, flags and words', async t => {
	t.is(await zsh(t, 'imgmirror stat'), 'status');
	t.is(await zsh(t, 'imgmirror images sh'), 'images show');
	t.is(await zsh(t, 'imgmirror prefetch --dr'), 'prefetch --dry-run');
	t.is(await zsh(t, 'imgmirror log --level wa'), 'log --level warn');
	t.is(await zsh(t, 'imgmirror user key ad'), 'user key add');
	t.is(await zsh(t, 'imgmirror import site --allow'), 'import site --allow-unsigned');
	t.is(await zsh(t, 'imgmirror key tr'), 'key trust');
	t.is(await zsh(t, 'imgmirror prefetch 01b2c898 --dr'), 'prefetch 01b2c898 --dry-run');
	t.is(await zsh(t, 'imgmirror images name=x --skip'), 'images name=x --skip-header');
});

test('every command and flag is in both scripts', async t => {
	const nodes = nodesOf(treeOf(createProgram({} as Actions, new FakeIo(), () => undefined)));
	for (const text of await Promise.all([script('bash'), script('zsh')])) {
		for (const {path, flags} of nodes) {
			t.true(text.includes(path.at(-1) ?? 'imgmirror'), path.join(' '));
			for (const {long = ''} of flags) {
				t.true(text.includes(long), long);
			}
		}
	}
});

test('another shell is a mistake', async t => {
	const io = new FakeIo();
	t.is(await runCli(['completion', 'fish'], io), 2);
	t.regex(io.err, /Allowed choices are bash, zsh/);
});
