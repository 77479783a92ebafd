/**
 * A tar that is nowhere: each of its bytes is made, or read from the store, when somebody wants it.
 *
 * The export hands one out for a bundle, or for a single image as dsapid has them. It begins anywhere, so that whoever
 * lost the connection goes on where it broke off.
 */
import {createHash} from 'node:crypto';
import {IntegrityError, MirrorError} from '../errors.js';
import {Slices} from '../host-slices.js';
import {isSha1, type Sha1} from '../image/manifest.js';
import type {CarryOut} from '../mirror-carry-api.js';
import type {PlannedBlob, TarFile} from './api.js';
import {gathered} from './gathered.js';
import {PackedTexts} from './packed-texts.js';
import {eachPlanEntry, type PlanEntry} from './plan-entries.js';
import {headerBytes, padding, tarEnd, tarHeader} from './tar-write.js';

/** Bytes that are known, or a file of the store. */
export type Content = {readonly bytes: () => Buffer} | {readonly sha1: Sha1};

export interface TarContent {
	readonly path: string;
	readonly size: number;
	readonly content: Content;
}

/** At once from the disk. */
const readBytes = 1_048_576;
/** Smaller pieces go out together. */
const gatherBytes = 262_144;

/** The blobs of a plan until it has its index. What they hold themselves is packed: it may be that of many images. */
export class BundleContents {
	readonly #texts = new PackedTexts();
	readonly #blobs: PlannedBlob[] = [];
	readonly #readers = new Map<string, () => Buffer>();

	add(blobs: readonly PlannedBlob[]): void {
		for (const {text, base64, ...blob} of blobs) {
			const bytes = text === undefined ? base64 && Buffer.from(base64, 'base64') : Buffer.from(text);
			if (bytes !== undefined && bytes !== '') {
				this.#readers.set(blob.digest, this.#texts.add(bytes));
			}
			this.#blobs.push(blob);
		}
	}

	/** A bundle's tar. */
	tar({text, signature}: {readonly text: string; readonly signature?: string}, parts: TarParts): Promise<VirtualTar> {
		const hash = createHash('sha256').update(text);
		const name = hash.copy().digest('hex').slice(0, 12);
		return VirtualTar.of(this.#contents(text, signature), {
			...parts,
			etag: hash.update(signature ?? '').digest('hex'),
			fileName: `imgmirror-${name}.tar`,
		});
	}

	*#contents(text: string, signature: string | undefined): Generator<TarContent, void, undefined> {
		for (const entry of eachPlanEntry(this.#blobs, text, signature)) {
			yield this.#contentOf(entry);
		}
	}

	#contentOf({path, size, text, blob}: PlanEntry): TarContent {
		if (text !== undefined) {
			const bytes = Buffer.from(text);
			return {path, size, content: {bytes: () => bytes}};
		}
		const bytes = this.#readers.get(blob.digest);
		if (bytes !== undefined) {
			return {path, size, content: {bytes}};
		}
		const sha1 = blob.file?.sha1;
		if (!isSha1(sha1)) {
			throw new MirrorError(`nothing says where blob ${blob.digest} is`);
		}
		return {path, size, content: {sha1}};
	}
}

/** `close` is called once: what the tar is made of need not be kept any more. */
export interface TarParts {
	readonly carry: Pick<CarryOut, 'open'>;
	readonly close: () => void;
}

/** Where each begins is kept beside them: there may be a hundred thousand. */
interface Layout {
	readonly items: readonly TarContent[];
	readonly offsets: readonly number[];
	/** Of all, without the end mark. */
	readonly size: number;
}

export class VirtualTar implements TarFile {
	readonly size: number;
	readonly etag: string;
	readonly fileName: string;
	readonly #layout: Layout;
	readonly #carry: Pick<CarryOut, 'open'>;
	readonly #close: () => void;

	private constructor(
		layout: Layout,
		{carry, etag, fileName, close}: TarParts & {readonly etag: string; readonly fileName: string},
	) {
		this.#layout = layout;
		this.size = layout.size + tarEnd.length;
		this.etag = etag;
		this.fileName = fileName;
		this.#carry = carry;
		this.#close = once(close);
	}

	static async of(
		items: Iterable<TarContent>,
		parts: TarParts & {readonly etag: string; readonly fileName: string},
	): Promise<VirtualTar> {
		return new VirtualTar(await layOut(items), parts);
	}

	read(start: number, end: number, signal: AbortSignal): AsyncGenerator<Buffer, void, undefined> {
		return gathered(this.#pieces(start, Math.min(end, this.size), signal), gatherBytes);
	}

	close(): void {
		this.#close();
	}

	async *#pieces(start: number, end: number, signal: AbortSignal): AsyncGenerator<Buffer, void, undefined> {
		const {items, offsets, size} = this.#layout;
		let position = start;
		for (let at = lastUntil(offsets, start); position < Math.min(end, size); at++) {
			const [item, offset] = [items[at], offsets[at]];
			if (item === undefined || offset === undefined) {
				throw new MirrorError('a tar has less in it than it should');
			}
			for await (const piece of this.#piecesOf(item, position - offset, end - offset)) {
				signal.throwIfAborted();
				position += piece.length;
				yield piece;
			}
		}
		if (position < end) {
			yield tarEnd.subarray(position - size, end - size);
		}
	}

	/** Of an item with header and padding, from `start` up to `end` or its own end. */
	async *#piecesOf(
		{path, size, content}: TarContent,
		start: number,
		end: number,
	): AsyncGenerator<Buffer, void, undefined> {
		const bodyAt = headerBytes(size);
		if (start < bodyAt) {
			yield tarHeader(path, size).subarray(start, end);
		}
		const from = Math.max(0, start - bodyAt);
		const to = Math.min(size, end - bodyAt);
		if (from < to) {
			if ('sha1' in content) {
				yield* this.#fileBytes(content.sha1, {size, from, to});
			} else {
				yield content.bytes().subarray(from, to);
			}
		}
		const zeros = Math.min(padding(size), end - bodyAt - size) - Math.max(0, start - bodyAt - size);
		if (zeros > 0) {
			yield Buffer.alloc(zeros);
		}
	}

	async *#fileBytes(
		sha1: Sha1,
		{size, from, to}: {readonly size: number; readonly from: number; readonly to: number},
	): AsyncGenerator<Buffer, void, undefined> {
		const file = await this.#carry.open(sha1);
		if (file === undefined) {
			throw new MirrorError(`file ${sha1} was here, and has gone`);
		}
		try {
			const {size: found} = await file.stat();
			if (found !== size) {
				throw new IntegrityError(`file ${sha1} has ${found} bytes now, and not ${size}`);
			}
			let position = from;
			while (position < to) {
				const buffer = Buffer.allocUnsafe(Math.min(readBytes, to - position));
				const {bytesRead} = await file.read(buffer, 0, buffer.length, position);
				if (bytesRead === 0) {
					throw new IntegrityError(`file ${sha1} ended ${to - position} bytes early`);
				}
				position += bytesRead;
				yield buffer.subarray(0, bytesRead);
			}
		} finally {
			await file.close();
		}
	}
}

async function layOut(all: Iterable<TarContent>): Promise<Layout> {
	const slices = new Slices();
	const items: TarContent[] = [];
	const offsets: number[] = [];
	let size = 0;
	for (const item of all) {
		items.push(item);
		offsets.push(size);
		size += headerBytes(item.size) + item.size + padding(item.size);
		if (slices.over) {
			await slices.next();
		}
	}
	return {items, offsets, size};
}

/** The last of `offsets`, which rise, that is not behind `position`. */
function lastUntil(offsets: readonly number[], position: number): number {
	let low = 0;
	let high = offsets.length;
	while (low + 1 < high) {
		const middle = (low + high) >>> 1;
		if ((offsets[middle] ?? Infinity) <= position) {
			low = middle;
		} else {
			high = middle;
		}
	}
	return low;
}

function once(run: () => void): () => void {
	let isDone = false;
	return () => {
		if (!isDone) {
			isDone = true;
			run();
		}
	};
}
