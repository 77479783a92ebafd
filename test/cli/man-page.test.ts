/**
 * The man page as it is in the repository.
 */
import {existsSync, readFileSync} from 'node:fs';
import test from 'ava';
import {nodesOf, treeOf} from '../../src/cli/command-tree.js';
import {literal, manPage, text} from '../../src/cli/man-page.js';
import {createProgram, type Actions} from '../../src/cli/program.js';
import {fileURLToPath} from 'node:url';
import {run} from '../helpers/run-command.js';
import {FakeIo} from './fake-io.js';

const file = fileURLToPath(new URL('../../../man/imgmirror.8', import.meta.url));
const committed = readFileSync(file, 'utf8');
const tree = treeOf(createProgram({} as Actions, new FakeIo(), () => undefined));

test('it is what scripts/man.mjs makes of the commands', t => {
	t.is(committed, manPage(tree), 'run: npm run build && node scripts/man.mjs');
});

test('every command and flag stands in it', t => {
	for (const {path, flags} of nodesOf(tree).filter(node => node.path.length > 0 && node.path.at(-1) !== 'help')) {
		t.true(committed.includes(`.Ss imgmirror ${path.join(' ')}\n`), path.join(' '));
		for (const {long} of flags.filter(flag => flag.long !== '--help')) {
			t.true(committed.includes(`Fl ${long?.slice(1) ?? ''}`), long);
		}
	}
});

test('it is ASCII, and no text of it can be taken for a macro', t => {
	t.regex(committed, /^[\n -~]*$/);
	t.deepEqual(text('.Sh is no heading here. And --json is a flag, well-known. café'), [
		'\\&.Sh is no heading here.',
		'And \\-\\-json is a flag, well-known.'.replace('known.', 'known. caf\\[u00E9]'),
	]);
	t.deepEqual(literal(["  'a' --b ~c \\ `"]), [
		'.Bd -literal -offset indent',
		'\\(aqa\\(aq \\-\\-b \\(tic \\e \\(ga',
		'.Ed',
	]);
});

const where = (...names: string[]): string | undefined =>
	names.flatMap(name => [`/usr/bin/${name}`, `/opt/local/bin/${name}`]).find(path => existsSync(path));

const groff = where('groff');
(groff === undefined ? test.skip : test)('groff finds no fault with it', async t => {
	const {code, stdout, stderr} = await run(groff ?? '', ['-mdoc', '-Tascii', '-ww', '-z', file]);
	t.deepEqual({code, stdout, stderr}, {code: 0, stdout: '', stderr: ''});
});

const man = where('man');
(man === undefined ? test.skip : test)('man shows it, with flags as they are typed', async t => {
	const {code, stdout, stderr} = await run(man ?? '', ['--warnings', '-l', file], {
		env: {MANWIDTH: '80', LC_ALL: 'C', MANPAGER: 'cat', MANROFFOPT: '-c', GROFF_NO_SGR: '1'},
	});
	t.is(code, 0);
	t.is(stderr, '');
	const plain = stdout.replaceAll(/.\u0008/g, '');
	t.regex(plain, /^IMGMIRROR\(8\)/);
	t.regex(plain, /imgmirror prefetch --name 'base-64\*' --newest 2/);
});

const mandoc = where('mandoc');
(mandoc === undefined ? test.skip : test)('mandoc finds no fault with it', async t => {
	const {stdout} = await run(mandoc ?? '', ['-T', 'lint', '-W', 'warning', file]);
	t.is(stdout, '');
});
