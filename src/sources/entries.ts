/**
 * The entries of a source's list, told apart into manifests and what cannot be used.
 *
 * Both protocols read their lists through it. One bad entry costs that entry: it is counted, the first few with a
 * reason, and the list goes on.
 */
import {IntegrityError, describe} from '../errors.js';
import {Slices} from '../host-slices.js';
import {manifestFromAny} from '../image/dataset.js';
import {splitJsonArray} from '../image/json-array.js';
import {isUuid, type Manifest} from '../image/manifest.js';
import {printable} from './failure.js';
import type {ListEnd} from './source.js';

/** A manifest with its tags; the reference allows 100 KiB of these. */
export const maxManifestBytes = 1024 * 1024;
/** All pages of a list together: twenty times the largest known. */
export const maxListBytes = 512 * 1024 * 1024;

const maxReasons = 10;

/** One element of the array. `text` is the source's own; it and `uuid` may be unknown where there is no manifest. */
export interface Entry {
	readonly uuid: string | undefined;
	readonly manifest: Manifest | undefined;
	readonly text: string | undefined;
	/** Why there is no manifest. */
	readonly reason: string;
}

export async function* readEntries(
	chunks: AsyncIterable<Uint8Array>,
	maxBytes: number,
): AsyncGenerator<Entry, undefined, undefined> {
	// Here, and not only where entries are used: of a list that is known already, none may be.
	const slices = new Slices();
	for await (const element of splitJsonArray(chunks, {maxElementBytes: maxManifestBytes, maxBytes})) {
		yield 'text' in element ? readEntry(element.text) : tooLarge(element.tooLarge);
		if (slices.over) {
			await slices.next();
		}
	}
	return undefined;
}

function readEntry(text: string): Entry {
	try {
		const manifest = manifestFromAny(text);
		return manifest.files.length > 0
			? {uuid: manifest.uuid, manifest, text, reason: ''}
			: {uuid: manifest.uuid, manifest: undefined, text, reason: `image ${manifest.uuid} has no files`};
	} catch (error) {
		// Whatever a hostile text can make a parser throw (a RangeError for depth, for one) is that entry's fault.
		const reason = error instanceof IntegrityError ? error.message : describe(error);
		return {uuid: uuidIn(text), manifest: undefined, text, reason: printable(reason)};
	}
}

function tooLarge(bytes: number): Entry {
	const reason = `an entry of ${bytes} bytes: more than ${maxManifestBytes}`;
	return {uuid: undefined, manifest: undefined, text: undefined, reason};
}

function uuidIn(text: string): string | undefined {
	try {
		const {uuid} = JSON.parse(text) as {uuid?: unknown};
		return isUuid(uuid) ? uuid : undefined;
	} catch {
		return undefined;
	}
}

/** What was left out of a list, and why. */
export class Skipped {
	#count = 0;
	#reasons: readonly string[] = [];

	add(reason: string): void {
		this.#count++;
		if (this.#reasons.length < maxReasons) {
			this.#reasons = [...this.#reasons, reason];
		}
	}

	get end(): ListEnd {
		return {skipped: this.#count, reasons: this.#reasons};
	}
}
