/**
 * How fast something moves lately, out of how far it was when.
 */
const lookBackMs = 5000;

export class Rate {
	readonly #points: (readonly [ms: number, amount: number])[] = [];

	/** Per second, over the last few seconds; 0 while there is nothing to compare with. */
	at(ms: number, amount: number): number {
		this.#points.push([ms, amount]);
		while (this.#points.length > 2 && ms - (this.#points[1]?.[0] ?? ms) >= lookBackMs) {
			this.#points.shift();
		}
		const [firstMs, firstAmount] = this.#points[0] ?? [ms, amount];
		return ms - firstMs < 200 ? 0 : Math.max(0, ((amount - firstAmount) * 1000) / (ms - firstMs));
	}

	restart(): void {
		this.#points.length = 0;
	}
}
