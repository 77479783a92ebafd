import test from 'ava';
import type {KnownImage} from '../../src/catalog/catalog.js';
import {parseManifest} from '../../src/image/manifest.js';
import {Rows, type RowParts} from '../../src/mirror-rows.js';
import {Wants} from '../../src/mirror-wants.js';
import {makeImage} from '../helpers/make-image.js';

/** Rows of images that are offered and nowhere here. */
function rowsOf(overview: readonly KnownImage[]): {readonly rows: Rows; readonly wants: Wants} {
	const wants = new Wants();
	const parts = {
		catalog: {prepareOverview: () => Promise.resolve(), overview: () => overview},
		store: {generation: 0, usageGeneration: 0, stat: () => undefined, hasPartial: () => false},
		flights: {status: () => []},
		files: {sha1Of: () => undefined},
		pins: {generation: 0, has: () => false},
		wants,
	};
	return {rows: new Rows(parts as unknown as RowParts), wants};
}

test('what a rule wants anew makes another row of that image, and of no other that it wanted before', async t => {
	const known = [makeImage(), makeImage(), makeImage()].map(({text}): KnownImage => ({
		manifest: parseManifest(text),
		source: 'up',
		sources: ['up'],
		vanished: false,
	}));
	const [a, b, c] = known.map(({manifest}) => manifest.uuid);
	const {rows, wants} = rowsOf(known);
	wants.set(
		'all',
		[a, b].filter(uuid => uuid !== undefined),
	);
	const before = await rows.all();
	t.is(await rows.all(), before);
	wants.set(
		'all',
		[a, b, c].filter(uuid => uuid !== undefined),
	);
	const after = await rows.all();
	t.not(after, before);
	t.deepEqual(
		after.map(({wantedBy}) => wantedBy),
		[['all'], ['all'], ['all']],
	);
	t.is(after[0], before[0]);
	t.is(after[1], before[1]);
	wants.set(
		'more',
		[b].filter(uuid => uuid !== undefined),
	);
	t.deepEqual(
		(await rows.all()).map(({wantedBy}) => wantedBy),
		[['all'], ['all', 'more'], ['all']],
	);
	wants.forget('all');
	t.deepEqual(
		(await rows.all()).map(({wantedBy}) => wantedBy),
		[[], ['more'], []],
	);
});

test('a rule that wants as many as before, but others, keeps those', t => {
	const uuids = [makeImage(), makeImage()].map(({text}) => parseManifest(text).uuid);
	const wants = new Wants();
	const seen: number[] = [];
	for (const wanted of [uuids.slice(0, 1), uuids.slice(0, 1), uuids.slice(1)]) {
		wants.set('rule', wanted);
		seen.push(wants.generation);
		t.deepEqual([...wants.uuids()], wanted);
	}
	t.deepEqual(seen, [1, 1, 2]);
	wants.forget('another');
	t.is(wants.generation, 2);
});
