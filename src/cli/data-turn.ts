/**
 * A start on a data directory that another imgmirror may still have: it is tried again until that one has gone.
 *
 * A server may find one that is there for a single command, or is stopping; a command one that has only just begun.
 */
import {MessageChannel} from 'node:worker_threads';
import {DataInUseError} from '../errors.js';
import type {Clock} from '../host.js';

const pollMs = 200;

export interface Turn {
	readonly clock: Clock;
	readonly forMs: number;
	/** Called once, where it has to be waited for. */
	readonly onWait: () => void;
	/** Asked after each failure. `true`: it need not be tried again. */
	readonly isNeedless: (error: unknown) => boolean | Promise<boolean>;
	/** What it throws ends it. */
	readonly pause: (delayMs: number) => Promise<void>;
}

/** `undefined`: it was needless. Throws what `start` throws, DataInUseError only after `forMs`. */
export async function startInTurn<T>(start: () => Promise<T>, turn: Turn): Promise<T | undefined> {
	const awake = keepAwake();
	let untilMs: number | undefined;
	try {
		for (;;) {
			try {
				return await start();
			} catch (error) {
				if (await turn.isNeedless(error)) {
					return undefined;
				}
				if (!(error instanceof DataInUseError) || (untilMs !== undefined && turn.clock.now() >= untilMs)) {
					throw error;
				}
			}
			if (untilMs === undefined) {
				untilMs = turn.clock.now() + turn.forMs;
				turn.onWait();
			}
			await turn.pause(pollMs);
		}
	} finally {
		awake();
	}
}

/** Timers of our clock keep no process alive, and between two tries there is nothing else. */
export function keepAwake(): () => void {
	const {port1} = new MessageChannel();
	port1.ref();
	return () => {
		port1.close();
	};
}
