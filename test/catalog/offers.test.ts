import test from 'ava';
import fc from 'fast-check';
import type {HoldRule} from '../../src/catalog/catalog.js';
import {NotFoundError} from '../../src/errors.js';
import type {Manifest, Uuid} from '../../src/image/manifest.js';
import {tempDir} from '../helpers/temp-dir.js';
import {day, entry, FakeSource, image, someAsk} from './fake-source.js';
import {TestHoldsFile} from './holds-file.js';
import {startCatalog, uuidsOf, type Started} from './start-catalog.js';

const names = ['a', 'b', 'c'];
const size = 8;
const today = Date.parse('2026-01-01T00:00:00Z');

type Step =
	| {readonly kind: 'hold' | 'release'; readonly at: number}
	| {readonly kind: 'pass'; readonly days: number}
	| {readonly kind: 'list'; readonly source: number; readonly listed: readonly number[]}
	| {readonly kind: 'rules'; readonly rules: readonly HoldRule[]}
	| {readonly kind: 'restart'};

const rule: fc.Arbitrary<HoldRule> = fc.record({
	publishedMs: fc.constantFrom(0, 0, 3 * day, 10 * day),
	seenMs: fc.constantFrom(0, 0, 2 * day, 6 * day),
	untilReleased: fc.constantFrom(false, false, false, true),
});
const rules = fc.array(rule, {minLength: 3, maxLength: 3});
const place = fc.nat({max: size - 1});
const step: fc.Arbitrary<Step> = fc.oneof(
	fc.record({kind: fc.constantFrom('hold' as const, 'release' as const), at: place}),
	fc.record({kind: fc.constant('pass' as const), days: fc.integer({min: 1, max: 5})}),
	fc.record({kind: fc.constant('list' as const), source: fc.nat({max: 2}), listed: fc.uniqueArray(place)}),
	fc.record({kind: fc.constant('rules' as const), rules}),
	fc.constant({kind: 'restart' as const}),
);

/** The same as told by a few lines: what was said and seen of each image, and when. */
class Model {
	readonly held = new Set<Uuid>();
	readonly released = new Set<Uuid>();
	readonly seen = names.map(() => new Map<Uuid, number>());
	/** Vanished images are kept. */
	readonly known = names.map(() => new Set<Manifest>());
	rules: readonly HoldRule[] = [];

	list(source: number, images: readonly Manifest[], now: number): void {
		const seen = this.seen[source] ?? new Map<Uuid, number>();
		const isFirst = seen.size === 0;
		for (const manifest of images) {
			this.known[source]?.add(manifest);
			if (!seen.has(manifest.uuid)) {
				seen.set(manifest.uuid, isFirst ? manifest.publishedMs : now);
			}
		}
	}

	/** Through origins that nobody knows, nothing can be told. */
	isHeld({uuid, origin}: Manifest, all: readonly Manifest[]): boolean {
		const parent = all.find(other => other.uuid === origin);
		return (
			this.held.has(uuid) ||
			(parent !== undefined && (this.held.has(parent.uuid) || (this.isKnown(parent) && this.isHeld(parent, all))))
		);
	}

	isKnown(manifest: Manifest): boolean {
		return this.known.some(images => images.has(manifest));
	}

	isOffered(source: number, manifest: Manifest, now: number, all: readonly Manifest[]): boolean {
		const {publishedMs, seenMs, untilReleased} = this.rules[source] ?? {
			publishedMs: 0,
			seenMs: 0,
			untilReleased: false,
		};
		if (this.known[source]?.has(manifest) !== true || this.isHeld(manifest, all)) {
			return false;
		}
		const seenAt = this.seen[source]?.get(manifest.uuid) ?? 0;
		const isOld = manifest.publishedMs + publishedMs <= now && seenAt + seenMs <= now;
		return this.released.has(manifest.uuid) || (isOld && !untilReleased);
	}
}

test('an image is in the list if and only if a source offers it, and found with its origins, whatever happens', async t => {
	let looks = 0;
	await fc.assert(
		fc.asyncProperty(
			fc.array(fc.tuple(fc.nat({max: 14}), fc.option(place)), {minLength: size, maxLength: size}),
			rules,
			fc.array(step, {minLength: 3, maxLength: 14}),
			async (made, firstRules, steps) => {
				const all: Manifest[] = [];
				for (const [daysAgo, origin] of made) {
					// Only of one before it: there are no circles.
					const parent = origin === null ? undefined : all[origin];
					all.push(
						image({
							published_at: new Date(today - daysAgo * day).toISOString(),
							...(parent === undefined ? {} : {origin: parent.uuid}),
						}),
					);
				}
				const model = new Model();
				model.rules = firstRules;
				const directory = await tempDir(t);
				const holds = new TestHoldsFile(directory);
				const sources = names.map(name => new FakeSource(name));
				const entries = (): ReturnType<typeof entry>[] =>
					sources.map((source, at) => {
						const one = model.rules[at];
						return entry(source, {
							listTtlMs: 1000 * day,
							keepForMs: 2000 * day,
							...(one === undefined ? {} : {hold: one}),
						});
					});
				let started: Started = await startCatalog(t, entries(), {directory, holds});
				await started.catalog.refresh();
				for (const each of steps) {
					const {catalog, clock, host} = started;
					const now = clock.now();
					switch (each.kind) {
						case 'hold':
						case 'release': {
							const {uuid} = all[each.at] ?? image();
							await catalog.holds[each.kind](uuid, {by: 'x'});
							model.held[each.kind === 'hold' ? 'add' : 'delete'](uuid);
							model.released[each.kind === 'hold' ? 'delete' : 'add'](uuid);
							break;
						}
						case 'pass':
							await clock.advance(each.days * day);
							await catalog.settled();
							break;
						case 'list': {
							const images = each.listed.flatMap(at => all[at] ?? []);
							const source = sources[each.source];
							if (source !== undefined) {
								source.images = images;
								await catalog.refresh(source.name);
								model.list(each.source, images, now);
							}
							break;
						}
						case 'rules':
							model.rules = each.rules;
							await catalog.setSources(entries());
							break;
						case 'restart':
							await started.end();
							started = await startCatalog(t, entries(), {directory, holds, host});
							await started.catalog.refresh();
					}
					looks++;
					await look(started, model, all);
				}
				await started.end();
			},
		),
		{numRuns: 60},
	);
	t.log(`${looks} times looked`);

	async function look({catalog, clock}: Started, model: Model, all: readonly Manifest[]): Promise<void> {
		const now = clock.now();
		const offered = all.filter(manifest => names.some((_, at) => model.isOffered(at, manifest, now, all)));
		t.deepEqual(uuidsOf(catalog.snapshot().images).sort(), uuidsOf(offered).sort());
		const held = all.filter(manifest => !offered.includes(manifest) && model.isKnown(manifest));
		t.deepEqual(uuidsOf(catalog.heldImages().map(({manifest}) => manifest)).sort(), uuidsOf(held).sort());
		t.is(catalog.overview().length, offered.length + held.length);

		const needed = new Set<Uuid | undefined>();
		for (const top of offered) {
			let next: Manifest | undefined = top;
			while (next !== undefined) {
				needed.add(next.uuid);
				next = originOf(next, all, model);
			}
		}
		for (const manifest of [...offered, ...held]) {
			const found = await catalog.find(manifest.uuid, someAsk()).catch((error: unknown) => {
				if (error instanceof NotFoundError) {
					return undefined;
				}
				throw error;
			});
			t.is(found !== undefined, needed.has(manifest.uuid));
		}
	}
});

/** As far as any source has it. */
function originOf({origin}: Manifest, all: readonly Manifest[], model: Model): Manifest | undefined {
	const found = all.find(({uuid}) => uuid === origin);
	return found !== undefined && model.isKnown(found) ? found : undefined;
}
