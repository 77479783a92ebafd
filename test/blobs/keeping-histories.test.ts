/**
 * The store against a model of what it may never do, over random histories with restarts and kills.
 *
 * A step is what clients, publishers, operators, rules, the clock or a crash do. After each, what the store says is
 * compared with the disk, and what has gone with what had to stay.
 */
import {mkdtempSync, rmSync} from 'node:fs';
import type {FileHandle} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import test, {type ExecutionContext} from 'ava';
import fc from 'fast-check';
import {NoSpaceError} from '../../src/errors.js';
import type {KeptImage} from '../../src/blobs/keep-facts.js';
import type {KeepLimits} from '../../src/blobs/keep-limits.js';
import type {PartialBlob} from '../../src/blobs/partial.js';
import type {Sha1} from '../../src/image/manifest.js';
import {makeImage, type TestImage} from '../helpers/make-image.js';
import {stored} from './sending.js';
import {startKeeping, type KeepingRig} from './start-keeping.js';
import {sha1Of} from './start-store.js';

const minute = 60_000;
const day = 86_400_000;
const histories = 400;
const diskBytes = 20_000;

/** Chains of three, loners of several sizes, and two images with one file. */
const base = makeImage({size: 1000});
const middle = makeImage({size: 700, origin: base});
const shared = makeImage({size: 900});
const all: readonly TestImage[] = [
	...[base, middle, makeImage({size: 1300, origin: middle}), makeImage({size: 400, origin: base})],
	...[shared, makeImage({bytes: shared.bytes, origin: base})],
	...[makeImage({size: 2000}), makeImage({size: 1500}), makeImage({size: 0}), makeImage({size: 3000})],
];

type Step =
	| {
			readonly does:
				| 'fetch'
				| 'begin'
				| 'go on'
				| 'suspend'
				| 'use'
				| 'open'
				| 'close'
				| 'publish'
				| 'unpublish'
				| 'evict'
				| 'force'
				| 'forget';
			readonly image: number;
	  }
	| {readonly does: 'pin' | 'want' | 'vanish'; readonly image: number; readonly is: boolean}
	| {readonly does: 'fetch many'; readonly images: readonly number[]}
	| {readonly does: 'limits'; readonly limits: Partial<KeepLimits>}
	| {readonly does: 'wait'; readonly ms: number}
	| {readonly does: 'others'; readonly bytes: number}
	| {readonly does: 'sweep' | 'restart' | 'kill'};

const image = fc.nat(all.length - 1);
const step: fc.Arbitrary<Step> = fc.oneof(
	{weight: 8, arbitrary: fc.record({does: fc.constant('fetch' as const), image})},
	{weight: 3, arbitrary: fc.record({does: fc.constantFrom('begin', 'go on', 'suspend'), image})},
	{
		weight: 2,
		arbitrary: fc.record({does: fc.constant('fetch many' as const), images: fc.array(image, {maxLength: 4})}),
	},
	{weight: 4, arbitrary: fc.record({does: fc.constantFrom('use', 'open', 'close'), image})},
	{weight: 2, arbitrary: fc.record({does: fc.constantFrom('publish', 'unpublish', 'evict', 'force', 'forget'), image})},
	{weight: 2, arbitrary: fc.record({does: fc.constantFrom('pin', 'want', 'vanish'), image, is: fc.boolean()})},
	{
		weight: 2,
		arbitrary: fc.record({
			does: fc.constant('limits' as const),
			limits: fc.record({
				maxBytes: fc.constantFrom(1000, 2500, 4000, 6000, Infinity),
				minFreeBytes: fc.constantFrom(0, 12_000, 17_000),
				maxUnusedMs: fc.constantFrom(5 * day, Infinity),
				highMark: fc.constantFrom(0.8, 1),
				lowMark: fc.constantFrom(0.5, 0.8),
			}),
		}),
	},
	{
		weight: 4,
		arbitrary: fc.record({does: fc.constant('wait' as const), ms: fc.constantFrom(1000, minute, 90 * minute, 3 * day)}),
	},
	{weight: 1, arbitrary: fc.record({does: fc.constant('others' as const), bytes: fc.constantFrom(0, 3000, 9000)})},
	{weight: 2, arbitrary: fc.record({does: fc.constantFrom('sweep', 'restart', 'kill')})},
);

class History {
	readonly #root: string;
	readonly #facts = new Map<string, KeptImage>();
	readonly #published = new Set<TestImage>();
	#open = new Map<TestImage, FileHandle>();
	#running = new Map<TestImage, PartialBlob>();
	#limits: Partial<KeepLimits> = {maxBytes: 4000, highMark: 0.9, lowMark: 0.6};
	#others = 0;
	#rig: KeepingRig | undefined;
	/** Of stores that were killed. */
	#abandoned: (() => Promise<void>)[] = [];

	constructor(root: string) {
		this.#root = root;
	}

	get rig(): KeepingRig {
		if (this.#rig === undefined) {
			throw new Error('the store does not run');
		}
		return this.#rig;
	}

	async start(nowMs?: number): Promise<void> {
		const scope = {teardown: () => undefined};
		this.#rig = await startKeeping(scope, {
			...{root: this.#root, keep: this.#limits, facts: this.#facts, graceMs: minute},
			...(nowMs === undefined ? {} : {nowMs}),
			freeBytes: async () => Math.max(0, diskBytes - this.#others - this.rig.store.keeper.usedBytes),
		});
		// As the publish area does at its start.
		for (const ours of this.#published) {
			this.rig.store.pin(sha1Of(ours), `image ${ours.uuid}`);
		}
	}

	async end(): Promise<void> {
		for (const handle of this.#open.values()) {
			await handle.close();
		}
		await this.#rig?.close();
		for (const close of this.#abandoned) {
			await close();
		}
	}

	/** Runs one step and checks what must be true afterwards. */
	async take(t: ExecutionContext, now: Step): Promise<void> {
		const before = new Set([...this.rig.store.list()].map(({sha1}) => sha1));
		const stays = this.#staying(now);
		const tookBytes = this.#taken();
		await this.#do(now);
		await this.rig.quiet();
		const {told, found} = await this.rig.counts();
		t.deepEqual(told, found, JSON.stringify(now));
		for (const sha1 of before) {
			t.true(
				this.rig.store.stat(sha1) !== undefined || !stays.has(sha1),
				`${JSON.stringify(now)}: a protected file went`,
			);
		}
		// Publishing may go beyond the limit, and it may be lowered below what is there; transfers never push it further.
		const isOthers = now.does === 'publish' || now.does === 'limits' || now.does === 'others';
		t.true(
			isOthers || this.#taken() <= Math.max(this.#allowed(), tookBytes),
			`${JSON.stringify(now)}: more than allowed`,
		);
		// What is over it has a reason: nothing is left that might go.
		if (this.#taken() > this.#allowed()) {
			t.deepEqual(
				this.rig.store.keeper.verdicts().filter(({protections, size}) => protections.length === 0 && size > 0),
				[],
				`${JSON.stringify(now)}: more could go`,
			);
		}
	}

	#taken(): number {
		return this.rig.store.keeper.usedBytes + this.rig.store.reservedBytes;
	}

	#allowed(): number {
		const {maxBytes = Infinity, minFreeBytes = 0} = this.#limits;
		return Math.min(
			maxBytes,
			Math.max(0, Math.max(diskBytes - this.#others, this.rig.store.keeper.usedBytes) - minFreeBytes),
		);
	}

	async #do(now: Step): Promise<void> {
		const {rig} = this;
		if ('image' in now) {
			const its = all[now.image];
			await (its && this.#doWith(its, now));
			return;
		}
		switch (now.does) {
			case 'fetch many':
				await Promise.all(onceEach(now.images).map(its => this.#fetch(its)));
				return;
			case 'limits':
				this.#limits = now.limits;
				rig.store.keeper.setLimits({
					...{maxBytes: Infinity, minFreeBytes: 0, maxUnusedMs: Infinity, highMark: 1, lowMark: 1},
					...now.limits,
				});
				return;
			case 'wait':
				await rig.clock.advance(now.ms);
				// What is used is written by the clock, and not waited for there.
				await rig.store.partialsOnDisk();
				return;
			case 'others':
				this.#others = now.bytes;
				await rig.clock.advance(minute);
				return;
			case 'sweep':
				await rig.store.keeper.sweep();
				return;
			case 'restart':
			case 'kill':
				await this.#restart(now.does === 'kill');
		}
	}

	async #doWith(its: TestImage, now: Extract<Step, {readonly image: number}>): Promise<void> {
		const {rig} = this;
		switch (now.does) {
			case 'fetch':
				await this.#fetch(its);
				return;
			case 'begin':
				if (!this.#isArriving(its) && !rig.has(its)) {
					rig.know(its);
					const partial = await rig.begin(its, Math.floor(its.size / 3)).catch(onlyNoSpace);
					if (partial !== undefined) {
						this.#running.set(its, partial);
					}
				}
				return;
			case 'go on': {
				const partial = this.#running.get(its);
				if (partial !== undefined) {
					await partial.write([its.bytes.subarray(partial.written)]);
					await rig.commit(partial);
					await partial.close();
					this.#running.delete(its);
				}
				return;
			}
			case 'suspend':
				await this.#running.get(its)?.close();
				this.#running.delete(its);
				return;
			case 'use':
				await rig.use(its);
				return;
			case 'open': {
				const handle = this.#open.has(its) ? undefined : await rig.store.open(sha1Of(its));
				if (handle !== undefined) {
					this.#open.set(its, handle);
				}
				return;
			}
			case 'close':
				await this.#open.get(its)?.close();
				this.#open.delete(its);
				return;
			case 'publish':
				if (!this.#published.has(its) && its.size > 0) {
					await stored(rig.store, its.bytes, `image ${its.uuid}`).then(() => this.#published.add(its), onlyNoSpace);
					rig.know(its, {published: this.#published.has(its)});
				}
				return;
			case 'unpublish':
				if (this.#published.delete(its)) {
					rig.know(its, {published: false});
					rig.store.unpin(sha1Of(its), `image ${its.uuid}`);
				}
				return;
			case 'pin':
				rig.know(its, {pinned: now.is});
				return;
			case 'want':
				rig.know(its, {wantedBy: now.is ? ['nightly'] : []});
				return;
			case 'vanish':
				rig.know(its, {onlyHere: now.is});
				return;
			case 'forget':
				if (!this.#published.has(its)) {
					this.#facts.delete(its.uuid);
				}
				return;
			case 'evict':
			case 'force':
				await rig.store.keeper.evict([sha1Of(its)], {force: now.does === 'force'});
		}
	}

	async #fetch(its: TestImage | undefined): Promise<void> {
		if (its !== undefined && !this.#isArriving(its)) {
			this.rig.know(its);
			await (this.rig.has(its) ? this.rig.use(its) : this.rig.fetch(its));
		}
	}

	/** Flights see to it that a file is on its way once. */
	#isArriving(its: TestImage): boolean {
		return [...this.#running.keys()].some(({sha1}) => sha1 === its.sha1);
	}

	async #restart(isKilled: boolean): Promise<void> {
		const {rig} = this;
		if (isKilled) {
			// Nothing of it is closed, and its clock stands still: as good as dead. In the end its handles go.
			this.#abandoned.push(() => rig.close(), ...[...this.#open.values()].map(handle => () => handle.close()));
		} else {
			for (const handle of this.#open.values()) {
				await handle.close();
			}
			await rig.close();
		}
		this.#open = new Map();
		this.#running = new Map();
		await this.start(rig.clock.now());
	}

	/** Said as simply as possible: what may not go, whatever happens, unless it is let go of in this very step. */
	#staying(now: Step): ReadonlySet<Sha1> {
		const letGo = new Set<TestImage | undefined>();
		if (
			'image' in now &&
			['unpublish', 'close', 'forget', 'go on', 'suspend', 'pin', 'want', 'force'].includes(now.does)
		) {
			letGo.add(all[now.image]);
		}
		const isLetGo = (one: TestImage): boolean =>
			[...letGo].some(other => other?.sha1 === one.sha1) || now.does === 'kill' || now.does === 'restart';
		const stays = new Set<Sha1>();
		const add = (one: TestImage): void => {
			for (let next: TestImage | undefined = one; next !== undefined;) {
				stays.add(sha1Of(next));
				const origin: string | undefined = this.#facts.get(next.uuid)?.origin;
				next = all.find(({uuid}) => uuid === origin);
				if (next !== undefined && !this.#facts.has(next.uuid)) {
					// Of an image that nobody knows, nobody knows the file, nor what lies above it.
					next = undefined;
				}
			}
		};
		for (const one of all) {
			const known = this.#facts.get(one.uuid);
			const isKept = known?.pinned === true || known?.published === true || (known?.wantedBy.length ?? 0) > 0;
			const isChanging = now.does !== 'force' && letGo.has(one);
			if (
				isKept &&
				!isChanging &&
				now.does !== 'forget' &&
				!(now.does === 'force' && known?.published !== true && known?.pinned !== true)
			) {
				add(one);
			}
			if (this.#open.has(one) && !isLetGo(one)) {
				stays.add(sha1Of(one));
			}
			if (this.#published.has(one) && !(now.does === 'unpublish' && letGo.has(one))) {
				stays.add(sha1Of(one));
			}
		}
		return stays;
	}
}

/** One image for each file. */
function onceEach(numbers: readonly number[]): readonly TestImage[] {
	const chosen = all.filter((_, number) => numbers.includes(number));
	return [...new Map(chosen.map(its => [its.sha1, its])).values()];
}

function onlyNoSpace(error: unknown): undefined {
	if (!(error instanceof NoSpaceError)) {
		throw error;
	}
}

test(`${histories} histories with restarts: nothing goes that must stay, nothing takes more than it may, all is counted`, async t => {
	t.timeout(300_000);
	let fastFolder = '/dev/shm';
	try {
		rmSync(mkdtempSync(path.join(fastFolder, 'imgmirror-test-')), {recursive: true});
	} catch {
		fastFolder = tmpdir();
	}
	const began = process.cpuUsage();
	await fc.assert(
		fc.asyncProperty(fc.array(step, {minLength: 5, maxLength: 25}), async steps => {
			const root = mkdtempSync(path.join(fastFolder, 'imgmirror-test-'));
			const history = new History(root);
			try {
				await history.start();
				for (const each of steps) {
					await history.take(t, each);
				}
			} finally {
				await history.end();
				rmSync(root, {recursive: true, force: true});
			}
		}),
		{numRuns: histories, endOnFailure: false, includeErrorInReport: true},
	);
	const {user, system} = process.cpuUsage(began);
	t.log(`${Math.round((user + system) / 1_000_000)} s of CPU`);
});
