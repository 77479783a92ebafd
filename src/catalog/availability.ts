/**
 * When a source may be asked: for its list, and for single images.
 *
 * A list that breaks in its middle says nothing about the rest of the source, so the two have their own backoff.
 * Whoever watches the source (`CatalogSource.health`) knows more than what was seen from here, and has the last word.
 */
import type {Host} from '../host.js';
import {Backoff} from './backoff.js';

/** `retryAtMs`: it is down and will not be asked before. */
export interface Health {
	readonly retryAtMs?: number | undefined;
	readonly state: string;
}

/** Whoever says that a source is down for longer has lived through a change of the clock. */
const longestRestMs = 60 * 60_000;

export class Availability {
	readonly #host: Host;
	readonly #health: () => Health | undefined;
	readonly #listBackoff: Backoff;
	readonly #findBackoff: Backoff;
	/** The last list failed before it brought anything, so the source is probably not there at all. */
	#isSilent = false;

	constructor(options: {host: Host; health: () => Health | undefined}) {
		this.#host = options.host;
		this.#health = options.health;
		this.#listBackoff = new Backoff(options.host);
		this.#findBackoff = new Backoff(options.host);
	}

	/** `undefined`: the list may be asked for. */
	get listRetryAt(): number | undefined {
		return this.#listBackoff.retryAt;
	}

	/** The last attempt to read the list failed. */
	get isListFailing(): boolean {
		return this.#listBackoff.failures > 0;
	}

	/** Until when the source is down, as whoever watches it says. */
	get downUntil(): number | undefined {
		return this.#ahead(this.#health()?.retryAtMs);
	}

	/** Until when the source is to be left alone with questions for single images. */
	get restingUntil(): number | undefined {
		const seen = this.#health() === undefined && this.#isSilent ? this.#listBackoff.retryAt : undefined;
		const until = Math.max(this.#findBackoff.retryAt ?? 0, this.downUntil ?? 0, seen ?? 0);
		return this.#ahead(until);
	}

	listSucceeded(): void {
		this.#listBackoff.succeeded();
		this.findSucceeded();
	}

	/** How long to wait before the next attempt. */
	listFailed({brought}: {brought: number}): number {
		this.#isSilent = brought === 0;
		return this.#listBackoff.failed();
	}

	findSucceeded(): void {
		this.#findBackoff.succeeded();
		this.#isSilent = false;
	}

	/** False: it answers others, so only this one question failed. */
	findFailed(): boolean {
		if (this.#health()?.state === 'up') {
			return false;
		}
		this.#findBackoff.failed();
		return true;
	}

	#ahead(time = 0): number | undefined {
		const restMs = time - this.#host.clock.now();
		return restMs > 0 && restMs <= longestRestMs ? time : undefined;
	}
}
