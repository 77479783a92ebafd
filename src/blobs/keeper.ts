/**
 * Looks after the room that files take: makes some for what is coming, and lets go of what has been unused for long.
 *
 * The store owns it and gives it what it needs to know; `Room` asks before anything comes in, housekeeping calls
 * `sweep`. What keeps images is asked of whoever gave `setFacts`; before that nothing goes. `eviction.ts` chooses.
 */
import {setImmediate as nextTurn} from 'node:timers/promises';
import {NoSpaceError, OverLimitError} from '../errors.js';
import type {Host} from '../host.js';
import type {Sha1, Uuid} from '../image/manifest.js';
import type {KeepBlob} from './built-upon.js';
import {Clearing} from './clearing.js';
import {DiskRoom} from './disk-room.js';
import {judge, judgeInSteps, mayGo, unusedSince, verdictsOf, type Evidence, type Judgement} from './eviction.js';
import type {HeldImages} from './held-images.js';
import type {KeepFacts, Verdict} from './keep-facts.js';
import {excessOf, wordsForNoRoom, type KeepLimits, type Standing} from './keep-limits.js';
import {keepReport, wordsForStaying, type KeepReport} from './keep-report.js';
import type {PartialOnDisk} from './partials.js';
import type {Purpose, RoomMaker} from './room.js';
import {Turns} from './turns.js';

export interface KeeperParts {
	readonly host: Host;
	readonly limits: KeepLimits;
	/** Whoever imports an image reads its origin first: what was used so short a while ago is in use. */
	readonly graceMs: number;
	readonly images: HeldImages;
	/** All that counts against the limit and is on the disk. */
	readonly usedBytes: () => number;
	readonly reservedBytes: () => number;
	readonly freeBytes: () => Promise<number | undefined>;
	/** Of all that the file system has. */
	readonly diskBytes: () => Promise<number | undefined>;
	readonly blobs: () => Iterable<KeepBlob>;
	/** When somebody last read it. */
	readonly usedAtMs: (sha1: Sha1) => number | undefined;
	readonly isOpen: (sha1: Sha1) => boolean;
	readonly pinReasons: (sha1: Sha1) => Iterable<string>;
	readonly arriving: () => Iterable<Uuid>;
	readonly partials: () => readonly PartialOnDisk[];
	readonly removePartial: (key: string) => Promise<boolean>;
	/** False: it may not go any more, or is gone. */
	readonly evict: (sha1: Sha1) => Promise<boolean>;
}

export interface EvictedFile {
	readonly sha1: Sha1;
	/** 0: it stays. */
	readonly bytes: number;
	/** Why it stays. */
	readonly problem?: string;
}

/** After a file could not be kept the disk counts as low for a while: it would be for the next. */
const shortForMs = 600_000;
/** What could not go is not tried again and again. */
const mostTries = 4;

export class Keeper implements RoomMaker {
	readonly #parts: KeeperParts;
	readonly #host: Host;
	readonly #room: DiskRoom;
	readonly #clearing: Clearing;
	readonly #turns = new Turns();
	#limits: KeepLimits;
	#facts: (() => KeepFacts) | undefined;
	/** How many claims wait for their turn: a sweep lets them pass. */
	#waiting = 0;
	#sweeping: Promise<void> = Promise.resolve();
	#isSweepDue = false;
	#stopped = false;
	/** What has been decided was decided too early. */
	#isOutdated = false;
	#shortUntilMs = 0;
	#low: string | undefined;

	constructor(parts: KeeperParts) {
		this.#parts = parts;
		this.#host = parts.host;
		this.#limits = parts.limits;
		this.#room = new DiskRoom({...parts, clock: parts.host.clock});
		this.#clearing = new Clearing({...parts, room: this.#room});
	}

	/** From now on it is known what must stay, and whatever else may go. */
	setFacts(facts: () => KeepFacts): void {
		this.#facts = facts;
	}

	setLimits(limits: KeepLimits): void {
		this.#limits = limits;
		this.sweepSoon();
	}

	/** Something is to stay that was not before: what has been chosen, and has not gone yet, is looked at again. */
	changed(): void {
		this.#isOutdated = true;
	}

	/** Why files cannot be kept though they should; `undefined`: they can. */
	get low(): string | undefined {
		return this.#low;
	}

	/** There is room for so much more without anything going, as far as the last look tells. */
	surelyHas(bytes: number): boolean {
		const last = this.#room.lastStanding(this.#limits);
		return last !== undefined && excessOf({...last, reservedBytes: last.reservedBytes + bytes}) <= 0;
	}

	/** All that counts against the limit and is on the disk. */
	get usedBytes(): number {
		return this.#parts.usedBytes();
	}

	inTurn<T>(work: () => Promise<T>): Promise<T> {
		this.#waiting++;
		return this.#turns.take('', () => {
			this.#waiting--;
			return work();
		});
	}

	async hasRoom(): Promise<boolean> {
		return excessOf(await this.#room.standing(this.#limits)) <= 0;
	}

	/** Must be called in turn, the new claim being counted. */
	async makeRoom(purpose: Purpose): Promise<void> {
		let standing = await this.#room.standing(this.#limits);
		let judgement: Judgement | undefined;
		for (let tries = 0; tries < mostTries && excessOf(standing) > 0; tries++) {
			const bytes = excessOf(standing);
			judgement = await this.#judgeAnew();
			const {freed, wasPaused} = await this.#clearing.free(bytes, {
				...{judgement, bound: standing.bound, urgentBytes: bytes},
				atLeast: purpose === 'transfer' ? bytes : 0,
				mayPause: () => this.#isOutdated,
			});
			if (freed === 0 && !wasPaused) {
				break;
			}
			// The rest, down to the low mark, need not be waited for.
			this.sweepSoon();
			standing = await this.#room.standing(this.#limits);
		}
		const {reservedBytes, freeBytes} = standing;
		const isFull = freeBytes !== undefined && reservedBytes > freeBytes;
		if (purpose === 'upload' ? !isFull : excessOf(standing) <= 0) {
			return;
		}
		const bound = isFull ? 'floor' : standing.bound;
		const words = wordsForNoRoom({...standing, bound}, this.#limits, wordsForStaying(judgement));
		// What could never be kept says nothing about the disk.
		if (reservedBytes <= standing.allowedBytes) {
			this.#shortUntilMs = this.#host.clock.now() + shortForMs;
			this.#setLow(words, standing);
		}
		throw bound === 'limit' ? new OverLimitError(words) : new NoSpaceError(words);
	}

	/** Whether there is room: `low` tells from then on. Nothing goes for that. */
	look(): Promise<void> {
		return this.inTurn(() => this.#lookWhetherLow());
	}

	/** By the marks and by age. What is asked for while one runs is done after it. */
	sweep(): Promise<void> {
		return this.#sweepNext(async () => {
			for (let goesOn = true; goesOn && !this.#stopped;) {
				goesOn = await this.inTurn(() => this.#sweepOld());
			}
			await this.#sweepByMarks();
		});
	}

	/** Something has come in: if that is too much, some goes before long. */
	sweepSoon(): void {
		if (!this.#isSweepDue && !this.#stopped) {
			this.#isSweepDue = true;
			void this.#sweepNext(async () => {
				this.#isSweepDue = false;
				await this.#sweepByMarks();
			}).catch(() => undefined);
		}
	}

	/** Every file: those that may go first, in the order in which they would; empty while it is not known what must stay. */
	verdicts(): readonly Verdict[] {
		const evidence = this.#evidence();
		return evidence === undefined ? [] : verdictsOf(judge(evidence));
	}

	/** The same, for who can wait: with very many files it takes a while. */
	async verdictsInSteps(): Promise<readonly Verdict[]> {
		const judgement = await this.#judge();
		return judgement === undefined ? [] : verdictsOf(judgement);
	}

	async report(): Promise<KeepReport> {
		const standing = await this.#room.standing(this.#limits);
		const diskBytes = await this.#parts.diskBytes();
		return keepReport(standing, this.#limits, {judgement: await this.#judge(), diskBytes});
	}

	/** On an operator's word. In the order they were given in, each with what came of it. */
	evict(
		sha1s: readonly Sha1[],
		{force, by}: {readonly force: boolean; readonly by?: string | undefined},
	): Promise<readonly EvictedFile[]> {
		return this.inTurn(async () => {
			const outcomes = new Map<Sha1, EvictedFile>();
			for (let goesOn = true; goesOn;) {
				const left = sha1s.filter(sha1 => !outcomes.has(sha1));
				this.#isOutdated = false;
				// Whoever says so knows what was used a moment ago.
				const judgement = await this.#judge(0);
				if (judgement === undefined) {
					return sha1s.map(sha1 => ({sha1, bytes: 0, problem: 'it is not known yet what must stay'}));
				}
				const {going, problems} = mayGo(judgement, left, force);
				const mayPause = (): boolean => this.#isOutdated;
				const result = await this.#clearing.run({judgement, victims: going, reason: 'operator', by, mayPause});
				for (const sha1 of left) {
					const problem = problems.get(sha1) ?? result.problems.get(sha1);
					if (result.gone.has(sha1)) {
						outcomes.set(sha1, {sha1, bytes: judgement.files.get(sha1)?.blob.size ?? 0});
					} else if (problem !== undefined) {
						outcomes.set(sha1, {sha1, bytes: 0, problem});
					}
				}
				goesOn = result.wasPaused;
			}
			return sha1s.map(sha1 => outcomes.get(sha1) ?? {sha1, bytes: 0});
		});
	}

	async updateMetrics(): Promise<void> {
		const {allowedBytes, reservedBytes, highBytes} = await this.#room.standing(this.#limits);
		const {storeLimitBytes, storeReservedBytes} = this.#host.metrics;
		storeLimitBytes.set(highBytes === Infinity ? Infinity : allowedBytes);
		storeReservedBytes.set(reservedBytes);
	}

	/** What runs is ended after the file at hand. */
	async stop(): Promise<void> {
		this.#stopped = true;
		await this.#sweeping;
	}

	#sweepNext(sweep: () => Promise<void>): Promise<void> {
		const sweeping = this.#sweeping.then(async () => {
			if (!this.#stopped) {
				await sweep();
			}
		});
		this.#sweeping = sweeping.catch((error: unknown) => {
			this.#host.log.error({err: error}, 'making room failed');
		});
		return sweeping;
	}

	async #sweepByMarks(): Promise<void> {
		let mark: 'highBytes' | 'lowBytes' = 'highBytes';
		for (let goesOn = true; goesOn && !this.#stopped; mark = 'lowBytes') {
			goesOn = await this.inTurn(() => this.#sweepTo(mark));
		}
		await this.inTurn(() => this.#lookWhetherLow());
	}

	/** True: more is to go, when those who wait have had their turn. */
	async #sweepOld(): Promise<boolean> {
		const beforeMs = this.#host.clock.now() - this.#limits.maxUnusedMs;
		const isOld = (blob: KeepBlob): boolean => blob.lastUsedMs < beforeMs;
		const judgement = beforeMs > 0 && some(this.#blobs(), isOld) ? await this.#judgeAnew() : undefined;
		if (judgement === undefined) {
			return false;
		}
		const victims = unusedSince(judgement, beforeMs);
		const {wasPaused} = await this.#clearing.run({
			judgement,
			victims,
			reason: 'age',
			mayPause: () => this.#mayPauseSweep(),
		});
		return wasPaused;
	}

	/** As above. */
	async #sweepTo(mark: 'highBytes' | 'lowBytes'): Promise<boolean> {
		const standing = await this.#room.standing(this.#limits);
		const {usedBytes, reservedBytes, lowBytes, bound} = standing;
		if (usedBytes + reservedBytes <= standing[mark]) {
			return false;
		}
		const {freed, wasPaused} = await this.#clearing.free(usedBytes + reservedBytes - lowBytes, {
			...{judgement: await this.#judgeAnew(), bound, atLeast: 0},
			urgentBytes: excessOf(standing),
			mayPause: () => this.#mayPauseSweep(),
		});
		return freed > 0 || wasPaused;
	}

	#mayPauseSweep(): boolean {
		return this.#waiting > 0 || this.#stopped || this.#isOutdated;
	}

	/** For a decision. */
	#judgeAnew(): Promise<Judgement | undefined> {
		this.#isOutdated = false;
		return this.#judge();
	}

	/** `undefined`: it is not known what must stay. */
	async #judge(graceMs?: number): Promise<Judgement | undefined> {
		const evidence = this.#evidence(graceMs);
		if (evidence === undefined) {
			return undefined;
		}
		const judging = judgeInSteps(evidence);
		for (;;) {
			const step = judging.next();
			if (step.done === true) {
				return step.value;
			}
			await nextTurn();
		}
	}

	#evidence(graceMs = this.#parts.graceMs): Evidence | undefined {
		if (this.#facts === undefined) {
			return undefined;
		}
		const {isOpen, usedAtMs, pinReasons, arriving} = this.#parts;
		const sinceMs = this.#host.clock.now() - graceMs;
		return {
			blobs: this.#blobs(),
			facts: this.#facts(),
			pinReasons,
			isInUse: sha1 => isOpen(sha1) || (usedAtMs(sha1) ?? -Infinity) > sinceMs,
			arriving: [...arriving()],
		};
	}

	/** A clock that was wrong when they were stored makes none of them younger than now. */
	*#blobs(): Generator<KeepBlob, void, undefined> {
		const now = this.#host.clock.now();
		for (const {sha1, size, storedAtMs, lastUsedMs} of this.#parts.blobs()) {
			yield {sha1, size, storedAtMs, lastUsedMs: Math.min(now, lastUsedMs)};
		}
	}

	async #lookWhetherLow(): Promise<void> {
		const standing = await this.#room.standing(this.#limits);
		// Others may have filled the disk, and nothing be here that could go.
		const isFloorBroken = standing.freeBytes !== undefined && standing.freeBytes < this.#limits.minFreeBytes;
		if (excessOf(standing) > 0 || isFloorBroken) {
			const bound = isFloorBroken ? 'floor' : standing.bound;
			const stays = wordsForStaying(await this.#judge());
			this.#setLow(wordsForNoRoom({...standing, bound}, this.#limits, stays), standing);
		} else if (this.#low !== undefined && this.#host.clock.now() >= this.#shortUntilMs) {
			this.#low = undefined;
			this.#host.metrics.diskLow.set(0);
			this.#host.log.info('there is room for files again');
			this.#host.events.emit('disk.ok', {bytes: standing.freeBytes});
		}
	}

	#setLow(problem: string, {usedBytes, allowedBytes, freeBytes}: Standing): void {
		const isNew = this.#low === undefined;
		this.#low = problem;
		if (isNew) {
			this.#host.metrics.diskLow.set(1);
			this.#host.log.warn({problem}, 'there is no room for more files, and nothing that may go');
			this.#host.events.emit('disk.low', {problem, bytes: freeBytes, more: {usedBytes, allowedBytes}});
		}
	}
}

function some<T>(values: Iterable<T>, is: (value: T) => boolean): boolean {
	for (const value of values) {
		if (is(value)) {
			return true;
		}
	}
	return false;
}
