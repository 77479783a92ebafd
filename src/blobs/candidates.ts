/**
 * Who may still supply a file, and what is held against whom.
 *
 * A supply asks it whom to open next and tells it how that went. One source may offer a file under several images:
 * that an offer is not there says nothing of the source's others, that the source fails or lies does.
 */
import {IntegrityError, NotFoundError, SourceUnavailableError} from '../errors.js';
import type {Clock, Host} from '../host.js';
import type {Supplier} from './supply.js';

/** Before the first byte there is something to say to a client yet, so it is kept waiting for so long at most. */
const longestBeforeMs = 10_000;

export interface CandidatesOptions {
	readonly suppliers: () => readonly Supplier[];
	readonly host: Host;
	/** Further tries at one supplier without a byte of progress between them. */
	readonly retries: number;
	/** How long clients wait for one that cannot be reached any more, however many tries that takes. None unless given. */
	readonly patienceMs?: number | undefined;
	/** Whether no client waits for the bytes. */
	readonly isBackground?: () => boolean;
}

export class Candidates {
	readonly #suppliers: () => readonly Supplier[];
	readonly #clock: Clock;
	readonly #retries: number;
	readonly #patienceMs: number;
	readonly #isBackground: () => boolean;
	readonly #failures = new Map<string, number>();
	/** By source: until when it is tried again, since it could not be reached. */
	readonly #waitUntil = new Map<string, number>();
	#hasProgressed = false;
	/** Offers that were answered not to be there. */
	readonly #absent = new Set<string>();
	/** Offers of another file. */
	readonly #unfit = new Set<string>();
	/** Offers that give no part of the file as it should be: they are asked for the whole, and what is here is passed over. */
	readonly #wholes = new Set<string>();
	/** Not to be asked again: what they sent was wrong. */
	readonly #condemned = new Set<string>();
	/** One of them was wrong, and it is not known which: their bytes must not be mixed again. */
	readonly #suspects = new Set<string>();
	#lastError: unknown;

	constructor({suppliers, host, retries, patienceMs = 0, isBackground = () => false}: CandidatesOptions) {
		this.#suppliers = suppliers;
		this.#clock = host.clock;
		this.#retries = retries;
		this.#patienceMs = patienceMs;
		this.#isBackground = isBackground;
	}

	/** The one with the fewest failures; among equals one that is well, then one that nothing is held against, then the first. */
	choose(): Supplier {
		const weigh = ({name, doubtful}: Supplier): number =>
			this.failuresOf(name) * 4 + (doubtful ? 2 : 0) + (this.#suspects.has(name) ? 1 : 0);
		const [best] = [...this.#usable()].sort((a, b) => weigh(a) - weigh(b));
		if (best !== undefined) {
			return best;
		}
		const asked = this.#failures.size + this.#condemned.size + this.#unfit.size;
		if (asked === 0 && this.#absent.size > 0) {
			throw new NotFoundError('no source has the file', {cause: this.#lastError});
		}
		if (this.#lastError instanceof SourceUnavailableError || this.#lastError instanceof IntegrityError) {
			throw this.#lastError;
		}
		const names = [...this.#failures.keys(), ...this.#condemned, ...this.#unfit].join(', ') || 'none';
		throw new SourceUnavailableError(names, 'the file cannot be had', {cause: this.#lastError});
	}

	/** Whether anybody but this source could be asked. */
	hasOthers({name}: Supplier): boolean {
		return this.#usable().some(other => other.name !== name);
	}

	failuresOf(name: string): number {
		return this.#failures.get(name) ?? 0;
	}

	/** Whether only the whole file is to be asked for there. */
	givesNoPart(supplier: Supplier): boolean {
		return this.#wholes.has(offerOf(supplier));
	}

	failed(supplier: Supplier, error: unknown): void {
		const {name} = supplier;
		this.#lastError = error;
		if (error instanceof SourceUnavailableError && error.scope === 'part' && !this.givesNoPart(supplier)) {
			// Now it is known how to ask there, which is no failure to be counted.
			this.#wholes.add(offerOf(supplier));
			return;
		}
		this.#bear(supplier, error);
		this.#failures.set(name, this.failuresOf(name) + 1);
	}

	progressed({name}: Supplier): void {
		this.#hasProgressed = true;
		this.#failures.delete(name);
		this.#waitUntil.delete(name);
	}

	absent(supplier: Supplier, error: NotFoundError): void {
		this.#lastError = error;
		this.#absent.add(offerOf(supplier));
	}

	unfit(supplier: Supplier, error: IntegrityError): void {
		this.#lastError = error;
		this.#unfit.add(offerOf(supplier));
	}

	/** What they supplied together was wrong. Those whose offers were used are told. */
	wrong(names: readonly string[], used: ReadonlySet<string>, problem: string): void {
		const [only] = names;
		if (names.length === 1 && only !== undefined) {
			this.#condemned.add(only);
		} else {
			for (const name of names) {
				this.#suspects.add(name);
			}
		}
		for (const supplier of this.#suppliers()) {
			if (names.includes(supplier.name) && used.has(offerOf(supplier))) {
				supplier.mark(problem);
			}
		}
		this.#lastError = new IntegrityError(problem);
	}

	/** Whether this one's bytes must not be put behind those of the others that are there. */
	mustNotMix({name}: Supplier, contributors: ReadonlySet<string>): boolean {
		const others = [...contributors].filter(other => other !== name);
		return (
			others.length > 0 &&
			this.#suspects.size > 0 &&
			(this.#suspects.has(name) || others.some(other => this.#suspects.has(other)))
		);
	}

	#usable(): readonly Supplier[] {
		return this.#suppliers().filter(
			supplier =>
				!this.#condemned.has(supplier.name) &&
				!this.#absent.has(offerOf(supplier)) &&
				!this.#unfit.has(offerOf(supplier)) &&
				(this.failuresOf(supplier.name) <= this.#retries || this.#isWaitedFor(supplier.name)),
		);
	}

	/** A server that is started anew is back within seconds; one that answers, but not with the file, stays as it is. */
	#bear({name, downSinceMs}: Supplier, error: unknown): void {
		if (!(error instanceof SourceUnavailableError && error.scope === 'source')) {
			this.#waitUntil.set(name, 0);
		} else if (!this.#waitUntil.has(name)) {
			const nowMs = this.#clock.now();
			const untilMs = this.#hasProgressed
				? nowMs + this.#patienceMs
				: (downSinceMs ?? nowMs) + Math.min(this.#patienceMs, longestBeforeMs);
			this.#waitUntil.set(name, untilMs);
		}
	}

	#isWaitedFor(name: string): boolean {
		return !this.#isBackground() && this.#clock.now() < (this.#waitUntil.get(name) ?? 0);
	}
}

export function offerOf({name, offer}: Supplier): string {
	return offer === undefined ? name : `${name}/${offer}`;
}
