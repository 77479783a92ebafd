/**
 * The order of images in a bundle: each after the one it is built upon, otherwise by uuid.
 *
 * It depends on nothing but the images that there are. Take one away, with all that is built upon it, and the others
 * stay as they are.
 */

interface Related {
	readonly uuid: string;
	readonly origin?: string | undefined;
}

/** Those built upon nothing that is there, then those built upon these, and so on. Circles stand among the first. */
export function originsFirst<T extends Related>(images: readonly T[]): readonly T[] {
	const byUuid = new Map(images.map(image => [image.uuid, image]));
	const depths = new Map<string, number>();
	for (const image of images) {
		measure(image, byUuid, depths);
	}
	const levels: T[][] = [];
	for (const image of byUuid.values()) {
		(levels[depths.get(image.uuid) ?? 0] ??= []).push(image);
	}
	return levels.flatMap(level => level.sort((a, b) => (a.uuid < b.uuid ? -1 : 1)));
}

/** Depth of an image that is being measured. */
const unknownYet = -1;

/** How many images below each that leads to `image` by origins, it included. */
function measure(image: Related, byUuid: ReadonlyMap<string, Related>, depths: Map<string, number>): void {
	const path: Related[] = [];
	let next: Related | undefined = image;
	while (next !== undefined && !depths.has(next.uuid)) {
		depths.set(next.uuid, unknownYet);
		path.push(next);
		next = next.origin === undefined ? undefined : byUuid.get(next.origin);
	}
	let depth = next === undefined ? unknownYet : (depths.get(next.uuid) ?? unknownYet);
	if (next !== undefined && depth === unknownYet) {
		depth = 0;
		for (const {uuid} of path.splice(path.indexOf(next))) {
			depths.set(uuid, depth);
		}
	}
	for (const {uuid} of path.reverse()) {
		depth++;
		depths.set(uuid, depth);
	}
}
