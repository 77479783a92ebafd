/**
 * How far several files are at once, on stderr: a bar for each and one for all on a terminal, lines in a log.
 *
 * cli-progress draws the bars; what they say is `progress.ts`'s.
 */
import {MultiBar, type SingleBar} from 'cli-progress';
import type {Clock} from '../host.js';
import type {CliIo} from './io.js';
import {Rate, barText, lineMs, standing, terminal} from './progress.js';
import {clipped, printable} from './words.js';

export interface FilesProgress {
	/** Bytes of all together. */
	start(total: number): void;
	/** One is on its way. */
	begin(id: string, label: string, total: number): void;
	/** So many bytes of it are here. */
	update(id: string, done: number): void;
	/** It is on its way no more, however it ended. */
	finish(id: string): void;
	/** One line that stays. */
	say(text: string): void;
	/** What is seen goes; may be called at any time, and again. */
	end(): void;
}

interface ProgressOptions {
	readonly io: CliIo;
	readonly clock: Clock;
	readonly quiet: boolean;
	/** What all of it is about. */
	readonly label: string;
}

export function showFiles({io, clock, quiet, label}: ProgressOptions): FilesProgress {
	if (quiet) {
		const nothing = (): void => undefined;
		return {start: nothing, begin: nothing, update: nothing, finish: nothing, say: nothing, end: nothing};
	}
	return io.stderr.isTTY === true ? new Bars(io, clock, label) : new Lines(io, clock, label);
}

/** One, or all of them. */
class Standing {
	readonly label: string;
	readonly rate: Rate;
	readonly total: number;
	done = 0;
	bar: SingleBar | undefined;

	constructor(label: string, total: number, clock: Clock) {
		this.label = printable(label);
		this.total = total;
		this.rate = new Rate(clock);
		this.rate.add(0);
	}

	update(done: number): void {
		this.done = done;
		this.rate.add(done);
	}

	get words(): string {
		return standing(this.done, this.total, this.rate.perSecond());
	}
}

/** Those under way, and their sum with those that are done. */
class Sum {
	readonly #clock: Clock;
	readonly files = new Map<string, Standing>();
	all: Standing;
	/** Of files that are done. */
	#bytes = 0;

	constructor(clock: Clock, label: string) {
		this.#clock = clock;
		this.all = new Standing(label, 0, clock);
	}

	start(total: number): void {
		this.all = new Standing(this.all.label, total, this.#clock);
	}

	begin(id: string, label: string, total: number): Standing {
		const file = new Standing(label, total, this.#clock);
		this.files.set(id, file);
		return file;
	}

	update(id: string, done: number): void {
		this.files.get(id)?.update(done);
		this.#add();
	}

	finish(id: string): Standing | undefined {
		const file = this.files.get(id);
		this.files.delete(id);
		this.#bytes += file?.done ?? 0;
		this.#add();
		return file;
	}

	#add(): void {
		this.all.update([...this.files.values()].reduce((sum, {done}) => sum + done, this.#bytes));
	}
}

const labelWidth = 28;

class Bars implements FilesProgress {
	readonly #io: CliIo;
	readonly #sum: Sum;
	#bars: MultiBar | undefined;

	constructor(io: CliIo, clock: Clock, label: string) {
		this.#io = io;
		this.#sum = new Sum(clock, label);
	}

	start(total: number): void {
		this.end();
		this.#sum.start(total);
		this.#bars = new MultiBar({
			stream: terminal(this.#io),
			clearOnComplete: true,
			// Lines that are said move the bars down: all of them are drawn again.
			forceRedraw: true,
			fps: 5,
		});
		this.#draw(this.#sum.all);
	}

	begin(id: string, label: string, total: number): void {
		this.#draw(this.#sum.begin(id, clipped(label, labelWidth), total));
	}

	update(id: string, done: number): void {
		this.#sum.update(id, done);
	}

	finish(id: string): void {
		const bar = this.#sum.finish(id)?.bar;
		if (bar !== undefined) {
			this.#bars?.remove(bar);
		}
	}

	say(text: string): void {
		const line = printable(text);
		if (this.#bars === undefined) {
			this.#io.stderr.write(`${line}\n`);
		} else {
			// To the end of the line: a bar has been there.
			this.#bars.log(`${line}\u001b[K\n`);
		}
	}

	end(): void {
		// What has been said and not been drawn yet would be lost.
		this.#bars?.update();
		this.#bars?.stop();
		this.#bars = undefined;
	}

	#draw(standing: Standing): void {
		// The number is of no use to us: what is shown is made when it is drawn.
		standing.bar = this.#bars?.create(1, 0, {}, {format: () => this.#text(standing)});
	}

	#text({label, done, total, words}: Standing): string {
		const progress = total === 0 ? 0 : Math.min(1, done / total);
		return barText({label: label.padEnd(labelWidth), progress, rest: words, columns: this.#io.stderr.columns ?? 80});
	}
}

class Lines implements FilesProgress {
	readonly #io: CliIo;
	readonly #clock: Clock;
	readonly #sum: Sum;
	#lastAt = 0;

	constructor(io: CliIo, clock: Clock, label: string) {
		this.#io = io;
		this.#clock = clock;
		this.#sum = new Sum(clock, label);
	}

	start(total: number): void {
		this.#sum.start(total);
		this.#lastAt = this.#clock.now();
	}

	begin(id: string, label: string, total: number): void {
		this.#sum.begin(id, label, total);
	}

	update(id: string, done: number): void {
		this.#sum.update(id, done);
		const now = this.#clock.now();
		if (now - this.#lastAt >= lineMs) {
			this.#lastAt = now;
			const {label, words} = this.#sum.all;
			this.say(`${label}: ${words}`);
			for (const file of this.#sum.files.values()) {
				this.say(`  ${file.label}: ${file.words}`);
			}
		}
	}

	finish(id: string): void {
		this.#sum.finish(id);
	}

	say(text: string): void {
		this.#io.stderr.write(`imgmirror: ${printable(text)}\n`);
	}

	end(): void {
		// Lines stay.
	}
}
