/**
 * How many bytes have come in, how fast lately, and in how much time all in all.
 *
 * A transfer counts what it takes, and has the watch run while it may take some. Flights make an estimate of many.
 */
import type {Clock} from '../host.js';

const lately = 10_000;
const step = 1000;

export class Meter {
	readonly #clock: Clock;
	/** Whether anything but the source kept it from being faster. */
	slowed = false;
	/** What came in each second, the last few of them. */
	#steps: {readonly at: number; bytes: number}[] = [];
	#bytes = 0;
	#beganAtMs: number | undefined;
	#ranMs = 0;
	#runningSince: number | undefined;

	constructor(clock: Clock) {
		this.#clock = clock;
	}

	/** All that came. */
	get bytes(): number {
		return this.#bytes;
	}

	/** The time in which it came. */
	get ranMs(): number {
		const since = this.#runningSince;
		return this.#ranMs + (since === undefined ? 0 : Math.max(0, this.#clock.now() - since));
	}

	/** By what came in the last ten seconds, or since the beginning. */
	get bytesPerSecond(): number {
		const now = this.#clock.now();
		const bytes = this.#steps.filter(({at}) => isLately(at, now)).reduce((sum, one) => sum + one.bytes, 0);
		const ms = Math.min(lately, Math.max(step, now - (this.#beganAtMs ?? now)));
		return Math.round((bytes / ms) * 1000);
	}

	add(bytes: number): void {
		const now = this.#clock.now();
		this.#bytes += bytes;
		const last = this.#steps.at(-1);
		if (last !== undefined && now >= last.at && now - last.at < step) {
			last.bytes += bytes;
			return;
		}
		this.#steps = [...this.#steps.filter(({at}) => isLately(at, now)), {at: now, bytes}];
	}

	stop(): void {
		this.#ranMs = this.ranMs;
		this.#runningSince = undefined;
	}

	run(): void {
		this.#runningSince ??= this.#clock.now();
		this.#beganAtMs ??= this.#runningSince;
	}
}

/** What is later than now was counted before the clock was set back. */
function isLately(at: number, now: number): boolean {
	return at <= now && now - at < lately;
}
