/**
 * Writing local images: every change to one runs in its turn, on its newest record, so that none is lost.
 *
 * Here are the ways that all verbs share: finding an image with all that may refuse it, changing it, making one, giving
 * it its file. The verbs themselves are in `verbs.ts`; what comes from other servers goes through here as well.
 */
import {randomUUID} from 'node:crypto';
import {NotFoundError, RefusedError, describe} from '../errors.js';
import type {EventAbout, Host} from '../host.js';
import {fieldsOf, type Compression, type Manifest, type Sha1, type Uuid} from '../image/manifest.js';
import {
	beginCreate,
	beginImport,
	finishCreate,
	finishImport,
	nobody,
	stateOf,
	type ImageFields,
} from '../image/rules.js';
import type {Ask} from '../sources/source.js';
import type {Change, FileOffer, WholeImage} from './api.js';
import type {PublishArea} from './area.js';
import {checkMembership, writeChannel} from './channels.js';
import {checkAccount, checkOperator, checkPublisher, noSuchImage, readAccount} from './guards.js';
import {makeIcon} from './icons.js';
import {readOffer, type Intake} from './intake.js';
import type {HeldFile, Incoming, LocalImage, LocalWrites, NewImage, PublishSettings} from './internal.js';
import {noOrigin, type Lookups} from './lookups.js';
import {Turns} from './turns.js';
import {newUuid, readWhole, type ReadImage} from './whole.js';

export interface LifecycleParts {
	readonly host: Host;
	readonly area: PublishArea;
	readonly lookups: Lookups;
	readonly intake: Intake;
	readonly settings: PublishSettings;
	/** Called after every change; resolves when lists show it. */
	readonly changed: () => Promise<void>;
}

/** A change to one of our images that is made. */
export interface Happened {
	readonly type: 'image.published' | 'image.updated' | 'image.deleted';
	/** As it is now, or was last. */
	readonly manifest: Manifest;
	readonly by?: string | undefined;
	readonly more?: EventAbout['more'];
}

export class Lifecycle implements LocalWrites {
	readonly #host: Host;
	readonly #area: PublishArea;
	readonly #lookups: Lookups;
	readonly #intake: Intake;
	readonly #changed: () => Promise<void>;
	readonly #turns = new Turns();
	#settings: PublishSettings;

	constructor({host, area, lookups, intake, settings, changed}: LifecycleParts) {
		this.#host = host;
		this.#area = area;
		this.#lookups = lookups;
		this.#intake = intake;
		this.#settings = settings;
		this.#changed = changed;
	}

	get settings(): PublishSettings {
		return this.#settings;
	}

	setSettings(settings: PublishSettings): void {
		this.#settings = settings;
	}

	get(uuid: Uuid): LocalImage | undefined {
		return this.#area.image(uuid);
	}

	manifest(uuid: Uuid): Manifest | undefined {
		return this.#area.get(uuid);
	}

	isTaken(uuid: Uuid): boolean {
		return this.#area.isTaken(uuid);
	}

	channelsFor(channel: string | undefined): readonly string[] {
		const name = this.channelOf({channel});
		return name === undefined ? [] : [name];
	}

	channelOf({channel}: Pick<Change, 'channel'>): string | undefined {
		return writeChannel(this.#settings.channels, channel);
	}

	checkOperator(change: Change): void {
		checkOperator(change);
	}

	async checkFree(uuid: Uuid, ask: Ask): Promise<void> {
		this.#lookups.checkNotOurs(uuid);
		await this.#lookups.checkNotTheirs(uuid, ask);
	}

	checkAlike(image: Manifest, who: {readonly operator: boolean; readonly ask: Ask}): Promise<void> {
		return this.#lookups.checkAlike(image, who);
	}

	async checkOrigin(origin: string | undefined, ask: Ask): Promise<boolean> {
		return (await this.#lookups.origin(origin, ask)).isLocal;
	}

	/** The image as it is now, if this change may touch it at all. Throws in the order of the contract. */
	target(uuid: Uuid, change: Change): LocalImage {
		const channel = this.channelOf(change);
		const account = readAccount(change.account);
		const [image, manifest] = [this.#area.image(uuid), this.#area.get(uuid)];
		if (image === undefined || manifest === undefined) {
			throw noSuchImage(uuid);
		}
		checkMembership(image, channel);
		checkAccount(image, account);
		checkPublisher(image, change.actor);
		change.precondition?.(manifest);
		return image;
	}

	/** The same before the turn: of an image that is not ours, it says whose it is. */
	async look(uuid: Uuid, change: Change): Promise<LocalImage> {
		try {
			return this.target(uuid, change);
		} catch (error) {
			if (error instanceof NotFoundError && this.#area.image(uuid) === undefined) {
				throw await this.#lookups.refusal(uuid, change.ask);
			}
			throw error;
		}
	}

	/** Changes one image in its turn. `make` gives the image as it is to be, or the one it was given: no change. */
	async edit(
		uuid: Uuid,
		change: Change,
		make: (image: LocalImage) => Omit<LocalImage, 'changedAtMs'>,
		iconBytes?: Buffer,
	): Promise<Manifest> {
		await this.look(uuid, change);
		const {manifest, type} = await this.turn([uuid], async () => {
			const image = this.target(uuid, change);
			const next = make(image);
			if (next === image) {
				return {manifest: this.#area.get(uuid) ?? this.#area.preview(image), type: undefined};
			}
			const saved = await this.#area.save({...next, changedAtMs: this.#host.clock.now()}, iconBytes);
			const isPublished = next.fields.activated && !image.fields.activated;
			return {manifest: saved, type: isPublished ? ('image.published' as const) : ('image.updated' as const)};
		});
		if (type !== undefined) {
			await this.announce({type, manifest, by: change.actor.name});
		}
		return manifest;
	}

	async create(body: unknown, change: Change): Promise<Manifest> {
		const channels = this.channelsFor(change.channel);
		const options = {mode: this.#settings.mode, account: readAccount(change.account), uuid: newUuid()};
		const begun = beginCreate(body, options);
		const originIsLocal = await this.checkOrigin(begun.origin, change.ask);
		const fields = finishCreate(begun, options);
		return this.saveWhole({fields, channels, by: change.actor.name, originIsLocal});
	}

	async importManifest(
		uuid: Uuid,
		manifest: unknown,
		change: Change & {readonly userAgent?: string},
	): Promise<Manifest> {
		const channels = this.channelsFor(change.channel);
		checkOperator(change);
		const importing = {mode: this.#settings.mode, uuid, userAgent: change.userAgent};
		const begun = beginImport(manifest, importing);
		const placeholder = this.#placeholder(uuid, change);
		if (placeholder === undefined) {
			await this.checkFree(uuid, change.ask);
		}
		const origin = await this.#lookups.origin(begun.origin, change.ask);
		const fields = finishImport(begun, {...importing, origin: origin.manifest});
		return this.#write({fields, channels, by: change.actor.name, originIsLocal: origin.isLocal}, change);
	}

	async importForeign(manifest: Manifest, change: Change): Promise<Manifest> {
		const channels = this.channelsFor(change.channel);
		const {uuid} = manifest;
		const {fields} = this.readWhole({manifest: fieldsOf(manifest), adopt: true, activate: false}, change);
		if (this.#placeholder(uuid, change) === undefined) {
			await this.checkFree(uuid, change.ask);
		}
		const image = {...fields, owner: nobody, activated: false};
		return this.#write({fields: image, channels, by: change.actor.name, originIsLocal: false}, change);
	}

	saveWhole(image: NewImage): Promise<Manifest> {
		return this.#write(image, undefined);
	}

	readWhole(image: WholeImage, change: Pick<Change, 'account'>): ReadImage {
		return readWhole(image, change, this.#settings.mode);
	}

	async undo(uuid: Uuid, born: string): Promise<void> {
		const removed = await this.turn([uuid], async () => {
			const manifest = this.#area.get(uuid);
			if (this.#area.image(uuid)?.born !== born) {
				return undefined;
			}
			const dependents = this.#area.dependents(uuid, undefined);
			if (dependents.length > 0) {
				this.#host.log.warn({image: uuid, dependents}, 'an image that was to be taken back stays: others build on it');
				return undefined;
			}
			await this.#area.remove(uuid);
			return manifest;
		});
		if (removed !== undefined) {
			await this.announce({type: 'image.deleted', manifest: removed});
		}
	}

	async fileTarget(uuid: Uuid, change: Change): Promise<LocalImage> {
		const image = await this.look(uuid, change);
		if (image.fields.activated && !this.#area.lacksFile(image)) {
			throw new RefusedError('ImageFilesImmutable', `image ${uuid} is activated: its file stays as it is`);
		}
		return image;
	}

	checkOffer(
		offer: Omit<FileOffer, 'body'>,
		change: Pick<Change, 'account'>,
		options: {readonly compressionMayMiss?: boolean} = {},
	): Omit<Incoming, 'body'> {
		return readOffer(offer, change, {...options, maxBytes: this.#settings.maxFileBytes});
	}

	intake(incoming: Incoming, ask: Ask): Promise<HeldFile> {
		return this.#intake.receive(incoming, ask, this.#settings.maxFileBytes);
	}

	holdStored(
		sha1: Sha1,
		told: {readonly compression: Compression; readonly datasetGuid?: string | undefined},
	): Promise<HeldFile | undefined> {
		return this.#intake.holdStored(sha1, told);
	}

	async addFile(uuid: Uuid, offer: FileOffer, change: Change): Promise<Manifest> {
		const {born, fields} = await this.fileTarget(uuid, change);
		const told = this.checkOffer(offer, change);
		// One that was lost: nothing but that very file is taken, and its sender need not know its digest.
		const lost = fields.activated && told.sha1 === undefined ? fields.files[0]?.sha1 : told.sha1;
		const held = await this.intake({...told, sha1: lost, imageType: fields.type, body: offer.body}, change.ask);
		try {
			return await this.setFile(uuid, held, change, born);
		} finally {
			await this.letGo(held);
		}
	}

	setFile(uuid: Uuid, held: HeldFile, change: Change, born?: string): Promise<Manifest> {
		return this.edit(uuid, change, image => {
			if (born !== undefined && image.born !== born) {
				throw new NotFoundError(`image ${uuid} was deleted while its file was on the way`);
			}
			if (!image.fields.activated) {
				return {...image, fields: {...image.fields, files: [held.file]}};
			}
			if (image.fields.files[0]?.sha1 !== held.sha1) {
				throw new RefusedError('ImageAlreadyActivated', `image ${uuid} is activated, and has another file`);
			}
			// It had been lost, and is here again.
			return image;
		});
	}

	/** The change has been made, or not: a file that cannot be deleted now changes nothing about that. */
	async letGo(held: HeldFile): Promise<void> {
		await held.release().catch((error: unknown) => {
			this.#host.log.warn(
				{sha1: held.sha1, problem: describe(error)},
				'a file that no image needs could not be deleted',
			);
		});
	}

	turn<T>(uuids: readonly Uuid[], work: () => Promise<T>): Promise<T> {
		return this.#turns.take(uuids, work);
	}

	/** The change has been made: that lists do not show it yet is no failure of it. Whoever hears of it finds it there. */
	async announce(...changes: readonly Happened[]): Promise<void> {
		await this.#changed().catch((error: unknown) => {
			this.#host.log.error({problem: describe(error)}, 'lists do not show a change to a published image yet');
		});
		for (const {type, manifest, by, more} of changes) {
			const {uuid, name, version, public: isPublic} = manifest;
			this.#host.events.emit(type, {
				image: {uuid, name, version, public: isPublic},
				...(by === undefined ? {} : {by}),
				...(more === undefined ? {} : {more}),
			});
		}
	}

	/** An image that only keeps a place until it is imported (contract 6.13). */
	#placeholder(uuid: Uuid, change: Change): LocalImage | undefined {
		const image = this.#area.image(uuid);
		if (image === undefined || image.fields.activated || stateOf(image.fields) !== 'creating') {
			return undefined;
		}
		checkPublisher(image, change.actor);
		return image;
	}

	/** `overPlaceholder`: on whose behalf one may be replaced. */
	async #write(image: NewImage, overPlaceholder: Change | undefined): Promise<Manifest> {
		const {fields, originIsLocal = false, by, channels} = image;
		const {uuid, origin} = fields;
		const nowMs = this.#host.clock.now();
		const icon = image.icon === undefined ? undefined : makeIcon(image.icon.bytes, image.icon.contentType, nowMs);
		const isNeeded = originIsLocal && origin !== undefined;
		const manifest = await this.turn(isNeeded ? [uuid, origin] : [uuid], async () => {
			// One that was there before may be an image by now.
			if (overPlaceholder === undefined || this.#placeholder(uuid, overPlaceholder) === undefined) {
				this.#lookups.checkNotOurs(uuid);
			}
			if (isNeeded && this.#area.get(origin) === undefined) {
				throw noOrigin(origin);
			}
			const born = image.born ?? randomUUID();
			const made: LocalImage = {
				fields: withIcon(fields, icon !== undefined),
				channels,
				by,
				icon: icon?.icon,
				createdAtMs: nowMs,
				changedAtMs: nowMs,
				born,
			};
			return this.#area.save(made, icon?.bytes);
		});
		// One that is not activated is nothing yet to anybody but its maker.
		await this.announce(...(fields.activated ? [{type: 'image.published', manifest, by} as const] : []));
		return manifest;
	}
}

/** The manifest says whether there is an icon. */
export function withIcon(fields: ImageFields, hasIcon: boolean): ImageFields {
	return {...fields, icon: hasIcon ? true : undefined};
}
