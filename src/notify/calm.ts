/**
 * What comes and goes, told no more often than is of use: a source that is up and down every second wakes nobody
 * every second.
 *
 * The first is passed on at once. For a while after that only what is the case at its end is, if it is another; so
 * whoever listens is never left with what is not so.
 */
import type {Clock, EventType, MirrorEvent, Timer} from '../host.js';

interface Told {
	readonly type: EventType;
	readonly timer: Timer;
	latest: MirrorEvent | undefined;
}

const calmForMs = 10_000;

export class Calm {
	readonly #clock: Clock;
	readonly #tell: (event: MirrorEvent) => void;
	readonly #told = new Map<string, Told>();

	constructor({clock, tell}: {readonly clock: Clock; readonly tell: (event: MirrorEvent) => void}) {
		this.#clock = clock;
		this.#tell = tell;
	}

	take(event: MirrorEvent): void {
		const key = keyOf(event);
		const told = key === undefined ? undefined : this.#told.get(key);
		if (told !== undefined) {
			told.latest = event;
			return;
		}
		if (key !== undefined) {
			this.#note(key, event.type);
		}
		this.#tell(event);
	}

	/** Passes on what is held back. */
	flush(): void {
		for (const [key, told] of this.#told) {
			told.timer.cancel();
			this.#told.delete(key);
			this.#tellIfNew(told);
		}
	}

	#note(key: string, type: EventType): void {
		const timer = this.#clock.after(calmForMs, () => {
			const told = this.#told.get(key);
			this.#told.delete(key);
			if (told !== undefined && this.#tellIfNew(told)) {
				this.#note(key, told.latest?.type ?? type);
			}
		});
		this.#told.set(key, {type, timer, latest: undefined});
	}

	#tellIfNew({type, latest}: Told): boolean {
		if (latest === undefined || latest.type === type) {
			return false;
		}
		this.#tell(latest);
		return true;
	}
}

/** Events with the same key take each other's place. */
function keyOf({type, source}: MirrorEvent): string | undefined {
	if (type === 'source.down' || type === 'source.up') {
		return `source ${source ?? ''}`;
	}
	return type === 'disk.low' || type === 'disk.ok' ? 'disk' : undefined;
}
