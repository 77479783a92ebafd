/**
 * Reads files again that are held, and finds out those that are not any more what they were.
 *
 * Each file is due some time after it was last found right; the schedule reads what is due, oldest first, within its
 * part of the day. Whoever asks for a run of their own goes before it. What is wrong is moved aside; whether it can be
 * had again is for `onWrong` to say, which knows the images.
 */
import {describe} from '../errors.js';
import type {Host} from '../host.js';
import type {Sha1} from '../image/manifest.js';
import type {BlobInfo} from './blob-info.js';
import {isWithin, type DayWindow} from './day-window.js';
import {Gate} from './gate.js';
import {Hashing} from './hashing.js';
import type {Layout} from './layout.js';
import type {QuarantineNote} from './quarantine.js';
import {RateLimit} from './rate-limit.js';
import {readAgain, type Finding} from './read-again.js';
import {ScrubMemory} from './scrub-memory.js';
import {ScrubRun, type ScrubNumbers} from './scrub-run.js';
import {ScrubSchedule} from './scrub-schedule.js';

/** What the scrub needs of the store. */
export interface ScrubStore {
	list(): Iterable<BlobInfo>;
	stat(sha1: Sha1): BlobInfo | undefined;
	/** Moves this very blob aside. False: it is another one by now, or none. */
	quarantineBlob(blob: BlobInfo, note: QuarantineNote): Promise<boolean>;
}

export interface ScrubOptions {
	/** A file is due so long after it was last found right. */
	readonly everyMs: number;
	/** 0: no limit. */
	readonly bytesPerSecond: number;
	/** `undefined`: at any time. */
	readonly window: DayWindow | undefined;
}

export interface ScrubParts {
	readonly store: ScrubStore;
	readonly layout: Layout;
	readonly host: Host;
	readonly options: ScrubOptions;
	/** Called when a wrong file has been moved aside; has it fetched again, or shouts. */
	readonly onWrong: (info: BlobInfo, problem: string) => Promise<'refetching' | 'lost'>;
	/** Threads of its own, so that a disk that hangs keeps nobody's transfer waiting. */
	readonly hashing?: () => Pick<Hashing, 'follow' | 'close'>;
}

export type ScrubStep =
	| {readonly what: 'begin'; readonly files: number; readonly bytes: number}
	| {readonly what: 'progress'; readonly bytesDone: number}
	| {
			readonly what: 'file';
			readonly info: BlobInfo;
			/** `refetching`, `lost`: it was wrong. `gone`: it was deleted meanwhile. */
			readonly outcome: 'right' | 'refetching' | 'lost' | 'unreadable' | 'gone';
			readonly problem?: string;
	  }
	| {readonly what: 'end'; readonly right: number; readonly wrong: number; readonly unreadable: number};

export interface ScrubReport extends ScrubNumbers {
	readonly running: boolean;
	/** When a file was last found right, before this start or after it. */
	readonly rightAt?: string;
	/** When the schedule reads next. */
	readonly nextAt?: string;
}

type FileStep = Extract<ScrubStep, {what: 'file'}>;

interface How {
	readonly limit: RateLimit;
	readonly gate: Gate;
	/** Asked before each file. */
	readonly mayGoOn: () => boolean;
	readonly asked: boolean;
	readonly signal: AbortSignal;
}

/** Whoever watches is told so often. */
const progressMs = 250;

export class Scrub {
	readonly #parts: ScrubParts;
	readonly #host: Host;
	readonly #memory: ScrubMemory;
	readonly #schedule: ScrubSchedule;
	/** Shut while a run that somebody asked for is under way. */
	readonly #gate = new Gate();
	/** Those that are under way: one of the schedule, one that was asked for. */
	readonly #runs = new Set<ScrubRun>();
	readonly #asked = new Set<object>();
	#lastAsked: Promise<void> = Promise.resolve();
	#last: ScrubRun | undefined;
	#options: ScrubOptions;

	constructor(parts: ScrubParts) {
		this.#parts = parts;
		this.#host = parts.host;
		this.#options = parts.options;
		const {store, layout, host} = parts;
		this.#memory = new ScrubMemory({layout, host, isHere: sha1 => store.stat(sha1) !== undefined});
		this.#schedule = new ScrubSchedule({
			...{store, host, memory: this.#memory},
			options: () => this.#options,
			run: (due, signal) => this.#runDue(due, signal),
		});
	}

	/** Reads what an earlier process left. Must be over before anything else is called. */
	load(): Promise<void> {
		return this.#memory.load();
	}

	/** From now on what is due is read. */
	start(): void {
		this.#schedule.start();
	}

	/** Ends the schedule; runs that were asked for end with their signal. Resolves when what is known is on the disk. */
	async stop(): Promise<void> {
		await this.#schedule.stop();
		await this.#memory.save();
	}

	setOptions(options: ScrubOptions): void {
		this.#options = options;
		this.#schedule.look();
	}

	/** When a file was last read again and found right; `undefined`: not since it was stored. */
	verifiedAtMs(sha1: Sha1): number | undefined {
		return this.#memory.get(sha1);
	}

	report(): ScrubReport {
		const run = [...this.#runs].at(-1);
		const numbers = (run ?? this.#last)?.numbers() ?? {files: 0, filesDone: 0, bytes: 0, bytesDone: 0, wrong: 0};
		const nextAtMs = this.#schedule.nextAtMs();
		const rightAtMs = this.#memory.lastMs;
		return {
			...numbers,
			running: run !== undefined,
			...(rightAtMs === undefined ? {} : {rightAt: new Date(rightAtMs).toISOString()}),
			...(nextAtMs === undefined ? {} : {nextAt: new Date(nextAtMs).toISOString()}),
		};
	}

	/**
	 * Reads files now: these, or all. One such run waits for the one before it, and the schedule for both. Throws the
	 * signal's reason; whoever stops pulling ends it as well.
	 */
	async *run(options: {
		/** `undefined`: all. Those that are not here are left out. */
		readonly sha1s: readonly Sha1[] | undefined;
		readonly bytesPerSecond: number;
		readonly signal: AbortSignal;
	}): AsyncGenerator<ScrubStep, void, undefined> {
		const {sha1s, bytesPerSecond, signal} = options;
		const {store} = this.#parts;
		const before = this.#lastAsked;
		const self = {};
		let done = (): void => undefined;
		this.#lastAsked = new Promise<void>(resolve => {
			done = resolve;
		}).then(() => before);
		this.#asked.add(self);
		this.#gate.shut();
		try {
			await this.#turnAfter(before, signal);
			const files = sha1s === undefined ? store.list() : new Set(sha1s.flatMap(sha1 => store.stat(sha1) ?? []));
			const limit = new RateLimit({clock: this.#host.clock, bytesPerSecond: () => bytesPerSecond});
			yield* this.#read([...files], {limit, gate: new Gate(), mayGoOn: () => true, asked: true, signal});
		} finally {
			done();
			this.#asked.delete(self);
			if (this.#asked.size === 0) {
				this.#gate.open();
			}
		}
	}

	async #turnAfter(before: Promise<void>, signal: AbortSignal): Promise<void> {
		const gate = new Gate();
		gate.shut();
		void before.then(() => {
			gate.open();
		});
		await gate.pass(signal);
	}

	async #runDue(due: readonly BlobInfo[], signal: AbortSignal): Promise<void> {
		const how: How = {
			limit: new RateLimit({clock: this.#host.clock, bytesPerSecond: () => this.#options.bytesPerSecond}),
			gate: this.#gate,
			mayGoOn: () => this.#options.window === undefined || isWithin(this.#options.window, this.#host.clock.now()),
			asked: false,
			signal,
		};
		const steps = this.#read(due, how);
		// What each step tells has been told to everybody else already.
		while ((await steps.next()).done !== true) {
			continue;
		}
	}

	async *#read(files: readonly BlobInfo[], how: How): AsyncGenerator<ScrubStep, void, undefined> {
		const run = new ScrubRun({host: this.#host, files, asked: how.asked});
		const hashing = (this.#parts.hashing ?? (() => new Hashing()))();
		this.#runs.add(run);
		try {
			yield {what: 'begin', files: run.files, bytes: run.bytes};
			for (const info of files) {
				if (!how.mayGoOn()) {
					break;
				}
				const finding = yield* this.#readOne(info, run, hashing, how);
				const step = await this.#judge(info, finding);
				run.fileDone(info, step.outcome);
				yield {what: 'progress', bytesDone: run.bytesDone};
				yield step;
			}
			yield {what: 'end', ...run.outcomes};
		} finally {
			run.end();
			this.#runs.delete(run);
			this.#last = run;
			await hashing.close();
		}
	}

	async *#readOne(
		info: BlobInfo,
		run: ScrubRun,
		hashing: Pick<Hashing, 'follow'>,
		{limit, gate, signal}: How,
	): AsyncGenerator<ScrubStep, Finding, undefined> {
		const {clock} = this.#host;
		const steps = readAgain({
			...{host: this.#host, info, hashing, limit, gate, signal},
			file: this.#parts.layout.blob(info.sha1),
			isHere: () => this.#isHere(info),
		});
		try {
			let toldAtMs = clock.now();
			for (;;) {
				await gate.pass(signal);
				const next = await steps.next();
				if (next.done === true) {
					return next.value;
				}
				run.read(next.value);
				if (Math.abs(clock.now() - toldAtMs) >= progressMs) {
					toldAtMs = clock.now();
					yield {what: 'progress', bytesDone: run.bytesDone};
				}
			}
		} finally {
			await steps.return({what: 'gone'});
		}
	}

	/** What becomes of it. */
	async #judge(info: BlobInfo, finding: Finding): Promise<FileStep> {
		const {sha1} = info;
		switch (finding.what) {
			case 'right':
				this.#memory.right(sha1);
				return {what: 'file', info, outcome: 'right'};
			case 'gone':
				return {what: 'file', info, outcome: 'gone'};
			case 'unreadable':
				return this.#unreadable(info, finding.problem, finding.code);
			case 'wrong':
				return this.#wrong(info, finding.problem, finding.got);
		}
	}

	async #wrong(info: BlobInfo, problem: string, got: object): Promise<FileStep> {
		const {sha1, sha256, size, source} = info;
		try {
			const note = {expected: {sha1, sha256, size}, got, suppliers: [source]};
			if (!(await this.#parts.store.quarantineBlob(info, note))) {
				return {what: 'file', info, outcome: 'gone'};
			}
		} catch (error) {
			return this.#unreadable(info, `${problem}, and it could not be moved away: ${describe(error)}`, 'EIO');
		}
		let outcome: 'refetching' | 'lost' = 'lost';
		try {
			outcome = await this.#parts.onWrong(info, problem);
		} catch (error) {
			this.#host.log.error({err: error, sha1}, 'what follows a file that is wrong failed');
		}
		this.#host.metrics.scrubFailures.inc({outcome});
		this.#host.log.error({sha1, size, source, problem, outcome}, 'a stored file is wrong: it is in quarantine');
		return {what: 'file', info, outcome, problem};
	}

	/** It stays where it is: that a disk does not give a file today does not say that it has lost it. */
	#unreadable(info: BlobInfo, problem: string, code: string): FileStep {
		const {sha1, size, source} = info;
		this.#schedule.putOff(sha1);
		this.#host.metrics.scrubFailures.inc({outcome: 'unreadable'});
		this.#host.metrics.diskErrors.inc({code});
		this.#host.events.emit('disk.error', {sha1, bytes: size, problem, more: {code}});
		this.#host.events.emit('verification.failed', {sha1, bytes: size, source, problem, more: {outcome: 'unreadable'}});
		this.#host.log.error({sha1, size, problem}, 'a stored file cannot be read: the disk may be failing');
		return {what: 'file', info, outcome: 'unreadable', problem};
	}

	/** Whether the store has this very file: it may have been deleted, or stored anew. */
	#isHere({sha1, storedAtMs, changedAtMs}: BlobInfo): boolean {
		const now = this.#parts.store.stat(sha1);
		return now?.storedAtMs === storedAtMs && now.changedAtMs === changedAtMs;
	}
}
