/**
 * How many file bodies may be on their way from one source at once.
 *
 * Whoever opens a file takes a slot first and gives it back when the stream has closed. First come, first served, and
 * clients before whatever is fetched for nobody in particular, or for those who have left: that gives its slot up where a
 * client waits for one. A wait ends with its signal and then takes nothing.
 */

/** Whoever fetches a file. */
export interface Yielding {
	/** Whether no client waits for it, at the moment. */
	readonly background: boolean;
	/** A client waits: the slot is to be given back soon. */
	giveWay(): void;
	/** Told when a slot has to be waited for, and when that has ended. */
	waits?(waits: boolean): void;
	/** Set by whoever gives slots: to be called when no client waits for the file any more. */
	left?: () => void;
}

interface Waiter {
	readonly yielding: Yielding | undefined;
	readonly start: () => void;
}

export class Slots {
	readonly #count: number;
	readonly #waiting = new Set<Waiter>();
	/** Those that hold a slot and have not been asked to give it up. */
	readonly #yielding = new Set<Yielding>();
	/** Those that have been asked, and will within moments. */
	readonly #asked = new Set<Yielding>();
	#taken = 0;

	constructor(count: number) {
		this.#count = count;
	}

	get taken(): number {
		return this.#taken;
	}

	get waiting(): number {
		return this.#waiting.size;
	}

	/** Resolves with what gives the slot back; calling that twice does no harm. `yielding`: not for a client. */
	async take(signal: AbortSignal, yielding?: Yielding): Promise<() => void> {
		signal.throwIfAborted();
		if (this.#taken < this.#count) {
			this.#taken++;
		} else {
			await this.#turn(signal, yielding);
		}
		if (yielding !== undefined) {
			this.#yielding.add(yielding);
			yielding.left = () => this.#claim();
			this.#claim();
		}
		let held = true;
		return () => {
			if (held) {
				held = false;
				if (yielding !== undefined) {
					this.#yielding.delete(yielding);
					this.#asked.delete(yielding);
				}
				this.#pass();
			}
		};
	}

	#turn(signal: AbortSignal, yielding: Yielding | undefined): Promise<void> {
		return new Promise((resolve, reject) => {
			const onAbort = (): void => {
				this.#waiting.delete(waiter);
				yielding?.waits?.(false);
				reject(signal.reason as Error);
			};
			const waiter: Waiter = {
				yielding,
				start: () => {
					signal.removeEventListener('abort', onAbort);
					yielding?.waits?.(false);
					resolve();
				},
			};
			this.#waiting.add(waiter);
			yielding?.waits?.(true);
			signal.addEventListener('abort', onAbort, {once: true});
			this.#claim();
		});
	}

	/** Has as many give way as clients wait for a slot. */
	#claim(): void {
		const clients = [...this.#waiting].filter(isClient).length;
		for (const holder of this.#yielding) {
			if (this.#asked.size >= clients) {
				return;
			}
			// A client may have come for it meanwhile: then it stays.
			if (holder.background) {
				this.#yielding.delete(holder);
				this.#asked.add(holder);
				holder.giveWay();
			}
		}
	}

	/** The slot goes straight to the next in line: `#taken` stays, so nobody can step in between. */
	#pass(): void {
		const waiting = [...this.#waiting];
		const next = waiting.find(isClient) ?? waiting[0];
		if (next === undefined) {
			this.#taken--;
		} else {
			this.#waiting.delete(next);
			next.start();
		}
	}
}

function isClient({yielding}: Waiter): boolean {
	return yielding?.background !== true;
}
