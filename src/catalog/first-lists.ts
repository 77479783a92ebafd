/**
 * Who waits for sources that are asked for their list for the first time, and for how long.
 *
 * While there is nothing to say, everybody waits. As soon as there is anything, a source gets a short grace to begin
 * its answer, and a longer one to finish it: a list that is arriving is worth more than a list without it. Both are
 * counted from when it was asked and not from each request: a dead source is waited for once, not by everybody.
 */
import {pause, type Clock} from '../host.js';
import type {Ask} from '../sources/source.js';
import type {SourceList} from './source-list.js';
import {untilAborted} from './waiting.js';

export interface FirstListsOwner {
	readonly clock: Clock;
	readonly graceMs: number;
	readonly lists: () => readonly SourceList[];
	/** There is nothing to say yet. */
	readonly isEmpty: () => boolean;
	readonly mayWait: () => boolean;
	/** Resolves when what has arrived is in the merged list. */
	readonly settled: () => Promise<void>;
}

/** Another mirror has patience, and a list of its own: in a circle of mirrors that all begin, somebody must not wait. */
const mirrorGraces = 5;
/** 25,000 manifests over a slow line. */
const arrivingGraces = 20;

/** Resolves when enough has been waited: true where that has brought a list. Mostly there is nothing to wait for. */
export function firstLists(ask: Ask, owner: FirstListsOwner): Promise<boolean> | boolean {
	return nobodyWaits(owner) ? false : waitFor(ask, owner);
}

/** There is something to say, and of no source that says its first. */
export function nobodyWaits({isEmpty, lists}: Pick<FirstListsOwner, 'isEmpty' | 'lists'>): boolean {
	return !isEmpty() && lists().every(({known, firstTry}) => known || firstTry === undefined);
}

async function waitFor(ask: Ask, owner: FirstListsOwner): Promise<boolean> {
	const {clock, graceMs} = owner;
	const knownCount = (): number => owner.lists().filter(list => list.known).length;
	const knownBefore = knownCount();
	const patience = ask.via === undefined ? Infinity : clock.now() + mirrorGraces * graceMs;
	let hasWaited = false;
	for (;;) {
		if (owner.isEmpty()) {
			await untilAborted(owner.settled(), ask.signal);
		}
		const now = clock.now();
		const isEmpty = owner.isEmpty();
		// What is remembered from before a restart is something to say: nobody waits for what it has never heard of.
		const isRemembering = owner.lists().some(list => list.remembered);
		const pending =
			isRemembering && !isEmpty
				? []
				: owner.lists().flatMap(({firstTry, known}) => {
						const grace = firstTry?.arriving === true ? graceMs * arrivingGraces : graceMs;
						const until = isEmpty ? Infinity : (firstTry?.startedAt ?? 0) + grace;
						return firstTry !== undefined && !known && until > now ? [{ended: firstTry.ended, until}] : [];
					});
		const until = Math.min(patience, ...pending.map(first => first.until));
		if (pending.length === 0 || until <= now || !owner.mayWait()) {
			break;
		}
		hasWaited = true;
		const end = new AbortController();
		try {
			const waits: Promise<void>[] = pending.map(({ended}) => ended);
			if (until !== Infinity) {
				waits.push(pause(clock, until - now, end.signal).catch(() => undefined));
			}
			await untilAborted(Promise.race(waits), ask.signal);
		} finally {
			end.abort();
		}
	}
	if (hasWaited) {
		await untilAborted(owner.settled(), ask.signal);
	}
	return hasWaited && knownCount() > knownBefore;
}
