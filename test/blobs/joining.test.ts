import {readFile, readdir} from 'node:fs/promises';
import test from 'ava';
import {FileHash, Hashing} from '../../src/blobs/hashing.js';
import {Flights} from '../../src/blobs/flights.js';
import {DiskStore} from '../../src/blobs/store.js';
import {IntegrityError, StoppingError} from '../../src/errors.js';
import {FakeSupplier} from '../helpers/fake-supplier.js';
import {makeImage} from '../helpers/make-image.js';
import {sameBytes} from '../helpers/same-bytes.js';
import {readAll, sha1Of, startStore, wantedOf} from './start-store.js';

const nothing = async (): Promise<void> => undefined;

test('a manifest that says less of a file than it has does not get that much of it', async t => {
	const rig = await startStore(t);
	const image = makeImage({size: 300_000});
	const a = new FakeSupplier('a', image.bytes, [{holdAt: 200_000}]);
	const right = rig.fetch(image, [a]);
	await a.reached(200_000);
	const {follower, joined} = rig.flights.join({
		wanted: {...wantedOf(image), size: 100_000},
		suppliers: () => [a],
		start: 0,
		end: 100_000,
		onStored: nothing,
	});
	t.false(joined);
	const reading = t.throwsAsync(readAll(follower), {instanceOf: IntegrityError});
	a.release();
	sameBytes(t, await right, image.bytes);
	await reading;
	follower.close();
	await rig.idle();
	t.deepEqual([a.opened, a.marks], [[0], []]);
	t.is(rig.store.stat(sha1Of(image))?.size, 300_000);
});

test('a manifest that says more of a file than it has keeps nobody waiting', async t => {
	const rig = await startStore(t);
	const image = makeImage({size: 300_000});
	const a = new FakeSupplier('a', image.bytes, [{holdAt: 200_000}]);
	const right = rig.fetch(image, [a]);
	await a.reached(200_000);
	const wanted = {...wantedOf(image), size: 400_000};
	const {follower} = rig.flights.join({wanted, suppliers: () => [a], start: 0, end: 400_000, onStored: nothing});
	const reading = t.throwsAsync(readAll(follower), {instanceOf: IntegrityError});
	a.release();
	sameBytes(t, await right, image.bytes);
	await reading;
	follower.close();
});

test('a lying manifest that came first does not spoil the file for the right one', async t => {
	const rig = await startStore(t);
	const image = makeImage({size: 300_000});
	const a = new FakeSupplier('a', image.bytes, [{size: undefined}]);
	const wanted = {...wantedOf(image), size: 100_000};
	const {follower} = rig.flights.join({wanted, suppliers: () => [a], start: 0, end: 100_000, onStored: nothing});
	const right = rig.fetch(image, [a]);
	await t.throwsAsync(readAll(follower), {instanceOf: IntegrityError});
	follower.close();
	sameBytes(t, await right, image.bytes);
});

test('a client that comes while the file is being put away reads it from there', async t => {
	const rig = await startStore(t);
	const image = makeImage({size: 100_000, claimedSha1: undefined});
	const a = new FakeSupplier('a', image.bytes);
	let stored = (): void => undefined;
	let release = (): void => undefined;
	const storing = new Promise<void>(resolve => {
		stored = resolve;
	});
	const released = new Promise<void>(resolve => {
		release = resolve;
	});
	const options = {
		wanted: wantedOf(image),
		suppliers: () => [a],
		start: 0,
		end: image.size,
		onStored: async () => {
			stored();
			await released;
		},
	};
	const {follower} = rig.flights.join(options);
	sameBytes(t, await readAll(follower), image.bytes);
	follower.close();
	await storing;
	const late = rig.flights.join(options);
	t.true(late.joined);
	sameBytes(t, await readAll(late.follower), image.bytes);
	late.follower.close();
	release();
	t.deepEqual(a.opened, [0]);
});

test('a file that came in while its transfer waited is not fetched', async t => {
	const rig = await startStore(t, {limits: {concurrent: 1}});
	const image = makeImage({size: 100_000});
	const a = new FakeSupplier('a', image.bytes, [{holdAt: 50_000}]);
	const b = new FakeSupplier('b', image.bytes);
	// The same file, asked for by an image whose manifest has no digest.
	const bare = {...wantedOf(image), key: `${image.uuid}.0`, sha1: undefined};
	const {follower} = rig.flights.join({wanted: bare, suppliers: () => [a], start: 0, end: 1, onStored: nothing});
	await a.reached(50_000);
	const second = rig.fetch(image, [b]);
	a.release();
	sameBytes(t, await second, image.bytes);
	follower.close();
	t.deepEqual(b.opened, []);
});

test('every image that a file was fetched for is told, once', async t => {
	const rig = await startStore(t);
	const image = makeImage({size: 300_000});
	const twin = makeImage({bytes: image.bytes});
	const a = new FakeSupplier('a', image.bytes);
	const told: string[] = [];
	const followers = [image, twin, twin].map(({uuid, ...rest}) => {
		const wanted = wantedOf({uuid, ...rest});
		const onStored = async (): Promise<void> => {
			told.push(uuid);
			throw new Error('which is no reason not to tell the next');
		};
		return rig.flights.join({wanted, suppliers: () => [a], start: 0, end: 300_000, onStored}).follower;
	});
	await rig.idle();
	for (const follower of followers) {
		follower.close();
	}
	t.deepEqual(told, [image.uuid, twin.uuid]);
	t.is(rig.host.linesLike(/what follows a transfer failed/).length, 2);
});

test('whoever leaves at the last byte stops nothing, and the next begins nothing', async t => {
	const rig = await startStore(t, {limits: {finishAbandonedBytes: 0}});
	const image = makeImage({size: 100_000});
	const a = new FakeSupplier('a', image.bytes);
	sameBytes(t, await rig.fetch(image, [a]), image.bytes);
	sameBytes(t, await rig.fetch(image, [a]), image.bytes);
	await rig.idle();
	t.is(rig.store.count, 1);
	t.deepEqual(a.opened, [0]);
});

test('two images, one file, one of them without its digest, at once: one file that is right', async t => {
	const rig = await startStore(t);
	for (let round = 0; round < 10; round++) {
		const image = makeImage({size: 1000});
		const bare = {...wantedOf(image), key: `${image.uuid}.0`, sha1: undefined};
		const followers = [wantedOf(image), bare].map(wanted => {
			const suppliers = [new FakeSupplier('a', image.bytes)];
			return rig.flights.join({wanted, suppliers: () => suppliers, start: 0, end: 1000, onStored: nothing}).follower;
		});
		for (const follower of followers) {
			sameBytes(t, await readAll(follower), image.bytes);
			follower.close();
		}
		await rig.idle();
		sameBytes(t, await readFile(rig.layout.blob(sha1Of(image))), image.bytes);
		t.like(JSON.parse(await readFile(rig.layout.info(sha1Of(image)), 'utf8')), {sha1: image.sha1, size: 1000});
	}
	t.deepEqual(rig.host.linesLike({level: 50}), []);
	t.deepEqual(await readdir(rig.layout.partials), []);
});

/** Digests that never come, as those of a huge file; `asked` resolves when somebody waits for them. */
class EndlessHashing extends Hashing {
	readonly asked: Promise<void>;
	#ask = (): void => undefined;

	constructor() {
		super();
		this.asked = new Promise(resolve => {
			this.#ask = resolve;
		});
	}

	override follow(): FileHash {
		return new FileHash({digests: new Promise(() => undefined), send: this.#ask, abandon: () => undefined});
	}
}

test('stopping does not wait for the digests of a large file', async t => {
	const rig = await startStore(t);
	const hashing = new EndlessHashing();
	const quarantine = {keepForMs: 1000, maxBytes: 1000};
	const store = new DiskStore({layout: rig.layout, host: rig.host, hashing, quarantine});
	const limits = {concurrent: 4, finishAbandonedBytes: Infinity, retries: 2};
	const flights = new Flights({store, host: rig.host, limits});
	const image = makeImage({size: 1000});
	const a = new FakeSupplier('a', image.bytes);
	const join = {wanted: wantedOf(image), suppliers: () => [a], start: 0, end: image.size, onStored: nothing};
	const {follower} = flights.join(join);
	const reading = t.throwsAsync(readAll(follower), {instanceOf: StoppingError});
	await hashing.asked;
	await flights.suspend();
	await reading;
	follower.close();
	sameBytes(t, await readFile(rig.layout.partial(image.sha1)), image.bytes);
});

test('a hashing thread that dies in mid-transfer costs a second look at the file, not the file', async t => {
	const rig = await startStore(t);
	const hashing = new Hashing();
	const quarantine = {keepForMs: 1000, maxBytes: 1000};
	const store = new DiskStore({layout: rig.layout, host: rig.host, hashing, quarantine});
	const limits = {concurrent: 4, finishAbandonedBytes: Infinity, retries: 2};
	const flights = new Flights({store, host: rig.host, limits});
	const image = makeImage({size: 300_000});
	const a = new FakeSupplier('a', image.bytes, [{holdAt: 100_000}]);
	const join = {wanted: wantedOf(image), suppliers: () => [a], start: 0, end: image.size, onStored: nothing};
	const {follower} = flights.join(join);
	const reading = readAll(follower);
	await a.reached(100_000);
	await hashing.close();
	a.release();
	sameBytes(t, await reading, image.bytes);
	follower.close();
	await flights.suspend();
	t.is(store.count, 1);
	await store.close();
	await hashing.close();
});
