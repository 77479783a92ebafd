/**
 * How far a command is, on stderr: a bar where somebody looks at a terminal, a line now and then in a log.
 *
 * cli-progress draws; rate and time left are reckoned here, over the last seconds, as lines are not steady.
 */
import {Writable} from 'node:stream';
import {SingleBar} from 'cli-progress';
import type {Clock} from '../host.js';
import type {CliIo} from './io.js';
import {humanBytes, humanTime, printable} from './words.js';

export interface Progress {
	/** Bytes in all; `undefined`: nobody knows. `done`: from before. */
	start(total: number | undefined, done?: number): void;
	update(done: number): void;
	/** One line that stays. */
	say(text: string): void;
	/** What is seen goes; may be called at any time, and again. */
	end(): void;
}

interface ProgressOptions {
	readonly io: CliIo;
	readonly clock: Clock;
	readonly quiet: boolean;
	/** What the bar is about. */
	readonly label: string;
}

export function showProgress({io, clock, quiet, label}: ProgressOptions): Progress {
	if (quiet) {
		return {start: () => undefined, update: () => undefined, say: () => undefined, end: () => undefined};
	}
	return io.stderr.isTTY === true ? new Bar(io, clock, printable(label)) : new Lines(io, clock, printable(label));
}

/** Over which the rate is measured. */
const windowMs = 10_000;

/** Bytes per second, lately. */
export class Rate {
	readonly #clock: Clock;
	#samples: {readonly at: number; readonly done: number}[] = [];

	constructor(clock: Clock) {
		this.#clock = clock;
	}

	add(done: number): void {
		const at = this.#clock.now();
		const last = this.#samples.at(-1);
		// What was lost on the way is sent again: that is no rate.
		if (last !== undefined && done < last.done) {
			this.#samples = [];
		}
		if (this.#samples.length > 1 && last !== undefined && at - last.at < 200) {
			this.#samples.pop();
		}
		this.#samples.push({at, done});
		while (this.#samples.length > 2 && at - (this.#samples[0]?.at ?? at) > windowMs) {
			this.#samples.shift();
		}
	}

	/** `undefined`: too early to say. */
	perSecond(): number | undefined {
		const [first] = this.#samples;
		const last = this.#samples.at(-1);
		if (first === undefined || last === undefined || last.at - first.at < 500) {
			return undefined;
		}
		return ((last.done - first.done) * 1000) / (last.at - first.at);
	}
}

export function standing(done: number, total: number | undefined, rate: number | undefined): string {
	const amount = total === undefined ? humanBytes(done) : `${humanBytes(done)} of ${humanBytes(total)}`;
	const speed = rate === undefined ? '' : `, ${humanBytes(rate)}/s`;
	const left =
		rate === undefined || rate <= 0 || total === undefined || done >= total
			? ''
			: `, ${humanTime(((total - done) * 1000) / rate)} left`;
	return amount + speed + left;
}

class Bar implements Progress {
	readonly #io: CliIo;
	readonly #label: string;
	readonly #clock: Clock;
	#rate: Rate;
	#bar: SingleBar | undefined;
	#total: number | undefined;
	#done = 0;

	constructor(io: CliIo, clock: Clock, label: string) {
		this.#io = io;
		this.#label = label;
		this.#clock = clock;
		this.#rate = new Rate(clock);
	}

	start(total: number | undefined, done = 0): void {
		this.end();
		this.#total = total;
		this.#done = done;
		this.#rate = new Rate(this.#clock);
		this.#rate.add(done);
		this.#draw();
	}

	update(done: number): void {
		this.#done = done;
		this.#rate.add(done);
		this.#bar?.update(done);
	}

	say(text: string): void {
		const shown = this.#bar !== undefined;
		this.end();
		this.#io.stderr.write(`${printable(text)}\n`);
		if (shown) {
			this.#draw();
		}
	}

	end(): void {
		this.#bar?.stop();
		this.#bar = undefined;
	}

	#draw(): void {
		const bar = new SingleBar({
			stream: terminal(this.#io),
			format: (_options, {progress}) => this.#text(progress),
			clearOnComplete: true,
			fps: 5,
		});
		// It wants a total; ours may not be known.
		bar.start(Math.max(1, this.#total ?? Number.MAX_SAFE_INTEGER), this.#done);
		this.#bar = bar;
	}

	#text(progress: number): string {
		const rest = standing(this.#done, this.#total, this.#rate.perSecond());
		if (this.#total === undefined) {
			return `${this.#label}  ${rest}`;
		}
		return barText({label: this.#label, progress, rest, columns: this.#io.stderr.columns ?? 80});
	}
}

/** A bar as wide as there is room for it; none where there is none. */
export function barText({
	label,
	progress,
	rest,
	columns,
}: {
	readonly label: string;
	readonly progress: number;
	readonly rest: string;
	readonly columns: number;
}): string {
	const width = Math.min(30, columns - label.length - rest.length - 12);
	const filled = Math.round(Math.max(0, width) * progress);
	const bar = width < 5 ? '' : `[${'='.repeat(filled)}${' '.repeat(width - filled)}] `;
	return `${label}  ${bar}${Math.floor(progress * 100)}%  ${rest}`;
}

/** As cli-progress wants it. */
export function terminal({stderr}: CliIo): Writable {
	const stream = new Writable({
		decodeStrings: false,
		write(text: string, _encoding, done) {
			stderr.write(text);
			done();
		},
	});
	return Object.assign(stream, {isTTY: true, columns: stderr.columns ?? 80});
}

/** How often a log hears of it. */
export const lineMs = 30_000;

class Lines implements Progress {
	readonly #io: CliIo;
	readonly #label: string;
	readonly #clock: Clock;
	#rate: Rate;
	#total: number | undefined;
	#lastAt = 0;

	constructor(io: CliIo, clock: Clock, label: string) {
		this.#io = io;
		this.#label = label;
		this.#clock = clock;
		this.#rate = new Rate(clock);
	}

	start(total: number | undefined, done = 0): void {
		this.#total = total;
		this.#lastAt = this.#clock.now();
		this.#rate = new Rate(this.#clock);
		this.#rate.add(done);
	}

	update(done: number): void {
		this.#rate.add(done);
		const now = this.#clock.now();
		if (now - this.#lastAt >= lineMs) {
			this.#lastAt = now;
			this.say(`${this.#label}: ${standing(done, this.#total, this.#rate.perSecond())}`);
		}
	}

	say(text: string): void {
		this.#io.stderr.write(`imgmirror: ${printable(text)}\n`);
	}

	end(): void {
		// Lines stay.
	}
}
