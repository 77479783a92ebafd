/**
 * Whom to ask for a file, in order.
 *
 * First the sources that have the image with this very file, then those that have the same file under another image's
 * name: the digest is known before, so any of them may begin, or go on with, what another has begun.
 */
import type {ImageFile, Manifest, Sha1, Uuid} from '../image/manifest.js';
import type {Source} from '../sources/source.js';

export interface Supplier {
	readonly source: Source;
	/** As that source has it: its manifest, and which of its files. */
	readonly manifest: Manifest;
	readonly index: number;
}

export interface SupplyingSource {
	readonly source: Source;
	/** It is not to be asked now; still better than nobody. */
	readonly resting: boolean;
	/** Listed, gone or found by uuid. */
	readonly get: (uuid: Uuid) => Manifest | undefined;
}

/** One source is asked for the same bytes under so many names at most. */
const maxTwins = 4;

export function suppliersFor(
	manifest: Manifest,
	index: number,
	sources: readonly SupplyingSource[],
	twins: ReadonlyMap<Sha1, ReadonlySet<Uuid>>,
): readonly Supplier[] {
	const file = manifest.files[index];
	if (file === undefined) {
		return [];
	}
	const ordered = [...sources.filter(({resting}) => !resting), ...sources.filter(({resting}) => resting)];
	const suppliers: Supplier[] = [];
	for (const {source, get} of ordered) {
		const theirs = get(manifest.uuid);
		if (theirs !== undefined && isSameFile(file, theirs.files[index])) {
			suppliers.push({source, manifest: theirs, index});
		}
	}
	const {sha1} = file;
	if (sha1 === undefined) {
		return suppliers;
	}
	for (const {source, get} of ordered) {
		let found = 0;
		for (const uuid of twins.get(sha1) ?? []) {
			const theirs = uuid === manifest.uuid ? undefined : get(uuid);
			const at = theirs?.files.findIndex(candidate => candidate.sha1 === sha1) ?? -1;
			if (theirs !== undefined && at !== -1 && found < maxTwins) {
				suppliers.push({source, manifest: theirs, index: at});
				found++;
			}
		}
	}
	// Nobody lists it any more. Whoever answers with these bytes has it all the same; the digest tells.
	return suppliers.length > 0 ? suppliers : ordered.map(({source}) => ({source, manifest, index}));
}

function isSameFile(a: ImageFile, b: ImageFile | undefined): boolean {
	if (b === undefined) {
		return false;
	}
	if (a.sha1 === b.sha1 && a.sha1 !== undefined) {
		return true;
	}
	// Old DSAPI manifests have no sha1. What else they say must not differ; and where ours has none either, theirs must
	// have none: nothing would tell that it is another file.
	return b.sha1 === undefined && a.size === b.size && (a.sha1 !== undefined || a.md5 === b.md5);
}
