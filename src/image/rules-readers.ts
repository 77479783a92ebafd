/**
 * How the value of each kind of field is read: checked, and normalized where IMGAPI takes more than one form.
 *
 * `rules-fields.ts` says which field is of which kind, and in which order they come.
 */
import type {FieldFault} from '../errors.js';
import {parseDate} from './dates.js';
import {imageStates, type ServerMode} from './image-fields.js';
import {isObject} from './json-text.js';
import {isCompression, isSha1, isUuid, type JsonObject} from './manifest.js';
import {mostFaults} from './rules-faults.js';
import {checkRequirements} from './rules-requirements.js';

export interface FieldRules {
	readonly mode: ServerMode;
	/** A new image has no icon yet. */
	readonly mayHaveIcon: boolean;
	/** What is said of a zvol without `image_size`: IMGAPI has two opinions. */
	readonly noImageSize: 'Invalid' | 'MissingParameter';
	readonly channels: boolean;
}

const maxTagsLength = 102_400;
const maxUrlLength = 1024;

const switches: ReadonlyMap<unknown, boolean> = new Map<unknown, boolean>([
	[true, true],
	[false, false],
	['true', true],
	['false', false],
]);

const dateForm = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{3})?Z$/u;
const webForm = /^https?:/iu;
const digits = /^\d{1,15}$/u;

/** One field of a manifest, and what is found wrong with it. */
export class Field {
	readonly name: string;
	/** `undefined`: not given. */
	readonly value: unknown;
	readonly all: JsonObject;
	readonly rules: FieldRules;
	readonly faults: FieldFault[] = [];

	constructor(name: string, all: JsonObject, rules: FieldRules) {
		this.name = name;
		this.value = Object.hasOwn(all, name) ? all[name] : undefined;
		this.all = all;
		this.rules = rules;
	}

	/** For readers to end with. */
	fault(message: string, code: FieldFault['code'] = 'Invalid', field = this.name): unknown {
		if (this.faults.length < mostFaults) {
			this.faults.push({field, code, message});
		}
		return undefined;
	}

	missing(): unknown {
		return this.fault('is missing', 'MissingParameter');
	}
}

/** What becomes of the value; what it returns counts only where it has found no fault. */
export type Reader = (field: Field) => unknown;

export function needed(reader: Reader): Reader {
	return field => (field.value === undefined ? field.missing() : reader(field));
}

export function given(reader: Reader): Reader {
	return field => (field.value === undefined ? undefined : reader(field));
}

/** `numbers`: one is taken for what it looks like. */
export function textReader(maxLength: number, form?: RegExp, allowed = '', {numbers = false} = {}): Reader {
	return field => {
		const value = numbers && typeof field.value === 'number' ? String(field.value) : field.value;
		if (typeof value !== 'string') {
			return field.fault('must be a string');
		}
		if (value.length > maxLength) {
			return field.fault(`must not be longer than ${maxLength} characters`);
		}
		if (form !== undefined && !form.test(value)) {
			return field.fault(`must be made of ${allowed}`);
		}
		return value;
	};
}

export function readerOf(words: ReadonlySet<unknown>): Reader {
	return field => (words.has(field.value) ? field.value : field.fault(`must be one of ${[...words].join(', ')}`));
}

export function listReader(isItem: (item: unknown) => boolean, message: string): Reader {
	return field => {
		const {value} = field;
		if (!Array.isArray(value)) {
			return field.fault('must be an array');
		}
		for (const [index, item] of (value as unknown[]).entries()) {
			if (!isItem(item)) {
				field.fault(`entry ${index} ${message}`);
			}
		}
		return value as unknown;
	};
}

export function readVersionOfManifests(field: Field): unknown {
	const {value} = field;
	const version = typeof value === 'number' || (typeof value === 'string' && value.trim() !== '') ? Number(value) : NaN;
	return Number.isFinite(version) && version >= 0 ? version : field.fault('must be a number, usually 2');
}

export function readUuid(field: Field): unknown {
	return isUuid(field.value) ? field.value : field.fault('must be a uuid in lower case');
}

export function readSwitch(field: Field): unknown {
	return typeof field.value === 'boolean' ? field.value : field.fault('must be true or false, without quotes');
}

export function readPublic(field: Field): unknown {
	// Of all switches, this one has always been taken as text, too.
	const isPublic = switches.get(field.value);
	if (isPublic === false && field.rules.mode === 'public') {
		return field.fault('must be true: this server takes public images only');
	}
	if (isPublic === true && field.rules.mode === 'private') {
		return field.fault('must be false: this server takes private images only');
	}
	return isPublic ?? field.fault('must be true or false');
}

export function readPublishedAt(field: Field): unknown {
	const {value} = field;
	if (value === undefined) {
		return field.all['activated'] === true ? field.missing() : undefined;
	}
	return typeof value === 'string' && dateForm.test(value) && parseDate(value) !== undefined
		? value
		: field.fault('must be written YYYY-MM-DDTHH:MM:SS.mmmZ');
}

export function readState(field: Field): unknown {
	return imageStates.has(field.value) ? field.value : field.fault(`must be one of ${[...imageStates].join(', ')}`);
}

export function readFiles(field: Field): unknown {
	const files = field.value;
	const most = field.all['type'] === 'lxd' ? 2 : 1;
	if (!Array.isArray(files)) {
		return field.fault('must be an array');
	}
	if (files.length > most) {
		return field.fault(`must not be more than ${most}`);
	}
	for (const file of files as unknown[]) {
		const {sha1, size, compression} = isObject(file) ? file : {};
		if (!isSha1(sha1)) {
			field.fault('must have a sha1 of 40 hexadecimal digits in lower case');
		}
		if (!Number.isSafeInteger(size) || Number(size) < 0) {
			field.fault('must have a size in bytes');
		}
		if (!isCompression(compression)) {
			field.fault('must have a compression: gzip, bzip2, xz or none');
		}
	}
	return files as unknown;
}

function isZvol(field: Field): boolean {
	return field.all['type'] === 'zvol';
}

export function readZvolText(field: Field): unknown {
	const {value} = field;
	if (value === undefined) {
		return isZvol(field) ? field.missing() : undefined;
	}
	if (!isZvol(field)) {
		return field.fault('is for images of type zvol only');
	}
	return typeof value === 'string' ? value : field.fault('must be a string');
}

export function readImageSize(field: Field): unknown {
	const {value} = field;
	if (value === undefined) {
		return isZvol(field) ? field.fault('is missing', field.rules.noImageSize) : undefined;
	}
	if (!isZvol(field)) {
		return field.fault('is for images of type zvol only');
	}
	const size = typeof value === 'string' && digits.test(value) ? Number(value) : value;
	return Number.isSafeInteger(size) && Number(size) >= 0 ? size : field.fault('must be a whole number of MiB');
}

export function readChannels(field: Field): unknown {
	const {value} = field;
	if (!field.rules.channels) {
		return field.fault('this server has no channels');
	}
	return Array.isArray(value) && value.length > 0 && value.every(item => typeof item === 'string')
		? value
		: field.fault("must be an array of channels' names, at least one");
}

export function readWebAddress(field: Field): unknown {
	const {value} = field;
	if (typeof value !== 'string' || !webForm.test(value)) {
		return field.fault('must be a URL of http or https');
	}
	return value.length > maxUrlLength ? field.fault(`must not be longer than ${maxUrlLength} characters`) : value;
}

export function readObject(field: Field): unknown {
	return isObject(field.value) ? field.value : field.fault('must be an object');
}

export function readIcon(field: Field): unknown {
	return field.value === true && field.rules.mayHaveIcon
		? true
		: field.fault('is set by uploading an icon and not otherwise');
}

export function readAcl(field: Field): unknown {
	const acl: unknown = typeof field.value === 'string' ? [field.value] : field.value;
	if (!Array.isArray(acl)) {
		return field.fault('must be an array');
	}
	const bad = (acl as unknown[]).findIndex(item => !isUuid(item));
	return bad === -1 ? (acl as unknown) : field.fault(`entry ${bad} must be a uuid in lower case`);
}

export function readRequirements(field: Field): unknown {
	const {value} = field;
	if (!isObject(value)) {
		return field.fault('must be an object');
	}
	checkRequirements(value, (name, message, code) => {
		field.fault(message, code, name);
	});
	return value;
}

export const readUsers: Reader = listReader(isUser, 'must have a name and nothing else');

function isUser(user: unknown): boolean {
	return isObject(user) && Object.keys(user).length === 1 && typeof user['name'] === 'string';
}

export function readBillingTags(field: Field): unknown {
	const {value} = field;
	if (typeof value === 'string') {
		return value.length <= 128 ? [value] : field.fault('must not be longer than 128 characters');
	}
	const isTag = (item: unknown): boolean => typeof item === 'string' && item.length <= 128;
	return listReader(isTag, 'must be a string of at most 128 characters')(field);
}

export function readTraits(field: Field): unknown {
	const {value} = field;
	if (!isObject(value)) {
		return field.fault('must be an object');
	}
	for (const [name, trait] of Object.entries(value)) {
		if (typeof trait !== 'string' && typeof trait !== 'boolean' && !Array.isArray(trait)) {
			field.fault(`${JSON.stringify(name)} must be a string, a switch or an array`);
		}
	}
	return value;
}

export function readTags(field: Field): unknown {
	const {value} = field;
	if (!isObject(value)) {
		return field.fault('must be an object');
	}
	return JSON.stringify(value).length > maxTagsLength
		? field.fault(`must not be longer than ${maxTagsLength} characters of JSON`)
		: value;
}

export function readInheritedDirectories(field: Field): unknown {
	return field.all['type'] === 'zone-dataset'
		? listReader(item => typeof item === 'string', 'must be a string')(field)
		: field.fault('is for images of type zone-dataset only');
}
