/**
 * What happens, told to whoever listens: the page, webhooks, the history, the counters of recent failures.
 *
 * Every part tells what it did through `Host.events`; nobody waits for a listener, and a listener that throws harms
 * nobody. Some of the last events are kept, so that who comes back after a break can be told what it missed.
 */
import type {Clock} from './host.js';

export const eventTypes = [
	// Images: `image` is always there.
	'image.new',
	'image.changed',
	'image.vanished',
	'image.held',
	'image.released',
	'image.cached',
	'image.evicted',
	'image.pinned',
	'image.unpinned',
	'image.published',
	'image.updated',
	'image.deleted',
	// Files: `sha1`, `bytes`; `problem` where something is wrong.
	'transfer.begun',
	'transfer.progress',
	'transfer.ended',
	'transfer.failed',
	'verification.failed',
	// Sources: `source` is always there.
	'source.down',
	'source.up',
	'source.refreshed',
	// The disk and what is done to it.
	'disk.low',
	'disk.ok',
	'disk.error',
	'scrub.begun',
	'scrub.progress',
	'scrub.ended',
	'prefetch.begun',
	'prefetch.ended',
	// A bundle was imported, as far as it could be.
	'bundle.imported',
	'webhook.failed',
	// The merged list is another one.
	'catalog.changed',
] as const;

export type EventType = (typeof eventTypes)[number];

/** As much of an image as a line about it needs. */
export interface EventImage {
	readonly uuid: string;
	readonly name: string;
	readonly version: string;
	readonly public: boolean;
}

/** What an event is about. All of it plain data that goes over the wire as it is. */
export interface EventAbout {
	readonly image?: EventImage | undefined;
	readonly source?: string | undefined;
	readonly sha1?: string | undefined;
	/** Of the file, or as many as it was about. */
	readonly bytes?: number | undefined;
	/** In words, where something went wrong. */
	readonly problem?: string | undefined;
	/** Who wanted it: a user's name, or that of a rule. */
	readonly by?: string | undefined;
	/** Numbers and words that only this type has. */
	readonly more?: Readonly<Record<string, string | number | boolean | undefined>> | undefined;
}

export interface MirrorEvent extends EventAbout {
	/** Grows by one with each event of this process. */
	readonly id: number;
	readonly type: EventType;
	/** ISO 8601. */
	readonly at: string;
}

/** Told often, and of no use afterwards: not kept. */
const passing: ReadonlySet<EventType> = new Set(['transfer.progress', 'scrub.progress']);

const keptEvents = 1000;

export class Events {
	readonly #clock: Clock;
	readonly #listeners = new Set<(event: MirrorEvent) => void>();
	readonly #recent: MirrorEvent[] = [];
	#last = 0;

	constructor(clock: Clock) {
		this.#clock = clock;
	}

	emit(type: EventType, about: EventAbout = {}): void {
		const event: MirrorEvent = {id: ++this.#last, type, at: new Date(this.#clock.now()).toISOString(), ...about};
		if (!passing.has(type)) {
			this.#recent.push(event);
			if (this.#recent.length > keptEvents) {
				this.#recent.shift();
			}
		}
		for (const listener of [...this.#listeners]) {
			try {
				listener(event);
			} catch {
				// Whoever listens has nothing to do with whoever tells.
			}
		}
	}

	/** Calls `listener` with every event from now on, in the tick it happens. Returns how to end that. */
	listen(listener: (event: MirrorEvent) => void): () => void {
		this.#listeners.add(listener);
		return () => {
			this.#listeners.delete(listener);
		};
	}

	/** What is kept of those after `id`, oldest first. `undefined`: some of them are not kept any more. */
	since(id: number): readonly MirrorEvent[] | undefined {
		const first = this.#recent[0];
		if (id > this.#last || (first !== undefined && id < first.id - 1)) {
			return undefined;
		}
		return this.#recent.filter(event => event.id > id);
	}

	/** The last kept ones of some types, newest first. */
	recent(types: ReadonlySet<EventType>, most: number): readonly MirrorEvent[] {
		return this.#recent
			.filter(({type}) => types.has(type))
			.slice(-most)
			.reverse();
	}
}
