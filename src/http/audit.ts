/**
 * One line in the log for every write: who, from where, what, and what came of it.
 *
 * Routes say what is asked for. The line is written once the route is through and the answer is out or its client gone,
 * whichever comes last: what is changed after a client has left is changed all the same.
 */
import type {Caller} from '../access/caller.js';
import type {Host} from '../host.js';
import {clientClosed, type Audited} from './access-log.js';

export interface Outcome {
	readonly caller: Caller;
	/** What the client was told, or would have been. */
	readonly status: number | undefined;
	/** IMGAPI's word for what went wrong. */
	readonly code: string | undefined;
}

export class Audit {
	#what: Audited | undefined;
	#heard: boolean | undefined;
	#isHandled = false;

	/** `heard`: the client has its answer, or has left; `undefined`: neither. */
	constructor(heard?: boolean) {
		this.#heard = heard;
	}

	/** May be said again, with more. */
	note(action: string, image?: string): void {
		const known = image ?? this.#what?.image;
		this.#what = {action, ...(known === undefined ? {} : {image: known})};
	}

	/** `heard`: the client has its answer. */
	over(heard: boolean): void {
		this.#heard ??= heard;
	}

	/** The route is through: what was to be changed has been, or never will be. */
	handled(): void {
		this.#isHandled = true;
	}

	/** Writes the line if nothing is missing from it. */
	write({log}: Host, {caller, status, code}: Outcome): void {
		if (this.#what === undefined || this.#heard === undefined || !this.#isHandled) {
			return;
		}
		const {user, credential, address} = caller;
		const outcome = {status: status ?? clientClosed, code, ...(this.#heard ? {} : {clientLeft: true})};
		log.info({audit: {user, credential, address, ...this.#what, ...outcome}}, 'audit');
		this.#what = undefined;
	}
}
