/**
 * A `Host` for tests: a clock that stands still, metrics of its own, a log that is kept instead of printed.
 *
 * A test hands it to the part it tries and reads `lines`, or waits with `logged` for a line to be written.
 */
import {createLogger, Events, Metrics, type Clock, type Host, type LogLevel} from '../../src/host.js';
import {Troubles} from '../../src/host-troubles.js';
import {ManualClock} from './manual-clock.js';

/** One line of the log as pino writes it. */
export interface LogLine {
	readonly level: number;
	readonly time: string;
	readonly msg: string;
	readonly [field: string]: unknown;
}

/** A line's text as JSON matches, or every field named is equal. */
export type LinePattern = RegExp | Readonly<Record<string, unknown>>;

export interface TestHost<C extends Clock = ManualClock> extends Host {
	readonly clock: C;
	readonly lines: readonly LogLine[];
	/** Resolves with the first line that fits, written already or yet to come. */
	logged(pattern: LinePattern): Promise<LogLine>;
	/** Those written so far that fit. */
	linesLike(pattern: LinePattern): readonly LogLine[];
	/** The number that a metric has now; 0 where it has none under these labels. */
	metric(name: string, labels?: Readonly<Record<string, string>>): Promise<number>;
}

export interface TestHostOptions<C extends Clock> {
	readonly clock?: C;
	readonly logLevel?: LogLevel;
	/** As Math.random; 0.5 for ever unless given. */
	readonly random?: () => number;
}

export function testHost(options?: Omit<TestHostOptions<ManualClock>, 'clock'>): TestHost;
export function testHost<C extends Clock>(options: TestHostOptions<C> & {readonly clock: C}): TestHost<C>;
export function testHost(options: TestHostOptions<Clock> = {}): TestHost<Clock> {
	const lines: LogLine[] = [];
	const waiting = new Set<(line: LogLine) => void>();
	const log = createLogger({
		level: options.logLevel ?? 'trace',
		format: 'json',
		write(text) {
			const line = JSON.parse(text) as LogLine;
			lines.push(line);
			for (const look of [...waiting]) {
				look(line);
			}
		},
	});
	const metrics = new Metrics();
	const clock = options.clock ?? new ManualClock();
	const events = new Events(clock);
	metrics.countEvents(events);
	return {
		clock,
		log,
		metrics,
		events,
		troubles: new Troubles(),
		random: options.random ?? (() => 0.5),
		lines,
		linesLike: pattern => lines.filter(line => fits(line, pattern)),
		logged(pattern) {
			const written = lines.find(line => fits(line, pattern));
			if (written !== undefined) {
				return Promise.resolve(written);
			}
			return new Promise(resolve => {
				const look = (line: LogLine): void => {
					if (fits(line, pattern)) {
						waiting.delete(look);
						resolve(line);
					}
				};
				waiting.add(look);
			});
		},
		async metric(name, labels = {}) {
			const found = (await metrics.registry.getSingleMetric(name)?.get())?.values ?? [];
			return found
				.filter(value => Object.entries(labels).every(([label, wanted]) => value.labels[label] === wanted))
				.reduce((sum, value) => sum + value.value, 0);
		},
	};
}

function fits(line: LogLine, pattern: LinePattern): boolean {
	return pattern instanceof RegExp
		? pattern.test(JSON.stringify(line))
		: Object.entries(pattern).every(([field, wanted]) => JSON.stringify(line[field]) === JSON.stringify(wanted));
}
