/**
 * A file as the answer to a GET: which part of it, and its bytes at the pace of whoever takes them.
 *
 * The headers go out with the first bytes and not before, so that whatever goes wrong until then can still be said; from
 * then on a failure cuts the connection short of Content-Length.
 */
import type {OutgoingHttpHeaders} from 'node:http';
import {MirrorError} from '../errors.js';
import type {Metrics} from '../host.js';
import type {FileReader, OpenFile} from '../mirror.js';
import type {BufferBudget} from './buffers.js';
import {judge, rangeHolds, type Validators} from './conditions.js';
import type {Exchange} from './exchange.js';
import {headerText} from './header-text.js';
import {parseRange, type ByteRange} from './range.js';
import {RequestError} from './request-error.js';

export interface SendFileContext {
	readonly budget: BufferBudget;
	readonly metrics: Metrics;
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
	await pump(exchange, reader, {length: end - start, budget: context.budget, begin, sent});
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

/** While one buffer is on its way to the client, the next is being read: where the budget has room for two. */
async function pump(
	exchange: Exchange,
	reader: FileReader,
	options: {
		readonly length: number;
		readonly budget: BufferBudget;
		readonly begin: () => void;
		readonly sent: (bytes: number) => void;
	},
): Promise<void> {
	const {length, budget, begin, sent} = options;
	let left = length;
	let sending: Promise<void> | undefined;
	budget.enter();
	try {
		while (left > 0) {
			if (!budget.double) {
				await sending;
			}
			const buffer = budget.take();
			let bytes: number;
			try {
				bytes = await reader.read(buffer.subarray(0, Math.min(left, buffer.length)));
				if (bytes === 0) {
					throw new MirrorError(`the file ended ${left} bytes early`);
				}
				await sending;
			} catch (error) {
				budget.give(buffer, false);
				throw error;
			}
			if (left === length) {
				begin();
			}
			left -= bytes;
			sending = pass(buffer, bytes);
			// It is awaited above or below; were the read in between to fail, nobody would look at it any more.
			sending.catch(() => undefined);
		}
		await sending;
	} finally {
		budget.leave();
	}
	if (length === 0) {
		begin();
	}
	exchange.end();

	async function pass(buffer: Buffer, bytes: number): Promise<void> {
		let taken = false;
		try {
			await exchange.write(buffer.subarray(0, bytes));
			taken = true;
			sent(bytes);
		} finally {
			// A connection that broke may still be sending from it.
			budget.give(buffer, taken);
		}
	}
}
