import {readFile, rename, rm, truncate, writeFile} from 'node:fs/promises';
import test from 'ava';
import type {ResumableUpload, UploadPurpose} from '../../src/publish/api.js';
import {
	SlowBody,
	basic,
	bodyOf,
	change,
	failure,
	published,
	served,
	sha1Of,
	startPublisher,
	uuid,
	type PublisherRig,
} from './start-publisher.js';

const content = Buffer.from('a file in three parts');
const [one, two, three] = [content.subarray(0, 7), content.subarray(7, 14), content.subarray(14)];

async function begin(
	{publisher}: PublisherRig,
	purpose: UploadPurpose,
	more: {
		readonly size?: number | undefined;
		readonly sha1?: string;
		readonly compression?: string;
		readonly as?: string;
	} = {},
): Promise<ResumableUpload> {
	return publisher.uploads.create({
		size: 'size' in more ? more.size : content.length,
		purpose,
		offer: {compression: more.compression ?? 'gzip', sha1: more.sha1, datasetGuid: '77', storage: undefined},
		metadata: {filename: 'x ünïcödé.gz', __proto__x: 'y'},
		change: change(more.as === undefined ? {} : {as: more.as}),
	});
}

async function target(rig: PublisherRig): Promise<UploadPurpose> {
	return {kind: 'file', image: (await rig.publisher.create(basic, change())).uuid};
}

const anImage: UploadPurpose = {
	kind: 'image',
	image: {manifest: {name: 'x', version: '1'}, adopt: false, activate: true},
};

test('an upload comes in parts, across restarts, and becomes the file of its image', async t => {
	let rig = await startPublisher(t);
	const purpose = await target(rig);
	const begun = await begin(rig, purpose, {sha1: sha1Of(content), as: 'ann'});
	t.like(begun, {offset: 0, size: content.length, owner: 'ann', metadata: {filename: 'x ünïcödé.gz', __proto__x: 'y'}});
	t.is((await rig.publisher.uploads.append(begun.id, 0, bodyOf(one))).offset, 7);
	rig = await rig.restart();
	t.deepEqual(await rig.publisher.uploads.get(begun.id), {...begun, offset: 7});
	await rig.publisher.uploads.append(begun.id, 7, bodyOf(two));
	rig = await rig.restart();
	await rig.publisher.uploads.append(begun.id, 14, bodyOf(three));
	const image = await rig.publisher.uploads.finish(begun.id, change());
	t.deepEqual(served(image)['files'], [{sha1: sha1Of(content), size: 21, compression: 'gzip', dataset_guid: '77'}]);
	t.is(image.state, 'unactivated');
	t.deepEqual(await rig.litter(), {
		uploads: [`${begun.id}.json`],
		published: [`${image.uuid}.json`],
		blobs: [sha1Of(content)],
	});
	t.like(await rig.publisher.uploads.get(begun.id), {offset: 21, image: image.uuid});
	rig = await rig.restart();
	t.like(await rig.publisher.uploads.get(begun.id), {offset: 21, size: 21, image: image.uuid});
	t.is((await rig.publisher.uploads.finish(begun.id, change())).text, image.text);
	t.is(await failure(rig.publisher.uploads.append(begun.id, 21, bodyOf('more'))), 'PRECONDITION_FAILED');
	t.true(await rig.publisher.uploads.remove(begun.id));
	t.false(await rig.publisher.uploads.remove(begun.id));
	t.deepEqual((await rig.litter()).blobs, [sha1Of(content)]);
});

test('an upload becomes an image of its own, its sender’s', async t => {
	const rig = await startPublisher(t);
	const {id} = await begin(rig, anImage, {as: 'ann'});
	await rig.publisher.uploads.append(id, 0, bodyOf(one, two, three));
	const image = await rig.publisher.uploads.finish(id, change({as: 'ann'}));
	t.like(served(image), {name: 'x', state: 'active', files: [{sha1: sha1Of(content)}]});
	t.is(await failure(rig.publisher.disable(image.uuid, change({as: 'bob'}))), 'NotImageOwner');
});

test('what was taken in before a line broke is gone on from', async t => {
	const rig = await startPublisher(t);
	const {id} = await begin(rig, anImage);
	const body = new SlowBody(one);
	const appending = rig.publisher.uploads.append(id, 0, body);
	await body.begun;
	body.fail(new Error('cut'));
	await t.throwsAsync(appending, {message: 'cut'});
	t.is((await rig.publisher.uploads.get(id))?.offset, 7);
	await rig.publisher.uploads.append(id, 7, bodyOf(two, three));
	t.is((await rig.publisher.uploads.finish(id, change())).files[0]?.size, 21);
});

test('the size may become known later, and then stays', async t => {
	const rig = await startPublisher(t);
	const {id, size} = await begin(rig, anImage, {size: undefined});
	t.is(size, undefined);
	await rig.publisher.uploads.append(id, 0, bodyOf(one));
	t.is(await failure(rig.publisher.uploads.setSize(id, 2_000_000)), 'Upload');
	t.is(await failure(rig.publisher.uploads.setSize(id, 3)), 'Upload');
	t.is((await rig.publisher.uploads.setSize(id, 21)).size, 21);
	t.is((await rig.publisher.uploads.setSize(id, 21)).size, 21);
	t.is(await failure(rig.publisher.uploads.setSize(id, 22)), 'PRECONDITION_FAILED');
	t.is(await failure(rig.publisher.uploads.finish(id, change())), 'PRECONDITION_FAILED');
	await rig.publisher.uploads.append(id, 7, bodyOf(two, three));
	t.is((await rig.publisher.uploads.finish(id, change())).state, 'active');
});

test('bytes go nowhere but to the end, one sender at a time', async t => {
	const rig = await startPublisher(t);
	const {id} = await begin(rig, anImage);
	t.is(await failure(rig.publisher.uploads.append(id, 1, bodyOf('x'))), 'PRECONDITION_FAILED');
	const slow = new SlowBody(one);
	const first = rig.publisher.uploads.append(id, 0, slow);
	await slow.begun;
	const second = rig.publisher.uploads.append(id, 0, bodyOf(one));
	slow.finish();
	t.is((await first).offset, 7);
	t.is(await failure(second), 'PRECONDITION_FAILED');
	t.is(await failure(rig.publisher.uploads.append(id, 7, bodyOf(two, three, 'more'))), 'Upload');
});

test('what cannot become what it is for is refused at once', async t => {
	const rig = await startPublisher(t);
	const active = await published(rig);
	const purpose = (image: string): UploadPurpose => ({kind: 'file', image: uuid(image)});
	t.is(await failure(begin(rig, purpose(active))), 'ImageFilesImmutable');
	t.is(await failure(begin(rig, purpose(uuid()))), 'ResourceNotFound');
	t.is(await failure(begin(rig, await target(rig), {compression: 'zip'})), 'InvalidParameter compression:Invalid');
	t.is(await failure(begin(rig, anImage, {size: 1_000_001})), 'Upload');
	const nameless: UploadPurpose = {kind: 'image', image: {manifest: {}, adopt: false, activate: true}};
	t.is(await failure(begin(rig, nameless)), 'ValidationFailed name:MissingParameter version:MissingParameter');
	t.deepEqual((await rig.litter()).uploads, []);
});

test('a wrong file is thrown away', async t => {
	const rig = await startPublisher(t);
	const purpose = await target(rig);
	const {id} = await begin(rig, purpose, {sha1: 'a'.repeat(40)});
	await rig.publisher.uploads.append(id, 0, bodyOf(content));
	t.is(await failure(rig.publisher.uploads.finish(id, change())), 'Download');
	t.is(await rig.publisher.uploads.get(id), undefined);
	t.is(await failure(rig.publisher.uploads.finish(id, change())), 'ResourceNotFound');
	t.deepEqual((await rig.litter()).uploads, []);
	t.deepEqual((await rig.litter()).blobs, []);
});

test('an upload whose image has gone, or is active, is thrown away; another’s finger on it is not', async t => {
	const rig = await startPublisher(t);
	const gone = await target(rig);
	const forGone = await begin(rig, gone);
	await rig.publisher.uploads.append(forGone.id, 0, bodyOf(content));
	await rig.publisher.delete(uuid(gone.image as string), {forceAllChannels: false}, change());
	t.is(await failure(rig.publisher.uploads.finish(forGone.id, change())), 'ResourceNotFound');

	const active = await published(rig, {activate: false, content: 'first'});
	const forActive = await begin(rig, {kind: 'file', image: active});
	await rig.publisher.uploads.append(forActive.id, 0, bodyOf(content));
	await rig.publisher.activate(active, change());
	t.is(await failure(rig.publisher.uploads.finish(forActive.id, change())), 'ImageAlreadyActivated');
	t.deepEqual((await rig.litter()).uploads, []);
	t.deepEqual((await rig.litter()).blobs, [sha1Of(Buffer.from('first'))]);

	const anns = await published(rig, {activate: false, content: 'first', change: change({as: 'ann'})});
	const forAnn = await begin(rig, {kind: 'file', image: anns}, {as: 'ann'});
	await rig.publisher.uploads.append(forAnn.id, 0, bodyOf(content));
	t.is(await failure(rig.publisher.uploads.finish(forAnn.id, change({as: 'bob'}))), 'NotImageOwner');
	t.is((await rig.publisher.uploads.finish(forAnn.id, change({as: 'ann'}))).files[0]?.size, 21);
});

test('an upload that nobody goes on with expires, while each part keeps it', async t => {
	const rig = await startPublisher(t);
	const {id, expiresAtMs} = await begin(rig, anImage);
	t.is(expiresAtMs, rig.host.clock.now() + 3_600_000);
	await rig.host.clock.advance(3_000_000);
	await rig.publisher.uploads.append(id, 0, bodyOf(one));
	await rig.host.clock.advance(3_000_000);
	await rig.publisher.uploads.sweep();
	t.is((await rig.publisher.uploads.get(id))?.offset, 7);
	await rig.publisher.uploads.append(id, 7, bodyOf(two));
	await rig.host.clock.advance(3_600_000);
	t.is(await rig.publisher.uploads.get(id), undefined);
	t.is(await failure(rig.publisher.uploads.append(id, 14, bodyOf(three))), 'ResourceNotFound');
	await rig.publisher.uploads.sweep();
	t.deepEqual((await rig.litter()).uploads, []);
});

test('an upload is not swept away under its sender', async t => {
	const rig = await startPublisher(t);
	const {id} = await begin(rig, anImage);
	const slow = new SlowBody(content);
	const appending = rig.publisher.uploads.append(id, 0, slow);
	await slow.begun;
	await rig.host.clock.advance(4_000_000);
	const sweeping = rig.publisher.uploads.sweep();
	slow.finish();
	await Promise.all([appending, sweeping]);
	t.is((await rig.publisher.uploads.finish(id, change())).state, 'active');
});

test('what expired while the server was off goes at its start', async t => {
	const rig = await startPublisher(t);
	const {id} = await begin(rig, anImage);
	await rig.publisher.uploads.append(id, 0, bodyOf(one));
	await rig.close();
	await rig.host.clock.advance(4_000_000);
	const again = await rig.restart();
	t.is(await again.publisher.uploads.get(id), undefined);
	t.deepEqual((await again.litter()).uploads, []);
});

for (const kind of ['file', 'image'] as const) {
	test(`a process that ends between file and record goes on with it at the next finish: ${kind}`, async t => {
		const rig = await startPublisher(t, {
			wrapStore: store => {
				const wrapped = Object.create(store) as typeof store;
				return new Proxy(wrapped, {
					get(_target, name) {
						const value: unknown = Reflect.get(store, name, store);
						if (name === 'writeRecord') {
							return (file: string, text: string) =>
								file.includes('published') && text.includes(sha1Of(content))
									? Promise.reject(new Error('here it ended'))
									: store.writeRecord(file, text);
						}
						return typeof value === 'function' ? (value.bind(store) as unknown) : value;
					},
				});
			},
		});
		const {id} = await begin(rig, kind === 'file' ? await target(rig) : anImage);
		await rig.publisher.uploads.append(id, 0, bodyOf(content));
		await t.throwsAsync(rig.publisher.uploads.finish(id, change()), {message: 'here it ended'});
		const again = await rig.restart({wrapStore: store => store});
		t.deepEqual((await again.litter()).blobs, [sha1Of(content)]);
		t.like(await again.publisher.uploads.get(id), {offset: 21, size: 21});
		const image = await again.publisher.uploads.finish(id, change());
		t.is(image.files[0]?.sha1, sha1Of(content));
		t.like(await again.publisher.uploads.get(id), {image: image.uuid});
		t.is((await again.publisher.uploads.finish(id, change())).uuid, image.uuid);
		t.is(again.publisher.list().length, 1);
	});

	test(`a process that ends between record and note makes no second image: ${kind}`, async t => {
		const rig = await startPublisher(t);
		const {id} = await begin(rig, kind === 'file' ? await target(rig) : anImage);
		await rig.publisher.uploads.append(id, 0, bodyOf(content));
		const image = await rig.publisher.uploads.finish(id, change());
		await rig.close();
		const file = rig.layout.uploadInfo(id);
		const before = JSON.parse(await readFile(file, 'utf8')) as Record<string, unknown>;
		await writeFile(file, JSON.stringify({...before, image: undefined}));
		const again = await rig.restart();
		if (kind === 'file') {
			await again.publisher.activate(image.uuid, change());
		}
		t.is((await again.publisher.uploads.finish(id, change())).uuid, image.uuid);
		t.is(again.publisher.list().length, 1);
		t.is(again.publisher.list()[0]?.state, 'active');
	});
}

test('a blob that was about to become an image goes with its upload', async t => {
	const rig = await startPublisher(t);
	const {id} = await begin(rig, anImage);
	await rig.publisher.uploads.append(id, 0, bodyOf(content));
	const image = await rig.publisher.uploads.finish(id, change());
	await rig.close();
	// As before there was a record.
	await rm(rig.layout.publishedRecord(image.uuid));
	await rm(rig.layout.ownFile(sha1Of(content), image.uuid));
	const file = rig.layout.uploadInfo(id);
	const before = JSON.parse(await readFile(file, 'utf8')) as Record<string, unknown>;
	await writeFile(file, JSON.stringify({...before, image: undefined}));
	const again = await rig.restart();
	t.deepEqual((await again.litter()).blobs, [sha1Of(content)]);
	t.true(await again.publisher.uploads.remove(id));
	t.deepEqual(await again.litter(), {uploads: [], published: [], blobs: []});
});

test('the offset is the disk’s, also where bytes were lost', async t => {
	const rig = await startPublisher(t);
	const {id} = await begin(rig, anImage);
	await rig.publisher.uploads.append(id, 0, bodyOf(one, two));
	await rig.close();
	await truncate(rig.layout.upload(id), 7);
	const again = await rig.restart();
	t.is((await again.publisher.uploads.get(id))?.offset, 7);
	await again.publisher.uploads.append(id, 7, bodyOf(two, three));
	t.is((await again.publisher.uploads.finish(id, change())).files[0]?.sha1, sha1Of(content));
});

test('what is known of an upload and cannot be read is reported, and harms nobody', async t => {
	const rig = await startPublisher(t);
	const {id} = await begin(rig, anImage);
	await rig.close();
	const file = rig.layout.uploadInfo(id);
	const text = await readFile(file, 'utf8');
	for (const wrong of [
		'',
		'{}',
		text.replace('"upload": 1', '"upload": 2'),
		text.replace('"kind": "image"', '"kind": "cake"'),
	]) {
		await writeFile(file, wrong);
		const again = await rig.restart();
		t.is(await again.publisher.uploads.get(id), undefined);
		t.is(again.host.linesLike({file}).length, 1);
		await again.close();
	}
	await writeFile(file, text);
	await rename(file, `${file}.x`);
	const again = await rig.restart();
	t.is(again.host.linesLike({file}).length, 0);
});

test('an upload that stays open too long is closed, and opened again', async t => {
	const rig = await startPublisher(t);
	const {id} = await begin(rig, anImage);
	await rig.publisher.uploads.append(id, 0, bodyOf(one));
	await rig.host.clock.advance(600_000);
	await rig.publisher.uploads.sweep();
	t.is((await rig.publisher.uploads.get(id))?.offset, 7);
	await rig.publisher.uploads.append(id, 7, bodyOf(two, three));
	t.is((await rig.publisher.uploads.finish(id, change())).state, 'active');
});

test('of thousands that are begun, few hold a file open', async t => {
	let [open, most] = [0, 0];
	const rig = await startPublisher(t, {
		wrapStore: store =>
			new Proxy(store, {
				get(target, name) {
					const value: unknown = Reflect.get(target, name);
					if (name !== 'upload') {
						return typeof value === 'function' ? (value.bind(target) as unknown) : value;
					}
					return async (options: Parameters<typeof store.upload>[0]) => {
						const upload = await target.upload(options);
						most = Math.max(most, ++open);
						const close = upload.close.bind(upload);
						upload.close = async () => {
							open--;
							await close();
						};
						return upload;
					};
				},
			}),
	});
	const ids: string[] = [];
	for (let begun = 0; begun < 120; begun++) {
		const {id} = await begin(rig, anImage);
		await rig.publisher.uploads.append(id, 0, bodyOf(one));
		ids.push(id);
	}
	t.true(most < 60, String(most));
	const [first = ''] = ids;
	await rig.publisher.uploads.append(first, 7, bodyOf(two, three));
	t.is((await rig.publisher.uploads.finish(first, change())).state, 'active');
	t.is((await (await rig.restart()).publisher.uploads.get(ids[60] ?? ''))?.offset, 7);
});

test('many finish one upload at once: one image', async t => {
	const rig = await startPublisher(t);
	const {id} = await begin(rig, anImage);
	await rig.publisher.uploads.append(id, 0, bodyOf(content));
	const images = await Promise.all(Array.from({length: 5}, () => rig.publisher.uploads.finish(id, change())));
	t.is(new Set(images.map(image => image.uuid)).size, 1);
	t.is(rig.publisher.list().length, 1);
});
