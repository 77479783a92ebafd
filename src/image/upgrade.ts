/**
 * Manifests of DSAPI servers (v1) made into those of today (v2).
 *
 * Sources read everything through `manifestFromAny`; the way back is in `dataset.ts`. Values are carried over as the
 * source wrote them. The manifest itself is ours, so its keys stand in IMGAPI's order (contract 4.5), as every server
 * would have them that took the image in; what v2 does not know comes last, in the source's order.
 */
import {IntegrityError} from '../errors.js';
import {inOrder} from './key-order.js';
import {elementsOf, isObject, joinMembers, membersOf, readCompact, type Member} from './json-text.js';
import {
	isUuid,
	manifestOf,
	parseManifest,
	readManifest,
	type Compression,
	type JsonObject,
	type Manifest,
} from './manifest.js';

/** Keys of v1 that v2 has no place for: repository bookkeeping, and junk that was seen. */
export const onlyInDatasets: ReadonlySet<string> = new Set([
	...['vendor_uuid', 'creator_name', 'cloud_name', 'creator_admin', 'owner_uuid', 'platform_type'],
	...['created_at', 'updated_at', '_url'],
]);

/** What DSAPI servers write: without seconds, with up to nine fraction digits, without a zone. */
const looseDate = /^(\d{4}-\d\d-\d\dT\d\d:\d\d)(:\d\d)?(?:\.(\d{1,9}))?Z?$/u;
const endings: readonly (readonly [string, Compression])[] = [
	['.gz', 'gzip'],
	['.bz2', 'bzip2'],
	['.xz', 'xz'],
];

/** A manifest of either kind. Throws IntegrityError for what is neither, or cannot be upgraded. */
export function manifestFromAny(text: string): Manifest {
	const read = readManifest(text);
	return isObject(read.value) && isVersion1(read.value)
		? parseManifest(upgrade(read.value, membersOf(read.text)))
		: manifestOf(read);
}

/** The same for a manifest that is not text any more. Throws IntegrityError for a v1 that cannot be upgraded. */
export function upgradedFields(fields: JsonObject): JsonObject {
	if (!isVersion1(fields)) {
		return fields;
	}
	const upgraded: unknown = JSON.parse(upgrade(fields, membersOf(JSON.stringify(fields))));
	return isObject(upgraded) ? upgraded : fields;
}

/** Where a v1 manifest says its files are. Hostile input: nothing in it has been looked at. */
export function datasetFiles(
	text: string,
): readonly {readonly path: string | undefined; readonly url: string | undefined}[] {
	const fields = readCompact(text).value;
	const files = isObject(fields) ? fields['files'] : undefined;
	if (!Array.isArray(files)) {
		return [];
	}
	return (files as unknown[]).map(file => ({path: stringIn(file, 'path'), url: stringIn(file, 'url')}));
}

/** The last of duplicate members wins, as everywhere in JSON, in the place of the first. */
export function lastOfEach(members: Iterable<Member>): Map<string, string> {
	const last = new Map<string, string>();
	for (const {name, value} of members) {
		last.set(name, value);
	}
	return last;
}

export function textOfMembers(members: ReadonlyMap<string, string>): string {
	return `{${Array.from(members, ([name, value]) => `${JSON.stringify(name)}:${value}`).join(',')}}`;
}

export function isVersion1(fields: JsonObject): boolean {
	const {v, creator_uuid: creator} = fields;
	return versionIn(v ?? 0) < 2 && creator !== undefined && creator !== null;
}

/** A manifest's `v`, were it a number. Of an object nobody knows what it would say of itself as one, or whether it would. */
export function versionIn(v: unknown): number {
	return typeof v === 'object' ? NaN : Number(v);
}

function upgrade(fields: JsonObject, members: readonly Member[]): string {
	const uuid = fields['uuid'];
	if (!isUuid(uuid)) {
		throw new IntegrityError('the dataset manifest has no valid uuid');
	}
	if (typeof fields['creator_uuid'] !== 'string' || fields['creator_uuid'] === '') {
		throw new IntegrityError(`dataset manifest ${uuid}: creator_uuid is no text`);
	}
	if (Object.hasOwn(fields, 'owner')) {
		throw new IntegrityError(`dataset manifest ${uuid}: has an owner beside its creator_uuid`);
	}
	const restrictedTo = restriction(fields, uuid);
	const disabled = Boolean(fields['disabled']);
	const computed = new Map([
		['state', disabled ? '"disabled"' : '"active"'],
		['disabled', String(disabled)],
		['public', String(restrictedTo === undefined)],
	]);
	const restrictedAcl = `[${JSON.stringify(restrictedTo)}]`;
	if (restrictedTo !== undefined) {
		computed.set('acl', restrictedAcl);
	}
	const out = new Map([['v', '2']]);
	for (const [name, value] of lastOfEach(members)) {
		const known = computed.get(name);
		if (known !== undefined) {
			out.set(name, known);
			continue;
		}
		switch (name) {
			case 'v':
				break;
			case 'creator_uuid':
				out.set('owner', value);
				break;
			case 'restricted_to_uuid':
				if (restrictedTo !== undefined) {
					out.set('public', 'false');
					out.set('acl', restrictedAcl);
				}
				break;
			case 'published_at':
				if (!isMissing(fields['published_at'])) {
					out.set(name, exactDate(value));
				}
				break;
			case 'created_at':
				if (isMissing(fields['published_at']) && !isMissing(fields['created_at'])) {
					out.set('published_at', exactDate(value));
				}
				break;
			case 'files':
				out.set(name, Array.isArray(fields['files']) ? `[${elementsOf(value).map(upgradeFile).join(',')}]` : value);
				break;
			case 'image_size':
				out.set(name, numberText(value));
				break;
			case 'requirements':
				out.set(name, isObject(fields['requirements']) ? withoutPassword(value) : value);
				break;
			default:
				if (!onlyInDatasets.has(name)) {
					out.set(name, value);
				}
		}
	}
	for (const [name, value] of computed) {
		if (!out.has(name)) {
			out.set(name, value);
		}
	}
	return textOfMembers(inOrder(out));
}

function restriction(fields: JsonObject, uuid: string): string | undefined {
	const restrictedTo = fields['restricted_to_uuid'];
	if (isMissing(restrictedTo)) {
		return undefined;
	}
	if (typeof restrictedTo !== 'string') {
		throw new IntegrityError(`dataset manifest ${uuid}: restricted_to_uuid is no text`);
	}
	if (Object.hasOwn(fields, 'public')) {
		throw new IntegrityError(`dataset manifest ${uuid}: both public and restricted_to_uuid`);
	}
	return restrictedTo;
}

/** Some servers send empty strings for what they do not know. */
function isMissing(value: unknown): boolean {
	return value === undefined || value === null || value === '';
}

function upgradeFile(text: string): string {
	const file: unknown = JSON.parse(text);
	if (!isObject(file)) {
		return text;
	}
	const out = lastOfEach(membersOf(text));
	out.delete('path');
	out.delete('url');
	if (isMissing(file['compression'])) {
		// Last, where imgadm's own upgrade puts it: it compares files as text.
		out.delete('compression');
		out.set('compression', JSON.stringify(compressionOf(file)));
	}
	return textOfMembers(out);
}

function compressionOf(file: JsonObject): Compression {
	const {path, url} = file;
	const name =
		typeof path === 'string' && path !== '' ? path : typeof url === 'string' ? url.replace(/[?#].*$/su, '') : '';
	return endings.find(([ending]) => name.endsWith(ending))?.[1] ?? 'none';
}

/** v2 validation would refuse `requirements.password`. */
function withoutPassword(text: string): string {
	return joinMembers(membersOf(text).filter(member => member.name !== 'password'));
}

/** As v2 has dates (contract 4.1): seconds, three fraction digits or none, UTC. What is no date stays as it is. */
function exactDate(text: string): string {
	const date: unknown = JSON.parse(text);
	const match = typeof date === 'string' ? looseDate.exec(date) : null;
	if (match === null) {
		return text;
	}
	const [, minute = '', second = ':00', fraction] = match;
	return `"${minute}${second}${fraction === undefined ? '' : `.${fraction.slice(0, 3).padEnd(3, '0')}`}Z"`;
}

function numberText(text: string): string {
	const value: unknown = JSON.parse(text);
	if (typeof value !== 'string' || value.trim() === '' || !Number.isFinite(Number(value))) {
		return text;
	}
	return String(Number(value));
}

function stringIn(file: unknown, key: string): string | undefined {
	const value = isObject(file) ? file[key] : undefined;
	return typeof value === 'string' ? value : undefined;
}
