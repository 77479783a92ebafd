/**
 * Parameters and bodies of the operator's requests, read strictly: what is not known is refused.
 *
 * IMGAPI's own endpoints ignore what they do not know, as the reference does. Here a name that means nothing is a typing
 * error, and what was meant would not happen. Everything throws InvalidParameterError with the name of what is wrong.
 */
import {InvalidParameterError} from '../errors.js';
import {parseDate} from '../image/dates.js';
import {isObject} from '../image/json-text.js';
import {isUuid, type JsonObject, type Uuid} from '../image/manifest.js';
import {invalid} from '../image/params.js';
import {scalarParam, type QueryParams} from '../image/query.js';

/** Every image of a large catalog, named one by one. As many fit into a body (`maxTextBytes`). */
const mostUuids = 50_000;

export interface NumberBounds {
	readonly least?: number;
	readonly most?: number;
}

export function refuseOthers(query: QueryParams, known: readonly string[]): void {
	refuse([...query.keys()], known, 'parameter');
}

/** `undefined`: not given, or empty. */
export function textParam(query: QueryParams, name: string): string | undefined {
	return scalarParam(query, name) || undefined;
}

export function numberParam(query: QueryParams, name: string, bounds: NumberBounds = {}): number | undefined {
	const text = textParam(query, name);
	if (text === undefined) {
		return undefined;
	}
	return checkedNumber(name, /^\d{1,15}$/u.test(text) ? Number(text) : undefined, bounds);
}

export function oneOfParam<const T extends string>(
	query: QueryParams,
	name: string,
	values: readonly T[],
): T | undefined {
	const text = textParam(query, name);
	const value = values.find(each => each === text);
	if (text !== undefined && value === undefined) {
		throw invalid(name, `must be one of ${values.join(', ')}`);
	}
	return value;
}

/** A body of these fields; no body is one without any. */
export function fieldsIn(body: unknown, known: readonly string[], name = 'body'): JsonObject {
	if (body === undefined) {
		return {};
	}
	if (!isObject(body)) {
		throw invalid(name, 'must be an object');
	}
	refuse(Object.keys(body), known, 'field');
	return body;
}

/** Whole and not negative. `undefined`: not given. */
export function numberField(fields: JsonObject, name: string, bounds: NumberBounds = {}): number | undefined {
	const value = given(fields, name);
	return value === undefined ? undefined : checkedNumber(name, value, bounds);
}

export function flagField(fields: JsonObject, name: string): boolean | undefined {
	const value = given(fields, name);
	if (value !== undefined && typeof value !== 'boolean') {
		throw invalid(name, 'must be true or false');
	}
	return value;
}

export function textField(fields: JsonObject, name: string, mostLength = 1000): string | undefined {
	const value = given(fields, name);
	if (value !== undefined && (typeof value !== 'string' || value === '' || value.length > mostLength)) {
		throw invalid(name, `must be a text of 1 to ${mostLength} characters`);
	}
	return value;
}

export function dateField(fields: JsonObject, name: string): string | undefined {
	const value = textField(fields, name);
	if (value !== undefined && Number.isNaN(parseDate(value) ?? Date.parse(value))) {
		throw invalid(name, 'must be a date');
	}
	return value;
}

/** A text alone is a list of it. */
export function textsField(fields: JsonObject, name: string): readonly string[] | undefined {
	return listField(fields, name, {what: 'texts', most: 1000});
}

export function uuidsField(fields: JsonObject, name: string): readonly Uuid[] | undefined {
	const texts = listField(fields, name, {what: 'uuids', most: mostUuids});
	const uuids = texts?.filter(isUuid);
	if (uuids?.length !== texts?.length) {
		throw invalid(name, 'must be a list of uuids');
	}
	return uuids === undefined ? undefined : [...new Set(uuids)];
}

function listField(
	fields: JsonObject,
	name: string,
	{what, most}: {readonly what: string; readonly most: number},
): readonly string[] | undefined {
	const value = given(fields, name);
	if (value === undefined) {
		return undefined;
	}
	const list: readonly unknown[] = Array.isArray(value) ? value : [value];
	const texts = list.filter(each => typeof each === 'string' && each !== '' && each.length <= 1000);
	if (list.length === 0 || texts.length !== list.length || list.length > most) {
		throw invalid(name, `must be a list of 1 to ${most} ${what}`);
	}
	return texts as readonly string[];
}

function given(fields: JsonObject, name: string): unknown {
	return Object.hasOwn(fields, name) ? (fields[name] ?? undefined) : undefined;
}

function checkedNumber(
	name: string,
	value: unknown,
	{least = 0, most = Number.MAX_SAFE_INTEGER}: NumberBounds,
): number {
	if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < least || value > most) {
		const upTo = most === Number.MAX_SAFE_INTEGER ? '' : ` to ${most}`;
		throw invalid(name, `must be a whole number, ${least}${upTo === '' ? ' or more' : upTo}`);
	}
	return value;
}

function refuse(names: readonly string[], known: readonly string[], what: string): void {
	const unknown = names.filter(name => !known.includes(name));
	if (unknown.length > 0) {
		const there = known.length === 0 ? 'there are none' : `known are ${known.join(', ')}`;
		throw new InvalidParameterError(
			`no such ${what} here: ${unknown.slice(0, 5).map(shortened).join(', ')}; ${there}`,
			unknown.slice(0, 100).map(field => ({field: cut(field), code: 'Invalid', message: 'is not known here'})),
		);
	}
}

function shortened(name: string): string {
	return JSON.stringify(cut(name));
}

function cut(name: string): string {
	return name.length > 100 ? `${name.slice(0, 100)}…` : name;
}
