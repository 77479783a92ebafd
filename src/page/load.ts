/**
 * Something that is asked of the mirror by a view while it is shown: what came last, and what went wrong.
 *
 * What was there stays while it is asked for again. Views say which events make it out of date; that the connection was
 * away makes everything so.
 */
import type {MirrorEvent} from '../host-events.js';
import {wasAborted} from './api-error.js';
import {useCallback, useEffect, useRef, useState} from './html.js';
import {usePage} from './page.js';

export interface Loaded<T> {
	readonly value: T | undefined;
	readonly error: unknown;
	readonly isLoading: boolean;
	readonly reload: () => void;
}

export interface LoadOptions {
	/** Which events make it out of date: `source` means all whose type begins with `source.` */
	readonly on?: readonly string[];
	/** Asked again at most so often. */
	readonly everyMs?: number;
	/** Not asked at all while this is so. */
	readonly unless?: boolean;
}

/** `key`: names what is asked for; another one is something else. */
export function useLoad<T>(
	key: string,
	load: (signal: AbortSignal) => Promise<T>,
	{on = [], everyMs = 1000, unless = false}: LoadOptions = {},
): Loaded<T> {
	const {live} = usePage();
	const [state, setState] = useState<{value: T | undefined; error: unknown; isLoading: boolean; of: string}>({
		...{value: undefined, error: undefined, isLoading: true, of: key},
	});
	const newest = useRef(load);
	newest.current = load;
	const [turn, setTurn] = useState(0);
	const flight = useRef({running: false, again: false});
	// Never given up for a newer question: what takes longer than events need to come would never be answered.
	const reload = useCallback(() => {
		if (flight.current.running) {
			flight.current.again = true;
		} else {
			setTurn(before => before + 1);
		}
	}, []);

	useEffect(() => {
		if (unless) {
			return undefined;
		}
		const ending = new AbortController();
		flight.current = {running: true, again: false};
		const landed = (): void => {
			const {again} = flight.current;
			flight.current = {running: false, again: false};
			if (again) {
				reload();
			}
		};
		setState(before => ({...before, value: before.of === key ? before.value : undefined, isLoading: true, of: key}));
		newest.current(ending.signal).then(
			value => {
				if (!ending.signal.aborted) {
					setState({value, error: undefined, isLoading: false, of: key});
					landed();
				}
			},
			(error: unknown) => {
				if (!ending.signal.aborted && !wasAborted(error)) {
					setState(before => ({...before, error, isLoading: false}));
					landed();
				}
			},
		);
		return () => {
			ending.abort();
			flight.current = {running: false, again: false};
		};
	}, [key, turn, unless]);

	const wanted = on.join(' ');
	useEffect(() => {
		const types = wanted === '' ? [] : wanted.split(' ');
		const throttled = throttle(reload, everyMs);
		const endEvents = live.onEvent((event: MirrorEvent) => {
			if (types.some(type => event.type === type || event.type.startsWith(`${type}.`))) {
				throttled.call();
			}
		});
		const endStale = live.onStale(reload);
		return () => {
			throttled.cancel();
			endEvents();
			endStale();
		};
	}, [live, wanted, everyMs]);

	return {...state, reload};
}

/** Calls at once, and then no sooner than `everyMs` later; the last call is never lost. */
export function throttle(run: () => void, everyMs: number): {call(): void; cancel(): void} {
	let timer: number | undefined;
	let lastMs = -Infinity;
	const fire = (): void => {
		timer = undefined;
		lastMs = performance.now();
		run();
	};
	return {
		call() {
			timer ??= window.setTimeout(fire, Math.max(0, lastMs + everyMs - performance.now()));
		},
		cancel() {
			window.clearTimeout(timer);
			timer = undefined;
		},
	};
}
