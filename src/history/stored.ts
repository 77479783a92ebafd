/**
 * The history as a file: written whole now and then, read at the start.
 *
 * It is worth little and may be anything (cut short, of another version, edited): what cannot be read is left out, and
 * nothing about it is ever an error.
 */
import type {SourceState} from './api.js';
import type {SourceSample, Step, Tally} from './points.js';

export interface Change {
	readonly at: number;
	readonly state: SourceState;
	readonly problem?: string | undefined;
}

export interface Stored {
	readonly minutes: readonly Step[];
	readonly tens: readonly Step[];
	readonly changes: Readonly<Record<string, readonly Change[]>>;
}

const version = 1;
const states: ReadonlySet<unknown> = new Set<SourceState>(['unknown', 'up', 'down']);

export function storedText(stored: Stored): string {
	return `${JSON.stringify({version, ...stored})}\n`;
}

/** What of it can be used. Nothing that lies after `now` is: the clock was wrong then, or is now. */
export function readStored(text: string, now: number): Stored {
	const found = parsed(text);
	const usable = found['version'] === version ? found : {};
	const isPast = ({at}: {readonly at: number}): boolean => at <= now;
	const changes = Object.entries(members(usable['changes'])).map(([name, list]): [string, readonly Change[]] => [
		name,
		items(list).flatMap(changeOf).filter(isPast),
	]);
	return {
		minutes: items(usable['minutes']).flatMap(stepOf).filter(isPast),
		tens: items(usable['tens']).flatMap(stepOf).filter(isPast),
		changes: Object.fromEntries(changes),
	};
}

function parsed(text: string): Readonly<Record<string, unknown>> {
	try {
		return members(JSON.parse(text));
	} catch {
		return {};
	}
}

function stepOf(value: unknown): readonly Step[] {
	const step = members(value);
	const {at, ms} = step;
	if (!isTime(at) || !isCount(ms)) {
		return [];
	}
	return [
		{
			at,
			ms,
			requests: countOf(step['requests']),
			errors: countOf(step['errors']),
			out: tallyOf(step['out']),
			in: tallyOf(step['in']),
			files: tallyOf(step['files']),
			connections: countOf(step['connections']),
			storeBytes: countOf(step['storeBytes']),
			sources: Object.fromEntries(Object.entries(members(step['sources'])).flatMap(sampleOf)),
		},
	];
}

function sampleOf([name, value]: [string, unknown]): readonly (readonly [string, SourceSample])[] {
	const {state, latencyMs, ageMs} = members(value);
	return isState(state)
		? [[name, {state, ...(isCount(latencyMs) ? {latencyMs} : {}), ...(isCount(ageMs) ? {ageMs} : {})}]]
		: [];
}

function changeOf(value: unknown): readonly Change[] {
	const {at, state, problem} = members(value);
	return isTime(at) && isState(state) ? [{at, state, ...(typeof problem === 'string' ? {problem} : {})}] : [];
}

function tallyOf(value: unknown): Tally {
	const entries = Object.entries(members(value)).filter((entry): entry is [string, number] => isCount(entry[1]));
	return Object.fromEntries(entries.filter(([, count]) => count > 0));
}

function countOf(value: unknown): number {
	return isCount(value) ? value : 0;
}

function isCount(value: unknown): value is number {
	return typeof value === 'number' && Number.isFinite(value) && value >= 0;
}

/** What a Date can hold: everything else would throw where it is shown. */
function isTime(value: unknown): value is number {
	return isCount(value) && value <= 8.64e15;
}

function isState(value: unknown): value is SourceState {
	return states.has(value);
}

function items(value: unknown): readonly unknown[] {
	return Array.isArray(value) ? value : [];
}

function members(value: unknown): Readonly<Record<string, unknown>> {
	return typeof value === 'object' && value !== null && !Array.isArray(value) ? {...value} : {};
}
