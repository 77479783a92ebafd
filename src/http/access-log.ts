/**
 * One line in the log and one count in the metrics for every request, when it is over.
 *
 * The exchange says what became of it; the level follows from that. An error told to a client is in its line, and
 * nowhere else.
 */
import {describe} from '../errors.js';
import type {Host} from '../host.js';
import type {CacheOutcome} from '../mirror.js';
import type {ErrorAnswer} from './respond.js';

/** What an answer is about, for its headers and the log. */
export interface Notes {
	readonly image?: string;
	readonly source?: string;
	readonly cache?: CacheOutcome;
}

export interface AnswerRecord {
	readonly method: string;
	readonly url: string;
	readonly route: string;
	/** Probes and scrapers fill no log. */
	readonly quiet: boolean;
	/** `undefined`: the client left before there was an answer. */
	readonly status: number | undefined;
	/** Of the body, as far as the socket took them. */
	readonly bytes: number;
	readonly ms: number;
	readonly notes: Notes;
	readonly remote: string | undefined;
	readonly requestId: string;
	readonly userAgent: string | undefined;
	readonly failure: {readonly error: unknown; readonly answer: ErrorAnswer} | undefined;
	readonly cutBecause: string | undefined;
	/** The client was sent all of it. */
	readonly whole: boolean;
}

/** As nginx has it: the client closed the connection before it got an answer. */
const clientClosed = 499;

export function recordAnswer({log, metrics}: Host, record: AnswerRecord): void {
	const {method, route, ms, failure, cutBecause} = record;
	const status = record.status ?? clientClosed;
	metrics.requests.inc({route, method, status: String(status)});
	metrics.requestSeconds.observe({route}, ms / 1000);

	const internal = failure?.answer.code === 'InternalError';
	const line = {
		method,
		url: shorten(record.url, 2048),
		status,
		bytes: record.bytes,
		ms: Math.round(ms),
		route,
		...record.notes,
		remote: record.remote,
		requestId: record.requestId,
		userAgent: record.userAgent === undefined ? undefined : shorten(record.userAgent, 256),
		code: failure?.answer.code,
		problem: failure === undefined ? cutBecause : describe(failure.error),
		// The stack: nobody expected this one.
		err: internal ? failure.error : undefined,
	};
	if (internal) {
		log.error(line, 'request failed');
	} else if (cutBecause !== undefined) {
		log.warn(line, 'answer cut short');
	} else if (!record.whole) {
		log.info(line, 'client left');
	} else if (record.quiet) {
		log.debug(line, 'request');
	} else if (status >= 500) {
		log.warn(line, 'request failed');
	} else {
		log.info(line, 'request');
	}
}

function shorten(text: string, length: number): string {
	return text.length > length ? `${text.slice(0, length)}…` : text;
}
