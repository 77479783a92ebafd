import {mkdir, readFile, readdir, rm, stat, writeFile} from 'node:fs/promises';
import path from 'node:path';
import test from 'ava';
import {Layout, isUploadId, prepareLayout} from '../../src/blobs/layout.js';
import {socketPath} from '../../src/blobs/lock.js';
import {NoSpaceError} from '../../src/errors.js';
import {parseManifest, type Uuid} from '../../src/image/manifest.js';
import {FakeSupplier} from '../helpers/fake-supplier.js';
import {makeImage, type TestImage} from '../helpers/make-image.js';
import {sameBytes} from '../helpers/same-bytes.js';
import {tempDir} from '../helpers/temp-dir.js';
import {contentOf, stored} from './sending.js';
import {sha1Of, startStore} from './start-store.js';

test('a pinned blob is not deleted until the last reason is gone', async t => {
	const rig = await startStore(t);
	const image = makeImage({size: 1000});
	const sha1 = sha1Of(image);
	const info = await stored(rig.store, image.bytes, 'a');
	rig.store.pin(sha1, 'a');
	rig.store.pin(sha1, 'b');
	t.false(await rig.store.delete(sha1));
	rig.store.unpin(sha1, 'a');
	t.true(rig.store.isPinned(sha1));
	t.false(await rig.store.delete(sha1));
	sameBytes(t, await contentOf(rig.store, info), image.bytes);
	rig.store.unpin(sha1, 'b');
	rig.store.unpin(sha1, 'never');
	t.false(rig.store.isPinned(sha1));
	t.true(await rig.store.delete(sha1));
	t.false(await rig.store.delete(sha1));
	t.is(rig.store.stat(sha1), undefined);
});

test('an upstream image that goes leaves a file that is pinned; one that is released leaves what an image has', async t => {
	const rig = await startStore(t);
	const image = makeImage({size: 1000});
	const sha1 = sha1Of(image);
	await rig.fetch(image, [new FakeSupplier('a', image.bytes)]);
	await rig.idle();
	const manifest = parseManifest(image.text);
	await rig.store.keepManifest({manifest, source: 'a', sha1, index: 0});
	await stored(rig.store, image.bytes, 'ours');
	await stored(rig.store, image.bytes, 'theirs');
	t.false(await rig.store.release(sha1, 'theirs'));
	t.false(await rig.store.release(sha1, 'ours'));
	t.is(rig.store.count, 1);
	rig.store.pin(sha1, 'ours');
	await rig.store.dropImage(manifest.uuid);
	t.is(rig.store.count, 1);
	t.true(await rig.store.release(sha1, 'ours'));
	t.is(rig.store.count, 0);
});

test('an upload and the deletion of the same content never leave a pin without its blob', async t => {
	const rig = await startStore(t);
	const image = makeImage({size: 20_000});
	const sha1 = sha1Of(image);
	for (let round = 0; round < 10; round++) {
		await stored(rig.store, image.bytes, 'old');
		const [info] = await Promise.all([stored(rig.store, image.bytes, 'new'), rig.store.release(sha1, 'old')]);
		t.true(rig.store.isPinned(sha1));
		sameBytes(t, await contentOf(rig.store, info), image.bytes);
		await rig.store.release(sha1, 'new');
		t.is(rig.store.count, 0);
	}
});

test('a deletion that has waited for a commit finds the pin that came with it', async t => {
	const {store} = await startStore(t);
	const image = makeImage({size: 20_000});
	const sha1 = sha1Of(image);
	let isOver = false;
	const storing = stored(store, image.bytes, 'new').finally(() => {
		isOver = true;
	});
	const deletions: Promise<boolean>[] = [];
	// Changed in a callback, which the compiler does not see.
	const over = (): boolean => isOver;
	while (!over()) {
		deletions.push(store.delete(sha1));
		await new Promise(resolve => setImmediate(resolve));
	}
	sameBytes(t, await contentOf(store, await storing), image.bytes);
	t.false((await Promise.all(deletions)).includes(true));
});

test('blobs of our own without an image go, all others stay', async t => {
	const root = await tempDir(t);
	const [pinned, orphan, upstream, both] = Array.from({length: 4}, () => makeImage({size: 1000}));
	if (pinned === undefined || orphan === undefined || upstream === undefined || both === undefined) {
		throw new Error('no images');
	}
	const before = await startStore(t, {root});
	for (const image of [pinned, orphan, both]) {
		await stored(before.store, image.bytes);
	}
	await before.fetch(upstream, [new FakeSupplier('a', upstream.bytes)]);
	await before.idle();
	await before.store.keepManifest({manifest: parseManifest(both.text), source: 'a', sha1: sha1Of(both), index: 0});
	await before.close();

	const after = await startStore(t, {root});
	after.store.pin(sha1Of(pinned), 'x');
	t.deepEqual(await after.store.own.sweep(), [sha1Of(orphan)]);
	t.deepEqual([...after.store.list()].map(({sha1}) => sha1).sort(), [pinned, upstream, both].map(sha1Of).sort());
	t.deepEqual(await after.store.own.sweep(), []);
});

test('what was published stays, also where nothing says any more what for', async t => {
	const root = await tempDir(t);
	const [published, taken, orphan] = [1, 2, 3].map(() => makeImage({size: 1000})) as [TestImage, TestImage, TestImage];
	const before = await startStore(t, {root});
	for (const image of [published, taken, orphan]) {
		await stored(before.store, image.bytes);
	}
	const uuids = [published, taken].map(({text}) => parseManifest(text).uuid) as [Uuid, Uuid];
	await before.store.own.mark(uuids[0], [sha1Of(published)]);
	await before.store.own.mark(uuids[1], [sha1Of(taken), sha1Of(published)]);
	await before.store.own.unmark(uuids[1], [sha1Of(taken), sha1Of(orphan)]);
	t.deepEqual(await Promise.all(uuids.map(uuid => before.store.own.names(uuid))), [true, true]);
	await before.close();

	const after = await startStore(t, {root});
	t.deepEqual([...(await after.store.own.sweep())].sort(), [taken, orphan].map(sha1Of).sort());
	t.deepEqual(
		[...after.store.list()].map(({sha1}) => sha1),
		[sha1Of(published)],
	);
	t.deepEqual(after.store.own.strays, {files: 1, bytes: 1000});
	t.true(after.store.isPinned(sha1Of(published)));
	const [line] = after.host.linesLike({level: 50});
	t.regex(line?.msg ?? '', /^FILES THAT WERE PUBLISHED HERE HAVE NO IMAGE/);
	const strays = [...uuids].sort().map(image => ({sha1: sha1Of(published), image}));
	t.deepEqual(line?.['strays'], strays);
	await after.store.own.unmark(uuids[1], [sha1Of(published)]);
	t.deepEqual(await Promise.all(uuids.map(uuid => after.store.own.names(uuid))), [true, false]);
	await after.close();

	// The operator lets it go.
	await rm(after.layout.ownFile(sha1Of(published), uuids[0]));
	const last = await startStore(t, {root});
	t.deepEqual(await last.store.own.sweep(), [sha1Of(published)]);
	t.deepEqual(last.store.own.strays, {files: 0, bytes: 0});
});

test('a damaged file that was published is kept until there is another, or nobody needs it', async t => {
	const root = await tempDir(t);
	const images = [1, 2, 3, 4].map(() => makeImage({size: 1000}));
	const [lost, again, dropped, fetched] = images as [TestImage, TestImage, TestImage, TestImage];
	const rig = await startStore(t, {root});
	const {store, host} = rig;
	for (const image of [lost, again, dropped]) {
		await stored(store, image.bytes);
		await store.own.mark(parseManifest(image.text).uuid, [sha1Of(image)]);
	}
	await rig.fetch(fetched, [new FakeSupplier('a', fetched.bytes)]);
	await rig.idle();
	const note = {expected: {}, got: {}, suppliers: []};
	for (const blob of [...store.list()]) {
		t.true(await store.quarantineBlob(blob, note));
	}
	t.is(store.count, 0);
	await stored(store, again.bytes);
	await store.own.unmark(parseManifest(dropped.text).uuid, [sha1Of(dropped)]);
	store.quarantined.setLimits({keepForMs: 0, maxBytes: 0});
	await store.quarantined.sweep();
	const names = (await store.quarantined.list()).map(({name}) => name);
	t.is(names.length, 1);
	t.true(names[0]?.endsWith(`-published-${lost.sha1}`));
	t.is(await host.metric('imgmirror_quarantine_bytes'), 1000, 'it takes its room all the same');
	await rig.close();

	const after = await startStore(t, {root});
	t.is((await after.store.quarantined.list()).length, 1);
	after.store.quarantined.setLimits({keepForMs: 0, maxBytes: 0});
	await stored(after.store, lost.bytes);
	await after.store.quarantined.sweep();
	t.deepEqual(await readdir(after.layout.quarantine), []);
});

test('what was published stays, also where a source had it first; what only that had is not said to be ours', async t => {
	const root = await tempDir(t);
	const [published, other] = [1, 2].map(() => makeImage({size: 1000})) as [TestImage, TestImage];
	const before = await startStore(t, {root});
	for (const image of [published, other]) {
		await before.fetch(image, [new FakeSupplier('a', image.bytes)]);
	}
	await before.idle();
	await before.store.own.mark(parseManifest(published.text).uuid, [sha1Of(published)]);
	await before.close();

	const after = await startStore(t, {root});
	t.deepEqual(await after.store.own.sweep(), []);
	t.deepEqual(after.store.own.strays, {files: 1, bytes: 1000});
	t.deepEqual(
		[published, other].map(image => after.store.isPinned(sha1Of(image))),
		[true, false],
	);
});

test('that files are ours and cannot be written down is said once, and no failure', async t => {
	const rig = await startStore(t);
	const [one, two] = [1, 2].map(() => makeImage({size: 1000})) as [TestImage, TestImage];
	const {uuid} = parseManifest(one.text);
	await writeFile(rig.layout.own, 'in the way');
	for (const image of [one, two]) {
		await rig.store.own.mark(uuid, [sha1Of(image)]);
	}
	t.is(rig.host.linesLike(/cannot be written down/).length, 1);
	await stored(rig.store, one.bytes);
	t.deepEqual(await rig.store.own.sweep(), [], 'nobody can tell');
	t.is(rig.host.linesLike({level: 50}).length, 1);
	t.true(await rig.store.own.names(uuid));
	await rm(rig.layout.own);
	await rig.store.own.mark(uuid, [sha1Of(one), sha1Of(two)]);
	t.is((await readdir(rig.layout.own)).length, 2);
});

test('a pinned blob whose file somebody deleted is not there, and can be stored anew', async t => {
	const rig = await startStore(t);
	const image = makeImage({size: 1000});
	const info = await stored(rig.store, image.bytes, 'x');
	await rig.store.removeRecord(rig.layout.blob(info.sha1));
	t.is(await contentOf(rig.store, info), undefined);
	t.is(rig.store.count, 0);
	t.true(rig.store.isPinned(info.sha1));
	sameBytes(t, await contentOf(rig.store, await stored(rig.store, image.bytes)), image.bytes);
});

test('records are written whole, listed, read and removed; what a crash left is cleared away at the start', async t => {
	const root = await tempDir(t);
	const rig = await startStore(t, {root});
	const {uuid} = parseManifest(makeImage().text);
	const file = rig.layout.publishedRecord(uuid);
	t.is(await rig.store.readRecord(file), undefined);
	await rig.store.writeRecord(file, 'one');
	await rig.store.writeRecord(file, 'two');
	const icon = rig.layout.publishedIcon(uuid, sha1Of(makeImage()));
	await rig.store.writeRecord(icon, Buffer.from([0, 255, 128]));
	t.is(await rig.store.readRecord(file), 'two');
	sameBytes(t, await readFile(icon), Buffer.from([0, 255, 128]));
	await mkdir(path.join(rig.layout.published, 'folder'));
	await writeFile(`${file}.0123abcd.new`, 'half');
	await writeFile(`${rig.layout.uploadInfo('x')}.0123abcd.new`, 'half');
	await writeFile(`${rig.layout.job(uuid)}.0123abcd.new`, 'half');
	t.deepEqual(await rig.store.listFolder(rig.layout.published), [path.basename(icon), path.basename(file)].sort());
	t.deepEqual(await rig.store.listFolder(path.join(root, 'nowhere')), []);
	await rig.close();

	const after = await startStore(t, {root});
	t.deepEqual(await readdir(after.layout.uploads), []);
	t.deepEqual(await readdir(after.layout.jobs), []);
	t.deepEqual(
		(await readdir(after.layout.published)).sort(),
		[path.basename(icon), path.basename(file), 'folder'].sort(),
	);
	await after.store.removeRecord(file);
	await after.store.removeRecord(file);
	t.is(await after.store.readRecord(file), undefined);
	await t.throwsAsync(after.store.readRecord(after.layout.published));
	await t.throwsAsync(after.store.writeRecord(path.join(root, 'nowhere', 'x'), 'x'), {instanceOf: NoSpaceError});
});

test('the folders of publishing are made, and their files have their places', async t => {
	const layout = new Layout(await tempDir(t));
	await prepareLayout(layout);
	for (const folder of [layout.published, layout.uploads, layout.jobs, layout.keys]) {
		t.true((await stat(folder)).isDirectory());
	}
	const image = makeImage();
	const {uuid} = parseManifest(image.text);
	t.is(layout.publishedRecord(uuid), path.join(layout.root, 'published', `${uuid}.json`));
	t.is(layout.publishedIcon(uuid, sha1Of(image)), path.join(layout.root, 'published', `${uuid}.icon.${image.sha1}`));
	t.is(layout.uploadInfo('x'), `${layout.upload('x')}.json`);
	t.is(layout.job(uuid), path.join(layout.root, 'jobs', `${uuid}.json`));
	t.is(layout.users, path.join(layout.root, 'users.json'));
	t.true(isUploadId(uuid));
	t.false(isUploadId('../x'));
});

test('the control socket has a path that fits, beside the lock or in its stead', async t => {
	const folder = await tempDir(t);
	const layout = new Layout(path.join(folder, 'd'));
	await prepareLayout(layout);
	t.is(await socketPath(layout, layout.control), layout.control);
	const long = new Layout(path.join(folder, 'x'.repeat(120)));
	await prepareLayout(long);
	const control = await socketPath(long, long.control);
	t.true(Buffer.byteLength(control) <= 100);
	t.not(control, await socketPath(long, long.lock));
	t.is(control, await socketPath(new Layout(path.join(folder, 'd', '..', 'x'.repeat(120))), long.control));
});
