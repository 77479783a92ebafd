import {setImmediate as nextTurn} from 'node:timers/promises';
import {brotliDecompressSync, gunzipSync} from 'node:zlib';
import test from 'ava';
import {Listings, type ListBytes} from '../../src/catalog/listing.js';
import {NotFoundError} from '../../src/errors.js';
import type {Manifest} from '../../src/image/manifest.js';
import {publisher} from '../helpers/make-image.js';
import {image, images, plain} from './fake-source.js';
import {query} from './start-catalog.js';

function textOf({parts}: Pick<ListBytes, 'parts'>): string {
	return Buffer.concat([...parts()]).toString();
}

function laidOut(listed: readonly Manifest[]): string {
	return JSON.stringify(
		listed.map(({text}) => JSON.parse(text) as unknown),
		null,
		2,
	);
}

/** The same images, and how often somebody has read their texts. */
function watched(listed: readonly Manifest[]): {readonly listed: readonly Manifest[]; readonly reads: () => number} {
	let reads = 0;
	return {
		listed: listed.map(manifest => ({
			...plain(manifest),
			get text() {
				reads++;
				return manifest.text;
			},
		})),
		reads: () => reads,
	};
}

/** Resolves once nothing is laid out behind any more. */
async function untilStill(reads: () => number): Promise<number> {
	for (let before = -1; before !== reads();) {
		before = reads();
		await nextTurn();
		await nextTurn();
	}
	return reads();
}

test('the whole list is laid out as JSON.stringify would', async t => {
	for (const count of [0, 1, 2, 700]) {
		const listed = images(count);
		const bytes = await new Listings().get(1, query(), listed);
		t.true(textOf(bytes) === laidOut(listed), String(count));
		t.is(bytes.length, Buffer.byteLength(laidOut(listed)));
	}
});

test('the same images have the same tag, and others in another order or number another', async t => {
	const listed = images(30);
	const tag = async (text: string, list: readonly Manifest[] = listed): Promise<string> =>
		(await new Listings().get(1, query(text), list)).etag;
	t.is(await tag(''), await tag('limit=30'));
	t.is(await tag('limit=2'), await tag('', listed.slice(0, 2)));
	const others = await Promise.all(['', 'limit=29', 'sort=published_at.desc', 'name=none'].map(text => tag(text)));
	t.is(new Set(others).size, 4);
	t.not(await tag('', [...listed.slice(0, 29), image()]), await tag(''));
	t.regex(await tag(''), /^[0-9a-f]{40}$/);
});

test('a list is the same whether it is laid out or put together of one that was', async t => {
	const listed = [...images(900), image({description: 'größer als 😀'})];
	const next = [image(), ...listed.slice(100), image()];
	const listings = new Listings();
	for (const [version, before] of [
		[1, 'nothing'],
		[2, 'the list before'],
		[2, 'all of this one'],
	] as const) {
		const now = version === 1 ? listed : next;
		for (const text of [
			'name=vmapi',
			'sort=published_at.desc&limit=500',
			'limit=1',
			'name=none',
			'name=~a&version=~g',
		]) {
			const asked = query(`${text}${before === 'all of this one' ? `&owner=${publisher}` : ''}`);
			const [first, fresh] = await Promise.all([listings.get(version, asked, now), new Listings().get(1, asked, now)]);
			t.true(textOf(first) === textOf(fresh), `${text}, known: ${before}`);
			t.is(first.etag, fresh.etag);
			t.is(first.length, Buffer.byteLength(textOf(first)));
		}
		t.true(textOf(await listings.get(version, query(), now)) === laidOut(now), before);
	}
});

test('an image is laid out once, whatever is asked and whatever else changes', async t => {
	const {listed, reads} = watched(images(300));
	const listings = new Listings();
	await listings.get(1, query('limit=10'), listed);
	const once = await untilStill(reads);
	await listings.get(1, query(), listed);
	await listings.get(1, query('name=imgapi'), listed);
	await listings.get(2, query('name=vmapi'), listed.slice(1));
	await listings.get(2, query(), listed.slice(1));
	t.is(await untilStill(reads), once);
	// For the text and for the tag; those of the first question a second time.
	t.is(once, 2 * (300 + 10));
});

test('a question about one large image costs nobody what has been laid out', async t => {
	const {listed, reads} = watched([...images(300), image({name: 'large', description: 'x'.repeat(40_000)})]);
	// Were all as large, they would not fit.
	const listings = new Listings({maxBytes: 12_000_000});
	await listings.get(1, query(), listed);
	const once = await untilStill(reads);
	t.true((await listings.get(1, query('name=large'), listed)).length > 40_000);
	await listings.get(1, query('limit=20'), listed);
	t.is(await untilStill(reads), once);
});

test('a question about tags reads no text of a list that has been laid out, nor of the one after it', async t => {
	const same = Array.from({length: 400}, (_, at) =>
		image({tags: {role: at % 2 === 0 ? 'db' : 'web', number: at, more: {at}}}),
	);
	const {listed, reads} = watched(same);
	const turned = <T>(all: readonly T[]): readonly T[] => [...all.slice(1), ...all.slice(0, 1)];
	const next = turned(listed);
	const listings = new Listings();
	await listings.get(1, query(), listed);
	for (const [version, now, unwatched] of [
		[1, listed, same],
		[2, next, turned(same)],
	] as const) {
		await listings.get(version, query(), now);
		const once = await untilStill(reads);
		for (const text of ['tag.role=db', 'tag.role=web&tag.more=', 'tag.none=', 'tag.number=17', 'tag.role=d']) {
			const found = await listings.get(version, query(text), now);
			t.is(await untilStill(reads), once, text);
			t.is(found.etag, (await new Listings().get(1, query(text), unwatched)).etag, text);
		}
	}
	// Of numbers there are too many to note: those are looked for in the texts.
	const found = await listings.get(2, query('tag.number=399'), next);
	t.true(textOf(found) === laidOut([listed[399] ?? image()]));
});

test('what sources’ images have in common with ours is shown to whom it is shown', async t => {
	const [other = image()] = images(1);
	const ours: Manifest = {...plain(image()), local: {channels: ['dev'], billingTags: [], stor: 'local'}};
	const listings = new Listings();
	const shown = {...query('limit=2'), showChannels: true, key: 'with channels'};
	for (const round of [1, 2]) {
		const with_ = textOf(await listings.get(round, shown, [other, ours]));
		const without = textOf(await listings.get(round, query(), [other, ours]));
		t.true(with_.includes('"channels": [\n      "dev"\n    ]'));
		t.is(without, laidOut([other, ours]));
	}
});

test('a list compressed says the same, and is made once for everybody', async t => {
	const listings = new Listings();
	const listed = images(1500);
	const list = await listings.get(1, query(), listed);
	t.deepEqual(list.encodings, ['br', 'gzip']);
	const all = await Promise.all(Array.from({length: 50}, () => list.encoded('gzip')));
	t.is(new Set(all).size, 1);
	const br = await list.encoded('br');
	t.true(gunzipSync(Buffer.concat(all[0]?.chunks ?? [])).toString() === textOf(list));
	t.true(brotliDecompressSync(Buffer.concat(br.chunks)).toString() === textOf(list));
	t.is(br.length, Buffer.concat(br.chunks).length);
	t.true(br.length < list.length / 5);
	const again = await listings.get(1, query(), listed);
	t.is(await again.encoded('br'), br);
	t.not(await (await listings.get(2, query(), [...listed])).encoded('br'), br);
});

test('the shortest lists are not worth compressing', async t => {
	const listings = new Listings();
	t.deepEqual((await listings.get(1, query('name=none'), images(3))).encodings, []);
});

test('what is compressed takes room, and goes with its list', async t => {
	const listed = images(40);
	const listings = new Listings({maxBytes: 60_000});
	const first = await listings.get(1, query('limit=8'), listed);
	await listings.get(1, query('limit=9'), listed);
	t.is(listings.kept(1, query('limit=8')), first);
	t.truthy(listings.kept(1, query('limit=9')));
	const room = 60_000 * (2 / 3) - first.length - (listings.kept(1, query('limit=9'))?.length ?? 0) - 3000;
	const [gzip, br] = await Promise.all([first.encoded('gzip'), first.encoded('br')]);
	const third = Math.floor((room - gzip.length - br.length) / 1400) + 1;
	await listings.get(1, query(`limit=${third}&marker=2000-01-01`), listed);
	t.is(listings.kept(1, query('limit=9')), undefined, 'asked for before the other was compressed');
});

test('letters that need several bytes are counted as what they are', async t => {
	const bytes = await new Listings().get(1, query(), [image({description: 'größer als 😀'})]);
	t.is(bytes.length, Buffer.concat([...bytes.parts()]).length);
	t.true(textOf(bytes).includes('größer als 😀'));
});

test('an answer is made once for everybody who asks for it, now or later', async t => {
	const listings = new Listings();
	const listed = images(1000);
	const all = await Promise.all(Array.from({length: 100}, () => listings.get(1, query(), listed)));
	t.is(new Set(all).size, 1);
	const [first] = all;
	t.truthy(first);
	t.true((await listings.get(1, query(), listed)) === first);
	t.false((await listings.get(1, query('name=imgapi'), listed)) === first);
	t.false((await listings.get(2, query(), listed)) === first);
});

test('queries are answered by what they ask for', async t => {
	const listings = new Listings();
	const listed = images(40);
	const names = JSON.parse(textOf(await listings.get(1, query('name=imgapi&limit=2'), listed))) as {name: string}[];
	t.deepEqual(
		names.map(({name}) => name),
		['imgapi', 'imgapi'],
	);
	await t.throwsAsync(listings.get(1, query(`marker=${image().uuid}`), listed), {instanceOf: NotFoundError});
});

test('a list larger than all the room there is works all the same', async t => {
	const listings = new Listings({maxBytes: 50_000});
	const listed = images(200);
	const one = await listings.get(1, query(), listed);
	t.true(one.length > 100_000);
	const again = await listings.get(1, query(), listed);
	t.not(again, one);
	t.deepEqual(again.etag, one.etag);
});

test('when the room is used up, what nobody asked for lately is made anew', async t => {
	const listings = new Listings({maxBytes: 40_000});
	const listed = images(40);
	const first = await listings.get(1, query('limit=5'), listed);
	const second = await listings.get(1, query('limit=6'), listed);
	await listings.get(1, query('limit=7'), listed);
	await listings.get(1, query('limit=8'), listed);
	t.not(await listings.get(1, query('limit=5'), listed), first);
	t.not(await listings.get(1, query('limit=6'), listed), second);
});

test('a list that is overtaken while it is made is given to those who wait and not kept', async t => {
	const listings = new Listings();
	const [old, fresh] = [images(3000), images(1)];
	const slow = listings.get(1, query(), old);
	const next = await listings.get(2, query(), fresh);
	t.is((JSON.parse(textOf(await slow)) as unknown[]).length, 3000);
	t.is(await listings.get(2, query(), fresh), next);
});
