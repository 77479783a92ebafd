/**
 * What lies in a folder and is an image: every manifest that some older server keeps, with the files that belong to it.
 *
 * Adoption and the drop folder begin here. Nothing is changed and nothing is hashed; what is wrong with an image is
 * said in its `problem`, and whatever is about no image is passed over.
 */
import path from 'node:path';
import {IntegrityError, describe} from '../errors.js';
import {isUuid, type Uuid} from '../image/manifest.js';
import {listFolder, plainFile, readSmall, type Listing, type PlainFile} from './adopt-files.js';
import {isAboutAnImage, readFound, type FoundFile, type FoundManifest} from './adopt-manifest.js';

export interface FoundImage {
	/** The manifest's path below the folder that was looked through. */
	readonly label: string;
	readonly manifestFile: string;
	/** The manifest as it was read. `undefined`: it could not be looked at. */
	readonly record: PlainFile | undefined;
	readonly manifest: FoundManifest | undefined;
	/** In the manifest's order. Some may be missing: see `problem`. */
	readonly files: readonly {readonly told: FoundFile; readonly found: PlainFile}[];
	readonly icon: {readonly found: PlainFile; readonly contentType: string | undefined} | undefined;
	/** Folders that are the image's own, innermost first. */
	readonly folders: readonly string[];
	/** Why it cannot be taken over, in words. */
	readonly problem: string | undefined;
	/** The image's file may still be coming. */
	readonly isIncomplete: boolean;
	/** Changes with the manifest and the files. */
	readonly stamp: string;
}

const maxManifestBytes = 8 * 1024 * 1024;
const deepest = 5;
const manifestEndings = /\.(?:json|imgmanifest|dsmanifest|manifest)$/i;
/** What images are called beside their manifests, in the order of preference. */
const fileEndings = [
	...['.zfs.gz', '.zfs.bz2', '.zfs.xz', '.zfs', '.zvol.gz', '.zvol.bz2', '.zvol.xz', '.zvol'],
	...['.gz', '.bz2', '.xz', '.img.gz', '.img', '.raw.gz', '.raw'],
];
const icons: ReadonlyMap<string, string | undefined> = new Map([
	['icon', undefined],
	['icon.png', 'image/png'],
	['icon.jpg', 'image/jpeg'],
	['icon.jpeg', 'image/jpeg'],
	['icon.gif', 'image/gif'],
]);
const rawRecord = /^([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.raw$/;

/** Where the files of a manifest are looked for. */
interface Home {
	readonly folder: string;
	readonly names: readonly string[];
	/** The image's own. */
	readonly folders: readonly string[];
}

export interface ScanOptions {
	/** Links to files are followed, if they stay in the folder. */
	readonly links: boolean;
	readonly signal: AbortSignal;
}

/** Throws where the folder itself cannot be read. */
export async function scanFolder(root: string, options: ScanOptions): Promise<readonly FoundImage[]> {
	const scan = new Scan(path.resolve(root), options);
	await scan.folder(path.resolve(root), 0);
	return scan.images;
}

class Scan {
	readonly images: FoundImage[] = [];
	readonly #root: string;
	readonly #options: ScanOptions;

	constructor(root: string, options: ScanOptions) {
		this.#root = root;
		this.#options = options;
	}

	async folder(folder: string, depth: number): Promise<void> {
		this.#options.signal.throwIfAborted();
		const listing = await listFolder(folder).catch((error: unknown) => {
			if (depth === 0) {
				throw new IntegrityError(`${folder} cannot be read: ${describe(error)}`, {cause: error});
			}
			return undefined;
		});
		if (listing === undefined) {
			return;
		}
		const done = await this.#imgapiData(folder, listing);
		for (const name of listing.names) {
			if (rawRecord.test(name)) {
				await this.#raw(path.join(folder, name), path.join(path.dirname(folder), 'images'));
			} else if (manifestEndings.test(name)) {
				await this.#manifest(folder, name, listing);
			}
		}
		for (const name of depth < deepest ? listing.folders : []) {
			if (!done.has(name)) {
				await this.folder(path.join(folder, name), depth + 1);
			}
		}
	}

	/** The data directory of sdc-imgapi. Resolves with the folders that are dealt with by that. */
	async #imgapiData(folder: string, {folders}: Listing): Promise<ReadonlySet<string>> {
		if (!folders.includes('images')) {
			return new Set();
		}
		const images = path.join(folder, 'images');
		const records = folders.includes('manifests') ? (await listOr(path.join(folder, 'manifests'))).names : [];
		const raw = records.filter(name => rawRecord.test(name));
		for (const name of raw) {
			await this.#raw(path.join(folder, 'manifests', name), images);
		}
		if (raw.length > 0) {
			// The archive has copies of the same manifests, and those of images that were deleted.
			return new Set(['manifests', 'images', 'archive']);
		}
		if (!folders.includes('archive')) {
			return new Set();
		}
		for (const prefix of (await listOr(path.join(folder, 'archive'))).folders) {
			const archived = path.join(folder, 'archive', prefix);
			for (const name of (await listOr(archived)).names) {
				await this.#raw(path.join(archived, name), images, {onlyWithFile: true});
			}
		}
		return new Set(['images', 'archive']);
	}

	async #raw(file: string, images: string, {onlyWithFile = false} = {}): Promise<void> {
		const uuid = path.basename(file).replace(/\.(?:raw|json)$/, '');
		const homes = [path.join(images, uuid.slice(0, 3), uuid), path.join(images, uuid)];
		const found = await Promise.all(homes.map(async folder => ({folder, names: (await listOr(folder)).names})));
		const home = found.find(({names}) => names.length > 0);
		if (onlyWithFile && home?.names.includes('file0') !== true) {
			return;
		}
		const own = home?.folder ?? images;
		await this.#add(
			file,
			{folder: own, names: home?.names ?? [], folders: [own, path.dirname(own)]},
			uuid,
			(_told, index) => `file${index}`,
		);
	}

	async #manifest(folder: string, name: string, listing: Listing): Promise<void> {
		const file = path.join(folder, name);
		const {names} = listing;
		if (name === 'manifest.json') {
			const own = path.basename(folder);
			const uuid = isUuid(own) ? own : undefined;
			const home = {folder, names, folders: uuid === undefined ? [] : [folder]};
			await this.#add(file, home, uuid, (told, index, manifest) => inFolder(told, index, manifest, names));
			return;
		}
		const stem = name.replace(manifestEndings, '').replace(/-(?:dsapi|imgapi)$/, '');
		const beside = besideNames(stem, names);
		if (/\.json$/i.test(name) && beside.length === 0 && !(await this.#isAboutAnImage(file))) {
			return;
		}
		await this.#add(file, {folder, names, folders: []}, undefined, told => {
			const named = baseName(told);
			return named !== undefined && names.includes(named) ? named : (beside[0] ?? named);
		});
	}

	async #isAboutAnImage(file: string): Promise<boolean> {
		try {
			return isAboutAnImage((await readSmall(file, maxManifestBytes)).toString());
		} catch {
			return false;
		}
	}

	/** `nameOf`: what the file of that number should be called there; it may not exist. */
	async #add(
		file: string,
		home: Home,
		uuid: string | undefined,
		nameOf: (told: FoundFile, index: number, manifest: FoundManifest) => string | undefined,
	): Promise<void> {
		const image: {-readonly [Key in keyof FoundImage]: FoundImage[Key]} = {
			label: path.relative(this.#root, file),
			manifestFile: file,
			record: undefined,
			manifest: undefined,
			files: [],
			icon: undefined,
			folders: home.folders.filter(folder => folder !== this.#root && folder.startsWith(this.#root + path.sep)),
			problem: undefined,
			isIncomplete: false,
			stamp: '',
		};
		try {
			const {links} = this.#options;
			const record = await plainFile(this.#root, file, {links});
			if (record === undefined) {
				return;
			}
			image.stamp = record.stamp;
			image.record = record;
			const manifest = readFound((await readSmall(record.file, maxManifestBytes)).toString(), record.changedMs);
			if (uuid !== undefined && manifest.uuid !== undefined && manifest.uuid !== uuid) {
				throw new IntegrityError(`it is about image ${manifest.uuid}, and lies where ${uuid} should`);
			}
			image.manifest = uuid === undefined ? manifest : {...manifest, uuid: uuid as Uuid};
			image.icon = await this.#icon(home, manifest);
			await this.#files(image, home, manifest, nameOf);
		} catch (error) {
			image.problem = describe(error);
			image.isIncomplete ||= image.manifest === undefined;
		}
		if (!this.images.some(other => isSame(other, image))) {
			this.images.push(image);
		}
	}

	async #files(
		image: {-readonly [Key in keyof FoundImage]: FoundImage[Key]},
		home: Home,
		manifest: FoundManifest,
		nameOf: (told: FoundFile, index: number, manifest: FoundManifest) => string | undefined,
	): Promise<void> {
		const told = manifest.files.length > 0 ? manifest.files : [nothingTold];
		for (const [index, file] of told.entries()) {
			if (file.path?.split(/[/\\]/).includes('..') === true) {
				throw new IntegrityError('the path of its file leads out of the folder');
			}
			const name = nameOf(file, index, manifest);
			const found =
				name === undefined || !home.names.includes(name)
					? undefined
					: await plainFile(this.#root, path.join(home.folder, name), {links: this.#options.links});
			if (found === undefined) {
				// One that never had a file is as complete as it was.
				if (manifest.files.length === 0 && manifest.state === 'unactivated') {
					return;
				}
				image.isIncomplete = true;
				throw new IntegrityError(`its file${name === undefined ? '' : ` ${name}`} is not there`);
			}
			image.stamp += ` ${found.stamp}`;
			image.files = [...image.files, {told: file, found}];
			if (file.size !== undefined && file.size !== found.size) {
				image.isIncomplete = found.size < file.size;
				throw new IntegrityError(
					`${path.basename(found.file)} has ${found.size} bytes, its manifest says ${file.size}`,
				);
			}
		}
	}

	async #icon({folder, names}: Home, manifest: FoundManifest): Promise<FoundImage['icon']> {
		const name = [...icons.keys()].find(icon => names.includes(icon));
		if (name === undefined) {
			return undefined;
		}
		const found = await plainFile(this.#root, path.join(folder, name), {links: this.#options.links});
		return found && {found, contentType: icons.get(name) ?? manifest.iconType};
	}
}

const nothingTold: FoundFile = {
	path: undefined,
	sha1: undefined,
	md5: undefined,
	size: undefined,
	compression: undefined,
	datasetGuid: undefined,
};

/** A manifest with a folder of its own: named there, or as some server names it, or the only thing it can be. */
function inFolder(
	told: FoundFile,
	index: number,
	{name, version}: FoundManifest,
	names: readonly string[],
): string | undefined {
	const named = baseName(told);
	const derived = fileEndings.map(ending => `${name}-${version}${ending}`);
	const wanted = [named, `file${index}`, ...(index === 0 ? ['image.gz', ...derived] : [])];
	const known = wanted.find(one => one !== undefined && names.includes(one));
	if (known !== undefined || index > 0) {
		return known ?? named;
	}
	const others = names.filter(one => fileEndings.some(ending => one.endsWith(ending)) && !icons.has(one));
	return named === undefined && others.length === 1 ? others[0] : (named ?? 'image.gz');
}

function besideNames(stem: string, names: readonly string[]): readonly string[] {
	return fileEndings.map(ending => `${stem}${ending}`).filter(name => names.includes(name));
}

/** The last segment of a hostile path. */
function baseName({path: told}: FoundFile): string | undefined {
	const base = told?.split(/[/\\]/).at(-1)?.trim();
	return base === undefined || base === '' || base === '.' || base === '..' || base.includes('\0') ? undefined : base;
}

/** dsapid exports an image with its manifest in both forms. */
function isSame(one: FoundImage, other: FoundImage): boolean {
	const [a, b] = [one.files[0], other.files[0]];
	const uuid = one.manifest?.uuid;
	return uuid !== undefined && uuid === other.manifest?.uuid && a !== undefined && a.found.file === b?.found.file;
}

async function listOr(folder: string): Promise<Listing> {
	return listFolder(folder).catch(() => ({names: [], folders: []}));
}
