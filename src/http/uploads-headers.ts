/**
 * The headers of the tus protocol, read and written (https://tus.io/protocols/resumable-upload, version 1.0.0).
 */
import type {IncomingHttpHeaders, OutgoingHttpHeaders} from 'node:http';
import type {ResumableUpload} from '../publish/api.js';
import {RequestError} from './request-error.js';

export const tusVersion = '1.0.0';
/** Of the bytes of an upload in a request's body. */
export const tusType = 'application/offset+octet-stream';

export const discovery: Readonly<Record<string, string>> = {
	'Tus-Resumable': tusVersion,
	'Tus-Version': tusVersion,
	'Tus-Extension': 'creation,creation-with-upload,creation-defer-length,expiration,termination',
};

/** Throws RequestError for a client that speaks another version, or none: it may not be answered otherwise. */
export function checkTusVersion(headers: IncomingHttpHeaders): void {
	const version = headers['tus-resumable'];
	if (version !== tusVersion) {
		throw new RequestError('PRECONDITION_FAILED', `uploads need the header Tus-Resumable: ${tusVersion}`, {
			'Tus-Version': tusVersion,
		});
	}
}

export function isTusType(headers: IncomingHttpHeaders): boolean {
	return headers['content-type']?.trim().toLowerCase() === tusType;
}

/** `undefined`: it is not there. */
export function numberHeader(headers: IncomingHttpHeaders, name: string): number | undefined {
	const text = headers[name];
	if (text === undefined) {
		return undefined;
	}
	if (typeof text !== 'string' || !/^\d{1,15}$/u.test(text)) {
		throw new RequestError('BAD_REQUEST', `${name} must be a number of bytes`);
	}
	return Number(text);
}

/** What a new upload says of its size. `undefined`: it does not know yet, and says so. */
export function announcedLength(headers: IncomingHttpHeaders): number | undefined {
	const length = numberHeader(headers, 'upload-length');
	const deferred = headers['upload-defer-length'];
	if ((length === undefined) === (deferred === undefined) || (deferred !== undefined && deferred !== '1')) {
		throw new RequestError('BAD_REQUEST', 'a new upload needs either Upload-Length or Upload-Defer-Length: 1');
	}
	return length;
}

const base64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/u;

/** Names with their values, decoded; a name alone has an empty one. */
export function parseMetadata(header: string | undefined): ReadonlyMap<string, string> {
	const metadata = new Map<string, string>();
	for (const pair of header === undefined || header.trim() === '' ? [] : header.split(',')) {
		const [name = '', value = '', ...more] = pair.trim().split(' ');
		if (!/^[\x21-\x7e]+$/u.test(name) || more.length > 0 || !base64.test(value)) {
			throw new RequestError(
				'BAD_REQUEST',
				'Upload-Metadata must be names, each with a base64 value, joined by commas',
			);
		}
		if (metadata.has(name)) {
			throw new RequestError('BAD_REQUEST', `Upload-Metadata has several ${name}`);
		}
		metadata.set(name, decode(name, value));
	}
	return metadata;
}

function decode(name: string, value: string): string {
	try {
		return new TextDecoder('utf-8', {fatal: true, ignoreBOM: true}).decode(Buffer.from(value, 'base64'));
	} catch (error) {
		throw new RequestError('BAD_REQUEST', `the value of ${name} in Upload-Metadata is no UTF-8`, {}, {cause: error});
	}
}

/** What a client may know of an upload: how far it is, how long it is kept. */
export function stateHeaders({offset, size, image, expiresAtMs}: ResumableUpload): OutgoingHttpHeaders {
	return {
		'Upload-Offset': offset,
		...(image === undefined ? {'Upload-Expires': new Date(expiresAtMs).toUTCString()} : {'X-Image': image}),
		...(size === undefined ? {'Upload-Defer-Length': '1'} : {}),
	};
}

/** The same, and what it has said of itself. */
export function fullHeaders(upload: ResumableUpload): OutgoingHttpHeaders {
	const {size, metadata} = upload;
	const pairs = Object.entries(metadata).map(([name, value]) =>
		value === '' ? name : `${name} ${Buffer.from(value).toString('base64')}`,
	);
	return {
		...stateHeaders(upload),
		...(size === undefined ? {} : {'Upload-Length': size}),
		...(pairs.length === 0 ? {} : {'Upload-Metadata': pairs.join(',')}),
		'Cache-Control': 'no-store',
	};
}
