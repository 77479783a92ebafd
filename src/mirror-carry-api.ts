/**
 * What carrying images by hand needs of the mirror: every image it can hand out whole, and a way in for those that come.
 */
import type {FileHandle} from 'node:fs/promises';
import type {Compression, Manifest, Sha1, Uuid} from './image/manifest.js';
import type {AheadImage} from './mirror-ahead-api.js';
import type {Actor} from './publish/api.js';
import type {Ask, Icon} from './sources/source.js';

export interface CarryImage {
	readonly manifest: Manifest;
	/** Whose manifest it is; `local` for our own. */
	readonly source: string;
	/**
	 * The bytes that travel: the manifest as IMGAPI serves it, laid out, with the image's channels where it has any. The
	 * same on every mirror that it has come to.
	 */
	readonly text: string;
	readonly files: readonly CarryFile[];
}

export interface CarryFile {
	/** From the manifest, or found out when it came. `undefined`: it has never been here. */
	readonly sha1: Sha1 | undefined;
	readonly size: number;
	readonly compression: Compression;
	readonly here: boolean;
}

/** A whole file in the store. */
export interface CarryBlob {
	readonly sha1: Sha1;
	/** Hexadecimal. */
	readonly sha256: string;
	readonly size: number;
}

/** The way out. */
export interface CarryOut {
	/** What is offered and active, our own included; sorted as lists are. */
	images(): readonly AheadImage[];
	/** Any image that is known, without asking anybody. */
	image(uuid: Uuid): AheadImage | undefined;
	/** Ours that are in the channel, and those of sources that are asked for it. Throws InvalidParameterError: no such channel. */
	inChannel(channel: string): readonly Uuid[];
	/** Every activated image all of whose files are here and that is not held back, disabled ones included. */
	whole(): readonly Uuid[];
	/** Asks the sources where it has to. Throws NotFoundError or SourceUnavailableError. */
	find(uuid: Uuid, ask: Ask): Promise<CarryImage>;
	/** Has the files of an image that are not here fetched. Throws what went wrong, in words for an operator. */
	fetch(uuid: Uuid, how: {readonly onProgress: (bytes: number) => void; readonly signal: AbortSignal}): Promise<void>;
	/** A file that is here, kept from eviction until `letGo(by)`. `undefined`: it is not here. */
	hold(sha1: Sha1, by: string): CarryBlob | undefined;
	letGo(by: string): void;
	/** `undefined`: it has gone. The handle must be closed. */
	open(sha1: Sha1): Promise<FileHandle | undefined>;
	/** `undefined`: it has none, or nobody can give it now (which is worth a warning). */
	icon(image: CarryImage, ask: Ask): Promise<Icon | undefined>;
}

/** An image that came by hand. */
export interface IncomingImage {
	/** The manifest as it came, with channels if it has any. */
	readonly text: string;
	readonly manifest: Manifest;
	/** `undefined`: it says nothing of channels, and is in all of them. */
	readonly channels: readonly string[] | undefined;
}

/** A verified file that stays in the store until `release`, whether an image names it or not. */
export interface TakenFile {
	readonly sha1: Sha1;
	readonly sha256: string;
	readonly size: number;
	release(): Promise<void>;
}

/** The way in. */
export interface CarryIn {
	/**
	 * How the image stands here. `new`: it is not ours yet; `there`: it is, as it comes; `changed`: it came by hand before
	 * and is another now; `ours`: it was made or changed here, with the same files, and stays as it is. Throws RefusedError
	 * where we, or a source, have other files under that uuid.
	 */
	compare(image: IncomingImage, ask: Ask): Promise<'new' | 'there' | 'changed' | 'ours'>;
	/** Whether this uuid can be had here: ours, or a source's. */
	isKnown(uuid: Uuid, ask: Ask): Promise<boolean>;
	/** What the store has under that digest, without looking at the disk. */
	stored(sha1: Sha1): CarryBlob | undefined;
	/** The file if it is here. */
	holdStored(sha1: Sha1): Promise<TakenFile | undefined>;
	/**
	 * Streams a file into the store. Throws RefusedError where it is not what it should be, NoSpaceError, or what `body`
	 * throws; nothing is left behind then.
	 */
	take(
		file: {readonly sha1: Sha1 | undefined; readonly size: number; readonly body: AsyncIterable<Buffer>},
		ask: Ask,
	): Promise<TakenFile>;
	/**
	 * The image is ours from now on, with these files (in the order of its manifest), whole and at once. Lists show it
	 * soon; `settled` waits for that.
	 */
	keep(
		image: IncomingImage,
		parts: {readonly files: readonly TakenFile[]; readonly icon: Icon | undefined; readonly by: Actor},
		ask: Ask,
	): Promise<'imported' | 'updated' | 'there'>;
	settled(): Promise<void>;
}
