/**
 * Our own images: their records on disk and in memory, and their icons.
 *
 * `load` reads them all at the start; then everything is read without waiting. `save` and `remove` are the lifecycle's,
 * one at a time for each image. The files themselves are the store's; the area pins them there.
 */
import {createHash} from 'node:crypto';
import {readFile} from 'node:fs/promises';
import type {Layout} from '../blobs/layout.js';
import {MirrorError, NotFoundError, describe} from '../errors.js';
import type {Host} from '../host.js';
import {prettyJson} from '../image/json-text.js';
import {compareImages, isSha1, isUuid, servedText, type Manifest, type Sha1, type Uuid} from '../image/manifest.js';
import type {ServerMode} from '../image/rules.js';
import {localManifest} from '../image/serialize.js';
import type {Icon} from '../sources/source.js';
import type {ChannelInfo, LocalImages} from './api.js';
import {asItCame, isInAllChannels} from './came.js';
import {inKnownChannels} from './channels.js';
import type {LocalIcon, LocalImage, PublishStore} from './internal.js';
import {readRecord, recordText} from './record.js';

interface Kept {
	readonly recorded: LocalImage;
	/** The same, in channels that there are. */
	readonly image: LocalImage;
	readonly manifest: Manifest;
}

/** What decides how manifests look. */
interface Looks {
	readonly mode: ServerMode;
	readonly channels: readonly ChannelInfo[];
}

const filesAtOnce = 32;

export class PublishArea implements LocalImages {
	readonly #host: Host;
	readonly #layout: Layout;
	readonly #store: PublishStore;
	readonly #images = new Map<Uuid, Kept>();
	/** Records that cannot be read: nothing may take their names. */
	readonly #unreadable = new Set<Uuid>();
	#looks: Looks;
	#sorted: readonly Manifest[] | undefined;

	constructor({host, layout, store, looks}: {host: Host; layout: Layout; store: PublishStore; looks: Looks}) {
		this.#host = host;
		this.#layout = layout;
		this.#store = store;
		this.#looks = looks;
	}

	/** Reads every record, pins their files and clears away what a crash left. */
	async load(): Promise<void> {
		const names = await this.#store.listFolder(this.#layout.published);
		const uuids = names.map(name => name.replace(/\.json$/, '')).filter((name, place) => name !== names[place]);
		await severalAtOnce(uuids.filter(isUuid), uuid => this.#read(uuid));
		for (const {image} of [...this.#images.values()]) {
			await this.#finishMove(image);
		}
		for (const {image} of this.#images.values()) {
			this.#pin(image);
			this.#reportMissing(image);
		}
		// Where an older version published, that is thousands of names, once.
		await severalAtOnce([...this.#images.values()], ({image}) => this.#mark(image));
		await this.#removeStrayIcons(names);
	}

	/** Some record could not be read: nobody knows which files are needed. */
	get isIncomplete(): boolean {
		return this.#unreadable.size > 0;
	}

	list(): readonly Manifest[] {
		return (this.#sorted ??= Array.from(this.#images.values(), ({manifest}) => manifest).sort(compareImages));
	}

	get(uuid: Uuid): Manifest | undefined {
		return this.#images.get(uuid)?.manifest;
	}

	image(uuid: Uuid): LocalImage | undefined {
		return this.#images.get(uuid)?.image;
	}

	/** As another server is to have it: with its channels, also those that we do not have. */
	travelling(uuid: Uuid): string | undefined {
		const kept = this.#images.get(uuid);
		if (kept === undefined) {
			return undefined;
		}
		const {manifest, image, recorded} = kept;
		const channels =
			recorded.came !== undefined || this.#looks.channels.length === 0 ? recorded.channels : image.channels;
		const local = {channels, billingTags: [], stor: 'local' as const};
		return prettyJson(servedText({...manifest, local}, {channels: true, admin: false}));
	}

	/** With all its channels, also those that we do not have. */
	recorded(uuid: Uuid): LocalImage | undefined {
		return this.#images.get(uuid)?.recorded;
	}

	isTaken(uuid: Uuid): boolean {
		return this.#images.has(uuid) || this.#unreadable.has(uuid);
	}

	/** What has a record that cannot be read. */
	get unreadable(): readonly Uuid[] {
		return [...this.#unreadable];
	}

	isUnreadable(uuid: Uuid): boolean {
		return this.#unreadable.has(uuid);
	}

	/** Its file was lost: the disk has it no more, or what it had was wrong. */
	lacksFile({fields}: LocalImage): boolean {
		return fields.files.some(({sha1, size}) => this.#store.stat(sha1)?.size !== size);
	}

	/** The other images that have this one for their origin, in that channel if one is given. */
	dependents(uuid: Uuid, channel: string | undefined): readonly Uuid[] {
		return [...this.#images.values()]
			.filter(({image: {fields}}) => fields.origin === uuid && fields.uuid !== uuid)
			.filter(({image}) => channel === undefined || image.channels.includes(channel))
			.map(({image}) => image.fields.uuid);
	}

	setLooks(looks: Looks): void {
		this.#looks = looks;
		for (const {recorded} of this.#images.values()) {
			this.#keep(recorded);
		}
		this.#sorted = undefined;
	}

	/** What clients would get of it. Throws IntegrityError for what is no manifest. */
	preview(image: LocalImage): Manifest {
		return this.#manifestOf(image);
	}

	/**
	 * Writes the image as it is to be from now on; it lasts once this resolves, and nothing has changed where it throws.
	 * Its files must be held until then. What it had before and has no more is let go of. `iconBytes`: of a new icon.
	 */
	async save(image: LocalImage, iconBytes?: Buffer): Promise<Manifest> {
		const {uuid} = image.fields;
		const before = this.#images.get(uuid)?.image;
		const text = recordText(image);
		// What the next start could not read must not be written.
		readRecord(text, uuid);
		const newIcon = image.icon !== undefined && image.icon.sha1 !== before?.icon?.sha1 ? image.icon : undefined;
		if (newIcon !== undefined && iconBytes !== undefined) {
			await this.#store.writeRecord(this.#layout.publishedIcon(uuid, newIcon.sha1), iconBytes);
		}
		this.#pin(image);
		try {
			if (before !== undefined) {
				await this.#unmark(before, image);
			}
			await this.#store.writeRecord(this.#layout.publishedRecord(uuid), text);
		} catch (error) {
			if (before !== undefined) {
				await this.#mark(before);
			}
			await this.#letGo(image, before);
			throw error;
		}
		this.#keep(image);
		this.#sorted = undefined;
		await this.#mark(image);
		if (before !== undefined) {
			await this.#letGo(before, image);
		}
		return this.#manifestOf(image);
	}

	/** The image is gone once this resolves. */
	async remove(uuid: Uuid): Promise<void> {
		const kept = this.#images.get(uuid);
		if (kept === undefined) {
			return;
		}
		await this.#unmark(kept.image);
		try {
			await this.#store.removeRecord(this.#layout.publishedRecord(uuid));
		} catch (error) {
			await this.#mark(kept.image);
			throw error;
		}
		this.#images.delete(uuid);
		this.#sorted = undefined;
		await this.#letGo(kept.image, undefined);
	}

	/** Throws NotFoundError where the image has none. */
	async icon(uuid: Uuid): Promise<Icon & LocalIcon> {
		const icon = this.image(uuid)?.icon;
		if (icon === undefined) {
			throw new NotFoundError(`image ${uuid} has no icon`);
		}
		const file = this.#layout.publishedIcon(uuid, icon.sha1);
		const bytes = await readFile(file).catch((error: unknown) => {
			if (this.image(uuid)?.icon !== icon) {
				throw new NotFoundError(`image ${uuid} has that icon no more`);
			}
			throw new MirrorError(`the icon of image ${uuid} cannot be read: ${describe(error)}`, {cause: error});
		});
		if (createHash('sha1').update(bytes).digest('hex') !== icon.sha1) {
			throw new MirrorError(`the icon of image ${uuid} is not as it was stored`);
		}
		return {...icon, bytes};
	}

	#keep(recorded: LocalImage): void {
		const image = inKnownChannels(this.#looks.channels, recorded);
		this.#images.set(image.fields.uuid, {recorded, image, manifest: this.#manifestOf(image)});
	}

	#manifestOf(image: LocalImage): Manifest {
		const {mode, channels} = this.#looks;
		const shown = channels.length === 0 ? [] : image.channels;
		const came = asItCame(image);
		const manifest = came ?? localManifest(image.fields, {channels: shown}, {mode});
		if (isInAllChannels(image)) {
			// As an image of a source, which it was before.
			return {...manifest, local: undefined};
		}
		const billingTags = image.fields.billing_tags ?? [];
		return came === undefined ? manifest : {...came, local: {channels: shown, billingTags, stor: 'local'}};
	}

	async #read(uuid: Uuid): Promise<void> {
		const file = this.#layout.publishedRecord(uuid);
		try {
			const text = await this.#store.readRecord(file);
			if (text !== undefined) {
				this.#keep(readRecord(text, uuid));
			}
		} catch (error) {
			this.#unreadable.add(uuid);
			this.#host.log.error(
				{file, image: uuid, problem: describe(error)},
				'the record of a published image cannot be read; it is left as it is, and its uuid stays taken',
			);
		}
	}

	/** A crash between the two writes of a change of uuid has left the image under both. */
	async #finishMove({born, movedFrom, fields}: LocalImage): Promise<void> {
		if (movedFrom === undefined || this.#images.get(movedFrom)?.image.born !== born) {
			return;
		}
		await this.#unmark({fields: {...fields, uuid: movedFrom}});
		await this.#store.removeRecord(this.#layout.publishedRecord(movedFrom));
		this.#images.delete(movedFrom);
		this.#host.log.info({image: fields.uuid, movedFrom}, 'a change of uuid that a crash had cut short is done');
	}

	#reportMissing({fields}: LocalImage): void {
		for (const {sha1, size} of fields.files) {
			const found = this.#store.stat(sha1);
			if (found?.size !== size) {
				this.#host.log.error(
					{image: fields.uuid, sha1, size, found: found?.size},
					'the file of a published image is not in the store',
				);
			}
		}
	}

	async #removeStrayIcons(names: readonly string[]): Promise<void> {
		for (const name of names) {
			const [uuid, what, sha1, ...more] = name.split('.');
			if (isUuid(uuid) && what === 'icon' && isSha1(sha1) && more.length === 0 && !this.#unreadable.has(uuid)) {
				const isLost = !this.#images.has(uuid) && (await this.#store.own.names(uuid));
				if (!isLost && this.image(uuid)?.icon?.sha1 !== sha1) {
					await this.#removeIcon(uuid, sha1);
				}
			}
		}
	}

	#pin({fields}: LocalImage): void {
		for (const {sha1} of fields.files) {
			this.#store.pin(sha1, reasonOf(fields.uuid));
		}
	}

	/** So that its files stay where its record is lost. */
	async #mark({fields}: LocalImage): Promise<void> {
		await this.#store.own.mark(
			fields.uuid,
			fields.files.map(({sha1}) => sha1),
		);
	}

	/** All that it has and `now` has not. That it may not work out is found at the next start. */
	async #unmark({fields}: Pick<LocalImage, 'fields'>, now?: LocalImage): Promise<void> {
		const needed = new Set(now?.fields.files.map(({sha1}) => sha1));
		const files = fields.files.map(({sha1}) => sha1).filter(sha1 => !needed.has(sha1));
		await this.#store.own.unmark(fields.uuid, files).catch((error: unknown) => {
			this.#host.log.warn({image: fields.uuid, problem: describe(error)}, 'that a file is ours no more is not written');
		});
	}

	/** Of what `image` has, everything that `now` has not. That it may not work out is no failure of the change. */
	async #letGo({fields, icon}: LocalImage, now: LocalImage | undefined): Promise<void> {
		const needed = new Set(now?.fields.files.map(({sha1}) => sha1));
		for (const {sha1} of fields.files.filter(file => !needed.has(file.sha1))) {
			await this.#store.release(sha1, reasonOf(fields.uuid)).catch((error: unknown) => {
				this.#host.log.warn({sha1, problem: describe(error)}, 'a file that no image needs could not be deleted');
			});
		}
		if (icon !== undefined && icon.sha1 !== now?.icon?.sha1) {
			await this.#removeIcon(fields.uuid, icon.sha1);
		}
	}

	async #removeIcon(uuid: Uuid, sha1: Sha1): Promise<void> {
		await this.#store.removeRecord(this.#layout.publishedIcon(uuid, sha1)).catch((error: unknown) => {
			this.#host.log.warn({image: uuid, problem: describe(error)}, 'an icon that no image has could not be deleted');
		});
	}
}

function reasonOf(uuid: Uuid): string {
	return `image ${uuid}`;
}

async function severalAtOnce<T>(all: readonly T[], work: (one: T) => Promise<void>): Promise<void> {
	const left = all.values();
	await Promise.all(
		Array.from({length: filesAtOnce}, async () => {
			for (const one of left) {
				await work(one);
			}
		}),
	);
}
