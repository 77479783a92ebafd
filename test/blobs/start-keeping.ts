/**
 * A store with limits on a clock that stands still, for the tests of what is kept: files come without a source, facts
 * are what the test says, and hashing is done on the spot.
 */
import {createHash} from 'node:crypto';
import {readFileSync} from 'node:fs';
import type {Algorithm, Digests} from '../../src/blobs/hashing.js';
import {FileHash, Hashing} from '../../src/blobs/hashing.js';
import type {KeptImage} from '../../src/blobs/keep-facts.js';
import {noLimits, type KeepLimits} from '../../src/blobs/keep-limits.js';
import {Layout, prepareLayout} from '../../src/blobs/layout.js';
import type {PartialBlob} from '../../src/blobs/partial.js';
import {DiskStore, type BlobInfo} from '../../src/blobs/store.js';
import {NoSpaceError} from '../../src/errors.js';
import {parseManifest} from '../../src/image/manifest.js';
import {countDisk, countOthers} from '../helpers/disk-count.js';
import {makeImage, type TestImage} from '../helpers/make-image.js';
import {ManualClock} from '../helpers/manual-clock.js';
import {tempDir, type Scope} from '../helpers/temp-dir.js';
import {testHost, type TestHost} from '../helpers/test-host.js';
import {sha1Of, wantedOf} from './start-store.js';

/** In this thread, and only once all is there: for files of a few kilobytes. */
export class QuickHashing extends Hashing {
	override follow(file: string, algorithms: readonly Algorithm[]): FileHash {
		let resolve: (digests: Digests) => void = () => undefined;
		return new FileHash({
			digests: new Promise(give => {
				resolve = give;
			}),
			send: (upTo, ends) => {
				if (ends) {
					const bytes = readFileSync(file).subarray(0, upTo);
					const digest = (algorithm: Algorithm): [Algorithm, string] => [
						algorithm,
						createHash(algorithm).update(bytes).digest('hex'),
					];
					resolve(Object.fromEntries(algorithms.map(digest)));
				}
			},
			abandon: () => undefined,
		});
	}
}

export interface KeepingRig {
	readonly store: DiskStore;
	readonly host: TestHost;
	readonly clock: ManualClock;
	readonly layout: Layout;
	/** What is known of images: to be changed at will. */
	readonly facts: Map<string, KeptImage>;
	/** Makes an image known. */
	know(image: TestImage, more?: Partial<KeptImage>): void;
	/** A transfer of the whole file. `undefined`: it could not be kept. */
	fetch(image: TestImage): Promise<BlobInfo | undefined>;
	/** The beginning of a transfer. */
	begin(image: TestImage, bytes?: number): Promise<PartialBlob>;
	commit(partial: PartialBlob): Promise<BlobInfo>;
	/** As a client: opened, read, closed. False: it is not here. */
	use(image: TestImage): Promise<boolean>;
	has(image: TestImage): boolean;
	/** Those of these that are here, by their place. */
	here(images: readonly TestImage[]): readonly number[];
	/** Resolves when nothing is being deleted any more. */
	quiet(): Promise<void>;
	/** What the store says and what lies on the disk. */
	counts(): Promise<{readonly told: object; readonly found: object}>;
	close(): Promise<void>;
}

export async function startKeeping(
	t: Scope,
	options: {
		readonly root?: string;
		readonly keep?: Partial<KeepLimits>;
		readonly graceMs?: number;
		readonly nowMs?: number;
		readonly facts?: Map<string, KeptImage>;
		/** What the disk has left. */
		readonly freeBytes?: () => Promise<number | undefined>;
		readonly knowsFacts?: boolean;
	} = {},
): Promise<KeepingRig> {
	const layout = new Layout(options.root ?? (await tempDir(t)));
	const clock = new ManualClock(options.nowMs ?? '2026-01-01T00:00:00.000Z');
	const host = testHost({clock});
	const facts = options.facts ?? new Map<string, KeptImage>();
	const store = new DiskStore({
		...{layout, host, hashing: new QuickHashing(), quarantine: {keepForMs: 1e9, maxBytes: 1e9}},
		...{keep: {...noLimits, ...options.keep}, graceMs: options.graceMs ?? 0},
	});
	if (options.freeBytes !== undefined) {
		store.freeBytes = options.freeBytes;
	}
	await prepareLayout(layout);
	await store.load();
	if (options.knowsFacts !== false) {
		store.keeper.setFacts(() => ({images: [...facts.values()]}));
	}
	let isClosed = false;
	const close = async (): Promise<void> => {
		isClosed ||= (await store.close(), true);
	};
	t.teardown(close);

	const begin = async (image: TestImage, bytes = image.size): Promise<PartialBlob> => {
		const partial = await store.partial(wantedOf(image));
		const rest = image.bytes.subarray(partial.written, bytes);
		if (rest.length > 0) {
			await partial.write([rest]);
		}
		return partial;
	};
	const commit = async (partial: PartialBlob): Promise<BlobInfo> => {
		const digests = await partial.digests();
		return store.commit(partial, digests, {source: 'a', toldMd5: undefined, storedAtMs: clock.now()});
	};
	return {
		...{store, host, clock, layout, facts, begin, commit, close},
		know(image, more = {}) {
			const {uuid, name, version, origin} = parseManifest(image.text);
			const files = [sha1Of(image)];
			const base = {uuid, name, version, origin, files, published: false, pinned: false, wantedBy: [], onlyHere: false};
			facts.set(uuid, {...base, ...facts.get(uuid), ...more});
		},
		async fetch(image) {
			let partial: PartialBlob;
			try {
				partial = await begin(image);
			} catch (error) {
				if (error instanceof NoSpaceError) {
					return undefined;
				}
				throw error;
			}
			try {
				return await commit(partial);
			} finally {
				await partial.close();
			}
		},
		async use(image) {
			const handle = await store.open(sha1Of(image));
			await handle?.close();
			return handle !== undefined;
		},
		has: image => store.stat(sha1Of(image)) !== undefined,
		here: images => images.flatMap((image, at) => (store.stat(sha1Of(image)) === undefined ? [] : [at])),
		async quiet() {
			// Whatever was asked for before is over when this is.
			await store.keeper.inTurn(() => Promise.resolve());
			await store.keeper.sweep();
		},
		async counts() {
			const {blobs, blobBytes, partials, partialBytes} = countDisk(layout.root);
			const {uploadBytes, bareBytes} = countOthers(layout.root);
			const told = {
				blobs: store.count,
				blobBytes: store.bytes,
				partials: store.partialCount,
				partialBytes: store.partialBytes,
			};
			return {
				told: {...told, usedBytes: store.keeper.usedBytes},
				found: {
					blobs,
					blobBytes,
					partials,
					partialBytes,
					usedBytes: blobBytes + partialBytes + uploadBytes + bareBytes,
				},
			};
		},
		close,
	};
}

export function images(count: number, size = 1000): readonly TestImage[] {
	return Array.from({length: count}, () => makeImage({size}));
}
