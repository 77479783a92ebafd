import {mkdir, open, readFile, readdir, rm, stat, truncate, utimes, writeFile} from 'node:fs/promises';
import path from 'node:path';
import {fileURLToPath} from 'node:url';
import test from 'ava';
import {IntegrityError, UsageError} from '../../src/errors.js';
import {Layout, prepareLayout} from '../../src/blobs/layout.js';
import {Quarantine} from '../../src/blobs/quarantine.js';
import {parseManifest} from '../../src/image/manifest.js';
import {FakeSupplier} from '../helpers/fake-supplier.js';
import {ManualClock} from '../helpers/manual-clock.js';
import {makeImage} from '../helpers/make-image.js';
import {run} from '../helpers/run-command.js';
import {sameBytes} from '../helpers/same-bytes.js';
import {tempDir} from '../helpers/temp-dir.js';
import {testHost} from '../helpers/test-host.js';
import {sha1Of, startStore} from './start-store.js';

test('what is stored is there after a restart, with its manifest, counted', async t => {
	const root = await tempDir(t);
	const image = makeImage({size: 1000});
	const before = await startStore(t, {root});
	await before.fetch(image, [new FakeSupplier('a', image.bytes)]);
	await before.idle();
	const manifest = parseManifest(image.text);
	await before.store.keepManifest({manifest, source: 'a', sha1: sha1Of(image), index: 0});
	await before.store.images.rememberSha1(manifest.uuid, 3, sha1Of(image));
	await before.close();

	const after = await startStore(t, {root});
	t.like(after.store.stat(sha1Of(image)), {sha256: image.sha256, size: 1000, source: 'a'});
	const [held] = after.store.images.list();
	t.is(held?.manifest.text, image.text);
	t.like(held, {source: 'a', index: 0});
	t.is(after.store.images.foundSha1(manifest.uuid, 3), sha1Of(image));
	t.is(after.store.bytes, 1000);
	t.is(await after.host.metric('imgmirror_store_blobs'), 1);
	// Plain JSON, to be read by people and by `imgadm install -m`.
	const file = after.layout.manifest(sha1Of(image), manifest.uuid, 0);
	t.is(await readFile(file, 'utf8'), `${image.pretty}\n`);
});

test('a file that was cut, or that lacks its info, is not served but verified again', async t => {
	const root = await tempDir(t);
	const [cut, bare] = [makeImage({size: 1000}), makeImage({size: 2000})];
	const before = await startStore(t, {root});
	for (const image of [cut, bare]) {
		await before.fetch(image, [new FakeSupplier('a', image.bytes)]);
	}
	await before.idle();
	await before.close();
	await truncate(before.layout.blob(sha1Of(cut)), 500);
	await rm(before.layout.info(sha1Of(bare)));

	const after = await startStore(t, {root});
	t.is(after.store.stat(sha1Of(cut)), undefined);
	t.is(after.store.stat(sha1Of(bare)), undefined);
	const again = new FakeSupplier('a', cut.bytes);
	sameBytes(t, await after.fetch(cut, [again]), cut.bytes);
	t.deepEqual(again.opened, [500]);
	const needless = new FakeSupplier('a', bare.bytes);
	sameBytes(t, await after.fetch(bare, [needless]), bare.bytes);
	t.deepEqual(needless.opened, []);
});

test('a file that changes its size while the mirror runs is noticed when it is opened', async t => {
	const rig = await startStore(t);
	const image = makeImage({size: 1000});
	await rig.fetch(image, [new FakeSupplier('a', image.bytes)]);
	await rig.idle();
	await truncate(rig.layout.blob(sha1Of(image)), 10);
	t.is(await rig.store.open(sha1Of(image)), undefined);
	t.is(rig.store.stat(sha1Of(image)), undefined);
	sameBytes(t, await rig.fetch(image, [new FakeSupplier('a', image.bytes)]), image.bytes);
});

test('a file that somebody wrote to is verified again, whether the mirror was running or not', async t => {
	const root = await tempDir(t);
	const [flipped, touched] = [makeImage({size: 200_000}), makeImage({size: 1000})];
	const before = await startStore(t, {root});
	for (const image of [flipped, touched]) {
		await before.fetch(image, [new FakeSupplier('a', image.bytes)]);
	}
	await before.idle();
	const spoil = async (): Promise<void> => {
		const handle = await open(before.layout.blob(sha1Of(flipped)), 'r+');
		await handle.write(Buffer.from([1, 2, 3]), 0, 3, 500);
		await handle.utimes(new Date(), new Date(0));
		await handle.close();
	};
	await spoil();
	await utimes(before.layout.blob(sha1Of(touched)), new Date(), new Date(1000));
	t.is(await before.store.open(sha1Of(flipped)), undefined);
	// Whoever was given some of it before it was found out is cut off.
	const outcome = await before.fetch(flipped, [new FakeSupplier('a', flipped.bytes)]).catch((error: unknown) => error);
	t.true(outcome instanceof IntegrityError || flipped.bytes.equals(outcome as Buffer));
	await before.idle();
	const needless = new FakeSupplier('a', touched.bytes);
	t.is(await before.store.open(sha1Of(touched)), undefined);
	sameBytes(t, await before.fetch(touched, [needless]), touched.bytes);
	t.deepEqual(needless.opened, []);
	const healed = await before.store.open(sha1Of(flipped));
	sameBytes(t, await healed?.readFile(), flipped.bytes);
	await healed?.close();
	await before.close();

	await spoil();
	const after = await startStore(t, {root});
	t.is(await after.store.open(sha1Of(flipped)), undefined);
	t.is(after.host.linesLike(/not as it was stored/).length, 1);
});

test('a folder for files on their way that somebody removed is made anew', async t => {
	const rig = await startStore(t);
	const image = makeImage({size: 1000});
	await rm(rig.layout.partials, {recursive: true});
	sameBytes(t, await rig.fetch(image, [new FakeSupplier('a', image.bytes)]), image.bytes);
	await rig.idle();
	t.is(rig.store.count, 1);
});

test('a file that somebody deleted is simply not there', async t => {
	const rig = await startStore(t);
	const image = makeImage({size: 1000});
	await rig.fetch(image, [new FakeSupplier('a', image.bytes)]);
	await rig.idle();
	await rm(rig.layout.blob(sha1Of(image)));
	t.is(await rig.store.open(sha1Of(image)), undefined);
	t.is(rig.store.count, 0);
});

test('left-overs of a crash are cleared away, foreign files are left alone', async t => {
	const root = await tempDir(t);
	const layout = new Layout(root);
	await prepareLayout(layout);
	const image = makeImage({size: 10});
	const folder = layout.blobFolder(sha1Of(image));
	await mkdir(folder, {recursive: true});
	await writeFile(layout.info(sha1Of(image)), '{}');
	await writeFile(`${layout.info(sha1Of(image))}.new`, 'half');
	await writeFile(`${layout.blob(sha1Of(image))}.${image.uuid}.json`, image.text);
	await writeFile(path.join(folder, 'README'), 'mine');
	await writeFile(path.join(layout.digests, `${image.uuid}.0`), 'not a digest');
	const rig = await startStore(t, {root});
	t.deepEqual(await readdir(folder), ['README']);
	t.is(rig.store.count, 0);
});

test('a directory where an info should be goes, and the file is verified again', async t => {
	const root = await tempDir(t);
	const image = makeImage({size: 1000});
	const sha1 = sha1Of(image);
	const before = await startStore(t, {root});
	await before.fetch(image, [new FakeSupplier('a', image.bytes)]);
	await before.idle();
	await before.close();
	await rm(before.layout.info(sha1));
	await mkdir(path.join(before.layout.info(sha1), 'inside'), {recursive: true});
	await mkdir(`${before.layout.blob(sha1)}.info.new`);
	const rig = await startStore(t, {root});
	t.is(rig.store.stat(sha1), undefined);
	t.is(rig.host.linesLike(/no readable info; it will be verified again/).length, 1);
	const b = new FakeSupplier('b', image.bytes);
	sameBytes(t, await rig.fetch(image, [b]), image.bytes);
	await rig.idle();
	t.deepEqual(b.opened, []);
	t.is(rig.store.stat(sha1)?.size, 1000);
});

test('a manifest beside its file that cannot be read is reported and passed over', async t => {
	const root = await tempDir(t);
	const image = makeImage({size: 1000});
	const before = await startStore(t, {root});
	await before.fetch(image, [new FakeSupplier('a', image.bytes)]);
	await before.idle();
	await before.close();
	const manifest = parseManifest(image.text);
	await writeFile(before.layout.manifest(sha1Of(image), manifest.uuid, 0), '{"v":');
	const rig = await startStore(t, {root});
	t.deepEqual([...rig.store.images.list()], []);
	t.is(rig.host.linesLike(/cannot be read/).length, 1);
	t.is(rig.store.count, 1);
});

test('dropping an image drops its file unless another image has the same', async t => {
	const rig = await startStore(t);
	const one = makeImage({size: 1000});
	const two = makeImage({bytes: one.bytes});
	await rig.fetch(one, [new FakeSupplier('a', one.bytes)]);
	await rig.idle();
	const [first, second] = [parseManifest(one.text), parseManifest(two.text)];
	for (const manifest of [first, second]) {
		await rig.store.keepManifest({manifest, source: 'a', sha1: sha1Of(one), index: 0});
	}
	await rig.store.dropImage(first.uuid);
	t.deepEqual(
		[...rig.store.images.list()].map(held => held.manifest.uuid),
		[second.uuid],
	);
	t.is(rig.store.count, 1);
	await rig.store.dropImage(second.uuid);
	t.is(rig.store.count, 0);
	t.deepEqual(await readdir(rig.layout.blobFolder(sha1Of(one))), []);
});

test('an image whose file changed leaves no manifest beside the old one', async t => {
	const rig = await startStore(t);
	const [one, two] = [makeImage({size: 1000}), makeImage({size: 1000})];
	for (const image of [one, two]) {
		await rig.fetch(image, [new FakeSupplier('a', image.bytes)]);
	}
	await rig.idle();
	const manifest = parseManifest(one.text);
	await rig.store.keepManifest({manifest, source: 'a', sha1: sha1Of(one), index: 1});
	await rig.store.keepManifest({manifest, source: 'a', sha1: sha1Of(two), index: 1});
	await t.throwsAsync(stat(rig.layout.manifest(sha1Of(one), manifest.uuid, 1)));
	t.true((await stat(rig.layout.manifest(sha1Of(two), manifest.uuid, 1))).isFile());
});

test('the MD5 is computed after the fact, and kept', async t => {
	const root = await tempDir(t);
	const rig = await startStore(t, {root});
	const image = makeImage({size: 100_000});
	await rig.fetch(image, [new FakeSupplier('a', image.bytes)]);
	while (rig.store.stat(sha1Of(image))?.md5 === undefined) {
		await new Promise(resolve => setImmediate(resolve));
	}
	t.is(rig.store.stat(sha1Of(image))?.md5, image.md5);
});

test('a data directory of another version is refused, one that cannot be written too', async t => {
	const root = await tempDir(t);
	await writeFile(path.join(root, 'version'), '99\n');
	await t.throwsAsync(prepareLayout(new Layout(root)), {instanceOf: UsageError, message: /layout version 99/});
	await writeFile(path.join(root, 'file'), '');
	await t.throwsAsync(prepareLayout(new Layout(path.join(root, 'file'))), {
		instanceOf: UsageError,
		message: /cannot be used/,
	});
});

test('the quarantine keeps what is young enough and fits', async t => {
	const root = await tempDir(t);
	const layout = new Layout(root);
	await prepareLayout(layout);
	const clock = new ManualClock(Date.now());
	const host = testHost({clock});
	const quarantine = new Quarantine({layout, host, limits: {keepForMs: 60_000, maxBytes: 2500}});
	for (const number of [1, 2, 3]) {
		const file = path.join(root, `wrong-${number}`);
		await writeFile(file, Buffer.alloc(1000, number));
		await quarantine.add(file, `key${number}`, {expected: {}, got: {}, suppliers: ['a']});
		await clock.advance(10);
	}
	const kept = await quarantine.list();
	t.is(kept.length, 2);
	t.false(kept.some(({name}) => name.endsWith('key1')));
	t.is(await host.metric('imgmirror_quarantine_bytes'), 2000);
	const [newest] = kept;
	const note = await readFile(layout.quarantined(`${newest?.name ?? ''}.json`), 'utf8');
	t.deepEqual(JSON.parse(note), {expected: {}, got: {}, suppliers: ['a']});

	quarantine.setLimits({keepForMs: 0, maxBytes: 0});
	await clock.advance(120_000);
	await quarantine.sweep();
	t.deepEqual(await readdir(layout.quarantine), []);
});

test('in quarantine, what was published and is nowhere else stays, also without its note', async t => {
	const root = await tempDir(t);
	const layout = new Layout(root);
	await prepareLayout(layout);
	const clock = new ManualClock(Date.now());
	const lost = new Set(['a'.repeat(40)]);
	const isLost = (sha1: string): Promise<boolean> => Promise.resolve(lost.has(sha1));
	const limits = {keepForMs: 1000, maxBytes: 10};
	const quarantine = new Quarantine({layout, host: testHost({clock}), limits, isLost});
	for (const [sha1, isOurs] of [
		['a', true],
		['a', false],
		['b', true],
	] as const) {
		const file = path.join(root, 'wrong');
		await writeFile(file, Buffer.alloc(100));
		await quarantine.add(file, sha1.repeat(40), {expected: {}, got: {}, suppliers: []}, isOurs);
		await clock.advance(10);
	}
	const left = (await quarantine.list()).map(({name}) => name);
	t.is(left.length, 1);
	await rm(layout.quarantined(`${left[0] ?? ''}.json`));
	await clock.advance(2 * 3_600_000);
	await quarantine.sweep();
	t.deepEqual(await readdir(layout.quarantine), left);
	lost.clear();
	await quarantine.sweep();
	t.deepEqual(await readdir(layout.quarantine), []);
});

test('what cannot be moved into quarantine is deleted', async t => {
	const root = await tempDir(t);
	const layout = new Layout(root);
	await prepareLayout(layout);
	await rm(layout.quarantine, {recursive: true});
	await writeFile(layout.quarantine, 'in the way');
	const file = path.join(root, 'wrong');
	await writeFile(file, 'wrong');
	const host = testHost();
	const quarantine = new Quarantine({layout, host, limits: {keepForMs: 1000, maxBytes: 1000}});
	await quarantine.add(file, 'key', {expected: {}, got: {}, suppliers: []});
	await t.throwsAsync(stat(file), {code: 'ENOENT'});
	t.is(host.linesLike(/could not be quarantined/).length, 1);
});

test('a manifest and a digest that the disk refused are written when it takes them again', async t => {
	const rig = await startStore(t);
	const image = makeImage({size: 1000});
	await rig.fetch(image, [new FakeSupplier('a', image.bytes)]);
	await rig.idle();
	const manifest = parseManifest(image.text);
	const files = [rig.layout.manifest(sha1Of(image), manifest.uuid, 0), rig.layout.digest(manifest.uuid, 0)] as const;
	for (const file of files) {
		await mkdir(file);
	}
	await rig.store.keepManifest({manifest, source: 'a', sha1: sha1Of(image), index: 0});
	await rig.store.images.rememberSha1(manifest.uuid, 0, sha1Of(image));
	t.is(rig.host.linesLike(/could not be written/).length, 2);
	for (const file of files) {
		await rm(file, {recursive: true});
	}
	await rig.store.images.writeMissing();
	t.is(await readFile(files[0], 'utf8'), `${image.pretty}\n`);
	t.is(await readFile(files[1], 'utf8'), `${image.sha1}\n`);
});

test('of two manifests of one image the last is the one on the disk', async t => {
	const rig = await startStore(t);
	const image = makeImage({size: 1000});
	await rig.fetch(image, [new FakeSupplier('a', image.bytes)]);
	await rig.idle();
	const texts = Array.from({length: 10}, (_, number) => image.text.replace('"version":"', `"version":"${number}.`));
	await Promise.all(
		texts.map(text =>
			rig.store.keepManifest({manifest: parseManifest(text), source: 'a', sha1: sha1Of(image), index: 0}),
		),
	);
	const {uuid, text} = parseManifest(texts.at(-1) ?? '');
	const written = await readFile(rig.layout.manifest(sha1Of(image), uuid, 0), 'utf8');
	t.is(parseManifest(written).text, text);
	const names = await readdir(rig.layout.blobFolder(sha1Of(image)));
	t.is(names.filter(name => name.includes(uuid)).length, 1);
});

test('a file that is right but cannot be put in its place is served, and put there at the next request', async t => {
	const rig = await startStore(t);
	const image = makeImage({size: 100_000});
	const inTheWay = rig.layout.info(sha1Of(image));
	await mkdir(path.join(inTheWay, 'folder'), {recursive: true});
	sameBytes(t, await rig.fetch(image, [new FakeSupplier('a', image.bytes)]), image.bytes);
	await rig.idle();
	t.is(rig.store.count, 0);
	t.is(await rig.host.metric('imgmirror_disk_errors_total'), 1);
	t.is(rig.host.linesLike(/could not be put in its place/).length, 1);
	t.deepEqual(await readdir(rig.layout.blobFolder(sha1Of(image))), [path.basename(inTheWay)]);

	await rm(inTheWay, {recursive: true});
	const b = new FakeSupplier('b', image.bytes);
	sameBytes(t, await rig.fetch(image, [b]), image.bytes);
	await rig.idle();
	t.deepEqual(b.opened, []);
	t.is(rig.store.stat(sha1Of(image))?.size, 100_000);
});

test('a wrong file without its note is in quarantine all the same', async t => {
	const root = await tempDir(t);
	const layout = new Layout(root);
	await prepareLayout(layout);
	const clock = new ManualClock(Date.now());
	const host = testHost({clock});
	const quarantine = new Quarantine({layout, host, limits: {keepForMs: 60_000, maxBytes: 1000}});
	const file = path.join(root, 'wrong');
	await writeFile(file, 'wrong');
	const stamp = new Date(clock.now()).toISOString().replaceAll(/[:.]/g, '');
	await mkdir(layout.quarantined(`${stamp}-key.json`));
	await quarantine.add(file, 'key', {expected: {}, got: {}, suppliers: []});
	t.is((await quarantine.list()).length, 1);
	t.is(host.linesLike(/is deleted/).length, 0);
	t.is(host.linesLike(/put in order/).length, 1);
});

test('a blob that cannot be opened, as there are too many open files, is not taken for lost', async t => {
	const child = fileURLToPath(new URL('opening-child.js', import.meta.url));
	const {stdout} = await run('/bin/sh', [
		'-c',
		'ulimit -n 200; exec "$0" "$@"',
		process.execPath,
		child,
		await tempDir(t),
	]);
	t.is(stdout, 'INTERNAL open\n');
});
