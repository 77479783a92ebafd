/**
 * So many at once: whoever comes later waits until one of those before has ended, in the order of their coming.
 *
 * An import takes one for each small file that it holds in memory and for each image that is being written, so that
 * a long bundle keeps the disk busy and the memory does not grow with it.
 */
export class Slots {
	readonly #most: number;
	readonly #waiting = new Set<() => void>();
	#taken = 0;

	constructor(most: number) {
		this.#most = most;
	}

	/** Resolves with how to give it back. */
	async take(): Promise<() => void> {
		if (this.#taken < this.#most) {
			this.#taken++;
		} else {
			// Whoever gives one back hands it on: `#taken` stays as it is.
			await new Promise<void>(resolve => {
				this.#waiting.add(resolve);
			});
		}
		let isBack = false;
		return () => {
			if (!isBack) {
				isBack = true;
				this.#giveBack();
			}
		};
	}

	async run<T>(work: () => Promise<T>): Promise<T> {
		const giveBack = await this.take();
		try {
			return await work();
		} finally {
			giveBack();
		}
	}

	#giveBack(): void {
		const [next] = this.#waiting;
		if (next === undefined) {
			this.#taken--;
		} else {
			this.#waiting.delete(next);
			next();
		}
	}
}
