import test from 'ava';
import fc from 'fast-check';
import {IntegrityError, ValidationError} from '../../src/errors.js';
import type {Uuid} from '../../src/image/manifest.js';
import {nobody, readAdopted, stateOf, type ImageFields, type ImageState} from '../../src/image/rules.js';
import {localManifest} from '../../src/image/serialize.js';
import {fields, sha1, uuid} from './manifests.js';
import {json} from './violations.js';

const joe = uuid(0xa1) as Uuid;
const any = {mode: 'any'} as const;

function adopt(manifest: object): Record<string, unknown> {
	return json(readAdopted(manifest, any));
}

test('an image of today is taken as it is', t => {
	const kept = {description: 'd', acl: [joe], tags: {a: 1}, billing_tags: ['x'], urn: 'u', origin: uuid(2)};
	const given = fields(1, {...kept, channels: ['dev'], icon: true, foo: {bar: 1}});
	const ours = {state: undefined, channels: undefined, icon: undefined, foo: undefined};
	t.deepEqual(adopt(given), {...json({...given, ...ours}), activated: true, extra: {foo: {bar: 1}}});
});

const states: readonly (readonly [object, ImageState])[] = [
	[{state: 'active'}, 'active'],
	[{state: 'activated'}, 'active'],
	[{state: 'deprecated'}, 'active'],
	[{state: undefined}, 'active'],
	[{state: 'disabled'}, 'disabled'],
	[{state: 'nuked'}, 'disabled'],
	[{state: 'activated', disabled: true}, 'disabled'],
	[{state: 'unactivated'}, 'unactivated'],
	[{state: 'pending'}, 'unactivated'],
	[{state: 'creating'}, 'unactivated'],
	[{state: 'active', activated: false}, 'unactivated'],
	[{state: 'unactivated', activated: true}, 'active'],
];

for (const [more, state] of states) {
	test(`an image that says ${JSON.stringify(more)} is ${state} with us`, t => {
		t.is(stateOf(readAdopted(fields(1, more), any)), state);
	});
}

test("what dsapid keeps becomes an image of today's", t => {
	const given = {
		...{
			uuid: uuid(1),
			provider: 'community',
			name: 'base',
			version: '1',
			description: '',
			urn: 'smartos:smartos:base:1',
		},
		...{state: 'active', public: true, disabled: false, type: 'zvol', os: 'linux', requirements: null, tags: {a: 1}},
		...{published_at: '2014-11-10T09:08:07.123456789Z', created_at: '0001-01-01T00:00:00Z'},
		...{options: {nic_driver: 'virtio', disk_driver: 'virtio', cpu_type: 'host', image_size: '1024', secret: 1}},
		...{metadata_info: [], builder_info: {}, sync_info: {}},
		files: [{path: 'x.zvol.gz', size: 5, sha1: sha1.toUpperCase(), md5: 'm', compression: 'gzip'}],
	};
	t.deepEqual(adopt(given), {
		...{v: 2, uuid: uuid(1), owner: nobody, name: 'base', version: '1', disabled: false, activated: true, public: true},
		...{published_at: '2014-11-10T09:08:07.123Z', type: 'zvol', os: 'linux', urn: 'smartos:smartos:base:1'},
		...{nic_driver: 'virtio', disk_driver: 'virtio', cpu_type: 'host', image_size: 1024, tags: {a: 1}},
		files: [{sha1, size: 5, compression: 'gzip', extra: {md5: 'm'}}],
	});
	t.is(adopt({...given, owner: joe})['owner'], joe);
});

test("what trondn's server keeps becomes an image of today's", t => {
	const given = {
		...{v: 2, uuid: uuid(1), name: 'couchbase', version: '4.5', state: 'activated', disabled: false, public: false},
		...{type: 'zone-dataset', os: 'smartos', files: [{sha1, size: 379, compression: 'gzip'}]},
	};
	t.deepEqual(adopt(given), json({...given, state: undefined, owner: nobody, activated: true}));
});

test('what older servers of datasets keep is upgraded', t => {
	const given = {
		...{uuid: uuid(1), name: 'b', version: '1', type: 'zvol', os: 'linux', creator_uuid: joe, vendor_uuid: joe},
		...{
			published_at: '2012-01-02T03:04Z',
			image_size: '5',
			nic_driver: 'n',
			disk_driver: 'd',
			requirements: {password: 1},
		},
		files: [{path: 'x.bz2', sha1, size: 1, url: 'http://x'}],
	};
	t.deepEqual(adopt(given), {
		...{v: 2, uuid: uuid(1), owner: joe, name: 'b', version: '1', disabled: false, activated: true, public: true},
		...{published_at: '2012-01-02T03:04:00Z', type: 'zvol', os: 'linux', cpu_type: 'qemu64', image_size: 5},
		...{nic_driver: 'n', disk_driver: 'd', requirements: {}, files: [{sha1, size: 1, compression: 'bzip2'}]},
	});
	t.throws(() => adopt({...given, owner: joe}), {instanceOf: IntegrityError});
});

const dates: readonly (readonly [object, string | undefined])[] = [
	[{published_at: '2012-05-02T15:14:45.8Z'}, '2012-05-02T15:14:45.800Z'],
	[{published_at: '2012-05-02'}, '2012-05-02T00:00:00.000Z'],
	[{published_at: undefined, created_at: '2012-05-02T15:14:45Z'}, '2012-05-02T15:14:45Z'],
	[{published_at: 'x', created_at: '2012-05-02T15:14:45Z'}, '2012-05-02T15:14:45Z'],
	[{published_at: '0001-01-01T00:00:00Z'}, undefined],
	[{published_at: null}, undefined],
	[{published_at: 5}, undefined],
];

for (const [more, expected] of dates) {
	test(`an image that says ${JSON.stringify(more)} is of ${String(expected)}`, t => {
		t.is(readAdopted(fields(1, more), any).published_at, expected);
	});
}

test('what breaks a rule but troubles no host is served as it was', t => {
	const odd = {
		...{
			name: 'Ubuntu 22.04 (ä)',
			version: '1 0',
			acl: 'x',
			requirements: {min_memory: 5},
			homepage: 'ftp://x',
			tags: [1],
		},
		...{nic_driver: 'virtio', users: 5},
	};
	const image = readAdopted(fields(1, odd), any);
	const {name, version, ...extra} = odd;
	t.like(image, {name, version});
	t.deepEqual(image.extra, extra);
	const served = JSON.parse(localManifest(image, {channels: []}, any).text) as object;
	t.deepEqual(served, fields(1, odd));
});

test('files that the manifest does not say enough of are left out', t => {
	for (const files of [
		undefined,
		null,
		'x',
		[{}],
		[null],
		[{size: 5, sha1, compression: 'lzma'}],
		[{size: 5, compression: 'none'}],
	]) {
		t.deepEqual(readAdopted(fields(1, {files}), any).files, []);
	}
});

const refused: readonly (readonly [string, unknown])[] = [
	['it is no object', []],
	['it is nothing', undefined],
	['it has no uuid', fields(1, {uuid: undefined})],
	['its uuid is none', fields(1, {uuid: '../../etc'})],
	['it has no name', fields(1, {name: ''})],
	['its version is no text', fields(1, {version: [5]})],
	['it has no type', fields(1, {type: null})],
	['its os is no text', fields(1, {os: {}})],
];

for (const [what, manifest] of refused) {
	test(`an image is not taken over when ${what}`, t => {
		const error = t.throws(() => readAdopted(manifest, any));
		t.true(error instanceof IntegrityError || error instanceof ValidationError);
	});
}

test('a server takes over only what it may have', t => {
	const wrong = (more: object, mode: 'public' | 'private'): ValidationError | undefined =>
		t.throws(() => readAdopted(fields(1, more), {mode}), {instanceOf: ValidationError});
	t.like(wrong({public: false}, 'public')?.errors, [{field: 'public', code: 'Invalid'}]);
	t.like(wrong({public: true}, 'private')?.errors, [{field: 'public', code: 'Invalid'}]);
	t.true(readAdopted(fields(1, {public: undefined}), any).public);
});

test('whatever an old server kept, an image or an error that we know comes of it', t => {
	const names = [...Object.keys(fields(1)), 'acl', 'requirements', 'options', 'creator_uuid', 'tags', '__proto__'];
	const more = fc.dictionary(fc.oneof(fc.constantFrom(...names), fc.string()), fc.jsonValue());
	fc.assert(
		fc.property(
			fc.oneof(
				more.map(given => fields(1, given)),
				fc.jsonValue(),
			),
			given => {
				let image: ImageFields;
				try {
					image = readAdopted(given, any);
				} catch (error) {
					t.true(error instanceof IntegrityError || error instanceof ValidationError);
					return;
				}
				t.is(localManifest(image, {channels: []}, any).uuid, image.uuid);
			},
		),
		{numRuns: 500},
	);
});
