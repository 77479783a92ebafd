/**
 * How a transfer in the background stands aside: while its gate is shut it takes no more bytes, and its watch stops.
 *
 * A download says when it begins and ceases to take bytes; its place says when clients need the sources for
 * themselves. Where that lasts, `onTooLong` is told: what stands still for long had better let go of its source.
 */
import type {Clock, Timer} from '../host.js';
import type {Meter} from './meter.js';
import type {Place} from './places.js';
import type {Supply} from './supply.js';

const longestMs = 30_000;

export class StandingAside {
	readonly #place: Place;
	readonly #meter: Meter;
	readonly #clock: Clock;
	readonly #onTooLong: () => void;
	/** While it takes bytes. */
	#supply: Supply | undefined;
	#timer: Timer | undefined;

	constructor(options: {place: Place; meter: Meter; clock: Clock; onTooLong: () => void}) {
		this.#place = options.place;
		this.#meter = options.meter;
		this.#clock = options.clock;
		this.#onTooLong = options.onTooLong;
		this.#place.onGate(() => {
			this.#look();
		});
	}

	/** From now on bytes are taken from there. */
	begin(supply: Supply): void {
		this.#supply = supply;
		this.#place.takes(true);
		this.#look();
	}

	/** All have been taken. */
	cease(): void {
		this.end();
		this.#place.takes(false);
	}

	/** The transfer is over; others may be taking bytes of the file yet. */
	end(): void {
		this.#supply = undefined;
		this.#look();
	}

	#look(): void {
		this.#timer?.cancel();
		this.#timer = undefined;
		if (this.#supply === undefined) {
			this.#meter.stop();
		} else if (this.#place.open) {
			this.#meter.run();
			this.#supply.goOn();
		} else {
			this.#meter.stop();
			this.#supply.hold();
			this.#timer = this.#clock.after(longestMs, this.#onTooLong);
		}
	}
}
