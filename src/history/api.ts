/**
 * The last hours in numbers, as HTTP serves them and the page draws them.
 *
 * Plain data that goes over the wire as it is. A stretch in which the mirror did not run, or its clock jumped, has no
 * points: a line breaks there.
 */

/** Where the bytes of a file came from, as `x-cache` says it. */
export type CacheWord = 'hit' | 'join' | 'miss' | 'stale' | 'local' | 'pass';

/** What happened in the step that ends at `at`. What is 0 is left out of `out`, `in` and `files`. */
export interface HistoryPoint {
	/** ISO 8601. */
	readonly at: string;
	/** How long the step really was: divide by it for rates. */
	readonly ms: number;
	readonly requests: number;
	/** Of these, those answered with 500 and above. */
	readonly errors: number;
	/** File bytes to clients, by where they came from. */
	readonly out: Readonly<Partial<Record<CacheWord, number>>>;
	/** File bytes from sources, by name. */
	readonly in: Readonly<Record<string, number>>;
	/** Requests for files, by where the bytes came from. */
	readonly files: Readonly<Partial<Record<CacheWord, number>>>;
	/** At its end. */
	readonly connections: number;
	readonly storeBytes: number;
}

export type SourceState = 'unknown' | 'up' | 'down';

export interface SourcePoint {
	readonly at: string;
	readonly state: SourceState;
	/** Smoothed; left out where nothing has been asked yet. */
	readonly latencyMs?: number;
	/** Of its list; left out where there is none. */
	readonly ageMs?: number;
}

export interface SourceChange {
	readonly at: string;
	readonly state: SourceState;
	readonly problem?: string;
}

export interface SourceHistory {
	readonly points: readonly SourcePoint[];
	/** Oldest first; also what it was when the time asked for began, if that is known. */
	readonly changes: readonly SourceChange[];
}

export interface HistoryReport {
	/** Usual length of a step: a minute for a day, ten for longer. */
	readonly stepMs: number;
	/** ISO 8601: what was asked for, whether or not there are points for all of it. */
	readonly from: string;
	readonly to: string;
	/** Oldest first. */
	readonly points: readonly HistoryPoint[];
	readonly sources: Readonly<Record<string, SourceHistory>>;
}

export interface HistoryApi {
	/** The last hours, at most a week. */
	report(hours: number): HistoryReport;
}
