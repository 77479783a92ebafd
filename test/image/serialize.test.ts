import test from 'ava';
import fc from 'fast-check';
import {fieldsOf, manifestEtag, parseManifest, servedText, type Uuid} from '../../src/image/manifest.js';
import {beginCreate, finishCreate, type ImageFields} from '../../src/image/rules.js';
import {localManifest} from '../../src/image/serialize.js';
import {anyCharacter} from '../helpers/any-character.js';
import {image as ofSource, sha1, uuid} from './manifests.js';
import {right} from './violations.js';

const id = uuid(1) as Uuid;
const joe = uuid(0xa1) as Uuid;
const file = {sha1, size: 5, compression: 'gzip', dataset_guid: '123'} as unknown as ImageFields['files'][number];
const options = {mode: 'any', account: undefined, uuid: id} as const;
const none = {channels: []};

function stored(more: object = {}): ImageFields {
	return finishCreate(beginCreate({...right(), ...more}, options), options);
}

const whole: ImageFields = {
	// Far from the order they are to be written in.
	...{
		traits: {t: true},
		billing_tags: ['b'],
		tags: {},
		image_size: 5,
		cpu_type: 'c',
		disk_driver: 'd',
		nic_driver: 'n',
	},
	...{
		origin: joe,
		inherited_directories: ['/opt'],
		generate_passwords: false,
		users: [{name: 'root'}],
		requirements: {},
	},
	...{urn: 'a:b:c:d', icon: true, eula: 'http://e', homepage: 'http://h', description: 'd\0"\u{1f600}', acl: [joe]},
	...{files: [{...file, sha256: 'x', contentMD5: 'y', mtime: 'z', digest: 'a', uncompressedDigest: 'b'}]},
	...{
		os: 'smartos',
		type: 'zvol',
		published_at: '2020-01-01T00:00:00.000Z',
		public: true,
		disabled: false,
		activated: true,
	},
	...{version: '1', name: 'n', owner: joe, uuid: id, v: 2, error: {message: 'm'}},
};

const wholeText =
	`{"v":2,"uuid":"${id}","owner":"${joe}","name":"n","version":"1","state":"active","disabled":false,"public":true,` +
	`"published_at":"2020-01-01T00:00:00.000Z","type":"zvol","os":"smartos",` +
	`"files":[{"sha1":"${sha1}","size":5,"compression":"gzip","dataset_guid":"123"}],"acl":["${joe}"],` +
	`"description":"d\\u0000\\"\u{1f600}","homepage":"http://h","eula":"http://e","icon":true,"urn":"a:b:c:d",` +
	`"requirements":{},"users":[{"name":"root"}],"generate_passwords":false,"inherited_directories":["/opt"],` +
	`"origin":"${joe}","nic_driver":"n","disk_driver":"d","cpu_type":"c","image_size":5,"tags":{},` +
	`"billing_tags":["b"],"traits":{"t":true}}`;

test('a manifest has its fields in the order of IMGAPI', t => {
	const manifest = localManifest(whole, none, options);
	t.is(manifest.text, wholeText);
	t.deepEqual(manifest.local, {channels: [], billingTags: ['b'], stor: 'local'});
	t.deepEqual({...manifest, local: undefined}, {...parseManifest(wholeText), local: undefined});
});

test('what is empty, hidden or not there is left out', t => {
	t.is(
		localManifest(stored({acl: [], billing_tags: [], traits: {}}), none, options).text,
		`{"v":2,"uuid":"${id}","owner":"00000000-0000-0000-0000-000000000000","name":"base","version":"1.0.0",` +
			`"state":"unactivated","disabled":false,"public":false,"type":"zone-dataset","os":"smartos","files":[]}`,
	);
});

test('a public server keeps billing tags and traits to itself', t => {
	for (const image of [whole, {...whole, extra: {billing_tags: 'x', traits: 5}}]) {
		const manifest = localManifest(image, none, {mode: 'public'});
		t.is(manifest.text, `${wholeText.slice(0, wholeText.indexOf(',"billing_tags"'))}}`);
		t.deepEqual(manifest.local?.billingTags, ['b']);
	}
});

test('an error shows in the state failed only', t => {
	const failed = localManifest({...whole, state: 'failed'}, none, options);
	t.is(failed.state, 'failed');
	t.deepEqual(fieldsOf(failed)['error'], {message: 'm'});
	t.is(fieldsOf(localManifest(whole, none, options))['error'], undefined);
});

test('what came from elsewhere comes last, as it was', t => {
	const extra = JSON.parse('{"foo":1,"7":[null],"__proto__":{"a":1},"name":"other","constructor":"c"}') as object;
	const files = [{...file, extra: {md5: 'm', sha1: 'other'}}];
	const {text} = localManifest({...stored(), files, extra: {...extra}}, none, options);
	t.true(text.includes('"dataset_guid":"123","md5":"m"}]'));
	t.true(text.endsWith(',"7":[null],"foo":1,"__proto__":{"a":1},"constructor":"c"}'));
	t.is(text.split('"name":').length, 2);
});

test('manifests of any version are served', t => {
	for (const v of [0, 1, 2, 3]) {
		const manifest = localManifest(stored({v}), none, options);
		t.true(manifest.text.startsWith(`{"v":${v},`));
		t.is(manifest.uuid, id);
	}
});

test('channels and storage are shown to those who ask', t => {
	const manifest = localManifest({...stored(), files: [file]}, {channels: ['dev', 'a"b']}, options);
	const shown = (channels: boolean, admin: boolean): string => servedText(manifest, {channels, admin});
	const {text} = manifest;
	const withStor = text.replace('"dataset_guid":"123"}', '"dataset_guid":"123","stor":"local"}');
	const withChannels = (before: string): string => `${before.slice(0, -1)},"channels":["dev","a\\"b"]}`;
	t.is(shown(false, false), text);
	t.is(shown(true, false), withChannels(text));
	t.is(shown(false, true), withStor);
	t.is(shown(true, true), withChannels(withStor));
	t.is(manifestEtag(manifest), manifestEtag(manifest, {channels: false, admin: false}));
	const etags = [false, true].flatMap(channels =>
		[false, true].map(admin => manifestEtag(manifest, {channels, admin})),
	);
	t.is(new Set(etags).size, 4);

	const bare = localManifest(stored(), none, options);
	t.is(servedText(bare, {channels: true, admin: true}), bare.text);
	const foreign = ofSource(1);
	t.is(servedText(foreign, {channels: true, admin: true}), foreign.text);
});

test('whatever the rules take can be written, read back, and written the same', t => {
	const tags = fc.dictionary(fc.string({unit: anyCharacter}), fc.jsonValue());
	const more = fc.record(
		{
			description: fc.string({unit: anyCharacter}),
			tags,
			traits: fc.dictionary(fc.string(), fc.oneof(fc.string(), fc.boolean(), fc.array(fc.jsonValue()))),
			users: fc.array(fc.record({name: fc.string({unit: anyCharacter})})),
			billing_tags: fc.array(fc.string({unit: anyCharacter, maxLength: 128})),
			acl: fc.array(fc.constantFrom(id, joe)),
			v: fc.nat(5),
			disabled: fc.boolean(),
			generate_passwords: fc.boolean(),
			files: fc.constant([]),
		},
		{requiredKeys: []},
	);
	fc.assert(
		fc.property(more, tags, fc.boolean(), (given, extra, activated) => {
			const fields: ImageFields = {...stored(given), activated, extra, files: [file]};
			const manifest = localManifest(fields, {channels: ['x']}, options);
			if (fields.v >= 2) {
				t.deepEqual({...manifest, local: undefined}, {...parseManifest(manifest.text), local: undefined});
			}
			t.is(
				localManifest(JSON.parse(JSON.stringify(fields)) as ImageFields, {channels: ['x']}, options).text,
				manifest.text,
			);
			const served = JSON.parse(servedText(manifest, {channels: true, admin: true})) as Record<string, unknown>;
			t.deepEqual(served['channels'], ['x']);
			t.like((served['files'] as object[])[0], {sha1, stor: 'local'});
			for (const [name, value] of Object.entries(given)) {
				if (
					name !== 'files' &&
					!(name in {acl: 1, traits: 1, billing_tags: 1} && Object.keys(value as object).length === 0)
				) {
					t.deepEqual(served[name], JSON.parse(JSON.stringify(value)));
				}
			}
		}),
		{numRuns: 300},
	);
});
