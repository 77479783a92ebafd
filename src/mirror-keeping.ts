/**
 * What the store must know of images before it lets a file go: who has which file, and why it is to stay.
 *
 * Made of what is held, published, pinned and wanted, with all that these are built upon; kept until one of them is
 * another.
 */
import type {KeepFacts, KeptImage} from './blobs/keep-facts.js';
import type {PinnedImages} from './blobs/pinned-images.js';
import type {DiskStore} from './blobs/store.js';
import type {Catalog} from './catalog/catalog.js';
import {localName} from './catalog/local-images.js';
import type {Manifest, Sha1, Uuid} from './image/manifest.js';
import type {Files} from './mirror-files.js';
import type {Wants} from './mirror-wants.js';
import type {PublishApi} from './publish/api.js';

export interface KeepingParts {
	readonly catalog: Catalog;
	readonly store: DiskStore;
	readonly publish: PublishApi;
	readonly files: Files;
	readonly pins: PinnedImages;
	readonly wants: Wants;
}

export class Keeping {
	readonly #parts: KeepingParts;
	#facts: KeepFacts | undefined;
	#madeOf: readonly unknown[] = [];

	constructor(parts: KeepingParts) {
		this.#parts = parts;
	}

	facts(): KeepFacts {
		const {catalog, store, publish, pins, wants} = this.#parts;
		const madeOf = [
			...[catalog.version, store.images.generation, store.generation],
			...[publish.list(), pins.generation, wants.generation],
		];
		if (this.#facts === undefined || madeOf.some((part, at) => part !== this.#madeOf[at])) {
			this.#facts = {images: this.#images()};
			this.#madeOf = madeOf;
		}
		return this.#facts;
	}

	#images(): readonly KeptImage[] {
		const {store, publish, pins, wants} = this.#parts;
		const found = new Map<Uuid, KeptImage>();
		const held = new Map<Uuid, Manifest>();
		for (const {manifest} of store.images.list()) {
			held.set(manifest.uuid, manifest);
		}
		const lookUp = (uuid: Uuid): Manifest | undefined =>
			publish.get(uuid) ?? held.get(uuid) ?? this.#parts.catalog.known(uuid)?.manifest;
		const add = (uuid: Uuid | undefined): void => {
			let next = uuid;
			// With its origins, however far up.
			while (next !== undefined && !found.has(next)) {
				const manifest = lookUp(next);
				if (manifest === undefined) {
					return;
				}
				found.set(next, this.#kept(manifest));
				next = manifest.origin;
			}
		};
		for (const uuid of held.keys()) {
			add(uuid);
		}
		for (const {uuid} of publish.list()) {
			add(uuid);
		}
		for (const {uuid} of pins.list()) {
			add(uuid);
		}
		for (const uuid of wants.uuids()) {
			add(uuid);
		}
		return [...found.values()];
	}

	#kept(manifest: Manifest): KeptImage {
		const {catalog, publish, files, pins, wants} = this.#parts;
		const {uuid, name, version, origin} = manifest;
		const published = publish.get(uuid) !== undefined;
		const known = catalog.known(uuid);
		const offered = known?.sources.some(source => source !== localName) ?? false;
		return {
			...{uuid, name, version, origin, published},
			files: manifest.files
				.map((_, index) => files.sha1Of(manifest, index))
				.filter((sha1): sha1 is Sha1 => sha1 !== undefined),
			pinned: pins.has(uuid),
			wantedBy: wants.of(uuid),
			onlyHere: !published && (!offered || known?.vanished === true),
		};
	}
}
