import {createHash} from 'node:crypto';
import test from 'ava';
import {listBytes, Listings, type ListBytes} from '../../src/catalog/listing.js';
import {NotFoundError} from '../../src/errors.js';
import {image, images} from './fake-source.js';
import {query} from './start-catalog.js';

function textOf(list: ListBytes): string {
	return Buffer.concat(list.chunks).toString();
}

test('a list is laid out as JSON.stringify would, and its tag is the digest of its bytes', async t => {
	for (const count of [0, 1, 2, 700]) {
		const listed = images(count);
		const bytes = await listBytes(listed);
		const expected = JSON.stringify(
			listed.map(({text}) => JSON.parse(text) as unknown),
			null,
			2,
		);
		t.true(textOf(bytes) === expected, String(count));
		t.is(bytes.length, Buffer.byteLength(expected));
		t.is(bytes.etag, createHash('sha1').update(expected).digest('hex'));
	}
});

test('letters that need several bytes are counted as what they are', async t => {
	const bytes = await listBytes([image({description: 'größer als 😀'})]);
	t.is(bytes.length, Buffer.concat(bytes.chunks).length);
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
