/**
 * What a rule says, and which images it is true of, taken one by one.
 *
 * A rule of the configuration and a one-off selection come to the same `Choosing`. How many of these images are taken,
 * and what comes along with them, is `select.ts`'s.
 */
import {createGlob, type Glob} from '../image/glob.js';
import type {Manifest, Uuid} from '../image/manifest.js';
import type {AheadImage} from '../mirror-ahead-api.js';
import type {DayWindow, Schedule} from './schedule.js';
import {versionMatcher} from './versions.js';

/** Globs. An empty list says nothing. */
export interface ImagePatterns {
	readonly name: readonly string[];
	readonly os: readonly string[];
	readonly type: readonly string[];
	readonly owner: readonly string[];
	readonly uuid: readonly string[];
}

/** Which images: everything that is said must be true of one. */
export interface Choosing {
	/** Names; empty: all. */
	readonly sources: readonly string[];
	readonly include: ImagePatterns;
	readonly exclude: ImagePatterns;
	/** A range as npm has them, or a glob; `undefined`: every version. */
	readonly version: string | undefined;
	/** So many of each name, by date of publication; `undefined`: all. */
	readonly newest: number | undefined;
	/** Not published before; either or both. */
	readonly publishedSinceMs: number | undefined;
	readonly publishedWithinMs: number | undefined;
	/** The newest that fit in, origins included; Infinity: no bound. */
	readonly maxBytes: number;
	/** These alone, and also those that are not active; `undefined`: of all that are offered. */
	readonly uuids?: readonly Uuid[] | undefined;
}

/** A rule of the configuration. */
export interface PrefetchRule extends Choosing {
	readonly name: string;
	readonly schedule: Schedule;
	/** When it may fetch; `undefined`: at any time. */
	readonly window: DayWindow | undefined;
	/** Bytes per second of all that this rule fetches; 0: no limit. */
	readonly bandwidth: number;
}

export const noPatterns: ImagePatterns = Object.freeze({name: [], os: [], type: [], owner: [], uuid: []});

/** In the order in which they are told. */
export const patternFields = ['name', 'os', 'type', 'owner', 'uuid'] as const;

type Test = (image: AheadImage) => boolean;

/**
 * Whether a rule is about an image, its count and its size aside.
 *
 * `isSilent` tells of a source that offers nothing at all at present: it is away, or was not asked yet. What is only
 * here may well be its, and is not to be lost for that.
 */
export function matcher(what: Choosing, nowMs: number, isSilent: (source: string) => boolean): Test {
	const tests: Test[] = [];
	if (what.sources.length > 0) {
		const wanted = new Set(what.sources);
		const isSomeSilent = what.sources.some(isSilent);
		tests.push(({sources}) => (sources.length === 0 ? isSomeSilent : sources.some(source => wanted.has(source))));
	}
	// Later than either says.
	const sinceMs = Math.max(what.publishedSinceMs ?? 0, nowMs - (what.publishedWithinMs ?? Infinity));
	if (sinceMs > 0) {
		tests.push(({manifest}) => manifest.publishedMs >= sinceMs);
	}
	for (const field of patternFields) {
		const include = anyOf(what.include[field]);
		const exclude = anyOf(what.exclude[field]);
		if (include !== undefined) {
			tests.push(({manifest}) => include(manifest[field]));
		}
		if (exclude !== undefined) {
			tests.push(({manifest}) => !exclude(manifest[field]));
		}
	}
	if (what.version !== undefined) {
		const isMeant = remembered(versionMatcher(what.version));
		tests.push(({manifest}) => isMeant(manifest.version));
	}
	return image => tests.every(test => test(image));
}

/** When an image that the rule is about now will be too old for it; Infinity: never. */
export function expiryMs({publishedWithinMs}: Choosing, {publishedMs}: Manifest): number {
	// At the very instant it is still within.
	return publishedWithinMs === undefined ? Infinity : publishedMs + publishedWithinMs + 1;
}

function anyOf(patterns: readonly string[]): Glob | undefined {
	if (patterns.length === 0) {
		return undefined;
	}
	const globs = patterns.map(pattern => createGlob(pattern));
	return remembered(text => globs.some(glob => glob(text)));
}

/** Thousands of images share few names and versions. Lives as long as one choice takes. */
function remembered(test: (text: string) => boolean): Glob {
	const known = new Map<string, boolean>();
	return text => {
		let is = known.get(text);
		if (is === undefined) {
			is = test(text);
			known.set(text, is);
		}
		return is;
	};
}
