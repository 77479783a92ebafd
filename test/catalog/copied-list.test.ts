import fc from 'fast-check';
import test from 'ava';
import {copiedList} from '../../src/catalog/copied-list.js';
import {layOut, type Places} from '../../src/catalog/list-bytes.js';
import {Listings} from '../../src/catalog/listing.js';
import {chunkBytes, SpareChunks} from '../../src/catalog/spare-chunks.js';
import type {Manifest} from '../../src/image/manifest.js';
import {image, images} from './fake-source.js';
import {query} from './start-catalog.js';

const plain = {channels: false, admin: false};

/** All of them laid out, as they are to be copied from. */
async function placesOf(listed: readonly Manifest[]): Promise<Places> {
	const {places} = await layOut(listed, {shown: plain, known: undefined, spare: new SpareChunks(0)});
	return places();
}

function asWhole(listed: readonly Manifest[]): string {
	return JSON.stringify(
		listed.map(({text}) => JSON.parse(text) as unknown),
		null,
		2,
	);
}

const few = [...images(60), image({description: 'größer als 😀'}), image({description: 'x'.repeat(70_000)})];
const large = image({description: 'y'.repeat(chunkBytes + 10)});

test('whatever is chosen, in whatever order, is as if it had been laid out by itself', async t => {
	const listed = [...few, large, ...images(5)];
	const from = await placesOf(listed);
	await fc.assert(
		fc.asyncProperty(
			fc.uniqueArray(fc.nat(listed.length - 1), {maxLength: listed.length}),
			fc.integer({min: 0, max: 3}),
			async (which, spares) => {
				const spare = new SpareChunks(spares);
				const wanted = which.flatMap(place => listed[place] ?? []);
				const copied = copiedList(from, which, spare);
				const {list} = await layOut(wanted, {shown: plain, known: undefined, spare: new SpareChunks(0)});
				const text = Buffer.concat([...copied.parts()]).toString();
				return (
					text === asWhole(wanted) &&
					copied.length === Buffer.byteLength(text) &&
					copied.length === list.length &&
					copied.etag === list.etag &&
					Buffer.concat([...(copied.chunks() ?? [])]).toString() === text
				);
			},
		),
		{numRuns: 60},
	);
	t.pass();
});

test('it is copied by whoever takes it, once for all, and begins with little', async t => {
	const listed = images(3000);
	const from = await placesOf(listed);
	const which = listed.map((_, place) => place);
	const copied = copiedList(from, which, new SpareChunks(0));
	t.is(copied.chunks(), undefined);
	const [one, other] = [copied.parts(), copied.parts()].map(parts => parts[Symbol.iterator]());
	const first = one?.next().value as Buffer;
	t.true(first.length <= 65_536);
	t.is(copied.chunks(), undefined, 'nobody has taken the rest');
	t.is(other?.next().value, first, 'the same bytes, not a copy');
	const second = other?.next().value as Buffer;
	t.true(second.length > 0.9 * chunkBytes);
	t.is(one?.next().value, second);
	const rest = [];
	for (let next = one?.next(); next?.done === false; next = one?.next()) {
		rest.push(next.value);
	}
	const all = [first, second, ...rest];
	t.deepEqual(copied.chunks(), all);
	t.true(Buffer.concat(all).toString() === asWhole(listed));
	t.deepEqual([...copied.parts()], all);
	t.is(other?.next().value, rest[0], 'who is behind goes on');
});

test('a short list is there at once', async t => {
	const from = await placesOf(few);
	for (const which of [[], [3], [1, 2, 3]]) {
		t.is(copiedList(from, which, new SpareChunks(0)).chunks()?.length, 1);
	}
});

test('a filtered list is put together from the whole one, and compressed without being there before', async t => {
	const listings = new Listings();
	const listed = images(2000);
	await listings.get(1, query(), listed);
	const list = await listings.get(1, query('os=smartos'), listed);
	const one = await listings.get(1, query('limit=1000'), listed);
	t.truthy(list.chunks(), 'it is the whole one');
	t.is(one.chunks(), undefined);
	const {length} = await one.encoded('gzip');
	t.true(length > 0);
	t.truthy(one.chunks(), 'the compressor has taken all of it');
	t.is((await listings.get(1, query('limit=1000'), listed)).chunks()?.[0], one.chunks()?.[0]);
});
