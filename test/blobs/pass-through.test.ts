import {mkdir, readdir} from 'node:fs/promises';
import {Readable} from 'node:stream';
import fc from 'fast-check';
import test, {type ExecutionContext} from 'ava';
import {IntegrityError, NoSpaceError, SourceUnavailableError} from '../../src/errors.js';
import {Flights} from '../../src/blobs/flights.js';
import type {PartialBlob, Wanted} from '../../src/blobs/partial.js';
import {Passages} from '../../src/blobs/passages.js';
import {PassThroughReader} from '../../src/blobs/pass-through.js';
import type {DiskStore} from '../../src/blobs/store.js';
import type {Supplier, SupplyAt} from '../../src/blobs/supply.js';
import {FakeSupplier} from '../helpers/fake-supplier.js';
import {hurriedClock} from '../helpers/hurried-clock.js';
import {makeImage, type TestImage} from '../helpers/make-image.js';
import {ManualClock} from '../helpers/manual-clock.js';
import {sameBytes} from '../helpers/same-bytes.js';
import {testHost} from '../helpers/test-host.js';
import {readAll, sha1Of, startStore, wantedOf, type StoreRig} from './start-store.js';

/** A store on a disk that is full once `bytes` bytes of a file are on it; all other calls go to the real one. */
function fullAfter(store: DiskStore, bytes: number): DiskStore {
	const partial = async (wanted: Wanted): Promise<PartialBlob> => {
		const real = await store.partial(wanted);
		const write = real.write.bind(real);
		real.write = async chunks => {
			const length = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
			if (real.written + length > bytes) {
				throw new NoSpaceError('writing failed', {cause: Object.assign(new Error('full'), {code: 'ENOSPC'})});
			}
			return write(chunks);
		};
		return real;
	};
	return new Proxy(store, {
		get: (target, name) => {
			if (name === 'partial') {
				return partial;
			}
			const value: unknown = Reflect.get(target, name, target);
			return typeof value === 'function' ? (value.bind(target) as unknown) : value;
		},
	});
}

interface FullRig extends StoreRig {
	get(image: TestImage, suppliers: readonly Supplier[], start?: number, end?: number): Promise<Buffer>;
}

async function startFull(t: ExecutionContext, bytes: number): Promise<FullRig> {
	const rig = await startStore(t);
	const limits = {concurrent: 4, finishAbandonedBytes: Infinity, retries: 2};
	const flights = new Flights({store: fullAfter(rig.store, bytes), host: rig.host, limits});
	t.teardown(() => flights.suspend());
	return {
		...rig,
		async get(image, suppliers, start = 0, end = image.size) {
			const {follower} = flights.join({
				wanted: wantedOf(image),
				suppliers: () => suppliers,
				start,
				end,
				onStored: async () => undefined,
			});
			try {
				await follower.begin(new AbortController().signal);
				return await readAll(follower);
			} finally {
				follower.close();
			}
		},
	};
}

test('when the disk fills up in the middle, readers are carried on from upstream and nothing is kept', async t => {
	const rig = await startFull(t, 150_000);
	const image = makeImage({size: 400_000});
	const a = new FakeSupplier('a', image.bytes);
	const all = await Promise.all([rig.get(image, [a]), rig.get(image, [a], 100_000), rig.get(image, [a], 10, 20)]);

	sameBytes(t, all[0], image.bytes);
	sameBytes(t, all[1], image.bytes.subarray(100_000));
	sameBytes(t, all[2], image.bytes.subarray(10, 20));
	t.is(rig.store.stat(sha1Of(image)), undefined);
	t.deepEqual(await readdir(rig.layout.partials), []);
	t.is(await rig.host.metric('imgmirror_disk_errors_total', {code: 'ENOSPC'}), 1);
	t.is(rig.host.linesLike({level: 50, image: image.uuid}).length, 1);
});

for (const [what, start, end] of [
	['a small range that lies before what is on the disk ends', 1000, 2000],
	['a range across the end of what is on the disk', 100_000, 200_000],
	['a range after it', 250_000, 300_000],
	['the last byte', 399_999, 400_000],
	['nothing', 400_000, 400_000],
] as const) {
	test(`a full disk: ${what}`, async t => {
		const rig = await startFull(t, 150_000);
		const image = makeImage({size: 400_000});
		const a = new FakeSupplier('a', image.bytes);
		sameBytes(t, await rig.get(image, [a], start, end), image.bytes.subarray(start, end));
	});
}

test('a full disk: a wrong file is cut short all the same', async t => {
	const rig = await startFull(t, 0);
	const image = makeImage({size: 400_000});
	const wrong = Buffer.from(image.bytes).fill(0, 5, 50);
	const liar = new FakeSupplier('liar', wrong);
	await t.throwsAsync(rig.get(image, [liar]), {instanceOf: IntegrityError});
	await t.throwsAsync(rig.get(image, [liar], 399_000), {instanceOf: IntegrityError});
	t.is(await rig.host.metric('imgmirror_verification_failures_total', {source: 'liar'}), 2);
	t.is(liar.marks.length, 2);
});

test('a full disk: a cut transfer goes on elsewhere', async t => {
	const rig = await startFull(t, 0);
	const image = makeImage({size: 400_000});
	const a = new FakeSupplier('a', image.bytes, [{}, {cutAt: 200_000}]);
	const b = new FakeSupplier('b', image.bytes);
	sameBytes(t, await rig.get(image, [a, b]), image.bytes);
	t.deepEqual(b.opened, [200_000]);
});

test('a full disk and no upstream: the client is told, nothing hangs', async t => {
	const rig = await startFull(t, 0);
	const image = makeImage({size: 400_000});
	const dead = {refuse: new SourceUnavailableError('a', 'refused')};
	const a = new FakeSupplier('a', image.bytes, [{}, dead, dead, dead, dead]);
	await t.throwsAsync(rig.get(image, [a]), {instanceOf: SourceUnavailableError});
});

test('a full disk: a file that changes while it is passed on is cut short', async t => {
	const rig = await startFull(t, 0);
	const image = makeImage({size: 400_000});
	const a = new FakeSupplier('a', image.bytes, [{}, {cutAt: 200_000, etag: '"old"'}, {etag: '"new"'}]);
	await t.throwsAsync(rig.get(image, [a]), {instanceOf: IntegrityError});
});

test('a file for which the disk has no room is not begun, but passed through', async t => {
	const rig = await startStore(t);
	const image = makeImage({size: 100_000, claimedSize: 100_000});
	rig.store.freeBytes = async () => 99_999;
	const a = new FakeSupplier('a', image.bytes);
	sameBytes(t, await rig.fetch(image, [a]), image.bytes);
	t.deepEqual(await readdir(rig.layout.partials), []);
	t.deepEqual(a.opened, [0]);
	rig.store.freeBytes = async () => 100_000;
	await rig.idle();
	sameBytes(t, await rig.fetch(image, [a]), image.bytes);
	await rig.idle();
	t.is(rig.store.stat(sha1Of(image))?.size, 100_000);
});

test('room is counted over all files on their way', async t => {
	const rig = await startStore(t);
	rig.store.freeBytes = async () => 150_000;
	const [one, two] = [makeImage({size: 100_000}), makeImage({size: 100_000})];
	const a = new FakeSupplier('a', one.bytes, [{holdAt: 10_000}]);
	const b = new FakeSupplier('b', two.bytes);
	const first = rig.fetch(one, [a]);
	await a.reached(10_000);
	sameBytes(t, await rig.fetch(two, [b]), two.bytes);
	a.release();
	sameBytes(t, await first, one.bytes);
	await rig.idle();
	t.deepEqual(
		rig.stored.map(info => info.sha1),
		[sha1Of(one)],
	);
});

test('a full disk: a client that has left before its turn costs no request', async t => {
	const rig = await startStore(t);
	const image = makeImage({size: 100_000});
	rig.store.freeBytes = async () => 10;
	const a = new FakeSupplier('a', image.bytes);
	const options = {
		wanted: wantedOf(image),
		suppliers: () => [a],
		start: 0,
		end: image.size,
		onStored: async () => undefined,
	};
	const {follower} = rig.flights.join(options);
	const other = rig.flights.join(options);
	await rig.idle();
	follower.close();
	await t.throwsAsync(follower.begin(new AbortController().signal), {message: /has gone/});
	await t.throwsAsync(follower.read(Buffer.alloc(1)), {message: /has gone/});
	t.deepEqual(a.opened, []);
	other.follower.close();
});

test('a file that does not fit takes no room from others while it is passed on', async t => {
	const rig = await startFull(t, 150_000);
	const [big, small] = [makeImage({size: 400_000}), makeImage({size: 50_000})];
	const a = new FakeSupplier('a', big.bytes, [{}, {holdAt: 200_000}]);
	const reading = rig.get(big, [a]);
	await a.reached(200_000);
	rig.store.freeBytes = async () => 100_000;
	sameBytes(t, await rig.get(small, [new FakeSupplier('b', small.bytes)]), small.bytes);
	a.release();
	sameBytes(t, await reading, big.bytes);
	while (rig.store.count === 0) {
		await new Promise(resolve => setImmediate(resolve));
	}
	t.deepEqual(
		[...rig.store.list()].map(({sha1}) => sha1),
		[sha1Of(small)],
	);
});

test('when no other file can be begun in the place of a wrong one, readers are carried on from upstream', async t => {
	const rig = await startStore(t);
	const image = makeImage({size: 50_000});
	const wrong = Buffer.from(image.bytes).fill(0, 0, 10);
	const begin = rig.store.partial.bind(rig.store);
	rig.store.partial = async wanted => {
		const partial = await begin(wanted);
		const replace = partial.replace.bind(partial);
		partial.replace = async () => {
			await mkdir(partial.file);
			await replace();
		};
		return partial;
	};
	const a = new FakeSupplier('a', image.bytes, [{bytes: wrong}]);
	sameBytes(t, await rig.fetch(image, [a]), image.bytes);
	await rig.idle();
	t.is(rig.store.count, 0);
});

const sizes = fc.oneof(
	fc.nat(200_000),
	fc.constantFrom(0, 1, 2, 65_535, 65_536, 65_537, 131_072, 1_048_575, 1_048_576, 1_048_577),
);

test('any range of a file of any size in chunks of any size is passed through as it is', async t => {
	const host = testHost({clock: hurriedClock});
	await fc.assert(
		fc.asyncProperty(sizes, fc.nat(), fc.nat(), fc.nat(100_000), async (size, from, length, chunk) => {
			const image = makeImage({bytes: Buffer.alloc(size, 'abcdefg')});
			const start = from % (size + 1);
			const end = start + (length % (size - start + 1));
			const reader = new PassThroughReader({
				wanted: wantedOf(image),
				host,
				suppliers: () => [slowly(image.bytes, Math.max(1, chunk, Math.ceil(size / 50)))],
				retries: 1,
				start,
				end,
				onDisk: undefined,
				passages: new Passages(),
			});
			await reader.begin();
			const got = await readAll(reader, Buffer.alloc(30_000));
			reader.close();
			return got.equals(image.bytes.subarray(start, end));
		}),
	);
	t.pass();
});

test('a client that takes nothing gives way at its source, and goes on where it was when it takes again', async t => {
	const clock = new ManualClock();
	const image = makeImage({size: 3_000_000});
	const ways: SupplyAt[] = [];
	const supplier = {
		...slowly(image.bytes, 100_000),
		open: async (at: SupplyAt) => {
			ways.push(at);
			return slowly(image.bytes, 100_000).open(at, new AbortController().signal);
		},
	};
	const reader = new PassThroughReader({
		...{wanted: wantedOf(image), host: testHost({clock}), suppliers: () => [supplier], retries: 0},
		...{start: 0, end: image.size, onDisk: undefined, passages: new Passages()},
	});
	const into = Buffer.alloc(200_000);
	const parts: Buffer[] = [];
	const take = async (): Promise<number> => {
		const bytes = await reader.read(into);
		parts.push(Buffer.from(into.subarray(0, bytes)));
		return bytes;
	};
	await take();
	let asked = 0;
	const [first] = ways.map(({yielding}) => yielding);
	if (first === undefined) {
		return t.fail();
	}
	first.left = () => asked++;
	await clock.advance(1999);
	t.deepEqual([first.background, asked], [false, 0]);
	await clock.advance(1);
	t.deepEqual([first.background, asked], [true, 1]);
	first.giveWay();
	for (let had = await take(); Buffer.concat(parts).length < image.size; had = await take()) {
		t.deepEqual([had > 0, first.background], [true, false]);
	}
	// With the last byte nobody waits for anything any more.
	t.deepEqual([await take(), first.background], [0, true]);
	sameBytes(t, Buffer.concat(parts), image.bytes);
	t.is(ways.length, 2);
	t.true((ways[1]?.offset ?? 0) > 0);
	t.is(clock.pending, 0);
});

/** A chunk at a time, so that none is there before the last one was dealt with. */
function slowly(bytes: Buffer, chunk: number): Supplier {
	async function* chunks(offset: number): AsyncGenerator<Buffer> {
		for (let at = offset; at < bytes.length; at += chunk) {
			await new Promise(resolve => setImmediate(resolve));
			yield bytes.subarray(at, at + chunk);
		}
	}
	return {
		name: 'slow',
		doubtful: false,
		mark: () => undefined,
		open: async ({offset}) => ({
			stream: Readable.from(chunks(offset), {objectMode: false}),
			offset,
			size: bytes.length,
			etag: undefined,
			contentMd5: undefined,
		}),
	};
}
