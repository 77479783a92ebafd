/**
 * What a benchmark finds: rows of a table, each with what must be reached and whether it was.
 *
 * Workloads return rows; `main.ts` prints them and writes them as JSON. Also the few sums that all of them need.
 */

export interface Row {
	/** Which workload: hits, cold, herd … */
	readonly workload: string;
	readonly what: string;
	readonly unit: string;
	readonly ours: number;
	/** The same of whom we are compared with, and who that is. */
	readonly peer?: number;
	readonly peerName?: string;
	/** Median of ours / peer inside a round; not always what the two medians give. */
	readonly ratio?: number;
	/** What must be reached, in words such as "ratio >= 0.9". */
	readonly target?: string;
	readonly holds?: boolean;
	readonly note?: string;
}

export type Machine = Readonly<Record<string, string | number>>;

export interface Report {
	readonly machine: Machine;
	readonly seconds: number;
	/** Rows of a short run prove that everything runs, and nothing else. */
	readonly short: boolean;
	readonly rows: readonly Row[];
	/** Workloads that could not run here, and why. */
	readonly skipped: Readonly<Record<string, string>>;
}

/** The middle one; of an even number the mean of the two in the middle. NaN of nothing. */
export function median(values: readonly number[]): number {
	const sorted = values.toSorted((a, b) => a - b);
	const half = Math.floor(sorted.length / 2);
	const [low = NaN, high = NaN] = [sorted[Math.ceil(sorted.length / 2) - 1], sorted[half]];
	return (low + high) / 2;
}

/** The smallest value that a share of all does not exceed. */
export function percentile(values: readonly number[], share: number): number {
	const sorted = values.toSorted((a, b) => a - b);
	return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? NaN;
}

/** Three digits that matter: 6.71, 323, 60700. */
export function rounded(value: number): number {
	return Number(value.toPrecision(3));
}

/** A row of what was measured in turns, one pair for each round. */
export function compared(
	row: Omit<Row, 'ours' | 'peer' | 'ratio' | 'holds'>,
	pairs: readonly (readonly [ours: number, peer: number])[],
	holds: (ratio: number, ours: number) => boolean | undefined = () => undefined,
): Row {
	const [ours, peer, ratio] = [
		median(pairs.map(([one]) => one)),
		median(pairs.map(([, other]) => other)),
		median(pairs.map(([one, other]) => one / other)),
	];
	const held = holds(ratio, ours);
	return {
		...row,
		ours: rounded(ours),
		peer: rounded(peer),
		ratio: Number(ratio.toFixed(3)),
		...(held === undefined ? {} : {holds: held}),
	};
}

/** The rows as lines of Markdown, which are as readable on a terminal. */
export function tableText(rows: readonly Row[]): string {
	const heads = ['workload', 'what', 'ours', 'peer', 'unit', 'ratio', 'target', '', 'note'];
	const lines = rows.map(row => [
		row.workload,
		row.what,
		numberText(row.ours),
		row.peer === undefined ? '' : `${numberText(row.peer)} ${row.peerName ?? ''}`.trim(),
		row.unit,
		row.ratio === undefined ? '' : row.ratio.toFixed(2),
		row.target ?? '',
		row.holds === undefined ? '' : row.holds ? 'holds' : 'MISSES',
		row.note ?? '',
	]);
	const all = [heads, ...lines];
	const widths = heads.map((_, column) => Math.max(3, ...all.map(line => line[column]?.length ?? 0)));
	const text = (line: readonly string[]): string =>
		`| ${line.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(' | ')} |`.trimEnd();
	const rule = `| ${widths.map(width => '-'.repeat(width)).join(' | ')} |`;
	return [text(heads), rule, ...lines.map(text)].join('\n');
}

function numberText(value: number): string {
	return Math.abs(value) >= 1000 ? Math.round(value).toLocaleString('en-US') : String(value);
}
