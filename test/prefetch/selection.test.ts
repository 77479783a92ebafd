import test from 'ava';
import {InvalidParameterError, NotFoundError} from '../../src/errors.js';
import {choosingOf, parseSelection} from '../../src/prefetch/selection.js';
import {id} from './fake-ahead.js';
import {rule} from './rules.js';

test('a selection is taken as it came', t => {
	const selection = {
		uuids: [id(1)],
		sources: ['smartos'],
		name: ['base*'],
		os: ['smartos'],
		type: ['zone-dataset'],
		owner: ['*'],
		version: '>=24',
		newest: 2,
		publishedSince: '2026-01-31',
		maxBytes: 5_000_000_000,
	};
	t.deepEqual(parseSelection(selection), selection);
	t.deepEqual(parseSelection({rule: 'bases'}), {rule: 'bases'});
	t.deepEqual(parseSelection({rule: 'bases', name: [], newest: undefined}), {rule: 'bases'});
	const all = Array.from({length: 25_000}, (_, at) => id(at));
	t.deepEqual(parseSelection({uuids: all}), {uuids: all});
	t.is(choosingOf(selection, []).publishedSinceMs, Date.UTC(2026, 0, 31));
});

for (const [what, selection, fields] of [
	['no object', [], ['selection']],
	['null', null, ['selection']],
	['a text', 'base', ['selection']],
	['nothing', {}, ['selection']],
	['only empty lists', {uuids: [], name: []}, ['selection']],
	['a field that there is not', {names: ['base']}, ['names']],
	['a field that only objects have', {constructor: ['base']}, ['constructor']],
	['no list', {name: 'base'}, ['name']],
	['an empty pattern', {name: ['base', '']}, ['name']],
	['uuids that are none', {uuids: ['x']}, ['uuids']],
	['uuids in upper case', {uuids: [id(0xabc).toUpperCase()]}, ['uuids']],
	['numbers that are none', {newest: 0, maxBytes: 1.5, version: 3}, ['newest', 'maxBytes', 'version']],
	['a date that is none', {publishedSince: 'yesterday'}, ['publishedSince']],
	['a rule and more', {rule: 'bases', newest: 1}, ['rule']],
	['too many uuids', {uuids: Array.from({length: 50_001}, () => id(1))}, ['uuids']],
	['too much', {name: Array.from({length: 10_001}, () => 'x')}, ['name']],
] as const) {
	test(`a selection of ${what} is refused with the fields that are wrong`, t => {
		const error = t.throws(() => parseSelection(selection), {instanceOf: InvalidParameterError});
		t.deepEqual(
			error.errors.map(({field}) => field),
			[...fields],
		);
		t.true(error.errors.every(({message}) => message !== undefined && message !== ''));
	});
}

test('a rule of the configuration stands for all it says', t => {
	const bases = rule({name: 'bases', newest: 2});
	t.is(choosingOf({rule: 'bases'}, [rule(), bases]), bases);
	t.throws(() => choosingOf({rule: 'other'}, [bases]), {instanceOf: NotFoundError, message: /other/});
});
