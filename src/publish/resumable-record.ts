/**
 * What is kept beside the bytes of an upload that can be resumed, so that a restart goes on with it: what it is to
 * become, how its sender described it, and how far its end had come.
 */
import {IntegrityError} from '../errors.js';
import {isSha1, isUuid, type Compression, type JsonObject, type Sha1, type Uuid} from '../image/manifest.js';
import type {FileOffer, UploadPurpose} from './api.js';

export interface UploadInfo {
	readonly id: string;
	/** Of all of it. `undefined`: nobody knows yet. */
	readonly size: number | undefined;
	readonly purpose: UploadPurpose;
	readonly offer: Omit<FileOffer, 'body' | 'size'>;
	readonly metadata: Readonly<Record<string, string>>;
	readonly owner: string | undefined;
	readonly account: string | undefined;
	readonly channel: string | undefined;
	/** When somebody last went on with it. */
	readonly touchedAtMs: number;
	/** The image that it is for or becomes, and how it is told from another one of that uuid. */
	readonly target: Uuid;
	readonly born: string;
	/** The bytes have been verified, and are a blob or just about to become one. */
	readonly verified: {readonly sha1: Sha1; readonly compression: Compression} | undefined;
	/** What came of it. */
	readonly image: Uuid | undefined;
}

const infoVersion = 1;

export function infoText(info: UploadInfo): string {
	return `${JSON.stringify({upload: infoVersion, ...info}, undefined, 2)}\n`;
}

/** Throws IntegrityError. */
export function readInfo(text: string, id: string): UploadInfo {
	let info: unknown;
	try {
		info = JSON.parse(text);
	} catch (error) {
		throw new IntegrityError('it is not JSON', {cause: error});
	}
	check(isPlain(info) && info['upload'] === infoVersion && info['id'] === id, 'upload');
	const {size, owner, account, channel, touchedAtMs, target, born, image, offer, metadata} = info;
	check(size === undefined || isCount(size), 'size');
	check(isOptionalText(owner), 'owner');
	check(isOptionalText(account), 'account');
	check(isOptionalText(channel), 'channel');
	check(isCount(touchedAtMs), 'touchedAtMs');
	check(isUuid(target), 'target');
	check(typeof born === 'string', 'born');
	check(image === undefined || isUuid(image), 'image');
	check(isPlain(offer), 'offer');
	check(isTexts(metadata), 'metadata');
	return {
		id,
		size,
		purpose: purposeOf(info['purpose']),
		offer: {
			compression: optionalText(offer['compression']),
			sha1: optionalText(offer['sha1']),
			datasetGuid: optionalText(offer['datasetGuid']),
			storage: optionalText(offer['storage']),
		},
		metadata,
		owner,
		account,
		channel,
		touchedAtMs,
		target,
		born,
		verified: info['verified'] === undefined ? undefined : verifiedOf(info['verified']),
		image,
	};
}

function purposeOf(purpose: unknown): UploadPurpose {
	check(isPlain(purpose), 'purpose');
	const {kind, image} = purpose;
	if (kind === 'file') {
		check(isUuid(image), 'purpose.image');
		return {kind, image};
	}
	check(kind === 'image' && isPlain(image) && isPlain(image['manifest']), 'purpose.image');
	const {manifest, adopt, activate} = image;
	check(typeof adopt === 'boolean' && typeof activate === 'boolean', 'purpose.image');
	return {kind, image: {manifest, adopt, activate}};
}

function verifiedOf(verified: unknown): {readonly sha1: Sha1; readonly compression: Compression} {
	check(isPlain(verified), 'verified');
	const {sha1, compression} = verified;
	check(isSha1(sha1), 'verified.sha1');
	check(
		compression === 'none' || compression === 'gzip' || compression === 'bzip2' || compression === 'xz',
		'verified.compression',
	);
	return {sha1, compression};
}

function check(holds: boolean, where: string): asserts holds {
	if (!holds) {
		throw new IntegrityError(`${where} is missing or of another kind`);
	}
}

function isPlain(value: unknown): value is JsonObject {
	return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isTexts(value: unknown): value is Readonly<Record<string, string>> {
	return isPlain(value) && Object.values(value).every(text => typeof text === 'string');
}

function isCount(value: unknown): value is number {
	return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

function isOptionalText(value: unknown): value is string | undefined {
	return value === undefined || typeof value === 'string';
}

function optionalText(value: unknown): string | undefined {
	return typeof value === 'string' ? value : undefined;
}
