/**
 * An answer that is given again as it was, while all that it was made of is the same.
 *
 * Fleets and pollers ask for one list and a few manifests, in the same bytes each time (`repeats.ts`). What the handler
 * found is looked at anew, by what it left for that, and so is who asks; how it is laid out follows from these two and
 * from the request, and is not made again. In log and metrics it is a request like any.
 */
import type {Socket} from 'node:net';
import type {Caller} from '../access/caller.js';
import {recordAnswer, type Notes} from './access-log.js';
import {varyingHead} from './answer-head.js';
import {isFromOtherSite, type Peer} from './callers.js';
import type {Queued} from './connection.js';
import type {Exchange} from './exchange.js';
import type {Front} from './front.js';
import {requestId} from './header-text.js';
import {RepeatedAnswer, type AnswerLimits, type WholeAnswer} from './repeated-answer.js';

export interface Standing {
	readonly answer: WholeAnswer;
	/** Whoever asks has to have the same: the very same set. */
	readonly rights: Caller['rights'];
	readonly asked: Pick<Exchange, 'method' | 'target' | 'route' | 'quiet' | 'headers'>;
	readonly notes: Notes;
	/** The handler would say the same now. */
	readonly holds: () => boolean;
}

/** One that is being sent. */
export class StandingAnswer implements Queued {
	readonly #standing: Standing;
	readonly #peer: Peer;
	readonly #caller: Caller;
	readonly #id: string;
	readonly #front: Front;
	readonly #socket: Socket;
	readonly #onDone: () => void;
	readonly #startedMs: number;
	readonly #answer: RepeatedAnswer;
	#cutBecause: string | undefined;
	#over = false;

	constructor(
		standing: Standing,
		by: {
			readonly front: Front;
			readonly socket: Socket;
			readonly peer: Peer;
			readonly caller: Caller;
			readonly limits: AnswerLimits;
			readonly onDone: () => void;
		},
	) {
		this.#standing = standing;
		this.#front = by.front;
		this.#socket = by.socket;
		this.#peer = by.peer;
		this.#caller = by.caller;
		this.#onDone = by.onDone;
		this.#startedMs = by.front.host.clock.now();
		this.#id = requestId(standing.asked.headers);
		this.#answer = new RepeatedAnswer(by.socket, by.front.date, by.limits);
		this.#answer.on('close', () => {
			this.over();
		});
	}

	start(): void {
		this.#front.together.join(this.#socket);
		// Made in the tick in which it began.
		this.#answer.again(this.#standing.answer, varyingHead(this.#id, 0));
	}

	/** Its head is out already: the connection ends behind it without a word. */
	closeAfter(): void {
		// Nothing to do.
	}

	/** It has no body that could have come to no end. */
	malformed(): void {
		// Nothing to do.
	}

	cut(because: string): void {
		this.#cutBecause ??= because;
		this.#socket.destroy();
	}

	over(): void {
		if (this.#over) {
			return;
		}
		this.#over = true;
		const {answer, asked, notes} = this.#standing;
		const whole = this.#answer.writableFinished;
		recordAnswer(this.#front.host, {
			asked: {...asked, peer: this.#peer, caller: this.#caller, id: this.#id},
			status: answer.status,
			bytes: whole ? answer.body.length : 0,
			ms: this.#front.host.clock.now() - this.#startedMs,
			notes,
			received: undefined,
			failure: undefined,
			cutBecause: this.#cutBecause,
			whole,
		});
		this.#onDone();
	}
}

/** What may stand of an exchange that is over. */
export function standingOf(exchange: Exchange, response: RepeatedAnswer): Standing | undefined {
	const {holds, caller, notes, method, target, route, quiet, headers} = exchange;
	const answer = response.whole;
	// What pages of other sites may is not for their reader's network to say.
	return holds === undefined ||
		answer === undefined ||
		answer.status >= 400 ||
		caller.credential !== 'none' ||
		isFromOtherSite(exchange)
		? undefined
		: {answer, rights: caller.rights, asked: {method, target, route, quiet, headers}, notes, holds};
}

/** Whether what is said in it still is what there is to say. What cannot be found out is for an exchange to answer. */
export function stands({rights, holds}: Standing, caller: Caller): boolean {
	try {
		return caller.rights === rights && holds();
	} catch {
		return false;
	}
}
