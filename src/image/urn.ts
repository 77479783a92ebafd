/**
 * The names that DSAPI finds images by: `cloud:creator:name:version`, and its shortcuts.
 *
 * Most images have no `urn` of their own: theirs is computed from configured names. Names and versions may contain
 * colons, so nothing here takes a URN apart where comparing it whole will do.
 */
import {compareImages, type Manifest} from './manifest.js';

/** For URNs of images that have none. */
export interface DatasetNames {
	readonly cloudName: string;
	readonly creatorName: string;
}

/** The image's own URN if that has the four parts, else the computed one. */
export function urnOf(manifest: Manifest, names: DatasetNames): string {
	return ownUrn(manifest) ?? `${names.cloudName}:${names.creatorName}:${manifest.name}:${manifest.version}`;
}

/** The first two parts of the image's URN. */
export function namesInUrn(manifest: Manifest, names: DatasetNames): DatasetNames {
	const [cloudName = '', creatorName = ''] = ownUrn(manifest)?.split(':', 2) ?? [names.cloudName, names.creatorName];
	return {cloudName, creatorName};
}

/**
 * The newest of those images whose URN `id` names in full; else of those it names by `name:version` (under the
 * configured names), `cloud:creator:name`, or `name` (again under the configured names).
 */
export function findByUrn(id: string, images: Iterable<Manifest>, names: DatasetNames): Manifest | undefined {
	const underOurNames = `${names.cloudName}:${names.creatorName}:${id}`;
	let found: Manifest | undefined;
	let foundRank = Infinity;
	for (const image of images) {
		const urn = urnOf(image, names);
		if (!urn.startsWith(id) && !urn.startsWith(underOurNames)) {
			continue;
		}
		const name = nameOf(urn, image);
		const rank = [urn === id, urn === underOurNames, name === id, name === underOurNames].indexOf(true);
		if (rank === -1 || rank > foundRank) {
			continue;
		}
		if (found === undefined || rank < foundRank || compareImages(image, found) > 0) {
			found = image;
			foundRank = rank;
		}
	}
	return found;
}

function ownUrn({urn}: Manifest): string | undefined {
	if (urn === undefined) {
		return undefined;
	}
	const second = urn.indexOf(':') + 1;
	const third = urn.indexOf(':', second) + 1;
	return second > 0 && third > 0 && urn.includes(':', third) ? urn : undefined;
}

/** The URN without its version. */
function nameOf(urn: string, image: Manifest): string {
	const end = urn.endsWith(`:${image.version}`) ? urn.length - image.version.length - 1 : urn.lastIndexOf(':');
	return urn.slice(0, end);
}
