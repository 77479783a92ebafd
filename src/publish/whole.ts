/**
 * Images that are made and filled in one step: what a pipe, a folder or a resumed upload brings.
 *
 * `readWhole` makes the fields of one out of a manifest; `checkWhole` before and `saveFilled` after its file has come
 * do the rest. Nobody sees the image before it is whole.
 */
import {randomUUID} from 'node:crypto';
import {isUuid, type JsonObject, type Manifest, type Uuid} from '../image/manifest.js';
import {
	beginCreate,
	beginImport,
	finishCreate,
	finishImport,
	readAdopted,
	type ImageFields,
	type ServerMode,
} from '../image/rules.js';
import type {Change, WholeImage} from './api.js';
import {checkOperator, readAccount} from './guards.js';
import type {HeldFile, LocalWrites} from './internal.js';

export interface ReadImage {
	readonly fields: ImageFields;
	/** As `LocalWrites.checkOrigin` takes it. */
	readonly origin: string | undefined;
}

function hasUuid({manifest}: WholeImage): boolean {
	return Object.hasOwn(manifest, 'uuid') && manifest['uuid'] !== undefined && manifest['uuid'] !== null;
}

/** The fields of an image to be made in one go, without its file. Whoever names a uuid, or adopts, is an operator. */
export function readWhole(image: WholeImage, change: Pick<Change, 'account'>, mode: ServerMode): ReadImage {
	const account = readAccount(change.account);
	const fresh = newUuid();
	if (image.adopt) {
		checkOperator(change);
		const given = hasUuid(image) ? image.manifest : {...image.manifest, uuid: fresh};
		const fields: ImageFields = {...readAdopted(given, {mode}), files: []};
		return {fields, origin: fields.origin};
	}
	if (!hasUuid(image)) {
		const options = {mode, account, uuid: fresh};
		const begun = beginCreate(withDefaults(image.manifest, mode), options);
		return {fields: finishCreate(begun, options), origin: begun.origin};
	}
	checkOperator(change);
	const {uuid} = image.manifest;
	// What is no uuid is the rules' to refuse.
	const options = {mode, uuid: isUuid(uuid) ? uuid : fresh};
	const begun = beginImport(withDefaults(image.manifest, mode), options);
	return {fields: finishImport(begun, options), origin: begun.origin};
}

/** Writes an image whose file is held. Looks once more at what may have changed while the file was on its way. */
export async function saveFilled(
	writes: LocalWrites,
	image: WholeImage,
	held: HeldFile,
	change: Change,
	options: {readonly nowMs: number; readonly by: string | undefined; readonly uuid?: Uuid; readonly born?: string},
): Promise<Manifest> {
	const channels = writes.channelsFor(change.channel);
	const {fields, origin} = writes.readWhole(image, change);
	const uuid = options.uuid ?? fields.uuid;
	if (hasUuid(image)) {
		await writes.checkFree(uuid, change.ask);
	}
	const originIsLocal = await writes.checkOrigin(origin, change.ask);
	return writes.saveWhole({
		fields: finishWhole({...fields, uuid}, image, held, options.nowMs),
		channels,
		by: options.by,
		born: options.born,
		originIsLocal,
	});
}

/** Everything that can be refused before the file is here. */
export async function checkWhole(writes: LocalWrites, image: WholeImage, change: Change): Promise<ImageFields> {
	writes.channelsFor(change.channel);
	const {fields, origin} = writes.readWhole(image, change);
	if (hasUuid(image)) {
		await writes.checkFree(fields.uuid, change.ask);
	}
	await writes.checkOrigin(origin, change.ask);
	return fields;
}

function withDefaults(manifest: JsonObject, mode: ServerMode): JsonObject {
	if (isVersion1(manifest)) {
		return manifest;
	}
	const defaults: JsonObject = {v: 2, public: mode === 'public', type: 'zone-dataset', os: 'smartos'};
	const missing = Object.entries(defaults).filter(([name]) => !Object.hasOwn(manifest, name));
	return {...Object.fromEntries(missing), ...manifest};
}

/** Those have everything, under other names. */
function isVersion1(manifest: JsonObject): boolean {
	return !Object.hasOwn(manifest, 'v') && Object.hasOwn(manifest, 'creator_uuid');
}

export function newUuid(): Uuid {
	const uuid = randomUUID();
	if (!isUuid(uuid)) {
		throw new TypeError('randomUUID gave something else');
	}
	return uuid;
}

/** The image with its file, as it is to be seen first. */
function finishWhole(
	fields: ImageFields,
	{activate, adopt}: Omit<WholeImage, 'manifest'>,
	held: HeldFile,
	nowMs: number,
): ImageFields {
	const whole: ImageFields = {...fields, files: [held.file]};
	const isActivated = activate && (!adopt || fields.activated);
	if (!isActivated) {
		return {...whole, activated: false};
	}
	return {...whole, activated: true, published_at: fields.published_at ?? new Date(nowMs).toISOString()};
}
