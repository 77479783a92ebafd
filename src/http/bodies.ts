/**
 * What a request's body says, where it says something in words: JSON, or a form's pairs (contract 2.5).
 *
 * Handlers get a value that has been bounded in size and depth and checked against its digest; what it means is theirs
 * to find out. Files and icons are no such bodies: `exchange.requestBody()` gives them as they come.
 */
import {createHash} from 'node:crypto';
import {TextDecoder} from 'node:util';
import {IntegrityError} from '../errors.js';
import {readCompact} from '../image/json-text.js';
import {parseQueryString} from '../image/query.js';
import type {Exchange} from './exchange.js';
import {RequestError} from './request-error.js';

/** A manifest with all that may be in one has a good hundred KiB. */
export const maxTextBytes = 2 * 1024 * 1024;
const maxPairs = 1000;

/**
 * The body as a value; `undefined` for none, and for one of a type that nobody reads here. Throws RequestError for what
 * is too large, not what its digest says, or not what its type says.
 */
export async function jsonBody(exchange: Exchange, maxBytes: number = maxTextBytes): Promise<unknown> {
	const {headers} = exchange;
	const type = parseType(headers['content-type']);
	if (!type.isJson && !type.isForm) {
		return undefined;
	}
	const bytes = await bytesBody(exchange, maxBytes);
	checkDigest(headers['content-md5'], bytes);
	const text = decode(bytes, type.charset);
	if (text.trim() === '') {
		return undefined;
	}
	// curl calls whatever it is given a form.
	const looksLikeJson = /^\s*[[{]/u.test(text);
	if (type.isSure ? type.isJson : looksLikeJson) {
		return parseJson(text);
	}
	return type.isForm ? pairsOf(text) : undefined;
}

/** As image servers read it: one without a type is none, as is one of a type that nobody reads here. */
export async function typedBody(exchange: Exchange): Promise<unknown> {
	return (exchange.headers['content-type'] ?? '') === '' ? undefined : jsonBody(exchange);
}

/** All of a body, in memory. Throws RequestError for more than `maxBytes`, where it was announced before any is read. */
export async function bytesBody(exchange: Exchange, maxBytes: number): Promise<Buffer> {
	const encoding = exchange.headers['content-encoding']?.trim().toLowerCase() ?? '';
	if (encoding !== '' && encoding !== 'identity') {
		throw new RequestError('UNSUPPORTED_MEDIA', `a body must come as it is, without Content-Encoding ${encoding}`);
	}
	if ((exchange.bodySize ?? 0) > maxBytes) {
		throw tooLarge(maxBytes);
	}
	const pieces: Buffer[] = [];
	let length = 0;
	for await (const piece of exchange.requestBody()) {
		length += piece.length;
		if (length > maxBytes) {
			throw tooLarge(maxBytes);
		}
		pieces.push(piece);
	}
	return Buffer.concat(pieces, length);
}

function tooLarge(maxBytes: number): RequestError {
	return new RequestError('TOO_LARGE', `the body is larger than ${maxBytes} bytes`);
}

interface BodyType {
	readonly isJson: boolean;
	readonly isForm: boolean;
	/** The type says which of the two it is. */
	readonly isSure: boolean;
	readonly charset: string;
}

function parseType(header: string | undefined): BodyType {
	const [name = '', ...parameters] = (header ?? '').split(';').map(part => part.trim());
	const type = name.toLowerCase();
	const isJson = /^application\/(?:[a-z0-9!#$&^_.-]+\+)?json$/u.test(type);
	const isForm = type === 'application/x-www-form-urlencoded';
	const charset = parameters.map(parameter => /^charset\s*=\s*"?([^"]+)"?$/iu.exec(parameter)?.[1]).find(Boolean);
	return {isJson: isJson || type === '', isForm, isSure: isJson, charset: charset ?? 'utf-8'};
}

function checkDigest(given: string | string[] | undefined, bytes: Buffer): void {
	if (given === undefined) {
		return;
	}
	const digest = createHash('md5').update(bytes).digest('base64');
	if (String(given).trim() !== digest) {
		throw new RequestError('BAD_DIGEST', `Content-MD5 is ${String(given)}, but that of the body is ${digest}`);
	}
}

function decode(bytes: Buffer, charset: string): string {
	let decoder: TextDecoder;
	try {
		decoder = new TextDecoder(charset, {fatal: true});
	} catch (error) {
		throw new RequestError('UNSUPPORTED_MEDIA', `no charset ${charset} is known here`, {}, {cause: error});
	}
	try {
		return decoder.decode(bytes);
	} catch (error) {
		throw new RequestError('INVALID_CONTENT', `the body is no proper ${charset}`, {}, {cause: error});
	}
}

function parseJson(text: string): unknown {
	try {
		// Bounds the depth before anything recursive sees it.
		return readCompact(text).value;
	} catch (error) {
		if (error instanceof IntegrityError) {
			throw new RequestError('INVALID_CONTENT', `the body cannot be read: ${error.message}`, {}, {cause: error});
		}
		throw error;
	}
}

/** A key that comes again makes an array. Any name is just data. */
function pairsOf(text: string): object {
	const pairs = [...parseQueryString(text.trim(), maxPairs)];
	return Object.fromEntries(pairs.map(([name, values]) => [name, values.length === 1 ? values[0] : values]));
}
