/**
 * How many file bodies may be on their way from one source at once.
 *
 * Whoever opens a file takes a slot first and gives it back when the stream has closed. First come, first served; a
 * wait ends with its signal and then takes nothing.
 */
export class Slots {
	readonly #count: number;
	readonly #waiting = new Set<() => void>();
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

	/** Resolves with what gives the slot back; calling that twice does no harm. */
	async take(signal: AbortSignal): Promise<() => void> {
		signal.throwIfAborted();
		if (this.#taken < this.#count) {
			this.#taken++;
		} else {
			await this.#turn(signal);
		}
		let held = true;
		return () => {
			if (held) {
				held = false;
				this.#pass();
			}
		};
	}

	#turn(signal: AbortSignal): Promise<void> {
		return new Promise((resolve, reject) => {
			const onAbort = (): void => {
				this.#waiting.delete(start);
				reject(signal.reason as Error);
			};
			const start = (): void => {
				signal.removeEventListener('abort', onAbort);
				resolve();
			};
			this.#waiting.add(start);
			signal.addEventListener('abort', onAbort, {once: true});
		});
	}

	/** The slot goes straight to the next in line: `#taken` stays, so nobody can step in between. */
	#pass(): void {
		const [next] = this.#waiting;
		if (next === undefined) {
			this.#taken--;
		} else {
			this.#waiting.delete(next);
			next();
		}
	}
}
