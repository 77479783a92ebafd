/**
 * The last step of a transfer: a partial that was found right becomes a blob, as long as nobody stops the mirror.
 */
import type {PartialBlob} from './partial.js';
import type {BlobInfo, BlobOrigin, BlobStore} from './store.js';
import type {TransferEvents} from './transfer-events.js';
import {unlessAborted} from './unless-aborted.js';

/** Whoever stops the mirror has the second that the digests of so much take. */
const shortBytes = 1_073_741_824;

/** `undefined`: the disk refused. The file is right all the same, and stays for the next attempt. */
export async function commitPartial(
	partial: PartialBlob,
	origin: BlobOrigin,
	{store, events, signal}: {readonly store: BlobStore; readonly events: TransferEvents; readonly signal: AbortSignal},
): Promise<BlobInfo | undefined> {
	const isShort = partial.written <= shortBytes;
	try {
		const digests = await (isShort ? partial.digests() : unlessAborted(partial.digests(), signal));
		return await store.commit(partial, digests, origin);
	} catch (error) {
		if (error === signal.reason) {
			throw error;
		}
		events.notPlaced(error);
		return undefined;
	}
}
