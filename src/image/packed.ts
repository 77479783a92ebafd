/**
 * Manifests in little room: their texts stand compressed together, some dozen to a block.
 *
 * Tens of thousands of texts are kept and few are looked at, so a text is unpacked when somebody asks for it; whoever
 * goes through a list unpacks each block once. What else is in a manifest stays as it is, with equal values as one.
 */
import {createHash} from 'node:crypto';
import {deflateSync, inflateSync} from 'node:zlib';
import type {Compression, ImageFile, Manifest, Sha1, Uuid} from './manifest.js';

/** Larger blocks are hardly smaller for each text, and dearer to unpack for one. */
const blockBytes = 16 * 1024;
const level = 3;
const lineFeed = 0x0a;
const mostShared = 20_000;

/** The blocks that were unpacked last. */
export class UnpackedTexts {
	readonly #max: number;
	readonly #blocks = new Map<TextBlock, Buffer>();
	#last: TextBlock | undefined;
	#lastBytes: Buffer | undefined;

	constructor({max = 64} = {}) {
		this.#max = max;
	}

	of(block: TextBlock): Buffer {
		if (block === this.#last && this.#lastBytes !== undefined) {
			return this.#lastBytes;
		}
		const bytes = this.#blocks.get(block) ?? block.unpack();
		// The newest stands last.
		this.#blocks.delete(block);
		this.#blocks.set(block, bytes);
		const [oldest] = this.#blocks.keys();
		if (this.#blocks.size > this.#max && oldest !== undefined) {
			this.#blocks.delete(oldest);
		}
		[this.#last, this.#lastBytes] = [block, bytes];
		return bytes;
	}

	/** Lets go of them all. */
	clear(): void {
		this.#blocks.clear();
		[this.#last, this.#lastBytes] = [undefined, undefined];
	}
}

/** Texts one after the other, each ended by a line feed, which compact JSON cannot contain. */
export class TextBlock {
	readonly count: number;
	readonly packed: Buffer;
	readonly #unpacked: UnpackedTexts;

	constructor(packed: Buffer, count: number, unpacked: UnpackedTexts) {
		this.packed = packed;
		this.count = count;
		this.#unpacked = unpacked;
	}

	static of(texts: readonly string[], unpacked: UnpackedTexts): TextBlock {
		const packed = deflateSync(`${texts.join('\n')}\n`, {level});
		// A copy: what zlib gives is part of something larger.
		const own = Buffer.allocUnsafeSlow(packed.length);
		packed.copy(own);
		return new TextBlock(own, texts.length, unpacked);
	}

	text(at: number): string {
		const bytes = this.#unpacked.of(this);
		let start = 0;
		for (let passed = 0; passed < at; passed++) {
			start = bytes.indexOf(lineFeed, start) + 1;
		}
		return bytes.toString('utf8', start, bytes.indexOf(lineFeed, start));
	}

	unpack(): Buffer {
		return inflateSync(this.packed, {chunkSize: 2 * blockBytes});
	}
}

/** All of a manifest but its text. */
export type ManifestFields = Omit<Manifest, 'text' | 'local'>;

/** What thousands of images have in common: one object for all of them. */
export interface Kind {
	readonly type: string;
	readonly os: string;
	readonly owner: string;
	readonly state: string;
	readonly disabled: boolean;
	readonly public: boolean;
	readonly icon: boolean;
	readonly acl: readonly string[];
	/** Of the only file. */
	readonly compression: Compression;
}

/** What few images have. */
export interface Odd {
	readonly urn: string | undefined;
	/** Where it is not what `publishedMs` says in the usual form. */
	readonly publishedAt: string | undefined;
	/** Where there is not exactly one with a SHA-1 and without MD5. */
	readonly files: readonly ImageFile[] | undefined;
}

/** A manifest but for its text, as it is kept. */
export interface PackedFields {
	readonly uuid: Uuid;
	readonly name: string;
	readonly version: string;
	readonly publishedMs: number;
	readonly origin: Uuid | undefined;
	readonly sha1: Sha1 | undefined;
	readonly size: number;
	readonly kind: Kind;
	readonly odd: Odd | undefined;
	/** The SHA-1 of the text, a character for each byte. */
	readonly digest: string;
}

export class PackedManifest implements Manifest {
	readonly uuid: Uuid;
	readonly name: string;
	readonly version: string;
	readonly publishedMs: number;
	readonly origin: Uuid | undefined;
	readonly digest: string;
	readonly #sha1: Sha1 | undefined;
	readonly #size: number;
	readonly #kind: Kind;
	readonly #odd: Odd | undefined;
	#texts: TextBlock | string;
	#at: number;

	/** `texts`: the text itself, for the time until it has a block. */
	constructor(fields: PackedFields, texts: TextBlock | string, at = 0) {
		this.uuid = fields.uuid;
		this.name = fields.name;
		this.version = fields.version;
		this.publishedMs = fields.publishedMs;
		this.origin = fields.origin;
		this.digest = fields.digest;
		this.#sha1 = fields.sha1;
		this.#size = fields.size;
		this.#kind = fields.kind;
		this.#odd = fields.odd;
		this.#texts = texts;
		this.#at = at;
	}

	get type(): string {
		return this.#kind.type;
	}

	get os(): string {
		return this.#kind.os;
	}

	get owner(): string {
		return this.#kind.owner;
	}

	get state(): string {
		return this.#kind.state;
	}

	get disabled(): boolean {
		return this.#kind.disabled;
	}

	get public(): boolean {
		return this.#kind.public;
	}

	get icon(): boolean {
		return this.#kind.icon;
	}

	get acl(): readonly string[] {
		return this.#kind.acl;
	}

	get urn(): string | undefined {
		return this.#odd?.urn;
	}

	get files(): readonly ImageFile[] {
		const {compression} = this.#kind;
		return this.#odd?.files ?? [{sha1: this.#sha1, md5: undefined, size: this.#size, compression}];
	}

	/** Of its only file, where it has one and `files` would say little more. */
	get onlySha1(): Sha1 | undefined {
		return this.#odd?.files === undefined ? this.#sha1 : undefined;
	}

	get publishedAt(): string | undefined {
		return this.#odd?.publishedAt ?? usualDate(this.publishedMs);
	}

	get text(): string {
		return typeof this.#texts === 'string' ? this.#texts : this.#texts.text(this.#at);
	}

	get fields(): PackedFields {
		const {uuid, name, version, publishedMs, origin, digest} = this;
		const [sha1, size, kind, odd] = [this.#sha1, this.#size, this.#kind, this.#odd];
		return {uuid, name, version, publishedMs, origin, digest, sha1, size, kind, odd};
	}

	/** `undefined`: its text stands alone so far. */
	get block(): TextBlock | undefined {
		return typeof this.#texts === 'string' ? undefined : this.#texts;
	}

	/** Its place in the block. */
	get at(): number {
		return this.#at;
	}

	/** The same text, elsewhere. */
	moveTo(block: TextBlock, at: number): void {
		this.#texts = block;
		this.#at = at;
	}
}

/** Makes manifests small, in the order in which they will be gone through. */
export class Packer {
	readonly #unpacked: UnpackedTexts;
	readonly #shared: Shared;
	#waiting: PackedManifest[] = [];
	#texts: string[] = [];
	#characters = 0;

	constructor(unpacked: UnpackedTexts, shared = new Shared()) {
		this.#unpacked = unpacked;
		this.#shared = shared;
	}

	/** Of an image of a source: one of our own has more than text. */
	pack(manifest: Manifest): PackedManifest {
		if (manifest instanceof PackedManifest) {
			return manifest;
		}
		return this.copy(manifest);
	}

	/** Another one of the same. */
	copy(manifest: Manifest): PackedManifest {
		const fields = manifest instanceof PackedManifest ? manifest.fields : this.#shared.fields(manifest);
		const copy = new PackedManifest(fields, manifest.text);
		this.add(copy);
		return copy;
	}

	/** Moves its text to the block that is being filled. */
	add(manifest: PackedManifest): void {
		const {text} = manifest;
		this.#waiting.push(manifest);
		this.#texts.push(text);
		this.#characters += text.length;
		if (this.#characters >= blockBytes) {
			this.end();
		}
	}

	/** Packs what waits for more of its kind. */
	end(): void {
		if (this.#texts.length > 0) {
			const block = TextBlock.of(this.#texts, this.#unpacked);
			for (const [at, manifest] of this.#waiting.entries()) {
				manifest.moveTo(block, at);
			}
		}
		this.#waiting = [];
		this.#texts = [];
		this.#characters = 0;
	}
}

/** Values that many manifests have, each kept once. */
export class Shared {
	readonly #strings = new Map<string, string>();
	readonly #kinds = new Map<string, Kind>();

	/** What is kept of a manifest. */
	fields(manifest: Manifest): PackedFields {
		const {uuid, version, publishedMs, publishedAt, urn, files, text} = manifest;
		const [file] = files;
		const isUsualFile = files.length === 1 && file?.sha1 !== undefined && file.md5 === undefined;
		const isUsualDate = publishedAt === usualDate(publishedMs);
		const {type, os, owner, state, disabled, public: isPublic, icon, acl} = manifest;
		const compression = file?.compression ?? 'none';
		return {
			...{uuid, name: this.string(manifest.name), version, publishedMs, digest: digestOf(text)},
			origin: manifest.origin === undefined ? undefined : this.string(manifest.origin),
			...{sha1: file?.sha1, size: file?.size ?? 0},
			kind: this.kind({type, os, owner, state, disabled, public: isPublic, icon, acl, compression}),
			odd:
				urn === undefined && isUsualFile && isUsualDate
					? undefined
					: {urn, publishedAt: isUsualDate ? undefined : publishedAt, files: isUsualFile ? undefined : files},
		};
	}

	string<T extends string>(value: T): T;
	string(value: string): string {
		const known = this.#strings.get(value);
		if (known === undefined && this.#strings.size < mostShared) {
			this.#strings.set(value, value);
		}
		return known ?? value;
	}

	kind(kind: Kind): Kind {
		const key = JSON.stringify(kind);
		const known = this.#kinds.get(key);
		if (known === undefined && this.#kinds.size < mostShared) {
			this.#kinds.set(key, kind);
		}
		return known ?? kind;
	}
}

/** Of the only file; `undefined`: it has more or none, or it takes a look at them. */
export function onlySha1(manifest: Manifest): Sha1 | undefined {
	return manifest instanceof PackedManifest ? manifest.onlySha1 : undefined;
}

/** Whether both say the same to the letter. */
export function isSameText(a: Manifest, b: Manifest): boolean {
	const arePacked = a instanceof PackedManifest || b instanceof PackedManifest;
	return a === b || (arePacked ? textDigest(a) === textDigest(b) : a.text === b.text);
}

/** The SHA-1 of its text, a character for each byte. */
export function textDigest(manifest: Manifest): string {
	return manifest instanceof PackedManifest ? manifest.digest : digestOf(manifest.text);
}

function digestOf(text: string): string {
	return createHash('sha1').update(text).digest('binary');
}

/** As imgapi writes dates. `undefined`: there is none. */
function usualDate(ms: number): string | undefined {
	return ms === 0 || Math.abs(ms) > 8.64e15 ? undefined : new Date(ms).toISOString();
}
