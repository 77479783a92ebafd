/**
 * Fetching ahead, as HTTP and the command line ask for it.
 *
 * Rules of the configuration run by themselves; a one-off is a rule without a schedule. Everything is plain data that
 * goes over the wire as it is.
 */
import type {Uuid} from '../image/manifest.js';

/** Which images: everything that is said must be true of one. Globs as in the configuration. */
export interface Selection {
	readonly uuids?: readonly Uuid[];
	readonly sources?: readonly string[];
	readonly name?: readonly string[];
	readonly os?: readonly string[];
	readonly type?: readonly string[];
	readonly owner?: readonly string[];
	readonly version?: string;
	readonly newest?: number;
	/** ISO 8601. */
	readonly publishedSince?: string;
	readonly maxBytes?: number;
	/** The rule of that name in the configuration, instead of all the others. */
	readonly rule?: string;
}

export interface PlannedImage {
	readonly uuid: string;
	readonly name: string;
	readonly version: string;
	readonly size: number;
	readonly here: boolean;
	/** Not chosen itself: an origin of this one. */
	readonly originOf?: string;
}

export interface PrefetchPlan {
	/** Origins before what is built upon them. */
	readonly images: readonly PlannedImage[];
	readonly bytes: number;
	/** Of those that are not here. */
	readonly bytesToFetch: number;
	/** What sources have given lately; left out where nothing has been fetched yet. */
	readonly bytesPerSecond?: number;
	readonly ms?: number;
	/** Left out for want of room within `maxBytes`. */
	readonly leftOut: number;
	/** What cannot be had: chosen by uuid and unknown, or an origin that nobody has. */
	readonly missing: readonly {readonly uuid: string; readonly problem: string}[];
}

/** One line of a one-off's progress. */
export type PrefetchEvent =
	| {readonly what: 'plan'; readonly plan: PrefetchPlan}
	| {
			readonly what: 'image';
			readonly uuid: string;
			readonly name: string;
			readonly version: string;
			readonly bytes: number;
	  }
	| {readonly what: 'progress'; readonly uuid: string; readonly bytes: number}
	| {
			readonly what: 'done';
			readonly uuid: string;
			/** `uncached`: it came, and the disk did not take it. */
			readonly outcome: 'fetched' | 'there' | 'uncached' | 'failed';
			readonly problem?: string;
	  }
	| {
			readonly what: 'end';
			readonly fetched: number;
			readonly there: number;
			readonly failed: number;
			readonly bytes: number;
			readonly ms: number;
	  };

export interface RuleReport {
	readonly name: string;
	/** In words: what it chooses. */
	readonly chooses: string;
	readonly images: number;
	readonly imagesHere: number;
	readonly bytes: number;
	readonly bytesHere: number;
	readonly running: boolean;
	/** Its window is shut. */
	readonly waiting: boolean;
	readonly lastRunAt?: string;
	readonly lastProblem?: string;
	readonly nextRunAt?: string;
}

export interface PrefetchApi {
	rules(): readonly RuleReport[];
	/** Throws NotFoundError for a rule that is not there, InvalidParameterError for a selection that cannot be. */
	plan(selection: Selection): PrefetchPlan;
	/** Fetches it all; a one-off goes on where it was when it is asked for again. Ends with `signal`. */
	fetch(
		selection: Selection,
		options: {readonly bytesPerSecond: number; readonly concurrent: number},
		signal: AbortSignal,
	): AsyncGenerator<PrefetchEvent, void, undefined>;
	/** Runs a rule of the configuration now, whatever its schedule says. Throws NotFoundError. */
	run(rule: string): void;
}
