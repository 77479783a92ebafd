/**
 * One line in the log and one count in the metrics for every request, when it is over.
 *
 * The exchange says what became of it; the level follows from that. An error told to a client is in its line, and
 * nowhere else.
 */
import {describe} from '../errors.js';
import type {Host} from '../host.js';
import type {CacheOutcome} from '../mirror.js';
import type {Exchange} from './exchange.js';
import type {ErrorAnswer} from './respond.js';

/** What an answer is about, for its headers and the log. */
export interface Notes {
	readonly image?: string;
	readonly source?: string;
	readonly cache?: CacheOutcome;
}

/** What somebody wanted to change. */
export interface Audited {
	readonly action: string;
	readonly image?: string;
}

export interface AnswerRecord {
	/** By whom, and what for. `quiet`: probes and scrapers fill no log. */
	readonly asked: Pick<Exchange, 'method' | 'target' | 'route' | 'quiet' | 'peer' | 'caller' | 'id' | 'headers'>;
	/** `undefined`: the client left before there was an answer. */
	readonly status: number | undefined;
	/** Of the body, as far as the socket took them. */
	readonly bytes: number;
	readonly ms: number;
	readonly notes: Notes;
	/** Of the request's body; `undefined`: nobody has looked at it. */
	readonly received: number | undefined;
	readonly failure: {readonly error: unknown; readonly answer: ErrorAnswer} | undefined;
	readonly cutBecause: string | undefined;
	/** The client was sent all of it. */
	readonly whole: boolean;
}

/** As nginx has it: the client closed the connection before it got an answer. */
export const clientClosed = 499;

/** Where clients have the files of images. */
const fileRoutes: ReadonlySet<string> = new Set(['/images/:uuid/file', '/datasets/:id/:path', '/assets/:path']);

export function recordAnswer(host: Host, record: AnswerRecord): void {
	const {log, metrics} = host;
	const {asked, ms, failure, cutBecause, notes} = record;
	const {method, route, caller, peer} = asked;
	const status = record.status ?? clientClosed;
	metrics.requests.inc({route, method, status: String(status)});
	metrics.requestSeconds.observe({route}, ms / 1000);
	if (record.received !== undefined) {
		metrics.bytesFromClients.inc(record.received);
	}
	if (fileRoutes.has(route) && method === 'GET' && (status === 200 || status === 206) && notes.cache !== undefined) {
		metrics.fileRequests.inc({cache: notes.cache});
	}

	const [level, message] = levelOf(record, status);
	if (!log.isLevelEnabled(level)) {
		return;
	}
	const {'user-agent': userAgent} = asked.headers;
	const line = {
		method,
		url: shorten(withoutPasswords(urlOf(asked)), 2048),
		status,
		bytes: record.bytes,
		received: record.received,
		ms: Math.round(ms),
		route,
		...notes,
		remote: peer.address,
		client: caller.address === peer.address || peer.address === undefined ? undefined : caller.address,
		user: caller.user,
		requestId: asked.id,
		userAgent: userAgent === undefined ? undefined : shorten(userAgent, 256),
		code: failure?.answer.code,
		problem: failure === undefined ? cutBecause : withoutPasswords(describe(failure.error)),
		// The stack: nobody expected this one.
		err: level === 'error' ? failure?.error : undefined,
	};
	log[level](line, message);
}

function urlOf({target: {asked, query}}: AnswerRecord['asked']): string {
	return query === '' ? asked : `${asked}?${query}`;
}

function levelOf(
	{asked: {quiet}, failure, cutBecause, whole}: AnswerRecord,
	status: number,
): readonly ['debug' | 'info' | 'warn' | 'error', string] {
	if (failure?.answer.code === 'InternalError') {
		return ['error', 'request failed'];
	}
	if (cutBecause !== undefined) {
		return ['warn', 'answer cut short'];
	}
	if (!whole) {
		// Of what has no end, leaving is the end.
		return [quiet ? 'debug' : 'info', 'client left'];
	}
	if (quiet) {
		return ['debug', 'request'];
	}
	return status >= 500 ? ['warn', 'request failed'] : ['info', 'request'];
}

const colon = '(?::|%(?:25)*3a)';
const slash = String.raw`(?:[/\\]|%(?:25)*(?:2f|5c))`;
const end = '%(?:25)*(?:2f|5c|3f|23)';
const other = String.raw`[^/\\?#&;\s]`;
/** http and https need no slashes before the login. Nothing is looked at twice: what it is looked for in, strangers send. */
const logins = new RegExp(
	`(?:(${colon}${slash}{2,}|https?${colon}${slash})(?:(?!${end})${other})*` +
		`|(https?${colon})(?:(?!${end}|https?${colon})${other})*)(?:@|%(?:25)*40)`,
	'giu',
);

/** The query of a URL that we are to fetch from: it may hold a signature that opens doors. */
const signed = /([?&]source=[^?&]*?(?:\?|%3f))[^&]+/giu;

/** A URL that somebody gave us may have a login in it, whether its own characters are encoded or not. */
export function withoutPasswords(text: string): string {
	const open = text.includes('source=') ? text.replaceAll(signed, '$1***') : text;
	return open.includes('@') || open.includes('%') ? open.replaceAll(logins, '$1$2***@') : open;
}

function shorten(text: string, length: number): string {
	return text.length > length ? `${text.slice(0, length)}…` : text;
}
