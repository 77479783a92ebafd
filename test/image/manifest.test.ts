import {createHash} from 'node:crypto';
import {setFlagsFromString} from 'node:v8';
import {runInNewContext} from 'node:vm';
import test from 'ava';
import fc from 'fast-check';
import {IntegrityError} from '../../src/errors.js';
import {
	compareImages,
	fieldsOf,
	isActive,
	isSha1,
	isUuid,
	manifestEtag,
	parseManifest,
	type Manifest,
} from '../../src/image/manifest.js';
import {fields, image, sha1, uuid} from './manifests.js';

test('the index holds what the text says, and the text is the source’s own', t => {
	const text = `{
  "v": 2,
  "uuid": "${uuid(7)}",
  "owner": "${uuid(8)}",
  "name": "base-64",
  "version": "13.1.0",
  "state": "active",
  "disabled": false,
  "public": true,
  "published_at": "2013-05-07T17:33:44.000Z",
  "type": "zvol",
  "os": "linux",
  "files": [ { "sha1": "${sha1.toUpperCase()}", "size": 1.0e2, "compression": "bzip2", "md5": "${'AB'.repeat(16)}" } ],
  "acl": [ "${uuid(9)}", 5 ],
  "icon": true,
  "origin": "${uuid(10)}",
  "urn": "sdc:sdc:base64:13.1.0",
  "channels": ["dev"],
  "1": {"unknown": [ ]}
}`;
	const manifest = parseManifest(text);
	const {text: compact, ...index} = manifest;
	t.deepEqual(index as object, {
		uuid: uuid(7),
		name: 'base-64',
		version: '13.1.0',
		type: 'zvol',
		os: 'linux',
		owner: uuid(8),
		state: 'active',
		disabled: false,
		public: true,
		publishedAt: '2013-05-07T17:33:44.000Z',
		publishedMs: Date.UTC(2013, 4, 7, 17, 33, 44),
		origin: uuid(10),
		files: [{sha1, md5: 'ab'.repeat(16), size: 100, compression: 'bzip2'}],
		acl: [uuid(9)],
		icon: true,
		urn: 'sdc:sdc:base64:13.1.0',
	});
	t.true(compact.includes(`{"sha1":"${sha1.toUpperCase()}","size":1.0e2,`));
	t.true(compact.endsWith('"urn":"sdc:sdc:base64:13.1.0","1":{"unknown":[]}}'));
	t.false(compact.includes('channels'));
	t.deepEqual(fieldsOf(manifest)['1'], {unknown: []});
	t.is(manifestEtag(manifest), createHash('sha1').update(compact).digest('hex'));
});

test('a manifest may be as small as v and uuid', t => {
	const manifest = parseManifest(`{"v":2,"uuid":"${uuid(1)}"}`);
	t.deepEqual(manifest as object, {
		uuid: uuid(1),
		name: '',
		version: '',
		type: '',
		os: '',
		owner: '',
		state: 'active',
		disabled: false,
		public: false,
		publishedAt: undefined,
		publishedMs: 0,
		origin: undefined,
		files: [],
		acl: [],
		icon: false,
		urn: undefined,
		text: `{"v":2,"uuid":"${uuid(1)}"}`,
	});
});

test('fields of a wrong type are as if they were missing', t => {
	const odd = {
		name: 5,
		version: ['1'],
		type: null,
		os: {},
		owner: true,
		state: 3,
		disabled: 'true',
		public: 1,
		urn: [],
	};
	const manifest = image(1, {...odd, published_at: 5, origin: 'X', acl: 'x', icon: 'true', files: null});
	t.is(manifest.name + manifest.version + manifest.type + manifest.os + manifest.owner, '');
	t.is(manifest.state, 'active');
	t.deepEqual([manifest.disabled, manifest.public, manifest.icon], [false, false, false]);
	t.deepEqual([manifest.publishedAt, manifest.origin, manifest.urn], [undefined, undefined, undefined]);
	t.deepEqual([manifest.files, manifest.acl], [[], []]);
	t.deepEqual(fieldsOf(manifest)['name'], 5);
});

test('keys of the object prototype are data', t => {
	const text = `{"__proto__":{"v":2},"constructor":1,"toString":null,"v":2,"uuid":"${uuid(1)}","hasOwnProperty":{}}`;
	const manifest = parseManifest(text);
	t.is(manifest.text, text);
	t.true(Object.hasOwn(fieldsOf(manifest), '__proto__'));
	t.throws(() => parseManifest(`{"__proto__":{"v":2,"uuid":"${uuid(1)}"}}`), {instanceOf: IntegrityError});
});

test('a missing state follows from disabled', t => {
	t.is(image(1, {state: undefined}).state, 'active');
	t.is(image(1, {state: undefined, disabled: true}).state, 'disabled');
	t.is(image(1, {state: 'unactivated'}).state, 'unactivated');
	t.true(isActive(image(1)));
	t.false(isActive(image(1, {disabled: true})));
	t.false(isActive(image(1, {state: 'unactivated'})));
});

for (const v of [2, 3, 2.5, '2', '2.0', 1e300]) {
	test(`v may be ${JSON.stringify(v)}`, t => {
		t.is(image(1, {v}).uuid, uuid(1) as Manifest['uuid']);
	});
}

const refused: readonly (readonly [string, object])[] = [
	['v is missing', {v: undefined}],
	['v is 1', {v: 1}],
	['v is negative', {v: -2}],
	['v is no number', {v: 'two'}],
	['v is empty', {v: ''}],
	['v is null', {v: null}],
	['v is an array', {v: [2]}],
	['v is true', {v: true}],
	['the uuid is missing', {uuid: undefined}],
	['the uuid is in upper case', {uuid: 'ABCDEF00-0000-4000-8000-000000000001'}],
	['the uuid is followed by a line end', {uuid: `${uuid(1)}\n`}],
	['the uuid is an array', {uuid: [uuid(1)]}],
	['the uuid is a path', {uuid: '../../../../etc/passwd'}],
	['files is an object', {files: {}}],
	['files is a string', {files: 'x'}],
	['a file is null', {files: [null]}],
	['a file is an array', {files: [[]]}],
	['a second file is malformed', {files: [{size: 1, compression: 'none'}, {}]}],
	['the size is missing', {files: [{sha1, compression: 'gzip'}]}],
	['the size is a string', {files: [{sha1, size: '5', compression: 'gzip'}]}],
	['the size is negative', {files: [{sha1, size: -1, compression: 'gzip'}]}],
	['the size is fractional', {files: [{sha1, size: 1.5, compression: 'gzip'}]}],
	['the size is null (NaN)', {files: [{sha1, size: NaN, compression: 'gzip'}]}],
	['the size is over 2^53', {files: [{sha1, size: 2 ** 53, compression: 'gzip'}]}],
	['the compression is missing', {files: [{sha1, size: 1}]}],
	['the compression is unknown', {files: [{sha1, size: 1, compression: 'zstd'}]}],
	['the compression is a prototype’s name', {files: [{sha1, size: 1, compression: 'constructor'}]}],
	['the compression is an array', {files: [{sha1, size: 1, compression: ['gzip']}]}],
	['the sha1 is short', {files: [{sha1: 'abc', size: 1, compression: 'gzip'}]}],
	['the sha1 is not hexadecimal', {files: [{sha1: 'g'.repeat(40), size: 1, compression: 'gzip'}]}],
	['the sha1 is a number', {files: [{sha1: 5, size: 1, compression: 'gzip'}]}],
	['the only digest is a malformed md5', {files: [{md5: 'zz', size: 1, compression: 'gzip'}]}],
];

for (const [what, more] of refused) {
	test(`a manifest is refused when ${what}`, t => {
		t.throws(() => image(1, more), {instanceOf: IntegrityError});
	});
}

for (const text of [
	'',
	'[]',
	'null',
	'"x"',
	'5',
	'<html>',
	'{',
	`{"v":2,"uuid":"${uuid(1)}"} x`,
	`{"v":2e999,"uuid":"${uuid(1)}"}`,
]) {
	test(`'${text}' is no manifest`, t => {
		t.throws(() => parseManifest(text), {instanceOf: IntegrityError});
	});
}

test('an image of a million brackets is refused, not crashed on', t => {
	const text = JSON.stringify(fields(1, {tags: 0})).replace('"tags":0', `"tags":${'['.repeat(1e6)}${']'.repeat(1e6)}`);
	t.throws(() => parseManifest(text), {instanceOf: IntegrityError});
});

test('digests may be missing', t => {
	t.deepEqual(image(1, {files: [{size: 0, compression: 'none'}]}).files, [
		{sha1: undefined, md5: undefined, size: 0, compression: 'none'},
	]);
	t.is(image(1, {files: [{sha1: null, size: 1, compression: 'xz'}]}).files[0]?.sha1, undefined);
	t.is(image(1, {files: [{sha1: '', size: 1, compression: 'xz'}]}).files[0]?.sha1, undefined);
	t.is(image(1, {files: [{sha1, md5: 'zz', size: 1, compression: 'xz'}]}).files[0]?.md5, undefined);
});

test('a number that Go writes is a size', t => {
	const text = JSON.stringify(fields()).replace('"size":1001', '"size":3.79882274e+08');
	const manifest = parseManifest(text);
	t.is(manifest.files[0]?.size, 379_882_274);
	t.is(manifest.text, text);
});

test('whatever JSON comes, a manifest or an IntegrityError comes out', t => {
	const oddFields = fc.record(
		{
			v: fc.jsonValue(),
			uuid: fc.oneof(fc.constant(uuid(1)), fc.jsonValue()),
			files: fc.oneof(fc.array(fc.record({size: fc.jsonValue(), compression: fc.jsonValue()})), fc.jsonValue()),
			acl: fc.jsonValue(),
			published_at: fc.jsonValue(),
			name: fc.jsonValue(),
			tags: fc.jsonValue(),
		},
		{requiredKeys: []},
	);
	fc.assert(
		fc.property(oddFields, odd => {
			const text = JSON.stringify({...fields(), ...odd});
			try {
				t.is(parseManifest(text).text, text);
			} catch (error) {
				t.true(error instanceof IntegrityError);
			}
		}),
	);
});

test('any layout of one manifest gives the same text', t => {
	fc.assert(
		fc.property(fc.dictionary(fc.string(), fc.jsonValue()), fc.nat({max: 8}), (extra, indent) => {
			const value = {...extra, ...fields()};
			t.is(parseManifest(JSON.stringify(value, null, indent)).text, parseManifest(JSON.stringify(value)).text);
		}),
	);
});

test('images are in the order of their dates, then of their uuids', t => {
	const images = [
		image(3, {published_at: '2012-01-01T00:00:00Z'}),
		image(1, {published_at: '2013-01-01T00:00Z'}),
		image(2, {published_at: '2012-01-01T00:00:00.000Z'}),
		image(5, {published_at: undefined}),
		image(4, {published_at: 'soon'}),
	];
	t.deepEqual(
		images.sort(compareImages).map(({uuid: id}) => String(id)),
		[uuid(4), uuid(5), uuid(2), uuid(3), uuid(1)],
	);
	t.is(compareImages(image(1), image(1)), 0);
});

test('uuids and digests are lower case and nothing more', t => {
	t.true(isUuid(uuid(1)));
	t.true(isSha1(sha1));
	for (const odd of [
		uuid(1).toUpperCase().replace('0', 'A'),
		` ${uuid(1)}`,
		`${uuid(1)}\n`,
		'',
		undefined,
		null,
		5,
		[uuid(1)],
	]) {
		t.false(isUuid(odd));
	}
	for (const odd of [sha1.toUpperCase(), sha1.slice(1), `${sha1}0`, undefined, 5]) {
		t.false(isSha1(odd));
	}
});

test('thousands of images share what they have in common', t => {
	t.is(image(1, {acl: []}).acl, image(2).acl);
	t.is(image(1, {files: []}).files, image(2, {files: undefined}).files);
});

test('a kept manifest does not keep the answer that it was cut from', t => {
	setFlagsFromString('--expose-gc');
	const collect = runInNewContext('gc') as () => void;
	const held = (): number => {
		collect();
		return process.memoryUsage().heapUsed;
	};
	const before = held();
	// Compact already, so that nothing but the copy cuts it off from the answer.
	const kept = Array.from({length: 20}, (_, index) => {
		const answer = `${' '.repeat(5_000_000)}${JSON.stringify(fields(index, {description: 'x'.repeat(500)}))}`;
		return parseManifest(answer.slice(5_000_000));
	});
	t.true(held() - before < 20_000_000);
	t.is(kept.length, 20);
});
