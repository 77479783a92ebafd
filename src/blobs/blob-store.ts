/**
 * What transfers and those who read files need of the store. `DiskStore` is it; tests bring others.
 */
import type {FileHandle} from 'node:fs/promises';
import type {Host} from '../host.js';
import type {Sha1} from '../image/manifest.js';
import type {BlobInfo} from './blob-info.js';
import type {Digests, Hashing} from './hashing.js';
import type {KeepLimits} from './keep-limits.js';
import type {Layout} from './layout.js';
import type {PartialBlob, Wanted} from './partial.js';
import type {QuarantineLimits, QuarantineNote} from './quarantine.js';

/** Where a blob's bytes came from. */
export interface BlobOrigin {
	readonly source: string;
	/** The Content-MD5 that came with them. */
	readonly toldMd5: string | undefined;
	/** When they were all there. */
	readonly storedAtMs: number;
}

/** What is told when an upload becomes a blob. */
export interface UploadOrigin {
	readonly source: string;
	readonly storedAtMs: number;
	/** Pinned in the same instant: nobody can delete it before whoever wants it has said so. */
	readonly pinnedBy?: string;
}

export interface StoreOptions {
	readonly layout: Layout;
	readonly host: Host;
	readonly hashing: Hashing;
	readonly quarantine: QuarantineLimits;
	/** Nothing but the disk limits anything unless given. */
	readonly keep?: KeepLimits;
	/** How long what was used counts as in use. */
	readonly graceMs?: number;
	/** Whether the mirror had much to do since it was last asked: what can wait does. Never, unless given. */
	readonly isBusy?: () => boolean;
	/** Told of each file that was sent here, once it is a blob. */
	readonly onSent?: (sha1: Sha1) => void;
	/** How long nothing must have changed in a folder before it is written down. */
	readonly indexQuietMs?: number;
}

export interface BlobStore {
	/** `undefined`: surely absent. */
	stat(sha1: Sha1): BlobInfo | undefined;
	/** Counts as use until the handle is closed, which stays readable even if the blob is deleted meanwhile. */
	open(sha1: Sha1): Promise<FileHandle | undefined>;
	list(): Iterable<BlobInfo>;
	delete(sha1: Sha1): Promise<boolean>;
	/** Nothing of the file can be here, and there is room for it, as far as is known without looking. */
	lacks(wanted: Wanted): boolean;
	/** Takes up what an earlier attempt left, or begins. Throws NoSpaceError where no room can be made for all of it. */
	partial(wanted: Wanted): Promise<PartialBlob>;
	/** Makes a verified partial a blob. The partial stays readable and must still be closed. */
	commit(partial: PartialBlob, digests: Digests, origin: BlobOrigin): Promise<BlobInfo>;
	/** Moves a wrong partial aside; it is empty afterwards. */
	quarantine(partial: PartialBlob, note: QuarantineNote): Promise<void>;
	/** Deletes what a transfer had written so far: there is no room to go on. */
	discard(partial: PartialBlob): Promise<void>;
}
