/**
 * The machine's own file system, as writers of bundles see it.
 */
import {mkdir, readFile, rm, symlink, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import test from 'ava';
import {diskError, machineDisk, readSmall, writeWhole} from '../../src/airgap/disk.js';
import {writeFolder} from '../../src/airgap/write-folder.js';
import {writeTar} from '../../src/airgap/write-tar.js';
import {MirrorError, NoSpaceError} from '../../src/errors.js';
import {makeImage} from '../helpers/make-image.js';
import {sameBytes} from '../helpers/same-bytes.js';
import {smallDisk} from '../helpers/small-disk.js';
import {tempDir} from '../helpers/temp-dir.js';
import {TestWrite, difference, makePlan, treeOf} from './write-bench.js';

test('files are read and written anywhere, and tell how large they are', async t => {
	const folder = await tempDir(t);
	const path = join(folder, 'a');
	const file = await machineDisk.open(path);
	await file.write(Buffer.from('hello'), 3);
	t.is(await file.size(), 8);
	const into = Buffer.alloc(10);
	t.is(await file.read(into, 2), 6);
	t.is(into.toString('latin1', 0, 6), '\0hello');
	t.is(await file.read(into, 8), 0);
	await file.truncate(4);
	await file.sync();
	await file.close();
	t.deepEqual(await machineDisk.find(path), {kind: 'file', size: 4});
	sameBytes(t, await readFile(path), Buffer.from('\0\0\0h'));
	// What is there stays there when it is opened.
	const again = await machineDisk.open(path);
	t.is(await again.size(), 4);
	await again.close();
	await machineDisk.syncFolder(folder);
	await machineDisk.syncFolder(join(folder, 'none'));
	await machineDisk.makeFolder(join(folder, 'b'));
	await machineDisk.makeFolder(join(folder, 'b'));
	await machineDisk.rename(path, join(folder, 'b', 'a'));
	t.deepEqual(await machineDisk.list(join(folder, 'b')), ['a']);
	await machineDisk.remove(join(folder, 'b', 'a'));
	await machineDisk.remove(join(folder, 'b', 'a'));
	t.deepEqual(await machineDisk.list(join(folder, 'b')), []);
	t.deepEqual(await machineDisk.list(join(folder, 'none')), []);
	t.is((await machineDisk.find(join(folder, 'b')))?.kind, 'folder');
	t.is(await machineDisk.find(join(folder, 'none', 'x')), undefined);
	const room = await machineDisk.room(folder);
	t.true((room?.freeBytes ?? 0) > 0 && (room?.blockBytes ?? 0) > 0);
	t.false(room?.isFat);
	t.is(await machineDisk.room(join(folder, 'none')), undefined);
});

test('small files are read whole and written at once', async t => {
	const folder = await tempDir(t);
	const path = join(folder, 'a');
	t.is(await readSmall(machineDisk, path, 10), undefined);
	await writeFile(`${path}.new`, 'something longer from before');
	await writeWhole(machineDisk, path, Buffer.from('hello'), `${path}.new`);
	t.is((await readSmall(machineDisk, path, 10))?.toString(), 'hello');
	t.is(await readSmall(machineDisk, path, 4), undefined);
	t.deepEqual(await machineDisk.list(folder), ['a']);
	t.is(await readSmall(machineDisk, folder, 1e9), undefined);
});

test('failures say what they mean, with the path', async t => {
	const folder = await tempDir(t);
	await symlink('/etc/passwd', join(folder, 'link'));
	await mkdir(join(folder, 'folder'));
	const message = async (work: Promise<unknown>): Promise<string> =>
		(await t.throwsAsync(work, {instanceOf: MirrorError})).message;
	t.is(await message(machineDisk.open(join(folder, 'link'))), `${folder}/link cannot be written: it is a link`);
	t.is(await message(machineDisk.open(join(folder, 'folder'))), `${folder}/folder cannot be written: it is a folder`);
	t.is(
		await message(machineDisk.open(join(folder, 'none', 'x'))),
		`${folder}/none/x cannot be written: there is no such folder`,
	);
	t.is(
		await message(machineDisk.makeFolder(join(folder, 'none', 'x'))),
		`${folder}/none/x cannot be written: there is no such folder`,
	);
	t.regex(await message(machineDisk.list(join(folder, 'link'))), /link cannot be written: there is no such folder$/);
	t.is((await machineDisk.find(join(folder, 'link')))?.kind, 'other');
	const coded = (code: string): Error => Object.assign(new Error('it is so'), {code});
	t.regex(diskError('/x', coded('EACCES')).message, /^\/x cannot be written: this account may not do so$/);
	t.is(diskError('/x', coded('EWEIRD')).message, '/x: it is so');
	t.true(diskError('/x', coded('EDQUOT')) instanceof NoSpaceError);
});

test('a real disk that is full is said to be, and what fits is gone on with', async t => {
	const disk = await smallDisk(t, 4);
	if (disk === undefined) {
		t.pass();
		return;
	}
	const large = makeImage({size: 6_000_000});
	const small = makeImage({size: 900_000});
	const tooMuch = makePlan({images: [small, large]});
	tooMuch.files.pieceBytes = 65_536;
	for (const write of [writeFolder, writeTar]) {
		const path = join(disk, write === writeTar ? 'x.tar' : 'x');
		// As if the file system did not tell.
		const untold = {...machineDisk, room: async () => undefined};
		const options = {...optionsOf(new TestWrite(tooMuch)), disk: untold};
		await t.throwsAsync<Error>(async () => write(path, options), {instanceOf: NoSpaceError, message: /no room left/});
		await t.throwsAsync<Error>(async () => write(path, {...options, disk: machineDisk}), {
			instanceOf: NoSpaceError,
			message: /^the bundle needs \d+ bytes, .* has \d+ free$/,
		});
		for (const name of await machineDisk.list(disk)) {
			await rm(join(disk, name), {recursive: true});
		}
	}
	const made = makePlan({images: [small]});
	await writeFolder(join(disk, 'x'), {...optionsOf(new TestWrite(made)), disk: machineDisk});
	t.is(difference(await treeOf(join(disk, 'x')), made.bundle.files), '');
});

function optionsOf({
	plan,
	fetch,
	progress,
	signal,
	replace,
}: TestWrite): Omit<TestWrite, 'disk' | 'partBytes' | 'controller' | 'total' | 'done' | 'said'> {
	return {plan, fetch, progress, signal, replace};
}
