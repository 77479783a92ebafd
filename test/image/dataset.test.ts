import test from 'ava';
import fc from 'fast-check';
import {NotFoundError} from '../../src/errors.js';
import {datasetPath, datasetText, isListedDataset, manifestFromAny, urnOf} from '../../src/image/dataset.js';
import {membersOf} from '../../src/image/json-text.js';
import {fieldsOf, isActive, type Manifest} from '../../src/image/manifest.js';
import {anyCharacter} from '../helpers/any-character.js';
import {image, sha1, uuid} from './manifests.js';

const names = {cloudName: 'cloud', creatorName: 'creator'};
const nobody = '00000000-0000-0000-0000-000000000000';

function downgraded(more: object = {}, baseUrl = 'http://mirror'): Record<string, unknown> {
	return JSON.parse(datasetText(image(1, more), names)(baseUrl)) as Record<string, unknown>;
}

test('an image becomes a dataset, its keys in their places', t => {
	const manifest = image(1, {
		homepage: 'h',
		image_size: 10240,
		urn: 'sdc:joe:nodejs:1.0.0',
		acl: [],
		billing_tags: ['x'],
		tags: {a: 1},
		files: [{sha1, size: 12, compression: 'gzip', md5: 'ab'.repeat(16), dataset_guid: '1'}],
	});
	t.is(
		datasetText(manifest, names)('https://mirror:8080/base'),
		`{"uuid":"${uuid(1)}","creator_uuid":"${uuid(0xaaaa)}","vendor_uuid":"${uuid(0xaaaa)}","name":"image-1","version":"1.0.0",` +
			`"published_at":"2020-01-01T00:00:01Z","created_at":"2020-01-01T00:00:01Z","updated_at":"2020-01-01T00:00:01Z",` +
			`"type":"zone-dataset","os":"smartos","files":[{"path":"image-1-1.0.0.zfs.gz","sha1":"${sha1}","size":12,` +
			`"compression":"gzip","md5":"${'ab'.repeat(16)}","dataset_guid":"1",` +
			`"url":"https://mirror:8080/base/datasets/${uuid(1)}/image-1-1.0.0.zfs.gz"}],` +
			`"homepage":"h","image_size":"10240","cloud_name":"sdc","creator_name":"joe","urn":"sdc:joe:nodejs:1.0.0",` +
			`"tags":{"a":1},"platform_type":"smartos"}`,
	);
});

const rules: readonly (readonly [string, object, object])[] = [
	['v, state, public and disabled go', {}, {v: undefined, state: undefined, public: undefined, disabled: undefined}],
	['billing tags go', {billing_tags: ['x']}, {billing_tags: undefined}],
	['homepage and tags stay', {homepage: 'h', tags: {a: [1]}}, {homepage: 'h', tags: {a: [1]}}],
	['the owner is creator and vendor', {}, {owner: undefined, creator_uuid: uuid(0xaaaa), vendor_uuid: uuid(0xaaaa)}],
	['an owner that is missing is nobody', {owner: undefined}, {creator_uuid: nobody, vendor_uuid: nobody}],
	['an owner that is no text is nobody', {owner: 5}, {owner: undefined, creator_uuid: nobody}],
	['the platform is smartos', {os: 'linux'}, {platform_type: 'smartos', os: 'linux'}],
	[
		'the date is all three dates, as it stands',
		{published_at: '2012-05-02T15:14:00Z'},
		{published_at: '2012-05-02T15:14:00Z', created_at: '2012-05-02T15:14:00Z', updated_at: '2012-05-02T15:14:00Z'},
	],
	[
		'no date is no date',
		{published_at: undefined},
		{published_at: undefined, created_at: undefined, updated_at: undefined},
	],
	['a urn names cloud and creator', {urn: 'a:b:c:d'}, {urn: 'a:b:c:d', cloud_name: 'a', creator_name: 'b'}],
	['a missing urn is computed', {}, {urn: 'cloud:creator:image-1:1.0.0', cloud_name: 'cloud', creator_name: 'creator'}],
	[
		'a malformed urn is computed anew',
		{urn: 'x'},
		{urn: 'cloud:creator:image-1:1.0.0', cloud_name: 'cloud', creator_name: 'creator'},
	],
	['the image size is text', {image_size: 5}, {image_size: '5'}],
	['an image size that is text stays it', {image_size: '5'}, {image_size: '5'}],
	['an empty acl goes', {acl: []}, {acl: undefined}],
	['the acl of a public image stays', {acl: [uuid(7)]}, {acl: [uuid(7)], restricted_to_uuid: undefined}],
	[
		'a private image is restricted to the one on its acl',
		{public: false, acl: [uuid(7)]},
		{acl: undefined, restricted_to_uuid: uuid(7)},
	],
	[
		'a private image of several is restricted to its owner',
		{public: false, acl: [uuid(7), uuid(8)]},
		{acl: undefined, restricted_to_uuid: uuid(0xaaaa)},
	],
	['a private image of nobody else is restricted to its owner', {public: false}, {restricted_to_uuid: uuid(0xaaaa)}],
	[
		'a private image without owner is restricted to nobody',
		{public: false, owner: undefined},
		{restricted_to_uuid: nobody},
	],
	['a disabled image says so', {state: 'disabled', disabled: true}, {disabled: true, state: undefined}],
	['an unactivated image is not shown as active', {state: 'unactivated'}, {disabled: true}],
	['the origin stays', {origin: uuid(9)}, {origin: uuid(9)}],
	['unknown keys stay', {'10': {a: 1}}, {'10': {a: 1}}],
	['an image without file has none', {files: []}, {files: []}],
	['null files are none', {files: null}, {files: []}],
	[
		'keys of datasets that an image has are replaced',
		{creator_uuid: 'x', cloud_name: 'y', created_at: 'z', restricted_to_uuid: 'r'},
		{
			creator_uuid: uuid(0xaaaa),
			cloud_name: 'cloud',
			created_at: '2020-01-01T00:00:01Z',
			restricted_to_uuid: undefined,
		},
	],
];

for (const [what, more, expected] of rules) {
	test(`downgrade: ${what}`, t => {
		t.like(downgraded(more), expected);
	});
}

const paths: readonly (readonly [object, string])[] = [
	[{}, 'image-1-1.0.0.zfs.gz'],
	[{type: 'zvol'}, 'image-1-1.0.0.zvol.gz'],
	[{type: 'lx-dataset'}, 'image-1-1.0.0.zfs.gz'],
	[{files: [{size: 1, compression: 'none'}]}, 'image-1-1.0.0.zfs'],
	[{files: [{size: 1, compression: 'bzip2'}]}, 'image-1-1.0.0.zfs.bz2'],
	[{files: [{size: 1, compression: 'xz'}]}, 'image-1-1.0.0.zfs.xz'],
	[{name: 'a/b c', version: '1+2'}, 'a-b c-1+2.zfs.gz'],
	[{name: '../../etc', version: 'x\u0000y\n\u202ez\\'}, '..-..-etc-x-y--z-.zfs.gz'],
	[{name: '..', version: ''}, '..-.zfs.gz'],
	[{name: '', version: ''}, '-.zfs.gz'],
];

for (const [more, expected] of paths) {
	test(`the file of ${JSON.stringify(more)} is called ${JSON.stringify(expected)}`, t => {
		t.is(datasetPath(image(1, more), 0), expected);
	});
}

test('further files are numbered, and there are no others', t => {
	const manifest = image(1, {files: [0, 1].map(size => ({size, compression: 'xz'}))});
	t.is(datasetPath(manifest, 1), 'image-1-1.0.0-1.zfs.xz');
	const {files} = JSON.parse(datasetText(manifest, names)('http://m')) as {files: {url: string}[]};
	t.deepEqual(
		files.map(file => file.url),
		['', '-1'].map(further => `http://m/datasets/${uuid(1)}/image-1-1.0.0${further}.zfs.xz`),
	);
	t.throws(() => datasetPath(manifest, 2), {instanceOf: NotFoundError});
	t.throws(() => datasetPath(manifest, -1), {instanceOf: NotFoundError});
});

test('any name gives one safe segment that a URL carries whole', t => {
	const name = fc.oneof(
		fc.string({unit: anyCharacter, maxLength: 400}),
		fc.constantFrom('é'.repeat(200), '\u{1f600}'.repeat(100)),
	);
	fc.assert(
		fc.property(name, name, fc.constantFrom('none', 'gzip', 'bzip2', 'xz'), (imageName, version, compression) => {
			const manifest = image(1, {name: imageName, version, files: [{size: 1, compression}]});
			const path = datasetPath(manifest, 0);
			t.notRegex(path, /[/\\\p{Cc}\p{Cs}]/u);
			t.false(['', '.', '..'].includes(path));
			t.true(Buffer.byteLength(path) <= 255);
			t.regex(path, /\.zfs(?:\.gz|\.bz2|\.xz)?$/u);
			t.is(datasetPath(manifest, 0), path);
			const {files} = JSON.parse(datasetText(manifest, names)('http://m:1')) as {files: {path: string; url: string}[]};
			const url = new URL(files[0]?.url ?? '');
			t.is(files[0]?.path, path);
			t.is(decodeURIComponent(url.pathname), `/datasets/${uuid(1)}/${path}`);
			t.is(url.host, 'm:1');
		}),
	);
});

test('a base URL with odd characters cannot break the text', t => {
	const base = 'http://m"},\\\u0000é';
	const {files} = downgraded({}, base) as {files: {url: string}[]};
	t.is(files[0]?.url, `${base}/datasets/${uuid(1)}/image-1-1.0.0.zfs.gz`);
});

test('one image serves many base URLs', t => {
	const layOut = datasetText(image(1), names);
	t.true(layOut('http://a').includes('"url":"http://a/datasets/'));
	t.true(layOut('').includes('"url":"/datasets/'));
	t.true(layOut('http://b').includes('"url":"http://b/datasets/'));
});

const listing: readonly (readonly [object, boolean])[] = [
	[{}, true],
	[{type: 'zvol'}, true],
	[{type: 'lx-dataset'}, false],
	[{type: 'docker'}, false],
	[{type: 'other'}, false],
	[{public: false}, false],
	[{disabled: true}, false],
	[{state: 'disabled', disabled: true}, false],
	[{state: 'unactivated'}, false],
	[{files: []}, false],
];

for (const [more, expected] of listing) {
	test(`an image with ${JSON.stringify(more)} is ${expected ? '' : 'not '}listed as a dataset`, t => {
		t.is(isListedDataset(image(1, more), {seesPrivate: false}), expected);
		const isPrivate = 'public' in more;
		t.is(isListedDataset(image(1, more), {seesPrivate: true}), isPrivate || expected);
	});
}

const anyImage = fc.record(
	{
		name: fc.string(),
		version: fc.string(),
		type: fc.constantFrom('zone-dataset', 'zvol', 'lx-dataset', 'docker'),
		os: fc.constantFrom('smartos', 'linux'),
		owner: fc.constantFrom(uuid(1), undefined),
		state: fc.constantFrom('active', 'disabled', 'unactivated'),
		disabled: fc.boolean(),
		public: fc.boolean(),
		published_at: fc.constantFrom('2012-05-02T15:14:45.805Z', '2012-05-02T15:14:45Z', undefined),
		acl: fc.constantFrom([], [uuid(1)], [uuid(1), uuid(2)], undefined),
		image_size: fc.nat(),
		urn: fc.constantFrom('sdc:sdc:a:1', 'odd', undefined),
		requirements: fc.constantFrom({}, {ssh_key: true}, {networks: [{name: 'net0', description: 'x'}]}),
		tags: fc.dictionary(fc.string(), fc.jsonValue()),
		description: fc.string({unit: anyCharacter}),
		files: fc.array(
			fc.record(
				{
					sha1: fc.constant(sha1),
					md5: fc.constant('ab'.repeat(16)),
					size: fc.nat(),
					compression: fc.constantFrom('none', 'gzip', 'bzip2', 'xz'),
					extra: fc.jsonValue(),
				},
				{requiredKeys: ['size', 'compression']},
			),
			{maxLength: 3},
		),
		unknown: fc.jsonValue(),
	},
	{requiredKeys: ['files', 'public', 'state', 'disabled']},
);

function without(object: object, ...keys: readonly string[]): Record<string, unknown> {
	return Object.fromEntries(Object.entries(object).filter(([key]) => !keys.includes(key)));
}

function asWritten(object: object): Record<string, unknown> {
	return JSON.parse(JSON.stringify(object)) as Record<string, unknown>;
}

function filesText(manifest: Manifest): string | undefined {
	return membersOf(manifest.text).find(member => member.name === 'files')?.value;
}

function expectedAfterBothWays(manifest: Manifest): object {
	const {acl} = fieldsOf(manifest);
	const active = isActive(manifest);
	const [only, ...others] = manifest.acl;
	const restricted = only !== undefined && others.length === 0 ? only : manifest.owner || nobody;
	return {
		...without(fieldsOf(manifest), 'billing_tags', 'acl'),
		owner: manifest.owner || nobody,
		state: active ? 'active' : 'disabled',
		disabled: !active,
		urn: urnOf(manifest, names),
		...(manifest.public ? (manifest.acl.length > 0 ? {acl} : {}) : {acl: [restricted]}),
	};
}

test('there and back, an image keeps all that a dataset can say', t => {
	fc.assert(
		fc.property(anyImage, more => {
			const manifest = image(1, {billing_tags: ['x'], ...more});
			const back = manifestFromAny(datasetText(manifest, names)('http://m'));
			t.deepEqual(fieldsOf(back) as object, asWritten(expectedAfterBothWays(manifest)));
			t.is(filesText(back), filesText(manifest));
			t.deepEqual(back.files, manifest.files);
		}),
		{numRuns: 300},
	);
});

test('back and there, a dataset keeps what makes it one', t => {
	fc.assert(
		fc.property(anyImage, fc.constantFrom(uuid(5), undefined), (more, restricted) => {
			const source = asWritten({
				...without(more, 'owner', 'public', 'state', 'acl'),
				image_size: more.image_size === undefined ? undefined : String(more.image_size),
				uuid: uuid(1),
				creator_uuid: uuid(3),
				files: more.files.map(file => ({...file, path: 'p', url: 'u'})),
				restricted_to_uuid: restricted,
			});
			const result = JSON.parse(datasetText(manifestFromAny(JSON.stringify(source)), names)('http://m')) as Record<
				string,
				unknown
			>;
			const kept = {...without(source, 'disabled', 'urn', 'files'), vendor_uuid: uuid(3), platform_type: 'smartos'};
			for (const [key, value] of Object.entries(kept)) {
				t.deepEqual(result[key], value);
			}
			t.is(result['disabled'], more.disabled ? true : undefined);
			t.deepEqual(
				(result['files'] as object[]).map(file => without(file, 'path', 'url', 'compression')),
				(JSON.parse(JSON.stringify(more.files)) as object[]).map(file => without(file, 'compression')),
			);
		}),
	);
});
