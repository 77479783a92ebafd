/**
 * What a list request asks for, and the images that answer it (contract 7 and 8).
 *
 * HTTP parses the parameters; the catalog runs the query on its sorted list and keeps answers under `ImageQuery.key`.
 * Lists are filtered, then sorted, then begun at the marker, then cut to the limit, so that pages never skip or repeat
 * an image.
 */
import {NotFoundError, UnauthorizedError} from '../errors.js';
import {parseDate} from './dates.js';
import {compareImages, isActive, isUuid, type Manifest, type Uuid} from './manifest.js';
import {booleanParam, invalid, scalarParam, type QueryParams} from './params.js';
import {tagMatcher, type NotedTags, type TagFilter} from './tags.js';

export {parseDatasetQuery, runDatasetQuery, type DatasetQuery} from './dataset-query.js';
export {NotedTags} from './tags.js';
export {booleanParam, parseQueryString, scalarParam, type QueryParams} from './params.js';

/** `all` and the states that images can be in. */
type ListedState = 'active' | 'disabled' | 'unactivated' | 'creating' | 'failed' | 'all';

interface TextFilter {
	readonly how: 'equal' | 'unequal' | 'contains';
	readonly text: string;
}

type Marker = {readonly uuid: Uuid} | {readonly atMs: number} | {readonly image: Manifest};

const stepLength = 256;

/** What a list request asks for (contract 7), checked. */
export interface ImageQuery {
	/** The same text for the same question: a key for caches. */
	readonly key: string;
	/** Anonymous callers see active images only. */
	readonly authenticated: boolean;
	/** Whether images that are not public are there for this caller. */
	readonly seesPrivate: boolean;
	/** Only those of our own images that are in it. `undefined`: all channels, or a server without any. */
	readonly channel: string | undefined;
	/** Whether the list tells which channels images are in. */
	readonly showChannels: boolean;
	/** `undefined`: states that this caller may not see, so nothing matches. */
	readonly state: ListedState | undefined;
	readonly account: string | undefined;
	readonly owner: TextFilter | undefined;
	readonly name: TextFilter | undefined;
	readonly version: TextFilter | undefined;
	readonly os: TextFilter | undefined;
	readonly type: TextFilter | undefined;
	readonly public: boolean | undefined;
	readonly tags: readonly TagFilter[];
	readonly billingTags: readonly string[];
	readonly newestFirst: boolean;
	readonly marker: Marker | undefined;
	readonly limit: number | undefined;
	/** Fields of operators' interest were asked for, by somebody who may. */
	readonly inclAdminFields: boolean;
}

/** Who asks for a list, and what has been found out about the request besides its query. Nothing means the least. */
export interface ListCaller {
	readonly authenticated: boolean;
	readonly seesPrivate?: boolean;
	/** Checked. */
	readonly channel?: string | undefined;
	readonly showChannels?: boolean;
}

const states: ReadonlyMap<string, ListedState> = new Map(
	(['active', 'disabled', 'unactivated', 'creating', 'failed', 'all'] as const).map(state => [state, state]),
);

/** Throws InvalidParameterError for the first parameter that is wrong, UnauthorizedError for an operator's wish. */
export function parseImageQuery(params: QueryParams, caller: ListCaller): ImageQuery {
	const {authenticated, seesPrivate = false, channel, showChannels = false} = caller;
	const inclAdminFields = booleanParam(params, 'inclAdminFields') === true;
	const query: Omit<ImageQuery, 'key'> = {
		authenticated,
		seesPrivate,
		channel,
		showChannels,
		state: stateParam(params, authenticated),
		account: scalarParam(params, 'account') || undefined,
		owner: equalParam(params, 'owner'),
		name: substringParam(params, 'name'),
		version: substringParam(params, 'version'),
		os: equalParam(params, 'os'),
		type: typeParam(params),
		public: booleanParam(params, 'public'),
		tags: tagParams(params),
		billingTags: [...new Set(params.get('billing_tag'))].sort(),
		newestFirst: sortParam(params),
		marker: markerParam(params),
		limit: limitParam(params),
		inclAdminFields,
	};
	if (inclAdminFields && !authenticated) {
		throw new UnauthorizedError('inclAdminFields needs authentication');
	}
	return {key: keyOf(query), ...query};
}

/**
 * `images` must be in the order of `compareImages`. The very same array comes back where nothing is left out or moved.
 * Throws NotFoundError for a marker that the caller cannot see.
 */
export function runImageQuery(query: ImageQuery, images: readonly Manifest[]): readonly Manifest[] {
	const steps = imageQuerySteps(query, images);
	for (;;) {
		const step = steps.next();
		if (step.done === true) {
			const places = step.value;
			const isAll = places.length === images.length && !query.newestFirst;
			return isAll ? images : places.flatMap(place => images[place] ?? []);
		}
	}
}

/**
 * The same as places in `images`, standing still now and then: tags cost a look into the text of each image.
 * `index` and `noted`: of these images.
 */
export function* imageQuerySteps(
	query: ImageQuery,
	images: readonly Manifest[],
	{index, noted}: {readonly index?: NameIndex | undefined; readonly noted?: NotedTags | undefined} = {},
): Generator<undefined, readonly number[], undefined> {
	const {newestFirst, limit = Infinity} = query;
	// First, so that a wrong marker is told from an empty page.
	const isFromMarker = markerFilter(query, images);
	const matchesTags = tagMatcher(query.tags, query.billingTags, noted);
	const {candidates, left} = index?.answer(query) ?? {left: query};
	const count = candidates?.length ?? images.length;
	const found: number[] = [];
	for (let step = 0; step < count && found.length < limit; step++) {
		const at = newestFirst ? count - 1 - step : step;
		const place = candidates === undefined ? at : (candidates[at] ?? 0);
		const image = images[place];
		if (image !== undefined && matches(left, image) && isFromMarker(image) && matchesTags(image, place)) {
			found.push(place);
		}
		if (step % stepLength === stepLength - 1) {
			yield;
		}
	}
	return found;
}

/** Where in a list the images of each name and of each version are: most questions are about one. */
export class NameIndex {
	readonly #byName = new Map<string, number[]>();
	/** Mostly, only one image has it. */
	readonly #byVersion = new Map<string, number | number[]>();

	constructor(images: readonly Manifest[]) {
		for (const [place, {name, version}] of images.entries()) {
			const places = this.#byName.get(name);
			if (places === undefined) {
				this.#byName.set(name, [place]);
			} else {
				places.push(place);
			}
			const same = this.#byVersion.get(version);
			if (Array.isArray(same)) {
				same.push(place);
			} else {
				this.#byVersion.set(version, same === undefined ? place : [same, place]);
			}
		}
	}

	/**
	 * `candidates`: places in their order, `undefined` for all of the list; `left`: what to ask of them still. To compare
	 * a text of a manifest, which is a piece of a longer one, costs more than all the rest.
	 */
	answer(query: ImageQuery): {readonly candidates?: readonly number[]; readonly left: ImageQuery} {
		const {name, version} = query;
		if (version?.how === 'equal') {
			const places = this.#byVersion.get(version.text) ?? [];
			return {candidates: Array.isArray(places) ? places : [places], left: query};
		}
		if (name?.how === 'equal' && name.text !== '') {
			return {candidates: this.#byName.get(name.text) ?? [], left: {...query, name: undefined}};
		}
		return {left: query};
	}
}

/** Whether an image comes at the marker or behind it. Throws NotFoundError for one that the caller cannot see. */
function markerFilter(query: ImageQuery, images: readonly Manifest[]): (image: Manifest) => boolean {
	const {marker, newestFirst} = query;
	if (marker === undefined) {
		return () => true;
	}
	if ('atMs' in marker) {
		const {atMs} = marker;
		// Images without date pass every marker.
		return ({publishedMs}) => publishedMs === 0 || isFrom(publishedMs - atMs, newestFirst);
	}
	const first = 'image' in marker ? marker.image : markerImage(query, marker.uuid, images);
	return image => isFrom(compareImages(image, first), newestFirst);
}

/** The uuid that a list is to begin at. */
export function markerUuid({marker}: ImageQuery): Uuid | undefined {
	return marker !== undefined && 'uuid' in marker ? marker.uuid : undefined;
}

/** The same, from where an image stood that is in the list no more. `undefined`: the caller never saw it. */
export function fromPlaceOf(image: Manifest, query: ImageQuery): ImageQuery | undefined {
	return isVisible({...query, authenticated: true}, image) ? {...query, marker: {image}} : undefined;
}

/** Inclusive: the client knows the marker and drops it. */
function isFrom(difference: number, newestFirst: boolean): boolean {
	return newestFirst ? difference <= 0 : difference >= 0;
}

function markerImage(query: ImageQuery, uuid: Uuid, images: readonly Manifest[]): Manifest {
	const image = images.find(candidate => candidate.uuid === uuid);
	// Whatever can be read by its UUID is a place in the order: a list goes on behind an image that was disabled meanwhile.
	if (image === undefined || !isVisible({...query, authenticated: true}, image)) {
		throw new NotFoundError(`marker: no image ${uuid}`);
	}
	return image;
}

function isVisible(query: ImageQuery, image: Manifest): boolean {
	const {authenticated, account} = query;
	if ((!authenticated && !isActive(image)) || !isThereFor(query, image)) {
		return false;
	}
	return account === undefined || image.owner === account || (isActivated(image) && isOpenTo(account, image));
}

/** Channels are ours, so they say nothing of what sources have. */
function isThereFor({seesPrivate, channel}: ImageQuery, image: Manifest): boolean {
	const {local} = image;
	return (
		(seesPrivate || image.public) && (channel === undefined || local === undefined || local.channels.includes(channel))
	);
}

function isOpenTo(account: string, image: Manifest): boolean {
	return image.public || image.acl.includes(account);
}

function isActivated(image: Manifest): boolean {
	return image.state === 'active' || image.state === 'disabled';
}

/** Every filter but tags, which cost more. */
function matches(query: ImageQuery, image: Manifest): boolean {
	// Those first that mostly decide it.
	return (
		(query.version === undefined || matchesText(query.version, image.version)) &&
		(query.name === undefined || matchesText(query.name, image.name)) &&
		matchesState(query, image) &&
		isThereFor(query, image) &&
		matchesAccount(query, image) &&
		(query.public === undefined || image.public === query.public) &&
		matchesText(query.type, image.type) &&
		matchesText(query.os, image.os) &&
		matchesText(query.owner, image.owner)
	);
}

function matchesState({state}: ImageQuery, image: Manifest): boolean {
	switch (state) {
		case undefined:
			return false;
		case 'all':
			return true;
		case 'active':
			return isActive(image);
		case 'disabled':
			return isActivated(image) && !isActive(image);
		case 'unactivated':
		case 'creating':
		case 'failed':
			return image.state === state;
	}
}

function matchesAccount({account, state}: ImageQuery, image: Manifest): boolean {
	if (account === undefined || image.owner === account) {
		return true;
	}
	return state !== 'disabled' && isActivated(image) && isOpenTo(account, image);
}

function matchesText(filter: TextFilter | undefined, value: string): boolean {
	if (filter === undefined) {
		return true;
	}
	switch (filter.how) {
		case 'contains':
			return value.includes(filter.text);
		case 'unequal':
			return value !== filter.text;
		case 'equal':
			// Nothing is equal to the empty string: a field that is missing is '' in the index only.
			return filter.text !== '' && value === filter.text;
	}
}

function stateParam(params: QueryParams, authenticated: boolean): ListedState | undefined {
	const text = scalarParam(params, 'state') || 'active';
	const state = states.get(text);
	if (state === undefined) {
		throw invalid('state', `must be one of ${[...states.keys()].join(', ')}`);
	}
	if (authenticated) {
		return state;
	}
	return state === 'active' || state === 'all' ? 'active' : undefined;
}

function equalParam(params: QueryParams, name: string): TextFilter | undefined {
	const text = scalarParam(params, name);
	return text === undefined ? undefined : {how: 'equal', text};
}

function substringParam(params: QueryParams, name: string): TextFilter | undefined {
	const filter = equalParam(params, name);
	if (filter?.text === '~') {
		return undefined;
	}
	return filter?.text.startsWith('~') ? {how: 'contains', text: filter.text.slice(1)} : filter;
}

function typeParam(params: QueryParams): TextFilter | undefined {
	const filter = equalParam(params, 'type');
	return filter?.text.startsWith('!') ? {how: 'unequal', text: filter.text.slice(1)} : filter;
}

function tagParams(params: QueryParams): readonly TagFilter[] {
	const tags: TagFilter[] = [];
	for (const [name, [value, ...more]] of params) {
		if (name.startsWith('tag.')) {
			tags.push({key: name.slice('tag.'.length), value: more.length > 0 ? undefined : value});
		}
	}
	return tags.sort((a, b) => (a.key < b.key ? -1 : 1));
}

/** Whether the newest come first. */
function sortParam(params: QueryParams): boolean {
	const text = scalarParam(params, 'sort') || 'published_at';
	const dot = text.indexOf('.');
	const attribute = dot === -1 ? text : text.slice(0, dot);
	if (attribute !== 'published_at') {
		throw invalid('sort', 'must be published_at, published_at.asc or published_at.desc');
	}
	const direction = dot === -1 ? 'asc' : text.slice(dot + 1);
	return direction !== 'asc' && direction !== 'ASC';
}

function markerParam(params: QueryParams): Marker | undefined {
	const text = scalarParam(params, 'marker') || undefined;
	if (text === undefined) {
		return undefined;
	}
	if (isUuid(text)) {
		return {uuid: text};
	}
	const atMs = parseDate(text) ?? Date.parse(text);
	if (Number.isNaN(atMs)) {
		throw invalid('marker', 'must be the uuid of an image or a date');
	}
	return {atMs};
}

function limitParam(params: QueryParams): number | undefined {
	const text = scalarParam(params, 'limit') ?? '';
	const limit = Number(text);
	if (!Number.isInteger(limit) || limit < 0) {
		throw invalid('limit', 'must be a whole number');
	}
	return limit === 0 ? undefined : limit;
}

function keyOf(query: Omit<ImageQuery, 'key'>): string {
	const {authenticated, marker, state, ...others} = query;
	const isDefault = (value: unknown): boolean =>
		value === undefined || value === false || (Array.isArray(value) && value.length === 0);
	const asked: [string, unknown][] = Object.entries(others).filter(([, value]) => !isDefault(value));
	if (query.public === false) {
		asked.push(['public', false]);
	}
	if (state !== 'active') {
		asked.push(['state', state ?? 'none']);
	}
	if (marker !== undefined) {
		// Who asks decides only whether the marker can be seen: all else is in the state.
		asked.push(['marker', marker], ['authenticated', authenticated && 'uuid' in marker]);
	}
	return asked.length === 0 ? '' : JSON.stringify(asked);
}
