/**
 * Our own images as the catalog merges them: a list like a source's, always known and never old.
 *
 * The publish area stands behind it. What it says needs no memory, no refreshing and no backoff, and an image in any
 * state is in it: queries choose by state.
 */
import type {Manifest, Uuid} from '../image/manifest.js';
import type {MergeSource} from './merge.js';

export interface LocalImages {
	/** Sorted by `compareImages`. Another array after every change. */
	list(): readonly Manifest[];
	get(uuid: Uuid): Manifest | undefined;
}

/** No configured source may be called so. */
export const localName = 'local';

export function mergeLocal(local: LocalImages | undefined): readonly MergeSource[] {
	return local === undefined ? [] : [{name: localName, images: local.list(), hidden: [], get: uuid => local.get(uuid)}];
}
