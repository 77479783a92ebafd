import test from 'ava';
import {IntegrityError, NotFoundError, SourceUnavailableError} from '../../src/errors.js';
import type {Manifest} from '../../src/image/manifest.js';
import {changed, day, disabled, entry, FakeSource, image, images, minute, quiet, someAsk} from './fake-source.js';
import {startCatalog, type Started} from './start-catalog.js';

/** A catalog whose lists are read, and are empty unless the sources were given images. */
async function withLists(started: Promise<Started>): Promise<Started> {
	const {catalog} = await started;
	await catalog.refresh();
	return started;
}

function withLoose(name: string, ...loose: Manifest[]): FakeSource {
	const source = new FakeSource(name);
	source.loose = loose;
	return source;
}

test('a hundred clients that look for one image in no list make one question', async t => {
	const origin = disabled(image());
	const source = withLoose('a', origin);
	const {catalog} = await withLists(startCatalog(t, [entry(source)]));
	const release = source.hold();
	const all = Array.from({length: 100}, () => catalog.find(origin.uuid, someAsk({requestId: 'r'})));
	await source.asked('find');
	await quiet();
	release();
	const answers = await Promise.all(all);
	t.deepEqual(source.finds, [origin.uuid]);
	t.true(answers.every(({manifest, source: name}) => manifest === origin && name === 'a'));
	t.is(answers.filter(({cache}) => cache === 'miss').length, 1);
	t.is(answers.filter(({cache}) => cache === 'join').length, 99);
	t.is((await catalog.find(origin.uuid, someAsk())).cache, 'hit');
	t.is(source.finds.length, 1);
	t.is(source.asks.at(-1)?.requestId, 'r');
});

test('a client that leaves does not end the question for the others', async t => {
	const origin = image();
	const source = withLoose('a', origin);
	const {catalog} = await withLists(startCatalog(t, [entry(source)]));
	const release = source.hold();
	const client = new AbortController();
	const leaving = catalog.find(origin.uuid, {signal: client.signal});
	const staying = catalog.find(origin.uuid, someAsk());
	await source.asked('find');
	client.abort(new Error('gone'));
	await t.throwsAsync(leaving, {message: 'gone'});
	t.false(source.asks.at(-1)?.signal.aborted);
	release();
	t.is((await staying).manifest, origin);
});

test('no means that every source said no, and is remembered by source for a while', async t => {
	const [a, b] = [new FakeSource('a'), new FakeSource('b')];
	const {catalog, clock} = await withLists(
		startCatalog(t, [entry(a, {missingTtlMs: minute}), entry(b, {missingTtlMs: 3 * minute})]),
	);
	const {uuid} = image();
	for (let client = 0; client < 10; client++) {
		await t.throwsAsync(catalog.find(uuid, someAsk()), {instanceOf: NotFoundError});
	}
	t.deepEqual([a.finds.length, b.finds.length], [1, 1]);
	await clock.advance(2 * minute);
	await t.throwsAsync(catalog.find(uuid, someAsk()), {instanceOf: NotFoundError});
	t.deepEqual([a.finds.length, b.finds.length], [2, 1]);
});

test('a no is forgotten when the image comes into the list', async t => {
	const source = new FakeSource('a');
	const {catalog} = await withLists(startCatalog(t, [entry(source)]));
	const late = image();
	await t.throwsAsync(catalog.find(late.uuid, someAsk()), {instanceOf: NotFoundError});
	source.images = [late];
	await catalog.refresh();
	t.is((await catalog.find(late.uuid, someAsk())).manifest, late);
});

test('absent is not unknown: one source that does not answer is enough', async t => {
	const [a, b] = [new FakeSource('a'), new FakeSource('b')];
	const {catalog} = await withLists(startCatalog(t, [entry(a), entry(b)]));
	b.down('timeout');
	const error = await t.throwsAsync(catalog.find(image().uuid, someAsk()), {instanceOf: SourceUnavailableError});
	t.regex(error.message, /^source b: cannot tell whether there is an image .*: timeout$/);
});

test('a source that failed is not asked by the next client, but after a while', async t => {
	const source = new FakeSource('a');
	const {catalog, clock} = await withLists(startCatalog(t, [entry(source)]));
	source.down();
	for (let client = 0; client < 20; client++) {
		await t.throwsAsync(catalog.find(image().uuid, someAsk()), {instanceOf: SourceUnavailableError});
	}
	t.is(source.finds.length, 1);
	await clock.advance(1000);
	source.up();
	await t.throwsAsync(catalog.find(image().uuid, someAsk()), {instanceOf: NotFoundError});
	await t.throwsAsync(catalog.find(image().uuid, someAsk()), {instanceOf: NotFoundError});
	t.is(source.finds.length, 3);
});

test('a source whose list fails before it begins is not asked for images either', async t => {
	const source = new FakeSource('a').down();
	const {catalog, clock} = await withLists(startCatalog(t, [entry(source)]));
	await t.throwsAsync(catalog.find(image().uuid, someAsk()), {instanceOf: SourceUnavailableError});
	t.is(source.finds.length, 0);
	source.up();
	await clock.advance(10 * minute);
	await t.throwsAsync(catalog.find(image().uuid, someAsk()), {instanceOf: NotFoundError});
});

test('a source whose list breaks in the middle is still asked for images', async t => {
	const origin = image();
	const source = withLoose('a', origin);
	source.images = images(3);
	source.breakAfter = 2;
	const {catalog} = await withLists(startCatalog(t, [entry(source)]));
	t.is((await catalog.find(origin.uuid, someAsk())).manifest, origin);
});

test('a source said to be down is unknown without being asked', async t => {
	const origin = image();
	const [a, b] = [withLoose('a', origin), withLoose('b')];
	const health: {state: string; retryAtMs?: number} = {state: 'down'};
	const {catalog, clock} = await withLists(startCatalog(t, [entry(a, {health: () => health}), entry(b)]));
	health.retryAtMs = clock.now() + minute;
	await t.throwsAsync(catalog.find(origin.uuid, someAsk()), {instanceOf: SourceUnavailableError});
	t.is(a.finds.length, 0);
	await clock.advance(minute);
	t.is((await catalog.find(origin.uuid, someAsk())).manifest, origin);
});

test('of several sources that have it, the first in order wins', async t => {
	const first = image();
	const second = changed(first, {description: 'another'});
	const [a, b] = [withLoose('a', first), withLoose('b', second)];
	const {catalog, clock} = await withLists(startCatalog(t, [entry(a), entry(b)]));
	const release = a.hold();
	const answer = catalog.find(first.uuid, someAsk());
	await clock.timerDueIn(500, 500);
	release();
	t.like(await answer, {manifest: first, source: 'a', cache: 'miss'});
});

test('a source that has it is not held back by a slow one before it for more than a moment', async t => {
	const first = image();
	const second = changed(first, {description: 'another'});
	const [a, b] = [withLoose('a', first), withLoose('b', second)];
	const {catalog, clock} = await withLists(startCatalog(t, [entry(a), entry(b)]));
	const release = a.hold();
	const answer = catalog.find(first.uuid, someAsk());
	await clock.timerDueIn(500, 500);
	await clock.advance(500);
	t.like(await answer, {manifest: second, source: 'b'});
	release();
	await quiet();
	t.like(await catalog.find(first.uuid, someAsk()), {manifest: first, source: 'a', cache: 'hit'});
});

test('what a source said is used again, and renewed behind when it is old', async t => {
	const origin = image();
	const source = withLoose('a', origin);
	const {catalog, clock} = await withLists(startCatalog(t, [entry(source, {imageTtlMs: 5 * minute})]));
	await catalog.find(origin.uuid, someAsk());
	await clock.advance(4 * minute);
	await catalog.find(origin.uuid, someAsk());
	t.is(source.finds.length, 1);

	await clock.advance(2 * minute);
	const newer = changed(origin, {description: 'new'});
	source.loose = [newer];
	const release = source.hold();
	for (let client = 0; client < 10; client++) {
		t.like(await catalog.find(origin.uuid, someAsk()), {manifest: origin, cache: 'hit'});
	}
	t.is(source.finds.length, 2);
	release();
	await quiet();
	t.like(await catalog.find(origin.uuid, someAsk()), {manifest: newer, cache: 'hit'});
});

test('while its source is away, the last answer is given, marked stale, for keepFor and across a restart', async t => {
	const origin = image();
	const source = withLoose('a', origin);
	const options = {keepForMs: day};
	const {catalog, clock, host, directory, end} = await withLists(startCatalog(t, [entry(source, options)]));
	await catalog.find(origin.uuid, someAsk());
	source.down();
	await clock.advance(day / 2);
	await catalog.find(origin.uuid, someAsk());
	await quiet();
	t.is((await catalog.find(origin.uuid, someAsk())).cache, 'stale');
	await end();

	const {catalog: again} = await withLists(startCatalog(t, [entry(source, options)], {directory, host}));
	const found = await again.find(origin.uuid, someAsk());
	t.is(found.manifest.text, origin.text);
	t.is(found.cache, 'stale');
	await clock.advance(day);
	await t.throwsAsync(again.find(origin.uuid, someAsk()), {instanceOf: SourceUnavailableError});
});

test('an answer that is the same keeps the manifest object', async t => {
	const origin = image();
	const source = withLoose('a', origin);
	const {catalog, clock} = await withLists(startCatalog(t, [entry(source)]));
	await catalog.find(origin.uuid, someAsk());
	source.loose = [changed(origin, {})];
	await clock.advance(day);
	await catalog.find(origin.uuid, someAsk());
	await quiet();
	t.is((await catalog.find(origin.uuid, someAsk())).manifest, origin);
});

for (const vanished of ['keep', 'hide'] as const) {
	test(`an image found before that its source has no more is still found (${vanished})`, async t => {
		const origin = image();
		const source = withLoose('a', origin);
		const {catalog, clock, dropped} = await withLists(startCatalog(t, [entry(source, {vanished})]));
		await catalog.find(origin.uuid, someAsk());
		source.loose = [];
		await clock.advance(day);
		await catalog.find(origin.uuid, someAsk());
		await quiet();
		t.like(await catalog.find(origin.uuid, someAsk()), {manifest: origin, cache: 'hit'});
		t.is(source.finds.length, 2);
		t.deepEqual(dropped, []);
	});
}

test('an image found before that its source has no more is forgotten where that is wanted (drop)', async t => {
	const origin = image();
	const source = withLoose('a', origin);
	const {catalog, clock, dropped, held} = await withLists(startCatalog(t, [entry(source, {vanished: 'drop'})]));
	await catalog.find(origin.uuid, someAsk());
	held.push({manifest: origin, source: 'a'});
	catalog.heldChanged();
	await catalog.settled();
	source.loose = [];
	await clock.advance(day);
	await catalog.find(origin.uuid, someAsk());
	await quiet();
	t.deepEqual(dropped, [origin]);
	await t.throwsAsync(catalog.find(origin.uuid, someAsk()), {instanceOf: NotFoundError});
});

test('an excluded image is absent, unless a known image cannot be had without it', async t => {
	const [excluded, base, middle] = [image({os: 'windows'}), image({os: 'windows'}), image()];
	const chained = disabled(changed(middle, {origin: base.uuid}));
	const source = withLoose('a', excluded, base, chained);
	const options = entry(source, {matches: ({os}) => os !== 'windows'});
	const {catalog} = await withLists(startCatalog(t, [options]));
	await t.throwsAsync(catalog.find(excluded.uuid, someAsk()), {instanceOf: NotFoundError});
	await t.throwsAsync(catalog.find(excluded.uuid, someAsk()), {instanceOf: NotFoundError});
	t.is(source.finds.length, 1);

	source.images = [image({origin: excluded.uuid})];
	await catalog.refresh();
	t.is((await catalog.find(excluded.uuid, someAsk())).manifest, excluded);

	await t.throwsAsync(catalog.find(base.uuid, someAsk()), {instanceOf: NotFoundError});
	t.is((await catalog.find(chained.uuid, someAsk())).manifest, chained);
	t.is((await catalog.find(base.uuid, someAsk())).manifest, base);
});

test('a request that has been here before is not passed on', async t => {
	const origin = image();
	const source = withLoose('a', origin);
	const {catalog, clock} = await withLists(startCatalog(t, [entry(source)], {instanceId: 'me-1234'}));
	await t.throwsAsync(catalog.find(origin.uuid, someAsk({via: '1.1 me-1234, 1.1 other'})), {instanceOf: NotFoundError});
	t.is(source.finds.length, 0);
	await catalog.find(origin.uuid, someAsk({via: '1.1 other'}));
	t.is(source.asks.at(-1)?.via, '1.1 other');
	await clock.advance(day);
	t.is((await catalog.find(origin.uuid, someAsk({via: '1.1 me-1234'}))).manifest, origin);
	await quiet();
	t.is(source.finds.length, 1);
});

test('a request that has been here before gets what is held', async t => {
	const off = disabled(image());
	const source = withLoose('a');
	const held = [{manifest: off, source: 'a'}];
	const {catalog} = await withLists(startCatalog(t, [entry(source)], {instanceId: 'me', held}));
	t.like(await catalog.find(off.uuid, someAsk({via: 'me'})), {manifest: off, cache: 'hit'});
	t.is(source.finds.length, 0);
});

test('two mirrors that ask each other for the same image do not wait for each other', async t => {
	const [a, b] = [new FakeSource('b'), new FakeSource('a')];
	const one = await withLists(startCatalog(t, [entry(a)], {instanceId: 'one'}));
	const two = await withLists(startCatalog(t, [entry(b)], {instanceId: 'two'}));
	a.find = (uuid, ask) => absentOr(two.catalog.find(uuid, {...ask, via: `${ask.via ?? ''} one`}));
	b.find = (uuid, ask) => absentOr(one.catalog.find(uuid, {...ask, via: `${ask.via ?? ''} two`}));
	const {uuid} = image();
	await Promise.all([
		t.throwsAsync(one.catalog.find(uuid, someAsk()), {instanceOf: NotFoundError}),
		t.throwsAsync(two.catalog.find(uuid, someAsk()), {instanceOf: NotFoundError}),
	]);
});

async function absentOr(answer: Promise<{manifest: Manifest}>): Promise<Manifest | undefined> {
	try {
		return (await answer).manifest;
	} catch (error) {
		if (error instanceof NotFoundError) {
			return undefined;
		}
		throw error;
	}
}

test('an answer that cannot be used tells nothing, and is not asked for again by each client', async t => {
	const [a, b] = [new FakeSource('a'), new FakeSource('b')];
	const {catalog, clock} = await withLists(startCatalog(t, [entry(a)]));
	a.failure = new IntegrityError('no manifest');
	const {uuid} = image();
	for (let client = 0; client < 5; client++) {
		await t.throwsAsync(catalog.find(uuid, someAsk()), {instanceOf: SourceUnavailableError});
	}
	t.is(a.finds.length, 1);
	a.failure = undefined;
	await t.throwsAsync(catalog.find(image().uuid, someAsk()), {instanceOf: NotFoundError});
	await clock.advance(10_000);
	await t.throwsAsync(catalog.find(uuid, someAsk()), {instanceOf: NotFoundError});

	const other = image();
	b.find = () => Promise.resolve(other);
	await catalog.setSources([entry(b)]);
	await catalog.refresh();
	const error = await t.throwsAsync(catalog.find(uuid, someAsk()), {instanceOf: SourceUnavailableError});
	t.regex(error.message, new RegExp(`it gave image ${other.uuid} for ${uuid}`));
});

test('a held image that is in no list is renewed from its source, but not waited for when that is slow', async t => {
	const off = disabled(image());
	const newer = changed(off, {description: 'new'});
	const source = withLoose('a', newer);
	const {catalog, clock} = await withLists(startCatalog(t, [entry(source)], {held: [{manifest: off, source: 'a'}]}));
	const release = source.hold();
	const answer = catalog.find(off.uuid, someAsk());
	await clock.timerDueIn(500, 500);
	await clock.advance(500);
	t.like(await answer, {manifest: off, cache: 'stale'});
	release();
	await quiet();
	t.like(await catalog.find(off.uuid, someAsk()), {manifest: newer, cache: 'hit'});
});

test('a held image that every source denies is still found', async t => {
	const off = disabled(image());
	const {catalog} = await withLists(startCatalog(t, [entry(withLoose('a'))], {held: [{manifest: off, source: 'a'}]}));
	t.like(await catalog.find(off.uuid, someAsk()), {manifest: off, source: 'a', cache: 'hit'});
});

test('before the first list is there, an image is asked for by its uuid', async t => {
	const source = new FakeSource('a', images(2));
	const release = source.hold();
	const {catalog} = await startCatalog(t, [entry(source)]);
	const [one = image()] = source.images;
	const found = catalog.find(one.uuid, someAsk());
	await source.asked('find');
	release();
	t.is((await found).manifest, one);
});

test('an image that comes into the list is loose no more', async t => {
	const origin = image();
	const source = withLoose('a', origin);
	const {catalog, memory} = await withLists(startCatalog(t, [entry(source)]));
	await catalog.find(origin.uuid, someAsk());
	t.truthy(memory.loose('a', origin.uuid));
	t.is(catalog.suppliersFor(origin, 0).length, 1);
	source.images = [origin];
	await catalog.refresh();
	t.is(memory.loose('a', origin.uuid), undefined);
});
