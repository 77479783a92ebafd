/**
 * Makes room: chooses among what has been judged and among the partials that nobody has open, and has it deleted.
 *
 * `Keeper` says how much and why, and that only one at a time does so.
 */
import type {Host} from '../host.js';
import type {Sha1} from '../image/manifest.js';
import type {DiskRoom} from './disk-room.js';
import {chooseVictims, type Judgement} from './eviction.js';
import {Evictions, type EvictionReason, type EvictionResult, type EvictionRun} from './evictions.js';
import type {HeldImages} from './held-images.js';
import type {PartialOnDisk} from './partials.js';

export interface ClearingParts {
	readonly host: Host;
	readonly room: DiskRoom;
	readonly images: HeldImages;
	readonly partials: () => readonly PartialOnDisk[];
	readonly removePartial: (key: string) => Promise<boolean>;
	/** False: it may not go any more, or is gone. */
	readonly evict: (sha1: Sha1) => Promise<boolean>;
}

export interface Freeing {
	readonly judgement: Judgement | undefined;
	readonly bound: EvictionReason;
	/** Where less than this may go, nothing does. */
	readonly atLeast: number;
	/** For the sake of so many, also partials go that somebody may go on with soon, where whole files do not suffice. */
	readonly urgentBytes: number;
	readonly mayPause: () => boolean;
}

/** A partial that nobody has gone on with for so long goes before whole files, others after them. */
const stalePartialMs = 3_600_000;

export class Clearing {
	readonly #parts: ClearingParts;
	readonly #host: Host;
	readonly #evictions: Evictions;

	constructor(parts: ClearingParts) {
		this.#parts = parts;
		this.#host = parts.host;
		this.#evictions = new Evictions({...parts, delete: parts.evict});
	}

	/** Deletes what is least needed until `bytes` are free, or all that may go. */
	async free(bytes: number, how: Freeing): Promise<{readonly freed: number; readonly wasPaused: boolean}> {
		const {judgement, bound, atLeast, urgentBytes, mayPause} = how;
		const staleBeforeMs = this.#host.clock.now() - stalePartialMs;
		const closed = this.#parts
			.partials()
			.filter(({open}) => !open)
			.sort((a, b) => a.changedAtMs - b.changedAtMs);
		const stale = firstOf(
			closed.filter(({changedAtMs}) => changedAtMs < staleBeforeMs),
			bytes,
		);
		const victims = judgement === undefined ? [] : chooseVictims(judgement, bytes - sizeOf(stale));
		const fresh = firstOf(
			closed.filter(({changedAtMs}) => changedAtMs >= staleBeforeMs),
			urgentBytes - sizeOf(stale) - sizeOf(victims),
		);
		if (sizeOf(stale) + sizeOf(victims) + sizeOf(fresh) < atLeast) {
			return {freed: 0, wasPaused: false};
		}
		let freed = await this.#removePartials(stale);
		if (judgement !== undefined) {
			const run = await this.run({judgement, victims, reason: bound, mayPause});
			freed += run.bytes;
			if (run.wasPaused) {
				return {freed, wasPaused: true};
			}
		}
		return {freed: freed + (await this.#removePartials(fresh)), wasPaused: false};
	}

	async run(run: EvictionRun): Promise<EvictionResult> {
		if (run.victims.length > 0) {
			await this.#parts.room.hold();
		}
		return this.#evictions.run(run);
	}

	async #removePartials(partials: readonly PartialOnDisk[]): Promise<number> {
		let freed = 0;
		for (const {key, size} of partials) {
			await this.#parts.room.hold();
			if (await this.#parts.removePartial(key)) {
				freed += size;
				this.#host.log.info({file: key, bytes: size}, 'the part of a file that had arrived was deleted to make room');
			}
		}
		return freed;
	}
}

/** As many from the beginning as come to `bytes`. */
function firstOf(files: readonly PartialOnDisk[], bytes: number): readonly PartialOnDisk[] {
	let sum = 0;
	return files.filter(({size}) => {
		const isNeeded = sum < bytes && size > 0;
		sum += isNeeded ? size : 0;
		return isNeeded;
	});
}

function sizeOf(files: readonly {readonly size: number}[]): number {
	return files.reduce((bytes, {size}) => bytes + size, 0);
}
