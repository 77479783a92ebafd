/**
 * Which images a rule comes to in the catalog as it is now: what it is about, the newest of each name, as much as fits,
 * and the origins of all that.
 *
 * Pure, and in steps: whoever has a rule looked up among 25,000 images gives others their turn between two steps, or
 * runs through them at once.
 */
import type {Uuid} from '../image/manifest.js';
import type {AheadApi, AheadImage} from '../mirror-ahead-api.js';
import type {PlannedImage, PrefetchPlan} from './api.js';
import {expiryMs, matcher, type Choosing} from './rule.js';

/** Images looked at in one step. */
const stepLength = 500;

export interface ChosenImage {
	readonly image: AheadImage;
	/** Of all its files. */
	readonly bytes: number;
	/** Not chosen itself: an origin of this one. */
	readonly originOf: Uuid | undefined;
}

export interface Choice {
	/** Each once, origins before what is built upon them. */
	readonly images: readonly ChosenImage[];
	readonly bytes: number;
	/** Left out for want of room. */
	readonly leftOut: number;
	readonly missing: readonly {readonly uuid: Uuid; readonly problem: string}[];
	/** When it becomes another one though no image changes: one of these gets too old. */
	readonly validUntilMs: number;
}

/** The images on offer at one moment. */
export class Offer {
	readonly images: readonly AheadImage[];
	readonly #ahead: Pick<AheadApi, 'image'>;
	readonly #sources = new Set<string>();

	constructor(ahead: Pick<AheadApi, 'images' | 'image'>) {
		this.#ahead = ahead;
		this.images = ahead.images();
		for (const {sources} of this.images) {
			for (const source of sources) {
				this.#sources.add(source);
			}
		}
	}

	image(uuid: Uuid): AheadImage | undefined {
		return this.#ahead.image(uuid);
	}

	/** Nothing is offered by it: it has nothing, is away, or was not asked yet. */
	isSilent(source: string): boolean {
		return !this.#sources.has(source);
	}

	/** None of the sources that a rule looks at offers anything: there is no saying what the rule would come to. */
	isBlind({sources}: Choosing): boolean {
		return sources.length === 0 ? this.#sources.size === 0 : sources.every(source => this.isSilent(source));
	}
}

/** Yields between steps, and returns what the rule comes to. The same offer at the same time gives the same choice. */
export function* choose(what: Choosing, offer: Offer, nowMs: number): Generator<undefined, Choice, undefined> {
	const isMeant = matcher(what, nowMs, source => offer.isSilent(source));
	const missing: {uuid: Uuid; problem: string}[] = [];
	const candidates = what.uuids === undefined ? offer.images : namedOnes(what.uuids, offer, missing);

	const meant: AheadImage[] = [];
	const ofName = new Map<string, number>();
	let validUntilMs = Infinity;
	// Lists have the newest last.
	for (let at = candidates.length - 1; at >= 0; at--) {
		const image = candidates[at];
		if (at % stepLength === 0) {
			yield;
		}
		if (image === undefined || !isMeant(image)) {
			continue;
		}
		const count = (ofName.get(image.manifest.name) ?? 0) + 1;
		ofName.set(image.manifest.name, count);
		if (count <= (what.newest ?? Infinity)) {
			meant.push(image);
			validUntilMs = Math.min(validUntilMs, expiryMs(what, image.manifest));
		}
	}

	const basket = new Basket(what.maxBytes, offer);
	let stepEnd = stepLength;
	for (const image of meant) {
		basket.add(image);
		if (basket.looked >= stepEnd) {
			yield;
			stepEnd = basket.looked + stepLength;
		}
	}
	return {
		images: basket.images(),
		bytes: basket.bytes,
		leftOut: basket.leftOut,
		missing: [...missing, ...basket.missing],
		validUntilMs,
	};
}

/** `choose` in one go. */
export function chooseAtOnce(what: Choosing, offer: Offer, nowMs: number): Choice {
	const steps = choose(what, offer, nowMs);
	for (;;) {
		const step = steps.next();
		if (step.done === true) {
			return step.value;
		}
	}
}

/** The choice as it goes over the wire. */
export function planOf(choice: Choice, ahead: AheadApi): PrefetchPlan {
	const images = choice.images.map(({image: {manifest}, bytes, originOf}): PlannedImage => {
		const {uuid, name, version} = manifest;
		return {
			uuid,
			name,
			version,
			size: bytes,
			here: ahead.isHere(uuid),
			...(originOf === undefined ? {} : {originOf}),
		};
	});
	const bytesToFetch = images.reduce((sum, {here, size}) => (here ? sum : sum + size), 0);
	const bytesPerSecond = ahead.bytesPerSecond();
	return {
		images,
		bytes: choice.bytes,
		bytesToFetch,
		...(bytesPerSecond === undefined || bytesPerSecond <= 0
			? {}
			: {bytesPerSecond, ms: Math.round((bytesToFetch / bytesPerSecond) * 1000)}),
		leftOut: choice.leftOut,
		missing: choice.missing,
	};
}

/** In the order of lists. */
function namedOnes(
	uuids: readonly Uuid[],
	offer: Offer,
	missing: {uuid: Uuid; problem: string}[],
): readonly AheadImage[] {
	const found: AheadImage[] = [];
	for (const uuid of new Set(uuids)) {
		const image = offer.image(uuid);
		if (image === undefined) {
			missing.push({uuid, problem: 'nobody has an image of that uuid'});
		} else {
			found.push(image);
		}
	}
	return found.sort(({manifest: a}, {manifest: b}) => a.publishedMs - b.publishedMs || (a.uuid < b.uuid ? -1 : 1));
}

/** What has been taken so far, within a size. */
class Basket {
	readonly missing: {readonly uuid: Uuid; readonly problem: string}[] = [];
	readonly #maxBytes: number;
	readonly #offer: Offer;
	readonly #taken = new Map<Uuid, AheadImage>();
	readonly #chosen = new Set<Uuid>();
	/** For each origin, the first image that brought it along. */
	readonly #broughtBy = new Map<Uuid, Uuid>();
	readonly #missed = new Set<Uuid>();
	#bytes = 0;
	#leftOut = 0;
	#looked = 0;

	constructor(maxBytes: number, offer: Offer) {
		this.#maxBytes = maxBytes;
		this.#offer = offer;
	}

	get bytes(): number {
		return this.#bytes;
	}

	get leftOut(): number {
		return this.#leftOut;
	}

	/** Images looked at, origins included: what all this costs. */
	get looked(): number {
		return this.#looked;
	}

	/** With its origins, or not at all. */
	add(image: AheadImage): void {
		const {uuid} = image.manifest;
		const {chain, unknown} = this.#comingAlong(image);
		const bytes = chain.reduce((sum, one) => sum + bytesOf(one), 0);
		if (this.#bytes + bytes > this.#maxBytes) {
			this.#leftOut++;
			return;
		}
		this.#bytes += bytes;
		this.#chosen.add(uuid);
		for (const one of chain.reverse()) {
			this.#taken.set(one.manifest.uuid, one);
			this.#broughtBy.set(one.manifest.uuid, uuid);
		}
		if (unknown !== undefined && !this.#missed.has(unknown.uuid)) {
			this.#missed.add(unknown.uuid);
			const {name, version} = unknown.of.manifest;
			this.missing.push({uuid: unknown.uuid, problem: `the origin of ${name} ${version}, and nobody has it`});
		}
	}

	images(): readonly ChosenImage[] {
		return [...this.#taken].map(([uuid, image]) => ({
			image,
			bytes: bytesOf(image),
			originOf: this.#chosen.has(uuid) ? undefined : this.#broughtBy.get(uuid),
		}));
	}

	/** The image and its origins that were not taken yet, itself first. Origins of one that was taken were taken, too. */
	#comingAlong(image: AheadImage): {
		readonly chain: AheadImage[];
		readonly unknown: {readonly uuid: Uuid; readonly of: AheadImage} | undefined;
	} {
		const chain: AheadImage[] = [];
		// Somebody's manifests may well name each other as origins.
		const seen = new Set<Uuid>();
		let next = image;
		while (!this.#taken.has(next.manifest.uuid)) {
			this.#looked++;
			chain.push(next);
			seen.add(next.manifest.uuid);
			const origin: Uuid | undefined = next.manifest.origin;
			if (origin === undefined || seen.has(origin)) {
				break;
			}
			const found = this.#taken.get(origin) ?? this.#offer.image(origin);
			if (found === undefined) {
				return {chain, unknown: {uuid: origin, of: next}};
			}
			next = found;
		}
		return {chain, unknown: undefined};
	}
}

function bytesOf({manifest}: AheadImage): number {
	return manifest.files.reduce((sum, {size}) => sum + size, 0);
}
