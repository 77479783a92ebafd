/**
 * The last lines of the log, for whoever asks later or watches.
 *
 * The logger feeds it (`createLogger`); HTTP reads it and follows. It holds what the log's level lets through, as much
 * as fits in its bounds: the oldest lines go first.
 */
import type {LogLevel} from './host.js';

/** One line as pino writes it. */
export interface LogEntry {
	/** pino's number: 30 is info. */
	readonly level: number;
	/** ISO 8601. */
	readonly time: string;
	readonly msg?: string;
	readonly [field: string]: unknown;
}

export interface LogTailOptions {
	/** So many lines are kept. */
	readonly lines?: number;
	/** Of all lines together. */
	readonly maxBytes?: number;
}

/** pino's. */
const levels: Readonly<Record<LogLevel, number>> = {
	trace: 10,
	debug: 20,
	info: 30,
	warn: 40,
	error: 50,
	fatal: 60,
	silent: Infinity,
};

/** More than that of one line is of no use to anybody, and leaves no room for others. */
const longestLine = 32 * 1024;
const keptOfMessage = 1000;

export class LogTail {
	readonly #maxLines: number;
	readonly #maxBytes: number;
	/** As text, which takes a fraction of the room that objects do. */
	readonly #lines: string[] = [];
	readonly #listeners = new Set<(entry: LogEntry) => void>();
	#bytes = 0;
	#telling = false;

	constructor({lines = 2000, maxBytes = 2 * 1024 * 1024}: LogTailOptions = {}) {
		this.#maxLines = lines;
		this.#maxBytes = maxBytes;
	}

	/** Takes one line, with or without its end. */
	feed(text: string): void {
		const line = shortened(text.trimEnd());
		this.#lines.push(line);
		this.#bytes += line.length;
		while (this.#lines.length > this.#maxLines || (this.#bytes > this.#maxBytes && this.#lines.length > 1)) {
			this.#bytes -= this.#lines.shift()?.length ?? 0;
		}
		this.#tell(line);
	}

	/** Those of that level and above, oldest first; the last so many of them. */
	lines({
		level = 'trace',
		last = Infinity,
	}: {readonly level?: LogLevel; readonly last?: number} = {}): readonly LogEntry[] {
		const found: LogEntry[] = [];
		for (let at = this.#lines.length - 1; at >= 0 && found.length < last; at--) {
			const entry = parse(this.#lines[at] ?? '');
			if (isAtLeast(entry, level)) {
				found.push(entry);
			}
		}
		return found.reverse();
	}

	/** Calls `listener` with every line from now on, in the tick it is written. Returns how to end that. */
	listen(listener: (entry: LogEntry) => void): () => void {
		this.#listeners.add(listener);
		return () => {
			this.#listeners.delete(listener);
		};
	}

	#tell(line: string): void {
		// A listener that logs would otherwise hear itself for ever.
		if (this.#listeners.size === 0 || this.#telling) {
			return;
		}
		this.#telling = true;
		try {
			const entry = parse(line);
			for (const listener of [...this.#listeners]) {
				try {
					listener(entry);
				} catch {
					// Whoever listens has nothing to do with whoever logs.
				}
			}
		} finally {
			this.#telling = false;
		}
	}
}

/** Whether that line is to be shown to somebody who wants lines of that level and above. */
export function isAtLeast({level}: LogEntry, wanted: LogLevel): boolean {
	return level >= levels[wanted];
}

function shortened(line: string): string {
	if (line.length <= longestLine) {
		return line;
	}
	const {level, time, msg = ''} = parse(line);
	return JSON.stringify({level, time, msg: `${msg.slice(0, keptOfMessage)}…`, charactersLeftOut: line.length});
}

/** pino's own text: always such an object. */
function parse(line: string): LogEntry {
	return JSON.parse(line) as LogEntry;
}
