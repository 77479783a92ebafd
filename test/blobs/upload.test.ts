import {createHash} from 'node:crypto';
import {existsSync} from 'node:fs';
import {appendFile, readFile, readdir, rm, stat, truncate, writeFile} from 'node:fs/promises';
import fc from 'fast-check';
import test from 'ava';
import {IntegrityError, MirrorError, NoSpaceError, RefusedError} from '../../src/errors.js';
import {parseManifest} from '../../src/image/manifest.js';
import {FakeSupplier} from '../helpers/fake-supplier.js';
import {makeImage} from '../helpers/make-image.js';
import {sameBytes} from '../helpers/same-bytes.js';
import {tempDir} from '../helpers/temp-dir.js';
import {bodyOf, contentOf, most, sent, stored} from './sending.js';
import {sha1Of, startStore} from './start-store.js';

test('a file that is sent becomes a blob with all its digests, and nothing else is left', async t => {
	const rig = await startStore(t);
	const image = makeImage({size: 3_000_000});
	const upload = await rig.store.upload({size: undefined, maxBytes: most});
	await upload.fill(bodyOf(image.bytes, 10_000));
	t.is(upload.written, 3_000_000);
	t.is(upload.size, undefined);
	sameBytes(t, upload.first(16), image.bytes.subarray(0, 16));
	sameBytes(t, upload.first(3), image.bytes.subarray(0, 3));
	const {sha1, sha256, md5} = image;
	t.deepEqual(await upload.digests(), {sha1, sha256, md5});
	const info = await rig.store.commitUpload(upload, {source: 'local', storedAtMs: 5000});
	t.like(info, {sha1, sha256, md5, size: 3_000_000, source: 'local', storedAtMs: 5000, toldMd5: undefined});
	t.is(rig.store.stat(sha1Of(image)), info);
	t.true((await contentOf(rig.store, info))?.equals(image.bytes));
	t.deepEqual(await readdir(rig.layout.uploads), []);
	t.is(rig.store.bytes, 3_000_000);
	// Whoever cleans up behind themselves in any case does no harm.
	await upload.discard();
	await upload.close();
	sameBytes(t, await contentOf(rig.store, info), image.bytes);
});

test('a file of no bytes, and one of a few, have first bytes and digests too', async t => {
	const rig = await startStore(t);
	for (const image of [makeImage({size: 0}), makeImage({size: 5})]) {
		const upload = await rig.store.upload({size: image.size, maxBytes: most});
		for (let at = 0; at < image.size; at += 2) {
			await upload.append([image.bytes.subarray(at, at + 2)]);
		}
		sameBytes(t, upload.first(16), image.bytes);
		const info = await rig.store.commitUpload(upload, {source: 'local', storedAtMs: 0});
		t.like(info, {sha1: image.sha1, md5: image.md5, size: image.size});
	}
});

test('what is not committed is gone when it is discarded, and there when it is closed', async t => {
	const rig = await startStore(t);
	const {bytes} = makeImage({size: 1000});
	const gone = await sent(rig.store, bytes);
	await gone.discard();
	await t.throwsAsync(gone.append([bytes]), {instanceOf: MirrorError});
	t.deepEqual(await readdir(rig.layout.uploads), []);
	const kept = await sent(rig.store, bytes);
	await kept.close();
	await kept.discard();
	t.deepEqual(await readdir(rig.layout.uploads), [kept.id]);
	t.is(rig.store.count, 0);
});

test('whoever discards an upload that is being discarded waits until it is gone', async t => {
	const rig = await startStore(t);
	const upload = await sent(rig.store, makeImage({size: 1000}).bytes);
	const first = upload.discard();
	await upload.discard();
	t.false(existsSync(upload.file));
	await first;
});

test('whoever waits for digests is told when the upload is discarded', async t => {
	const rig = await startStore(t);
	const upload = await sent(rig.store, makeImage({size: 5_000_000}).bytes);
	const digests = upload.digests();
	await upload.discard();
	await t.throwsAsync(digests, {message: /not wanted any more/});
	t.deepEqual(await readdir(rig.layout.uploads), []);
});

test('an upload with a name is gone on with after a restart, and read again', async t => {
	const root = await tempDir(t);
	const image = makeImage({size: 2_500_000});
	const before = await startStore(t, {root});
	const begun = await before.store.upload({id: 'an-upload', size: image.size, maxBytes: most});
	await begun.append([image.bytes.subarray(0, 1_700_000)]);
	await writeFile(before.layout.uploadInfo('an-upload'), '{}');
	const nameless = await sent(before.store, image.bytes);
	await before.close();
	t.true((await stat(nameless.file)).isFile());

	const after = await startStore(t, {root});
	t.deepEqual((await readdir(after.layout.uploads)).sort(), ['an-upload', 'an-upload.json']);
	const upload = await after.store.upload({id: 'an-upload', size: undefined, maxBytes: most});
	t.is(upload.written, 1_700_000);
	sameBytes(t, upload.first(16), image.bytes.subarray(0, 16));
	await t.throwsAsync(upload.announce(1_699_999), {instanceOf: RefusedError});
	await upload.announce(image.size);
	t.is(upload.size, image.size);
	await upload.fill(bodyOf(image.bytes.subarray(1_700_000)));
	const info = await after.store.commitUpload(upload, {source: 'local', storedAtMs: 0});
	t.like(info, {sha1: image.sha1, sha256: image.sha256, md5: image.md5});
	sameBytes(t, await contentOf(after.store, info), image.bytes);
});

test('only one may write to an upload, and names lead nowhere else', async t => {
	const rig = await startStore(t);
	const [one, two] = await Promise.allSettled(
		[1, 2].map(() => rig.store.upload({id: 'x', size: undefined, maxBytes: most})),
	);
	t.is(one?.status, 'fulfilled');
	t.is(two?.status, 'rejected');
	for (const id of ['', '.', '..', '../x', 'a/b', 'a.json', 'a\0', 'x'.repeat(101)]) {
		await t.throwsAsync(rig.store.upload({id, size: 1, maxBytes: most}), {instanceOf: MirrorError}, id);
	}
	t.deepEqual(await readdir(rig.layout.uploads), ['x']);
});

test('too much is refused, announced or not, and what was there before stays', async t => {
	const rig = await startStore(t);
	const {bytes} = makeImage({size: 3000});
	const big = {instanceOf: RefusedError, message: /2000 bytes at most/};
	await t.throwsAsync(rig.store.upload({size: 2001, maxBytes: 2000}), big);
	t.deepEqual(await readdir(rig.layout.uploads), []);
	const unknown = await rig.store.upload({size: undefined, maxBytes: 2000});
	await t.throwsAsync(unknown.announce(2001), big);
	await unknown.append([bytes.subarray(0, 1000)]);
	await t.throwsAsync(unknown.append([bytes.subarray(1000)]), big);
	t.is(unknown.written, 1000);
	await unknown.append([bytes.subarray(1000, 2000)]);
	await unknown.discard();
	const announced = await rig.store.upload({size: 1500, maxBytes: 2000});
	await t.throwsAsync(announced.fill(bodyOf(bytes.subarray(0, 1800), 1000)), {
		instanceOf: RefusedError,
		message: /1500 bytes/,
	});
	await announced.discard();
	await writeFile(rig.layout.upload('longer'), bytes);
	await t.throwsAsync(rig.store.upload({id: 'longer', size: undefined, maxBytes: 2000}), big);
	await t.throwsAsync(rig.store.upload({id: 'longer', size: 1000, maxBytes: most}), {instanceOf: RefusedError});
	t.is((await stat(rig.layout.upload('longer'))).size, 3000);
});

test('when its sender leaves, all that came is kept, and the reason is told', async t => {
	const rig = await startStore(t);
	const {bytes} = makeImage({size: 2_200_000});
	const left = new MirrorError('the connection was closed');
	async function* body(): AsyncGenerator<Buffer, void, undefined> {
		yield* bodyOf(bytes, 10_000);
		throw left;
	}
	const upload = await rig.store.upload({id: 'x', size: 9_000_000, maxBytes: most});
	t.is(await t.throwsAsync(upload.fill(body())), left);
	t.is(upload.written, 2_200_000);
	sameBytes(t, await readFile(upload.file), bytes);
});

test('room is counted over all that is on its way, and only while it is', async t => {
	const rig = await startStore(t);
	rig.store.freeBytes = async () => 250_000;
	const image = makeImage({size: 100_000});
	const held = new FakeSupplier('a', image.bytes, [{holdAt: 10_000}]);
	const fetching = rig.fetch(image, [held]);
	await held.reached(10_000);

	const first = await rig.store.upload({size: 100_000, maxBytes: most});
	const full = {instanceOf: NoSpaceError, message: /250 kB left/};
	await t.throwsAsync(rig.store.upload({size: 100_000, maxBytes: most}), full);
	t.deepEqual(await readdir(rig.layout.uploads), [first.id]);
	// One of unknown size asks for nothing, until it is known.
	const unknown = await rig.store.upload({size: undefined, maxBytes: most});
	await t.throwsAsync(unknown.announce(100_000), full);
	t.is(unknown.size, undefined);
	await unknown.announce(50_000);
	await t.throwsAsync(unknown.announce(100_000), full);
	t.is(unknown.size, 50_000);
	// What is written is not needed any more: the disk has counted it.
	await first.append([Buffer.alloc(60_000)]);
	await unknown.announce(100_000);
	await first.discard();
	const third = await rig.store.upload({size: 50_000, maxBytes: most});
	await t.throwsAsync(
		rig.store.partial({key: 'k', size: 50_000, sha1: undefined, md5: undefined, uuid: parseManifest(image.text).uuid}),
		full,
	);
	await third.close();
	await unknown.discard();
	held.release();
	sameBytes(t, await fetching, image.bytes);
});

test('two uploads of one content at once are one blob, each with its pin', async t => {
	const rig = await startStore(t);
	const image = makeImage({size: 200_000});
	const infos = await Promise.all(['a', 'b', 'c'].map(by => stored(rig.store, image.bytes, by)));
	t.is(new Set(infos).size, 1);
	t.deepEqual(await readdir(rig.layout.uploads), []);
	t.is(rig.store.count, 1);
	t.is(rig.store.bytes, 200_000);
	rig.store.unpin(sha1Of(image), 'a');
	rig.store.unpin(sha1Of(image), 'b');
	t.true(rig.store.isPinned(sha1Of(image)));
});

test('a blob that is here stays as it was, whoever reads it, and gains its MD5', async t => {
	const rig = await startStore(t);
	const image = makeImage({size: 17_000_000});
	await rig.fetch(image, [new FakeSupplier('a', image.bytes)]);
	await rig.idle();
	const reading = await rig.store.open(sha1Of(image));
	const before = await stat(rig.layout.blob(sha1Of(image)));
	const info = await stored(rig.store, image.bytes);
	t.like(info, {source: 'a', md5: image.md5});
	t.is((await stat(rig.layout.blob(sha1Of(image)))).ino, before.ino);
	t.true((await reading?.readFile())?.equals(image.bytes));
	await reading?.close();
	const written = JSON.parse(await readFile(rig.layout.info(sha1Of(image)), 'utf8')) as object;
	t.like(written, {md5: image.md5, source: 'a'});
});

test('a blob that is not as it was stored is put right by an upload of it', async t => {
	const rig = await startStore(t);
	const image = makeImage({size: 100_000});
	await stored(rig.store, image.bytes);
	await truncate(rig.layout.blob(sha1Of(image)), 10);
	const info = await stored(rig.store, image.bytes);
	sameBytes(t, await contentOf(rig.store, info), image.bytes);
	t.is(rig.store.count, 1);
	t.is(rig.store.bytes, 100_000);
	await rm(rig.layout.blob(sha1Of(image)));
	sameBytes(t, await contentOf(rig.store, await stored(rig.store, image.bytes)), image.bytes);
});

test('a transfer of a blob that was uploaded meanwhile leaves that in its place', async t => {
	const rig = await startStore(t);
	const image = makeImage({size: 400_000});
	const a = new FakeSupplier('a', image.bytes, [{holdAt: 200_000}]);
	const fetching = rig.fetch(image, [a]);
	await a.reached(200_000);
	const info = await stored(rig.store, image.bytes);
	const {ino} = await stat(rig.layout.blob(sha1Of(image)));
	a.release();
	sameBytes(t, await fetching, image.bytes);
	await rig.idle();
	t.is(rig.store.stat(sha1Of(image)), info);
	t.is((await stat(rig.layout.blob(sha1Of(image)))).ino, ino);
	t.deepEqual(await readdir(rig.layout.partials), []);
});

test('an upload that somebody else wrote to does not become a blob', async t => {
	const rig = await startStore(t);
	const {bytes} = makeImage({size: 1000});
	const upload = await sent(rig.store, bytes);
	await upload.digests();
	await appendFile(upload.file, 'more');
	await t.throwsAsync(rig.store.commitUpload(upload, {source: 'local', storedAtMs: 0}), {instanceOf: IntegrityError});
	await upload.discard();
	t.is(rig.store.count, 0);
});

test('digests that were asked for too early are those of the whole in the end', async t => {
	const rig = await startStore(t);
	for (const {early, size} of [
		{early: 1000, size: 20_000},
		{early: 1000, size: 300_000},
		{early: 100_000, size: 300_000},
	]) {
		const image = makeImage({size});
		const upload = await rig.store.upload({size: undefined, maxBytes: most});
		await upload.append([image.bytes.subarray(0, early)]);
		t.is((await upload.digests()).sha1, createHash('sha1').update(image.bytes.subarray(0, early)).digest('hex'));
		await upload.append([image.bytes.subarray(early)]);
		const {sha1, sha256, md5} = image;
		t.deepEqual(await upload.digests(), {sha1, sha256, md5});
		t.like(await rig.store.commitUpload(upload, {source: 'local', storedAtMs: 0}), {md5, size});
	}
});

test('what little there is needs no thread', async t => {
	const rig = await startStore(t);
	for (const size of [1, 65_536, 65_537]) {
		const image = makeImage({size});
		const upload = await sent(rig.store, image.bytes);
		const {sha1, sha256, md5} = image;
		t.deepEqual(await upload.digests(), {sha1, sha256, md5});
		await upload.discard();
	}
});

test('an upload that lost its end, or was closed, has no digests', async t => {
	const rig = await startStore(t);
	const {bytes} = makeImage({size: 1000});
	const cut = await sent(rig.store, bytes);
	await truncate(cut.file, 999);
	await t.throwsAsync(cut.digests(), {message: /ends at 999, before 1000/});
	await cut.discard();
	const closed = await sent(rig.store, bytes);
	await closed.close();
	await t.throwsAsync(closed.digests(), {message: /after it had been closed/});
});

test('a hashing thread that dies costs a second look at the upload, and holds nobody up', async t => {
	const rig = await startStore(t);
	const image = makeImage({size: 3_000_000});
	const upload = await rig.store.upload({size: image.size, maxBytes: most});
	await upload.append([image.bytes.subarray(0, 2_000_000)]);
	await rig.endHashing();
	await upload.append([image.bytes.subarray(2_000_000)]);
	const {sha1, sha256, md5} = image;
	t.deepEqual(await upload.digests(), {sha1, sha256, md5});
});

test('however a file is cut into chunks and sittings, it is the same file', async t => {
	const rig = await startStore(t);
	const piece = fc.record({bytes: fc.nat(70_000), chunk: fc.integer({min: 1, max: 9000}), again: fc.boolean()});
	await fc.assert(
		fc.asyncProperty(fc.array(piece, {maxLength: 5}), async pieces => {
			const image = makeImage({size: pieces.reduce((sum, {bytes}) => sum + bytes, 0)});
			let upload = await rig.store.upload({id: image.uuid, size: undefined, maxBytes: image.size});
			for (const {bytes, chunk, again} of pieces) {
				await upload.fill(bodyOf(image.bytes.subarray(upload.written, upload.written + bytes), chunk));
				if (again) {
					await upload.close();
					upload = await rig.store.upload({id: image.uuid, size: image.size, maxBytes: image.size});
				}
			}
			const info = await rig.store.commitUpload(upload, {source: 'local', storedAtMs: 0});
			t.like(info, {sha1: image.sha1, sha256: image.sha256, md5: image.md5, size: image.size});
			sameBytes(t, await contentOf(rig.store, info), image.bytes);
			t.deepEqual(await readdir(rig.layout.uploads), []);
		}),
		{numRuns: 25},
	);
});
