/**
 * The filters of a list that look into manifests' own text: `tag.K=V` and `billing_tag=X`.
 *
 * The index does not hold tags, because few ever ask for them, so each manifest that could match has to be parsed. Most
 * are told by a look at their text alone.
 */
import {isObject} from './json-text.js';
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

/** Whether an image has all those tags and all those billing tags. */
export function tagMatcher(
	tags: readonly TagFilter[],
	billingTags: readonly string[],
): (manifest: Manifest) => boolean {
	if (tags.length === 0 && billingTags.length === 0) {
		return () => true;
	}
	if (tags.some(tag => tag.value === undefined)) {
		return () => false;
	}
	const traces = tags.flatMap(traceOf);
	const billingTraces = billingTags.filter(tag => plain.test(tag)).map(tag => `"${tag}"`);
	return manifest =>
		mayContain(manifest.text, manifest.local === undefined ? [...traces, ...billingTraces] : traces) &&
		hasTags(manifest, tags, billingTags);
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
