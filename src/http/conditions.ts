/**
 * Conditional requests (RFC 9110, section 13; contract 2.6).
 *
 * The reference sends its ETags without quotes and its clients send them back so; both forms mean the same here.
 */
import type {IncomingHttpHeaders} from 'node:http';
import type {Exchange} from './exchange.js';
import {RequestError} from './request-error.js';

/** What is being asked about. */
export interface Validators {
	/** Without quotes. */
	readonly etag: string | undefined;
	readonly modifiedMs?: number | undefined;
}

export type Verdict = 'send' | 'not modified' | 'failed';

export function judge(headers: IncomingHttpHeaders, {etag, modifiedMs}: Validators): Verdict {
	const ifMatch = headers['if-match'];
	if (ifMatch !== undefined) {
		if (!namesEtag(ifMatch, etag)) {
			return 'failed';
		}
	} else if (modifiedMs !== undefined && isBefore(headers['if-unmodified-since'], modifiedMs)) {
		return 'failed';
	}
	const ifNoneMatch = headers['if-none-match'];
	if (ifNoneMatch !== undefined) {
		return namesEtag(ifNoneMatch, etag) ? 'not modified' : 'send';
	}
	const since = dateOf(headers['if-modified-since']);
	return modifiedMs !== undefined && since !== undefined && wholeSeconds(modifiedMs) <= since ? 'not modified' : 'send';
}

/** The headers to send the thing with; `undefined`: the client has it, and has been told so. */
export function unlessSatisfied(
	exchange: Exchange,
	etag: string,
	modifiedMs?: number,
): Record<string, string> | undefined {
	const headers = {
		ETag: `"${etag}"`,
		...(modifiedMs === undefined ? {} : {'Last-Modified': new Date(modifiedMs).toUTCString()}),
	};
	switch (judge(exchange.headers, {etag, modifiedMs})) {
		case 'failed':
			throw new RequestError('PRECONDITION_FAILED', 'it has another ETag by now', headers);
		case 'not modified':
			exchange.empty(304, headers);
			return undefined;
		case 'send':
			return headers;
	}
}

/** Whether the part that a client has is of the file as it is now, so that a range may go on from there. */
export function rangeHolds(ifRange: string, {etag, modifiedMs}: Validators): boolean {
	// A weak tag never holds here.
	if (etag !== undefined && (ifRange === `"${etag}"` || ifRange === etag)) {
		return true;
	}
	const date = dateOf(ifRange);
	return modifiedMs !== undefined && date === wholeSeconds(modifiedMs);
}

/**
 * Which of a thing's forms, each with its own ETag, an answer is about: the one that the client says it has, else the
 * first.
 */
export function formFor(headers: IncomingHttpHeaders, etags: readonly string[]): number {
	const names = headers['if-match'] ?? headers['if-none-match'];
	return names === undefined
		? 0
		: Math.max(
				0,
				etags.findIndex(etag => namesEtag(names, etag)),
			);
}

/** Whether one of the tags in an If-Match or If-None-Match is that one. */
export function namesEtag(header: string, etag: string | undefined): boolean {
	return header.split(',').some(item => {
		const tag = item.trim();
		return tag === '*' || (etag !== undefined && tag.replace(/^W\//u, '').replace(/^"(.*)"$/u, '$1') === etag);
	});
}

function isBefore(header: string | undefined, modifiedMs: number): boolean {
	const date = dateOf(header);
	return date !== undefined && date < wholeSeconds(modifiedMs);
}

/** `undefined`: none, or none that can be read. Date.parse would take "5" or an ETag's digits for a year. */
function dateOf(header: string | undefined): number | undefined {
	if (header === undefined || !/^[A-Z][a-z]+,? /u.test(header)) {
		return undefined;
	}
	const date = Date.parse(header);
	return Number.isNaN(date) ? undefined : date;
}

function wholeSeconds(ms: number): number {
	return Math.floor(ms / 1000) * 1000;
}
