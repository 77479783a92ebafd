/**
 * Every known image with all that is known of it: who offers it, whether it vanished, what holds it back.
 *
 * Made when somebody looks and kept until something is other; an image of which nothing is other stays the same
 * object, and so does the whole.
 */
import {Slices, atOnce} from '../host-slices.js';
import {compareImages, type Manifest, type Uuid} from '../image/manifest.js';
import type {HeldImage, LooseImage} from './known.js';
import {localName, type LocalImages} from './local-images.js';
import type {Merged, MergedImage} from './merge.js';
import type {HoldReason, Offers} from './offers.js';
import type {SourceList} from './source-list.js';

/** To make the whole while it changes. */
const mostAttempts = 3;

export interface KnownImage {
	readonly manifest: Manifest;
	/** Whose manifest it is. */
	readonly source: string;
	/** All that offer it, the one before first; where it is held back, all that list it. */
	readonly sources: readonly string[];
	/** Gone from the list of its source, kept all the same. */
	readonly vanished: boolean;
	/** Left out: it is offered. */
	readonly held?: HoldReason;
}

/** An image that is held back, with everything that stands in the way. */
export interface HeldBackImage {
	readonly manifest: Manifest;
	readonly source: string;
	readonly reasons: readonly HoldReason[];
	readonly firstSeenMs: number | undefined;
}

export interface OverviewOwner {
	merged(): Merged;
	lists(): readonly SourceList[];
	/** Another number whenever something is other. */
	version(): number;
	/** Found by uuid. */
	loose(source: string, uuid: Uuid): LooseImage | undefined;
	/** We have a file of it. */
	onDisk(uuid: Uuid): HeldImage | undefined;
	/** As this source has it, listed or not. */
	manifestFrom(list: SourceList, uuid: Uuid): Manifest | undefined;
	firstSeenMs(source: string, uuid: Uuid): number | undefined;
	/** What operators hold, in a list or not. */
	heldByOperators(): Iterable<Uuid>;
}

/** Which sources offer an image: few combinations have all the images, and each is one object. */
class Combination {
	readonly names: readonly string[];
	readonly #longer = new Map<string, Combination>();

	constructor(names: readonly string[] = []) {
		this.names = names;
	}

	with(name: string): Combination {
		let longer = this.#longer.get(name);
		if (longer === undefined) {
			longer = new Combination([...this.names, name]);
			this.#longer.set(name, longer);
		}
		return longer;
	}
}

/** A list, and what makes it dearer to look into. */
interface LookedAt {
	readonly list: SourceList;
	readonly name: string;
	/** In it, and not offered by it: hidden or held back. */
	readonly besides: ReadonlySet<Uuid> | undefined;
	readonly hasGone: boolean;
}

export class Overview {
	readonly #owner: OverviewOwner;
	readonly #offers: Offers;
	readonly #local: LocalImages | undefined;
	readonly #nobody = new Combination();
	#version = -1;
	#list: readonly KnownImage[] = [];
	#lookedAt: {readonly version: number; readonly lists: ReadonlyMap<string, LookedAt>} | undefined;

	constructor(options: {owner: OverviewOwner; offers: Offers; local: LocalImages | undefined}) {
		this.#owner = options.owner;
		this.#offers = options.offers;
		this.#local = options.local;
	}

	/** In the order of lists, what is held back among the rest. */
	all(): readonly KnownImage[] {
		return this.#version === this.#owner.version() ? this.#list : atOnce(this.#make());
	}

	/** Makes it in slices, so that `all` has it at once. */
	async prepare(): Promise<void> {
		const slices = new Slices();
		// What changes all the while is made at once by whoever asks.
		for (let attempt = 0; attempt < mostAttempts && this.#version !== this.#owner.version(); attempt++) {
			const steps = this.#make();
			while (steps.next().done !== true) {
				if (slices.over) {
					await slices.next();
				}
			}
		}
	}

	/** Yields wherever it may stand still. What it made is kept only if nothing was other meanwhile. */
	*#make(): Generator<undefined, readonly KnownImage[], undefined> {
		const version = this.#owner.version();
		const {images: offered, heldBack} = this.#owner.merged();
		const waiting = [...heldBack.values()].map(({manifest}) => manifest).sort(compareImages);
		const before = this.#list;
		let at = 0;
		let isSame = true;
		const list: KnownImage[] = [];
		for (const manifest of interleave(offered, waiting)) {
			yield;
			// Both are sorted, and mostly the same: the one of last time is where we are, or a little further.
			let last = before[at];
			while (last !== undefined && last.manifest !== manifest && compareImages(last.manifest, manifest) < 0) {
				last = before[++at];
			}
			const known = this.of(manifest.uuid, last);
			if (known !== undefined) {
				isSame &&= known === before[list.length];
				list.push(known);
			}
		}
		if (version === this.#owner.version()) {
			this.#version = version;
			if (!isSame || list.length !== before.length) {
				this.#list = list;
			}
		}
		return this.#list;
	}

	/** Also of what is in no list. `before`: the object of last time, for where nothing is other. */
	of(uuid: Uuid, before?: KnownImage): KnownImage | undefined {
		const {byUuid, heldBack} = this.#owner.merged();
		const offered = byUuid.get(uuid);
		const listed = offered ?? heldBack.get(uuid);
		const unlisted = listed === undefined ? this.#unlisted(uuid) : undefined;
		const found = listed ?? unlisted;
		if (found === undefined) {
			return undefined;
		}
		const {manifest, source} = found;
		const lists = this.#lists();
		const isOurs = source === localName || this.#local?.get(uuid) !== undefined;
		let combination = isOurs ? this.#nobody.with(localName) : this.#nobody;
		for (const looked of lists.values()) {
			const counts = offered === undefined ? this.#has(looked, uuid) : offers(looked, uuid);
			combination = counts ? combination.with(looked.name) : combination;
		}
		const first = lists.get(source);
		const vanished = unlisted?.vanished ?? (first?.hasGone === true && first.list.isGone(uuid));
		const [held] = offered === undefined ? this.#offers.reasons(manifest, source) : [];
		const isSame =
			before?.manifest === manifest &&
			before.source === source &&
			before.sources === combination.names &&
			before.vanished === vanished &&
			isSameReason(before.held, held);
		return isSame
			? before
			: {manifest, source, sources: combination.names, vanished, ...(held === undefined ? {} : {held})};
	}

	/** As whoever is first has it, whatever holds it back. */
	manifest(uuid: Uuid): Manifest | undefined {
		const {byUuid, heldBack} = this.#owner.merged();
		const listed = this.#local?.get(uuid) ?? (byUuid.get(uuid) ?? heldBack.get(uuid))?.manifest;
		return listed ?? this.#unlisted(uuid)?.manifest;
	}

	heldBack(): readonly HeldBackImage[] {
		const {heldBack} = this.#owner.merged();
		const found = new Map<Uuid, MergedImage>(heldBack);
		for (const uuid of this.#owner.heldByOperators()) {
			const image = heldBack.get(uuid) ?? this.#unlisted(uuid);
			if (image !== undefined) {
				found.set(uuid, image);
			}
		}
		return [...found.values()]
			.sort((a, b) => compareImages(a.manifest, b.manifest))
			.map(({manifest, source}) => ({
				manifest,
				source,
				reasons: this.#reasons(manifest, source),
				firstSeenMs: this.#firstSeenMs(manifest, source),
			}));
	}

	/** By name, in their order. */
	#lists(): ReadonlyMap<string, LookedAt> {
		const version = this.#owner.version();
		if (this.#lookedAt?.version !== version) {
			const known = this.#owner.lists().filter(list => list.known);
			const lists = known.map((list): readonly [string, LookedAt] => {
				const {name} = list;
				const besides = [...list.hidden, ...this.#offers.heldBackBy(name)].map(({uuid}) => uuid);
				const set = besides.length === 0 ? undefined : new Set(besides);
				return [name, {list, name, besides: set, hasGone: list.goneCount > 0}];
			});
			this.#lookedAt = {version, lists: new Map(lists)};
		}
		return this.#lookedAt.lists;
	}

	#has({list}: LookedAt, uuid: Uuid): boolean {
		return this.#owner.manifestFrom(list, uuid) !== undefined;
	}

	/** An image that is in no list: hidden, found by uuid, or on our disk. */
	#unlisted(uuid: Uuid): (MergedImage & {readonly vanished?: boolean}) | undefined {
		for (const list of this.#owner.lists()) {
			const loose = this.#owner.loose(list.name, uuid);
			const manifest = list.get(uuid) ?? loose?.manifest;
			if (manifest !== undefined) {
				const vanished = list.isGone(uuid) || loose?.vanishedAt !== undefined;
				return {manifest, source: list.name, vanished};
			}
		}
		return this.#owner.onDisk(uuid);
	}

	/** By whoever has it; an operator's hold once. */
	#reasons(manifest: Manifest, source: string): readonly HoldReason[] {
		const reasons = [...this.#offers.reasons(manifest, source)];
		for (const list of this.#owner.lists()) {
			const theirs = list.name === source ? undefined : this.#owner.manifestFrom(list, manifest.uuid);
			if (theirs !== undefined) {
				reasons.push(...this.#offers.reasons(theirs, list.name).filter(({why}) => why !== 'operator'));
			}
		}
		return reasons;
	}

	/** What was in the first list of its source was seen when it was published. */
	#firstSeenMs(manifest: Manifest, source: string): number | undefined {
		return this.#owner.firstSeenMs(source, manifest.uuid) ?? (manifest.publishedMs || undefined);
	}
}

function offers({list, besides}: LookedAt, uuid: Uuid): boolean {
	return list.get(uuid) !== undefined && besides?.has(uuid) !== true;
}

/** Two sorted lists as one. */
function interleave(a: readonly Manifest[], b: readonly Manifest[]): readonly Manifest[] {
	if (b.length === 0) {
		return a;
	}
	const both: Manifest[] = [];
	let at = 0;
	for (const manifest of a) {
		for (let next = b[at]; next !== undefined && compareImages(next, manifest) < 0; next = b[++at]) {
			both.push(next);
		}
		both.push(manifest);
	}
	return both.concat(b.slice(at));
}

function isSameReason(a: HoldReason | undefined, b: HoldReason | undefined): boolean {
	return (
		a === b ||
		(a?.source === b?.source && a?.why === b?.why && a?.until === b?.until && a?.by === b?.by && a?.note === b?.note)
	);
}
