/**
 * What lies in each folder of blobs, written down while it is known, so that a start reads one file for each folder
 * and not three for each blob.
 *
 * A folder's entry counts only while nothing in the folder has been made, renamed or removed since: the file system says
 * when that was. What has no entry is looked at, file by file; all entries may be deleted. The files themselves are
 * looked at when they are opened, as ever.
 */
import {createHash} from 'node:crypto';
import {mkdir, readFile, readdir, rename, stat, writeFile} from 'node:fs/promises';
import path from 'node:path';
import {describe} from '../errors.js';
import type {Host} from '../host.js';
import {Slices} from '../host-slices.js';
import {isSha1, isUuid, type Manifest, type Sha1, type Uuid} from '../image/manifest.js';
import {copyPage, isCurrentPage, unpackPage} from '../image/packed-page.js';
import {Shared, UnpackedTexts, textDigest} from '../image/packed.js';
import type {BlobInfo} from './blob-info.js';
import type {StoreOptions} from './blob-store.js';
import type {HeldImage} from './held-images.js';
import type {Layout} from './layout.js';

/** Two changes within the grain of the file system's clock look like one: a folder must have been quiet for longer. */
const defaultQuietMs = 2000;
const longestHead = 200;
const head = /^imgmirror-index 1 ([0-9a-f]{40}) ([^\n]*)\n/u;

/** A folder of blobs, with all that is known of it. */
export interface Shelf {
	readonly blobs: readonly BlobInfo[];
	/** With manifests that are known already, where `known` has them. */
	readonly images: (known: KnownManifest) => readonly HeldImage[];
	/** The files of these. */
	readonly needed: readonly Sha1[];
}

/** The manifest with this uuid and digest (see `PackedManifest`). */
export type KnownManifest = (uuid: Uuid, digest: string) => Manifest | undefined;

/** What the index is made of. */
export interface IndexedStore {
	readonly blobs: {list(): Iterable<BlobInfo>; hasBareIn(folder: string): boolean};
	readonly images: {with(sha1: Sha1): readonly HeldImage[]; isUnsettled(folder: string): boolean};
	readonly files: {isChanging(folder: string): boolean};
}

/** By column: a start reads nothing twice. What is equally long for each blob stands behind, as it is. */
interface Content {
	readonly sources: readonly string[];
	readonly columns: {
		/** Which of those above. */
		readonly source: number[];
		readonly size: number[];
		readonly storedAtMs: number[];
		readonly changedAtMs: number[];
		readonly toldMd5: (string | 0)[];
	};
	/** Which of these blobs each manifest's file is, and which of the image's files that is. */
	readonly images: readonly (readonly [blob: number, index: number])[];
}

const widths = {sha1: 40, sha256: 64, md5: 32, uuid: 36, digest: 20};
const noMd5 = '-'.repeat(widths.md5);

export class BlobIndex {
	readonly #layout: Layout;
	readonly #host: Host;
	readonly #quietMs: number;
	readonly #texts = new UnpackedTexts({max: 4});
	readonly #shared = new Shared();
	/** The state of each folder that its entry tells of. */
	readonly #states = new Map<string, string>();
	/** Folders with something that each start has to look at. */
	readonly #odd = new Set<string>();
	#isFailing = false;

	constructor({layout, host, indexQuietMs = defaultQuietMs}: Pick<StoreOptions, 'layout' | 'host' | 'indexQuietMs'>) {
		this.#layout = layout;
		this.#host = host;
		this.#quietMs = indexQuietMs;
	}

	/** `undefined`: the folder has to be looked at. Throws nothing. */
	async read(name: string, folder: string): Promise<Shelf | undefined> {
		const bytes = await readFile(this.#layout.indexOf(name)).catch(() => undefined);
		const [first = '', digest, state = ''] = head.exec(bytes?.toString('latin1', 0, longestHead) ?? '') ?? [];
		if (bytes === undefined || digest === undefined || (await stateOf(folder))?.state !== state) {
			return undefined;
		}
		const content = bytes.subarray(first.length);
		if (sha1Of(content) !== digest) {
			return undefined;
		}
		try {
			const shelf = this.#shelfOf(content);
			if (shelf !== undefined) {
				this.#states.set(name, state);
			}
			return shelf;
		} catch {
			// Another version wrote it.
			return undefined;
		}
	}

	/** In this folder is something that the next start must look at again. */
	leaveOut(name: string): void {
		this.#odd.add(name);
	}

	/** Writes what is not written down yet and may be. Throws nothing. */
	async write(store: IndexedStore): Promise<void> {
		try {
			await mkdir(this.#layout.index, {recursive: true});
			const wanted = await this.#changed(store);
			if (wanted.size > 0) {
				await this.#writeAll(wanted, store);
			}
			this.#isFailing = false;
		} catch (error) {
			if (!this.#isFailing) {
				this.#isFailing = true;
				this.#host.log.warn(
					{problem: describe(error)},
					'what is stored cannot be written down: the next start looks at each file',
				);
			}
		}
	}

	/** The folders that are not as their entry tells, and how they are. */
	async #changed(store: IndexedStore): Promise<ReadonlyMap<string, string>> {
		const changed = new Map<string, string>();
		for (const name of await readdir(this.#layout.blobs)) {
			const found = isFolderName(name) ? await stateOf(path.join(this.#layout.blobs, name)) : undefined;
			// The file system goes by the machine's clock.
			const quiet = found !== undefined && Math.abs(Date.now() - found.changedAtMs) >= this.#quietMs;
			if (quiet && found.state !== this.#states.get(name) && !this.#isUnsettled(name, store)) {
				changed.set(name, found.state);
			}
		}
		return changed;
	}

	async #writeAll(wanted: ReadonlyMap<string, string>, store: IndexedStore): Promise<void> {
		const slices = new Slices();
		const byFolder = new Map<string, BlobInfo[]>([...wanted.keys()].map(name => [name, []]));
		for (const info of store.blobs.list()) {
			byFolder.get(info.sha1.slice(0, 2))?.push(info);
		}
		for (const [name, known] of byFolder) {
			if (slices.over) {
				await slices.next();
			}
			// Asked again, in the tick in which the content is made: what changes later changes the folder, too.
			if (!this.#isUnsettled(name, store) && known.every(isUsual)) {
				const state = wanted.get(name) ?? '';
				const content = contentOf(known, store, this.#texts);
				const file = this.#layout.indexOf(name);
				const first = Buffer.from(`imgmirror-index 1 ${sha1Of(content)} ${state}\n`);
				await writeFile(`${file}.new`, Buffer.concat([first, content]));
				await rename(`${file}.new`, file);
				this.#states.set(name, state);
			}
		}
	}

	#isUnsettled(name: string, {blobs, images, files}: IndexedStore): boolean {
		return this.#odd.has(name) || blobs.hasBareIn(name) || files.isChanging(name) || images.isUnsettled(name);
	}

	/** Throws what reading JSON throws. */
	#shelfOf(content: Buffer): Shelf | undefined {
		const headEnd = content.indexOf('\n');
		const pageEnd = content.indexOf('\n', headEnd + 1);
		const {sources, columns, images: places} = JSON.parse(content.toString('utf8', 0, headEnd)) as Content;
		const names = sources.map(source => this.#shared.string(source));
		const count = columns.size.length;
		const sha256At = pageEnd + 1 + count * widths.sha1;
		const md5At = sha256At + count * widths.sha256;
		const uuidAt = md5At + count * widths.md5;
		const digestAt = uuidAt + places.length * widths.uuid;
		const textAt = (start: number, width: number, row: number): string =>
			content.toString('latin1', start + row * width, start + (row + 1) * width);
		const blobs = columns.size.map((size, row) => {
			const sha1 = textAt(pageEnd + 1, widths.sha1, row);
			const md5 = textAt(md5At, widths.md5, row);
			if (!isSha1(sha1)) {
				throw new TypeError('no row of a blob');
			}
			return {
				sha1,
				sha256: textAt(sha256At, widths.sha256, row),
				md5: md5 === noMd5 ? undefined : md5,
				toldMd5: givenIn(columns.toldMd5, row),
				size,
				storedAtMs: columns.storedAtMs[row] ?? 0,
				changedAtMs: givenIn(columns.changedAtMs, row),
				source: names[columns.source[row] ?? -1] ?? '',
			};
		});
		const page = content.toString('latin1', headEnd + 1, pageEnd);
		if (!isCurrentPage(page)) {
			return undefined;
		}
		const images = (known: KnownManifest): readonly HeldImage[] => {
			// Unpacked only where somebody has one of them not.
			let manifests: readonly Manifest[] | undefined;
			const unpack = (): readonly Manifest[] => unpackPage(page, this.#texts, this.#shared)?.manifests ?? [];
			const held: HeldImage[] = [];
			for (const [at, [number, index]] of places.entries()) {
				const uuid = textAt(uuidAt, widths.uuid, at);
				const digest = textAt(digestAt, widths.digest, at);
				const manifest = (isUuid(uuid) ? known(uuid, digest) : undefined) ?? (manifests ??= unpack())[at];
				const blob = blobs[number];
				if (manifest !== undefined && blob !== undefined) {
					held.push({manifest, source: blob.source, sha1: blob.sha1, index});
				}
			}
			return held;
		};
		return {blobs, images, needed: places.flatMap(([number]) => blobs[number]?.sha1 ?? [])};
	}
}

/** What a column has in this row; 0 stands for nothing. */
function givenIn<T>(column: readonly (T | 0)[], row: number): T | undefined {
	const value = column[row];
	return value === 0 ? undefined : value;
}

/** It fits its columns. */
function isUsual({sha256, md5 = noMd5}: BlobInfo): boolean {
	return sha256.length === widths.sha256 && md5.length === widths.md5;
}

export function isFolderName(name: string): boolean {
	return /^[0-9a-f]{2}$/u.test(name);
}

/** The JSON, the page of manifests, the digests. */
function contentOf(blobs: readonly BlobInfo[], store: IndexedStore, texts: UnpackedTexts): Buffer {
	const images: (readonly [number, number])[] = [];
	const manifests: Manifest[] = [];
	const sources = [...new Set(blobs.map(({source}) => source))];
	for (const [at, {sha1}] of blobs.entries()) {
		for (const {manifest, index} of store.images.with(sha1)) {
			images.push([at, index]);
			manifests.push(manifest);
		}
	}
	const columns = {
		source: blobs.map(({source}) => sources.indexOf(source)),
		size: blobs.map(({size}) => size),
		storedAtMs: blobs.map(({storedAtMs}) => storedAtMs),
		changedAtMs: blobs.map(({changedAtMs}) => changedAtMs ?? 0),
		toldMd5: blobs.map(({toldMd5}) => toldMd5 ?? 0),
	};
	const content: Content = {sources, columns, images};
	const digests = [
		...blobs.map(({sha1}) => sha1),
		...blobs.map(({sha256}) => sha256),
		...blobs.map(({md5}) => md5 ?? noMd5),
		...manifests.map(({uuid}) => uuid),
		...manifests.map(textDigest),
	];
	return Buffer.concat([
		Buffer.from(`${JSON.stringify(content)}\n${copyPage(manifests, texts)}\n`),
		Buffer.from(digests.join(''), 'latin1'),
	]);
}

/** When the folder was last changed in any way, and which it is. `undefined`: there is none. */
async function stateOf(folder: string): Promise<{readonly state: string; readonly changedAtMs: number} | undefined> {
	const found = await stat(folder, {bigint: true}).catch(() => undefined);
	return (
		found && {
			state: `${found.ino} ${found.mtimeNs} ${found.ctimeNs}`,
			changedAtMs: Number(found.ctimeNs / 1_000_000n),
		}
	);
}

function sha1Of(content: Buffer): string {
	return createHash('sha1').update(content).digest('hex');
}
