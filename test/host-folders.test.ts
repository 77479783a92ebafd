import {access, mkdir, stat, symlink, writeFile} from 'node:fs/promises';
import path from 'node:path';
import test from 'ava';
import {dataMode, makeFolder} from '../src/host-folders.js';
import {tempDir} from './helpers/temp-dir.js';

test('a folder is made with those above it, once', async t => {
	const folder = path.join(await tempDir(t), 'a', 'b', 'c');
	await Promise.all([makeFolder(folder), makeFolder(folder), makeFolder(path.join(folder, 'd'))]);
	await makeFolder(folder);
	t.true((await stat(path.join(folder, 'd'))).isDirectory());
});

test('the last one is as closed as is said, those above it are as ever', async t => {
	const top = await tempDir(t);
	const modes = async (...names: readonly string[]): Promise<number> =>
		(await stat(path.join(top, ...names))).mode & 0o777;
	await mkdir(path.join(top, 'plain'));
	const ever = await modes('plain');
	await makeFolder(path.join(top, 'var', 'data'), dataMode);
	await makeFolder(path.join(top, 'other'), 0o700);
	t.deepEqual(await Promise.all([modes('var'), modes('var', 'data'), modes('other')]), [
		ever,
		ever & 0o750,
		ever & 0o700,
	]);
	// What is there is left as it is.
	await makeFolder(path.join(top, 'var'), 0o700);
	t.is(await modes('var'), ever);
});

test('a link to a folder is one, a file is none', async t => {
	const top = await tempDir(t);
	await makeFolder(path.join(top, 'real'));
	await symlink(path.join(top, 'real'), path.join(top, 'link'));
	await makeFolder(path.join(top, 'link', 'below'));
	await access(path.join(top, 'real', 'below'));
	await writeFile(path.join(top, 'file'), '');
	await t.throwsAsync(makeFolder(path.join(top, 'file')), {code: 'EEXIST'});
	await t.throwsAsync(makeFolder(path.join(top, 'file', 'below')), {code: 'ENOTDIR'});
	await symlink(path.join(top, 'nowhere'), path.join(top, 'dangling'));
	await t.throwsAsync(makeFolder(path.join(top, 'dangling')), {code: 'ENOENT'});
});

(process.platform === 'linux' ? test : test.skip)(
	'where no folder can be made, that is said instead of tried for ever',
	async t => {
		await t.throwsAsync(makeFolder('/proc/imgmirror/data'), {code: 'ENOENT'});
	},
);
