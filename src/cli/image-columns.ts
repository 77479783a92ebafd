/**
 * The columns of `images list`: imgadm's by the same names, and what only a mirror knows.
 *
 * Cells are text for a table and for `-p`; sorting goes by what a cell means, as imgadm does it: numbers as numbers,
 * and a "-" before a name turns it round.
 */
import {nearest} from '../config/spelling.js';
import {commandLineError} from './target.js';
import type {Hold, Row} from './wire.js';
import {humanBytes} from './words.js';

type Value = string | number | boolean | undefined;

interface Column {
	readonly of: (row: Row) => Value;
	/** For people, where that is not the value as it is. */
	readonly shown?: (row: Row) => string;
	readonly right?: true;
}

const columns: Readonly<Record<string, Column>> = {
	uuid: {of: row => row.uuid},
	name: {of: row => row.name},
	version: {of: row => row.version},
	os: {of: row => row.os},
	type: {of: row => row.type},
	pub: {of: row => row.publishedAt?.slice(0, 10)},
	published: {of: row => row.publishedAt?.replace(/\.\d+Z$/, 'Z')},
	published_at: {of: row => row.publishedAt},
	published_date: {of: row => row.publishedAt?.slice(0, 10)},
	state: {of: row => row.state},
	disabled: {of: row => row.state === 'disabled'},
	public: {of: row => row.public},
	owner: {of: row => row.owner},
	origin: {of: row => row.origin},
	source: {of: row => row.source},
	sources: {of: row => row.sources.join(',')},
	size: {of: row => row.size, shown: row => humanBytes(row.size), right: true},
	here: {of: row => row.here},
	pinned: {of: row => row.pinned},
	wanted: {of: row => row.wantedBy.join(',')},
	used: {of: row => row.lastUsedAt?.replace(/\.\d+Z$/, 'Z')},
	held: {of: row => (row.held === undefined ? undefined : heldShortly(row.held))},
	vanished: {of: row => row.vanished},
};

export const columnNames: readonly string[] = Object.keys(columns);

/** As imgadm prints them, and whether the file is here. */
export const usualColumns = 'uuid,name,version,os,type,pub,here';
export const usualOrder = 'published_at,name';

export interface OneColumn {
	readonly name: string;
	readonly right: boolean;
	/** `-` for what there is not. `exact`: for programs. */
	cell(row: Row, exact: boolean): string;
}

/** Throws ConfigError for a name that is no column's. */
export function columnsOf(names: string): readonly OneColumn[] {
	return names.split(',').map(given => {
		const {name, column} = columnOf(given, '--output');
		return {
			name,
			right: column.right ?? false,
			cell(row, exact) {
				const value = column.of(row);
				if (value === undefined || value === '') {
					return '-';
				}
				return exact || column.shown === undefined ? String(value) : column.shown(row);
			},
		};
	});
}

/** For Array.sort. Throws ConfigError for a name that is no column's. */
export function orderOf(names: string): (a: Row, b: Row) => number {
	const keys = names.split(',').map(given => ({
		...columnOf(given.replace(/^\s*-/, ''), '--sort'),
		sign: given.trim().startsWith('-') ? -1 : 1,
	}));
	return (a, b) => {
		for (const {column, sign} of keys) {
			const order = compared(column.of(a), column.of(b));
			if (order !== 0) {
				return sign * order;
			}
		}
		return 0;
	};
}

/** What there is not comes first. */
function compared(a: Value, b: Value): number {
	if (a === undefined || b === undefined) {
		return Number(a !== undefined) - Number(b !== undefined);
	}
	const [first, second] = [Number(a), Number(b)];
	const areNumbers = a !== '' && b !== '' && !Number.isNaN(first) && !Number.isNaN(second);
	const [x, y] = areNumbers ? [first, second] : [String(a), String(b)];
	return x < y ? -1 : Number(x > y);
}

function columnOf(given: string, flag: string): {readonly name: string; readonly column: Column} {
	const name = given.trim();
	const column = Object.hasOwn(columns, name) ? columns[name] : undefined;
	if (column === undefined) {
		const meant = nearest(name, columnNames);
		throw commandLineError([
			`${flag}: there is no column ${JSON.stringify(name)}` +
				(meant === undefined ? `: expected some of ${columnNames.join(', ')}` : `; did you mean "${meant}"?`),
		]);
	}
	return {name, column};
}

/** `age until 2026-03-01`, `rule`, `operator`. */
export function heldShortly({why, until}: Hold): string {
	return until === undefined ? why : `${why} until ${until.slice(0, 10)}`;
}
