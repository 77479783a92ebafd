/**
 * What goes out to one client whenever there is something, as events and lines of the log do.
 *
 * Whoever has something pushes it and never waits. What the client has not taken yet is kept, within a bound: one that
 * does not read is cut off, and comes back when it likes.
 */
import {setImmediate} from 'node:timers/promises';
import type {Clock, Timer} from '../host.js';

/** What it needs of an exchange. */
export interface Sink {
	write(chunk: Buffer): Promise<void>;
	end(): void;
	cut(because: string): void;
}

const mostWaitingBytes = 1024 * 1024;
const askEveryMs = 15_000;
const fewTurns = 10;

export class Outlet {
	/** Resolves when it is over, whoever ended it. */
	readonly over: Promise<void>;
	readonly #sink: Sink;
	readonly #mostBytes: number;
	#waiting: Buffer[] = [];
	#waitingBytes = 0;
	#sending = false;
	#ending = false;
	#isOver = false;
	#finish: () => void = () => undefined;

	constructor(sink: Sink, {mostBytes = mostWaitingBytes}: {readonly mostBytes?: number} = {}) {
		this.#sink = sink;
		this.#mostBytes = mostBytes;
		this.over = new Promise(resolve => {
			this.#finish = resolve;
		});
	}

	push(chunk: Buffer): void {
		if (this.#isOver || this.#ending || chunk.length === 0) {
			return;
		}
		if (this.#waitingBytes + chunk.length > this.#mostBytes) {
			this.#drop();
			this.#sink.cut('the client does not read what it asked for');
			return;
		}
		this.#waiting.push(chunk);
		this.#waitingBytes += chunk.length;
		void this.#send();
	}

	/** After what waits; at once where the client takes nothing. Never waits for its client. */
	async end(): Promise<void> {
		if (this.#isOver || this.#ending) {
			return;
		}
		this.#ending = true;
		// A socket with room has taken it within a turn or two.
		for (let turn = 0; turn < fewTurns && this.#sending; turn++) {
			await setImmediate();
		}
		if (this.#sending) {
			this.#drop();
			this.#sink.cut('the server does not wait for a client that takes nothing');
		} else {
			this.#close();
		}
	}

	/** The client is gone. */
	abandon(): void {
		this.#drop();
	}

	async #send(): Promise<void> {
		if (this.#sending) {
			return;
		}
		this.#sending = true;
		try {
			while (this.#waiting.length > 0 && !this.#isOver) {
				const chunk = this.#waiting.length === 1 ? this.#waiting[0] : Buffer.concat(this.#waiting);
				this.#waiting = [];
				await this.#sink.write(chunk ?? Buffer.alloc(0));
				// Counted until the socket has taken it.
				this.#waitingBytes = this.#waiting.reduce((sum, {length}) => sum + length, 0);
			}
		} catch {
			// The client is gone.
			this.#drop();
		} finally {
			this.#sending = false;
		}
	}

	#close(): void {
		if (!this.#isOver) {
			this.#sink.end();
			this.#drop();
		}
	}

	#drop(): void {
		this.#isOver = true;
		this.#waiting = [];
		this.#waitingBytes = 0;
		this.#finish();
	}
}

/** Resolves once its client has left or been cut off, or the server goes down, which ends it. */
export async function untilOver(
	outlet: Outlet,
	{left, stopping}: {readonly left: AbortSignal; readonly stopping: AbortSignal},
): Promise<void> {
	const onLeft = (): void => outlet.abandon();
	const onStop = (): void => void outlet.end();
	left.addEventListener('abort', onLeft, {once: true});
	stopping.addEventListener('abort', onStop, {once: true});
	if (left.aborted) {
		onLeft();
	}
	if (stopping.aborted) {
		onStop();
	}
	await outlet.over;
	left.removeEventListener('abort', onLeft);
	stopping.removeEventListener('abort', onStop);
}

/** Ends it once its reader may not read on, which is asked every so often. */
export function endUnlessAllowed(
	outlet: Outlet,
	{clock, isAllowed}: {readonly clock: Clock; readonly isAllowed: () => Promise<boolean>},
): void {
	let isOver = false;
	const wait = (): Timer => clock.after(askEveryMs, () => void look());
	const look = async (): Promise<void> => {
		if (!(await isAllowed())) {
			await outlet.end();
		} else if (!isOver) {
			timer = wait();
		}
	};
	let timer = wait();
	void outlet.over.then(() => {
		isOver = true;
		timer.cancel();
	});
}
