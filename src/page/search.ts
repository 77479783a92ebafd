/**
 * Finding images as one types: every word must be in an image's name, version, uuid, os or type.
 *
 * Built once for a list of rows; asking 25,000 of them takes a few milliseconds. Which rows fit the chips is
 * `filters.ts`, their order `sort.ts`.
 */
import type {ImageRow} from '../mirror-operate-api.js';

export class SearchIndex {
	readonly rows: readonly ImageRow[];
	readonly #texts: readonly string[];

	/** `before`: of the same rows but a few, whose texts need not be made again. */
	constructor(rows: readonly ImageRow[], before?: SearchIndex) {
		this.rows = rows;
		const [oldRows, oldTexts] = before === undefined ? [[], []] : [before.rows, before.#texts];
		this.#texts = rows.map((row, at) => (oldRows[at] === row ? (oldTexts[at] ?? '') : textOf(row)));
	}

	/** Which rows fit, a 1 for each that does. */
	match(query: string): Uint8Array {
		const fits = new Uint8Array(this.rows.length);
		const words = wordsOf(query);
		for (let at = 0; at < fits.length; at++) {
			const text = this.#texts[at] ?? '';
			let isFound = 1;
			for (const word of words) {
				if (!text.includes(word)) {
					isFound = 0;
					break;
				}
			}
			fits[at] = isFound;
		}
		return fits;
	}

	/** The first rows that fit, those whose name begins with the query before others. */
	first(query: string, most: number): readonly ImageRow[] {
		const words = wordsOf(query);
		const start = words[0] ?? '';
		const better: ImageRow[] = [];
		const others: ImageRow[] = [];
		for (const [at, row] of this.rows.entries()) {
			const text = this.#texts[at] ?? '';
			if (words.every(word => text.includes(word))) {
				const list = text.startsWith(start) ? better : others;
				if (list.length < most) {
					list.push(row);
				}
				if (better.length === most) {
					break;
				}
			}
		}
		return [...better, ...others].slice(0, most);
	}
}

export function wordsOf(query: string): readonly string[] {
	return query
		.toLowerCase()
		.split(/\s+/)
		.filter(word => word !== '');
}

function textOf({name, version, uuid, os, type}: ImageRow): string {
	return `${name} ${version} ${uuid} ${os} ${type}`.toLowerCase();
}
