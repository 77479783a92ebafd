/**
 * A source as the catalog needs it: what is configured of it, and how it is.
 */
import type {Manifest} from '../image/manifest.js';
import type {Source} from '../sources/source.js';
import type {Health} from './availability.js';

/** What to do with an image that is in the source's list no more; see `gone-images.ts`. */
export type Vanished = 'keep' | 'hide' | 'drop';

/** An image is held back while any of the clocks has not run out. */
export interface HoldRule {
	/** Since its `published_at`; 0: at once. */
	readonly publishedMs: number;
	/** Since we saw it first; 0: at once. */
	readonly seenMs: number;
	/** Only after an operator released it. */
	readonly untilReleased: boolean;
}

export interface CatalogSource {
	readonly source: Source;
	/** How long a list is fresh. */
	readonly listTtlMs: number;
	/** How long the manifest of an image that is in no list is fresh. */
	readonly imageTtlMs: number;
	/** How long a 404 is remembered. */
	readonly missingTtlMs: number;
	/** How long the last answer is used while the source fails. */
	readonly keepForMs: number;
	readonly vanished: Vanished;
	/** When its images are offered; left out: at once. */
	readonly hold?: HoldRule;
	/** Whether the operator wants this image from this source. */
	readonly matches: (manifest: Manifest) => boolean;
	/** What whoever watches the source has seen. */
	readonly health?: () => Health;
}
