/**
 * Signatures that were used already.
 *
 * IMGAPI's clients sign nothing but the date, which has whole seconds: one command sends several requests with one and
 * the same signature. So a signature may come again for a moment from where it came first; later, or from elsewhere,
 * somebody has seen it on the way.
 */
interface Use {
	readonly address: string;
	readonly firstMs: number;
	/** From then on the date alone refuses it. */
	readonly untilMs: number;
}

interface Uses {
	/** In the order of their first use. */
	readonly known: Map<string, Use>;
	/** What is not known and good for no longer than this may have been forgotten. */
	forgottenUntilMs: number;
}

const againMs = 2000;

export class Replays {
	readonly #users = new Map<string, Uses>();
	readonly #mostPerUser: number;

	constructor({mostPerUser = 10_000}: {mostPerUser?: number} = {}) {
		this.#mostPerUser = mostPerUser;
	}

	/**
	 * Whether this is a first use, or as good as one. Only for what has been verified: each user can fill no memory
	 * but their own. `signed` is what was signed and the key, not the signature: of some kinds anybody can make a
	 * second one out of the first.
	 */
	allows(use: {user: string; signed: string; address: string; nowMs: number; untilMs: number}): boolean {
		const {user, signed, address, nowMs, untilMs} = use;
		const uses = this.#of(user);
		const before = uses.known.get(signed);
		if (before !== undefined) {
			return before.address === address && nowMs - before.firstMs <= againMs;
		}
		this.#forget(uses, nowMs);
		if (untilMs <= uses.forgottenUntilMs) {
			return false;
		}
		uses.known.set(signed, {address, firstMs: nowMs, untilMs});
		return true;
	}

	get size(): number {
		return [...this.#users.values()].reduce((sum, {known}) => sum + known.size, 0);
	}

	#of(user: string): Uses {
		const found = this.#users.get(user) ?? {known: new Map<string, Use>(), forgottenUntilMs: 0};
		this.#users.set(user, found);
		return found;
	}

	#forget(uses: Uses, nowMs: number): void {
		for (const [signed, {untilMs}] of uses.known) {
			const isOver = untilMs < nowMs;
			if (!isOver && uses.known.size < this.#mostPerUser) {
				return;
			}
			uses.known.delete(signed);
			if (!isOver) {
				uses.forgottenUntilMs = Math.max(uses.forgottenUntilMs, untilMs);
			}
		}
	}
}
