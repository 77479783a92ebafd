/**
 * When each image of each source was seen here for the first time.
 *
 * Recorded for all images of all sources, so that a rule that is made later has something to go by. What stood in the
 * first list ever had of a source counts as seen when it was published: else a new mirror would offer nothing until
 * its rules allow. `holds.ts` keeps it on disk, with the images of one moment together as one string.
 */
import {Slices} from '../host-slices.js';
import {isObject} from '../image/json-text.js';
import {isUuid, type Uuid} from '../image/manifest.js';

/** An image that is gone for longer, and a source that nobody configures any more, are forgotten. */
const keptMs = 90 * 24 * 3_600_000;
const sweepPeriodMs = 24 * 3_600_000;

/** Stands for "when it was published". */
const first = 0;

interface Seen {
	readonly times: Map<Uuid, number>;
	/** Since when an image is known to nobody. */
	readonly missing: Map<Uuid, number>;
	/** Reads what was stored into both, step by step; `undefined` once it has. */
	reading: Generator<undefined, void, undefined> | undefined;
	/** What a start begins with, to be noted when all is read. */
	remembered: {readonly uuids: readonly Uuid[]; readonly ms: number} | undefined;
	/** Of those, how many were not noted before and nobody was told of yet. */
	added: number;
	/** Since when the source is in no configuration. */
	unusedSinceMs: number | undefined;
	sweptAtMs: number;
}

/** Images by when, those of one moment in one string. */
type Group = readonly [ms: number, uuids: string];

export class FirstSeen {
	readonly #sources = new Map<string, Seen>();

	/** There has been a list of it. */
	knows(source: string): boolean {
		return this.#sources.has(source);
	}

	/** Of how many images something is noted. */
	count(source: string): number {
		return this.#sources.get(source)?.times.size ?? 0;
	}

	/** `undefined`: it was not noted, or it was in the first list ever; either way, seen when it was published. */
	ms(source: string, uuid: Uuid): number | undefined {
		const ms = this.#whole(source)?.times.get(uuid);
		return ms === first ? undefined : ms;
	}

	/** As `note`, for the list that a start begins with, and only once somebody asks: there was a list before. */
	remember(source: string, uuids: readonly Uuid[], ms: number): void {
		const seen = this.#sources.get(source);
		if (seen?.reading === undefined) {
			this.note(source, uuids, ms);
		} else {
			seen.remembered = {uuids, ms};
		}
	}

	/** Reads what was stored of a source, in slices: whoever asks before has it read at once. */
	async prepare(source: string): Promise<void> {
		const slices = new Slices();
		const seen = this.#sources.get(source);
		while (seen?.reading?.next().done === false) {
			if (slices.over) {
				await slices.next();
			}
		}
	}

	/** What was seen before stays as it is. How many were not. `undefined`: when they were published. */
	note(source: string, uuids: Iterable<Uuid>, ms: number | undefined): number {
		let seen = this.#whole(source);
		let count = seen?.added ?? 0;
		for (const uuid of uuids) {
			// A list without images is no list to begin with.
			seen ??= this.#begin(source);
			if (!seen.times.has(uuid)) {
				seen.times.set(uuid, ms ?? first);
				count++;
			}
			seen.missing.delete(uuid);
		}
		if (seen !== undefined) {
			seen.added = 0;
		}
		return count;
	}

	/** Forgets what has long been gone, step by step; looks once a day. Returns whether anything is other than before. */
	*sweep(source: string, isThere: (uuid: Uuid) => boolean, now: number): Generator<undefined, boolean, undefined> {
		const seen = this.#whole(source);
		// A clock that was set back must not keep it from looking for years.
		if (seen === undefined || Math.abs(now - seen.sweptAtMs) < sweepPeriodMs) {
			return false;
		}
		seen.sweptAtMs = now;
		let isOther = false;
		for (const uuid of seen.times.keys()) {
			const since = seen.missing.get(uuid);
			if (isThere(uuid)) {
				isOther = seen.missing.delete(uuid) || isOther;
			} else if (since === undefined) {
				seen.missing.set(uuid, now);
				isOther = true;
			} else if (now - since > keptMs) {
				seen.missing.delete(uuid);
				seen.times.delete(uuid);
				isOther = true;
			}
			yield;
		}
		return isOther;
	}

	/** These are the sources now. Whether anything is other than before. */
	use(names: ReadonlySet<string>, now: number): boolean {
		let isOther = false;
		for (const [name, seen] of this.#sources) {
			const unusedSinceMs = names.has(name) ? undefined : (seen.unusedSinceMs ?? now);
			isOther ||= unusedSinceMs !== seen.unusedSinceMs;
			seen.unusedSinceMs = unusedSinceMs;
			if (unusedSinceMs !== undefined && now - unusedSinceMs > keptMs) {
				this.#sources.delete(name);
				isOther = true;
			}
		}
		return isOther;
	}

	/** As plain data for `read`. */
	async encode(): Promise<object> {
		const slices = new Slices();
		const sources: (readonly [string, object])[] = [];
		for (const [name, {times, missing, unusedSinceMs}] of this.#sources) {
			await this.prepare(name);
			const content = {
				seen: await groupsOf(times, slices),
				missing: await groupsOf(missing, slices),
				...(unusedSinceMs === undefined ? {} : {unusedSince: unusedSinceMs}),
			};
			sources.push([name, content]);
		}
		return Object.fromEntries(sources);
	}

	/** Takes in what `encode` made; whatever it cannot use is passed over. */
	read(value: unknown): void {
		for (const [name, content] of isObject(value) ? Object.entries(value) : []) {
			if (isObject(content)) {
				const seen = this.#begin(name);
				const {unusedSince} = content;
				seen.unusedSinceMs = typeof unusedSince === 'number' ? unusedSince : undefined;
				seen.reading = readStored(content, seen);
			}
		}
	}

	/** With all that was stored of it. */
	#whole(source: string): Seen | undefined {
		const seen = this.#sources.get(source);
		while (seen?.reading?.next().done === false) {
			// It reads into `seen`.
		}
		return seen;
	}

	#begin(source: string): Seen {
		const seen: Seen = {
			...{times: new Map(), missing: new Map(), reading: undefined, remembered: undefined, added: 0},
			...{unusedSinceMs: undefined, sweptAtMs: 0},
		};
		this.#sources.set(source, seen);
		return seen;
	}
}

function* readStored(
	{seen: times, missing}: Readonly<Record<string, unknown>>,
	seen: Seen,
): Generator<undefined, void, undefined> {
	const before = new Map<Uuid, number>();
	yield* readGroups(times, before);
	yield* readGroups(missing, seen.missing);
	const {uuids, ms} = seen.remembered ?? {uuids: [], ms: first};
	// First those of the list, so that no uuid is there twice.
	for (const uuid of uuids) {
		const known = before.get(uuid);
		seen.added += known === undefined ? 1 : 0;
		seen.times.set(uuid, known ?? ms);
		before.delete(uuid);
		seen.missing.delete(uuid);
		yield;
	}
	for (const [uuid, seenMs] of before) {
		seen.times.set(uuid, seenMs);
		yield;
	}
	seen.remembered = undefined;
	seen.reading = undefined;
}

async function groupsOf(times: ReadonlyMap<Uuid, number>, slices: Slices): Promise<readonly Group[]> {
	const groups = new Map<number, string[]>();
	for (const [uuid, ms] of times) {
		const group = groups.get(ms);
		const digits = uuid.replaceAll('-', '');
		if (group === undefined) {
			groups.set(ms, [digits]);
		} else {
			group.push(digits);
		}
		if (slices.over) {
			await slices.next();
		}
	}
	return [...groups].map(([ms, digits]) => [ms, Buffer.from(digits.join(''), 'hex').toString('base64')] as const);
}

function* readGroups(value: unknown, into: Map<Uuid, number>): Generator<undefined, void, undefined> {
	for (const group of Array.isArray(value) ? (value as unknown[]) : []) {
		const [ms, text] = Array.isArray(group) ? (group as unknown[]) : [];
		if (typeof ms !== 'number' || typeof text !== 'string') {
			continue;
		}
		const bytes = Buffer.from(text, 'base64');
		for (let at = 0; at + 16 <= bytes.length; at += 16) {
			const ends = [at, at + 4, at + 6, at + 8, at + 10, at + 16];
			const uuid = [0, 1, 2, 3, 4].map(part => bytes.toString('hex', ends[part], ends[part + 1])).join('-');
			if (isUuid(uuid)) {
				into.set(uuid, ms);
			}
			yield;
		}
	}
}
