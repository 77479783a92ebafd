import {mkdir, readdir, readFile, rename, rm, stat, truncate, utimes, writeFile} from 'node:fs/promises';
import path from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {parseManifest} from '../../src/image/manifest.js';
import {FakeSupplier} from '../helpers/fake-supplier.js';
import {makeImage, type TestImage} from '../helpers/make-image.js';
import {tempDir} from '../helpers/temp-dir.js';
import {sha1Of, startStore, type StoreRig} from './start-store.js';

/** Images whose files are in a store of that folder, which was closed and has written down what is in it. */
async function stored(t: ExecutionContext, root: string, count = 3): Promise<readonly TestImage[]> {
	const images = Array.from({length: count}, () => makeImage({size: 1000}));
	const before = await startStore(t, {root, indexQuietMs: 0});
	for (const image of images) {
		await before.fetch(image, [new FakeSupplier('a', image.bytes)]);
		await before.idle();
		const manifest = parseManifest(image.text);
		await before.store.keepManifest({manifest, source: 'a', sha1: sha1Of(image), index: 0});
	}
	await before.close();
	return images;
}

/** Whoever looks into the folder finds no manifest any more; nothing in the folder itself is other. */
async function spoil({layout}: StoreRig, image: TestImage): Promise<void> {
	await truncate(layout.info(sha1Of(image)), 0);
	await truncate(layout.manifest(sha1Of(image), parseManifest(image.text).uuid, 0), 0);
}

function textsOf({store}: StoreRig): string[] {
	return [...store.images.list()].map(({manifest}) => manifest.text).sort();
}

test('what was written down of a folder is not looked at again', async t => {
	const root = await tempDir(t);
	const images = await stored(t, root);
	const rig = await startStore(t, {root});
	await rig.close();
	const entries = await readdir(rig.layout.index);
	t.deepEqual(entries, [...new Set(images.map(image => image.sha1.slice(0, 2)))].sort());
	for (const image of images) {
		await spoil(rig, image);
	}
	const after = await startStore(t, {root});
	for (const image of images) {
		const {sha1, sha256, size} = image;
		t.like(after.store.stat(sha1Of(image)), {sha1, sha256, size, source: 'a'} as never);
	}
	t.is(after.store.bytes, 3000);
	t.deepEqual(textsOf(after), images.map(({text}) => text).sort());
	t.like([...after.store.images.list()][0], {source: 'a', index: 0});
});

test('manifests that somebody else has are used, the others read', async t => {
	const root = await tempDir(t);
	const images = await stored(t, root);
	const [known, changed] = images.map(({text}) => parseManifest(text));
	const after = await startStore(t, {root});
	t.is(after.store.images.needed().size, 3);
	const other = parseManifest(JSON.stringify({...(JSON.parse(changed?.text ?? '{}') as object), name: 'other'}));
	await after.store.images.share(uuid => [other, known].filter(one => one?.uuid === uuid) as never);
	const held = new Map([...after.store.images.list()].map(({manifest}) => [manifest.uuid, manifest]));
	t.is(known && held.get(known.uuid), known);
	t.is(changed && held.get(changed.uuid)?.text, changed?.text);
	t.deepEqual(textsOf(after), images.map(({text}) => text).sort());
});

test('a folder in which anything was made, renamed or removed is looked into', async t => {
	for (const change of [
		(folder: string) => writeFile(path.join(folder, 'README'), ''),
		(folder: string) => mkdir(path.join(folder, 'new')),
		async (folder: string, file: string) => {
			await writeFile(path.join(folder, 'new'), await readFile(file));
			await rename(path.join(folder, 'new'), file);
		},
		(_: string, file: string) => rm(file),
		// As after unpacking a copy.
		async (folder: string) => {
			await rename(folder, `${folder}-`);
			await rename(`${folder}-`, folder);
			await utimes(folder, 1, 1);
		},
	]) {
		const root = await tempDir(t);
		const [image] = await stored(t, root, 1);
		const rig = await startStore(t, {root});
		await rig.close();
		if (image === undefined) {
			return;
		}
		await spoil(rig, image);
		await change(rig.layout.blobFolder(sha1Of(image)), rig.layout.blob(sha1Of(image)));
		const after = await startStore(t, {root});
		t.is(after.store.stat(sha1Of(image)), undefined);
		t.deepEqual(textsOf(after), []);
	}
});

test('what is damaged is as if it had never been', async t => {
	const root = await tempDir(t);
	const [image] = await stored(t, root, 1);
	const rig = await startStore(t, {root});
	await rig.close();
	const file = rig.layout.indexOf(image?.sha1.slice(0, 2) ?? '');
	const whole = await readFile(file);
	for (let at = 0; at < whole.length; at += 37) {
		const damaged = Buffer.from(whole);
		damaged[at] = (damaged[at] ?? 0) ^ 1;
		await writeFile(file, damaged);
		const after = await startStore(t, {root});
		t.is(after.store.count, 1, `byte ${at}`);
		t.deepEqual(textsOf(after), [image?.text]);
		await after.close();
	}
	for (const length of [0, 10, whole.length - 1]) {
		await writeFile(file, whole.subarray(0, length));
		const after = await startStore(t, {root});
		t.deepEqual(textsOf(after), [image?.text]);
		await after.close();
	}
});

test('a folder that has just changed is not written down, nor one that is as it was', async t => {
	const root = await tempDir(t);
	const [image] = await stored(t, root, 1);
	const hasty = await startStore(t, {root: await tempDir(t), indexQuietMs: 3_600_000});
	const other = makeImage({size: 1000});
	await hasty.fetch(other, [new FakeSupplier('a', other.bytes)]);
	await hasty.idle();
	await hasty.close();
	t.deepEqual(await readdir(hasty.layout.index), []);

	const rig = await startStore(t, {root, indexQuietMs: 0});
	const file = rig.layout.indexOf(image?.sha1.slice(0, 2) ?? '');
	const {ino} = await stat(file);
	await rig.store.writeIndex();
	await rig.store.writeIndex();
	t.is((await stat(file)).ino, ino);
});

test('what is not as it should be keeps its folder from being written down', async t => {
	const root = await tempDir(t);
	const [image] = await stored(t, root, 1);
	const first = await startStore(t, {root, indexQuietMs: 0});
	await first.close();
	if (image === undefined) {
		return;
	}
	const {layout} = first;
	await rm(layout.indexOf(image.sha1.slice(0, 2)));
	await writeFile(layout.manifest(sha1Of(image), parseManifest(image.text).uuid, 0), '{');
	const broken = await startStore(t, {root, indexQuietMs: 0});
	await broken.close();
	t.deepEqual(await readdir(layout.index), []);
	t.is(broken.host.lines.filter(({msg}) => msg === 'a manifest beside its file cannot be read').length, 1);
	const again = await startStore(t, {root, indexQuietMs: 0});
	await again.close();
	t.is(again.host.lines.filter(({msg}) => msg === 'a manifest beside its file cannot be read').length, 1);
});
