/**
 * So many bytes a second and no more, for all who share it: a source's line, or a rule's.
 *
 * A bucket that may go into debt: who is next in line goes as soon as there is anything in it, so no chunk is ever too
 * big, and what was taken too early is waited for afterwards. Over time it is exact.
 */
import type {Clock, Timer} from './host.js';

/** How much may come at once after a while in which nothing came: short enough for a shared line, long enough for timers. */
const burstSeconds = 0.1;

export class SteadyRate {
	readonly #clock: Clock;
	readonly #waiting = new Set<{readonly bytes: number; readonly go: () => void}>();
	#bytesPerSecond: number;
	#balance: number;
	#countedAt: number;
	#timer: Timer | undefined;

	/** `bytesPerSecond` 0: no limit. */
	constructor(clock: Clock, bytesPerSecond: number) {
		this.#clock = clock;
		this.#bytesPerSecond = bytesPerSecond;
		this.#balance = bytesPerSecond * burstSeconds;
		this.#countedAt = clock.now();
	}

	/** From now on. Who waits already waits by the new measure, too. */
	set(bytesPerSecond: number): void {
		this.#count();
		this.#bytesPerSecond = bytesPerSecond;
		this.#balance = Math.min(this.#balance, bytesPerSecond * burstSeconds);
		this.#timer?.cancel();
		this.#timer = undefined;
		this.#serve();
	}

	/** Resolves when that many bytes may be taken; those who came first go first. */
	readonly take = (bytes: number, signal: AbortSignal): Promise<void> =>
		new Promise((resolve, reject) => {
			if (signal.aborted) {
				reject(signal.reason as Error);
				return;
			}
			const onAbort = (): void => {
				this.#waiting.delete(entry);
				if (this.#waiting.size === 0) {
					this.#timer?.cancel();
					this.#timer = undefined;
				}
				reject(signal.reason as Error);
			};
			const entry = {
				bytes,
				go: () => {
					signal.removeEventListener('abort', onAbort);
					resolve();
				},
			};
			this.#waiting.add(entry);
			signal.addEventListener('abort', onAbort, {once: true});
			this.#serve();
		});

	#count(): void {
		const now = this.#clock.now();
		// A clock that was set back must not stop us.
		const elapsedMs = Math.max(0, now - this.#countedAt);
		this.#countedAt = now;
		const burst = this.#bytesPerSecond * burstSeconds;
		this.#balance = Math.min(burst, this.#balance + (elapsedMs * this.#bytesPerSecond) / 1000);
	}

	#serve(): void {
		this.#count();
		for (const entry of this.#waiting) {
			if (this.#bytesPerSecond > 0) {
				if (this.#balance <= 0) {
					break;
				}
				this.#balance -= entry.bytes;
			}
			this.#waiting.delete(entry);
			entry.go();
		}
		if (this.#waiting.size > 0 && this.#timer === undefined) {
			const debtMs = (-this.#balance / this.#bytesPerSecond) * 1000;
			this.#timer = this.#clock.after(Math.ceil(debtMs) + 1, () => {
				this.#timer = undefined;
				this.#serve();
			});
		}
	}
}
