import test from 'ava';
import fc from 'fast-check';
import type {Uuid} from '../../src/image/manifest.js';
import type {Choosing} from '../../src/prefetch/rule.js';
import {chooseAtOnce, Offer, planOf, type Choice} from '../../src/prefetch/select.js';
import {ManualClock} from '../helpers/manual-clock.js';
import {FakeAhead, id, type Offered} from './fake-ahead.js';
import {dayMs, rule} from './rules.js';

const now = Date.UTC(2026, 0, 1);

function offering(images: readonly (Offered & {readonly inList?: boolean})[]): FakeAhead {
	const ahead = new FakeAhead(new ManualClock());
	images.forEach((image, index) => ahead.add(index + 1, image));
	return ahead;
}

function chosen(ahead: FakeAhead, what: Choosing, nowMs = now): Choice {
	return chooseAtOnce(what, new Offer(ahead), nowMs);
}

/** The numbers of the images, in order. */
function numbers(choice: Choice): readonly number[] {
	return choice.images.map(({image}) => parseInt(image.manifest.uuid.slice(-12), 16));
}

test('what is said is all true of what is chosen', t => {
	const ahead = offering([
		{name: 'base-64', os: 'smartos', type: 'zone-dataset', version: '24.4.1'},
		{name: 'base-64', os: 'linux', type: 'lx-dataset', version: '24.4.1'},
		{name: 'minimal-64', os: 'smartos', type: 'zone-dataset', version: '23.4.0'},
		{name: 'base-64', os: 'smartos', type: 'zone-dataset', version: '24.1.0', owner: id(7)},
		{name: 'base-64', os: 'smartos', type: 'zone-dataset', version: '24.4.0', sources: ['other']},
	]);
	t.deepEqual(numbers(chosen(ahead, rule())), [5, 4, 3, 2, 1]);
	t.deepEqual(numbers(chosen(ahead, rule({include: {name: ['base*'], os: ['smartos']}}))), [5, 4, 1]);
	t.deepEqual(numbers(chosen(ahead, rule({include: {type: ['lx*', 'zvol']}}))), [2]);
	t.deepEqual(numbers(chosen(ahead, rule({exclude: {name: ['min*'], owner: [id(7)]}}))), [5, 2, 1]);
	t.deepEqual(numbers(chosen(ahead, rule({version: '^24.2'}))), [5, 2, 1]);
	t.deepEqual(numbers(chosen(ahead, rule({sources: ['smartos']}))), [4, 3, 2, 1]);
	t.deepEqual(numbers(chosen(ahead, rule({include: {uuid: [id(3)]}}))), [3]);
});

test('the newest of each name, across sources', t => {
	const ahead = offering([
		{name: 'a'},
		{name: 'a', sources: ['other']},
		{name: 'b'},
		{name: 'a'},
		{name: 'a', publishedAt: '2030-01-01T00:00:00Z'},
	]);
	t.deepEqual(numbers(chosen(ahead, rule({newest: 2}))), [5, 4, 3]);
	t.deepEqual(numbers(chosen(ahead, rule({newest: 1, sources: ['other', 'smartos']}))), [5, 3]);
	t.deepEqual(numbers(chosen(ahead, rule({newest: 1, sources: ['other']}))), [2]);
});

test('published since a date, within a time, or both', t => {
	const ahead = offering([
		{publishedAt: '2025-06-01T00:00:00Z'},
		{publishedAt: '2025-12-01T00:00:00Z'},
		{publishedAt: '2025-12-31T00:00:00Z'},
	]);
	const since = Date.UTC(2025, 11, 1);
	t.deepEqual(numbers(chosen(ahead, rule({publishedSinceMs: since}))), [3, 2]);
	t.deepEqual(numbers(chosen(ahead, rule({publishedSinceMs: since + 1}))), [3]);
	t.deepEqual(numbers(chosen(ahead, rule({publishedWithinMs: 40 * dayMs}))), [3, 2]);
	t.deepEqual(numbers(chosen(ahead, rule({publishedWithinMs: 40 * dayMs, publishedSinceMs: since + 1}))), [3]);

	const within = rule({publishedWithinMs: 31 * dayMs});
	const {validUntilMs} = chosen(ahead, within);
	t.deepEqual(numbers(chosen(ahead, within, validUntilMs - 1)), [3, 2]);
	t.deepEqual(numbers(chosen(ahead, within, validUntilMs)), [3]);
	t.is(chosen(ahead, rule()).validUntilMs, Infinity);
});

test('the newest fill the room, what does not fit makes room for smaller ones', t => {
	const ahead = offering([{size: 300}, {size: 50}, {size: 400}, {size: 900}, {size: 500}]);
	const choice = chosen(ahead, rule({maxBytes: 1000}));
	t.deepEqual(numbers(choice), [5, 3, 2]);
	t.is(choice.bytes, 950);
	t.is(choice.leftOut, 2);
});

test('an image counts with the origins that have not been counted yet', t => {
	const ahead = offering([
		{name: 'origin', size: 600},
		{name: 'a', size: 100, origin: 1},
		{name: 'b', size: 100, origin: 1},
		{name: 'c', size: 350},
	]);
	const what = rule({include: {name: ['a', 'b', 'c']}});
	t.deepEqual(numbers(chosen(ahead, {...what, maxBytes: 800})), [4]);
	t.deepEqual(numbers(chosen(ahead, {...what, maxBytes: 1150})), [4, 1, 3, 2]);
	t.deepEqual(
		numbers(chosen(ahead, {...what, include: {...what.include, name: ['a', 'b']}, maxBytes: 800})),
		[1, 3, 2],
	);
});

test('origins come before what is built upon them, from any source, and are told apart', t => {
	const ahead = offering([
		{name: 'root', sources: ['other'], os: 'linux'},
		{name: 'mid', origin: 1, inList: false},
		{name: 'leaf', origin: 2},
		{name: 'leaf', origin: 2},
	]);
	const choice = chosen(ahead, rule({sources: ['smartos'], include: {name: ['leaf'], os: ['smartos']}}));
	t.deepEqual(numbers(choice), [1, 2, 4, 3]);
	t.deepEqual(
		choice.images.map(({originOf}) => originOf),
		[id(4), id(4), undefined, undefined],
	);
	const all = chosen(ahead, rule());
	t.deepEqual(numbers(all), [1, 2, 4, 3]);
	t.deepEqual(
		all.images.map(({originOf}) => originOf),
		[undefined, id(4), undefined, undefined],
	);
});

test('an origin that nobody has is named once', t => {
	const ahead = offering([
		{name: 'a', version: '1', origin: 99},
		{name: 'b', version: '2', origin: 1},
		{name: 'c', version: '3', origin: 99},
	]);
	const choice = chosen(ahead, rule());
	t.deepEqual(numbers(choice), [3, 1, 2]);
	t.deepEqual(choice.missing, [{uuid: id(99), problem: 'the origin of c 3, and nobody has it'}]);
});

test('origins in a circle are harmless', t => {
	const ahead = offering([{origin: 2}, {origin: 3}, {origin: 1}, {origin: 4}]);
	t.deepEqual([...numbers(chosen(ahead, rule()))].sort(), [1, 2, 3, 4]);
	t.deepEqual(numbers(chosen(ahead, {...rule(), uuids: [id(4)]})), [4]);
	t.deepEqual(chosen(ahead, rule()).missing, []);
});

test('images of other kinds and images without files are chosen as any', t => {
	const ahead = offering([
		{type: 'docker', os: 'linux', files: []},
		{type: 'docker', os: 'linux', origin: 1},
		{type: 'lxd', os: 'linux', files: [{size: 700, compression: 'none'}]},
	]);
	const plan = planOf(chosen(ahead, rule({maxBytes: 1700})), ahead);
	t.deepEqual(
		plan.images.map(({uuid, size, here}) => [uuid, size, here]),
		[
			[id(3), 700, false],
			[id(1), 0, true],
			[id(2), 1000, false],
		],
	);
});

test('by uuid also what is not active or in no list, and what nobody has is named', t => {
	const ahead = offering([{state: 'disabled'}, {inList: false}, {}]);
	const choice = chosen(ahead, {...rule(), uuids: [id(1), id(2), id(7), id(1)]});
	t.deepEqual(numbers(choice), [2, 1]);
	t.deepEqual(choice.missing, [{uuid: id(7), problem: 'nobody has an image of that uuid'}]);
	t.deepEqual(numbers(chosen(ahead, {...rule({version: '2'}), uuids: [id(1)]})), []);
});

test('what is only here counts as of a source that offers nothing at present, and of no other', t => {
	const ahead = offering([{sources: []}, {sources: ['other']}]);
	t.deepEqual(numbers(chosen(ahead, rule({sources: ['smartos']}))), [1]);
	t.deepEqual(numbers(chosen(ahead, rule({sources: ['other']}))), [2]);
	t.deepEqual(numbers(chosen(ahead, rule({sources: ['other', 'smartos']}))), [2, 1]);
	t.true(new Offer(ahead).isBlind(rule({sources: ['smartos']})));
	t.false(new Offer(ahead).isBlind(rule({sources: ['smartos', 'other']})));
	t.false(new Offer(ahead).isBlind(rule()));
	t.true(new Offer(offering([{sources: []}])).isBlind(rule()));
});

test('a plan tells bytes, and how long they take at the rate of late', t => {
	const ahead = offering([{size: 3000}, {size: 5000, origin: 1}]);
	ahead.here.add(id(1));
	t.false('ms' in planOf(chosen(ahead, rule()), ahead));
	ahead.rate = 2000;
	t.deepEqual(planOf(chosen(ahead, rule({newest: 1})), ahead), {
		images: [
			{uuid: id(1), name: 'base', version: '1.0.0', size: 3000, here: true, originOf: id(2)},
			{uuid: id(2), name: 'base', version: '1.0.0', size: 5000, here: false},
		],
		bytes: 8000,
		bytesToFetch: 5000,
		bytesPerSecond: 2000,
		ms: 2500,
		leftOut: 0,
		missing: [],
	});
});

/** Catalogs with few names, dates and sizes, so that they tie; origins anywhere, circles included. */
const catalogs = fc
	.array(
		fc.record({
			name: fc.constantFrom('a', 'b', 'c'),
			version: fc.constantFrom('1.0', '20240612', '24.4.1', 'x'),
			day: fc.integer({min: 1, max: 9}),
			size: fc.integer({min: 0, max: 5}).map(size => size * 100),
			origin: fc.option(fc.integer({min: 1, max: 25}), {nil: undefined}),
			sources: fc.constantFrom(['one'], ['two'], ['two', 'one'], []),
			inList: fc.boolean(),
		}),
		{maxLength: 20},
	)
	.map(images =>
		images.map(({day, origin, ...image}) => ({
			...image,
			publishedAt: `2025-01-0${day}T00:00:00Z`,
			...(origin === undefined ? {} : {origin}),
		})),
	);

const choosings = fc.record({
	sources: fc.constantFrom([], ['one'], ['one', 'two'], ['three']),
	include: fc.constantFrom({}, {name: ['a', 'b']}),
	version: fc.constantFrom(undefined, '>=20', '2*'),
	newest: fc.constantFrom(undefined, 1, 2, 3),
	maxBytes: fc.constantFrom(Infinity, 0, 350, 1000),
});

test('whatever there is, a choice is whole, in order, within its size, and the newest', t => {
	fc.assert(
		fc.property(catalogs, choosings, (images, said) => {
			const ahead = offering(images);
			const what = rule(said);
			const choice = chosen(ahead, what);
			const uuids = choice.images.map(({image}) => image.manifest.uuid);
			const place = new Map<Uuid, number>(uuids.map((uuid, index) => [uuid, index]));
			t.is(place.size, uuids.length);

			const total = choice.images.reduce((sum, {bytes}) => sum + bytes, 0);
			t.is(choice.bytes, total);
			t.true(total <= what.maxBytes);

			// Closed under origins, origins first (but in a circle, where there is no first).
			const missing = new Set(choice.missing.map(({uuid}) => uuid));
			for (const {image} of choice.images) {
				const {origin} = image.manifest;
				if (origin !== undefined) {
					t.not(place.has(origin), missing.has(origin));
					t.is(ahead.image(origin) === undefined, missing.has(origin));
				}
			}
			choice.images.forEach(({image}, index) => {
				const {origin, uuid} = image.manifest;
				const isCircle = origin !== undefined && chainOf(ahead, origin).has(uuid);
				t.true(origin === undefined || isCircle || (place.get(origin) ?? -1) < index);
			});

			// Nothing older of a name is taken while something newer is not, but for want of room.
			if (what.newest !== undefined) {
				const unbounded = chosen(ahead, {...what, newest: undefined, maxBytes: Infinity});
				for (const name of ['a', 'b', 'c']) {
					const ofName = (from: Choice): readonly Uuid[] =>
						from.images
							.filter(({image, originOf}) => originOf === undefined && image.manifest.name === name)
							.map(({image}) => image)
							.sort(newestFirst)
							.map(({manifest}) => manifest.uuid);
					const newest = ofName(unbounded).slice(0, what.newest);
					t.true(ofName(choice).every(uuid => newest.includes(uuid)));
					t.true(what.maxBytes < Infinity || newest.every(uuid => place.has(uuid)));
				}
			}
		}),
		{numRuns: 500},
	);
});

test('what was left out does not fit beside what was taken before it', t => {
	fc.assert(
		fc.property(catalogs, choosings, (images, said) => {
			const ahead = offering(images);
			const all = chosen(ahead, {...rule(said), maxBytes: Infinity});
			const choice = chosen(ahead, rule(said));
			const direct = (from: Choice): number => from.images.filter(({originOf}) => originOf === undefined).length;
			t.is(direct(choice) + choice.leftOut, direct(all));
			t.true(choice.leftOut === 0 || all.bytes > rule(said).maxBytes);
		}),
		{numRuns: 500},
	);
});

test('the same offer gives the same choice, whatever has come meanwhile and in whatever order it was made', t => {
	fc.assert(
		fc.property(catalogs, choosings, (images, said) => {
			const ahead = offering(images);
			const before = chosen(ahead, rule(said));
			for (const {image} of before.images.slice(1)) {
				ahead.here.add(image.manifest.uuid);
			}
			t.deepEqual(numbers(chosen(ahead, rule(said))), numbers(before));

			const backwards = new FakeAhead(new ManualClock());
			[...images.entries()].reverse().forEach(([index, image]) => backwards.add(index + 1, image));
			t.deepEqual(numbers(chosen(backwards, rule(said))), numbers(before));

			// To choose among what was chosen is to choose it again, with what came along said to be so.
			const again = chosen(ahead, {...rule(), uuids: before.images.map(({image}) => image.manifest.uuid)});
			t.deepEqual([...numbers(again)].sort(), [...numbers(before)].sort());
		}),
		{numRuns: 300},
	);
});

function chainOf(ahead: FakeAhead, uuid: Uuid): ReadonlySet<Uuid> {
	const seen = new Set<Uuid>();
	for (let next: Uuid | undefined = uuid; next !== undefined && !seen.has(next);) {
		seen.add(next);
		next = ahead.image(next)?.manifest.origin;
	}
	return seen;
}

function newestFirst(
	{manifest: a}: {readonly manifest: {readonly publishedMs: number; readonly uuid: string}},
	{manifest: b}: {readonly manifest: {readonly publishedMs: number; readonly uuid: string}},
): number {
	return b.publishedMs - a.publishedMs || (a.uuid < b.uuid ? 1 : -1);
}
