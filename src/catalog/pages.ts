/**
 * A source's list as the memory stores it: pages of some hundred manifests each, and one record that points at them.
 *
 * The record is written last and says how much there must be, so a list is there whole or not at all. A page is read
 * without looking at a text; of one that another version wrote, what cannot be read is left out and counted.
 */
import {isObject} from '../image/json-text.js';
import {parseManifest, type Manifest} from '../image/manifest.js';
import {packPage, unpackPage} from '../image/packed-page.js';
import {Packer, type Shared, type UnpackedTexts} from '../image/packed.js';
import type {SourceKind} from '../sources/source.js';
import type {GoneImage, KnownList, LooseImage} from './known.js';

export const imagesPerPage = 500;

/** Which pages are the list's, and what was said of it. */
export interface ListRecord {
	readonly generation: number;
	readonly pages: number;
	readonly images: number;
	/** When the pages were written; `fetchedAt` moves on while the list stays the same. */
	readonly savedAt: number;
	readonly fetchedAt: number;
	readonly skipped: number;
	readonly reasons: readonly string[];
	readonly kind: SourceKind | undefined;
}

export function readRecord(value: unknown): ListRecord | undefined {
	if (!isObject(value)) {
		return undefined;
	}
	const {generation, pages, images, savedAt, fetchedAt, skipped, reasons, kind} = value;
	if (
		typeof generation !== 'number' ||
		typeof pages !== 'number' ||
		typeof images !== 'number' ||
		typeof savedAt !== 'number' ||
		typeof fetchedAt !== 'number' ||
		typeof skipped !== 'number'
	) {
		return undefined;
	}
	return {
		...{generation, pages, images, savedAt, fetchedAt, skipped},
		reasons: Array.isArray(reasons) ? reasons.filter(reason => typeof reason === 'string') : [],
		kind: kind === 'imgapi' || kind === 'dsapi' ? kind : undefined,
	};
}

/** The pages in order: what was listed first, then what is gone. */
export function* pagesOf(list: KnownList, texts: UnpackedTexts): Generator<object, void, undefined> {
	for (let at = 0; at < list.listed.length; at += imagesPerPage) {
		yield {packed: packPage(list.listed.slice(at, at + imagesPerPage), texts)};
	}
	for (let at = 0; at < list.gone.length; at += imagesPerPage) {
		const gone = list.gone.slice(at, at + imagesPerPage);
		const manifests = gone.map(({manifest}) => manifest);
		// One string: keyv looks into every value of what it stores.
		const marks = JSON.stringify(gone.map(({vanishedAt, hidden}) => [vanishedAt, hidden]));
		yield {packed: packPage(manifests, texts), gone: marks};
	}
}

export interface Page {
	/** How many were on the page, readable or not. */
	readonly count: number;
	readonly listed: readonly Manifest[];
	readonly gone: readonly GoneImage[];
}

/** What reading several pages has in common. */
export interface PageReader {
	readonly texts: UnpackedTexts;
	readonly shared: Shared;
}

/** `undefined`: not a page. */
export function readPage(value: unknown, {texts, shared}: PageReader): Page | undefined {
	if (!isObject(value)) {
		return undefined;
	}
	const page = unpackPage(value['packed'], texts, shared);
	if (page === undefined) {
		return readPageOfTexts(value, new Packer(texts, shared));
	}
	const {count, manifests} = page;
	if (value['gone'] === undefined) {
		return {count, listed: manifests, gone: []};
	}
	const marks = readMarks(value['gone']);
	if (marks.length !== manifests.length) {
		return {count, listed: [], gone: []};
	}
	const gone = manifests.map((manifest, at) => ({manifest, vanishedAt: 0, hidden: false, ...marks[at]}));
	return {count, listed: [], gone};
}

function readMarks(text: unknown): readonly {vanishedAt: number; hidden: boolean}[] {
	const marks: unknown = typeof text === 'string' ? JSON.parse(text) : [];
	return (Array.isArray(marks) ? (marks as unknown[]) : []).flatMap(mark => {
		const [vanishedAt, hidden] = Array.isArray(mark) ? (mark as unknown[]) : [];
		return typeof vanishedAt === 'number' ? [{vanishedAt, hidden: hidden === true}] : [];
	});
}

/** As versions before 0.5 wrote them. */
function readPageOfTexts(value: Readonly<Record<string, unknown>>, packer: Packer): Page {
	const texts: readonly unknown[] = Array.isArray(value['listed']) ? value['listed'] : [];
	const marked: readonly unknown[] = Array.isArray(value['gone']) ? value['gone'] : [];
	const read = (text: unknown): Manifest | undefined => {
		const manifest = readManifest(text);
		return manifest === undefined ? undefined : packer.pack(manifest);
	};
	const listed = texts.map(read).filter(manifest => manifest !== undefined);
	const gone: GoneImage[] = [];
	for (const entry of marked) {
		const manifest = isObject(entry) ? read(entry['text']) : undefined;
		if (isObject(entry) && manifest !== undefined && typeof entry['vanishedAt'] === 'number') {
			gone.push({manifest, vanishedAt: entry['vanishedAt'], hidden: entry['hidden'] === true});
		}
	}
	packer.end();
	return {count: texts.length + marked.length, listed, gone};
}

export function looseEntries(images: readonly LooseImage[]): object[] {
	return images.map(({manifest, fetchedAt, vanishedAt}) => ({fetchedAt, vanishedAt, text: manifest.text}));
}

export function readLooseEntries(value: unknown): LooseImage[] {
	const images: LooseImage[] = [];
	const entries: readonly unknown[] = Array.isArray(value) ? value : [];
	for (const entry of entries) {
		const manifest = isObject(entry) ? readManifest(entry['text']) : undefined;
		if (isObject(entry) && manifest !== undefined && typeof entry['fetchedAt'] === 'number') {
			const {fetchedAt, vanishedAt} = entry;
			images.push({manifest, fetchedAt, vanishedAt: typeof vanishedAt === 'number' ? vanishedAt : undefined});
		}
	}
	return images;
}

function readManifest(text: unknown): Manifest | undefined {
	try {
		return typeof text === 'string' ? parseManifest(text) : undefined;
	} catch {
		// An older version of this mirror may have taken what this one refuses.
		return undefined;
	}
}
