/**
 * Holding an image back and releasing it, as operators say it.
 *
 * Each verb resolves when it is on disk and the lists show it, and tells of it once. What else is held or offered
 * because of it (images built upon it) is news of its own.
 */
import type {Host} from '../host.js';
import type {Manifest, Uuid} from '../image/manifest.js';
import type {Holds, OperatorHold} from './holds.js';
import {eventImage, type News} from './news.js';
import type {HoldReason, Offers} from './offers.js';

export interface HoldVerbsOwner {
	/** As any source has it, held back or not. */
	lookUp(uuid: Uuid): Manifest | undefined;
	/** It is in no list because of a hold or a rule. */
	isHeldBack(uuid: Uuid): boolean;
	/** Resolves when the lists show what has changed. Throws where the catalog has stopped. */
	show(): Promise<void>;
	checkRunning(): void;
}

export class HoldVerbs {
	readonly #host: Host;
	readonly #holds: Holds;
	readonly #offers: Offers;
	readonly #news: News;
	readonly #owner: HoldVerbsOwner;

	constructor(parts: {host: Host; holds: Holds; offers: Offers; news: News; owner: HoldVerbsOwner}) {
		this.#host = parts.host;
		this.#holds = parts.holds;
		this.#offers = parts.offers;
		this.#news = parts.news;
		this.#owner = parts.owner;
	}

	/** From all sources, and whatever is built upon it. Of an image that nobody knows yet, too. */
	async hold(
		uuid: Uuid,
		{by, note}: {readonly by?: string | undefined; readonly note?: string | undefined},
	): Promise<void> {
		await this.#say(uuid, () => this.#holds.hold(uuid, {by, note}));
		this.#host.events.emit('image.held', {
			image: this.#image(uuid),
			...(by === undefined ? {} : {by}),
			more: {why: 'operator', note},
		});
	}

	/** Whatever rules say. Its origins are not released with it; whoever releases it releases them first. */
	async release(uuid: Uuid, {by}: {readonly by?: string | undefined}): Promise<void> {
		const wasHeld = this.#owner.isHeldBack(uuid) || this.isHeldByOperator(uuid);
		await this.#say(uuid, () => this.#holds.release(uuid, {by}));
		if (wasHeld && !this.#owner.isHeldBack(uuid)) {
			this.#host.events.emit('image.released', {image: this.#image(uuid), ...(by === undefined ? {} : {by})});
		}
	}

	/** Itself: not because of an origin. Of our own images as well. */
	isHeldByOperator(uuid: Uuid): boolean {
		return this.#holds.held.has(uuid);
	}

	/** Whatever operators hold, known or not. */
	heldByOperators(): ReadonlyMap<Uuid, OperatorHold> {
		return this.#holds.held;
	}

	/** What stands in the way of the image as this source has it. Empty: nothing. */
	reasons(manifest: Manifest, source: string): readonly HoldReason[] {
		return this.#offers.reasons(manifest, source);
	}

	async #say(uuid: Uuid, run: () => Promise<void>): Promise<void> {
		this.#owner.checkRunning();
		const done = this.#news.speakFor(uuid);
		try {
			await run();
			await this.#owner.show();
		} finally {
			done();
		}
	}

	#image(uuid: Uuid): ReturnType<typeof eventImage> {
		const manifest = this.#owner.lookUp(uuid);
		return manifest === undefined ? {uuid, name: '', version: '', public: false} : eventImage(manifest);
	}
}
