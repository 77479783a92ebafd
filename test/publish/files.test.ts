import {rm, writeFile} from 'node:fs/promises';
import test from 'ava';
import {NoSpaceError} from '../../src/errors.js';
import type {FileOffer} from '../../src/publish/api.js';
import {fileOf} from './other-server.js';
import {
	SlowBody,
	basic,
	bodyOf,
	change,
	failure,
	lose,
	offer,
	published,
	served,
	sha1Of,
	startPublisher,
	unread,
	uuid,
} from './start-publisher.js';

const xz = Buffer.from('fd377a585a0000', 'hex');
const gzip = Buffer.from('1f8b0800000000000003', 'hex');
const zstd = Buffer.from('28b52ffd04000000', 'hex');

const badOffers: readonly (readonly [string, Partial<FileOffer>, string])[] = [
	['no compression', {compression: undefined}, 'InvalidParameter compression:Missing'],
	['an unknown compression', {compression: 'zip'}, 'InvalidParameter compression:Invalid'],
	['a compression that is nature’s', {compression: 'constructor'}, 'InvalidParameter compression:Invalid'],
	['an unknown storage', {storage: 'moon'}, 'InvalidParameter storage:Invalid'],
	['too many bytes announced', {size: 1_000_001}, 'Upload'],
	['a sha1 that is none', {sha1: 'abc'}, 'Download'],
	['a guid without end', {datasetGuid: '1'.repeat(1000)}, 'InvalidParameter dataset_guid:Invalid'],
];

for (const [what, more, expected] of badOffers) {
	test(`a file with ${what} is refused before it is read`, async t => {
		const {publisher, litter} = await startPublisher(t);
		const {uuid: id} = await publisher.create(basic, change());
		t.is(await failure(publisher.addFile(id, offer(unread, more), change())), expected);
		t.deepEqual((await litter()).uploads, []);
	});
}

test('an account chooses no storage', async t => {
	const {publisher} = await startPublisher(t);
	const {uuid: id, owner} = await publisher.create(basic, change());
	const by = change({account: owner});
	t.is(
		await failure(publisher.addFile(id, offer(unread, {storage: 'local'}), by)),
		'InvalidParameter storage:NotAllowed',
	);
	t.is((await publisher.addFile(id, offer('x', {storage: 'manta'}), change())).files.length, 1);
	t.is((await publisher.addFile(id, offer('x'), by)).files.length, 1);
});

const badFiles: readonly (readonly [string, FileOffer, string])[] = [
	['nothing in it', offer(''), 'Download'],
	['another sha1', offer('abc', {sha1: sha1Of(Buffer.from('abd'))}), 'Download'],
	['fewer bytes than announced', offer(bodyOf('ab'), {size: 3}), 'Download'],
	['more bytes than announced', offer(bodyOf('ab', 'cd'), {size: 3}), 'Download'],
	['more bytes than allowed', offer(bodyOf(Buffer.alloc(600_000), Buffer.alloc(600_000))), 'Upload'],
	['xz in what is said to be gzip', offer(xz), 'Upload'],
	['gzip in what is said to be none', offer(gzip, {compression: 'none'}), 'Upload'],
	['zstd in what is said to be gzip', offer(zstd), 'Upload'],
];

for (const [what, wrong, expected] of badFiles) {
	test(`a file with ${what} is refused, and the one before it stays`, async t => {
		const rig = await startPublisher(t);
		const id = await published(rig, {activate: false, content: 'the one before'});
		const before = [rig.publisher.get(id)?.text, await rig.litter()];
		// Bodies are read once: this one belongs to the table.
		t.is(await failure(rig.publisher.addFile(id, wrong, change())), expected);
		t.deepEqual([rig.publisher.get(id)?.text, await rig.litter()], before);
	});
}

test('a refusal for the compression says what the file is', async t => {
	const rig = await startPublisher(t);
	const {uuid: id} = await rig.publisher.create(basic, change());
	const error = await t.throwsAsync(rig.publisher.addFile(id, offer(xz), change()));
	t.regex(error.message, /xz/);
	t.regex(error.message, /gzip/);
});

test('an image of type other may be any file, as it is', async t => {
	const {publisher} = await startPublisher(t);
	for (const [type, expected] of [
		['zone-dataset', 'Upload'],
		['other', undefined],
	] as const) {
		const {uuid: id} = await publisher.create({...basic, type}, change());
		const adding = publisher.addFile(id, offer(zstd, {compression: 'none'}), change());
		if (expected === undefined) {
			t.is((await adding).files[0]?.compression, 'none');
		} else {
			t.is(await failure(adding), expected);
		}
	}
	const whole = {manifest: {...basic, type: 'other'}, adopt: false, activate: true};
	t.is((await publisher.publishFile(whole, offer(zstd, {compression: 'none'}), change())).state, 'active');
});

test('a file of no known kind is taken as declared, and the log tells', async t => {
	const rig = await startPublisher(t);
	const id = await published(rig, {content: 'sixteen bytes....'});
	t.is(rig.publisher.get(id)?.files[0]?.compression, 'gzip');
	t.is(rig.host.linesLike(/does not begin as one with this compression/).length, 1);
});

test('a published image whose file was lost is given that very file again, and no other', async t => {
	const rig = await startPublisher(t);
	const id = await published(rig, {content: 'the file'});
	const before = rig.publisher.get(id)?.text ?? '';
	t.is(await failure(rig.publisher.addFile(id, offer(unread), change())), 'ImageFilesImmutable');
	await lose(rig, id);
	t.is(await failure(rig.publisher.addFile(id, offer('another'), change())), 'Download');
	const told = offer('another', {sha1: sha1Of(Buffer.from('another'))});
	t.is(await failure(rig.publisher.addFile(id, told, change())), 'ImageAlreadyActivated');
	t.deepEqual((await rig.litter()).blobs, []);
	t.is((await rig.publisher.addFile(id, offer('the file'), change())).text, before);
	t.is(String(await fileOf(rig, id)), 'the file');
	t.is(await failure(rig.publisher.addFile(id, offer(unread), change())), 'ImageFilesImmutable');
	const later = await rig.restart();
	t.is(String(await fileOf(later, id)), 'the file');
});

test('a body that breaks leaves nothing', async t => {
	const rig = await startPublisher(t);
	const id = await published(rig, {activate: false});
	const before = [rig.publisher.get(id)?.text, await rig.litter()];
	const body = new SlowBody('begun');
	const adding = rig.publisher.addFile(id, offer(body), change());
	await body.begun;
	body.fail(new Error('the line is cut'));
	await t.throwsAsync(adding, {message: 'the line is cut'});
	t.deepEqual([rig.publisher.get(id)?.text, await rig.litter()], before);
});

test('a client that leaves while its file is on the way leaves nothing', async t => {
	const rig = await startPublisher(t);
	const {uuid: id} = await rig.publisher.create(basic, change());
	const client = new AbortController();
	const body = new SlowBody('begun');
	const adding = rig.publisher.addFile(id, offer(body), change({ask: {signal: client.signal}}));
	await body.begun;
	client.abort(new Error('gone'));
	body.finish();
	await t.throwsAsync(adding, {message: 'gone'});
	t.deepEqual((await rig.litter()).blobs, []);
	t.deepEqual((await rig.litter()).uploads, []);
	t.deepEqual(rig.publisher.get(id)?.files, []);
});

test('a second file takes the place of the first, which goes', async t => {
	const rig = await startPublisher(t);
	const id = await published(rig, {activate: false, content: 'one'});
	const image = await rig.publisher.addFile(
		id,
		offer('two', {compression: 'none', sha1: sha1Of(Buffer.from('two')).toUpperCase()}),
		change(),
	);
	t.deepEqual(served(image)['files'], [{sha1: sha1Of(Buffer.from('two')), size: 3, compression: 'none'}]);
	t.deepEqual((await rig.litter()).blobs, [sha1Of(Buffer.from('two'))]);
	t.is(rig.store.stat(sha1Of(Buffer.from('two')))?.md5?.length, 32);
});

test('the same file once more stays', async t => {
	const rig = await startPublisher(t);
	const id = await published(rig, {activate: false, content: 'one'});
	await rig.publisher.addFile(id, offer('one'), change());
	t.deepEqual((await rig.litter()).blobs, [sha1Of(Buffer.from('one'))]);
});

test('of two uploads to one image at once the last to end is its file, and nothing else is left', async t => {
	const rig = await startPublisher(t);
	const {uuid: id} = await rig.publisher.create(basic, change());
	const [slow, quick] = [new SlowBody('slow'), new SlowBody('quick')];
	const adding = [slow, quick].map(body => rig.publisher.addFile(id, offer(body), change()));
	await Promise.all([slow.begun, quick.begun]);
	quick.finish();
	t.is((await adding[1])?.files[0]?.sha1, sha1Of(Buffer.from('quick')));
	slow.finish();
	t.is((await adding[0])?.files[0]?.sha1, sha1Of(Buffer.from('slow')));
	t.deepEqual(await rig.litter(), {uploads: [], published: [`${id}.json`], blobs: [sha1Of(Buffer.from('slow'))]});
});

test('many uploads of one content at once to many images all succeed', async t => {
	const rig = await startPublisher(t);
	const ids = await Promise.all(
		Array.from({length: 6}, async () => (await rig.publisher.create(basic, change())).uuid),
	);
	await Promise.all(ids.map(id => rig.publisher.addFile(id, offer('same'), change())));
	t.deepEqual((await rig.litter()).blobs, [sha1Of(Buffer.from('same'))]);
	await Promise.all(ids.map(id => rig.publisher.delete(id, {forceAllChannels: false}, change())));
	t.deepEqual((await rig.litter()).blobs, []);
});

test('an upload that ends after the image was activated is refused, and the file stays', async t => {
	const rig = await startPublisher(t);
	const id = await published(rig, {activate: false, content: 'first'});
	const body = new SlowBody('second');
	const adding = rig.publisher.addFile(id, offer(body), change());
	await body.begun;
	await rig.publisher.activate(id, change());
	body.finish();
	t.is(await failure(adding), 'ImageAlreadyActivated');
	t.deepEqual((await rig.litter()).blobs, [sha1Of(Buffer.from('first'))]);
});

test('an upload to an image that is deleted meanwhile is thrown away, also where the uuid is there again', async t => {
	const rig = await startPublisher(t);
	for (const isThereAgain of [false, true]) {
		const id = await published(rig, {activate: false});
		const body = new SlowBody('late');
		const adding = rig.publisher.addFile(id, offer(body), change());
		await body.begun;
		await rig.publisher.delete(id, {forceAllChannels: false}, change());
		if (isThereAgain) {
			await rig.publisher.importImage(id, {...basic, v: 2, uuid: id}, change());
		}
		body.finish();
		t.is(await failure(adding), 'ResourceNotFound');
		t.deepEqual((await rig.litter()).blobs, []);
		t.deepEqual(rig.publisher.get(id)?.files, isThereAgain ? [] : undefined);
	}
});

test('a file that is deleted with its image while it is uploaded for another one is there for that one', async t => {
	const rig = await startPublisher(t);
	for (let round = 0; round < 20; round++) {
		const [old, made] = [await published(rig, {content: 'shared'}), await rig.publisher.create(basic, change())];
		await Promise.all([
			rig.publisher.delete(old, {forceAllChannels: false}, change()),
			rig.publisher.addFile(made.uuid, offer('shared'), change()),
		]);
		t.deepEqual((await rig.litter()).blobs, [sha1Of(Buffer.from('shared'))]);
		await rig.publisher.delete(made.uuid, {forceAllChannels: false}, change());
	}
	t.deepEqual((await rig.litter()).blobs, []);
});

test('a disk that takes no more leaves everything as it was', async t => {
	let isFull = false;
	const rig = await startPublisher(t, {
		wrapStore: store =>
			new Proxy(store, {
				get(target, name) {
					if (isFull && name === 'writeRecord') {
						return () => Promise.reject(new NoSpaceError('full'));
					}
					const value: unknown = Reflect.get(target, name, target);
					return typeof value === 'function' ? (value.bind(target) as unknown) : value;
				},
			}),
	});
	const id = await published(rig, {activate: false, content: 'before'});
	const before = [rig.publisher.get(id)?.text, await rig.litter(), rig.changes()];
	isFull = true;
	t.is(await failure(rig.publisher.addFile(id, offer('after'), change())), 'NO_SPACE');
	t.is(await failure(rig.publisher.activate(id, change())), 'NO_SPACE');
	t.is(await failure(rig.publisher.create(basic, change())), 'NO_SPACE');
	t.is(await failure(rig.publisher.update(id, {uuid: uuid()}, change())), 'NO_SPACE');
	t.is(
		await failure(rig.publisher.publishFile({manifest: basic, adopt: false, activate: true}, offer('more'), change())),
		'NO_SPACE',
	);
	const icon = {contentType: 'image/png', sha1: undefined, size: undefined, body: bodyOf('icon')};
	t.is(await failure(rig.publisher.addIcon(id, icon, change())), 'NO_SPACE');
	t.deepEqual([rig.publisher.get(id)?.text, await rig.litter(), rig.changes()], before);
	isFull = false;
	t.is((await rig.publisher.activate(id, change())).state, 'active');
});

test('a folder that cannot be written leaves everything as it was', async t => {
	const rig = await startPublisher(t);
	const id = await published(rig, {activate: false});
	const before = rig.publisher.get(id)?.text;
	await rm(rig.layout.published, {recursive: true});
	await writeFile(rig.layout.published, 'no folder');
	t.is(await failure(rig.publisher.activate(id, change())), 'NO_SPACE');
	t.is(rig.publisher.get(id)?.text, before);
});
