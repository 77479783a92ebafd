/**
 * The publish area with all its verbs: puts the parts of this room together.
 *
 * `assemble.ts` makes one and has it `load` once the store has been loaded; then it answers HTTP, the control socket
 * and the drop folder.
 */
import type {Layout} from '../blobs/layout.js';
import type {Host} from '../host.js';
import type {Manifest, Uuid} from '../image/manifest.js';
import type {Icon, RemoteServers} from '../sources/source.js';
import {Adoption} from './adopt.js';
import type {
	AdoptEvent,
	AdoptRequest,
	Change,
	ChannelInfo,
	FileOffer,
	JobStatus,
	PublishApi,
	WholeImage,
} from './api.js';
import {PublishArea} from './area.js';
import {CarriedArea} from './carried.js';
import {readChannel} from './channels.js';
import type {IconOffer} from './icons.js';
import {Intake} from './intake.js';
import type {LocalWrites, PublishSettings, PublishStore, Upstream} from './internal.js';
import {Jobs} from './jobs.js';
import {Lifecycle} from './lifecycle.js';
import {Lookups} from './lookups.js';
import {RemoteImport} from './remote-import.js';
import {PersistentUploads} from './resumable.js';
import {ImageVerbs} from './verbs.js';
import {checkWhole, saveFilled} from './whole.js';

export interface PublisherParts {
	readonly host: Host;
	readonly layout: Layout;
	readonly store: PublishStore;
	readonly settings: PublishSettings;
	readonly upstream: Upstream;
	readonly remote: RemoteServers;
	/** Called after every change; resolves when lists show it. */
	readonly changed: () => Promise<void>;
}

export class Publisher implements PublishApi {
	/** For parts of this room that assemble.ts makes by itself. */
	readonly writes: LocalWrites;
	readonly uploads: PersistentUploads;
	/** What comes by hand. */
	readonly carried: CarriedArea;
	readonly #host: Host;
	readonly #store: PublishStore;
	readonly #area: PublishArea;
	readonly #lifecycle: Lifecycle;
	readonly #verbs: ImageVerbs;
	readonly #remoteImport: RemoteImport;
	readonly #jobs: Jobs;
	readonly #adoption: Adoption;

	constructor({host, layout, store, settings, upstream, remote, changed}: PublisherParts) {
		this.#host = host;
		this.#store = store;
		const area = new PublishArea({host, layout, store, looks: settings});
		const intake = new Intake({host, store});
		const lookups = new Lookups({host, area, upstream});
		const lifecycle = new Lifecycle({host, area, lookups, intake, settings, changed});
		this.#area = area;
		this.#lifecycle = lifecycle;
		this.#verbs = new ImageVerbs({host, area, lookups, lifecycle});
		this.writes = lifecycle;
		this.carried = new CarriedArea({host, area, intake, lifecycle, changed});
		this.uploads = new PersistentUploads({host, layout, store, intake, writes: lifecycle});
		this.#remoteImport = new RemoteImport({host, writes: lifecycle, remote});
		this.#jobs = new Jobs({host, layout, store, writes: lifecycle, remote});
		this.#adoption = new Adoption({host, store, upstream, writes: lifecycle});
	}

	/** Reads everything, and clears away what a crash left. The store must have been loaded. */
	async load(): Promise<void> {
		await this.#area.load();
		await this.uploads.load();
		if (this.#area.isIncomplete || this.uploads.isIncomplete) {
			// One of those that look like nobody's may belong to a record that could not be read.
			this.#host.log.warn('files that no image needs are left, as not every record could be read');
		} else {
			await this.#store.own.sweep();
		}
		await this.uploads.sweep();
		await this.#jobs.load();
	}

	/** Nothing may be asked after this. What runs ends by itself, or with the process. */
	async close(): Promise<void> {
		await this.#jobs.stop();
		await this.uploads.close();
	}

	/** Forgets what has expired. To be called now and then. */
	async sweep(): Promise<void> {
		await this.uploads.sweep();
		await this.#jobs.sweep();
	}

	/** In force at once. Resolves when lists show it. */
	async setSettings(settings: PublishSettings): Promise<void> {
		this.#lifecycle.setSettings(settings);
		this.#area.setLooks(settings);
		await this.#lifecycle.announce();
	}

	list(): readonly Manifest[] {
		return this.#area.list();
	}

	get(uuid: Uuid): Manifest | undefined {
		return this.#area.get(uuid);
	}

	get unreadable(): readonly Uuid[] {
		return this.#area.unreadable;
	}

	get channels(): readonly ChannelInfo[] {
		return this.#lifecycle.settings.channels;
	}

	readChannel(given: string | undefined): string | undefined {
		return readChannel(this.channels, given);
	}

	icon(uuid: Uuid): Promise<Icon & {readonly storedAtMs: number}> {
		return this.#area.icon(uuid);
	}

	create(fields: unknown, change: Change): Promise<Manifest> {
		return this.#lifecycle.create(fields, change);
	}

	importImage(uuid: Uuid, fields: unknown, change: Change & {readonly userAgent?: string}): Promise<Manifest> {
		return this.#lifecycle.importManifest(uuid, fields, change);
	}

	importFrom(uuid: Uuid, source: string, change: Change): Promise<Manifest> {
		return this.#remoteImport.importFrom(uuid, source, change);
	}

	importRemote(uuid: Uuid, source: string | undefined, change: Change): Promise<JobStatus> {
		return this.#jobs.importRemote(uuid, source, change);
	}

	job(uuid: Uuid): JobStatus | undefined {
		return this.#jobs.job(uuid);
	}

	jobsOf(image: Uuid): readonly JobStatus[] {
		return this.#jobs.jobsOf(image);
	}

	addFile(uuid: Uuid, offer: FileOffer, change: Change): Promise<Manifest> {
		return this.#lifecycle.addFile(uuid, offer, change);
	}

	addFileFrom(uuid: Uuid, source: string, change: Change): Promise<Manifest> {
		return this.#remoteImport.addFileFrom(uuid, source, change);
	}

	addFileFromUrl(uuid: Uuid, url: unknown, offer: Omit<FileOffer, 'body' | 'size'>, change: Change): Promise<Manifest> {
		return this.#remoteImport.addFileFromUrl(uuid, url, offer, change);
	}

	activate(uuid: Uuid, change: Change): Promise<Manifest> {
		return this.#verbs.activate(uuid, change);
	}

	enable(uuid: Uuid, change: Change): Promise<Manifest> {
		return this.#verbs.setDisabled(uuid, false, change);
	}

	disable(uuid: Uuid, change: Change): Promise<Manifest> {
		return this.#verbs.setDisabled(uuid, true, change);
	}

	update(uuid: Uuid, fields: unknown, change: Change): Promise<Manifest> {
		return this.#verbs.update(uuid, fields, change);
	}

	addAcl(uuid: Uuid, acl: unknown, change: Change): Promise<Manifest> {
		return this.#verbs.addAcl(uuid, acl, change);
	}

	removeAcl(uuid: Uuid, acl: unknown, change: Change): Promise<Manifest> {
		return this.#verbs.removeAcl(uuid, acl, change);
	}

	addIcon(uuid: Uuid, icon: IconOffer, change: Change): Promise<Manifest> {
		return this.#verbs.addIcon(uuid, icon, change);
	}

	deleteIcon(uuid: Uuid, change: Change): Promise<Manifest> {
		return this.#verbs.deleteIcon(uuid, change);
	}

	channelAdd(uuid: Uuid, fields: unknown, change: Change): Promise<Manifest> {
		return this.#verbs.channelAdd(uuid, fields, change);
	}

	changeStor(uuid: Uuid, stor: string | undefined, change: Change): Promise<Manifest> {
		return this.#verbs.changeStor(uuid, stor, change);
	}

	delete(uuid: Uuid, {forceAllChannels}: {readonly forceAllChannels: boolean}, change: Change): Promise<void> {
		return this.#verbs.delete(uuid, forceAllChannels, change);
	}

	async publishFile(image: WholeImage, offer: FileOffer, change: Change): Promise<Manifest> {
		const writes = this.#lifecycle;
		const {uuid} = await checkWhole(writes, image, change);
		const told = writes.checkOffer(offer, change, {compressionMayMiss: true});
		const held = await writes.intake({...told, imageType: typeOf(image.manifest), body: offer.body}, change.ask);
		try {
			const [nowMs, by] = [this.#host.clock.now(), change.actor.name];
			return await saveFilled(writes, image, held, change, {nowMs, by, uuid});
		} finally {
			await writes.letGo(held);
		}
	}

	adopt(request: AdoptRequest, change: Change): AsyncGenerator<AdoptEvent, void, undefined> {
		return this.#adoption.adopt(request, change);
	}
}

function typeOf({type}: WholeImage['manifest']): string | undefined {
	return typeof type === 'string' ? type : undefined;
}
