/**
 * Images that were published elsewhere, to become ours as they were: by adoption of an older server's folder, or from
 * another server over the net.
 *
 * Hosts have them already and compare every field, so nothing is refused that hosts can live with: what breaks a rule
 * or is unknown is kept under `extra` and served as it was. What an image cannot be without is refused all the same.
 */
import {IntegrityError, type FieldFault} from '../errors.js';
import {parseDate} from './dates.js';
import {nobody, type ImageFields, type ServerMode, type StoredFile} from './image-fields.js';
import {isObject} from './json-text.js';
import {isUuid, type JsonObject} from './manifest.js';
import {asValidationError, storedRules} from './rules-faults.js';
import {readFields, ruledFields, zvolFields} from './rules-fields.js';
import {isVersion1, upgradedFields, versionIn} from './upgrade.js';

/** What older servers note down for themselves, or what is the publish room's to say. */
const notKept: ReadonlySet<string> = new Set([
	...['activated', 'state', 'icon', 'channels', 'expires_at', 'published_at', 'created_at', 'creator_uuid', 'disabled'],
	...['provider', 'builder_info', 'metadata_info', 'sync_info', 'options', 'files', 'imgmirror'],
]);

/** Where dsapid keeps them, below `options`. */
const optionsOfDsapid: ReadonlySet<string> = new Set([
	...zvolFields,
	...['origin', 'generate_passwords', 'inherited_directories', 'acl'],
]);

/** Without these there is no image. */
const indispensable: ReadonlySet<string> = new Set(['uuid', 'name', 'version', 'type', 'os']);
const stateless: ReadonlySet<unknown> = new Set(['unactivated', 'pending', 'creating', 'failed']);
const switchedOff: ReadonlySet<unknown> = new Set(['disabled', 'nuked']);

const keptOfFiles: ReadonlySet<string> = new Set([
	...['sha1', 'size', 'compression', 'dataset_guid', 'digest', 'uncompressedDigest', 'sha256', 'contentMD5', 'mtime'],
]);
const droppedOfFiles: ReadonlySet<string> = new Set(['stor', 'path', 'url']);

/**
 * Takes v2, v1, and what dsapid, trondn's server and IMGAPI store. `files` is empty where the manifest does not say
 * enough; `published_at` may be missing although the image is active. Throws ValidationError (also for a `public` that
 * `mode` does not take) or IntegrityError.
 */
export function readAdopted(manifest: unknown, {mode}: {readonly mode: ServerMode}): ImageFields {
	if (!isObject(manifest)) {
		throw new IntegrityError('the manifest is no JSON object');
	}
	const given = todays(withoutEmpty(manifest));
	const {state, owner} = given;
	const isKept = (name: string): boolean => !notKept.has(name);
	const all: JsonObject = {
		public: true,
		...Object.fromEntries(Object.entries(given).filter(([name]) => isKept(name))),
		v: versionIn(given['v']) >= 2 ? given['v'] : 2,
		owner: isUuid(owner) ? owner : nobody,
		activated: typeof given['activated'] === 'boolean' ? given['activated'] : !stateless.has(state),
		disabled: given['disabled'] === true || switchedOff.has(state),
		published_at: dateIn(given['published_at']) ?? dateIn(given['created_at']),
		files: filesIn(given['files']),
	};
	return lenient(all, mode);
}

function lenient(all: JsonObject, mode: ServerMode): ImageFields {
	const {values, faults, wrong} = readFields(all, storedRules(mode));
	const extra = new Map(Object.entries(all).filter(([name]) => !ruledFields.has(name)));
	const fatal: FieldFault[] = [];
	for (const name of wrong) {
		const value = all[name];
		if (isTolerable(name, value)) {
			values.set(name, value);
		} else if (indispensable.has(name) || ownFields.has(name)) {
			fatal.push(...faults.filter(fault => fault.field === name));
		} else if (value !== undefined) {
			extra.set(name, value);
		}
	}
	if (fatal.length > 0) {
		throw asValidationError(fatal);
	}
	if (extra.size > 0) {
		values.set('extra', Object.fromEntries(extra));
	}
	return Object.fromEntries(values) as unknown as ImageFields;
}

/** Those that `ImageFields` is never without, beside the indispensable ones. */
const ownFields: ReadonlySet<string> = new Set(['v', 'owner', 'activated', 'disabled', 'public', 'files']);

/** Odd characters in a name trouble nobody who has the image already. */
function isTolerable(name: string, value: unknown): boolean {
	return indispensable.has(name) && name !== 'uuid' && typeof value === 'string' && value !== '';
}

/** As v2 would say it. */
function todays(fields: JsonObject): JsonObject {
	if (isVersion1(fields)) {
		const upgraded = upgradedFields(fields);
		// Every server of that time took it for granted.
		return upgraded['type'] === 'zvol' ? {cpu_type: 'qemu64', ...upgraded} : upgraded;
	}
	const {options} = fields;
	if (fields['v'] !== undefined || !isObject(options)) {
		return fields;
	}
	return {...Object.fromEntries(Object.entries(options).filter(([name]) => optionsOfDsapid.has(name))), ...fields};
}

/** Older servers write empty values for what they do not know. */
function withoutEmpty(fields: JsonObject): JsonObject {
	return Object.fromEntries(
		Object.entries(fields).filter(([, value]) => value !== undefined && value !== null && value !== ''),
	);
}

/** As IMGAPI writes it. A year before there were images is how Go says that there is no date. */
function dateIn(value: unknown): string | undefined {
	const ms = typeof value === 'string' ? parseDate(value) : undefined;
	if (ms === undefined || ms <= 0) {
		return undefined;
	}
	return /^[^.]{19}(?:\.\d{3})?Z$/u.test(String(value)) ? String(value) : new Date(ms).toISOString();
}

function filesIn(value: unknown): readonly StoredFile[] {
	if (!Array.isArray(value)) {
		return [];
	}
	const files = (value as unknown[]).map(fileIn);
	const {wrong} = readFields({files}, storedRules('any'));
	return wrong.has('files') ? [] : (files as unknown as readonly StoredFile[]);
}

function fileIn(value: unknown): JsonObject {
	const file: JsonObject = isObject(value) ? value : {};
	const known = Object.entries(file).filter(([name]) => keptOfFiles.has(name));
	const others = Object.entries(file).filter(([name]) => !keptOfFiles.has(name) && !droppedOfFiles.has(name));
	const {sha1} = file;
	return {
		...Object.fromEntries(known),
		...(typeof sha1 === 'string' ? {sha1: sha1.toLowerCase()} : {}),
		...(others.length > 0 ? {extra: Object.fromEntries(others)} : {}),
	};
}
