/**
 * The compression to declare for a file, from its first bytes or from what was said of it.
 */
import {MirrorError} from '../errors.js';
import {compressionOfMagic, contradiction, magicOf} from '../image/magic.js';
import type {Compression} from '../image/manifest.js';

export const compressions: readonly Compression[] = ['none', 'gzip', 'bzip2', 'xz'];

/** Throws MirrorError where the bytes say that it cannot be, or that no image server would take them. */
export function compressionFor(first: Uint8Array, declared: string | undefined): Compression {
	if (declared === undefined) {
		const magic = magicOf(first);
		const found = compressionOfMagic(magic);
		if (found === undefined) {
			throw new MirrorError(`the file is ${magic ?? 'of an unknown kind'}, which imgadm cannot unpack: use gzip or xz`);
		}
		return found;
	}
	const known = compressions.find(compression => compression === declared);
	if (known === undefined) {
		throw new MirrorError(`no compression is called ${JSON.stringify(declared)}: ${compressions.join(', ')} are known`);
	}
	const problem = contradiction(known, first);
	if (problem !== undefined) {
		throw new MirrorError(problem);
	}
	return known;
}
