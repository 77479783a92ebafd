/**
 * Ctrl-C and its like, for commands that have something to put in order before they end.
 *
 * The first signal aborts what is under way, a second one ends the process at once.
 */
import {InterruptedError} from './client-errors.js';
import {exitCodes} from './exit-codes.js';
import type {CliIo} from './io.js';

const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** The signal aborts with InterruptedError. */
export async function interruptible<T>(io: CliIo, run: (signal: AbortSignal) => Promise<T>): Promise<T> {
	const controller = new AbortController();
	const onSignal = (): void => {
		if (controller.signal.aborted) {
			io.exit(exitCodes.interrupted);
			return;
		}
		controller.abort(new InterruptedError('stopped'));
	};
	for (const signal of signals) {
		io.process.on(signal, onSignal);
	}
	try {
		return await run(controller.signal);
	} finally {
		for (const signal of signals) {
			io.process.off(signal, onSignal);
		}
	}
}
