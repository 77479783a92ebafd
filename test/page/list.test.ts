/**
 * The list of images without a browser: searching, choosing by chips, ordering, what is drawn of it, its address.
 */
import test from 'ava';
import fc from 'fast-check';
import {Facets, noChoices, toggled} from '../../src/page/filters.js';
import {rowsOfManifests} from '../../src/page/public-rows.js';
import {firstRoute, formatRoute, parseRoute, views} from '../../src/page/route.js';
import {SearchIndex} from '../../src/page/search.js';
import {columns, firstSorting, Orders, versionKey} from '../../src/page/sort.js';
import {scrollTo, windowOf} from '../../src/page/virtual-window.js';
import {sameBytes} from '../helpers/same-bytes.js';
import {makeRows, uuidOf} from './fake-data.js';

const rows = makeRows(2000);
const all = new Uint8Array(rows.length).fill(1);

test('every word must be somewhere in an image', t => {
	const index = new SearchIndex(rows);
	const found = index.match('  LTS  zone 20.1 ');
	for (const [at, {name, version, os, type, uuid}] of rows.entries()) {
		const text = `${name} ${version} ${uuid} ${os} ${type}`;
		t.is(found[at], text.includes('lts') && text.includes('zone') && text.includes('20.1') ? 1 : 0);
	}
	t.is(
		index.match(uuidOf(77)).reduce((sum, one) => sum + one, 0),
		1,
	);
	sameBytes(t, index.match(''), all);
});

test('an index of rows of which few are new is the same as one made from nothing', t => {
	const changed = rows.map((row, at) => (at === 5 ? {...row, name: 'renamed'} : row)).slice(0, 1500);
	const index = new SearchIndex(changed, new SearchIndex(rows));
	t.deepEqual(
		[...index.match('renamed').keys()].filter(at => index.match('renamed')[at] === 1),
		[5],
	);
	sameBytes(t, index.match('nginx'), new SearchIndex(changed).match('nginx'));
});

test('the first that fit are those whose name begins so', t => {
	const found = new SearchIndex(rows).first('web', 5);
	t.deepEqual(
		found.map(({name}) => name),
		['web', 'web', 'web', 'web', 'web'],
	);
	t.deepEqual(new SearchIndex(rows).first('no such image', 5), []);
	t.true(new SearchIndex(rows).first('64', 3).every(({name}) => name.includes('64')));
});

test('columns sort up and down, versions as versions', t => {
	t.true(versionKey('9.9') < versionKey('9.10'));
	t.true(versionKey('20.4.0') < versionKey('20.4.0-rc1'));
	const orders = new Orders(rows);
	for (const column of columns) {
		const up = orders.pick({column, descending: false}, all);
		const down = orders.pick({column, descending: true}, all);
		t.is(up.length, rows.length);
		t.deepEqual(down, [...up].reverse());
	}
	const sizes = orders.pick(firstSorting('size'), all).map(({size}) => size);
	t.deepEqual(
		sizes,
		[...sizes].sort((one, other) => other - one),
	);
	const nginx = new SearchIndex(rows).match('nginx');
	const versions = orders.pick({column: 'version', descending: false}, nginx).map(({version}) => versionKey(version));
	t.deepEqual(versions, [...versions].sort());
});

test('an order is kept where the rows that are new have the same places', t => {
	const before = new Orders(rows);
	const kept = before.by('name');
	before.by('here');
	const changed = rows.map((row, at) => (at === 7 ? {...row, here: 'coming' as const, pinned: true} : row));
	const after = new Orders(changed, before);
	t.is(after.by('name'), kept);
	t.deepEqual(after.by('here'), new Orders(changed).by('here'));
	const renamed = rows.map((row, at) => (at === 7 ? {...row, name: 'aaa'} : row));
	t.deepEqual(new Orders(renamed, before).by('name'), new Orders(renamed).by('name'));
	t.deepEqual(new Orders(rows.slice(1), before).by('name'), new Orders(rows.slice(1)).by('name'));
});

test('within a group any value will do, groups must all fit, and chips count what they would show', t => {
	const chosen = toggled(toggled(toggled(noChoices, 'os', 'linux'), 'os', 'bsd'), 'is', 'here');
	const {fits, count, choices} = new Facets(rows).filter(all, chosen);
	const wanted = rows.filter(({os, here}) => (os === 'linux' || os === 'bsd') && here === 'here');
	t.is(count, wanted.length);
	t.deepEqual(
		rows.filter((_, at) => fits[at] === 1),
		wanted,
	);
	const countOf = (group: keyof typeof choices, value: string) => choices[group].find(one => one.value === value);
	t.like(countOf('os', 'windows'), {
		chosen: false,
		count: rows.filter(({os, here}) => os === 'windows' && here === 'here').length,
	});
	t.like(countOf('is', 'pinned'), {
		count: rows.filter(({os, pinned}) => (os === 'linux' || os === 'bsd') && pinned).length,
	});
	t.true(countOf('os', 'linux')?.chosen);
	// One that nothing fits is shown as long as it is chosen, or nobody could take it back.
	t.like(new Facets([]).filter(new Uint8Array(0), chosen).choices.is, [{value: 'here', count: 0, chosen: true}]);
	t.deepEqual(toggled(chosen, 'os', 'linux').os, ['bsd']);
});

test('what is drawn covers what is seen, and little more', t => {
	fc.assert(
		fc.property(
			fc.integer({min: 0, max: 30_000}),
			fc.integer({min: 10, max: 60}),
			fc.integer({min: -100, max: 900_000}),
			fc.integer({min: 0, max: 3000}),
			(count, rowHeight, scrollTop, viewHeight) => {
				const {first, end} = windowOf({count, rowHeight, scrollTop, viewHeight});
				t.true(first >= 0 && first <= end && end <= count);
				const top = Math.floor(Math.max(0, scrollTop) / rowHeight);
				const bottom = Math.ceil((Math.max(0, scrollTop) + viewHeight) / rowHeight);
				if (top < count) {
					t.true(first <= top && end >= Math.min(count, bottom));
				}
				t.true(end - first <= viewHeight / rowHeight + 50);
			},
		),
	);
	const view = {rowHeight: 30, scrollTop: 300, viewHeight: 600};
	t.is(scrollTo(5, view), 150);
	t.is(scrollTo(12, view), undefined);
	t.is(scrollTo(30, view), 330);
});

test('an address says where one is, and is read again as it was written', t => {
	const route = {
		view: 'images' as const,
		query: 'base 64 & more',
		choices: {os: ['linux', 'bsd'], type: [], source: ['a b'], is: ['here']},
		sorting: {column: 'size' as const, descending: true},
		image: uuidOf(3),
	};
	t.deepEqual(parseRoute(formatRoute(route)), route);
	t.deepEqual(parseRoute(''), firstRoute);
	t.is(formatRoute(firstRoute), '#/images');
	for (const view of views) {
		t.is(parseRoute(formatRoute({...route, view})).view, view);
	}
	t.deepEqual(parseRoute('#/nowhere?sort=-nothing&image=../x'), {
		...firstRoute,
		sorting: {column: 'name', descending: true},
	});
});

test('what IMGAPI tells everybody makes rows of which less is known', t => {
	t.like(rowsOfManifests([{uuid: uuidOf(1), name: 'a', version: '1', files: [{size: 7}]}])[0], {
		...{uuid: uuidOf(1), name: 'a', size: 7, here: 'away', state: 'active', sources: []},
	});
});
