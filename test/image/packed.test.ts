import test from 'ava';
import {manifestEtag, parseManifest, type Manifest} from '../../src/image/manifest.js';
import {copyPage, isCurrentPage, packPage, unpackPage} from '../../src/image/packed-page.js';
import {PackedManifest, Packer, Shared, UnpackedTexts, isSameText, type TextBlock} from '../../src/image/packed.js';
import {fields, image, sha1, uuid} from './manifests.js';

/** As different as manifests get. */
const odd = [
	image(1),
	image(2, {published_at: '2020-01-01T00:00:01.234Z'}),
	image(3, {published_at: '2020-01-01T00:00:01.123456789Z'}),
	image(4, {published_at: 'yesterday'}),
	image(5, {published_at: undefined}),
	image(6, {published_at: '1970-01-01T00:00:00.000Z'}),
	image(7, {published_at: '2020-01-01T02:00:00+02:00'}),
	image(8, {files: []}),
	image(9, {
		files: [
			{sha1, size: 1, compression: 'xz'},
			{size: 2, compression: 'none'},
		],
	}),
	image(10, {files: [{md5: 'a'.repeat(32), size: 3, compression: 'bzip2'}]}),
	image(11, {files: [{sha1, md5: 'b'.repeat(32), size: 2 ** 40, compression: 'gzip'}]}),
	image(12, {urn: 'sdc:sdc:base:1.0', icon: true, public: false, acl: [uuid(1), uuid(2)], disabled: true}),
	image(13, {origin: uuid(1), state: 'unactivated', description: '\u2028 "…" \\ 😀 \n'}),
	image(14, {name: 5, version: undefined, tags: {a: {b: [1.0e5, -0]}}}),
];

/** With all that a manifest has, as plain data. */
function plain(manifest: Manifest): object {
	const {uuid: id, name, version, type, os, owner, state, disabled, public: isPublic, text} = manifest;
	const {publishedAt, publishedMs, origin, files, acl, icon, urn} = manifest;
	return {
		...{id, name, version, type, os, owner, state, disabled, isPublic, text},
		...{publishedAt, publishedMs, origin, files, acl, icon, urn, etag: manifestEtag(manifest)},
	};
}

function packed(manifests: readonly Manifest[], texts = new UnpackedTexts()): readonly PackedManifest[] {
	const packer = new Packer(texts);
	const all = manifests.map(manifest => packer.pack(manifest));
	packer.end();
	return all;
}

function many(count: number): readonly Manifest[] {
	return Array.from({length: count}, (_, number) => image(number + 1, {description: `number ${number} `.repeat(50)}));
}

test('a manifest that is kept small says all that it said', t => {
	for (const [at, manifest] of packed(odd).entries()) {
		t.deepEqual(plain(manifest), plain(odd[at] ?? image()));
		t.truthy(manifest.block);
	}
	const packer = new Packer(new UnpackedTexts());
	const waiting = packer.pack(image(1));
	t.is(waiting.block, undefined);
	t.is(waiting.text, image(1).text);
	t.is(packer.pack(waiting), waiting);
});

test('what many manifests share is there once', t => {
	const [one, two] = packed([image(1, {name: 'same', acl: [uuid(5)]}), image(2, {name: 'same', acl: [uuid(5)]})]);
	t.is(one?.fields.kind, two?.fields.kind);
	t.is(one?.block, two?.block);
});

test('manifests are the same where their texts are', t => {
	const [kept] = packed([image(1)]);
	t.true(kept !== undefined && isSameText(kept, image(1)));
	t.true(kept !== undefined && isSameText(image(1), kept));
	t.true(isSameText(image(1), image(1)));
	t.false(kept !== undefined && isSameText(kept, image(1, {description: 'other'})));
	t.false(isSameText(image(1), image(1, {description: 'other'})));
});

test('whoever goes through a list unpacks each block once, and few are kept', t => {
	const texts = new UnpackedTexts({max: 2});
	const all = packed(many(300), texts);
	const blocks = new Set(all.map(({block}) => block));
	t.true(blocks.size > 5);
	let unpacked = 0;
	for (const block of blocks) {
		const unpack = block?.unpack.bind(block);
		if (block !== undefined && unpack !== undefined) {
			block.unpack = () => {
				unpacked++;
				return unpack();
			};
		}
	}
	t.deepEqual(
		all.map(({text}) => text),
		many(300).map(({text}) => text),
	);
	t.is(unpacked, blocks.size);
	t.is(all[0]?.text, image(1, {description: 'number 0 '.repeat(50)}).text);
	t.is(unpacked, blocks.size + 1);
	texts.clear();
	t.deepEqual(plain(all[0] ?? image()), plain(many(1)[0] ?? image()));
	t.truthy(all[0]?.text);
	t.is(unpacked, blocks.size + 2);
});

test('a page gives back what was put on it', t => {
	const page = packPage(odd, new UnpackedTexts());
	t.true(isCurrentPage(page));
	const read = unpackPage(page, new UnpackedTexts());
	t.is(read?.count, odd.length);
	t.deepEqual(read?.manifests.map(plain), odd.map(plain));
	t.is(unpackPage(packPage([], new UnpackedTexts()), new UnpackedTexts())?.count, 0);
});

test('reading a page looks at no text', t => {
	const page = packPage(many(100), new UnpackedTexts());
	const texts = new UnpackedTexts();
	texts.of = (block: TextBlock) => {
		throw new Error(`a block of ${block.count} was unpacked`);
	};
	const read = unpackPage(page, texts, new Shared());
	t.is(read?.manifests.length, 100);
	t.throws(() => read?.manifests[0]?.text, {message: /was unpacked/});
});

test('a page that is not as it was written is none', t => {
	const page = packPage(odd, new UnpackedTexts());
	const at = Math.floor(page.length / 2);
	const other = page[at] === 'A' ? 'B' : 'A';
	for (const damaged of [
		page.slice(0, -1),
		page.slice(0, at) + other + page.slice(at + 1),
		page.slice(10),
		'',
		'x',
		undefined,
		7,
	]) {
		t.is(unpackPage(damaged, new UnpackedTexts()), undefined);
	}
});

test('a page of another version is read from its texts, without those that are no manifests now', t => {
	const page = packPage(odd, new UnpackedTexts()).replace(/^\d+ /, '999 ');
	t.false(isCurrentPage(page));
	const read = unpackPage(page, new UnpackedTexts());
	t.is(read?.count, odd.length);
	t.deepEqual(read?.manifests.map(plain), odd.map(plain));

	const refused = new PackedManifest(new Shared().fields(image(1)), '{"v":1,"uuid":"no"}');
	const mixed = packPage([image(2), refused], new UnpackedTexts()).replace(/^\d+ /, '999 ');
	t.is(unpackPage(mixed, new UnpackedTexts())?.count, 2);
	t.deepEqual(
		unpackPage(mixed, new UnpackedTexts())?.manifests.map(({uuid: id}) => id as string),
		[uuid(2)],
	);
});

test('blocks that are needed whole stay as they are; what is left of others comes into new ones', t => {
	const texts = new UnpackedTexts();
	const all = packed(many(200), texts);
	const before = all.map(({block}) => block);
	packPage(all, texts);
	t.deepEqual(
		all.map(({block}, at) => block === before[at]),
		all.map(() => true),
	);
	const half = all.filter((_, at) => at % 2 === 0);
	const page = packPage(half, texts);
	t.true(half.every(({block}) => block !== undefined && !before.includes(block)));
	t.true(new Set(half.map(({block}) => block)).size <= Math.ceil(new Set(before).size / 2) + 1);
	const expected = many(200).filter((_, at) => at % 2 === 0);
	t.deepEqual(half.map(plain), expected.map(plain));
	t.deepEqual(unpackPage(page, texts)?.manifests.map(plain), expected.map(plain));
});

test('a copy of a page moves nobody’s texts', t => {
	const texts = new UnpackedTexts();
	const all = packed(many(50), texts);
	const before = all.map(({block}) => block);
	const chosen = all.filter((_, at) => at % 3 === 0);
	const read = unpackPage(copyPage(chosen, new UnpackedTexts()), texts);
	t.deepEqual(
		all.map(({block}) => block),
		before,
	);
	t.deepEqual(read?.manifests.map(plain), chosen.map(plain));
});

test('half a surrogate pair is what it was when it was read', t => {
	const text = JSON.stringify(fields(1, {description: 'x'})).replace('"x"', '"\ud800"');
	const [kept] = packed([parseManifest(text)]);
	t.is(kept?.text, parseManifest(text).text);
});
