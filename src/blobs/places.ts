/**
 * Who may take bytes from sources now: so many transfers for clients, in the order in which they ask, and some in the
 * background as long as no client's transfer takes bytes or waits to.
 *
 * Each transfer has one `Place` from its beginning to its end; flights hand them out. Who waits for a source that has its
 * hands full, or has no client left, lends it to others: one slow source holds up no other, and there are more for a
 * while. What a background transfer does while its gate is shut is its own affair; when a client comes for its file it
 * becomes a client's and goes on.
 */

export interface PlaceLimits {
	/** Clients' transfers at once. One that was running in the background when a client came goes on beyond that. */
	readonly clients: number;
	readonly background: number;
}

/** Each has a file open. */
const mostLent = 64;

interface Entry {
	background: boolean;
	state: 'outside' | 'waiting' | 'held' | 'over';
	/** Bytes are still to be had from sources. */
	takes: boolean;
	/** No client waits for it, or its source has no slot for it: another may go meanwhile. */
	lent: boolean;
	/** What a background one was told last. */
	open: boolean;
	readonly jumps: boolean;
	go: () => void;
	onGate: (open: boolean) => void;
}

/** What a place has its owner do. */
interface Door {
	readonly enter: () => void;
	readonly toClients: () => void;
	readonly leave: (state: 'outside' | 'over') => void;
	readonly settle: () => void;
	readonly lend: (lent: boolean) => void;
	readonly forget: () => void;
}

export class Places {
	readonly #entries = new Set<Entry>();
	/** Those that wait, in the order of their turns. */
	#line: Entry[] = [];
	readonly #onChange: () => void;
	#limits: PlaceLimits;

	constructor({limits, onChange}: {limits: PlaceLimits; onChange: () => void}) {
		this.#limits = limits;
		this.#onChange = onChange;
	}

	setLimits(limits: PlaceLimits): void {
		this.#limits = limits;
		this.#settle();
	}

	/** How many there are of each kind, for the metrics. */
	count(state: 'waiting' | 'held', background: boolean): number {
		return [...this.#entries].filter(entry => entry.state === state && entry.background === background).length;
	}

	/** `jumps`: before those of its kind that wait already. From now on a client's keeps the background waiting. */
	begin({background, jumps = false}: {background: boolean; jumps?: boolean}): Place {
		const entry: Entry = {
			...{background, jumps, state: 'outside', takes: true, lent: false, open: !background},
			go: () => undefined,
			onGate: () => undefined,
		};
		this.#entries.add(entry);
		this.#settle();
		return new Place(entry, {
			enter: () => {
				entry.state = 'waiting';
				this.#line = entry.jumps && entry.background ? [entry, ...this.#line] : [...this.#line, entry];
				this.#settle();
			},
			toClients: () => {
				entry.background = false;
				if (entry.state === 'waiting') {
					this.#line = [...this.#line.filter(other => other !== entry), entry];
				}
				this.#gate(entry, true);
				this.#settle();
			},
			leave: state => {
				this.#line = this.#line.filter(other => other !== entry);
				entry.state = state;
				this.#settle();
			},
			settle: () => {
				this.#settle();
			},
			lend: lent => {
				entry.lent = lent;
				this.#settle();
			},
			forget: () => {
				this.#entries.delete(entry);
				this.#settle();
			},
		});
	}

	/** Gives out what is free. Nothing of it waits for anything, so nobody can get in between. */
	#settle(): void {
		this.#give(false, this.#limits.clients);
		const busy = [...this.#entries].some(entry => !entry.background && entry.takes);
		if (!busy) {
			this.#give(true, this.#limits.background);
		}
		for (const entry of this.#entries) {
			if (entry.background && entry.state === 'held') {
				this.#gate(entry, !busy);
			}
		}
		this.#onChange();
	}

	#give(background: boolean, limit: number): void {
		const lent = background ? 0 : [...this.#entries].filter(isLent).length;
		let held = this.count('held', background) - Math.min(lent, mostLent);
		for (const entry of this.#line.filter(one => one.background === background)) {
			if (held >= limit) {
				return;
			}
			held++;
			this.#line = this.#line.filter(other => other !== entry);
			entry.state = 'held';
			entry.go();
		}
	}

	#gate(entry: Entry, open: boolean): void {
		if (entry.open !== open) {
			entry.open = open;
			entry.onGate(open);
		}
	}
}

function isLent({background, state, lent}: Entry): boolean {
	return !background && state === 'held' && lent;
}

/** One transfer's. */
export class Place {
	readonly #entry: Entry;
	readonly #door: Door;

	constructor(entry: Entry, door: Door) {
		this.#entry = entry;
		this.#door = door;
	}

	get background(): boolean {
		return this.#entry.background;
	}

	/** Whether whoever holds it may take bytes now. */
	get open(): boolean {
		return this.#entry.open;
	}

	/** Called in the tick in which that changes. */
	onGate(run: (open: boolean) => void): void {
		this.#entry.onGate = run;
	}

	/** Gets into the line, and resolves when it is this one's turn. */
	turn(signal: AbortSignal): Promise<void> {
		return new Promise((resolve, reject) => {
			if (signal.aborted) {
				reject(signal.reason as Error);
				return;
			}
			const onAbort = (): void => {
				this.#door.leave('outside');
				reject(signal.reason as Error);
			};
			signal.addEventListener('abort', onAbort, {once: true});
			this.#entry.go = () => {
				signal.removeEventListener('abort', onAbort);
				resolve();
			};
			this.#door.enter();
		});
	}

	/** A client has come. What is running goes on; what waits does so among the clients'. */
	toClients(): void {
		if (this.#entry.background) {
			this.#door.toClients();
		}
	}

	/** Whether bytes are still to be had from sources: while a client's transfer takes none it is in nobody's way. */
	takes(takes: boolean): void {
		this.#entry.takes = takes;
		this.#door.settle();
	}

	/** While it waits for its source, or no client waits for it, whoever is next may go, too. Not in the background. */
	lend(lent: boolean): void {
		this.#door.lend(lent);
	}

	/** The next may go. Whether this one takes bytes all the same is told by `takes`, until `end`. */
	giveBack(): void {
		this.#door.leave('over');
	}

	end(): void {
		this.#entry.takes = false;
		this.#door.forget();
	}
}
