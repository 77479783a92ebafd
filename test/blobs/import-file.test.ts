import {execFile} from 'node:child_process';
import {appendFileSync, utimesSync} from 'node:fs';
import {
	appendFile,
	chmod,
	link,
	mkdir,
	readFile,
	readdir,
	rename,
	rm,
	stat,
	symlink,
	utimes,
	writeFile,
} from 'node:fs/promises';
import path from 'node:path';
import {promisify} from 'node:util';
import test from 'ava';
import {IntegrityError, NoSpaceError, NotFoundError, UsageError} from '../../src/errors.js';
import {FakeSupplier} from '../helpers/fake-supplier.js';
import {makeImage} from '../helpers/make-image.js';
import {smallDisk} from '../helpers/small-disk.js';
import {tempDir} from '../helpers/temp-dir.js';
import {contentOf, stored} from './sending.js';
import {sha1Of, startStore} from './start-store.js';

const run = promisify(execFile);
const ways = ['copy', 'link', 'move'] as const;
const image = makeImage({size: 3_500_000});
const expected = {sha1: sha1Of(image), size: image.size};

async function isThere(file: string): Promise<boolean> {
	return stat(file).then(
		() => true,
		() => false,
	);
}

for (const how of ways) {
	test(`${how}: a file of this machine becomes a blob with all its digests`, async t => {
		const rig = await startStore(t);
		const file = path.join(await tempDir(t), 'file.gz');
		await writeFile(file, image.bytes);
		const {ino} = await stat(file);
		const told: number[] = [];
		const info = await rig.store.importFile(file, how, {
			expected,
			pinnedBy: 'x',
			onProgress: bytes => told.push(bytes),
		});
		const {sha1, sha256, md5, size} = image;
		t.like(info, {sha1, sha256, md5, size, source: 'local'});
		t.true((await contentOf(rig.store, info))?.equals(image.bytes));
		t.true(rig.store.isPinned(sha1Of(image)));
		t.is(await isThere(file), how !== 'move');
		const blob = await stat(rig.layout.blob(sha1Of(image)));
		t.is(blob.ino === ino, how !== 'copy');
		t.is(blob.nlink, how === 'link' ? 2 : 1);
		t.deepEqual(await readdir(rig.layout.uploads), []);
		t.deepEqual(
			told,
			[...told].sort((a, b) => a - b),
		);
		t.is(told.at(-1), image.size);
	});

	test(`${how}: a file that is not what was expected stays where it was, and nothing is stored`, async t => {
		const rig = await startStore(t);
		const file = path.join(await tempDir(t), 'file.gz');
		const wrong = Buffer.from(image.bytes).fill(0, 1_000_000, 1_000_001);
		for (const bytes of [wrong, image.bytes.subarray(1), Buffer.concat([image.bytes, wrong])]) {
			await writeFile(file, bytes);
			await t.throwsAsync(rig.store.importFile(file, how, {expected}), {instanceOf: IntegrityError});
			t.true((await readFile(file)).equals(bytes));
			t.deepEqual(await readdir(rig.layout.uploads), []);
			t.is(rig.store.count, 0);
		}
	});

	test(`${how}: what is no plain file is refused`, async t => {
		const rig = await startStore(t);
		const folder = await tempDir(t);
		const [file, sym, dir, fifo] = ['file', 'sym', 'dir', 'fifo'].map(name => path.join(folder, name)) as [
			string,
			string,
			string,
			string,
		];
		await writeFile(file, image.bytes);
		await symlink(file, sym);
		await mkdir(dir);
		await run('mkfifo', [fifo]);
		for (const [what, message] of [
			[sym, /symbolic link/],
			[dir, /not a plain file/],
			[fifo, /not a plain file/],
			['/dev/null', /not a plain file/],
		] as const) {
			await t.throwsAsync(rig.store.importFile(what, how), {instanceOf: UsageError, message});
		}
		await t.throwsAsync(rig.store.importFile(path.join(folder, 'none'), how), {instanceOf: NotFoundError});
		t.deepEqual((await readdir(folder)).sort(), ['dir', 'fifo', 'file', 'sym']);
		t.is(rig.store.count, 0);
	});

	test(`${how}: a file that changes while it is read is not taken over`, async t => {
		const rig = await startStore(t);
		const file = path.join(await tempDir(t), 'file.gz');
		const changes: Readonly<Record<string, () => void>> = {
			written: () => {
				appendFileSync(file, 'more');
			},
			touched: () => {
				utimesSync(file, new Date(), new Date(1000));
			},
		};
		for (const [name, change] of Object.entries(changes)) {
			await writeFile(file, image.bytes);
			const taking = rig.store.importFile(file, how, {onProgress: change});
			await t.throwsAsync(taking, {instanceOf: IntegrityError, message: /changed while/}, name);
			t.true(await isThere(file), name);
			t.deepEqual(await readdir(rig.layout.uploads), [], name);
			t.is(rig.store.count, 0, name);
		}
	});

	test(`${how}: called off, nothing is left, and the original is there`, async t => {
		const rig = await startStore(t);
		const file = path.join(await tempDir(t), 'file.gz');
		await writeFile(file, image.bytes);
		await t.throwsAsync(rig.store.importFile(file, how, {signal: AbortSignal.abort(new Error('no'))}), {message: 'no'});
		const abort = new AbortController();
		const onProgress = (): void => {
			abort.abort(new Error('enough'));
		};
		await t.throwsAsync(rig.store.importFile(file, how, {signal: abort.signal, onProgress}), {message: 'enough'});
		t.true(await isThere(file));
		t.deepEqual(await readdir(rig.layout.uploads), []);
		t.is(rig.store.count, 0);
	});

	test(`${how}: from another file system`, async t => {
		const other = await smallDisk(t, 8);
		if (other === undefined) {
			t.pass();
			return;
		}
		const rig = await startStore(t);
		const file = path.join(other, 'file.gz');
		await writeFile(file, image.bytes);
		const info = await rig.store.importFile(file, how, {expected});
		t.true((await contentOf(rig.store, info))?.equals(image.bytes));
		t.is(await isThere(file), how !== 'move');
		t.is(rig.host.linesLike(/cannot be linked/).length, how === 'copy' ? 0 : 1);
	});

	test(`${how}: onto a disk that is full, nothing is left, and the original is there`, async t => {
		const root = await smallDisk(t, 2);
		if (root === undefined) {
			t.pass();
			return;
		}
		const rig = await startStore(t, {root});
		const file = path.join(await tempDir(t), 'file.gz');
		await writeFile(file, image.bytes);
		const told = rig.store.freeBytes.bind(rig.store);
		await t.throwsAsync(rig.store.importFile(file, how), {instanceOf: NoSpaceError, message: /the disk has .* left/});
		rig.store.freeBytes = async () => undefined;
		await t.throwsAsync(rig.store.importFile(file, how), {instanceOf: NoSpaceError, message: /ENOSPC/});
		rig.store.freeBytes = told;
		t.deepEqual(await readdir(rig.layout.uploads), []);
		t.true((await readFile(file)).equals(image.bytes));
		t.true(((await rig.store.freeBytes()) ?? 0) > 1_500_000);
	});

	test(`${how}: a file that we have already`, async t => {
		const rig = await startStore(t);
		const file = path.join(await tempDir(t), 'file.gz');
		await writeFile(file, image.bytes);
		const before = await stored(rig.store, image.bytes);
		const {ino} = await stat(rig.layout.blob(sha1Of(image)));
		t.is(await rig.store.importFile(file, how, {expected}), before);
		t.is((await stat(rig.layout.blob(sha1Of(image)))).ino, ino);
		t.is(await isThere(file), how !== 'move');
		t.deepEqual(await readdir(rig.layout.uploads), []);
	});
}

test('a linked file that changes at the last moment is not taken over', async t => {
	const rig = await startStore(t);
	const file = path.join(await tempDir(t), 'file.gz');
	await writeFile(file, image.bytes);
	const commit = rig.store.commitUpload.bind(rig.store);
	rig.store.commitUpload = async (upload, origin) => {
		utimesSync(file, new Date(), new Date(1000));
		return commit(upload, origin);
	};
	await t.throwsAsync(rig.store.importFile(file, 'link', {expected}), {instanceOf: IntegrityError});
	t.deepEqual(await readdir(rig.layout.uploads), []);
	t.is(rig.store.count, 0);
	t.true(await isThere(file));
});

test('a linked file that its owner writes to is not served, nor written to by us', async t => {
	const rig = await startStore(t);
	const file = path.join(await tempDir(t), 'file.gz');
	await writeFile(file, image.bytes);
	const info = await rig.store.importFile(file, 'link', {pinnedBy: 'x'});
	await appendFile(file, 'more');
	t.is(await rig.store.open(info.sha1), undefined);
	t.is(rig.store.stat(info.sha1), undefined);
	const left = Buffer.concat([image.bytes.subarray(0, 1_000_000)]);
	await writeFile(file, left);
	await utimes(file, new Date(), new Date(1000));
	// Somebody has it: what is fetched goes into a file of ours.
	t.true((await rig.fetch(image, [new FakeSupplier('a', image.bytes)])).equals(image.bytes));
	await rig.idle();
	t.true((await readFile(file)).equals(left));
	t.is((await stat(rig.layout.blob(info.sha1))).nlink, 1);
});

test('a linked file that was only touched is read again, and right', async t => {
	const rig = await startStore(t);
	const file = path.join(await tempDir(t), 'file.gz');
	await writeFile(file, image.bytes);
	const info = await rig.store.importFile(file, 'link');
	await utimes(file, new Date(), new Date(1000));
	t.is(await rig.store.open(info.sha1), undefined);
	const needless = new FakeSupplier('a', image.bytes);
	t.true((await rig.fetch(image, [needless])).equals(image.bytes));
	await rig.idle();
	t.deepEqual(needless.opened, []);
	t.is((await stat(file)).nlink, 2);
});

test('a deleted blob that was linked leaves the original, and an emptied file is one too', async t => {
	const rig = await startStore(t);
	const file = path.join(await tempDir(t), 'file.gz');
	await writeFile(file, '');
	const info = await rig.store.importFile(file, 'link');
	t.is(info.size, 0);
	t.true(await rig.store.delete(info.sha1));
	t.is(await readFile(file, 'utf8'), '');
});

test('a file that was replaced while it was taken over is not the one that goes', async t => {
	const rig = await startStore(t);
	const folder = await tempDir(t);
	const file = path.join(folder, 'file.gz');
	await writeFile(file, image.bytes);
	await writeFile(`${file}.new`, 'the next one');
	const commit = rig.store.commitUpload.bind(rig.store);
	rig.store.commitUpload = async (upload, origin) => {
		await rename(`${file}.new`, file);
		return commit(upload, origin);
	};
	const info = await rig.store.importFile(file, 'move', {expected});
	t.is(info.size, image.size);
	t.is(await readFile(file, 'utf8'), 'the next one');
	t.is(rig.host.linesLike(/left where it is/).length, 1);
});

test('a file that has other names can be moved, and keeps those', async t => {
	const rig = await startStore(t);
	const folder = await tempDir(t);
	const [file, other] = [path.join(folder, 'a'), path.join(folder, 'b')];
	await writeFile(file, image.bytes);
	await chmod(file, 0o444);
	await link(file, other);
	await rig.store.importFile(file, 'move', {expected});
	t.deepEqual(await readdir(folder), ['b']);
	t.true((await readFile(other)).equals(image.bytes));
	await rm(other);
});
