/**
 * The files of a bundle in the order in which its tar has them.
 *
 * Pure, and the same on both sides of the wire: the server lays out the tar that it streams by it, the command line the
 * folder, the tar or the parts that it writes itself.
 */
import type {PlannedBlob} from './api.js';
import {blobPath, layoutText} from './oci-terms.js';

/** One file of a bundle. Of `text` and `blob`, the one that says where its bytes are. */
export type PlanEntry =
	| {readonly path: string; readonly size: number; readonly text: string; readonly blob?: undefined}
	| {readonly path: string; readonly size: number; readonly blob: PlannedBlob; readonly text?: undefined};

export const layoutPath = 'oci-layout';
export const indexPath = 'index.json';
export const signaturePath = 'index.json.sig';

/**
 * `blobs` as a plan's images name them, one after another. One that is named twice is there once, where it was named
 * first.
 */
export function planEntries(
	blobs: Iterable<PlannedBlob>,
	indexText: string,
	signature: string | undefined,
): readonly PlanEntry[] {
	return [...eachPlanEntry(blobs, indexText, signature)];
}

/** The same one by one, for those who do other work in between. */
export function* eachPlanEntry(
	blobs: Iterable<PlannedBlob>,
	indexText: string,
	signature: string | undefined,
): Generator<PlanEntry, void, undefined> {
	yield textEntry(layoutPath, layoutText);
	yield textEntry(indexPath, indexText);
	if (signature !== undefined) {
		yield textEntry(signaturePath, signature);
	}
	const named = new Set<string>();
	for (const blob of blobs) {
		if (!named.has(blob.digest)) {
			named.add(blob.digest);
			yield {path: blobPath(blob.digest), size: blob.size, blob};
		}
	}
}

function textEntry(path: string, text: string): PlanEntry {
	return {path, size: Buffer.byteLength(text), text};
}
