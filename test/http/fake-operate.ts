/**
 * What operators ask of, in memory: answers that a test may change, and a note of each call.
 */
import {NotFoundError} from '../../src/errors.js';
import type {HistoryApi, HistoryReport} from '../../src/history/api.js';
import type {LogLevel} from '../../src/host.js';
import type {LogLines} from '../../src/http/log-lines.js';
import type {Uuid} from '../../src/image/manifest.js';
import type {
	EvictOutcome,
	HeldReport,
	ImageDetails,
	ImageRow,
	OperateApi,
	Operator,
	PinOutcome,
	StorageReport,
	StoredFile,
	TransferReport,
	VerifyEvent,
} from '../../src/mirror-operate-api.js';
import type {PrefetchApi, PrefetchEvent, PrefetchPlan, RuleReport, Selection} from '../../src/prefetch/api.js';
import type {Ask} from '../../src/sources/source.js';

const at = '2026-01-02T03:04:05.678Z';

/** `00000000-0000-4000-8000-…` with the number at its end. */
export function uuidNumber(number: number): Uuid {
	return `00000000-0000-4000-8000-${String(number).padStart(12, '0')}` as Uuid;
}

export function row(number: number, more: Partial<ImageRow> = {}): ImageRow {
	return {
		uuid: uuidNumber(number),
		name: `image-${number}`,
		version: `1.${number}`,
		os: 'smartos',
		type: 'zone-dataset',
		state: 'active',
		owner: uuidNumber(0),
		public: true,
		publishedAt: at,
		size: number * 1000,
		source: 'upstream',
		sources: ['upstream'],
		here: 'away',
		pinned: false,
		wantedBy: [],
		vanished: false,
		...more,
	};
}

export function storedFile(number: number): StoredFile {
	const {uuid, name, version} = row(number);
	return {
		sha1: String(number).padStart(40, '0'),
		size: number,
		images: [{uuid, name, version}],
		storedAt: at,
		lastUsedAt: at,
		stays: number % 2 === 0 ? ['pinned'] : [],
	};
}

const reason = {source: 'upstream', why: 'age', until: at} as const;

export class FakeOperate implements OperateApi {
	readonly calls: unknown[][] = [];
	images: readonly ImageRow[] = [row(1), row(2, {here: 'here', held: reason})];
	stored: readonly StoredFile[] = [storedFile(1), storedFile(2)];
	/** What `verify` does. */
	verifying: (signal: AbortSignal) => AsyncGenerator<VerifyEvent, void, undefined> = async function* () {
		await Promise.resolve();
		yield {what: 'begin', files: 1, bytes: 5};
		yield {what: 'end', right: 1, wrong: 0, unreadable: 0};
	};

	async rows(): Promise<readonly ImageRow[]> {
		this.calls.push(['rows']);
		return this.images;
	}

	async details(uuid: Uuid): Promise<ImageDetails> {
		this.calls.push(['details', uuid]);
		const found = this.#find(uuid);
		return {
			...found,
			manifest: {v: 2, uuid, name: found.name, version: found.version},
			origins: [{uuid: uuidNumber(99)}],
			dependents: this.images.slice(0, 1),
			files: [{sha1: 'a', size: 5, here: 'here', storedAt: at, stays: ['pinned']}],
		};
	}

	transfers(): readonly TransferReport[] {
		const {uuid, name, version} = row(1);
		const image = {uuid, name, version};
		return [
			{
				...{image, sha1: 'a', size: 10, written: 5, resumedFrom: 0, followers: 2, source: 'upstream'},
				...{waiting: false, background: false, since: at, bytesPerSecond: 1.5, etaMs: 3000},
			},
		];
	}

	sources(): ReturnType<OperateApi['sources']> {
		return [
			{
				...{name: 'upstream', kind: 'imgapi', urls: ['http://upstream'], images: 2, held: 1, vanished: 0},
				...{skipped: 0, reasons: [], fetchedAt: at, ageMs: 5, fresh: true},
				health: {
					...{state: 'up', since: at, lastSuccessAt: at, consecutiveFailures: 0, latencyMs: 1.5},
					...{requests: 7, failures: 0, marks: 0},
				},
			},
		];
	}

	conflicts(): readonly object[] {
		return [{uuid: uuidNumber(1)}];
	}

	storage(): Promise<StorageReport> {
		this.calls.push(['storage']);
		return Promise.resolve({
			...{files: 2, bytes: 3, partials: 0, partialBytes: 0, reservedBytes: 0, freeBytes: 9},
			limits: {minFreeBytes: 1, maxBytes: 100},
			byReason: {pinned: 2, 'free-to-go': 1},
			all: this.stored,
			next: {files: 0, bytes: 0, because: 'there is room'},
			quarantine: [{name: 'x', size: 1, since: at, note: {source: 'upstream'}}],
			scrub: {
				...{running: false, files: 0, filesDone: 0, bytes: 0, bytesDone: 0, wrong: 0, nextAt: at},
				damaged: [{uuid: uuidNumber(1), name: 'x', sha1: 'a', since: at}],
			},
		});
	}

	failures(): ReturnType<OperateApi['failures']> {
		return [{id: 1, type: 'transfer.failed', at, problem: 'it broke', source: 'upstream'}];
	}

	held(): readonly HeldReport[] {
		return [this.#held(uuidNumber(2))];
	}

	pin(uuid: Uuid, by: Operator, ask: Ask): Promise<PinOutcome> {
		this.calls.push(['pin', uuid, by, ask.requestId]);
		return this.#pinned(uuid);
	}

	unpin(uuid: Uuid, by: Operator): Promise<PinOutcome> {
		this.calls.push(['unpin', uuid, by]);
		return this.#pinned(uuid);
	}

	evict(uuids: readonly Uuid[], options: {readonly force: boolean}, by: Operator): Promise<readonly EvictOutcome[]> {
		this.calls.push(['evict', uuids, options, by]);
		return Promise.resolve(uuids.map(uuid => ({uuid, bytes: 5})));
	}

	hold(uuid: Uuid, note: string | undefined, by: Operator): Promise<HeldReport> {
		this.calls.push(['hold', uuid, note, by]);
		return Promise.resolve(this.#held(uuid));
	}

	release(uuid: Uuid, by: Operator): Promise<readonly Uuid[]> {
		this.calls.push(['release', uuid, by]);
		return Promise.resolve([uuid]);
	}

	refresh(source: string | undefined): ReturnType<OperateApi['refresh']> {
		this.calls.push(['refresh', source]);
		if (source !== undefined && source !== 'upstream') {
			return Promise.reject(new NotFoundError(`there is no source ${source}`));
		}
		return Promise.resolve([{source: 'upstream', problem: 'it does not answer'}]);
	}

	verify(
		options: {readonly uuids: readonly Uuid[]; readonly bytesPerSecond: number},
		signal: AbortSignal,
	): AsyncGenerator<VerifyEvent, void, undefined> {
		this.calls.push(['verify', options]);
		return this.verifying(signal);
	}

	#find(uuid: Uuid): ImageRow {
		const found = this.images.find(image => image.uuid === uuid);
		if (found === undefined) {
			throw new NotFoundError(`image ${uuid} not found`);
		}
		return found;
	}

	async #pinned(uuid: Uuid): Promise<PinOutcome> {
		await Promise.resolve();
		this.#find(uuid);
		return {uuid, chain: [{uuid, name: 'x', here: true}], unchanged: false};
	}

	#held(uuid: Uuid): HeldReport {
		return {uuid, name: 'x', version: '1', publishedAt: at, firstSeenAt: at, reasons: [reason]};
	}
}

const plan: PrefetchPlan = {
	images: [{uuid: uuidNumber(1), name: 'x', version: '1', size: 5, here: false}],
	...{bytes: 5, bytesToFetch: 5, leftOut: 0, missing: []},
};

export class FakePrefetch implements PrefetchApi {
	readonly calls: unknown[][] = [];
	fetching: (signal: AbortSignal) => AsyncGenerator<PrefetchEvent, void, undefined> = async function* () {
		await Promise.resolve();
		yield {what: 'plan', plan};
		yield {what: 'done', uuid: uuidNumber(1), outcome: 'fetched'};
		yield {what: 'end', fetched: 1, there: 0, failed: 0, bytes: 5, ms: 1};
	};

	rules(): readonly RuleReport[] {
		return [
			{
				...{name: 'newest', chooses: 'the newest of each', images: 2, imagesHere: 1, bytes: 5, bytesHere: 2},
				...{running: false, waiting: true, nextRunAt: at},
			},
		];
	}

	plan(selection: Selection): PrefetchPlan {
		this.calls.push(['plan', selection]);
		return plan;
	}

	fetch(
		selection: Selection,
		options: {readonly bytesPerSecond: number; readonly concurrent: number},
		signal: AbortSignal,
	): AsyncGenerator<PrefetchEvent, void, undefined> {
		this.calls.push(['fetch', selection, options]);
		return this.fetching(signal);
	}

	run(rule: string): void {
		this.calls.push(['run', rule]);
		if (rule !== 'newest') {
			throw new NotFoundError(`there is no rule ${rule}`);
		}
	}
}

export class FakeHistory implements HistoryApi {
	readonly calls: number[] = [];

	report(hours: number): HistoryReport {
		this.calls.push(hours);
		return {
			...{stepMs: 60_000, from: at, to: at},
			points: [
				{
					...{at, ms: 60_000, requests: 3, errors: 0, out: {hit: 5}, in: {upstream: 5}, files: {hit: 1}},
					...{connections: 1, storeBytes: 5},
				},
			],
			sources: {upstream: {points: [{at, state: 'up', latencyMs: 1}], changes: [{at, state: 'up'}]}},
		};
	}
}

export class FakeLog implements LogLines {
	kept: readonly {readonly level: number; readonly time: string; readonly msg: string}[] = [
		{level: 30, time: at, msg: 'one'},
		{level: 40, time: at, msg: 'two'},
	];
	readonly asked: object[] = [];
	readonly listeners = new Set<(line: {readonly level: number}) => void>();

	lines(options: {readonly level: LogLevel; readonly last: number}): readonly object[] {
		this.asked.push(options);
		return this.kept.slice(-options.last);
	}

	listen(listener: (line: {readonly level: number}) => void): () => void {
		this.listeners.add(listener);
		return () => {
			this.listeners.delete(listener);
		};
	}

	say(level: number, msg: string): void {
		for (const listener of [...this.listeners]) {
			listener({level, ...{time: at, msg}});
		}
	}
}
