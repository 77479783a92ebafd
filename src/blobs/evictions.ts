/**
 * Deletes the files that were chosen, and tells of it: events, counters, a line in the log for each run.
 *
 * `Keeper` chooses. Until a file's turn comes somebody may have begun to read it or have pinned it: then it stays, and
 * with it what it is built upon.
 */
import {describe} from '../errors.js';
import type {EventImage, Host} from '../host.js';
import type {Sha1, Uuid} from '../image/manifest.js';
import type {Judgement} from './eviction.js';
import type {HeldImages} from './held-images.js';
import type {Verdict} from './keep-facts.js';

/** For the counters: `limit` and `floor` made room, `age` was unused for too long. */
export type EvictionReason = 'limit' | 'floor' | 'age' | 'operator';

export interface EvictionRun {
	readonly judgement: Judgement;
	/** In the order of going. */
	readonly victims: readonly Verdict[];
	readonly reason: EvictionReason;
	/** A user's name. */
	readonly by?: string | undefined;
	/** Asked before each file: somebody has something more urgent, or knows better by now. */
	readonly mayPause?: () => boolean;
}

export interface EvictionResult {
	readonly gone: ReadonlySet<Sha1>;
	readonly bytes: number;
	/** Why some stayed. */
	readonly problems: ReadonlyMap<Sha1, string>;
	readonly wasPaused: boolean;
}

export class Evictions {
	readonly #host: Host;
	readonly #images: HeldImages;
	readonly #delete: (sha1: Sha1) => Promise<boolean>;

	constructor(options: {
		readonly host: Host;
		readonly images: HeldImages;
		/** False: it may not go any more, or is gone. */
		readonly delete: (sha1: Sha1) => Promise<boolean>;
	}) {
		this.#host = options.host;
		this.#images = options.images;
		this.#delete = options.delete;
	}

	/** Throws nothing. */
	async run({judgement, victims, reason, by, mayPause = () => false}: EvictionRun): Promise<EvictionResult> {
		const gone = new Set<Sha1>();
		const problems = new Map<Sha1, string>();
		let bytes = 0;
		let wasPaused = false;
		for (const verdict of victims) {
			const {sha1, size} = verdict;
			if (problems.has(sha1)) {
				continue;
			}
			if (mayPause()) {
				wasPaused = true;
				break;
			}
			// Before it goes: the manifests beside it go with it.
			const images = this.#imagesOf(verdict);
			const problem = await this.#letGo(sha1);
			if (problem === undefined) {
				gone.add(sha1);
				bytes += size;
				this.#tell(images, sha1, size, reason, by);
				continue;
			}
			problems.set(sha1, problem);
			for (const {file} of judgement.files.get(sha1)?.needs ?? []) {
				problems.set(file.blob.sha1, 'what is built upon it is in use just now');
			}
		}
		if (gone.size > 0) {
			this.#host.metrics.evictions.inc({reason}, gone.size);
			this.#host.metrics.evictedBytes.inc({reason}, bytes);
			this.#host.log.info({files: gone.size, bytes, reason, by}, 'files were evicted');
		}
		return {gone, bytes, problems, wasPaused};
	}

	/** `undefined`: it is gone. */
	async #letGo(sha1: Sha1): Promise<string | undefined> {
		try {
			return (await this.#delete(sha1)) ? undefined : 'it is in use just now';
		} catch (error) {
			this.#host.metrics.diskErrors.inc({code: (error as NodeJS.ErrnoException).code ?? 'unknown'});
			this.#host.log.error({sha1, problem: describe(error)}, 'a file that was to go could not be deleted');
			return `it could not be deleted: ${describe(error)}`;
		}
	}

	#imagesOf({sha1, images}: Verdict): readonly EventImage[] {
		const found = new Map<Uuid, EventImage>();
		for (const {uuid, name, version} of images) {
			found.set(uuid, {uuid, name, version, public: false});
		}
		// Only a manifest tells who may know of an image.
		for (const {manifest} of this.#images.with(sha1)) {
			const {uuid, name, version, public: isPublic} = manifest;
			found.set(uuid, {uuid, name, version, public: isPublic});
		}
		return [...found.values()];
	}

	#tell(
		images: readonly EventImage[],
		sha1: Sha1,
		bytes: number,
		reason: EvictionReason,
		by: string | undefined,
	): void {
		for (const image of images) {
			this.#host.events.emit('image.evicted', {image, sha1, bytes, by: by ?? reason, more: {reason}});
		}
	}
}
