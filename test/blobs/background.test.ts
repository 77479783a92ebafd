import {readFile, stat} from 'node:fs/promises';
import test, {type ExecutionContext} from 'ava';
import {IntegrityError, NoSpaceError, SourceUnavailableError, StoppingError} from '../../src/errors.js';
import {Flights, type FetchOptions, type FlightLimits} from '../../src/blobs/flights.js';
import type {Supplier, SupplierBody, SupplyAt} from '../../src/blobs/supply.js';
import type {MirrorEvent} from '../../src/host.js';
import {FakeSupplier, absent} from '../helpers/fake-supplier.js';
import {makeImage, type TestImage} from '../helpers/make-image.js';
import {settle} from '../helpers/manual-clock.js';
import {sameBytes} from '../helpers/same-bytes.js';
import {testHost, type TestHost} from '../helpers/test-host.js';
import {readAll, sha1Of, startStore, wantedOf, type StoreRig} from './start-store.js';

const never = new AbortController().signal;
const nothing = async (): Promise<void> => undefined;

interface Rig {
	readonly flights: Flights;
	readonly host: TestHost;
	readonly store: StoreRig;
	readonly events: MirrorEvent[];
	fetch(image: TestImage, supplier: Supplier, more?: Partial<FetchOptions>): ReturnType<Flights['fetch']>;
	join(image: TestImage, supplier: Supplier): ReturnType<Flights['join']>['follower'];
}

async function start(t: ExecutionContext, limits: Partial<FlightLimits> = {}): Promise<Rig> {
	const store = await startStore(t);
	const host = testHost();
	const flights = new Flights({
		store: store.store,
		host,
		limits: {concurrent: 4, finishAbandonedBytes: Infinity, retries: 2, ...limits},
	});
	t.teardown(() => flights.suspend());
	const events: MirrorEvent[] = [];
	host.events.listen(event => events.push(event));
	return {
		...{flights, host, store, events},
		fetch: (image, supplier, more = {}) =>
			flights.fetch({
				...{
					wanted: wantedOf(image),
					suppliers: () => [supplier],
					onStored: nothing,
					signal: new AbortController().signal,
				},
				...more,
			}),
		join: (image, supplier) =>
			flights.join({
				...{wanted: wantedOf(image), suppliers: () => [supplier], onStored: nothing},
				...{start: 0, end: image.size},
			}).follower,
	};
}

async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
	while (!(await holds())) {
		await settle();
	}
}

/** Resolves when so much of a file is on the disk. */
function written({flights}: Rig, image: TestImage, bytes: number): Promise<void> {
	return until(() => (flights.status().find(({file}) => file === image.sha1)?.written ?? 0) >= bytes);
}

test('a file is fetched for nobody, verified and kept; then it is there', async t => {
	const rig = await start(t);
	const image = makeImage({size: 300_000});
	const a = new FakeSupplier('a', image.bytes);
	const about = {uuid: image.uuid, name: 'base', version: '1', public: true};
	const progress: number[] = [];
	const stored: string[] = [];
	const more = {
		wanted: {...wantedOf(image), about},
		onProgress: (bytes: number) => void progress.push(bytes),
		onStored: async ({sha1}: {sha1: string}) => void stored.push(sha1),
	};
	t.is(await rig.fetch(image, a, more), 'fetched');
	t.is(await rig.fetch(image, a, more), 'there');
	t.deepEqual(a.opened, [0]);
	t.deepEqual(stored, [image.sha1, image.sha1]);
	t.is(progress.at(-1), 300_000);
	sameBytes(t, await readFile(rig.store.layout.blob(sha1Of(image))), image.bytes);
	const [begun, ended, ...others] = rig.events;
	t.like(begun, {type: 'transfer.begun', image: about, sha1: image.sha1, bytes: 300_000});
	t.like(begun?.more, {background: true, resumedFrom: 0});
	t.like(ended, {type: 'transfer.ended', image: about, source: 'a', bytes: 300_000});
	t.like(ended?.more, {outcome: 'done', source: 'a', background: true, fetched: 300_000});
	t.deepEqual(others, []);
});

test('a file that is here under another size, or that nobody has, is told in words', async t => {
	const rig = await start(t);
	const image = makeImage({size: 1000});
	const a = new FakeSupplier('a', image.bytes);
	await rig.fetch(image, a);
	const wanted = {...wantedOf(image), size: 2000};
	await t.throwsAsync(rig.fetch(image, a, {wanted}), {instanceOf: IntegrityError});
	await t.throwsAsync(rig.fetch(makeImage(), new FakeSupplier('b', image.bytes, [absent])), {message: /no source/});
	t.like(rig.events.at(-1), {type: 'transfer.failed', problem: 'no source has the file: not there'});
});

test('only so many are fetched at once; the rest wait in the order in which they came', async t => {
	const rig = await start(t, {background: 1});
	const files = [1, 2, 3].map(() => {
		const image = makeImage({size: 100_000});
		return {image, supplier: new FakeSupplier('a', image.bytes, [{holdAt: 50_000}])};
	});
	const suppliers = files.map(({supplier}) => supplier);
	const fetches = files.map(({image, supplier}) => rig.fetch(image, supplier));
	await suppliers[0]?.reached(50_000);
	await settle();
	t.deepEqual(
		rig.flights.status().map(({waiting, background}) => ({waiting, background})),
		[
			{waiting: false, background: true},
			{waiting: true, background: true},
			{waiting: true, background: true},
		],
	);
	t.is(await rig.host.metric('imgmirror_transfers_background', {state: 'waiting'}), 2);
	rig.flights.setLimits({concurrent: 4, background: 2, finishAbandonedBytes: 0, retries: 0});
	await suppliers[1]?.reached(50_000);
	t.deepEqual(suppliers[2]?.opened, []);
	for (const supplier of suppliers) {
		supplier.release();
	}
	t.deepEqual(await Promise.all(fetches), ['fetched', 'fetched', 'fetched']);
});

test('a client joins what is fetched ahead: one read of the source, and nobody keeps it at a pace any more', async t => {
	const rig = await start(t, {finishAbandonedBytes: 0});
	const image = makeImage({size: 300_000});
	const a = new FakeSupplier('a', image.bytes);
	let asked = 0;
	const pace = (): Promise<void> => {
		asked++;
		return new Promise(() => undefined);
	};
	const fetched = rig.fetch(image, a, {pace});
	await until(() => asked > 0);
	const follower = rig.join(image, a);
	t.like(rig.flights.status()[0], {background: false, followers: 1});
	sameBytes(t, await readAll(follower), image.bytes);
	follower.close();
	t.is(await fetched, 'fetched');
	t.is(asked, 1);
	t.deepEqual(a.opened, [0]);
});

test('a client that joins what waits in the background has its turn among the clients', async t => {
	const rig = await start(t, {concurrent: 1, background: 1});
	const [held, image, another] = [makeImage(), makeImage(), makeImage()];
	const suppliers = [held, image, another].map(({bytes}) => new FakeSupplier('a', bytes, [{holdAt: 5000}]));
	const [a, b, c] = suppliers as [FakeSupplier, FakeSupplier, FakeSupplier];
	const first = rig.join(held, a);
	await a.reached(5000);
	const fetched = rig.fetch(image, b);
	const other = rig.fetch(another, c);
	await settle();
	t.deepEqual([b.opened, c.opened], [[], []], 'a client is in need of the sources');
	const second = rig.join(image, b);
	await settle();
	t.deepEqual(b.opened, [], 'only one client has its turn');
	a.release();
	sameBytes(t, await readAll(first), held.bytes);
	await b.reached(5000);
	t.deepEqual(c.opened, []);
	b.release();
	sameBytes(t, await readAll(second), image.bytes);
	t.is(await fetched, 'fetched');
	c.release();
	t.is(await other, 'fetched');
	first.close();
	second.close();
});

test('a client does not wait for its turn where its file is being fetched ahead already', async t => {
	const rig = await start(t, {concurrent: 1});
	const [ahead, held] = [makeImage({size: 200_000}), makeImage({size: 200_000})];
	const a = new FakeSupplier('a', ahead.bytes, [{holdAt: 100_000}]);
	const b = new FakeSupplier('b', held.bytes, [{holdAt: 100_000}]);
	const fetched = rig.fetch(ahead, a);
	await a.reached(100_000);
	const first = rig.join(held, b);
	await b.reached(100_000);
	const second = rig.join(ahead, a);
	a.release();
	sameBytes(t, await readAll(second), ahead.bytes);
	t.is(await fetched, 'fetched');
	b.release();
	sameBytes(t, await readAll(first), held.bytes);
	t.deepEqual([a.opened, b.opened], [[0], [0]]);
	first.close();
	second.close();
});

test('while a client waits for bytes nothing else takes any; where that is soon over it goes on as if nothing were', async t => {
	const rig = await start(t);
	const [ahead, image] = [makeImage({size: 6_000_000}), makeImage({size: 200_000})];
	const a = new FakeSupplier('a', ahead.bytes, [{holdAt: 100_000}]);
	const b = new FakeSupplier('b', image.bytes, [{holdAt: 100_000}]);
	const fetched = rig.fetch(ahead, a);
	await written(rig, ahead, 100_000);
	const follower = rig.join(image, b);
	await b.reached(100_000);
	a.release();
	await rig.host.clock.advance(29_000);
	t.is(rig.flights.status()[0]?.written, 100_000);
	t.is((await stat(rig.store.layout.partial(ahead.sha1))).size, 100_000);
	b.release();
	sameBytes(t, await readAll(follower), image.bytes);
	follower.close();
	t.is(await fetched, 'fetched');
	t.deepEqual(a.opened, [0]);
	t.is(rig.host.clock.pending, 0);
});

test('where clients need the sources for long it lets go, and goes on from the same byte when they do not', async t => {
	const rig = await start(t);
	const [ahead, image] = [makeImage({size: 300_000}), makeImage({size: 200_000})];
	const a = new FakeSupplier('a', ahead.bytes, [{holdAt: 100_000}]);
	const b = new FakeSupplier('b', image.bytes, [{holdAt: 100_000}]);
	const fetched = rig.fetch(ahead, a);
	await written(rig, ahead, 100_000);
	const follower = rig.join(image, b);
	await b.reached(100_000);
	await rig.host.clock.advance(30_000);
	const state = () => rig.flights.status().find(({file}) => file === ahead.sha1);
	await until(() => state()?.waiting === true);
	t.true(state()?.background);
	await rig.host.clock.advance(300_000);
	t.deepEqual(a.opened, [0]);
	b.release();
	await readAll(follower);
	follower.close();
	t.is(await fetched, 'fetched');
	t.deepEqual(a.opened, [0, 100_000]);
	sameBytes(t, await readFile(rig.store.layout.blob(sha1Of(ahead))), ahead.bytes);
	t.deepEqual(
		rig.events.filter(({sha1}) => sha1 === ahead.sha1).map(({type, more}) => `${type} ${String(more?.['outcome'])}`),
		['transfer.begun undefined', 'transfer.ended suspended', 'transfer.begun undefined', 'transfer.ended done'],
	);
});

test('whoever has it fetched may leave: what is on the disk stays, unless others want the file', async t => {
	const rig = await start(t, {finishAbandonedBytes: 0});
	const image = makeImage({size: 300_000});
	const a = new FakeSupplier('a', image.bytes, [{holdAt: 100_000}, {holdAt: 200_000}]);
	const [first, second] = [new AbortController(), new AbortController()];
	const reason = new Error('enough');
	const alone = rig.fetch(image, a, {signal: first.signal});
	await written(rig, image, 100_000);
	first.abort(reason);
	await t.throwsAsync(alone, {is: reason});
	await t.throwsAsync(rig.fetch(image, a, {signal: first.signal}), {is: reason});
	await until(() => rig.events.some(({more}) => more?.['outcome'] === 'suspended'));
	t.is((await stat(rig.store.layout.partial(image.sha1))).size, 100_000);

	const leaving = rig.fetch(image, a, {signal: second.signal});
	const staying = rig.fetch(image, a);
	await written(rig, image, 200_000);
	second.abort(reason);
	await t.throwsAsync(leaving, {is: reason});
	const follower = rig.join(image, a);
	follower.close();
	a.release();
	t.is(await staying, 'fetched', 'nor does a client that comes and leaves stop it');
	t.deepEqual(a.opened, [0, 100_000]);
});

test('a client goes on with what was fetched ahead when the others leave', async t => {
	const rig = await start(t);
	const image = makeImage({size: 300_000});
	const a = new FakeSupplier('a', image.bytes, [{holdAt: 100_000}]);
	const abort = new AbortController();
	const fetched = rig.fetch(image, a, {signal: abort.signal});
	await a.reached(100_000);
	const follower = rig.join(image, a);
	abort.abort(new Error('enough'));
	await t.throwsAsync(fetched, {message: 'enough'});
	a.release();
	sameBytes(t, await readAll(follower), image.bytes);
	follower.close();
	t.deepEqual(a.opened, [0]);
});

test('of several paces the most generous counts, and is asked for every byte', async t => {
	const rig = await start(t);
	const image = makeImage({size: 3_000_000});
	const a = new FakeSupplier('a', image.bytes);
	let passed = 0;
	let ended = 0;
	const slow = (_bytes: number, signal: AbortSignal): Promise<void> =>
		new Promise((_resolve, reject) => {
			signal.addEventListener('abort', () => {
				ended++;
				reject(new Error('over'));
			});
		});
	let rounds = 0;
	const quick = async (bytes: number): Promise<void> => {
		rounds++;
		passed += bytes;
	};
	const all = [rig.fetch(image, a, {pace: slow}), rig.fetch(image, a, {pace: quick})];
	t.deepEqual(await Promise.all(all), ['fetched', 'fetched']);
	t.is(passed, 3_000_000);
	t.is(ended, rounds, 'nobody goes on waiting for bytes that were let through');
	t.deepEqual(a.opened, [0]);
});

test('a pace is dropped when somebody has the file fetched without one', async t => {
	const rig = await start(t);
	const image = makeImage({size: 300_000});
	const a = new FakeSupplier('a', image.bytes);
	let asked = 0;
	const pace = (): Promise<void> => {
		asked++;
		return new Promise(() => undefined);
	};
	const slow = rig.fetch(image, a, {pace});
	await until(() => asked === 1);
	t.deepEqual(await Promise.all([slow, rig.fetch(image, a)]), ['fetched', 'fetched']);
	t.is(asked, 1);
});

test('stopping ends what is fetched ahead, waiting or running, and keeps what came', async t => {
	const rig = await start(t, {background: 1});
	const [image, other] = [makeImage({size: 300_000}), makeImage()];
	const a = new FakeSupplier('a', image.bytes, [{holdAt: 100_000}]);
	const running = t.throwsAsync(rig.fetch(image, a), {instanceOf: StoppingError});
	const waiting = t.throwsAsync(rig.fetch(other, a), {instanceOf: StoppingError});
	await written(rig, image, 100_000);
	await rig.flights.suspend();
	await Promise.all([running, waiting]);
	await t.throwsAsync(rig.fetch(image, a), {instanceOf: StoppingError});
	t.is((await stat(rig.store.layout.partial(image.sha1))).size, 100_000);
});

test('what the disk does not take is not fetched for nobody', async t => {
	const rig = await start(t);
	const image = makeImage({size: 300_000});
	const a = new FakeSupplier('a', image.bytes);
	const open = rig.store.store.partial.bind(rig.store.store);
	rig.store.store.partial = async () => {
		throw new NoSpaceError('no room');
	};
	t.is(await rig.fetch(image, a), 'uncached');
	t.deepEqual(a.opened, []);

	rig.store.store.partial = async (...given) => {
		const partial = await open(...given);
		partial.write = async () => {
			throw new NoSpaceError('full', {cause: Object.assign(new Error('x'), {code: 'ENOSPC', errno: -28})});
		};
		return partial;
	};
	t.is(await rig.fetch(image, a), 'uncached');
	t.deepEqual(a.opened, [0]);
	t.is(rig.flights.status().length, 0);
	t.deepEqual(
		rig.events.map(({type}) => type),
		['transfer.begun', 'disk.error', 'transfer.ended'],
	);
	// While a client that is served straight from upstream takes bytes, nothing else does.
	const follower = rig.join(image, a);
	await follower.begin(never);
	rig.store.store.partial = open;
	const other = makeImage();
	const b = new FakeSupplier('b', other.bytes);
	const fetched = rig.fetch(other, b);
	await settle();
	t.deepEqual(b.opened, []);
	sameBytes(t, await readAll(follower), image.bytes);
	follower.close();
	t.is(await fetched, 'fetched');
});

test('a client that believes another size of a file does not wait for the one in the background', async t => {
	const rig = await start(t);
	const image = makeImage({size: 300_000});
	const a = new FakeSupplier('a', image.bytes, [{holdAt: 100_000}]);
	const wrong = {...wantedOf(image), size: 200_000};
	const fetched = t.throwsAsync(
		rig.fetch(image, a, {
			wanted: wrong,
			suppliers: () => [new FakeSupplier('b', image.bytes, [{size: undefined, holdAt: 100_000}])],
		}),
	);
	await until(() => rig.flights.status()[0]?.written === 100_000);
	const follower = rig.join(image, a);
	a.release();
	sameBytes(t, await readAll(follower), image.bytes);
	follower.close();
	t.is((await fetched).name, 'IntegrityError');
});

/** As a source whose slots are all taken. */
class CrowdedSupplier extends FakeSupplier {
	readonly asked: SupplyAt[] = [];

	override async open(at: SupplyAt, signal?: AbortSignal): Promise<SupplierBody> {
		this.asked.push(at);
		const body = await super.open(at);
		signal?.addEventListener('abort', () => body.stream.destroy());
		return body;
	}
}

test('at its source it gives way to clients, without being held against the source, and comes again', async t => {
	const rig = await start(t);
	const image = makeImage({size: 300_000});
	const a = new CrowdedSupplier('a', image.bytes, [{holdAt: 100_000}, {holdAt: 200_000}]);
	const fetched = rig.fetch(image, a);
	await written(rig, image, 100_000);
	t.true(a.asked[0]?.yielding?.background);
	a.asked[0]?.yielding?.giveWay();
	await written(rig, image, 200_000);
	a.asked[0]?.yielding?.giveWay();
	t.deepEqual(a.opened, [0, 100_000]);
	t.deepEqual(rig.host.linesLike(/interrupted/), []);
	const follower = rig.join(image, a);
	t.false(a.asked[1]?.yielding?.background, 'it is a client by now');
	a.release();
	sameBytes(t, await readAll(follower), image.bytes);
	follower.close();
	await fetched;
	const direct = makeImage();
	const b = new CrowdedSupplier('b', direct.bytes);
	const client = rig.join(direct, b);
	await readAll(client);
	t.false(b.asked[0]?.yielding?.background);
	client.close();
	t.true(b.asked[0]?.yielding?.background, 'nobody waits for it any more');
});

test('how fast it goes is told while it runs, and known afterwards', async t => {
	const rig = await start(t, {background: 1});
	const image = makeImage({size: 1_000_000});
	const a = new FakeSupplier('a', image.bytes, [{holdAt: 200_000}]);
	t.is(rig.flights.rate(), undefined);
	const abort = new AbortController();
	const fetched = rig.fetch(image, a, {signal: abort.signal});
	await written(rig, image, 200_000);
	await rig.host.clock.advance(4000);
	t.is(rig.flights.status()[0]?.bytesPerSecond, 50_000);
	t.is(rig.flights.rate(), 50_000);
	await rig.host.clock.advance(6000);
	t.is(rig.flights.status()[0]?.bytesPerSecond, 0, 'lately nothing came');
	abort.abort(new Error('enough'));
	await t.throwsAsync(fetched);
	await until(() => rig.flights.rate() !== undefined);
	t.is(rig.flights.rate(), 20_000);
	// What was slowed down does not count beside what was not.
	const slow = makeImage();
	await rig.fetch(slow, new FakeSupplier('b', slow.bytes), {pace: () => rig.host.clock.advance(60_000)});
	t.is(rig.flights.rate(), 20_000);
});

test('progress is told once a second while bytes move, and what is wrong is told with its source', async t => {
	const rig = await start(t);
	const image = makeImage({size: 12_000_000});
	const liar = new FakeSupplier('liar', image.bytes, [{bytes: Buffer.alloc(12_000_000)}]);
	const honest = new FakeSupplier('honest', image.bytes);
	const pace = (): Promise<void> => rig.host.clock.advance(600);
	t.is(await rig.fetch(image, liar, {suppliers: () => [liar, honest], pace}), 'fetched');
	const told = rig.events.filter(({type}) => type === 'transfer.progress');
	t.true(told.length >= 2, String(told.length));
	for (const [number, event] of told.entries()) {
		const before = told[number - 1]?.at;
		t.true(before === undefined || Date.parse(event.at) - Date.parse(before) >= 1000);
		t.true((event.bytes ?? 0) > 0);
		t.true(Number(event.more?.['bytesPerSecond']) > 0);
	}
	const [failure] = rig.events.filter(({type}) => type === 'verification.failed');
	t.like(failure, {source: 'liar', sha1: image.sha1});
	t.regex(failure?.problem ?? '', /SHA-1 is/);
	t.like(rig.events.at(-1), {type: 'transfer.ended', source: 'honest'});
});

test('a source that fails ends what is fetched ahead with its words', async t => {
	const rig = await start(t, {retries: 0});
	const image = makeImage();
	const refuse = new SourceUnavailableError('a', 'connection refused');
	await t.throwsAsync(rig.fetch(image, new FakeSupplier('a', image.bytes, [{refuse}])), {is: refuse});
	t.like(rig.events.at(-1), {type: 'transfer.failed', problem: 'source a: connection refused'});
});
