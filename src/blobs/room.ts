/**
 * What is promised to files that are on their way.
 *
 * Partials and uploads claim what they still need; the keeper is asked to make room for all claims together before one
 * is granted, one after the other.
 */
import {NoSpaceError} from '../errors.js';

/** Bytes that are still needed, asked for anew each time. */
type Claim = () => number;

/**
 * `transfer`: fetched to be kept, within the limits. `upload`: sent to us, to be kept for good; the cache gives way, and
 * only the disk itself is a limit.
 */
export type Purpose = 'transfer' | 'upload';

/** `Keeper` is it. */
export interface RoomMaker {
	/** Runs `work` when everybody who came before has ended. */
	inTurn<T>(work: () => Promise<T>): Promise<T>;
	/** Throws NoSpaceError where there is not room enough for all claims together, this one included. */
	makeRoom(purpose: Purpose): Promise<void>;
	/** Whether there is as it is: nothing goes for it, and nobody is told. */
	hasRoom(): Promise<boolean>;
}

/** Of room for which nothing has to go, made before it is known who it is for. To be passed on or dropped. */
export interface EarlyClaim {
	/** Whoever it is has come: claims in its place, which is granted at once where it needs no more than was expected. */
	pass(who: object, claim: Claim, purpose: Purpose): Promise<void>;
	readonly drop: () => void;
}

export class Room {
	readonly #maker: () => RoomMaker;
	readonly #claims = new Map<object, Claim>();
	/** Those that wait for their turn. */
	readonly #waiting = new Map<object, Claim>();

	constructor(maker: () => RoomMaker) {
		this.#maker = maker;
	}

	/** Promised, and not written yet. */
	get reservedBytes(): number {
		let bytes = 0;
		for (const claim of this.#claims.values()) {
			bytes += Math.max(0, claim());
		}
		return bytes;
	}

	/** In place of what it claimed before. Where there is not room enough, throws NoSpaceError, and nothing has changed. */
	claim(who: object, claim: Claim, purpose: Purpose): Promise<void> {
		return this.#claim(who, claim, maker => maker.makeRoom(purpose));
	}

	/**
	 * For somebody who is still on the way, and expected to need so much. Nothing goes for that: what the room is wanted
	 * for may be what keeps a file.
	 */
	early(bytes: number): EarlyClaim {
		const expected = {};
		const granted = this.#claim(
			expected,
			() => bytes,
			async maker => {
				if (!(await maker.hasRoom())) {
					throw new NoSpaceError('there is no room yet');
				}
			},
		).then(
			() => true,
			() => false,
		);
		const drop = (): void => this.release(expected);
		return {
			pass: async (who, claim, purpose) => {
				const isGranted = await granted;
				drop();
				if (isGranted && claim() <= bytes) {
					this.#claims.set(who, claim);
				} else {
					await this.claim(who, claim, purpose);
				}
			},
			drop,
		};
	}

	/** It needs no more. */
	release(who: object): void {
		this.#claims.delete(who);
		this.#waiting.delete(who);
	}

	/** Granted unless `make` throws. */
	async #claim(who: object, claim: Claim, make: (maker: RoomMaker) => Promise<void>): Promise<void> {
		if (claim() <= 0) {
			this.#claims.set(who, claim);
			return;
		}
		const maker = this.#maker();
		this.#waiting.set(who, claim);
		await maker.inTurn(async () => {
			if (this.#waiting.get(who) !== claim) {
				// It needs nothing any more, or something else.
				return;
			}
			this.#waiting.delete(who);
			const before = this.#claims.get(who);
			this.#claims.set(who, claim);
			try {
				await make(maker);
			} catch (error) {
				if (this.#claims.get(who) === claim) {
					this.#claims.delete(who);
					if (before !== undefined) {
						this.#claims.set(who, before);
					}
				}
				throw error;
			}
		});
	}
}
