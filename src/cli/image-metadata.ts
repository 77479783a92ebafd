/**
 * A manifest as the names and values of an upload's metadata, where these can say all of it.
 *
 * Then the server makes the image of the upload in one step, and a command that dies leaves nothing behind. Of a
 * manifest that says more, `publish.ts` makes the image first.
 */
import type {JsonObject} from '../image/manifest.js';
import {encodeMetadata} from './tus.js';

/** Headers are bounded everywhere on the way. */
const mostBytes = 6000;

type Write = (value: unknown) => string | undefined;

const text: Write = value => (typeof value === 'string' ? value : undefined);
const flag: Write = value => (typeof value === 'boolean' ? String(value) : undefined);
const number: Write = value => {
	const digits = typeof value === 'number' ? String(value) : '';
	return /^\d{1,15}$/.test(digits) ? digits : undefined;
};
const list: Write = value => {
	const items = Array.isArray(value) ? (value as unknown[]) : [];
	const plain = items.every(item => typeof item === 'string' && item !== '' && !item.includes(','));
	return items.length > 0 && plain ? items.join(',') : undefined;
};

const fields: ReadonlyMap<string, Write> = new Map<string, Write>([
	...named(text, ['uuid', 'owner', 'name', 'version', 'type', 'os', 'description', 'homepage', 'eula', 'origin']),
	...named(text, ['nic_driver', 'disk_driver', 'cpu_type']),
	...named(number, ['image_size']),
	...named(flag, ['public', 'disabled', 'generate_passwords']),
	...named(list, ['acl', 'billing_tags', 'inherited_directories']),
]);
const requirements: ReadonlyMap<string, Write> = new Map<string, Write>([
	...named(text, ['brand', 'bootrom']),
	...named(number, ['min_ram', 'max_ram']),
	...named(flag, ['ssh_key']),
]);
const platforms: readonly string[] = ['min_platform', 'max_platform'];

/** `undefined`: names cannot say it, or not in a header of bearable length. Lists of networks they never can. */
export function metadataOf(
	manifest: JsonObject,
	{leaveOutNetworks = false}: {readonly leaveOutNetworks?: boolean} = {},
): ReadonlyMap<string, string> | undefined {
	const metadata = new Map<string, string>();
	for (const [key, value] of Object.entries(leaveOutNetworks ? withoutNetworks(manifest) : manifest)) {
		const pairs = key === 'v' && value === 2 ? [] : pairsOf(key, value);
		if (pairs === undefined) {
			return undefined;
		}
		for (const [name, written] of pairs) {
			metadata.set(name, written);
		}
	}
	return encodeMetadata(metadata).length > mostBytes ? undefined : metadata;
}

function withoutNetworks(manifest: JsonObject): JsonObject {
	const {requirements: all, ...rest} = manifest;
	if (typeof all !== 'object' || all === null) {
		return manifest;
	}
	const left = Object.entries(all).filter(([key]) => key !== 'networks');
	return left.length === 0 ? rest : {...rest, requirements: Object.fromEntries(left)};
}

type Pairs = readonly (readonly [string, string])[];

function pairsOf(key: string, value: unknown): Pairs | undefined {
	switch (key) {
		case 'tags':
			return prefixed('tag.', value, new Map());
		case 'traits':
			return prefixed('trait.', value, new Map());
		case 'requirements':
			return prefixed('requirements.', value, requirements, name => !platforms.includes(name));
		default: {
			const written = fields.get(key)?.(value);
			return written === undefined ? undefined : [[key, written]];
		}
	}
}

/** `known`: how the values are written; empty: all of them are text. */
function prefixed(
	prefix: string,
	value: unknown,
	known: ReadonlyMap<string, Write>,
	isPlain: (name: string) => boolean = () => true,
): Pairs | undefined {
	if (typeof value !== 'object' || value === null || Array.isArray(value) || Object.keys(value).length === 0) {
		return undefined;
	}
	const pairs: (readonly [string, string])[] = [];
	for (const [name, inner] of Object.entries(value as JsonObject)) {
		const nested = isPlain(name) ? undefined : prefixed(`${prefix}${name}.`, inner, new Map());
		const write = known.size === 0 ? text : known.get(name);
		const written = isPlain(name) ? write?.(inner) : undefined;
		// What is sent as a header's name must be one.
		if (!/^[!-+\--~]+$/.test(name) || (nested === undefined && written === undefined)) {
			return undefined;
		}
		pairs.push(...(nested ?? [[prefix + name, written ?? ''] as const]));
	}
	return pairs;
}

function named(write: Write, names: readonly string[]): readonly (readonly [string, Write])[] {
	return names.map(name => [name, write] as const);
}
