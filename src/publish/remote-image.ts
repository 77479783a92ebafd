/**
 * One image of another server made ours as it is there: manifest, date, owner, state, file and icon.
 *
 * Jobs use it for each image of a chain. Nothing is visible before everything is here; whatever fails leaves nothing.
 */
import {SourceUnavailableError} from '../errors.js';
import type {Host} from '../host.js';
import {fieldsOf, type JsonObject, type Manifest, type Uuid} from '../image/manifest.js';
import type {Ask, Icon, Source} from '../sources/source.js';
import type {Actor} from './api.js';
import type {HeldFile, LocalWrites} from './internal.js';
import {holdRemoteFile, unknownOf} from './remote-file.js';
import {findRemote, without} from './remote-import.js';

const iconTypes: ReadonlySet<string> = new Set(['image/jpeg', 'image/png', 'image/gif']);

export interface TakeRemoteImage {
	readonly host: Host;
	readonly writes: LocalWrites;
	readonly source: Source;
	readonly uuid: Uuid;
	readonly by: Actor;
	readonly channels: readonly string[];
	readonly born: string;
	readonly ask: Ask;
	readonly onProgress: (bytes: number, size: number) => void;
	/** Called when everything is here, just before the image is written. */
	readonly beforeSave: () => Promise<void>;
}

export async function takeRemoteImage(options: TakeRemoteImage): Promise<Manifest> {
	const {host, writes, source, uuid, by, channels, born, ask, onProgress, beforeSave} = options;
	const image = await findRemote(source, uuid, ask);
	if (image.files.length === 0) {
		throw new SourceUnavailableError(source.name, `image ${uuid} has no file there`);
	}
	await writes.checkAlike(image, {operator: by.operator, ask});
	const {fields} = writes.readWhole(
		{manifest: asOurs(image, host.clock.now()), adopt: true, activate: true},
		{account: undefined},
	);
	const icon = image.icon ? await readIcon(image, source, host, ask) : undefined;
	const size = image.files.reduce((sum, file) => sum + file.size, 0);
	const held: HeldFile[] = [];
	try {
		let before = 0;
		for (const [index, file] of image.files.entries()) {
			const begun = before;
			const report = (bytes: number): void => onProgress(begun + bytes, size);
			report(0);
			held.push(await holdRemoteFile({source, image, index}, {host, writes, ask, onProgress: report}));
			before += file.size;
		}
		ask.signal.throwIfAborted();
		await beforeSave();
		const files = held.map(({file}, index) => {
			const extra = unknownOf(image, index);
			return extra === undefined ? file : {...file, extra};
		});
		return await writes.saveWhole({
			fields: {...fields, files},
			channels,
			by: by.name,
			born,
			// A job has the origins first, or found them here.
			originIsLocal: true,
			...(icon === undefined ? {} : {icon}),
		});
	} finally {
		for (const file of held) {
			await file.release();
		}
	}
}

/** Whatever is imported is activated (contract 6.14); what was switched off there stays so. */
function asOurs(image: Manifest, nowMs: number): JsonObject {
	return {
		...without(fieldsOf(image), 'icon', 'channels'),
		state: image.disabled || image.state === 'disabled' ? 'disabled' : 'active',
		...(image.publishedAt === undefined ? {published_at: new Date(nowMs).toISOString()} : {}),
	};
}

/** An icon that no client could be given is none; a source that cannot tell is a failure. */
async function readIcon(image: Manifest, source: Source, host: Host, ask: Ask): Promise<Icon | undefined> {
	const icon = await source.readIcon(image, ask);
	if (icon !== undefined && iconTypes.has(icon.contentType) && icon.bytes.length > 0) {
		return icon;
	}
	host.log.warn(
		{image: image.uuid, source: source.name, type: icon?.contentType},
		'an image is taken without its icon',
	);
	return undefined;
}
