/**
 * Whether the bytes of a file are the ones that were wanted. Pure; downloads and pass-through readers ask.
 */
import type {Digests} from './hashing.js';
import type {Wanted} from './partial.js';

/** What is wrong, in words; `undefined`: nothing. */
export function wrongness(wanted: Wanted, digests: Digests, contentMd5: string | undefined): string | undefined {
	if (wanted.sha1 !== undefined) {
		return differs('SHA-1', digests.sha1, wanted.sha1);
	}
	if (wanted.md5 !== undefined) {
		return differs('MD5', digests.md5, wanted.md5);
	}
	const told = contentMd5 === undefined ? undefined : Buffer.from(contentMd5, 'base64');
	// Some send hexadecimal there, or nothing that could be an MD5.
	if (told?.length === 16) {
		return differs('MD5', digests.md5, told.toString('hex'));
	}
	// Only the size is known, and that was counted.
	return undefined;
}

function differs(what: string, got: string | undefined, expected: string): string | undefined {
	return got === expected ? undefined : `${what} is ${got ?? 'unknown'}, should be ${expected}`;
}
