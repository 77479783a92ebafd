/**
 * A tar as the answer, all of whose bytes are known before the first of them is sent: whole, or the part that was asked
 * for.
 *
 * The headers go out with the first bytes, so that whatever goes wrong until then can still be said; from then on a
 * failure cuts the connection short of Content-Length.
 */
import type {OutgoingHttpHeaders} from 'node:http';
import type {TarFile} from '../airgap/api.js';
import {MirrorError} from '../errors.js';
import type {Metrics} from '../host.js';
import {isRead} from './callers.js';
import {judge, type Validators} from './conditions.js';
import type {Exchange} from './exchange.js';
import {attachment} from './header-text.js';
import type {ByteRange} from './range.js';
import {RequestError} from './request-error.js';
import {rangeOf} from './send-file.js';

/** Closes the tar, whatever happens. */
export async function sendTar(exchange: Exchange, tar: TarFile, metrics: Metrics): Promise<void> {
	try {
		await send(exchange, tar, metrics);
	} finally {
		tar.close();
	}
}

async function send(exchange: Exchange, tar: TarFile, metrics: Metrics): Promise<void> {
	const validators: Validators = {etag: tar.etag};
	// Neither conditions nor ranges are of a POST. https://www.rfc-editor.org/rfc/rfc9110#section-14.2
	const reads = isRead(exchange);
	switch (reads ? judge(exchange.headers, validators) : 'send') {
		case 'failed':
			throw new RequestError('PRECONDITION_FAILED', 'the tar is another one', etagOf(tar));
		case 'not modified':
			exchange.empty(304, etagOf(tar));
			return;
		case 'send':
	}
	if (exchange.head) {
		exchange.begin(200, headersOf(tar, undefined));
		exchange.end();
		return;
	}
	const range = reads ? rangeOf(exchange, tar.size, validators) : undefined;
	const {start, end} = range ?? {start: 0, end: tar.size};
	let left = end - start;
	for await (const piece of tar.read(start, end, exchange.signal)) {
		if (piece.length > left) {
			throw new MirrorError('the tar is longer than it should be');
		}
		if (left === end - start) {
			exchange.begin(range === undefined ? 200 : 206, headersOf(tar, range));
		}
		left -= piece.length;
		await exchange.write(piece);
		metrics.bytesToClients.inc({cache: 'hit'}, piece.length);
	}
	if (left > 0) {
		throw new MirrorError(`the tar ended ${left} bytes early`);
	}
	exchange.end();
}

function headersOf(tar: TarFile, range: ByteRange | undefined): OutgoingHttpHeaders {
	return {
		'Content-Type': 'application/x-tar',
		'Content-Length': range === undefined ? tar.size : range.end - range.start,
		...(range === undefined ? {} : {'Content-Range': `bytes ${range.start}-${range.end - 1}/${tar.size}`}),
		'Content-Disposition': attachment(tar.fileName),
		'Accept-Ranges': 'bytes',
		'X-Content-Type-Options': 'nosniff',
		...etagOf(tar),
	};
}

function etagOf({etag}: TarFile): Record<string, string> {
	// Who may see what is in it is asked each time.
	return {ETag: `"${etag}"`, 'Cache-Control': 'private, no-cache'};
}
