/**
 * Bundles for tests: in memory first, then a folder or a tar, right or broken on purpose.
 *
 * `makeBundle` makes a right one of images that `makeImage` made. Everything that is wrong with another is done to a
 * copy of it: `changed`, `without`, `withFile`, `flipped`, `cut`. `tarOf` writes what no tar of ours would have.
 */
import {createHash} from 'node:crypto';
import {mkdir, writeFile} from 'node:fs/promises';
import {dirname, join} from 'node:path';
import {buffer} from 'node:stream/consumers';
import type {BundleBlob} from '../../src/airgap/bundle-files.js';
import {indexText, makeImage as ociImage} from '../../src/airgap/oci.js';
import {parseManifest} from '../../src/image/manifest.js';
import type {TestImage} from '../helpers/make-image.js';

export interface BundleOptions {
	/** In the order of the index, unless that has origins after their children: it is as given. */
	readonly images: readonly TestImage[];
	/** Those whose files are left out, as of a delta. */
	readonly elsewhere?: readonly TestImage[];
	/** What is said of an image beside what `TestImage` says: its channels, say. */
	readonly textOf?: (image: TestImage) => string;
	/** index.json.sig */
	readonly sign?: (index: Buffer) => string;
	readonly iconType?: string;
}

/** Where an image's blobs are: paths below the bundle. */
export interface BundledImage {
	readonly uuid: string;
	readonly manifest: string;
	readonly config: string;
	/** `undefined`: left out. */
	readonly file: string | undefined;
	readonly icon: string | undefined;
}

export class TestBundle {
	/** In the order of a tar of ours. */
	readonly files: ReadonlyMap<string, Buffer>;
	readonly images: readonly BundledImage[];

	constructor(files: ReadonlyMap<string, Buffer>, images: readonly BundledImage[]) {
		this.files = files;
		this.images = images;
	}

	get index(): Buffer {
		return this.bytes('index.json');
	}

	bytes(path: string): Buffer {
		const bytes = this.files.get(path);
		if (bytes === undefined) {
			throw new Error(`the bundle has no ${path}`);
		}
		return bytes;
	}

	image(which: number | {readonly uuid: string}): BundledImage {
		const image = typeof which === 'number' ? this.images[which] : this.images.find(({uuid}) => uuid === which.uuid);
		if (image === undefined) {
			throw new Error('the bundle has no such image');
		}
		return image;
	}

	/** The same with other bytes in one file; its name stays. */
	changed(path: string, change: (bytes: Buffer) => Buffer): TestBundle {
		const bytes = change(Buffer.from(this.bytes(path)));
		return this.#with(new Map([...this.files].map(([name, old]) => [name, name === path ? bytes : old])));
	}

	/** With one bit of a file turned over. */
	flipped(path: string, at = 0): TestBundle {
		return this.changed(path, bytes => {
			bytes[at] = (bytes[at] ?? 0) ^ 1;
			return bytes;
		});
	}

	without(...paths: readonly string[]): TestBundle {
		return this.#with(new Map([...this.files].filter(([name]) => !paths.includes(name))));
	}

	withFile(path: string, bytes: Buffer): TestBundle {
		return this.#with(new Map([...this.files, [path, bytes]]));
	}

	/** Files in another order. */
	sorted(compare: (a: string, b: string) => number): TestBundle {
		return this.#with(new Map([...this.files].sort(([a], [b]) => compare(a, b))));
	}

	/** As skopeo's oci-archive has them, and tars of sorted folders: blobs first, index and layout last. */
	blobsFirst(): TestBundle {
		return this.sorted((a, b) => (a < b ? -1 : 1));
	}

	/** Writes it below `folder`, which may exist, and returns that. */
	async writeFolder(folder: string): Promise<string> {
		const made = new Set<string>();
		for (const [path, bytes] of this.files) {
			const file = join(folder, path);
			if (!made.has(dirname(file))) {
				made.add(dirname(file));
				await mkdir(dirname(file), {recursive: true});
			}
			await writeFile(file, bytes);
		}
		return folder;
	}

	/** `prefix`: `./` or a folder's name with its slash, as other tools put before every path. */
	tar(prefix = ''): Buffer {
		return tarOf([...this.files].map(([path, bytes]) => ({path: `${prefix}${path}`, bytes})));
	}

	async writeTar(file: string): Promise<string> {
		await writeFile(file, this.tar());
		return file;
	}

	/** As `file.001`, `file.002`, …; returns their paths. */
	async writeParts(file: string, partBytes: number): Promise<readonly string[]> {
		const bytes = this.tar();
		const paths: string[] = [];
		for (let start = 0; start < bytes.length; start += partBytes) {
			const path = `${file}.${String(paths.length + 1).padStart(3, '0')}`;
			await writeFile(path, bytes.subarray(start, start + partBytes));
			paths.push(path);
		}
		return paths;
	}

	#with(files: ReadonlyMap<string, Buffer>): TestBundle {
		return new TestBundle(files, this.images);
	}
}

export function makeBundle({
	images,
	elsewhere = [],
	textOf = ({pretty}) => pretty,
	sign,
	iconType = 'image/png',
}: BundleOptions): TestBundle {
	const blobs = new Map<string, Buffer>();
	const add = (bytes: Buffer): string => {
		const path = blobPathOf(bytes);
		if (!blobs.has(path)) {
			blobs.set(path, bytes);
		}
		return path;
	};
	const entries: Parameters<typeof indexText>[0][number][] = [];
	const bundled = images.map((image): BundledImage => {
		const text = textOf(image);
		const manifest = parseManifest(text);
		const hasFile = manifest.files.length > 0;
		const filesElsewhere = elsewhere.includes(image);
		const made = ociImage({
			manifest,
			text,
			files: hasFile ? [{sha1: image.sha1, sha256: image.sha256, size: image.bytes.length}] : [],
			...(image.icon === undefined ? {} : {icon: {bytes: image.icon, contentType: iconType}}),
		});
		const {digest, size, manifestText} = made;
		entries.push({digest, size, uuid: image.uuid, name: manifest.name, version: manifest.version, filesElsewhere});
		const [manifestPath, config] = [add(Buffer.from(manifestText)), add(Buffer.from(text))];
		const file = hasFile && !filesElsewhere ? add(image.bytes) : undefined;
		const icon = image.icon === undefined ? undefined : add(image.icon);
		if (!hasFile && icon === undefined) {
			add(Buffer.from('{}'));
		}
		return {uuid: image.uuid, manifest: manifestPath, config, file, icon};
	});
	const index = Buffer.from(indexText(entries));
	return new TestBundle(
		new Map([
			['oci-layout', Buffer.from('{"imageLayoutVersion":"1.0.0"}')],
			['index.json', index],
			...(sign === undefined ? [] : [['index.json.sig', Buffer.from(sign(index))] as const]),
			...blobs,
		]),
		bundled,
	);
}

export function blobPathOf(bytes: Buffer): string {
	return `blobs/sha256/${createHash('sha256').update(bytes).digest('hex')}`;
}

export function digestOfPath(path: string): string {
	return `sha256:${path.slice('blobs/sha256/'.length)}`;
}

/** One entry of a tar, of any kind. */
export interface TarMember {
	readonly path: string;
	/** None for folders and links. */
	readonly bytes?: Buffer;
	/** '0' a file, '1' a hard link, '2' a symbolic one, '3' a device, '5' a folder, '6' a pipe. */
	readonly type?: string;
	readonly link?: string;
	/** What the header says, whatever follows. */
	readonly size?: number;
	readonly mtime?: number;
}

/** A tar with these, and two blocks of zeros at its end. */
export function tarOf(members: Iterable<TarMember>): Buffer {
	const pieces: Buffer[] = [];
	for (const member of members) {
		const bytes = member.bytes ?? Buffer.alloc(0);
		pieces.push(headerOf(member), bytes, Buffer.alloc(-bytes.length & 511));
	}
	return Buffer.concat([...pieces, Buffer.alloc(1024)]);
}

/** One header, as ustar has it. */
export function headerOf({path, bytes, type = '0', link = '', size, mtime = 0}: TarMember): Buffer {
	const header = Buffer.alloc(512);
	const octal = (value: number, digits: number): string => `${value.toString(8).padStart(digits, '0')}\0`;
	const length = size ?? bytes?.length ?? 0;
	header.write(path, 0, 100);
	header.write(octal(type === '5' ? 0o755 : 0o644, 7), 100);
	header.write(octal(0, 7), 108);
	header.write(octal(0, 7), 116);
	header.write(octal(length, 11), 124);
	header.write(octal(mtime, 11), 136);
	header.write('        ', 148);
	header.write(type, 156);
	header.write(link, 157, 100);
	header.write('ustar\x0000', 257, 'latin1');
	header.write(octal(0, 7), 329);
	header.write(octal(0, 7), 337);
	header.write(
		`${header
			.reduce((sum, byte) => sum + byte, 0)
			.toString(8)
			.padStart(6, '0')}\0 `,
		148,
	);
	return header;
}

/** All of a blob that must be there. */
export async function bytesOf(blob: BundleBlob | undefined, start?: number): Promise<Buffer> {
	if (blob === undefined) {
		throw new Error('the bundle has no such blob');
	}
	return buffer(blob.read(start));
}

/** Bytes as they may come from a network: in pieces of any size. */
export async function* inPieces(bytes: Buffer, pieceBytes = 10_000): AsyncGenerator<Buffer, void, undefined> {
	for (let start = 0; start < bytes.length; start += pieceBytes) {
		yield bytes.subarray(start, start + pieceBytes);
		await Promise.resolve();
	}
}
