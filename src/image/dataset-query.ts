/**
 * The list of DSAPI: what may be asked of it, and the images that answer (contract 11.1).
 *
 * Unlike IMGAPI's list it has neither pages nor states, and the newest comes first.
 */
import {isListedDataset, restriction} from './dataset.js';
import type {Manifest} from './manifest.js';
import {scalarParam, type QueryParams} from './params.js';

export interface DatasetQuery {
	/** The same text for the same question: a key for caches. */
	readonly key: string;
	/** Whether images that are not public are there for this caller. */
	readonly seesPrivate: boolean;
	/** Exact values. */
	readonly filters: readonly (readonly [name: DatasetFilter, value: string])[];
}

type DatasetFilter = keyof typeof values;

/** What each filter is compared with. */
const values = {
	creator_uuid: (image: Manifest) => image.owner,
	name: (image: Manifest) => image.name,
	os: (image: Manifest) => image.os,
	restricted_to_uuid: (image: Manifest) => restriction(image) ?? '',
	type: (image: Manifest) => image.type,
	version: (image: Manifest) => image.version,
} as const;

const filterNames: readonly DatasetFilter[] = ['creator_uuid', 'name', 'os', 'restricted_to_uuid', 'type', 'version'];

/** Throws InvalidParameterError for a filter given twice. Unknown parameters are ignored. */
export function parseDatasetQuery(
	params: QueryParams,
	{seesPrivate}: {readonly seesPrivate: boolean} = {seesPrivate: false},
): DatasetQuery {
	const filters: [DatasetFilter, string][] = [];
	for (const name of filterNames) {
		const value = scalarParam(params, name);
		if (value !== undefined) {
			filters.push([name, value]);
		}
	}
	const asked = seesPrivate ? [...filters, 'private'] : filters;
	return {key: asked.length === 0 ? '' : JSON.stringify(asked), seesPrivate, filters};
}

/** `images` must be in the order of `compareImages`; what comes back is newest first. */
export function runDatasetQuery(query: DatasetQuery, images: readonly Manifest[]): readonly Manifest[] {
	return images
		.filter(
			image =>
				isListedDataset(image, query) &&
				query.filters.every(([name, value]) => value !== '' && values[name](image) === value),
		)
		.reverse();
}
