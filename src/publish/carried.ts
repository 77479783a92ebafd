/**
 * Images that came by hand, made ours as they were where they came from.
 *
 * They are records like all the others, and stay until somebody deletes them; what is said of them may be renewed by
 * the next bundle as long as nobody has changed it here. Thousands come at once, so lists are brought up to date now and
 * then, and not after each.
 */
import {randomUUID} from 'node:crypto';
import {RefusedError, describe} from '../errors.js';
import type {Host, Timer} from '../host.js';
import {readAdopted} from '../image/adopted.js';
import type {JsonObject, Manifest, Sha1, Uuid} from '../image/manifest.js';
import type {ImageFields, StoredFile} from '../image/rules.js';
import type {Ask, Icon} from '../sources/source.js';
import type {Actor, CarriedImage, CarriedImages} from './api.js';
import type {PublishArea} from './area.js';
import {cameAs, isSameSet, isUntouched} from './came.js';
import {makeIcon} from './icons.js';
import type {Intake} from './intake.js';
import type {HeldFile, LocalImage} from './internal.js';
import {withIcon, type Lifecycle} from './lifecycle.js';

/** Lists show what came this much later, at most. */
const listsAfterMs = 1000;

export class CarriedArea implements CarriedImages<HeldFile> {
	readonly #host: Host;
	readonly #area: PublishArea;
	readonly #intake: Intake;
	readonly #lifecycle: Pick<Lifecycle, 'turn'>;
	readonly #changed: () => Promise<void>;
	#timer: Timer | undefined;
	#telling: Promise<void> = Promise.resolve();

	constructor(parts: {
		readonly host: Host;
		readonly area: PublishArea;
		readonly intake: Intake;
		readonly lifecycle: Pick<Lifecycle, 'turn'>;
		readonly changed: () => Promise<void>;
	}) {
		this.#host = parts.host;
		this.#area = parts.area;
		this.#intake = parts.intake;
		this.#lifecycle = parts.lifecycle;
		this.#changed = parts.changed;
	}

	text(uuid: Uuid): string | undefined {
		return this.#area.travelling(uuid);
	}

	compare(image: CarriedImage): 'new' | 'there' | 'changed' | 'ours' {
		const {uuid} = image.manifest;
		const ours = this.#area.recorded(uuid);
		if (ours === undefined) {
			if (this.#area.isTaken(uuid)) {
				throw new RefusedError('ImageUuidAlreadyExists', 'our own record of that uuid cannot be read');
			}
			return 'new';
		}
		if (!hasFilesOf(ours.fields, image.manifest)) {
			throw new RefusedError('ImageUuidAlreadyExists', 'we have that uuid already, with another file');
		}
		const isSameText = this.#area.get(uuid)?.text === image.manifest.text;
		if (isSameText && (image.channels === undefined || isSameSet(image.channels, ours.channels))) {
			return 'there';
		}
		return isUntouched(ours) ? 'changed' : 'ours';
	}

	take(
		file: {readonly sha1: Sha1 | undefined; readonly size: number; readonly body: AsyncIterable<Buffer>},
		ask: Ask,
	): Promise<HeldFile> {
		// Whatever it is, hosts had it from where it comes: what it is compressed with is not ours to judge.
		const asIs = {compression: 'none', imageType: 'other', datasetGuid: undefined} as const;
		return this.#intake.receive({...asIs, ...file}, ask, Infinity);
	}

	holdStored(sha1: Sha1): Promise<HeldFile | undefined> {
		return this.#intake.holdStored(sha1, {compression: 'none'});
	}

	async keep(
		image: CarriedImage,
		{files, icon, by}: {readonly files: readonly HeldFile[]; readonly icon: Icon | undefined; readonly by: Actor},
	): Promise<'imported' | 'updated' | 'there'> {
		const {uuid} = image.manifest;
		const nowMs = this.#host.clock.now();
		const kept = icon === undefined ? undefined : makeIcon(icon.bytes, icon.contentType, nowMs);
		const fields = withIcon(fieldsOf(image, files), kept !== undefined);
		const done = await this.#lifecycle.turn([uuid], async () => {
			const standing = this.compare(image);
			if (standing === 'there' || standing === 'ours') {
				return undefined;
			}
			const before = this.#area.image(uuid);
			const shown = {fields, channels: image.channels ?? [], icon: kept?.icon};
			const made: LocalImage = {
				...shown,
				came: cameAs(image.text, shown),
				by: before === undefined ? by.name : before.by,
				createdAtMs: before?.createdAtMs ?? nowMs,
				changedAtMs: nowMs,
				born: before?.born ?? randomUUID(),
			};
			const manifest = await this.#area.save(made, kept?.bytes);
			return {manifest, outcome: standing === 'new' ? ('imported' as const) : ('updated' as const)};
		});
		if (done === undefined) {
			return 'there';
		}
		this.#tell(done.manifest, done.outcome, by);
		return done.outcome;
	}

	async settled(): Promise<void> {
		if (this.#timer !== undefined) {
			this.#timer.cancel();
			this.#timer = undefined;
			this.#show();
		}
		await this.#telling;
	}

	#tell({uuid, name, version, public: isPublic}: Manifest, outcome: 'imported' | 'updated', by: Actor): void {
		this.#timer ??= this.#host.clock.after(listsAfterMs, () => {
			this.#timer = undefined;
			this.#show();
		});
		this.#host.events.emit(outcome === 'imported' ? 'image.published' : 'image.updated', {
			image: {uuid, name, version, public: isPublic},
			...(by.name === undefined ? {} : {by: by.name}),
			more: {by: 'bundle'},
		});
	}

	#show(): void {
		this.#telling = this.#telling
			.then(() => this.#changed())
			.catch((error: unknown) => {
				this.#host.log.error({problem: describe(error)}, 'lists do not show imported images yet');
			});
	}
}

/** Nothing is refused for what a server of another kind has taken: it was an image there. */
function fieldsOf({text}: CarriedImage, files: readonly HeldFile[]): ImageFields {
	const given = JSON.parse(text) as JsonObject;
	const fields = readAdopted(given, {mode: 'any'});
	const manifestFiles: readonly unknown[] = Array.isArray(given['files']) ? given['files'] : [];
	const stored = files.map(({file}, index): StoredFile => {
		const told = fields.files[index];
		return {...told, ...file, compression: told?.compression ?? compressionIn(manifestFiles[index])};
	});
	return {...fields, files: stored};
}

function compressionIn(file: unknown): StoredFile['compression'] {
	const compression = typeof file === 'object' && file !== null && 'compression' in file ? file.compression : undefined;
	return compression === 'gzip' || compression === 'bzip2' || compression === 'xz' ? compression : 'none';
}

/** As far as the manifest says what its files are. */
function hasFilesOf(fields: ImageFields, {files}: Manifest): boolean {
	return (
		fields.files.length === files.length &&
		files.every(({sha1, size}, index) => {
			const ours = fields.files[index];
			return ours?.size === size && (sha1 === undefined || ours.sha1 === sha1);
		})
	);
}
