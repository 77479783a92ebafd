/**
 * Slows down whoever guesses passwords, by address.
 *
 * After a few failures the attempts from there are checked one after another, each after a pause that grows. Only
 * attempts that have to be checked come here: whoever is known already is served at once, from wherever.
 */
import {UnauthorizedError} from '../errors.js';
import {pause, type Clock} from '../host.js';
import {neighbourhood} from './networks.js';

interface Attempts {
	failures: number;
	lastFailureMs: number;
	/** Waiting or being checked. */
	pending: number;
	/** Resolves when the last of those that wait has been checked. */
	last: Promise<void>;
}

const freeFailures = 5;
const firstDelayMs = 125;
const mostDelayMs = 2000;
const forgetAfterMs = 15 * 60_000;
/** Of one address. Each holds a connection, and would wait for a minute. */
const mostPending = 30;

export class SlowDown {
	readonly #clock: Clock;
	readonly #mostAddresses: number;
	/** In the order of their last failure. */
	readonly #addresses = new Map<string, Attempts>();

	constructor({clock, mostAddresses = 10_000}: {clock: Clock; mostAddresses?: number}) {
		this.#clock = clock;
		this.#mostAddresses = mostAddresses;
	}

	/** What `check` says, once it is this attempt's turn. Throws UnauthorizedError where too many wait already. */
	async attempt(address: string, check: () => Promise<boolean>): Promise<boolean> {
		const key = neighbourhood(address);
		const attempts = this.#attemptsOf(key);
		// Many who log in for the first time, after a restart of ours, are no reason to send anybody away.
		if (attempts.failures >= freeFailures && attempts.pending >= mostPending) {
			throw new UnauthorizedError('too many failed logins from this address: try again in a minute');
		}
		// Those under way may fail as well.
		const inTurn = attempts.failures + attempts.pending >= freeFailures;
		attempts.pending++;
		const turn = inTurn ? this.#inTurn(attempts, check) : check();
		if (inTurn) {
			attempts.last = turn.then(
				() => undefined,
				() => undefined,
			);
		}
		let fits: boolean | undefined;
		try {
			fits = await turn;
			return fits;
		} finally {
			attempts.pending--;
			this.#note(key, attempts, fits);
		}
	}

	/** Addresses remembered. */
	get size(): number {
		return this.#addresses.size;
	}

	async #inTurn(attempts: Attempts, check: () => Promise<boolean>): Promise<boolean> {
		await attempts.last;
		const over = attempts.failures - freeFailures;
		if (over >= 0) {
			await pause(this.#clock, Math.min(mostDelayMs, firstDelayMs * 2 ** Math.min(over, 10)));
		}
		return check();
	}

	#attemptsOf(key: string): Attempts {
		const found = this.#addresses.get(key);
		if (found !== undefined) {
			if (this.#clock.now() - found.lastFailureMs > forgetAfterMs) {
				found.failures = 0;
			}
			return found;
		}
		const attempts = {failures: 0, lastFailureMs: 0, pending: 0, last: Promise.resolve()};
		this.#addresses.set(key, attempts);
		this.#makeRoom();
		return attempts;
	}

	#note(key: string, attempts: Attempts, fits: boolean | undefined): void {
		if (fits === false) {
			attempts.failures++;
			attempts.lastFailureMs = this.#clock.now();
			this.#addresses.delete(key);
			this.#addresses.set(key, attempts);
		} else if (attempts.failures === 0 && attempts.pending === 0) {
			this.#addresses.delete(key);
		}
	}

	#makeRoom(): void {
		for (const [key, {pending}] of this.#addresses) {
			if (this.#addresses.size <= this.#mostAddresses) {
				return;
			}
			if (pending === 0) {
				this.#addresses.delete(key);
			}
		}
	}
}
