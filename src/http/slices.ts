/**
 * Long loops cut into pieces, so that others get their turn in between.
 *
 * A list of 25,000 images is a second's work now and then; no file may stop flowing for that long.
 */
import {setImmediate} from 'node:timers/promises';

const sliceLength = 250;

/** `items` in slices, with a turn of the event loop between each two. */
export async function* slices<T>(items: readonly T[]): AsyncGenerator<readonly T[], void, undefined> {
	for (let start = 0; start < items.length; start += sliceLength) {
		if (start > 0) {
			await setImmediate();
		}
		yield items.slice(start, start + sliceLength);
	}
}
