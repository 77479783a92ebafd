/**
 * One at a time for each name: what changes the files of one thing must not get between another change of it.
 *
 * The store takes turns by blob, the held images by file. Different names do not wait for each other.
 */
export class Turns {
	readonly #last = new Map<string, Promise<void>>();

	/** For which somebody is at work. */
	get names(): Iterable<string> {
		return this.#last.keys();
	}

	/** Runs `work` once all that was given for this name before has ended, however it ended. */
	async take<T>(name: string, work: () => Promise<T>): Promise<T> {
		const before = this.#last.get(name);
		let end = (): void => undefined;
		const turn = new Promise<void>(resolve => {
			end = resolve;
		});
		this.#last.set(name, turn);
		await before;
		try {
			return await work();
		} finally {
			end();
			if (this.#last.get(name) === turn) {
				this.#last.delete(name);
			}
		}
	}
}
