/**
 * Who waits for whom: an image comes after the one it is built upon, in whatever order a bundle has them.
 *
 * An import tells what it has read of the index and how each image ended; images ask how their origin stands, and are
 * answered as soon as that is sure. An index of ours is tagged with uuids, so an origin that it does not have is known to
 * be missing at once; tags of other tools may be anything, and everything has to be read first.
 */
import {isUuid} from '../image/manifest.js';

/**
 * `here`: it has been imported, or was here as it came. `unreadable`: it is not in the bundle, or one of those of which
 * not even the uuid can be read. `circle`: following origins leads back. `stopped`: the import ends.
 */
export type Standing = 'here' | 'failed' | 'absent' | 'unreadable' | 'circle' | 'stopped';

interface Waiting {
	readonly uuid: string;
	readonly origin: string;
	readonly answer: (standing: Standing) => void;
}

export class Origins {
	readonly #ended = new Map<string, 'here' | 'failed'>();
	/** Read, and on their way. */
	readonly #open = new Set<string>();
	/** Not read yet: by uuid, how many have it for a tag. */
	readonly #tagged = new Map<string, number>();
	/** Not read yet, and may be any image. */
	#untagged = 0;
	#unreadable = 0;
	/** By the origin that they wait for. */
	readonly #waiting = new Map<string, Waiting[]>();
	readonly #originOf = new Map<string, string>();
	#isStopped = false;

	/** `tags`: what the index calls its images. */
	constructor(tags: Iterable<string>) {
		for (const tag of tags) {
			if (isUuid(tag)) {
				this.#tagged.set(tag, (this.#tagged.get(tag) ?? 0) + 1);
			} else {
				this.#untagged++;
			}
		}
	}

	/** What that tag stands for is known from now on, and on its way. */
	read(tag: string, uuid: string): void {
		if (this.#ended.get(uuid) !== 'here') {
			this.#open.add(uuid);
		}
		this.passOver(tag);
	}

	/** What that tag stands for cannot be read. It says, here and there, that it is one of these. */
	spoiled(tag: string, uuids: readonly string[]): void {
		for (const uuid of uuids) {
			if (!this.#open.has(uuid) && !this.#ended.has(uuid)) {
				this.#ended.set(uuid, 'failed');
			}
		}
		if (uuids.length === 0) {
			this.#unreadable++;
		}
		this.passOver(tag);
		for (const uuid of uuids) {
			this.#answer(uuid);
		}
	}

	/** What that tag stands for is no image, or one for which another entry answers. */
	passOver(tag: string): void {
		if (!isUuid(tag)) {
			this.#untagged--;
			if (this.#untagged === 0) {
				this.#answerAll();
			}
			return;
		}
		const left = (this.#tagged.get(tag) ?? 0) - 1;
		if (left > 0) {
			this.#tagged.set(tag, left);
		} else {
			this.#tagged.delete(tag);
			this.#answer(tag);
		}
	}

	/** The image has been imported, or could not be. */
	end(uuid: string, isHere: boolean): void {
		this.#open.delete(uuid);
		this.#ended.set(uuid, isHere ? 'here' : 'failed');
		this.#answer(uuid);
	}

	/** How the last image of that uuid ended that has ended. */
	outcome(uuid: string): 'here' | 'failed' | undefined {
		return this.#ended.get(uuid);
	}

	/** It could not be imported, and nothing that is to come can make up for it. */
	hasFailed(uuid: string): boolean {
		return this.#standing(uuid) === 'failed';
	}

	/** Resolves once it is known how the origin of that image stands. */
	of(uuid: string, origin: string): Promise<Standing> {
		const known = this.#standing(origin) ?? (this.#leadsTo(origin, uuid) ? 'circle' : undefined);
		if (known !== undefined) {
			return Promise.resolve(known);
		}
		return new Promise(answer => {
			this.#originOf.set(uuid, origin);
			const waiting = this.#waiting.get(origin) ?? [];
			waiting.push({uuid, origin, answer});
			this.#waiting.set(origin, waiting);
		});
	}

	/** Nobody gets another answer any more. */
	stop(): void {
		this.#isStopped = true;
		this.#answerAll();
	}

	/** `undefined`: it is on its way, or may be still to come. */
	#standing(uuid: string): Standing | undefined {
		if (this.#isStopped) {
			return 'stopped';
		}
		const ended = this.#ended.get(uuid);
		if (ended === 'here') {
			return ended;
		}
		if (this.#open.has(uuid) || this.#tagged.has(uuid) || this.#untagged > 0) {
			return undefined;
		}
		return ended ?? (this.#unreadable > 0 ? 'unreadable' : 'absent');
	}

	/** Only those that wait are in a circle that will never open. */
	#leadsTo(from: string, uuid: string): boolean {
		const seen = new Set<string>();
		for (let next: string | undefined = from; next !== undefined && !seen.has(next); next = this.#originOf.get(next)) {
			if (next === uuid) {
				return true;
			}
			seen.add(next);
		}
		return false;
	}

	#answer(origin: string): void {
		const waiting = this.#waiting.get(origin);
		const standing = waiting === undefined ? undefined : this.#standing(origin);
		if (waiting === undefined || standing === undefined) {
			return;
		}
		this.#waiting.delete(origin);
		for (const {uuid, answer} of waiting) {
			this.#originOf.delete(uuid);
			answer(standing);
		}
	}

	#answerAll(): void {
		for (const origin of [...this.#waiting.keys()]) {
			this.#answer(origin);
		}
	}
}
