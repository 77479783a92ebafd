/**
 * What clients have had of a file that is fetched again, from the same source or another.
 *
 * It has to come as it came before: otherwise what they have is not what is hashed now, and the end of a right file would
 * make a wrong one whole.
 */
import type {Hash} from 'node:crypto';
import {IntegrityError} from '../errors.js';
import type {Batch} from './window.js';

interface Place {
	readonly at: number;
	/** Of all that came before it. */
	readonly digest: string;
}

export class HadBytes {
	/** Those that are still to come by. */
	#places: readonly Place[];

	constructor(places: readonly Place[] = []) {
		this.#places = places;
	}

	copy(): HadBytes {
		return new HadBytes(this.#places);
	}

	/** These are let go of, and somebody has had what comes before `at`. */
	note(at: number, batches: readonly Batch[]): void {
		const [oldest] = batches;
		if (oldest?.before === undefined || at <= oldest.from) {
			return;
		}
		const hash = oldest.before.copy();
		let left = at - oldest.from;
		for (const chunk of batches.flatMap(({chunks}) => chunks)) {
			const part = chunk.subarray(0, left);
			hash.update(part);
			left -= part.length;
		}
		this.#places = [{at, digest: hash.digest('hex')}, ...this.#places];
	}

	/** Adds what comes at `from` to the hash of all that came before it. Throws where it came otherwise before. */
	add(chunk: Buffer, from: number, hash: Hash): void {
		let done = 0;
		for (const {at, digest} of this.#places.filter(place => place.at <= from + chunk.length)) {
			hash.update(chunk.subarray(done, at - from));
			done = at - from;
			if (hash.copy().digest('hex') !== digest) {
				throw new IntegrityError('the file does not come as it came before, which is what clients have had of it');
			}
		}
		hash.update(chunk.subarray(done));
		this.#places = this.#places.filter(({at}) => at > from + chunk.length);
	}
}
