/**
 * A file as the answer to a GET: which part of it, and its bytes at the pace of whoever takes them.
 *
 * The headers go out with the first bytes and not before, so that whatever goes wrong until then can still be said; from
 * then on a failure cuts the connection short of Content-Length.
 */
import type {OutgoingHttpHeaders} from 'node:http';
import type {Metrics} from '../host.js';
import type {OpenFile} from '../mirror.js';
import {judge, rangeHolds, type Validators} from './conditions.js';
import type {Exchange} from './exchange.js';
import type {Turns} from './turns.js';
import {headerText} from './header-text.js';
import type {NativeSend} from './native-send.js';
import {Pump} from './pump.js';
import {parseRange, type ByteRange} from './range.js';
import {RequestError} from './request-error.js';
import type {SharedReads} from './shared-reads.js';

export interface SendFileContext {
	readonly reads: SharedReads;
	readonly turns: Turns;
	readonly metrics: Metrics;
	/** `undefined`: every file is read and written. */
	readonly native: NativeSend | undefined;
}

/** Closes the file, whatever happens. */
export async function sendFile(exchange: Exchange, file: OpenFile, context: SendFileContext): Promise<void> {
	// A reader that waits for bytes must not wait on when nobody does with it.
	const {signal} = exchange;
	let closed = false;
	const close = (): void => {
		if (!closed) {
			closed = true;
			file.close();
		}
	};
	signal.addEventListener('abort', close, {once: true});
	try {
		await send(exchange, file, context);
	} catch (error) {
		// What was being read when it was closed for that reason says nothing of its own.
		throw signal.aborted && signal.reason instanceof Error ? signal.reason : error;
	} finally {
		signal.removeEventListener('abort', close);
		close();
	}
}

async function send(exchange: Exchange, file: OpenFile, context: SendFileContext): Promise<void> {
	exchange.note({source: file.source, cache: file.cache});
	const validators: Validators = {etag: file.sha1, modifiedMs: file.storedAtMs};
	switch (judge(exchange.headers, validators)) {
		case 'failed':
			throw new RequestError('PRECONDITION_FAILED', 'the file is another one', validatorHeaders(file));
		case 'not modified':
			exchange.empty(304, validatorHeaders(file));
			return;
		case 'send':
	}
	if (exchange.head) {
		exchange.begin(200, fileHeaders(file, undefined));
		exchange.end();
		return;
	}
	if (file.cache !== 'hit' && file.cache !== 'local') {
		exchange.refuseCircle();
	}
	const range = rangeOf(exchange, file.size, validators);
	const {start, end} = range ?? {start: 0, end: file.size};
	const reader = await file.body(start, end, exchange.ask);
	const {source, cache} = file;
	exchange.note({source, cache});
	const begin = (): void => exchange.begin(range === undefined ? 200 : 206, fileHeaders(file, range));
	const sent = (bytes: number): void => context.metrics.bytesToClients.inc({cache}, bytes);
	const {reads, turns} = context;
	const native = exchange.isEncrypted ? undefined : context.native;
	await new Pump({exchange, reader, length: end - start, reads, turns, native, begin, sent}).run();
	exchange.end();
}

/** Which part of a file of that size the client wants; `undefined`: all of it. Throws RequestError for none of it. */
export function rangeOf(exchange: Exchange, size: number, validators: Validators): ByteRange | undefined {
	const {range: header, 'if-range': ifRange} = exchange.headers;
	if (header === undefined || (typeof ifRange === 'string' && !rangeHolds(ifRange, validators))) {
		return undefined;
	}
	const range = parseRange(header, size);
	if (range === 'unsatisfiable') {
		throw new RequestError('RANGE_NOT_SATISFIABLE', `the file has ${size} bytes`, {
			'Content-Range': `bytes */${size}`,
		});
	}
	return range;
}

function fileHeaders(file: OpenFile, range: ByteRange | undefined): OutgoingHttpHeaders {
	return {
		'Content-Type': 'application/octet-stream',
		'Content-Length': range === undefined ? file.size : range.end - range.start,
		...(range === undefined ? {} : {'Content-Range': `bytes ${range.start}-${range.end - 1}/${file.size}`}),
		'Accept-Ranges': 'bytes',
		...validatorHeaders(file),
		// Of the whole file. imgadm takes it for that of what it is sent, which is the whole file always.
		...(file.contentMd5 === undefined || range !== undefined ? {} : {'Content-MD5': headerText(file.contentMd5)}),
	};
}

function validatorHeaders(file: OpenFile): Record<string, string> {
	return {
		...(file.sha1 === undefined ? {} : {ETag: `"${file.sha1}"`}),
		...(file.storedAtMs === undefined ? {} : {'Last-Modified': new Date(file.storedAtMs).toUTCString()}),
	};
}
