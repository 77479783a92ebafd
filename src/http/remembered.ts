/**
 * What was made of texts that come again and again: of a few of them, and of none that is long.
 *
 * Only for what depends on nothing but the text.
 */
const most = 500;
const longest = 500;

export class Remembered<T extends object> {
	readonly #made = new Map<string, T>();

	get size(): number {
		return this.#made.size;
	}

	/** What `make` throws is not remembered. */
	of(text: string, make: () => T): T {
		const known = this.#made.get(text);
		if (known !== undefined) {
			return known;
		}
		const made = make();
		if (text.length <= longest) {
			if (this.#made.size >= most) {
				this.#made.clear();
			}
			this.#made.set(text, made);
		}
		return made;
	}
}
