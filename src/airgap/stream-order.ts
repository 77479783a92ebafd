/**
 * Whether a tar that comes as a stream is one of ours, whose order can be relied upon.
 *
 * In such a one, what has not come before the next image does not come at all. Of any other tar, that is known only at
 * its end, and everything until there has to be put aside.
 */
import type {Place} from './bundle-places.js';

export class StreamOrder {
	/** Manifests of images: where they stand in the index. */
	readonly #manifests = new Map<string, number>();
	#entries = 0;
	#last = -1;
	#isOurs = true;

	get isOurs(): boolean {
		return this.#isOurs;
	}

	/** Each entry of the tar as it comes. Of a bundle that was unpacked, even the dates are ours in another tool's tar. */
	see(place: Place | undefined, {isOurs}: {readonly isOurs: boolean}): void {
		const number = this.#entries++;
		const position = place?.what === 'blob' ? this.#manifests.get(place.digest) : undefined;
		if (position !== undefined) {
			this.#isOurs &&= position > this.#last;
			this.#last = position;
		} else if (place?.what === 'blob') {
			// In one of ours, each comes after the manifest that speaks of it.
			this.#isOurs &&= this.#last !== -1;
		}
		this.#isOurs &&= isOurs && isExpected(place, number);
	}

	/** Only looked through, as one of ours is written: of any other, nothing is known then, and nothing relied upon. */
	useIndex(bytes: Buffer): void {
		for (const [, digest = ''] of bytes.toString('latin1').matchAll(/"digest":"(sha256:[0-9a-f]{64})"/gu)) {
			this.#manifests.set(digest, this.#manifests.size);
		}
	}

	/** Whether that blob surely does not come, now that this has. */
	hasPassed(digest: string, arrived: Place | undefined): boolean {
		if (!this.#isOurs || arrived?.what !== 'blob') {
			return false;
		}
		const position = this.#manifests.get(arrived.digest);
		const wanted = this.#manifests.get(digest);
		return position !== undefined && (wanted === undefined || wanted < position);
	}
}

function isExpected(place: Place | undefined, number: number): boolean {
	switch (place?.what) {
		case 'layout':
			return number === 0;
		case 'index':
			return number === 1;
		case 'signature':
			return number === 2;
		case 'blob':
			return number >= 2;
		case undefined:
			return false;
	}
}
