/**
 * Amounts, times and tables as people read them. For programs there is `-j`.
 */
import type {CliIo, Output} from './io.js';

const units = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'] as const;

/** Three digits are enough: `1.53 GB`. */
export function humanBytes(bytes: number): string {
	let amount = bytes;
	let unit = 0;
	// What would be rounded to 1000 is one of the next unit.
	while (amount >= 999.5 && unit < units.length - 1) {
		amount /= 1000;
		unit++;
	}
	const digits = unit === 0 || amount >= 99.95 ? 0 : amount >= 9.995 ? 1 : 2;
	return `${amount.toFixed(digits)} ${units[unit] ?? ''}`;
}

/** `47 s`, `3 min 20 s`, `2 h 5 min`. */
export function humanTime(ms: number): string {
	const seconds = Math.round(ms / 1000);
	if (seconds < 60) {
		return `${seconds} s`;
	}
	if (seconds < 3600) {
		return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
	}
	const minutes = Math.round(seconds / 60);
	return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** The largest unit alone: `47 s`, `3 min`, `5 h`, `12 d`, `3 y`. */
export function roughTime(ms: number): string {
	const seconds = Math.max(0, Math.round(ms / 1000));
	if (seconds < 90) {
		return `${seconds} s`;
	}
	const minutes = Math.round(seconds / 60);
	if (minutes < 90) {
		return `${minutes} min`;
	}
	const hours = Math.round(minutes / 60);
	const days = Math.round(hours / 24);
	return hours < 48 ? `${hours} h` : days < 730 ? `${days} d` : `${Math.floor(days / 365)} y`;
}

/** `3 min ago`, `in 5 h`, `-` for what never was; what is no date as it stands. */
export function when(date: string | undefined, now: number): string {
	if (date === undefined || date === '') {
		return '-';
	}
	const at = Date.parse(date);
	if (Number.isNaN(at)) {
		return date;
	}
	return at > now ? `in ${roughTime(at - now)}` : `${roughTime(now - at)} ago`;
}

/** `1 image`, `2 images`. */
export function counted(count: number, one: string, several = `${one}s`): string {
	return `${grouped(count)} ${count === 1 ? one : several}`;
}

/** `25,000`. */
export function grouped(count: number): string {
	return String(count).replaceAll(/\B(?=(?:\d{3})+$)/g, ',');
}

/** `base 1.0.0`, or what there is of it. */
export function titled({
	uuid,
	name,
	version,
}: {
	uuid: string;
	name?: string | undefined;
	version?: string | undefined;
}): string {
	const title = [name, version].filter(part => part !== undefined && part !== '').join(' ');
	return title === '' ? uuid : title;
}

/** What a manifest or a file says must not take hold of the terminal. */
export function printable(text: string): string {
	return text.replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, char => (char === '\n' ? ' ' : '�'));
}

/** Columns as wide as they must be; the last one as it is. */
export function table(rows: readonly (readonly string[])[]): string {
	const clean = rows.map(row => row.map(printable));
	const widths = (clean[0] ?? []).map((_, column) => Math.max(...clean.map(row => row[column]?.length ?? 0)));
	return clean
		.map(
			row =>
				`${row.map((cell, column) => (column === row.length - 1 ? cell : cell.padEnd(widths[column] ?? 0))).join('  ')}\n`,
		)
		.join('');
}

export type Colour = 'red' | 'yellow' | 'green' | 'dim' | 'bold';
export type Paint = (colour: Colour, text: string) => string;

const codes = {red: 31, yellow: 33, green: 32, dim: 2, bold: 1} as const;

/** A cell of `painted`: what is to be read, and how it looks. */
export type Cell = string | {readonly text: string; readonly colour: Colour | undefined};

/**
 * As `table`, indented, with colours, and with columns that are flush right where `right` has an `r` in their place:
 * `' rr'`. No line ends in spaces.
 */
export function painted(
	rows: readonly (readonly Cell[])[],
	{paint, indent = '', right = ''}: {readonly paint: Paint; readonly indent?: string; readonly right?: string},
): string {
	const cells = rows.map(row =>
		row.map(cell => {
			const {text, colour} = typeof cell === 'string' ? {text: cell, colour: undefined} : cell;
			return {text: printable(text), colour};
		}),
	);
	const widths = (cells[0] ?? []).map((_, column) =>
		cells.reduce((most, row) => Math.max(most, row[column]?.text.length ?? 0), 0),
	);
	return cells
		.map(row => {
			const end = row.findLastIndex(({text}) => text !== '');
			const parts = row.slice(0, end + 1).map(({text, colour}, column) => {
				const space = ' '.repeat(Math.max(0, (widths[column] ?? 0) - text.length));
				const shown = colour === undefined || text === '' ? text : paint(colour, text);
				if (right[column] === 'r') {
					return space + shown;
				}
				return column === end ? shown : shown + space;
			});
			return `${parts.length === 0 ? '' : indent}${parts.join('  ')}\n`;
		})
		.join('');
}

/** No longer than that; what is cut off is shown to be. */
export function clipped(text: string, width: number): string {
	return text.length <= width ? text : `${text.slice(0, Math.max(0, width - 1))}…`;
}

/** Colours where somebody looks who has not said NO_COLOR. https://no-color.org */
export function painter(output: Output, {env}: Pick<CliIo, 'env'>): Paint {
	const plain = output.isTTY !== true || (env['NO_COLOR'] ?? '') !== '' || env['TERM'] === 'dumb';
	return plain ? (_, text) => text : (colour, text) => `\u001b[${codes[colour]}m${text}\u001b[0m`;
}
