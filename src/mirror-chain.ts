/**
 * An image and those it is built upon, as far as they are known.
 */
import type {Manifest, Uuid} from './image/manifest.js';

/** More than this is no chain but a mistake, or a circle. */
const longestChain = 100;

/** Origins, nearest first; the last may be a uuid that `lookUp` does not know. Circles end where they close. */
export function originsOf<T extends {readonly manifest: Manifest}>(
	image: T,
	lookUp: (uuid: Uuid) => T | undefined,
): readonly (T | Uuid)[] {
	const origins: (T | Uuid)[] = [];
	const seen = new Set<Uuid>([image.manifest.uuid]);
	let next = image.manifest.origin;
	while (next !== undefined && !seen.has(next) && origins.length < longestChain) {
		seen.add(next);
		const found = lookUp(next);
		origins.push(found ?? next);
		next = found?.manifest.origin;
	}
	return origins;
}
