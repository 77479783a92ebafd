/**
 * Which images of a source are wanted: include and exclude of its configuration as one predicate.
 *
 * The catalog applies it (and lets origins of wanted images pass). What a single pattern means is `image/glob.ts`'s.
 */
import {createGlob, type Glob} from '../image/glob.js';
import type {Manifest} from '../image/manifest.js';

/** Globs. An empty list says nothing. */
export interface ImagePatterns {
	readonly name: readonly string[];
	readonly os: readonly string[];
	readonly type: readonly string[];
	readonly owner: readonly string[];
	readonly uuid: readonly string[];
}

const fields = ['name', 'os', 'type', 'owner', 'uuid'] as const;

/** Wanted is what every field of `include` that says something allows, and no field of `exclude` names. */
export function createFilter(include: ImagePatterns, exclude: ImagePatterns): (manifest: Manifest) => boolean {
	const wanted = compile(include);
	const unwanted = compile(exclude);
	return manifest =>
		wanted.every(({field, globs}) => globs.some(glob => glob(manifest[field]))) &&
		!unwanted.some(({field, globs}) => globs.some(glob => glob(manifest[field])));
}

function compile(
	patterns: ImagePatterns,
): readonly {readonly field: (typeof fields)[number]; readonly globs: readonly Glob[]}[] {
	return fields
		.filter(field => patterns[field].length > 0)
		.map(field => ({field, globs: patterns[field].map(pattern => createGlob(pattern))}));
}
