/**
 * Query strings, and the parameters in them.
 *
 * HTTP parses what came, the readers of each endpoint ask for what they know; anything else is ignored. Whatever is wrong
 * is an InvalidParameterError that names the parameter.
 */
import {InvalidParameterError} from '../errors.js';

/** Every value of every key, in the order they came. */
export type QueryParams = ReadonlyMap<string, readonly string[]>;

/**
 * Splits at `&`, and at `;`, as an older server's documentation teaches. `raw` is what follows the question mark.
 * Any character may come out, NUL included.
 */
export function parseQueryString(raw: string, maxKeys: number): QueryParams {
	const params = new Map<string, string[]>();
	let pairs = 0;
	let start = 0;
	while (start < raw.length) {
		const end = pairEnd(raw, start);
		if (end > start) {
			pairs++;
			if (pairs > maxKeys) {
				throw new InvalidParameterError(`more than ${maxKeys} query parameters`, [
					{field: 'query', code: 'Invalid', message: `at most ${maxKeys} parameters are taken`},
				]);
			}
			addPair(params, raw.slice(start, end));
		}
		start = end + 1;
	}
	return params;
}

/** `undefined`: not given. */
export function scalarParam(params: QueryParams, name: string): string | undefined {
	const [value, ...more] = params.get(name) ?? [];
	if (more.length > 0) {
		throw invalid(name, 'may be given once only');
	}
	return value;
}

/** Exactly `true` or `false`. `undefined`: not given. */
export function booleanParam(params: QueryParams, name: string): boolean | undefined {
	const value = scalarParam(params, name);
	if (value !== undefined && value !== 'true' && value !== 'false') {
		throw invalid(name, 'must be true or false');
	}
	return value === undefined ? undefined : value === 'true';
}

export function invalid(field: string, message: string): InvalidParameterError {
	return new InvalidParameterError(`${field} ${message}`, [{field, code: 'Invalid', message}]);
}

function pairEnd(raw: string, start: number): number {
	let end = start;
	while (end < raw.length && raw[end] !== '&' && raw[end] !== ';') {
		end++;
	}
	return end;
}

function addPair(params: Map<string, string[]>, pair: string): void {
	const equals = pair.indexOf('=');
	const rawName = equals === -1 ? pair : pair.slice(0, equals);
	const name = nameOf(rawName);
	const value = decode(equals === -1 ? '' : pair.slice(equals + 1), name);
	const values = params.get(name);
	if (values === undefined) {
		params.set(name, [value]);
	} else {
		values.push(value);
	}
}

/** What cannot be decoded is the name of nothing, which whoever reads the parameters ignores or refuses like any other. */
function nameOf(rawName: string): string {
	try {
		return decode(rawName, rawName);
	} catch {
		return rawName;
	}
}

function decode(text: string, field: string): string {
	const spaced = text.replaceAll('+', ' ');
	if (!spaced.includes('%')) {
		return spaced;
	}
	try {
		return decodeURIComponent(spaced);
	} catch (error) {
		throw new InvalidParameterError(
			`malformed percent-encoding in ${field}`,
			[{field, code: 'Invalid', message: 'is not percent-encoded UTF-8'}],
			{cause: error},
		);
	}
}
