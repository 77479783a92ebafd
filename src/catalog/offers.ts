/**
 * Which of the images that a source lists are offered, and what stands in the way of the others.
 *
 * An operator's hold is for an image whoever has it, and for all that is built upon it; a rule is a source's, and does
 * not hold for what an operator released. The catalog has its lists split here before they are merged, and is told
 * when a clock runs out. Nothing here is stored: `holds.ts` is asked.
 */
import type {Host, Timer} from '../host.js';
import {Slices} from '../host-slices.js';
import type {Manifest, Uuid} from '../image/manifest.js';
import type {HoldRule} from './catalog-source.js';
import type {Holds, OperatorHold} from './holds.js';
import type {HeldImage} from './known.js';
import type {MergeOrphan, MergeSource} from './merge.js';

/** Why an image is not offered though a source lists it. */
export interface HoldReason {
	readonly source: string;
	/** `age`: not before it is older; `rule`: not before somebody released it; `operator`: somebody held it. */
	readonly why: 'age' | 'rule' | 'operator';
	/** ISO 8601: when it will be offered by itself. */
	readonly until?: string;
	readonly by?: string;
	readonly note?: string;
}

/** A list of one source, and its rule if it has one. */
export interface ListedSource extends MergeSource {
	readonly rule: HoldRule | undefined;
}

export interface OffersOwner {
	/** By whoever has it, held back or not. */
	lookUp(uuid: Uuid): Manifest | undefined;
	ruleOf(source: string): HoldRule | undefined;
	/** An image has become old enough. */
	ripened(): void;
}

interface Split {
	readonly images: readonly Manifest[];
	readonly hidden: readonly Manifest[];
	readonly rule: HoldRule;
	readonly version: number;
	/** When the next of the held ones is due. */
	readonly dueMs: number;
	readonly offered: MergeSource;
}

/** Looked at again so often at least: timers cannot wait for months, and a machine's clock may be set. */
const longestWaitMs = 24 * 3_600_000;
/** More than this is no chain of origins but a circle. */
const longestChain = 100;

export class Offers {
	readonly #host: Host;
	readonly #holds: Holds;
	readonly #owner: OffersOwner;
	#splits = new Map<string, Split>();
	#heldBack: ReadonlyMap<string, readonly Manifest[]> = new Map();
	#timer: Timer | undefined;

	constructor({host, holds, owner}: {host: Host; holds: Holds; owner: OffersOwner}) {
		this.#host = host;
		this.#holds = holds;
		this.#owner = owner;
	}

	/** Of the list of this source, when it was last split. */
	heldBackBy(source: string): readonly Manifest[] {
		return this.#heldBack.get(source) ?? [];
	}

	/** What stands in the way of the image as this source has it. Empty: nothing. */
	reasons(manifest: Manifest, source: string): readonly HoldReason[] {
		const held = this.heldByOperator(manifest);
		const dueMs = this.#dueMs(manifest, source, this.#owner.ruleOf(source));
		const rule: readonly HoldReason[] =
			dueMs === undefined
				? []
				: dueMs === Infinity
					? [{source, why: 'rule'}]
					: [{source, why: 'age', until: timeText(dueMs)}];
		if (held === undefined) {
			return rule;
		}
		const {by, note, origin} = held;
		const said = [origin === undefined ? undefined : `its origin ${origin} is held`, note].filter(Boolean).join(': ');
		const operator: HoldReason = {
			source,
			why: 'operator',
			...(by === undefined ? {} : {by}),
			...(said === '' ? {} : {note: said}),
		};
		return [operator, ...rule];
	}

	isHeldBack(manifest: Manifest, source: string): boolean {
		return (
			this.heldByOperator(manifest) !== undefined ||
			this.#dueMs(manifest, source, this.#owner.ruleOf(source)) !== undefined
		);
	}

	/** The image itself, or an origin of it, then named. */
	heldByOperator(manifest: Pick<Manifest, 'uuid' | 'origin'>): (OperatorHold & {readonly origin?: Uuid}) | undefined {
		const {held} = this.#holds;
		if (held.size === 0) {
			return undefined;
		}
		const own = held.get(manifest.uuid);
		if (own !== undefined) {
			return own;
		}
		let {origin} = manifest;
		for (let length = 0; origin !== undefined && length < longestChain; length++) {
			const hold = held.get(origin);
			if (hold !== undefined) {
				return {...hold, origin};
			}
			origin = this.#owner.lookUp(origin)?.origin;
		}
		return undefined;
	}

	/** If it is not held back, it is because the clocks of its rule ran out. */
	isRipe(manifest: Manifest, source: string): boolean {
		const rule = this.#owner.ruleOf(source);
		return (
			rule !== undefined &&
			!rule.untilReleased &&
			rule.publishedMs + rule.seenMs > 0 &&
			!this.#holds.isReleased(manifest.uuid)
		);
	}

	/** Each list without what is held back, and that beside it; `orphans` likewise. Sets the clock for the next due. */
	async split(
		sources: readonly ListedSource[],
		orphans: readonly HeldImage[] = [],
	): Promise<{readonly sources: readonly MergeSource[]; readonly orphans: readonly MergeOrphan[]}> {
		const slices = new Slices();
		const splits = new Map<string, Split>();
		const offered: MergeSource[] = [];
		let dueMs = Infinity;
		for (const source of sources) {
			const split = await this.#splitOne(source, slices);
			if (split === undefined) {
				offered.push(source);
			} else {
				splits.set(source.name, split);
				offered.push(split.offered);
				dueMs = Math.min(dueMs, split.dueMs);
			}
		}
		const marked = orphans.map(image => {
			const {manifest, source} = image;
			const until = this.#dueMs(manifest, source, this.#owner.ruleOf(source));
			dueMs = Math.min(dueMs, until ?? Infinity);
			const heldBack = until !== undefined || this.heldByOperator(manifest) !== undefined;
			return heldBack ? {...image, heldBack} : image;
		});
		this.#splits = splits;
		this.#heldBack = new Map(offered.map(({name, heldBack = []}) => [name, heldBack]));
		this.#arm(dueMs);
		return {sources: offered, orphans: marked};
	}

	stop(): void {
		this.#timer?.cancel();
		this.#timer = undefined;
	}

	/** `undefined`: nothing can be held back of it. */
	async #splitOne(source: ListedSource, slices: Slices): Promise<Split | undefined> {
		const {name, images, hidden, rule = noRule} = source;
		const {held, version} = this.#holds;
		const isRuled = rule.untilReleased || rule.publishedMs > 0 || rule.seenMs > 0;
		if (!isRuled && held.size === 0) {
			return undefined;
		}
		const before = this.#splits.get(name);
		// Whether an origin is held depends on what the other lists say of it.
		const isSame =
			held.size === 0 &&
			before?.images === images &&
			before.hidden === hidden &&
			before.rule === rule &&
			before.version === version &&
			this.#host.clock.now() < before.dueMs;
		if (isSame) {
			return before;
		}
		const shown: Manifest[] = [];
		const found: Manifest[] = [];
		const heldBack: Manifest[] = [];
		let dueMs = Infinity;
		for (const [listed, into] of [
			[images, shown],
			[hidden, found],
		] as const) {
			for (const manifest of listed) {
				const until = this.#dueMs(manifest, name, rule);
				const isHeld = until !== undefined || this.heldByOperator(manifest) !== undefined;
				(isHeld ? heldBack : into).push(manifest);
				dueMs = Math.min(dueMs, until ?? Infinity);
				if (slices.over) {
					await slices.next();
				}
			}
		}
		const offered = heldBack.length === 0 ? source : {...source, images: shown, hidden: found, heldBack};
		return {images, hidden, rule, version, dueMs, offered};
	}

	/** Until when the rule holds the image back: Infinity where only an operator can release it, `undefined`: it does not. */
	#dueMs(manifest: Manifest, source: string, rule: HoldRule | undefined): number | undefined {
		if (rule === undefined || this.#holds.isReleased(manifest.uuid)) {
			return undefined;
		}
		if (rule.untilReleased) {
			return Infinity;
		}
		if (rule.publishedMs === 0 && rule.seenMs === 0) {
			return undefined;
		}
		const seenMs = this.#holds.firstSeen.ms(source, manifest.uuid);
		// What says not when it was published is as old as we know it; what was seen first of all, as old as it says.
		const publishedAt = manifest.publishedMs || (seenMs ?? 0);
		const seenAt = seenMs ?? manifest.publishedMs;
		const dueMs = Math.max(
			rule.publishedMs > 0 ? publishedAt + rule.publishedMs : 0,
			rule.seenMs > 0 ? seenAt + rule.seenMs : 0,
		);
		return dueMs > this.#host.clock.now() ? dueMs : undefined;
	}

	#arm(dueMs: number): void {
		this.stop();
		if (dueMs !== Infinity) {
			this.#timer = this.#host.clock.after(Math.min(dueMs - this.#host.clock.now(), longestWaitMs), () => {
				this.#timer = undefined;
				this.#owner.ripened();
			});
		}
	}
}

const noRule: HoldRule = {publishedMs: 0, seenMs: 0, untilReleased: false};

/** A rule of a hundred years for an image of the year 9999 must not end anything. */
function timeText(ms: number): string {
	return new Date(Math.min(ms, 8.64e15)).toISOString();
}
