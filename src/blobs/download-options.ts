/**
 * What a download is given when it begins, and what it says of itself when it ends.
 */
import type {Host} from '../host.js';
import type {Download} from './download.js';
import type {Wanted} from './partial.js';
import type {Passages} from './passages.js';
import type {Place} from './places.js';
import type {BlobInfo, BlobStore} from './store.js';
import type {Supplier} from './supply.js';

/** A file that was verified. */
export interface RightFile {
	readonly sha1: string | undefined;
	readonly md5: string | undefined;
	readonly storedAtMs: number;
}

/** What came of a transfer. `uncached`: the disk did not take it. `suspended`: it can be gone on with. */
export type DownloadEnd =
	| {readonly outcome: 'fetched' | 'there' | 'uncached' | 'suspended'}
	| {readonly outcome: 'failed'; readonly error: unknown};

export interface DownloadOptions {
	readonly wanted: Wanted;
	readonly suppliers: () => readonly Supplier[];
	readonly store: BlobStore;
	readonly host: Host;
	readonly retries: number;
	readonly patienceMs?: number | undefined;
	readonly place: Place;
	/** Where its readers are carried on if the disk does not take the file. */
	readonly passages: Passages;
	/** Nobody follows any more, and nobody has it fetched. */
	readonly onAbandoned: (download: Download) => void;
	/** Clients' transfers have kept it waiting for so long that it had better be suspended. */
	readonly onKeptWaiting: (download: Download) => void;
	/** Nobody may begin to follow any more. */
	readonly onOver: (download: Download) => void;
}

/** Called with the blob that came of a transfer. */
export type OnStored = (info: BlobInfo) => Promise<void>;
