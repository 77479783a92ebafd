/**
 * Whether a password is a user's, without paying for it at every request.
 *
 * Checking costs a tenth of a second and 32 MiB on purpose. What has been found out is remembered until the user's hash
 * changes; what is being found out is not found out twice; and only so much is at once.
 */
import {createHmac, randomBytes} from 'node:crypto';
import {UnauthorizedError} from '../errors.js';
import type {Clock} from '../host.js';
import {neighbourhood} from './networks.js';
import {nobodysHash, passwordFits} from './passwords.js';
import {SlowDown} from './slow-down.js';

export interface Login {
	readonly user: string;
	readonly password: string;
	/** `undefined`: there is no such user, or none with a password. */
	readonly hash: string | undefined;
	readonly address: string;
}

const mostRemembered = 10_000;
const atOnce = 2;
/** With two at a time, the last one waits for ten seconds. */
const mostWaiting = 200;

export class PasswordChecks {
	readonly #slowDown: SlowDown;
	/** A stolen core dump should not tell passwords by the hash of what was remembered. */
	readonly #secret = randomBytes(32);
	readonly #nobody = nobodysHash();
	/** User and password, to the hash that they were checked against. */
	readonly #right = new Map<string, string>();
	readonly #wrong = new Map<string, string>();
	/** Under way, by address, user and password. */
	readonly #attempts = new Map<string, Promise<boolean>>();
	/** Under way, by user, password and hash: wherever they come from. */
	readonly #checks = new Map<string, Promise<boolean>>();
	readonly #waiting: (() => void)[] = [];
	#running = 0;

	constructor({clock}: {clock: Clock}) {
		this.#slowDown = new SlowDown({clock});
	}

	/** Throws UnauthorizedError where there are too many logins to check. */
	async fits({user, password, hash, address}: Login): Promise<boolean> {
		const pair = createHmac('sha256', this.#secret)
			.update(JSON.stringify([user, password]))
			.digest('base64');
		if (hash !== undefined && this.#right.get(pair) === hash) {
			return true;
		}
		const attempt = `${neighbourhood(address)} ${pair} ${hash ?? ''}`;
		const before = this.#attempts.get(attempt);
		if (before !== undefined) {
			return before;
		}
		const found = this.#slowDown
			.attempt(address, () => this.#check(pair, password, hash))
			.finally(() => this.#attempts.delete(attempt));
		this.#attempts.set(attempt, found);
		return found;
	}

	async #check(pair: string, password: string, given: string | undefined): Promise<boolean> {
		const hash = given ?? this.#nobody;
		// Somebody else may have found it out while this attempt waited for its turn.
		if (this.#right.get(pair) === hash) {
			return true;
		}
		if (this.#wrong.get(pair) === hash) {
			return false;
		}
		const key = `${pair} ${hash}`;
		const before = this.#checks.get(key);
		if (before !== undefined) {
			return before;
		}
		const check = this.#bounded(() => passwordFits(password, hash)).finally(() => this.#checks.delete(key));
		this.#checks.set(key, check);
		const fits = await check;
		remember(fits ? this.#right : this.#wrong, pair, hash);
		return fits;
	}

	async #bounded(check: () => Promise<boolean>): Promise<boolean> {
		if (this.#running < atOnce) {
			this.#running++;
		} else {
			if (this.#waiting.length >= mostWaiting) {
				throw new UnauthorizedError('too many logins at once: try again in a moment');
			}
			// Whoever ends hands its place on.
			await new Promise<void>(resolve => this.#waiting.push(resolve));
		}
		try {
			return await check();
		} finally {
			const next = this.#waiting.shift();
			if (next === undefined) {
				this.#running--;
			} else {
				next();
			}
		}
	}
}

function remember(known: Map<string, string>, pair: string, hash: string): void {
	known.delete(pair);
	known.set(pair, hash);
	for (const oldest of known.keys()) {
		if (known.size <= mostRemembered) {
			return;
		}
		known.delete(oldest);
	}
}
