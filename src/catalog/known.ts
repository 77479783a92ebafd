/**
 * What is known of the images of a source, as the memory keeps it and the rest of the catalog uses it.
 *
 * Shapes only. Times are milliseconds since the epoch on the host's clock.
 */
import type {Manifest} from '../image/manifest.js';
import type {SourceKind} from '../sources/source.js';

/** An image that was in the source's list and is there no more. */
export interface GoneImage {
	readonly manifest: Manifest;
	readonly vanishedAt: number;
	/** Out of our lists, but still found by uuid. */
	readonly hidden: boolean;
}

/** The last list that was read to its end. */
export interface KnownList {
	readonly fetchedAt: number;
	readonly skipped: number;
	readonly reasons: readonly string[];
	readonly kind: SourceKind | undefined;
	readonly listed: readonly Manifest[];
	readonly gone: readonly GoneImage[];
}

/** An image found by uuid that is in no list: the disabled origins of others live there. */
export interface LooseImage {
	readonly manifest: Manifest;
	/** When the source last answered for it. */
	readonly fetchedAt: number;
	/** Since when the source says that it has it no more. */
	readonly vanishedAt: number | undefined;
}

/**
 * Why a source does not have to be asked for an image. `absent`: it answered that it has not; `filtered`: the operator
 * does not want it from there; `broken`: its answer could not be used, which tells nothing.
 */
export interface Denial {
	readonly at: number;
	readonly why: 'absent' | 'filtered' | 'broken';
}

/** An image of which we hold a file. */
export interface HeldImage {
	readonly manifest: Manifest;
	/** The source it came from; that may be configured no more. */
	readonly source: string;
}
