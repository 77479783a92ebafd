/**
 * One-off selections: read from what came over the wire, and as what a rule would say.
 */
import {InvalidParameterError, NotFoundError, type FieldFault} from '../errors.js';
import {parseDate} from '../image/dates.js';
import {isUuid, type Uuid} from '../image/manifest.js';
import type {Selection} from './api.js';
import {noPatterns, type Choosing, type PrefetchRule} from './rule.js';

const mostEntries = 10_000;
/** Every image of a large catalog, named one by one. */
const mostUuids = 50_000;
const longestText = 512;

type Reader = (value: unknown) => string | undefined;

/** Each says what is wrong with a value, if anything. */
const readers: Readonly<Record<keyof Selection, Reader>> = {
	uuids: list('uuids, in lower case', isUuid, mostUuids),
	sources: list('names of sources', isText),
	name: list('patterns', isText),
	os: list('patterns', isText),
	type: list('patterns', isText),
	owner: list('patterns', isText),
	version: value => (isText(value) ? undefined : 'must be a range of versions or a pattern'),
	newest: value => (isCount(value) ? undefined : 'must be a whole number from 1 on'),
	publishedSince: value => (isDate(value) ? undefined : 'must be a date'),
	maxBytes: value => (isCount(value) ? undefined : 'must be a number of bytes from 1 on'),
	rule: value => (isText(value) ? undefined : 'must be the name of a rule'),
};

/** Throws InvalidParameterError that names every field that is wrong. */
export function parseSelection(value: unknown): Selection {
	if (typeof value !== 'object' || value === null || Array.isArray(value)) {
		throw refused([{field: 'selection', code: 'Invalid', message: 'must be an object'}]);
	}
	// An empty list says nothing, as in a rule.
	const said = Object.entries(value).filter(
		([, given]) => given !== undefined && !(Array.isArray(given) && given.length === 0),
	);
	const faults = said.flatMap(([field, given]): FieldFault[] => {
		const message = isField(field) ? readers[field](given) : 'is no field of a selection';
		return message === undefined ? [] : [{field, code: 'Invalid', message}];
	});
	const [first] = said;
	if (first === undefined) {
		// Everything there is has to be asked for: it may be more than any disk holds.
		faults.push({field: 'selection', code: 'Missing', message: 'says nothing; name ["*"] is everything'});
	} else if (said.length > 1 && said.some(([field]) => field === 'rule')) {
		faults.push({field: 'rule', code: 'NotAllowed', message: 'stands alone: it says all the others itself'});
	}
	if (faults.length > 0) {
		throw refused(faults);
	}
	return Object.fromEntries(said);
}

/** Throws NotFoundError for a rule that is not there, InvalidParameterError for what cannot be. */
export function choosingOf(selection: Selection, rules: readonly PrefetchRule[]): Choosing {
	const checked = parseSelection(selection);
	if (checked.rule !== undefined) {
		const rule = rules.find(({name}) => name === checked.rule);
		if (rule === undefined) {
			throw new NotFoundError(`no prefetch rule is called ${checked.rule}`);
		}
		return rule;
	}
	const {uuids, sources = [], name = [], os = [], type = [], owner = [], publishedSince} = checked;
	return {
		sources,
		include: {...noPatterns, name, os, type, owner},
		exclude: noPatterns,
		version: checked.version,
		newest: checked.newest,
		publishedSinceMs: publishedSince === undefined ? undefined : parseDate(publishedSince),
		publishedWithinMs: undefined,
		maxBytes: checked.maxBytes ?? Infinity,
		uuids,
	};
}

function isField(name: string): name is keyof Selection {
	return Object.hasOwn(readers, name);
}

function list(what: string, isEntry: (value: unknown) => value is string | Uuid, most = mostEntries): Reader {
	return value =>
		Array.isArray(value) && value.length <= most && value.every(isEntry)
			? undefined
			: `must be a list of ${what}, at most ${most}`;
}

function isText(value: unknown): value is string {
	return typeof value === 'string' && value.trim() !== '' && value.length <= longestText;
}

function isCount(value: unknown): value is number {
	return Number.isSafeInteger(value) && Number(value) >= 1;
}

function isDate(value: unknown): value is string {
	return typeof value === 'string' && parseDate(value) !== undefined;
}

function refused(faults: readonly FieldFault[]): InvalidParameterError {
	const text = faults.map(({field, message = 'is wrong'}) => `${field} ${message}`).join('; ');
	return new InvalidParameterError(`these images cannot be chosen: ${text}`, faults);
}
