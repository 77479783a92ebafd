import {createHash} from 'node:crypto';
import {setImmediate as turn} from 'node:timers/promises';
import fc from 'fast-check';
import test from 'ava';
import {IntegrityError, MirrorError} from '../../src/errors.js';
import type {PartialBlob} from '../../src/blobs/partial.js';
import type {OnDisk} from '../../src/blobs/passage-options.js';
import {Passages} from '../../src/blobs/passages.js';
import {PassThroughReader} from '../../src/blobs/pass-through.js';
import type {Supplier, SupplyAt} from '../../src/blobs/supply.js';
import {Window} from '../../src/blobs/window.js';
import type {Clock} from '../../src/host.js';
import type {Uuid} from '../../src/image/manifest.js';
import {FakeSupplier, refused} from '../helpers/fake-supplier.js';
import {hurriedClock} from '../helpers/hurried-clock.js';
import {makeImage, type TestImage} from '../helpers/make-image.js';
import {ManualClock} from '../helpers/manual-clock.js';
import {sameBytes} from '../helpers/same-bytes.js';
import {testHost, type TestHost} from '../helpers/test-host.js';
import {readAll, startStore, wantedOf} from './start-store.js';

interface Rig {
	readonly host: TestHost<Clock>;
	readonly passages: Passages;
	reader(suppliers: readonly Supplier[], start?: number, end?: number, onDisk?: OnDisk): PassThroughReader;
}

/** All that is wanted is one image, of which nothing is on the disk unless given. */
function rigFor(
	image: TestImage,
	{clock = hurriedClock, keptBytes = 1e9, retries = 0}: {clock?: Clock; keptBytes?: number; retries?: number} = {},
): Rig {
	const host = testHost({clock});
	const passages = new Passages({keptBytes});
	return {
		host,
		passages,
		reader: (suppliers, start = 0, end = image.size, onDisk?) =>
			new PassThroughReader({
				...{wanted: wantedOf(image), host, passages, suppliers: () => suppliers, retries},
				...{start, end, onDisk},
			}),
	};
}

/** Reads until so much has come, and no further. */
async function take(reader: PassThroughReader, bytes: number, atOnce = 10_000): Promise<Buffer> {
	const parts: Buffer[] = [];
	for (let left = bytes; left > 0;) {
		const into = Buffer.alloc(Math.min(left, atOnce));
		const got = await reader.read(into);
		if (got === 0) {
			break;
		}
		parts.push(into.subarray(0, got));
		left -= got;
	}
	return Buffer.concat(parts);
}

test('a file that the disk does not take is asked for once, however many ask at once', async t => {
	const store = await startStore(t);
	const image = makeImage({size: 400_000});
	const a = new FakeSupplier('a', image.bytes);
	store.store.freeBytes = async () => 10;
	const all = await Promise.all(
		Array.from({length: 20}, (_, n) => store.fetch(image, [a], n % 4 === 3 ? {start: n * 10_000} : {})),
	);
	for (const [n, bytes] of all.entries()) {
		sameBytes(t, bytes, image.bytes.subarray(n % 4 === 3 ? n * 10_000 : 0));
	}
	t.deepEqual(a.opened, [0]);
});

test('who comes later gets from memory what has gone by, and no second request is made', async t => {
	const image = makeImage({size: 400_000});
	const rig = rigFor(image);
	const a = new FakeSupplier('a', image.bytes, [{holdAt: 200_000}]);
	const first = rig.reader([a]);
	const begun = await take(first, 150_000);
	const others = [rig.reader([a]), rig.reader([a], 100_000), rig.reader([a], 399_999), rig.reader([a], 5, 9)];
	t.deepEqual(await take(others[3] ?? first, 9), image.bytes.subarray(5, 9));
	a.release();
	const [rest, ...all] = await Promise.all([first, ...others.slice(0, 3)].map(async reader => readAll(reader)));
	sameBytes(t, Buffer.concat([begun, rest ?? begun]), image.bytes);
	for (const [n, start] of [0, 100_000, 399_999].entries()) {
		sameBytes(t, all[n] ?? begun, image.bytes.subarray(start));
	}
	t.deepEqual(a.opened, [0]);
	t.is(rig.passages.count, 0);
});

test('what has gone by for too long is fetched again; those who need it share that, too', async t => {
	const image = makeImage({size: 4_000_000});
	const rig = rigFor(image, {keptBytes: 500_000});
	const a = new FakeSupplier('a', image.bytes);
	const first = rig.reader([a]);
	const begun = await take(first, 3_500_000);
	const [rest, ...late] = await Promise.all([
		readAll(first),
		...[0, 0, 0].map(start => readAll(rig.reader([a], start))),
	]);
	sameBytes(t, Buffer.concat([begun, rest]), image.bytes);
	for (const bytes of late) {
		sameBytes(t, bytes, image.bytes);
	}
	t.deepEqual(a.opened, [0, 0]);
	t.is(rig.passages.count, 0);
});

test('what was on the disk is not taken for what has come since, while it is hashed either', async t => {
	const image = makeImage({size: 400_000});
	const rig = rigFor(image);
	const a = new FakeSupplier('a', image.bytes, [{holdAt: 300_000}]);
	const written: number[] = [];
	const read = async (into: Buffer, length: number, position: number): Promise<number> => {
		written.push(...rig.passages.status().map(status => status.written - status.resumedFrom));
		return image.bytes.copy(into, 0, position, position + length);
	};
	const onDisk = {partial: {read} as unknown as PartialBlob, bytes: 290_000};
	const reader = rig.reader([a], 350_000, image.size, onDisk);
	const reading = readAll(reader);
	await a.reached(300_000);
	t.deepEqual(written, [0, 0]);
	a.release();
	sameBytes(t, await reading, image.bytes.subarray(350_000));
});

test('a part further on is not waited for, unless all that comes before it is needed as well', async t => {
	const image = makeImage({size: 400_000});
	const rig = rigFor(image);
	const a = new FakeSupplier('a', image.bytes, [{holdAt: 50_000}]);
	const first = rig.reader([a]);
	const begun = await take(first, 20_000);
	const part = rig.reader([a], 200_000, 210_000);
	sameBytes(t, await readAll(part), image.bytes.subarray(200_000, 210_000));
	t.deepEqual(a.opened, [0, 200_000]);
	const tail = readAll(rig.reader([a], 390_000));
	a.release();
	sameBytes(t, await tail, image.bytes.subarray(390_000));
	sameBytes(t, Buffer.concat([begun, await readAll(first)]), image.bytes);
	t.deepEqual(a.opened, [0, 200_000]);
});

test('a client that keeps others waiting for a second goes on by itself from where it is', async t => {
	const clock = new ManualClock();
	const image = makeImage({size: 8_000_000});
	const rig = rigFor(image, {clock, keptBytes: 1_000_000});
	const a = new FakeSupplier('a', image.bytes);
	const [fast, slow] = [rig.reader([a]), rig.reader([a])];
	const begun = await take(slow, 40_000);
	let done = false;
	const reading = readAll(fast).finally(() => {
		done = true;
	});
	await clock.timerDueIn(1000, 1000);
	await clock.advance(999);
	t.false(done);
	await clock.advance(1);
	sameBytes(t, await reading, image.bytes);
	t.deepEqual(a.opened, [0]);
	const rest = await readAll(slow);
	sameBytes(t, Buffer.concat([begun, rest]), image.bytes);
	// What it still had in memory is not fetched again.
	t.is(a.opened.length, 2);
	t.true((a.opened[1] ?? 0) > 40_000, String(a.opened));
	t.is(rig.passages.count, 0);
	t.is(clock.pending, 0);
});

test('a client that keeps up is never left behind, however often it is the last', async t => {
	const clock = new ManualClock();
	const image = makeImage({size: 32_000_000});
	const rig = rigFor(image, {clock, keptBytes: 6_000_000});
	const a = new FakeSupplier('a', image.bytes);
	const [one, other] = [rig.reader([a]), rig.reader([a])];
	const parts: Buffer[][] = [[await take(one, 1)], [await take(other, 1)]];
	for (let round = 0; round < 4; round++) {
		const [ahead, behind] = round % 2 === 0 ? [one, other] : [other, one];
		const reading = take(ahead, 8_000_000, 1_000_000);
		await clock.timerDueIn(1000, 1000);
		// Nearly as long as it may.
		await clock.advance(900);
		parts[1 - (round % 2)]?.push(await take(behind, 8_000_000, 1_000_000));
		parts[round % 2]?.push(await reading);
	}
	for (const got of parts) {
		sameBytes(t, Buffer.concat(got), image.bytes);
	}
	t.deepEqual(a.opened, [0]);
	one.close();
	other.close();
	t.is(clock.pending, 0);
});

test('a client that goes on by itself is cut off all the same where the file is wrong', async t => {
	const image = makeImage({size: 8_000_000});
	const rig = rigFor(image, {keptBytes: 200_000});
	const wrong = Buffer.from(image.bytes).fill(0, 100, 200);
	const a = new FakeSupplier('a', wrong);
	const b = new FakeSupplier('b', image.bytes);
	const [fast, slow] = [rig.reader([a]), rig.reader([b])];
	await take(fast, 1);
	const begun = await take(slow, 10_000);
	sameBytes(t, begun, wrong.subarray(0, 10_000));
	await t.throwsAsync(readAll(fast), {instanceOf: IntegrityError});
	t.is(await rig.host.metric('imgmirror_verification_failures_total', {source: 'a'}), 1);
	// Everything that it gets from now on is right, and what it has had is not.
	let got = begun.length;
	const into = Buffer.alloc(30_000);
	await t.throwsAsync(
		async () => {
			for (let bytes = await slow.read(into); bytes > 0; bytes = await slow.read(into)) {
				got += bytes;
			}
		},
		{instanceOf: IntegrityError},
	);
	t.true(got < image.size);
	t.deepEqual(b.marks, []);
	slow.close();
	fast.close();
	t.is(rig.passages.count, 0);
});

test('a wrong file is cut short for everybody, and counted once', async t => {
	const image = makeImage({size: 400_000});
	const rig = rigFor(image);
	const liar = new FakeSupplier('liar', Buffer.from(image.bytes).fill(0, 5, 50));
	const readers = [0, 0, 399_000, 250_000].map(start => rig.reader([liar], start));
	const outcomes = await Promise.allSettled(readers.map(async reader => readAll(reader)));
	t.true(outcomes.every(({status}) => status === 'rejected'));
	t.is(await rig.host.metric('imgmirror_verification_failures_total', {source: 'liar'}), 1);
	t.deepEqual(liar.opened, [0]);
	// The next client is not stuck to what has failed.
	const honest = new FakeSupplier('honest', image.bytes);
	sameBytes(t, await readAll(rig.reader([honest])), image.bytes);
});

test('no supplier: all who wait are told, and whoever comes then is looked after anew', async t => {
	const image = makeImage({size: 400_000});
	const rig = rigFor(image);
	const a = new FakeSupplier('a', image.bytes, [refused('a')]);
	const [one, other] = [rig.reader([a]), rig.reader([a])];
	await Promise.all([one, other].map(reader => t.throwsAsync(readAll(reader), {message: /refused/})));
	t.deepEqual(a.opened, [0]);
	sameBytes(t, await readAll(rig.reader([a])), image.bytes);
	one.close();
	other.close();
	t.is(rig.passages.count, 0);
});

test('clients that leave take nothing from the others; with the last one the request ends', async t => {
	const image = makeImage({size: 400_000});
	const rig = rigFor(image);
	const signals: AbortSignal[] = [];
	const a = new FakeSupplier('a', image.bytes, [{holdAt: 100_000}, {holdAt: 100_000}]);
	const watched = {
		...{name: 'a', doubtful: false, mark: () => undefined},
		open: (at: SupplyAt, signal: AbortSignal) => {
			signals.push(signal);
			return a.open(at);
		},
	};
	const [one, two, three] = [rig.reader([watched]), rig.reader([watched]), rig.reader([watched])];
	const [all, cut] = [readAll(one), readAll(two)];
	await a.reached(100_000);
	two.close();
	// At once: it waits for nothing that others wait for.
	await t.throwsAsync(cut, {message: /gone/});
	t.false(signals[0]?.aborted);
	a.release();
	sameBytes(t, await all, image.bytes);
	await t.throwsAsync(two.read(Buffer.alloc(1)), {message: /gone/});
	await take(three, 100);
	three.close();
	await t.throwsAsync(three.read(Buffer.alloc(1)), {instanceOf: MirrorError, message: /gone/});
	t.true(signals.every(({aborted}) => aborted));
	t.is(rig.passages.count, 0);
});

test('one that leaves while others wait for it keeps nobody waiting any longer', async t => {
	const clock = new ManualClock();
	const image = makeImage({size: 8_000_000});
	const rig = rigFor(image, {clock, keptBytes: 500_000});
	const a = new FakeSupplier('a', image.bytes);
	const [fast, slow] = [rig.reader([a]), rig.reader([a])];
	await take(slow, 10);
	const reading = readAll(fast);
	await clock.timerDueIn(1000, 1000);
	slow.close();
	sameBytes(t, await reading, image.bytes);
	t.deepEqual([a.opened, clock.pending], [[0], 0]);
});

test('all leave while one is waited for: nothing is fetched any more', async t => {
	const clock = new ManualClock();
	const image = makeImage({size: 8_000_000});
	const rig = rigFor(image, {clock, keptBytes: 500_000});
	const a = new FakeSupplier('a', image.bytes);
	const [fast, slow] = [rig.reader([a]), rig.reader([a])];
	await take(slow, 10);
	const reading = t.throwsAsync(readAll(fast), {message: /gone/});
	await clock.timerDueIn(1000, 1000);
	fast.close();
	await reading;
	// Nobody waits for the one that is left any more.
	await clock.advance(1000);
	t.is(rig.passages.count, 1);
	slow.close();
	t.deepEqual([rig.passages.count, clock.pending, a.opened], [0, 0, [0]]);
});

test('several that are slow go on together, wherever they are, and are waited for once', async t => {
	const clock = new ManualClock();
	const image = makeImage({size: 12_000_000});
	const rig = rigFor(image, {clock, keptBytes: 4_000_000});
	const a = new FakeSupplier('a', image.bytes);
	const fast = rig.reader([a]);
	const begun = await take(fast, 1);
	const slow = Array.from({length: 10}, () => rig.reader([a]));
	const parts = await Promise.all(slow.map(async (reader, n) => [await take(reader, 1000 + 190_000 * n)]));
	const reading = readAll(fast);
	await clock.timerDueIn(1000, 1000);
	await clock.advance(1000);
	sameBytes(t, Buffer.concat([begun, await reading]), image.bytes);
	t.deepEqual(a.opened, [0]);
	t.is(rig.passages.count, 1);
	await Promise.all(
		slow.map(async (reader, n) => {
			parts[n]?.push(await readAll(reader));
		}),
	);
	for (const part of parts) {
		sameBytes(t, Buffer.concat(part), image.bytes);
	}
	t.is(a.opened.length, 2);
	t.deepEqual([rig.passages.count, clock.pending], [0, 0]);
});

test('a client that is known to take nothing keeps nobody waiting', async t => {
	const clock = new ManualClock();
	const image = makeImage({size: 8_000_000});
	const rig = rigFor(image, {clock, keptBytes: 500_000});
	const a = new FakeSupplier('a', image.bytes);
	const [fast, slow] = [rig.reader([a]), rig.reader([a])];
	const begun = await take(fast, 1);
	const had = await take(slow, 10);
	await clock.advance(2000);
	sameBytes(t, Buffer.concat([begun, await readAll(fast)]), image.bytes);
	sameBytes(t, Buffer.concat([had, await readAll(slow)]), image.bytes);
	t.is(a.opened.length, 2);
	t.deepEqual([rig.passages.count, clock.pending], [0, 0]);
});

test('where memory is short, a client that takes nothing keeps none, and goes on from where it is', async t => {
	const clock = new ManualClock();
	const image = makeImage({size: 8_000_000});
	const rig = rigFor(image, {clock, keptBytes: 1_000_000});
	const a = new FakeSupplier('a', image.bytes);
	const [fast, slow] = [rig.reader([a]), rig.reader([a])];
	const begun = await take(fast, 1);
	const had = await take(slow, 10);
	await clock.advance(2000);
	const more = await take(fast, 4_000_000);
	t.deepEqual([a.opened, rig.passages.count], [[0], 2]);
	const others: PassThroughReader[] = [];
	for (let start = 7_800_000; others.length < 8; start -= 10_000) {
		const other = rig.reader([a], start, start + 10);
		others.push(other);
		sameBytes(t, await take(other, 5), image.bytes.subarray(start, start + 5));
	}
	t.is(rig.passages.count, 10);
	others.forEach(other => {
		other.close();
	});
	sameBytes(t, Buffer.concat([begun, more, await readAll(fast)]), image.bytes);
	sameBytes(t, Buffer.concat([had, await readAll(slow)]), image.bytes);
	t.is(a.opened.at(-1), 0);
	t.deepEqual([rig.passages.count, clock.pending], [0, 0]);
});

/** Others want so many other places of the file for a moment that nothing is left for each to keep. */
async function wantMuch(rig: Rig, supplier: Supplier): Promise<void> {
	const others: PassThroughReader[] = [];
	for (let start = 7_800_000; others.length < 50; start -= 10_000) {
		const other = rig.reader([supplier], start, start + 10);
		others.push(other);
		await take(other, 5);
	}
	others.forEach(other => {
		other.close();
	});
}

test('the right bytes of a file that is fetched again are no end for the wrong ones that a client has had', async t => {
	const clock = new ManualClock();
	const image = makeImage({size: 8_000_000});
	const rig = rigFor(image, {clock, keptBytes: 1_000_000});
	const a = new FakeSupplier('a', image.bytes, [{bytes: Buffer.from(image.bytes).fill(7, 5, 7)}]);
	const [fast, slow] = [rig.reader([a]), rig.reader([a])];
	await take(fast, 1);
	t.is((await take(slow, 10)).length, 10);
	await clock.advance(2000);
	await take(fast, 4_000_000);
	await wantMuch(rig, new FakeSupplier('b', image.bytes));
	await t.throwsAsync(readAll(slow), {instanceOf: IntegrityError});
	t.deepEqual(a.opened, [0, 0]);
	fast.close();
	slow.close();
	t.deepEqual([rig.passages.count, clock.pending], [0, 0]);
});

test('that holds however often it is fetched again, and for each client where it is', async t => {
	const image = makeImage({size: 8_000_000});
	for (const wrongAt of [undefined, 50_000]) {
		const clock = new ManualClock();
		const rig = rigFor(image, {clock, keptBytes: 1_000_000});
		const wrong = wrongAt === undefined ? image.bytes : Buffer.from(image.bytes).fill(7, wrongAt, wrongAt + 2);
		const a = new FakeSupplier('a', image.bytes, [{}, {bytes: wrong, holdAt: 150_000}]);
		let giveWay = (): void => undefined;
		const watched = {
			...{name: 'a', doubtful: false, mark: () => undefined},
			open: (at: SupplyAt) => {
				giveWay = () => at.yielding?.giveWay();
				return a.open(at);
			},
		};
		const [fast, behind, ahead] = [rig.reader([watched]), rig.reader([watched]), rig.reader([watched])];
		await take(fast, 1);
		const [begun, further] = [await take(behind, 10), await take(ahead, 200_000)];
		await clock.advance(2000);
		await take(fast, 4_000_000);
		await wantMuch(rig, new FakeSupplier('b', image.bytes));
		const more = await take(behind, 100_000);
		await clock.advance(2000);
		giveWay();
		await wantMuch(rig, new FakeSupplier('b', image.bytes));
		a.release();
		const ends = await Promise.allSettled([readAll(behind), readAll(ahead)]);
		t.deepEqual(a.opened, [0, 0, 0]);
		if (wrongAt === undefined) {
			const [rest, last] = ends.map(end => (end.status === 'fulfilled' ? end.value : Buffer.alloc(0)));
			sameBytes(t, Buffer.concat([begun, more, rest ?? begun]), image.bytes);
			sameBytes(t, Buffer.concat([further, last ?? begun]), image.bytes);
		} else {
			t.deepEqual(
				ends.map(end => end.status === 'rejected' && end.reason instanceof IntegrityError),
				[true, true],
			);
		}
		for (const reader of [fast, behind, ahead]) {
			reader.close();
		}
		t.deepEqual([rig.passages.count, clock.pending], [0, 0]);
	}
});

test('the source is let go of when the last client that takes something has left', async t => {
	const clock = new ManualClock();
	const image = makeImage({size: 400_000});
	const rig = rigFor(image, {clock});
	const a = new FakeSupplier('a', image.bytes, [{holdAt: 100_000}]);
	let asked = 0;
	const watched = {
		...{name: 'a', doubtful: false, mark: () => undefined},
		open: (at: SupplyAt) => {
			if (at.yielding !== undefined) {
				at.yielding.left = () => asked++;
			}
			return a.open(at);
		},
	};
	const [busy, idle] = [rig.reader([watched]), rig.reader([watched])];
	await Promise.all([take(busy, 10), take(idle, 10)]);
	const reading = t.throwsAsync(readAll(busy), {message: /gone/});
	await clock.advance(2000);
	t.is(asked, 0);
	busy.close();
	t.is(asked, 1);
	await reading;
	idle.close();
	a.release();
});

test('where only what the source tells decides, that holds for clients that go on by themselves, too', async t => {
	const bytes = makeImage({size: 8_000_000}).bytes;
	for (const [what, steps] of [
		['Content-MD5', [{contentMd5: 'AAAAAAAAAAAAAAAAAAAAAA=='}, {}]],
		['ETag', [{etag: '"old"'}, {etag: '"new"'}]],
	] as const) {
		const clock = new ManualClock();
		const host = testHost({clock});
		const passages = new Passages({keptBytes: 500_000});
		const a = new FakeSupplier('a', bytes, steps);
		const key = '01b2c898-945f-11e1-a523-af1afbe22822.0';
		const uuid = '01b2c898-945f-11e1-a523-af1afbe22822' as Uuid;
		const wanted = {key, uuid, size: bytes.length, sha1: undefined, md5: undefined};
		const reader = (): PassThroughReader =>
			new PassThroughReader({
				...{wanted, host, passages, suppliers: () => [a], retries: 0},
				...{start: 0, end: bytes.length, onDisk: undefined},
			});
		const [fast, slow] = [reader(), reader()];
		await take(fast, 1);
		await take(slow, 10);
		const reading = readAll(fast).catch((error: unknown) => error);
		await clock.timerDueIn(1000, 1000);
		await clock.advance(1000);
		t.is((await reading) instanceof IntegrityError, what === 'Content-MD5', what);
		await t.throwsAsync(readAll(slow), {instanceOf: IntegrityError}, what);
		t.is(a.opened.length, 2);
		fast.close();
		slow.close();
		t.is(passages.count, 0);
	}
});

test('tiny pieces take no more memory than large ones', t => {
	const window = new Window();
	const hash = createHash('sha1');
	const bytes = makeImage({size: 600_000}).bytes;
	for (let at = 0; at < bytes.length; at += 6) {
		const chunks = [0, 1, 2, 3, 4, 5].map(n => bytes.subarray(at + n, at + n + 1));
		window.push(chunks, at, hash);
		hash.update(bytes.subarray(at, at + 6));
	}
	const into = Buffer.alloc(bytes.length + 10);
	t.is(window.copy(5, bytes.length, into), bytes.length - 5);
	sameBytes(t, into.subarray(0, bytes.length - 5), bytes.subarray(5));
	t.is(window.bytes, bytes.length);
	let pieces = 0;
	let batches = 0;
	for (let {oldest} = window; oldest !== undefined; {oldest} = window) {
		t.is(oldest.before?.copy().digest('hex'), createHash('sha1').update(bytes.subarray(0, oldest.from)).digest('hex'));
		pieces += oldest.chunks.length;
		batches++;
		window.drop();
	}
	t.true(batches === 3 && pieces < 300, `${batches} batches, ${pieces} pieces`);
	t.is(window.bytes, 0);
	t.throws(() => window.copy(0, 10, into), {message: /not here/});
	t.is(window.copy(10, 10, into), 0);
});

test('whatever clients do, each gets the bytes of its range, and nothing is left of the passages', async t => {
	const client = fc.record({
		from: fc.nat(),
		length: fc.nat(),
		into: fc.integer({min: 5000, max: 300_000}),
		waits: fc.array(fc.nat({max: 12}), {maxLength: 6}),
		leavesAfter: fc.option(fc.nat({max: 10})),
	});
	await fc.assert(
		fc.asyncProperty(
			fc.integer({min: 1, max: 2_000_000}),
			fc.array(client, {minLength: 1, maxLength: 8, size: 'max'}),
			fc.integer({min: 1, max: 1_000_000}),
			fc.array(fc.nat({max: 2_000_000}), {maxLength: 3}),
			async (size, clients, keptBytes, cuts) => {
				const image = makeImage({bytes: Buffer.alloc(size, 'abcdefgh, and not only that')});
				const rig = rigFor(image, {keptBytes, retries: 9});
				const steps = cuts.map(cutAt => ({cutAt}));
				const suppliers = [1, 2].map(n => new FakeSupplier(`s${n}`, image.bytes, steps));
				const readers: PassThroughReader[] = [];
				await Promise.all(
					clients.map(async ({from, length, into, waits, leavesAfter}) => {
						const start = from % size;
						const end = start + 1 + (length % (size - start));
						const [first = 0, ...others] = waits;
						await turns(first);
						const reader = rig.reader(suppliers, start, end);
						readers.push(reader);
						const parts: Buffer[] = [];
						for (let n = 0; leavesAfter === null || n < leavesAfter; n++) {
							const buffer = Buffer.alloc(into);
							const bytes = await reader.read(buffer);
							if (bytes === 0) {
								break;
							}
							parts.push(buffer.subarray(0, bytes));
							await turns(others[n % others.length] ?? 0);
						}
						const got = Buffer.concat(parts);
						const wanted = image.bytes.subarray(start, leavesAfter === null ? end : start + got.length);
						if (!got.equals(wanted)) {
							throw new Error(`${start} to ${end}: got ${got.length} other bytes`);
						}
						reader.close();
					}),
				);
				t.is(rig.passages.count, 0);
			},
		),
		{numRuns: 60},
	);
});

async function turns(count: number): Promise<void> {
	for (let n = 0; n < count; n++) {
		await turn();
	}
}
