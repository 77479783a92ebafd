/**
 * What the parts of the publish room give each other: local images as they are kept, and the writes that everybody
 * who makes them goes through.
 *
 * `Lifecycle` implements `LocalWrites`; remote imports, adoption, the drop folder and resumable uploads use it. Nobody
 * but it writes records.
 */
import type {DiskStore} from '../blobs/store.js';
import type {ImageFields, ServerMode, StoredFile} from '../image/rules.js';
import type {Compression, Manifest, Sha1, Uuid} from '../image/manifest.js';
import type {Ask} from '../sources/source.js';
import type {Change, ChannelInfo, FileOffer, WholeImage} from './api.js';
import type {Came} from './came.js';

/** What can be changed while the server runs. */
export interface PublishSettings {
	readonly mode: ServerMode;
	/** In order; empty: no channels. */
	readonly channels: readonly ChannelInfo[];
	readonly maxFileBytes: number;
	/** How long an upload that can be resumed waits for its sender. */
	readonly resumableForMs: number;
}

/** The files of images: what the publish room needs of the blob store (`DiskStore` has more). */
export type PublishStore = Pick<
	DiskStore,
	| 'stat'
	| 'open'
	| 'upload'
	| 'commitUpload'
	| 'importFile'
	| 'pin'
	| 'unpin'
	| 'isPinned'
	| 'release'
	| 'own'
	| 'writeRecord'
	| 'removeRecord'
	| 'readRecord'
	| 'listFolder'
>;

/** The images of all sources but ourselves. */
export interface Upstream {
	/** `undefined`: nobody has it. Throws SourceUnavailableError where nobody can tell. */
	find(uuid: Uuid, ask: Ask): Promise<{readonly manifest: Manifest; readonly source: string} | undefined>;
	/** Who has it, be it held back or excluded. Throws SourceUnavailableError where nobody can tell. */
	claimOf(uuid: Uuid, ask: Ask): Promise<Claim | undefined>;
	/** An image that a source lists, whose origin nobody but us has; what is known without asking. */
	childOf(origin: Manifest): Uuid | undefined;
}

/** An image that is a source's. */
export interface Claim {
	readonly manifest: Manifest;
	readonly source: string;
	/** It is offered to nobody, at the moment. */
	readonly isHeldBack: boolean;
}

export interface LocalIcon {
	readonly sha1: Sha1;
	/** Hexadecimal. */
	readonly md5: string;
	readonly size: number;
	readonly contentType: string;
	readonly storedAtMs: number;
}

/** One local image, as its record says. */
export interface LocalImage {
	/** Never changed in place. */
	readonly fields: ImageFields;
	readonly channels: readonly string[];
	/** Who made it; `undefined`: somebody without a login. */
	readonly by: string | undefined;
	readonly icon?: LocalIcon | undefined;
	/** It came by hand; see `asItCame`. */
	readonly came?: Came | undefined;
	readonly createdAtMs: number;
	readonly changedAtMs: number;
	/** Random. Tells an image from another one that had its uuid before. */
	readonly born: string;
	/** The uuid that it had before its last one. A record of that uuid, born with this one, is left from a crash. */
	readonly movedFrom?: Uuid | undefined;
}

/** A verified file in the store that stays there until `release`, whether an image names it or not. */
export interface HeldFile {
	readonly sha1: Sha1;
	/** What an image says of it. */
	readonly file: StoredFile;
	/** To be called once, when an image names it or none ever will: then it goes unless somebody else needs it. */
	release(): Promise<void>;
}

/** A file that is to be had in. `sha1`, `size`: what it must turn out to be, where that is known. */
export interface Incoming {
	/** `undefined`: to be told from the first bytes. */
	readonly compression: Compression | undefined;
	readonly sha1: Sha1 | undefined;
	readonly size: number | undefined;
	readonly datasetGuid: string | undefined;
	/** The image's, where it is known: one of type `other` may be any file. */
	readonly imageType?: string | undefined;
	readonly body: AsyncIterable<Buffer>;
	/** Called with how much has come so far. */
	readonly onProgress?: ((bytes: number) => void) | undefined;
}

/** An image that is written in one go, file and all. */
export interface NewImage {
	readonly fields: ImageFields;
	/** As `LocalWrites.channelsFor` says. */
	readonly channels: readonly string[];
	readonly by: string | undefined;
	readonly icon?: {readonly bytes: Buffer; readonly contentType: string} | undefined;
	/** Random unless given. */
	readonly born?: string | undefined;
	/** The origin was one of ours when it was looked for: it must still be when the image is written. */
	readonly originIsLocal?: boolean;
}

export interface LocalWrites {
	readonly settings: PublishSettings;
	/** `undefined`: not one of ours. */
	get(uuid: Uuid): LocalImage | undefined;
	/** The same as clients get it. */
	manifest(uuid: Uuid): Manifest | undefined;
	/** Ours, or a record that cannot be read has its name. */
	isTaken(uuid: Uuid): boolean;
	/** Checks a write's `channel` (contract 9); the channels of an image that it makes: one, or none on a server without. */
	channelsFor(channel: string | undefined): readonly string[];
	/** Throws RefusedError OperatorOnly where `account` is given. */
	checkOperator(change: Change): void;
	/** Throws RefusedError ImageUuidAlreadyExists where we or a source have it. A source that cannot tell is passed over. */
	checkFree(uuid: Uuid, ask: Ask): Promise<void>;
	/**
	 * Before what is another server's becomes ours: throws RefusedError ImageUuidAlreadyExists where a source has other
	 * files under that uuid, and where one that is held back is not asked for by an operator.
	 */
	checkAlike(image: Manifest, who: {readonly operator: boolean; readonly ask: Ask}): Promise<void>;
	/**
	 * Throws RefusedError OriginDoesNotExist where neither we nor a source have it. A source that cannot tell is passed
	 * over. `undefined` is fine. True: it is one of ours (`NewImage.originIsLocal`).
	 */
	checkOrigin(origin: string | undefined, ask: Ask): Promise<boolean>;
	/**
	 * The image that a file is to be added to, after all checks that come before those of the file: channel, account,
	 * is it there, whose is it, precondition, is it activated (ImageFilesImmutable). One whose file was lost may be given
	 * that very file again.
	 */
	fileTarget(uuid: Uuid, change: Change): Promise<LocalImage>;
	/** Checks the query parameters of a file (contract 6.6), and its announced size. */
	checkOffer(
		offer: Omit<FileOffer, 'body'>,
		change: Pick<Change, 'account'>,
		options?: {readonly compressionMayMiss?: boolean},
	): Omit<Incoming, 'body'>;
	/**
	 * Streams a file into the store and verifies it. Throws RefusedError Download (empty, wrong sha1, wrong size) or
	 * Upload (too big, other compression than told); nothing is left behind then.
	 */
	intake(incoming: Incoming, ask: Ask): Promise<HeldFile>;
	/**
	 * The same for a blob that is in the store already; one that has just been imported must be pinned by its importer
	 * until this resolves. `undefined`: it is not there, or not as it was stored.
	 */
	holdStored(
		sha1: Sha1,
		told: {readonly compression: Compression; readonly datasetGuid?: string | undefined},
	): Promise<HeldFile | undefined>;
	/** `fileTarget`, `checkOffer`, `intake`, and the image has the file. */
	addFile(uuid: Uuid, offer: FileOffer, change: Change): Promise<Manifest>;
	/**
	 * Gives the image a file that is held, if it is still there and unactivated, or has that very file. Does not release
	 * it.
	 */
	setFile(uuid: Uuid, held: HeldFile, change: Change, born?: string): Promise<Manifest>;
	/** AdminImportImage: the image is unactivated and has no file. */
	importManifest(uuid: Uuid, manifest: unknown, change: Change & {readonly userAgent?: string}): Promise<Manifest>;
	/** The same of what another server has, which is read as `readAdopted` does. Its origin need not be here (contract 6.13). */
	importForeign(manifest: Manifest, change: Change): Promise<Manifest>;
	/**
	 * The fields of an image to be made in one go, without its file, and the origin that it needs. `adopt`: as
	 * `readAdopted`. Otherwise as CreateImage (no uuid given) or AdminImportImage would read it, with defaults.
	 */
	readWhole(
		image: WholeImage,
		change: Pick<Change, 'account'>,
	): {readonly fields: ImageFields; readonly origin: string | undefined};
	/** Writes it in its turn. Throws RefusedError ImageUuidAlreadyExists if somebody was first. The files must be held. */
	saveWhole(image: NewImage): Promise<Manifest>;
	/**
	 * Deletes an image that the caller itself has just made, whatever its state; for jobs that take back what they did.
	 * One that others build on by now stays.
	 */
	undo(uuid: Uuid, born: string): Promise<void>;
	/** Runs `work` when nobody changes any of these images. Not to be nested. */
	turn<T>(uuids: readonly Uuid[], work: () => Promise<T>): Promise<T>;
}
