/**
 * The order of images in the table: by any column, up or down, versions as versions.
 *
 * An order is a list of positions, made once for each column that is asked for and kept as long as the rows are the
 * same: filtering walks along it, so that typing never sorts.
 */
import type {ImageRow} from '../mirror-operate-api.js';

export type Column = 'name' | 'version' | 'os' | 'type' | 'published' | 'size' | 'source' | 'here' | 'used';

export const columns: readonly Column[] = [
	...(['name', 'version', 'os', 'type', 'published', 'size', 'source', 'here', 'used'] as const),
];

export interface Sorting {
	readonly column: Column;
	readonly descending: boolean;
}

/** What is newest or largest is asked for first. */
export function firstSorting(column: Column): Sorting {
	return {column, descending: column === 'published' || column === 'size' || column === 'used'};
}

const hereRank: Readonly<Record<ImageRow['here'], string>> = {coming: '0', here: '1', part: '2', away: '3'};

export class Orders {
	readonly #rows: readonly ImageRow[];
	readonly #made = new Map<Column, Uint32Array>();

	/** `before`: of the same rows but a few. An order in which they have kept their places is not made again. */
	constructor(rows: readonly ImageRow[], before?: Orders) {
		this.#rows = rows;
		const [oldRows, made] = before === undefined ? [[], new Map<Column, Uint32Array>()] : [before.#rows, before.#made];
		if (oldRows.length !== rows.length) {
			return;
		}
		const changed = rows.flatMap((row, at) => {
			const old = oldRows[at];
			return old === undefined || old === row ? [] : [[old, row] as const];
		});
		for (const [column, order] of made) {
			const isSame = (old: ImageRow, row: ImageRow): boolean =>
				old.name === row.name && old.version === row.version && keyOf(old, column) === keyOf(row, column);
			if (changed.every(([old, row]) => isSame(old, row))) {
				this.#made.set(column, order);
			}
		}
	}

	/** Positions of rows, in ascending order. Rows that are alike stand by name, then the newest version first. */
	by(column: Column): Uint32Array {
		let order = this.#made.get(column);
		if (order === undefined) {
			order = this.#make(column);
			this.#made.set(column, order);
		}
		return order;
	}

	/** The rows that `fits` has a 1 for, in that order. */
	pick({column, descending}: Sorting, fits: Uint8Array): readonly ImageRow[] {
		const picked: ImageRow[] = [];
		const order = this.by(column);
		const last = order.length - 1;
		for (let at = 0; at <= last; at++) {
			const position = order[descending ? last - at : at] ?? 0;
			const row = this.#rows[position];
			if (fits[position] === 1 && row !== undefined) {
				picked.push(row);
			}
		}
		return picked;
	}

	#make(column: Column): Uint32Array {
		const keys = this.#rows.map(row => keyOf(row, column));
		const seconds = this.#rows.map(row => `${row.name.toLowerCase()}\u0000${versionKey(row.version)}`);
		const compare = (left: number, right: number): number => {
			const [one, other] = [keys[left] ?? '', keys[right] ?? ''];
			if (one !== other) {
				return one < other ? -1 : 1;
			}
			const [second, third] = [seconds[left] ?? '', seconds[right] ?? ''];
			return second < third ? -1 : second > third ? 1 : left - right;
		};
		return Uint32Array.from(this.#rows.keys()).sort(compare);
	}
}

/** Text that sorts as versions do: `9.10` behind `9.9`. */
export function versionKey(version: string): string {
	return version.toLowerCase().replaceAll(/\d+/g, digits => digits.padStart(12, '0'));
}

function keyOf(row: ImageRow, column: Column): string | number {
	switch (column) {
		case 'name':
			return row.name.toLowerCase();
		case 'version':
			return versionKey(row.version);
		case 'os':
		case 'type':
		case 'source':
			return row[column];
		case 'published':
			return row.publishedAt ?? '';
		case 'size':
			return row.size;
		case 'here':
			return hereRank[row.here];
		case 'used':
			return row.lastUsedAt ?? '';
	}
}
