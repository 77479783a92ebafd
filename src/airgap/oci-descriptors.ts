/**
 * Descriptors in JSON that strangers wrote: what a blob is, and how to know it.
 *
 * `oci-read.ts` finds them in the index and in manifests. Everything wrong throws IntegrityError, with where it is.
 */
import {IntegrityError} from '../errors.js';
import {isObject} from '../image/json-text.js';
import {shown, type Fields} from './bounded-json.js';
import {isDigest, type Descriptor} from './oci-terms.js';

/** `schemaVersion` is the specification's promise that the rest means what we think. */
export function checkKind(fields: Fields, mediaType: string, what: string): void {
	if (fields['schemaVersion'] !== 2) {
		throw new IntegrityError(`${what}: schemaVersion is not 2: ${shown(fields['schemaVersion'])}`);
	}
	if ((fields['mediaType'] ?? mediaType) !== mediaType) {
		throw new IntegrityError(`${what} is something else: ${shown(fields['mediaType'])}`);
	}
}

export function descriptorOf(value: unknown, where: string): Descriptor {
	if (!isObject(value)) {
		throw new IntegrityError(`${where} is no descriptor`);
	}
	const {mediaType, digest, size, artifactType} = value;
	if (typeof mediaType !== 'string') {
		throw new IntegrityError(`${where} has no media type`);
	}
	if (!isDigest(digest)) {
		throw new IntegrityError(`${where}: the digest is no sha256: ${shown(digest)}`);
	}
	if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0) {
		throw new IntegrityError(`${where}: size is not a number of bytes: ${shown(size)}`);
	}
	if (artifactType !== undefined && typeof artifactType !== 'string') {
		throw new IntegrityError(`${where}: the artifact type is no text: ${shown(artifactType)}`);
	}
	// Bytes from somewhere else are not what somebody carried here.
	if (value['urls'] !== undefined) {
		throw new IntegrityError(`${where} has urls: a bundle brings its bytes along`);
	}
	return {
		mediaType,
		digest,
		size,
		annotations: annotationsOf(value['annotations'], `${where}: annotations`),
		...(artifactType === undefined ? {} : {artifactType}),
	};
}

export function annotationsOf(value: unknown, where: string): Readonly<Record<string, string>> {
	if (value === undefined || value === null) {
		return {};
	}
	if (!isObject(value)) {
		throw new IntegrityError(`${where} are no names and texts`);
	}
	const texts: (readonly [string, string])[] = [];
	for (const [name, text] of Object.entries(value)) {
		if (typeof text !== 'string') {
			throw new IntegrityError(`${where}: ${shown(name)} is no text`);
		}
		texts.push([name, text]);
	}
	// Unlike an assignment, this takes `__proto__` for a name like any other.
	return Object.fromEntries(texts);
}

/** An annotation of that very name. */
export function ownText(annotations: Readonly<Record<string, string>>, name: string): string | undefined {
	return Object.hasOwn(annotations, name) ? annotations[name] : undefined;
}
