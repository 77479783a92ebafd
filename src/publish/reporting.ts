/**
 * Work that tells how far it has come, as a generator of that.
 *
 * Adoption uses it: whoever reads gets a number now and then, and at the end what the work resolved with. Who stops
 * reading stops the work, and waits for it to have stopped.
 */

/** Yields what `work` reports, whenever that has grown by `step`. */
export async function* reporting<T>(
	step: number,
	signal: AbortSignal,
	work: (report: (amount: number) => void, signal: AbortSignal) => Promise<T>,
): AsyncGenerator<number, T, undefined> {
	const left = new AbortController();
	let amount = 0;
	let told = 0;
	let wake = (): void => undefined;
	const report = (now: number): void => {
		amount = now;
		if (amount - told >= step) {
			wake();
		}
	};
	let isOver = false;
	const result = work(report, AbortSignal.any([signal, left.signal])).finally(() => {
		isOver = true;
		wake();
	});
	// Whoever stops reading does not hear of its failure any more.
	result.catch(() => undefined);
	// Changed in callbacks, which the compiler does not see.
	const over = (): boolean => isOver;
	try {
		while (!over()) {
			if (amount - told >= step) {
				told = amount;
				yield told;
				continue;
			}
			await new Promise<void>(resolve => {
				wake = resolve;
			});
		}
		return await result;
	} finally {
		left.abort(new Error('nobody waits for it any more'));
		await result.catch(() => undefined);
	}
}
