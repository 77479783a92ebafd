/**
 * What an image is: the manifest as its source wrote it, and the few of its fields that we look at.
 *
 * Every host's `imgadm update` compares manifests as text, so the text is the manifest and everything else is an
 * index into it. Reading happens in `parseManifest`; nothing here does I/O.
 */
import {createHash} from 'node:crypto';
import {IntegrityError} from '../errors.js';
import {parseDate} from './dates.js';
import {elementsOf, isObject, membersOf, ownCopy, readCompact, type CompactJson} from './json-text.js';
import {PackedManifest} from './packed.js';

declare const brand: unique symbol;

/** Lower-case, as on the wire. */
export type Uuid = string & {readonly [brand]: 'uuid'};
/** 40 lower-case hexadecimal digits. */
export type Sha1 = string & {readonly [brand]: 'sha1'};

export type Compression = 'none' | 'gzip' | 'bzip2' | 'xz';

export interface ImageFile {
	/** Missing in some old DSAPI manifests. Lower-cased here, whatever the text says. */
	readonly sha1: Sha1 | undefined;
	/** Hexadecimal, lower case. Only dsapid gives it. */
	readonly md5: string | undefined;
	readonly size: number;
	readonly compression: Compression;
}

/** What only images of our own have, beside the manifest. */
export interface LocalFields {
	/** Where the image is; empty on a server without channels. Clients of version 2 get them in the manifest. */
	readonly channels: readonly string[];
	/** In mode `public` the text does not have them; queries look at them all the same. */
	readonly billingTags: readonly string[];
	/** Where the files are: operators' clients get it in each of `files`. */
	readonly stor: 'local';
}

/** What a client gets of an image of our own beyond its text. */
export interface Shown {
	readonly channels: boolean;
	readonly admin: boolean;
}

export type JsonObject = Readonly<Record<string, unknown>>;

/** Manifest v2. Fields that are missing or of a wrong type are `''`, `undefined` or `[]` here, and as they were in `text`. */
export interface Manifest {
	readonly uuid: Uuid;
	readonly name: string;
	readonly version: string;
	readonly type: string;
	readonly os: string;
	readonly owner: string;
	readonly state: string;
	readonly disabled: boolean;
	readonly public: boolean;
	readonly publishedAt: string | undefined;
	/** `publishedAt` as a number, 0 where there is none: the order of lists. */
	readonly publishedMs: number;
	readonly origin: Uuid | undefined;
	readonly files: readonly ImageFile[];
	readonly acl: readonly string[];
	readonly icon: boolean;
	readonly urn: string | undefined;
	/** The whole manifest as compact JSON: the source's own tokens in its own order, without `channels`. */
	readonly text: string;
	/** `undefined`: an image of a source. */
	readonly local?: LocalFields | undefined;
}

const uuidForm = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/u;
const sha1Form = /^[0-9a-f]{40}$/u;
const md5Form = /^[0-9a-f]{32}$/u;

/** Channels are the server's that says them, and ours has none. */
const notOurs: ReadonlySet<string> = new Set(['channels']);

const compressions: ReadonlyMap<unknown, Compression> = new Map(
	(['none', 'gzip', 'bzip2', 'xz'] as const).map(name => [name, name]),
);

/** Values that most manifests share, so that thousands in memory share one string each. */
const shared: ReadonlyMap<unknown, string> = new Map(
	[
		...['zone-dataset', 'lx-dataset', 'zvol', 'docker', 'lxd', 'other'],
		...['smartos', 'linux', 'windows', 'bsd', 'illumos'],
		...['active', 'disabled', 'unactivated', 'creating', 'failed'],
		// Owners that public servers name again and again: nobody, and the operators' account of a Triton.
		...['00000000-0000-0000-0000-000000000000', '930896af-bf8c-48d4-885c-6573a94b1853'],
	].map(value => [value, value]),
);

const noFiles: readonly ImageFile[] = Object.freeze([]);
const noStrings: readonly string[] = Object.freeze([]);

/** Lower case only, as everywhere on the wire. */
export function isUuid(text: unknown): text is Uuid {
	return typeof text === 'string' && uuidForm.test(text);
}

export function isSha1(text: unknown): text is Sha1 {
	return typeof text === 'string' && sha1Form.test(text);
}

export function isCompression(text: unknown): text is Compression {
	return compressions.has(text);
}

/**
 * Reads a manifest v2 of any layout. Throws IntegrityError for what imgadm could not use or would crash on: no valid
 * uuid, `v` below 2, a file without size or known compression. `files` may be empty or missing.
 */
export function parseManifest(text: string): Manifest {
	return manifestOf(readManifest(text));
}

/** The text of a manifest of any kind, without what is not ours to say. */
export function readManifest(text: string): CompactJson {
	return readCompact(text, notOurs);
}

/** `parseManifest` of what has been read already. */
export function manifestOf(read: CompactJson): Manifest {
	const fields = read.value;
	if (!isObject(fields)) {
		throw new IntegrityError('the manifest is no JSON object');
	}
	const {uuid, v} = fields;
	if (!isUuid(uuid)) {
		throw new IntegrityError(`the manifest has no valid uuid: ${shorten(uuid)}`);
	}
	if (!isVersion(v)) {
		throw new IntegrityError(`manifest ${uuid}: v is not 2 or more: ${shorten(v)}`);
	}
	return indexOf(uuid, fields, read.text);
}

/** The index of a manifest whatever its `v`. Throws IntegrityError for files that imgadm could not use. */
export function indexOf(uuid: Uuid, fields: JsonObject, text: string): Manifest {
	const disabled = fields['disabled'] === true;
	const publishedAt = textOf(fields['published_at']) || undefined;
	const {origin} = fields;
	return {
		uuid,
		name: textOf(fields['name']),
		version: textOf(fields['version']),
		type: textOf(fields['type']),
		os: textOf(fields['os']),
		owner: textOf(fields['owner']),
		state: textOf(fields['state']) || (disabled ? 'disabled' : 'active'),
		disabled,
		public: fields['public'] === true,
		publishedAt,
		publishedMs: (publishedAt === undefined ? undefined : parseDate(publishedAt)) ?? 0,
		origin: isUuid(origin) ? origin : undefined,
		files: filesOf(fields['files'], uuid),
		acl: stringsOf(fields['acl']),
		icon: fields['icon'] === true,
		urn: textOf(fields['urn']) || undefined,
		text: ownCopy(text),
	};
}

/** What the index does not hold. Reads the whole text anew each time. */
export function fieldsOf(manifest: Manifest): JsonObject {
	const fields: unknown = JSON.parse(manifest.text);
	return isObject(fields) ? fields : {};
}

/** Neither switched off nor still to be switched on: what a list shows to anybody. */
export function isActive(manifest: Manifest): boolean {
	return manifest.state === 'active' && !manifest.disabled;
}

/** It has been on offer once: neither on its way nor failed. */
export function isActivated({state}: Manifest): boolean {
	return state !== 'unactivated' && state !== 'creating' && state !== 'failed';
}

/** Oldest first; of one date, by uuid, so that pages never lose or repeat an image. */
export function compareImages(a: Manifest, b: Manifest): number {
	if (a.publishedMs !== b.publishedMs) {
		return a.publishedMs - b.publishedMs;
	}
	if (a.uuid === b.uuid) {
		return 0;
	}
	return a.uuid < b.uuid ? -1 : 1;
}

/** The manifest as it goes out: `text`, and what only images of our own have, where that is to be shown. */
export function servedText(manifest: Manifest, shown: Shown): string {
	const {local, text} = manifest;
	if (local === undefined) {
		return text;
	}
	const withStor = shown.admin && manifest.files.length > 0 ? addStor(text, local.stor) : text;
	return shown.channels && local.channels.length > 0
		? `${withStor.slice(0, -1)},"channels":${JSON.stringify(local.channels)}}`
		: withStor;
}

/** Of the manifest as it goes out. Without quotes. */
export function manifestEtag(manifest: Manifest, shown?: Shown): string {
	if (manifest instanceof PackedManifest) {
		return Buffer.from(manifest.digest, 'latin1').toString('hex');
	}
	const text = shown === undefined ? manifest.text : servedText(manifest, shown);
	return createHash('sha1').update(text).digest('hex');
}

function addStor(text: string, stor: string): string {
	const members = membersOf(text).map(member => {
		if (member.name !== 'files') {
			return member.text;
		}
		const files = elementsOf(member.value).map(file => `${file.slice(0, -1)},"stor":${JSON.stringify(stor)}}`);
		return `"files":[${files.join(',')}]`;
	});
	return `{${members.join(',')}}`;
}

/** Some servers write it as a string. */
function isVersion(v: unknown): boolean {
	if (typeof v !== 'number' && typeof v !== 'string') {
		return false;
	}
	const version = Number(v);
	return Number.isFinite(version) && version >= 2;
}

function filesOf(files: unknown, uuid: Uuid): readonly ImageFile[] {
	if (files === undefined || files === null) {
		return noFiles;
	}
	if (!Array.isArray(files)) {
		throw new IntegrityError(`manifest ${uuid}: files is no array`);
	}
	return files.length === 0 ? noFiles : files.map((file, index) => fileOf(file, `manifest ${uuid}: files[${index}]`));
}

function fileOf(file: unknown, where: string): ImageFile {
	if (!isObject(file)) {
		throw new IntegrityError(`${where} is no object`);
	}
	const {size} = file;
	if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0) {
		throw new IntegrityError(`${where}: size is not a number of bytes: ${shorten(size)}`);
	}
	const compression = compressions.get(file['compression']);
	if (compression === undefined) {
		throw new IntegrityError(`${where}: unknown compression: ${shorten(file['compression'])}`);
	}
	const sha1 = digestOf(file['sha1'], `${where}: sha1`, isSha1);
	// Beside a sha1 the md5 is not needed, and an odd one no reason to lose the image.
	const md5 =
		sha1 !== undefined && !isMd5(lowerCased(file['md5'])) ? undefined : digestOf(file['md5'], `${where}: md5`, isMd5);
	return {sha1, md5, size, compression};
}

function digestOf<T extends string>(
	value: unknown,
	where: string,
	isDigest: (text: unknown) => text is T,
): T | undefined {
	// imgadm, too, takes an empty digest for none.
	if (value === undefined || value === null || value === '') {
		return undefined;
	}
	const digest = lowerCased(value);
	if (!isDigest(digest)) {
		throw new IntegrityError(`${where} is no digest: ${shorten(value)}`);
	}
	return digest;
}

function isMd5(text: unknown): text is string {
	return typeof text === 'string' && md5Form.test(text);
}

function lowerCased(value: unknown): unknown {
	return typeof value === 'string' ? value.toLowerCase() : value;
}

/** Strings out of JSON.parse are copies already: they keep no longer text alive. */
function textOf(value: unknown): string {
	return typeof value === 'string' ? (shared.get(value) ?? value) : '';
}

function stringsOf(value: unknown): readonly string[] {
	if (!Array.isArray(value) || value.length === 0) {
		return noStrings;
	}
	return value.filter(item => typeof item === 'string').map(textOf);
}

function shorten(value: unknown): string {
	// Depth is bounded by now, so this cannot recurse far.
	const text = value === undefined ? 'missing' : JSON.stringify(value);
	return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}
