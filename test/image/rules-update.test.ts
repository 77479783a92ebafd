import test from 'ava';
import fc from 'fast-check';
import {InvalidParameterError, ValidationError} from '../../src/errors.js';
import type {Uuid} from '../../src/image/manifest.js';
import {
	beginCreate,
	checkStored,
	finishCreate,
	readAclChange,
	readUpdate,
	type ImageFields,
	type UpdatedImage,
	type UpdateOptions,
} from '../../src/image/rules.js';
import {sha1, uuid} from './manifests.js';
import {faultText, right, violations} from './violations.js';

const id = uuid(1) as Uuid;
const joe = uuid(0xa1) as Uuid;
const file = {sha1, size: 5, compression: 'gzip'} as unknown as ImageFields['files'][number];

function stored(more: object = {}, zvol = false): ImageFields {
	const options = {mode: 'any', account: undefined, uuid: id} as const;
	return finishCreate(beginCreate({...right(zvol), ...more}, options), options);
}

const active = (more: object = {}, zvol = false): ImageFields => ({
	...stored(more, zvol),
	...{activated: true, published_at: '2020-01-01T00:00:00.000Z', files: [file]},
});

function update(body: unknown, image = active(), more: Partial<UpdateOptions> = {}): UpdatedImage {
	return readUpdate(image, body, {mode: 'any', account: undefined, channels: false, ...more});
}

function errorsOf(run: () => unknown): readonly string[] {
	try {
		run();
	} catch (error) {
		if (error instanceof ValidationError) {
			return error.errors.map(faultText);
		}
		throw error;
	}
	return [];
}

for (const {what, more, errors, zvol, newOnly} of violations) {
	if (newOnly === undefined) {
		test(`an update is refused: ${what}`, t => {
			const body = Object.fromEntries(Object.entries(more).map(([name, value]) => [name, value ?? null]));
			const before = active({}, zvol);
			const copy = structuredClone(before);
			t.deepEqual(
				errorsOf(() => update(body, before)),
				errors,
			);
			t.deepEqual(before, copy);
		});
	}
}

const refused: readonly (readonly [string, unknown, readonly string[], Partial<UpdateOptions>?])[] = [
	['no body', undefined, ['body MissingParameter']],
	['null', null, ['body MissingParameter']],
	['a string', 'x', ['body MissingParameter']],
	['a number', 5, ['body MissingParameter']],
	['true', true, ['body MissingParameter']],
	['an empty array', [], []],
	['an array', ['x', 5], ['0 NotAllowed', '1 NotAllowed']],
	...[
		'v',
		'urn',
		'disabled',
		'activated',
		'published_at',
		'type',
		'icon',
		'foo',
		'extra',
		'expires_at',
		'constructor',
	].map(name => [`the field ${name}`, {[name]: null, name: 'x'}, [`${name} NotAllowed`]] as const),
	['the field __proto__', JSON.parse('{"__proto__":{"name":"x"}}'), ['__proto__ NotAllowed']],
	...['state', 'error', 'billing_tags', 'traits', 'files', 'origin', 'uuid'].map(
		name => [`${name} with an account`, {[name]: null}, [`${name} NotAllowed`], {account: joe}] as const,
	),
	[
		'uuid, origin and files of an active image',
		{uuid: id, name: 'x', origin: id, files: []},
		[...['uuid NotAllowed', 'origin NotAllowed', 'files NotAllowed']],
	],
	['forbidden fields beside wrong ones', {name: 5, v: 3, foo: 1}, ['v NotAllowed', 'foo NotAllowed']],
	[
		'required fields taken away',
		{os: null, name: null, public: null, owner: null, version: null},
		[...['owner', 'name', 'version', 'public', 'os'].map(name => `${name} MissingParameter`)],
	],
	['an owner that is none', {owner: 'x'}, ['owner Invalid']],
	['a state that is none', {state: 'activated'}, ['state Invalid']],
	['a state that is none at all', {state: 5}, ['state Invalid']],
	['an error that is no object', {error: 'x'}, ['error Invalid']],
	['channels where there are none', {channels: ['dev']}, ['channels Invalid']],
	['channels taken away', {channels: null}, ['channels Invalid'], {channels: true}],
	['no channel at all', {channels: []}, ['channels Invalid'], {channels: true}],
	['channels of another kind', {channels: [5]}, ['channels Invalid'], {channels: true}],
	['a private image on a public server', {public: false}, ['public Invalid'], {mode: 'public'}],
	['a public image on a private server', {public: true}, ['public Invalid'], {mode: 'private'}],
	[
		'several wrong fields',
		{tags: 5, homepage: 5, name: '', inherited_directories: 5, acl: 5},
		[...['name', 'homepage', 'acl', 'tags', 'inherited_directories'].map(name => `${name} Invalid`)],
	],
];

for (const [what, body, errors, options] of refused) {
	test(`an update is refused: ${what}`, t => {
		const error = t.throws(() => update(body, active(), options), {instanceOf: ValidationError});
		t.deepEqual(error.errors.map(faultText), errors);
		t.not(error.message, '');
	});
}

test('an empty update is refused without naming a field', t => {
	t.deepEqual(t.throws(() => update({}), {instanceOf: ValidationError}).errors, []);
});

test('fields are replaced whole, and null takes them away', t => {
	const before = active({
		description: 'd',
		tags: {a: 1, b: 2},
		requirements: {brand: 'x'},
		acl: [joe],
		homepage: 'http://x',
	});
	const {image, channels} = update(
		{tags: {c: 3}, description: null, requirements: null, name: 'new', acl: null},
		before,
	);
	t.is(channels, undefined);
	t.deepEqual(image, {...active({tags: {c: 3}, homepage: 'http://x'}), name: 'new'});
});

test('everybody may change what is their own', t => {
	const changes = {
		...{owner: joe, name: 'n', version: '2', public: true, os: 'other', description: 'd', homepage: 'http://h'},
		...{eula: 'http://e', acl: [joe], requirements: {min_ram: 5}, users: [{name: 'root'}], tags: {a: 1}},
		...{generate_passwords: false, inherited_directories: ['/opt']},
	};
	t.deepEqual(update(changes, active(), {account: joe}).image, {...active(), ...changes});
	const zvol = {nic_driver: 'a', disk_driver: 'b', cpu_type: 'c', image_size: 5};
	t.deepEqual(update(zvol, active({}, true), {account: joe}).image, {...active({}, true), ...zvol});
});

test('operators may change more', t => {
	const changes = {state: 'failed', error: {message: 'm'}, billing_tags: ['x'], traits: {a: true}} as const;
	const failed = update(changes).image;
	t.deepEqual(failed, {...active(), ...changes});
	t.deepEqual(update({state: null, error: null, billing_tags: null, traits: null}, failed).image, active());
});

test('what IMGAPI takes in several forms comes out in one', t => {
	const {image} = update({image_size: '2048', public: 'true', acl: joe, billing_tags: 'x'}, active({}, true));
	t.like(image, {image_size: 2048, public: true, acl: [joe], billing_tags: ['x']});
});

test('before its activation an image can get another uuid and origin', t => {
	const other = uuid(9) as Uuid;
	const {image} = update({uuid: other, origin: joe}, stored());
	t.deepEqual(image, {...stored(), uuid: other, origin: joe});
	t.deepEqual(update({origin: null}, image).image, {...stored(), uuid: other});
	t.deepEqual(
		errorsOf(() => update({uuid: 5}, stored())),
		['uuid Invalid'],
	);
	t.deepEqual(
		errorsOf(() => update({uuid: null, origin: 'x'}, stored())),
		['uuid MissingParameter', 'origin Invalid'],
	);
});

test('of files only their digests can be changed, before activation', t => {
	const before = {...stored(), files: [file]};
	const {image} = update({files: [{digest: 'a', uncompressedDigest: 'b'}]}, before);
	t.deepEqual(image.files, [{...file, digest: 'a', uncompressedDigest: 'b'}]);
	t.deepEqual(update({files: []}, image).image, image);
	for (const files of [[{digest: 'a', sha1}], [5], null, [[]]]) {
		t.deepEqual(
			errorsOf(() => update({files}, before)),
			['files NotAllowed'],
		);
	}
	for (const files of ['x', 5, {}, [{digest: 5}], [{}, {}]]) {
		t.deepEqual(
			errorsOf(() => update({files}, before)),
			['files Invalid'],
		);
	}
	t.deepEqual(
		errorsOf(() => update({files: [{digest: 'a'}]}, stored())),
		['files Invalid'],
	);
});

test('channels are told apart from the image', t => {
	const {image, channels} = update({channels: ['dev', 'x']}, active(), {channels: true});
	t.deepEqual(channels, ['dev', 'x']);
	t.deepEqual(image, active());
});

test('what an image brought from elsewhere is no reason to refuse a change of something else', t => {
	const odd: ImageFields = {...active(), name: 'ä', extra: {acl: 'x', foo: 1}};
	t.deepEqual(update({version: '2'}, odd).image, {...odd, version: '2'});
	t.deepEqual(update({acl: [joe]}, odd).image, {...odd, acl: [joe], extra: {foo: 1}});
	t.deepEqual(update({acl: null}, odd).image, {...odd, extra: {foo: 1}});
	t.deepEqual(
		errorsOf(() => update({name: 'ö'}, odd)),
		['name Invalid'],
	);
	t.deepEqual(
		errorsOf(() => update({os: null}, odd)),
		['name Invalid', 'os MissingParameter'],
	);
});

test('who may use an image is changed by a list of uuids', t => {
	t.deepEqual(readAclChange([]), []);
	t.deepEqual(readAclChange([joe, id, joe]), [joe, id, joe]);
	for (const body of [undefined, null, 'x', joe, 5, {acl: [joe]}, ['x'], [joe, 5], [joe.toUpperCase()], [null]]) {
		const error = t.throws(() => readAclChange(body), {instanceOf: InvalidParameterError});
		t.deepEqual(error.errors.map(faultText), ['acl Invalid']);
	}
});

test('any sequence of updates leaves an image that keeps the rules', t => {
	const names = [
		...['owner', 'name', 'version', 'public', 'os', 'description', 'homepage', 'eula', 'acl', 'requirements', 'users'],
		...['tags', 'generate_passwords', 'inherited_directories', 'nic_driver', 'image_size', 'state', 'error', 'traits'],
		...['billing_tags', 'uuid', 'origin', 'files', 'channels', 'type', 'v', '__proto__'],
	];
	const value = fc.oneof(
		fc.jsonValue(),
		fc.constantFrom(null, true, 'x', joe, 'failed', 'smartos', {a: [true]}, [joe], ['x'], [{name: 'a'}], 5, 'http://x'),
	);
	const changes = fc.oneof(fc.jsonValue(), fc.dictionary(fc.constantFrom(...names), value, {maxKeys: 3}));
	const first = fc.constantFrom(active(), stored(), active({}, true));
	fc.assert(
		fc.property(first, fc.array(fc.tuple(changes, fc.boolean()), {maxLength: 20}), (start, steps) => {
			let image = start;
			for (const [body, isOperator] of steps) {
				try {
					image = update(body, image, {account: isOperator ? undefined : joe, channels: isOperator}).image;
				} catch (error) {
					t.true(error instanceof ValidationError);
				}
				t.notThrows(() => {
					checkStored(image, {mode: 'any'});
				});
				t.is(image.activated, start.activated);
				t.is(image.type, start.type);
				t.deepEqual(JSON.parse(JSON.stringify(image)), image);
			}
		}),
		{numRuns: 400},
	);
});
