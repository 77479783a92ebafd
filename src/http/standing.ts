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
import {varyingLines} from './answer-head.js';
import {isFromOtherSite, type Peer} from './callers.js';
import type {Queued} from './connection.js';
import type {Exchange} from './exchange.js';
import type {Front} from './front.js';
import {requestId} from './header-text.js';
import {bytesOf, RepeatedAnswer, type AnswerLimits, type Body, type WholeAnswer} from './repeated-answer.js';
import type {Ready} from './together.js';

export interface Standing {
	readonly answer: WholeAnswer;
	/** Whoever asks has to have the same: the very same set. */
	readonly rights: Caller['rights'];
	readonly asked: Pick<Exchange, 'method' | 'target' | 'route' | 'quiet' | 'headers'>;
	readonly notes: Notes;
	/** The handler would say the same now. */
	readonly holds: () => boolean;
	/** The body, where the answer does not keep it. */
	readonly partsNow: (() => readonly Buffer[] | undefined) | undefined;
}

/** One that is being sent. */
export class StandingAnswer implements Queued, Ready {
	readonly #standing: Standing;
	readonly #peer: Peer;
	readonly #caller: Caller;
	readonly #id: string;
	readonly #front: Front;
	readonly #socket: Socket;
	readonly #onDone: () => void;
	readonly #startedMs: number;
	readonly #answer: RepeatedAnswer;
	readonly #body: Body;
	#cutBecause: string | undefined;
	#over = false;

	/** `body`: as `bodyNow` has it. */
	constructor(
		standing: Standing,
		body: Body,
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
		this.#body = body;
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
		const {native, together} = this.#front;
		if (native === undefined) {
			together.join(this.#socket);
			this.send();
		} else {
			together.atEnd(this);
		}
	}

	/** In the round in which it began. */
	send(): void {
		this.#answer.again(this.#standing.answer.head, this.#body, varyingLines(this.#id, 0), this.#front.native);
	}

	/** Its head is out already, or goes out in this round: the connection ends behind it without a word. */
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
		const {method, target, route, quiet, headers} = asked;
		const whole = this.#answer.writableFinished;
		recordAnswer(this.#front.host, {
			// One by one: a spread object would be of another kind each time, for everybody who looks at it.
			asked: {method, target, route, quiet, headers, peer: this.#peer, caller: this.#caller, id: this.#id},
			status: answer.status,
			bytes: whole ? bytesOf(this.#body) : 0,
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
	const {holds, partsNow, caller, notes, method, target, route, quiet, headers} = exchange;
	const answer = response.whole;
	// What pages of other sites may is not for their reader's network to say.
	return holds === undefined ||
		answer === undefined ||
		(answer.body === undefined && partsNow === undefined) ||
		answer.status >= 400 ||
		caller.credential !== 'none' ||
		isFromOtherSite(exchange)
		? undefined
		: {answer, rights: caller.rights, asked: {method, target, route, quiet, headers}, notes, holds, partsNow};
}

/**
 * Its body, if what is said in it still is what there is to say; otherwise, and where that cannot be found out, it is for
 * an exchange to answer.
 */
export function bodyNow({answer, rights, holds, partsNow}: Standing, caller: Caller): Body | undefined {
	try {
		return caller.rights === rights && holds() ? (answer.body ?? partsNow?.()) : undefined;
	} catch {
		return undefined;
	}
}
