import {readdir} from 'node:fs/promises';
import test, {type ExecutionContext} from 'ava';
import {IntegrityError, NoSpaceError, SourceUnavailableError} from '../../src/errors.js';
import {Flights} from '../../src/blobs/flights.js';
import type {PartialBlob, Wanted} from '../../src/blobs/partial.js';
import type {DiskStore} from '../../src/blobs/store.js';
import type {Supplier} from '../../src/blobs/supply.js';
import {FakeSupplier} from '../helpers/fake-supplier.js';
import {makeImage, type TestImage} from '../helpers/make-image.js';
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
			await write(chunks);
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

	t.deepEqual(all[0], image.bytes);
	t.deepEqual(all[1], image.bytes.subarray(100_000));
	t.deepEqual(all[2], image.bytes.subarray(10, 20));
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
		t.deepEqual(await rig.get(image, [a], start, end), image.bytes.subarray(start, end));
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
	t.deepEqual(await rig.get(image, [a, b]), image.bytes);
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
	t.deepEqual(await rig.fetch(image, [a]), image.bytes);
	t.deepEqual(await readdir(rig.layout.partials), []);
	t.deepEqual(a.opened, [0]);
	rig.store.freeBytes = async () => 100_000;
	await rig.idle();
	t.deepEqual(await rig.fetch(image, [a]), image.bytes);
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
	t.deepEqual(await rig.fetch(two, [b]), two.bytes);
	a.release();
	t.deepEqual(await first, one.bytes);
	await rig.idle();
	t.deepEqual(
		rig.stored.map(info => info.sha1),
		[sha1Of(one)],
	);
});
