import {randomUUID} from 'node:crypto';
import {copyFile, readFile, readdir, rm, writeFile} from 'node:fs/promises';
import path from 'node:path';
import fc from 'fast-check';
import test from 'ava';
import {IntegrityError} from '../../src/errors.js';
import type {JsonObject} from '../../src/image/manifest.js';
import type {LocalImage} from '../../src/publish/internal.js';
import {readRecord, recordText} from '../../src/publish/record.js';
import {
	basic,
	basicImport,
	bodyOf,
	change,
	failure,
	offer,
	published,
	served,
	sha1Of,
	startPublisher,
	uuid,
} from './start-publisher.js';

test('everything is there after a restart, to the letter', async t => {
	const rig = await startPublisher(t);
	const ids = [
		await published(rig),
		await published(rig, {activate: false}),
		await published(rig, {fields: {tags: {a: [1, {b: null}]}}}),
	];
	await rig.publisher.disable(ids[2] ?? t.fail(), change());
	const before = rig.publisher.list().map(image => image.text);
	const again = await rig.restart();
	t.deepEqual(
		again.publisher.list().map(image => image.text),
		before,
	);
	// Their files are pinned: nothing takes them away.
	for (const {sha1} of [...again.store.list()]) {
		t.false(await again.store.delete(sha1));
	}
});

test('a record is a manifest that anybody can read', async t => {
	const rig = await startPublisher(t);
	const id = await published(rig);
	const record = JSON.parse(await readFile(rig.layout.publishedRecord(id), 'utf8')) as JsonObject;
	t.like(record, {v: 2, uuid: id, name: 'foo', state: 'active', published_at: '2026-01-01T00:00:00.000Z'});
	t.true('imgmirror' in record);
});

test('a record that cannot be read is reported and left, its uuid stays taken and its file stays', async t => {
	const rig = await startPublisher(t);
	const [broken, whole] = [await published(rig, {content: 'precious'}), await published(rig)];
	await rig.publisher.addIcon(
		broken,
		{contentType: 'image/png', sha1: undefined, size: 1, body: bodyOf('x')},
		change(),
	);
	const file = rig.layout.publishedRecord(broken);
	const text = await readFile(file, 'utf8');
	for (const wrong of [
		text.slice(0, 50),
		'null',
		'[]',
		text.replace('"record": 1', '"record": 9'),
		text.replace(broken, uuid()),
	]) {
		await writeFile(file, wrong);
		const again = await rig.restart();
		t.deepEqual(
			again.publisher.list().map(image => image.uuid),
			[whole],
		);
		t.is(again.host.linesLike({file}).length, 1);
		t.is(await failure(again.publisher.importImage(broken, basicImport(broken), change())), 'ImageUuidAlreadyExists');
		t.is(await failure(again.publisher.disable(broken, change())), 'ResourceNotFound');
		t.is(await readFile(file, 'utf8'), wrong);
		t.truthy(again.store.stat(sha1Of(Buffer.from('precious'))));
		t.is((await again.litter()).published.length, 3);
		await again.close();
	}
	await writeFile(file, text);
	const mended = await rig.restart();
	t.is(mended.publisher.get(broken)?.state, 'active');
	t.is((await mended.publisher.icon(broken)).bytes.toString(), 'x');
});

test('a record may be edited by hand', async t => {
	const rig = await startPublisher(t);
	const id = await published(rig);
	const file = rig.layout.publishedRecord(id);
	const record = JSON.parse(await readFile(file, 'utf8')) as JsonObject;
	await writeFile(file, JSON.stringify({...record, description: 'by hand'}));
	const again = await rig.restart();
	t.is(served(again.publisher.get(id) ?? t.fail())['description'], 'by hand');
});

test('an image whose file is gone is reported and kept', async t => {
	const rig = await startPublisher(t);
	const id = await published(rig, {content: 'gone'});
	const sha1 = sha1Of(Buffer.from('gone'));
	await rig.close();
	await rm(rig.layout.blob(sha1));
	const again = await rig.restart();
	t.is(again.publisher.get(id)?.state, 'active');
	t.is(again.host.linesLike({image: id, sha1}).length, 1);
});

test('icons that no record names go at the start, as do files that no image has', async t => {
	const rig = await startPublisher(t);
	const id = await published(rig, {content: 'mine'});
	const stray = path.join(rig.layout.published, `${id}.icon.${'a'.repeat(40)}`);
	const other = path.join(rig.layout.published, `${uuid()}.icon.${'a'.repeat(40)}`);
	const notes = path.join(rig.layout.published, 'notes.txt');
	for (const file of [stray, other, notes]) {
		await writeFile(file, 'x');
	}
	// As after a crash between the file and the record.
	const orphan = await rig.publisher.writes.intake(
		{compression: 'none', sha1: undefined, size: undefined, datasetGuid: undefined, body: bodyOf('orphan')},
		change().ask,
	);
	t.is((await rig.litter()).blobs.length, 2);
	t.is(orphan.file.size, 6);
	const again = await rig.restart();
	t.deepEqual((await again.litter()).published, [`${id}.json`, 'notes.txt'].sort());
	t.deepEqual((await again.litter()).blobs, [sha1Of(Buffer.from('mine'))]);
});

test('what an image has whose record is lost stays under its name: after a change of uuid, and where another has its file', async t => {
	const rig = await startPublisher(t);
	const moving = await published(rig, {activate: false, content: 'moving'});
	const [one, other] = [await published(rig, {content: 'shared'}), await published(rig, {content: 'shared'})];
	const to = uuid();
	await rig.publisher.update(moving, {uuid: to}, change());
	for (const id of [to, other]) {
		await rig.publisher.addIcon(id, {contentType: 'image/png', sha1: undefined, size: 1, body: bodyOf('x')}, change());
	}
	await rig.close();
	const kept = await Promise.all(
		[to, other].map(
			async id => [rig.layout.publishedRecord(id), await readFile(rig.layout.publishedRecord(id))] as const,
		),
	);
	for (const [file] of kept) {
		await rm(file);
	}

	const without = await rig.restart();
	t.is((await without.litter()).published.filter(name => name.includes('.icon.')).length, 2);
	t.deepEqual(without.store.own.strays, {files: 1, bytes: 6});
	// The file is the other one's as well as before.
	await without.publisher.delete(one, {forceAllChannels: false}, change());
	const again = await without.restart();
	t.deepEqual(again.store.own.strays, {files: 2, bytes: 12});
	await again.close();

	for (const [file, text] of kept) {
		await writeFile(file, text);
	}
	const mended = await again.restart();
	t.deepEqual([mended.publisher.list().length, mended.store.own.strays.files], [2, 0]);
	for (const id of [to, other]) {
		t.is((await mended.publisher.icon(id)).bytes.toString(), 'x');
		await mended.publisher.delete(id, {forceAllChannels: false}, change());
	}
	t.deepEqual([await mended.litter(), await readdir(rig.layout.own)], [{uploads: [], published: [], blobs: []}, []]);
});

test('an image that could not be deleted keeps the names of its files', async t => {
	const rig = await startPublisher(t);
	const id = await published(rig);
	const names = await readdir(rig.layout.own);
	const removeRecord = rig.store.removeRecord.bind(rig.store);
	rig.store.removeRecord = async file => {
		if (file === rig.layout.publishedRecord(id)) {
			throw new Error('the disk is read-only');
		}
		await removeRecord(file);
	};
	await t.throwsAsync(rig.publisher.delete(id, {forceAllChannels: false}, change()), {message: /read-only/});
	t.is(rig.publisher.list().length, 1);
	t.deepEqual(await readdir(rig.layout.own), names);
});

test('a crash in the middle of a change of uuid leaves the image under one', async t => {
	const rig = await startPublisher(t);
	const id = await published(rig, {activate: false, content: 'moving'});
	const old = rig.layout.publishedRecord(id);
	const kept = `${old}.kept`;
	await copyFile(old, kept);
	const to = uuid();
	await rig.publisher.update(id, {uuid: to}, change());
	await rig.close();
	await copyFile(kept, old);
	await rm(kept);
	const again = await rig.restart();
	t.deepEqual(
		again.publisher.list().map(image => image.uuid),
		[to],
	);
	t.deepEqual((await again.litter()).published, [`${to}.json`]);
	t.is((await again.litter()).blobs.length, 1);
	t.is((await again.publisher.activate(to, change())).state, 'active');
});

test('an image that got the uuid of one that moved stays', async t => {
	const rig = await startPublisher(t);
	const id = await published(rig, {activate: false});
	const to = uuid();
	await rig.publisher.update(id, {uuid: to}, change());
	await rig.publisher.importImage(id, basicImport(id), change());
	const again = await rig.restart();
	t.is(again.publisher.list().length, 2);
});

test('ten thousand records are read at the start, each once', async t => {
	const rig = await startPublisher(t);
	const id = await published(rig);
	const text = await readFile(rig.layout.publishedRecord(id), 'utf8');
	await rig.close();
	for (let batch = 0; batch < 100; batch++) {
		await Promise.all(
			Array.from({length: 100}, async () => {
				const other = uuid();
				await writeFile(rig.layout.publishedRecord(other), text.replaceAll(id, other));
			}),
		);
	}
	const begunAt = performance.now();
	const again = await rig.restart();
	const tookMs = performance.now() - begunAt;
	t.is(again.publisher.list().length, 10_001);
	t.log(`${Math.round(tookMs)} ms`);
	t.is(new Set(again.publisher.list().map(image => image.uuid)).size, 10_001);
});

const text = fc.string({unit: 'grapheme', maxLength: 20});
const json = fc.jsonValue({maxDepth: 3, noUnicodeString: false}) as fc.Arbitrary<unknown>;
const optional = <T>(values: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> => fc.option(values, {nil: undefined});

const fields = fc.record({
	v: fc.constantFrom(2, 3),
	uuid: fc.uuid(),
	owner: fc.uuid(),
	name: text,
	version: text,
	activated: fc.boolean(),
	disabled: fc.boolean(),
	public: fc.boolean(),
	type: fc.constantFrom('zone-dataset', 'zvol', 'other'),
	os: text,
	files: fc.array(
		fc.record({
			sha1: fc.constant('a'.repeat(40)),
			size: fc.nat(),
			compression: fc.constantFrom('gzip', 'none'),
			mtime: text,
		}),
		{maxLength: 2},
	),
	published_at: optional(text),
	description: optional(text),
	acl: optional(fc.array(fc.uuid())),
	tags: optional(fc.dictionary(text, json)),
	state: optional(fc.constantFrom('failed', 'creating')),
	extra: optional(fc.dictionary(text, json)),
	origin: optional(fc.uuid()),
});

test('whatever an image is, its record says it all', async t => {
	await fc.assert(
		fc.asyncProperty(
			fields,
			text,
			optional(text),
			fc.array(text),
			optional(fc.uuid()),
			async (some, born, by, channels, movedFrom) => {
				const image = {
					fields: some,
					born: `b${born}`,
					by,
					channels,
					movedFrom,
					icon: undefined,
					createdAtMs: 5,
					changedAtMs: 6,
				} as unknown as LocalImage;
				const read = readRecord(recordText(image), image.fields.uuid);
				// As JSON has them: what is undefined is not there.
				t.deepEqual(JSON.parse(JSON.stringify(read)), JSON.parse(JSON.stringify(image)));
				t.is(recordText(read), recordText(image));
			},
		),
		{numRuns: 200},
	);
});

test('what is no record is said to be none, and nothing else goes wrong', async t => {
	const id = uuid();
	const good = JSON.parse(
		recordText({
			fields: {
				...(basic as object),
				v: 2,
				uuid: id,
				owner: uuid(),
				activated: false,
				disabled: false,
				files: [],
			} as unknown as LocalImage['fields'],
			born: randomUUID(),
			by: undefined,
			channels: [],
			createdAtMs: 1,
			changedAtMs: 1,
		}),
	) as Record<string, unknown>;
	t.notThrows(() => readRecord(JSON.stringify(good), id));
	const ours = good['imgmirror'] as Record<string, unknown>;
	for (const name of ['v', 'uuid', 'owner', 'name', 'type', 'disabled', 'public', 'files', 'imgmirror']) {
		for (const wrong of [undefined, null, {}, [{}]]) {
			t.throws(() => readRecord(JSON.stringify({...good, [name]: wrong}), id), {instanceOf: IntegrityError}, name);
		}
	}
	for (const name of ['record', 'born', 'activated', 'channels', 'createdAt', 'changedAt']) {
		for (const wrong of [undefined, null, {}, [{}]]) {
			const changed = {...good, imgmirror: {...ours, [name]: wrong}};
			t.throws(() => readRecord(JSON.stringify(changed), id), {instanceOf: IntegrityError}, name);
		}
	}
	await fc.assert(
		fc.asyncProperty(fc.json(), async written => {
			t.throws(() => readRecord(written, id), {instanceOf: IntegrityError});
		}),
	);
});

test('a file is added to an image that was read from its record', async t => {
	const rig = await startPublisher(t);
	const {uuid: id} = await rig.publisher.create(basic, change());
	const again = await rig.restart();
	await again.publisher.addFile(id, offer('x'), change());
	t.is((await again.publisher.activate(id, change())).state, 'active');
});

test('an image that moves back where it came from survives a crash in between', async t => {
	let isKilled = false;
	const rig = await startPublisher(t, {
		wrapStore: store =>
			new Proxy(store, {
				get(_target, name) {
					const value: unknown = Reflect.get(store, name, store);
					if (isKilled && name === 'removeRecord') {
						return () => Promise.reject(new Error('killed'));
					}
					return typeof value === 'function' ? (value.bind(store) as unknown) : value;
				},
			}),
	});
	const [id, to] = [await published(rig, {activate: false, content: 'to and fro'}), uuid()];
	await rig.publisher.update(id, {uuid: to}, change());
	isKilled = true;
	await t.throwsAsync(rig.publisher.update(to, {uuid: id, version: '2'}, change()), {message: 'killed'});
	const again = await rig.restart({wrapStore: store => store});
	t.deepEqual(
		again.publisher.list().map(image => `${image.uuid} ${image.version}`),
		[`${id} 2`],
	);
	t.is((await again.litter()).blobs.length, 1);
});
