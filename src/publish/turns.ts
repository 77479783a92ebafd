/**
 * One at a time for each name, where some work needs several names at once: an image and its origin, or the two uuids
 * of an image that moves.
 *
 * A place in every line is taken in one go, so two who want the same names can never wait for each other. Work must
 * not ask for another turn.
 */
export class Turns {
	readonly #last = new Map<string, Promise<void>>();

	/** Runs `work` once all that was given for any of these names before has ended, however it ended. */
	async take<T>(names: readonly string[], work: () => Promise<T>): Promise<T> {
		let end = (): void => undefined;
		const turn = new Promise<void>(resolve => {
			end = resolve;
		});
		const before = names.map(name => this.#last.get(name) ?? Promise.resolve());
		for (const name of names) {
			this.#last.set(name, turn);
		}
		await Promise.all(before);
		try {
			return await work();
		} finally {
			end();
			for (const name of names) {
				if (this.#last.get(name) === turn) {
					this.#last.delete(name);
				}
			}
		}
	}
}
