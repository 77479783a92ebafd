/**
 * The rules for each field of a manifest, and the order they are looked at in (contract 4.1, 4.2).
 *
 * `rules.ts` and `rules-update.ts` decide which fields may be there at all; here it is decided whether their values
 * will do, and they come out normalized: numbers and `public` that came as strings, lists that came as their only item.
 */
import type {FieldFault} from '../errors.js';
import type {JsonObject} from './manifest.js';
import {mostFaults} from './rules-faults.js';
import {
	Field,
	given,
	needed,
	readAcl,
	readBillingTags,
	readChannels,
	readFiles,
	readIcon,
	readImageSize,
	readInheritedDirectories,
	readObject,
	readPublic,
	readPublishedAt,
	readRequirements,
	readState,
	readSwitch,
	readTags,
	readTraits,
	readUsers,
	readUuid,
	readVersionOfManifests,
	readWebAddress,
	readZvolText,
	readerOf,
	textReader,
	type FieldRules,
	type Reader,
} from './rules-readers.js';

export type {FieldRules} from './rules-readers.js';

export interface ReadFields {
	/** Of those fields that are there and right. */
	readonly values: Map<string, unknown>;
	/** In the order of the contract. */
	readonly faults: readonly FieldFault[];
	/** The fields at fault, where a fault may name what is inside one. */
	readonly wrong: ReadonlySet<string>;
}

/** Deeper values could not be read back: readers of manifests stop somewhere above this. */
const maxDepth = 100;

const types: ReadonlySet<unknown> = new Set(['zone-dataset', 'lx-dataset', 'zvol', 'docker', 'lxd', 'other']);
const systems: ReadonlySet<unknown> = new Set(['smartos', 'linux', 'windows', 'bsd', 'illumos', 'other']);
const nameForm = /^[A-Za-z0-9._/ -]+$/u;
const versionForm = /^[A-Za-z0-9._/+-]+$/u;

/** What zvols must have, and nothing else may. */
export const zvolFields: readonly string[] = ['nic_driver', 'disk_driver', 'cpu_type', 'image_size'];

/** Looked at whether they are there or not. */
const required: readonly (readonly [string, Reader])[] = [
	['v', needed(readVersionOfManifests)],
	['uuid', needed(readUuid)],
	['owner', needed(readUuid)],
	['name', needed(textReader(1024, nameForm, 'letters, digits, space and ._/-'))],
	// imgadm reads `create … version=2` as JSON and sends a number: what was typed is meant.
	['version', needed(textReader(512, versionForm, 'letters, digits and ._/+-', {numbers: true}))],
	['disabled', needed(readSwitch)],
	['activated', needed(readSwitch)],
	['published_at', readPublishedAt],
	['public', needed(readPublic)],
	['state', given(readState)],
	['type', needed(readerOf(types))],
	['os', needed(readerOf(systems))],
	['files', needed(readFiles)],
	['nic_driver', readZvolText],
	['disk_driver', readZvolText],
	['cpu_type', readZvolText],
	['image_size', readImageSize],
	['channels', given(readChannels)],
];

const optional: readonly (readonly [string, Reader])[] = [
	['description', textReader(10_240)],
	['homepage', readWebAddress],
	['eula', readWebAddress],
	['origin', readUuid],
	['error', readObject],
	['icon', readIcon],
	['urn', textReader(Infinity)],
	['acl', readAcl],
	['requirements', readRequirements],
	['users', readUsers],
	['billing_tags', readBillingTags],
	['traits', readTraits],
	['tags', readTags],
	['generate_passwords', readSwitch],
	['inherited_directories', readInheritedDirectories],
];

const readers = [...required, ...optional.map(([name, reader]) => [name, given(reader)] as const)];

/** Every field that has a rule. */
export const ruledFields: ReadonlySet<string> = new Set(readers.map(([name]) => name));

/** Reads all fields that have a rule. Others are not looked at. */
export function readFields(all: JsonObject, rules: FieldRules): ReadFields {
	const values = new Map<string, unknown>();
	const faults: FieldFault[] = [];
	const wrong = new Set<string>();
	for (const [name, reader] of readers) {
		const field = new Field(name, all, rules);
		const value = isShallow(field.value) ? reader(field) : field.fault(`is nested more than ${maxDepth} levels deep`);
		if (field.faults.length > 0) {
			wrong.add(name);
			faults.push(...field.faults.slice(0, mostFaults - faults.length));
		} else if (value !== undefined) {
			values.set(name, value);
		}
	}
	return {values, faults, wrong};
}

/** Whether something that recurses can walk it. Does not recurse itself. */
function isShallow(value: unknown): boolean {
	let level = isContainer(value) ? [value] : [];
	for (let depth = 0; level.length > 0; depth++) {
		if (depth > maxDepth) {
			return false;
		}
		const next: object[] = [];
		for (const container of level) {
			for (const item of Object.values(container) as unknown[]) {
				if (isContainer(item)) {
					next.push(item);
				}
			}
		}
		level = next;
	}
	return true;
}

function isContainer(value: unknown): value is object {
	return typeof value === 'object' && value !== null;
}
