import test from 'ava';
import fc from 'fast-check';
import {adviceOn, type Advice} from '../../src/image/advice.js';
import {newManifest} from '../../src/image/new-manifest.js';
import type {ServerMode} from '../../src/image/rules.js';
import {sha1, uuid} from './manifests.js';
import {json, right, violations} from './violations.js';

const nowMs = Date.parse('2026-01-02T03:04:05Z');
const networks = [{name: 'net0', description: 'public'}];

/** Nothing can be said of it. */
function good(more: object = {}): Record<string, unknown> {
	return json({
		...{v: 2, uuid: uuid(1), name: 'base', version: '1.0.0', type: 'zone-dataset', os: 'smartos', public: true},
		...{
			description: 'd',
			homepage: 'http://x',
			requirements: {networks},
			files: [{sha1, size: 5, compression: 'gzip'}],
		},
		...more,
	});
}

const zvol = {
	type: 'zvol',
	os: 'linux',
	nic_driver: 'virtio',
	disk_driver: 'virtio',
	cpu_type: 'host',
	image_size: 1024,
};
const lx = {type: 'lx-dataset', os: 'linux', requirements: {networks, brand: 'lx'}, tags: {kernel_version: '5.10'}};

function said(manifest: unknown, mode?: ServerMode): readonly string[] {
	return adviceOn(manifest, {mode, nowMs}).map(({level, field}: Advice) => `${level} ${field}`);
}

test('of a good manifest there is nothing to say', t => {
	for (const more of [
		{},
		zvol,
		lx,
		{type: 'other', os: 'other', requirements: undefined},
		{state: 'active', owner: uuid(2)},
	]) {
		t.deepEqual(said(good(more)), []);
	}
	t.deepEqual(said(good({uuid: undefined, v: undefined, files: undefined})), []);
});

const rows: readonly (readonly [string, object, readonly string[]])[] = [
	[
		'a platform key is undefined',
		{requirements: {networks, min_platform: {undefined: '20200101T000000Z'}}},
		['warning requirements.min_platform'],
	],
	[
		'a platform key is unknown',
		{requirements: {networks, max_platform: {'8': '20200101T000000Z'}}},
		['warning requirements.max_platform'],
	],
	[
		'platform keys are known',
		{requirements: {networks, min_platform: {'6.5': '20200101T000000Z', '7.0': '20200101T000000Z'}}},
		[],
	],
	[
		'the platform is in the future',
		{requirements: {networks, min_platform: {'7.0': '20270101T000000Z'}}},
		['warning requirements.min_platform'],
	],
	[
		'no platform is left',
		{requirements: {networks, min_platform: {'7.0': '20200101T000000Z'}, max_platform: {'7.0': '20190101T000000Z'}}},
		['error requirements.max_platform'],
	],
	['the version has a plus', {version: '1+2'}, ['warning version']],
	['the name has spaces', {name: 'a b'}, ['advice name']],
	['the name ends in a space', {name: 'a '}, ['warning name']],
	['there are slashes', {name: 'a/b', version: '1/2'}, ['advice name', 'advice version']],
	['nothing describes it', {description: undefined, homepage: undefined}, ['advice description', 'advice homepage']],
	['the description is invisible', {description: 'a\u202eb'}, ['warning description']],
	['the description has lines', {description: 'a\nb'}, []],
	['the homepage cannot be opened', {homepage: 'http://'}, ['warning homepage']],
	['the uuid is no random one', {uuid: '00000000-0000-1000-8000-000000000001'}, ['warning uuid']],
	['the uuid is nil', {uuid: '00000000-0000-0000-0000-000000000000'}, ['warning uuid']],
	['the origin is the image itself', {origin: uuid(1)}, ['error origin']],
	['a file has no sha1', {files: [{size: 5, compression: 'gzip'}]}, ['warning files[0].sha1']],
	[
		'a sha1 is in upper case',
		{files: [{sha1: sha1.toUpperCase(), size: 5, compression: 'gzip'}]},
		['error files[0].sha1'],
	],
	['a file is nothing', {files: [5]}, ['error files[0].size', 'error files[0].compression', 'warning files[0].sha1']],
	['a file is empty', {files: [{sha1, size: 0, compression: 'none'}]}, ['error files[0].size']],
	['there are no files', {files: []}, ['advice files']],
	['files are none', {files: 5}, ['error files']],
	['there are two files', {files: [1, 2].map(size => ({sha1, size, compression: 'none'}))}, ['warning files']],
	['a zone is said to be Linux', {os: 'linux'}, ['warning os']],
	['an lx zone is said to be SmartOS', {...lx, os: 'smartos'}, ['warning os']],
	[
		'an lx zone lacks what makes it one',
		{...lx, requirements: {networks}, tags: {}},
		['advice requirements.brand', 'advice tags.kernel_version'],
	],
	['a native zone has the brand lx', {requirements: {networks, brand: 'lx'}}, ['warning requirements.brand']],
	['a disk is of SmartOS', {...zvol, os: 'smartos'}, ['advice os']],
	[
		'drivers are slow or unknown',
		{...zvol, nic_driver: 'e1000', disk_driver: 'x'},
		['warning disk_driver', 'advice nic_driver'],
	],
	['a disk has no size', {...zvol, image_size: 0}, ['error image_size']],
	['a disk is too large', {...zvol, image_size: 10_737_418_240}, ['warning image_size']],
	[
		'a disk lacks its drivers',
		{type: 'zvol', os: 'linux'},
		['nic_driver', 'disk_driver', 'cpu_type', 'image_size'].map(name => `error ${name}`),
	],
	['bhyve is left to guess', {...zvol, requirements: {networks, brand: 'bhyve'}}, ['advice requirements.bootrom']],
	['it has no networks', {requirements: {}}, ['advice requirements.networks']],
	['it has no requirements', {requirements: undefined}, ['advice requirements.networks']],
	['it is published in the future', {published_at: '2027-01-01T00:00:00Z'}, ['warning published_at']],
	['it was published', {published_at: '2020-01-01T00:00:00Z'}, []],
	['nobody said whether it is public', {public: undefined}, ['advice public']],
	['it is public for some', {acl: [uuid(2)]}, ['advice acl']],
	['it is switched off', {disabled: true}, ['advice disabled']],
	['it has a state', {state: 'disabled'}, ['advice state']],
	['it is of another version', {v: 3}, ['warning v']],
	['passwords are for nobody', {generate_passwords: true}, ['warning generate_passwords']],
	['it has an icon', {icon: true}, ['error icon']],
	['it has unknown fields', {foo: 1, constructor: 2}, ['error foo', 'error constructor']],
	['drivers are not for zones', {nic_driver: 'virtio'}, ['error nic_driver']],
];

for (const [what, more, expected] of rows) {
	test(`something is said when ${what}`, t => {
		t.deepEqual(said(good(more)), expected);
		t.true(adviceOn(good(more), {nowMs}).every(({message}) => message !== ''));
	});
}

for (const {what, more, errors, zvol: isZvol} of violations) {
	test(`lint finds what servers refuse: ${what}`, t => {
		const found = said({...json({...right(isZvol), ...more})}).filter(line => line.startsWith('error '));
		for (const error of errors) {
			t.true(found.includes(`error ${error.split(' ')[0] ?? ''}`));
		}
	});
}

test('what a server of another mode would refuse is told', t => {
	t.deepEqual(said(good(), 'private'), ['error public']);
	t.deepEqual(said(good({public: false}), 'public'), ['error public']);
	t.deepEqual(said(good({public: undefined}), 'private'), ['advice public']);
	t.deepEqual(said(good({public: undefined}), 'public'), ['error public']);
});

test('a manifest of the old kind is looked at as it will be', t => {
	const old = {...good({v: undefined, public: undefined}), creator_uuid: uuid(2)};
	t.deepEqual(said(old), ['advice v']);
	t.deepEqual(said({...old, owner: uuid(2)}), ['error creator_uuid']);
});

test('what is no manifest is told as such', t => {
	for (const manifest of [undefined, null, 5, 'x', []]) {
		t.deepEqual(said(manifest), ['error manifest']);
	}
});

test('of anything at all something is said without failing, errors first', t => {
	const more = fc.dictionary(
		fc.oneof(fc.constantFrom(...Object.keys(good(zvol)), 'creator_uuid', '__proto__'), fc.string()),
		fc.jsonValue(),
	);
	fc.assert(
		fc.property(fc.oneof(fc.jsonValue(), more, more.map(good)), manifest => {
			const levels = adviceOn(manifest, {nowMs}).map(({level}) => ['error', 'warning', 'advice'].indexOf(level));
			t.deepEqual(levels, [...levels].sort());
		}),
		{numRuns: 300},
	);
});

const defaults: readonly (readonly [object, object])[] = [
	[{}, {type: 'zone-dataset', os: 'smartos', public: false, requirements: {networks}}],
	[
		{public: true, description: 'd'},
		{public: true, description: 'd'},
	],
	[{os: 'linux'}, {type: 'lx-dataset', os: 'linux', requirements: {networks, brand: 'lx'}}],
	[
		{os: 'linux', type: 'zvol'},
		{type: 'zvol', os: 'linux', nic_driver: 'virtio', disk_driver: 'virtio', cpu_type: 'host'},
	],
	[{os: 'windows'}, {type: 'zvol', os: 'windows'}],
	[{type: 'lx-dataset'}, {os: 'linux'}],
	[{type: 'docker'}, {os: 'linux', requirements: undefined}],
	[{type: 'other'}, {os: 'other', requirements: undefined}],
	[{os: 'illumos'}, {type: 'zone-dataset', os: 'illumos'}],
	[
		{more: {os: 'linux', requirements: {}, tags: {a: 1}, name: 'other'}},
		{type: 'lx-dataset', name: 'n', requirements: {}, tags: {a: 1}},
	],
	[{more: {type: 'zvol', image_size: 5, cpu_type: 'x'}}, {type: 'zvol', image_size: 5, cpu_type: 'x'}],
];

for (const [given, expected] of defaults) {
	test(`a new manifest of ${JSON.stringify(given)} has what is usual`, t => {
		const manifest = newManifest({name: 'n', version: '1', ...given});
		t.like(manifest, {v: 2, name: 'n', version: '1', ...expected});
		const breaches = adviceOn(manifest, {nowMs}).filter(
			({level, field}) => level === 'error' && field !== 'image_size',
		);
		t.deepEqual(breaches, []);
	});
}

test('a new manifest has its keys in the order of IMGAPI', t => {
	const manifest = newManifest({
		...{
			more: {foo: 1, tags: {}, image_size: 5},
			type: 'zvol',
			os: 'bsd',
			description: 'd',
			uuid: uuid(1),
			owner: uuid(2),
		},
		...{version: '1', name: 'n'},
	});
	t.deepEqual(Object.keys(manifest), [
		...['v', 'uuid', 'owner', 'name', 'version', 'public', 'type', 'os', 'description', 'requirements', 'nic_driver'],
		...['disk_driver', 'cpu_type', 'image_size', 'tags', 'foo'],
	]);
});
