/**
 * What was found in a bundle and passed over: the first few in words, of the rest how many they are.
 */

const mostTold = 20;

export class OddThings {
	readonly #told: string[] = [];
	#more = 0;

	get list(): readonly string[] {
		return this.#more === 0 ? this.#told : [...this.#told, `and ${this.#more} more of such things`];
	}

	add(problem: string): void {
		if (this.#told.includes(problem)) {
			return;
		}
		if (this.#told.length < mostTold) {
			// Names come from whoever made the bundle.
			this.#told.push(problem.length > 300 ? `${problem.slice(0, 300)}…` : problem);
		} else {
			this.#more++;
		}
	}
}
