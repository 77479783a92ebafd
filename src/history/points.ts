/**
 * What one step of the history holds, and a row of such steps with a bound.
 *
 * `History` makes a step each minute and puts it into two rows: one as it is, one in which ten become one. Nothing here
 * knows the time or the disk.
 */
import type {CacheWord, SourceState} from './api.js';

export interface SourceSample {
	readonly state: SourceState;
	readonly latencyMs?: number | undefined;
	/** Of its list. */
	readonly ageMs?: number | undefined;
}

/** Numbers by name; what is 0 is not there. */
export type Tally = Readonly<Record<string, number>>;

export interface Step {
	/** When it ended, in milliseconds since the epoch. */
	readonly at: number;
	readonly ms: number;
	readonly requests: number;
	readonly errors: number;
	readonly out: Tally;
	readonly in: Tally;
	readonly files: Tally;
	readonly connections: number;
	readonly storeBytes: number;
	readonly sources: Readonly<Record<string, SourceSample>>;
}

export const cacheWords: readonly CacheWord[] = ['hit', 'join', 'miss', 'stale', 'local', 'pass'];

/** Two steps one after the other as one: what happened is added up, what is so is as the later one has it. */
export function joined(first: Step, second: Step): Step {
	return {
		...second,
		ms: first.ms + second.ms,
		requests: first.requests + second.requests,
		errors: first.errors + second.errors,
		out: sum(first.out, second.out),
		in: sum(first.in, second.in),
		files: sum(first.files, second.files),
		connections: Math.max(first.connections, second.connections),
	};
}

/** Steps in order of time, at most so many. */
export class Row {
	/** Steps that end within the same so many milliseconds become one; 0: none do. */
	readonly #stepMs: number;
	readonly #most: number;
	#steps: Step[] = [];

	constructor({stepMs, most}: {readonly stepMs: number; readonly most: number}) {
		this.#stepMs = stepMs;
		this.#most = most;
	}

	get steps(): readonly Step[] {
		return this.#steps;
	}

	/** A step that ends before others do means that the clock was put back: those others have yet to happen. */
	add(step: Step): void {
		this.#steps = this.#dropFrom(step.at);
		const last = this.#steps.at(-1);
		if (last !== undefined && this.#slot(last) === this.#slot(step)) {
			this.#steps[this.#steps.length - 1] = joined(last, step);
			return;
		}
		this.#steps.push(step);
		if (this.#steps.length > this.#most) {
			this.#steps.shift();
		}
	}

	/** Takes the place of all that is there; in any order. */
	restore(steps: readonly Step[]): void {
		const sorted = [...steps].sort((one, other) => one.at - other.at);
		this.#steps = sorted.filter(({at}, index) => at !== sorted[index + 1]?.at).slice(-this.#most);
	}

	#slot({at}: Step): number {
		// A step belongs to the time before its end.
		return this.#stepMs === 0 ? at : Math.ceil(at / this.#stepMs);
	}

	#dropFrom(at: number): Step[] {
		const last = this.#steps.at(-1);
		return last !== undefined && last.at > at ? this.#steps.filter(step => step.at <= at) : this.#steps;
	}
}

function sum(first: Tally, second: Tally): Tally {
	const names = new Set([...Object.keys(first), ...Object.keys(second)]);
	return Object.fromEntries([...names].map(name => [name, (first[name] ?? 0) + (second[name] ?? 0)]));
}
