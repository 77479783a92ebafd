/**
 * The mirror's events as they happen, for as long as the page is open.
 *
 * A connection that breaks is made again, by the browser where it can and by us where it gives up. What was missed
 * meanwhile nobody knows for sure, so that whoever shows something is told to ask for it again (`onStale`). Where
 * events do not get through though the mirror answers (some proxies hold them back), that is said every few seconds.
 */
import type {EventType, MirrorEvent} from '../host-events.js';
import {Cell, type ReadonlyCell} from './cell.js';
import {eventTypes} from './event-words.js';

export type LiveState =
	/** Not wanted, or not allowed. */
	| {readonly is: 'off'}
	| {readonly is: 'connecting'}
	| {readonly is: 'live'}
	/** The mirror answers, but tells no events. */
	| {readonly is: 'asking'}
	| {readonly is: 'away'; readonly sinceMs: number; readonly nextTryMs: number | undefined};

const firstWaitMs = 1000;
const mostWaitMs = 30_000;
const askEveryMs = 15_000;

export class Live {
	readonly #cell = new Cell<LiveState>({is: 'off'});
	readonly #listeners = new Set<(event: MirrorEvent) => void>();
	readonly #staleListeners = new Set<() => void>();
	readonly #url: string;
	readonly #ping: () => Promise<boolean>;
	#stream: EventSource | undefined;
	#timer: number | undefined;
	#failures = 0;
	#wasOpen = false;

	/** `ping`: whether the mirror answers at all. */
	constructor({url, ping}: {url: string; ping: () => Promise<boolean>}) {
		this.#url = url;
		this.#ping = ping;
	}

	get state(): ReadonlyCell<LiveState> {
		return this.#cell;
	}

	start(): void {
		if (this.#cell.value.is === 'off') {
			this.#cell.set({is: 'connecting'});
			this.#open();
		}
	}

	stop(): void {
		this.#close();
		this.#failures = 0;
		this.#wasOpen = false;
		this.#cell.set({is: 'off'});
	}

	/** At once, instead of when its time has come. */
	tryNow(): void {
		const {is} = this.#cell.value;
		if (is === 'away' || is === 'asking') {
			this.#close();
			this.#open();
		}
	}

	onEvent(listener: (event: MirrorEvent) => void): () => void {
		this.#listeners.add(listener);
		return () => {
			this.#listeners.delete(listener);
		};
	}

	onStale(listener: () => void): () => void {
		this.#staleListeners.add(listener);
		return () => {
			this.#staleListeners.delete(listener);
		};
	}

	#open(): void {
		const stream = new EventSource(this.#url);
		this.#stream = stream;
		stream.addEventListener('open', () => {
			this.#failures = 0;
			this.#cell.set({is: 'live'});
			if (this.#wasOpen) {
				this.#tellStale();
			}
			this.#wasOpen = true;
		});
		stream.addEventListener('error', () => {
			if (this.#stream === stream) {
				this.#broken(stream);
			}
		});
		stream.addEventListener('reset', () => this.#tellStale());
		for (const type of eventTypes) {
			stream.addEventListener(type, ({data}: MessageEvent<string>) => this.#told(type, data));
		}
	}

	#told(type: EventType, data: string): void {
		const event: MirrorEvent = {...(JSON.parse(data) as MirrorEvent), type};
		for (const listener of [...this.#listeners]) {
			listener(event);
		}
	}

	#tellStale(): void {
		for (const listener of [...this.#staleListeners]) {
			listener();
		}
	}

	#broken(stream: EventSource): void {
		// The next one that opens may have missed something, also where the first has never opened.
		this.#wasOpen = true;
		if (stream.readyState === EventSource.CONNECTING) {
			this.#away(undefined);
			return;
		}
		this.#close();
		const waitMs = Math.min(mostWaitMs, firstWaitMs * 2 ** this.#failures) * (0.75 + Math.random() / 2);
		this.#failures++;
		const nextTryMs = Date.now() + waitMs;
		// Once it is known that only events are missing, that is so until the mirror does not answer either.
		if (this.#cell.value.is !== 'asking') {
			this.#away(nextTryMs);
		}
		void this.#ping().then(answers => {
			if (this.#stream !== undefined || this.#cell.value.is === 'off') {
				return;
			}
			if (!answers) {
				this.#away(nextTryMs);
			} else if (this.#failures > 2) {
				this.#askInstead();
			}
		});
		this.#timer = window.setTimeout(() => this.#open(), waitMs);
	}

	#askInstead(): void {
		window.clearTimeout(this.#timer);
		this.#cell.set({is: 'asking'});
		this.#tellStale();
		this.#timer = window.setTimeout(() => this.#open(), askEveryMs);
	}

	#away(nextTryMs: number | undefined): void {
		const {value} = this.#cell;
		this.#cell.set({is: 'away', sinceMs: value.is === 'away' ? value.sinceMs : Date.now(), nextTryMs});
	}

	#close(): void {
		window.clearTimeout(this.#timer);
		this.#timer = undefined;
		this.#stream?.close();
		this.#stream = undefined;
	}
}
