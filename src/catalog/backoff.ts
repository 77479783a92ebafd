/**
 * When to ask again after failures: each time twice as late, never quite at the same moment as others.
 *
 * Whoever asks a source reports `failed` or `succeeded` and leaves the source alone until `retryAt`.
 */
import type {Host} from '../host.js';

const firstMs = 1000;
const maxMs = 5 * 60_000;

export class Backoff {
	readonly #host: Host;
	#failures = 0;
	#retryAt = 0;

	constructor(host: Host) {
		this.#host = host;
	}

	/** In a row. */
	get failures(): number {
		return this.#failures;
	}

	/** `undefined`: may be asked now. */
	get retryAt(): number | undefined {
		const left = this.#retryAt - this.#host.clock.now();
		// More than we ever wait: the machine's clock was set back meanwhile.
		return left > 0 && left <= maxMs ? this.#retryAt : undefined;
	}

	/** How long to wait from now. */
	failed(): number {
		this.#failures++;
		const delayMs = firstMs * 2 ** (this.#failures - 1) * (0.75 + this.#host.random() / 2);
		const waitMs = Math.min(maxMs, Math.max(firstMs, Math.round(delayMs)));
		this.#retryAt = this.#host.clock.now() + waitMs;
		return waitMs;
	}

	succeeded(): void {
		this.#failures = 0;
		this.#retryAt = 0;
	}
}
