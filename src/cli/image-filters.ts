/**
 * Which images `images list` is asked for: `name=~base`, `type=!zvol` and their like, as IMGAPI writes filters.
 *
 * The server filters; here is said what cannot be meant, before it is asked. Without a word about states and holds,
 * images that nobody is offered are left out.
 */
import {nearest} from '../config/spelling.js';
import {commandLineError} from './target.js';
import type {Row} from './wire.js';

const texts = ['name', 'version', 'os', 'type', 'owner', 'source'] as const;
const flags = ['public', 'pinned', 'held', 'wanted', 'vanished'] as const;
const choices = {
	state: ['active', 'disabled', 'unactivated', 'creating', 'failed', 'all'],
	here: ['here', 'coming', 'part', 'away', 'true', 'false'],
} as const;

export const filterNames: readonly string[] = [...texts, ...Object.keys(choices), ...flags];

export interface ImageFilter {
	/** For the server. */
	readonly query: string;
	/** What the server does not know to leave out. */
	shows(row: Row): boolean;
}

/** `given` are `NAME=VALUE`. Throws ConfigError with every fault. */
export function readFilters(given: readonly string[], {all}: {readonly all: boolean}): ImageFilter {
	const faults: string[] = [];
	const wanted = new Map<string, string>();
	for (const filter of given) {
		const [, name = '', value = ''] = /^([^=]*)=(.*)$/s.exec(filter) ?? [];
		const fault = faultOf(filter, name, value);
		if (fault === undefined && wanted.has(name)) {
			faults.push(`${filter}: ${name} is filtered by already`);
		} else if (fault === undefined) {
			wanted.set(name, value);
		} else {
			faults.push(fault);
		}
	}
	if (faults.length > 0) {
		throw commandLineError(faults);
	}
	const state = wanted.get('state');
	const isAskedFor = (name: string): boolean => wanted.get(name) === 'true';
	return {
		query: wanted.size === 0 ? '' : `?${new URLSearchParams([...wanted]).toString()}`,
		shows: row =>
			all ||
			((state !== undefined || row.state === 'active') &&
				(isAskedFor('held') || row.held === undefined) &&
				(isAskedFor('vanished') || !row.vanished)),
	};
}

function faultOf(filter: string, name: string, value: string): string | undefined {
	if (name === '' || !filterNames.includes(name)) {
		const meant = name === '' ? undefined : nearest(name, filterNames);
		return (
			`${JSON.stringify(filter)}: expected NAME=VALUE with one of ${filterNames.join(', ')}` +
			(meant === undefined ? '' : `; did you mean "${meant}"?`)
		);
	}
	if (value === '') {
		return `${filter}: the value is missing`;
	}
	if (flags.some(known => known === name) && value !== 'true' && value !== 'false') {
		return `${filter}: expected true or false`;
	}
	if ((name === 'state' || name === 'here') && !choices[name].some(known => known === value)) {
		return `${filter}: expected one of ${choices[name].join(', ')}`;
	}
	return undefined;
}
