import {readdir} from 'node:fs/promises';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import type {BundleFiles} from '../../src/airgap/bundle-files.js';
import {checkBundle, type CheckedImage} from '../../src/airgap/check-bundle.js';
import {FolderBundle} from '../../src/airgap/folder-bundle.js';
import {digestOf} from '../../src/airgap/oci.js';
import {openBundle} from '../../src/airgap/open-bundle.js';
import {folderSpool} from '../../src/airgap/spool.js';
import {StreamBundle} from '../../src/airgap/stream-bundle.js';
import {IntegrityError} from '../../src/errors.js';
import {makeImage, makeManifests, pseudoRandom} from '../helpers/make-image.js';
import {tempDir} from '../helpers/temp-dir.js';
import {blobPathOf, inPieces, makeBundle, type TestBundle} from './make-bundle.js';

const icon = pseudoRandom(2000, 5);
const base = makeImage({size: 1_400_000, state: 'disabled', name: 'base'});
const middle = makeImage({size: 5000, origin: base, name: 'middle', icon});
const top = makeImage({size: 6000, origin: middle, name: 'top', icon});
const other = makeImage({size: 7000, name: 'other', os: 'linux', type: 'lx-dataset'});
const made = makeBundle({images: [base, middle, top, other]});

interface Found {
	readonly images: readonly CheckedImage[];
	readonly foreign: number;
	readonly bytes: number | undefined;
	readonly progress: readonly number[];
}

async function found(files: BundleFiles, deep = true): Promise<Found> {
	const images: CheckedImage[] = [];
	const progress: number[] = [];
	let begin: {readonly foreign: number; readonly bytes: number | undefined} = {foreign: -1, bytes: -1};
	for await (const event of checkBundle(files, {deep, signal: new AbortController().signal})) {
		if (event.what === 'begin') {
			begin = event;
		} else if (event.what === 'image') {
			images.push(event.image);
		} else {
			progress.push(event.bytesDone);
		}
	}
	return {images, progress, foreign: begin.foreign, bytes: begin.bytes};
}

/** As a folder, a tar and a stream: each says the same. */
async function checkAll(t: ExecutionContext, bundle: TestBundle, deep = true): Promise<readonly CheckedImage[]> {
	const folder = await tempDir(t);
	const signal = new AbortController().signal;
	const spool = join(folder, 'spool');
	const opened = [
		new FolderBundle(await bundle.writeFolder(join(folder, 'x'))),
		await openBundle([await bundle.writeTar(join(folder, 'x.tar'))], {signal, spool: () => folderSpool(spool)}),
		new StreamBundle(inPieces(bundle.tar()), {spool: folderSpool(spool)}),
		new StreamBundle(inPieces(bundle.blobsFirst().tar()), {spool: folderSpool(spool)}),
	];
	const all: (readonly CheckedImage[])[] = [];
	for (const files of opened) {
		const {images} = await found(files, deep);
		all.push(images);
		await files.close();
	}
	const [first = []] = all;
	for (const one of all) {
		t.deepEqual(one, first);
	}
	return first;
}

const outcomes = (images: readonly CheckedImage[]): readonly string[] =>
	images.map(({name, outcome}) => `${name} ${outcome}`);

test('a bundle that is right is said to be, with what is in it', async t => {
	t.deepEqual(await checkAll(t, made), [
		{
			uuid: base.uuid,
			name: 'base',
			version: '1.0.0',
			type: 'zone-dataset',
			os: 'smartos',
			size: 1_400_000,
			outcome: 'right',
		},
		{
			...{uuid: middle.uuid, name: 'middle', version: '1.0.0', type: 'zone-dataset', os: 'smartos', size: 5000},
			...{origin: base.uuid, outcome: 'right'},
		},
		{
			...{uuid: top.uuid, name: 'top', version: '1.0.0', type: 'zone-dataset', os: 'smartos', size: 6000},
			...{origin: middle.uuid, outcome: 'right'},
		},
		{uuid: other.uuid, name: 'other', version: '1.0.0', type: 'lx-dataset', os: 'linux', size: 7000, outcome: 'right'},
	]);
	t.deepEqual(await checkAll(t, made, false), await checkAll(t, made));
});

test('how far it is, is told in bytes', async t => {
	const folder = await made.writeFolder(await tempDir(t));
	const {bytes, progress, foreign} = await found(new FolderBundle(folder));
	t.is(bytes, 1_418_000);
	t.is(foreign, 0);
	t.is(progress.at(-1), bytes);
	t.deepEqual(
		progress,
		[...progress].sort((a, b) => a - b),
	);
	t.is((await found(new FolderBundle(folder), false)).bytes, 0);
	const stream = new StreamBundle(inPieces(made.tar()), {spool: folderSpool(folder)});
	t.is((await found(stream)).bytes, undefined);
});

test('what is broken is broken alone, with the images that are built upon it', async t => {
	const [first, second, third, fourth] = [made.image(0), made.image(1), made.image(2), made.image(3)];
	const cases: readonly (readonly [string, TestBundle, readonly string[], RegExp])[] = [
		[
			'a flipped file',
			made.flipped(first.file ?? '', 700_000),
			['base broken', 'middle broken', 'top broken', 'other right'],
			/its file: blob sha256:.* is damaged/,
		],
		[
			'a missing file',
			made.without(second.file ?? ''),
			['base right', 'middle broken', 'top broken', 'other right'],
			/its file: blob sha256:.* is missing/,
		],
		[
			'a short file',
			made.changed(third.file ?? '', bytes => bytes.subarray(1)),
			['base right', 'middle right', 'top broken', 'other right'],
			/its file: blob .* has 5999 bytes instead of 6000/,
		],
		[
			'a long file',
			made.changed(fourth.file ?? '', bytes => Buffer.concat([bytes, Buffer.from('x')])),
			['base right', 'middle right', 'top right', 'other broken'],
			/has 7001 bytes instead of 7000/,
		],
		[
			'a missing manifest',
			made.without(second.config),
			['broken', 'base right', 'top broken', 'other right'],
			/its manifest is missing/,
		],
		[
			'a flipped manifest',
			made.flipped(fourth.config, 30),
			['base right', 'middle right', 'top right', 'broken'],
			/its manifest: blob .* is damaged/,
		],
		[
			'a missing OCI manifest',
			made.without(fourth.manifest),
			['base right', 'middle right', 'top right', 'broken'],
			/its OCI manifest is missing/,
		],
		[
			'a flipped OCI manifest',
			made.flipped(first.manifest, 5),
			['broken', 'middle broken', 'top broken', 'other right'],
			/its OCI manifest: blob .* is damaged/,
		],
		[
			'a missing icon',
			made.without(second.icon ?? ''),
			['base right', 'middle broken', 'top broken', 'other right'],
			/its icon is missing/,
		],
	];
	for (const [how, bundle, expected, problem] of cases) {
		const images = await checkAll(t, bundle);
		t.deepEqual(
			outcomes(images)
				.map(text => text.trim())
				.sort(),
			[...expected].sort(),
			how,
		);
		const problems = images.flatMap(image => image.problem ?? []);
		t.regex(problems[0] ?? '', problem, how);
		for (const child of images.filter(({outcome, origin}) => outcome === 'broken' && origin === base.uuid)) {
			t.true(child.problem === `its origin ${base.uuid} is broken` || problem.test(child.problem ?? ''), how);
		}
	}
});

test('an image whose manifest cannot be read is called what the index calls it', async t => {
	const [image] = await checkAll(t, makeBundle({images: [other]}).flipped(made.image(3).config, 9));
	t.is(image?.uuid, other.uuid);
	t.is(image?.name, '');
	t.is(image?.size, 7000);
});

test('a file may be right by sha256 and wrong by sha1: then the manifest lies', async t => {
	const liar = makeImage({name: 'liar', size: 100, claimedSha1: undefined});
	const honest = makeBundle({images: [liar]});
	t.deepEqual(outcomes(await checkAll(t, honest)), ['liar right']);
	// The layer says another sha1, and all digests of blobs are right again.
	const {manifest} = honest.image(0);
	const lying = Buffer.from(honest.bytes(manifest).toString().replace(liar.sha1, 'a'.repeat(40)));
	const bundle = honest
		.without(manifest)
		.withFile(blobPathOf(lying), lying)
		.changed('index.json', index =>
			Buffer.from(index.toString().replace(digestOf(honest.bytes(manifest)), digestOf(lying))),
		);
	const images = await checkAll(t, bundle);
	t.is(images[0]?.problem, `its file has the sha1 ${liar.sha1}, and should have ${'a'.repeat(40)}`);
	t.deepEqual(outcomes(await checkAll(t, bundle, false)), ['liar right']);
});

test('images may share a file', async t => {
	const bytes = pseudoRandom(1_200_000, 3);
	const [one, two] = [makeImage({bytes, name: 'one'}), makeImage({bytes, name: 'two'})];
	const bundle = makeBundle({images: [one, two]});
	t.deepEqual(outcomes(await checkAll(t, bundle)), ['one right', 'two right']);
	t.deepEqual(outcomes(await checkAll(t, bundle, false)), ['one right', 'two right']);
	t.deepEqual(outcomes(await checkAll(t, bundle.flipped(bundle.image(0).file ?? '', 1_000_000))), [
		'one broken',
		'two broken',
	]);
	t.deepEqual(outcomes(await checkAll(t, bundle.without(bundle.image(0).file ?? ''))), ['one broken', 'two broken']);
});

test('of a delta, what is left out is not missed', async t => {
	const delta = makeBundle({images: [base, middle, top], elsewhere: [base, top]});
	for (const deep of [true, false]) {
		t.deepEqual(outcomes(await checkAll(t, delta, deep)), ['base left-out', 'middle right', 'top left-out']);
	}
	t.deepEqual([...outcomes(await checkAll(t, delta.without(delta.image(0).config)))].sort(), [
		' broken',
		'middle broken',
		'top broken',
	]);
});

test('an image that stands before its origin is told after it; one whose origin is elsewhere, at the end', async t => {
	const child = makeImage({name: 'child', origin: '04a48d7d-6bb5-4e83-8c3b-e60a99e0f48f', size: 10});
	const images = [top, child, middle, other, base];
	t.deepEqual(outcomes(await checkAll(t, makeBundle({images}))), [
		'other right',
		'base right',
		'middle right',
		'top right',
		'child right',
	]);
	const broken = makeBundle({images});
	t.deepEqual(outcomes(await checkAll(t, broken.flipped(broken.image(base).file ?? '', 3))), [
		'other right',
		'base broken',
		'middle broken',
		'top broken',
		'child right',
	]);
});

test('origins that go round in a circle, and uuids that come twice, are broken', async t => {
	const egg = makeImage({name: 'egg', size: 10});
	const hen = makeImage({name: 'hen', size: 10, origin: egg});
	const circle = makeImage({name: 'egg', size: 10, uuid: egg.uuid, origin: hen});
	const self = makeImage({name: 'self', size: 10, uuid: other.uuid, origin: other.uuid});
	const images = await checkAll(t, makeBundle({images: [circle, hen, self]}));
	t.deepEqual(outcomes(images), ['egg broken', 'hen broken', 'self broken']);
	t.true(images.every(({problem}) => problem === 'its origins go round in a circle'));
	const twice = makeImage({name: 'twice', size: 10, uuid: egg.uuid});
	const [, second] = await checkAll(t, makeBundle({images: [egg, twice]}));
	t.is(second?.problem, 'the bundle has another image of this uuid');
});

test('artifacts of other kinds are counted and passed over', async t => {
	const bundle = makeBundle({images: [other]}).changed('index.json', index => {
		const value = JSON.parse(index.toString()) as {manifests: unknown[]};
		value.manifests.push({
			mediaType: 'application/vnd.oci.image.manifest.v1+json',
			digest: `sha256:${'1'.repeat(64)}`,
			size: 100,
			artifactType: 'application/vnd.example',
		});
		return Buffer.from(JSON.stringify(value));
	});
	const {images, foreign} = await found(new FolderBundle(await bundle.writeFolder(await tempDir(t))));
	t.deepEqual(outcomes(images), ['other right']);
	t.is(foreign, 1);
});

test('an index that cannot be read is an error, and so is a signal', async t => {
	const folder = await made.changed('index.json', () => Buffer.from('{')).writeFolder(await tempDir(t));
	await t.throwsAsync(found(new FolderBundle(folder)), {instanceOf: IntegrityError});
	const right = new FolderBundle(await made.writeFolder(await tempDir(t)));
	const controller = new AbortController();
	const reason = new Error('enough');
	controller.abort(reason);
	for (const deep of [true, false]) {
		await t.throwsAsync(
			async () => {
				for await (const event of checkBundle(right, {deep, signal: controller.signal})) {
					t.is(event.what, 'begin');
				}
			},
			{is: reason},
		);
	}
});

test('a stream of ours with a broken image puts nothing aside', async t => {
	const spool = await tempDir(t);
	for (const path of [made.image(0).file ?? '', made.image(1).config, made.image(2).file ?? '']) {
		const bundle = new StreamBundle(inPieces(made.without(path).tar()), {spool: folderSpool(spool)});
		t.is((await found(bundle)).images.filter(({outcome}) => outcome === 'broken').length > 0, true);
		t.deepEqual(await readdir(spool), []);
		await bundle.close();
	}
});

test('thousands of images in one chain are checked, in any order', async t => {
	const count = 3000;
	const uuids = makeManifests(count).map(({uuid}) => uuid);
	const images = uuids.map((uuid, index) => {
		const origin = uuids[index - 1];
		return makeImage({uuid, bytes: Buffer.from(`${index}`), ...(origin === undefined ? {} : {origin})});
	});
	const bundle = makeBundle({images: images.reverse()});
	const stream = new StreamBundle(inPieces(bundle.tar()), {spool: folderSpool(await tempDir(t))});
	const {images: checked} = await found(stream);
	t.is(checked.length, count);
	t.deepEqual(
		checked.map(({uuid}) => uuid),
		uuids,
	);
	t.true(checked.every(({outcome}) => outcome === 'right'));
});
