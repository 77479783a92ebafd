/**
 * How much of the disk files take and may take, measured when it is asked for.
 *
 * `Keeper` asks. Some file systems tell of room that was freed only seconds later; in between it must not look as if
 * nothing had gone, or all would go.
 */
import {statfs} from 'node:fs/promises';
import type {Clock} from '../host.js';
import {standingOf, type KeepLimits, type Standing} from './keep-limits.js';

const settleMs = 15_000;

export interface DiskRoomParts {
	readonly clock: Clock;
	/** All that counts against the limit and is on the disk. */
	readonly usedBytes: () => number;
	readonly reservedBytes: () => number;
	/** `undefined`: nobody knows. */
	readonly freeBytes: () => Promise<number | undefined>;
}

const usualFloorBytes = 1_000_000_000;

export class DiskRoom {
	readonly #parts: DiskRoomParts;
	/** What files and free room came to before something was deleted. */
	#held: {readonly bytes: number; readonly untilMs: number} | undefined;
	/** What the last look said that files and free room come to. */
	#seenBytes: number | undefined;

	constructor(parts: DiskRoomParts) {
		this.#parts = parts;
	}

	async standing(limits: KeepLimits): Promise<Standing> {
		this.#seenBytes = await this.#capacity();
		return this.#standingAt(limits, this.#seenBytes);
	}

	/** As far as the last look tells; `undefined`: it told nothing, or there was none. */
	lastStanding(limits: KeepLimits): Standing | undefined {
		return this.#seenBytes === undefined ? undefined : this.#standingAt(limits, this.#seenBytes);
	}

	/** Something is about to be deleted. */
	async hold(): Promise<void> {
		if (this.#heldBytes() === 0) {
			const bytes = await this.#capacity();
			// Not longer for what is deleted meanwhile: others may be filling the disk.
			this.#held = bytes === undefined ? undefined : {bytes, untilMs: this.#parts.clock.now() + settleMs};
		}
	}

	#standingAt(limits: KeepLimits, capacityBytes: number | undefined): Standing {
		const {usedBytes, reservedBytes} = this.#parts;
		return standingOf(limits, {capacityBytes, usedBytes: usedBytes(), reservedBytes: reservedBytes()});
	}

	async #capacity(): Promise<number | undefined> {
		const free = await this.#parts.freeBytes();
		return free === undefined ? undefined : Math.max(this.#parts.usedBytes() + free, this.#heldBytes());
	}

	#heldBytes(): number {
		return this.#held !== undefined && this.#parts.clock.now() < this.#held.untilMs ? this.#held.bytes : 0;
	}
}

/** The floor for a disk of which nothing is said: one that is small must still take some files. */
export async function suitableFloor(folder: string): Promise<number> {
	const space = await spaceOn(folder);
	return Math.min(usualFloorBytes, Math.floor((space?.diskBytes ?? Infinity) / 20));
}

/** `undefined`: the file system does not tell. */
export async function spaceOn(
	folder: string,
): Promise<{readonly freeBytes: number; readonly diskBytes: number} | undefined> {
	try {
		const {bavail, blocks, bsize} = await statfs(folder);
		return {freeBytes: bavail * bsize, diskBytes: blocks * bsize};
	} catch {
		return undefined;
	}
}
