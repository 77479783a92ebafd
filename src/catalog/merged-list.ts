/**
 * The one list out of all sources, made anew whenever something in them changes.
 *
 * Whoever changes something calls `changed` and goes on, or waits for `settled`; what changes in the same breath is
 * merged once. Which images are offered is `offers.ts`, how lists become one `merge.ts`.
 */
import type {Host} from '../host.js';
import {turnFor} from '../host-slices.js';
import {isActive, type Uuid} from '../image/manifest.js';
import {ConflictLog} from './conflict-log.js';
import type {HeldImage} from './known.js';
import {mergeLocal, type LocalImages} from './local-images.js';
import {merge, nothingMerged, type Merged} from './merge.js';
import type {News} from './news.js';
import type {ListedSource, Offers} from './offers.js';
import type {HeldImages} from './options.js';
import type {SourceList} from './source-list.js';
import {updateGauges} from './status.js';

export class MergedList {
	readonly #host: Host;
	readonly #held: HeldImages;
	readonly #local: LocalImages | undefined;
	readonly #offers: Offers;
	readonly #news: News;
	readonly #lists: () => readonly SourceList[];
	readonly #conflictLog: ConflictLog;
	#merged: Merged = nothingMerged;
	#heldByUuid: ReadonlyMap<Uuid, HeldImage> = new Map();
	/** The held images that are in the merged list for want of a source. */
	#mergedOrphans: readonly HeldImage[] = [];
	#version = 0;
	#changes = 0;
	#isDirty = false;
	#merging: Promise<void> | undefined;

	constructor(parts: {
		host: Host;
		held: HeldImages;
		local: LocalImages | undefined;
		offers: Offers;
		news: News;
		lists: () => readonly SourceList[];
	}) {
		this.#host = parts.host;
		this.#held = parts.held;
		this.#local = parts.local;
		this.#offers = parts.offers;
		this.#news = parts.news;
		this.#lists = parts.lists;
		this.#conflictLog = new ConflictLog(parts.host);
	}

	get merged(): Merged {
		return this.#merged;
	}

	/** Another number for every other list. */
	get version(): number {
		return this.#version;
	}

	/** Another number whenever anything may be other that is known of any image. */
	get changes(): number {
		return this.#changes;
	}

	/** An image of which we hold a file. */
	held(uuid: Uuid): HeldImage | undefined {
		return this.#heldByUuid.get(uuid);
	}

	/** Something is known now that is in no list. */
	touch(): void {
		this.#changes++;
	}

	changed(): void {
		this.#isDirty = true;
		this.#merging ??= this.#merge().finally(() => {
			this.#merging = undefined;
			if (this.#isDirty) {
				this.changed();
			}
		});
	}

	/** What we hold on disk is other than before. */
	heldChanged(): void {
		const held = [...this.#held.list()];
		this.#heldByUuid = new Map(held.map(image => [image.manifest.uuid, image]));
		const orphans = this.#orphans(held);
		const isSame = ({manifest}: HeldImage, at: number): boolean => manifest === this.#mergedOrphans[at]?.manifest;
		// Mostly it is a file of an image that some source lists, and the list stays as it is.
		if (orphans.length !== this.#mergedOrphans.length || !orphans.every(isSame)) {
			this.changed();
		}
	}

	/** Resolves when everything that has happened is in the list. */
	async settled(): Promise<void> {
		while (this.#merging !== undefined) {
			await this.#merging;
		}
	}

	async #merge(): Promise<void> {
		// What changes in the same breath is merged once.
		await Promise.resolve();
		// Whoever has just taken over a long list was long about it.
		await turnFor(Math.max(0, ...this.#lists().map(({images}) => images.length)));
		while (this.#isDirty) {
			this.#isDirty = false;
			const held = [...this.#held.list()];
			const orphans = this.#orphans(held);
			const before = this.#merged;
			this.#mergedOrphans = orphans;
			const local = mergeLocal(this.#local).map(source => ({...source, rule: undefined}));
			const known = this.#lists().filter(list => list.known);
			const offered = await this.#offers.split([...local, ...known.map(listed)], orphans);
			const merged = await merge(offered.sources, offered.orphans, before);
			this.#merged = merged;
			this.#heldByUuid = new Map(held.map(image => [image.manifest.uuid, image]));
			this.#changes++;
			if (merged.images !== before.images) {
				this.#version++;
			}
			this.#conflictLog.write(merged.conflicts);
			this.#news.merged(before, merged);
		}
		updateGauges(this.#host, this.#lists(), this.#merged);
	}

	/**
	 * Held images that no source answers for. One whose source has a list is in it, or gone from it, or kept out of it:
	 * the source's own list has already decided.
	 */
	#orphans(held: readonly HeldImage[]): readonly HeldImage[] {
		const lists = new Map(this.#lists().map(list => [list.name, list]));
		return held.filter(({manifest, source}) => {
			const list = lists.get(source);
			return isActive(manifest) && (list === undefined || (!list.known && list.entry.matches(manifest)));
		});
	}
}

function listed(list: SourceList): ListedSource {
	const {name, images, hidden, entry} = list;
	return {name, images, hidden, rule: entry.hold, get: uuid => list.get(uuid)};
}
