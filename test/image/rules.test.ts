import test from 'ava';
import fc from 'fast-check';
import {InvalidParameterError, ValidationError} from '../../src/errors.js';
import type {Uuid} from '../../src/image/manifest.js';
import {
	beginCreate,
	beginImport,
	checkStored,
	finishCreate,
	finishImport,
	nobody,
	stateOf,
	withComputedState,
	type CreateOptions,
	type ImageFields,
	type ImportOptions,
	type ServerMode,
} from '../../src/image/rules.js';
import {image, sha1, uuid} from './manifests.js';
import {faultText, json, right, violations} from './violations.js';

const id = uuid(1) as Uuid;
const joe = uuid(0xa1) as Uuid;

function create(body: unknown, more: Partial<CreateOptions> = {}): ImageFields {
	const options = {mode: 'any', account: undefined, uuid: id, ...more} as const;
	return finishCreate(beginCreate(body, options), options);
}

function take(
	body: unknown,
	more: Partial<ImportOptions> & {readonly origin?: ReturnType<typeof image>} = {},
): ImageFields {
	const options = {mode: 'any', uuid: id, ...more} as const;
	return finishImport(beginImport(body, options), options);
}

function errorsOf(run: () => unknown): readonly string[] {
	try {
		run();
	} catch (error) {
		if (error instanceof ValidationError) {
			return error.errors.map(faultText);
		}
		if (error instanceof InvalidParameterError) {
			return error.errors.map(fault => `parameter ${faultText(fault)}`);
		}
		throw error;
	}
	return [];
}

const imported = (more: object = {}): Record<string, unknown> => json({v: 2, uuid: id, ...right(), ...more});

for (const {what, more, errors, zvol, updateOnly} of violations) {
	if (updateOnly === undefined) {
		test(`a new image is refused: ${what}`, t => {
			t.deepEqual(
				errorsOf(() => create({...json({...right(zvol), ...more})})),
				errors,
			);
			t.deepEqual(
				errorsOf(() => take(imported({...right(zvol), ...more}))),
				errors,
			);
		});
	}
}

test('all violations are told at once, in the order of the contract', t => {
	const fields = {
		...{tags: 5, users: 5, acl: 5, icon: true, origin: 'x', eula: 5, homepage: 5, description: 5, os: 5, type: 5},
		...{public: 5, disabled: 5, version: [], name: 5, owner: 5, v: 'x', traits: 5, billing_tags: 5, requirements: 5},
		...{inherited_directories: 5, generate_passwords: 5},
	};
	const expected = [
		...['v', 'owner', 'name', 'version', 'disabled', 'public', 'type', 'os', 'description', 'homepage', 'eula'],
		...['origin', 'icon', 'acl', 'requirements', 'users', 'billing_tags', 'traits', 'tags', 'generate_passwords'],
		'inherited_directories',
	].map(name => `${name} Invalid`);
	t.deepEqual(
		errorsOf(() => create(fields)),
		expected,
	);
	// Of imports the owner is nobody, whatever they say.
	t.deepEqual(
		errorsOf(() => take({...fields, uuid: id, urn: 5, published_at: 'x'})),
		[
			'v Invalid',
			...expected.slice(2, 5),
			'published_at Invalid',
			...expected.slice(5, 13),
			'urn Invalid',
			...expected.slice(13),
		],
	);
});

test('a version that is a number, as imgadm sends it, is taken as it was typed', t => {
	t.is(create({...right(), version: 2}).version, '2');
	t.is(take(imported({...right(), version: 1.5})).version, '1.5');
	t.deepEqual(
		errorsOf(() => create({...right(), version: [2]})),
		['version Invalid'],
	);
});

test('an empty body lacks what an image cannot be without', t => {
	const missing = ['name', 'version', 'type', 'os'].map(name => `${name} MissingParameter`);
	t.deepEqual(
		errorsOf(() => create({})),
		missing,
	);
	t.deepEqual(
		errorsOf(() => take({uuid: id})),
		['v MissingParameter', ...missing],
	);
	t.deepEqual(
		errorsOf(() => create({}, {mode: 'public'})),
		[...missing.slice(0, 2), 'public Invalid', ...missing.slice(2)],
	);
});

const modes: readonly (readonly [ServerMode, unknown, boolean])[] = [
	['any', undefined, true],
	['any', true, true],
	['any', false, true],
	['public', true, true],
	['public', 'true', true],
	['public', undefined, false],
	['public', false, false],
	['private', undefined, true],
	['private', 'false', true],
	['private', true, false],
];

for (const [mode, isPublic, fits] of modes) {
	test(`a server of mode ${mode} ${fits ? 'takes' : 'refuses'} an image with public ${JSON.stringify(isPublic)}`, t => {
		const body = json({...right(), public: isPublic});
		const expected = fits ? [] : ['public Invalid'];
		t.deepEqual(
			errorsOf(() => create(body, {mode})),
			expected,
		);
		t.deepEqual(
			errorsOf(() => take({...body, v: 2, uuid: id}, {mode})),
			expected,
		);
	});
}

for (const body of [undefined, null, 5, 'x', true, [], [right()]]) {
	test(`${JSON.stringify(body)} is no image`, t => {
		t.deepEqual(
			errorsOf(() => create(body)),
			['parameter body Invalid'],
		);
		t.deepEqual(
			errorsOf(() => take(body)),
			['parameter body Invalid'],
		);
	});
}

const unexpected = [
	...['activated', 'uuid', 'published_at', 'urn', 'error', 'expires_at', 'creator_uuid', 'foo', '__proto__'],
	...['constructor', 'nic_driver', 'disk_driver', 'cpu_type', 'image_size', 'extra', 'local'],
];

for (const name of unexpected) {
	test(`the field ${name} is not taken from whoever creates an image`, t => {
		const body = JSON.parse(JSON.stringify(right()).replace('{', `{"${name}":"x",`)) as unknown;
		t.deepEqual(
			errorsOf(() => create(body)),
			[`parameter ${name} Invalid`],
		);
		if (!['uuid', 'published_at', 'urn'].includes(name)) {
			const whole = JSON.parse(JSON.stringify(imported()).replace('{', `{"${name}":"x",`)) as unknown;
			t.deepEqual(
				errorsOf(() => take(whole)),
				[`parameter ${name} Invalid`],
			);
		}
	});
}

test('unexpected fields come before any rule, one error each, in their order', t => {
	t.deepEqual(
		errorsOf(() => create({z: 1, name: 5, image_size: 1, a: null})),
		['parameter z Invalid', 'parameter image_size Invalid', 'parameter a Invalid'],
	);
	t.deepEqual(
		errorsOf(() => create({...right(true), type: 'lx-dataset'})),
		[...['nic_driver', 'disk_driver', 'cpu_type', 'image_size'].map(name => `parameter ${name} Invalid`)],
	);
});

test('whoever creates an image sets no state, whatever else is wrong', t => {
	t.deepEqual(
		errorsOf(() => create({state: 'active', foo: 1, name: 5})),
		['state NotAllowed'],
	);
	t.throws(() => beginCreate({...right(), state: null}, {account: undefined}), {
		instanceOf: ValidationError,
	});
});

test('the account is the owner, and nobody else can be', t => {
	t.is(create(right(), {account: joe}).owner, joe);
	t.is(create({...right(), owner: joe}, {account: joe}).owner, joe);
	t.is(create({...right(), owner: joe}).owner, joe);
	t.is(create(right()).owner, nobody);
	for (const owner of [uuid(2), 'x', null, 5]) {
		t.deepEqual(
			errorsOf(() => create({owner, state: 'x'}, {account: joe})),
			['parameter owner Invalid'],
		);
	}
	t.deepEqual(
		errorsOf(() => create({...right(), owner: 'x'})),
		['owner Invalid'],
	);
});

test('which origin must exist is told before anything is checked', t => {
	const options = {account: undefined, uuid: id, mode: 'any'} as const;
	t.is(beginCreate({origin: uuid(2), foo: 1}, options).origin, uuid(2));
	t.is(beginCreate({origin: 'x'}, options).origin, 'x');
	t.is(beginImport({uuid: id, origin: 'x'}, options).origin, 'x');
	for (const origin of [undefined, '', null, 5, {}, []]) {
		t.is(beginCreate({origin}, options).origin, undefined);
	}
});

test('a new image is unactivated and has no files, whatever was said of them', t => {
	const given = {...right(), files: [{sha1: 'x'}, 5], channels: 5, disabled: true, description: '', tags: {}};
	t.deepEqual(create(given), {
		...{v: 2, uuid: id, owner: nobody, name: 'base', version: '1.0.0', disabled: true, activated: false},
		...{public: false, type: 'zone-dataset', os: 'smartos', files: [], description: '', tags: {}},
	});
	t.deepEqual(take({...given, uuid: id, v: 2, state: 'active', owner: joe}), create(given));
});

test('what IMGAPI takes in several forms comes out in one', t => {
	const given = {
		...right(true),
		...{v: '2', public: 'true', image_size: '1024'},
		...{billing_tags: 'x', acl: joe, homepage: 'HTTP://example.com', traits: {a: [1], b: true, c: 'x'}},
	};
	t.like(create(given), {
		...{v: 2, public: true, image_size: 1024, billing_tags: ['x']},
		...{acl: [joe], homepage: 'HTTP://example.com', traits: {a: [1], b: true, c: 'x'}},
	});
	for (const v of [0, 1, 3, 2.5, '3']) {
		t.is(create({...right(), v}).v, Number(v));
	}
});

const accepted: readonly (readonly [string, object])[] = [
	['names have spaces and slashes', {name: 'a B/c_d.e-9', version: '1/2_3.4-5+6'}],
	[
		'texts are as long as they may be',
		{name: 'a'.repeat(1024), version: '1'.repeat(512), description: 'ä'.repeat(10_240)},
	],
	['descriptions have odd characters', {description: '\0"\'/\\\ud800\u202e\u{1f600}'}],
	['URLs are as long as they may be', {homepage: `http://${'x'.repeat(1017)}`, eula: 'https://x/y?z'}],
	[
		'values of requirements count as false',
		{requirements: {min_ram: 0, brand: '', ssh_key: null, bootrom: '', networks: 0}},
	],
	['min_ram equals max_ram', {requirements: {min_ram: 5, max_ram: 5}}],
	['requirements are empty', {requirements: {}}],
	[
		'requirements are complete',
		{
			requirements: {
				networks: [{name: 'net0', description: ''}],
				...{brand: 'bhyve', bootrom: 'uefi', ssh_key: true, min_ram: 64, max_ram: 128},
				...{
					min_platform: {'7.0': '20120101T000000Z', '6.5': '20991231T235959Z'},
					max_platform: {x: '30000101T000000Z'},
				},
			},
		},
	],
	['lists are empty', {acl: [], users: [], billing_tags: [], traits: {}, tags: {}, inherited_directories: []}],
	['tags hold anything', {tags: {a: null, b: [{c: 1}], d: {e: {}}}}],
	['a type is not installed by hosts', {type: 'other', os: 'other'}],
];

for (const [what, more] of accepted) {
	test(`an image is taken whose ${what}`, t => {
		const fields = create({...right(), ...more});
		t.like(fields, more);
		t.notThrows(() => checkStored(fields, {mode: 'any'}));
		t.deepEqual(take(imported(more)), create(json({...right(), ...more})));
	});
}

test('the body of an import is about the image of its path', t => {
	for (const given of [undefined, null, 5, uuid(2), id.toUpperCase().replace('0', 'A')]) {
		t.deepEqual(
			errorsOf(() => take(json({...imported(), uuid: given, foo: 1}))),
			['parameter uuid Invalid'],
		);
	}
});

test('an import keeps its date and urn, and belongs to nobody', t => {
	const kept = {published_at: '2012-05-02T15:14:45.805Z', urn: 'a:b:c:d'};
	t.like(take(imported({...kept, owner: 'not even a uuid'})), {...kept, owner: nobody, activated: false});
	t.is(take(imported({published_at: '2012-05-02T15:14:45Z'})).published_at, '2012-05-02T15:14:45Z');
});

for (const date of ['2012-05-02', '2012-05-02T15:14Z', '2012-05-02T15:14:45.8Z', '2012-13-02T15:14:45Z', 'x', '']) {
	test(`'${date}' is no date of an import`, t => {
		t.deepEqual(
			errorsOf(() => take(imported({published_at: date}))),
			['published_at Invalid'],
		);
	});
}

for (const date of [5, null, {}, true]) {
	test(`${JSON.stringify(date)} is not even text that could be a date`, t => {
		t.deepEqual(
			errorsOf(() => take({...imported(), published_at: date, foo: 1})),
			['parameter published_at Invalid'],
		);
	});
}

const v1 = (more: object = {}): Record<string, unknown> =>
	json({
		...{uuid: id, ...right(), creator_uuid: joe, vendor_uuid: joe, creator_name: 'joe', cloud_name: 'sdc'},
		...{urn: 'sdc:joe:base:1.0.0', created_at: '2011-03-15T13:33Z', platform_type: 'smartos', _url: 'x'},
		...{requirements: {networks: [], password: true}, files: [{path: 'x.zfs.gz', sha1, size: 5}]},
		...more,
	});

test('an import of the old kind is upgraded', t => {
	t.deepEqual(json(take(v1({provider: 'ec', builder_info: {}, metadata_info: []}))), {
		...{v: 2, uuid: id, owner: nobody, name: 'base', version: '1.0.0', disabled: false, activated: false},
		...{published_at: '2011-03-15T13:33:00Z', public: true, type: 'zone-dataset', os: 'smartos', files: []},
		...{urn: 'sdc:joe:base:1.0.0', requirements: {networks: []}},
	});
	t.like(take(v1({restricted_to_uuid: joe})), {public: false, acl: [joe]});
	t.like(take(v1({disabled: 1})), {disabled: true});
	t.like(take(v1({...right(true), image_size: '2048'})), {image_size: 2048});
});

test('an import of the old kind that makes no sense is refused', t => {
	t.deepEqual(
		errorsOf(() => take(v1({owner: joe}))),
		['creator_uuid Invalid'],
	);
	t.deepEqual(
		errorsOf(() => take(v1({public: true, restricted_to_uuid: joe}))),
		['creator_uuid Invalid'],
	);
	t.deepEqual(
		errorsOf(() => take(v1({creator_uuid: 5}))),
		['creator_uuid Invalid'],
	);
	t.deepEqual(
		errorsOf(() => take(v1({restricted_to_uuid: 'x'}))),
		['acl Invalid'],
	);
	t.deepEqual(
		errorsOf(() => take(v1({foo: 1}))),
		['parameter foo Invalid'],
	);
	t.deepEqual(errorsOf(() => take(v1({creator_uuid: undefined, v: undefined}))).slice(0, 1), [
		'parameter vendor_uuid Invalid',
	]);
});

const platforms = (value: string): object => ({requirements: {min_platform: {'7.0': value}, brand: 'lx'}});
const oldLx = imported({type: 'lx-dataset', os: 'linux', ...platforms('20190101T000000Z')});

for (const userAgent of [
	'imgadm/3.7.3 (node/0.10.26; OpenSSL/1.0.1u)',
	'imgadm/2.9.9',
	'imgadm/3.6.99',
	'imgadm/0.0.1',
]) {
	test(`lx images of ${userAgent} are mended`, t => {
		const origin = image(2, platforms('20150101T000000Z'));
		t.deepEqual(take(oldLx, {userAgent, origin}).requirements, {
			brand: 'lx',
			min_platform: {'7.0': '20150101T000000Z'},
		});
		t.deepEqual(take(oldLx, {userAgent, origin: image(2)}).requirements, {brand: 'lx'});
		t.deepEqual(take(oldLx, {userAgent}).requirements, {brand: 'lx'});
		t.deepEqual(take({...oldLx, type: 'zone-dataset'}, {userAgent}).requirements, oldLx['requirements']);
		t.deepEqual(
			errorsOf(() => take({...oldLx, requirements: 5}, {userAgent})),
			['requirements Invalid'],
		);
	});
}

for (const userAgent of ['imgadm/3.7.4', 'imgadm/3.9.5 (node)', 'imgadm/4.0.0', 'curl/8', 'imgadm/x', undefined]) {
	test(`lx images of ${String(userAgent)} are right`, t => {
		t.deepEqual(take(oldLx, {userAgent, origin: image(2)}).requirements, oldLx['requirements']);
	});
}

const file = {sha1, size: 5, compression: 'gzip'} as unknown as ImageFields['files'][number];
const published = {activated: true, published_at: '2020-01-01T00:00:00.000Z', files: [file]} as const;

test('an image that is here is checked as a whole', t => {
	const active: ImageFields = {...create(right()), ...published};
	const wrong = (more: object): readonly string[] =>
		errorsOf(() => {
			checkStored({...active, ...more}, {mode: 'any'});
		});
	t.deepEqual(wrong({}), []);
	t.deepEqual(wrong({icon: true, state: 'failed', error: {message: 'x'}, extra: {foo: 1}}), []);
	t.deepEqual(wrong({published_at: undefined}), ['published_at MissingParameter']);
	t.deepEqual(wrong({state: 'x'}), ['state Invalid']);
	t.deepEqual(wrong({activated: 'x'}), ['activated Invalid']);
	t.deepEqual(wrong({error: 5}), ['error Invalid']);
	t.deepEqual(wrong({extra: {acl: 5}}), ['acl Invalid']);
	t.deepEqual(wrong({files: 5}), ['files Invalid']);
	t.deepEqual(wrong({files: [file, file]}), ['files Invalid']);
	t.deepEqual(wrong({files: [file, file], type: 'lxd'}), []);
	t.deepEqual(wrong({files: [file, file, file], type: 'lxd'}), ['files Invalid']);
	t.deepEqual(wrong({files: [{}]}), ['files Invalid', 'files Invalid', 'files Invalid']);
	t.deepEqual(wrong({files: [{...file, compression: 'lzma'}]}), ['files Invalid']);
	t.deepEqual(wrong({files: [{...file, sha1: sha1.toUpperCase()}]}), ['files Invalid']);
	t.deepEqual(
		errorsOf(() => {
			checkStored(active, {mode: 'public'});
		}),
		['public Invalid'],
	);
});

test('the state follows from two switches unless an operator has set it', t => {
	const fields = create(right());
	t.is(stateOf(fields), 'unactivated');
	t.is(stateOf({...fields, disabled: true}), 'unactivated');
	t.is(stateOf({...fields, activated: true}), 'active');
	t.is(stateOf({...fields, activated: true, disabled: true}), 'disabled');
	t.is(stateOf({...fields, state: 'failed'}), 'failed');
	t.is(stateOf(withComputedState({...fields, activated: true, state: 'failed'})), 'active');
	t.is(withComputedState(fields), fields);
});

test('a hostile number of faults is told in bounds', t => {
	const many = Array.from({length: 100_000}, (_, index) => index);
	t.is(errorsOf(() => create({...right(), users: many, billing_tags: many})).length, 1000);
	t.is(errorsOf(() => create(Object.fromEntries(many.map(index => [`x${index}`, 1])))).length, 1000);
	const error = t.throws(() => create({...right(), requirements: {['x'.repeat(100_000)]: 1}}));
	t.true(error.message.length < 2000);
});

const fieldNames = [
	...Object.keys(right(true)),
	...['v', 'uuid', 'owner', 'public', 'disabled', 'description', 'homepage', 'eula', 'origin', 'icon', 'acl', 'urn'],
	...['requirements', 'users', 'billing_tags', 'traits', 'tags', 'generate_passwords', 'inherited_directories'],
	...['state', 'files', 'channels', 'published_at', 'creator_uuid', 'restricted_to_uuid', 'created_at', '__proto__'],
];

test('whatever a body is, an image or one of two errors comes of it', t => {
	const value = fc.oneof(fc.jsonValue(), fc.constantFrom(id, joe, 'zvol', 'smartos', '1', true, 2));
	const anyObject = fc.dictionary(fc.oneof(fc.constantFrom(...fieldNames), fc.string()), value);
	const body = fc.oneof(
		fc.jsonValue(),
		anyObject,
		anyObject.map(more => ({...right(), ...more})),
		anyObject.map(more => ({...right(true), ...more, uuid: id})),
	);
	const mode = fc.constantFrom<ServerMode[]>('any', 'public', 'private');
	fc.assert(
		fc.property(body, mode, fc.constantFrom(undefined, joe), (given, theMode, account) => {
			for (const run of [() => create(given, {mode: theMode, account}), () => take(given, {mode: theMode})]) {
				try {
					const fields = run();
					t.notThrows(() => {
						checkStored(fields, {mode: theMode});
					});
					t.is(stateOf(fields), 'unactivated');
				} catch (error) {
					t.true(error instanceof InvalidParameterError || error instanceof ValidationError);
				}
			}
		}),
		{numRuns: 1000},
	);
});
