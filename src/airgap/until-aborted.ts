/**
 * What comes from somewhere, waited for no longer than somebody wants them.
 */
import {asError} from '../errors.js';

/** What the source gives, until the signal is aborted: then its reason is thrown, also where the source stands still. */
export async function* untilAborted<T>(
	source: AsyncIterable<T>,
	signal: AbortSignal,
): AsyncGenerator<T, void, undefined> {
	const iterator = source[Symbol.asyncIterator]();
	let giveUp = (): void => undefined;
	const onAbort = (): void => giveUp();
	let isAsked = false;
	let isDone = false;
	signal.addEventListener('abort', onAbort, {once: true});
	try {
		for (;;) {
			signal.throwIfAborted();
			isAsked = true;
			// One promise for each piece: racing with one that lasts would hold on to all of them.
			const next = await new Promise<IteratorResult<T, unknown>>((resolve, reject) => {
				giveUp = () => reject(asError(signal.reason));
				iterator.next().then(resolve, reject);
			});
			isAsked = false;
			if (next.done === true) {
				isDone = true;
				return;
			}
			yield next.value;
		}
	} finally {
		signal.removeEventListener('abort', onAbort);
		if (!isDone) {
			const left = Promise.resolve(iterator.return?.()).catch(() => undefined);
			// A generator that stands still answers nobody.
			await (isAsked ? undefined : left);
		}
	}
}
