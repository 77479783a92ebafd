import test from 'ava';
import {NotFoundError, SourceUnavailableError} from '../../src/errors.js';
import {changed, day, disabled, entry, FakeSource, files, image, images, quiet, someAsk} from './fake-source.js';
import {query, startCatalog, uuidsOf} from './start-catalog.js';

test('keep: what vanishes from a list stays listed and found as it was, and its source is not asked', async t => {
	const [one = image(), two = image()] = images(2);
	const source = new FakeSource('a', [one, two]);
	const {catalog, directory, host, end} = await startCatalog(t, [entry(source)]);
	await catalog.refresh();
	source.images = [two];
	source.loose = [disabled(one)];
	await catalog.refresh();
	t.deepEqual((await catalog.search(query(), someAsk())).images, [one, two]);
	t.like(await catalog.find(one.uuid, someAsk()), {manifest: one, cache: 'hit'});
	t.is(catalog.status().sources[0]?.vanished, 1);
	t.deepEqual(source.finds, []);
	await end();

	const {catalog: again} = await startCatalog(t, [entry(source)], {directory, host});
	await again.refresh();
	t.deepEqual(uuidsOf((await again.search(query(), someAsk())).images), uuidsOf([one, two]));
	t.is(again.status().sources[0]?.vanished, 1);
});

test('hide: it leaves the list once its source says that it has it not, and is still found', async t => {
	const [one = image(), two = image()] = images(2);
	const source = new FakeSource('a', [one, two]);
	const {catalog, dropped, directory, host, end} = await startCatalog(t, [entry(source, {vanished: 'hide'})]);
	await catalog.refresh();
	source.images = [two];
	await catalog.refresh();
	t.deepEqual((await catalog.search(query(), someAsk())).images, [two]);
	t.like(await catalog.find(one.uuid, someAsk()), {manifest: one, cache: 'hit'});
	t.deepEqual(source.finds, [one.uuid]);
	await catalog.refresh();
	t.is(source.finds.length, 1);
	t.is(catalog.suppliersFor(one, 0).length, 1);
	t.deepEqual(dropped, []);
	await end();

	const {catalog: again} = await startCatalog(t, [entry(source.down(), {vanished: 'hide'})], {directory, host});
	t.deepEqual(uuidsOf((await again.search(query(), someAsk())).images), [two.uuid]);
	t.is((await again.find(one.uuid, someAsk())).manifest.text, one.text);
	await end();

	source.up();
	const {catalog: third} = await startCatalog(t, [entry(source, {vanished: 'keep'})], {directory, host});
	t.is((await third.search(query(), someAsk())).images.length, 2);
});

test('drop: it is forgotten, and its file may go', async t => {
	const [one = image(), two = image()] = images(2);
	const source = new FakeSource('a', [one, two]);
	const held = [{manifest: one, source: 'a'}];
	const {catalog, dropped} = await startCatalog(t, [entry(source, {vanished: 'drop'})], {held});
	await catalog.refresh();
	source.images = [two];
	await catalog.refresh();
	t.deepEqual((await catalog.search(query(), someAsk())).images, [two]);
	await t.throwsAsync(catalog.find(one.uuid, someAsk()), {instanceOf: NotFoundError});
	t.deepEqual(dropped, [one]);
	t.is(catalog.status().sources[0]?.vanished, 0);

	// The file may take its time to go.
	await catalog.refresh();
	t.deepEqual(dropped, [one]);
	t.deepEqual((await catalog.search(query(), someAsk())).images, [two]);
});

test('drop: what was asked for before it was listed is forgotten as well', async t => {
	const [one = image(), two = image()] = images(2);
	const source = new FakeSource('a', [two]);
	source.loose = [one];
	const {catalog} = await startCatalog(t, [entry(source, {vanished: 'drop'})]);
	await catalog.refresh();
	t.is((await catalog.find(one.uuid, someAsk())).manifest, one);
	source.images = [one, two];
	source.loose = [];
	await catalog.refresh();
	source.images = [two];
	await catalog.refresh();
	t.deepEqual((await catalog.search(query(), someAsk())).images, [two]);
	await t.throwsAsync(catalog.find(one.uuid, someAsk()), {instanceOf: NotFoundError});
});

test('drop: what another source has keeps its file', async t => {
	const one = image();
	const [a, b] = [new FakeSource('a', [one]), new FakeSource('b', [one])];
	const {catalog, dropped} = await startCatalog(t, [entry(a, {vanished: 'drop'}), entry(b)]);
	await catalog.refresh();
	a.images = [];
	await catalog.refresh();
	t.like(await catalog.find(one.uuid, someAsk()), {manifest: one, source: 'b'});
	t.deepEqual(dropped, []);
});

test('drop: a file that cannot be dropped is said, and nothing else happens', async t => {
	const one = image();
	const source = new FakeSource('a', [one]);
	const {catalog, host, held, dropped} = await startCatalog(t, [entry(source, {vanished: 'drop'})]);
	await catalog.refresh();
	t.deepEqual([held, dropped], [[], []]);
	dropped.push = () => {
		throw new Error('busy');
	};
	source.images = [];
	await catalog.refresh();
	t.is(host.linesLike(/cannot be dropped: busy/).length, 1);
	t.deepEqual((await catalog.search(query(), someAsk())).images, []);
});

for (const vanished of ['hide', 'drop'] as const) {
	test(`${vanished}: an image that was disabled leaves the list and is found with its new manifest`, async t => {
		const [one = image(), two = image()] = images(2);
		const off = disabled(one);
		const source = new FakeSource('a', [one, two]);
		const {catalog, dropped} = await startCatalog(t, [entry(source, {vanished})]);
		await catalog.refresh();
		source.images = [two];
		source.loose = [off];
		await catalog.refresh();
		t.deepEqual((await catalog.search(query(), someAsk())).images, [two]);
		t.like(await catalog.find(one.uuid, someAsk()), {manifest: off, cache: 'hit'});
		t.is(source.finds.length, 1);
		t.deepEqual(dropped, []);
	});

	test(`${vanished}: an image that its source still has, active, stays in the list`, async t => {
		const [one = image(), two = image()] = images(2);
		const newer = changed(one, {description: 'new'});
		const source = new FakeSource('a', [one, two]);
		const {catalog} = await startCatalog(t, [entry(source, {vanished})]);
		await catalog.refresh();
		source.images = [two];
		source.loose = [newer];
		await catalog.refresh();
		t.deepEqual((await catalog.search(query(), someAsk())).images, [newer, two]);
	});

	test(`${vanished}: while its source does not answer for it, nothing changes`, async t => {
		const listed = images(40);
		const source = new FakeSource('a', listed);
		const {catalog, clock, dropped} = await startCatalog(t, [entry(source, {vanished})]);
		await catalog.refresh();
		source.images = [];
		const find = source.find.bind(source);
		const asked: string[] = [];
		source.find = uuid => {
			asked.push(uuid);
			return Promise.reject(new SourceUnavailableError('a', 'timeout'));
		};
		await catalog.refresh();
		t.is((await catalog.search(query(), someAsk())).images.length, 40);
		t.true(asked.length <= 3);
		t.deepEqual(dropped, []);

		source.find = find;
		await clock.advance(day);
		await catalog.refresh();
		t.is((await catalog.search(query(), someAsk())).images.length, 0);
	});

	test(`${vanished}: of one that is answered with an error, nothing is known; the others are`, async t => {
		const listed = images(40);
		const source = new FakeSource('a', listed);
		const {catalog, dropped} = await startCatalog(t, [entry(source, {vanished})]);
		await catalog.refresh();
		source.images = [];
		const broken = new Set([listed[0]?.uuid, listed[20]?.uuid, listed[39]?.uuid]);
		const find = source.find.bind(source);
		source.find = (uuid, ask) =>
			broken.has(uuid)
				? Promise.reject(new SourceUnavailableError('a', 'answered 500', {scope: 'item'}))
				: find(uuid, ask);
		await catalog.refresh();
		const left = (await catalog.search(query(), someAsk())).images.map(({uuid}) => uuid);
		t.deepEqual(new Set(left), broken);
		t.is(dropped.length, vanished === 'drop' ? 37 : 0);
		// The source is there for whoever asks for something else.
		await t.throwsAsync(catalog.find(image().uuid, someAsk()), {instanceOf: NotFoundError});
	});

	test(`${vanished}: few questions at a time`, async t => {
		const source = new FakeSource('a', images(50));
		const {catalog} = await startCatalog(t, [entry(source, {vanished})]);
		await catalog.refresh();
		source.images = [];
		const find = source.find.bind(source);
		let [running, most] = [0, 0];
		source.find = async (uuid, ask) => {
			running++;
			most = Math.max(most, running);
			const answer = await find(uuid, ask);
			running--;
			return answer;
		};
		await catalog.refresh();
		t.is(source.finds.length, 50);
		t.is(most, 3);
	});
}

test('an image that comes back is as any other', async t => {
	const [one = image(), two = image()] = images(2);
	for (const vanished of ['keep', 'hide', 'drop'] as const) {
		const source = new FakeSource('a', [one, two]);
		const {catalog} = await startCatalog(t, [entry(source, {vanished})]);
		await catalog.refresh();
		source.images = [two];
		await catalog.refresh();
		source.images = [one, two];
		await catalog.refresh();
		t.deepEqual((await catalog.search(query(), someAsk())).images, [one, two], vanished);
		t.is(catalog.status().sources[0]?.vanished, 0);
		source.images = [two];
		source.loose = [];
		await catalog.refresh();
		t.is((await catalog.search(query(), someAsk())).images.length, vanished === 'keep' ? 2 : 1);
	}
});

test('an image that comes back while its source is asked for it stays', async t => {
	const one = image();
	const source = new FakeSource('a', [one]);
	const {catalog, dropped} = await startCatalog(t, [entry(source, {vanished: 'drop'})]);
	await catalog.refresh();
	source.images = [];
	const find = source.find.bind(source);
	let back: Promise<unknown> | undefined;
	source.find = async () => {
		source.images = [one];
		await quiet();
		back ??= catalog.refresh();
		await source.asked('list', 3);
		await quiet();
		return undefined;
	};
	await catalog.refresh();
	await back;
	source.find = find;
	t.deepEqual((await catalog.search(query(), someAsk())).images, [one]);
	t.deepEqual(dropped, []);
});

test('what is held and vanished while the memory was away is treated as vanished', async t => {
	const one = image(files('a'.repeat(40)));
	const off = disabled(image());
	for (const [vanished, listed, drops] of [
		['keep', 1, 0],
		['hide', 0, 0],
		['drop', 0, 1],
	] as const) {
		const source = new FakeSource('a');
		const held = [
			{manifest: one, source: 'a'},
			{manifest: off, source: 'a'},
		];
		const {catalog, dropped} = await startCatalog(t, [entry(source, {vanished})], {held});
		await catalog.refresh();
		t.is((await catalog.search(query(), someAsk())).images.length, listed, vanished);
		t.is(dropped.length, drops, vanished);
		if (vanished === 'drop') {
			await t.throwsAsync(catalog.find(one.uuid, someAsk()), {instanceOf: NotFoundError});
		} else {
			t.is((await catalog.find(one.uuid, someAsk())).manifest, one);
		}
	}
});

test('a source that shows other images each time does not fill the memory', async t => {
	const source = new FakeSource('a', images(11_000));
	const {catalog} = await startCatalog(t, [entry(source)]);
	await catalog.refresh();
	for (let round = 0; round < 2; round++) {
		source.images = images(11_000);
		await catalog.refresh();
	}
	t.is(catalog.status().sources[0]?.vanished, 20_000);
});

test('other settings for what vanished work with the next list', async t => {
	const [one = image(), two = image()] = images(2);
	const source = new FakeSource('a', [one, two]);
	const {catalog, dropped} = await startCatalog(t, [entry(source)]);
	await catalog.refresh();
	source.images = [two];
	await catalog.refresh();
	await catalog.setSources([entry(source, {vanished: 'hide'})]);
	await catalog.refresh();
	t.deepEqual((await catalog.search(query(), someAsk())).images, [two]);
	await catalog.setSources([entry(source, {vanished: 'keep'})]);
	t.deepEqual((await catalog.search(query(), someAsk())).images, [one, two]);
	await catalog.setSources([entry(source, {vanished: 'drop'})]);
	await catalog.refresh();
	t.deepEqual((await catalog.search(query(), someAsk())).images, [two]);
	t.deepEqual(dropped, [one]);
});
