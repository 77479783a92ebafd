/**
 * Fetching ahead: all rules of the configuration at work, and whatever somebody wants once.
 *
 * It knows at any time what each rule wants, and has the mirror keep that; `RuleRunner` does the fetching. The mirror
 * calls `catalogChanged` when there is news, HTTP and the command line ask through `PrefetchApi`.
 */
import {isDeepStrictEqual} from 'node:util';
import {setImmediate as nextTurn} from 'node:timers/promises';
import PQueue from 'p-queue';
import {ConfigError, InvalidParameterError, NotFoundError, StoppingError, asError} from '../errors.js';
import type {Host, Timer} from '../host.js';
import type {AheadApi} from '../mirror-ahead-api.js';
import type {PrefetchApi, PrefetchEvent, PrefetchPlan, RuleReport, Selection} from './api.js';
import {longestSleepMs} from './gate.js';
import {LastRuns} from './last-runs.js';
import {fetchOnce} from './one-off.js';
import type {PrefetchRule} from './rule.js';
import {RuleRunner} from './rule-runner.js';
import {checkCron} from './schedule.js';
import {choose, chooseAtOnce, Offer, planOf, type Choice} from './select.js';
import {choosingOf} from './selection.js';

export interface PrefetchSettings {
	/** Images at once, all rules together. */
	readonly concurrent: number;
	readonly rules: readonly PrefetchRule[];
}

/** News come in heaps: a refresh of many sources, an import of many images. */
const settleMs = 1000;
/** Longer than this nobody waits for us. Measured in real time: it is the processor that is shared. */
const sliceMs = 8;

export class Prefetcher implements PrefetchApi {
	readonly #host: Host;
	readonly #ahead: AheadApi;
	readonly #queue: PQueue;
	readonly #lastRuns: LastRuns;
	readonly #runners = new Map<string, RuleRunner>();
	readonly #stopping = new AbortController();
	/** Runners of rules that are no more. */
	readonly #ending = new Set<Promise<void>>();
	#settings: PrefetchSettings;
	#isStarted = false;
	#offer: Offer | undefined;
	/** One at a time, so that nobody adopts what was chosen from an older offer than he has. */
	#choosing: Promise<void> = Promise.resolve();
	#newsTimer: Timer | undefined;
	#expiryTimer: Timer | undefined;

	/** `file`: where it is kept when rules last ran. Throws ConfigError. */
	constructor({
		host,
		ahead,
		settings,
		file,
	}: {
		readonly host: Host;
		readonly ahead: AheadApi;
		readonly settings: PrefetchSettings;
		readonly file?: string | undefined;
	}) {
		checkRules(settings.rules);
		this.#host = host;
		this.#ahead = ahead;
		this.#settings = settings;
		this.#queue = new PQueue({concurrency: settings.concurrent});
		this.#lastRuns = new LastRuns(host, file);
		for (const rule of settings.rules) {
			this.#add(rule);
		}
	}

	/** Resolves once it is known what every rule wants. `runs` false: that is all, and none fetches by itself. */
	async start({runs = true}: {readonly runs?: boolean} = {}): Promise<void> {
		await this.#lastRuns.read(this.#settings.rules.map(({name}) => name));
		await this.#refresh();
		this.#isStarted = runs && !this.#stopping.signal.aborted;
		this.#begin();
	}

	/** Throws ConfigError for what `setSettings` would not take. */
	check({rules}: PrefetchSettings): void {
		checkRules(rules);
	}

	/** Rules that are the same go on undisturbed. Throws ConfigError, and changes nothing then. */
	setSettings(settings: PrefetchSettings): void {
		checkRules(settings.rules);
		this.#settings = settings;
		this.#queue.concurrency = settings.concurrent;
		const names = new Set(settings.rules.map(({name}) => name));
		for (const runner of [...this.#runners.values()].filter(({rule}) => !names.has(rule.name))) {
			this.#end(runner);
			this.#forget(runner.rule.name);
		}
		for (const rule of settings.rules) {
			const runner = this.#runners.get(rule.name);
			if (runner === undefined) {
				this.#add(rule);
			} else {
				this.#change(runner, rule);
			}
		}
		this.#begin();
		this.#refreshSoon(0);
	}

	/** The merged list is another one, or may be. */
	catalogChanged(): void {
		this.#refreshSoon(settleMs);
	}

	/** Resolves when nothing is on its way any more. What has come stays, and will be gone on with. */
	async stop(): Promise<void> {
		this.#stopping.abort(new StoppingError('fetching ahead was stopped'));
		this.#newsTimer?.cancel();
		this.#expiryTimer?.cancel();
		await Promise.all([...this.#runners.values()].map(runner => runner.stop()));
		await Promise.all(this.#ending);
		await this.#choosing;
		await this.#lastRuns.close();
	}

	rules(): readonly RuleReport[] {
		return this.#settings.rules.flatMap(({name}) => this.#runners.get(name)?.report() ?? []);
	}

	plan(selection: Selection): PrefetchPlan {
		return planOf(this.#choose(selection), this.#ahead);
	}

	/** What is wrong with `selection` or `options` is thrown at once, not when the first event is asked for. */
	fetch(
		selection: Selection,
		{bytesPerSecond, concurrent}: {readonly bytesPerSecond: number; readonly concurrent: number},
		signal: AbortSignal,
	): AsyncGenerator<PrefetchEvent, void, undefined> {
		checkAmount('bytesPerSecond', bytesPerSecond);
		checkAmount('concurrent', concurrent);
		this.#stopping.signal.throwIfAborted();
		const choice = this.#choose(selection);
		return fetchOnce(
			{
				host: this.#host,
				ahead: this.#ahead,
				choice,
				plan: planOf(choice, this.#ahead),
				bytesPerSecond,
				concurrent,
			},
			AbortSignal.any([signal, this.#stopping.signal]),
		);
	}

	run(rule: string): void {
		const runner = this.#runners.get(rule);
		if (runner === undefined) {
			throw new NotFoundError(`no prefetch rule is called ${rule}`);
		}
		runner.runNow();
	}

	#choose(selection: Selection): Choice {
		const what = choosingOf(selection, this.#settings.rules);
		const known = this.#ahead.sources?.();
		const unknown =
			selection.rule === undefined ? what.sources.find(name => known?.includes(name) === false) : undefined;
		if (unknown !== undefined) {
			const message = `there is no source ${unknown}: there ${known?.length === 1 ? 'is' : 'are'} ${known?.join(', ') || 'none'}`;
			throw new InvalidParameterError(message, [{field: 'sources', code: 'Invalid', message}]);
		}
		return chooseAtOnce(what, this.#latestOffer(), this.#host.clock.now());
	}

	#add(rule: PrefetchRule): RuleRunner {
		const runner = new RuleRunner({
			rule,
			host: this.#host,
			ahead: this.#ahead,
			queue: this.#queue,
			lastRuns: this.#lastRuns,
			refresh: () => this.#refresh(),
		});
		this.#runners.set(rule.name, runner);
		return runner;
	}

	#change(runner: RuleRunner, rule: PrefetchRule): void {
		if (isDeepStrictEqual({...runner.rule, bandwidth: rule.bandwidth}, rule)) {
			runner.setBandwidth(rule.bandwidth);
			return;
		}
		this.#end(runner);
		const next = this.#add(rule);
		if (!isDeepStrictEqual(choosingPart(rule), choosingPart(runner.rule))) {
			// What it wants now it never looked for.
			this.#lastRuns.delete(rule.name);
		} else if (runner.isRunning) {
			next.runNow();
		}
	}

	#begin(): void {
		if (this.#isStarted) {
			for (const runner of this.#runners.values()) {
				runner.begin();
			}
		}
	}

	#end(runner: RuleRunner): void {
		this.#runners.delete(runner.rule.name);
		const ending = runner.stop().finally(() => {
			this.#ending.delete(ending);
		});
		this.#ending.add(ending);
	}

	#forget(name: string): void {
		this.#ahead.forgetRule(name);
		this.#lastRuns.delete(name);
		this.#host.metrics.prefetchWanted.remove({rule: name});
		this.#host.metrics.prefetchMissing.remove({rule: name});
	}

	#refreshSoon(delayMs: number): void {
		if (!this.#stopping.signal.aborted) {
			this.#newsTimer ??= this.#host.clock.after(delayMs, () => {
				this.#newsTimer = undefined;
				this.#refresh().catch((error: unknown) => {
					this.#host.log.error({err: asError(error)}, 'prefetch: what rules want cannot be told');
				});
			});
		}
	}

	/** Resolves once every rule wants what it should. Costs next to nothing where that is what it wanted before. */
	#refresh(): Promise<void> {
		const refreshed = this.#choosing.then(() => this.#chooseAll());
		this.#choosing = refreshed.catch(() => undefined);
		return refreshed;
	}

	async #chooseAll(): Promise<void> {
		if (this.#runners.size === 0) {
			// Nobody wants to know what there is.
			this.#watchExpiry();
			return;
		}
		await this.#ahead.prepare?.();
		const offer = this.#latestOffer();
		let since = performance.now();
		for (const runner of [...this.#runners.values()]) {
			if (!runner.isStale(offer)) {
				continue;
			}
			const steps = choose(runner.rule, offer, this.#host.clock.now());
			let step = steps.next();
			while (step.done !== true) {
				if (performance.now() - since > sliceMs) {
					await nextTurn();
					since = performance.now();
				}
				if (this.#stopping.signal.aborted) {
					return;
				}
				step = steps.next();
			}
			runner.adopt(step.value, offer);
		}
		this.#watchExpiry();
	}

	/** Images get too old for a rule without any news. */
	#watchExpiry(): void {
		this.#expiryTimer?.cancel();
		this.#expiryTimer = undefined;
		const nextMs = Math.min(...[...this.#runners.values()].map(runner => runner.validUntilMs));
		if (nextMs < Infinity && !this.#stopping.signal.aborted) {
			const delayMs = Math.max(0, nextMs - this.#host.clock.now());
			this.#expiryTimer = this.#host.clock.after(Math.min(longestSleepMs, delayMs), () => {
				this.#refreshSoon(0);
			});
		}
	}

	#latestOffer(): Offer {
		if (this.#offer?.images !== this.#ahead.images()) {
			this.#offer = new Offer(this.#ahead);
		}
		return this.#offer;
	}
}

/** Everything that decides which images a rule is about. */
function choosingPart(rule: PrefetchRule): object {
	return {...rule, schedule: undefined, window: undefined, bandwidth: undefined};
}

function checkRules(rules: readonly PrefetchRule[]): void {
	const faults = rules.flatMap(({name, schedule}, index) => {
		const problem = schedule.kind === 'cron' ? checkCron(schedule.cron) : undefined;
		return schedule.kind === 'cron' && problem !== undefined
			? [`prefetch.rules[${index}].cron: rule ${name}, ${JSON.stringify(schedule.cron)}: ${problem}`]
			: [];
	});
	if (faults.length > 0) {
		throw new ConfigError(`the prefetch rules: ${faults.length} fault${faults.length === 1 ? '' : 's'}`, faults);
	}
}

function checkAmount(field: string, value: number): void {
	if (!Number.isSafeInteger(value) || value < 0) {
		const message = 'must be a whole number, 0 for no limit';
		throw new InvalidParameterError(`${field} ${message}`, [{field, code: 'Invalid', message}]);
	}
}
