/**
 * What clients may change of an image of ours (contract 6.9, 6.10).
 *
 * Fields that are not the client's to change are refused together; what is then wrong with the changed image is refused
 * by the rules of all images. Whether a new uuid is free, and whether channels exist, is for the publish room to see.
 */
import type {FieldFault} from '../errors.js';
import type {ImageFields, ServerMode, StoredFile} from './image-fields.js';
import {isObject} from './json-text.js';
import {isUuid, type Uuid} from './manifest.js';
import {invalid} from './params.js';
import {asValidationError, storedRules} from './rules-faults.js';
import {readFields} from './rules-fields.js';

export interface UpdateOptions {
	readonly mode: ServerMode;
	/** The query's, checked: with it, operators' fields may not be changed. */
	readonly account: Uuid | undefined;
	/** Whether this server has channels. */
	readonly channels: boolean;
}

export interface UpdatedImage {
	readonly image: ImageFields;
	/** `undefined`: not asked for. Names are not checked against the server's. */
	readonly channels: readonly string[] | undefined;
}

const anybodys: ReadonlySet<string> = new Set([
	...['owner', 'name', 'version', 'public', 'os', 'description', 'homepage', 'eula', 'acl', 'requirements', 'users'],
	...['tags', 'generate_passwords', 'inherited_directories', 'nic_driver', 'disk_driver', 'cpu_type', 'image_size'],
	'channels',
]);
const operators: ReadonlySet<string> = new Set(['state', 'error', 'billing_tags', 'traits']);
const operatorsBeforeActivation: ReadonlySet<string> = new Set(['files', 'origin', 'uuid']);

const digests: ReadonlySet<string> = new Set(['digest', 'uncompressedDigest']);

/** The image with the changes of an UpdateImage body. Its `uuid` may be another one. Throws ValidationError. */
export function readUpdate(image: ImageFields, body: unknown, options: UpdateOptions): UpdatedImage {
	if (typeof body !== 'object' || body === null) {
		throw asValidationError([
			{field: 'body', code: 'MissingParameter', message: 'must be an object of the fields to change'},
		]);
	}
	const changes = Object.entries(body).filter(([, value]) => value !== undefined);
	if (changes.length === 0) {
		throw asValidationError([]);
	}
	const forbidden = changes.filter(([name, value]) => !mayChange(name, value, image, options));
	if (forbidden.length > 0) {
		throw asValidationError(
			forbidden.map(([field]) => ({field, code: 'NotAllowed', message: 'is not the client’s to change'})),
		);
	}
	return changed(image, new Map(changes), options);
}

/** The body of AddImageAcl and RemoveImageAcl. Throws InvalidParameterError. */
export function readAclChange(body: unknown): Uuid[] {
	if (!Array.isArray(body)) {
		throw invalid('acl', 'must be an array of uuids');
	}
	const uuids: Uuid[] = [];
	for (const [index, item] of (body as unknown[]).entries()) {
		if (!isUuid(item)) {
			throw invalid('acl', `entry ${index} must be a uuid in lower case`);
		}
		uuids.push(item);
	}
	return uuids;
}

function mayChange(name: string, value: unknown, {activated}: ImageFields, {account}: UpdateOptions): boolean {
	if (anybodys.has(name)) {
		return true;
	}
	if (account !== undefined) {
		return false;
	}
	return (
		operators.has(name) ||
		(!activated && operatorsBeforeActivation.has(name) && (name !== 'files' || hasDigestsOnly(value)))
	);
}

/** What is no list of files at all is left to the rules. */
function hasDigestsOnly(files: unknown): boolean {
	if (files === null) {
		return false;
	}
	const all: readonly unknown[] = Array.isArray(files) ? files : [];
	return all.every(file => isObject(file) && Object.keys(file).every(key => digests.has(key)));
}

function changed(image: ImageFields, changes: ReadonlyMap<string, unknown>, options: UpdateOptions): UpdatedImage {
	const {extra, ...ruled} = image;
	const kept = Object.entries(ruled).filter(([name, value]) => value !== undefined && !changes.has(name));
	const added = [...changes].filter(([, value]) => value !== null);
	const all: Record<string, unknown> = Object.fromEntries([...kept, ...added]);
	if (changes.get('channels') === null) {
		all['channels'] = [];
	}
	const fileFault = changes.has('files') ? withDigests(image.files, all) : undefined;

	const rules = storedRules(options.mode, options.channels);
	const {values, faults, wrong} = readFields(all, rules);
	// An image that came from elsewhere may break a rule; that is no reason to refuse a change of something else.
	const before = readFields(ruled, rules).wrong;
	const isNew = [...wrong].some(name => changes.has(name) || !before.has(name));
	if (fileFault !== undefined || isNew) {
		throw asValidationError(fileFault === undefined ? faults : [fileFault, ...faults]);
	}
	for (const [name, value] of kept) {
		if (wrong.has(name)) {
			values.set(name, value);
		}
	}
	const channels = values.get('channels');
	values.delete('channels');
	const others = Object.entries(extra ?? {}).filter(([name]) => !changes.has(name));
	if (others.length > 0) {
		values.set('extra', Object.fromEntries(others));
	}
	return {
		image: Object.fromEntries(values) as unknown as ImageFields,
		channels: channels as readonly string[] | undefined,
	};
}

/** Puts the digests that `all.files` has into the files that are there. */
function withDigests(files: readonly StoredFile[], all: Record<string, unknown>): FieldFault | undefined {
	const given = all['files'];
	all['files'] = files;
	if (!Array.isArray(given) || given.length > files.length) {
		const message = Array.isArray(given) ? 'are more than the image has' : 'must be an array';
		return {field: 'files', code: 'Invalid', message};
	}
	all['files'] = files.map((file, index) => ({...file, ...(isObject(given[index]) ? given[index] : {})}));
	const texts = (given as unknown[]).flatMap(file => (isObject(file) ? Object.values(file) : []));
	return texts.every(text => typeof text === 'string')
		? undefined
		: {field: 'files', code: 'Invalid', message: 'must have digests as text'};
}
