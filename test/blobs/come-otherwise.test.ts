/**
 * Files that are sent here, or carried, while a transfer fetches them.
 */
import {once} from 'node:events';
import {readdir} from 'node:fs/promises';
import test from 'ava';
import type {Supplier} from '../../src/blobs/supply.js';
import {NoSpaceError, asError} from '../../src/errors.js';
import {FakeSupplier, refused} from '../helpers/fake-supplier.js';
import {makeImage} from '../helpers/make-image.js';
import {sameBytes} from '../helpers/same-bytes.js';
import {stored} from './sending.js';
import {sha1Of, startStore, wantedOf} from './start-store.js';

test('who waits for a file that comes in otherwise has it, and its source is let go of', async t => {
	const rig = await startStore(t);
	const image = makeImage({size: 3_000_000});
	const a = new FakeSupplier('a', image.bytes, [{holdAt: 1_200_000}]);
	const readers = [0, 500_000, 2_500_000].map(start => rig.fetch(image, [a], {start}));
	await a.reached(1_200_000);
	const info = await stored(rig.store, image.bytes, 'somebody');
	for (const [number, start] of [0, 500_000, 2_500_000].entries()) {
		sameBytes(t, (await readers[number]) ?? Buffer.alloc(0), image.bytes.subarray(start));
	}
	await rig.idle();
	t.deepEqual(a.opened, [0]);
	t.deepEqual(rig.stored.at(-1), info, 'whoever waits for it to be kept is told');
	t.is(rig.store.stat(sha1Of(image))?.source, 'local');
	t.deepEqual(await readdir(rig.layout.partials), []);
	t.is(rig.store.reservedBytes, 0);
});

test('a client that waits for the first byte is served, too', async t => {
	const rig = await startStore(t);
	const image = makeImage({size: 300_000});
	let asked = (): void => undefined;
	const isAsked = new Promise<void>(resolve => (asked = resolve));
	const silent: Supplier = {
		name: 'silent',
		doubtful: false,
		open: async (_, signal) => {
			asked();
			await once(signal, 'abort');
			throw asError(signal.reason);
		},
		mark: () => undefined,
	};
	const reading = rig.fetch(image, [silent]);
	await isAsked;
	await stored(rig.store, image.bytes);
	sameBytes(t, await reading, image.bytes);
	await rig.idle();
});

test('nor does it wait for its turn', async t => {
	const rig = await startStore(t, {limits: {concurrent: 1}});
	const [first, second] = [makeImage({size: 300_000}), makeImage({size: 300_000})];
	const [a, b] = [new FakeSupplier('a', first.bytes, [{holdAt: 100_000}]), new FakeSupplier('b', second.bytes)];
	const slow = rig.fetch(first, [a]);
	await a.reached(100_000);
	const waiting = rig.fetch(second, [b]);
	t.true(rig.flights.status()[1]?.waiting);
	await stored(rig.store, second.bytes);
	sameBytes(t, await waiting, second.bytes);
	t.deepEqual(b.opened, []);
	a.release();
	sameBytes(t, await slow, first.bytes);
	await rig.idle();
});

test('where what had come was wrong, nobody has it mixed with what is right', async t => {
	const rig = await startStore(t);
	const image = makeImage({size: 3_000_000});
	const wrong = Buffer.from(image.bytes).fill(7, 600_000, 600_100);
	const a = new FakeSupplier('a', image.bytes, [{bytes: wrong, holdAt: 1_200_000}]);
	const {follower} = rig.flights.join({
		...{wanted: wantedOf(image), suppliers: () => [a], start: 0, end: image.size},
		onStored: async () => undefined,
	});
	const into = Buffer.alloc(65_536);
	t.true((await follower.read(into)) > 0);
	const late = rig.fetch(image, [a], {start: 2_000_000});
	await a.reached(1_200_000);
	await stored(rig.store, image.bytes);
	sameBytes(t, await late, image.bytes.subarray(2_000_000));
	await t.throwsAsync(
		async () => {
			while ((await follower.read(into)) > 0) {
				continue;
			}
		},
		{message: /turned out wrong/},
	);
	follower.close();
	await rig.idle();
	t.is(a.marks.length, 1);
	t.is((await rig.store.quarantined.list()).length, 1);
	t.deepEqual(await readdir(rig.layout.partials), []);
});

test('what is fetched for nobody in particular is there, then', async t => {
	const rig = await startStore(t);
	const image = makeImage({size: 300_000});
	const a = new FakeSupplier('a', image.bytes, [{holdAt: 100_000}]);
	const {signal} = new AbortController();
	const fetching = rig.flights.fetch({
		...{wanted: wantedOf(image), suppliers: () => [a], onStored: async () => undefined, signal},
	});
	await a.reached(100_000);
	await stored(rig.store, image.bytes);
	t.is(await fetching, 'there');
});

test('one that is gone again at once is waited for in the line, as before', async t => {
	const rig = await startStore(t, {limits: {concurrent: 1}});
	const [first, second] = [makeImage({size: 300_000}), makeImage({size: 300_000})];
	const [a, b] = [new FakeSupplier('a', first.bytes, [{holdAt: 100_000}]), new FakeSupplier('b', second.bytes)];
	const slow = rig.fetch(first, [a]);
	await a.reached(100_000);
	const waiting = rig.fetch(second, [b]);
	rig.flights.came(sha1Of(second));
	const third = makeImage({size: 300_000});
	const other = rig.fetch(third, [new FakeSupplier('c', third.bytes)]);
	rig.flights.came(sha1Of(third));
	await stored(rig.store, third.bytes);
	sameBytes(t, await other, third.bytes);
	t.deepEqual(b.opened, [], 'it has not had its turn');
	t.deepEqual(
		rig.flights.status().map(({waiting: waits}) => waits),
		[false, true],
	);
	a.release();
	sameBytes(t, await slow, first.bytes);
	sameBytes(t, await waiting, second.bytes);
	await rig.idle();
});

test('where the disk has no room for a transfer, a file that has come in otherwise meanwhile is read all the same', async t => {
	const rig = await startStore(t);
	const image = makeImage({size: 300_000});
	const away = new FakeSupplier(
		'away',
		image.bytes,
		Array.from({length: 20}, () => refused('away')),
	);
	const looking = new Promise<void>(resolve => {
		rig.store.partial = async () => {
			resolve();
			await isStored;
			throw new NoSpaceError('no room');
		};
	});
	const isStored = looking.then(() => stored(rig.store, image.bytes));
	sameBytes(t, await rig.fetch(image, [away]), image.bytes);
	await rig.idle();
	t.is(rig.stored.length, 1);
});

for (const isStored of [true, false]) {
	const what = isStored ? 'there for who waits' : 'gone again, and nobody is blamed';
	test(`a file that comes in otherwise in the moment in which the disk is full is ${what}`, async t => {
		const rig = await startStore(t);
		const image = makeImage({size: 3_000_000});
		const a = new FakeSupplier('a', image.bytes, [{holdAt: 1_200_000}]);
		const partial = rig.store.partial.bind(rig.store);
		let isFull = false;
		rig.store.partial = async wanted => {
			const opened = await partial(wanted);
			const write = opened.write.bind(opened);
			opened.write = async chunks => {
				if (!isFull) {
					return write(chunks);
				}
				isFull = false;
				if (isStored) {
					await stored(rig.store, image.bytes);
				} else {
					rig.flights.came(sha1Of(image));
				}
				throw new NoSpaceError('no room');
			};
			return opened;
		};
		const reading = rig.fetch(image, [a]);
		await a.reached(1_200_000);
		isFull = true;
		a.release();
		sameBytes(t, await reading, image.bytes);
		await rig.idle();
		t.is(a.opened.length, isStored ? 1 : 2);
		t.deepEqual([a.marks, await rig.store.quarantined.list()], [[], []]);
		t.is(rig.stored.length, isStored ? 1 : 0);
	});
}
