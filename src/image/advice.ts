/**
 * What `imgmirror lint` says of a manifest: what breaks a rule, and what is allowed but unwise.
 *
 * The rules are those of `rules-fields.ts`. The advice here comes from what hosts, older imgadms and DSAPI clients are
 * known to make of such a manifest.
 */
import {IntegrityError} from '../errors.js';
import {adviceOnMachine} from './advice-machine.js';
import {parseDate} from './dates.js';
import type {ServerMode} from './image-fields.js';
import {isObject} from './json-text.js';
import {isCompression, isSha1, isUuid, type JsonObject} from './manifest.js';
import {onImport, unexpectedFields} from './rules.js';
import {readFields} from './rules-fields.js';
import {isVersion1, upgradedFields} from './upgrade.js';

export interface Advice {
	/** `error`: no server takes it. `warning`: it will not do what it is meant to. `advice`: could be better. */
	readonly level: 'error' | 'warning' | 'advice';
	readonly field: string;
	readonly message: string;
}

export type Say = (level: Advice['level'], field: string, message: string) => void;

/** What servers fill in themselves. */
const placeholders: JsonObject = {
	v: 2,
	uuid: '00000000-0000-4000-8000-000000000000',
	owner: '00000000-0000-0000-0000-000000000000',
	disabled: false,
	public: false,
};

// Control and format characters, halves of surrogate pairs: whatever is invisible, line ends aside.
const invisible = /(?![\n\r\t])[\p{Cc}\p{Cf}\p{Cs}\u2028\u2029]/u;

const levels: readonly Advice['level'][] = ['error', 'warning', 'advice'];

/** Everything there is to say, errors first. `mode`: of the server that is to take it. `nowMs`: for dates ahead. */
export function adviceOn(
	manifest: unknown,
	{mode = 'any', nowMs}: {readonly mode?: ServerMode | undefined; readonly nowMs: number},
): readonly Advice[] {
	const found: Advice[] = [];
	const say: Say = (level, field, message) => found.push({level, field, message});
	const fields = todaysFields(manifest, say);
	if (fields === undefined) {
		return inLevels(found);
	}
	const wrong = breaches(fields, mode, say);
	const right = Object.fromEntries(Object.entries(fields).filter(([name]) => !wrong.has(name)));
	adviceOnIdentity(right, say);
	adviceOnText(right, say);
	adviceOnFiles(fields['files'], say);
	adviceOnMachine(right, nowMs, say);
	adviceOnVisibility(right, nowMs, say);
	// Of a field that breaks a rule nothing more is said: least of all that it is missing.
	return inLevels(found.filter(({level, field}) => level === 'error' || !wrong.has(/^[^.[]*/u.exec(field)?.[0] ?? '')));
}

function inLevels(found: readonly Advice[]): readonly Advice[] {
	return levels.flatMap(level => found.filter(advice => advice.level === level));
}

function todaysFields(manifest: unknown, say: Say): JsonObject | undefined {
	if (!isObject(manifest)) {
		say('error', 'manifest', 'is no JSON object');
		return undefined;
	}
	if (!isVersion1(manifest)) {
		return manifest;
	}
	try {
		const fields = upgradedFields(manifest);
		say('advice', 'v', 'is missing: this is a manifest of the old DSAPI, and is upgraded when it is imported');
		return fields;
	} catch (error) {
		if (error instanceof IntegrityError) {
			say('error', 'creator_uuid', error.message);
			return undefined;
		}
		throw error;
	}
}

/** The names of the fields that break a rule. */
function breaches(fields: JsonObject, mode: ServerMode, say: Say): ReadonlySet<string> {
	const unexpected = unexpectedFields(fields, onImport);
	for (const name of unexpected) {
		say('error', name, 'is no field that servers take with such an image');
	}
	const given = Object.entries(fields).filter(([name]) => name !== 'state' && name !== 'channels');
	const all = {
		...placeholders,
		...Object.fromEntries(given),
		activated: false,
		files: [],
	};
	const {faults, wrong} = readFields(all, {mode, mayHaveIcon: false, noImageSize: 'MissingParameter', channels: false});
	for (const {field, message = 'is wrong'} of faults) {
		if (!unexpected.includes(field)) {
			say('error', field, message);
		}
	}
	return new Set([...wrong, ...unexpected]);
}

function adviceOnIdentity({uuid, v, origin, state}: JsonObject, say: Say): void {
	if (isUuid(uuid)) {
		if (uuid[14] !== '4' || !/[89ab]/u.test(uuid[19] ?? '')) {
			say('warning', 'uuid', 'is not a random one (version 4): somebody else may have the same');
		}
		if (origin === uuid) {
			say('error', 'origin', 'is the image itself');
		}
	}
	if (v !== undefined && Number(v) !== 2) {
		say('warning', 'v', 'is not 2: hosts and servers may not take it');
	}
	if (state !== undefined && state !== 'active') {
		say('advice', 'state', 'is not looked at: every image begins unactivated');
	}
}

function adviceOnText({name, version, description, homepage, eula}: JsonObject, say: Say): void {
	if (typeof name === 'string') {
		if (name !== name.trim()) {
			say('warning', 'name', 'begins or ends with a space, which nobody sees');
		} else if (name.includes(' ')) {
			say('advice', 'name', 'has spaces, which commands have to quote');
		}
	}
	if (typeof version === 'string' && version.includes('+')) {
		say('warning', 'version', 'has a "+", which imgadm before 3.7.0 does not take');
	}
	for (const [field, value] of Object.entries({name, version})) {
		if (typeof value === 'string' && value.includes('/')) {
			say('advice', field, 'has a slash: the file that DSAPI clients get is named with "-" in its place');
		}
	}
	if (description === undefined || description === '') {
		say('advice', 'description', 'is missing');
	} else if (typeof description === 'string' && invisible.test(description)) {
		say('warning', 'description', 'has characters that cannot be seen');
	}
	if (homepage === undefined) {
		say('advice', 'homepage', 'is missing');
	}
	for (const [field, value] of Object.entries({homepage, eula})) {
		if (typeof value === 'string' && !URL.canParse(value)) {
			say('warning', field, 'is no URL that can be opened');
		}
	}
}

/** Servers fill them in at the upload; but `imgadm publish` compares, and hosts install what is written here. */
function adviceOnFiles(files: unknown, say: Say): void {
	if (files === undefined) {
		return;
	}
	if (!Array.isArray(files)) {
		say('error', 'files', 'must be an array');
		return;
	}
	if (files.length === 0) {
		say('advice', 'files', 'is empty: publishing by imgadm needs sha1, size and compression of the file');
	}
	for (const [index, file] of (files as unknown[]).entries()) {
		const field = `files[${index}]`;
		const {sha1, size, compression} = isObject(file) ? file : {};
		if (sha1 === undefined) {
			say('warning', `${field}.sha1`, 'is missing: nobody can tell whether the file has arrived whole');
		} else if (!isSha1(sha1)) {
			say('error', `${field}.sha1`, 'must be 40 hexadecimal digits in lower case: hosts would find no file to match');
		}
		if (!Number.isSafeInteger(size) || Number(size) < 0) {
			say('error', `${field}.size`, 'must be the size of the file in bytes');
		} else if (size === 0) {
			say('error', `${field}.size`, 'is 0: an empty file is no image');
		}
		if (!isCompression(compression)) {
			say('error', `${field}.compression`, 'must be gzip, bzip2, xz or none');
		}
	}
	if (files.length > 1) {
		say('warning', 'files', 'has more than one: hosts install the first');
	}
}

function adviceOnVisibility(fields: JsonObject, nowMs: number, say: Say): void {
	const {public: isPublic, acl, disabled, published_at: publishedAt} = fields;
	if (isPublic === undefined) {
		say('advice', 'public', 'is missing: the image will not be public');
	}
	if ((isPublic === true || isPublic === 'true') && Array.isArray(acl) && acl.length > 0) {
		say('advice', 'acl', 'says nothing: the image is public');
	}
	if (disabled === true || disabled === 'true') {
		say('advice', 'disabled', 'is true: no list will show the image');
	}
	const publishedMs = typeof publishedAt === 'string' ? parseDate(publishedAt) : undefined;
	if (publishedMs !== undefined && publishedMs > nowMs) {
		say('warning', 'published_at', 'is in the future: the image will be the newest until then');
	}
}
