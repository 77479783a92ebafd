/**
 * When a rule runs, and when it may fetch.
 *
 * Everything is asked with the time it is now, and answered in milliseconds since the epoch; who waits does that on the
 * host's clock. croner only reckons: it has timers of its own, which are never used. Days and hours are the machine's
 * own, with the days that have an hour more or less.
 */
import {Cron} from 'croner';
import {describe} from '../errors.js';

/** A part of the day by the machine's own time, in minutes since midnight. `from` after `to`: past midnight. */
export interface DayWindow {
	readonly fromMinute: number;
	readonly toMinute: number;
}

export type Schedule =
	{readonly kind: 'every'; readonly everyMs: number} | {readonly kind: 'cron'; readonly cron: string};

const minuteMs = 60_000;
/** Longer than any day, so that whatever happens every day has happened. */
const twoDaysInMinutes = 2 * 24 * 60;

/** What is wrong with a cron expression, in words. */
export function checkCron(expression: string): string | undefined {
	const text = expression.trim();
	// A single date is one run only, which croner takes, and nobody can mean.
	if (!/^(?:@\w+|\S+(?:\s+\S+){4,5})$/u.test(text)) {
		return 'five fields (or six, with seconds first), or a word such as @daily';
	}
	try {
		return reckoner(text).nextRun() === null ? 'there is no such day, ever' : undefined;
	} catch (error) {
		return describe(error).replace(/^CronPattern: /u, '');
	}
}

/**
 * When a run is due after one that began at `lastMs`. `undefined`: there was none, so one is due at once. May be in the
 * past: then it was missed. Infinity: never again.
 */
export function dueMs(schedule: Schedule, lastMs: number | undefined, nowMs: number): number {
	if (lastMs === undefined) {
		return nowMs;
	}
	// The clock may have been set back: nothing has happened yet that is still to come.
	const last = Math.min(lastMs, nowMs);
	return schedule.kind === 'every'
		? last + schedule.everyMs
		: (reckoner(schedule.cron).nextRun(new Date(last))?.getTime() ?? Infinity);
}

/** `undefined`: always open, as are windows that end where they begin. */
export function isOpen(window: DayWindow | undefined, nowMs: number): boolean {
	if (window === undefined || window.fromMinute === window.toMinute) {
		return true;
	}
	const {fromMinute, toMinute} = window;
	const date = new Date(nowMs);
	const minute = date.getHours() * 60 + date.getMinutes();
	return fromMinute < toMinute ? fromMinute <= minute && minute < toMinute : fromMinute <= minute || minute < toMinute;
}

/** When the window opens, if it is shut, or shuts, if it is open. Infinity: never. */
export function nextChangeMs(window: DayWindow | undefined, nowMs: number): number {
	const wasOpen = isOpen(window, nowMs);
	// Minute by minute: where an hour is left out or comes twice, no reckoning with hours is right.
	let at = Math.floor(nowMs / minuteMs) * minuteMs;
	for (let minutes = 0; minutes < twoDaysInMinutes; minutes++) {
		at += minuteMs;
		if (isOpen(window, at) !== wasOpen) {
			return at;
		}
	}
	return Infinity;
}

function reckoner(expression: string): Cron {
	return new Cron(expression, {paused: true, mode: '5-or-6-parts'});
}
