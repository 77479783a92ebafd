/**
 * Waiting: for what outlives the one who waits, and for one's turn.
 *
 * A flight or a refresh takes no client's signal; a client's signal ends only that client's wait, here.
 */

/** As the promise; rejects with the signal's reason if that comes first. The promise itself goes on. */
export function untilAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
	return new Promise((resolve, reject) => {
		const onAbort = (): void => {
			reject(signal.reason as Error);
		};
		if (signal.aborted) {
			onAbort();
		} else {
			signal.addEventListener('abort', onAbort, {once: true});
		}
		void promise.then(resolve, reject).finally(() => {
			signal.removeEventListener('abort', onAbort);
		});
	});
}

/** One after the other, in the order in which they came. */
export class OneByOne {
	#last: Promise<unknown> = Promise.resolve();

	/** Runs it once all that came before has ended, however it ended. */
	run<T>(work: () => Promise<T>): Promise<T> {
		const turn = this.#last.then(work);
		this.#last = turn.catch(() => undefined);
		return turn;
	}
}
