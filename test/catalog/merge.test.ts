import test from 'ava';
import fc from 'fast-check';
import {merge, type MergeSource} from '../../src/catalog/merge.js';
import {suppliersFor} from '../../src/catalog/suppliers.js';
import {compareImages, type Manifest, type Uuid} from '../../src/image/manifest.js';
import {changed, FakeSource, files, image, images} from './fake-source.js';

const [sha1A, sha1B] = ['a'.repeat(40), 'b'.repeat(40)];

function source(name: string, listed: readonly Manifest[], hidden: readonly Manifest[] = []): MergeSource {
	const known = new Map([...listed, ...hidden].map(manifest => [manifest.uuid, manifest]));
	return {name, images: [...listed].sort(compareImages), hidden, get: uuid => known.get(uuid)};
}

test('of one image in several sources, the first source wins', async t => {
	const ours = image();
	const theirs = changed(ours, {description: 'another'});
	const {images: merged, byUuid} = await merge([source('a', [ours]), source('b', [theirs])]);
	t.deepEqual(merged, [ours]);
	t.is(merged[0], ours);
	t.is(byUuid.get(ours.uuid)?.source, 'a');
});

test('whatever is listed by whom, the merged list is sorted and has each image once, from the first that lists it', async t => {
	const pool = images(30).map((manifest, at) =>
		changed(manifest, {published_at: `2024-01-0${(at % 3) + 1}T00:00:00Z`}),
	);
	const subset = fc.uniqueArray(fc.nat({max: pool.length - 1}));
	await fc.assert(
		fc.asyncProperty(fc.array(subset, {maxLength: 4}), subset, async (lists, heldAt) => {
			const sources = lists.map((at, number) =>
				source(
					String(number),
					at.flatMap(place => pool[place] ?? []),
				),
			);
			const held = heldAt.flatMap(place => {
				const manifest = pool[place];
				return manifest === undefined ? [] : [{manifest, source: 'held'}];
			});
			const merged = await merge(sources, held);
			const all = new Set([...lists.flat(), ...heldAt]);
			t.deepEqual(
				merged.images.map(({uuid}) => uuid),
				[...all]
					.flatMap(place => pool[place] ?? [])
					.sort(compareImages)
					.map(({uuid}) => uuid),
			);
			for (const {uuid} of merged.images) {
				const first = sources.find(({get}) => get(uuid) !== undefined)?.name ?? 'held';
				t.is(merged.byUuid.get(uuid)?.source, first);
			}
			t.deepEqual(merged.conflicts, []);
		}),
	);
});

test('another file under the same uuid is a conflict that names everybody who has an opinion', async t => {
	const first = image({...files(sha1A), name: 'base', version: '1'});
	const other = changed(first, {...files(sha1B), name: 'other'});
	const {images: merged, conflicts} = await merge([
		source('a', [first]),
		source('b', [first]),
		source('c', [other]),
		source('d', [image()]),
	]);
	t.is(
		merged.find(({uuid}) => uuid === first.uuid),
		first,
	);
	t.deepEqual(conflicts, [
		{
			uuid: first.uuid,
			name: 'base',
			version: '1',
			sources: [
				{name: 'a', sha1: sha1A},
				{name: 'b', sha1: sha1A},
				{name: 'c', sha1: sha1B},
			],
		},
	] as unknown as typeof conflicts);
});

test('who says no digest contradicts nobody', async t => {
	const first = image(files(sha1A));
	const without = changed(first, {files: [{size: 1000, compression: 'gzip'}]});
	t.deepEqual((await merge([source('a', [first]), source('b', [without])])).conflicts, []);
	t.deepEqual((await merge([source('b', [without]), source('a', [first])])).conflicts, []);
	t.deepEqual((await merge([source('a', [first]), source('b', [changed(first, {files: []})])])).conflicts, []);
});

test('hidden images are found but not listed, and count as knowing their origins', async t => {
	const [origin, other] = [image(), image()];
	const hidden = image({origin: origin.uuid});
	const merged = await merge([source('a', [other], [hidden]), source('b', [], [changed(hidden, {name: 'late'})])]);
	t.deepEqual(merged.images, [other]);
	t.is(merged.hidden.get(hidden.uuid)?.manifest, hidden);
	t.true(merged.origins.has(origin.uuid));
});

test('where nothing changed, the list is the very same one', async t => {
	const [a, b] = [images(3), images(2)];
	const held = [{manifest: image(), source: 'gone'}];
	const before = await merge([source('a', a), source('b', b)], held);
	const after = await merge([source('a', a), source('b', b)], held, before);
	t.is(after.images, before.images);
	for (const {uuid} of a) {
		t.is(after.byUuid.get(uuid), before.byUuid.get(uuid));
	}
	const [first = image()] = a;
	const changes = [changed(first, {name: 'new'}), ...a.slice(1)];
	t.not((await merge([source('a', changes), source('b', b)], held, before)).images, before.images);
});

function supplier(fake: FakeSource, known: readonly Manifest[], resting = false) {
	return {source: fake, resting, get: (uuid: Uuid) => known.find(manifest => manifest.uuid === uuid)};
}

test('a file is asked of those who list it, in order, then of those who list it under another name', async t => {
	const wanted = image(files(sha1A));
	const twin = image({
		files: [
			{sha1: sha1B, size: 1, compression: 'none'},
			{sha1: sha1A, size: 1000, compression: 'gzip'},
		],
	});
	const wrong = changed(wanted, files(sha1B));
	const [a, b, c, d, e] = ['a', 'b', 'c', 'd', 'e'].map(name => new FakeSource(name)) as [
		FakeSource,
		FakeSource,
		FakeSource,
		FakeSource,
		FakeSource,
	];
	const {twins} = await merge([
		source('a', [twin]),
		source('b', [wanted]),
		source('c', [wrong]),
		source('d', [wanted]),
	]);
	const suppliers = suppliersFor(
		wanted,
		0,
		[supplier(a, [twin]), supplier(b, [wanted]), supplier(c, [wrong]), supplier(d, [wanted]), supplier(e, [])],
		twins,
	);
	t.deepEqual(
		suppliers.map(({source: {name}, manifest, index}) => [name, manifest.uuid, index]),
		[
			['b', wanted.uuid, 0],
			['d', wanted.uuid, 0],
			['a', twin.uuid, 1],
		],
	);
	t.deepEqual(suppliersFor(wanted, 1, [supplier(b, [wanted])], twins), []);
});

test('sources that do not answer now are asked last', t => {
	const wanted = image(files(sha1A));
	const [a, b] = [new FakeSource('a'), new FakeSource('b')];
	const suppliers = suppliersFor(wanted, 0, [supplier(a, [wanted], true), supplier(b, [wanted])], new Map());
	t.deepEqual(
		suppliers.map(({source: {name}}) => name),
		['b', 'a'],
	);
});

test('a source that says no digest may supply what another has the digest of, but not the other way round', t => {
	const wanted = image(files(sha1A));
	const without = changed(wanted, {files: [{size: 1000, compression: 'gzip'}]});
	const larger = changed(wanted, {files: [{size: 1001, compression: 'gzip'}]});
	const [a, b, c] = [new FakeSource('a'), new FakeSource('b'), new FakeSource('c')];
	const sources = [supplier(a, [without]), supplier(b, [wanted]), supplier(c, [larger])];
	const namesFor = (manifest: Manifest): string[] =>
		suppliersFor(manifest, 0, sources, new Map()).map(({source: {name}}) => name);
	t.deepEqual(namesFor(wanted), ['a', 'b']);
	t.deepEqual(namesFor(without), ['a']);
});

test('a file that nobody lists any more is asked of everybody, if its digest tells what it is', t => {
	const wanted = image(files(sha1A));
	const without = image({files: [{size: 1000, compression: 'gzip'}]});
	const sources = [supplier(new FakeSource('a'), []), supplier(new FakeSource('b'), [])];
	t.is(suppliersFor(wanted, 0, sources, new Map()).length, 2);
	t.deepEqual(suppliersFor(without, 0, sources, new Map()), []);
});

test('a source that lists one file a thousand times is asked for it a few times', async t => {
	const many = Array.from({length: 1000}, () => image(files(sha1A)));
	const [wanted = image()] = many;
	const {twins} = await merge([source('a', many)]);
	const suppliers = suppliersFor(wanted, 0, [supplier(new FakeSource('a'), many)], twins);
	t.is(suppliers.length, 5);
});
