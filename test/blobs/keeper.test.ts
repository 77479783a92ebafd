import {mkdir, readdir, rm, truncate, utimes, writeFile} from 'node:fs/promises';
import test from 'ava';
import {Room} from '../../src/blobs/room.js';
import {Turns} from '../../src/blobs/turns.js';
import {NoSpaceError} from '../../src/errors.js';
import type {MirrorEvent} from '../../src/host-events.js';
import {parseManifest} from '../../src/image/manifest.js';
import {FakeSupplier} from '../helpers/fake-supplier.js';
import {makeImage, type TestImage} from '../helpers/make-image.js';
import {sameBytes} from '../helpers/same-bytes.js';
import {tempDir} from '../helpers/temp-dir.js';
import {images, startKeeping, type KeepingRig} from './start-keeping.js';
import {stored} from './sending.js';
import {readAll, sha1Of, startStore, wantedOf} from './start-store.js';

const minute = 60_000;
const noSpace = {instanceOf: NoSpaceError};
/** No sweep begins before the limit itself is passed. */
const atTheLimit = {highMark: 1, lowMark: 1};

test('room that was had early is passed on to who needs no more, and is otherwise made', async t => {
	let made = 0;
	const room: Room = new Room(() => ({
		inTurn: work => work(),
		hasRoom: async () => room.reservedBytes <= 100,
		async makeRoom() {
			made++;
			if (room.reservedBytes > 200) {
				throw new NoSpaceError('too much');
			}
		},
	}));
	const [one, other] = [{}, {}];
	const early = room.early(60);
	t.is(room.reservedBytes, 60);
	let need = 50;
	await early.pass(one, () => need, 'transfer');
	t.is(made, 0, 'there was enough');
	t.is(room.reservedBytes, 50);
	need = 20;
	t.is(room.reservedBytes, 20, 'as it is now, not as it was expected');

	const large = room.early(90);
	await large.pass(other, () => 90, 'transfer');
	t.is(made, 1, 'there was not enough, so some was made, but not before it was known for whom');
	t.is(room.reservedBytes, 110);
	room.release(other);
	const short = room.early(10);
	await t.throwsAsync(
		short.pass(other, () => 190, 'transfer'),
		noSpace,
	);
	t.is(made, 2);
	t.is(room.reservedBytes, 20, 'nothing is left of either');

	const forNobody = room.early(30);
	forNobody.drop();
	t.is(room.reservedBytes, 20);
	await room.early(0).pass(other, () => 0, 'transfer');
	t.is(made, 2);
});

test('nothing goes for a file that has not been begun, for it may be what is built upon that', async t => {
	const rig = await startKeeping(t, {keep: {maxBytes: 1e9, minFreeBytes: 0, ...atTheLimit}});
	const [a, b, c] = images(3) as [TestImage, TestImage, TestImage];
	const child = makeImage({size: 1000, origin: a});
	await fill(rig, [a, b, c]);
	await rig.clock.advance(minute);
	rig.know(child);
	// Somebody else has filled the disk since the last look.
	rig.store.freeBytes = async () => 500;
	t.true(rig.store.lacks(wantedOf(child)));
	const partial = await rig.begin(child, 0);
	t.deepEqual(rig.here([a, b, c]), [0, 2], 'what was used least lately is its origin, and stays');
	await partial.close();
});

test('where a file cannot be begun, the room that was made for it meanwhile is free again', async t => {
	const rig = await startKeeping(t, {keep: {maxBytes: 3500}});
	const [a, b] = images(2) as [TestImage, TestImage];
	await fill(rig, [a]);
	t.true(rig.store.lacks(wantedOf(b)), 'so that room is made early');
	await rm(rig.layout.partials, {recursive: true});
	await writeFile(rig.layout.partials, 'in its place');
	await t.throwsAsync(rig.begin(b, 0), noSpace);
	t.is(rig.store.reservedBytes, 0);
});

/** Fetches them a minute apart and makes them known. */
async function fill(rig: KeepingRig, all: readonly TestImage[]): Promise<void> {
	for (const image of all) {
		rig.know(image);
		await rig.fetch(image);
		await rig.clock.advance(minute);
	}
}

function emitted(rig: KeepingRig, type: MirrorEvent['type']): readonly MirrorEvent[] {
	return rig.host.events.recent(new Set([type]), 1000).toReversed();
}

test('room is made before a transfer begins: what was used least lately goes, and no more than is needed', async t => {
	const rig = await startKeeping(t, {keep: {maxBytes: 3500, ...atTheLimit}});
	const all = images(5);
	const [a, b, c, d, e] = all as [TestImage, TestImage, TestImage, TestImage, TestImage];
	await fill(rig, [a, b, c]);
	t.true(await rig.use(a));
	await rig.clock.advance(minute);
	rig.know(d);
	const partial = await rig.begin(d, 0);
	t.deepEqual(rig.here(all), [0, 2], 'before a byte of it has come');
	t.is(rig.store.reservedBytes, 1000);
	await partial.write([d.bytes]);
	t.is(rig.store.reservedBytes, 0);
	await rig.commit(partial);
	await partial.close();
	await rig.clock.advance(minute);
	await fill(rig, [e]);
	t.deepEqual(rig.here(all), [0, 3, 4]);
	const {told, found} = await rig.counts();
	t.deepEqual(told, found);
	t.is(await rig.host.metric('imgmirror_evictions_total', {reason: 'limit'}), 2);
	t.is(await rig.host.metric('imgmirror_evicted_bytes_total', {reason: 'limit'}), 2000);
	t.like(emitted(rig, 'image.evicted')[0], {
		image: {uuid: b.uuid, name: b.manifest['name'], version: '1.0.0', public: false},
		...{bytes: 1000, sha1: b.sha1, by: 'limit'},
	});
	t.is(rig.host.linesLike({msg: 'files were evicted'}).length, 2);
});

test('above the high mark files go until the low one, in the background', async t => {
	const rig = await startKeeping(t, {keep: {maxBytes: 10_000, highMark: 0.8, lowMark: 0.5}});
	const all = images(9);
	await fill(rig, all.slice(0, 8));
	await rig.quiet();
	t.is(rig.store.count, 8, 'the mark itself may be reached');
	await fill(rig, all.slice(8));
	await rig.quiet();
	t.deepEqual(rig.here(all), [4, 5, 6, 7, 8]);
	t.like(await rig.store.keeper.report(), {
		limits: {maxBytes: 10_000, minFreeBytes: 0, allowedBytes: 10_000, highBytes: 8000, lowBytes: 5000},
		byReason: {'free-to-go': 5000},
		next: {
			...{files: 3, bytes: 3000},
			because: 'files take 5.0 kB of the 10 kB they may; above 8.0 kB the least recently used go until 5.0 kB',
		},
	});
});

test('the disk keeps free what it must have left', async t => {
	const disk = 10_000;
	const rig: KeepingRig = await startKeeping(t, {
		keep: {minFreeBytes: 6500, highMark: 1, lowMark: 1},
		freeBytes: async () => disk - rig.store.keeper.usedBytes,
	});
	const all = images(4);
	await fill(rig, all);
	t.deepEqual(rig.here(all), [1, 2, 3]);
	t.is(await rig.host.metric('imgmirror_evictions_total', {reason: 'floor'}), 1);
	await rig.store.updateMetrics();
	t.is(await rig.host.metric('imgmirror_store_limit_bytes'), 3500);
	t.regex((await rig.store.keeper.report()).next.because, /while the disk keeps 6.5 kB free/);
});

test('where nothing may go the transfer is told why, and nothing goes in vain', async t => {
	const rig = await startKeeping(t, {keep: {maxBytes: 3500, ...atTheLimit}});
	const all = images(4);
	const [a, b, c, d] = all as [TestImage, TestImage, TestImage, TestImage];
	await fill(rig, [a, b, c]);
	rig.know(a, {pinned: true});
	rig.know(b, {wantedBy: ['nightly']});
	const big = makeImage({size: 2000});
	const why =
		'files may take 3.5 kB; 3.0 kB are here and 2.0 kB are needed for what is on its way; ' +
		'1.0 kB may go, others stay: 1.0 kB pinned, 1.0 kB wanted';
	await t.throwsAsync(rig.begin(big), {...noSpace, message: why});
	t.is(rig.store.count, 3);
	t.is(rig.store.reservedBytes, 0);
	t.deepEqual(await readdir(rig.layout.partials), []);
	await fill(rig, [d]);
	t.deepEqual(rig.here(all), [0, 1, 3]);
	const {told, found} = await rig.counts();
	t.deepEqual(told, found);
});

test('nothing goes before it is known what must stay', async t => {
	const rig = await startKeeping(t, {keep: {maxBytes: 1500, maxUnusedMs: minute}, knowsFacts: false});
	const [a, b] = images(2) as [TestImage, TestImage];
	await rig.fetch(a);
	await rig.clock.advance(10 * minute);
	t.is(await rig.fetch(b), undefined);
	await rig.store.keeper.sweep();
	t.deepEqual(rig.here([a, b]), [0]);
	t.deepEqual(rig.store.keeper.verdicts(), []);
	const [outcome] = await rig.store.keeper.evict([sha1Of(a)], {force: true});
	t.regex(outcome?.problem ?? '', /not known yet/);
	rig.store.keeper.setFacts(() => ({images: []}));
	await rig.store.keeper.sweep();
	t.is(rig.store.count, 0);
});

test('what is being read stays, and so does what was read a moment ago', async t => {
	const rig = await startKeeping(t, {keep: {maxBytes: 2500, ...atTheLimit}, graceMs: minute});
	const [a, b, c, d] = images(4) as [TestImage, TestImage, TestImage, TestImage];
	await fill(rig, [a, b]);
	const reading = await rig.store.open(sha1Of(a));
	await rig.clock.advance(60 * minute);
	await fill(rig, [c]);
	t.deepEqual(rig.here([a, b, c]), [0, 2]);
	sameBytes(t, await reading?.readFile(), a.bytes);
	await reading?.close();
	await rig.clock.advance(minute / 2);
	t.true(await rig.use(c));
	t.is(await rig.fetch(d), undefined, 'who has just read one may want the next');
	await rig.clock.advance(minute / 2);
	await rig.fetch(d);
	t.deepEqual(rig.here([a, b, c, d]), [2, 3], 'the use ended when it was closed');
});

test('whoever follows a transfer goes on reading what came of it, and keeps it here', async t => {
	const rig = await startKeeping(t, {keep: {maxBytes: 2500, ...atTheLimit}});
	const [a, b, c] = images(3) as [TestImage, TestImage, TestImage];
	rig.know(a);
	const partial = await rig.begin(a);
	await rig.commit(partial);
	await rig.clock.advance(60 * minute);
	await fill(rig, [b, c]);
	t.deepEqual(rig.here([a, b, c]), [0, 2]);
	await partial.close();
	await rig.clock.advance(minute);
	rig.know(b);
	t.true(await rig.use(c));
	await rig.fetch(b);
	t.deepEqual(rig.here([a, b, c]), [1, 2]);
});

test('an image on its way keeps what it is built upon', async t => {
	const rig = await startKeeping(t, {keep: {maxBytes: 2500, ...atTheLimit}});
	const [base, other] = images(2) as [TestImage, TestImage];
	const child = makeImage({size: 1000, origin: base});
	await fill(rig, [base, other]);
	rig.know(child);
	await rig.fetch(child);
	t.deepEqual(rig.here([base, other, child]), [0, 2]);
});

test('claims at once are decided one after the other: no room is given twice, nothing goes twice', async t => {
	const rig = await startKeeping(t, {keep: {maxBytes: 5500, ...atTheLimit}});
	const old = images(5);
	await fill(rig, old);
	const wanted = images(8);
	for (const image of wanted) {
		rig.know(image);
	}
	const outcomes = await Promise.allSettled(wanted.map(image => rig.begin(image, 0)));
	t.is(outcomes.filter(({status}) => status === 'fulfilled').length, 5);
	t.is(rig.store.reservedBytes, 5000);
	t.is(rig.store.count, 0);
	t.is(await rig.host.metric('imgmirror_evictions_total'), 5);
	for (const outcome of outcomes) {
		if (outcome.status === 'fulfilled') {
			await outcome.value.write([Buffer.alloc(1000)]);
			await outcome.value.close();
		}
	}
	t.is(rig.store.reservedBytes, 0);
	const {told, found} = await rig.counts();
	t.deepEqual(told, found);
});

test('of two that do not fit together one has its room', async t => {
	const rig = await startKeeping(t, {keep: {maxBytes: 1500}});
	const [a, b] = images(2) as [TestImage, TestImage];
	const outcomes = await Promise.allSettled([rig.begin(a, 0), rig.begin(b, 0)]);
	t.deepEqual(outcomes.map(({status}) => status).sort(), ['fulfilled', 'rejected']);
});

test('who needs nothing any more while waiting for its turn claims nothing afterwards', async t => {
	const turns = new Turns();
	let asked = 0;
	const room: Room = new Room(() => ({
		inTurn: work => turns.take('', work),
		hasRoom: async () => room.reservedBytes <= 100,
		async makeRoom() {
			asked++;
			if (room.reservedBytes > 100) {
				throw new NoSpaceError('too much');
			}
		},
	}));
	let goOn = (): void => undefined;
	const busy = turns.take('', () => new Promise<void>(resolve => (goOn = resolve)));
	const [one, other] = [{}, {}];
	const claims = [
		room.claim(one, () => 10, 'transfer'),
		room.claim(other, () => 20, 'upload'),
		room.claim(other, () => 30, 'upload'),
	];
	room.release(one);
	t.is(room.reservedBytes, 0);
	await Promise.resolve();
	goOn();
	await Promise.all([busy, ...claims]);
	t.is(room.reservedBytes, 30, 'the last word counts');
	t.is(asked, 1);
	await t.throwsAsync(
		room.claim(other, () => 101, 'upload'),
		noSpace,
	);
	t.is(room.reservedBytes, 30, 'as it was before');
	await t.throwsAsync(
		room.claim(one, () => 71, 'upload'),
		noSpace,
	);
	t.is(room.reservedBytes, 30);
	await room.claim(other, () => 0, 'upload');
	t.is(room.reservedBytes, 0);
	t.is(asked, 3);
});

test('uploads make room and are taken in beyond the limits, as long as the disk has the bytes', async t => {
	const disk = {free: 100_000};
	const rig = await startKeeping(t, {keep: {maxBytes: 3500, ...atTheLimit}, freeBytes: async () => disk.free});
	const all = images(3);
	const [first, second] = all as [TestImage, TestImage];
	await fill(rig, all);
	rig.know(second, {pinned: true});
	const ours = makeImage({size: 8000});
	await stored(rig.store, ours.bytes, `image ${ours.uuid}`);
	t.deepEqual(rig.here(all), [1]);
	t.true(rig.has(ours));
	t.is(rig.store.keeper.usedBytes, 9000);
	await rig.quiet();
	t.true(rig.has(ours));
	t.is(emitted(rig, 'disk.low').length, 1);
	t.is(await rig.fetch(first), undefined);
	// What has just been deleted may show as free only later.
	await rig.clock.advance(minute);
	disk.free = 7999;
	await t.throwsAsync(rig.store.upload({size: 8000, maxBytes: 8000}), {...noSpace, message: /8\.0 kB left/});
	t.deepEqual(await readdir(rig.layout.uploads), []);
	const {told, found} = await rig.counts();
	t.deepEqual(told, found);
});

test('what is sent and not finished counts, also after a restart, until it is removed', async t => {
	const root = await tempDir(t);
	const rig = await startKeeping(t, {root, keep: {maxBytes: 3000, ...atTheLimit}});
	const [a, b] = images(2) as [TestImage, TestImage];
	const upload = await rig.store.upload({id: 'kept', size: 2500, maxBytes: 5000});
	await rig.store.writeRecord(rig.layout.uploadInfo('kept'), '{}');
	await upload.append([Buffer.alloc(1500)]);
	t.is(rig.store.keeper.usedBytes, 1500);
	t.is(rig.store.reservedBytes, 1000);
	t.is(await rig.fetch(a), undefined);
	await upload.close();
	t.is(rig.store.reservedBytes, 0);
	await rig.fetch(a);
	t.is(rig.store.keeper.usedBytes, 2500);
	await rig.close();

	const after = await startKeeping(t, {root, keep: {maxBytes: 3000, ...atTheLimit}, facts: rig.facts});
	t.is(after.store.keeper.usedBytes, 2500);
	after.know(a, {pinned: true});
	t.is(await after.fetch(b), undefined);
	await after.store.removeRecord(after.layout.upload('kept'));
	t.is(after.store.keeper.usedBytes, 1000);
	t.truthy(await after.fetch(b));
	const {told, found} = await after.counts();
	t.deepEqual(told, found);
});

test('files that nobody has used for long go with the sweep, by the clock', async t => {
	const day = 86_400_000;
	const root = await tempDir(t);
	const rig = await startKeeping(t, {root, keep: {maxUnusedMs: 10 * day}});
	const [old, used, pinned, base] = images(4) as [TestImage, TestImage, TestImage, TestImage];
	const child = makeImage({size: 1000, origin: base});
	await fill(rig, [old, used, pinned, base, child]);
	rig.know(pinned, {pinned: true});
	const all = [old, used, pinned, base, child];
	await rig.clock.advance(9 * day);
	t.true(await rig.use(used));
	t.true(await rig.use(child));
	await rig.store.keeper.sweep();
	t.deepEqual(rig.here(all), [0, 1, 2, 3, 4]);
	await rig.clock.advance(day);
	// Killed: nothing was closed.
	const after = await startKeeping(t, {root, keep: {maxUnusedMs: 10 * day}, facts: rig.facts, nowMs: rig.clock.now()});
	await after.store.keeper.sweep();
	t.deepEqual(after.here(all), [1, 2, 3, 4]);
	t.is(after.store.lastUsedMs(sha1Of(old)), undefined);
	await after.clock.advance(9 * day + 1);
	await after.store.keeper.sweep();
	t.deepEqual(after.here(all), [2]);
	t.is(await after.host.metric('imgmirror_evictions_total', {reason: 'age'}), 4);
	after.store.keeper.setLimits({maxBytes: Infinity, minFreeBytes: 0, maxUnusedMs: Infinity, highMark: 1, lowMark: 1});
	await after.clock.advance(1000 * day);
	await after.store.keeper.sweep();
	t.deepEqual(after.here(all), [2]);
});

test('limits that are changed are seen to without anybody asking', async t => {
	const rig = await startKeeping(t);
	const all = images(4);
	await fill(rig, all);
	rig.store.keeper.setLimits({maxBytes: 2500, minFreeBytes: 0, maxUnusedMs: Infinity, ...atTheLimit});
	await rig.quiet();
	t.deepEqual(rig.here(all), [2, 3]);
});

test('partials that nobody has gone on with go first when they are old, and last when they are not', async t => {
	const rig = await startKeeping(t, {keep: {maxBytes: 3500, ...atTheLimit}});
	const [a, b, c, d, half, fresh] = images(6) as [TestImage, TestImage, TestImage, TestImage, TestImage, TestImage];
	await (await rig.begin(half, 900)).close();
	await rig.clock.advance(61 * minute);
	await fill(rig, [a, b]);
	await fill(rig, [c]);
	t.deepEqual(rig.here([a, b, c]), [0, 1, 2]);
	t.is(rig.store.partialCount, 0);
	await (await rig.begin(fresh, 400)).close();
	t.deepEqual(rig.here([a, b, c]), [1, 2]);
	rig.know(b, {pinned: true});
	rig.know(c, {pinned: true});
	await rig.fetch(d);
	t.deepEqual(rig.here([b, c, d]), [0, 1, 2], 'no whole file could go');
	t.is(rig.store.partialCount, 1, 'there was room beside it');
	rig.know(d, {pinned: true});
	t.is(await rig.fetch(a), undefined);
	t.is(rig.store.partialCount, 1, 'it would have gone in vain');
	const {told, found} = await rig.counts();
	t.deepEqual(told, found);
});

test('low room is told once, and once when it is over', async t => {
	const rig = await startKeeping(t, {keep: {maxBytes: 2500, ...atTheLimit}});
	const all = images(3);
	const [a, b, c] = all as [TestImage, TestImage, TestImage];
	await fill(rig, [a, b]);
	await rig.store.keeper.sweep();
	t.is(rig.store.keeper.low, undefined);
	rig.know(a, {pinned: true});
	rig.know(b, {pinned: true});
	rig.know(c);
	await rig.fetch(c);
	await rig.fetch(c);
	await rig.store.keeper.sweep();
	t.regex(rig.store.keeper.low ?? '', /2\.0 kB pinned/);
	t.is(emitted(rig, 'disk.low').length, 1);
	t.is(await rig.host.metric('imgmirror_disk_low'), 1);
	t.is(rig.host.linesLike({level: 40}).length, 1);
	rig.know(a, {pinned: false});
	await rig.store.keeper.sweep();
	t.is(emitted(rig, 'disk.ok').length, 0, 'a file could not be kept a moment ago');
	await rig.clock.advance(10 * minute);
	await rig.store.keeper.sweep();
	t.is(emitted(rig, 'disk.ok').length, 1);
	t.is(await rig.host.metric('imgmirror_disk_low'), 0);
	t.truthy(await rig.fetch(c));
	// What could never be kept says nothing about the disk.
	t.is(await rig.fetch(makeImage({size: 2600})), undefined);
	t.is(rig.store.keeper.low, undefined);
});

test('a floor that others break makes all go that may, and is told', async t => {
	const disk = {free: 50_000};
	const rig = await startKeeping(t, {keep: {minFreeBytes: 10_000, ...atTheLimit}, freeBytes: async () => disk.free});
	const all = images(3);
	await fill(rig, all);
	for (const image of all.slice(0, 1)) {
		rig.know(image, {pinned: true});
	}
	disk.free = 5000;
	await rig.store.keeper.sweep();
	t.deepEqual(rig.here(all), [0]);
	await rig.clock.advance(minute);
	await rig.store.keeper.sweep();
	t.regex(emitted(rig, 'disk.low')[0]?.problem ?? '', /10 kB of which must stay free/);
	t.is(emitted(rig, 'disk.low').length, 1);
	disk.free = 20_000;
	await rig.store.keeper.sweep();
	t.is(emitted(rig, 'disk.ok').length, 1);
});

test('a disk that others have filled is low from the first look, though nothing here could go', async t => {
	const disk = {free: 500};
	const rig = await startKeeping(t, {keep: {minFreeBytes: 1000, ...atTheLimit}, freeBytes: async () => disk.free});
	await rig.store.keeper.look();
	t.is(
		rig.store.keeper.low?.replace(/;.*/, ''),
		'the disk has 500 B left, 1.0 kB of which must stay free, 0 B are needed for what is on its way',
	);
	t.is(await rig.host.metric('imgmirror_disk_low'), 1);
	disk.free = 1000;
	await rig.store.keeper.look();
	t.deepEqual([rig.store.keeper.low, await rig.host.metric('imgmirror_disk_low')], [undefined, 0]);
});

test('a disk that tells of freed room only later makes nothing more go', async t => {
	let freed = 0;
	let seen = 0;
	const rig: KeepingRig = await startKeeping(t, {
		keep: {minFreeBytes: 4000, ...atTheLimit},
		// What is deleted shows as free only when `seen` says so.
		freeBytes: async () => 10_000 - rig.store.keeper.usedBytes - freed + seen,
	});
	rig.host.events.listen(({type, bytes = 0}) => {
		freed += type === 'image.evicted' ? bytes : 0;
	});
	const all = images(8);
	await fill(rig, all.slice(0, 6));
	for (const image of all.slice(6, 7)) {
		rig.know(image);
		await rig.fetch(image);
	}
	t.deepEqual(rig.here(all), [1, 2, 3, 4, 5, 6]);
	await rig.quiet();
	t.is(rig.store.count, 6);
	seen = freed;
	await rig.clock.advance(minute);
	await rig.quiet();
	t.is(rig.store.count, 6);
});

test('an operator deletes what may go, and is told why the rest may not', async t => {
	const rig = await startKeeping(t, {graceMs: minute});
	const [base, read, pinned] = images(3) as [TestImage, TestImage, TestImage];
	const child = makeImage({size: 1000, origin: base, public: true});
	await fill(rig, [base, child, read, pinned]);
	await rig.store.keepManifest({manifest: parseManifest(child.text), source: 'a', sha1: sha1Of(child), index: 0});
	rig.know(pinned, {pinned: true});
	const reading = await rig.store.open(sha1Of(read));
	await rig.use(child);
	const {keeper} = rig.store;
	const asked = [base, read, pinned, makeImage({size: 10})].map(sha1Of);
	const refused = await keeper.evict(asked, {force: false, by: 'ada'});
	t.deepEqual(
		refused.map(({sha1, bytes}) => [sha1, bytes]),
		asked.map(sha1 => [sha1, 0]),
	);
	t.deepEqual(
		refused.map(({problem = ''}) => /built upon|in use|pinned|not here/.exec(problem)?.[0]),
		['built upon', 'in use', 'pinned', 'not here'],
	);
	// What was read a moment ago goes: whoever says so knows.
	const gone = await keeper.evict([base, child].map(sha1Of), {force: false, by: 'ada'});
	t.deepEqual(
		gone,
		[base, child].map(image => ({sha1: sha1Of(image), bytes: 1000})),
	);
	t.deepEqual(
		emitted(rig, 'image.evicted').map(({image, by}) => [image?.uuid, image?.public, by]),
		[
			[child.uuid, true, 'ada'],
			[base.uuid, false, 'ada'],
		],
	);
	t.is(await rig.host.metric('imgmirror_evictions_total', {reason: 'operator'}), 2);
	await reading?.close();
	t.deepEqual(await keeper.evict([sha1Of(read)], {force: false}), [{sha1: sha1Of(read), bytes: 1000}]);
	const {told, found} = await rig.counts();
	t.deepEqual(told, found);
});

test('what is pinned while others are being deleted stays', async t => {
	const rig = await startKeeping(t, {keep: {maxBytes: 10_000}});
	const all = images(8);
	await fill(rig, all);
	// Told by the event of the first that goes.
	rig.host.events.listen(({type}) => {
		if (type === 'image.evicted') {
			for (const image of all.slice(2, 4)) {
				rig.know(image, {pinned: true});
			}
			rig.store.keeper.changed();
		}
	});
	rig.store.keeper.setLimits({maxBytes: 4000, minFreeBytes: 0, maxUnusedMs: Infinity, ...atTheLimit});
	await rig.quiet();
	t.deepEqual(rig.here(all), [2, 3, 6, 7]);
});

test('what somebody begins to read while others are being deleted stays, with what it is built upon', async t => {
	const rig = await startKeeping(t, {keep: {maxBytes: 10_000}});
	const [first, base] = images(2) as [TestImage, TestImage];
	const child = makeImage({size: 1000, origin: base});
	await fill(rig, [first, base, child]);
	let reading: ReturnType<typeof rig.store.open> | undefined;
	rig.host.events.listen(({type}) => {
		if (type === 'image.evicted') {
			reading ??= rig.store.open(sha1Of(child));
		}
	});
	rig.store.keeper.setLimits({maxBytes: 500, minFreeBytes: 0, maxUnusedMs: Infinity, ...atTheLimit});
	await rig.quiet();
	t.deepEqual(rig.here([first, base, child]), [1, 2]);
	await (await reading)?.close();
	await rig.quiet();
	t.deepEqual(rig.here([first, base, child]), []);
});

test('a claim does not wait until a long sweep has ended', async t => {
	const rig = await startKeeping(t);
	const all = images(30);
	await fill(rig, all);
	const coming = makeImage({size: 100});
	let beginning: Promise<unknown> | undefined;
	let leftWhenGranted = 0;
	rig.host.events.listen(({type}) => {
		if (type === 'image.evicted') {
			beginning ??= rig.begin(coming, 0).then(partial => {
				leftWhenGranted = rig.store.count;
				return partial.close();
			});
		}
	});
	// Three of them, with or without what is claimed meanwhile.
	rig.store.keeper.setLimits({maxBytes: 32_000, minFreeBytes: 0, maxUnusedMs: Infinity, highMark: 0.5, lowMark: 0.1});
	await rig.quiet();
	await beginning;
	t.is(rig.store.count, 3);
	t.true(leftWhenGranted > 20, String(leftWhenGranted));
});

test('files without their info are counted, and go like others', async t => {
	const root = await tempDir(t);
	const before = await startKeeping(t, {root});
	const [a, b, c] = images(3) as [TestImage, TestImage, TestImage];
	await fill(before, [a, b]);
	await before.close();
	await rm(before.layout.info(sha1Of(a)));
	await utimes(before.layout.blob(sha1Of(a)), new Date(0), new Date(0));

	const rig = await startKeeping(t, {root, keep: {maxBytes: 2500, ...atTheLimit}, facts: before.facts});
	t.is(rig.store.count, 1);
	t.is(rig.store.keeper.usedBytes, 2000);
	t.deepEqual(
		rig.store.keeper.verdicts().map(({sha1}) => sha1),
		[a, b].map(sha1Of),
	);
	// One that is found while it runs.
	await truncate(rig.layout.blob(sha1Of(b)), 600);
	t.false(await rig.use(b));
	t.is(rig.store.keeper.usedBytes, 1600);
	await fill(rig, [c]);
	t.deepEqual(rig.here([a, b, c]), [2]);
	t.is(rig.store.keeper.usedBytes, 1600);
	const {told, found} = await rig.counts();
	t.deepEqual(told, found);
	// Taken back and gone on with: it is a partial, then a blob.
	const partial = await rig.begin(b, 0);
	t.is(rig.store.partialBytes, 600);
	await partial.close();
	t.deepEqual((await rig.counts()).told, (await rig.counts()).found);
});

test('a blob that was found to be wrong is moved aside whoever has pinned it, and can come again', async t => {
	const rig = await startKeeping(t);
	const [a] = images(1) as [TestImage];
	const info = await rig.fetch(a);
	if (info === undefined) {
		throw new Error('it could not be kept');
	}
	rig.store.pin(info.sha1, `image ${a.uuid}`);
	const note = {expected: {}, got: {}, suppliers: []};
	t.true(await rig.store.quarantineBlob(info, note));
	t.is(rig.store.count, 0);
	t.is((await rig.store.quarantined.list()).length, 1);
	t.false(await rig.store.quarantineBlob(info, note));
	await rig.clock.advance(1000);
	await rig.fetch(a);
	t.false(await rig.store.quarantineBlob(info, note), 'another one by now');
	t.true(rig.has(a));
	const {told, found} = await rig.counts();
	t.deepEqual(told, found);
});

test('partials are counted as they lie there, and removed unless somebody has them open', async t => {
	const root = await tempDir(t);
	const rig = await startKeeping(t, {root});
	const [a, b] = images(2) as [TestImage, TestImage];
	const partial = await rig.begin(a, 400);
	await (await rig.begin(b, 300)).close();
	t.true(rig.store.hasPartial(sha1Of(a)));
	t.deepEqual(
		(await rig.store.partialsOnDisk()).map(({key, size, open: isOpen}) => ({key, size, isOpen})),
		[
			{key: a.sha1, size: 400, isOpen: true},
			{key: b.sha1, size: 300, isOpen: false},
		],
	);
	t.false(await rig.store.removePartial(a.sha1));
	t.false(await rig.store.removePartial('nowhere'));
	// As it is killed.
	const after = await startKeeping(t, {root});
	t.is(after.store.partialCount, 2);
	t.is(after.store.partialBytes, 700);
	await writeFile(after.layout.partial('foreign'), 'abc');
	await rm(after.layout.partial(b.sha1));
	t.is((await after.store.partialsOnDisk()).length, 2);
	t.deepEqual((await after.counts()).told, (await after.counts()).found);
	t.true(await after.store.removePartial(a.sha1));
	t.true(await after.store.removePartial('foreign'));
	t.is(after.store.partialCount, 0);
	t.deepEqual(await readdir(after.layout.partials), []);
	await partial.close();
});

test('who removes a partial and who goes on with it do not meet in the middle', async t => {
	const rig = await startKeeping(t);
	const [a] = images(1) as [TestImage];
	for (let round = 0; round < 30; round++) {
		await (await rig.begin(a, 500)).close();
		const [, info] = await Promise.all([rig.store.removePartial(a.sha1), rig.fetch(a)]);
		t.is(info?.size, 1000);
		t.true(await rig.store.delete(sha1Of(a)));
	}
	t.deepEqual((await rig.counts()).told, (await rig.counts()).found);
});

test('a manifest that tells less or more than the file has leaves the counters right', async t => {
	const rig = await startStore(t);
	for (const claimedSize of [400, 1600]) {
		const image = makeImage({size: 1000, claimedSize, withMd5: true});
		const source = new FakeSupplier(
			'a',
			image.bytes,
			Array.from({length: 20}, () => ({size: undefined})),
		);
		await t.throwsAsync(rig.fetch(image, [source]));
		await rig.idle();
	}
	// What its last reader has left is deleted after that.
	while (rig.store.partialCount !== (await readdir(rig.layout.partials)).length) {
		await new Promise(resolve => setImmediate(resolve));
	}
	t.is(rig.store.reservedBytes, 0);
	t.is(
		rig.store.partialBytes,
		(await rig.store.partialsOnDisk()).reduce((sum, {size}) => sum + size, 0),
	);
});

test('a client is served past a store that has no room, and nothing is left behind', async t => {
	const rig = await startStore(t);
	rig.store.keeper.setFacts(() => ({images: []}));
	rig.store.keeper.setLimits({maxBytes: 500, minFreeBytes: 0, maxUnusedMs: Infinity, ...atTheLimit});
	const image = makeImage({size: 1000});
	sameBytes(t, await rig.fetch(image, [new FakeSupplier('a', image.bytes)]), image.bytes);
	const {follower} = rig.flights.join({
		...{wanted: wantedOf(image), suppliers: () => [new FakeSupplier('a', image.bytes)]},
		...{start: 0, end: image.size, onStored: async () => undefined},
	});
	await follower.begin(new AbortController().signal);
	t.true(follower.passing);
	sameBytes(t, await readAll(follower), image.bytes);
	follower.close();
	await rig.idle();
	t.is(rig.store.keeper.usedBytes, 0);
	t.true(rig.host.linesLike(/files may take 500 B/).length > 0);
});

test('a file that cannot be deleted stays and is counted', async t => {
	const rig = await startKeeping(t);
	const [a, b] = images(2) as [TestImage, TestImage];
	await fill(rig, [a, b]);
	// A folder is not deleted as a file is.
	await rm(rig.layout.blob(sha1Of(a)));
	await mkdir(rig.layout.blob(sha1Of(a)));
	const [outcome] = await rig.store.keeper.evict([sha1Of(a)], {force: false});
	t.regex(outcome?.problem ?? '', /could not be deleted/);
	t.true(rig.has(a));
	t.is(rig.store.bytes, 2000);
	t.true(rig.has(b));
});

test('what is pinned while an operator’s word is being carried out stays', async t => {
	const both = images(2);
	const rig = await startKeeping(t);
	for (const image of both) {
		await rig.fetch(image);
		rig.know(image);
	}
	rig.host.events.listen(({type, sha1}) => {
		const other = both.find(image => image.sha1 !== sha1);
		if (type === 'image.evicted' && other !== undefined) {
			rig.know(other, {pinned: true});
			rig.store.keeper.changed();
		}
	});
	const outcomes = await rig.store.keeper.evict(both.map(sha1Of), {force: true});
	t.deepEqual(outcomes.map(({bytes}) => bytes).toSorted(), [0, 1000]);
	t.regex(outcomes.find(({problem}) => problem !== undefined)?.problem ?? '', /it is pinned/);
	t.is(rig.here(both).length, 1);
});

test('the beginning of a file that somebody left a moment ago gives way where nothing else can', async t => {
	const rig = await startKeeping(t, {keep: {maxBytes: 1000}});
	const left = makeImage({size: 900});
	const partial = await rig.begin(left, 600);
	await partial.close();
	const wanted = makeImage({size: 800});
	t.truthy(await rig.fetch(wanted));
	t.false(rig.store.hasPartial(left.sha1));
	const {told, found} = await rig.counts();
	t.deepEqual(told, found);
});

test('who began a file anew is not hurt by the end of whoever had it before', async t => {
	const rig = await startKeeping(t);
	const image = makeImage({size: 1000});
	const before = await rig.begin(image, 0);
	const after = await rig.begin(image, 500);
	await rig.store.discard(before);
	t.true(rig.store.hasPartial(image.sha1));
	await before.close();
	await after.close();
	const {told, found} = await rig.counts();
	t.deepEqual(told, found);
	t.like(found, {partials: 1, partialBytes: 500});
});
