/**
 * Which images somebody wants to carry away: those of a selection, of a channel, or everything that is here.
 *
 * A selection is chosen from as prefetch rules are; where a channel or `all` is asked for as well, it is chosen from
 * those alone. Origins are `gather-origins.ts`'s.
 */
import {InvalidParameterError} from '../errors.js';
import {inSlices} from '../host-slices.js';
import {compareImages, type Uuid} from '../image/manifest.js';
import type {AheadImage} from '../mirror-ahead-api.js';
import type {CarryOut} from '../mirror-carry-api.js';
import type {Selection} from '../prefetch/api.js';
import type {Choosing, PrefetchRule} from '../prefetch/rule.js';
import {choose, Offer} from '../prefetch/select.js';
import {choosingOf} from '../prefetch/selection.js';
import type {Ask} from '../sources/source.js';
import type {ExportRequest} from './api.js';
import {problemOf, type Problem} from './export-problems.js';

/** What an `ExportRequest` says of images: everything that is said must be true of one. */
export interface Wish {
	readonly what: Choosing | undefined;
	readonly channel: string | undefined;
	readonly all: boolean;
	readonly origins: boolean;
}

export interface Chosen {
	/** In no particular order. */
	readonly uuids: readonly Uuid[];
	/** Asked for by uuid, and not to be had. */
	readonly problems: ReadonlyMap<Uuid, Problem>;
	/** By size, for want of room in what was asked for. */
	readonly leftOut: number;
}

type Catalog = Pick<CarryOut, 'images' | 'image' | 'inChannel' | 'whole' | 'find'>;

/** Throws InvalidParameterError for what cannot be, NotFoundError for a rule that is not there. */
export function readWish(request: ExportRequest, rules: readonly PrefetchRule[]): Wish {
	const {selection, channel, all = false, origins} = request;
	const isSaid = channel !== undefined || all;
	if (!isSaid && selection === undefined) {
		const message = 'which images is not said: a selection, a channel, or all that is here';
		throw new InvalidParameterError(message, [{field: 'selection', code: 'Missing', message}]);
	}
	const isMeant = selection !== undefined && !(isSaid && saysNothing(selection));
	return {what: isMeant ? choosingOf(selection, rules) : undefined, channel, all, origins};
}

/** Throws InvalidParameterError where there is no such channel, or nothing is chosen at all. */
export async function chooseImages(wish: Wish, carry: Catalog, nowMs: number, ask: Ask): Promise<Chosen> {
	const within = whereFrom(wish, carry);
	const chosen =
		wish.what === undefined
			? {uuids: [...(within ?? [])], problems: new Map<Uuid, Problem>(), leftOut: 0}
			: await chooseOf(wish.what, wish, within, {carry, nowMs, ask});
	if (chosen.uuids.length === 0 && chosen.problems.size === 0) {
		const message = 'there is no image like that';
		throw new InvalidParameterError(message, [{field: 'selection', code: 'Invalid', message}]);
	}
	return chosen;
}

/** Only these are chosen from; `undefined`: from all there are. */
function whereFrom({channel, all}: Wish, carry: Catalog): ReadonlySet<Uuid> | undefined {
	const inChannel = channel === undefined ? undefined : new Set(carry.inChannel(channel));
	if (!all) {
		return inChannel;
	}
	return new Set(carry.whole().filter(uuid => inChannel?.has(uuid) ?? true));
}

async function chooseOf(
	what: Choosing,
	{origins, all, channel}: Wish,
	within: ReadonlySet<Uuid> | undefined,
	{carry, nowMs, ask}: {readonly carry: Catalog; readonly nowMs: number; readonly ask: Ask},
): Promise<Chosen> {
	const problems = new Map<Uuid, Problem>();
	const named = new Map<Uuid, AheadImage>();
	const asked = new Set(what.uuids);
	for (const uuid of asked) {
		const image = await findNamed(uuid, carry, ask);
		if (!('manifest' in image)) {
			problems.set(uuid, image);
		} else if (within?.has(uuid) === false) {
			const text = all ? 'its files are not all here' : `it is not in channel ${channel ?? ''}`;
			problems.set(uuid, {text, error: new InvalidParameterError(text, [])});
		} else {
			named.set(uuid, image);
		}
	}
	const images = all
		? [...(within ?? [])].flatMap(uuid => carry.image(uuid) ?? []).sort((a, b) => compareImages(a.manifest, b.manifest))
		: carry.images().filter(({manifest}) => within?.has(manifest.uuid) ?? true);
	const offer = new PartialOffer(images, {
		whole: new Offer(carry),
		// Whoever leaves out origins does not want them weighed either.
		image: uuid => named.get(uuid) ?? (origins && !asked.has(uuid) ? carry.image(uuid) : undefined),
	});
	const choice = await inSlices(choose(what, offer, nowMs), ask.signal);
	const uuids = choice.images.filter(({originOf}) => originOf === undefined).map(({image}) => image.manifest.uuid);
	return {uuids, problems, leftOut: choice.leftOut};
}

/** Also one that is in no list: whoever knows its uuid may mean an old origin. */
async function findNamed(uuid: Uuid, carry: Catalog, ask: Ask): Promise<AheadImage | Problem> {
	const known = carry.image(uuid);
	if (known !== undefined) {
		return known;
	}
	try {
		const {manifest, source} = await carry.find(uuid, ask);
		return {manifest, sources: [source]};
	} catch (error) {
		ask.signal.throwIfAborted();
		return problemOf(error);
	}
}

function saysNothing(selection: Selection): boolean {
	return Object.values(selection as Readonly<Record<string, unknown>>).every(
		value => value === undefined || (Array.isArray(value) && value.length === 0),
	);
}

/** Some of the images on offer. Whether a source is silent is another matter: it may well have others. */
class PartialOffer extends Offer {
	readonly #whole: Offer;

	constructor(
		images: readonly AheadImage[],
		{whole, image}: {readonly whole: Offer; readonly image: (uuid: Uuid) => AheadImage | undefined},
	) {
		super({images: () => images, image});
		this.#whole = whole;
	}

	override isSilent(source: string): boolean {
		return this.#whole.isSilent(source);
	}
}
