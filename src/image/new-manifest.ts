/**
 * A manifest for an image of which only little is known: what `imgmirror manifest` and `imgmirror publish` begin with.
 *
 * Defaults are those that publishers' scripts have always written by hand. Nothing is checked here: `rules.ts` does that.
 */
import {inOrder} from './key-order.js';
import type {JsonObject} from './manifest.js';

export interface NewManifest {
	readonly name: string;
	readonly version: string;
	readonly description?: string | undefined;
	/** By `type`; else `smartos`. */
	readonly os?: string | undefined;
	/** By `os`: of Linux `lx-dataset`, of Windows and BSD `zvol`, else `zone-dataset`. */
	readonly type?: string | undefined;
	/** As in IMGAPI: false. */
	readonly public?: boolean | undefined;
	/** `undefined`: the server that takes the image gives one. */
	readonly uuid?: string | undefined;
	readonly owner?: string | undefined;
	/** Any other field of a manifest, such as `image_size`: wins over the defaults, not over the fields above. */
	readonly more?: JsonObject | undefined;
}

/** Types that hosts make machines of. */
const bootable: ReadonlySet<string> = new Set(['zone-dataset', 'lx-dataset', 'zvol']);

/** Its keys in IMGAPI's order, without `files`. */
export function newManifest(given: NewManifest): JsonObject {
	const {more = {}, ...fields} = given;
	const type = given.type ?? textIn(more, 'type') ?? typeOf(given.os ?? textIn(more, 'os') ?? 'smartos');
	const defaults = {v: 2, public: false, os: systemOf(type), ...machineDefaults(type)};
	const all = {...defaults, ...more, ...defined(fields), type};
	return Object.fromEntries(inOrder(new Map(Object.entries(all))));
}

function machineDefaults(type: string): JsonObject {
	if (!bootable.has(type)) {
		return {};
	}
	const networks = [{name: 'net0', description: 'public'}];
	return {
		requirements: type === 'lx-dataset' ? {networks, brand: 'lx'} : {networks},
		...(type === 'zvol' ? {nic_driver: 'virtio', disk_driver: 'virtio', cpu_type: 'host'} : {}),
	};
}

function typeOf(os: string): string {
	switch (os) {
		case 'linux':
			return 'lx-dataset';
		case 'windows':
		case 'bsd':
			return 'zvol';
		default:
			return 'zone-dataset';
	}
}

function systemOf(type: string): string {
	switch (type) {
		case 'lx-dataset':
		case 'docker':
		case 'lxd':
			return 'linux';
		case 'zvol':
		case 'other':
			return 'other';
		default:
			return 'smartos';
	}
}

function textIn(fields: JsonObject, name: string): string | undefined {
	const value = fields[name];
	return typeof value === 'string' ? value : undefined;
}

function defined(fields: object): JsonObject {
	return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}
