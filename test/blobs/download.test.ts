import {readFile, readdir, writeFile} from 'node:fs/promises';
import test from 'ava';
import {IntegrityError, NotFoundError, SourceUnavailableError, StoppingError} from '../../src/errors.js';
import {FakeSupplier, absent, refused} from '../helpers/fake-supplier.js';
import {makeImage} from '../helpers/make-image.js';
import {sameBytes} from '../helpers/same-bytes.js';
import {tempDir} from '../helpers/temp-dir.js';
import {readAll, sha1Of, startStore, wantedOf} from './start-store.js';

test('a file is handed on, verified and kept', async t => {
	const rig = await startStore(t);
	const image = makeImage({size: 300_000});
	const a = new FakeSupplier('a', image.bytes);

	sameBytes(t, await rig.fetch(image, [a]), image.bytes);
	await rig.idle();

	t.deepEqual(a.opened, [0]);
	t.like(rig.stored[0], {sha1: sha1Of(image), sha256: image.sha256, size: 300_000, source: 'a'});
	sameBytes(t, await readFile(rig.layout.blob(sha1Of(image))), image.bytes);
	t.deepEqual(await readdir(rig.layout.partials), []);
});

test('many readers at different offsets share one transfer', async t => {
	const rig = await startStore(t);
	const image = makeImage({size: 500_000});
	const a = new FakeSupplier('a', image.bytes, [{holdAt: 100_000}]);
	const first = rig.fetch(image, [a]);
	await a.reached(100_000);
	const offsets = Array.from({length: 100}, (_, number) => number * 4999);
	const others = offsets.map(start => rig.fetch(image, [a], {start}));
	t.is(rig.flights.status()[0]?.followers, 101);
	a.release();

	sameBytes(t, await first, image.bytes);
	for (const [number, bytes] of (await Promise.all(others)).entries()) {
		t.true(bytes.equals(image.bytes.subarray(number * 4999)), `from ${number * 4999}`);
	}
	t.deepEqual(a.opened, [0]);
});

test('bytes are handed on while the file is still arriving, but not its tail', async t => {
	const rig = await startStore(t);
	const image = makeImage({size: 300_000});
	const a = new FakeSupplier('a', image.bytes, [{holdAt: 290_000}]);
	const {follower} = rig.flights.join({
		wanted: wantedOf(image),
		suppliers: () => [a],
		start: 0,
		end: image.size,
		onStored: async () => undefined,
	});
	const into = Buffer.alloc(1_000_000);
	let got = 0;
	while (got < 300_000 - 65_536) {
		got += await follower.read(into);
	}
	t.is(got, 300_000 - 65_536);
	await a.reached(290_000);
	const rest = follower.read(into);
	a.release();
	t.is(await rest, 65_536);
	follower.close();
});

test('a small file is held back whole until it is verified', async t => {
	const rig = await startStore(t);
	const image = makeImage({size: 10_000});
	const wrong = Buffer.from(image.bytes).fill(7, 9000);
	const liar = new FakeSupplier('liar', image.bytes, [{bytes: wrong}]);
	const honest = new FakeSupplier('honest', image.bytes);

	// Nothing had been handed on when the lie was found out, so the reader may have the honest one's bytes.
	sameBytes(t, await rig.fetch(image, [liar, honest]), image.bytes);
	t.is(liar.marks.length, 1);
	t.is(await rig.host.metric('imgmirror_verification_failures_total', {source: 'liar'}), 1);
});

test('a transfer that is cut goes on from the same byte', async t => {
	const rig = await startStore(t);
	const image = makeImage({size: 300_000});
	const a = new FakeSupplier('a', image.bytes, [{cutAt: 150_000, etag: '"x"'}, {etag: '"x"'}]);

	sameBytes(t, await rig.fetch(image, [a]), image.bytes);
	t.deepEqual(a.opened, [0, 150_000]);
	t.deepEqual(a.ifRange, [undefined, '"x"']);
});

test('a transfer that is cut goes on at another source that has the same file', async t => {
	const rig = await startStore(t);
	const image = makeImage({size: 300_000});
	const a = new FakeSupplier('a', image.bytes, [{cutAt: 150_000}]);
	const b = new FakeSupplier('b', image.bytes);

	sameBytes(t, await rig.fetch(image, [a, b]), image.bytes);
	t.deepEqual([a.opened, b.opened], [[0], [150_000]]);
});

test('a supplier that ignores the range is passed over up to where we are', async t => {
	const rig = await startStore(t);
	const image = makeImage({size: 300_000});
	const a = new FakeSupplier('a', image.bytes, [{cutAt: 150_000}, {ignoreRange: true}]);

	sameBytes(t, await rig.fetch(image, [a]), image.bytes);
});

test('a supplier that never gets further is given up after its tries', async t => {
	const rig = await startStore(t);
	const image = makeImage({size: 300_000});
	const a = new FakeSupplier(
		'a',
		image.bytes,
		Array.from({length: 10}, () => ({cutAt: 150_000, ignoreRange: true})),
	);

	await t.throwsAsync(rig.fetch(image, [a]), {instanceOf: SourceUnavailableError});
	// The first try made progress; then the retries configured, and one.
	t.is(a.opened.length, 1 + 2 + 1 - 1);
	await rig.idle();
	// What came in stays, and the next request has only the rest fetched.
	const b = new FakeSupplier('b', image.bytes);
	sameBytes(t, await rig.fetch(image, [b]), image.bytes);
	t.deepEqual(b.opened, [150_000]);
});

test('nobody gets a wrong file whole, nothing of it is kept but in quarantine, and the next request is served right', async t => {
	const rig = await startStore(t);
	const image = makeImage({size: 300_000});
	const wrong = Buffer.from(image.bytes).fill(0, 1000, 1010);
	const liar = new FakeSupplier('liar', image.bytes, [{bytes: wrong}]);

	await t.throwsAsync(rig.fetch(image, [liar]), {instanceOf: IntegrityError});
	await rig.idle();
	t.is(rig.store.stat(sha1Of(image)), undefined);
	const [kept] = await rig.store.quarantined.list();
	t.is(kept?.size, 300_000);
	sameBytes(t, await readFile(rig.layout.quarantined(kept?.name ?? '')), wrong);
	t.false(rig.store.hasPartial(sha1Of(image)), 'nor does an empty beginning stay');
	t.deepEqual(await readdir(rig.layout.partials), []);

	sameBytes(t, await rig.fetch(image, [liar]), image.bytes);
	t.deepEqual(liar.opened, [0, 0]);
});

test('after a lie the next supplier begins from zero, and readers who had wrong bytes are cut off', async t => {
	const rig = await startStore(t);
	const image = makeImage({size: 300_000});
	const wrong = Buffer.from(image.bytes).fill(0, 1000, 1010);
	const liar = new FakeSupplier('liar', image.bytes, [{bytes: wrong}]);
	const honest = new FakeSupplier('honest', image.bytes);
	const early = rig.fetch(image, [liar, honest]);
	const tail = rig.fetch(image, [liar, honest], {start: 299_000});

	await t.throwsAsync(early, {instanceOf: IntegrityError});
	sameBytes(t, await tail, image.bytes.subarray(299_000));
	t.deepEqual(honest.opened, [0]);
	await rig.idle();
	t.is(rig.store.stat(sha1Of(image))?.source, 'honest');
});

test('where two supplied a wrong file, each is tried alone', async t => {
	const rig = await startStore(t);
	const image = makeImage({size: 300_000});
	const wrong = Buffer.from(image.bytes).fill(0, 200_000);
	const a = new FakeSupplier('a', image.bytes, [{cutAt: 150_000}, {cutAt: 150_000}]);
	const liar = new FakeSupplier('liar', wrong);

	await t.throwsAsync(rig.fetch(image, [a, liar]), {instanceOf: IntegrityError});
	await rig.idle();
	t.is(rig.store.stat(sha1Of(image))?.source, 'a');
});

test('what a restart finds on the disk is verified with the rest, and fetched again if it was that', async t => {
	const root = await tempDir(t);
	const image = makeImage({size: 300_000});
	const before = await startStore(t, {root});
	await writeFile(before.layout.partial(image.sha1), Buffer.alloc(100_000, 1));
	await before.close();

	const rig = await startStore(t, {root});
	const a = new FakeSupplier('a', image.bytes);
	const reading = rig.fetch(image, [a]);
	await t.throwsAsync(reading, {instanceOf: IntegrityError});
	await rig.idle();
	t.deepEqual(a.opened, [100_000, 0]);
	t.deepEqual(a.marks, []);
	t.is(await rig.host.metric('imgmirror_verification_failures_total', {source: '(disk)'}), 1);
	sameBytes(t, await readFile(rig.layout.blob(sha1Of(image))), image.bytes);
});

test('a partial that is longer than the file begins again', async t => {
	const rig = await startStore(t);
	const image = makeImage({size: 100_000});
	await writeFile(rig.layout.partial(image.sha1), Buffer.alloc(200_000));
	const a = new FakeSupplier('a', image.bytes);
	sameBytes(t, await rig.fetch(image, [a]), image.bytes);
	t.deepEqual(a.opened, [0]);
});

test('a partial that was whole when the mirror died costs no request', async t => {
	const rig = await startStore(t);
	const image = makeImage({size: 100_000});
	await writeFile(rig.layout.partial(image.sha1), image.bytes);
	const a = new FakeSupplier('a', image.bytes);
	sameBytes(t, await rig.fetch(image, [a]), image.bytes);
	t.deepEqual(a.opened, []);
});

test('a supplier with another size is not used', async t => {
	const rig = await startStore(t);
	const image = makeImage({size: 100_000});
	const a = new FakeSupplier('a', image.bytes, [{size: 99_999}]);
	const b = new FakeSupplier('b', image.bytes);
	sameBytes(t, await rig.fetch(image, [a, b]), image.bytes);
	t.deepEqual([a.opened, b.opened, a.marks.length], [[0], [0], 1]);
});

test('a file of unknown length that ends early, and has no rest, is another file', async t => {
	const rig = await startStore(t);
	const image = makeImage({size: 100_000});
	const short = {size: undefined, endAt: 500};
	const a = new FakeSupplier('a', image.bytes, [short, short]);
	await t.throwsAsync(rig.fetch(image, [a]), {instanceOf: IntegrityError});
	t.deepEqual(a.opened, [0, 500]);
});

test('where only the size could tell, what ends early is not gone on with', async t => {
	const rig = await startStore(t);
	const image = makeImage({size: 100_000});
	const wanted = {...wantedOf(image), key: `${image.uuid}.0`, sha1: undefined, md5: undefined};
	const a = new FakeSupplier('a', image.bytes, [{size: undefined, endAt: 500}]);
	const suppliers = () => [a];
	const {follower} = rig.flights.join({wanted, suppliers, start: 0, end: image.size, onStored: async () => undefined});
	await t.throwsAsync(readAll(follower), {instanceOf: IntegrityError});
	follower.close();
	t.deepEqual(a.opened, [0]);
});

test('a file of unknown length whose connection ends early goes on where it was', async t => {
	const rig = await startStore(t);
	const image = makeImage({size: 100_000});
	const pieces = [500, 40_000, 80_000].map(endAt => ({size: undefined, endAt}));
	const a = new FakeSupplier('a', image.bytes, pieces);
	sameBytes(t, await rig.fetch(image, [a]), image.bytes);
	t.deepEqual(a.opened, [0, 500, 40_000, 80_000]);
});

test('who gives no part of a file is asked for the whole, and what is here is passed over', async t => {
	const image = makeImage({size: 100_000});
	for (const step of [{refuse: new SourceUnavailableError('a', 'answered 416', {scope: 'part'})}, {size: 100_001}]) {
		const rig = await startStore(t);
		const a = new FakeSupplier('a', image.bytes, [{cutAt: 60_000}, step, {cutAt: 80_000}]);
		sameBytes(t, await rig.fetch(image, [a]), image.bytes);
		t.deepEqual(a.opened, [0, 60_000, 0, 0]);
		t.deepEqual(a.marks, []);
		await rig.idle();
		t.like(rig.stored[0], {sha1: sha1Of(image), size: 100_000});
	}
});

test('whose whole file has another size, too, is not asked again', async t => {
	const rig = await startStore(t);
	const image = makeImage({size: 100_000});
	const a = new FakeSupplier('a', image.bytes, [{cutAt: 60_000}, {size: 100_001}, {size: 100_001}]);
	await t.throwsAsync(rig.fetch(image, [a]), {instanceOf: IntegrityError});
	t.deepEqual(a.opened, [0, 60_000, 0]);
	t.is(a.marks.length, 1);
});

test('a file of known length that ends early is tried again', async t => {
	const rig = await startStore(t);
	const image = makeImage({size: 100_000});
	const a = new FakeSupplier('a', image.bytes, [{endAt: 500}]);
	sameBytes(t, await rig.fetch(image, [a]), image.bytes);
	t.deepEqual(a.opened, [0, 500]);
});

test('a file of unknown length that goes on for ever is cut at its size and judged by its digest', async t => {
	const rig = await startStore(t);
	const image = makeImage({size: 100_000});
	const longer = Buffer.concat([image.bytes, Buffer.alloc(50_000)]);
	const a = new FakeSupplier('a', image.bytes, [{size: undefined, bytes: longer}]);
	sameBytes(t, await rig.fetch(image, [a]), image.bytes);
});

test('a supplier that answers from further on than asked is not used', async t => {
	const rig = await startStore(t);
	const image = makeImage({size: 100_000});
	const a = new FakeSupplier('a', image.bytes, [{leap: 10}]);
	const b = new FakeSupplier('b', image.bytes);
	sameBytes(t, await rig.fetch(image, [a, b]), image.bytes);
	t.deepEqual(b.opened, [0]);
});

test('a file that changes at its source is left for another source, or begun again', async t => {
	const rig = await startStore(t);
	const image = makeImage({size: 300_000});
	const script = [{cutAt: 150_000, etag: '"old"'}, {etag: '"new"'}];
	const alone = new FakeSupplier('alone', image.bytes, [...script]);
	const reading = rig.fetch(image, [alone]);
	await t.throwsAsync(reading, {instanceOf: IntegrityError});
	await rig.idle();
	t.deepEqual(alone.opened, [0, 150_000, 0]);
	t.true(rig.store.stat(sha1Of(image)) !== undefined);

	const second = makeImage({size: 300_000});
	const changed = new FakeSupplier('changed', second.bytes, [...script]);
	const other = new FakeSupplier('other', second.bytes, [{refuse: new SourceUnavailableError('other', 'refused')}]);
	sameBytes(t, await rig.fetch(second, [changed, other]), second.bytes);
	t.deepEqual(other.opened, [150_000, 150_000]);
});

test('a file that no source has is not found; one that cannot be asked for is unknown', async t => {
	const rig = await startStore(t);
	const image = makeImage({size: 1000});
	const none = new FakeSupplier('none', image.bytes, [absent, absent]);
	await t.throwsAsync(rig.fetch(image, [none]), {instanceOf: NotFoundError});
	await rig.idle();
	const dead = new FakeSupplier('dead', image.bytes, [refused('dead'), refused('dead'), refused('dead')]);
	await t.throwsAsync(rig.fetch(image, [none, dead]), {instanceOf: SourceUnavailableError});
	await rig.idle();
	await t.throwsAsync(rig.fetch(image, []), {instanceOf: SourceUnavailableError});
});

test('a source in trouble is asked after the others', async t => {
	const rig = await startStore(t);
	const image = makeImage({size: 1000});
	const a = new FakeSupplier('a', image.bytes);
	a.doubtful = true;
	const b = new FakeSupplier('b', image.bytes);
	sameBytes(t, await rig.fetch(image, [a, b]), image.bytes);
	t.deepEqual([a.opened, b.opened], [[], [0]]);
});

test('the first reader hanging up stops nothing', async t => {
	const rig = await startStore(t);
	const image = makeImage({size: 300_000});
	const a = new FakeSupplier('a', image.bytes, [{holdAt: 100_000}]);
	const join = {
		wanted: wantedOf(image),
		suppliers: () => [a],
		start: 0,
		end: image.size,
		onStored: async () => undefined,
	};
	const first = rig.flights.join(join);
	t.false(first.joined);
	const second = rig.flights.join(join);
	t.true(second.joined);
	await first.follower.read(Buffer.alloc(1000));
	first.follower.close();
	a.release();
	sameBytes(t, await readAll(second.follower), image.bytes);
	second.follower.close();
});

test('a transfer that nobody follows goes on to its end', async t => {
	const rig = await startStore(t);
	const image = makeImage({size: 300_000});
	const a = new FakeSupplier('a', image.bytes, [{holdAt: 100_000}]);
	const join = {
		wanted: wantedOf(image),
		suppliers: () => [a],
		start: 0,
		end: image.size,
		onStored: async () => undefined,
	};
	const {follower} = rig.flights.join(join);
	await a.reached(100_000);
	follower.close();
	a.release();
	await rig.idle();
	sameBytes(t, await readFile(rig.layout.blob(sha1Of(image))), image.bytes);
});

test('a transfer that nobody follows is suspended if too much is left, and taken up again', async t => {
	const rig = await startStore(t, {limits: {finishAbandonedBytes: 50_000}});
	const image = makeImage({size: 300_000});
	const a = new FakeSupplier('a', image.bytes, [{holdAt: 100_000}]);
	const join = {
		wanted: wantedOf(image),
		suppliers: () => [a],
		start: 0,
		end: image.size,
		onStored: async () => undefined,
	};
	const {follower} = rig.flights.join(join);
	await a.reached(100_000);
	await follower.read(Buffer.alloc(1000));
	follower.close();
	t.deepEqual(rig.flights.status(), []);
	// At once, while the old one is still letting go of the file.
	sameBytes(t, await rig.fetch(image, [a]), image.bytes);
	t.is(a.opened.length, 2);
	t.true((a.opened[1] ?? 0) > 0);
});

test('stopping suspends transfers, ends their readers, and leaves what came in for the next start', async t => {
	const root = await tempDir(t);
	const image = makeImage({size: 300_000});
	const before = await startStore(t, {root});
	const a = new FakeSupplier('a', image.bytes, [{holdAt: 200_000}]);
	const reading = before.fetch(image, [a]);
	await a.reached(200_000);
	while (before.flights.status()[0]?.written !== 200_000) {
		await new Promise(resolve => setImmediate(resolve));
	}
	const outcome = t.throwsAsync(reading, {instanceOf: StoppingError});
	await before.close();
	await outcome;
	const join = {wanted: wantedOf(image), suppliers: () => [a], start: 0, end: 1, onStored: async () => undefined};
	t.throws(() => before.flights.join(join), {instanceOf: StoppingError});

	const after = await startStore(t, {root});
	const b = new FakeSupplier('b', image.bytes);
	sameBytes(t, await after.fetch(image, [b]), image.bytes);
	t.deepEqual(b.opened, [200_000]);
});

test('only so many transfers run at once; the others wait for their turn', async t => {
	const rig = await startStore(t, {limits: {concurrent: 1}});
	const [one, two] = [makeImage({size: 100_000}), makeImage({size: 100_000})];
	const a = new FakeSupplier('a', one.bytes, [{holdAt: 50_000}]);
	const b = new FakeSupplier('b', two.bytes);
	const first = rig.fetch(one, [a]);
	const second = rig.fetch(two, [b]);
	await a.reached(50_000);
	t.deepEqual(b.opened, []);
	t.deepEqual(
		rig.flights.status().map(({waiting}) => waiting),
		[false, true],
	);
	a.release();
	sameBytes(t, await first, one.bytes);
	sameBytes(t, await second, two.bytes);
});

test('without a SHA-1 the MD5 of the manifest is checked, and the SHA-1 is found out', async t => {
	const rig = await startStore(t);
	const image = makeImage({size: 100_000, claimedSha1: undefined, withMd5: true});
	const wrong = Buffer.from(image.bytes).fill(0);
	const a = new FakeSupplier('a', image.bytes, [{bytes: wrong}, {}]);
	await t.throwsAsync(rig.fetch(image, [a]), {instanceOf: IntegrityError});
	await rig.idle();
	sameBytes(t, await rig.fetch(image, [a]), image.bytes);
	await rig.idle();
	t.like(rig.stored[0], {sha1: sha1Of(image), md5: image.md5});
});

test('without SHA-1 and MD5 what the source says in Content-MD5 is checked', async t => {
	const rig = await startStore(t);
	const image = makeImage({size: 100_000, claimedSha1: undefined});
	const wrong = Buffer.from(image.bytes).fill(0);
	const a = new FakeSupplier('a', image.bytes, [{bytes: wrong, contentMd5: image.contentMd5}, {}]);
	await t.throwsAsync(rig.fetch(image, [a]), {instanceOf: IntegrityError});
	await rig.idle();
	sameBytes(t, await rig.fetch(image, [a]), image.bytes);
});

test('an empty range and an empty file end at once', async t => {
	const rig = await startStore(t);
	const image = makeImage({size: 0, bytes: Buffer.alloc(0)});
	sameBytes(t, await rig.fetch(image, [new FakeSupplier('a', image.bytes)]), Buffer.alloc(0));
	await rig.idle();
	t.is(rig.store.stat(sha1Of(image))?.size, 0);
});

test('what one source said of the MD5 is not held against the next', async t => {
	const rig = await startStore(t);
	const image = makeImage({size: 10_000, claimedSha1: undefined});
	const liar = new FakeSupplier('liar', image.bytes, [{contentMd5: makeImage({size: 10}).contentMd5}]);
	const honest = new FakeSupplier('honest', image.bytes);
	sameBytes(t, await rig.fetch(image, [liar, honest]), image.bytes);
	t.deepEqual([liar.marks.length, honest.marks.length], [1, 0]);
});

test('a Content-MD5 that is none is passed over', async t => {
	const rig = await startStore(t);
	const image = makeImage({size: 10_000, claimedSha1: undefined});
	const a = new FakeSupplier('a', image.bytes, [{contentMd5: image.md5}]);
	sameBytes(t, await rig.fetch(image, [a]), image.bytes);
});

test('a source that has a file no more under one image may have it under another', async t => {
	const rig = await startStore(t);
	const image = makeImage({size: 10_000});
	const gone = new FakeSupplier('a', image.bytes, [absent]);
	const there = Object.assign(new FakeSupplier('a', image.bytes), {offer: 'twin'});
	sameBytes(t, await rig.fetch(image, [gone, there]), image.bytes);
	await rig.idle();
	const wrong = Object.assign(new FakeSupplier('a', Buffer.alloc(10_000)), {offer: 'twin'});
	const second = makeImage({size: 10_000});
	const other = new FakeSupplier('a', second.bytes, [absent]);
	await t.throwsAsync(rig.fetch(second, [other, wrong]), {instanceOf: IntegrityError});
	t.deepEqual([other.marks.length, wrong.marks.length], [0, 1]);
});

test('a file of which only the size is known must not go on behind it', async t => {
	const rig = await startStore(t);
	const image = makeImage({size: 100_000, claimedSha1: undefined});
	const longer = Buffer.concat([image.bytes, Buffer.alloc(50_000)]);
	const a = new FakeSupplier('a', image.bytes, [{size: undefined, bytes: longer}]);
	await t.throwsAsync(rig.fetch(image, [a]), {instanceOf: IntegrityError});
	await rig.idle();
	t.deepEqual([rig.store.count, a.marks.length], [0, 1]);

	const exact = new FakeSupplier('exact', image.bytes, [{size: undefined}]);
	sameBytes(t, await rig.fetch(image, [exact]), image.bytes);
	const cut = makeImage({size: 100_000, claimedSha1: undefined});
	const step = {size: undefined, bytes: Buffer.concat([cut.bytes, Buffer.alloc(1)]), cutAt: 100_000};
	sameBytes(t, await rig.fetch(cut, [new FakeSupplier('cut', cut.bytes, [step])]), cut.bytes);
});

test('of two suspects each is tried alone to its end, and neither is blamed for the other', async t => {
	const rig = await startStore(t);
	const image = makeImage({size: 300_000});
	const wrong = Buffer.from(image.bytes).fill(0, 200_000);
	const troubles = [20_000, 40_000, 60_000, 80_000].flatMap(cutAt => [{cutAt}, refused('it')]);
	const a = new FakeSupplier('a', image.bytes, [{cutAt: 150_000}, ...troubles]);
	const liar = new FakeSupplier('liar', wrong, [{}, ...troubles]);
	await t.throwsAsync(rig.fetch(image, [a, liar]), {instanceOf: IntegrityError});
	await rig.idle();
	t.is(rig.store.stat(sha1Of(image))?.source, 'a');
	t.deepEqual(a.marks, [liar.marks[0]]);
});
