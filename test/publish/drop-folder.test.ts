import {appendFile, mkdir, readFile, readdir, rename, rm, symlink, writeFile} from 'node:fs/promises';
import {mkdirSync, symlinkSync} from 'node:fs';
import path from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {Adoption} from '../../src/publish/adopt.js';
import {scanFolder} from '../../src/publish/adopt-scan.js';
import {DropFolder} from '../../src/publish/drop-folder.js';
import {makeImage} from '../helpers/make-image.js';
import {sameBytes} from '../helpers/same-bytes.js';
import {tempDir} from '../helpers/temp-dir.js';
import type {LogLine} from '../helpers/test-host.js';
import {dsapid, pair, put, sdcImgapi, smartosImageServer} from './old-servers.js';
import {fileOf, idOf} from './other-server.js';
import {change, nobodyElse, startPublisher, uuid, type PublisherRig} from './start-publisher.js';

interface DropRig extends PublisherRig {
	readonly folder: string;
	readonly drop: DropFolder;
	/** Lets so much time go by, and waits until it has looked after that. */
	look(afterMs?: number): Promise<void>;
	audits(): readonly LogLine[];
}

/** `place`: the folder itself, or where it is when the publisher's is there. */
async function startDrop(t: ExecutionContext, place?: string | ((rig: PublisherRig) => string)): Promise<DropRig> {
	const root = path.join(await tempDir(t), 'data');
	await mkdir(root);
	const rig = await startPublisher(t, {root});
	const {host, layout, store, publisher} = rig;
	const where = typeof place === 'function' ? place(rig) : (place ?? (await tempDir(t)));
	const adoption = new Adoption({host, store, writes: publisher.writes, upstream: nobodyElse});
	const drop = new DropFolder({host, layout, folder: where, adoption});
	t.teardown(() => drop.stop());
	drop.start();
	await drop.lookNow();
	return {
		...rig,
		folder: where,
		drop,
		async look(afterMs = 10_000) {
			await host.clock.advance(afterMs);
			await drop.lookNow();
		},
		audits: () => host.linesLike({msg: 'audit'}),
	};
}

const audited = (line: LogLine | undefined): unknown => {
	const {outcome, image} = (line?.['audit'] ?? {}) as {outcome?: string; image?: string};
	return [outcome, image];
};

test('whatever is whole is taken in, in every form that older servers have', async t => {
	const [one, two, three, four] = [makeImage(), makeImage(), makeImage(), makeImage()];
	const rig = await startDrop(t);
	await pair(rig.folder, 'one', one, {manifest: '.imgmanifest'});
	await smartosImageServer(rig.folder, two);
	await dsapid(rig.folder, three);
	await sdcImgapi(rig.folder, four);
	await rm(path.join(rig.folder, 'archive'), {recursive: true});
	await rig.look();
	for (const image of [one, two, three, four]) {
		sameBytes(t, await fileOf(rig, idOf(image)), image.bytes);
	}
	t.is(rig.audits().length, 4);
	t.deepEqual(audited(rig.audits().find(line => JSON.stringify(line).includes(one.uuid))), ['adopted', one.uuid]);
	const left = await readdir(rig.folder, {recursive: true});
	t.deepEqual(left.sort(), ['images', 'manifests']);
});

test('what lies there at the start is taken in at once', async t => {
	const image = makeImage();
	const folder = await tempDir(t);
	await pair(folder, 'image', image);
	const rig = await startDrop(t, folder);
	sameBytes(t, await fileOf(rig, idOf(image)), image.bytes);
	t.deepEqual(await readdir(folder), []);
});

test('a file that is still being written is waited for', async t => {
	const image = makeImage({size: 10_000});
	const rig = await startDrop(t);
	await put(rig.folder, 'a.json', image.manifest);
	await rig.look();
	const file = await put(rig.folder, 'a.zfs.gz', image.bytes.subarray(0, 4000));
	await rig.look();
	await rig.look();
	t.deepEqual(rig.publisher.list(), []);
	await appendFile(file, image.bytes.subarray(4000, 9000));
	await rig.look();
	t.deepEqual((await readdir(rig.folder)).sort(), ['a.json', 'a.zfs.gz'], 'nothing is wrong yet');
	await appendFile(file, image.bytes.subarray(9000));
	await rig.look();
	sameBytes(t, await fileOf(rig, idOf(image)), image.bytes);
	t.deepEqual(await readdir(rig.folder), []);
	t.is(rig.audits().length, 1);
});

test('names of what is on its way, and hidden ones, are passed over', async t => {
	const image = makeImage();
	const rig = await startDrop(t);
	for (const ending of ['.part', '.tmp', '.partial']) {
		await put(rig.folder, `a.zfs.gz${ending}`, image.bytes);
		await put(rig.folder, `b.json${ending}`, image.manifest);
	}
	await put(rig.folder, '.hidden.json', image.manifest);
	await put(rig.folder, '.hidden.zfs.gz', image.bytes);
	await pair(path.join(rig.folder, '.upload'), 'x', image);
	await rig.look();
	await rig.look(120_000);
	t.is((await readdir(rig.folder)).length, 9);
	t.deepEqual(rig.audits(), []);
	await rename(path.join(rig.folder, 'a.zfs.gz.part'), path.join(rig.folder, 'a.zfs.gz'));
	await rename(path.join(rig.folder, 'b.json.part'), path.join(rig.folder, 'a.json'));
	await rig.look();
	sameBytes(t, await fileOf(rig, idOf(image)), image.bytes);
});

test('without an announced digest a file is taken once it has been the same for a while', async t => {
	const image = makeImage({size: 8000});
	const rig = await startDrop(t);
	await pair(rig.folder, 'a', image, {fields: {...image.manifest, files: []}});
	await rig.look();
	t.deepEqual(rig.publisher.list(), [], 'seen for the first time');
	await appendFile(path.join(rig.folder, 'a.zfs.gz'), 'more');
	await rig.look();
	t.deepEqual(rig.publisher.list(), [], 'it has changed');
	await rig.look();
	sameBytes(t, await fileOf(rig, idOf(image)), Buffer.concat([image.bytes, Buffer.from('more')]));
});

test('an image without uuid gets one', async t => {
	const rig = await startDrop(t);
	await put(rig.folder, 'a.json', {name: 'mine', version: '1', type: 'zone-dataset', os: 'smartos'});
	await put(rig.folder, 'a.zfs.gz', 'bytes');
	await rig.look();
	await rig.look();
	const [image] = rig.publisher.list();
	t.like(image, {name: 'mine', state: 'active'});
	t.deepEqual(await readdir(rig.folder), []);
});

test('what cannot be taken stays, with a text that says why until it is put right', async t => {
	const image = makeImage();
	const rig = await startDrop(t);
	await pair(rig.folder, 'a', image);
	await writeFile(path.join(rig.folder, 'a.zfs.gz'), Buffer.alloc(image.size));
	await rig.look();
	t.deepEqual((await readdir(rig.folder)).sort(), ['a.json', 'a.json.problem.txt', 'a.zfs.gz']);
	t.regex(await readFile(path.join(rig.folder, 'a.json.problem.txt'), 'utf8'), /^a\.json: .*SHA-1/);
	t.deepEqual(audited(rig.audits()[0]), ['failed', image.uuid]);
	await rig.look();
	await rig.look(3_600_000);
	t.is(rig.audits().length, 1, 'it is said once');
	t.deepEqual((await rig.litter()).blobs, []);
	t.deepEqual((await rig.litter()).uploads, []);

	await writeFile(path.join(rig.folder, 'a.zfs.gz'), image.bytes);
	await rig.look();
	sameBytes(t, await fileOf(rig, idOf(image)), image.bytes);
	t.deepEqual(await readdir(rig.folder), []);
});

test('a text about what is gone goes as well', async t => {
	const rig = await startDrop(t);
	await put(rig.folder, 'a.imgmanifest', '{"uuid":');
	await rig.look();
	await rig.look(70_000);
	t.deepEqual((await readdir(rig.folder)).sort(), ['a.imgmanifest', 'a.imgmanifest.problem.txt']);
	await rm(path.join(rig.folder, 'a.imgmanifest'));
	await rig.look();
	t.deepEqual(await readdir(rig.folder), []);
});

test('a file that never comes, or never gets whole, is told of after a minute', async t => {
	const [alone, short] = [makeImage(), makeImage()];
	const rig = await startDrop(t);
	await put(rig.folder, 'alone.json', alone.manifest);
	await pair(rig.folder, 'short', short);
	await writeFile(path.join(rig.folder, 'short.zfs.gz'), short.bytes.subarray(0, 10));
	await rig.look();
	await rig.look(40_000);
	t.deepEqual(rig.audits(), []);
	await rig.look(30_000);
	t.is(rig.audits().length, 2);
	t.regex(await readFile(path.join(rig.folder, 'alone.json.problem.txt'), 'utf8'), /not there/);
	t.regex(await readFile(path.join(rig.folder, 'short.json.problem.txt'), 'utf8'), /has 10 bytes/);
});

test('links are not followed, neither to files nor in place of our own texts', async t => {
	const [image, bad] = [makeImage(), makeImage()];
	const elsewhere = await tempDir(t);
	const secret = await put(elsewhere, 'secret', 'precious');
	const rig = await startDrop(t);
	await put(rig.folder, 'a.json', image.manifest);
	await symlink(await put(elsewhere, 'file', image.bytes), path.join(rig.folder, 'a.zfs.gz'));
	await pair(rig.folder, 'b', bad, {fields: {...bad.manifest, files: [{sha1: '0'.repeat(40), size: bad.size}]}});
	await symlink(secret, path.join(rig.folder, 'b.json.problem.txt'));
	await symlink(elsewhere, path.join(rig.folder, 'folder'));
	await pair(elsewhere, 'inner', makeImage());
	await rig.look();
	await rig.look();
	t.deepEqual(rig.publisher.list(), []);
	t.is(rig.audits().length, 2);
	t.is(await readFile(secret, 'utf8'), 'precious');
	t.regex(await readFile(path.join(rig.folder, 'a.json.problem.txt'), 'utf8'), /link/);
	t.regex(await readFile(path.join(rig.folder, 'b.json.problem.txt'), 'utf8'), /SHA-1/);
	t.true((await readdir(elsewhere)).includes('inner.zfs.gz'));
});

test('what is here already is checked and cleared away', async t => {
	const image = makeImage();
	const rig = await startDrop(t);
	await pair(rig.folder, 'a', image);
	await rig.look();
	await pair(rig.folder, 'again', image);
	await rig.look();
	t.deepEqual(rig.audits().map(audited), [
		['adopted', image.uuid],
		['there', image.uuid],
	]);
	t.deepEqual(await readdir(rig.folder), []);
	await pair(rig.folder, 'other', makeImage({uuid: image.uuid}));
	await rig.look();
	t.deepEqual(audited(rig.audits().at(-1)), ['failed', image.uuid]);
	sameBytes(t, await fileOf(rig, idOf(image)), image.bytes);
});

test('what says something else of an image that is here stays, with a text that names it', async t => {
	const image = makeImage({description: 'as it was', extra: {tags: {kind: 'base'}, requirements: {networks: []}}});
	const rig = await startDrop(t);
	await pair(rig.folder, 'a', image);
	await rig.look();
	const fields = {...image.manifest, name: 'renamed', tags: {kind: 'other'}, house_rule: 'kept'};
	await pair(rig.folder, 'again', image, {fields});
	await rig.look();
	const left = ['again.json', 'again.json.problem.txt', 'again.zfs.gz'];
	t.deepEqual((await readdir(rig.folder)).sort(), left);
	const text = await readFile(path.join(rig.folder, 'again.json.problem.txt'), 'utf8');
	t.true(
		text.startsWith(
			'again.json: we have that uuid already, with another name, tags, house_rule: ' +
				`UpdateImage (POST /images/${image.uuid}?action=update) changes`,
		),
		text,
	);
	t.deepEqual(audited(rig.audits().at(-1)), ['failed', image.uuid]);
	await rig.look(3_600_000);
	t.is(rig.audits().length, 2, 'it is said once');
	t.like(rig.publisher.list(), [{name: image.manifest['name']}]);

	await put(rig.folder, 'again.json', image.manifest);
	await rig.look();
	t.deepEqual(audited(rig.audits().at(-1)), ['there', image.uuid]);
	t.deepEqual(await readdir(rig.folder), []);
});

test('what a manifest leaves out, or what changes by itself, is nothing else', async t => {
	const image = makeImage({description: 'as it was', extra: {tags: {a: 1, b: 2}}});
	const rig = await startDrop(t);
	await pair(rig.folder, 'a', image);
	await rig.look();
	const {uuid: id, name, version, type, os} = image.manifest;
	const files = [{...(image.manifest['files'] as readonly object[])[0], mtime: 'yesterday'}];
	await pair(rig.folder, 'short', image, {fields: {uuid: id, name, version, type, os}});
	await pair(rig.folder, 'other', image, {
		fields: {
			...{...image.manifest, files, tags: {b: 2, a: 1}, owner: uuid(), state: 'disabled', disabled: true},
			published_at: String(image.manifest['published_at']).replace(/(?:\.\d+)?Z$/, '.000000000Z'),
		},
	});
	await rig.look();
	await rig.look();
	t.deepEqual(rig.audits().map(audited), [
		['adopted', image.uuid],
		['there', image.uuid],
		['there', image.uuid],
	]);
	t.deepEqual(await readdir(rig.folder), []);
});

test('a folder that is not there is told of once, and found when it comes', async t => {
	const image = makeImage();
	const folder = path.join(await tempDir(t), 'drop');
	const rig = await startDrop(t, folder);
	await rig.look();
	await rig.look();
	t.is(rig.host.linesLike({msg: 'the drop folder cannot be read'}).length, 1);
	t.regex(rig.host.troubles.list().join(), /^the drop folder \S+ cannot be read: .*ENOENT/);
	await mkdir(folder);
	await pair(folder, 'a', image);
	await rig.look();
	t.deepEqual(rig.host.troubles.list(), []);
	sameBytes(t, await fileOf(rig, idOf(image)), image.bytes);
});

for (const [what, steps] of [
	['the data directory', []],
	['what is around it', ['..']],
	['where records of published images are', ['published']],
	['a folder within one of the mirror’s', ['uploads', 'drop']],
] as const) {
	test(`nothing is taken from, and nothing is cleared away in ${what}, by whatever way it is named`, async t => {
		const image = makeImage();
		const link = path.join(await tempDir(t), 'link');
		const at = ({layout}: PublisherRig): string => path.join(layout.root, ...steps);
		const rig = await startDrop(t, place => {
			mkdirSync(at(place), {recursive: true});
			symlinkSync(at(place), link);
			return link;
		});
		await pair(at(rig), 'a', image);
		await rig.look();
		await rig.look();
		t.is(rig.publisher.get(idOf(image)), undefined);
		t.is(rig.audits().length, 0);
		t.deepEqual((await readdir(at(rig))).filter(name => name.startsWith('a.')).sort(), ['a.json', 'a.zfs.gz']);
		const [line, ...others] = rig.host.linesLike({msg: 'the drop folder cannot be read'});
		t.is(others.length, 0);
		t.regex(String(line?.['problem']), /the mirror keeps its own files/u);
	});
}

test('a folder of its own in the data directory will do', async t => {
	const image = makeImage();
	const rig = await startDrop(t, ({layout}) => path.join(layout.root, 'drop'));
	await mkdir(rig.folder);
	await pair(rig.folder, 'a', image);
	await rig.look();
	sameBytes(t, await fileOf(rig, idOf(image)), image.bytes);
});

test('a change is noticed without waiting for the next look', async t => {
	const image = makeImage();
	const rig = await startDrop(t);
	await rig.look();
	await pair(rig.folder, 'a', image);
	// The folder tells us itself: the next look is a second away by then, not ten.
	await rig.host.clock.timerDueIn(0, 1000);
	await rig.host.clock.advance(1000);
	await rig.host.logged({msg: 'audit'});
	sameBytes(t, await fileOf(rig, idOf(image)), image.bytes);
});

test('stopping waits for what is under way and looks no more', async t => {
	const rig = await startDrop(t);
	await pair(rig.folder, 'a', makeImage());
	await rig.drop.stop();
	await rig.host.clock.advance(100_000);
	t.deepEqual(rig.publisher.list(), []);
	t.is((await readdir(rig.folder)).length, 2);
	t.is(uuid().length, 36);
});

test('a folder that is made a link after it was looked through leads nowhere: nothing is taken from there, nothing goes', async t => {
	const [image, secret] = [makeImage({size: 5000}), makeImage({size: 5000})];
	const [drop, elsewhere, aside] = [await tempDir(t), await tempDir(t), path.join(await tempDir(t), 'aside')];
	const {host, store, publisher} = await startPublisher(t);
	const adoption = new Adoption({host, store, writes: publisher.writes, upstream: nobodyElse});
	const told = {...image.manifest, files: [{size: 5000, compression: 'none', path: 'x.zfs'}]};
	await pair(path.join(drop, 'sub'), 'x', image, {file: '.zfs', fields: told});
	await pair(elsewhere, 'x', secret, {file: '.zfs'});
	const [found] = await scanFolder(drop, {links: false, signal: new AbortController().signal});
	await rename(path.join(drop, 'sub'), aside);
	await symlink(elsewhere, path.join(drop, 'sub'));
	const taking = adoption.take(found ?? t.fail(), {how: 'move', dryRun: false}, change());
	let step = await taking.next();
	while (step.done !== true) {
		step = await taking.next();
	}
	t.like(step.value, {outcome: 'failed'});
	t.regex(step.value.problem ?? '', /another file than a moment ago/u);
	t.deepEqual(publisher.list(), []);
	t.is((await readdir(elsewhere)).length, 2);
	t.is((await readdir(aside)).length, 2);
	const again = await scanFolder(drop, {links: false, signal: new AbortController().signal});
	t.deepEqual(again, []);
});
