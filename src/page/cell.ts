/**
 * One value that changes, and those who want to know of it.
 *
 * State that outlives a view (the session, the catalog, a running upload) is in cells; `useCell` draws a component anew
 * when one changes.
 */
import {useEffect, useState} from './html.js';

export interface ReadonlyCell<T> {
	readonly value: T;
	/** Returns how to end it. */
	listen(listener: () => void): () => void;
}

export class Cell<T> implements ReadonlyCell<T> {
	readonly #listeners = new Set<() => void>();
	#value: T;

	constructor(value: T) {
		this.#value = value;
	}

	get value(): T {
		return this.#value;
	}

	set(value: T): void {
		if (Object.is(value, this.#value)) {
			return;
		}
		this.#value = value;
		for (const listener of [...this.#listeners]) {
			listener();
		}
	}

	listen(listener: () => void): () => void {
		this.#listeners.add(listener);
		return () => {
			this.#listeners.delete(listener);
		};
	}
}

export function useCell<T>(cell: ReadonlyCell<T>): T {
	const [, redraw] = useState({});
	const drawn = cell.value;
	useEffect(() => {
		const end = cell.listen(() => redraw({}));
		// It may have changed between the drawing and now: that is a frame, or longer where the machine is busy.
		if (!Object.is(drawn, cell.value)) {
			redraw({});
		}
		return end;
	}, [cell]);
	return drawn;
}
