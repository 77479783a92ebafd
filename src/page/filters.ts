/**
 * The chips above the table: what an image can be chosen by, and how many each choice would show.
 *
 * Within one group any of the chosen values will do, groups must all fit. The number at a chip is what would be shown
 * if it were the only one of its group. Pure; `filter-chips.ts` draws them.
 */
import type {ImageRow} from '../mirror-operate-api.js';

export const groups = ['os', 'type', 'source', 'is'] as const;

export type Group = (typeof groups)[number];

/** Values that were chosen, by group. */
export type Choices = Readonly<Record<Group, readonly string[]>>;

export const noChoices: Choices = {os: [], type: [], source: [], is: []};

/** What an image is, in the operator's words. */
const flags: readonly (readonly [flag: string, of: (row: ImageRow) => boolean, title: string])[] = [
	['here', row => row.here === 'here', 'Its file is whole and verified on this disk'],
	['coming', row => row.here === 'coming', 'Its file is on its way'],
	['part', row => row.here === 'part', 'The beginning of its file is on this disk'],
	['away', row => row.here === 'away', 'Nothing of it is on this disk'],
	['pinned', row => row.pinned, 'Kept because an operator said so'],
	['wanted', row => row.wantedBy.length > 0, 'Kept because a prefetch rule wants it'],
	['held', row => row.held !== undefined, 'Not offered to clients yet'],
	['ours', row => row.source === 'local', 'Published here'],
	['disabled', row => row.state === 'disabled', 'Disabled: in no usual list'],
	['unactivated', row => row.state === 'unactivated', 'Not activated yet'],
	['private', row => !row.public, 'Not public'],
	['vanished', row => row.vanished, 'Gone from its source’s list, kept all the same'],
];

export interface Choice {
	readonly value: string;
	readonly count: number;
	readonly chosen: boolean;
	readonly title?: string;
}

export interface Filtered {
	/** A 1 for each row that fits everything. */
	readonly fits: Uint8Array;
	readonly count: number;
	/** Those that there is anything of, or that are chosen. */
	readonly choices: Readonly<Record<Group, readonly Choice[]>>;
}

/** Whether a row fits each group, as bits. */
const [osBit, typeBit, sourceBit, isBit, allBits] = [1, 2, 4, 8, 15];

/** What all rows can be chosen by, as numbers made once: asking again while somebody types takes little time. */
export class Facets {
	readonly #count: number;
	readonly #os: Words;
	readonly #type: Words;
	readonly #source: Words;
	/** A bit for each of `flags`. */
	readonly #flags: Uint16Array;

	constructor(rows: readonly ImageRow[]) {
		this.#count = rows.length;
		this.#os = new Words(rows.map(({os}) => [os]));
		this.#type = new Words(rows.map(({type}) => [type]));
		this.#source = new Words(rows.map(({sources}) => sources));
		this.#flags = new Uint16Array(rows.length);
		for (const [flag, [, of]] of flags.entries()) {
			for (const [at, row] of rows.entries()) {
				if (of(row)) {
					this.#flags[at] = (this.#flags[at] ?? 0) | (1 << flag);
				}
			}
		}
	}

	/** `found`: a 1 for each row that the search has found. */
	filter(found: Uint8Array, chosen: Choices): Filtered {
		const fits = new Uint8Array(this.#count);
		const [os, type, source] = [
			new Count(this.#os, chosen.os),
			new Count(this.#type, chosen.type),
			new Count(this.#source, chosen.source),
		];
		const wanted = flags.reduce((sum, [flag], at) => sum | (chosen.is.includes(flag) ? 1 << at : 0), 0);
		const flagCounts = new Uint32Array(flags.length);
		let count = 0;
		for (let at = 0; at < this.#count; at++) {
			if (found[at] !== 1) {
				continue;
			}
			const bits = this.#flags[at] ?? 0;
			const mask =
				(os.fits(at) ? osBit : 0) |
				(type.fits(at) ? typeBit : 0) |
				(source.fits(at) ? sourceBit : 0) |
				(wanted === 0 || (bits & wanted) !== 0 ? isBit : 0);
			if (mask === allBits) {
				fits[at] = 1;
				count++;
			}
			if ((mask | osBit) === allBits) {
				os.add(at);
			}
			if ((mask | typeBit) === allBits) {
				type.add(at);
			}
			if ((mask | sourceBit) === allBits) {
				source.add(at);
			}
			if ((mask | isBit) === allBits) {
				for (let flag = 0; flag < flagCounts.length; flag++) {
					flagCounts[flag] = (flagCounts[flag] ?? 0) + ((bits >> flag) & 1);
				}
			}
		}
		const there = this.#flags.reduce((sum, bits) => sum | bits, 0);
		const is = flags.flatMap(([value, , title], at) => {
			const isChosen = chosen.is.includes(value);
			const isThere = (there & (1 << at)) !== 0;
			return isThere || isChosen ? [{value, count: flagCounts[at] ?? 0, chosen: isChosen, title}] : [];
		});
		return {fits, count, choices: {os: os.choices(), type: type.choices(), source: source.choices(), is}};
	}
}

/** The values that rows have of one group: each value a number, each row the numbers of its values. */
class Words {
	readonly values: readonly string[];
	readonly numbers: Uint16Array;
	/** Where those of a row begin; they end where those of the next begin. */
	readonly starts: Uint32Array;

	constructor(rows: readonly (readonly string[])[]) {
		const known = new Map<string, number>();
		const numbers: number[] = [];
		this.starts = new Uint32Array(rows.length + 1);
		for (const [at, values] of rows.entries()) {
			for (const value of values) {
				let number = known.get(value);
				if (number === undefined) {
					number = known.size;
					known.set(value, number);
				}
				numbers.push(number);
			}
			this.starts[at + 1] = numbers.length;
		}
		this.values = [...known.keys()];
		this.numbers = Uint16Array.from(numbers);
	}
}

/** One group while its rows are counted. */
class Count {
	readonly #words: Words;
	readonly #chosen: readonly string[];
	/** A 1 for each value that is chosen. */
	readonly #wanted: Uint8Array;
	readonly #counts: Uint32Array;

	constructor(words: Words, chosen: readonly string[]) {
		this.#words = words;
		this.#chosen = chosen;
		this.#wanted = Uint8Array.from(words.values, value => (chosen.includes(value) ? 1 : 0));
		this.#counts = new Uint32Array(words.values.length);
	}

	fits(row: number): boolean {
		if (this.#chosen.length === 0) {
			return true;
		}
		const {starts, numbers} = this.#words;
		for (let at = starts[row] ?? 0; at < (starts[row + 1] ?? 0); at++) {
			if (this.#wanted[numbers[at] ?? 0] === 1) {
				return true;
			}
		}
		return false;
	}

	add(row: number): void {
		const {starts, numbers} = this.#words;
		for (let at = starts[row] ?? 0; at < (starts[row + 1] ?? 0); at++) {
			const number = numbers[at] ?? 0;
			this.#counts[number] = (this.#counts[number] ?? 0) + 1;
		}
	}

	choices(): readonly Choice[] {
		const {values} = this.#words;
		const unknown = this.#chosen.filter(value => !values.includes(value));
		return [
			...values.map((value, at) => ({value, count: this.#counts[at] ?? 0})),
			...unknown.map(value => ({value, count: 0})),
		]
			.map(one => ({...one, chosen: this.#chosen.includes(one.value)}))
			.sort((one, other) => (one.value < other.value ? -1 : 1));
	}
}

/** With the value of the group chosen if it was not, and the other way round. */
export function toggled(chosen: Choices, group: Group, value: string): Choices {
	const values = chosen[group];
	return {...chosen, [group]: values.includes(value) ? values.filter(one => one !== value) : [...values, value]};
}

export function isAnyChosen(chosen: Choices): boolean {
	return groups.some(group => chosen[group].length > 0);
}
