import test from 'ava';
import {NotFoundError} from '../../src/errors.js';
import {parseImageQuery, parseQueryString} from '../../src/image/query.js';
import type {Manifest, Uuid} from '../../src/image/manifest.js';
import {changed, disabled, entry, FakeSource, image, images, someAsk} from './fake-source.js';
import {query, startCatalog, uuidsOf} from './start-catalog.js';

class Local {
	images: readonly Manifest[];

	constructor(list: readonly Manifest[]) {
		this.images = list;
	}

	list(): readonly Manifest[] {
		return this.images;
	}

	get(uuid: Uuid): Manifest | undefined {
		return this.images.find(one => one.uuid === uuid);
	}
}

test('our own images are listed and found, without any source', async t => {
	const local = new Local(images(2));
	const {catalog} = await startCatalog(t, [], {local});
	const {images: found, cache} = await catalog.search(query(), someAsk());
	t.deepEqual(found, local.images);
	t.is(cache, 'hit');
	const [one = image()] = local.images;
	t.deepEqual(await catalog.find(one.uuid, someAsk()), {manifest: one, source: 'local', cache: 'local'});
});

test('an image of ours wins over that of any source', async t => {
	const theirs = image();
	const ours = changed(theirs, {description: 'ours'});
	const source = new FakeSource('a', [theirs]);
	const {catalog} = await startCatalog(t, [entry(source)], {local: new Local([ours])});
	await catalog.refresh();
	const {images: found} = await catalog.search(query(), someAsk());
	t.deepEqual(found, [ours]);
	t.is((await catalog.find(ours.uuid, someAsk())).source, 'local');
	// For its file the source may be asked all the same: it is the same one.
	t.deepEqual(
		catalog.suppliersFor(ours, 0).map(({source: {name}, manifest}) => [name, manifest.uuid]),
		[['a', theirs.uuid]],
	);
});

test('lists show a change of ours as soon as it is told', async t => {
	const [one = image(), two = image()] = images(2);
	const local = new Local([one]);
	const source = new FakeSource('a', [two]);
	const {catalog} = await startCatalog(t, [entry(source)], {local});
	await catalog.refresh();
	const before = catalog.snapshot();
	t.deepEqual(uuidsOf(before.images).sort(), [one.uuid, two.uuid].sort());
	local.images = [];
	await catalog.localChanged();
	const after = catalog.snapshot();
	t.deepEqual(uuidsOf(after.images), [two.uuid]);
	t.not(after.version, before.version);
	await t.throwsAsync(catalog.find(one.uuid, someAsk()), {instanceOf: NotFoundError});
});

test('a source has its image back when ours is gone', async t => {
	const theirs = image();
	const local = new Local([changed(theirs, {description: 'ours'})]);
	const {catalog} = await startCatalog(t, [entry(new FakeSource('a', [theirs]))], {local});
	await catalog.refresh();
	local.images = [];
	await catalog.localChanged();
	t.deepEqual(await catalog.find(theirs.uuid, someAsk()), {manifest: theirs, source: 'a', cache: 'hit'});
});

test('images of ours that are switched off are found by uuid, and listed for those who may ask for them', async t => {
	const off = disabled(image());
	const on = image();
	const local = new Local([off, on]);
	const {catalog} = await startCatalog(t, [], {local});
	t.deepEqual((await catalog.search(query(), someAsk())).images, [on]);
	const all = parseImageQuery(parseQueryString('state=all', 10), {
		authenticated: true,
		seesPrivate: true,
		channel: undefined,
		showChannels: false,
	});
	t.is((await catalog.search(all, someAsk())).images.length, 2);
	t.is((await catalog.find(off.uuid, someAsk())).manifest, off);
});

test('what is ours is served while no source answers, and nothing of it is remembered as a source’s', async t => {
	const local = new Local(images(1));
	const source = new FakeSource('a').down();
	const {catalog, end, directory} = await startCatalog(t, [entry(source)], {local});
	const {images: found} = await catalog.search(query(), someAsk());
	t.deepEqual(found, local.images);
	await end();
	const {catalog: again} = await startCatalog(t, [], {directory});
	t.deepEqual(again.snapshot().images, []);
});
