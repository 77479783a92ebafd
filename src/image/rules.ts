/**
 * What clients may send as a new image, and what the rules of manifests make of it (contract 4.2, 6.5, 6.13).
 *
 * Both ways in have two steps, because the order of errors is part of the contract: the publish room looks up the
 * origin between `begin…` and `finish…`. Nothing here knows which images there are.
 */
import {IntegrityError, InvalidParameterError, ValidationError, type FieldFault} from '../errors.js';
import {nobody, type ImageFields, type ServerMode} from './image-fields.js';
import {isObject} from './json-text.js';
import {fieldsOf, type JsonObject, type Manifest, type Uuid} from './manifest.js';
import {invalid} from './params.js';
import {asValidationError, mostFaults, storedRules, summary} from './rules-faults.js';
import {readFields, zvolFields} from './rules-fields.js';
import {isVersion1, upgradedFields} from './upgrade.js';

export {nobody, stateOf, withComputedState} from './image-fields.js';
export type {ImageFields, ImageState, ServerMode, StoredFile} from './image-fields.js';
export {readAdopted} from './adopted.js';
export {readAclChange, readUpdate, type UpdatedImage, type UpdateOptions} from './rules-update.js';

/** A body whose first checks it has passed. */
export interface BegunImage {
	readonly fields: JsonObject;
	/** Which image must exist: any text, not necessarily a uuid. `undefined`: none is needed. */
	readonly origin: string | undefined;
}

export interface CreateOptions {
	readonly mode: ServerMode;
	/** The query's, checked. */
	readonly account: Uuid | undefined;
	/** The new image's. */
	readonly uuid: Uuid;
}

export interface ImportOptions {
	readonly mode: ServerMode;
	/** The path's. */
	readonly uuid: Uuid;
	/** Who sends it: old imgadms get wrong manifests mended. */
	readonly userAgent?: string | undefined;
}

/** What a client may send, whether it is taken, dropped, or refused by a rule of its own. */
const onCreate: ReadonlySet<string> = new Set([
	...['v', 'owner', 'name', 'version', 'disabled', 'public', 'type', 'os', 'description', 'homepage', 'eula', 'icon'],
	...['acl', 'requirements', 'users', 'billing_tags', 'traits', 'tags', 'generate_passwords', 'inherited_directories'],
	...['origin', 'files', 'channels'],
]);
export const onImport: ReadonlySet<string> = new Set([...onCreate, 'uuid', 'published_at', 'urn', 'state']);

/** The server's to say. */
const dropped: ReadonlySet<string> = new Set(['state', 'files', 'channels']);

/** Of dsapid's datasets, about its own doings. */
const ofDatasetServers: ReadonlySet<string> = new Set(['provider', 'builder_info', 'metadata_info', 'sync_info']);

/** Before this one, imgadm wrote the host's own platform into `min_platform` of lx images. */
const oldImgadm = /^imgadm\/(\d{1,6})\.(\d{1,6})\.(\d{1,6})/u;
const firstRightImgadm = [3, 7, 4] as const;

/** CreateImage up to the look at the origin: throws InvalidParameterError or ValidationError. */
export function beginCreate(body: unknown, {account}: Pick<CreateOptions, 'account'>): BegunImage {
	const fields = objectIn(body);
	if (account !== undefined && Object.hasOwn(fields, 'owner') && fields['owner'] !== account) {
		throw invalid('owner', 'must be the account');
	}
	if (Object.hasOwn(fields, 'state')) {
		throw asValidationError([{field: 'state', code: 'NotAllowed', message: 'is not the client’s to set'}]);
	}
	return {fields, origin: originIn(fields)};
}

/** The rest of CreateImage: an unactivated image without files. */
export function finishCreate({fields}: BegunImage, {mode, account, uuid}: CreateOptions): ImageFields {
	refuseUnexpected(fields, onCreate);
	return newImage({v: 2, owner: account ?? nobody, ...fields, uuid}, mode);
}

/** AdminImportImage up to the looks at the uuid and the origin. A manifest of v1 is upgraded. */
export function beginImport(body: unknown, {uuid}: Pick<ImportOptions, 'uuid'>): BegunImage {
	const given = objectIn(body);
	if (given['uuid'] !== uuid) {
		throw invalid('uuid', 'must be the one in the path');
	}
	const fields = upgraded(given);
	return {fields, origin: originIn(fields)};
}

/** The rest of AdminImportImage: an unactivated image without files, of nobody. `origin`: the one that was looked up. */
export function finishImport(
	{fields}: BegunImage,
	{mode, userAgent, origin}: ImportOptions & {readonly origin?: Manifest | undefined},
): ImageFields {
	const publishedAt = fields['published_at'];
	if (publishedAt !== undefined && typeof publishedAt !== 'string') {
		throw invalid('published_at', 'must be a date as text');
	}
	refuseUnexpected(fields, onImport);
	const mended = isOldImgadm(userAgent) && fields['type'] === 'lx-dataset' ? withPlatformOf(origin, fields) : fields;
	return newImage({...mended, owner: nobody}, mode);
}

/** Throws ValidationError with everything that is wrong with an image (contract 4.2). */
export function checkStored({extra, ...image}: ImageFields, {mode}: {readonly mode: ServerMode}): void {
	const {faults} = readFields({...extra, ...image}, storedRules(mode));
	if (faults.length > 0) {
		throw asValidationError(faults);
	}
}

/** Fields that a client may not send, in the order they came. */
export function unexpectedFields(fields: JsonObject, allowed: ReadonlySet<string>): readonly string[] {
	const isExpected = (name: string): boolean =>
		allowed.has(name) || (fields['type'] === 'zvol' && zvolFields.includes(name));
	return Object.keys(fields).filter(name => !isExpected(name));
}

function objectIn(body: unknown): JsonObject {
	if (!isObject(body)) {
		throw invalid('body', 'must be an object of the fields of an image');
	}
	// Only programs of ours send them; on the wire there are none.
	return Object.fromEntries(Object.entries(body).filter(([, value]) => value !== undefined));
}

/** Anything else is no image's uuid, and left to the rules. */
function originIn({origin}: JsonObject): string | undefined {
	return typeof origin === 'string' && origin !== '' ? origin : undefined;
}

function upgraded(given: JsonObject): JsonObject {
	if (!isVersion1(given)) {
		return given;
	}
	try {
		return Object.fromEntries(Object.entries(upgradedFields(given)).filter(([name]) => !ofDatasetServers.has(name)));
	} catch (error) {
		if (error instanceof IntegrityError) {
			const fault: FieldFault = {field: 'creator_uuid', code: 'Invalid', message: error.message};
			throw new ValidationError(error.message, [fault], {cause: error});
		}
		throw error;
	}
}

function refuseUnexpected(fields: JsonObject, allowed: ReadonlySet<string>): void {
	const unexpected = unexpectedFields(fields, allowed).slice(0, mostFaults);
	if (unexpected.length > 0) {
		throw new InvalidParameterError(
			`no such field here: ${summary(unexpected)}`,
			unexpected.map(field => ({field, code: 'Invalid', message: 'is not taken here'})),
		);
	}
}

function newImage(given: JsonObject, mode: ServerMode): ImageFields {
	const kept = Object.entries(given).filter(([name]) => !dropped.has(name));
	const all = {disabled: false, public: false, ...Object.fromEntries(kept), activated: false, files: []};
	const {values, faults} = readFields(all, {mode, mayHaveIcon: false, noImageSize: 'Invalid', channels: false});
	if (faults.length > 0) {
		throw asValidationError(faults);
	}
	return Object.fromEntries(values) as unknown as ImageFields;
}

function isOldImgadm(userAgent = ''): boolean {
	const [, ...version] = oldImgadm.exec(userAgent) ?? [];
	for (const [index, wanted] of firstRightImgadm.entries()) {
		const difference = Number(version[index]) - wanted;
		if (difference !== 0) {
			return difference < 0;
		}
	}
	return false;
}

function withPlatformOf(origin: Manifest | undefined, fields: JsonObject): JsonObject {
	const {requirements} = fields;
	if (!isObject(requirements) || !Object.hasOwn(requirements, 'min_platform')) {
		return fields;
	}
	const others = Object.fromEntries(Object.entries(requirements).filter(([name]) => name !== 'min_platform'));
	const ofOrigin = origin === undefined ? undefined : fieldsOf(origin)['requirements'];
	const platforms = isObject(ofOrigin) ? ofOrigin['min_platform'] : undefined;
	return {...fields, requirements: platforms === undefined ? others : {...others, min_platform: platforms}};
}
