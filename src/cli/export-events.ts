/**
 * The lines of a plan, read from the wire.
 *
 * What one must have and does not reads as nothing, as everywhere; whether a blob is one is looked at where it counts,
 * by `write-plan.ts`.
 */
import type {PlanEvent, PlannedBlob} from '../airgap/api.js';
import {flag, list, maybe, maybeNumber, maybeText, number, shape, text, word, type Read} from './fields.js';
import type {Line} from './json-lines.js';

const readBlob = shape({
	digest: text,
	size: number,
	text: maybeText,
	base64: maybeText,
	file: maybe(shape({uuid: text, index: number, sha1: text})),
});

const readEvent = shape({
	what: text,
	images: number,
	bytes: number,
	bytesToFetch: number,
	bytesDone: maybeNumber,
	message: text,
	uuid: text,
	name: maybeText,
	version: maybeText,
	originOf: maybeText,
	filesLeftOut: flag,
	blobs: list(readBlob),
	why: word('failed', 'there'),
	problem: maybeText,
	text,
	signature: maybeText,
	signedBy: maybeText,
	there: number,
	failed: number,
});

/** `undefined`: a newer server has more to tell. */
export function readPlanEvent(line: Line): PlanEvent | undefined {
	const event = readEvent(line);
	const {what, uuid, name = '', version = '', bytes} = event;
	switch (what) {
		case 'begin':
			return {what, images: event.images, bytes, bytesToFetch: event.bytesToFetch};
		case 'fetching':
			return {what, uuid, name, version, bytes};
		case 'progress':
			return {what, bytesDone: event.bytesDone ?? 0};
		case 'warning':
			return {what, message: event.message};
		case 'image':
			return {
				...{what, uuid, name, version, bytes, filesLeftOut: event.filesLeftOut},
				...said('originOf', event.originOf),
				blobs: event.blobs.map(blobOf),
			};
		case 'left-out': {
			const names = {...said('name', event.name), ...said('version', event.version)};
			return {what, uuid, ...names, why: event.why, ...said('problem', event.problem)};
		}
		case 'index':
			return {what, text: event.text, ...said('signature', event.signature), ...said('signedBy', event.signedBy)};
		case 'end':
			return {what, images: event.images, there: event.there, failed: event.failed, bytes};
		default:
			return undefined;
	}
}

function blobOf({digest, size, file, ...blob}: Read<typeof readBlob>): PlannedBlob {
	return {digest, size, ...said('text', blob.text), ...said('base64', blob.base64), ...said('file', file)};
}

/** What is not known is left out. */
function said<Name extends string, T>(name: Name, value: T | undefined): Partial<Record<Name, T>> {
	const fields: Partial<Record<Name, T>> = {};
	if (value !== undefined) {
		fields[name] = value;
	}
	return fields;
}
