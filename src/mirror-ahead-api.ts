/**
 * What fetching ahead needs of the mirror: which images there are, and a way to have one's files fetched that never
 * gets in the way of a client.
 */
import type {Manifest, Uuid} from './image/manifest.js';

export interface AheadImage {
	readonly manifest: Manifest;
	/** All that offer it, whose manifest this is first. Empty: it is only here. */
	readonly sources: readonly string[];
}

/** Waits until so many more bytes may be fetched. Shared by all transfers of a rule. */
export type Pace = (bytes: number, signal: AbortSignal) => Promise<void>;

export interface AheadApi {
	/** Those that are configured, by name. */
	readonly sources?: () => readonly string[];
	/** Offered and active ones, sorted as lists are; another array whenever one of them is another. */
	images(): readonly AheadImage[];
	/** Makes what `images` gives, in slices. */
	prepare?(): Promise<void>;
	/** Any image that is known, also one that is offered to nobody: as an origin. */
	image(uuid: Uuid): AheadImage | undefined;
	/** All its files are here. An image without files always is. */
	isHere(uuid: Uuid): boolean;
	/**
	 * Fetches the files of an image that are not here. A client who asks for one meanwhile joins the transfer, which is a
	 * client's from then on. Throws what the transfer failed with; aborting it keeps what is on the disk.
	 */
	fetchAhead(
		uuid: Uuid,
		how: {readonly pace: Pace | undefined; readonly onProgress: (bytes: number) => void; readonly signal: AbortSignal},
	): Promise<'fetched' | 'there' | 'uncached'>;
	/** From now on these are what the rule wants, and stay. */
	setWanted(rule: string, images: readonly Uuid[]): void;
	/** The rule is no more. */
	forgetRule(rule: string): void;
	/** What transfers have had from sources lately; `undefined`: nothing to go by. */
	bytesPerSecond(): number | undefined;
}
