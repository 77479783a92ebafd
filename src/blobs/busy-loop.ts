/**
 * Whether the event loop had much to do lately: for work that is better done when clients need nothing.
 */
import {performance} from 'node:perf_hooks';

/** Of the time. Whoever is served at the line's pace has the loop busy for more. */
const busyShare = 0.1;

/** Says whether the loop was busy since it was last asked. */
export function watchLoop(): () => boolean {
	let last = performance.eventLoopUtilization();
	return () => {
		const now = performance.eventLoopUtilization();
		const {utilization} = performance.eventLoopUtilization(now, last);
		last = now;
		return utilization > busyShare;
	};
}
