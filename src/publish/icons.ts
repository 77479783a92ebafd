/**
 * Icons on their way in (contract 6.11): small enough to be had in memory before anything is written.
 */
import {createHash} from 'node:crypto';
import {MirrorError, RefusedError} from '../errors.js';
import {isSha1} from '../image/manifest.js';
import type {LocalIcon} from './internal.js';

const maxBytes = 131_072;

const kinds: ReadonlySet<unknown> = new Set(['image/jpeg', 'image/png', 'image/gif']);

export interface IconOffer {
	readonly contentType: string | undefined;
	readonly sha1: string | undefined;
	readonly size: number | undefined;
	readonly body: AsyncIterable<Buffer>;
}

export interface ReceivedIcon {
	readonly icon: LocalIcon;
	readonly bytes: Buffer;
}

/** Throws RefusedError Upload for everything that is wrong with it. */
export async function receiveIcon(
	{contentType, sha1, size, body}: IconOffer,
	nowMs: number,
	signal: AbortSignal,
): Promise<ReceivedIcon> {
	checkKind(contentType);
	if (size !== undefined && size > maxBytes) {
		throw tooBig();
	}
	const chunks: Buffer[] = [];
	let received = 0;
	for await (const chunk of body) {
		signal.throwIfAborted();
		received += chunk.length;
		if (received > maxBytes) {
			throw tooBig();
		}
		chunks.push(chunk);
	}
	const bytes = Buffer.concat(chunks);
	if (size !== undefined && bytes.length !== size) {
		throw new RefusedError('Upload', `the icon has ${bytes.length} bytes, not ${size}`);
	}
	const made = makeIcon(bytes, contentType, nowMs);
	if (sha1 !== undefined && sha1 !== '' && made.icon.sha1 !== sha1.toLowerCase()) {
		throw new RefusedError('Upload', `the icon has the sha1 ${made.icon.sha1}, not the one given`);
	}
	return made;
}

/** The same for one that is here. */
export function makeIcon(bytes: Buffer, contentType: string | undefined, nowMs: number): ReceivedIcon {
	checkKind(contentType);
	if (bytes.length === 0) {
		throw new RefusedError('Upload', 'the icon is empty');
	}
	if (bytes.length > maxBytes) {
		throw tooBig();
	}
	const sha1 = createHash('sha1').update(bytes).digest('hex');
	if (!isSha1(sha1)) {
		throw new MirrorError('a digest is not one');
	}
	const md5 = createHash('md5').update(bytes).digest('hex');
	return {icon: {sha1, md5, size: bytes.length, contentType, storedAtMs: nowMs}, bytes};
}

function checkKind(contentType: string | undefined): asserts contentType is string {
	if (!kinds.has(contentType)) {
		throw new RefusedError('Upload', 'the Content-Type of an icon is image/jpeg, image/png or image/gif');
	}
}

function tooBig(): RefusedError {
	return new RefusedError('Upload', `an icon may have ${maxBytes} bytes at most`);
}
