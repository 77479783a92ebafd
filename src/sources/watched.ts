/**
 * Any source, watched: how it is, how fast it answers, how often it failed and with what.
 *
 * Callers use it as the source it wraps; the catalog asks `health` before it asks a source that was down. "I have no
 * such image" is an answer like any other, and what our own caller breaks off says nothing about the source. That one
 * thing cannot be had of a source that answers says little about it: of several, one after the other, it is down, but
 * may be asked for others at once. Anybody may ask for what it has not got right.
 */
import {NotFoundError, SourceUnavailableError, describe} from '../errors.js';
import type {Host} from '../host.js';
import type {Manifest, Uuid} from '../image/manifest.js';
import {SourceFailure} from './failure.js';
import {Relay} from './relay.js';
import type {Retry} from './retry.js';
import {Slots} from './slots.js';
import type {Ask, FileAt, FileBody, HealthySource, Icon, ListEnd, Source, SourceHealth} from './source.js';

type What = 'list' | 'image' | 'file' | 'icon';

const firstBackoffMs = 1000;
const maxBackoffMs = 5 * 60_000;
/** An answer about what was asked for: it is there, and not for us. */
const forbidden = 403;
/** So many different things that cannot be had, and nothing between them that could. */
const tooManyItems = 3;
/** Questions about single images that may be on their way at once: lists and files have connections left then. */
const questionsAtOnce = 6;
/** Whoever comes when so many wait already would hear nothing for minutes: anybody may ask for any uuid. */
const mostWaiting = 200;
/** The share that a new measurement has in the smoothed latency. */
const freshShare = 0.2;

export class WatchedSource implements HealthySource {
	readonly #source: Source & {distrust?(uuid: Uuid): void};
	readonly #host: Host;
	readonly #retry: Retry;
	readonly #slots: Slots;
	readonly #questions = new Slots(questionsAtOnce);
	#health: SourceHealth;
	/** What could not be had since something last could. */
	readonly #failingItems = new Set<string>();
	/** Failures of the source itself since it last answered. */
	#outages = 0;

	constructor(options: {
		readonly source: Source & {distrust?(uuid: Uuid): void};
		readonly host: Host;
		readonly retry: Retry;
		/** For file bodies. Waiting for one is not the source's doing, and in none of its times. */
		readonly slots: Slots;
	}) {
		this.#source = options.source;
		this.#host = options.host;
		this.#retry = options.retry;
		this.#slots = options.slots;
		this.#health = {
			state: 'unknown',
			sinceMs: options.host.clock.now(),
			lastSuccessMs: undefined,
			lastFailureMs: undefined,
			lastError: undefined,
			consecutiveFailures: 0,
			latencyMs: undefined,
			requests: 0,
			failures: 0,
			retryAtMs: undefined,
			marks: 0,
			lastMark: undefined,
		};
		// A counter that appears with its first count has not risen, as Prometheus sees it.
		const {bytesFromSources, verificationFailures} = this.#host.metrics;
		for (const counter of [bytesFromSources, verificationFailures]) {
			counter.inc({source: this.name}, 0);
		}
	}

	get name(): string {
		return this.#source.name;
	}

	get kind(): Source['kind'] {
		return this.#source.kind;
	}

	health(): SourceHealth {
		return this.#health;
	}

	mark(problem: string, uuid?: Uuid): void {
		this.#health = {...this.#health, marks: this.#health.marks + 1, lastMark: problem};
		if (uuid !== undefined) {
			this.#source.distrust?.(uuid);
		}
	}

	async *list(ask: Ask): AsyncGenerator<Manifest, ListEnd, undefined> {
		const startedMs = this.#begin();
		const entries = this.#source.list(ask);
		let outcome = 'aborted';
		let answered = false;
		try {
			for (;;) {
				const next = await entries.next();
				if (!answered) {
					answered = true;
					this.#timed('list', startedMs);
				}
				if (next.done) {
					outcome = 'ok';
					this.#succeeded();
					return next.value;
				}
				yield next.value;
			}
		} catch (error) {
			outcome = this.#judge(error, ask);
			throw error;
		} finally {
			this.#count('list', outcome);
			await entries.return({skipped: 0, reasons: []});
		}
	}

	find(uuid: Uuid, ask: Ask): Promise<Manifest | undefined> {
		return this.#inTurn(ask, () =>
			this.#watch('image', uuid, ask, () => this.#retry.run(ask, () => this.#source.find(uuid, ask))),
		);
	}

	readIcon(image: Manifest, ask: Ask): Promise<Icon | undefined> {
		return this.#inTurn(ask, () =>
			this.#watch('icon', image.uuid, ask, () => this.#retry.run(ask, () => this.#source.readIcon(image, ask))),
		);
	}

	async openFile(image: Manifest, index: number, at: FileAt, ask: Ask): Promise<FileBody> {
		const giveBack = await this.#slots.take(ask.signal, at.yielding);
		try {
			const body = await this.#watch('file', image.uuid, ask, () => this.#source.openFile(image, index, at, ask));
			const {bytesFromSources} = this.#host.metrics;
			const stream = new Relay(body.stream, {
				onBytes: bytes => bytesFromSources.inc({source: this.name}, bytes),
			});
			// Before the relay tells its reader: who is told of the failure then finds it in the health.
			// That its server is not there any more is found by whoever asks for the rest.
			body.stream.prependOnceListener('error', error => {
				this.#judge(error, ask, {item: `file ${image.uuid}`, hasAnswered: true});
			});
			stream.once('close', giveBack);
			return {...body, stream};
		} catch (error) {
			giveBack();
			throw error;
		}
	}

	close(): Promise<void> {
		return this.#source.close();
	}

	/** Waiting is not the source's doing, and in none of its times. */
	async #inTurn<T>(ask: Ask, run: () => Promise<T>): Promise<T> {
		if (this.#questions.waiting >= mostWaiting) {
			throw new SourceUnavailableError(this.name, 'too many questions wait for it: ask again', {scope: 'none'});
		}
		// Who has left already is counted like those who leave meanwhile.
		const giveBack = ask.signal.aborted ? undefined : await this.#questions.take(ask.signal);
		try {
			return await run();
		} finally {
			giveBack?.();
		}
	}

	async #watch<T>(what: What, uuid: Uuid, ask: Ask, run: () => Promise<T>): Promise<T> {
		const startedMs = this.#begin();
		let outcome = 'ok';
		try {
			const answer = await run();
			outcome = answer === undefined ? 'absent' : 'ok';
			this.#timed(what, startedMs);
			this.#succeeded();
			return answer;
		} catch (error) {
			const hasAnswered = (this.#health.lastSuccessMs ?? -Infinity) > startedMs;
			outcome = this.#judge(error, ask, {item: `${what} ${uuid}`, hasAnswered});
			if (outcome === 'absent') {
				this.#timed(what, startedMs);
			}
			throw error;
		} finally {
			this.#count(what, outcome);
		}
	}

	#begin(): number {
		this.#health = {...this.#health, requests: this.#health.requests + 1};
		return this.#host.clock.now();
	}

	#timed(what: What, startedMs: number): void {
		const tookMs = Math.max(0, this.#host.clock.now() - startedMs);
		this.#host.metrics.sourceSeconds.observe({source: this.name, what}, tookMs / 1000);
		const before = this.#health.latencyMs ?? tookMs;
		this.#health = {...this.#health, latencyMs: before + (tookMs - before) * freshShare};
	}

	#count(what: What, outcome: string): void {
		this.#host.metrics.sourceRequests.inc({source: this.name, what, outcome});
	}

	/**
	 * What an error says about the source. `item`: what was asked for, if not a list; `hasAnswered`: others have been
	 * answered since that was asked for, or it has begun to come.
	 */
	#judge(
		error: unknown,
		ask: Ask,
		{item, hasAnswered = false}: {readonly item?: string; readonly hasAnswered?: boolean} = {},
	): 'absent' | 'aborted' | 'failed' {
		if (error instanceof NotFoundError) {
			this.#succeeded();
			return 'absent';
		}
		// A stream that its reader destroys with an error of his own says nothing about the source either.
		if (ask.signal.aborted || !(error instanceof SourceUnavailableError)) {
			return 'aborted';
		}
		const wantsRest = error instanceof SourceFailure && error.retryAfterMs !== undefined;
		if (item === undefined || (error.scope === 'source' && (!hasAnswered || wantsRest))) {
			this.#failed(error);
		} else {
			this.#itemFailed(item, error);
		}
		return 'failed';
	}

	#itemFailed(item: string, error: SourceUnavailableError): void {
		// Of a part of a file, the whole of which will be asked for, nothing is held against anybody, nor of what is not
		// for us.
		const isMeant = error instanceof SourceFailure && error.status === forbidden;
		if (this.#failingItems.size < tooManyItems && error.scope !== 'part' && !isMeant) {
			this.#failingItems.add(item);
		}
		if (this.#health.state === 'down' || this.#failingItems.size >= tooManyItems) {
			this.#down(error, this.#health.retryAtMs);
			return;
		}
		this.#health = {
			...this.#health,
			lastFailureMs: this.#host.clock.now(),
			lastError: describe(error),
			failures: this.#health.failures + 1,
		};
	}

	#succeeded(): void {
		this.#failingItems.clear();
		this.#outages = 0;
		const nowMs = this.#host.clock.now();
		const health = this.#health;
		if (health.state === 'down') {
			this.#host.log.info({source: this.name, failures: health.consecutiveFailures}, 'source is back');
		}
		this.#health = {
			...health,
			state: 'up',
			sinceMs: health.state === 'up' ? health.sinceMs : nowMs,
			lastSuccessMs: nowMs,
			consecutiveFailures: 0,
			retryAtMs: undefined,
		};
		this.#host.metrics.sourceUp.set({source: this.name}, 1);
		// Whoever is told and looks finds it up.
		if (health.state === 'down') {
			const {consecutiveFailures: failures, sinceMs} = health;
			this.#host.events.emit('source.up', {source: this.name, more: {failures, downMs: nowMs - sinceMs}});
		}
	}

	#failed(error: SourceUnavailableError): void {
		this.#outages++;
		this.#down(error, this.#host.clock.now() + this.#backoffMs(this.#outages, error));
	}

	#down(error: SourceUnavailableError, retryAtMs: number | undefined): void {
		const nowMs = this.#host.clock.now();
		const health = this.#health;
		const problem = describe(error);
		if (health.state !== 'down') {
			this.#host.log.warn({source: this.name, problem: error.problem}, 'source is down');
		}
		this.#health = {
			...health,
			state: 'down',
			sinceMs: health.state === 'down' ? health.sinceMs : nowMs,
			lastFailureMs: nowMs,
			lastError: problem,
			consecutiveFailures: health.consecutiveFailures + 1,
			failures: health.failures + 1,
			retryAtMs,
		};
		this.#host.metrics.sourceUp.set({source: this.name}, 0);
		if (health.state !== 'down') {
			const more = {failures: this.#health.failures};
			this.#host.events.emit('source.down', {source: this.name, problem: error.problem, more});
		}
	}

	#backoffMs(failures: number, error: SourceUnavailableError): number {
		const step = Math.min(maxBackoffMs, firstBackoffMs * 2 ** Math.min(failures - 1, 30));
		// Many mirrors that lost a source in the same moment must not come back in the same moment.
		const jittered = step * (0.75 + this.#host.random() / 2);
		const asked = error instanceof SourceFailure ? (error.retryAfterMs ?? 0) : 0;
		return Math.min(maxBackoffMs, Math.max(jittered, asked));
	}
}
