/**
 * The last day in minutes and the last week in tens of minutes: traffic, and how the sources were.
 *
 * `assemble.ts` loads it, starts it and stops it, and says where it is kept; HTTP asks for a `report`. It looks at the
 * metrics, which everybody keeps up to date anyway, so nobody tells it anything.
 */
import {describe} from '../errors.js';
import type {Host, Timer} from '../host.js';
import type {HistoryApi, HistoryPoint, HistoryReport, SourceChange, SourceHistory, SourcePoint} from './api.js';
import {cacheWords, Row, type SourceSample, type Step, type Tally} from './points.js';
import {Readings} from './readings.js';
import {readStored, storedText, type Change} from './stored.js';

/** How a source is at the moment. */
export interface NamedSample extends SourceSample {
	readonly name: string;
	/** Why it is down. */
	readonly problem?: string | undefined;
}

export interface HistoryParts {
	readonly host: Host;
	readonly sources: () => readonly NamedSample[];
	/** What was written last; `undefined`: nothing yet. */
	readonly read: () => Promise<string | undefined>;
	/** Must be whole or as it was, whatever happens. */
	readonly write: (text: string) => Promise<void>;
}

const minuteMs = 60_000;
const tenMs = 10 * minuteMs;
const dayHours = 24;
const weekHours = 7 * dayHours;
/** Each time writes the whole, a megabyte or two. */
const writeEveryMs = 10 * minuteMs;
/** Of one source: one that comes and goes every minute leaves the last hours of it. */
const mostChanges = 500;

export class History implements HistoryApi {
	readonly #host: Host;
	readonly #sources: HistoryParts['sources'];
	readonly #read: HistoryParts['read'];
	readonly #write: HistoryParts['write'];
	readonly #readings: Readings;
	readonly #minutes = new Row({stepMs: 0, most: dayHours * 60});
	readonly #tens = new Row({stepMs: tenMs, most: weekHours * 6});
	readonly #changes = new Map<string, Change[]>();
	#sampledAt: number;
	#writtenAt: number;
	#timer: Timer | undefined;
	#running = false;
	#unwritable = false;
	#sampling: Promise<void> = Promise.resolve();
	#saving: Promise<void> = Promise.resolve();
	#stopListening = (): void => undefined;

	constructor({host, sources, read, write}: HistoryParts) {
		this.#host = host;
		this.#sources = sources;
		this.#read = read;
		this.#write = write;
		this.#readings = new Readings(host.metrics);
		this.#sampledAt = host.clock.now();
		this.#writtenAt = this.#sampledAt;
	}

	/** Takes over what an earlier run wrote, as far as it can be read. */
	async load(): Promise<void> {
		const text = await this.#read().catch((error: unknown) => {
			this.#host.log.warn({problem: describe(error)}, 'the history of the last hours cannot be read');
			return undefined;
		});
		const {minutes, tens, changes} = readStored(text ?? '', this.#host.clock.now());
		this.#minutes.restore(minutes);
		this.#tens.restore(tens);
		for (const [name, list] of Object.entries(changes)) {
			this.#changes.set(name, list.slice(-mostChanges));
		}
	}

	/** From now on there is a step for each minute. */
	start(): void {
		this.#running = true;
		// What comes and goes between two steps is told as it happens.
		this.#stopListening = this.#host.events.listen(({type, source, problem}) => {
			if (source !== undefined && (type === 'source.down' || type === 'source.up')) {
				this.#noteState({name: source, state: type === 'source.up' ? 'up' : 'down', problem}, this.#host.clock.now());
			}
		});
		this.#again();
	}

	/** The last minute, as far as it has come, is in it and on the disk afterwards. */
	async stop(): Promise<void> {
		if (!this.#running) {
			// Where it was never started it has not taken over what lies there, either.
			return;
		}
		this.#running = false;
		this.#timer?.cancel();
		this.#stopListening();
		await this.#sampleSafely();
		await this.#save();
	}

	/** Ends the step that is under way. */
	sample(): Promise<void> {
		// One after the other: each counts from where the last one ended.
		this.#sampling = this.#sampling.catch(() => undefined).then(() => this.#take());
		return this.#sampling;
	}

	report(hours: number): HistoryReport {
		const now = this.#host.clock.now();
		const asked = Number.isFinite(hours) && hours > 0 ? Math.min(hours, weekHours) : dayHours;
		const from = now - asked * 60 * minuteMs;
		const [row, stepMs] = asked <= dayHours ? [this.#minutes, minuteMs] : [this.#tens, tenMs];
		const steps = row.steps.filter(({at}) => at > from && at <= now);
		const names = new Set([
			...steps.flatMap(({sources}) => Object.keys(sources)),
			...this.#sources().map(({name}) => name),
		]);
		return {
			stepMs,
			from: isoDate(from),
			to: isoDate(now),
			points: steps.map(pointOf),
			sources: Object.fromEntries([...names].sort().map(name => [name, this.#source(name, steps, from, now)])),
		};
	}

	#again(): void {
		// At whole minutes, as people read clocks.
		const delayMs = minuteMs - (this.#host.clock.now() % minuteMs);
		this.#timer = this.#host.clock.after(delayMs, () => {
			void this.#tick();
		});
	}

	async #tick(): Promise<void> {
		await this.#sampleSafely();
		const sinceMs = this.#host.clock.now() - this.#writtenAt;
		if (this.#running && (sinceMs >= writeEveryMs || sinceMs < 0)) {
			await this.#save();
		}
		if (this.#running) {
			this.#again();
		}
	}

	async #sampleSafely(): Promise<void> {
		await this.sample().catch((error: unknown) => {
			this.#host.log.warn({err: error}, 'a minute of the history is missing');
		});
	}

	async #take(): Promise<void> {
		const reading = await this.#readings.next();
		const now = this.#host.clock.now();
		const passedMs = now - this.#sampledAt;
		this.#sampledAt = now;
		const samples = this.#sources();
		const step: Step = {
			at: now,
			// The clock was put forward or back, or the machine slept: how long the step was is not known.
			ms: passedMs >= 0 && passedMs <= 2 * minuteMs ? Math.max(1, passedMs) : minuteMs,
			...reading,
			sources: Object.fromEntries(samples.map(({name, ...sample}) => [name, sampleOf(sample)])),
		};
		this.#minutes.add(step);
		this.#tens.add(step);
		for (const sample of samples) {
			this.#noteState(sample, now);
		}
		this.#forgetSources(samples, now);
	}

	#noteState({name, state, problem}: NamedSample, now: number): void {
		const before = (this.#changes.get(name) ?? []).filter(({at}) => at <= now);
		if (before.at(-1)?.state !== state) {
			before.push({at: now, state, ...(problem === undefined ? {} : {problem})});
		}
		this.#changes.set(name, before.slice(-mostChanges));
	}

	/** Those that are configured no more, a week later. */
	#forgetSources(samples: readonly NamedSample[], now: number): void {
		const present = new Set(samples.map(({name}) => name));
		for (const [name, changes] of this.#changes) {
			if (!present.has(name) && (changes.at(-1)?.at ?? 0) < now - weekHours * 60 * minuteMs) {
				this.#changes.delete(name);
			}
		}
	}

	#save(): Promise<void> {
		this.#saving = this.#saving.then(() => this.#writeAll());
		return this.#saving;
	}

	async #writeAll(): Promise<void> {
		this.#writtenAt = this.#host.clock.now();
		const text = storedText({
			minutes: this.#minutes.steps,
			tens: this.#tens.steps,
			changes: Object.fromEntries(this.#changes),
		});
		try {
			await this.#write(text);
			this.#unwritable = false;
		} catch (error) {
			const level = this.#unwritable ? 'debug' : 'warn';
			this.#unwritable = true;
			this.#host.log[level]({problem: describe(error)}, 'the history of the last hours cannot be written');
		}
	}

	#source(name: string, steps: readonly Step[], from: number, now: number): SourceHistory {
		const points = steps.flatMap(({at, sources}): SourcePoint[] => {
			const sample = Object.hasOwn(sources, name) ? sources[name] : undefined;
			return sample === undefined ? [] : [{at: isoDate(at), ...given(sample)}];
		});
		const changes = (this.#changes.get(name) ?? []).filter(({at}) => at <= now);
		const before = changes.findLastIndex(({at}) => at <= from);
		const shown = changes.slice(Math.max(0, before)).map(({at, state, problem}): SourceChange => ({
			at: isoDate(Math.max(at, from)),
			state,
			...(problem === undefined ? {} : {problem}),
		}));
		return {points, changes: shown};
	}
}

function pointOf({at, ms, requests, errors, out, in: from, files, connections, storeBytes}: Step): HistoryPoint {
	const tallies = {out: ofWords(out), in: from, files: ofWords(files)};
	return {at: isoDate(at), ms, requests, errors, ...tallies, connections, storeBytes};
}

function ofWords(tally: Tally): HistoryPoint['out'] {
	return Object.fromEntries(
		cacheWords.flatMap(word => {
			const count = tally[word];
			return count === undefined ? [] : [[word, count]];
		}),
	);
}

/** Whole milliseconds; what is not known is not there. */
function sampleOf({state, latencyMs, ageMs}: SourceSample): SourceSample {
	return {
		state,
		...(latencyMs === undefined ? {} : {latencyMs: Math.round(Math.max(0, latencyMs))}),
		...(ageMs === undefined ? {} : {ageMs: Math.round(Math.max(0, ageMs))}),
	};
}

function given({state, latencyMs, ageMs}: SourceSample): Omit<SourcePoint, 'at'> {
	return {state, ...(latencyMs === undefined ? {} : {latencyMs}), ...(ageMs === undefined ? {} : {ageMs})};
}

function isoDate(ms: number): string {
	return new Date(ms).toISOString();
}
