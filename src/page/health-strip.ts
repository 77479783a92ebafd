/**
 * How a source fared over the last hours: stretches of one state, as parts of the whole time. Pure.
 */
import type {SourceChange, SourceHistory} from '../history/api.js';

export interface Stretch {
	readonly fromMs: number;
	readonly toMs: number;
	/** `away`: the mirror itself did not run, so nobody knows. */
	readonly state: 'unknown' | 'up' | 'down' | 'away';
	readonly problem?: string;
}

export function stretchesOf(
	{points, changes}: SourceHistory,
	{fromMs, toMs, stepMs}: {readonly fromMs: number; readonly toMs: number; readonly stepMs: number},
): readonly Stretch[] {
	const states = statesOf(changes, fromMs, toMs);
	const gaps = gapsIn(
		points.map(({at}) => Date.parse(at)),
		{fromMs, toMs, stepMs},
	);
	return gaps.reduce(cut, states).filter(stretch => stretch.toMs > stretch.fromMs);
}

/** Of the time in which it was known. `undefined`: it never was. */
export function upShare(stretches: readonly Stretch[]): number | undefined {
	const sum = (state: Stretch['state']): number =>
		stretches.filter(one => one.state === state).reduce((ms, one) => ms + one.toMs - one.fromMs, 0);
	const known = sum('up') + sum('down');
	return known === 0 ? undefined : sum('up') / known;
}

function statesOf(changes: readonly SourceChange[], fromMs: number, toMs: number): readonly Stretch[] {
	const inTime = (ms: number): number => Math.min(toMs, Math.max(fromMs, ms));
	const firstMs = changes[0] === undefined ? toMs : inTime(Date.parse(changes[0].at));
	return [
		{fromMs, toMs: firstMs, state: 'unknown'},
		...changes.map(({at, state, problem}, index): Stretch => {
			const next = changes[index + 1];
			return {
				fromMs: inTime(Date.parse(at)),
				toMs: next === undefined ? toMs : inTime(Date.parse(next.at)),
				state,
				...(problem === undefined ? {} : {problem}),
			};
		}),
	];
}

/** Where points are missing between the first and the last. */
function gapsIn(
	times: readonly number[],
	{fromMs, toMs, stepMs}: {readonly fromMs: number; readonly toMs: number; readonly stepMs: number},
): readonly Stretch[] {
	const gaps: Stretch[] = [];
	let before: number | undefined;
	for (const ms of times) {
		if (before !== undefined && ms - before > 2.5 * stepMs) {
			gaps.push({fromMs: Math.max(fromMs, before), toMs: Math.min(toMs, ms - stepMs), state: 'away'});
		}
		before = ms;
	}
	return gaps;
}

function cut(stretches: readonly Stretch[], gap: Stretch): readonly Stretch[] {
	return stretches.flatMap(stretch => {
		if (gap.toMs <= stretch.fromMs || gap.fromMs >= stretch.toMs) {
			return stretch;
		}
		return [
			{...stretch, toMs: Math.max(stretch.fromMs, gap.fromMs)},
			{...gap, fromMs: Math.max(gap.fromMs, stretch.fromMs), toMs: Math.min(gap.toMs, stretch.toMs)},
			{...stretch, fromMs: Math.min(stretch.toMs, gap.toMs)},
		].filter(one => one.toMs > one.fromMs);
	});
}
