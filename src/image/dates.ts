/**
 * Dates as image servers write them, as milliseconds since the epoch.
 *
 * `Date.parse` would take a date without zone for local time, and so order one list differently on two machines; here
 * it is UTC. dsapid writes up to nine fraction digits, old DSAPI no seconds.
 */
const written =
	/^(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9})\d*)?)?\s*(?:Z|([+-])(\d\d):?(\d\d))?)?$/iu;

const minuteMs = 60_000;

/** `undefined`: not a date. */
export function parseDate(text: string): number | undefined {
	const match = written.exec(text);
	if (match === null) {
		return undefined;
	}
	const [, year = '', month = '', day = '', hour = '00', minute = '00', second = '00', fraction = ''] = match;
	const milliseconds = fraction.slice(0, 3).padEnd(3, '0');
	const utcMs = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}.${milliseconds}Z`);
	if (Number.isNaN(utcMs)) {
		return undefined;
	}
	const [sign, zoneHours = '0', zoneMinutes = '0'] = match.slice(8);
	const aheadMs = (Number(zoneHours) * 60 + Number(zoneMinutes)) * minuteMs;
	return sign === '-' ? utcMs + aheadMs : utcMs - aheadMs;
}
