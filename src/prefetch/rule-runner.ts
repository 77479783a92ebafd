/**
 * One rule at work: it waits until it is due and its window is open, has what is missing fetched, and waits again.
 *
 * What the rule wants is chosen outside and handed in by `adopt`, whenever the catalog or the hour gives reason to; from
 * that moment it stays. Fetching happens in runs: when the schedule says, when somebody asks, and in the first minutes
 * after a start whenever the catalog has come to show more.
 */
import type PQueue from 'p-queue';
import {StoppingError, asError, describe} from '../errors.js';
import {pause, type Host} from '../host.js';
import {SteadyRate} from '../host-rate.js';
import type {Uuid} from '../image/manifest.js';
import type {AheadApi} from '../mirror-ahead-api.js';
import type {RuleReport} from './api.js';
import {Batch} from './batch.js';
import {Gate, longestSleepMs} from './gate.js';
import type {LastRuns} from './last-runs.js';
import type {PrefetchRule} from './rule.js';
import {dueMs, isOpen, nextChangeMs} from './schedule.js';
import type {Choice, ChosenImage, Offer} from './select.js';
import {describeRule} from './words.js';

const retryAfterMs = [30_000, 120_000, 600_000];
/** After a start, lists come in one by one: what a late one shows is not left for the next night. */
const catchUpMs = 10 * 60 * 1000;
const afterFaultMs = 60_000;

interface Adopted {
	readonly choice: Choice;
	readonly offer: Offer;
	readonly uuids: ReadonlySet<Uuid>;
}

interface Tally {
	fetched: number;
	there: number;
	failed: number;
	bytes: number;
	problem: string | undefined;
}

export class RuleRunner {
	readonly #host: Host;
	readonly #ahead: AheadApi;
	readonly #queue: PQueue;
	readonly #lastRuns: LastRuns;
	readonly #refresh: () => Promise<void>;
	readonly #gate: Gate;
	readonly #pace: SteadyRate;
	readonly #stop = new AbortController();
	#rule: PrefetchRule;
	#work: Promise<void> | undefined;
	#wake: (() => void) | undefined;
	#adopted: Adopted | undefined;
	#state: 'idle' | 'at-gate' | 'running' = 'idle';
	#isAsked = false;
	#hasRun = false;
	#catchUpUntilMs = -Infinity;
	/** What was missing in the first minutes, and tried. */
	readonly #tried = new Set<Uuid>();
	#problem: string | undefined;

	constructor(options: {
		readonly rule: PrefetchRule;
		readonly host: Host;
		readonly ahead: AheadApi;
		/** Shared by all rules. */
		readonly queue: PQueue;
		readonly lastRuns: LastRuns;
		/** Hands in by `adopt` what the rule wants now, if that is another thing than before. */
		readonly refresh: () => Promise<void>;
	}) {
		this.#rule = options.rule;
		this.#host = options.host;
		this.#ahead = options.ahead;
		this.#queue = options.queue;
		this.#lastRuns = options.lastRuns;
		this.#refresh = options.refresh;
		this.#gate = new Gate(options.host.clock, options.rule.window);
		this.#pace = new SteadyRate(options.host.clock, options.rule.bandwidth);
	}

	get rule(): PrefetchRule {
		return this.#rule;
	}

	get isRunning(): boolean {
		return this.#state === 'running';
	}

	/** Also for what is on its way. */
	setBandwidth(bytesPerSecond: number): void {
		this.#rule = {...this.#rule, bandwidth: bytesPerSecond};
		this.#pace.set(bytesPerSecond);
	}

	/** What it wants may be something else by now. */
	isStale(offer: Offer): boolean {
		const adopted = this.#adopted;
		// Origins that nobody had may be known by now without being on offer.
		return (
			adopted?.offer !== offer ||
			adopted.choice.missing.length > 0 ||
			adopted.choice.validUntilMs <= this.#host.clock.now()
		);
	}

	/** When it will be stale by the hour alone; Infinity: never. */
	get validUntilMs(): number {
		return this.#adopted?.choice.validUntilMs ?? Infinity;
	}

	adopt(choice: Choice, offer: Offer): void {
		if (this.#stop.signal.aborted) {
			return;
		}
		const uuids = choice.images.map(({image}) => image.manifest.uuid);
		this.#adopted = {choice, offer, uuids: new Set(uuids)};
		this.#ahead.setWanted(this.#rule.name, uuids);
		this.#measure();
		this.#wake?.();
	}

	begin(): void {
		this.#work ??= this.#loop();
	}

	/** As soon as its window is open. A run that is under way is enough. */
	runNow(): void {
		this.#isAsked = !this.isRunning;
		this.#wake?.();
	}

	/** Resolves when nothing of it is on its way any more. What it wants stays wanted. */
	async stop(): Promise<void> {
		this.#stop.abort(new StoppingError('fetching ahead was stopped'));
		await this.#work;
	}

	report(): RuleReport {
		const images = this.#adopted?.choice.images ?? [];
		const here = images.filter(image => this.#isHere(image));
		const lastMs = this.#lastRuns.get(this.#rule.name);
		const nextMs = this.#nextMs();
		return {
			name: this.#rule.name,
			chooses: describeRule(this.#rule),
			images: images.length,
			imagesHere: here.length,
			bytes: this.#adopted?.choice.bytes ?? 0,
			bytesHere: here.reduce((sum, {bytes}) => sum + bytes, 0),
			running: this.isRunning,
			waiting: this.#state !== 'idle' && !this.#gate.isOpen,
			...(lastMs === undefined ? {} : {lastRunAt: new Date(lastMs).toISOString()}),
			...(this.#problem === undefined ? {} : {lastProblem: this.#problem}),
			...(nextMs === undefined ? {} : {nextRunAt: new Date(nextMs).toISOString()}),
		};
	}

	async #loop(): Promise<void> {
		const {signal} = this.#stop;
		const isStopped = (): boolean => signal.aborted;
		while (!isStopped()) {
			try {
				if (this.#isDue()) {
					await this.#run(signal);
				} else {
					await this.#sleep(signal);
				}
			} catch (error) {
				if (!isStopped()) {
					// Nothing that an image's transfer may do comes here.
					this.#host.log.error({rule: this.#rule.name, err: asError(error)}, 'prefetch: the run broke off');
					this.#problem = describe(error);
					await pause(this.#host.clock, afterFaultMs, signal).catch(() => undefined);
				}
			} finally {
				this.#state = 'idle';
			}
		}
	}

	#isDue(): boolean {
		if (this.#isAsked) {
			return true;
		}
		// With no source heard of yet a run would find nothing, and be taken for done.
		if (this.#isBlind) {
			return false;
		}
		const now = this.#host.clock.now();
		return this.#dueMs() <= now || (now < this.#catchUpUntilMs && this.#hasUntried());
	}

	get #isBlind(): boolean {
		return this.#adopted?.offer.isBlind(this.#rule) ?? true;
	}

	#dueMs(): number {
		return dueMs(this.#rule.schedule, this.#lastRuns.get(this.#rule.name), this.#host.clock.now());
	}

	#hasUntried(): boolean {
		return (this.#adopted?.choice.images ?? []).some(
			image => !this.#tried.has(image.image.manifest.uuid) && !this.#isHere(image),
		);
	}

	/** Until it may be due, or somebody wakes it. Rejects with the signal's reason. */
	#sleep(signal: AbortSignal): Promise<void> {
		const dueInMs = this.#isBlind ? Infinity : this.#dueMs() - this.#host.clock.now();
		return new Promise((resolve, reject) => {
			const end = (): void => {
				timer.cancel();
				signal.removeEventListener('abort', onAbort);
				this.#wake = undefined;
			};
			const onAbort = (): void => {
				end();
				reject(signal.reason as Error);
			};
			this.#wake = () => {
				end();
				resolve();
			};
			const timer = this.#host.clock.after(Math.min(longestSleepMs, dueInMs), () => this.#wake?.());
			signal.addEventListener('abort', onAbort, {once: true});
		});
	}

	async #run(signal: AbortSignal): Promise<void> {
		this.#state = 'at-gate';
		(await this.#gate.opened(signal)).end();
		await this.#refresh();
		signal.throwIfAborted();
		const isAsked = this.#isAsked;
		this.#isAsked = false;
		if (this.#isBlind && !isAsked) {
			return;
		}
		const now = this.#host.clock.now();
		if (!this.#hasRun && this.#dueMs() <= now) {
			this.#catchUpUntilMs = now + catchUpMs;
		}
		this.#hasRun = true;
		const missing = (this.#adopted?.choice.images ?? []).filter(image => !this.#isHere(image));
		if (now < this.#catchUpUntilMs) {
			for (const {image} of missing) {
				this.#tried.add(image.manifest.uuid);
			}
		}
		this.#state = 'running';
		await this.#fetch(missing, isAsked, signal);
		signal.throwIfAborted();
		this.#lastRuns.set(this.#rule.name, now);
		if (now < this.#catchUpUntilMs) {
			// Also what came to be known while it ran.
			this.#catchUpUntilMs = Math.max(this.#catchUpUntilMs, this.#host.clock.now() + 1);
		}
	}

	async #fetch(missing: readonly ChosenImage[], isAsked: boolean, signal: AbortSignal): Promise<void> {
		const {log, events, metrics} = this.#host;
		const {name: rule} = this.#rule;
		const tally: Tally = {fetched: 0, there: 0, failed: 0, bytes: 0, problem: undefined};
		// Most runs find nothing to do. Nobody needs to be told, unless he asked.
		const isWorthTelling = missing.length > 0 || isAsked;
		const images = missing.length;
		if (isWorthTelling) {
			const bytes = missing.reduce((sum, image) => sum + image.bytes, 0);
			log.info({rule, images, bytes}, 'prefetch: begun');
			events.emit('prefetch.begun', {by: rule, more: {images, bytes}});
		}
		let outcome: 'done' | 'failed' | 'stopped' = 'stopped';
		try {
			await this.#batch(tally).run(missing, signal);
			outcome = tally.failed > 0 ? 'failed' : 'done';
			this.#problem = tally.problem === undefined ? undefined : problemText(tally, images);
		} finally {
			metrics.prefetchRuns.inc({rule, outcome});
			this.#measure();
			if (isWorthTelling) {
				const {fetched, failed, bytes} = tally;
				const problem = outcome === 'failed' ? this.#problem : outcome === 'stopped' ? 'stopped' : undefined;
				const level = outcome === 'failed' ? 'warn' : 'info';
				log[level]({rule, images, fetched, failed, bytes, problem}, `prefetch: ended, ${outcome}`);
				events.emit('prefetch.ended', {by: rule, problem, more: {images, fetched, failed, bytes}});
			}
		}
	}

	#batch(tally: Tally): Batch {
		return new Batch({
			host: this.#host,
			ahead: this.#ahead,
			queue: this.#queue,
			gate: this.#gate,
			pace: this.#pace.take,
			retryAfterMs,
			isWanted: ({image}) => this.#adopted?.uuids.has(image.manifest.uuid) ?? false,
			watch: {
				done: ({image, bytes}, outcome, problem) => {
					if (outcome === 'fetched' || outcome === 'there') {
						tally[outcome]++;
						tally.bytes += outcome === 'fetched' ? bytes : 0;
						this.#host.metrics.prefetchMissing.dec({rule: this.#rule.name});
					} else {
						const {name, version} = image.manifest;
						tally.failed++;
						tally.problem ??= `${name} ${version}: ${problem ?? outcome}`;
					}
				},
			},
		});
	}

	#nextMs(): number | undefined {
		const {window} = this.#rule;
		const now = this.#host.clock.now();
		if (this.isRunning && this.#gate.isOpen) {
			return undefined;
		}
		const dueAt = this.#state === 'idle' ? (this.#isBlind ? Infinity : this.#dueMs()) : now;
		const next = dueAt === Infinity || isOpen(window, dueAt) ? dueAt : nextChangeMs(window, dueAt);
		return next === Infinity ? undefined : next;
	}

	#isHere({image}: ChosenImage): boolean {
		return this.#ahead.isHere(image.manifest.uuid);
	}

	#measure(): void {
		const images = this.#adopted?.choice.images ?? [];
		const {prefetchWanted, prefetchMissing} = this.#host.metrics;
		prefetchWanted.set({rule: this.#rule.name}, images.length);
		prefetchMissing.set({rule: this.#rule.name}, images.filter(image => !this.#isHere(image)).length);
	}
}

function problemText({failed, problem = ''}: Tally, images: number): string {
	return images === 1 ? problem : `${failed} of ${images} images: ${problem}`;
}
