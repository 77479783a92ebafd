/**
 * One webhook: what it has still to be told, in order, and the telling, again and again until it is heard.
 *
 * `Webhooks` makes one for each in the configuration, gives it messages and keeps what waits across restarts. A hook that
 * does not answer holds up nobody but itself.
 */
import {MirrorError, SourceUnavailableError, describe} from '../errors.js';
import type {EventType, Host, MirrorEvent, Timer} from '../host.js';
import {bodyOf, headersOf, type Message, type Teller} from './message.js';

export interface HookSettings {
	readonly name: string;
	readonly url: string;
	/** Types of events, or the first word of them; empty: those worth waking somebody. */
	readonly events: readonly string[];
	/** `whsec_` and base64, or the key itself. `undefined`: nothing is signed. */
	readonly secret: string | undefined;
	readonly headers: Readonly<Record<string, string>>;
	/** How long to go on trying; 0: once. */
	readonly retryForMs: number;
	readonly timeoutMs: number;
}

/** Resolves with whatever is answered, a redirect, too; throws where nothing is. */
export type Post = (request: {
	readonly url: string;
	readonly headers: Readonly<Record<string, string>>;
	readonly body: string;
	readonly timeoutMs: number;
	readonly signal: AbortSignal;
}) => Promise<{readonly status: number; readonly retryAfterMs?: number | undefined}>;

export interface HookReport {
	readonly name: string;
	readonly waiting: number;
	/** Left out while it takes what it is told. ISO 8601. */
	readonly failingSince?: string;
	readonly lastProblem?: string;
	/** It said that it is gone for good: it is told nothing until the configuration is read again. */
	readonly gone: boolean;
}

/** What a hook is told of that names nothing. */
const worthTelling: ReadonlySet<EventType> = new Set<EventType>([
	'image.cached',
	'image.published',
	'image.vanished',
	'image.held',
	'image.released',
	'image.evicted',
	'image.new',
	'verification.failed',
	'source.down',
	'source.up',
	'disk.low',
	'disk.ok',
	'scrub.ended',
	'prefetch.ended',
	'bundle.imported',
]);
/** Told every second: only to those who name them. */
const passing: ReadonlySet<EventType> = new Set<EventType>(['transfer.progress', 'scrub.progress']);

const firstPauseMs = 5000;
const longestPauseMs = 3_600_000;
const longestAskedForMs = 24 * 3_600_000;
const mostWaiting = 10_000;
/** These say that something is wrong with the message, not with the hook: the others must not wait for it for long. */
const refusals: ReadonlySet<number> = new Set([400, 413, 415, 422]);
const mostRefusals = 5;
const gone = 410;

export class Hook {
	readonly #host: Host;
	readonly #post: Post;
	readonly #mirror: Teller;
	readonly #changed: () => void;
	readonly #queue: Message[] = [];
	#settings: HookSettings;
	#timer: Timer | undefined;
	/** What is on its way just now, and how to break that off. */
	#sending: {readonly message: Message; readonly stop: AbortController} | undefined;
	/** Since it took something last. */
	#failures = 0;
	#refusals = 0;
	#failingSinceMs: number | undefined;
	#lastProblem: string | undefined;
	#lossIsTold = false;
	#dropIsTold = false;
	#gone = false;
	#running = false;

	constructor(parts: {
		readonly host: Host;
		readonly settings: HookSettings;
		readonly post: Post;
		readonly mirror: Teller;
		/** What waits is not what it was. */
		readonly changed: () => void;
	}) {
		this.#host = parts.host;
		this.#settings = parts.settings;
		this.#post = parts.post;
		this.#mirror = parts.mirror;
		this.#changed = parts.changed;
		// A counter that appears with its first count has not risen, as Prometheus sees it.
		for (const outcome of ['delivered', 'failed', 'given-up', 'dropped']) {
			this.#count(outcome, 0);
		}
		this.#report();
	}

	/** Oldest first. */
	get waiting(): readonly Message[] {
		return this.#queue;
	}

	wants({type, more}: MirrorEvent): boolean {
		const {name, events} = this.#settings;
		// Of its own trouble it cannot be told.
		if (this.#gone || (type === 'webhook.failed' && more?.['hook'] === name)) {
			return false;
		}
		if (events.length === 0) {
			return worthTelling.has(type);
		}
		return events.includes(type) || (!passing.has(type) && events.includes(type.slice(0, type.indexOf('.'))));
	}

	push(message: Message): void {
		this.#queue.push(message);
		if (this.#queue.length > mostWaiting) {
			// What is on its way may have been heard.
			this.#queue.splice(this.#sending?.message === this.#queue[0] ? 1 : 0, 1);
			this.#count('dropped');
			if (!this.#dropIsTold) {
				this.#dropIsTold = true;
				const details = {hook: this.#settings.name, waiting: mostWaiting};
				this.#host.log.error(details, 'too much waits for a webhook: what is oldest is dropped');
			}
		}
		this.#report();
		this.#changed();
		this.#go();
	}

	/** What an earlier run left. */
	restore(messages: readonly Message[]): void {
		const now = this.#host.clock.now();
		this.#queue.unshift(...messages.map(message => ({...message, at: Math.min(message.at, now)})));
		this.#queue.splice(0, this.#queue.length - mostWaiting);
		this.#report();
	}

	/** It is tried anew, whatever it said. */
	configure(settings: HookSettings): void {
		this.#settings = settings;
		this.#gone = false;
		this.#failures = 0;
		this.#refusals = 0;
		this.#timer?.cancel();
		this.#timer = undefined;
		this.#go();
	}

	start(): void {
		this.#running = true;
		this.#go();
	}

	/** What is on its way waits again. */
	stop(): void {
		this.#running = false;
		this.#timer?.cancel();
		this.#timer = undefined;
		this.#sending?.stop.abort(new MirrorError('the mirror is stopping'));
	}

	/** It is in the configuration no more. */
	forget(): void {
		this.stop();
		this.#host.metrics.webhookQueue.remove({hook: this.#settings.name});
	}

	report(): HookReport {
		const since = this.#failingSinceMs;
		return {
			name: this.#settings.name,
			waiting: this.#queue.length,
			...(since === undefined ? {} : {failingSince: new Date(since).toISOString()}),
			...(this.#lastProblem === undefined ? {} : {lastProblem: this.#lastProblem}),
			gone: this.#gone,
		};
	}

	#go(): void {
		const [message] = this.#queue;
		if (message === undefined || !this.#running || this.#sending !== undefined || this.#timer !== undefined) {
			return;
		}
		const stop = new AbortController();
		this.#sending = {message, stop};
		void this.#send(message, stop).finally(() => {
			this.#sending = undefined;
			this.#go();
		});
	}

	async #send(message: Message, stop: AbortController): Promise<void> {
		const {clock} = this.#host;
		const {url, headers, secret, timeoutMs} = this.#settings;
		const timer = clock.after(timeoutMs, () => {
			stop.abort(new MirrorError(`did not answer within ${timeoutMs} ms`));
		});
		try {
			const body = bodyOf(message, this.#mirror);
			const {status, retryAfterMs} = await this.#post({
				url,
				headers: {...lowered(headers), ...headersOf(message.id, body, clock.now(), secret)},
				body,
				timeoutMs,
				signal: stop.signal,
			});
			this.#answered(message, status, retryAfterMs);
		} catch (error) {
			if (this.#running) {
				this.#failed(error instanceof SourceUnavailableError ? error.problem : describe(error), 0);
			}
		} finally {
			timer.cancel();
		}
	}

	#answered(message: Message, status: number, retryAfterMs = 0): void {
		if (status >= 200 && status < 300) {
			this.#heard(message);
		} else if (status === gone) {
			this.#isGone();
		} else {
			this.#refusals = refusals.has(status) ? this.#refusals + 1 : 0;
			const isAsked = status === 429 || status === 503;
			this.#failed(`answered ${status}`, isAsked ? Math.min(retryAfterMs, longestAskedForMs) : 0);
		}
	}

	#heard(message: Message): void {
		this.#remove(message);
		this.#count('delivered');
		if (this.#failures > 0) {
			this.#host.log.info({hook: this.#settings.name, failures: this.#failures}, 'a webhook answers again');
		}
		this.#failures = 0;
		this.#refusals = 0;
		this.#failingSinceMs = undefined;
		this.#lastProblem = undefined;
		this.#lossIsTold = false;
		this.#dropIsTold = false;
	}

	#isGone(): void {
		const messages = this.#queue.length;
		this.#count('failed');
		this.#count('given-up', messages);
		this.#queue.length = 0;
		this.#report();
		this.#changed();
		this.#gone = true;
		this.#failingSinceMs ??= this.#host.clock.now();
		this.#lastProblem = 'answered 410';
		this.#giveUp(messages, 'answered 410: it is told nothing more until the configuration is read again');
	}

	#failed(problem: string, askedMs: number): void {
		const {clock, log, random} = this.#host;
		const {name, retryForMs} = this.#settings;
		this.#count('failed');
		this.#failures++;
		this.#failingSinceMs ??= clock.now();
		this.#lastProblem = problem;
		const level = this.#failures === 1 ? 'warn' : 'debug';
		log[level]({hook: name, problem, failures: this.#failures}, 'a webhook could not be told');

		// Whoever has waited too long goes with this attempt, so that nothing goes without any.
		const now = clock.now();
		const young = this.#queue.findIndex(({at}) => now - at < retryForMs);
		const old = young === -1 ? this.#queue.length : young;
		const isRefused = old === 0 && this.#refusals >= mostRefusals;
		const lost = isRefused ? 1 : old;
		if (lost > 0) {
			this.#queue.splice(0, lost);
			this.#count('given-up', lost);
			this.#report();
			this.#changed();
			this.#refusals = 0;
			this.#giveUp(lost, problem);
		}
		if (isRefused) {
			// It does answer, and may well take the next one.
			this.#failures = 0;
		}
		const step = Math.min(longestPauseMs, firstPauseMs * 2 ** Math.min(Math.max(0, this.#failures - 1), 20));
		const pauseMs = Math.max(Math.min(longestPauseMs, step * (0.75 + random() / 2)), askedMs);
		this.#timer = clock.after(pauseMs, () => {
			this.#timer = undefined;
			this.#go();
		});
	}

	/** Told once, until it takes something again: the counters say how much it is. */
	#giveUp(messages: number, problem: string): void {
		if (!this.#lossIsTold) {
			this.#lossIsTold = true;
			const {name} = this.#settings;
			this.#host.log.error({hook: name, messages, problem}, 'a webhook will not hear of what happened');
			this.#host.events.emit('webhook.failed', {problem, more: {hook: name, messages}});
		}
	}

	#remove(message: Message): void {
		const at = this.#queue.indexOf(message);
		if (at !== -1) {
			this.#queue.splice(at, 1);
			this.#report();
			this.#changed();
		}
	}

	#count(outcome: string, by = 1): void {
		this.#host.metrics.webhookDeliveries.inc({hook: this.#settings.name, outcome}, by);
	}

	#report(): void {
		this.#host.metrics.webhookQueue.set({hook: this.#settings.name}, this.#queue.length);
	}
}

/** So that ours take the place of theirs, however these are written. */
function lowered(headers: Readonly<Record<string, string>>): Record<string, string> {
	return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
}
