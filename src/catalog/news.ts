/**
 * What is new in the lists, told through `Host.events`, and noted as seen where holds go by it.
 *
 * Source lists tell what they have read, the catalog what it has merged. What was never there before (a first list, a
 * start) is no news; and where a whole catalog changes at once, the first images stand for the others.
 */
import {describe} from '../errors.js';
import type {EventAbout, EventImage, EventType, Host} from '../host.js';
import {inSlices, turnFor} from '../host-slices.js';
import type {Manifest, Uuid} from '../image/manifest.js';
import type {Holds} from './holds.js';
import type {HeldImage, KnownList} from './known.js';
import type {Merged} from './merge.js';
import type {Offers} from './offers.js';

/** A list that was read to its end, beside the one before. */
export interface ListChanges {
	readonly source: string;
	/** There was no list before. */
	readonly isFirst: boolean;
	/** Something is other than before. */
	readonly any: boolean;
	/** How many there are. */
	readonly images: number;
	readonly added: readonly Manifest[];
	/** Those of them that were in the list before, vanished and were known all the while. */
	readonly returned: ReadonlySet<Uuid>;
	readonly changed: readonly Manifest[];
	readonly removed: readonly Manifest[];
}

export interface KnownBesides {
	/** In the list, and filtered out. */
	readonly unwanted: ReadonlySet<Uuid>;
	/** Images from this source of which we have a file. */
	readonly held: readonly HeldImage[];
}

export interface RefreshedHow {
	readonly wasFailing: boolean;
	readonly skipped: number;
	readonly ms: number;
}

/** Events of one kind at a time; another one says how many images it stands for. */
const mostEvents = 100;

export class News {
	readonly #host: Host;
	readonly #holds: Holds;
	readonly #offers: Offers;
	/** Sources that were heard of for the first time since the last merge. */
	readonly #fresh = new Set<string>();
	/** Images that somebody has a word of his own for. */
	readonly #spokenFor = new Set<Uuid>();
	#merges = 0;

	constructor({host, holds, offers}: {host: Host; holds: Holds; offers: Offers}) {
		this.#host = host;
		this.#holds = holds;
		this.#offers = offers;
	}

	/** A list of the time before this start. What it has and nobody noted was seen then. */
	remembered(source: string, {listed, gone, fetchedAt}: KnownList): void {
		const sinceMs = Math.min(fetchedAt, this.#host.clock.now());
		const uuids = [...uuidsOf(listed), ...gone.map(({manifest}) => manifest.uuid)];
		if (this.#holds.firstSeen.knows(source)) {
			this.#holds.firstSeen.remember(source, uuids, sinceMs);
		} else {
			this.#noteList(source, uuids, sinceMs);
		}
	}

	/** To be called before `listed`: what was noted of a source is read in slices. */
	prepare(source: string): Promise<void> {
		return this.#holds.firstSeen.prepare(source);
	}

	/** It was found by uuid. Before there was a list, that is no beginning: nobody can tell what is new then. */
	found(source: string, uuid: Uuid): void {
		if (this.#holds.firstSeen.knows(source)) {
			this.#noteList(source, [uuid], this.#host.clock.now());
		}
	}

	/** A list has been read. `isElsewhere`: another source has the image, so it is not new to us. */
	listed(changes: ListChanges, {unwanted, held}: KnownBesides, isElsewhere: (uuid: Uuid) => boolean): void {
		const {source, isFirst, added, returned, changed, removed} = changes;
		if (this.#holds.firstSeen.knows(source)) {
			// Whatever the memory has lost: of what we have the file, we have seen before.
			this.#noteList(source, uuidsOf(held.map(({manifest}) => manifest)), undefined);
		}
		// What is not wanted now may be some day, and is not new then.
		this.#noteList(source, [...uuidsOf(added), ...unwanted], this.#host.clock.now());
		if (isFirst) {
			this.#fresh.add(source);
			return;
		}
		const fresh = added.filter(({uuid}) => !returned.has(uuid) && !isElsewhere(uuid));
		const gone = removed.filter(({uuid}) => !unwanted.has(uuid));
		this.#tell('image.new', fresh, {source});
		this.#tell('image.changed', changed, {source});
		this.#tell('image.vanished', gone, {source});
	}

	/** After every list; only those in which something is other, or that end a time without, are worth an event. */
	refreshed(changes: ListChanges, {wasFailing, skipped, ms}: RefreshedHow): void {
		const {source, any, images} = changes;
		const [added, removed, changed] = [changes.added.length, changes.removed.length, changes.changed.length];
		this.#host.log[any ? 'info' : 'debug'](
			{source},
			`source ${source}: list of ${images} images, +${added} -${removed} ~${changed}, ${skipped} skipped, in ${ms} ms`,
		);
		if (any || wasFailing) {
			this.#host.events.emit('source.refreshed', {source, more: {images, added, removed, changed, ms}});
		}
	}

	/** Forgets when images were seen that have long been gone, in slices. */
	async sweep(source: string, isThere: (uuid: Uuid) => boolean, signal: AbortSignal): Promise<void> {
		try {
			await turnFor(this.#holds.firstSeen.count(source));
			if (await inSlices(this.#holds.firstSeen.sweep(source, isThere, this.#host.clock.now()), signal)) {
				this.#holds.seenChanged();
			}
		} catch (error) {
			if (!signal.aborted) {
				this.#host.log.warn({source, problem: describe(error)}, 'what is long gone could not be forgotten');
			}
		}
	}

	/** An event about this image is somebody else's to tell, until the function that this returns is called. */
	speakFor(uuid: Uuid): () => void {
		this.#spokenFor.add(uuid);
		return () => {
			this.#spokenFor.delete(uuid);
		};
	}

	/** What the merged list has otherwise than before. */
	merged(before: Merged, after: Merged): void {
		const isStart = this.#merges++ === 0;
		if (!isStart) {
			this.#tellHeld(before, after);
			this.#tellReleased(before, after);
		}
		this.#fresh.clear();
		if (before.images !== after.images) {
			this.#host.events.emit('catalog.changed', {more: {images: after.images.length}});
		}
	}

	/** `sinceMs`: those that were not noted before were seen then, or (`undefined`) when they were published. */
	#noteList(source: string, uuids: Iterable<Uuid>, sinceMs: number | undefined): void {
		const {firstSeen} = this.#holds;
		const isFirst = !firstSeen.knows(source);
		if (firstSeen.note(source, uuids, isFirst ? undefined : sinceMs) > 0) {
			this.#holds.seenChanged();
		}
	}

	#tellHeld(before: Merged, after: Merged): void {
		const held = [...after.heldBack.values()].filter(
			({manifest: {uuid}, source}) =>
				!before.heldBack.has(uuid) &&
				!this.#spokenFor.has(uuid) &&
				(before.byUuid.has(uuid) || !this.#fresh.has(source)),
		);
		this.#each(held, 'image.held', ({manifest, source}) => {
			const [reason] = this.#offers.reasons(manifest, source);
			const {why, until, note, by} = reason ?? {};
			return {source, ...(by === undefined ? {} : {by}), more: {why, until, note}};
		});
	}

	#tellReleased(before: Merged, after: Merged): void {
		const released = [...before.heldBack.values()].filter(
			({manifest: {uuid}}) => !after.heldBack.has(uuid) && after.byUuid.has(uuid) && !this.#spokenFor.has(uuid),
		);
		this.#each(released, 'image.released', ({manifest, source}) =>
			this.#offers.isRipe(manifest, source) ? {source, by: 'age'} : {source},
		);
	}

	#tell(type: EventType, images: readonly Manifest[], about: {readonly source: string}): void {
		this.#each(
			images.map(manifest => ({manifest})),
			type,
			() => about,
		);
	}

	#each<T extends {readonly manifest: Manifest}>(
		images: readonly T[],
		type: EventType,
		about: (image: T) => EventAbout,
	): void {
		for (const image of images.slice(0, mostEvents)) {
			this.#host.events.emit(type, {image: eventImage(image.manifest), ...about(image)});
		}
		const next = images[mostEvents];
		if (next !== undefined) {
			const {more, ...rest} = about(next);
			const count = images.length - mostEvents;
			this.#host.events.emit(type, {image: eventImage(next.manifest), ...rest, more: {...more, count}});
		}
	}
}

export function eventImage({uuid, name, version, public: isPublic}: Manifest): EventImage {
	return {uuid, name, version, public: isPublic};
}

function uuidsOf(images: readonly Manifest[]): readonly Uuid[] {
	return images.map(({uuid}) => uuid);
}
