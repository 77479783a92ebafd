/**
 * The filters of a list that look into manifests' own text: `tag.K=V` and `billing_tag=X`.
 *
 * Whoever goes through all texts anyway notes the tags on the way. Where nothing is noted, a manifest that could match is
 * parsed; most are told by a look at their text alone.
 */
import {isObject, memberIn} from './json-text.js';
import {fieldsOf, type Manifest} from './manifest.js';

/** Longer strings are searchable only as empty. */
const maxSearchable = 100;

/** Text that JSON spells in one way only, but for `\u` escapes. */
const plain = /^[\w.:@ -]*$/u;

export interface TagFilter {
	readonly key: string;
	/** `undefined`: matches nothing. */
	readonly value: string | undefined;
}

/** Of keys that are looked at, and of values that each may have: more of them, or longer ones, are read from the text. */
const mostKeys = 64;
const mostValues = 254;
const otherValue = 255;
const longestKey = 100;

/** Which tags the images of one list have, by their places in it. */
export class NotedTags {
	readonly #isNoted: Uint8Array;
	/** For each key and place, the number of the value; 0: there is no such tag. */
	readonly #columns = new Map<string, Uint8Array>();
	/** The numbers that the values of each key have. Shared with the list before. */
	readonly #values: Map<string, Map<string, number>>;

	/** `before`: of another list, which has many of the same. */
	constructor(count: number, before?: NotedTags) {
		this.#isNoted = new Uint8Array(count);
		this.#values = before === undefined ? new Map<string, Map<string, number>>() : before.#values;
	}

	/** Not for one of our own images: operators change them. `text`: of the manifest. */
	note(place: number, text: string): void {
		this.#isNoted[place] = 1;
		const tags: unknown = JSON.parse(memberIn(text, 'tags') ?? '{}');
		for (const [key, value] of isObject(tags) ? Object.entries(tags) : []) {
			const values = this.#valuesOf(key);
			if (values === undefined) {
				this.#isNoted[place] = 0;
			} else {
				this.#column(key)[place] = numberOf(searchableText(value), values);
			}
		}
	}

	/** The same image stood there in the list before. */
	copy(place: number, before: NotedTags, at: number): void {
		this.#isNoted[place] = before.#isNoted[at] ?? 0;
		for (const [key, column] of before.#columns) {
			const number = column[at] ?? 0;
			if (number > 0) {
				this.#column(key)[place] = number;
			}
		}
	}

	/** Tells of places in a list that is noted to its end. `undefined`: it is not noted whether the image has it. */
	lookFor({key, value = ''}: TagFilter): (place: number) => boolean | undefined {
		const [column, wanted] = [this.#columns.get(key), this.#values.get(key)?.get(value)];
		return place => {
			if (this.#isNoted[place] !== 1) {
				return undefined;
			}
			const number = column?.[place] ?? 0;
			// Values have no number only where all are given away: those before have kept theirs.
			return wanted === undefined && number === otherValue ? undefined : number > 0 && number === wanted;
		};
	}

	#column(key: string): Uint8Array {
		const column = this.#columns.get(key) ?? new Uint8Array(this.#isNoted.length);
		this.#columns.set(key, column);
		return column;
	}

	#valuesOf(key: string): Map<string, number> | undefined {
		let values = this.#values.get(key);
		if (values === undefined && this.#values.size < mostKeys && key.length <= longestKey) {
			values = new Map();
			this.#values.set(key, values);
		}
		return values;
	}
}

function numberOf(value: string, values: Map<string, number>): number {
	let number = values.get(value);
	if (number === undefined) {
		number = values.size < mostValues ? values.size + 1 : otherValue;
		if (number < otherValue) {
			values.set(value, number);
		}
	}
	return number;
}

/** Whether an image has all those tags and all those billing tags. `noted`: in the list in which it has that place. */
export function tagMatcher(
	tags: readonly TagFilter[],
	billingTags: readonly string[],
	noted?: NotedTags,
): (manifest: Manifest, place: number) => boolean {
	if (tags.length === 0 && billingTags.length === 0) {
		return () => true;
	}
	if (tags.some(tag => tag.value === undefined)) {
		return () => false;
	}
	const traces = tags.flatMap(traceOf);
	const billingTraces = billingTags.filter(tag => plain.test(tag)).map(tag => `"${tag}"`);
	const looks = noted === undefined ? undefined : tags.map(tag => noted.lookFor(tag));
	return (manifest, place) => {
		let isKnown = looks !== undefined && billingTags.length === 0;
		for (const look of looks ?? []) {
			const has = look(place);
			if (has === false) {
				return false;
			}
			isKnown &&= has === true;
		}
		return (
			isKnown ||
			(mayContain(manifest.text, manifest.local === undefined ? [...traces, ...billingTraces] : traces) &&
				hasTags(manifest, tags, billingTags))
		);
	};
}

/** What the text of a manifest with that tag contains. */
function traceOf({key, value = ''}: TagFilter): readonly string[] {
	if (!plain.test(key)) {
		return [];
	}
	// Numbers and booleans are equal to their text, and what cannot be searched to the empty one.
	const isString = plain.test(value) && Number.isNaN(Number(value)) && value !== 'true' && value !== 'false';
	return [isString ? `"${key}":"${value}"` : `"${key}":`];
}

function mayContain(text: string, traces: readonly string[]): boolean {
	return traces.every(trace => text.includes(trace)) || text.includes('\\u');
}

function hasTags(manifest: Manifest, tags: readonly TagFilter[], billingTags: readonly string[]): boolean {
	const fields = fieldsOf(manifest);
	const ownTags = isObject(fields['tags']) ? fields['tags'] : {};
	// A public server's manifests do not show theirs.
	const ownBillingTags = manifest.local?.billingTags ?? listOf(fields['billing_tags']);
	return (
		tags.every(({key, value}) => Object.hasOwn(ownTags, key) && searchableText(ownTags[key]) === value) &&
		billingTags.every(tag => ownBillingTags.includes(tag))
	);
}

function searchableText(value: unknown): string {
	if (typeof value === 'number' || typeof value === 'boolean') {
		return String(value);
	}
	return typeof value === 'string' && value.length <= maxSearchable ? value : '';
}

/** A bare string counts as a list of one. */
function listOf(value: unknown): readonly unknown[] {
	return Array.isArray(value) ? value : [value];
}
