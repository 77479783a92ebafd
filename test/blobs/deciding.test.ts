import {readFile, readdir} from 'node:fs/promises';
import test, {type ExecutionContext} from 'ava';
import {Flights} from '../../src/blobs/flights.js';
import {FileHash, Hashing, type Algorithm, type Digests, type FollowOptions} from '../../src/blobs/hashing.js';
import {DiskStore} from '../../src/blobs/store.js';
import {MirrorError} from '../../src/errors.js';
import {FakeSupplier} from '../helpers/fake-supplier.js';
import {makeImage, type TestImage} from '../helpers/make-image.js';
import {sameBytes} from '../helpers/same-bytes.js';
import {readAll, sha1Of, startStore, wantedOf, type StoreRig} from './start-store.js';

/** Has what does not decide wait for `letGo`, and fail as often as it is told to. */
class ApartHashing extends Hashing {
	fails = 0;
	letGo: () => void = () => undefined;
	readonly asked: Promise<void>;
	#ask: () => void = () => undefined;
	readonly #goes: Promise<void>;

	constructor() {
		super();
		this.#goes = new Promise(resolve => {
			this.letGo = resolve;
		});
		this.asked = new Promise(resolve => {
			this.#ask = resolve;
		});
	}

	override follow(file: string, algorithms: readonly Algorithm[], options?: FollowOptions): FileHash {
		const hash = super.follow(file, algorithms, options);
		if (algorithms.includes('sha1')) {
			return hash;
		}
		let length = 0;
		let begin = (): void => undefined;
		const begun = new Promise<void>(resolve => {
			begin = resolve;
		});
		const digests = async (): Promise<Digests> => {
			await begun;
			await this.#goes;
			if (this.fails > 0) {
				this.fails--;
				throw new MirrorError('the hashing thread has ended');
			}
			return hash.digests(length);
		};
		return new FileHash({
			digests: digests(),
			send: (upTo, ends) => {
				if (ends) {
					length = upTo;
					begin();
					this.#ask();
				}
			},
			abandon: () => {
				hash.abandon();
			},
		});
	}
}

interface Rig extends Pick<StoreRig, 'layout' | 'host'> {
	readonly hashing: ApartHashing;
	readonly store: DiskStore;
	readonly flights: Flights;
	read(image: TestImage, supplier: FakeSupplier): Promise<Buffer>;
	/** Resolves when no transfer runs any more. */
	idle(): Promise<void>;
}

async function startApart(t: ExecutionContext): Promise<Rig> {
	const {layout, host} = await startStore(t);
	const hashing = new ApartHashing();
	const store = new DiskStore({layout, host, hashing, quarantine: {keepForMs: 1e9, maxBytes: 1e9}});
	const flights = new Flights({store, host, limits: {concurrent: 4, finishAbandonedBytes: Infinity, retries: 2}});
	t.teardown(async () => {
		hashing.letGo();
		await flights.suspend();
		await store.close();
		await hashing.close();
	});
	return {
		...{layout, host, hashing, store, flights},
		async read(image, supplier) {
			const {follower} = flights.join({
				...{wanted: wantedOf(image), suppliers: () => [supplier], start: 0, end: image.size},
				onStored: async () => undefined,
			});
			try {
				return await readAll(follower);
			} finally {
				follower.close();
			}
		},
		async idle() {
			while (flights.status().length > 0) {
				await new Promise(resolve => setImmediate(resolve));
			}
		},
	};
}

test('the tail goes when the SHA-1 is right, and the file is kept when the other digests are there', async t => {
	const rig = await startApart(t);
	const image = makeImage({size: 300_000});
	sameBytes(t, await rig.read(image, new FakeSupplier('a', image.bytes)), image.bytes);
	await rig.hashing.asked;
	t.is(rig.store.count, 0);
	t.like(rig.flights.right(wantedOf(image)), {sha1: image.sha1});
	// Whoever comes in between has it from the same transfer.
	const second = new FakeSupplier('b', image.bytes);
	sameBytes(t, await rig.read(image, second), image.bytes);
	t.deepEqual(second.opened, []);

	rig.hashing.letGo();
	await rig.idle();
	t.is(rig.store.count, 1);
	t.like(rig.store.stat(sha1Of(image)), {sha256: image.sha256, md5: image.md5, size: 300_000});
	t.deepEqual(await readdir(rig.layout.partials), []);
});

test('a thread that dies between the SHA-1 and the rest costs a second look at the file', async t => {
	const rig = await startApart(t);
	rig.hashing.fails = 1;
	rig.hashing.letGo();
	const image = makeImage({size: 300_000});
	const a = new FakeSupplier('a', image.bytes);
	sameBytes(t, await rig.read(image, a), image.bytes);
	await rig.idle();
	t.like(rig.store.stat(sha1Of(image)), {sha256: image.sha256});
	t.deepEqual(a.opened, [0]);
});

test('where the rest cannot be computed the file stays for the next attempt, which asks nobody', async t => {
	const rig = await startApart(t);
	rig.hashing.fails = 2;
	rig.hashing.letGo();
	const image = makeImage({size: 300_000});
	sameBytes(t, await rig.read(image, new FakeSupplier('a', image.bytes)), image.bytes);
	await rig.idle();
	t.is(rig.hashing.fails, 0);
	sameBytes(t, await readFile(rig.layout.partial(image.sha1)), image.bytes);

	const nobody = new FakeSupplier('nobody', Buffer.alloc(0));
	sameBytes(t, await rig.read(image, nobody), image.bytes);
	await rig.idle();
	t.deepEqual(nobody.opened, []);
	t.like(rig.store.stat(sha1Of(image)), {sha256: image.sha256});
});

test('stopping in between keeps the file, for little is left to be done', async t => {
	const rig = await startApart(t);
	const image = makeImage({size: 300_000});
	sameBytes(t, await rig.read(image, new FakeSupplier('a', image.bytes)), image.bytes);
	await rig.hashing.asked;
	const stopping = rig.flights.suspend();
	rig.hashing.letGo();
	await stopping;
	t.is(rig.store.count, 1);
});

test('a wrong file is found out by its SHA-1 alone, and nothing of it is kept', async t => {
	const rig = await startApart(t);
	const image = makeImage({size: 300_000});
	const wrong = Buffer.from(image.bytes).fill(7, 299_000);
	const liar = new FakeSupplier('liar', image.bytes, [{bytes: wrong}]);
	await t.throwsAsync(rig.read(image, liar));
	t.is(rig.store.count, 0);
	// What was asked for besides is not waited for.
	sameBytes(t, await rig.read(image, new FakeSupplier('b', image.bytes)), image.bytes);
	rig.hashing.letGo();
	await rig.idle();
	t.like(rig.store.stat(sha1Of(image)), {sha256: image.sha256});
});
