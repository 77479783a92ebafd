/**
 * A source as the catalog needs it: what is configured of it, and how it is.
 */
import type {Manifest} from '../image/manifest.js';
import type {Source} from '../sources/source.js';
import type {Health} from './availability.js';

/** What to do with an image that is in the source's list no more; see `gone-images.ts`. */
export type Vanished = 'keep' | 'hide' | 'drop';

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
	/** Whether the operator wants this image from this source. */
	readonly matches: (manifest: Manifest) => boolean;
	/** What whoever watches the source has seen. */
	readonly health?: () => Health;
}
