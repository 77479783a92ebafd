/**
 * Which files are built upon which: the file of an image is of little use without those of its origin.
 *
 * For `eviction.ts`. Files that need each other, because images share them crosswise, form one group: they go together
 * or not at all. Every other file is a group of its own.
 */
import type {Sha1, Uuid} from '../image/manifest.js';
import type {KeptImage, Protection} from './keep-facts.js';

/** So much is done between two pauses: a few milliseconds' worth. */
export const stepsAtOnce = 2000;

/** A file that is here. */
export interface KeepBlob {
	readonly sha1: Sha1;
	readonly size: number;
	readonly storedAtMs: number;
	readonly lastUsedMs: number;
}

/** What another file is built upon, for the sake of which image. */
export interface Need {
	readonly file: KeptFile;
	readonly of: KeptImage;
}

const noImages: readonly KeptImage[] = Object.freeze([]);
const noProtections: readonly Protection[] = Object.freeze([]);
const noNeeds: readonly Need[] = Object.freeze([]);

/** A file with what is known of it, filled in step by step. There may be a hundred thousand: lists are made when needed. */
export class KeptFile {
	readonly blob: KeepBlob;
	images = noImages;
	protections = noProtections;
	/** What it is built upon and is here. */
	needs = noNeeds;
	group: FileGroup | undefined;
	/** For the search for groups: when it was met, and the first met that it leads to. */
	seen = 0;
	low = 0;

	constructor(blob: KeepBlob) {
		this.blob = blob;
	}

	addImage(image: KeptImage): void {
		if (!this.images.includes(image)) {
			this.images = [...this.images, image];
		}
	}

	protect(protection: Protection): void {
		this.protections = [...this.protections, protection];
	}

	addNeed(need: Need): void {
		this.needs = [...this.needs, need];
	}
}

export class FileGroup {
	readonly files: readonly KeptFile[];
	/** Greater than those of the groups that it needs. */
	readonly number: number;
	size = 0;
	/** 0: belongs to no image, 1: can be had again, 2: only here. At least that of whatever is built upon it. */
	rank = 0;
	/** Of any of its files, or of what is built upon them. */
	lastUsedMs = 0;

	constructor(files: readonly KeptFile[], number: number) {
		this.files = files;
		this.number = number;
		for (const file of files) {
			file.group = this;
			this.size += file.blob.size;
			this.rank = Math.max(this.rank, rankOf(file));
			this.lastUsedMs = Math.max(this.lastUsedMs, file.blob.lastUsedMs);
		}
	}
}

/** Groups that need others stand before those. Pauses now and then. */
export function* groupFiles(
	files: ReadonlyMap<Sha1, KeptFile>,
	images: ReadonlyMap<Uuid, KeptImage>,
): Generator<void, FileGroup[], undefined> {
	yield* linkFiles(files, images);
	const groups: FileGroup[] = [];
	const search = new GroupSearch(groups);
	let steps = 0;
	for (const file of files.values()) {
		search.from(file);
		if (++steps % stepsAtOnce === 0) {
			yield;
		}
	}
	groups.reverse();
	for (const group of groups) {
		for (const {needs} of group.files) {
			for (const {file} of needs) {
				if (file.group !== undefined) {
					file.group.rank = Math.max(file.group.rank, group.rank);
					file.group.lastUsedMs = Math.max(file.group.lastUsedMs, group.lastUsedMs);
				}
			}
		}
	}
	return groups;
}

function* linkFiles(
	files: ReadonlyMap<Sha1, KeptFile>,
	images: ReadonlyMap<Uuid, KeptImage>,
): Generator<void, void, undefined> {
	/** The nearest origin some file of which is here. */
	const nearest = new Map<Uuid, KeptImage | undefined>();
	const find = (uuid: Uuid): KeptImage | undefined => {
		const passed: Uuid[] = [];
		let found: KeptImage | undefined;
		for (let next: Uuid | undefined = uuid; next !== undefined;) {
			if (nearest.has(next)) {
				found = nearest.get(next);
				break;
			}
			const image = images.get(next);
			// Also ends a circle: what was passed once is known, as leading nowhere.
			nearest.set(next, undefined);
			passed.push(next);
			if (image?.files.some(sha1 => files.has(sha1)) === true) {
				found = image;
				break;
			}
			next = image?.origin;
		}
		for (const each of passed) {
			nearest.set(each, found);
		}
		return found;
	};
	let steps = 0;
	for (const image of images.values()) {
		if (++steps % stepsAtOnce === 0) {
			yield;
		}
		const origin =
			image.origin === undefined || !image.files.some(sha1 => files.has(sha1)) ? undefined : find(image.origin);
		for (const sha1 of origin?.files ?? []) {
			const needed = files.get(sha1);
			for (const its of needed === undefined ? [] : image.files) {
				if (its !== sha1 && needed !== undefined) {
					files.get(its)?.addNeed({file: needed, of: image});
				}
			}
		}
	}
}

/** Tarjan's strongly connected components, without recursion: chains may be long. */
class GroupSearch {
	readonly #groups: FileGroup[];
	/** Met, and not in a group yet. */
	readonly #open: KeptFile[] = [];
	#met = 0;

	constructor(groups: FileGroup[]) {
		this.#groups = groups;
	}

	from(start: KeptFile): void {
		if (start.seen > 0) {
			return;
		}
		if (start.needs.length === 0) {
			start.seen = ++this.#met;
			this.#groups.push(new FileGroup([start], this.#groups.length));
			return;
		}
		const path: {readonly file: KeptFile; next: number}[] = [];
		this.#enter(start, path);
		for (let step = path.at(-1); step !== undefined; step = path.at(-1)) {
			const {file} = step;
			const need = file.needs[step.next++]?.file;
			if (need === undefined) {
				path.pop();
				const before = path.at(-1)?.file;
				if (before !== undefined) {
					before.low = Math.min(before.low, file.low);
				}
				if (file.low === file.seen) {
					this.#close(file);
				}
			} else if (need.seen === 0) {
				this.#enter(need, path);
			} else if (need.group === undefined) {
				file.low = Math.min(file.low, need.seen);
			}
		}
	}

	#enter(file: KeptFile, path: {readonly file: KeptFile; next: number}[]): void {
		file.seen = ++this.#met;
		file.low = file.seen;
		this.#open.push(file);
		path.push({file, next: 0});
	}

	#close(first: KeptFile): void {
		const files = this.#open.splice(this.#open.lastIndexOf(first));
		this.#groups.push(new FileGroup(files, this.#groups.length));
	}
}

function rankOf({images}: KeptFile): number {
	if (images.length === 0) {
		return 0;
	}
	// Whatever offers one of its images has the file.
	return images.every(({onlyHere}) => onlyHere) ? 2 : 1;
}
