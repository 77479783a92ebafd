/** A store in a temporary directory with flights over it, for the tests of this room. */
import {DiskStore} from '../../src/blobs/store.js';
import {Flights, type FlightLimits} from '../../src/blobs/flights.js';
import {Hashing} from '../../src/blobs/hashing.js';
import {Layout, prepareLayout} from '../../src/blobs/layout.js';
import type {Wanted} from '../../src/blobs/partial.js';
import type {Reader} from '../../src/blobs/reader.js';
import type {BlobInfo} from '../../src/blobs/store.js';
import type {Supplier} from '../../src/blobs/supply.js';
import type {Clock} from '../../src/host.js';
import {isSha1, parseManifest, type Sha1} from '../../src/image/manifest.js';
import {hurriedClock} from '../helpers/hurried-clock.js';
import type {TestImage} from '../helpers/make-image.js';
import {tempDir, type Scope} from '../helpers/temp-dir.js';
import {testHost, type TestHost} from '../helpers/test-host.js';

export interface StoreRig {
	readonly store: DiskStore;
	readonly flights: Flights;
	readonly layout: Layout;
	readonly host: TestHost<Clock>;
	readonly stored: BlobInfo[];
	/** Reads a range as a client would. */
	fetch(image: TestImage, suppliers: readonly Supplier[], range?: {start?: number; end?: number}): Promise<Buffer>;
	/** Resolves when no transfer runs any more. */
	idle(): Promise<void>;
	/** The threads that hash end; the next file has new ones. */
	endHashing(): Promise<void>;
	close(): Promise<void>;
}

export async function startStore(
	t: Scope,
	options: {root?: string; limits?: Partial<FlightLimits>; quarantineBytes?: number; indexQuietMs?: number} = {},
): Promise<StoreRig> {
	const layout = new Layout(options.root ?? (await tempDir(t)));
	const host = testHost({clock: hurriedClock});
	const hashing = new Hashing();
	const quarantine = {keepForMs: 3_600_000, maxBytes: options.quarantineBytes ?? 1e9};
	const {indexQuietMs} = options;
	const onSent = (sha1: Sha1): void => {
		flights.came(sha1);
	};
	const store = new DiskStore({
		...{layout, host, hashing, quarantine, onSent},
		...(indexQuietMs !== undefined && {indexQuietMs}),
	});
	await prepareLayout(layout);
	await store.load();
	const limits = {concurrent: 4, finishAbandonedBytes: Infinity, retries: 2, ...options.limits};
	const flights = new Flights({store, host, limits});
	const stored: BlobInfo[] = [];
	const close = async (): Promise<void> => {
		await flights.suspend();
		await store.close();
		await hashing.close();
	};
	t.teardown(close);
	return {
		store,
		flights,
		layout,
		host,
		stored,
		async fetch(image, suppliers, {start = 0, end = image.size} = {}) {
			const {follower} = flights.join({
				wanted: wantedOf(image),
				suppliers: () => suppliers,
				start,
				end,
				onStored: async info => void stored.push(info),
			});
			try {
				return await readAll(follower);
			} finally {
				follower.close();
			}
		},
		async idle() {
			while (flights.status().length > 0) {
				await new Promise(resolve => setImmediate(resolve));
			}
		},
		endHashing: () => hashing.close(),
		close,
	};
}

export function wantedOf(image: TestImage): Wanted {
	const manifest = parseManifest(image.text);
	const [file] = manifest.files;
	const sha1 = file?.sha1;
	return {
		key: sha1 ?? `${manifest.uuid}.0`,
		size: file?.size ?? 0,
		sha1,
		md5: file?.md5,
		uuid: manifest.uuid,
	};
}

export function sha1Of(image: TestImage): Sha1 {
	if (!isSha1(image.sha1)) {
		throw new Error('a test image without SHA-1');
	}
	return image.sha1;
}

export async function readAll(reader: Pick<Reader, 'read'>, into = Buffer.alloc(50_000)): Promise<Buffer> {
	const parts: Buffer[] = [];
	for (let bytes = await reader.read(into); bytes > 0; bytes = await reader.read(into)) {
		parts.push(Buffer.from(into.subarray(0, bytes)));
	}
	return Buffer.concat(parts);
}
