import test from 'ava';
import {InvalidParameterError} from '../../src/errors.js';
import {parseDatasetQuery, parseQueryString, runDatasetQuery} from '../../src/image/query.js';
import {image, uuid} from './manifests.js';

const images = [
	image(1, {name: 'base', os: 'smartos'}),
	image(2, {name: 'base', version: '2', type: 'zvol', os: 'linux', owner: uuid(5)}),
	image(3, {name: 'lx', type: 'lx-dataset'}),
	image(4, {name: 'private', public: false, acl: [uuid(7)]}),
	image(5, {name: 'off', state: 'disabled', disabled: true}),
	image(6, {name: 'empty', files: []}),
	image(7, {name: 'baseline'}),
];

const rows: readonly (readonly [string, readonly number[]])[] = [
	['', [7, 2, 1]],
	['name=base', [2, 1]],
	['name=~base', []],
	['name=', []],
	['name=base&version=2', [2]],
	['version=1.0.0', [7, 1]],
	['type=zvol', [2]],
	['type=lx-dataset', []],
	['os=linux', [2]],
	[`creator_uuid=${uuid(5)}`, [2]],
	[`restricted_to_uuid=${uuid(7)}`, []],
	['restricted_to_uuid=', []],
	['limit=1&sort=x&state=zz&name2=x&limit=2', [7, 2, 1]],
];

for (const [query, expected] of rows) {
	test(`the datasets with '${query}'`, t => {
		const found = runDatasetQuery(parseDatasetQuery(parseQueryString(query, 9)), images);
		t.deepEqual(
			found.map(item => images.indexOf(item) + 1),
			expected,
		);
	});
}

const privateRows: readonly (readonly [string, readonly number[]])[] = [
	['', [7, 4, 2, 1]],
	['name=private', [4]],
	[`restricted_to_uuid=${uuid(7)}`, [4]],
	[`restricted_to_uuid=${uuid(8)}`, []],
	['restricted_to_uuid=', []],
];

for (const [query, expected] of privateRows) {
	test(`the datasets with '${query}' for somebody who sees private ones`, t => {
		const found = runDatasetQuery(parseDatasetQuery(parseQueryString(query, 9), {seesPrivate: true}), images);
		t.deepEqual(
			found.map(item => images.indexOf(item) + 1),
			expected,
		);
	});
}

for (const name of ['name', 'version', 'type', 'os', 'restricted_to_uuid', 'creator_uuid']) {
	test(`the dataset filter ${name} may be given once`, t => {
		const error = t.throws(() => parseDatasetQuery(new Map([[name, ['a', 'a']]])), {instanceOf: InvalidParameterError});
		t.like(error.errors, [{field: name, code: 'Invalid'}]);
	});
}

test('equal questions about datasets share a key', t => {
	const key = (query: string): string => parseDatasetQuery(parseQueryString(query, 9)).key;
	t.is(key(''), key('foo=1&limit=2'));
	t.is(key('name=a&os=b'), key('os=b&name=a&x'));
	t.is(new Set(['', 'name=', 'name=a', 'os=a', 'name=a&os=a'].map(key)).size, 5);
	t.not(parseDatasetQuery(new Map(), {seesPrivate: true}).key, key(''));
});
