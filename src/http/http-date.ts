/**
 * The date of an answer as HTTP has it, made once a second.
 */
import type {Clock} from '../host.js';

export class HttpDate {
	readonly #clock: Clock;
	#second = NaN;
	#text = '';

	constructor(clock: Clock) {
		this.#clock = clock;
	}

	get now(): string {
		const ms = this.#clock.now();
		const second = Math.floor(ms / 1000);
		if (second !== this.#second) {
			this.#second = second;
			this.#text = new Date(ms).toUTCString();
		}
		return this.#text;
	}
}
