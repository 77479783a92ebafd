/**
 * One list out of many: by uuid, the first source in order wins.
 *
 * Pure but for letting the event loop have its turn. The lists that come in are sorted as lists are, and what comes
 * out is too; nothing is copied but references. Whom to ask for a file is `suppliers.ts`.
 */
import {Slices} from '../host-slices.js';
import {compareImages, type Manifest, type Sha1, type Uuid} from '../image/manifest.js';
import {onlySha1} from '../image/packed.js';
import type {HeldImage} from './known.js';

/** What one source brings. */
export interface MergeSource {
	readonly name: string;
	/** Sorted by `compareImages`, each uuid once. */
	readonly images: readonly Manifest[];
	/** Known, but in no list. */
	readonly hidden: readonly Manifest[];
	/** Known, and not offered: see `offers.ts`. */
	readonly heldBack?: readonly Manifest[];
	/** Of any of these. */
	readonly get: (uuid: Uuid) => Manifest | undefined;
}

/** An image whose file we hold and that no source answers for. */
export interface MergeOrphan extends HeldImage {
	readonly heldBack?: boolean;
}

export interface MergedImage {
	readonly manifest: Manifest;
	readonly source: string;
}

/** The same image with different files, as the sources that list it say. */
export interface Conflict {
	readonly uuid: Uuid;
	/** The winner's. */
	readonly name: string;
	readonly version: string;
	readonly sources: readonly {readonly name: string; readonly sha1: Sha1}[];
}

export interface Merged {
	/** Sorted by `compareImages`. The very same array as before where nothing changed. */
	readonly images: readonly Manifest[];
	readonly byUuid: ReadonlyMap<Uuid, MergedImage>;
	readonly hidden: ReadonlyMap<Uuid, MergedImage>;
	/** Held back by the first source that has it, and offered by none. */
	readonly heldBack: ReadonlyMap<Uuid, MergedImage>;
	readonly conflicts: readonly Conflict[];
	/** Whatever is the origin of an image that is offered. */
	readonly origins: ReadonlySet<Uuid>;
	/** Of one that is held back. */
	readonly heldBackOrigins: ReadonlySet<Uuid>;
	/** Files that several images have: by sha1, those images. */
	readonly twins: ReadonlyMap<Sha1, ReadonlySet<Uuid>>;
}

export const nothingMerged: Merged = {
	images: [],
	byUuid: new Map(),
	hidden: new Map(),
	heldBack: new Map(),
	conflicts: [],
	origins: new Set(),
	heldBackOrigins: new Set(),
	twins: new Map(),
};

/** `held`: listed where no source has the image. `before`: the last result, for what stays the same. */
export async function merge(
	sources: readonly MergeSource[],
	held: readonly MergeOrphan[] = [],
	before: Merged = nothingMerged,
): Promise<Merged> {
	const slices = new Slices();
	const byUuid = new Map<Uuid, MergedImage>();
	const hidden = new Map<Uuid, MergedImage>();
	const heldBack = new Map<Uuid, MergedImage>();
	const disputed = new Set<Uuid>();
	const origins = new Set<Uuid>();
	const heldBackOrigins = new Set<Uuid>();
	const files = new FileOwners();
	let images: readonly Manifest[] = [];

	for (const source of sources) {
		const won: Manifest[] = [];
		for (const manifest of source.images) {
			if (slices.over) {
				await slices.next();
			}
			files.add(manifest);
			if (manifest.origin !== undefined) {
				origins.add(manifest.origin);
			}
			const winner = byUuid.get(manifest.uuid);
			if (winner === undefined) {
				byUuid.set(manifest.uuid, entryFor(manifest, source.name, before));
				won.push(manifest);
			} else if (differ(winner.manifest, manifest)) {
				disputed.add(manifest.uuid);
			}
		}
		for (const manifest of source.hidden) {
			if (manifest.origin !== undefined) {
				origins.add(manifest.origin);
			}
			if (!hidden.has(manifest.uuid)) {
				hidden.set(manifest.uuid, {manifest, source: source.name});
			}
		}
		for (const manifest of source.heldBack ?? []) {
			if (slices.over) {
				await slices.next();
			}
			// Its file may be another image's, too.
			files.add(manifest);
			holdBack(manifest, source.name);
		}
		images = await interleave(images, won, slices);
	}

	const extra: Manifest[] = [];
	for (const {manifest, source, heldBack: isHeldBack = false} of held) {
		if (isHeldBack) {
			holdBack(manifest, source);
			continue;
		}
		if (manifest.origin !== undefined) {
			origins.add(manifest.origin);
		}
		if (!byUuid.has(manifest.uuid)) {
			byUuid.set(manifest.uuid, {manifest, source});
			extra.push(manifest);
		}
	}
	images = await interleave(images, extra.sort(compareImages), slices);
	for (const uuid of heldBack.keys()) {
		if (byUuid.has(uuid)) {
			heldBack.delete(uuid);
		}
	}

	return {
		images: isSame(images, before.images) ? before.images : images,
		byUuid,
		hidden,
		heldBack,
		conflicts: [...disputed].map(uuid => conflictOf(uuid, sources)),
		origins,
		heldBackOrigins,
		twins: files.shared,
	};

	function holdBack(manifest: Manifest, source: string): void {
		if (manifest.origin !== undefined) {
			heldBackOrigins.add(manifest.origin);
		}
		if (!heldBack.has(manifest.uuid)) {
			heldBack.set(manifest.uuid, {manifest, source});
		}
	}
}

/** Both say what the file is, and it is not the same. */
function differ(a: Manifest, b: Manifest): boolean {
	const [ours, theirs] = [firstSha1(a), firstSha1(b)];
	return ours !== undefined && theirs !== undefined && ours !== theirs;
}

function firstSha1(manifest: Manifest): Sha1 | undefined {
	return onlySha1(manifest) ?? manifest.files[0]?.sha1;
}

function conflictOf(uuid: Uuid, sources: readonly MergeSource[]): Conflict {
	const listing = sources.flatMap(source => {
		const manifest = source.get(uuid);
		return manifest === undefined ? [] : [{name: source.name, manifest}];
	});
	return {
		uuid,
		name: listing[0]?.manifest.name ?? '',
		version: listing[0]?.manifest.version ?? '',
		sources: listing.flatMap(({name, manifest}) => {
			const sha1 = firstSha1(manifest);
			return sha1 === undefined ? [] : [{name, sha1}];
		}),
	};
}

/** The entry of last time where it says the same: tens of thousands of objects that need not be made anew. */
function entryFor(manifest: Manifest, source: string, before: Merged): MergedImage {
	const entry = before.byUuid.get(manifest.uuid);
	return entry?.manifest === manifest && entry.source === source ? entry : {manifest, source};
}

/** Two sorted lists as one. */
export async function interleave(
	a: readonly Manifest[],
	b: readonly Manifest[],
	slices: Slices,
): Promise<readonly Manifest[]> {
	if (a.length === 0 || b.length === 0) {
		return a.length === 0 ? b : a;
	}
	const both: Manifest[] = [];
	let [atA, atB] = [0, 0];
	for (;;) {
		if (slices.over) {
			await slices.next();
		}
		const [nextA, nextB] = [a[atA], b[atB]];
		if (nextA === undefined) {
			return both.concat(b.slice(atB));
		}
		if (nextB === undefined) {
			return both.concat(a.slice(atA));
		}
		if (compareImages(nextA, nextB) <= 0) {
			both.push(nextA);
			atA++;
		} else {
			both.push(nextB);
			atB++;
		}
	}
}

function isSame(a: readonly Manifest[], b: readonly Manifest[]): boolean {
	return a.length === b.length && a.every((manifest, at) => manifest === b[at]);
}

/** Finds the files that more than one image has; there are few, so only they are kept. */
class FileOwners {
	readonly shared = new Map<Sha1, Set<Uuid>>();
	readonly #first = new Map<Sha1, Uuid>();

	add(manifest: Manifest): void {
		const only = onlySha1(manifest);
		if (only !== undefined) {
			this.#add(only, manifest.uuid);
			return;
		}
		for (const {sha1} of manifest.files) {
			if (sha1 !== undefined) {
				this.#add(sha1, manifest.uuid);
			}
		}
	}

	#add(sha1: Sha1, uuid: Uuid): void {
		const first = this.#first.get(sha1);
		if (first === undefined) {
			this.#first.set(sha1, uuid);
		} else if (first !== uuid) {
			const owners = this.shared.get(sha1) ?? new Set([first]);
			owners.add(uuid);
			this.shared.set(sha1, owners);
		}
	}
}
