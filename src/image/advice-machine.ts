/**
 * What is unwise in the fields that decide where an image runs: type, system, requirements, drivers.
 */
import type {Say} from './advice.js';
import {isObject} from './json-text.js';
import type {JsonObject} from './manifest.js';
import {isPlatform} from './rules-requirements.js';

/** Which systems a type of image can hold. Types that are not here: any. */
const systemsOf: ReadonlyMap<unknown, readonly unknown[]> = new Map([
	['zone-dataset', ['smartos', 'illumos']],
	['lx-dataset', ['linux']],
	['docker', ['linux']],
	['lxd', ['linux']],
]);

/** Versions of Triton that hosts look up in `min_platform` and `max_platform`. */
const platformKeys: ReadonlySet<string> = new Set(['6.5', '7.0']);

const drivers: Readonly<Record<string, readonly unknown[]>> = {
	nic_driver: ['virtio', 'e1000', 'rtl8139'],
	disk_driver: ['virtio', 'ide', 'scsi', 'ahci', 'nvme'],
};

export function adviceOnMachine(fields: JsonObject, nowMs: number, say: Say): void {
	const {type, os} = fields;
	const systems = systemsOf.get(type);
	if (systems !== undefined && typeof os === 'string' && !systems.includes(os)) {
		say('warning', 'os', `is ${os}, but an image of type ${String(type)} holds ${systems.join(' or ')}`);
	}
	if (type === 'zvol') {
		adviceOnZvol(fields, say);
	}
	if (fields['generate_passwords'] === true && fields['users'] === undefined) {
		say('warning', 'generate_passwords', 'is true, but there are no users to generate them for');
	}
	if (fields['requirements'] === undefined || isObject(fields['requirements'])) {
		adviceOnRequirements(fields['requirements'] ?? {}, fields, nowMs, say);
	}
}

function adviceOnZvol(fields: JsonObject, say: Say): void {
	if (fields['os'] === 'smartos') {
		say('advice', 'os', 'is smartos: is this really the disk of a virtual machine?');
	}
	for (const [name, known] of Object.entries(drivers)) {
		const driver = fields[name];
		if (driver !== undefined && !known.includes(driver)) {
			say('warning', name, `is none that hosts know: ${known.join(', ')}`);
		} else if (driver !== undefined && driver !== 'virtio') {
			say('advice', name, 'is slower than virtio, which current systems have drivers for');
		}
	}
	const size = fields['image_size'];
	if (size !== undefined && Number(size) === 0) {
		say('error', 'image_size', 'is 0: a disk has a size');
	} else if (Number(size) >= 4 * 1024 * 1024) {
		say('warning', 'image_size', 'is in MiB, and this is more than 4 TiB');
	}
}

function adviceOnRequirements(requirements: JsonObject, {type, tags}: JsonObject, nowMs: number, say: Say): void {
	const {networks, brand, min_platform: least, max_platform: most} = requirements;
	const isMachine = type === 'zone-dataset' || type === 'lx-dataset' || type === 'zvol';
	if (isMachine && (!Array.isArray(networks) || networks.length === 0)) {
		say('advice', 'requirements.networks', 'is missing: most images need at least one network');
	}
	if (type === 'lx-dataset') {
		if (brand !== 'lx') {
			say('advice', 'requirements.brand', 'is not lx: a host cannot tell what zone the image is for');
		}
		if (!isObject(tags) || tags['kernel_version'] === undefined) {
			say('advice', 'tags.kernel_version', 'is missing: whoever makes a zone of the image has to say it');
		}
	} else if (type === 'zone-dataset' && brand === 'lx') {
		say('warning', 'requirements.brand', 'is lx, but the type is not lx-dataset');
	}
	if (type === 'zvol' && brand === 'bhyve' && requirements['bootrom'] === undefined) {
		say('advice', 'requirements.bootrom', 'is missing: machines begin with bios');
	}
	adviceOnPlatforms('requirements.min_platform', least, say);
	adviceOnPlatforms('requirements.max_platform', most, say);
	if (isObject(least)) {
		const today = new Date(nowMs).toISOString().replaceAll(/[-:]|\.\d+/gu, '');
		for (const [version, platform] of Object.entries(least)) {
			const last = isObject(most) && Object.hasOwn(most, version) ? most[version] : undefined;
			if (isPlatform(platform) && platform > today) {
				say('warning', 'requirements.min_platform', `${platform} is in the future: no host has it`);
			}
			if (isPlatform(platform) && isPlatform(last) && platform > last) {
				say('error', 'requirements.max_platform', `${last} is before min_platform: no host can have both`);
			}
		}
	}
}

function adviceOnPlatforms(field: string, platforms: unknown, say: Say): void {
	for (const version of isObject(platforms) ? Object.keys(platforms) : []) {
		if (!platformKeys.has(version)) {
			say(
				'warning',
				field,
				`has the key ${JSON.stringify(version)}, which no host looks up: it should be "7.0", or "6.5" for old ones`,
			);
		}
	}
}
