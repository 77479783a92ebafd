import test from 'ava';
import fc from 'fast-check';
import {originsFirst} from '../../src/airgap/origins-first.js';

interface Image {
	readonly uuid: string;
	readonly origin?: string;
}

const names = 'abcdefghijkl'.split('');

/** Any images at all: chains, forests, circles, origins that are not there. */
const images = fc
	.uniqueArray(fc.tuple(fc.constantFrom(...names), fc.option(fc.constantFrom(...names, 'z'), {nil: undefined})), {
		selector: ([uuid]) => uuid,
	})
	.map(pairs => pairs.map(([uuid, origin]): Image => (origin === undefined ? {uuid} : {uuid, origin})));

function order(of: readonly Image[]): string {
	return originsFirst(of)
		.map(({uuid}) => uuid)
		.join('');
}

test('images come after what they are built upon, otherwise by uuid', t => {
	t.is(order([]), '');
	t.is(order([{uuid: 'c'}, {uuid: 'a'}, {uuid: 'b'}]), 'abc');
	t.is(order([{uuid: 'a', origin: 'z'}, {uuid: 'b', origin: 'a'}, {uuid: 'z'}, {uuid: 'c'}]), 'czab');
	t.is(
		order([
			{uuid: 'b', origin: 'gone'},
			{uuid: 'a', origin: 'b'},
		]),
		'ba',
	);
});

test('circles end, and what is built upon them comes later', t => {
	t.is(order([{uuid: 'b', origin: 'a'}, {uuid: 'a', origin: 'b'}, {uuid: 'c'}]), 'abc');
	t.is(order([{uuid: 'a', origin: 'a'}]), 'a');
	t.is(
		order([
			{uuid: 'a', origin: 'y'},
			{uuid: 'y', origin: 'z'},
			{uuid: 'z', origin: 'y'},
		]),
		'yza',
	);
});

test('a chain of thousands is no trouble', t => {
	const chain = Array.from({length: 20_000}, (_, number): Image => {
		const uuid = String(99_999 - number);
		return number === 0 ? {uuid} : {uuid, origin: String(100_000 - number)};
	});
	t.deepEqual(originsFirst([...chain].reverse()), chain);
});

test('property: the order is the same however the images were found, and has no origin too late', t => {
	fc.assert(
		fc.property(images, fc.infiniteStream(fc.nat()), (given, numbers) => {
			const shuffled = [...given]
				.map(image => ({image, at: Number(numbers.next().value)}))
				.sort((a, b) => a.at - b.at)
				.map(({image}) => image);
			const ordered = originsFirst(given);
			t.deepEqual(originsFirst(shuffled), ordered);
			t.is(ordered.length, given.length);
			for (const [place, image] of ordered.entries()) {
				const originAt = ordered.findIndex(({uuid}) => uuid === image.origin);
				t.true(originAt < place || isInCircle(image, given), order(given));
			}
		}),
	);
	t.pass();
});

test('property: one that drops out with what is built upon it leaves the others as they were', t => {
	fc.assert(
		fc.property(images, fc.constantFrom(...names), (given, dropped) => {
			const gone = new Set([dropped]);
			for (let size = 0; size !== gone.size;) {
				size = gone.size;
				for (const {uuid, origin} of given) {
					if (origin !== undefined && gone.has(origin)) {
						gone.add(uuid);
					}
				}
			}
			const ordered = originsFirst(given);
			t.deepEqual(
				originsFirst(given.filter(({uuid}) => !gone.has(uuid))),
				ordered.filter(({uuid}) => !gone.has(uuid)),
			);
		}),
	);
	t.pass();
});

function isInCircle(image: Image, given: readonly Image[]): boolean {
	let next = given.find(({uuid}) => uuid === image.origin);
	for (let steps = 0; next !== undefined && steps <= given.length; steps++) {
		if (next.uuid === image.uuid) {
			return true;
		}
		const {origin}: Image = next;
		next = given.find(({uuid}) => uuid === origin);
	}
	return false;
}
