/**
 * What went wrong between us and a source.
 *
 * The rooms above see a `SourceUnavailableError`; in here we also need to know whether asking again at once makes
 * sense, and what the source itself said about when. Nothing here decides what follows from it.
 */
import {SourceUnavailableError, describe, type FailureScope} from '../errors.js';
import type {Ask} from './source.js';

const rangeNotSatisfiable = 416;
const tooManyRequests = 429;

export interface FailureDetails {
	readonly cause?: unknown;
	readonly status?: number | undefined;
	readonly retryAfterMs?: number | undefined;
	readonly transient?: boolean;
	readonly unexpected?: boolean;
	/** Another host than the source's own, which has single files at most. */
	readonly elsewhere?: boolean;
	/** Unless given, it follows from the others. */
	readonly scope?: FailureScope;
}

export class SourceFailure extends SourceUnavailableError {
	/** The HTTP status, where there was one. */
	readonly status: number | undefined;
	/** How long the source asked to be left alone (Retry-After). */
	readonly retryAfterMs: number | undefined;
	/** The connection failed, not the answer: the next try may well succeed. */
	readonly transient: boolean;
	/** A whole answer came, but nothing like what was asked for: HTML, another content type, no JSON. */
	readonly unexpected: boolean;

	constructor(source: string, problem: string, options: FailureDetails = {}) {
		const {cause, scope = scopeOf(options)} = options;
		super(source, problem, cause === undefined ? {scope} : {cause, scope});
		this.status = options.status;
		this.retryAfterMs = options.retryAfterMs;
		this.transient = options.transient ?? false;
		this.unexpected = options.unexpected ?? false;
	}
}

/** Who answers is there, unless it says that it wants to be left alone. */
function scopeOf({status, unexpected, retryAfterMs, elsewhere}: FailureDetails): FailureScope {
	if (status === rangeNotSatisfiable) {
		return 'part';
	}
	const isAnswer = (status !== undefined && status !== tooManyRequests) || unexpected === true;
	return elsewhere === true || (isAnswer && retryAfterMs === undefined) ? 'item' : 'source';
}

/** Text that a server chose, fit for one line of a log. */
export function printable(text: string, maxLength = 200): string {
	const line = text.slice(0, maxLength * 2).replace(/[\p{Cc}\u2028\u2029]+/gu, ' ');
	return line.length > maxLength ? `${line.slice(0, maxLength)}…` : line;
}

/** Anything thrown while a source's answer was read, as a failure of that source; the caller's own abort as it is. */
export function asFailure(source: string, problem: string, error: unknown, ask: Ask): Error {
	if (error instanceof SourceUnavailableError) {
		return error;
	}
	if (ask.signal.aborted && error instanceof Error) {
		return error;
	}
	return new SourceFailure(source, `${problem}: ${printable(describe(error))}`, {cause: error, unexpected: true});
}
