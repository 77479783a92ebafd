/**
 * The mirror as whoever fetches ahead sees it: the images on offer, and files fetched for nobody in particular.
 */
import type {Flights} from './blobs/flights.js';
import type {DiskStore} from './blobs/store.js';
import type {Catalog, KnownImage} from './catalog/catalog.js';
import {localName} from './catalog/local-images.js';
import {NotFoundError} from './errors.js';
import {isActive, type Uuid} from './image/manifest.js';
import type {AheadApi, AheadImage, Pace} from './mirror-ahead-api.js';
import type {Files} from './mirror-files.js';
import type {Wants} from './mirror-wants.js';

export interface AheadParts {
	readonly catalog: Catalog;
	readonly store: DiskStore;
	readonly flights: Flights;
	readonly files: Files;
	readonly wants: Wants;
}

export class Ahead implements AheadApi {
	readonly #parts: AheadParts;
	#images: readonly AheadImage[] = [];
	#madeOf: readonly KnownImage[] | undefined;

	constructor(parts: AheadParts) {
		this.#parts = parts;
	}

	readonly sources = (): readonly string[] => this.#parts.catalog.status().sources.map(({name}) => name);

	prepare(): Promise<void> {
		return this.#parts.catalog.prepareOverview();
	}

	images(): readonly AheadImage[] {
		const overview = this.#parts.catalog.overview();
		if (overview !== this.#madeOf) {
			this.#madeOf = overview;
			this.#images = overview.filter(
				({manifest, held, source}) => held === undefined && source !== localName && isActive(manifest),
			);
		}
		return this.#images;
	}

	image(uuid: Uuid): AheadImage | undefined {
		return this.#parts.catalog.known(uuid);
	}

	isHere(uuid: Uuid): boolean {
		const known = this.#parts.catalog.known(uuid);
		return known !== undefined && this.#parts.files.areHere(known.manifest);
	}

	async fetchAhead(
		uuid: Uuid,
		how: {readonly pace: Pace | undefined; readonly onProgress: (bytes: number) => void; readonly signal: AbortSignal},
	): Promise<'fetched' | 'there' | 'uncached'> {
		const {catalog, files, flights, store} = this.#parts;
		const known = catalog.known(uuid);
		if (known === undefined) {
			throw new NotFoundError(`no source has image ${uuid}`);
		}
		let outcome: 'fetched' | 'there' = 'there';
		let before = 0;
		for (const [index, {size}] of known.manifest.files.entries()) {
			const {wanted, sha1, suppliers, onHeld} = files.plan(known, index);
			const held = sha1 === undefined ? undefined : store.stat(sha1);
			if (held !== undefined) {
				// Under another image's name, perhaps: it is this one's, too, from now on.
				await onHeld(held);
			} else {
				const done = before;
				const came = await flights.fetch({
					wanted,
					suppliers: () => suppliers({signal: how.signal}),
					onStored: onHeld,
					onProgress: bytes => {
						how.onProgress(done + bytes);
					},
					signal: how.signal,
					...(how.pace === undefined ? {} : {pace: how.pace}),
				});
				if (came === 'uncached') {
					return came;
				}
				outcome = came === 'fetched' ? came : outcome;
			}
			before += size;
			how.onProgress(before);
		}
		return outcome;
	}

	setWanted(rule: string, images: readonly Uuid[]): void {
		this.#parts.wants.set(rule, images);
		this.#parts.store.keeper.changed();
	}

	forgetRule(rule: string): void {
		this.#parts.wants.forget(rule);
	}

	bytesPerSecond(): number | undefined {
		return this.#parts.flights.rate();
	}
}
