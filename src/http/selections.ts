/**
 * Which images somebody means, in the language of prefetch rules: as the field of a body, or as a query.
 *
 * What the words mean is the prefetch room's to know. Throws InvalidParameterError for what is not known here.
 */
import type {JsonObject} from '../image/manifest.js';
import {scalarParam, type QueryParams} from '../image/query.js';
import type {Selection} from '../prefetch/api.js';
import {dateField, fieldsIn, numberField, numberParam, textField, textsField, uuidsField} from './fields.js';

const lists = ['sources', 'name', 'os', 'type', 'owner'];
const selectionFields = ['uuids', ...lists, 'version', 'newest', 'publishedSince', 'maxBytes', 'rule'];

export function readSelection(given: unknown): Selection {
	const fields = fieldsIn(given, selectionFields, 'selection');
	return defined({
		...Object.fromEntries(lists.map(name => [name, textsField(fields, name)])),
		uuids: uuidsField(fields, 'uuids'),
		version: textField(fields, 'version'),
		newest: numberField(fields, 'newest', {least: 1}),
		publishedSince: dateField(fields, 'publishedSince'),
		maxBytes: numberField(fields, 'maxBytes'),
		rule: textField(fields, 'rule'),
	});
}

/** What a query may say of it. The first six may come several times. */
export const selectionParams: readonly string[] = [
	...['uuid', 'source', 'name', 'os', 'type', 'owner'],
	...['version', 'newest', 'publishedSince', 'maxBytes', 'rule'],
];

/** A word without a value is refused: left out, it would mean more images. `undefined`: the query chooses nothing. */
export function selectionIn(query: QueryParams): Selection | undefined {
	const several = Object.fromEntries(query);
	const single = Object.fromEntries(
		['version', 'publishedSince', 'rule', 'newest', 'maxBytes'].map(name => [name, scalarParam(query, name)]),
	);
	const number = (name: string, least: number): number | undefined => {
		textField(single, name);
		return numberParam(query, name, {least});
	};
	const selection = defined({
		uuids: uuidsField(several, 'uuid'),
		sources: textsField(several, 'source'),
		...Object.fromEntries(['name', 'os', 'type', 'owner'].map(name => [name, textsField(several, name)])),
		version: textField(single, 'version'),
		newest: number('newest', 1),
		publishedSince: dateField(single, 'publishedSince'),
		maxBytes: number('maxBytes', 0),
		rule: textField(single, 'rule'),
	});
	return Object.keys(selection).length === 0 ? undefined : selection;
}

/** Without the fields that are not there. */
function defined(fields: JsonObject): Selection {
	return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}
