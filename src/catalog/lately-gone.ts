/**
 * Images that were in the list a moment ago.
 *
 * A client that reads the list page by page names the last image of a page to have the next one. The newest is always
 * the last, and it is the one that a publisher takes back: the list goes on from where it stood.
 */
import type {Clock} from '../host.js';
import {compareImages, type Manifest, type Uuid} from '../image/manifest.js';

const keptForMs = 10 * 60_000;
const mostKept = 1000;

export class LatelyGone {
	readonly #clock: Clock;
	readonly #gone = new Map<Uuid, {readonly image: Manifest; readonly untilMs: number}>();
	#images: readonly Manifest[] = [];

	constructor(clock: Clock) {
		this.#clock = clock;
	}

	/** The list as it is now. Both are sorted, and most images are the same objects. */
	see(images: readonly Manifest[]): void {
		const before = this.#images;
		if (images === before) {
			return;
		}
		this.#images = images;
		const untilMs = this.#clock.now() + keptForMs;
		// From the newest on: there may be more of them than are kept.
		let [at, left] = [images.length - 1, mostKept];
		for (let old = before.length - 1; old >= 0 && left > 0; old--) {
			const image = before[old];
			if (image === undefined || image === images[at]) {
				at--;
				continue;
			}
			while (at >= 0 && isBehind(images[at], image)) {
				at--;
			}
			if (images[at]?.uuid === image.uuid) {
				at--;
			} else {
				left--;
				this.#gone.delete(image.uuid);
				this.#gone.set(image.uuid, {image, untilMs});
			}
		}
		for (const [uuid, {untilMs: until}] of this.#gone) {
			if (this.#gone.size <= mostKept && until > this.#clock.now()) {
				return;
			}
			this.#gone.delete(uuid);
		}
	}

	image(uuid: Uuid): Manifest | undefined {
		const gone = this.#gone.get(uuid);
		return gone !== undefined && gone.untilMs > this.#clock.now() ? gone.image : undefined;
	}
}

function isBehind(one: Manifest | undefined, other: Manifest): boolean {
	return one !== undefined && compareImages(one, other) > 0;
}
