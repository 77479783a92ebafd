/**
 * Which of the files that were named belong together: the parts of a tar that was split for small sticks.
 *
 * Parts are called `X.001`, `X.002`, … (or from `X.000` on, as `split -d -a 3` does it). One of them is enough to find
 * those beside it; they may also lie in several places, when all of them are named.
 */
import {readdir, stat} from 'node:fs/promises';
import {basename, dirname, join} from 'node:path';
import {IntegrityError} from '../errors.js';

interface PartName {
	/** What all parts are called, without the number. */
	readonly stem: string;
	readonly number: number;
}

/** `undefined`: it is not called as parts are. */
export function partName(path: string): PartName | undefined {
	const match = /^(.+)\.(\d{3,9})$/u.exec(basename(path));
	const [, stem, digits] = match ?? [];
	return stem === undefined || digits === undefined ? undefined : {stem, number: Number(digits)};
}

/** One group for each bundle, in the order in which their first files were named. */
export async function groupBundles(paths: readonly string[]): Promise<readonly (readonly string[])[]> {
	const groups = new Map<string, string[]>();
	for (const path of paths) {
		const part = partName(path);
		const isFolder = part !== undefined && (await isDirectory(path));
		const key = part === undefined || isFolder ? `path ${path}` : `parts ${part.stem}`;
		const group = groups.get(key);
		if (group === undefined) {
			groups.set(key, [path]);
		} else if (!group.includes(path)) {
			group.push(path);
		}
	}
	return [...groups.values()];
}

/**
 * All parts of a tar, in order: those that were named, and those beside them. Throws IntegrityError where one is missing
 * in the middle; what is missing at the end cannot be told from names.
 */
export async function findParts(paths: readonly string[]): Promise<readonly string[]> {
	const [first = ''] = paths;
	const stem = partName(first)?.stem ?? '';
	const parts = new Map<number, string>();
	for (const path of paths) {
		const number = partName(path)?.number;
		if (number !== undefined && !parts.has(number)) {
			parts.set(number, path);
		}
	}
	for (const folder of new Set(paths.map(dirname))) {
		for (const [number, path] of await partsIn(folder, stem)) {
			if (!parts.has(number)) {
				parts.set(number, path);
			}
		}
	}
	const numbers = [...parts.keys()].sort((a, b) => a - b);
	const missing = firstMissing(numbers);
	if (missing !== undefined) {
		throw new IntegrityError(
			`${join(dirname(first), stem)} was split, and its part ${digits(missing)} is missing: there are ${listed(numbers)}`,
		);
	}
	return numbers.flatMap(number => parts.get(number) ?? []);
}

/** The files that are the tar when put end to end; none: there is no such tar. `isThere`: the path itself. */
export async function filesNamed(paths: readonly string[], isThere: boolean): Promise<readonly string[]> {
	const [path = ''] = paths;
	if (partName(path) !== undefined) {
		return findParts(paths);
	}
	if (isThere) {
		return [path];
	}
	const part = await firstPartOf(path);
	return part === undefined ? [] : findParts([part]);
}

/** The first part of what was split, where only its parts are there. */
async function firstPartOf(path: string): Promise<string | undefined> {
	const parts = await partsIn(dirname(path), basename(path));
	const [first] = [...parts.keys()].sort((a, b) => a - b);
	return first === undefined ? undefined : parts.get(first);
}

async function partsIn(folder: string, stem: string): Promise<ReadonlyMap<number, string>> {
	const names = await readdir(folder).catch(() => []);
	return new Map(
		names.flatMap(name => {
			const part = partName(name);
			return part?.stem === stem ? [[part.number, join(folder, name)] as const] : [];
		}),
	);
}

function firstMissing(numbers: readonly number[]): number | undefined {
	const start = numbers[0] === 0 ? 0 : 1;
	const place = numbers.findIndex((number, index) => number !== start + index);
	return place === -1 ? undefined : start + place;
}

function listed(numbers: readonly number[]): string {
	const most = 10;
	const some = numbers.slice(0, most).map(digits).join(', ');
	return numbers.length > most ? `${some} and ${numbers.length - most} more` : some;
}

function digits(number: number): string {
	return String(number).padStart(3, '0');
}

async function isDirectory(path: string): Promise<boolean> {
	return stat(path).then(
		stats => stats.isDirectory(),
		() => false,
	);
}
