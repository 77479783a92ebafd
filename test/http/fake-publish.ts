/**
 * A publish area in memory, for tests of what stands in front of it.
 *
 * Every verb is written down and answers with the image it is about, or does what a test tells it to. None of the rules
 * of manifests and states are here.
 */
import {NotFoundError} from '../../src/errors.js';
import {parseManifest, type Manifest, type Uuid} from '../../src/image/manifest.js';
import type {
	AdoptEvent,
	AdoptRequest,
	Change,
	ChannelInfo,
	FileOffer,
	JobStatus,
	PublishApi,
	ResumableUploads,
	WholeImage,
} from '../../src/publish/api.js';
import type {Icon} from '../../src/sources/source.js';

export type PublishVerb = Exclude<
	keyof PublishApi,
	'channels' | 'uploads' | 'list' | 'get' | 'readChannel' | 'job' | 'jobsOf'
>;

export interface PublishCall {
	readonly verb: PublishVerb;
	readonly uuid: string | undefined;
	readonly change: Change;
	/** What the verb was given between the uuid and the change. */
	readonly given: unknown;
}

export class FakePublish implements PublishApi {
	readonly calls: PublishCall[] = [];
	/** Runs in each verb of that name, after it was written down; may throw or wait. */
	readonly before: Partial<Record<PublishVerb, (call: PublishCall) => Promise<void> | void>> = {};
	channels: readonly ChannelInfo[] = [];
	jobs: readonly JobStatus[] = [];
	adoption: readonly AdoptEvent[] = [];
	/** What `create` and `publishFile` make. */
	made: Manifest;
	/** What came of the bodies of `addFile`, `addIcon` and `publishFile`, one after the other. */
	readonly bodies: Buffer[] = [];
	/** Reads a body; tests of large ones count only. */
	take: (body: AsyncIterable<Buffer>) => Promise<void> = async body => {
		const pieces: Buffer[] = [];
		for await (const piece of body) {
			pieces.push(piece);
		}
		this.bodies.push(Buffer.concat(pieces));
	};
	uploads: ResumableUploads = {} as ResumableUploads;
	readonly #images: Map<string, Manifest>;

	constructor(images: readonly Manifest[] = []) {
		this.#images = new Map(images.map(image => [image.uuid, image]));
		this.made = parseManifest(
			'{"v":2,"uuid":"11111111-2222-4333-8444-555555555555","name":"made","version":"1","state":"unactivated","public":true,"files":[]}',
		);
	}

	readonly unreadable = [];

	list(): readonly Manifest[] {
		return [...this.#images.values()];
	}

	get(uuid: Uuid): Manifest | undefined {
		return this.#images.get(uuid);
	}

	put(manifest: Manifest): void {
		this.#images.set(manifest.uuid, manifest);
	}

	readChannel(given: string | undefined): string | undefined {
		if (this.channels.length === 0 || given === '*') {
			return undefined;
		}
		return given ?? this.channels.find(channel => channel.default === true)?.name;
	}

	icon(): Promise<Icon & {readonly storedAtMs: number}> {
		throw new NotFoundError('no icons here');
	}

	job(uuid: Uuid): JobStatus | undefined {
		return this.jobs.find(job => job.uuid === uuid);
	}

	jobsOf(image: Uuid): readonly JobStatus[] {
		return this.jobs.filter(job => job.image_uuid === image);
	}

	async create(fields: unknown, change: Change): Promise<Manifest> {
		await this.#called('create', undefined, fields, change);
		return this.made;
	}

	importImage(uuid: Uuid, fields: unknown, change: Change): Promise<Manifest> {
		return this.#verb('importImage', uuid, fields, change);
	}

	importFrom(uuid: Uuid, source: string, change: Change): Promise<Manifest> {
		return this.#verb('importFrom', uuid, source, change);
	}

	async importRemote(uuid: Uuid, source: string | undefined, change: Change): Promise<JobStatus> {
		await this.#called('importRemote', uuid, source, change);
		const job = this.jobs[0];
		if (job === undefined) {
			throw new NotFoundError('no job here');
		}
		return job;
	}

	async addFile(uuid: Uuid, offer: FileOffer, change: Change): Promise<Manifest> {
		const manifest = await this.#verb('addFile', uuid, offer, change);
		await this.take(offer.body);
		return manifest;
	}

	addFileFrom(uuid: Uuid, source: string, change: Change): Promise<Manifest> {
		return this.#verb('addFileFrom', uuid, source, change);
	}

	addFileFromUrl(uuid: Uuid, url: unknown, offer: object, change: Change): Promise<Manifest> {
		return this.#verb('addFileFromUrl', uuid, {url, ...offer}, change);
	}

	activate(uuid: Uuid, change: Change): Promise<Manifest> {
		return this.#verb('activate', uuid, undefined, change);
	}

	enable(uuid: Uuid, change: Change): Promise<Manifest> {
		return this.#verb('enable', uuid, undefined, change);
	}

	disable(uuid: Uuid, change: Change): Promise<Manifest> {
		return this.#verb('disable', uuid, undefined, change);
	}

	update(uuid: Uuid, fields: unknown, change: Change): Promise<Manifest> {
		return this.#verb('update', uuid, fields, change);
	}

	addAcl(uuid: Uuid, acl: unknown, change: Change): Promise<Manifest> {
		return this.#verb('addAcl', uuid, acl, change);
	}

	removeAcl(uuid: Uuid, acl: unknown, change: Change): Promise<Manifest> {
		return this.#verb('removeAcl', uuid, acl, change);
	}

	async addIcon(uuid: Uuid, icon: {readonly body: AsyncIterable<Buffer>}, change: Change): Promise<Manifest> {
		const manifest = await this.#verb('addIcon', uuid, icon, change);
		await this.take(icon.body);
		return manifest;
	}

	deleteIcon(uuid: Uuid, change: Change): Promise<Manifest> {
		return this.#verb('deleteIcon', uuid, undefined, change);
	}

	channelAdd(uuid: Uuid, fields: unknown, change: Change): Promise<Manifest> {
		return this.#verb('channelAdd', uuid, fields, change);
	}

	changeStor(uuid: Uuid, stor: string | undefined, change: Change): Promise<Manifest> {
		return this.#verb('changeStor', uuid, stor, change);
	}

	async delete(uuid: Uuid, options: object, change: Change): Promise<void> {
		await this.#verb('delete', uuid, options, change);
		this.#images.delete(uuid);
	}

	async publishFile(image: WholeImage, offer: FileOffer, change: Change): Promise<Manifest> {
		await this.#called('publishFile', undefined, {image, offer}, change);
		await this.take(offer.body);
		return this.made;
	}

	async *adopt(request: AdoptRequest, change: Change): AsyncGenerator<AdoptEvent, void, undefined> {
		await this.#called('adopt', undefined, request, change);
		yield* this.adoption;
	}

	async #verb(verb: PublishVerb, uuid: Uuid, given: unknown, change: Change): Promise<Manifest> {
		await this.#called(verb, uuid, given, change);
		const manifest = this.#images.get(uuid);
		if (manifest === undefined) {
			throw new NotFoundError(`image ${uuid} not found`);
		}
		change.precondition?.(manifest);
		return manifest;
	}

	async #called(verb: PublishVerb, uuid: string | undefined, given: unknown, change: Change): Promise<void> {
		const call = {verb, uuid, given, change};
		this.calls.push(call);
		await this.before[verb]?.(call);
	}
}
