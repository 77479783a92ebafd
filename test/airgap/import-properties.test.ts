import assert from 'node:assert/strict';
import test from 'ava';
import fc from 'fast-check';
import {isSha1, type Sha1} from '../../src/image/manifest.js';
import {IntegrityError} from '../../src/errors.js';
import {pseudoRandom} from '../helpers/make-image.js';
import {FakeCarryIn} from './fake-carry-in.js';
import {
	hexOf,
	importBench,
	readAll,
	tarBytes,
	lies,
	specBundle,
	type BundledSpec,
	type Form,
	type ImageSpec,
	type Imported,
	type SpecBundle,
} from './import-bundles.js';
import type {TestBundle} from './make-bundle.js';

const damages = ['flip', 'cut', 'grow', 'remove'] as const;
const parts = ['manifest', 'config', 'file', 'icon'] as const;

interface Shape {
	/** The number of an earlier one, -1: of none, -2: of one that is nowhere. */
	readonly origin: number;
	/** Sizes; of what is given twice, the bytes are shared. */
	readonly files: readonly number[];
	readonly icon: number | undefined;
	readonly lie: (typeof lies)[number] | undefined;
	readonly damage: {readonly how: (typeof damages)[number]; readonly part: (typeof parts)[number]} | undefined;
	/** How the mirror stands beforehand. */
	readonly before: 'nothing' | 'there' | 'files' | 'changed' | 'refused';
	readonly order: number;
}

const shape = (index: number): fc.Arbitrary<Shape> =>
	fc.record({
		origin: fc.oneof(
			{weight: 5, arbitrary: fc.integer({min: -1, max: index - 1})},
			{weight: 1, arbitrary: fc.constant(-2)},
		),
		files: fc.array(fc.oneof({weight: 12, arbitrary: fc.integer({min: 1, max: 6})}, fc.constant(1_100_000 + index)), {
			maxLength: 3,
		}),
		icon: fc.option(fc.integer({min: 1, max: 2}), {nil: undefined}),
		lie: fc.option(fc.constantFrom(...lies), {nil: undefined, freq: 5}),
		damage: fc.option(fc.record({how: fc.constantFrom(...damages), part: fc.constantFrom(...parts)}), {
			nil: undefined,
			freq: 3,
		}),
		before: fc.oneof(
			{weight: 5, arbitrary: fc.constant('nothing' as const)},
			fc.constantFrom('there' as const, 'files' as const, 'changed' as const, 'refused' as const),
		),
		order: fc.nat({max: 1000}),
	});

const scene = fc.integer({min: 1, max: 7}).chain(count =>
	fc.record({
		shapes: fc.tuple(...Array.from({length: count}, (_, index) => shape(index))),
		form: fc.constantFrom<Form>('stream', 'gzip', 'shuffled', 'folder'),
		tags: fc.constantFrom('uuid', 'name'),
		isOrdered: fc.boolean(),
		dryRun: fc.oneof({weight: 4, arbitrary: fc.constant(false)}, fc.constant(true)),
	}),
);

const uuidOf = (index: number): string => `00000000-0000-4000-8000-${String(index).padStart(12, '0')}`;
const nowhere = uuidOf(999);
/** Small ones by a number, large ones by their size. */
const fileOf = (size: number): Buffer => pseudoRandom(size > 1000 ? size : size * 1000, size);
const iconOf = (number: number): Buffer => pseudoRandom(500, 10_000 + number);

/** Lies that only images with files can tell. */
const aboutFiles: ReadonlySet<string | undefined> = new Set([
	...['manifest: another sha1', 'both: another sha1', 'both: another size', 'config: another compression'],
]);

function lieOf({lie, files}: Shape, tags: 'uuid' | 'name'): Shape['lie'] {
	// By the name alone, nobody could tell which image that is about.
	const isNobodys = tags === 'name' && lie === 'manifest: another uuid';
	return isNobodys || (files.length === 0 && aboutFiles.has(lie)) ? undefined : lie;
}

function specsOf(shapes: readonly Shape[], tags: 'uuid' | 'name'): readonly ImageSpec[] {
	return shapes.map((one, index) => ({
		uuid: uuidOf(index),
		name: `image-${index}`,
		...(one.origin === -1 ? {} : {origin: one.origin === -2 ? nowhere : uuidOf(one.origin)}),
		files: one.files.map(fileOf),
		...(one.icon === undefined ? {} : {icon: iconOf(one.icon)}),
		lie: lieOf(one, tags),
		...(tags === 'name' ? {tag: `image:${index}`} : {}),
	}));
}

/** The paths that are damaged, and the bundle with them damaged. */
function damaged(
	bundle: TestBundle,
	images: readonly BundledSpec[],
	shapes: readonly Shape[],
): [TestBundle, Set<string>] {
	const paths = new Set<string>();
	let spoiled = bundle;
	for (const [index, {damage, lie}] of shapes.entries()) {
		const image = images[index];
		// Where both the index and the manifest are of no use, nobody could tell which image is missing.
		const isNobodys = lie === 'index: another uuid' && damage?.part === 'manifest';
		if (damage === undefined || image === undefined || isNobodys) {
			continue;
		}
		const path = damage.part === 'file' ? image.files[0] : image[damage.part];
		if (path === undefined || paths.has(path) || !bundle.files.has(path)) {
			continue;
		}
		paths.add(path);
		switch (damage.how) {
			case 'flip':
				spoiled = spoiled.flipped(path, index);
				break;
			case 'cut':
				spoiled = spoiled.changed(path, bytes => bytes.subarray(0, bytes.length - 1));
				break;
			case 'grow':
				spoiled = spoiled.changed(path, bytes => Buffer.concat([bytes, Buffer.from('x')]));
				break;
			case 'remove':
				spoiled = spoiled.without(path);
		}
	}
	return [spoiled, paths];
}

function isHad(one: Shape, tags: 'uuid' | 'name'): boolean {
	return lieOf(one, tags) === undefined || one.before === 'refused';
}

/** As the mirror stands before. */
function prepare(carry: FakeCarryIn, {images}: SpecBundle, shapes: readonly Shape[]): void {
	for (const [index, {before, files}] of shapes.entries()) {
		const image = images[index];
		if (image === undefined || before === 'nothing') {
			continue;
		}
		if (before === 'refused') {
			carry.refusals.set(image.uuid, new IntegrityError('not this one'));
			continue;
		}
		const sha1s = files.map(size => carry.store(fileOf(size)));
		if (before === 'there' || before === 'changed') {
			const text = before === 'there' ? image.text : `${image.text} `;
			carry.images.set(image.uuid, {text, channels: undefined, files: sha1s, icon: undefined, by: undefined});
		}
	}
}

type Expected = ReadonlyMap<string, 'imported' | 'updated' | 'there' | 'failed'>;

const unreadableLies: ReadonlySet<string | undefined> = new Set([
	...['index: another size', 'index: a digest of nothing'],
	...['manifest: another version of the schema', 'manifest: a layer of another kind'],
]);

function expectedOf(
	shapes: readonly Shape[],
	specs: readonly ImageSpec[],
	images: readonly BundledSpec[],
	broken: ReadonlySet<string>,
	stored: ReadonlySet<string>,
	tags: 'uuid' | 'name',
): Expected {
	const expected = new Map<string, 'imported' | 'updated' | 'there' | 'failed'>();
	// Where neither index nor manifest say which image it is, it may be anybody's origin that is missed.
	const unreadable = shapes.map((_, index) => {
		const path = images[index]?.manifest ?? '';
		return tags === 'name' && (broken.has(path) || unreadableLies.has(specs[index]?.lie));
	});
	for (const [index, {before, origin}] of shapes.entries()) {
		const image = images[index];
		const spec = specs[index];
		if (image === undefined || spec === undefined) {
			continue;
		}
		const {lie} = spec;
		const isReadable =
			!broken.has(image.manifest) &&
			!broken.has(image.config) &&
			// These are seen only where the files are compared.
			(lie === undefined || lie === 'both: another sha1' || lie === 'both: another size');
		const isSame = lie === undefined;
		const needs = [...image.files.filter(path => !stored.has(path)), ...(image.icon === undefined ? [] : [image.icon])];
		const parent = origin >= 0 ? expected.get(uuidOf(origin)) : undefined;
		const isMissed = origin === -2 ? unreadable.includes(true) : parent === 'failed';
		// What was here before is a good origin, as long as nobody says that it is the one that is damaged.
		const isHere = unreadable[origin] === true && ['there', 'changed'].includes(shapes[origin]?.before ?? '');
		const isOrphan = isMissed && !isHere;
		if (!isReadable || before === 'refused') {
			expected.set(image.uuid, 'failed');
		} else if (before === 'there' && isSame) {
			expected.set(image.uuid, 'there');
		} else if (!isSame || isOrphan || needs.some(path => broken.has(path))) {
			expected.set(image.uuid, 'failed');
		} else {
			expected.set(image.uuid, before === 'changed' ? 'updated' : 'imported');
		}
	}
	return expected;
}

function reordered<T>(items: readonly T[], shapes: readonly Shape[]): readonly T[] {
	return items
		.map((item, index) => ({item, order: shapes[index]?.order ?? 0}))
		.sort((a, b) => a.order - b.order)
		.map(({item}) => item);
}

function inOtherOrder(bundle: TestBundle, shapes: readonly Shape[]): TestBundle {
	const key = (path: string): string => hexOf('sha1', Buffer.from(`${path}${shapes[0]?.order ?? 0}`));
	return bundle.sorted((a, b) => (key(a) < key(b) ? -1 : 1));
}

/** What must hold however an import went. */
function checkVisible(carry: FakeCarryIn, images: readonly BundledSpec[]): readonly string[] {
	const bundled = new Map(images.map(image => [image.uuid, image]));
	const faults = [...carry.faults()];
	for (const [place, uuid] of carry.visible.entries()) {
		const image = bundled.get(uuid);
		const origin = image?.origin;
		if (origin !== undefined && bundled.has(origin)) {
			const originPlace = carry.visible.indexOf(origin);
			if (!carry.images.has(origin) || originPlace > place) {
				faults.push(`${uuid} was visible before ${origin}`);
			}
		}
		if (carry.images.get(uuid)?.text !== image?.text) {
			faults.push(`${uuid} is not what it was`);
		}
	}
	return faults;
}

const outcomes = ({done}: Imported): Record<string, string> =>
	Object.fromEntries([...done].map(([uuid, {outcome}]) => [uuid, outcome]));

test('exactly what is damaged fails, with what is built upon it, and all the rest arrives', async t => {
	t.timeout(300_000);
	await fc.assert(
		fc.asyncProperty(scene, async ({shapes: drawn, form, tags, isOrdered, dryRun}) => {
			// An index of ours that lies of a uuid is believed for as long as it takes to come to that image.
			const shapes = isOrdered
				? drawn
				: drawn.map(one => (one.lie === 'index: another uuid' ? {...one, lie: undefined} : one));
			const specs = specsOf(shapes, tags);
			const whole = specBundle(specs);
			const inIndex = isOrdered ? whole : specBundle(reordered(specs, shapes));
			const [spoiled, broken] = damaged(inIndex.bundle, whole.images, shapes);
			const bundle = form === 'shuffled' ? inOtherOrder(spoiled, shapes) : spoiled;
			const carry = new FakeCarryIn();
			// Nobody has had a lie before.
			const standing = shapes.map(one => ({...one, before: isHad(one, tags) ? one.before : 'nothing'}) as const);
			prepare(carry, whole, standing);
			const stored = new Set(
				shapes
					.flatMap(({files}) => files.map(fileOf))
					.filter(bytes => carry.stored(sha1Of(bytes)) !== undefined)
					.map(bytes => `blobs/sha256/${hexOf('sha256', bytes)}`),
			);
			const before = carry.storedBytes;
			const bench = await importBench(t, carry);
			const imported = await bench.run(bundle, form, {options: {dryRun}});

			const expected = expectedOf(standing, specs, whole.images, broken, stored, tags);
			const named = new Map(whole.images.map(({uuid}, index) => [`image:${index}`, uuid]));
			const got = Object.fromEntries(
				Object.entries(outcomes(imported)).map(([name, outcome]) => [named.get(name) ?? name, outcome]),
			);
			// A lying index may have the failed one reported under the uuid that it gives it.
			const liars = new Set(
				whole.images.filter((_, index) => specs[index]?.lie === 'index: another uuid').map(({uuid}) => uuid),
			);
			const told = Object.fromEntries([...expected].filter(([uuid]) => !liars.has(uuid)));
			const gotOfThese = Object.fromEntries(
				Object.entries(got).filter(([uuid]) => expected.has(uuid) && !liars.has(uuid)),
			);
			assert.equal(imported.error, undefined);
			assert.deepEqual(gotOfThese, told);
			assert.equal(imported.done.size, shapes.length);
			assert.deepEqual(checkVisible(carry, whole.images), []);
			for (const {outcome, problem = ''} of imported.done.values()) {
				assert.equal(outcome === 'failed', problem !== '');
				assert.doesNotMatch(problem, /undefined|\[object|NaN|not a function|Cannot read/);
			}
			const counts = [...expected.values()];
			const {failed, imported: fresh} = imported.end ?? {};
			assert.deepEqual([failed, fresh], [countOf(counts, 'failed'), countOf(counts, 'imported')]);
			if (dryRun) {
				assert.deepEqual([carry.visible.length, carry.takes.length, carry.storedBytes], [0, 0, before]);
			} else {
				const isNew = [...expected].filter(([, outcome]) => outcome === 'imported' || outcome === 'updated');
				assert.deepEqual([...carry.visible].sort(), isNew.map(([uuid]) => uuid).sort());
			}
			assert.ok(carry.mostTakesUnderWay <= 9);
			assert.ok(carry.mostBytesUnderWay <= 9 * 1024 * 1024);
		}),
		{numRuns: 150, includeErrorInReport: true},
	);
	t.pass();
});

test('wherever a tar is cut off, what came whole before arrives', async t => {
	t.timeout(300_000);
	await fc.assert(
		fc.asyncProperty(scene, fc.double({min: 0, max: 1, noNaN: true}), async ({shapes}, at) => {
			const specs = specsOf(shapes, 'uuid').map(spec => ({...spec, lie: undefined}));
			const {bundle, images} = specBundle(specs);
			const tar = bundle.tar();
			const cut = Math.floor(at * tar.length);
			const ends = new Map<string, number>();
			let end = 0;
			for (const [path, bytes] of bundle.files) {
				ends.set(path, end + 512 + bytes.length);
				end += 512 + Math.ceil(bytes.length / 512) * 512;
			}
			const isWhole = (path: string): boolean => (ends.get(path) ?? Infinity) <= cut;
			const carry = new FakeCarryIn();
			const bench = await importBench(t, carry);
			const imported = await readAll(bench.start(once(tar.subarray(0, cut))));
			assert.deepEqual(checkVisible(carry, images), []);
			if (!isWhole('index.json')) {
				assert.ok(imported.error instanceof IntegrityError);
				assert.equal(carry.visible.length, 0);
				return;
			}
			assert.equal(imported.error, undefined);
			const arrived = new Set<string>();
			for (const {uuid, manifest, config, files, icon, origin} of images) {
				const needs = [manifest, config, ...files, ...(icon === undefined ? [] : [icon])];
				const hasOrigin = origin === undefined || origin === nowhere || arrived.has(origin);
				if (hasOrigin && needs.every(isWhole)) {
					arrived.add(uuid);
				}
			}
			assert.deepEqual([...carry.visible].sort(), [...arrived].sort());
			assert.equal(imported.end?.failed, images.length - arrived.size);
		}),
		{numRuns: 60, includeErrorInReport: true},
	);
	t.pass();
});

test('wherever an import is broken off, nothing is held and everything visible is whole; once more, and all is there', async t => {
	t.timeout(300_000);
	await fc.assert(
		fc.asyncProperty(
			scene,
			fc.nat({max: 25}),
			fc.constantFrom('abort', 'leave', 'full', 'source'),
			async ({shapes, form, isOrdered}, after, how) => {
				const specs = specsOf(shapes, 'uuid').map(spec => ({...spec, lie: undefined}));
				const {bundle: inOrder, images} = specBundle(isOrdered ? specs : reordered(specs, shapes));
				const bundle = form === 'shuffled' ? inOtherOrder(inOrder, shapes) : inOrder;
				const carry = new FakeCarryIn();
				const bench = await importBench(t, carry);
				const all = images.map(({uuid}) => uuid);
				if (how === 'full') {
					carry.roomBytes = after * 1000;
					const {error, end} = await bench.run(bundle, form);
					assert.ok(error === undefined ? carry.visible.length === all.length : end === undefined);
				} else {
					await breakOff(bench, tarBytes(bundle, form), how, after);
				}
				assert.deepEqual(checkVisible(carry, images), []);
				carry.roomBytes = Infinity;
				const {end, error} = await bench.run(bundle, form);
				assert.equal(error, undefined);
				assert.equal(end?.failed, 0);
				assert.deepEqual([...carry.visible].sort(), [...all].sort());
				assert.deepEqual(checkVisible(carry, images), []);
			},
		),
		{numRuns: 80, includeErrorInReport: true},
	);
	t.pass();
});

const countOf = (outcomes: readonly string[], which: string): number =>
	outcomes.filter(outcome => outcome === which).length;

type Bench = Awaited<ReturnType<typeof importBench>>;

async function breakOff(bench: Bench, tar: Buffer, how: string, after: number): Promise<void> {
	if (how === 'source') {
		await readAll(bench.start(failing(tar, after * 4000)));
		return;
	}
	const controller = new AbortController();
	let events = 0;
	if (how === 'abort') {
		await readAll(bench.start(once(tar), controller.signal), () => {
			if (++events > after) {
				controller.abort(new Error('enough'));
			}
		});
		return;
	}
	const lines = bench.start(once(tar));
	while (events <= after && (await lines.next()).done !== true) {
		events++;
	}
	await lines.return();
}

async function* once(bytes: Buffer): AsyncGenerator<Buffer, void, undefined> {
	for (let start = 0; start < bytes.length; start += 5000) {
		await Promise.resolve();
		yield bytes.subarray(start, start + 5000);
	}
}

async function* failing(bytes: Buffer, after: number): AsyncGenerator<Buffer, void, undefined> {
	yield* once(bytes.subarray(0, after));
	throw new Error('socket hang up');
}

function sha1Of(bytes: Buffer): Sha1 {
	const sha1 = hexOf('sha1', bytes);
	if (!isSha1(sha1)) {
		throw new TypeError('a digest is not one');
	}
	return sha1;
}
