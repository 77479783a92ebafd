import test from 'ava';
import fc from 'fast-check';
import {InvalidParameterError, NotFoundError, UnauthorizedError} from '../../src/errors.js';
import {compareImages, type Manifest} from '../../src/image/manifest.js';
import {
	imageQuerySteps,
	NameIndex,
	NotedTags,
	parseImageQuery,
	parseQueryString,
	runImageQuery,
} from '../../src/image/query.js';
import {anyCharacter} from '../helpers/any-character.js';
import {image, uuid} from './manifests.js';

const [joe, ann, eve] = [uuid(0xa1), uuid(0xa2), uuid(0xa3)];

/** By number, in the order of their dates. */
const images: readonly Manifest[] = [
	image(1, {name: 'base', version: '1.0.0', owner: joe, tags: {role: 'db', n: 1, on: true, 'a b"': 'x'}}),
	image(2, {name: 'base-64', version: '2.0.0', owner: ann, os: 'linux', type: 'zvol', billing_tags: ['x', 'y']}),
	image(3, {name: 'Base', version: '1.0.0', owner: joe, public: false, acl: [eve], tags: {role: 'web', n: 1.5}}),
	image(4, {
		name: 'ubuntu',
		version: '20',
		owner: ann,
		os: 'linux',
		type: 'lx-dataset',
		public: false,
		billing_tags: 'x',
	}),
	image(5, {name: 'old', owner: joe, state: 'disabled', disabled: true, tags: {role: 'db'}}),
	image(6, {name: 'new', owner: ann, state: 'unactivated', published_at: '2020-01-01T00:00:06Z', acl: [eve]}),
	image(7, {name: 'wip', owner: joe, state: 'creating'}),
	image(8, {name: 'bad', owner: ann, state: 'failed'}),
	image(9, {name: 'gone', owner: ann, state: 'disabled', disabled: true, public: false, acl: [eve]}),
	image(10, {name: 'odd', owner: eve, state: 'active', disabled: true}),
	image(11, {
		name: 'ta~gs',
		owner: eve,
		tags: {
			list: [1],
			object: {a: 1},
			none: null,
			empty: '',
			long: 'l'.repeat(101),
			just: 'j'.repeat(100),
			'': 'k',
			number: '1',
			x: 'a\u00e9',
		},
	}),
];

function run(query: string, authenticated = false, list = images): readonly number[] {
	return numbers(
		runImageQuery(parseImageQuery(parseQueryString(query, 1000), {authenticated, seesPrivate: true}), list),
	);
}

function numbers(found: readonly Manifest[]): readonly number[] {
	return found.map(({uuid: id}) => Number.parseInt(id.slice(-12), 16));
}

const shortened = (query: string): string => query.replaceAll(/0{8}-0000-4000-8000-0*|([a-z])\1{9,}/gu, '…$1');

type Row = readonly [query: string, anonymous: readonly number[], authenticated?: readonly number[]];

const active = [1, 2, 3, 4, 11];
const everything = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11];

const rows: readonly Row[] = [
	['', active],
	['state=active', active],
	['state=', active],
	['state=all', active, everything],
	['state=disabled', [], [5, 9, 10]],
	['state=unactivated', [], [6]],
	['state=creating', [], [7]],
	['state=failed', [], [8]],
	// Text.
	['name=base', [1]],
	['name=~base', [1, 2]],
	['name=~ase', [1, 2, 3]],
	['name=~', active],
	['name=', []],
	['name=~~', [11]],
	['name=ta~gs', [11]],
	['version=1.0.0', [1, 3, 11]],
	['version=~.0.0', [1, 2, 3, 11]],
	['version=', []],
	['name=base&version=2.0.0', []],
	['os=linux', [2, 4]],
	['os=~linux', []],
	['os=', []],
	[`owner=${joe}`, [1, 3], [1, 3]],
	['owner=~', []],
	['owner=', []],
	['type=zvol', [2]],
	['type=!zvol', [1, 3, 4, 11]],
	['type=', []],
	['type=!', active],
	['type=~zvol', []],
	['public=true', [1, 2, 11]],
	['public=false', [3, 4]],
	// What is unknown or not ours is ignored.
	['channel=*', active],
	['channel=a&channel=b', active],
	[`uuid=${uuid(1)}`, active],
	['origin=x&published_at=y&foo=a&foo=b', active],
	['tag=x', active],
	// Tags.
	['tag.role=db', [1]],
	['tag.role=db&state=all', [1], [1, 5]],
	['tag.role=web', [3]],
	['tag.role=d', []],
	['tag.role=~d', []],
	['tag.role=', []],
	['tag.n=1', [1]],
	['tag.n=1.0', []],
	['tag.n=1.5', [3]],
	['tag.number=1', [11]],
	['tag.on=true', [1]],
	['tag.on=1', []],
	['tag.a+b%22=x', [1]],
	['tag.x=a%C3%A9', [11]],
	['tag.list=', [11]],
	['tag.list=1', []],
	['tag.object=', [11]],
	['tag.object={"a":1}', []],
	['tag.none=', [11]],
	['tag.none=null', []],
	['tag.empty=', [11]],
	['tag.long=', [11]],
	[`tag.long=${'l'.repeat(101)}`, []],
	[`tag.just=${'j'.repeat(100)}`, [11]],
	['tag.just=', []],
	['tag.=k', [11]],
	['tag.nothing=', []],
	['tag.constructor=', []],
	['tag.__proto__=', []],
	['tag.role=db&tag.n=1', [1]],
	['tag.role=db&tag.n=2', []],
	['tag.role=db&tag.role=db', []],
	['tag.role=db&tag.role=web', []],
	// Billing tags.
	['billing_tag=x', [2, 4]],
	['billing_tag=y', [2]],
	['billing_tag=x&billing_tag=y', [2]],
	['billing_tag=x&billing_tag=x', [2, 4]],
	['billing_tag=z', []],
	['billing_tag=', []],
	['billing_tag=x&tag.role=db', []],
	// Account.
	['account=', active],
	[`account=${joe}`, [1, 2, 3, 11]],
	[`account=${ann}`, [1, 2, 4, 11]],
	[`account=${eve}`, [1, 2, 3, 11]],
	['account=nobody', [1, 2, 11]],
	[`account=${joe}&owner=${ann}`, [2]],
	[`account=${eve}&owner=${joe}`, [1, 3]],
	[`account=${joe}&owner=${joe}`, [1, 3]],
	[`account=${joe}&public=false`, [3]],
	[`account=${joe}&state=disabled`, [], [5]],
	[`account=${eve}&state=disabled`, [], [10]],
	[`account=${ann}&state=unactivated`, [], [6]],
	[`account=${eve}&state=unactivated`, [], []],
	[`account=${joe}&state=creating`, [], [7]],
	[`account=${joe}&state=failed`, [], []],
	[`account=${eve}&state=all`, [1, 2, 3, 11], [1, 2, 3, 5, 9, 10, 11]],
	// Order.
	['sort=', active],
	['sort=published_at', active],
	['sort=published_at.asc', active],
	['sort=published_at.ASC', active],
	['sort=published_at.desc', [11, 4, 3, 2, 1]],
	['sort=published_at.DESC', [11, 4, 3, 2, 1]],
	['sort=published_at.Asc', [11, 4, 3, 2, 1]],
	['sort=published_at.sideways', [11, 4, 3, 2, 1]],
	['sort=published_at.', [11, 4, 3, 2, 1]],
	// Limit.
	['limit=2', [1, 2]],
	['limit=0', active],
	['limit=', active],
	['limit=5000', active],
	['limit=1e1', active],
	['limit=2&sort=published_at.desc', [11, 4]],
	['limit=1&os=linux', [2]],
	// Marker.
	['marker=', active],
	[`marker=${uuid(3)}`, [3, 4, 11]],
	[`marker=${uuid(3)}&limit=1`, [3]],
	[`marker=${uuid(3)}&limit=2`, [3, 4]],
	[`marker=${uuid(3)}&sort=published_at.desc`, [3, 2, 1]],
	[`marker=${uuid(11)}`, [11]],
	[`marker=${uuid(1)}&os=linux`, [2, 4]],
	[`marker=${uuid(4)}&name=base`, []],
	['marker=2020-01-01T00:00:03Z', [3, 4, 11]],
	['marker=2020-01-01T00:00:02.500Z', [3, 4, 11]],
	['marker=2020-01-01T00:00:03Z&sort=published_at.desc', [3, 2, 1]],
	['marker=2020-01-01T00:00:03', [3, 4, 11]],
	['marker=2020-01-01T00:00Z', active],
	['marker=2019', active],
	['marker=2021-01-01', []],
	['marker=Wed,+01+Jan+2020+00:00:04+GMT', [4, 11]],
	// Operators.
	['inclAdminFields=false', active],
];

for (const [query, anonymous, authenticated = anonymous] of rows) {
	test(`the list with '${shortened(query)}'`, t => {
		t.deepEqual(run(query), anonymous);
		t.deepEqual(run(query, true), authenticated);
	});
}

const wrong: readonly (readonly [query: string, field: string])[] = [
	['public=zz', 'public'],
	['public=', 'public'],
	['public=True', 'public'],
	['public=true&public=true', 'public'],
	['inclAdminFields=1', 'inclAdminFields'],
	['inclAdminFields=', 'inclAdminFields'],
	['inclAdminFields=true&inclAdminFields=true', 'inclAdminFields'],
	['state=zz', 'state'],
	['state=constructor', 'state'],
	['state=Active', 'state'],
	['state=all&state=all', 'state'],
	['sort=name', 'sort'],
	['sort=published', 'sort'],
	['sort=.desc', 'sort'],
	['sort=__proto__', 'sort'],
	['sort=published_at&sort=published_at', 'sort'],
	['limit=abc', 'limit'],
	['limit=-1', 'limit'],
	['limit=1.5', 'limit'],
	['limit=NaN', 'limit'],
	['limit=Infinity', 'limit'],
	['limit=1&limit=2', 'limit'],
	['marker=abc', 'marker'],
	[`marker=${uuid(0xabc).toUpperCase()}`, 'marker'],
	[`marker=${uuid(1)}&marker=${uuid(1)}`, 'marker'],
	['name=a&name=b', 'name'],
	['version=a&version=b', 'version'],
	['os=a&os=b', 'os'],
	['type=a&type=b', 'type'],
	['owner=a&owner=b', 'owner'],
	['account=a&account=b', 'account'],
	['inclAdminFields=true&limit=x', 'limit'],
];

for (const [query, field] of wrong) {
	test(`the list with '${shortened(query)}' is refused for ${field}`, t => {
		for (const authenticated of [false, true]) {
			const error = t.throws(() => run(query, authenticated), {instanceOf: InvalidParameterError});
			t.is(error.errors.length, 1);
			t.like(error.errors[0], {field, code: 'Invalid'});
		}
	});
}

test('operators’ fields are for those who have shown who they are', t => {
	t.throws(() => run('inclAdminFields=true'), {instanceOf: UnauthorizedError, code: 'UNAUTHORIZED'});
	t.deepEqual(run('inclAdminFields=true', true), active);
	t.true(parseImageQuery(parseQueryString('inclAdminFields=true', 9), {authenticated: true}).inclAdminFields);
});

test('a marker that the caller cannot see is not found', t => {
	t.throws(() => run(`marker=${uuid(99)}`), {instanceOf: NotFoundError});
	t.throws(() => run(`marker=${uuid(99)}&name=`), {instanceOf: NotFoundError});
	// What is disabled or not activated can be read by everybody who knows its UUID: it is a place in the list, too.
	t.deepEqual(run(`marker=${uuid(5)}`), [11]);
	t.deepEqual(run(`marker=${uuid(6)}`), [11]);
	t.deepEqual(run(`marker=${uuid(5)}`, true), [11]);
	t.deepEqual(run(`marker=${uuid(6)}&state=all`, true), [6, 7, 8, 9, 10, 11]);
	t.throws(() => run(`marker=${uuid(4)}&account=${joe}`), {instanceOf: NotFoundError});
	t.deepEqual(run(`marker=${uuid(3)}&account=${joe}`), [3, 11]);
	t.throws(() => run(`marker=${uuid(6)}&account=${eve}`, true), {instanceOf: NotFoundError});
	t.throws(() => run(`marker=${uuid(1)}`, false, []), {instanceOf: NotFoundError});
});

test('images without date come first, and pass every date marker', t => {
	const list = [image(1, {published_at: undefined}), image(2, {published_at: undefined}), image(3), image(4)];
	t.deepEqual(run('', false, list), [1, 2, 3, 4]);
	t.deepEqual(run('sort=published_at.desc', false, list), [4, 3, 2, 1]);
	t.deepEqual(run('marker=2020-01-01T00:00:04Z', false, list), [1, 2, 4]);
	t.deepEqual(run('marker=2020-01-01T00:00:03Z&sort=published_at.desc', false, list), [3, 2, 1]);
	t.deepEqual(run(`marker=${uuid(3)}`, false, list), [3, 4]);
	t.deepEqual(run(`marker=${uuid(2)}`, false, list), [2, 3, 4]);
});

test('the very same array comes back when nothing is left out', t => {
	const list = [image(1), image(2)];
	const same = (query: string): boolean =>
		runImageQuery(parseImageQuery(parseQueryString(query, 9), {authenticated: false, seesPrivate: true}), list) ===
		list;
	t.true(same(''));
	t.true(same('state=all&limit=2&name=~image'));
	t.true(same(`marker=${uuid(1)}`));
	t.false(same('sort=published_at.desc'));
	t.false(same('limit=1'));
	t.deepEqual(
		list.map(item => item.name),
		['image-1', 'image-2'],
	);
});

test('asking step by step, with names and tags at hand, finds the same', t => {
	const words = fc.constantFrom(
		...[
			'version=2.0.0',
			'version=~2',
			'name=base',
			'name=~s',
			'name=none',
			'name=',
			'version=',
			'os=linux',
			'type=!zvol',
			'tag.role=db',
			'billing_tag=x',
			'public=false',
		],
		...['state=all', 'limit=1', 'limit=3', 'sort=published_at.desc', 'marker=2020-01-01T00:00:03Z', `owner=${joe}`],
	);
	const many = [...images, ...images, ...images];
	const index = new NameIndex(many);
	const noted = new NotedTags(many.length);
	for (const [place, {text}] of many.entries()) {
		// Some are not noted, as our own are not.
		if (place % 4 > 0) {
			noted.note(place, text);
		}
	}
	t.notThrows(() =>
		fc.assert(
			fc.property(
				fc.uniqueArray(words, {maxLength: 4, selector: word => word.split('=')[0]}),
				fc.boolean(),
				(asked, who) => {
					const query = parseImageQuery(parseQueryString(asked.join('&'), 9), {authenticated: who, seesPrivate: true});
					const steps = imageQuerySteps(query, many, {index, noted});
					let step = steps.next();
					while (step.done !== true) {
						step = steps.next();
					}
					t.deepEqual(
						step.value.map(place => many[place]),
						[...runImageQuery(query, many)],
					);
				},
			),
		),
	);
});

test('a long list is gone through in steps', t => {
	const many = Array.from({length: 100}, () => images).flat();
	const query = parseImageQuery(parseQueryString('tag.role=db', 9), {authenticated: false, seesPrivate: true});
	let steps = 0;
	for (const all = imageQuerySteps(query, many); all.next().done !== true;) {
		steps++;
	}
	t.true(steps >= 4);
});

test('pages by marker lose and repeat nothing, as imgadm asks for them', t => {
	const someImages = fc.array(fc.tuple(fc.nat({max: 0xffff}), fc.nat({max: 3})), {maxLength: 40});
	fc.assert(
		fc.property(someImages, fc.integer({min: 2, max: 7}), fc.boolean(), (seeds, limit, newestFirst) => {
			const list = [...new Map(seeds).entries()]
				.map(([number, second]) =>
					image(number, {published_at: second === 0 ? undefined : `2020-01-01T00:00:0${second}Z`}),
				)
				.sort(compareImages);
			const sort = newestFirst ? '&sort=published_at.desc' : '';
			const all = run(sort, false, list);
			const paged = [...run(`limit=${limit}${sort}`, false, list)];
			for (let page: readonly number[] = paged; page.length === limit;) {
				const last = paged.at(-1) ?? 0;
				page = run(`marker=${uuid(last)}&limit=${limit}${sort}`, false, list);
				t.is(page[0], last);
				paged.push(...page.slice(1));
			}
			t.deepEqual(paged, all);
		}),
	);
});

test('a tag written with escapes is found', t => {
	const text = image(1, {tags: {role: 'db'}})
		.text.replace('"tags"', '"t\\u0061gs"')
		.replace('"role":"db"', '"r\\u006fle":"d\\u0062"');
	const escaped = {...image(1), text};
	t.deepEqual(run('tag.role=db', false, [escaped]), [1]);
	t.deepEqual(run('tag.role=web', false, [escaped]), []);
	t.deepEqual(
		run('billing_tag=x', false, [
			{...image(1), text: image(1, {billing_tags: ['x']}).text.replace('"x"', '"\\u0078"')},
		]),
		[1],
	);
});

test('any tag is found by what it says', t => {
	const value = fc.oneof(
		fc.string({unit: anyCharacter, maxLength: 110}),
		fc.string(),
		fc.double({noNaN: true}),
		fc.boolean(),
		fc.jsonValue(),
	);
	fc.assert(
		fc.property(fc.dictionary(fc.string({unit: anyCharacter}), value, {minKeys: 1}), tags => {
			const list = [image(1, {tags})];
			for (const [key, tag] of Object.entries(JSON.parse(JSON.stringify(tags)) as Record<string, unknown>)) {
				const isSearchable =
					(typeof tag === 'string' && tag.length <= 100) || typeof tag === 'number' || typeof tag === 'boolean';
				const query = parseImageQuery(new Map([[`tag.${key}`, [isSearchable ? String(tag) : '']]]), {
					authenticated: false,
				});
				t.is(runImageQuery(query, list).length, 1);
				const other = parseImageQuery(new Map([[`tag.${key}`, [`${isSearchable ? String(tag) : ''}!`]]]), {
					authenticated: false,
				});
				t.is(runImageQuery(other, list).length, 0);
			}
		}),
		{numRuns: 300},
	);
});

const key = (query: string, authenticated = false): string =>
	parseImageQuery(parseQueryString(query, 99), {authenticated, seesPrivate: true}).key;

const sameQuestions: readonly (readonly [string, string])[] = [
	['', 'foo=bar&channel=x'],
	['', 'state=all'],
	['', 'state=active&sort=published_at.asc&limit=0&name=~&inclAdminFields=false&account='],
	['state=disabled', 'state=failed'],
	['name=a&os=b', 'os=b&name=a'],
	['limit=10', 'limit=1e1'],
	['sort=published_at.desc', 'sort=published_at.x'],
	['tag.a=1&tag.b=2', 'tag.b=2&tag.a=1'],
	['tag.a=1&tag.a=2', 'tag.a=3&tag.a=4'],
	['billing_tag=a&billing_tag=b', 'billing_tag=b&billing_tag=a&billing_tag=b'],
	['marker=2020-01-01T00:00Z', 'marker=2020-01-01T00:00:00.000Z'],
	['name=a%20b', 'name=a+b'],
];

for (const [one, other] of sameQuestions) {
	test(`'${one}' and '${other}' are the same question`, t => {
		t.is(key(one), key(other));
	});
}

test('different questions have different keys', t => {
	const questions = [
		...['', 'name=', 'name=a', 'name=~a', 'version=a', 'os=a', 'type=a', 'type=!a', 'owner=a', 'account=a'],
		...['public=true', 'public=false', 'state=disabled', 'sort=published_at.desc', 'limit=1', 'limit=2'],
		...['tag.a=', 'tag.a=1', 'tag.b=1', 'tag.a=1&tag.b=1', 'tag.a=1&tag.a=1', 'billing_tag=a', 'billing_tag=b'],
		...[`marker=${uuid(1)}`, `marker=${uuid(2)}`, 'marker=2020-01-01', 'marker=2020-01-02'],
		...['name="a"', 'name=a%22%2C%22b', 'name=a&version=b'],
	];
	t.is(new Set(questions.map(question => key(question))).size, questions.length);
	t.not(key('state=all', true), key('state=all'));
	t.not(key(`marker=${uuid(1)}`, true), key(`marker=${uuid(1)}`));
	t.is(key('name=a', true), key('name=a'));
});

test('who asks, for which channel and what of it, is part of the question', t => {
	const callers = [
		{authenticated: false},
		{authenticated: false, seesPrivate: true},
		{authenticated: false, channel: 'dev'},
		{authenticated: false, channel: 'release'},
		{authenticated: false, showChannels: true},
		{authenticated: false, seesPrivate: true, showChannels: true, channel: 'dev'},
	];
	const keys = callers.map(caller => parseImageQuery(new Map(), caller).key);
	t.is(new Set(keys).size, callers.length);
	t.is(keys[0], '');
	t.is(parseImageQuery(new Map(), {authenticated: false, seesPrivate: false, channel: undefined}).key, '');
	t.like(parseImageQuery(new Map(), {authenticated: false}), {seesPrivate: false, channel: undefined});
});

const hidden: readonly (readonly [string, readonly number[]])[] = [
	['', [1, 2, 11]],
	['public=false', []],
	['state=all', [1, 2, 5, 6, 7, 8, 10, 11]],
	['state=disabled', [5, 10]],
	[`account=${eve}`, [1, 2, 11]],
	[`owner=${joe}`, [1]],
	['tag.role=web', []],
	['billing_tag=x', [2]],
];

for (const [query, expected] of hidden) {
	test(`private images are hidden from those who may not see them: '${query}'`, t => {
		const asked = parseImageQuery(parseQueryString(query, 9), {authenticated: true, seesPrivate: false});
		t.deepEqual(numbers(runImageQuery(asked, images)), expected);
	});
}

test('a private image is no marker for those who may not see it', t => {
	const params = new Map([['marker', [uuid(3)]]]);
	const asked = (seesPrivate: boolean) => parseImageQuery(params, {authenticated: true, seesPrivate});
	t.deepEqual(numbers(runImageQuery(asked(true), images)), [3, 4, 11]);
	t.throws(() => runImageQuery(asked(false), images), {instanceOf: NotFoundError});
});

test('a channel holds images of ours that are in it, and all those of sources', t => {
	const ours = (number: number, channels: readonly string[]): Manifest => ({
		...image(number),
		local: {channels, billingTags: [], stor: 'local'},
	});
	const list = [ours(1, ['dev']), ours(2, ['dev', 'release']), ours(3, []), image(4)];
	const inChannel = (channel: string | undefined, query = ''): readonly number[] =>
		numbers(
			runImageQuery(
				parseImageQuery(parseQueryString(query, 9), {authenticated: false, seesPrivate: true, channel}),
				list,
			),
		);
	t.deepEqual(inChannel(undefined), [1, 2, 3, 4]);
	t.deepEqual(inChannel('dev'), [1, 2, 4]);
	t.deepEqual(inChannel('release'), [2, 4]);
	t.deepEqual(inChannel('staging'), [4]);
	t.deepEqual(inChannel('release', `marker=${uuid(2)}`), [2, 4]);
	t.throws(() => inChannel('release', `marker=${uuid(1)}`), {instanceOf: NotFoundError});
});

test('billing tags are found although the manifest does not show them', t => {
	const ours: Manifest = {...image(1), local: {channels: [], billingTags: ['x', 'y "z"'], stor: 'local'}};
	const list = [ours, image(2, {billing_tags: ['x']}), image(3)];
	t.deepEqual(run('billing_tag=x', false, list), [1, 2]);
	t.deepEqual(run('billing_tag=x&billing_tag=y+"z"', false, list), [1]);
	t.deepEqual(run('billing_tag=z', false, list), []);
	t.deepEqual(run('billing_tag=x&tag.a=1', false, list), []);
});

test('any query is answered or refused in the words that HTTP knows', t => {
	const name = fc.constantFrom(
		'state',
		'name',
		'type',
		'public',
		'limit',
		'marker',
		'sort',
		'account',
		'owner',
		'tag.role',
		'billing_tag',
		'inclAdminFields',
		'x',
	);
	const value = fc.oneof(
		fc.constantFrom(
			'',
			'true',
			'all',
			'active',
			'~',
			'!',
			'5',
			'-1',
			uuid(1),
			'published_at.desc',
			'2020-01-01',
			'NaN',
			'\0',
		),
		fc.string({unit: anyCharacter}),
	);
	fc.assert(
		fc.property(
			fc.array(fc.tuple(name, fc.array(value, {minLength: 1, maxLength: 2}))),
			fc.boolean(),
			(entries, authenticated) => {
				const params = new Map(entries);
				try {
					const query = parseImageQuery(params, {authenticated});
					const found = runImageQuery(query, images);
					t.true(found.every(item => images.includes(item)));
					t.is(new Set(found).size, found.length);
					t.true(authenticated || found.every(item => item.state === 'active' && !item.disabled));
					t.is(parseImageQuery(new Map([...params].reverse()), {authenticated}).key, query.key);
				} catch (error) {
					t.true(
						error instanceof InvalidParameterError ||
							error instanceof NotFoundError ||
							error instanceof UnauthorizedError,
					);
				}
			},
		),
		{numRuns: 1000},
	);
});
