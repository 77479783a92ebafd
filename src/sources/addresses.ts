/**
 * Several addresses of the same thing, tried in order, as one Source.
 *
 * An address that fails steps back behind the others for a while; every call still tries all of them before it gives
 * up. What one of them answers, 404 included, is the answer. Each address is a Source of its own.
 */
import {NotFoundError, SourceUnavailableError, describe, type FailureScope} from '../errors.js';
import type {Clock} from '../host.js';
import type {Manifest, Uuid} from '../image/manifest.js';
import {SourceFailure} from './failure.js';
import type {Ask, FileAt, FileBody, Icon, ListEnd, Source} from './source.js';

/** How long an address that failed is asked last. */
const stepBackMs = 60_000;
/** How many files we remember the address of, for the case that it turns out wrong. */
const maxServed = 1000;

interface Address {
	readonly source: Source;
	/** Asked last until then. */
	backUntilMs: number;
}

export class AddressesSource implements Source {
	readonly name: string;
	readonly #addresses: readonly Address[];
	readonly #clock: Clock;
	readonly #servedBy = new Map<Uuid, Address>();

	constructor(options: {readonly name: string; readonly sources: readonly Source[]; readonly clock: Clock}) {
		this.name = options.name;
		this.#addresses = options.sources.map(source => ({source, backUntilMs: 0}));
		this.#clock = options.clock;
	}

	get kind(): Source['kind'] {
		return this.#addresses.find(({source}) => source.kind !== undefined)?.source.kind;
	}

	/** Where one address breaks off, the next begins anew; what has been listed already is not repeated. */
	async *list(ask: Ask): AsyncGenerator<Manifest, ListEnd, undefined> {
		const listed = new Set<Uuid>();
		const failures: Error[] = [];
		for (const address of this.#inOrder()) {
			const entries = address.source.list(ask);
			try {
				for (let next = await entries.next(); ; next = await entries.next()) {
					if (next.done) {
						return next.value;
					}
					if (!listed.has(next.value.uuid)) {
						listed.add(next.value.uuid);
						yield next.value;
					}
				}
			} catch (error) {
				failures.push(this.#failed(address, error, ask));
			} finally {
				// Does nothing after the end; in the middle it lets go of the connection.
				await entries.return({skipped: 0, reasons: []});
			}
		}
		throw this.#allFailed(failures);
	}

	find(uuid: Uuid, ask: Ask): Promise<Manifest | undefined> {
		return this.#first(ask, source => source.find(uuid, ask));
	}

	async openFile(image: Manifest, index: number, at: FileAt, ask: Ask): Promise<FileBody> {
		const failures: Error[] = [];
		let missing: NotFoundError | undefined;
		for (const address of this.#inOrder()) {
			try {
				const body = await address.source.openFile(image, index, at, ask);
				this.#remember(image.uuid, address);
				body.stream.once('error', error => {
					if (error instanceof SourceUnavailableError) {
						this.#stepBack(address);
					}
				});
				return body;
			} catch (error) {
				// The image is known, so a missing file may be this address's own gap: another may have it.
				if (error instanceof NotFoundError) {
					missing = error;
				} else {
					failures.push(this.#failed(address, error, ask));
				}
			}
		}
		// Who would not give a part of it has it.
		const hasOne = failures.some(error => error instanceof SourceUnavailableError && error.scope === 'part');
		throw missing === undefined || hasOne ? this.#allFailed(failures) : missing;
	}

	readIcon(image: Manifest, ask: Ask): Promise<Icon | undefined> {
		return this.#first(ask, source => source.readIcon(image, ask));
	}

	/** The file that we gave last for that image was wrong: ask another address first. */
	distrust(uuid: Uuid): void {
		const address = this.#servedBy.get(uuid);
		if (address !== undefined) {
			this.#stepBack(address);
		}
	}

	async close(): Promise<void> {
		await Promise.all(this.#addresses.map(({source}) => source.close()));
	}

	async #first<T>(ask: Ask, attempt: (source: Source) => Promise<T>): Promise<T> {
		const failures: Error[] = [];
		for (const address of this.#inOrder()) {
			try {
				return await attempt(address.source);
			} catch (error) {
				failures.push(this.#failed(address, error, ask));
			}
		}
		throw this.#allFailed(failures);
	}

	/** As configured; those that failed lately last, the longest ago first. */
	#inOrder(): readonly Address[] {
		const now = this.#clock.now();
		const rank = ({backUntilMs}: Address): number => (backUntilMs > now ? backUntilMs : 0);
		return [...this.#addresses].sort((a, b) => rank(a) - rank(b));
	}

	/** What to go on after. Throws what says nothing about the address. */
	#failed(address: Address, error: unknown, ask: Ask): SourceUnavailableError {
		if (ask.signal.aborted || !(error instanceof SourceUnavailableError)) {
			throw error;
		}
		this.#stepBack(address);
		return error;
	}

	#stepBack(address: Address): void {
		address.backUntilMs = this.#clock.now() + stepBackMs;
	}

	#remember(uuid: Uuid, address: Address): void {
		const [oldest] = this.#servedBy.keys();
		if (this.#servedBy.size >= maxServed && oldest !== undefined) {
			this.#servedBy.delete(oldest);
		}
		this.#servedBy.set(uuid, address);
	}

	#allFailed(failures: readonly Error[]): Error {
		const [only] = failures;
		if (failures.length === 1 && only !== undefined) {
			return only;
		}
		const problems = failures.map(error => (error instanceof SourceUnavailableError ? error.problem : describe(error)));
		const waits = failures.flatMap(error => (error instanceof SourceFailure ? (error.retryAfterMs ?? []) : []));
		return new SourceFailure(this.name, `no address answered: ${problems.join('; ')}`, {
			transient: failures.every(error => error instanceof SourceFailure && error.transient),
			retryAfterMs: waits.length === 0 ? undefined : Math.min(...waits),
			scope: scopeOf(failures),
		});
	}
}

/** As bad as the least that one of them says. */
function scopeOf(failures: readonly Error[]): FailureScope {
	const scopes = failures.map(error => (error instanceof SourceUnavailableError ? error.scope : 'source'));
	if (scopes.includes('part')) {
		return 'part';
	}
	return scopes.includes('item') ? 'item' : 'source';
}
