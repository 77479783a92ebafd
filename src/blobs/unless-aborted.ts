/**
 * Work that goes on by itself, waited for no longer than somebody wants it.
 */
import {asError} from '../errors.js';

/** What the work comes to, unless the signal is first: then its reason is thrown, and nobody waits for the work. */
export function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
	return new Promise((resolve, reject) => {
		const onAbort = (): void => {
			reject(asError(signal.reason));
		};
		signal.addEventListener('abort', onAbort, {once: true});
		if (signal.aborted) {
			onAbort();
		}
		void work.then(resolve, reject).finally(() => {
			signal.removeEventListener('abort', onAbort);
		});
	});
}
