/**
 * A one-off as it is told to whoever asked for it: a line for each image that begins and ends, and a few a second for
 * those on their way.
 *
 * The fetching is a batch like a rule's, with a queue and a pace of its own. It lasts as long as somebody reads.
 */
import PQueue from 'p-queue';
import {asError} from '../errors.js';
import type {Clock, Host, Timer} from '../host.js';
import {SteadyRate} from '../host-rate.js';
import type {AheadApi} from '../mirror-ahead-api.js';
import type {PrefetchEvent, PrefetchPlan} from './api.js';
import {Batch} from './batch.js';
import {Gate} from './gate.js';
import type {Choice} from './select.js';

const progressEveryMs = 200;
const retryAfterMs = [2000, 10_000, 30_000];
/** Where no bound is given. The mirror has one of its own for what it fetches from sources. */
const mostAtOnce = 50;

/** Ends with a summary, also when `signal` cut it short. Whoever stops reading ends it, too. */
export async function* fetchOnce(
	{
		host,
		ahead,
		choice,
		plan,
		bytesPerSecond,
		concurrent,
	}: {
		readonly host: Host;
		readonly ahead: AheadApi;
		readonly choice: Choice;
		readonly plan: PrefetchPlan;
		/** 0: no limit. */
		readonly bytesPerSecond: number;
		/** 0: no bound. */
		readonly concurrent: number;
	},
	signal: AbortSignal,
): AsyncGenerator<PrefetchEvent, void, undefined> {
	const begunAt = host.clock.now();
	const sums = {fetched: 0, there: 0, failed: 0, bytes: 0};
	yield {what: 'plan', plan};
	const here = new Set(plan.images.filter(image => image.here).map(({uuid}) => uuid));
	for (const uuid of here) {
		sums.there++;
		yield {what: 'done', uuid, outcome: 'there'};
	}

	const lines = new Lines(host.clock);
	const left = new AbortController();
	const batch = new Batch({
		host,
		ahead,
		queue: new PQueue({concurrency: concurrent === 0 ? mostAtOnce : concurrent}),
		gate: new Gate(host.clock, undefined),
		pace: bytesPerSecond === 0 ? undefined : new SteadyRate(host.clock, bytesPerSecond).take,
		retryAfterMs,
		watch: {
			begun({image: {manifest}, bytes}) {
				const {uuid, name, version} = manifest;
				lines.push({what: 'image', uuid, name, version, bytes});
			},
			progress({image}, bytes) {
				lines.progress(image.manifest.uuid, bytes);
			},
			done({image, bytes}, outcome, problem) {
				const {uuid} = image.manifest;
				sums.fetched += outcome === 'fetched' ? 1 : 0;
				sums.there += outcome === 'there' ? 1 : 0;
				sums.failed += outcome === 'uncached' || outcome === 'failed' ? 1 : 0;
				sums.bytes += outcome === 'fetched' ? bytes : 0;
				lines.push({what: 'done', uuid, outcome, ...(problem === undefined ? {} : {problem})});
			},
		},
	});
	const stop = AbortSignal.any([signal, left.signal]);
	const missing = choice.images.filter(({image}) => !here.has(image.manifest.uuid));
	let problem: unknown;
	const work = batch
		.run(missing, stop)
		.catch((error: unknown) => {
			problem = stop.aborted ? undefined : error;
		})
		.finally(() => {
			lines.end();
		});
	try {
		yield* lines.all();
	} finally {
		left.abort();
		await work;
	}
	if (problem !== undefined) {
		throw asError(problem);
	}
	yield {what: 'end', ...sums, ms: host.clock.now() - begunAt};
}

/** Lines to be read as fast as the reader takes them. Progress that nobody has read yet gives way to newer. */
class Lines {
	readonly #clock: Clock;
	readonly #events: PrefetchEvent[] = [];
	readonly #progress = new Map<string, number>();
	#isProgressDue = false;
	#timer: Timer | undefined;
	#isOver = false;
	#wake: (() => void) | undefined;

	constructor(clock: Clock) {
		this.#clock = clock;
	}

	push(event: PrefetchEvent): void {
		if (event.what === 'done') {
			this.#progress.delete(event.uuid);
		}
		this.#events.push(event);
		this.#wake?.();
	}

	progress(uuid: string, bytes: number): void {
		this.#progress.set(uuid, bytes);
		this.#timer ??= this.#clock.after(progressEveryMs, () => {
			this.#timer = undefined;
			this.#isProgressDue = this.#progress.size > 0;
			this.#wake?.();
		});
	}

	end(): void {
		this.#timer?.cancel();
		this.#isOver = true;
		this.#wake?.();
	}

	async *all(): AsyncGenerator<PrefetchEvent, void, undefined> {
		for (;;) {
			yield* this.#events.splice(0);
			if (this.#isProgressDue) {
				this.#isProgressDue = false;
				const progress = [...this.#progress];
				this.#progress.clear();
				for (const [uuid, bytes] of progress) {
					yield {what: 'progress', uuid, bytes};
				}
			}
			if (this.#hasNews()) {
				continue;
			}
			if (this.#isOver) {
				return;
			}
			await new Promise<void>(resolve => {
				this.#wake = resolve;
			});
		}
	}
	/** Since what was read before was read. */
	#hasNews(): boolean {
		return this.#events.length > 0 || this.#isProgressDue;
	}
}
