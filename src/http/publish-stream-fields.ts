/**
 * Images described by names and values, as a query string or an upload's metadata has them.
 *
 * `publish-stream.ts` and `uploads.ts` read them here into what the publish room takes. Only the form is checked: whether
 * a value is a good one is for the rules of manifests. A name that means nothing is refused, because it is a typing
 * error, and the image would lack what was meant.
 */
import {InvalidParameterError, ValidationError} from '../errors.js';
import type {JsonObject} from '../image/manifest.js';
import {booleanParam, scalarParam, type QueryParams} from '../image/query.js';
import type {FileOffer, WholeImage} from '../publish/api.js';

export interface Described {
	readonly image: WholeImage;
	readonly offer: Omit<FileOffer, 'body' | 'size'>;
	/** Not empty. */
	readonly account: string | undefined;
	readonly channel: string | undefined;
}

type Kind = 'text' | 'number' | 'flag' | 'list';
type Reader = (params: QueryParams, name: string) => unknown;

const readers: Readonly<Record<Kind, Reader>> = {
	text: scalarParam,
	// What is no number stays as it is: the rules have a word for it.
	number(params, name) {
		const text = scalarParam(params, name);
		return text !== undefined && /^\d{1,15}$/u.test(text) ? Number(text) : text;
	},
	flag: booleanParam,
	list: (params, name) => params.get(name)?.flatMap(value => value.split(',')),
};

const manifestFields: ReadonlyMap<string, Kind> = new Map([
	...named('text', ['uuid', 'owner', 'name', 'version', 'type', 'os', 'description', 'homepage', 'eula', 'origin']),
	...named('text', ['nic_driver', 'disk_driver', 'cpu_type']),
	...named('number', ['image_size']),
	...named('flag', ['public', 'disabled', 'generate_passwords']),
	...named('list', ['acl', 'users', 'billing_tags', 'inherited_directories']),
]);
const requirementFields: ReadonlyMap<string, Kind> = new Map([
	...named('text', ['brand', 'bootrom', 'min_platform', 'max_platform']),
	...named('number', ['min_ram', 'max_ram']),
	...named('flag', ['ssh_key']),
]);
const fileFields = ['compression', 'sha1', 'dataset_guid', 'storage'];
const otherFields = ['activate', 'account', 'channel'];

/** The version of SDC that a platform is for unless it is named: there has never been another one. */
const platformKey = '7.0';
const platformField = /^requirements\.(min_platform|max_platform)\.(.+)$/su;

/**
 * Throws InvalidParameterError for names that mean nothing and for what has the wrong form, ValidationError where name
 * or version are missing: all of them at once.
 */
export function readDescribed(params: QueryParams): Described {
	refuseUnknown(params);
	const missing = ['name', 'version'].filter(field => !params.has(field));
	if (missing.length > 0) {
		throw new ValidationError(
			`an image needs ${missing.join(' and ')}`,
			missing.map(field => ({field, code: 'MissingParameter', message: 'is missing'})),
		);
	}
	const activate = booleanParam(params, 'activate') ?? true;
	return {image: {manifest: manifestOf(params), adopt: false, activate}, ...readOffer(params)};
}

/** What is said of the file, and on whose behalf. */
export function readOffer(params: QueryParams): Omit<Described, 'image'> {
	return {
		offer: {
			compression: scalarParam(params, 'compression'),
			sha1: scalarParam(params, 'sha1'),
			datasetGuid: scalarParam(params, 'dataset_guid'),
			storage: scalarParam(params, 'storage'),
		},
		account: scalarParam(params, 'account') || undefined,
		channel: scalarParam(params, 'channel') || undefined,
	};
}

/** `known`: names, for those who describe a file only. */
export function refuseUnknown(params: QueryParams, known?: readonly string[]): void {
	const isKnown = (name: string): boolean => (known === undefined ? means(name) : known.includes(name));
	const unknown = [...params.keys()].filter(name => !isKnown(name));
	if (unknown.length > 0) {
		const names = known ?? [
			...[...manifestFields.keys(), 'tag.NAME', 'trait.NAME'],
			...Array.from(requirementFields.keys(), name => `requirements.${name}`),
			...[...fileFields, ...otherFields],
		];
		throw new InvalidParameterError(
			`nothing here is called ${unknown.map(name => JSON.stringify(name)).join(', ')}; known are ${names.join(', ')}`,
			unknown.map(field => ({field, code: 'Invalid', message: 'is not known here'})),
		);
	}
}

function means(name: string): boolean {
	return (
		manifestFields.has(name) ||
		fileFields.includes(name) ||
		otherFields.includes(name) ||
		/^(?:tag|trait)\../su.test(name) ||
		platformField.test(name) ||
		(name.startsWith('requirements.') && requirementFields.has(name.slice('requirements.'.length)))
	);
}

function manifestOf(params: QueryParams): JsonObject {
	const users = readers.list(params, 'users');
	return object([
		...read(params, manifestFields, ''),
		['users', Array.isArray(users) ? users.map((name: unknown) => ({name})) : undefined],
		['requirements', notEmpty(requirementsOf(params))],
		['tags', notEmpty(prefixed(params, 'tag.'))],
		['traits', notEmpty(prefixed(params, 'trait.'))],
	]);
}

function requirementsOf(params: QueryParams): JsonObject {
	const requirements = new Map(read(params, requirementFields, 'requirements.'));
	for (const field of ['min_platform', 'max_platform']) {
		const bare = requirements.get(field);
		const platforms = prefixed(params, `requirements.${field}.`);
		requirements.set(field, notEmpty(object([[platformKey, bare], ...Object.entries(platforms)])));
	}
	return object(requirements);
}

function prefixed(params: QueryParams, prefix: string): JsonObject {
	const names = [...params.keys()].filter(name => name.startsWith(prefix) && name.length > prefix.length);
	return object(names.map(name => [name.slice(prefix.length), scalarParam(params, name)]));
}

function read(
	params: QueryParams,
	fields: ReadonlyMap<string, Kind>,
	prefix: string,
): readonly (readonly [string, unknown])[] {
	return Array.from(fields, ([name, kind]) => [name, readers[kind](params, prefix + name)] as const);
}

/** Any name is just data, `__proto__` too. */
function object(entries: Iterable<readonly [string, unknown]>): JsonObject {
	return Object.fromEntries([...entries].filter(([, value]) => value !== undefined));
}

function notEmpty(fields: JsonObject): JsonObject | undefined {
	return Object.keys(fields).length === 0 ? undefined : fields;
}

function named(kind: Kind, names: readonly string[]): readonly (readonly [string, Kind])[] {
	return names.map(name => [name, kind] as const);
}
