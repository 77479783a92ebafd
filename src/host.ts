/**
 * What is not about images: the clock, the log and the metrics.
 *
 * `assemble.ts` makes one `Host` for a mirror and hands it to every part; tests bring their own clock. pino has
 * its only door here.
 */
import {pino, type DestinationStream, type LevelWithSilent, type Logger as PinoLogger} from 'pino';
import {eventTypes, type Events} from './host-events.js';
import type {LogTail} from './host-log.js';
import type {Troubles} from './host-troubles.js';
import {Counter, Gauge, Histogram, Registry, collectProcessMetrics} from './host-prometheus.js';

export {LogTail, type LogEntry} from './host-log.js';
export {Events, eventTypes, type EventAbout, type EventImage, type EventType, type MirrorEvent} from './host-events.js';

export interface Timer {
	cancel(): void;
}

export interface Clock {
	/** Milliseconds since the epoch. */
	now(): number;
	/** Calls `run` once, `delayMs` from now, unless cancelled. Keeps no process alive. */
	after(delayMs: number, run: () => void): Timer;
}

export type Logger = PinoLogger;
export type LogLevel = LevelWithSilent;

export interface Host {
	readonly clock: Clock;
	readonly log: Logger;
	readonly metrics: Metrics;
	readonly events: Events;
	readonly troubles: Troubles;
	/** As Math.random; tests bring a fixed one. */
	readonly random: () => number;
}

/** The clock of the machine. */
export const systemClock: Clock = {
	now: () => Date.now(),
	after(delayMs, run) {
		// setTimeout fires at once for anything over 2^31-1.
		const timer = setTimeout(run, Math.min(Math.max(0, delayMs), 2_147_483_647));
		timer.unref();
		return {
			cancel() {
				clearTimeout(timer);
			},
		};
	},
};

/** Resolves after `delayMs` on that clock; rejects with the signal's reason when aborted before. */
export function pause(clock: Clock, delayMs: number, signal?: AbortSignal): Promise<void> {
	return new Promise((resolve, reject) => {
		if (signal?.aborted) {
			reject(signal.reason as Error);
			return;
		}
		const onAbort = (): void => {
			timer.cancel();
			reject(signal?.reason as Error);
		};
		const timer = clock.after(delayMs, () => {
			signal?.removeEventListener('abort', onAbort);
			resolve();
		});
		signal?.addEventListener('abort', onAbort, {once: true});
	});
}

/** How a log line looks: for a person at a terminal, or for a program. */
export type LogFormat = 'text' | 'json';

export function createLogger(options: {
	readonly level: LogLevel;
	readonly format: LogFormat;
	readonly write: (line: string) => void;
	/** Is given every line as well. */
	readonly tail?: LogTail;
}): Logger {
	const destination: DestinationStream = {
		write(line) {
			options.tail?.feed(line);
			options.write(options.format === 'json' ? line : textLine(line));
		},
	};
	return pino({level: options.level, base: null, timestamp: pino.stdTimeFunctions.isoTime}, destination);
}

/** One pino line as `2026-01-02T03:04:05.678Z warn  message key=value …`. */
function textLine(line: string): string {
	const {level, time, msg, ...rest} = JSON.parse(line) as {level: number; time: string; msg?: string};
	const fields = Object.entries(rest as Record<string, unknown>).flatMap(([key, value]) => {
		if (key === 'err' && typeof value === 'object' && value !== null && 'stack' in value) {
			return [`\n${String(value.stack)}`];
		}
		const isGroup = typeof value === 'object' && value !== null && !Array.isArray(value);
		return isGroup
			? Object.entries(value).map(([name, member]) => textField(`${key}.${name}`, member))
			: [textField(key, value)];
	});
	return `${[time, (pino.levels.labels[level] ?? 'info').padEnd(5), msg ?? '', ...fields].join(' ')}\n`;
}

function textField(key: string, value: unknown): string {
	const text = typeof value === 'string' ? value : JSON.stringify(value);
	return `${key}=${/^[^\s"]+$/.test(text) ? text : JSON.stringify(text)}`;
}

/** Every number that the mirror keeps about itself. One registry each, so two mirrors in a process never meet. */
export class Metrics {
	readonly registry = new Registry();
	#process: Promise<void> | undefined;

	readonly requests = this.#counter('imgmirror_requests_total', 'Requests answered.', ['route', 'method', 'status']);
	readonly requestSeconds = this.#histogram(
		'imgmirror_request_seconds',
		'Time until the answer was sent whole.',
		['route'],
		[0.001, 0.005, 0.02, 0.1, 0.5, 2, 10, 60, 600],
	);
	readonly bytesToClients = this.#counter('imgmirror_client_bytes_total', 'File bytes sent to clients.', ['cache']);
	readonly bytesFromSources = this.#counter('imgmirror_source_bytes_total', 'File bytes had from sources.', ['source']);
	readonly sourceRequests = this.#counter('imgmirror_source_requests_total', 'Requests to sources, by outcome.', [
		'source',
		'what',
		'outcome',
	]);
	readonly sourceSeconds = this.#histogram(
		'imgmirror_source_seconds',
		'Time until a source answered (a file: until its first byte).',
		['source', 'what'],
		[0.005, 0.02, 0.1, 0.5, 2, 10, 30, 120],
	);
	readonly sourceUp = this.#gauge('imgmirror_source_up', '1 while the last contact with the source went well.', [
		'source',
	]);
	readonly catalogImages = this.#gauge('imgmirror_catalog_images', 'Images in the list of a source.', ['source']);
	readonly catalogAgeSeconds = this.#gauge('imgmirror_catalog_age_seconds', 'Age of the list of a source.', ['source']);
	readonly catalogSkipped = this.#gauge('imgmirror_catalog_skipped', 'Entries of a list that could not be used.', [
		'source',
	]);
	readonly catalogMerged = this.#gauge('imgmirror_catalog_merged_images', 'Images in the merged list.', []);
	readonly catalogConflicts = this.#gauge(
		'imgmirror_catalog_conflicts',
		'Images that two sources list with different files.',
		[],
	);
	readonly transfersRunning = this.#gauge('imgmirror_transfers_running', 'Transfers from sources under way.', []);
	readonly transfersWaiting = this.#gauge('imgmirror_transfers_waiting', 'Transfers waiting for their turn.', []);
	/** `state`: running, waiting. */
	readonly transfersBackground = this.#gauge(
		'imgmirror_transfers_background',
		'Transfers that no client waits for, by state.',
		['state'],
	);
	readonly transfers = this.#counter('imgmirror_transfers_total', 'Transfers that ended, by outcome.', ['outcome']);
	readonly followers = this.#gauge('imgmirror_followers', 'Clients reading files that are still arriving.', []);
	readonly verificationFailures = this.#counter(
		'imgmirror_verification_failures_total',
		'Files that were not what their digest says.',
		['source'],
	);
	readonly storeBytes = this.#gauge('imgmirror_store_bytes', 'Bytes of whole files held.', []);
	readonly storeBlobs = this.#gauge('imgmirror_store_blobs', 'Whole files held.', []);
	readonly storeFreeBytes = this.#gauge('imgmirror_store_free_bytes', 'Free bytes on the disk of the store.', []);
	readonly quarantineBytes = this.#gauge(
		'imgmirror_quarantine_bytes',
		'Bytes of wrong files kept to be looked at.',
		[],
	);
	readonly diskErrors = this.#counter('imgmirror_disk_errors_total', 'Writes that the disk refused.', ['code']);
	readonly connections = this.#gauge('imgmirror_connections', 'Client connections open.', []);
	readonly certificateEnd = this.#gauge(
		'imgmirror_certificate_expires_timestamp_seconds',
		'When the certificate of a listener runs out, in seconds since 1970.',
		['address'],
	);

	// What is kept, and what goes.
	readonly storeLimitBytes = this.#gauge(
		'imgmirror_store_limit_bytes',
		'Bytes that files may take, by the size limit and the free space together; +Inf where nothing limits them.',
		[],
	);
	readonly storeReservedBytes = this.#gauge(
		'imgmirror_store_reserved_bytes',
		'Bytes promised to transfers under way and not yet written.',
		[],
	);
	readonly storePartials = this.#gauge('imgmirror_store_partials', 'Files that are here in part.', []);
	readonly storePartialBytes = this.#gauge(
		'imgmirror_store_partial_bytes',
		'Bytes of files that are here in part.',
		[],
	);
	/** `reason`: limit, floor (free space), age, operator. */
	readonly evictions = this.#counter(
		'imgmirror_evictions_total',
		'Files deleted to make room, or as too long unused.',
		['reason'],
	);
	readonly evictedBytes = this.#counter('imgmirror_evicted_bytes_total', 'Bytes of the files deleted so.', ['reason']);
	readonly diskLow = this.#gauge('imgmirror_disk_low', '1 while the disk has less room than it must have left.', []);
	readonly pinnedImages = this.#gauge('imgmirror_pinned_images', 'Images that operators pinned.', []);
	readonly heldImages = this.#gauge('imgmirror_held_images', 'Images of sources that are not offered yet.', []);
	readonly damagedImages = this.#gauge(
		'imgmirror_damaged_images',
		'Published images whose file is wrong on our own disk, with no other to be had, or whose record cannot be read.',
		[],
	);
	readonly scrubbedBytes = this.#counter('imgmirror_scrubbed_bytes_total', 'Bytes of files read again.', []);
	/** `outcome`: refetching, lost, unreadable. */
	readonly scrubFailures = this.#counter(
		'imgmirror_scrub_failures_total',
		'Files that were not right when read again, by what became of them.',
		['outcome'],
	);

	// What is done without being asked, and told without being asked.
	readonly prefetchWanted = this.#gauge('imgmirror_prefetch_wanted_images', 'Images that a rule wants.', ['rule']);
	readonly prefetchMissing = this.#gauge('imgmirror_prefetch_missing_images', 'Of these, those that are not here.', [
		'rule',
	]);
	/** `outcome`: done, failed, stopped. */
	readonly prefetchRuns = this.#counter('imgmirror_prefetch_runs_total', 'Runs of a rule that ended, by outcome.', [
		'rule',
		'outcome',
	]);
	/** `outcome`: delivered, failed, given-up, dropped. */
	readonly webhookDeliveries = this.#counter(
		'imgmirror_webhook_deliveries_total',
		'Attempts to tell a webhook of something, by outcome; dropped and given up are messages.',
		['hook', 'outcome'],
	);
	readonly webhookQueue = this.#gauge('imgmirror_webhook_queue', 'Messages that a webhook has still to be told.', [
		'hook',
	]);
	readonly events = this.#counter('imgmirror_events_total', 'What happened, by type of event.', ['type']);

	readonly fileRequests = this.#counter(
		'imgmirror_file_requests_total',
		'Requests for files that were answered with bytes of them, by where these came from.',
		['cache'],
	);
	readonly bytesFromClients = this.#counter(
		'imgmirror_received_bytes_total',
		'Bytes of bodies that clients sent: uploads, mostly.',
		[],
	);
	readonly ready = this.#gauge('imgmirror_ready', '1 while the mirror is ready to serve.', []);
	readonly warnings = this.#gauge('imgmirror_warnings', 'Things to look at that keep nobody from being served.', []);
	readonly buildInfo = this.#gauge('imgmirror_build_info', 'Always 1; the labels say what is running.', [
		'version',
		'node',
	]);

	constructor() {
		// A counter that appears with its first count has not risen, as Prometheus sees it.
		const zero = (counter: Counter, values: readonly string[]): void => {
			for (const value of values) {
				counter.labels(value).inc(0);
			}
		};
		const caches = ['hit', 'join', 'miss', 'stale', 'local', 'pass'];
		zero(this.bytesToClients, caches);
		zero(this.fileRequests, caches);
		zero(this.transfers, ['done', 'uncached', 'suspended', 'failed']);
		zero(this.diskErrors, ['ENOSPC', 'EIO']);
		zero(this.evictions, ['limit', 'floor', 'age', 'operator']);
		zero(this.evictedBytes, ['limit', 'floor', 'age', 'operator']);
		zero(this.scrubFailures, ['refetching', 'lost', 'unreadable']);
		zero(this.events, eventTypes);
		for (const state of ['running', 'waiting']) {
			this.transfersBackground.set({state}, 0);
		}
	}

	/** Counts all that happens from now on. Returns how to end that. */
	countEvents(events: Events): () => void {
		return events.listen(({type}) => {
			this.events.inc({type});
		});
	}

	/** Node's own numbers (memory, event loop, garbage collection) beside ours, from soon on. */
	collectProcess(): void {
		this.#process = collectProcessMetrics(this.registry);
	}

	/** As Prometheus reads it. */
	async text(): Promise<string> {
		await this.#process;
		return this.registry.metrics();
	}

	#counter<const T extends string>(name: string, help: string, labelNames: readonly T[]): Counter<T> {
		return new Counter({name, help, labelNames: [...labelNames], registers: [this.registry]});
	}

	#gauge<const T extends string>(name: string, help: string, labelNames: readonly T[]): Gauge<T> {
		return new Gauge({name, help, labelNames: [...labelNames], registers: [this.registry]});
	}

	#histogram<const T extends string>(
		name: string,
		help: string,
		labelNames: readonly T[],
		buckets: number[],
	): Histogram<T> {
		return new Histogram({name, help, labelNames: [...labelNames], buckets, registers: [this.registry]});
	}
}
