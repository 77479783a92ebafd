/**
 * A local image as the file that holds it: a manifest that anybody can read, with what only we need under `imgmirror`.
 *
 * The record is the one truth about an image; it says what the image is, and the store has the bytes. A record that
 * has been edited by hand is read as long as every field is of its kind.
 */
import {IntegrityError} from '../errors.js';
import {isSha1, isUuid, type Compression, type JsonObject, type Sha1, type Uuid} from '../image/manifest.js';
import {stateOf, type ImageFields, type StoredFile} from '../image/rules.js';
import type {Came} from './came.js';
import type {LocalIcon, LocalImage} from './internal.js';

const recordVersion = 1;

const compressions: ReadonlySet<unknown> = new Set<Compression>(['none', 'gzip', 'bzip2', 'xz']);

export function recordText(image: LocalImage): string {
	const {fields} = image;
	const {activated, state, extra, ...shown} = fields;
	const record = {
		...shown,
		state: stateOf(fields),
		imgmirror: {
			record: recordVersion,
			born: image.born,
			activated,
			// Only if somebody has set it: otherwise it follows from the rest.
			state,
			extra,
			channels: image.channels,
			by: image.by,
			icon: image.icon,
			createdAt: isoDate(image.createdAtMs),
			changedAt: isoDate(image.changedAtMs),
			movedFrom: image.movedFrom,
			came: image.came,
		},
	};
	return `${JSON.stringify(record, undefined, 2)}\n`;
}

/** Throws IntegrityError, saying what is wrong. */
export function readRecord(text: string, uuid: Uuid): LocalImage {
	const record = parse(text);
	const ours = record['imgmirror'];
	if (!isPlain(ours)) {
		throw new IntegrityError('it has no member imgmirror');
	}
	if (ours['record'] !== recordVersion) {
		throw new IntegrityError('another version of imgmirror wrote it');
	}
	if (record['uuid'] !== uuid) {
		throw new IntegrityError('it is about another image');
	}
	// The manifest's own state was for the reader; what follows from the rest is not kept.
	const shown = Object.fromEntries(Object.entries(record).filter(([name]) => name !== 'imgmirror' && name !== 'state'));
	const {activated, state, extra} = ours;
	const fields: JsonObject = {...shown, activated, ...given('state', state), ...given('extra', extra)};
	checkFields(fields);
	const {born, channels, by, movedFrom, came} = ours;
	check(typeof born === 'string' && born !== '', 'imgmirror.born');
	check(isStrings(channels), 'imgmirror.channels');
	check(by === undefined || typeof by === 'string', 'imgmirror.by');
	check(movedFrom === undefined || isUuid(movedFrom), 'imgmirror.movedFrom');
	check(came === undefined || isCame(came), 'imgmirror.came');
	return {
		fields,
		channels,
		by,
		icon: ours['icon'] === undefined ? undefined : iconOf(ours['icon']),
		createdAtMs: dateOf(ours['createdAt'], 'imgmirror.createdAt'),
		changedAtMs: dateOf(ours['changedAt'], 'imgmirror.changedAt'),
		born,
		movedFrom,
		came,
	};
}

function isCame(came: unknown): came is Came {
	return (
		isPlain(came) &&
		typeof came['text'] === 'string' &&
		typeof came['of'] === 'string' &&
		isStrings(came['channels']) &&
		(came['icon'] === undefined || isSha1(came['icon']))
	);
}

function parse(text: string): JsonObject {
	let record: unknown;
	try {
		record = JSON.parse(text);
	} catch (error) {
		throw new IntegrityError('it is not JSON', {cause: error});
	}
	if (!isPlain(record)) {
		throw new IntegrityError('it is no JSON object');
	}
	return record;
}

/** Everything that the code relies on; the rules of manifests were kept when the image was made. */
function checkFields(fields: JsonObject): asserts fields is JsonObject & ImageFields {
	check(typeof fields['v'] === 'number', 'v');
	check(isUuid(fields['owner']), 'owner');
	for (const name of ['name', 'version', 'type', 'os']) {
		check(typeof fields[name] === 'string', name);
	}
	for (const name of ['activated', 'disabled', 'public']) {
		check(typeof fields[name] === 'boolean', name);
	}
	for (const name of ['published_at', 'state']) {
		check(fields[name] === undefined || typeof fields[name] === 'string', name);
	}
	for (const name of ['acl', 'billing_tags']) {
		check(fields[name] === undefined || isStrings(fields[name]), name);
	}
	check(fields['extra'] === undefined || isPlain(fields['extra']), 'imgmirror.extra');
	check(fields['origin'] === undefined || isUuid(fields['origin']), 'origin');
	const {files} = fields;
	check(Array.isArray(files) && files.every(isFile), 'files');
}

function isFile(file: unknown): file is StoredFile {
	return (
		isPlain(file) &&
		isSha1(file['sha1']) &&
		Number.isSafeInteger(file['size']) &&
		Number(file['size']) >= 0 &&
		compressions.has(file['compression'])
	);
}

function iconOf(icon: unknown): LocalIcon {
	check(isPlain(icon), 'imgmirror.icon');
	const {sha1, md5, size, contentType, storedAtMs} = icon;
	check(isSha1(sha1), 'imgmirror.icon.sha1');
	check(typeof md5 === 'string', 'imgmirror.icon.md5');
	check(typeof size === 'number', 'imgmirror.icon.size');
	check(typeof contentType === 'string', 'imgmirror.icon.contentType');
	check(typeof storedAtMs === 'number', 'imgmirror.icon.storedAtMs');
	return {sha1: sha1 satisfies Sha1, md5, size, contentType, storedAtMs};
}

function dateOf(date: unknown, where: string): number {
	const ms = typeof date === 'string' ? Date.parse(date) : Number.NaN;
	check(!Number.isNaN(ms), where);
	return ms;
}

function isoDate(ms: number): string {
	return new Date(ms).toISOString();
}

function check(holds: boolean, where: string): asserts holds {
	if (!holds) {
		throw new IntegrityError(`${where} is missing or of another kind`);
	}
}

function given(name: string, value: unknown): JsonObject {
	return value === undefined ? {} : {[name]: value};
}

function isPlain(value: unknown): value is JsonObject {
	return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isStrings(value: unknown): value is readonly string[] {
	return Array.isArray(value) && value.every(item => typeof item === 'string');
}
