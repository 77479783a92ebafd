/**
 * Work that tells how it goes while it goes: one line of JSON for each step.
 *
 * What is wrong from the start is answered as any error. Later there is no status left to say it by, so it becomes the
 * last line. Whoever leaves, or a server that goes down, ends the work by its signal.
 */
import {asError, StoppingError} from '../errors.js';
import {pause, type Host} from '../host.js';
import {ClientGone} from './request-body.js';
import type {Exchange} from './exchange.js';
import {answerTo} from './respond.js';

export const lineType = 'application/x-ndjson';

export interface LineContext {
	readonly host: Pick<Host, 'clock' | 'log'>;
	/** Aborted when the server goes down. */
	readonly stopping: AbortSignal;
}

/** Clients wait no longer than this to hear that it has begun. */
const usualHeadAfterMs = 1000;

type Steps = AsyncGenerator<object, void, undefined>;

/** `headAfterMs`: Infinity where the client has enough to do until the first step, and wants to hear a status then. */
export async function answerLines(
	exchange: Exchange,
	begin: (signal: AbortSignal) => Steps,
	context: LineContext,
	{headAfterMs = usualHeadAfterMs}: {readonly headAfterMs?: number} = {},
): Promise<void> {
	const {host} = context;
	await whileWanted(exchange, context, signal => tell(exchange, begin(signal), {host, signal, headAfterMs}));
}

/** Work whose signal is aborted once its client has left, or the server goes down. */
export async function whileWanted<T>(
	exchange: Exchange,
	{stopping}: Pick<LineContext, 'stopping'>,
	work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
	if (stopping.aborted) {
		throw new StoppingError('the mirror is stopping');
	}
	const end = new AbortController();
	const onStop = (): void => end.abort(new StoppingError('the mirror is stopping'));
	const onLeft = (): void => end.abort(new ClientGone());
	stopping.addEventListener('abort', onStop, {once: true});
	exchange.signal.addEventListener('abort', onLeft, {once: true});
	if (exchange.signal.aborted) {
		onLeft();
	}
	try {
		return await work(end.signal);
	} catch (error) {
		// However the work words it, this is why it has ended.
		throw end.signal.aborted ? asError(end.signal.reason) : error;
	} finally {
		stopping.removeEventListener('abort', onStop);
		exchange.signal.removeEventListener('abort', onLeft);
	}
}

async function tell(
	exchange: Exchange,
	steps: Steps,
	options: {
		readonly host: Pick<Host, 'clock' | 'log'>;
		readonly signal: AbortSignal;
		readonly headAfterMs: number;
	},
): Promise<void> {
	const {host, signal, headAfterMs} = options;
	const first = steps.next();
	const waited = new AbortController();
	const waiting = headAfterMs === Infinity ? [] : [pause(host.clock, headAfterMs, waited.signal)];
	// Fails with what is wrong from the start, while that can still be told by a status.
	await Promise.race([first, ...waiting]).finally(() => waited.abort());
	exchange.stream({'Content-Type': lineType, 'X-Content-Type-Options': 'nosniff'});
	try {
		for (let step = await first; step.done !== true; step = await steps.next()) {
			await exchange.write(line(step.value));
			signal.throwIfAborted();
		}
	} catch (error) {
		if (exchange.signal.aborted || error instanceof ClientGone) {
			throw new ClientGone();
		}
		// However the work words it, this is why it has ended.
		const reason: unknown = signal.aborted ? signal.reason : error;
		const {code, message} = answerTo(reason);
		if (code === 'InternalError') {
			host.log.error({err: reason, requestId: exchange.id}, 'what a client watched has failed');
		}
		await exchange.write(line({what: 'error', code, message}));
	} finally {
		await steps.return();
	}
	exchange.end();
}

export function line(value: object): Buffer {
	return Buffer.from(`${JSON.stringify(value)}\n`);
}
