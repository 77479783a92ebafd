/**
 * A part of the day by the machine's own time: whether it is now, and when it begins next.
 */

/** In minutes since midnight. `from` after `to`: past midnight; both the same: the whole day. */
export interface DayWindow {
	readonly fromMinute: number;
	readonly toMinute: number;
}

export function isWithin({fromMinute, toMinute}: DayWindow, atMs: number): boolean {
	const at = new Date(atMs);
	const minute = at.getHours() * 60 + at.getMinutes();
	if (fromMinute === toMinute) {
		return true;
	}
	return fromMinute < toMinute ? minute >= fromMinute && minute < toMinute : minute >= fromMinute || minute < toMinute;
}

/** When it is open next: now, where it is. */
export function opensAtMs(window: DayWindow, atMs: number): number {
	if (isWithin(window, atMs)) {
		return atMs;
	}
	const begin = new Date(atMs);
	// By the calendar, not by adding a day's worth of hours: twice a year that is something else.
	begin.setHours(0, window.fromMinute, 0, 0);
	if (begin.getTime() <= atMs) {
		begin.setDate(begin.getDate() + 1);
		begin.setHours(0, window.fromMinute, 0, 0);
	}
	return begin.getTime();
}
