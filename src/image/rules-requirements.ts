/**
 * The rules for `requirements`, what a host must have to run an image (contract 4.2).
 *
 * Hosts enforce these, not servers: here it is only seen to that hosts can read them.
 */
import {isObject} from './json-text.js';
import type {JsonObject} from './manifest.js';

/** Tells of a fault. `field` is as IMGAPI names it. */
export type ReportRequirement = (field: string, message: string, code?: 'MissingParameter') => void;

/** YYYYMMDDTHHMMSSZ, of 2012 or later. */
const platform =
	/^(?:201[2-9]|20[2-9]\d|2[1-9]\d\d|[3-9]\d{3})(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])T(?:[01]\d|2[0-3])(?:[0-5]\d){2}Z$/u;

const known: ReadonlySet<string> = new Set([
	...['networks', 'brand', 'ssh_key', 'min_ram', 'max_ram', 'min_platform', 'max_platform', 'bootrom'],
]);

const bootroms: ReadonlySet<unknown> = new Set(['bios', 'uefi']);

/** What counts as false is not looked at, but for what has a rule of its own. */
export function checkRequirements(requirements: JsonObject, report: ReportRequirement): void {
	checkNetworks(requirements['networks'], report);
	const {brand, ssh_key: sshKey, bootrom} = requirements;
	if (isGiven(brand) && typeof brand !== 'string') {
		report('requirements.brand', 'must be a string');
	}
	if (isGiven(sshKey) && typeof sshKey !== 'boolean') {
		report('requirements.ssh_key', 'must be true or false');
	}
	checkRam(requirements, report);
	for (const name of ['min_platform', 'max_platform']) {
		checkPlatforms(`requirements.${name}`, requirements[name], report);
	}
	if (isGiven(bootrom)) {
		if (!isGiven(brand)) {
			report('requirements.bootrom', 'needs the brand bhyve', 'MissingParameter');
		} else if (brand !== 'bhyve' || !bootroms.has(bootrom)) {
			report('requirements.bootrom', 'must be bios or uefi, with the brand bhyve');
		}
	}
	for (const name of Object.keys(requirements)) {
		if (!known.has(name)) {
			report(name, 'is no requirement that hosts know');
		}
	}
}

/** IMGAPI takes every value that JavaScript takes for false as not given. */
export function isGiven(value: unknown): boolean {
	return Boolean(value);
}

export function isPlatform(value: unknown): value is string {
	return typeof value === 'string' && platform.test(value);
}

function checkNetworks(networks: unknown, report: ReportRequirement): void {
	if (!isGiven(networks)) {
		return;
	}
	if (!Array.isArray(networks)) {
		report('requirements.networks', 'must be an array');
		return;
	}
	for (const [index, network] of (networks as unknown[]).entries()) {
		const isNetwork =
			isObject(network) &&
			Object.keys(network).length === 2 &&
			typeof network['name'] === 'string' &&
			typeof network['description'] === 'string';
		if (!isNetwork) {
			report('requirements.networks', `entry ${index} must have a name and a description, and nothing else`);
		}
	}
}

function checkRam({min_ram: least, max_ram: most}: JsonObject, report: ReportRequirement): void {
	const isRam = (value: unknown): value is number => Number.isSafeInteger(value) && Number(value) > 0;
	for (const [name, value] of [
		['min_ram', least],
		['max_ram', most],
	] as const) {
		if (isGiven(value) && !isRam(value)) {
			report(`requirements.${name}`, 'must be a whole number of MiB');
		}
	}
	if (isRam(least) && isRam(most) && least > most) {
		report('requirements.max_ram', 'must not be below min_ram');
	}
}

function checkPlatforms(field: string, platforms: unknown, report: ReportRequirement): void {
	if (!isGiven(platforms)) {
		return;
	}
	if (!isObject(platforms) || Object.keys(platforms).length === 0) {
		report(field, 'must be an object of at least one version of Triton and its platform');
		return;
	}
	for (const [version, value] of Object.entries(platforms)) {
		if (!isPlatform(value)) {
			report(field, `the platform of ${JSON.stringify(version)} must be written YYYYMMDDTHHMMSSZ`);
		}
	}
}
