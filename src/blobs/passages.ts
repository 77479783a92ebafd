/**
 * The files that are on their way past the disk, so that whoever wants the same bytes of one finds who has them.
 */
import type {FlightStatus} from './flight-status.js';
import {Passage} from './passage.js';
import type {PassageKeeper, PassageOptions, Rider} from './passage-options.js';
import type {Wanted} from './partial.js';

/** What all passages together keep, apart from what each has just taken, and the most that one does. */
const [keptUnlessSaid, mostBytes] = [33_554_432, 16_777_216];

export class Passages {
	readonly #passages = new Map<string, Set<Passage>>();
	readonly #keptBytes: number;
	#count = 0;

	constructor(options: {readonly keptBytes?: number} = {}) {
		this.#keptBytes = options.keptBytes ?? keptUnlessSaid;
	}

	/** How many there are. */
	get count(): number {
		return this.#count;
	}

	/** Gives the rider a passage that has what it needs next: one that is under way, or else a new one. It must leave it. */
	board(rider: Rider, options: PassageOptions): Passage {
		const name = nameOf(options.wanted);
		for (const passage of this.#passages.get(name) ?? []) {
			if (passage.board(rider, options.onDisk)) {
				return passage;
			}
		}
		return Passage.begin(rider, options, this.#keeperOf(name));
	}

	status(): readonly FlightStatus[] {
		return this.#all.map(passage => passage.status());
	}

	get #all(): readonly Passage[] {
		return [...this.#passages.values()].flatMap(underWay => [...underWay]);
	}

	#keeperOf(name: string): PassageKeeper {
		const keepBytes = (): number => Math.min(mostBytes, this.#keptBytes / this.#count);
		return {
			get keepBytes() {
				return keepBytes();
			},
			begun: passage => {
				this.#count++;
				this.#passages.set(name, (this.#passages.get(name) ?? new Set()).add(passage));
				// There is less for each now.
				for (const other of this.#all) {
					other.trim();
				}
			},
			over: passage => {
				this.#count--;
				const underWay = this.#passages.get(name);
				underWay?.delete(passage);
				if (underWay?.size === 0) {
					this.#passages.delete(name);
				}
			},
		};
	}
}

/** Without a SHA-1 the key is the image's, of which a manifest may say something else by now. */
function nameOf({key, size, md5}: Wanted): string {
	return `${key} ${size} ${md5 ?? ''}`;
}
