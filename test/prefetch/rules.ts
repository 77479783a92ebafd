/**
 * Rules for tests: everything there is, once a day, but for what a test is about.
 */
import {noPatterns, type ImagePatterns, type PrefetchRule} from '../../src/prefetch/rule.js';

export const minuteMs = 60_000;
export const hourMs = 60 * minuteMs;
export const dayMs = 24 * hourMs;

export function rule(
	more: Partial<Omit<PrefetchRule, 'include' | 'exclude'>> & {
		readonly include?: Partial<ImagePatterns>;
		readonly exclude?: Partial<ImagePatterns>;
	} = {},
): PrefetchRule {
	return {
		name: 'all',
		sources: [],
		version: undefined,
		newest: undefined,
		publishedSinceMs: undefined,
		publishedWithinMs: undefined,
		maxBytes: Infinity,
		schedule: {kind: 'every', everyMs: dayMs},
		window: undefined,
		bandwidth: 0,
		...more,
		include: {...noPatterns, ...more.include},
		exclude: {...noPatterns, ...more.exclude},
	};
}
