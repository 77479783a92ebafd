/**
 * The operator's list of images: all that are known, filtered as IMGAPI filters and by what only a mirror knows.
 *
 * Rows of images that did not change are the same objects, so whether an answer still holds is found out without laying
 * it out again. The last few answers are kept, compressed.
 */
import {invalid} from '../image/params.js';
import {booleanParam, type QueryParams} from '../image/query.js';
import type {ImageRow} from '../mirror-operate-api.js';
import {numberParam, oneOfParam, refuseOthers, textParam} from './fields.js';
import {arrayText, store, type StoredJson} from './large-json.js';

export interface RowQuery {
	/** The same text for the same question. */
	readonly key: string;
	readonly matches: (row: ImageRow) => boolean;
	readonly offset: number;
	readonly limit: number | undefined;
}

export interface FoundRows {
	readonly json: StoredJson;
	/** Before offset and limit. */
	readonly total: number;
}

interface Kept {
	readonly rows: readonly ImageRow[];
	readonly json: Promise<StoredJson>;
}

type Matches = RowQuery['matches'];

export const rowParams: readonly string[] = [
	...['name', 'version', 'os', 'type', 'owner', 'state', 'public', 'source', 'here'],
	...['pinned', 'held', 'wanted', 'vanished', 'limit', 'offset'],
];

/** With the whole list among them, a good ten MB. */
const mostKept = 8;

/** Throws InvalidParameterError. */
export function parseRowQuery(query: QueryParams): RowQuery {
	refuseOthers(query, rowParams);
	const offset = numberParam(query, 'offset') ?? 0;
	const wanted = numberParam(query, 'limit');
	const limit = wanted === 0 ? undefined : wanted;
	const filters = [
		containing(query, 'name', row => row.name),
		containing(query, 'version', row => row.version),
		equal(query, 'os', row => row.os),
		notOrEqual(query, 'type', row => row.type),
		equal(query, 'owner', row => row.owner),
		ofState(query),
		flag(query, 'public', row => row.public),
		fromSource(query),
		atHand(query),
		flag(query, 'pinned', row => row.pinned),
		flag(query, 'held', row => row.held !== undefined),
		flag(query, 'wanted', row => row.wantedBy.length > 0),
		flag(query, 'vanished', row => row.vanished),
	].filter(filter => filter !== undefined);
	return {
		key: JSON.stringify(rowParams.map(name => query.get(name) ?? [])),
		matches: row => filters.every(filter => filter(row)),
		offset,
		limit,
	};
}

export class ImageRows {
	readonly #rows: () => Promise<readonly ImageRow[]>;
	/** By their query, in the order of their last use. */
	readonly #kept = new Map<string, Kept>();
	/** One at a time is laid out: each takes memory for all of its text. */
	#turn: Promise<unknown> = Promise.resolve();

	constructor({rows}: {readonly rows: () => Promise<readonly ImageRow[]>}) {
		this.#rows = rows;
	}

	async find({key, matches, offset, limit}: RowQuery): Promise<FoundRows> {
		const found = (await this.#rows()).filter(matches);
		const rows = found.slice(offset, limit === undefined ? undefined : offset + limit);
		const before = this.#kept.get(key);
		const kept = before !== undefined && areSame(before.rows, rows) ? before : {rows, json: this.#layOut(rows)};
		this.#kept.delete(key);
		this.#kept.set(key, kept);
		const [oldest] = this.#kept.keys();
		if (this.#kept.size > mostKept && oldest !== undefined) {
			this.#kept.delete(oldest);
		}
		try {
			return {json: await kept.json, total: found.length};
		} catch (error) {
			this.#kept.delete(key);
			throw error;
		}
	}

	#layOut(rows: readonly ImageRow[]): Promise<StoredJson> {
		const json = this.#turn.then(() => store(arrayText(rows)));
		this.#turn = json.catch(() => undefined);
		return json;
	}
}

function areSame(before: readonly ImageRow[], now: readonly ImageRow[]): boolean {
	return before.length === now.length && before.every((row, place) => row === now[place]);
}

function containing(query: QueryParams, name: string, of: (row: ImageRow) => string): Matches | undefined {
	const text = textParam(query, name);
	if (text?.startsWith('~') === true) {
		const part = text.slice(1);
		return row => of(row).includes(part);
	}
	return equal(query, name, of);
}

function notOrEqual(query: QueryParams, name: string, of: (row: ImageRow) => string): Matches | undefined {
	const text = textParam(query, name);
	if (text?.startsWith('!') === true) {
		const other = text.slice(1);
		return row => of(row) !== other;
	}
	return equal(query, name, of);
}

function equal(query: QueryParams, name: string, of: (row: ImageRow) => string): Matches | undefined {
	const text = textParam(query, name);
	return text === undefined ? undefined : row => of(row) === text;
}

function flag(query: QueryParams, name: string, of: (row: ImageRow) => boolean): Matches | undefined {
	const wanted = booleanParam(query, name);
	return wanted === undefined ? undefined : row => of(row) === wanted;
}

function ofState(query: QueryParams): Matches | undefined {
	const states = ['active', 'disabled', 'unactivated', 'creating', 'failed', 'all'] as const;
	const state = oneOfParam(query, 'state', states);
	return state === undefined || state === 'all' ? undefined : row => row.state === state;
}

function fromSource(query: QueryParams): Matches | undefined {
	const source = textParam(query, 'source');
	return source === undefined ? undefined : row => row.source === source || row.sources.includes(source);
}

/** `here=true` is what a hand that writes a query tries first. */
function atHand(query: QueryParams): Matches | undefined {
	const text = textParam(query, 'here');
	switch (text) {
		case undefined:
			return undefined;
		case 'true':
			return row => row.here === 'here';
		case 'false':
			return row => row.here !== 'here';
		case 'here':
		case 'coming':
		case 'part':
		case 'away':
			return row => row.here === text;
		default:
			throw invalid('here', 'must be here, coming, part or away');
	}
}
