/**
 * What undici, sockets and servers report, in words and in the few distinctions that we act on.
 *
 * The transport wraps every failure with these. Nothing here decides whether anybody asks again.
 */
import {STATUS_CODES} from 'node:http';

export interface Timeouts {
	readonly connectTimeoutMs: number;
	readonly headerTimeoutMs: number;
	readonly idleTimeoutMs: number;
}

/** Codes of connections that failed or broke without anybody having said anything. */
const transientCodes: ReadonlySet<string> = new Set([
	'EAI_AGAIN',
	'ECONNABORTED',
	'ECONNREFUSED',
	'ECONNRESET',
	'EHOSTUNREACH',
	'ENETUNREACH',
	'ENOTFOUND',
	'EPIPE',
	'UND_ERR_SOCKET',
]);

export function isTransient(error: unknown): boolean {
	return chain(error).some(({code}) => transientCodes.has(code));
}

export function problemOf(error: unknown, timeouts: Timeouts): string {
	for (const {code} of chain(error)) {
		switch (code) {
			case 'UND_ERR_CONNECT_TIMEOUT':
				return `could not be connected to within ${timeouts.connectTimeoutMs} ms`;
			case 'UND_ERR_HEADERS_TIMEOUT':
				return `did not answer within ${timeouts.headerTimeoutMs} ms`;
			case 'UND_ERR_BODY_TIMEOUT':
				return `sent nothing more for ${timeouts.idleTimeoutMs} ms`;
			case 'ECONNREFUSED':
				return 'refused the connection';
			case 'ENOTFOUND':
			case 'EAI_AGAIN':
				return 'has a host name that cannot be resolved';
			case 'EPRIVATE':
				return 'is at a private address, where others must not lead us';
			case 'ECONNRESET':
			case 'EPIPE':
			case 'UND_ERR_SOCKET':
				return 'broke the connection';
		}
	}
	return 'failed';
}

/** An error, its causes, and what an AggregateError gathers. */
function chain(error: unknown, depth = 0): {readonly code: string}[] {
	if (!(error instanceof Error) || depth > 4) {
		return [];
	}
	const own = {code: 'code' in error && typeof error.code === 'string' ? error.code : ''};
	const inner = error instanceof AggregateError ? (error.errors as unknown[]) : [];
	return [own, ...[error.cause, ...inner].flatMap(next => chain(next, depth + 1))];
}

export function statusText(status: number): string {
	return `${status} ${STATUS_CODES[status] ?? ''}`.trim();
}

/** Retry-After as milliseconds from now: seconds, or a date (RFC 9110 10.2.3). */
export function retryAfter(text: string | undefined, nowMs: number): number | undefined {
	if (text === undefined) {
		return undefined;
	}
	if (/^\d{1,9}$/.test(text.trim())) {
		return Number(text) * 1000;
	}
	const at = Date.parse(text);
	return Number.isNaN(at) ? undefined : Math.max(0, at - nowMs);
}

/** What an IMGAPI (`{code, message}`) or DSAPI (`{error: {message}}`) error body says; `''` for anything else. */
export function wordsIn(said: unknown): string {
	if (typeof said !== 'object' || said === null) {
		return '';
	}
	const {code, message, error} = said as {code?: unknown; message?: unknown; error?: unknown};
	const parts = [code, message].filter(part => typeof part === 'string');
	return parts.length > 0 ? parts.join(': ') : typeof error === 'string' ? error : wordsIn(error);
}
