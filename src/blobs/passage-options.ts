/**
 * What a passage is made of, and who rides in it: clients on one side, all passages on the other.
 */
import type {Host} from '../host.js';
import type {PartialBlob, Wanted} from './partial.js';
import type {Passage} from './passage.js';
import type {Supplier} from './supply.js';

/** What had reached the disk before it refused more. Nothing is added to it. */
export interface OnDisk {
	readonly partial: PartialBlob;
	readonly bytes: number;
}

/** One client. */
export interface Rider {
	/** Of the next byte that it needs. */
	position: number;
	/** It takes nothing at the moment. */
	isStalled: boolean;
	/** How long it has kept others waiting. */
	heldUpMs: number;
	/** Its range has the end of the file in it. */
	readonly verifies: boolean;
	/** What it rides in; passages say. */
	passage: Passage | undefined;
}

export interface PassageOptions {
	readonly wanted: Wanted;
	readonly host: Host;
	readonly suppliers: () => readonly Supplier[];
	readonly retries: number;
	readonly patienceMs?: number | undefined;
	readonly onDisk: OnDisk | undefined;
}

/** Whoever has all passages. */
export interface PassageKeeper {
	/** How much each may keep. */
	readonly keepBytes: number;
	begun(passage: Passage): void;
	/** Nobody can get on in it any more. */
	over(passage: Passage): void;
}
