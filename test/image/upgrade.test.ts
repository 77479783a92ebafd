import test from 'ava';
import fc from 'fast-check';
import {IntegrityError} from '../../src/errors.js';
import {datasetFiles, manifestFromAny} from '../../src/image/dataset.js';
import {fieldsOf} from '../../src/image/manifest.js';
import {fields, sha1, uuid} from './manifests.js';

function dataset(more: object = {}): Record<string, unknown> {
	return {
		uuid: uuid(1),
		name: 'nodejs',
		version: '1.0.0',
		description: 'A dataset',
		type: 'zone-dataset',
		os: 'smartos',
		creator_uuid: uuid(0xc),
		files: [{path: 'nodejs-1.0.0.zfs.bz2', sha1, size: 12, url: 'http://x/datasets/u/nodejs-1.0.0.zfs.bz2'}],
		...more,
	};
}

function upgraded(more: object = {}): Record<string, unknown> {
	return {...fieldsOf(manifestFromAny(JSON.stringify(dataset(more))))};
}

test('a dataset manifest becomes an image manifest, its keys in the order of IMGAPI, unknown ones last', t => {
	const text = `{
		"name": "nodejs", "version": "1.0.0", "type": "zvol", "os": "linux",
		"uuid": "${uuid(1)}", "_url": "x", "creator_uuid": "${uuid(0xc)}", "vendor_uuid": "${uuid(0xc)}", "creator_name": "sdc",
		"cloud_name": "sdc", "creator_admin": 1, "owner_uuid": "${uuid(0xd)}", "platform_type": "smartos",
		"published_at": "2011-03-15T13:33Z", "created_at": "2011-03-15T13:33Z", "updated_at": "2011-03-15T13:33Z",
		"urn": "sdc:sdc:nodejs:1.0.0", "image_size": "10240", "10": 1.0e2,
		"requirements": {"networks": [], "password": true, "ssh_key": true},
		"files": [
			{"path": "x.zfs.gz", "sha1": "${sha1}", "md5": "${'ab'.repeat(16)}", "size": 1.2e1, "url": "http://x/y", "extra": "\\u00e9"}
		]
	}`;
	t.is(
		manifestFromAny(text).text,
		`{"v":2,"uuid":"${uuid(1)}","owner":"${uuid(0xc)}","name":"nodejs","version":"1.0.0",` +
			`"state":"active","disabled":false,"public":true,"published_at":"2011-03-15T13:33:00Z","type":"zvol","os":"linux",` +
			`"files":[{"sha1":"${sha1}","md5":"${'ab'.repeat(16)}","size":1.2e1,"extra":"\\u00e9","compression":"gzip"}],` +
			`"urn":"sdc:sdc:nodejs:1.0.0","requirements":{"networks":[],"ssh_key":true},"image_size":10240,"10":1.0e2}`,
	);
});

const rules: readonly (readonly [string, object, object])[] = [
	['no restriction means public', {}, {public: true, acl: undefined}],
	[
		'a restriction means private',
		{restricted_to_uuid: uuid(5)},
		{public: false, acl: [uuid(5)], restricted_to_uuid: undefined},
	],
	[
		'an empty restriction is none',
		{restricted_to_uuid: ''},
		{public: true, acl: undefined, restricted_to_uuid: undefined},
	],
	['a null restriction is none', {restricted_to_uuid: null}, {public: true, restricted_to_uuid: undefined}],
	['a restriction wins over an acl', {acl: [uuid(6)], restricted_to_uuid: uuid(5)}, {acl: [uuid(5)]}],
	['an acl without restriction is kept', {acl: [uuid(6)]}, {acl: [uuid(6)], public: true}],
	['a dataset without disabled is active', {}, {state: 'active', disabled: false}],
	['a disabled dataset is disabled', {disabled: true}, {state: 'disabled', disabled: true}],
	['disabled is taken as JavaScript does', {disabled: 1}, {state: 'disabled', disabled: true}],
	['disabled may be null', {disabled: null}, {state: 'active', disabled: false}],
	['a state of its own counts for nothing', {state: 'deprecated'}, {state: 'active'}],
	[
		'created_at stands in for published_at',
		{created_at: '2011-03-15T13:33Z'},
		{published_at: '2011-03-15T13:33:00Z', created_at: undefined},
	],
	['created_at stands in for a null published_at', {published_at: null, created_at: 'x'}, {published_at: 'x'}],
	[
		'published_at wins over created_at',
		{created_at: 'x', published_at: 'y'},
		{published_at: 'y', created_at: undefined},
	],
	[
		'a date with seconds is kept',
		{published_at: '2012-05-02T15:14:45.805Z'},
		{published_at: '2012-05-02T15:14:45.805Z'},
	],
	[
		'a date of dsapid is cut to milliseconds',
		{published_at: '2014-11-10T09:08:07.123456789Z'},
		{published_at: '2014-11-10T09:08:07.123Z'},
	],
	[
		'a date of fewer fraction digits gets three',
		{published_at: '2014-11-10T09:08:07.1Z'},
		{published_at: '2014-11-10T09:08:07.100Z'},
	],
	['a date without zone is one of UTC', {published_at: '2014-11-10T09:08'}, {published_at: '2014-11-10T09:08:00Z'}],
	['no date at all is none', {}, {published_at: undefined}],
	['creator_uuid is the owner', {}, {owner: uuid(0xc), creator_uuid: undefined}],
	['the urn is kept', {urn: 'sdc:sdc:a:1'}, {urn: 'sdc:sdc:a:1'}],
	['a size in words becomes a number', {image_size: '10240'}, {image_size: 10240}],
	['a size that is a number stays one', {image_size: 10240}, {image_size: 10240}],
	['a size that is nonsense stays it', {image_size: 'large'}, {image_size: 'large'}],
	['an empty size stays it', {image_size: ''}, {image_size: ''}],
	['the password requirement goes', {requirements: {password: true, ssh_key: false}}, {requirements: {ssh_key: false}}],
	['odd requirements are kept', {requirements: 'none'}, {requirements: 'none'}],
	[
		'unknown keys are kept',
		{builder_info: {a: [1]}, provider: 'x', homepage: 'h', tags: {a: 1}},
		{builder_info: {a: [1]}, provider: 'x', homepage: 'h', tags: {a: 1}},
	],
	[
		'users and switches are kept',
		{users: [{name: 'root'}], generate_passwords: false},
		{users: [{name: 'root'}], generate_passwords: false},
	],
	['v 1 is v 2 afterwards', {v: 1}, {v: 2}],
	['null files are none', {files: null}, {files: null}],
];

for (const [what, more, expected] of rules) {
	test(`upgrade: ${what}`, t => {
		t.like(upgraded(more), {v: 2, ...expected});
	});
}

for (const key of [
	'vendor_uuid',
	'creator_name',
	'cloud_name',
	'creator_admin',
	'owner_uuid',
	'platform_type',
	'updated_at',
	'created_at',
	'_url',
]) {
	test(`upgrade: ${key} is dropped`, t => {
		t.false(Object.hasOwn(upgraded({[key]: 'x', published_at: 'y'}), key));
	});
}

const compressions: readonly (readonly [object, string])[] = [
	[{path: 'a.zfs.gz'}, 'gzip'],
	[{path: 'a.zfs.bz2'}, 'bzip2'],
	[{path: 'a.zfs.xz'}, 'xz'],
	[{path: 'a.zfs'}, 'none'],
	[{path: 'gz'}, 'none'],
	[{path: 'a.gz.zfs', url: 'http://x/a.bz2'}, 'none'],
	[{url: 'http://x/a.zfs.gz'}, 'gzip'],
	[{url: 'http://x/a.zfs.bz2?token=1#x.gz'}, 'bzip2'],
	[{path: '', url: 'http://x/a.zfs.xz'}, 'xz'],
	[{path: 5}, 'none'],
	[{}, 'none'],
	[{path: 'a.zfs.gz', compression: 'xz'}, 'xz'],
	[{path: 'a.zfs.gz', compression: null}, 'gzip'],
];

for (const [file, expected] of compressions) {
	test(`upgrade: the file ${JSON.stringify(file)} is compressed by ${expected}`, t => {
		const manifest = manifestFromAny(JSON.stringify(dataset({files: [{...file, size: 3}]})));
		t.deepEqual(manifest.files, [{sha1: undefined, md5: undefined, size: 3, compression: expected as 'none'}]);
		t.deepEqual(fieldsOf(manifest)['files'], [{size: 3, compression: expected}]);
	});
}

const refused: readonly (readonly [string, object])[] = [
	['it has an owner already', {owner: uuid(2)}],
	['it is both public and restricted', {public: true, restricted_to_uuid: uuid(2)}],
	['the uuid is missing', {uuid: undefined}],
	['the uuid is in upper case', {uuid: 'ABCDEF00-0000-4000-8000-000000000001'}],
	['neither v nor creator_uuid is there', {creator_uuid: undefined}],
	['creator_uuid is null', {creator_uuid: null}],
	['creator_uuid is a number', {creator_uuid: 5}],
	['creator_uuid is empty', {creator_uuid: ''}],
	['the restriction is an array', {restricted_to_uuid: [uuid(2)]}],
	['a file has no size', {files: [{path: 'x.gz'}]}],
	['a file is no object', {files: ['x']}],
	['the compression is unknown', {files: [{size: 1, compression: 'lzma'}]}],
	['v is no number', {v: 'x'}],
];

for (const [what, more] of refused) {
	test(`a dataset manifest is refused when ${what}`, t => {
		t.throws(() => upgraded(more), {instanceOf: IntegrityError});
	});
}

test('the last of duplicate keys counts', t => {
	const text = JSON.stringify(dataset()).replace('"name":"nodejs"', '"name":"first","name":"nodejs"');
	const {text: result} = manifestFromAny(text);
	t.is(result.split('"name":').length, 2);
	t.true(result.startsWith('{"v":2,"uuid":'));
	t.is(manifestFromAny(text).name, 'nodejs');
});

test('a manifest of today is taken as it is', t => {
	for (const more of [{}, {creator_uuid: 'x'}, {v: 3, creator_uuid: 'x', restricted_to_uuid: 'y'}]) {
		const text = JSON.stringify(fields(1, more));
		t.is(manifestFromAny(text).text, text);
	}
	t.throws(() => manifestFromAny('[]'), {instanceOf: IntegrityError});
	t.throws(() => manifestFromAny('<html>'), {instanceOf: IntegrityError});
});

test('a version that is no number and will not be made one is of no old manifest', t => {
	for (const v of [{toString: []}, {valueOf: 1, toString: 1}, {}, [], [1], 'x', {__proto__: null}]) {
		const error = t.throws(() => manifestFromAny(JSON.stringify(fields(1, {v, creator_uuid: 'x'}))), {
			instanceOf: IntegrityError,
		});
		t.regex(error.message, /\bv\b/);
	}
	for (const v of [null, 0, 1, '1', true, false]) {
		t.is(String(manifestFromAny(JSON.stringify(dataset({v}))).uuid), uuid(1), String(v));
	}
});

test('keys of the object prototype survive the upgrade', t => {
	const text = JSON.stringify(dataset()).replace('{', '{"__proto__":{"a":1},"constructor":2,');
	const {text: result} = manifestFromAny(text);
	t.true(result.endsWith(',"__proto__":{"a":1},"constructor":2}'));
});

test('where files are is told as it stands', t => {
	const files = [{path: '../../etc/passwd', url: '-automatic-'}, {path: 5}, null, 'x'];
	t.deepEqual(datasetFiles(JSON.stringify(dataset({files}))), [
		{path: '../../etc/passwd', url: '-automatic-'},
		{path: undefined, url: undefined},
		{path: undefined, url: undefined},
		{path: undefined, url: undefined},
	]);
	t.deepEqual(datasetFiles(JSON.stringify(dataset({files: 'x'}))), []);
	t.deepEqual(datasetFiles('[]'), []);
	t.throws(() => datasetFiles('{'), {instanceOf: IntegrityError});
});

test('whatever is in a dataset manifest, an image or an IntegrityError comes out, and nothing unknown is lost', t => {
	const names = [
		'v',
		'toString',
		'disabled',
		'published_at',
		'created_at',
		'image_size',
		'requirements',
		'urn',
		'acl',
		'state',
		'restricted_to_uuid',
	];
	const odd = fc.dictionary(fc.oneof(fc.constantFrom(...names), fc.string()), fc.jsonValue());
	fc.assert(
		fc.property(odd, more => {
			const text = JSON.stringify(dataset(more));
			let manifest;
			try {
				manifest = manifestFromAny(text);
			} catch (error) {
				t.true(error instanceof IntegrityError);
				return;
			}
			const result = fieldsOf(manifest);
			for (const [key, value] of Object.entries(JSON.parse(JSON.stringify(more)) as object)) {
				if (!names.includes(key) && !['v', 'public', 'owner', 'uuid', 'creator_uuid', 'files'].includes(key)) {
					t.deepEqual(result[key], value);
				}
			}
			t.is(manifestFromAny(manifest.text).text, manifest.text);
		}),
		{numRuns: 500},
	);
});
