import test from 'ava';
import {changed, day, disabled, entry, FakeSource, image, images, someAsk} from './fake-source.js';
import {hold} from './holds-file.js';
import {startCatalog, uuidsOf} from './start-catalog.js';

test('every image is shown once, in the order of lists, with all that offer it', async t => {
	const [one, two, three, four] = images(4);
	t.truthy(one && two && three && four);
	if (one === undefined || two === undefined || three === undefined || four === undefined) {
		return;
	}
	const ours = changed(two, {description: 'ours'});
	const a = new FakeSource('a', [one, three]);
	const b = new FakeSource('b', [one, two, three, four]);
	const onDisk = image({published_at: '2025-12-31T00:00:00Z'});
	const {catalog} = await startCatalog(t, [entry(a), entry(b, hold({untilReleased: true}))], {
		held: [{manifest: onDisk, source: 'once'}],
		local: {list: () => [ours], get: uuid => (uuid === ours.uuid ? ours : undefined)},
	});
	await catalog.refresh();
	t.deepEqual(
		catalog
			.overview()
			.map(({manifest, source, sources, vanished, held}) => [manifest.uuid, source, sources, vanished, held?.why]),
		[
			[one.uuid, 'a', ['a'], false, undefined],
			[two.uuid, 'local', ['local'], false, undefined],
			[three.uuid, 'a', ['a'], false, undefined],
			[four.uuid, 'b', ['b'], false, 'rule'],
			[onDisk.uuid, 'once', [], false, undefined],
		],
	);
	t.is(catalog.known(two.uuid)?.manifest, ours);
	await catalog.holds.release(one.uuid, {});
	t.deepEqual(catalog.known(one.uuid)?.sources, ['a', 'b']);
	t.deepEqual(catalog.overview()[0]?.sources, ['a', 'b']);
});

test('what stays the same is the same object, and the whole is the same array', async t => {
	const source = new FakeSource('s', images(3));
	const {catalog} = await startCatalog(t, [entry(source)]);
	await catalog.current(someAsk());
	const before = catalog.overview();
	const {version} = catalog;
	t.is(catalog.overview(), before);
	t.deepEqual(catalog.known(before[1]?.manifest.uuid ?? image().uuid), before[1]);
	await catalog.localChanged();
	t.is(catalog.overview(), before);

	source.images.push(image({published_at: '2025-12-31T00:00:00Z'}));
	await catalog.refresh();
	t.not(catalog.version, version);
	const after = catalog.overview();
	t.is(after.length, 4);
	t.deepEqual(
		after.slice(0, 3).map((known, at) => known === before[at]),
		[true, true, true],
	);

	const [first] = source.images;
	if (first !== undefined) {
		await catalog.holds.hold(first.uuid, {by: 'anna'});
		t.like(catalog.overview()[0], {manifest: first, held: {why: 'operator', by: 'anna'}});
		t.is(catalog.overview()[1], after[1]);
	}
});

test('an image that vanished says so, kept or hidden', async t => {
	const [kept, hidden] = images(2);
	t.truthy(kept && hidden);
	if (kept === undefined || hidden === undefined) {
		return;
	}
	const a = new FakeSource('a', [kept]);
	const b = new FakeSource('b', [hidden]);
	const {catalog} = await startCatalog(t, [entry(a), entry(b, {vanished: 'hide'})]);
	await catalog.refresh();
	a.images = [];
	b.images = [];
	await catalog.refresh();
	t.deepEqual(uuidsOf(catalog.overview().map(({manifest}) => manifest)), [kept.uuid]);
	t.like(catalog.known(kept.uuid), {source: 'a', sources: ['a'], vanished: true});
	t.like(catalog.known(hidden.uuid), {source: 'b', vanished: true});
});

test('what was found by uuid is known, and in no list', async t => {
	const loose = disabled(image());
	const source = new FakeSource('s', images(1));
	source.loose = [loose];
	const {catalog} = await startCatalog(t, [entry(source)]);
	await catalog.current(someAsk());
	t.is(catalog.known(loose.uuid), undefined);
	const {version} = catalog;
	await catalog.find(loose.uuid, someAsk());
	t.like(catalog.known(loose.uuid), {manifest: loose, source: 's', sources: ['s'], vanished: false});
	t.not(catalog.version, version);
	t.is(catalog.overview().length, 1);
	t.is(catalog.known(image().uuid), undefined);
});

test('what is held back by several is shown with all that stands in the way', async t => {
	const young = image({published_at: '2025-12-31T00:00:00Z'});
	const sources = [new FakeSource('a', [young]), new FakeSource('b', [young]), new FakeSource('c', [young])];
	const rules = [hold({publishedMs: 7 * day}), hold({untilReleased: true}), hold({publishedMs: 2 * day})];
	const {catalog, clock} = await startCatalog(
		t,
		sources.map((source, at) => entry(source, {listTtlMs: day, ...rules[at]})),
	);
	await catalog.refresh();
	await catalog.holds.hold(young.uuid, {by: 'anna'});
	t.deepEqual(
		catalog.heldImages()[0]?.reasons.map(({source, why, until}) => [source, why, until]),
		[
			['a', 'operator', undefined],
			['a', 'age', '2026-01-07T00:00:00.000Z'],
			['b', 'rule', undefined],
			['c', 'age', '2026-01-02T00:00:00.000Z'],
		],
	);
	t.deepEqual(
		catalog.status().sources.map(({held}) => held),
		[1, 1, 1],
	);
	// Who takes the operator's word back has it offered at once, everywhere.
	await catalog.holds.release(young.uuid, {});
	t.deepEqual(catalog.known(young.uuid)?.sources, ['a', 'b', 'c']);
	await clock.advance(day);
	t.deepEqual(catalog.heldImages(), []);
});
