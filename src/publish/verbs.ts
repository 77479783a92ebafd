/**
 * The verbs that change an image which is there: what each of them may do, in which state (contract 4.4, 6.7 to 6.15).
 *
 * The lifecycle finds the image, checks whose it is and gives it its turn; here it is decided what becomes of it.
 */
import {InvalidParameterError, NotFoundError, RefusedError, ValidationError} from '../errors.js';
import type {Host} from '../host.js';
import {isUuid, type Manifest, type Uuid} from '../image/manifest.js';
import {readAclChange, readUpdate, withComputedState, type ImageFields} from '../image/rules.js';
import type {Change} from './api.js';
import type {PublishArea} from './area.js';
import {channelToAdd, channelsToSet} from './channels.js';
import {checkOperator, readAccount} from './guards.js';
import {receiveIcon, type IconOffer} from './icons.js';
import type {LocalImage} from './internal.js';
import {withIcon, type Lifecycle} from './lifecycle.js';
import type {Lookups} from './lookups.js';

export class ImageVerbs {
	readonly #host: Host;
	readonly #area: PublishArea;
	readonly #lookups: Lookups;
	readonly #lifecycle: Lifecycle;

	constructor(parts: {host: Host; area: PublishArea; lookups: Lookups; lifecycle: Lifecycle}) {
		this.#host = parts.host;
		this.#area = parts.area;
		this.#lookups = parts.lookups;
		this.#lifecycle = parts.lifecycle;
	}

	activate(uuid: Uuid, change: Change): Promise<Manifest> {
		return this.#editFields(uuid, change, fields => {
			if (fields.activated) {
				throw new RefusedError('ImageAlreadyActivated', `image ${uuid} is activated already`);
			}
			if (fields.files.length === 0) {
				throw new RefusedError('NoActivationNoFile', `image ${uuid} has no file yet`);
			}
			const published = fields.published_at ?? new Date(this.#host.clock.now()).toISOString();
			return withComputedState({...fields, activated: true, published_at: published});
		});
	}

	setDisabled(uuid: Uuid, disabled: boolean, change: Change): Promise<Manifest> {
		return this.#editFields(uuid, change, fields =>
			fields.disabled === disabled ? fields : withComputedState({...fields, disabled}),
		);
	}

	async update(uuid: Uuid, body: unknown, change: Change): Promise<Manifest> {
		const now = this.#updated(await this.#lifecycle.look(uuid, change), body, change);
		const to = now.fields.uuid;
		if (to === uuid) {
			return this.#lifecycle.edit(uuid, change, image => this.#updated(image, body, change));
		}
		await this.#lifecycle.checkFree(to, change.ask);
		const by = change.actor.name;
		const {before, manifest} = await this.#lifecycle.turn([uuid, to], async () => {
			const image = this.#lifecycle.target(uuid, change);
			const moved = this.#updated(image, body, change);
			this.#lookups.checkNotOurs(to);
			this.#checkDependents(image, undefined);
			this.#checkNeeded(image);
			const before = this.#area.get(uuid) ?? this.#area.preview(image);
			const manifest = await this.#move(image, {...moved, movedFrom: uuid, changedAtMs: this.#host.clock.now()});
			return {before, manifest};
		});
		await this.#lifecycle.announce(
			{type: 'image.deleted', manifest: before, by, more: {movedTo: to}},
			{type: 'image.updated', manifest, by, more: {movedFrom: uuid}},
		);
		return manifest;
	}

	addAcl(uuid: Uuid, body: unknown, change: Change): Promise<Manifest> {
		return this.#editFields(uuid, change, fields => {
			const acl = fields.acl ?? [];
			const added = new Set(readAclChange(body).filter(account => !acl.includes(account)));
			return added.size === 0 ? fields : {...fields, acl: [...acl, ...added]};
		});
	}

	removeAcl(uuid: Uuid, body: unknown, change: Change): Promise<Manifest> {
		return this.#editFields(uuid, change, fields => {
			const acl = fields.acl ?? [];
			const removed = readAclChange(body);
			const rest = acl.filter(account => !removed.includes(account));
			return rest.length === acl.length ? fields : {...fields, acl: rest};
		});
	}

	async addIcon(uuid: Uuid, offer: IconOffer, change: Change): Promise<Manifest> {
		const {born} = await this.#lifecycle.look(uuid, change);
		const {icon, bytes} = await receiveIcon(offer, this.#host.clock.now(), change.ask.signal);
		return this.#lifecycle.edit(
			uuid,
			change,
			image => {
				if (image.born !== born) {
					throw new NotFoundError(`image ${uuid} was deleted while its icon was on the way`);
				}
				return {...image, icon, fields: withIcon(image.fields, true)};
			},
			bytes,
		);
	}

	deleteIcon(uuid: Uuid, change: Change): Promise<Manifest> {
		return this.#lifecycle.edit(uuid, change, image => {
			if (image.icon === undefined) {
				throw new NotFoundError(`image ${uuid} has no icon`);
			}
			return {...image, icon: undefined, fields: withIcon(image.fields, false)};
		});
	}

	channelAdd(uuid: Uuid, body: unknown, change: Change): Promise<Manifest> {
		return this.#lifecycle.edit(uuid, change, image => {
			const {channels} = this.#lifecycle.settings;
			if (channels.length === 0) {
				throw new InvalidParameterError('this server has no channels', [{field: 'action', code: 'Invalid'}]);
			}
			const channel = channelToAdd(channels, body);
			return image.channels.includes(channel) ? image : {...image, channels: [...image.channels, channel]};
		});
	}

	/** There is but one storage, so nothing ever moves. */
	async changeStor(uuid: Uuid, stor: string | undefined, change: Change): Promise<Manifest> {
		checkOperator(change);
		return this.#lifecycle.edit(uuid, change, image => {
			if (stor === undefined || stor === '') {
				throw new ValidationError('stor is missing', [{field: 'stor', code: 'MissingParameter'}]);
			}
			if (stor !== 'local') {
				throw new ValidationError('stor is local: there is no other', [{field: 'stor', code: 'Invalid'}]);
			}
			if (image.icon !== undefined || image.fields.files.length > 1) {
				throw new RefusedError('NotImplemented', 'images with an icon or several files stay where they are');
			}
			return image;
		});
	}

	async delete(uuid: Uuid, forceAllChannels: boolean, change: Change): Promise<void> {
		await this.#lifecycle.look(uuid, change);
		const by = change.actor.name;
		const happened = await this.#lifecycle.turn([uuid], async () => {
			const image = this.#lifecycle.target(uuid, change);
			const channel = this.#lifecycle.channelOf(change);
			this.#checkDependents(image, forceAllChannels ? undefined : channel);
			const rest = channel === undefined || forceAllChannels ? [] : image.channels.filter(name => name !== channel);
			if (rest.length > 0) {
				const left = await this.#area.save({...image, channels: rest, changedAtMs: this.#host.clock.now()});
				return {type: 'image.updated', manifest: left, by} as const;
			}
			this.#checkNeeded(image);
			const manifest = this.#area.get(uuid) ?? this.#area.preview(image);
			await this.#area.remove(uuid);
			return {type: 'image.deleted', manifest, by} as const;
		});
		await this.#lifecycle.announce(happened);
	}

	#editFields(uuid: Uuid, change: Change, make: (fields: ImageFields) => ImageFields): Promise<Manifest> {
		return this.#lifecycle.edit(uuid, change, image => {
			const fields = make(image.fields);
			return fields === image.fields ? image : {...image, fields};
		});
	}

	#updated(image: LocalImage, body: unknown, change: Change): LocalImage {
		const {mode, channels} = this.#lifecycle.settings;
		const account = readAccount(change.account);
		const {image: fields, channels: names} = readUpdate(image.fields, body, {
			mode,
			account,
			channels: channels.length > 0,
		});
		if (fields.origin !== image.fields.origin) {
			this.#checkOrigin(fields);
		}
		return {...image, fields, channels: names === undefined ? image.channels : channelsToSet(channels, names)};
	}

	/** Under its new uuid first: a crash in between leaves both, and the next start knows which one to keep. */
	async #move(image: LocalImage, moved: LocalImage): Promise<Manifest> {
		const from = image.fields.uuid;
		if (image.movedFrom === moved.fields.uuid) {
			// On its way back: otherwise each of the two would say that the other one is left over.
			await this.#area.save({...image, movedFrom: undefined});
		}
		const iconBytes = moved.icon === undefined ? undefined : (await this.#area.icon(from)).bytes;
		const manifest = await this.#area.save(moved, iconBytes);
		try {
			await this.#area.remove(from);
		} catch (error) {
			await this.#area.remove(moved.fields.uuid).catch(() => undefined);
			throw error;
		}
		return manifest;
	}

	/** Of our own images, in that channel if one is given. */
	#checkDependents({fields: {uuid}}: LocalImage, channel: string | undefined): void {
		const [first, ...more] = this.#area.dependents(uuid, channel);
		if (first !== undefined) {
			const others = more.length === 0 ? '' : ` and of ${more.length} more`;
			throw new RefusedError('ImageHasDependentImages', `image ${uuid} is the origin of image ${first}${others}`);
		}
	}

	/** By an image of a source: nobody could install it any more. */
	#checkNeeded(image: LocalImage): void {
		const {uuid} = image.fields;
		const child = this.#lookups.childOf(this.#area.get(uuid) ?? this.#area.preview(image));
		if (child !== undefined) {
			const why = `image ${uuid} is the origin of image ${child}, which a source lists, and no source has it`;
			throw new RefusedError('ImageHasDependentImages', why);
		}
	}

	/** An image that is built on itself could be neither installed nor deleted. */
	#checkOrigin({uuid, origin}: ImageFields): void {
		const seen = new Set<string>();
		let at: string | undefined = origin;
		while (isUuid(at) && !seen.has(at)) {
			if (at === uuid) {
				const message = at === origin ? 'is the image itself' : 'is built on the image itself';
				throw new ValidationError(`origin ${message}`, [{field: 'origin', code: 'Invalid', message}]);
			}
			seen.add(at);
			at = this.#area.image(at)?.fields.origin;
		}
	}
}
