/**
 * A whole bundle checked without a mirror: `imgmirror bundle inspect` and `verify` show what it tells.
 *
 * An image whose origin is in the bundle and broken is broken as well: nobody could use it. Signatures are looked at
 * elsewhere.
 */
import {IntegrityError} from '../errors.js';
import {readVerified, type BundleFiles} from './bundle-files.js';
import {ImageChecks, type ImageFindings} from './check-image.js';
import {maxManifestBytes, parseImage, parseIndex, type BundleEntry} from './oci.js';

/** `left-out`: all is right, and its files are deliberately not in the bundle. */
export type CheckOutcome = 'right' | 'left-out' | 'broken';

export interface CheckedImage {
	/** What the index calls it, where its manifest cannot be read. */
	readonly uuid: string;
	readonly name: string;
	readonly version: string;
	readonly type: string;
	readonly os: string;
	/** Of its files, those that are left out included. */
	readonly size: number;
	readonly origin?: string;
	readonly outcome: CheckOutcome;
	readonly problem?: string;
}

/** `begin`; then `progress` and `image` for each; one that stands before its origin is told after that. */
export type CheckEvent =
	| {
			readonly what: 'begin';
			readonly images: number;
			/** Artifacts of other kinds, which are passed over. */
			readonly foreign: number;
			/** That will be read; `undefined`: only the end of a stream will tell. */
			readonly bytes: number | undefined;
	  }
	| {readonly what: 'progress'; readonly bytesDone: number}
	| {readonly what: 'image'; readonly image: CheckedImage};

export interface CheckOptions {
	/** Every byte of every file is read; otherwise manifests only, and whether files are there. */
	readonly deep: boolean;
	readonly signal: AbortSignal;
}

/** Throws IntegrityError where there is no index to begin with; what is wrong with images is told. */
export async function* checkBundle(
	files: BundleFiles,
	{deep, signal}: CheckOptions,
): AsyncGenerator<CheckEvent, void, undefined> {
	const all = parseIndex(await files.index());
	const entries = all.filter(({foreign}) => !foreign);
	yield {
		what: 'begin',
		images: entries.length,
		foreign: all.length - entries.length,
		bytes: deep && files.form !== 'stream' ? await bytesOf(files, entries, signal) : deep ? undefined : 0,
	};
	const checks = new ImageChecks({files, deep, signal});
	const family = new Family();
	for (const entry of entries) {
		const checking = checks.check(entry);
		let step = await checking.next();
		while (step.done !== true) {
			yield {what: 'progress', bytesDone: step.value};
			step = await checking.next();
		}
		for (const image of family.add(imageOf(entry, step.value))) {
			yield {what: 'image', image};
		}
	}
	for (const image of family.rest()) {
		yield {what: 'image', image};
	}
}

function imageOf(entry: BundleEntry, {config, size, problem}: ImageFindings): CheckedImage {
	const {uuid = entry.name, name = '', version = '', type = '', os = '', origin} = config?.manifest ?? {};
	return {
		...{uuid, name, version, type, os, size},
		...(origin === undefined ? {} : {origin}),
		...(problem === undefined ? {outcome: entry.filesElsewhere ? 'left-out' : 'right'} : {outcome: 'broken', problem}),
	};
}

/** Which images of the bundle are built upon which, and what follows of it. */
class Family {
	readonly #outcomes = new Map<string, CheckOutcome>();
	/** Whose origins have not been seen yet, in the order of the index. */
	readonly #waiting = new Map<string, CheckedImage>();
	/** The same by their origins. */
	readonly #children = new Map<string, string[]>();

	/** What can be told now. */
	add(image: CheckedImage): readonly CheckedImage[] {
		const {uuid, origin, outcome} = image;
		if (this.#outcomes.has(uuid) || this.#waiting.has(uuid)) {
			return [broken(image, 'the bundle has another image of this uuid')];
		}
		if (origin === undefined || outcome === 'broken' || this.#outcomes.has(origin)) {
			return this.#settle(image);
		}
		this.#waiting.set(uuid, image);
		const children = this.#children.get(origin) ?? [];
		children.push(uuid);
		this.#children.set(origin, children);
		return [];
	}

	/** Those whose origins are not in the bundle. Where they go, these may be. */
	rest(): readonly CheckedImage[] {
		const told = [...this.#waiting.values()]
			.filter(({origin = ''}) => !this.#waiting.has(origin))
			.flatMap(image => this.#settle(image));
		const circles = [...this.#waiting.values()].map(image => broken(image, 'its origins go round in a circle'));
		return [...told, ...circles];
	}

	/** The image, and those that waited for it. */
	#settle(image: CheckedImage): readonly CheckedImage[] {
		const told = [image];
		for (const [index, one] of told.entries()) {
			const {uuid, origin, outcome} = one;
			this.#waiting.delete(uuid);
			const isOriginBroken = origin !== undefined && this.#outcomes.get(origin) === 'broken';
			if (isOriginBroken && outcome !== 'broken') {
				told[index] = broken(one, `its origin ${origin} is broken`);
			}
			this.#outcomes.set(uuid, told[index]?.outcome ?? 'broken');
			for (const child of this.#children.get(uuid) ?? []) {
				const waiting = this.#waiting.get(child);
				if (waiting !== undefined) {
					told.push(waiting);
				}
			}
			this.#children.delete(uuid);
		}
		return told;
	}
}

function broken(image: CheckedImage, problem: string): CheckedImage {
	return {...image, outcome: 'broken', problem};
}

/** Of all files that are in the bundle, or should be. What cannot be read is told later. */
async function bytesOf(files: BundleFiles, entries: readonly BundleEntry[], signal: AbortSignal): Promise<number> {
	const sizes = new Map<string, number>();
	for (const {descriptor, filesElsewhere} of entries) {
		signal.throwIfAborted();
		try {
			const blob = filesElsewhere ? undefined : await files.blob(descriptor.digest);
			const image = blob === undefined ? undefined : parseImage(await readVerified(blob, descriptor, maxManifestBytes));
			for (const file of image?.files ?? []) {
				sizes.set(file.descriptor.digest, file.descriptor.size);
			}
		} catch (error) {
			if (!(error instanceof IntegrityError)) {
				throw error;
			}
		}
	}
	return [...sizes.values()].reduce((sum, size) => sum + size, 0);
}
