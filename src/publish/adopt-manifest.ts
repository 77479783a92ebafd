/**
 * Manifests as the older servers keep them on disk, made into those of today.
 *
 * Known are v1 and v2 as they are on the wire, the raw records of sdc-imgapi's local database, what dsapid stores, and
 * what trondn's server stores. The scan reads with `readFound`; which file belongs to a manifest it finds out itself.
 */
import {IntegrityError} from '../errors.js';
import {fieldsOf, isSha1, isUuid, type Compression, type JsonObject, type Sha1, type Uuid} from '../image/manifest.js';
import {manifestFromAny, versionIn} from '../image/upgrade.js';

export interface FoundFile {
	/** As written: hostile. */
	readonly path: string | undefined;
	readonly sha1: Sha1 | undefined;
	/** Hexadecimal. */
	readonly md5: string | undefined;
	readonly size: number | undefined;
	readonly compression: Compression | undefined;
	readonly datasetGuid: string | undefined;
}

export interface FoundManifest {
	readonly uuid: Uuid | undefined;
	readonly name: string;
	readonly version: string;
	readonly origin: string | undefined;
	readonly state: 'active' | 'disabled' | 'unactivated';
	/** v2, without files, icon and channels, and not checked any further. */
	readonly fields: JsonObject;
	/** Those of `fields` that it says itself of what the image is; all others go without saying, or change by themselves. */
	readonly named: readonly string[];
	readonly files: readonly FoundFile[];
	/** What the record says of its icon. */
	readonly iconType: string | undefined;
	readonly channels: readonly string[];
}

const nobody = '00000000-0000-0000-0000-000000000000';

const compressions: ReadonlyMap<unknown, Compression> = new Map(
	(['none', 'gzip', 'bzip2', 'xz'] as const).map(name => [name, name]),
);

/** Bookkeeping of the servers, which is no part of a manifest. */
const bookkeeping: ReadonlySet<string> = new Set([
	...['files', 'icon', 'channels', 'activated', 'expires_at', 'tagsObj', 'tag', 'billingtag', 'objectclass', 'dn'],
	...['provider', 'options', 'metadata_info', 'builder_info', 'sync_info', 'created_at', '_url', 'stor', '__proto__'],
]);

/** What dsapid keeps under `options`. */
const zvolOptions = ['nic_driver', 'disk_driver', 'cpu_type', 'image_size'];

/** What sdc-imgapi wrote as JSON texts inside of JSON, at times. */
const nested = ['files', 'requirements', 'users', 'traits', 'tags', 'tagsObj', 'icon', 'error', 'acl'];

/** Whether a JSON text is about an image at all: package.json and its like lie about everywhere. */
export function isAboutAnImage(text: string): boolean {
	try {
		const fields: unknown = JSON.parse(text.replace(/^\uFEFF/, ''));
		if (!isObject(fields) || typeof fields['name'] !== 'string' || typeof fields['version'] !== 'string') {
			return false;
		}
		return isUuid(fields['uuid']) || (typeof fields['type'] === 'string' && typeof fields['os'] === 'string');
	} catch {
		return false;
	}
}

/** Throws IntegrityError. `writtenMs`: when it was written, which is the next best where it says no date. */
export function readFound(text: string, writtenMs: number): FoundManifest {
	const written = unnested(parse(text));
	const isV1 = versionIn(written['v'] ?? 0) < 2 && isText(written['creator_uuid']);
	const fields = isV1 ? upgraded(written) : written;
	const {uuid, state, disabled} = {uuid: lowered(fields['uuid']), ...stateIn(fields)};
	if (isGiven(fields['uuid']) && !isUuid(uuid)) {
		throw new IntegrityError('its uuid is none');
	}
	const out: Record<string, unknown> = {v: 2, ...(isUuid(uuid) ? {uuid} : {})};
	for (const [name, value] of Object.entries(fields)) {
		if (name !== 'v' && name !== 'uuid' && isGiven(value) && !bookkeeping.has(name)) {
			out[name] = value;
		}
	}
	const {options} = fields;
	for (const name of isObject(options) && fields['type'] === 'zvol' ? zvolOptions : []) {
		if (out[name] === undefined && isObject(options) && isGiven(options[name])) {
			out[name] = options[name];
		}
	}
	const published =
		dateOf(fields['published_at']) ?? (state === 'unactivated' ? undefined : new Date(writtenMs).toISOString());
	const tags = tagsIn(fields);
	const defined = {
		owner: isUuid(lowered(fields['owner'])) ? lowered(fields['owner']) : nobody,
		state,
		disabled,
		public: isTrue(fields['public']),
		published_at: published,
		tags,
		acl: listOf(fields['acl']),
		billing_tags: listOf(fields['billing_tags']),
		image_size: numberOf(out['image_size']),
		requirements: requirementsIn(fields['requirements']),
	};
	for (const [name, value] of Object.entries(defined)) {
		if (value === undefined) {
			// eslint-disable-next-line @typescript-eslint/no-dynamic-delete -- a plain record of our own
			delete out[name];
		} else {
			out[name] = value;
		}
	}
	const unsaid = new Set([
		...['v', 'uuid', 'owner', 'state', 'disabled'],
		...(isGiven(fields['public']) ? [] : ['public']),
		...(dateOf(fields['published_at']) === undefined ? ['published_at'] : []),
	]);
	const {icon} = fields;
	return {
		uuid: isUuid(uuid) ? uuid : undefined,
		name: textOf(fields['name']),
		version: textOf(fields['version']),
		origin: textOf(fields['origin']) || undefined,
		state,
		fields: out,
		named: Object.keys(out).filter(name => !unsaid.has(name)),
		files: Array.isArray(written['files']) ? written['files'].map(fileOf) : [],
		iconType: isObject(icon) ? textOf(icon['contentType']) || undefined : undefined,
		channels: (listOf(fields['channels']) ?? []).filter(channel => typeof channel === 'string'),
	};
}

function parse(text: string): JsonObject {
	let value: unknown;
	try {
		value = JSON.parse(text.replace(/^\uFEFF/, ''));
	} catch (error) {
		throw new IntegrityError('it is not JSON', {cause: error});
	}
	if (!isObject(value)) {
		throw new IntegrityError('it is no JSON object');
	}
	return value;
}

function unnested(fields: JsonObject): JsonObject {
	const out: Record<string, unknown> = {...fields};
	for (const name of nested) {
		const value = out[name];
		if (typeof value === 'string' && /^\s*[[{]/.test(value)) {
			try {
				out[name] = JSON.parse(value);
			} catch {
				// Then it is what it is, and will be refused.
			}
		}
	}
	return out;
}

/** By the rules that hold for DSAPI servers as well; what their scripts left empty is nobody's. */
function upgraded(fields: JsonObject): JsonObject {
	const creator = lowered(fields['creator_uuid']);
	const v1 = Object.fromEntries(
		Object.entries(fields).filter(([name]) => !['files', 'owner', 'icon', '__proto__'].includes(name)),
	);
	const manifest = manifestFromAny(
		JSON.stringify({...v1, uuid: lowered(fields['uuid']), creator_uuid: isUuid(creator) ? creator : nobody}),
	);
	const v2 = fieldsOf(manifest);
	// Every server of that time took it for granted.
	return v2['type'] === 'zvol' ? {cpu_type: 'qemu64', ...v2} : v2;
}

function stateIn(fields: JsonObject): Pick<FoundManifest, 'state'> & {readonly disabled: boolean} {
	const {state} = fields;
	if (state === 'creating' || state === 'failed') {
		throw new IntegrityError(`it stands for an image that was never made: its state is ${state}`);
	}
	const disabled = isTrue(fields['disabled']) || state === 'disabled' || state === 'nuked';
	const activated =
		fields['activated'] === undefined ? state !== 'unactivated' && state !== 'pending' : isTrue(fields['activated']);
	if (!activated) {
		return {state: 'unactivated', disabled};
	}
	return {state: disabled ? 'disabled' : 'active', disabled};
}

/** sdc-imgapi keeps tags twice: as they are, and as `key=value` texts for searching, in older versions only these. */
function tagsIn({tags, tagsObj}: JsonObject): JsonObject | undefined {
	const plain = [tagsObj, tags].find(isObject);
	if (plain !== undefined || !Array.isArray(tags)) {
		return plain;
	}
	const pairs = tags.flatMap((tag): [string, string][] => {
		const [, key, value] = /^([^=]+)=(.*)$/s.exec(textOf(tag)) ?? [];
		return key === undefined || value === undefined || key === '__proto__' ? [] : [[key, value]];
	});
	return pairs.length === 0 ? undefined : Object.fromEntries(pairs);
}

/** `password` was v1's, and nothing that v2 has. */
function requirementsIn(requirements: unknown): unknown {
	return isObject(requirements)
		? Object.fromEntries(Object.entries(requirements).filter(([name, value]) => name !== 'password' && isGiven(value)))
		: (requirements ?? undefined);
}

function fileOf(file: unknown): FoundFile {
	if (!isObject(file)) {
		throw new IntegrityError('what it says of its file is no object');
	}
	const {size} = file;
	const [sha1, md5] = [lowered(file['sha1']), lowered(file['md5'])];
	if (isGiven(sha1) && !isSha1(sha1)) {
		throw new IntegrityError('the sha1 of its file is none');
	}
	if (isGiven(size) && !(typeof size === 'number' && Number.isSafeInteger(size) && size >= 0)) {
		throw new IntegrityError('the size of its file is no number of bytes');
	}
	const url = textOf(file['url']).replace(/[?#].*$/s, '');
	return {
		path: textOf(file['path']) || (/^[a-z]+:\/\//i.test(url) ? url.replace(/^.*\//s, '') : '') || undefined,
		sha1: isSha1(sha1) ? sha1 : undefined,
		md5: typeof md5 === 'string' && /^[0-9a-f]{32}$/.test(md5) ? md5 : undefined,
		// Nothing is 0 bytes long; some wrote that for what they did not know.
		size: typeof size === 'number' && size > 0 ? size : undefined,
		compression: compressions.get(file['compression']),
		datasetGuid: textOf(file['dataset_guid']) || undefined,
	};
}

/** As manifests have dates. dsapid writes nine fraction digits, and the year 1 for what it does not know. */
function dateOf(date: unknown): string | undefined {
	const [, minute, second = ':00', fraction] =
		/^(\d{4}-\d\d-\d\dT\d\d:\d\d)(:\d\d)?(?:\.(\d{1,9}))?Z?$/.exec(textOf(date)) ?? [];
	if (minute === undefined || minute < '1970' || Number.isNaN(Date.parse(`${minute}${second}Z`))) {
		return undefined;
	}
	return `${minute}${second}${fraction === undefined ? '' : `.${fraction.slice(0, 3).padEnd(3, '0')}`}Z`;
}

function listOf(value: unknown): readonly unknown[] | undefined {
	if (Array.isArray(value)) {
		return value.length === 0 ? undefined : (value as readonly unknown[]);
	}
	return typeof value === 'string' && value !== '' ? [value] : undefined;
}

function numberOf(value: unknown): unknown {
	return typeof value === 'string' && /^\d+$/.test(value) ? Number(value) : value;
}

function isTrue(value: unknown): boolean {
	return value === true || value === 'true';
}

function isGiven(value: unknown): boolean {
	return value !== undefined && value !== null && value !== '';
}

function isText(value: unknown): value is string {
	return typeof value === 'string';
}

function textOf(value: unknown): string {
	return typeof value === 'string' ? value : '';
}

function lowered(value: unknown): unknown {
	return typeof value === 'string' ? value.toLowerCase() : value;
}

function isObject(value: unknown): value is JsonObject {
	return typeof value === 'object' && value !== null && !Array.isArray(value);
}
