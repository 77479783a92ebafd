/**
 * The mirror's history as lines to draw: rates by where bytes came from, stacked, with breaks where it did not run.
 *
 * Pure; `chart.ts` draws them, `history-charts.ts` says what they are.
 */
import type {HistoryPoint, HistoryReport} from '../history/api.js';

export interface Line {
	readonly name: string;
	/** One for each time; `null` breaks it. */
	readonly values: readonly (number | null)[];
	/** Of what it counts, over the whole time. */
	readonly total: number;
}

export interface Lines {
	/** Seconds since the epoch. */
	readonly times: readonly number[];
	readonly lines: readonly Line[];
}

/** In the order in which they are stacked. `pass` and `miss` cost a transfer, the others do not. */
export const cacheWords = ['hit', 'local', 'join', 'stale', 'miss', 'pass'] as const;

type Pick = (point: HistoryPoint) => Readonly<Record<string, number | undefined>>;

export function bytesOutLines(report: HistoryReport): Lines {
	return rateLines(report, ({out}) => out, cacheWords);
}

export function bytesInLines(report: HistoryReport): Lines {
	const names = new Set(report.points.flatMap(point => Object.keys(point.in)));
	return rateLines(report, point => point.in, [...names].sort());
}

/** Requests and errors per minute. */
export function requestLines(report: HistoryReport): Lines {
	const {times, lines} = rateLines(report, ({requests, errors}) => ({requests, errors}), ['requests', 'errors']);
	return {
		times,
		lines: lines.map(line => ({...line, values: line.values.map(value => (value === null ? null : value * 60))})),
	};
}

/** The share of file requests that cost no transfer of their own. */
export function hitRatioLines(report: HistoryReport): Lines {
	const points = withBreaks(report);
	const values = points.map(({point}) => (point === undefined ? null : hitRatio(point.files)));
	return {
		times: points.map(({seconds}) => seconds),
		lines: [{name: 'ratio', values, total: overallRatio(report) ?? 0}],
	};
}

/** `undefined`: nobody asked for a file. */
export function overallRatio({points}: HistoryReport): number | undefined {
	const sums: Record<string, number> = {};
	for (const {files} of points) {
		for (const [word, count] of Object.entries(files)) {
			sums[word] = (sums[word] ?? 0) + count;
		}
	}
	return hitRatio(sums) ?? undefined;
}

/** Each on top of those before it. */
export function stacked(lines: readonly Line[]): readonly Line[] {
	const sums: (number | null)[] = [];
	return lines.map(line => {
		const values = line.values.map((value, at) => {
			const sum = value === null ? null : (sums[at] ?? 0) + value;
			sums[at] = sum;
			return sum;
		});
		return {...line, values};
	});
}

function hitRatio(files: Readonly<Record<string, number | undefined>>): number | null {
	const count = (words: readonly string[]): number => words.reduce((sum, word) => sum + (files[word] ?? 0), 0);
	const all = count(cacheWords);
	return all === 0 ? null : 1 - count(['miss', 'pass']) / all;
}

function rateLines(report: HistoryReport, pick: Pick, names: readonly string[]): Lines {
	const points = withBreaks(report);
	const lines = names.map(name => ({
		name,
		values: points.map(({point}) =>
			point === undefined ? null : ((pick(point)[name] ?? 0) * 1000) / stepOf(point, report),
		),
		total: report.points.reduce((sum, point) => sum + (pick(point)[name] ?? 0), 0),
	}));
	return {
		times: points.map(({seconds}) => seconds),
		lines: lines.filter(({total, name}) => total > 0 || name === 'requests'),
	};
}

function stepOf({ms}: HistoryPoint, {stepMs}: HistoryReport): number {
	return ms > 0 ? ms : stepMs;
}

interface Place {
	readonly seconds: number;
	readonly point: HistoryPoint | undefined;
}

/** A place without a point between two that are further apart than steps are. */
function withBreaks({points, stepMs}: HistoryReport): readonly Place[] {
	const places: Place[] = [];
	for (const point of points) {
		const seconds = Date.parse(point.at) / 1000;
		const before = places.at(-1);
		if (before !== undefined && seconds - before.seconds > (2.5 * stepMs) / 1000) {
			places.push({seconds: before.seconds + stepMs / 1000, point: undefined});
		}
		places.push({seconds, point});
	}
	return places;
}
