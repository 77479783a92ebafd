import test from 'ava';
import fc from 'fast-check';
import {findByUrn, urnOf} from '../../src/image/dataset.js';
import {image} from './manifests.js';

const names = {cloudName: 'sdc', creatorName: 'sdc'};

const images = [
	image(1, {name: 'base', version: '1'}),
	image(2, {name: 'base', version: '2'}),
	image(3, {name: 'base', version: '0', published_at: '2021-01-01T00:00:00Z'}),
	image(4, {name: 'base', version: '9', urn: 'sdc:joe:base:9', published_at: '2022-01-01T00:00:00Z'}),
	image(5, {name: 'a:b', version: 'c:d'}),
	image(6, {name: 'x', version: 'y', urn: 'not a urn'}),
	image(7, {name: 'twice', version: '1', published_at: '2019-01-01T00:00:00Z'}),
	image(8, {name: 'twice', version: '1', published_at: '2018-01-01T00:00:00Z'}),
	image(9, {name: 'joe', version: 'base', published_at: '2018-01-01T00:00:00Z'}),
	image(10, {name: 'Ünï cøde/', version: '%00'}),
];

const lookups: readonly (readonly [string, number | undefined])[] = [
	['sdc:sdc:base:1', 1],
	['sdc:sdc:base:2', 2],
	['sdc:joe:base:9', 4],
	['base:1', 1],
	['base:0', 3],
	['base:9', undefined],
	['base', 3],
	['sdc:sdc:base', 3],
	['sdc:joe:base', 4],
	['sdc:sdc:a:b:c:d', 5],
	['a:b:c:d', 5],
	['a:b', 5],
	['sdc:sdc:a:b', 5],
	['x:y', 6],
	['sdc:sdc:x:y', 6],
	['not a urn', undefined],
	['twice:1', 7],
	['twice', 7],
	['joe:base', 9],
	['Ünï cøde/:%00', 10],
	['Ünï cøde/', 10],
	['bas', undefined],
	['base:', undefined],
	[':base', undefined],
	['sdc', undefined],
	['sdc:sdc', undefined],
	['sdc:sdc:', undefined],
	['', undefined],
	['SDC:SDC:base:1', undefined],
	['__proto__', undefined],
];

for (const [id, expected] of lookups) {
	test(`the dataset '${id}' is ${expected === undefined ? 'none' : `image ${expected}`}`, t => {
		const found = findByUrn(id, images, names);
		t.is(found, expected === undefined ? undefined : images[expected - 1]);
		t.is(findByUrn(id, [...images].reverse(), names), found);
	});
}

test('the configured names stand in the URNs that are computed', t => {
	const other = {cloudName: 'here', creatorName: 'me'};
	const [first, , , fourth] = images;
	t.is(first && urnOf(first, other), 'here:me:base:1');
	t.is(fourth && urnOf(fourth, other), 'sdc:joe:base:9');
	t.is(findByUrn('base:1', images, other), first);
	t.is(findByUrn('sdc:sdc:base:1', images, other), undefined);
});

test('every image is found by its own URN', t => {
	fc.assert(
		fc.property(fc.string(), fc.string(), (name, version) => {
			const odd = image(50, {name, version, published_at: '2030-01-01T00:00:00Z'});
			t.is(findByUrn(urnOf(odd, names), [...images, odd], names), odd);
		}),
	);
});
