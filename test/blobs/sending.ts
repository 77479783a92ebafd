/** Ways to send a file to a store, for the tests of uploads. */
import type {DiskStore} from '../../src/blobs/store.js';
import type {Upload} from '../../src/blobs/upload.js';
import type {BlobInfo} from '../../src/blobs/store.js';

export const most = 1_000_000_000;

/** The bytes in chunks of this size, as a connection would bring them. */
export async function* bodyOf(bytes: Buffer, chunkBytes = 65_536): AsyncGenerator<Buffer, void, undefined> {
	for (let at = 0; at < bytes.length; at += chunkBytes) {
		await Promise.resolve();
		yield bytes.subarray(at, at + chunkBytes);
	}
}

/** An upload that has come to its end, not committed. */
export async function sent(store: DiskStore, bytes: Buffer, id?: string): Promise<Upload> {
	const upload = await store.upload({size: bytes.length, maxBytes: most, ...(id === undefined ? {} : {id})});
	await upload.fill(bodyOf(bytes.subarray(upload.written)));
	return upload;
}

export async function stored(store: DiskStore, bytes: Buffer, pinnedBy?: string): Promise<BlobInfo> {
	const upload = await sent(store, bytes);
	return store.commitUpload(upload, {
		source: 'local',
		storedAtMs: 1000,
		...(pinnedBy === undefined ? {} : {pinnedBy}),
	});
}

export async function contentOf(store: DiskStore, {sha1}: BlobInfo): Promise<Buffer | undefined> {
	const handle = await store.open(sha1);
	try {
		return await handle?.readFile();
	} finally {
		await handle?.close();
	}
}
