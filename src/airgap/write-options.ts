/**
 * What every way of writing a bundle is given, and what can stand against it before anything is written.
 */
import {MirrorError, NoSpaceError} from '../errors.js';
import type {Disk, Room} from './disk.js';
import type {BundlePlan, FetchFile} from './write-plan.js';

export interface WriteProgress {
	/** Bytes in all. */
	start(total: number): void;
	/** Of these, what was there before and has been read again, and what has been written. */
	update(done: number): void;
	/** One line that stays. */
	say(text: string): void;
}

export interface WriteOptions {
	readonly disk: Disk;
	readonly plan: BundlePlan;
	/** Another bundle of that name may go. */
	readonly replace: boolean;
	readonly fetch: FetchFile;
	readonly progress: WriteProgress;
	readonly signal: AbortSignal;
}

/** What is called so already stays as it is. */
export class ThereAlreadyError extends MirrorError {
	override readonly code = 'THERE_ALREADY';
}

/** The disk has less room than the bundle needs; nothing has been written. */
export class LacksRoomError extends NoSpaceError {
	readonly folder: string;
	readonly neededBytes: number;
	readonly freeBytes: number;

	constructor(folder: string, {neededBytes, freeBytes}: {neededBytes: number; freeBytes: number}) {
		super(`the bundle needs ${neededBytes} bytes, ${folder} has ${freeBytes} free`);
		this.folder = folder;
		this.neededBytes = neededBytes;
		this.freeBytes = freeBytes;
	}
}

/** FAT has four bytes for a file's size. */
export const largestFatFile: number = 2 ** 32 - 1;

/** Throws LacksRoomError; where the file system does not tell, what it says later stands. */
export async function checkRoom(
	disk: Disk,
	folder: string,
	needed: (room: Room) => number,
	largestFile: {readonly bytes: number; readonly advice: string},
): Promise<void> {
	const room = await disk.room(folder);
	if (room === undefined) {
		return;
	}
	if (room.isFat && largestFile.bytes > largestFatFile) {
		throw new MirrorError(`${folder} is FAT, which takes no files of 4 GiB and more: ${largestFile.advice}`);
	}
	const neededBytes = needed(room);
	if (neededBytes > room.freeBytes) {
		throw new LacksRoomError(folder, {neededBytes, freeBytes: room.freeBytes});
	}
}
