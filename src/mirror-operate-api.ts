/**
 * What operators ask of the mirror beyond images: what is here, what goes next, and the verbs that change that.
 *
 * HTTP serves it below `/mirror/`, the command line and the page read it there. Everything is plain data that goes over
 * the wire as it is: times are ISO 8601, sizes bytes, and what is not known is left out.
 */
import type {MirrorEvent} from './host.js';
import type {Uuid} from './image/manifest.js';
import type {Ask} from './sources/source.js';

/** On whose behalf something is done, for the log and the events. */
export interface Operator {
	readonly name: string | undefined;
}

/** Why an image is not offered though a source lists it. */
export interface HoldReason {
	readonly source: string;
	/** `age`: its source's images are offered only when they are older; `rule`: not before somebody released it; `operator`: somebody held it. */
	readonly why: 'age' | 'rule' | 'operator';
	/** When it will be offered by itself. */
	readonly until?: string;
	readonly by?: string;
	readonly note?: string;
}

/** One image as the operator sees it: a row of a list of up to 25,000. */
export interface ImageRow {
	readonly uuid: Uuid;
	readonly name: string;
	readonly version: string;
	readonly os: string;
	readonly type: string;
	readonly state: string;
	readonly owner: string;
	readonly public: boolean;
	readonly publishedAt?: string;
	readonly origin?: Uuid;
	/** Of its file; 0 where it has none. */
	readonly size: number;
	/** Whose manifest it is; `local` for our own. */
	readonly source: string;
	/** All that offer it, the one before first. */
	readonly sources: readonly string[];
	/** `here`: whole and verified; `coming`: on its way; `part`: the beginning is on the disk; `away`. */
	readonly here: 'here' | 'coming' | 'part' | 'away';
	readonly pinned: boolean;
	readonly wantedBy: readonly string[];
	readonly lastUsedAt?: string;
	readonly held?: HoldReason;
	/** Gone from its source's list, kept all the same. */
	readonly vanished: boolean;
}

export interface ImageDetails extends ImageRow {
	/** As served. */
	readonly manifest: object;
	/** Its origins, nearest first, as far as they are known; the last may be only a uuid. */
	readonly origins: readonly (ImageRow | {readonly uuid: Uuid})[];
	/** Images built upon it. */
	readonly dependents: readonly ImageRow[];
	readonly files: readonly {
		readonly sha1?: string;
		readonly size: number;
		readonly here: ImageRow['here'];
		readonly storedAt?: string;
		readonly verifiedAt?: string;
		/** Why it stays, in words; empty: it may go. */
		readonly stays: readonly string[];
	}[];
}

export interface StoredFile {
	readonly sha1: string;
	readonly size: number;
	readonly images: readonly {readonly uuid: string; readonly name: string; readonly version: string}[];
	readonly storedAt: string;
	readonly lastUsedAt: string;
	readonly verifiedAt?: string;
	/** In words; empty: it may go. */
	readonly stays: readonly string[];
}

export interface StorageReport {
	readonly files: number;
	readonly bytes: number;
	readonly partials: number;
	readonly partialBytes: number;
	/** Promised to what is on its way, not yet written. */
	readonly reservedBytes: number;
	readonly freeBytes?: number;
	readonly diskBytes?: number;
	readonly limits: {
		readonly maxBytes?: number;
		readonly minFreeBytes: number;
		readonly maxUnusedMs?: number;
		/** What files may take altogether by both limits, and the marks of it; left out where nothing limits them. */
		readonly allowedBytes?: number;
		readonly highBytes?: number;
		readonly lowBytes?: number;
	};
	/** Bytes by what keeps them: published, pinned, wanted, origin, in-use, and `free-to-go`. Each file counts once. */
	readonly byReason: Readonly<Record<string, number>>;
	/** All files: those that would go first, in that order, then those that stay. */
	readonly all: readonly StoredFile[];
	/** So many of the first would go if room were needed now; and why, in a sentence. */
	readonly next: {readonly files: number; readonly bytes: number; readonly because: string};
	readonly quarantine: readonly {
		readonly name: string;
		readonly size: number;
		readonly since: string;
		/** From the note beside it: the source, what was expected. */
		readonly note?: object;
	}[];
	readonly scrub: ScrubReport;
}

export interface ScrubReport {
	readonly running: boolean;
	/** Of the run that is under way, or the last. */
	readonly files: number;
	readonly filesDone: number;
	readonly bytes: number;
	readonly bytesDone: number;
	readonly wrong: number;
	readonly beganAt?: string;
	readonly endedAt?: string;
	/** When a file was last found right, before this start or after it. */
	readonly rightAt?: string;
	readonly nextAt?: string;
	/** Published files that are wrong on our own disk, and for which there is no other. */
	readonly damaged: readonly {
		readonly uuid: string;
		readonly name: string;
		readonly sha1: string;
		readonly since: string;
	}[];
}

/** One line of `verify`'s progress. */
export type VerifyEvent =
	| {readonly what: 'begin'; readonly files: number; readonly bytes: number}
	| {readonly what: 'progress'; readonly bytesDone: number}
	| {
			readonly what: 'file';
			readonly sha1: string;
			readonly images: readonly {readonly uuid: string; readonly name: string; readonly version: string}[];
			/** `refetching`: it was wrong, is in quarantine, and is being fetched anew; `lost`: it was wrong and nobody has another. */
			readonly outcome: 'right' | 'refetching' | 'lost' | 'unreadable' | 'gone';
			readonly problem?: string;
	  }
	| {readonly what: 'end'; readonly right: number; readonly wrong: number; readonly unreadable: number};

export interface EvictOutcome {
	readonly uuid: string;
	readonly bytes: number;
	/** Left out: it went. */
	readonly problem?: string;
}

export interface PinOutcome {
	readonly uuid: string;
	/** Itself and its origins, nearest first. */
	readonly chain: readonly {readonly uuid: string; readonly name?: string; readonly here: boolean}[];
	/** It was so already. */
	readonly unchanged: boolean;
}

export interface SourceReport {
	readonly name: string;
	readonly kind?: string;
	readonly urls: readonly string[];
	readonly images: number;
	readonly held: number;
	readonly vanished: number;
	readonly skipped: number;
	readonly reasons: readonly string[];
	readonly fetchedAt?: string;
	readonly ageMs?: number;
	readonly fresh: boolean;
	readonly nextTryAt?: string;
	readonly lastError?: string;
	/** Its last files were wrong, three or more and no right one between them: others are asked before it. */
	readonly wrongFiles?: true;
	readonly health: {
		readonly state: 'unknown' | 'up' | 'down';
		readonly since: string;
		readonly lastSuccessAt?: string;
		readonly lastFailureAt?: string;
		readonly lastError?: string;
		readonly consecutiveFailures: number;
		readonly latencyMs?: number;
		readonly requests: number;
		readonly failures: number;
		readonly marks: number;
		readonly lastMark?: string;
	};
}

export interface TransferReport {
	readonly image: {readonly uuid: string; readonly name: string; readonly version: string};
	readonly sha1?: string;
	readonly size: number;
	readonly written: number;
	readonly resumedFrom: number;
	readonly followers: number;
	readonly source?: string;
	/** For its turn. */
	readonly waiting: boolean;
	/** Fetched ahead: nobody waits for it. */
	readonly background: boolean;
	/** There is no room for it, or the disk fails: it goes to clients only. One file may be here several times then. */
	readonly passing?: boolean;
	readonly since: string;
	/** Lately. */
	readonly bytesPerSecond: number;
	readonly etaMs?: number;
}

export interface HeldReport {
	readonly uuid: string;
	readonly name: string;
	readonly version: string;
	readonly publishedAt?: string;
	readonly firstSeenAt?: string;
	readonly reasons: readonly HoldReason[];
}

export interface OperateApi {
	/** Every image we know, held ones included; sorted as lists are. Rows of images that did not change are the same objects. */
	rows(): Promise<readonly ImageRow[]>;
	/** Throws NotFoundError. */
	details(uuid: Uuid): Promise<ImageDetails>;
	transfers(): readonly TransferReport[];
	sources(): readonly SourceReport[];
	conflicts(): readonly object[];
	storage(): Promise<StorageReport>;
	/** Newest first: what failed lately, of whatever kind. */
	failures(): readonly MirrorEvent[];
	held(): readonly HeldReport[];

	/** Throws NotFoundError for an image nobody has. One that is not here yet is pinned all the same. */
	pin(uuid: Uuid, by: Operator, ask: Ask): Promise<PinOutcome>;
	unpin(uuid: Uuid, by: Operator): Promise<PinOutcome>;
	/** Deletes the files of images; they stay in the catalog. `force`: also what a rule wants or another image is built upon. */
	evict(uuids: readonly Uuid[], options: {readonly force: boolean}, by: Operator): Promise<readonly EvictOutcome[]>;
	/** Offered to nobody until released. */
	hold(uuid: Uuid, note: string | undefined, by: Operator, ask: Ask): Promise<HeldReport>;
	/** With its origins; offered at once, whatever its source's rule says. */
	release(uuid: Uuid, by: Operator, ask: Ask): Promise<readonly Uuid[]>;
	/** Throws NotFoundError for a name that is no source's. */
	refresh(source: string | undefined): Promise<readonly {readonly source: string; readonly problem?: string}[]>;
	/** Reads files again, now: those of some images, or all. `bytesPerSecond` 0: as fast as it goes. */
	verify(
		options: {readonly uuids: readonly Uuid[]; readonly bytesPerSecond: number},
		signal: AbortSignal,
	): AsyncGenerator<VerifyEvent, void, undefined>;
}
