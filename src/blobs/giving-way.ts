/**
 * How a file's request stands to its source's slots: it says whether a client waits for the bytes, hears that it has to
 * wait, and gives way where somebody else's client does.
 */
import {MirrorError} from '../errors.js';
import type {Yielding} from './supplier.js';

export interface WayOptions {
	/** Whether no client waits for the bytes. */
	readonly isBackground?: () => boolean;
	/** Told when its turn at a source has to be waited for, and when that has ended. */
	readonly waits?: ((waits: boolean) => void) | undefined;
}

export class GivingWay implements Yielding {
	left?: () => void;
	readonly #options: WayOptions;
	readonly #onGiven: () => void;
	readonly #abort = new AbortController();

	constructor(options: WayOptions, onGiven: () => void) {
		this.#options = options;
		this.#onGiven = onGiven;
	}

	/** Aborted when it has given way. */
	get signal(): AbortSignal {
		return this.#abort.signal;
	}

	get background(): boolean {
		return this.#options.isBackground?.() ?? false;
	}

	waits(waits: boolean): void {
		this.#options.waits?.(waits);
	}

	giveWay(): void {
		this.#abort.abort(new MirrorError('clients go first'));
		this.#onGiven();
	}
}
