/**
 * Every image as the operator sees it: what the catalog says, and what is here of it.
 *
 * Lists of 25,000 are asked for again and again while little changes: a row is made anew only where something of it
 * did.
 */
import {Slices} from './host-slices.js';
import type {PinnedImages} from './blobs/pinned-images.js';
import type {Flights} from './blobs/flights.js';
import type {DiskStore} from './blobs/store.js';
import type {Catalog, KnownImage} from './catalog/catalog.js';
import type {Manifest, Uuid} from './image/manifest.js';
import type {Files} from './mirror-files.js';
import type {ImageRow} from './mirror-operate-api.js';
import type {Wants} from './mirror-wants.js';

export interface RowParts {
	readonly catalog: Catalog;
	readonly store: DiskStore;
	readonly flights: Flights;
	readonly files: Files;
	readonly pins: PinnedImages;
	readonly wants: Wants;
}

export class Rows {
	readonly #parts: RowParts;
	#rows = new Map<Uuid, {readonly known: KnownImage; readonly row: ImageRow}>();
	#list: readonly ImageRow[] = [];
	#madeOf: readonly unknown[] = [];
	#making: Promise<readonly ImageRow[]> | undefined;

	constructor(parts: RowParts) {
		this.#parts = parts;
	}

	/** In the order of lists. The very same array as before where nothing changed. */
	all(): Promise<readonly ImageRow[]> {
		this.#making ??= this.#make().finally(() => {
			this.#making = undefined;
		});
		return this.#making;
	}

	of(known: KnownImage): ImageRow {
		return this.#row(known, this.#coming()).row;
	}

	/** Whether a file is here, on its way, begun, or none of it. */
	hereOf(manifest: Manifest, index: number, coming = this.#coming()): ImageRow['here'] {
		const {files, store} = this.#parts;
		const sha1 = files.sha1Of(manifest, index);
		if (sha1 !== undefined && store.stat(sha1) !== undefined) {
			return 'here';
		}
		const key = sha1 ?? `${manifest.uuid}.${index}`;
		return coming.has(key) ? 'coming' : store.hasPartial(key) ? 'part' : 'away';
	}

	async #make(): Promise<readonly ImageRow[]> {
		const {catalog, store, pins, wants} = this.#parts;
		await catalog.prepareOverview();
		const overview = catalog.overview();
		const coming = this.#coming();
		// What changes while the rows are made is in the next.
		const madeOf = [
			...[overview, store.generation, store.usageGeneration, [...coming].join()],
			...[pins.generation, wants.generation],
		];
		if (madeOf.every((part, at) => part === this.#madeOf[at]) && this.#madeOf.length > 0) {
			return this.#list;
		}
		const slices = new Slices();
		const rows = new Map<Uuid, {readonly known: KnownImage; readonly row: ImageRow}>();
		const list: ImageRow[] = [];
		let isSame = overview.length === this.#list.length;
		for (const known of overview) {
			if (slices.over) {
				await slices.next();
			}
			const made = this.#row(known, coming);
			rows.set(known.manifest.uuid, made);
			isSame &&= made.row === this.#list[list.length];
			list.push(made.row);
		}
		this.#rows = rows;
		this.#madeOf = madeOf;
		if (!isSame) {
			this.#list = list;
		}
		return this.#list;
	}

	#coming(): ReadonlySet<string> {
		return new Set(this.#parts.flights.status().map(({file}) => file));
	}

	#row(known: KnownImage, coming: ReadonlySet<string>): {readonly known: KnownImage; readonly row: ImageRow} {
		const {manifest} = known;
		const {files, store, pins, wants} = this.#parts;
		const before = this.#rows.get(manifest.uuid);
		const here = manifest.files.length === 0 ? 'away' : this.hereOf(manifest, 0, coming);
		const pinned = pins.has(manifest.uuid);
		const wantedBy = wants.of(manifest.uuid);
		const sha1 = here === 'here' ? files.sha1Of(manifest, 0) : undefined;
		const lastUsedAt = sha1 === undefined ? undefined : timeOf(store.lastUsedMs(sha1));
		if (
			before?.known === known &&
			before.row.here === here &&
			before.row.pinned === pinned &&
			before.row.lastUsedAt === lastUsedAt &&
			areSame(before.row.wantedBy, wantedBy)
		) {
			return before;
		}
		const {uuid, name, version, os, type, state, owner, public: isPublic, publishedAt, origin} = manifest;
		const row: ImageRow = {
			...{uuid, name, version, os, type, state, owner, public: isPublic},
			...(publishedAt === undefined ? {} : {publishedAt}),
			...(origin === undefined ? {} : {origin}),
			size: manifest.files[0]?.size ?? 0,
			source: known.source,
			sources: known.sources,
			...{here, pinned, wantedBy},
			...(lastUsedAt === undefined ? {} : {lastUsedAt}),
			...(known.held === undefined ? {} : {held: known.held}),
			vanished: known.vanished,
		};
		return {known, row};
	}
}

function areSame(a: readonly string[], b: readonly string[]): boolean {
	return a === b || (a.length === b.length && a.every((word, at) => word === b[at]));
}

export function timeOf(ms: number | undefined): string | undefined {
	return ms === undefined ? undefined : new Date(ms).toISOString();
}
