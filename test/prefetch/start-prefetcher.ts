/**
 * A prefetcher over a fake mirror, on a clock that only the test moves.
 */
import {Prefetcher} from '../../src/prefetch/prefetcher.js';
import type {PrefetchRule} from '../../src/prefetch/rule.js';
import type {RuleReport} from '../../src/prefetch/api.js';
import {ManualClock, settle} from '../helpers/manual-clock.js';
import type {Scope} from '../helpers/temp-dir.js';
import {testHost, type TestHost} from '../helpers/test-host.js';
import {FakeAhead} from './fake-ahead.js';

export interface Started {
	readonly host: TestHost;
	readonly clock: ManualClock;
	readonly ahead: FakeAhead;
	readonly prefetcher: Prefetcher;
	/** The numbers of the images that a rule wants, in order. */
	readonly wanted: (rule?: string) => readonly number[] | undefined;
	/** Those of the fetches since the last time this was asked. */
	readonly fetched: () => readonly number[];
	readonly report: (rule?: string) => RuleReport;
	/** `begun` and `ended` of all rules so far. */
	readonly told: () => readonly string[];
	/** Stops it, and starts another over what is there. */
	readonly restart: (rules?: readonly PrefetchRule[]) => Promise<Started>;
}

export interface StartOptions {
	readonly rules: readonly PrefetchRule[];
	readonly concurrent?: number;
	/** Local time. */
	readonly at?: string;
	readonly file?: string;
	/** Before it starts. */
	readonly prepare?: (ahead: FakeAhead) => void;
	/** The mirror of one before. */
	readonly ahead?: FakeAhead;
	readonly clock?: ManualClock;
}

export function numberOf(uuid: string): number {
	return parseInt(uuid.slice(-12), 16);
}

export async function startPrefetcher(t: Scope, options: StartOptions): Promise<Started> {
	const clock = options.clock ?? new ManualClock(Date.parse(options.at ?? '2026-01-05T12:00:00'));
	const host = testHost({clock});
	const ahead = options.ahead ?? new FakeAhead(clock);
	options.prepare?.(ahead);
	const {concurrent = 2, rules, file} = options;
	let seen = ahead.fetches.length;
	const prefetcher = new Prefetcher({host, ahead, settings: {concurrent, rules}, file});
	t.teardown(() => prefetcher.stop());
	await prefetcher.start();
	await settle();
	return {
		host,
		clock,
		ahead,
		prefetcher,
		wanted: (name = 'all') => ahead.wanted.get(name)?.map(numberOf),
		fetched() {
			const numbers = ahead.fetches.slice(seen).map(({uuid}) => numberOf(uuid));
			seen = ahead.fetches.length;
			return numbers;
		},
		report(name = 'all') {
			const found = prefetcher.rules().find(one => one.name === name);
			if (found === undefined) {
				throw new Error(`no rule ${name}`);
			}
			return found;
		},
		told: () =>
			host.events
				.recent(new Set(['prefetch.begun', 'prefetch.ended']), 1000)
				.toReversed()
				.map(({type, by}) => `${by} ${type.slice('prefetch.'.length)}`),
		async restart(next = rules) {
			await prefetcher.stop();
			return startPrefetcher(t, {...options, prepare: () => undefined, rules: next, ahead, clock});
		},
	};
}
