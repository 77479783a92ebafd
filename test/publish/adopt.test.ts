import {execFileSync} from 'node:child_process';
import {link, mkdir, readFile, readdir, rm, stat, symlink, utimes, writeFile} from 'node:fs/promises';
import path from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {InvalidParameterError, SourceUnavailableError} from '../../src/errors.js';
import {parseManifest} from '../../src/image/manifest.js';
import type {AdoptEvent, AdoptRequest, Change} from '../../src/publish/api.js';
import {reporting} from '../../src/publish/reporting.js';
import {makeImage, type TestImage} from '../helpers/make-image.js';
import {sameBytes} from '../helpers/same-bytes.js';
import {tempDir} from '../helpers/temp-dir.js';
import {dsapid, pair, put, sdcImgapi, smartosImageServer, trondn} from './old-servers.js';
import {fileOf, idOf} from './other-server.js';
import {
	change,
	lose,
	offering,
	served,
	startPublisher,
	threeChannels,
	uuid,
	type PublisherRig,
} from './start-publisher.js';

async function adopt(
	{publisher}: PublisherRig,
	directory: string,
	request: Partial<Omit<AdoptRequest, 'directory'>> & {readonly change?: Change} = {},
): Promise<readonly AdoptEvent[]> {
	const {how = 'copy', dryRun = false} = request;
	const events: AdoptEvent[] = [];
	for await (const event of publisher.adopt({directory, how, dryRun}, request.change ?? change({operator: true}))) {
		events.push(event);
	}
	return events;
}

/** What came of each: `adopted`, `there`, or its problem. */
function outcomes(events: readonly AdoptEvent[]): Readonly<Record<string, string>> {
	return Object.fromEntries(
		events.flatMap(event => (event.what === 'done' ? [[event.uuid, event.problem ?? event.outcome]] : [])),
	);
}

async function isOurs(t: ExecutionContext, rig: PublisherRig, image: TestImage): Promise<Record<string, unknown>> {
	sameBytes(t, await fileOf(rig, idOf(image)), image.bytes);
	const manifest = rig.publisher.get(idOf(image));
	return manifest === undefined ? {} : served(manifest);
}

test('what smartos-image-server kept is taken over', async t => {
	const images = [makeImage(), makeImage()];
	const folder = await tempDir(t);
	await put(folder, 'config.json', {listen_port: 8080, 'image-creator': 'internal'});
	await put(folder, 'package.json', {name: 'smartos-image-server', version: '0.1.1', type: 'commonjs'});
	await put(folder, 'server.js', '//');
	await put(folder, 'node_modules/restify/package.json', {name: 'restify', version: '1', type: 'x', os: 'y'});
	for (const image of images) {
		await smartosImageServer(folder, image);
	}
	const rig = await startPublisher(t);
	const events = await adopt(rig, folder);
	t.deepEqual(events[0], {what: 'found', images: 2, bytes: 20_000});
	t.deepEqual(events.at(-1), {what: 'end', adopted: 2, there: 0, failed: 0});
	for (const image of images) {
		t.like(await isOurs(t, rig, image), {
			v: 2,
			state: 'active',
			public: true,
			owner: '00000000-0000-0000-0000-000000000000',
			published_at: '2013-05-06T07:08:00Z',
			description: 'Base image for our organization',
			urn: `internal:internal:${String(image.manifest['name'])}:1.0.0`,
			files: [{sha1: image.sha1, size: image.size, compression: 'gzip'}],
		});
		t.true((await stat(path.join(folder, image.uuid, 'manifest.json'))).isFile(), 'the original stays');
	}
	t.deepEqual(Object.values(outcomes(await adopt(rig, folder))), ['there', 'there']);
	const later = await rig.restart();
	t.is(later.publisher.list().length, 2);
});

test('what dsapid kept is taken over', async t => {
	const [image, pending, zvol, nuked] = [makeImage(), makeImage(), makeImage(), makeImage()];
	const folder = await tempDir(t);
	await dsapid(folder, image);
	await dsapid(folder, pending, {state: 'pending'});
	await dsapid(folder, nuked, {state: 'nuked'});
	const options = {cpu_type: 'host', image_size: 10240, nic_driver: 'virtio', disk_driver: 'virtio'};
	await dsapid(folder, zvol, {type: 'zvol', options});
	const rig = await startPublisher(t);
	t.deepEqual(new Set(Object.values(outcomes(await adopt(rig, folder)))), new Set(['adopted']));
	const manifest = await isOurs(t, rig, image);
	t.like(manifest, {
		state: 'active',
		owner: 'a979f956-12cb-4216-bf4c-ae73e6f14dde',
		published_at: '2014-08-13T20:07:10.123Z',
		description: 'from dsapid',
	});
	for (const key of ['provider', 'sync_info', 'builder_info', 'metadata_info', 'created_at', 'requirements']) {
		t.false(key in manifest, key);
	}
	t.is((await isOurs(t, rig, pending))['state'], 'unactivated');
	t.is((await isOurs(t, rig, nuked))['state'], 'disabled');
	t.like(await isOurs(t, rig, zvol), {type: 'zvol', ...options});
});

test('what sdc-imgapi kept is taken over, with states, icons and channels', async t => {
	const owner = uuid();
	const image = makeImage({
		...{owner, icon: Buffer.from('\x89PNG'), urn: 'sdc:sdc:base:1', acl: [uuid()], public: false},
		file: {dataset_guid: '123'},
		extra: {channels: ['staging', 'release', 'gone'], billing_tags: ['a'], requirements: {min_ram: 64}},
	});
	const disabled = makeImage({state: 'disabled', extra: {channels: ['dev']}});
	const unactivated = makeImage({state: 'unactivated', extra: {channels: ['dev']}});
	const old = makeImage();
	const folder = await tempDir(t);
	await sdcImgapi(folder, image);
	await sdcImgapi(folder, disabled);
	await sdcImgapi(folder, unactivated);
	// As versions of 2013 wrote them.
	const raw = {
		...{disabled: 'false', activated: 'true', public: 'true', tagsObj: undefined, objectclass: 'sdcimage'},
		files: JSON.stringify(old.manifest['files']),
		requirements: '{"networks":[{"name":"net0","description":"public"}]}',
	};
	await sdcImgapi(folder, old, {raw, prefixed: false});
	await put(folder, `archive/000/${uuid('00000000-0000-4000-8000-000000000000')}.json`, makeImage().manifest);
	await put(folder, 'etc/imgapi.config.json', {mode: 'public'});

	const rig = await startPublisher(t, {settings: {channels: threeChannels}});
	const events = await adopt(rig, folder);
	t.deepEqual(new Set(Object.values(outcomes(events))), new Set(['adopted']));
	t.is(events.filter(({what}) => what === 'image').length, 4);
	t.like(await isOurs(t, rig, image), {
		owner,
		state: 'active',
		icon: true,
		urn: 'sdc:sdc:base:1',
		public: false,
		acl: image.manifest['acl'],
		published_at: image.manifest['published_at'],
		tags: {role: 'os', nested: {a: 1}},
		requirements: {min_ram: 64},
		billing_tags: ['a'],
		files: [{sha1: image.sha1, size: image.size, compression: 'gzip', dataset_guid: '123'}],
	});
	t.deepEqual(rig.publisher.writes.get(idOf(image))?.channels, ['staging', 'release']);
	t.deepEqual(rig.publisher.writes.get(idOf(old))?.channels, ['dev'], 'the default');
	const icon = await rig.publisher.icon(idOf(image));
	t.deepEqual([icon.bytes, icon.contentType], [image.icon, 'image/png']);
	t.is((await isOurs(t, rig, disabled))['state'], 'disabled');
	const still = await isOurs(t, rig, unactivated);
	t.is(still['state'], 'unactivated');
	t.false('published_at' in still);
	t.like(await isOurs(t, rig, old), {
		...{state: 'active', disabled: false, public: true, tags: {role: 'os', nested: ''}},
		requirements: {networks: [{name: 'net0', description: 'public'}]},
	});
});

test('where sdc-imgapi had its manifests in a database, the archive is taken for them', async t => {
	const image = makeImage();
	const deleted = makeImage();
	const folder = await tempDir(t);
	await put(folder, `images/${image.uuid.slice(0, 3)}/${image.uuid}/file0`, image.bytes);
	for (const one of [image, deleted]) {
		await put(folder, `archive/${one.uuid.slice(0, 3)}/${one.uuid}.json`, one.manifest);
	}
	const rig = await startPublisher(t);
	t.deepEqual(outcomes(await adopt(rig, folder)), {[image.uuid]: 'adopted'});
	t.deepEqual(await isOurs(t, rig, image), image.manifest);
});

test('what trondn’s server kept is taken over', async t => {
	const [image, enabled, off, empty] = [makeImage(), makeImage(), makeImage(), makeImage()];
	const folder = await tempDir(t);
	await trondn(folder, image);
	await put(folder, `${image.uuid}/icon.png`, Buffer.from('png'));
	await trondn(folder, enabled, {state: 'activated'});
	await trondn(folder, off, {disabled: true});
	await put(folder, `${empty.uuid}/manifest.json`, {
		...{uuid: empty.uuid, v: 2, name: 'a', version: '1', type: 'zone-dataset', os: 'smartos'},
		...{state: 'unactivated', disabled: false, public: false},
	});
	const when = new Date('2016-03-31T08:37:59.000Z');
	await utimes(path.join(folder, image.uuid, 'manifest.json'), when, when);
	const rig = await startPublisher(t);
	t.deepEqual(new Set(Object.values(outcomes(await adopt(rig, folder)))), new Set(['adopted']));
	t.like(await isOurs(t, rig, image), {
		state: 'active',
		icon: true,
		published_at: when.toISOString(),
		owner: '00000000-0000-0000-0000-000000000000',
		files: [{sha1: image.sha1, size: image.size, compression: 'gzip'}],
	});
	t.is((await isOurs(t, rig, enabled))['state'], 'active');
	t.is((await isOurs(t, rig, off))['state'], 'disabled');
	t.is(rig.publisher.get(idOf(empty))?.state, 'unactivated');
	t.deepEqual(rig.publisher.get(idOf(empty))?.files, []);
});

test('manifests with their files beside them are taken over, in all their spellings', async t => {
	const images = Array.from({length: 6}, () => makeImage());
	const [hww3, created, dsmanifest, named, bz2, exported] = images as [
		TestImage,
		TestImage,
		TestImage,
		TestImage,
		TestImage,
		TestImage,
	];
	const folder = await tempDir(t);
	await pair(folder, 'base', hww3);
	await pair(folder, 'sub/one/my-image-1.0.0', created, {manifest: '.imgmanifest'});
	await pair(folder, 'nodejs-1.0.0', dsmanifest, {manifest: '.dsmanifest', fields: dsmanifest.dataset});
	await put(folder, 'elsewhere.bin', named.bytes);
	await put(folder, 'named.json', {...named.dataset, files: [{...file(named), path: 'some/elsewhere.bin'}]});
	await pair(folder, 'bz', bz2, {
		...{manifest: '.manifest', file: '.zfs.bz2'},
		fields: {...bz2.manifest, files: [{sha1: bz2.sha1, size: bz2.size}]},
	});
	await put(folder, 'tar/x-1.zfs.gz', exported.bytes);
	await put(folder, 'tar/x-1-imgapi.dsmanifest', exported.manifest);
	await put(folder, 'tar/x-1-dsapi.dsmanifest', exported.dataset);
	const rig = await startPublisher(t);
	const events = await adopt(rig, folder);
	t.deepEqual(outcomes(events), Object.fromEntries(images.map(image => [image.uuid, 'adopted'])));
	for (const image of images) {
		await isOurs(t, rig, image);
	}
	t.is(rig.publisher.get(idOf(bz2))?.files[0]?.compression, 'bzip2');
	t.is(rig.publisher.get(idOf(dsmanifest))?.publishedAt, dsmanifest.manifest['published_at'] as string);
});

const file = (image: TestImage): object => ({sha1: image.sha1, size: image.size});

test('what a manifest does not say of its file is found out', async t => {
	const image = makeImage({bytes: Buffer.concat([Buffer.from('1f8b0800', 'hex'), Buffer.alloc(1000, 7)])});
	const odd = makeImage();
	const folder = await tempDir(t);
	await pair(folder, 'a', image, {file: '.img', fields: {...image.manifest, files: undefined}});
	const noSha1 = {size: odd.size, md5: odd.md5, path: 'b.zfs', compression: 'none'};
	await pair(folder, 'b', odd, {file: '.zfs', fields: {...odd.manifest, files: [noSha1]}});
	const rig = await startPublisher(t);
	t.deepEqual(outcomes(await adopt(rig, folder)), {[image.uuid]: 'adopted', [odd.uuid]: 'adopted'});
	t.like(rig.publisher.get(idOf(image))?.files[0], {sha1: image.sha1, size: image.size, compression: 'gzip'});
	t.like(rig.publisher.get(idOf(odd))?.files[0], {sha1: odd.sha1, compression: 'none'});
	t.deepEqual(Object.values(outcomes(await adopt(rig, folder))), ['there', 'there']);
});

test('a bad image is told of and stops no other', async t => {
	const good = makeImage();
	const bad = Array.from({length: 9}, () => makeImage());
	const [sha1, size, missing, md5, invalid, placeholder, other, traversal, noName] = bad as [
		...[TestImage, TestImage, TestImage, TestImage, TestImage, TestImage, TestImage, TestImage, TestImage],
	];
	const folder = await tempDir(t);
	await smartosImageServer(folder, good);
	await dsapid(folder, sha1, {files: [{path: 'image-file.zfs.gz', size: sha1.size, sha1: '0'.repeat(40)}]});
	await dsapid(folder, size, {files: [{path: 'image-file.zfs.gz', size: 3, sha1: size.sha1}]});
	await dsapid(folder, missing, {files: [{path: 'nothing.zfs.gz', size: 3, sha1: size.sha1}]});
	await dsapid(folder, md5, {files: [{path: 'image-file.zfs.gz', size: md5.size, md5: '0'.repeat(32)}]});
	await pair(folder, 'invalid', invalid, {fields: {...invalid.manifest, os: undefined, name: 5}});
	await sdcImgapi(folder, placeholder, {raw: {state: 'creating', activated: false}});
	await put(folder, `${other.uuid}/manifest.json`, makeImage().manifest);
	await put(folder, `${other.uuid}/image.gz`, other.bytes);
	await dsapid(folder, traversal, {files: [{path: '../../../etc/passwd', sha1: '0'.repeat(40)}]});
	await put(folder, `${noName.uuid}/manifest.json`, '{"uuid":');
	await put(folder, 'not-uuid.json', {...good.manifest, uuid: 'NOT-A-UUID'});
	await put(folder, 'not-uuid.zfs.gz', 'x');
	await put(folder, 'nameless.json', {name: 'x', version: '1', type: 'zone-dataset', os: 'smartos'});
	await put(folder, 'nameless.zfs.gz', 'x');
	await put(folder, 'huge.imgmanifest', Buffer.alloc(8 * 1024 * 1024 + 1, ' '));
	await put(folder, 'deep.imgmanifest', '['.repeat(1_000_000));
	const rig = await startPublisher(t);
	const events = await adopt(rig, folder);
	const told = outcomes(events);
	const patterns: readonly (readonly [string, RegExp])[] = [
		[good.uuid, /^adopted$/],
		[sha1.uuid, /SHA-1/],
		[size.uuid, /bytes/],
		[missing.uuid, /not there/],
		[md5.uuid, /md5/],
		[invalid.uuid, /name.*os/s],
		[`manifests/${placeholder.uuid}.raw`, /state is creating/],
		[`${other.uuid}/manifest.json`, /lies where/],
		[traversal.uuid, /out of the folder/],
		[`${noName.uuid}/manifest.json`, /JSON/],
		['not-uuid.json', /uuid/],
		['nameless.json', /uuid/],
		['huge.imgmanifest', /longer than/],
		['deep.imgmanifest', /./],
	];
	for (const [name, pattern] of patterns) {
		t.regex(told[name] ?? 'not told of', pattern, name);
	}
	t.is(Object.keys(told).length, patterns.length);
	t.like(events.at(-1), {what: 'end', adopted: 1, failed: patterns.length - 1});
	t.deepEqual(
		rig.publisher.list().map(image => image.uuid),
		[idOf(good)],
	);
	t.deepEqual((await rig.litter()).blobs, [good.sha1 as never]);
	t.deepEqual((await rig.litter()).uploads, []);
});

test('links that lead out of the folder, pipes and folders are no files of images', async t => {
	const [inside, outside, pipe, folderFile, outsideManifest] = [
		...[makeImage(), makeImage(), makeImage(), makeImage(), makeImage()],
	] as const;
	const folder = await tempDir(t);
	const elsewhere = await tempDir(t);
	const secret = await put(elsewhere, 'secret', outside.bytes);
	await put(folder, 'store/inside', inside.bytes);
	await put(folder, 'inside.json', inside.manifest);
	await symlink('store/inside', path.join(folder, 'inside.zfs.gz'));
	await put(folder, 'outside.json', outside.manifest);
	await symlink(secret, path.join(folder, 'outside.zfs.gz'));
	await put(folder, 'pipe.json', pipe.manifest);
	execFileSync('mkfifo', [path.join(folder, 'pipe.zfs.gz'), path.join(folder, 'pipe.imgmanifest')]);
	await put(folder, 'folder.json', folderFile.manifest);
	await mkdir(path.join(folder, 'folder.zfs.gz'));
	await put(folder, 'linked.zfs.gz', outsideManifest.bytes);
	await symlink(await put(elsewhere, 'm.json', outsideManifest.manifest), path.join(folder, 'linked.json'));
	await symlink(elsewhere, path.join(folder, 'all'));
	const rig = await startPublisher(t);
	const told = outcomes(await adopt(rig, folder));
	t.is(told[inside.uuid], 'adopted');
	t.regex(told[outside.uuid] ?? '', /out of the folder/);
	t.regex(told[pipe.uuid] ?? '', /no plain file/);
	t.regex(told['pipe.imgmanifest'] ?? '', /no plain file/);
	t.regex(told[folderFile.uuid] ?? '', /not there/);
	t.regex(told['linked.json'] ?? '', /out of the folder/);
	t.is(rig.publisher.list().length, 1);
	const moved = outcomes(await adopt(await startPublisher(t), folder, {how: 'move'}));
	t.regex(moved[inside.uuid] ?? '', /link/, 'what is to be moved must not be one');
});

test('base images come first, and origins that are nowhere do no harm', async t => {
	const base = makeImage({uuid: 'ffffffff-0000-4000-8000-000000000001'});
	const middle = makeImage({uuid: 'eeeeeeee-0000-4000-8000-000000000001', origin: base});
	const top = makeImage({uuid: '00000000-0000-4000-8000-000000000001', origin: middle});
	const orphan = makeImage({uuid: '11111111-0000-4000-8000-000000000001', origin: uuid()});
	const a = makeImage({uuid: '22222222-0000-4000-8000-000000000001', origin: '33333333-0000-4000-8000-000000000001'});
	const b = makeImage({uuid: '33333333-0000-4000-8000-000000000001', origin: a});
	const folder = await tempDir(t);
	for (const image of [base, middle, top, orphan, a, b]) {
		await pair(folder, image.uuid, image);
	}
	const rig = await startPublisher(t);
	const told = outcomes(await adopt(rig, folder));
	t.deepEqual(new Set(Object.values(told)), new Set(['adopted']));
	const order = Object.keys(told);
	t.true(order.indexOf(base.uuid) < order.indexOf(middle.uuid));
	t.true(order.indexOf(middle.uuid) < order.indexOf(top.uuid));
});

test('files are copied, linked or moved as asked', async t => {
	for (const how of ['copy', 'link', 'move'] as const) {
		const [one, two] = [makeImage({icon: Buffer.from('i')}), makeImage()];
		const folder = await tempDir(t);
		await sdcImgapi(folder, one);
		await trondn(folder, two);
		await put(folder, 'notes.txt', 'mine');
		const rig = await startPublisher(t);
		const inode = (await stat(path.join(folder, two.uuid, 'image.gz'))).ino;
		t.deepEqual(new Set(Object.values(outcomes(await adopt(rig, folder, {how})))), new Set(['adopted']), how);
		await isOurs(t, rig, one);
		await isOurs(t, rig, two);
		const blob = await stat(rig.layout.blob(two.sha1 as never));
		t.is(blob.ino === inode, how !== 'copy', how);
		const left = (await readdir(folder, {recursive: true})).sort();
		if (how === 'move') {
			const archived = `archive/${one.uuid.slice(0, 3)}/${one.uuid}.json`;
			t.deepEqual(
				left.filter(name => !['archive', 'images', 'manifests', path.dirname(archived)].includes(name)),
				[archived, 'notes.txt'],
			);
			t.is(blob.nlink, 1);
		} else {
			t.true(left.includes(`${two.uuid}/image.gz`));
			t.is((await readFile(path.join(folder, two.uuid, 'image.gz'))).length, two.size);
		}
	}
});

test('what others could still write to is copied even where it is to be moved', async t => {
	const image = makeImage();
	const folder = await tempDir(t);
	const elsewhere = await tempDir(t);
	await pair(folder, 'a', image);
	await link(path.join(folder, 'a.zfs.gz'), path.join(elsewhere, 'other-name'));
	const rig = await startPublisher(t);
	await adopt(rig, folder, {how: 'move'});
	await isOurs(t, rig, image);
	t.is((await stat(rig.layout.blob(image.sha1 as never))).nlink, 1);
	t.deepEqual(await readdir(folder), []);
	t.deepEqual(await readdir(elsewhere), ['other-name']);
});

test('an image that cannot be taken is not moved either', async t => {
	const [wrong, taken] = [makeImage(), makeImage()];
	const folder = await tempDir(t);
	await pair(folder, 'wrong', wrong, {
		fields: {...wrong.manifest, files: [{...file(makeImage()), compression: 'gzip'}]},
	});
	await pair(folder, 'taken', taken);
	const rig = await startPublisher(t);
	const before = await tempDir(t);
	await pair(before, 'x', makeImage({uuid: taken.uuid, bytes: Buffer.from('another')}));
	await adopt(rig, before);
	const told = outcomes(await adopt(rig, folder, {how: 'move'}));
	t.regex(told[wrong.uuid] ?? '', /SHA-1/);
	t.regex(told[taken.uuid] ?? '', /another file/);
	t.deepEqual((await readdir(folder)).sort(), ['taken.json', 'taken.zfs.gz', 'wrong.json', 'wrong.zfs.gz']);
	sameBytes(t, await fileOf(rig, idOf(taken)), Buffer.from('another'));
});

test('a file that was lost here is taken from the folder that still has it', async t => {
	const image = makeImage();
	const folder = await tempDir(t);
	await pair(folder, 'a', image);
	for (const how of ['copy', 'link'] as const) {
		const rig = await startPublisher(t);
		await adopt(rig, folder);
		await lose(rig, idOf(image));
		t.deepEqual(outcomes(await adopt(rig, folder, {how, dryRun: true})), {[image.uuid]: 'there'});
		t.deepEqual((await rig.litter()).blobs, []);
		t.deepEqual(outcomes(await adopt(rig, folder, {how})), {[image.uuid]: 'there'});
		await isOurs(t, rig, image);
	}
});

test('a second move of an image that is here checks it, and clears it away', async t => {
	const image = makeImage();
	const [first, second] = [await tempDir(t), await tempDir(t)];
	await pair(first, 'a', image);
	await pair(second, 'a', image);
	const rig = await startPublisher(t);
	await adopt(rig, first, {how: 'move'});
	t.deepEqual(outcomes(await adopt(rig, second, {how: 'move'})), {[image.uuid]: 'there'});
	t.deepEqual(await readdir(second), []);
	await isOurs(t, rig, image);
});

test('a dry run says what would be, and changes nothing', async t => {
	const [image, wrongSize] = [makeImage(), makeImage()];
	const folder = await tempDir(t);
	await trondn(folder, image);
	await dsapid(folder, wrongSize, {files: [{path: 'image-file.zfs.gz', size: 5, sha1: image.sha1}]});
	const rig = await startPublisher(t);
	const told = outcomes(await adopt(rig, folder, {how: 'move', dryRun: true}));
	t.is(told[image.uuid], 'adopted');
	t.regex(told[wrongSize.uuid] ?? '', /bytes/);
	t.deepEqual(rig.publisher.list(), []);
	t.deepEqual(await rig.litter(), {uploads: [], published: [], blobs: []});
	t.is((await readdir(path.join(folder, image.uuid))).length, 2);
});

test('an image that a source has as well is ours if it is the same file, and is not if it is another', async t => {
	const [same, other, unsure, found] = [makeImage(), makeImage(), makeImage(), makeImage()];
	const upstream = offering(asked => {
		const theirs = {
			[same.uuid]: same.text,
			[other.uuid]: makeImage({uuid: other.uuid}).text,
			[found.uuid]: makeImage({uuid: found.uuid}).text,
		}[asked];
		if (asked === idOf(unsure)) {
			return Promise.reject(new SourceUnavailableError('joyent', 'is down'));
		}
		return Promise.resolve(theirs === undefined ? undefined : {manifest: parseManifest(theirs), source: 'joyent'});
	});
	const folder = await tempDir(t);
	for (const image of [same, other, unsure]) {
		await pair(folder, image.uuid, image);
	}
	await pair(folder, found.uuid, found, {fields: {...found.manifest, files: []}});
	const rig = await startPublisher(t, {upstream});
	const told = outcomes(await adopt(rig, folder));
	t.is(told[same.uuid], 'adopted');
	t.is(told[unsure.uuid], 'adopted');
	t.regex(told[other.uuid] ?? '', /joyent/);
	t.regex(told[found.uuid] ?? '', /joyent/);
	t.is((await rig.litter()).blobs.length, 2);
});

test('a source that does not answer keeps nobody waiting for long', async t => {
	const image = makeImage();
	const folder = await tempDir(t);
	await pair(folder, 'a', image);
	const rig = await startPublisher(t, {upstream: offering(() => new Promise(() => undefined))});
	const adopted = adopt(rig, folder);
	await rig.host.clock.timers();
	await rig.host.clock.advance(5000);
	t.deepEqual(outcomes(await adopted), {[image.uuid]: 'adopted'});
});

test('what is no folder is refused, and so is an account', async t => {
	const rig = await startPublisher(t);
	const folder = await tempDir(t);
	for (const directory of [path.join(folder, 'missing'), await put(folder, 'file', 'x')]) {
		await t.throwsAsync(adopt(rig, directory), {instanceOf: InvalidParameterError});
	}
	await t.throwsAsync(adopt(rig, folder, {change: change({account: uuid()})}));
	t.deepEqual(await adopt(rig, folder), [
		{what: 'found', images: 0, bytes: 0},
		{what: 'end', adopted: 0, there: 0, failed: 0},
	]);
});

test('who stops listening stops the adoption, and leaves nothing half-done', async t => {
	const images = [makeImage(), makeImage(), makeImage()];
	const folder = await tempDir(t);
	for (const image of images) {
		await pair(folder, image.uuid, image);
	}
	const rig = await startPublisher(t);
	for await (const event of rig.publisher.adopt({directory: folder, how: 'copy', dryRun: false}, change())) {
		if (event.what === 'done') {
			break;
		}
	}
	t.is(rig.publisher.list().length, 1);
	const controller = new AbortController();
	const cut = change({ask: {signal: controller.signal}});
	await t.throwsAsync(async () => {
		for await (const event of rig.publisher.adopt({directory: folder, how: 'copy', dryRun: false}, cut)) {
			if (event.what === 'image') {
				controller.abort(new Error('gone'));
			}
		}
	});
	t.deepEqual((await rig.litter()).uploads, []);
	t.is(rig.publisher.list().length, 1);
});

test('progress is told in steps, and whoever leaves ends the work', async t => {
	const told: number[] = [];
	const work = reporting(10, new AbortController().signal, async report => {
		for (let amount = 1; amount <= 35; amount++) {
			report(amount);
			await new Promise(resolve => setImmediate(resolve));
		}
		return 'done';
	});
	let step = await work.next();
	for (; !step.done; step = await work.next()) {
		told.push(step.value);
	}
	t.is(step.value, 'done');
	t.deepEqual(told, [10, 20, 30]);

	let stopped = false;
	const left = reporting(1, new AbortController().signal, async (report, signal) => {
		report(1);
		await new Promise(resolve => signal.addEventListener('abort', resolve, {once: true}));
		stopped = true;
	});
	await left.next();
	await left.return();
	t.true(stopped);
});

test('a file whose kind cannot be told any more is not left in the store', async t => {
	const image = makeImage();
	const folder = await tempDir(t);
	await smartosImageServer(folder, image);
	const manifest = path.join(folder, image.uuid, 'manifest.json');
	const fields = JSON.parse(await readFile(manifest, 'utf8')) as {files: object[]};
	await writeFile(
		manifest,
		JSON.stringify({...fields, files: fields.files.map(file => ({...file, compression: undefined}))}),
	);
	const rig = await startPublisher(t, {
		wrapStore: store =>
			new Proxy(store, {
				get(_target, name) {
					const value: unknown = Reflect.get(store, name, store);
					if (name === 'importFile') {
						const importFile: typeof store.importFile = async (file, ...more) => {
							const stored = await store.importFile(file, ...more);
							await rm(file);
							return stored;
						};
						return importFile;
					}
					return typeof value === 'function' ? (value.bind(store) as unknown) : value;
				},
			}),
	});
	t.like((await adopt(rig, folder)).at(-1), {failed: 1});
	t.deepEqual((await rig.litter()).blobs, []);
});
