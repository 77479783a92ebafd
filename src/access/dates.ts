/**
 * The date that a signed request carries.
 *
 * `Date.parse` takes nearly anything, and what has no zone for local time; a signature must not be good for another
 * instant on another machine.
 */
import {parseDate} from '../image/dates.js';

const httpDate =
	/^(?:[A-Z][a-z]{2}, \d\d? [A-Z][a-z]{2} \d{4}|[A-Z][a-z]{5,8}, \d\d-[A-Z][a-z]{2}-\d\d) \d\d:\d\d:\d\d (?:GMT|UTC|[+-]\d{4})$/;
const withZone = /^\d{4}-\d\d-\d\dT.*(?:Z|[+-]\d\d:?\d\d)$/i;

/** Milliseconds since the epoch, of an HTTP date or an ISO one with its zone. `undefined`: neither. */
export function signedDate(text: string): number | undefined {
	if (withZone.test(text)) {
		return parseDate(text);
	}
	const time = httpDate.test(text) ? Date.parse(text) : Number.NaN;
	return Number.isNaN(time) ? undefined : time;
}
