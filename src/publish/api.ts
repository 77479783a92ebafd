/**
 * The publish area as the rooms above see it: one method per verb of IMGAPI (contract 6), and what they take.
 *
 * HTTP turns requests into these, the drop folder and jobs call them directly. Who may do what has been decided before,
 * but for whose image it is; the rules of manifests and states are decided here. Every method throws the classes of
 * `errors.ts`, and a method that throws has changed nothing.
 */
import type {Compression, JsonObject, Manifest, Sha1, Uuid} from '../image/manifest.js';
import type {Ask, Icon} from '../sources/source.js';

/** On whose behalf an image is changed. */
export interface Actor {
	/** Whoever publishes without a login has no name; what they publish is every publisher's to change. */
	readonly name: string | undefined;
	/** May change what others own. */
	readonly operator: boolean;
}

/** What all changes to an image have in common. */
export interface Change {
	readonly actor: Actor;
	/** The query's, as given: `undefined` or a non-empty string. Not checked yet. */
	readonly account: string | undefined;
	readonly channel: string | undefined;
	/** Throws PreconditionError if the image is not as the caller thought. Called with the image's turn held. */
	readonly precondition?: (manifest: Manifest) => void;
	readonly ask: Ask;
}

/** A file on its way in. Query parameters are as given. */
export interface FileOffer {
	/** `undefined`: not given, which `addFile` refuses and `publishFile` finds out from the first bytes. */
	readonly compression: string | undefined;
	readonly sha1: string | undefined;
	readonly datasetGuid: string | undefined;
	readonly storage: string | undefined;
	/** What the sender announced. */
	readonly size: number | undefined;
	/** Throws when it ends before what was announced. Read once; not at all where the offer is refused before. */
	readonly body: AsyncIterable<Buffer>;
}

/** Images made and filled in one go: by a pipe, a folder, a bundle. */
export interface WholeImage {
	/** A manifest; of one without uuid a new image is made. `owner`, `v`, `type`, `os` and `public` have defaults. */
	readonly manifest: JsonObject;
	/** Keep state, dates and owner as the manifest says: for images that were published elsewhere before. */
	readonly adopt: boolean;
	/** Leave it unactivated. */
	readonly activate: boolean;
}

export interface JobStatus {
	readonly uuid: Uuid;
	readonly name: string;
	readonly execution: 'queued' | 'running' | 'succeeded' | 'failed';
	readonly image_uuid: Uuid;
	readonly created_at: string;
	/** One for each step that has ended; the last one's `error` is non-empty where the job failed. */
	readonly chain_results: readonly {readonly name: string; readonly result: string; readonly error: string}[];
	readonly [more: string]: unknown;
}

export interface ChannelInfo {
	readonly name: string;
	readonly description: string;
	readonly default?: true;
}

export interface AdoptRequest {
	/** Absolute. */
	readonly directory: string;
	readonly how: 'copy' | 'link' | 'move';
	readonly dryRun: boolean;
}

/** One line of an adoption's progress, in this order: `found`, then per image `image` and `done`, then `end`. */
export type AdoptEvent =
	| {readonly what: 'found'; readonly images: number; readonly bytes: number}
	| {
			readonly what: 'image';
			readonly uuid: string;
			readonly name: string;
			readonly version: string;
			readonly bytes: number;
	  }
	| {readonly what: 'progress'; readonly uuid: string; readonly bytes: number}
	| {
			readonly what: 'done';
			readonly uuid: string;
			/** `there`: we have it already, with this very file. */
			readonly outcome: 'adopted' | 'there' | 'failed';
			readonly problem?: string;
	  }
	| {readonly what: 'end'; readonly adopted: number; readonly there: number; readonly failed: number};

/** An image that came by hand. */
export interface CarriedImage {
	/** The manifest as it came. */
	readonly text: string;
	readonly manifest: Manifest;
	/** `undefined`: it says nothing of channels, and is in all of them. */
	readonly channels: readonly string[] | undefined;
}

/** A verified file that stays in the store until `release`. */
export interface CarriedFile {
	readonly sha1: Sha1;
	release(): Promise<void>;
}

export interface CarriedImages<File extends CarriedFile = CarriedFile> {
	/** One of ours as it travels: laid out, with its channels. */
	text(uuid: Uuid): string | undefined;
	/**
	 * `there`: we have it as it is; `changed`: it came by hand before and is another now; `ours`: it was made or changed
	 * here. Throws RefusedError ImageUuidAlreadyExists where we have other files under that uuid.
	 */
	compare(image: CarriedImage): 'new' | 'there' | 'changed' | 'ours';
	take(
		file: {readonly sha1: Sha1 | undefined; readonly size: number; readonly body: AsyncIterable<Buffer>},
		ask: Ask,
	): Promise<File>;
	holdStored(sha1: Sha1): Promise<File | undefined>;
	/** It is ours from now on. Lists show it soon; `settled` waits for that. */
	keep(
		image: CarriedImage,
		parts: {readonly files: readonly File[]; readonly icon: Icon | undefined; readonly by: Actor},
	): Promise<'imported' | 'updated' | 'there'>;
	settled(): Promise<void>;
}

/** Local images, readable without waiting. */
export interface LocalImages {
	/** Sorted by `compareImages`, whatever their state. Another array after every change. */
	list(): readonly Manifest[];
	get(uuid: Uuid): Manifest | undefined;
}

export interface PublishApi extends LocalImages {
	/** Configured ones in order; empty: this server has none. */
	readonly channels: readonly ChannelInfo[];
	/** Images that were published here, with a record that cannot be read: nobody can tell what they are. */
	readonly unreadable: readonly Uuid[];
	/** Checks a read's `channel` (contract 9). `undefined`: all of them, or the server has none. */
	readChannel(given: string | undefined): string | undefined;
	/** Throws NotFoundError where the image has none. */
	icon(uuid: Uuid): Promise<Icon & {readonly storedAtMs: number}>;

	create(fields: unknown, change: Change): Promise<Manifest>;
	/** AdminImportImage with the manifest as body. `userAgent`: old imgadms get their manifests mended. */
	importImage(uuid: Uuid, fields: unknown, change: Change & {readonly userAgent?: string}): Promise<Manifest>;
	importFrom(uuid: Uuid, source: string, change: Change): Promise<Manifest>;
	importRemote(uuid: Uuid, source: string | undefined, change: Change): Promise<JobStatus>;
	job(uuid: Uuid): JobStatus | undefined;
	jobsOf(image: Uuid): readonly JobStatus[];
	addFile(uuid: Uuid, offer: FileOffer, change: Change): Promise<Manifest>;
	addFileFrom(uuid: Uuid, source: string, change: Change): Promise<Manifest>;
	addFileFromUrl(uuid: Uuid, url: unknown, offer: Omit<FileOffer, 'body' | 'size'>, change: Change): Promise<Manifest>;
	activate(uuid: Uuid, change: Change): Promise<Manifest>;
	enable(uuid: Uuid, change: Change): Promise<Manifest>;
	disable(uuid: Uuid, change: Change): Promise<Manifest>;
	update(uuid: Uuid, fields: unknown, change: Change): Promise<Manifest>;
	addAcl(uuid: Uuid, acl: unknown, change: Change): Promise<Manifest>;
	removeAcl(uuid: Uuid, acl: unknown, change: Change): Promise<Manifest>;
	/** `size`: what was announced. */
	addIcon(
		uuid: Uuid,
		icon: {
			readonly contentType: string | undefined;
			readonly sha1: string | undefined;
			readonly size: number | undefined;
			readonly body: AsyncIterable<Buffer>;
		},
		change: Change,
	): Promise<Manifest>;
	deleteIcon(uuid: Uuid, change: Change): Promise<Manifest>;
	channelAdd(uuid: Uuid, fields: unknown, change: Change): Promise<Manifest>;
	changeStor(uuid: Uuid, stor: string | undefined, change: Change): Promise<Manifest>;
	/** Of one channel, or the image itself. */
	delete(uuid: Uuid, options: {readonly forceAllChannels: boolean}, change: Change): Promise<void>;

	/** Makes an image, fills and activates it in one step: nobody sees it before it is whole. */
	publishFile(image: WholeImage, offer: FileOffer, change: Change): Promise<Manifest>;
	/** Takes over what an older server kept, on this machine. */
	adopt(request: AdoptRequest, change: Change): AsyncGenerator<AdoptEvent, void, undefined>;

	/** Uploads that can be resumed; see `resumable.ts`. */
	readonly uploads: ResumableUploads;
}

/** What a resumable upload is to become: the file of an image that is there, or an image of its own. */
export type UploadPurpose =
	{readonly kind: 'file'; readonly image: Uuid} | {readonly kind: 'image'; readonly image: WholeImage};

export interface ResumableUpload {
	readonly id: string;
	/** Bytes on disk, after a restart as well. */
	readonly offset: number;
	/** `undefined`: its sender does not know yet. */
	readonly size: number | undefined;
	/** The name of whoever began it: nobody else may go on with it. */
	readonly owner: string | undefined;
	/** As its sender described it. */
	readonly metadata: Readonly<Record<string, string>>;
	readonly expiresAtMs: number;
	/** What came of it, once it is finished. */
	readonly image?: Uuid;
}

export interface ResumableUploads {
	create(upload: {
		readonly size: number | undefined;
		readonly purpose: UploadPurpose;
		readonly offer: Omit<FileOffer, 'body' | 'size'>;
		readonly metadata: Readonly<Record<string, string>>;
		readonly change: Change;
	}): Promise<ResumableUpload>;
	get(id: string): Promise<ResumableUpload | undefined>;
	/** Appends at `offset`, which must be where it ends. One at a time. What came before a failure stays. */
	append(id: string, offset: number, body: AsyncIterable<Buffer>): Promise<ResumableUpload>;
	setSize(id: string, size: number): Promise<ResumableUpload>;
	/** All bytes are there: verifies them and does what the upload was for. A wrong file is thrown away. */
	finish(id: string, change: Change): Promise<Manifest>;
	remove(id: string): Promise<boolean>;
	/** Removes what nobody has gone on with in time. */
	sweep(): Promise<void>;
}

export type {Compression};
