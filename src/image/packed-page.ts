/**
 * Manifests as they are kept on disk between two starts: blocks of texts, and beside them all that is read out of a text.
 *
 * So a start reads no text at all. A page is one string and carries its own digest: what is not as it was written is
 * `undefined`. A page of another version is read from its texts.
 */
import {createHash} from 'node:crypto';
import {deflateSync, inflateSync} from 'node:zlib';
import {isSha1, isUuid, parseManifest, type ImageFile, type Manifest, type Uuid} from './manifest.js';
import {PackedManifest, Packer, Shared, TextBlock, type Kind, type Odd, type UnpackedTexts} from './packed.js';

/** Another number whenever `parseManifest` reads something otherwise than before. */
const version = 1;
/** A block of which less than this is left is made anew. */
const fewest = 8;
const form = /^(\d+) ([0-9a-f]{40}) (.+)$/su;

/** Manifests that were on a page. */
export interface UnpackedPage {
	/** How many there were, readable or not. */
	readonly count: number;
	readonly manifests: readonly PackedManifest[];
}

/** All of them in one string, in their order. Moves their texts to other blocks where much of theirs is not needed. */
export function packPage(manifests: readonly Manifest[], unpacked: UnpackedTexts): string {
	return pageOf(intoBlocks(manifests, unpacked));
}

/** The same, and nothing is moved: they are somebody else's, who goes through them in another order. */
export function copyPage(manifests: readonly Manifest[], unpacked: UnpackedTexts): string {
	const packer = new Packer(unpacked);
	const copies = manifests.map(manifest => packer.copy(manifest));
	packer.end();
	return pageOf(copies);
}

/** Its manifests will be read without looking at their texts. Whether it is as it was written is not looked at. */
export function isCurrentPage(page: string): boolean {
	return page.startsWith(`${version} `);
}

/** `undefined`: no page, or not as it was written. */
export function unpackPage(page: unknown, unpacked: UnpackedTexts, shared = new Shared()): UnpackedPage | undefined {
	const [, number = '', digest = '', content = ''] = (typeof page === 'string' ? form.exec(page) : undefined) ?? [];
	if (content === '' || digestOf(content) !== digest) {
		return undefined;
	}
	const [index = '', ...packed] = content.split(' ');
	try {
		if (Number(number) !== version) {
			return readTexts(packed, unpacked, shared);
		}
		const manifests = readIndex(inflateSync(Buffer.from(index, 'base64')), packed, unpacked, shared);
		return {count: manifests.length, manifests};
	} catch {
		// The digest is right, so another version has written this, and meant something else by it.
		return undefined;
	}
}

/** Of a page of another version: it may have read something else out of the texts. */
function readTexts(packed: readonly string[], unpacked: UnpackedTexts, shared: Shared): UnpackedPage {
	const packer = new Packer(unpacked, shared);
	const manifests: PackedManifest[] = [];
	let count = 0;
	for (const block of packed) {
		for (const text of inflateSync(Buffer.from(block, 'base64')).toString().split('\n').slice(0, -1)) {
			count++;
			try {
				manifests.push(packer.pack(parseManifest(text)));
			} catch {
				// It took what this version refuses.
			}
		}
	}
	packer.end();
	return {count, manifests};
}

/** What stands beside the blocks, but for what is equally long for each. By column: a start reads nothing twice. */
interface Index {
	readonly kinds: readonly Kind[];
	readonly names: readonly string[];
	readonly origins: readonly (Uuid | 0)[];
	/** How many texts each block has. */
	readonly counts: readonly number[];
	readonly columns: {
		/** Which of those above. */
		readonly kind: number[];
		readonly name: number[];
		readonly origin: number[];
		readonly block: number[];
		readonly at: number[];
		readonly version: string[];
		readonly publishedMs: number[];
		readonly size: number[];
		readonly odd: (Partial<Odd> | 0)[];
	};
}

const widths = {uuid: 36, sha1: 40, digest: 20};
const noSha1 = '-'.repeat(widths.sha1);

function pageOf(all: readonly PackedManifest[]): string {
	const [blocks, kinds] = [new Numbers<TextBlock>(), new Numbers<Kind>()];
	const [names, origins] = [new Numbers<string>(), new Numbers<Uuid | 0>()];
	const columns: Index['columns'] = {
		...{kind: [], name: [], origin: [], block: [], at: [], version: [], publishedMs: [], size: [], odd: []},
	};
	const [uuids, sha1s, digests]: [string[], string[], string[]] = [[], [], []];
	for (const {block, at, fields} of all) {
		if (block === undefined) {
			throw new TypeError(`manifest ${fields.uuid} has no block`);
		}
		columns.kind.push(kinds.of(fields.kind));
		columns.name.push(names.of(fields.name));
		columns.origin.push(origins.of(fields.origin ?? 0));
		columns.block.push(blocks.of(block));
		columns.at.push(at);
		columns.version.push(fields.version);
		columns.publishedMs.push(fields.publishedMs);
		columns.size.push(fields.size);
		columns.odd.push(fields.odd ?? 0);
		uuids.push(fields.uuid);
		sha1s.push(fields.sha1 ?? noSha1);
		digests.push(fields.digest);
	}
	const counts = blocks.values.map(({count}) => count);
	const head: Index = {counts, kinds: kinds.values, names: names.values, origins: origins.values, columns};
	const fixed = Buffer.from([...uuids, ...sha1s, ...digests].join(''), 'latin1');
	const index = deflateSync(Buffer.concat([Buffer.from(`${JSON.stringify(head)}\n`), fixed]), {level: 3});
	const page = [index, ...blocks.values.map(({packed}) => packed)].map(bytes => bytes.toString('base64')).join(' ');
	return `${version} ${digestOf(page)} ${page}`;
}

/** Different values, numbered in the order in which they came. */
class Numbers<T> {
	readonly values: T[] = [];
	readonly #numbers = new Map<T, number>();

	of(value: T): number {
		const known = this.#numbers.get(value);
		const number = known ?? this.values.length;
		if (known === undefined) {
			this.#numbers.set(value, number);
			this.values.push(value);
		}
		return number;
	}
}

function readIndex(
	bytes: Buffer,
	packed: readonly string[],
	unpacked: UnpackedTexts,
	shared: Shared,
): readonly PackedManifest[] {
	const end = bytes.indexOf('\n');
	const {counts, kinds, names, origins, columns} = JSON.parse(bytes.toString('utf8', 0, end)) as Index;
	const blocks = packed.map((text, at) => new TextBlock(ownBytes(text), counts[at] ?? 0, unpacked));
	const sharedKinds = kinds.map(kind => shared.kind(kind));
	const sharedNames = names.map(name => shared.string(name));
	const sharedOrigins = origins.map(origin => (origin === 0 ? undefined : shared.string(origin)));
	const count = columns.at.length;
	const sha1sAt = end + 1 + count * widths.uuid;
	const digestsAt = sha1sAt + count * widths.sha1;
	const textAt = (start: number, width: number, row: number): string =>
		bytes.toString('latin1', start + row * width, start + (row + 1) * width);
	return columns.at.map((at, row) => {
		const uuid = textAt(end + 1, widths.uuid, row);
		const sha1 = textAt(sha1sAt, widths.sha1, row);
		const odd = columns.odd[row];
		const kind = sharedKinds[columns.kind[row] ?? -1];
		const texts = blocks[columns.block[row] ?? -1];
		if (!isUuid(uuid) || kind === undefined || texts === undefined) {
			throw new TypeError('no row of a manifest');
		}
		const fields = {
			uuid,
			name: sharedNames[columns.name[row] ?? -1] ?? '',
			version: columns.version[row] ?? '',
			publishedMs: columns.publishedMs[row] ?? 0,
			origin: sharedOrigins[columns.origin[row] ?? -1],
			sha1: isSha1(sha1) ? sha1 : undefined,
			size: columns.size[row] ?? 0,
			kind,
			odd: odd === undefined || odd === 0 ? undefined : oddOf(odd),
			digest: textAt(digestsAt, widths.digest, row),
		};
		return new PackedManifest(fields, texts, at);
	});
}

function oddOf({urn, publishedAt, files}: Partial<Odd>): Odd {
	return {urn, publishedAt, files: files?.map(fileOf)};
}

/** With all its keys, of which JSON leaves out those that have nothing. */
function fileOf({sha1, md5, size, compression}: ImageFile): ImageFile {
	return {sha1, md5, size, compression};
}

/** Each with a block: the one that it has, where that is needed whole. */
function intoBlocks(manifests: readonly Manifest[], unpacked: UnpackedTexts): readonly PackedManifest[] {
	const packer = new Packer(unpacked);
	const all: PackedManifest[] = [];
	for (const manifest of manifests) {
		all.push(manifest instanceof PackedManifest ? manifest : packer.pack(manifest));
	}
	for (let at = 0; at < all.length;) {
		const whole = wholeBlockAt(all, at);
		const manifest = manifests[at];
		if (whole === 0 && manifest instanceof PackedManifest) {
			packer.add(manifest);
		}
		at += Math.max(whole, 1);
	}
	packer.end();
	return all;
}

/** How many from here are one block and all of it; 0: they are not. */
function wholeBlockAt(manifests: readonly PackedManifest[], from: number): number {
	const block = manifests[from]?.block;
	if (block === undefined || block.count < fewest) {
		return 0;
	}
	for (let at = 0; at < block.count; at++) {
		const manifest = manifests[from + at];
		if (manifest?.block !== block || manifest.at !== at) {
			return 0;
		}
	}
	return block.count;
}

function ownBytes(base64: string): Buffer {
	const bytes = Buffer.allocUnsafeSlow(Buffer.byteLength(base64, 'base64'));
	bytes.write(base64, 'base64');
	return bytes;
}

function digestOf(content: string): string {
	return createHash('sha1').update(content, 'latin1').digest('hex');
}
