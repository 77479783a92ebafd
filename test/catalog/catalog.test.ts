import test from 'ava';
import {NotFoundError, SourceUnavailableError, StoppingError} from '../../src/errors.js';
import type {Snapshot} from '../../src/catalog/catalog.js';
import {settle, type ManualClock} from '../helpers/manual-clock.js';
import {
	changed,
	day,
	disabled,
	entry,
	FakeSource,
	files,
	image,
	images,
	minute,
	quiet,
	someAsk,
} from './fake-source.js';
import {query, startCatalog, uuidsOf} from './start-catalog.js';

interface Started {
	readonly clock: ManualClock;
	readonly release: () => void;
	readonly list: Promise<Snapshot>;
}

test('the list is that of all sources, sorted, active images only', async t => {
	const [one, two, three] = images(3);
	t.truthy(one && two && three);
	if (one === undefined || two === undefined || three === undefined) {
		return;
	}
	const off = disabled(image());
	const sources = [new FakeSource('a', [three, off]), new FakeSource('b', [one, two, three])];
	const {catalog} = await startCatalog(
		t,
		sources.map(source => entry(source)),
	);
	const {images: found, cache} = await catalog.search(query(), someAsk());
	t.deepEqual(found, [one, two, three]);
	t.is(cache, 'miss');
	const {parts, length, cache: later} = await catalog.list(query('name=nothing'), someAsk());
	t.is(Buffer.concat([...parts()]).toString(), '[]');
	t.is(length, 2);
	t.is(later, 'hit');
});

test('without sources, the list is empty but for what is held', async t => {
	const held = image();
	const {catalog} = await startCatalog(t, [], {held: [{manifest: held, source: 'once'}]});
	const found = await catalog.search(query(), someAsk());
	t.deepEqual({images: found.images, cache: found.cache}, {images: [held], cache: 'hit'});
	t.deepEqual(await catalog.find(held.uuid, someAsk()), {manifest: held, source: 'once', cache: 'hit'});
	await t.throwsAsync(catalog.find(image().uuid, someAsk()), {instanceOf: NotFoundError});

	const {catalog: empty} = await startCatalog(t, []);
	t.deepEqual((await empty.search(query(), someAsk())).images, []);
});

test('what can be told at once is told at once, and is what would have been told otherwise', async t => {
	const listed = images(2);
	const [one] = listed;
	const off = disabled(image());
	const source = new FakeSource('a', [...listed, off]);
	const release = source.hold();
	const {catalog, clock} = await startCatalog(t, [entry(source, {listTtlMs: minute})]);
	const uuid = one?.uuid ?? off.uuid;
	t.is(catalog.listNow(query()), undefined);
	t.is(catalog.findNow(uuid), undefined);
	const first = catalog.list(query(), someAsk());
	release();
	t.is((await first).cache, 'miss');

	const now = catalog.listNow(query());
	t.like(now, {cache: 'hit', etag: (await first).etag});
	const {encoded} = await catalog.list(query(), someAsk());
	t.is(now?.encoded, encoded);
	t.is(catalog.listNow(query('name=never-asked')), undefined);
	t.deepEqual(catalog.findNow(uuid), await catalog.find(uuid, someAsk()));
	t.deepEqual(catalog.findNow(off.uuid), await catalog.find(off.uuid, someAsk()));
	t.is(catalog.findNow(image().uuid), undefined);

	// Whoever looks reminds the source of its age, and is told of it.
	source.down();
	await catalog.refresh();
	t.is(catalog.findNow(uuid)?.cache, 'hit');
	await clock.advance(2 * minute);
	const asked = source.lists;
	t.is(catalog.findNow(uuid)?.cache, 'stale');
	t.is(catalog.listNow(query())?.cache, 'stale');
	t.is(catalog.listNow(query())?.encoded, encoded);
	await clock.advance(10 * minute);
	catalog.findNow(uuid);
	await source.asked('list', asked + 1);

	await catalog.holds.hold(uuid, {by: 'anna'});
	t.is(catalog.findNow(uuid), undefined);
	t.is(catalog.listNow(query()), undefined);
	await catalog.stop();
	t.throws(() => catalog.findNow(uuid), {instanceOf: StoppingError});
	t.throws(() => catalog.listNow(query()), {instanceOf: StoppingError});
});

test('a client waits for the first list when nothing at all is known', async t => {
	const source = new FakeSource('a', images(2));
	const release = source.hold();
	const {catalog, clock} = await startCatalog(t, [entry(source)]);
	const answer = catalog.current(someAsk());
	await clock.advance(10 * minute);
	release();
	const {cache, images: found} = await answer;
	t.is(cache, 'miss');
	t.is(found.length, 2);
	t.is((await catalog.current(someAsk())).cache, 'hit');
});

test('once one source is known, others in their first attempt are waited for only a short while', async t => {
	const [quick, slow] = [new FakeSource('quick', images(1)), new FakeSource('slow', images(1))];
	const release = slow.hold();
	const {catalog, clock} = await startCatalog(t, [entry(quick), entry(slow)]);
	const first = catalog.current(someAsk());
	await clock.timerDueIn(1000, 1000);
	await clock.advance(1000);
	t.is((await first).images.length, 1);
	t.is((await catalog.current(someAsk())).images.length, 1);

	release();
	await settle();
	await catalog.settled();
	t.is((await catalog.current(someAsk())).images.length, 2);
});

test('a source that answers within that while is in the first list', async t => {
	const [quick, slow] = [new FakeSource('quick', images(1)), new FakeSource('slow', images(1))];
	const release = slow.hold();
	const {catalog, clock} = await startCatalog(t, [entry(quick), entry(slow)]);
	const first = catalog.current(someAsk());
	await clock.timerDueIn(1000, 1000);
	await clock.advance(500);
	release();
	t.is((await first).images.length, 2);
});

test('a list that is arriving is waited for longer, but not for ever', async t => {
	const make = async (): Promise<Started> => {
		const [quick, slow] = [new FakeSource('quick', images(1)), new FakeSource('slow', images(2))];
		const release = slow.holdAfterFirst();
		const {catalog, clock} = await startCatalog(t, [entry(quick), entry(slow)]);
		return {clock, release, list: catalog.current(someAsk())};
	};
	const finished = await make();
	await finished.clock.timerDueIn(20_000, 20_000);
	await finished.clock.advance(15_000);
	finished.release();
	t.is((await finished.list).images.length, 3);

	const stuck = await make();
	await stuck.clock.timerDueIn(20_000, 20_000);
	await stuck.clock.advance(20_000);
	t.is((await stuck.list).images.length, 1);
	stuck.release();
});

test('after a restart nobody waits for a source that was never heard of', async t => {
	const [known, silent] = [new FakeSource('known', images(2)), new FakeSource('silent')];
	const before = await startCatalog(t, [entry(known)]);
	await before.catalog.refresh();
	await before.end();
	known.hold();
	silent.hold();
	const {directory, host} = before;
	const {catalog} = await startCatalog(t, [entry(silent), entry(known)], {directory, host});
	t.is((await catalog.current(someAsk())).images.length, 2);
});

test('a dead source delays nobody once its first attempt is a while ago', async t => {
	const [quick, dead] = [new FakeSource('quick', images(1)), new FakeSource('dead')];
	dead.hold();
	const release = quick.hold();
	const {catalog, clock} = await startCatalog(t, [entry(quick), entry(dead)]);
	const first = catalog.current(someAsk());
	await clock.advance(5000);
	release();
	t.is((await first).images.length, 1);
});

test('where nothing is known and every source failed, the answer is that it is not known', async t => {
	const sources = [new FakeSource('a').down(), new FakeSource('b').down('timeout')];
	const {catalog} = await startCatalog(
		t,
		sources.map(source => entry(source)),
	);
	const error = await t.throwsAsync(catalog.current(someAsk()), {instanceOf: SourceUnavailableError});
	t.is(error.message, 'source a, b: no list yet: connection refused');
});

test('a client that leaves ends its own wait and nothing else', async t => {
	const source = new FakeSource('a', images(1));
	const release = source.hold();
	const {catalog} = await startCatalog(t, [entry(source)]);
	const client = new AbortController();
	const leaving = catalog.current({signal: client.signal});
	const staying = catalog.list(query(), someAsk());
	await settle();
	client.abort(new Error('gone'));
	await t.throwsAsync(leaving, {message: 'gone'});
	await t.throwsAsync(catalog.current({signal: client.signal}), {message: 'gone'});
	release();
	t.true((await staying).length > 2);
	t.is(source.lists, 1);
});

test('what is held is said at once while sources are silent', async t => {
	const held = image();
	const source = new FakeSource('a', images(1));
	source.hold();
	const {catalog, clock} = await startCatalog(t, [entry(source)], {held: [{manifest: held, source: 'a'}]});
	const first = catalog.search(query(), someAsk());
	await clock.timerDueIn(1000, 1000);
	await clock.advance(1000);
	const found = await first;
	t.deepEqual({images: found.images, cache: found.cache}, {images: [held], cache: 'stale'});
	t.deepEqual(await catalog.find(held.uuid, someAsk()), {manifest: held, source: 'a', cache: 'stale'});
});

test('a mirror that asks is not kept waiting for ever: two that begin may be waiting for each other', async t => {
	const source = new FakeSource('a', images(1));
	source.hold();
	const {catalog, clock} = await startCatalog(t, [entry(source)], {instanceId: 'me'});
	const answer = catalog.current(someAsk({via: 'another'}));
	await clock.timerDueIn(5000, 5000);
	await clock.advance(5000);
	await t.throwsAsync(answer, {instanceOf: SourceUnavailableError});
	await t.throwsAsync(catalog.current(someAsk({via: 'me, another'})), {instanceOf: SourceUnavailableError});
});

test('an old list is served at once, and refreshed once however many ask', async t => {
	const source = new FakeSource('a', images(2));
	const {catalog, clock} = await startCatalog(t, [entry(source, {listTtlMs: minute})]);
	const before = await catalog.current(someAsk());
	await clock.advance(minute + 1);
	const release = source.hold();
	source.images = [...source.images, image()];
	for (let client = 0; client < 100; client++) {
		t.is((await catalog.current(someAsk())).images, before.images);
	}
	t.is(source.lists, 2);
	release();
	await settle();
	await catalog.settled();
	const after = await catalog.current(someAsk());
	t.is(after.images.length, 3);
	t.is(after.cache, 'hit');
	t.not(after.version, before.version);
});

test('a list is refreshed when it is due though nobody asks, not exactly to the second', async t => {
	const source = new FakeSource('a', images(1));
	const {catalog, clock} = await startCatalog(t, [entry(source, {listTtlMs: 10 * minute})]);
	await catalog.current(someAsk());
	await clock.advance(10 * minute);
	t.is(source.lists, 1);
	await clock.advance(minute);
	t.is(source.lists, 2);
	await clock.advance(110 * minute);
	t.is(source.lists, 12);
});

test('a refresh that changes nothing keeps the version, the manifests and the bytes', async t => {
	const source = new FakeSource('a', images(3));
	const {catalog} = await startCatalog(t, [entry(source)]);
	const before = await catalog.current(someAsk());
	const bytes = await catalog.list(query(), someAsk());
	source.images = source.images.map(manifest => changed(manifest, {}));
	await catalog.refresh();
	const after = await catalog.current(someAsk());
	t.is(after.version, before.version);
	t.is(after.images, before.images);
	t.true((await catalog.list(query(), someAsk())).chunks()?.[0] === bytes.chunks()?.[0]);
});

test('a manifest that changed upstream is the new one; the others stay the same objects', async t => {
	const [one = image(), two = image()] = images(2);
	const source = new FakeSource('a', [one, two]);
	const {catalog, host} = await startCatalog(t, [entry(source)]);
	await catalog.current(someAsk());
	const renamed = changed(one, {description: 'new'});
	source.images = [renamed, changed(two, {}), image()];
	source.skipped = 2;
	await catalog.refresh();
	const {images: found} = await catalog.current(someAsk());
	t.is(
		found.find(({uuid}) => uuid === one.uuid),
		renamed,
	);
	t.is(
		found.find(({uuid}) => uuid === two.uuid),
		two,
	);
	t.is(host.linesLike(/source a: list of 3 images, \+1 -0 ~1, 2 skipped, in 0 ms/).length, 1);
});

test('long lists that are read at the same time, in any order, share what they have alike', async t => {
	const listed = images(4000);
	const shuffled = listed.map((_, at) => listed[(at * 1337) % listed.length] ?? image());
	const [a, b] = [
		new FakeSource('a', listed),
		new FakeSource(
			'b',
			shuffled.map(manifest => changed(manifest, {})),
		),
	];
	const {catalog} = await startCatalog(t, [entry(a), entry(b)]);
	await catalog.refresh();
	const {images: found} = catalog.snapshot();
	t.deepEqual(
		found.map(({uuid}) => uuid),
		listed.map(({uuid}) => uuid),
	);
	const suppliers = found.flatMap(manifest => [catalog.suppliersFor(manifest, 0)]);
	t.true(suppliers.every(([first, second]) => second !== undefined && first?.manifest === second.manifest));

	const {version} = catalog.snapshot();
	await catalog.refresh();
	t.is(catalog.snapshot().version, version);
	t.is(catalog.snapshot().images, found);
});

test('what several sources list alike is one object', async t => {
	const listed = images(2);
	const [a, b] = [
		new FakeSource('a', listed),
		new FakeSource(
			'b',
			listed.map(manifest => changed(manifest, {})),
		),
	];
	const {catalog, directory, host, end} = await startCatalog(t, [entry(a), entry(b)]);
	await catalog.refresh();
	const [wanted = image()] = listed;
	const suppliers = catalog.suppliersFor(wanted, 0);
	t.is(suppliers.length, 2);
	t.is(suppliers[0]?.manifest, suppliers[1]?.manifest);
	await end();

	const {catalog: again} = await startCatalog(t, [entry(a.down()), entry(b.down())], {directory, host});
	const later = again.suppliersFor(wanted, 0);
	t.is(later.length, 2);
	t.is(later[0]?.manifest, later[1]?.manifest);
});

test('a failing source keeps its last list, marked stale, and is asked again with backoff, not by each client', async t => {
	const source = new FakeSource('a', images(2));
	const {catalog, clock, host} = await startCatalog(t, [entry(source, {listTtlMs: minute})]);
	await catalog.current(someAsk());
	source.down();
	await clock.advance(2 * minute);
	const askedFor: number[] = [];
	for (let step = 0; step < 200; step++) {
		for (let client = 0; client < 5; client++) {
			const {images: found, cache} = await catalog.current(someAsk());
			t.is(found.length, 2);
			t.is(cache, 'stale');
		}
		await clock.advance(10_000);
		askedFor.push(source.lists);
	}
	// 33 minutes: 1, 2, 4 … 256 s apart, then five minutes at most.
	t.true(source.lists >= 12 && source.lists <= 20, String(source.lists));
	t.true(host.linesLike(/source a: no list: connection refused; next try in \d/).length >= 10);

	source.up();
	await clock.advance(6 * minute);
	t.is((await catalog.current(someAsk())).cache, 'hit');
});

test('a list that breaks in the middle changes nothing', async t => {
	const source = new FakeSource('a', images(5));
	const {catalog} = await startCatalog(t, [entry(source)]);
	const before = await catalog.current(someAsk());
	source.images = [image()];
	source.breakAfter = 0;
	t.deepEqual(await catalog.refresh(), [{source: 'a', problem: 'the connection broke'}]);
	t.is((await catalog.current(someAsk())).images, before.images);
	source.breakAfter = undefined;
	t.deepEqual(await catalog.refresh('a'), [{source: 'a', problem: undefined}]);
	await t.throwsAsync(catalog.refresh('b'), {instanceOf: NotFoundError});
});

test('after keepFor without an answer, the images of a source leave, but not those whose files are held', async t => {
	const [one = image(), two = image(), three = image()] = images(3);
	const [a, b] = [new FakeSource('a', [one, two]), new FakeSource('b', [three])];
	const held = [{manifest: one, source: 'a'}];
	const {catalog, clock, host} = await startCatalog(t, [entry(a, {keepForMs: day}), entry(b)], {held});
	await catalog.current(someAsk());
	a.down();
	await clock.advance(day - minute);
	t.is((await catalog.current(someAsk())).images.length, 3);
	await clock.advance(10 * minute);
	await catalog.current(someAsk());
	await catalog.settled();
	t.deepEqual(uuidsOf((await catalog.current(someAsk())).images), uuidsOf([one, three]));
	t.is(host.linesLike(/its images leave ours/).length, 1);
	await t.throwsAsync(catalog.find(two.uuid, someAsk()), {instanceOf: SourceUnavailableError});

	a.up();
	await catalog.refresh();
	t.is((await catalog.current(someAsk())).images.length, 3);
});

test('alone and failing for longer than keepFor, a source leaves nothing to say', async t => {
	const source = new FakeSource('a', images(2));
	const {catalog, clock} = await startCatalog(t, [entry(source, {keepForMs: day})]);
	await catalog.current(someAsk());
	source.down();
	await clock.advance(day + 10 * minute);
	await catalog.settled();
	await t.throwsAsync(catalog.current(someAsk()), {instanceOf: SourceUnavailableError});
});

test('after a restart with every source dead, the last list is there before anybody is asked', async t => {
	const listed = images(1100);
	const source = new FakeSource('a', listed);
	const {catalog, directory, host, end} = await startCatalog(t, [entry(source)]);
	await catalog.current(someAsk());
	await end();

	source.down().hold();
	source.lists = 0;
	const second = await startCatalog(t, [entry(source)], {directory, host, unstarted: true});
	const list = source.list.bind(source);
	source.list = ask => {
		t.is(second.catalog.snapshot().images.length, 1100);
		return list(ask);
	};
	await second.catalog.start();
	const {images: found, cache} = await second.catalog.current(someAsk());
	t.deepEqual(uuidsOf(found), uuidsOf(listed));
	t.is(cache, 'hit');
	t.is(source.lists, 1);
	const [first = image()] = listed;
	t.is((await second.catalog.find(first.uuid, someAsk())).cache, 'hit');
	t.is(source.finds.length, 0);
});

test('with SQLite it is the same', async t => {
	const source = new FakeSource('a', images(700));
	const importSqlite = (): Promise<unknown> => import('@keyv/sqlite');
	const {catalog, memory, directory, host, end} = await startCatalog(t, [entry(source)], {importSqlite});
	await catalog.current(someAsk());
	await end();
	t.is(memory.kind, 'sqlite');
	source.down();
	const second = await startCatalog(t, [entry(source)], {directory, host, importSqlite});
	t.is((await second.catalog.current(someAsk())).images.length, 700);
});

test('a list remembered from longer ago than keepFor is not there after a restart', async t => {
	const source = new FakeSource('a', images(1));
	const {catalog, directory, host, end} = await startCatalog(t, [entry(source, {keepForMs: day})]);
	await catalog.current(someAsk());
	await end();
	await host.clock.advance(2 * day);
	source.down();
	const second = await startCatalog(t, [entry(source, {keepForMs: day})], {directory, host});
	await t.throwsAsync(second.catalog.current(someAsk()), {instanceOf: SourceUnavailableError});
});

test('a remembered list is old after a restart if the clock was set back meanwhile', async t => {
	const source = new FakeSource('a', images(1));
	const {catalog, directory, end} = await startCatalog(t, [entry(source)]);
	await catalog.current(someAsk());
	await end();
	source.hold();
	const {catalog: again} = await startCatalog(t, [entry(source)], {directory});
	t.is((await again.current(someAsk())).images.length, 1);
	t.is(again.status().sources[0]?.ageMs, 0);
});

test('with the memory deleted and the sources down, what is held is listed, found and supplied', async t => {
	const [one = image(), two = image()] = images(2);
	const off = disabled(image());
	const source = new FakeSource('a').down();
	const held = [
		{manifest: two, source: 'gone'},
		{manifest: one, source: 'a'},
		{manifest: off, source: 'a'},
		{manifest: image({os: 'windows'}), source: 'a'},
	];
	const wanted = entry(source, {matches: ({os}) => os !== 'windows'});
	const {catalog} = await startCatalog(t, [wanted], {held});
	await catalog.current(someAsk());
	const found = await catalog.search(query(), someAsk());
	t.deepEqual({images: found.images, cache: found.cache}, {images: [one, two], cache: 'stale'});
	t.like(await catalog.find(one.uuid, someAsk()), {manifest: one, source: 'a', cache: 'stale'});
	t.like(await catalog.find(two.uuid, someAsk()), {manifest: two, source: 'gone', cache: 'hit'});
	t.like(await catalog.find(off.uuid, someAsk()), {manifest: off, source: 'a', cache: 'stale'});
	await t.throwsAsync(catalog.find(held[3]?.manifest.uuid ?? one.uuid, someAsk()), {
		instanceOf: SourceUnavailableError,
	});
	t.is(catalog.suppliersFor(one, 0)[0]?.source, source);

	source.up();
	const newer = changed(one, {description: 'new'});
	source.images = [newer];
	await catalog.refresh();
	t.is((await catalog.find(one.uuid, someAsk())).manifest, newer);
});

test('where the list of a source is not known, another is said to be old, and to prove nothing', async t => {
	const [one = image()] = images(1);
	const [up, down] = [new FakeSource('up', [one]), new FakeSource('down').down()];
	const {catalog} = await startCatalog(t, [entry(down), entry(up)]);
	await catalog.refresh();
	t.like(await catalog.current(someAsk()), {images: [one], silent: {source: 'down'}});
	t.like(catalog.snapshot(), {images: [one], cache: 'stale', silent: {source: 'down'}});
	const behind = query(`marker=${image().uuid}`);
	for (const asked of [catalog.search(behind, someAsk()), catalog.list(behind, someAsk())]) {
		const {message} = await t.throwsAsync(asked, {instanceOf: SourceUnavailableError});
		t.regex(message, /^source down: cannot tell whether it is there \(marker: no image/u);
	}
	down.up();
	await catalog.refresh();
	t.is(catalog.snapshot().silent, undefined);
	t.is(catalog.snapshot().cache, 'hit');
	await t.throwsAsync(catalog.search(behind, someAsk()), {instanceOf: NotFoundError});
	await t.throwsAsync(catalog.list(behind, someAsk()), {instanceOf: NotFoundError});
});

test('what is held later is listed when the catalog is told', async t => {
	const {catalog, held} = await startCatalog(t, []);
	const manifest = image();
	held.push({manifest, source: 'bundle'});
	catalog.heldChanged();
	await catalog.settled();
	t.deepEqual((await catalog.search(query(), someAsk())).images, [manifest]);
});

test('files of images that are listed anyway change nothing', async t => {
	const source = new FakeSource('a', images(2));
	const {catalog, held} = await startCatalog(t, [entry(source)]);
	const before = await catalog.current(someAsk());
	const [one = image()] = source.images;
	held.push({manifest: one, source: 'a'});
	catalog.heldChanged();
	await catalog.settled();
	t.is((await catalog.current(someAsk())).images, before.images);
});

test('images that the operator does not want are not in the list', async t => {
	const [linux, windows] = [image({os: 'linux'}), image({os: 'windows'})];
	const source = new FakeSource('a', [linux, windows]);
	const {catalog} = await startCatalog(t, [entry(source, {matches: ({os}) => os !== 'windows'})]);
	t.deepEqual((await catalog.search(query(), someAsk())).images, [linux]);
});

test('a conflict is logged once, counted, and in the status', async t => {
	const one = image({...files('a'.repeat(40)), name: 'base', version: '1'});
	const [a, b] = [new FakeSource('a', [one]), new FakeSource('b', [changed(one, files('b'.repeat(40)))])];
	const {catalog, host} = await startCatalog(t, [entry(a), entry(b)]);
	await catalog.refresh();
	a.images = [...a.images, image()];
	await catalog.refresh();
	t.is(host.linesLike(/\(base 1\) has different files in different sources: a says a+, b says b+/).length, 1);
	t.is(await host.metric('imgmirror_catalog_conflicts'), 1);
	const {conflicts, conflictCount} = catalog.status();
	t.is(conflictCount, 1);
	t.deepEqual(
		conflicts[0]?.sources.map(({name}) => name),
		['a', 'b'],
	);
	t.like(await catalog.find(one.uuid, someAsk()), {manifest: one, source: 'a'});
	t.deepEqual(
		catalog.suppliersFor(one, 0).map(({source: {name}}) => name),
		['a'],
	);
});

test('a thousand conflicts do not make a thousand lines', async t => {
	const listed = Array.from({length: 1000}, () => image(files('a'.repeat(40))));
	const others = listed.map(manifest => changed(manifest, files('b'.repeat(40))));
	const {catalog, host} = await startCatalog(t, [
		entry(new FakeSource('a', listed)),
		entry(new FakeSource('b', others)),
	]);
	await catalog.refresh();
	t.true(host.linesLike(/different files/).length <= 42);
	t.is(catalog.status().conflictCount, 1000);
});

test('status and metrics say how the sources are', async t => {
	const [a, b] = [new FakeSource('a', images(3)), new FakeSource('b').down()];
	a.skipped = 2;
	const entries = [entry(a), entry(b, {health: () => ({state: 'down', retryAtMs: undefined})})];
	const {catalog, clock, host} = await startCatalog(t, entries);
	await catalog.current(someAsk());
	await clock.advance(90_000);
	const {merged, conflicts, sources} = catalog.status();
	t.is(merged, 3);
	t.deepEqual(conflicts, []);
	t.like(sources[0], {
		...{name: 'a', kind: 'imgapi', images: 3, ageMs: 90_000, fresh: true, skipped: 2, vanished: 0},
		...{fetchedAt: '2026-01-01T00:00:00.000Z', lastError: undefined, nextTryAt: undefined, health: undefined},
	});
	t.like(sources[1], {name: 'b', images: 0, fresh: false, lastError: 'connection refused', health: 'down'});
	t.regex(sources[1]?.nextTryAt ?? '', /^2026-01-01T00:0/);

	catalog.updateMetrics();
	t.is(await host.metric('imgmirror_catalog_images', {source: 'a'}), 3);
	t.is(await host.metric('imgmirror_catalog_images', {source: 'b'}), 0);
	t.is(await host.metric('imgmirror_catalog_age_seconds', {source: 'a'}), 90);
	t.is(await host.metric('imgmirror_catalog_skipped', {source: 'a'}), 2);
	t.is(await host.metric('imgmirror_catalog_merged_images'), 3);
});

test('a source that is known to be down is left alone until it may be asked', async t => {
	const source = new FakeSource('a', images(1));
	const health: {state: string; retryAtMs?: number} = {state: 'down'};
	const {catalog, clock} = await startCatalog(t, [entry(source, {listTtlMs: minute, health: () => health})]);
	await catalog.current(someAsk());
	health.retryAtMs = clock.now() + 20 * minute;
	await clock.advance(19 * minute);
	await catalog.current(someAsk());
	t.is(source.lists, 1);
	await clock.advance(minute);
	t.is(source.lists, 2);
});

test('the kind of a source is remembered until it is found out again', async t => {
	const source = new FakeSource('a', images(1));
	source.kind = 'dsapi';
	const {catalog, directory, host, end} = await startCatalog(t, [entry(source)]);
	await catalog.current(someAsk());
	await end();
	source.kind = undefined;
	source.down();
	const {catalog: again} = await startCatalog(t, [entry(source)], {directory, host});
	t.is(again.status().sources[0]?.kind, 'dsapi');
});

test('with other sources configured, those that keep their name keep what is known of them', async t => {
	const [a, b, c] = [new FakeSource('a', images(1)), new FakeSource('b', images(2)), new FakeSource('c', images(4))];
	const {catalog, host, directory} = await startCatalog(t, [entry(a), entry(b)]);
	await catalog.refresh();
	const b2 = new FakeSource('b', b.images).down();
	await catalog.setSources([entry(c), entry(b2)]);
	t.is((await catalog.current(someAsk())).images.length, 6);
	t.deepEqual(
		catalog.status().sources.map(({name, images: count}) => [name, count]),
		[
			['c', 4],
			['b', 2],
		],
	);
	await catalog.refresh();
	t.true(b2.lists >= 1);
	t.is(await host.metric('imgmirror_catalog_images', {source: 'a'}), 0);

	a.down();
	await catalog.setSources([entry(a), entry(b2)]);
	t.is((await catalog.current(someAsk())).images.length, 3);
	t.true(directory.length > 0);
});

test('another filter for a source works at once for less, and with the next list for more', async t => {
	const [linux, windows] = [image({os: 'linux'}), image({os: 'windows'})];
	const source = new FakeSource('a', [linux, windows]);
	const {catalog, dropped} = await startCatalog(t, [entry(source)]);
	await catalog.refresh();
	const release = source.hold();
	await catalog.setSources([entry(source, {matches: ({os}) => os === 'linux', vanished: 'drop'})]);
	t.deepEqual((await catalog.current(someAsk())).images, [linux]);
	release();
	await catalog.refresh();
	t.deepEqual((await catalog.current(someAsk())).images, [linux]);
	await catalog.setSources([entry(source)]);
	await catalog.refresh();
	t.is((await catalog.current(someAsk())).images.length, 2);
	t.deepEqual(dropped, []);
	t.deepEqual(source.finds, []);
});

test('stopped, it lets go of what is under way, has everything stored, and takes nothing new', async t => {
	const source = new FakeSource('a', images(2));
	const {catalog, directory, host, end} = await startCatalog(t, [entry(source)]);
	await catalog.current(someAsk());
	source.hold();
	const refresh = catalog.refresh();
	const find = catalog.find(image().uuid, someAsk());
	await source.asked('find');
	await end();
	await refresh;
	await t.throwsAsync(find, {instanceOf: SourceUnavailableError});
	t.true(source.asks.every(ask => ask.signal.aborted));
	await t.throwsAsync(catalog.current(someAsk()), {instanceOf: StoppingError});
	await t.throwsAsync(catalog.find(image().uuid, someAsk()), {instanceOf: StoppingError});
	await t.throwsAsync(catalog.setSources([]), {instanceOf: StoppingError});
	t.is(host.clock.pending, 0);

	const {catalog: again} = await startCatalog(t, [entry(source)], {directory, host});
	t.is((await again.current(someAsk())).images.length, 2);
});

test('stopped while a client waits for the first list, that client is told', async t => {
	const source = new FakeSource('a', images(2));
	source.hold();
	const {catalog, end} = await startCatalog(t, [entry(source)]);
	const waiting = catalog.current(someAsk());
	await quiet();
	const told = t.throwsAsync(waiting, {instanceOf: StoppingError});
	await end();
	await told;
});
