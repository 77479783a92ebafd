/**
 * How much one client is sent before all others have their turn.
 *
 * Large turns are cheap; but whoever comes new waits until everybody has had theirs, so they are smaller the more clients
 * there are, and smallest while clients keep coming, as a fleet does that was told to in the same minute.
 */
import type {Clock} from '../host.js';

const most = 2 * 2 ** 20;
const least = 128 * 1024;
/** What all together may get before somebody new is looked at. */
const round = 16 * 2 ** 20;
const fewClients = 4;
/** They still come if the last one came no longer ago. */
const comingMs = 50;

export class FairTurns {
	readonly #clock: Clock;
	#clients = 0;
	#cameAtMs = -Infinity;

	constructor(clock: Clock) {
		this.#clock = clock;
	}

	/** A client begins, or ends, to be sent something. */
	enter(): void {
		this.#clients++;
		this.#cameAtMs = this.#clock.now();
	}

	leave(): void {
		this.#clients--;
	}

	/** Of one turn. */
	get bytes(): number {
		if (this.#clients <= fewClients) {
			return most;
		}
		const sinceMs = this.#clock.now() - this.#cameAtMs;
		return sinceMs >= 0 && sinceMs < comingMs ? least : Math.max(least, Math.min(most, round / this.#clients));
	}
}
