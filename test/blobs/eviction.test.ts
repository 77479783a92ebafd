import test from 'ava';
import fc from 'fast-check';
import type {KeepBlob} from '../../src/blobs/built-upon.js';
import {chooseVictims, judge, mayGo, unusedSince, verdictsOf, type Evidence} from '../../src/blobs/eviction.js';
import type {KeptImage, Protection, Verdict} from '../../src/blobs/keep-facts.js';
import type {Sha1, Uuid} from '../../src/image/manifest.js';

test('files go in the order of their last use, as many as are needed', t => {
	const world = worldOf({blobs: {a: [10, 3], b: [10, 1], c: [10, 2]}, images: {A: ['a'], B: ['b'], C: ['c']}});
	t.deepEqual(going(world, 1), ['b']);
	t.deepEqual(going(world, 10), ['b']);
	t.deepEqual(going(world, 11), ['b', 'c']);
	t.deepEqual(going(world, 1000), ['b', 'c', 'a']);
	t.deepEqual(going(world, 0), []);
});

test('what turns out not to be needed is spared, the most recently used first', t => {
	const world = worldOf({
		blobs: {a: [5, 1], b: [5, 2], c: [100, 3]},
		images: {A: ['a'], B: ['b'], C: ['c']},
	});
	t.deepEqual(going(world, 100), ['c']);
	t.deepEqual(going(world, 103), ['a', 'c']);
	t.deepEqual(going(world, 106), ['a', 'b', 'c']);
});

test('what no image has goes first, what nobody else offers any more last', t => {
	const world = worldOf({
		blobs: {a: [1, 1], b: [1, 2], c: [1, 3], d: [1, 4]},
		images: {A: [['a'], {onlyHere: true}], B: ['b'], D: ['d']},
	});
	t.deepEqual(going(world, 4), ['c', 'b', 'd', 'a']);
});

test('a child goes before its origin, whatever was used last, also across an image that is not here', t => {
	const world = worldOf({
		blobs: {base: [1, 1], top: [1, 50], other: [1, 20]},
		images: {
			Base: ['base'],
			Middle: [['gone'], {origin: 'Base'}],
			Top: [['top'], {origin: 'Middle'}],
			Other: ['other'],
		},
	});
	t.deepEqual(going(world, 3), ['other', 'top', 'base']);
	t.deepEqual(going(world, 2), ['other', 'top']);
	t.is(verdictsOf(judge(world)).find(({sha1}) => sha1 === sha('base'))?.lastUsedMs, 50);
});

test('what is pinned, published or wanted stays, with all that it is built upon', t => {
	for (const [reason, kind] of [
		[{pinned: true}, 'pinned'],
		[{published: true}, 'published'],
		[{wantedBy: ['nightly']}, 'wanted'],
	] as const) {
		const world = worldOf({
			blobs: {base: [1, 1], top: [1, 2], other: [1, 3]},
			// Neither the image that stays nor the one between need be here.
			images: {
				Base: ['base'],
				Middle: [[], {origin: 'Base'}],
				Top: [['top'], {origin: 'Middle', ...reason}],
				Other: ['other'],
			},
		});
		t.deepEqual(going(world, 1000), ['other']);
		t.deepEqual(protectionsOf(world, 'base'), [{kind: 'origin', of: uuid('Top')}]);
		t.is(protectionsOf(world, 'top')[0]?.kind, kind);
	}
});

test('a file of two images stays while either does, and its use counts for both', t => {
	const world = worldOf({
		blobs: {shared: [1, 9], base: [1, 1], other: [1, 5]},
		images: {A: ['shared'], B: [['shared'], {origin: 'Base'}], Base: ['base'], Other: ['other']},
	});
	t.deepEqual(going(world, 3), ['other', 'shared', 'base']);
	const pinned = worldOf({
		blobs: {shared: [1, 9], base: [1, 1], other: [1, 5]},
		images: {A: [['shared'], {pinned: true}], B: [['shared'], {origin: 'Base'}], Base: ['base'], Other: ['other']},
	});
	t.deepEqual(going(pinned, 3), ['other']);
	t.deepEqual(protectionsOf(pinned, 'base'), [{kind: 'origin', of: uuid('B')}]);
});

test('images that share files crosswise go together or not at all', t => {
	const images = {
		A: [['f'], {origin: 'B'}],
		B: ['g'],
		C: [['g'], {origin: 'D'}],
		D: ['f'],
		Other: ['other'],
	} as const;
	const world = worldOf({blobs: {f: [1, 1], g: [1, 5], other: [1, 3]}, images});
	t.deepEqual(going(world, 1), ['other']);
	// The other is spared, as the two suffice.
	t.deepEqual([...going(world, 2)].sort(), ['f', 'g']);
	t.is(going(world, 3).length, 3);
	const used = worldOf({blobs: {f: [1, 1], g: [1, 5], other: [1, 3]}, images, inUse: ['g']});
	t.deepEqual(going(used, 3), ['other']);
});

test('what is read, and what an image on its way is built upon, is in use; so is what these need', t => {
	const images = {
		Base: ['base'],
		Top: [['top'], {origin: 'Base'}],
		Coming: [['coming'], {origin: 'Old'}],
		Old: ['old'],
	} as const;
	const blobs = {base: [1, 1], top: [1, 2], old: [1, 0]} as const;
	t.deepEqual(going(worldOf({blobs, images, inUse: ['top']}), 3), ['old']);
	t.deepEqual(going(worldOf({blobs, images, arriving: ['Coming']}), 3), ['top', 'base']);
});

test('reasons to keep a file count without its image', t => {
	const blobs = {a: [1, 1], b: [1, 2], c: [1, 3]} as const;
	const world = worldOf({blobs, images: {}, reasons: {a: [`image ${uuid('X')}`], b: ['intake something']}});
	t.deepEqual(going(world, 3), ['c']);
	t.deepEqual(protectionsOf(world, 'a'), [{kind: 'published', image: uuid('X')}]);
	t.deepEqual(protectionsOf(world, 'b'), [{kind: 'in-use'}]);
});

test('what has not been used for long, nor what is built upon it', t => {
	const world = worldOf({
		blobs: {base: [1, 1], top: [1, 9], old: [1, 2], pinned: [1, 0]},
		images: {Base: ['base'], Top: [['top'], {origin: 'Base'}], Old: ['old'], Pinned: [['pinned'], {pinned: true}]},
	});
	t.deepEqual(unusedSince(judge(world), 5).map(nameOf), ['old']);
	t.deepEqual(unusedSince(judge(world), 10).map(nameOf), ['old', 'top', 'base']);
});

test('what an operator may delete, and why not the rest', t => {
	const world = worldOf({
		blobs: {base: [1, 1], top: [1, 9], ours: [1, 2], pinned: [1, 0], pinbase: [1, 0], wanted: [1, 1], read: [1, 1]},
		images: {
			Base: ['base'],
			Top: [['top'], {origin: 'Base'}],
			Ours: [['ours'], {published: true}],
			PinBase: ['pinbase'],
			Pinned: [['pinned'], {pinned: true, origin: 'PinBase'}],
			Wanted: [['wanted'], {wantedBy: ['nightly']}],
			Read: ['read'],
		},
		inUse: ['read'],
	});
	const ask = (names: readonly string[], force: boolean): readonly (readonly [string, string])[] => {
		const {going: gone, problems} = mayGo(judge(world), names.map(sha), force);
		return [
			...gone.map(({sha1}) => [nameOf({sha1}), 'goes'] as const),
			...[...problems].map(([s, why]) => [nameOf({sha1: s}), why] as const),
		];
	};
	t.deepEqual(ask(['base'], false), [['base', `Top 1 (${uuid('Top')}) is here and built upon it`]]);
	t.deepEqual(ask(['base'], true), [['base', 'goes']]);
	t.deepEqual(ask(['base', 'top'], false), [
		['top', 'goes'],
		['base', 'goes'],
	]);
	t.regex(ask(['wanted'], false)[0]?.[1] ?? '', /rule nightly wants it/);
	t.deepEqual(ask(['wanted'], true), [['wanted', 'goes']]);
	for (const force of [false, true]) {
		t.regex(ask(['ours'], force)[0]?.[1] ?? '', /published here/);
		t.regex(ask(['pinned'], force)[0]?.[1] ?? '', /pinned as Pinned 1/);
		t.regex(ask(['pinbase'], force)[0]?.[1] ?? '', /Pinned 1 .* is built upon it, and is pinned/);
		t.regex(ask(['read'], force)[0]?.[1] ?? '', /in use/);
		t.deepEqual(ask(['nowhere'], force), [['nowhere', 'it is not here']]);
	}
});

const names = ['a', 'b', 'c', 'd', 'e', 'f', 'g'];
const imageNames = ['A', 'B', 'C', 'D', 'E', 'F'];
const rarely = fc.nat(9).map(number => number === 0);

const anyWorld = fc
	.record({
		blobs: fc.dictionary(fc.constantFrom(...names), fc.tuple(fc.nat(5), fc.nat(4)), {noNullPrototype: true}),
		images: fc.dictionary(
			fc.constantFrom(...imageNames),
			fc.tuple(
				fc.uniqueArray(fc.constantFrom(...names), {maxLength: 2}),
				fc.record({
					origin: fc.option(fc.constantFrom(...imageNames, 'Unknown'), {nil: undefined}),
					pinned: rarely,
					published: rarely,
					onlyHere: rarely,
					wantedBy: rarely.map(is => (is ? ['rule'] : [])),
				}),
			),
			{noNullPrototype: true},
		),
		inUse: fc.uniqueArray(fc.constantFrom(...names), {maxLength: 1}),
		arriving: fc.uniqueArray(fc.constantFrom(...imageNames), {maxLength: 1}),
		reasons: fc.dictionary(fc.constantFrom(...names), fc.constantFrom([`image ${uuid('A')}`], ['upload x']), {
			noNullPrototype: true,
			maxKeys: 1,
		}),
	})
	.map(worldOf);

test('whatever there is: what stays is what has a reason to, and keeps all that it is built upon', t => {
	fc.assert(
		fc.property(anyWorld, world => {
			const stays = staying(world);
			const verdicts = verdictsOf(judge(world));
			t.deepEqual(verdicts.map(nameOf).sort(), [...world.blobs].map(nameOf).sort());
			for (const {sha1, protections} of verdicts) {
				t.is(protections.length > 0, stays.has(sha1), nameOf({sha1}));
			}
			const firstStaying = verdicts.findIndex(({protections}) => protections.length > 0);
			t.true(firstStaying < 0 || verdicts.slice(firstStaying).every(({protections}) => protections.length > 0));
			for (const {sha1, lastUsedMs} of verdicts) {
				const users = [...world.blobs].filter(blob => blob.sha1 === sha1 || neededBy(world, blob.sha1).has(sha1));
				t.is(lastUsedMs, Math.max(...users.map(blob => blob.lastUsedMs)));
			}
		}),
		{numRuns: 1000, endOnFailure: true},
	);
});

test('whatever there is: victims suffice or are all there are, none could be left out, none leaves a child behind', t => {
	fc.assert(
		fc.property(anyWorld, fc.nat(30), (world, bytes) => {
			const stays = staying(world);
			const judgement = judge(world);
			const victims = chooseVictims(judgement, bytes);
			const free = verdictsOf(judgement).filter(({protections}) => protections.length === 0);
			const gone = new Set(victims.map(({sha1}) => sha1));
			t.is(gone.size, victims.length);
			t.false(
				victims.some(({sha1}) => stays.has(sha1)),
				'none is protected',
			);
			t.true(sizeOf(victims) >= bytes || victims.length === free.length, 'they suffice if at all possible');
			for (const {sha1} of world.blobs) {
				if (!gone.has(sha1)) {
					t.false(
						[...neededBy(world, sha1)].some(needed => gone.has(needed)),
						'nothing here lacks its origin',
					);
				}
			}
			for (const [at, {sha1}] of victims.entries()) {
				for (const later of victims.slice(at + 1)) {
					const isNeed = neededBy(world, later.sha1).has(sha1) && !neededBy(world, sha1).has(later.sha1);
					t.false(isNeed, 'children go before origins');
				}
				const spared = new Set([sha1, ...neededBy(world, sha1)]);
				t.true(sizeOf(victims.filter(other => !spared.has(other.sha1))) < bytes, 'none could be left out');
			}
			// In the order of going: whatever stands before the last victim was taken first, and spared since.
			const last = victims.at(-1);
			const end = last === undefined ? 0 : free.findIndex(({sha1}) => sha1 === last.sha1);
			const together = new Set(last === undefined ? [] : [last.sha1, ...neededBy(world, last.sha1)]);
			t.true(sizeOf(free.slice(0, end).filter(({sha1}) => !together.has(sha1))) < Math.max(1, bytes));
			for (const [at, verdict] of free.entries()) {
				const next = free[at + 1];
				const ranks = next === undefined ? 0 : rankOf(world, verdict) - rankOf(world, next);
				t.true(ranks < 0 || (ranks === 0 && (next === undefined || verdict.lastUsedMs <= next.lastUsedMs)));
			}
		}),
		{numRuns: 1000, endOnFailure: true},
	);
});

test('whatever an operator asks for: nothing goes that must stay, and without force nothing that is needed', t => {
	fc.assert(
		fc.property(anyWorld, fc.uniqueArray(fc.constantFrom(...names)), fc.boolean(), (world, asked, force) => {
			const {going: gone, problems} = mayGo(judge(world), asked.map(sha), force);
			const left = new Set(gone.map(({sha1}) => sha1));
			t.deepEqual([...left, ...problems.keys()].sort(), asked.map(sha).sort());
			const isHard = ({protections}: Verdict): boolean =>
				protections.some(({kind}) => kind === 'pinned' || kind === 'published' || kind === 'in-use');
			t.false(gone.some(isHard));
			if (!force) {
				const stays = staying(world);
				t.false(gone.some(({sha1}) => stays.has(sha1)));
				for (const {sha1} of world.blobs) {
					t.true(left.has(sha1) || ![...neededBy(world, sha1)].some(needed => left.has(needed)));
				}
			}
		}),
		{numRuns: 1000, endOnFailure: true},
	);
});

test('a hundred thousand files are judged in linear time, and a chain of as many images', t => {
	const count = 100_000;
	const blobs: KeepBlob[] = [];
	const images: KeptImage[] = [];
	for (let number = 0; number < count; number++) {
		const sha1 = number.toString(16).padStart(40, '0') as Sha1;
		blobs.push({sha1, size: 10, storedAtMs: 0, lastUsedMs: (number * 7919) % count});
		images.push({
			...{uuid: String(number) as Uuid, name: 'n', version: '1', files: [sha1], published: false, pinned: false},
			...{origin: number === 0 ? undefined : (String(number - 1) as Uuid), wantedBy: [], onlyHere: false},
		});
	}
	const began = process.cpuUsage();
	const judgement = judge({...nothing, blobs, facts: {images}});
	const victims = chooseVictims(judgement, count);
	const {user, system} = process.cpuUsage(began);
	t.is(victims.length, count / 10);
	// In one chain only the end may go.
	t.is(victims[0]?.sha1, blobs.at(-1)?.sha1);
	t.log(`${Math.round((user + system) / 1000)} ms of CPU`);
	t.true(user + system < 10_000_000);
});

type ImageOptions = Partial<Omit<KeptImage, 'uuid' | 'files' | 'origin'>> & {readonly origin?: string | undefined};

interface World extends Evidence {
	readonly blobs: readonly KeepBlob[];
	readonly arriving: readonly Uuid[];
}

const nothing: Omit<Evidence, 'blobs' | 'facts'> = {pinReasons: () => [], isInUse: () => false, arriving: []};

/** Files by name as [size, last use], images by name as their files and what else there is to them. */
function worldOf(parts: {
	readonly blobs: Readonly<Record<string, readonly [number, number]>>;
	readonly images: Readonly<Record<string, readonly string[] | readonly [readonly string[], ImageOptions]>>;
	readonly inUse?: readonly string[];
	readonly arriving?: readonly string[];
	readonly reasons?: Readonly<Record<string, readonly string[]>>;
}): World {
	const {inUse = [], arriving = [], reasons = {}} = parts;
	return {
		blobs: Object.entries(parts.blobs).map(([name, [size, lastUsedMs]]) => ({
			sha1: sha(name),
			size,
			lastUsedMs,
			storedAtMs: 0,
		})),
		facts: {
			images: Object.entries(parts.images).map(([name, entry]) => {
				const [files, options] = (Array.isArray(entry[0]) ? entry : [entry, {}]) as [readonly string[], ImageOptions];
				const {origin, ...rest} = options;
				return {
					...{uuid: uuid(name), name, version: '1', published: false, pinned: false, wantedBy: [], onlyHere: false},
					...rest,
					...{files: files.map(sha), origin: origin === undefined ? undefined : uuid(origin)},
				};
			}),
		},
		isInUse: sha1 => inUse.includes(nameOf({sha1})),
		arriving: arriving.map(uuid),
		pinReasons: sha1 => reasons[nameOf({sha1})] ?? [],
	};
}

function going(world: Evidence, bytes: number): readonly string[] {
	return chooseVictims(judge(world), bytes).map(nameOf);
}

function protectionsOf(world: Evidence, name: string): readonly Protection[] {
	return verdictsOf(judge(world)).find(({sha1}) => sha1 === sha(name))?.protections ?? [];
}

/** The same said again, as simply as possible: all files here of all origins of all images that have the file. */
function neededBy(world: World, sha1: Sha1): ReadonlySet<Sha1> {
	const here = new Set(world.blobs.map(blob => blob.sha1));
	const found = new Set<Sha1>();
	const open = [sha1];
	// Grows while it is gone through.
	for (const file of open) {
		for (const image of world.facts.images.filter(({files}) => files.includes(file))) {
			for (const needed of originsOf(world, image).flatMap(({files}) => files)) {
				if (here.has(needed) && !found.has(needed)) {
					found.add(needed);
					open.push(needed);
				}
			}
		}
	}
	return found;
}

function originsOf(world: World, image: KeptImage): readonly KeptImage[] {
	const found: KeptImage[] = [];
	for (let next = image.origin; next !== undefined;) {
		const origin = world.facts.images.find(other => other.uuid === next);
		if (origin === undefined || found.includes(origin)) {
			break;
		}
		found.push(origin);
		next = origin.origin;
	}
	return found;
}

function staying(world: World): ReadonlySet<Sha1> {
	const stays = new Set<Sha1>();
	for (const image of world.facts.images) {
		if (image.pinned || image.published || image.wantedBy.length > 0 || world.arriving.includes(image.uuid)) {
			for (const sha1 of [image, ...originsOf(world, image)].flatMap(({files}) => files)) {
				stays.add(sha1);
			}
		}
	}
	for (const {sha1} of world.blobs) {
		if (world.isInUse(sha1) || [...world.pinReasons(sha1)].length > 0) {
			stays.add(sha1);
		}
	}
	for (const sha1 of [...stays]) {
		if (world.blobs.some(blob => blob.sha1 === sha1)) {
			for (const needed of neededBy(world, sha1)) {
				stays.add(needed);
			}
		}
	}
	return stays;
}

/** Orphans, then what can be had again, then what cannot; nothing before what is built upon it. */
function rankOf(world: World, {sha1}: {readonly sha1: Sha1}): number {
	const own = (file: Sha1): number => {
		const images = world.facts.images.filter(({files}) => files.includes(file));
		return images.length === 0 ? 0 : images.every(({onlyHere}) => onlyHere) ? 2 : 1;
	};
	return Math.max(
		own(sha1),
		...world.blobs.filter(blob => neededBy(world, blob.sha1).has(sha1)).map(blob => own(blob.sha1)),
	);
}

function sha(name: string): Sha1 {
	return Buffer.from(name).toString('hex').padStart(40, '0') as Sha1;
}

function nameOf({sha1}: {readonly sha1: Sha1}): string {
	return Buffer.from(sha1.replace(/^(?:00)*/, ''), 'hex').toString();
}

function uuid(name: string): Uuid {
	return `00000000-0000-4000-8000-${Buffer.from(name).toString('hex').slice(0, 12).padStart(12, '0')}` as Uuid;
}

function sizeOf(verdicts: readonly Verdict[]): number {
	return verdicts.reduce((bytes, {size}) => bytes + size, 0);
}
