/**
 * What the disk holds, by the name of images: for the treemap and the table that says the same. Pure.
 */
import type {StoredFile} from '../mirror-operate-api.js';

export interface StorageGroup {
	readonly name: string;
	readonly bytes: number;
	/** Of these, bytes that stay. */
	readonly keptBytes: number;
	readonly files: readonly StoredFile[];
	/** How many names stand here together, for the last one of many. */
	readonly names: number;
}

export const noName = 'of no image';

/** Largest first; the small ones behind `most` as one. */
export function groupsOf(files: readonly StoredFile[], most: number): readonly StorageGroup[] {
	const byName = new Map<string, StoredFile[]>();
	for (const file of files) {
		const name = file.images[0]?.name ?? noName;
		const list = byName.get(name);
		if (list === undefined) {
			byName.set(name, [file]);
		} else {
			list.push(file);
		}
	}
	const groups = [...byName]
		.map(([name, list]) => groupOf(name, list, 1))
		.filter(({bytes}) => bytes > 0)
		.sort((one, other) => other.bytes - one.bytes || (one.name < other.name ? -1 : 1));
	if (groups.length <= most) {
		return groups;
	}
	const rest = groups.slice(most - 1);
	return [
		...groups.slice(0, most - 1),
		groupOf(
			'others',
			rest.flatMap(group => group.files),
			rest.length,
		),
	];
}

/** `kept`: none of it may go; `free`: all of it may; `mixed`: some. */
export function kindOf({bytes, keptBytes}: StorageGroup): 'kept' | 'mixed' | 'free' {
	return keptBytes === 0 ? 'free' : keptBytes === bytes ? 'kept' : 'mixed';
}

function groupOf(name: string, files: readonly StoredFile[], names: number): StorageGroup {
	const sum = (some: readonly StoredFile[]): number => some.reduce((bytes, {size}) => bytes + size, 0);
	return {name, names, files, bytes: sum(files), keptBytes: sum(files.filter(({stays}) => stays.length > 0))};
}
