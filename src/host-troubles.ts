/**
 * What is not as it should be though the mirror serves: said once in the log, and here for as long as it is so.
 *
 * Whoever finds something names it, and clears it when it is over. `readyz` and `status` show all of them.
 */
export class Troubles {
	readonly #words = new Map<string, string>();

	/** `name`: whose trouble it is; a later one takes its place. `undefined`: all is well there. */
	set(name: string, words: string | undefined): void {
		if (words === undefined) {
			this.#words.delete(name);
		} else {
			this.#words.set(name, words);
		}
	}

	list(): readonly string[] {
		return [...this.#words.values()];
	}
}
