import test from 'ava';
import type {MirrorEvent} from '../../src/host.js';
import {testHost, type TestHost} from '../helpers/test-host.js';
import {tempDir} from '../helpers/temp-dir.js';
import {changed, day, entry, FakeSource, image, images, minute, someAsk} from './fake-source.js';
import {hold, TestHoldsFile} from './holds-file.js';
import {startCatalog, uuidsOf} from './start-catalog.js';

/** Everything that is told from now on, by type. */
function told(host: TestHost): {readonly all: MirrorEvent[]; readonly of: (type: string) => MirrorEvent[]} {
	const all: MirrorEvent[] = [];
	host.events.listen(event => all.push(event));
	return {all, of: type => all.filter(event => event.type === type)};
}

test('a first list is no news but for its source, and neither is a start with what is remembered', async t => {
	const host = testHost();
	const news = told(host);
	const directory = await tempDir(t);
	const source = new FakeSource('s', images(3));
	const first = await startCatalog(t, [entry(source)], {host, directory});
	await first.catalog.current(someAsk());
	t.deepEqual(
		news.all.map(({type}) => type),
		['source.refreshed', 'catalog.changed'],
	);
	t.like(news.all[0], {source: 's', more: {images: 3, added: 3, removed: 0, changed: 0}});
	t.like(news.all[1], {more: {images: 3}});
	await first.end();
	news.all.length = 0;

	const second = await startCatalog(t, [entry(source)], {host, directory});
	await second.catalog.refresh();
	t.deepEqual(
		news.all.map(({type}) => type),
		['catalog.changed'],
	);
	await second.end();
	news.all.length = 0;

	// Another memory, that knows of nothing.
	const third = await startCatalog(t, [entry(source)], {host});
	await third.catalog.current(someAsk());
	t.deepEqual(news.of('image.new'), []);
});

test('what comes, changes and goes in a list is told with its source', async t => {
	const host = testHost();
	const news = told(host);
	const [stays, changes, goes, comes] = images(4);
	t.truthy(stays && changes && goes && comes);
	if (stays === undefined || changes === undefined || goes === undefined || comes === undefined) {
		return;
	}
	const source = new FakeSource('s', [stays, changes, goes]);
	const {catalog} = await startCatalog(t, [entry(source)], {host});
	await catalog.current(someAsk());
	news.all.length = 0;
	source.images = [stays, changed(changes, {description: 'another'}), comes];
	await catalog.refresh();
	t.deepEqual(
		news.all.map(({type, image: about, source: from}) => [type, about?.uuid, from]),
		[
			['image.new', comes.uuid, 's'],
			['image.changed', changes.uuid, 's'],
			['image.vanished', goes.uuid, 's'],
			['source.refreshed', undefined, 's'],
			['catalog.changed', undefined, undefined],
		],
	);
	t.deepEqual(news.all[0]?.image, {
		uuid: comes.uuid,
		name: comes.name,
		version: comes.version,
		public: comes.public,
	});
	t.like(news.of('source.refreshed')[0], {more: {images: 3, added: 1, removed: 1, changed: 1, ms: 0}});

	// It comes back, and was known all the while.
	news.all.length = 0;
	source.images.push(goes);
	await catalog.refresh();
	t.deepEqual(
		news.all.map(({type}) => type),
		['source.refreshed'],
	);
	news.all.length = 0;
	await catalog.refresh();
	t.deepEqual(news.all, []);
});

test('an image is new once, however many sources list it', async t => {
	const host = testHost();
	const news = told(host);
	const sources = [new FakeSource('a', images(1)), new FakeSource('b', images(1))];
	const ours = image();
	const {catalog} = await startCatalog(
		t,
		sources.map(source => entry(source)),
		{host, local: {list: () => [ours], get: uuid => (uuid === ours.uuid ? ours : undefined)}},
	);
	await catalog.refresh();
	news.all.length = 0;
	const fresh = image();
	for (const source of sources) {
		source.images.push(fresh, ours);
		await catalog.refresh(source.name);
	}
	t.deepEqual(
		news.of('image.new').map(({image: about, source}) => [about?.uuid, source]),
		[[fresh.uuid, 'a']],
	);
});

test('what a filter keeps out has not vanished', async t => {
	const host = testHost();
	const news = told(host);
	const [one, two] = images(2);
	t.truthy(one && two);
	if (one === undefined || two === undefined) {
		return;
	}
	let wanted = new Set([one.uuid, two.uuid]);
	const source = new FakeSource('s', [one, two]);
	const {catalog} = await startCatalog(t, [entry(source, {matches: ({uuid}) => wanted.has(uuid)})], {host});
	await catalog.current(someAsk());
	wanted = new Set([one.uuid]);
	await catalog.refresh();
	t.deepEqual(news.of('image.vanished'), []);
	t.deepEqual(uuidsOf(catalog.snapshot().images), [one.uuid]);
});

test('a list that ends a time without is told of, though nothing in it is other', async t => {
	const host = testHost();
	const news = told(host);
	const source = new FakeSource('s', images(2));
	const {catalog, clock} = await startCatalog(t, [entry(source)], {host});
	await catalog.current(someAsk());
	source.down();
	await catalog.refresh();
	news.all.length = 0;
	source.up();
	await clock.advance(11 * minute);
	t.deepEqual(
		news.all.map(({type}) => type),
		['source.refreshed'],
	);
	t.like(news.all[0], {more: {images: 2, added: 0}});
});

test('where a whole catalog comes at once, a hundred images stand for the others', async t => {
	const host = testHost();
	const news = told(host);
	const source = new FakeSource('s', images(1));
	const {catalog} = await startCatalog(t, [entry(source, hold({seenMs: day}))], {host});
	await catalog.current(someAsk());
	source.images.push(...images(250));
	await catalog.refresh();
	for (const type of ['image.new', 'image.held']) {
		const events = news.of(type);
		t.is(events.length, 101);
		t.deepEqual(
			events.map(({more}) => more?.['count']),
			[...Array.from({length: 100}, () => undefined), 150],
		);
		t.is(events.at(-1)?.image?.uuid, source.images[101]?.uuid);
		t.true(events.every(({source: from}) => from === 's'));
	}
	t.is(news.of('catalog.changed').length, 1);

	await host.clock.advance(day);
	await catalog.settled();
	t.is(news.of('image.released').length, 101);
	t.like(news.of('image.released').at(-1), {by: 'age', more: {count: 150}});
});

test('what a first list has is held without a word, and the operator finds it all the same', async t => {
	const host = testHost();
	const news = told(host);
	const {catalog} = await startCatalog(t, [entry(new FakeSource('s', images(2)), hold({untilReleased: true}))], {host});
	await catalog.current(someAsk());
	t.deepEqual(news.of('image.held'), []);
	t.is(catalog.heldImages().length, 2);
});

test('a release of what nothing holds is noted, and no news', async t => {
	const host = testHost();
	const news = told(host);
	const file = new TestHoldsFile(await tempDir(t));
	const source = new FakeSource('s', images(1));
	const {catalog} = await startCatalog(t, [entry(source)], {host, holds: file});
	await catalog.current(someAsk());
	const [only] = source.images;
	if (only !== undefined) {
		await catalog.holds.release(only.uuid, {by: 'anna'});
	}
	t.deepEqual(news.of('image.released'), []);
	await catalog.setSources([entry(source, hold({untilReleased: true}))]);
	t.is(catalog.snapshot().images.length, 1);
});
