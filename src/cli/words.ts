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

export type Paint = (colour: 'red' | 'yellow' | 'green' | 'dim', text: string) => string;

const codes = {red: 31, yellow: 33, green: 32, dim: 2} as const;

/** Colours where somebody looks who has not said NO_COLOR. https://no-color.org */
export function painter(output: Output, {env}: Pick<CliIo, 'env'>): Paint {
	const plain = output.isTTY !== true || (env['NO_COLOR'] ?? '') !== '' || env['TERM'] === 'dumb';
	return plain ? (_, text) => text : (colour, text) => `\u001b[${codes[colour]}m${text}\u001b[0m`;
}
