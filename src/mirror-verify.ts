/**
 * Files read again: what is wrong is fetched anew where a source has it, and shouted about where it was made here.
 *
 * The scrub reads and condemns; which images suffer, and whether anybody else has the file, is known here.
 */
import type {BlobInfo} from './blobs/store.js';
import type {Flights} from './blobs/flights.js';
import type {DiskStore} from './blobs/store.js';
import type {Scrub} from './blobs/scrub.js';
import type {Catalog} from './catalog/catalog.js';
import {localName} from './catalog/local-images.js';
import {NotFoundError, describe} from './errors.js';
import type {Host} from './host.js';
import {isActive, type Manifest, type Sha1, type Uuid} from './image/manifest.js';
import {aboutImage, type Files} from './mirror-files.js';
import type {ScrubReport, VerifyEvent} from './mirror-operate-api.js';
import type {PublishApi} from './publish/api.js';

export interface VerifyParts {
	readonly host: Host;
	readonly catalog: Catalog;
	readonly store: DiskStore;
	readonly flights: Flights;
	readonly files: Files;
	readonly publish: PublishApi;
	readonly scrub: Scrub;
}

type NamedImages = readonly {readonly uuid: string; readonly name: string; readonly version: string}[];

export class Verification {
	readonly #parts: VerifyParts;
	/** When a published image was first found to lack its file. */
	readonly #damagedSince = new Map<string, number>();
	/** Who had a file until it was condemned, which forgets it. */
	readonly #suffering = new Map<Sha1, NamedImages>();
	/** Runs that somebody watches. */
	#asked = 0;
	readonly #stop = new AbortController();

	constructor(parts: VerifyParts) {
		this.#parts = parts;
	}

	stop(): void {
		this.#stop.abort(new Error('stopped'));
	}

	/** To be called with each file that was wrong, when it is in quarantine already. */
	async onWrong(info: BlobInfo, problem: string): Promise<'refetching' | 'lost'> {
		const {host, publish} = this.#parts;
		const images = this.#everyImageWith(info.sha1);
		if (this.#asked > 0) {
			this.#suffering.set(info.sha1, images.map(named));
		}
		const ours = images.filter(({uuid}) => publish.get(uuid) !== undefined);
		const outcome = this.#fetchAgain(info.sha1, images);
		const about = {sha1: info.sha1, bytes: info.size, problem, source: info.source};
		for (const image of images.length === 0 ? [undefined] : images) {
			host.events.emit('verification.failed', {
				...about,
				image: image === undefined ? undefined : aboutImage(image),
				more: {published: image !== undefined && ours.includes(image), outcome},
			});
		}
		if (ours.length > 0 && outcome === 'lost') {
			const names = ours.map(({uuid, name, version}) => `${uuid} (${name} ${version})`).join(', ');
			host.log.fatal(
				{sha1: info.sha1, problem},
				`THE FILE OF A PUBLISHED IMAGE IS DAMAGED and nobody else is known to have it: ${names}. ` +
					'What is left of it is in quarantine: restore it from a backup, or publish it again',
			);
		}
		return Promise.resolve(outcome);
	}

	/** Throws NotFoundError for an image that is not known, or not here. */
	async *run(
		options: {readonly uuids: readonly Uuid[]; readonly bytesPerSecond: number},
		signal: AbortSignal,
	): AsyncGenerator<VerifyEvent, void, undefined> {
		const {scrub} = this.#parts;
		const sha1s = options.uuids.length === 0 ? undefined : this.#filesOf(options.uuids);
		this.#asked++;
		try {
			for await (const step of scrub.run({sha1s, bytesPerSecond: options.bytesPerSecond, signal})) {
				if (step.what !== 'file') {
					yield step;
					continue;
				}
				const {sha1} = step.info;
				const images = this.#suffering.get(sha1) ?? this.#imagesWith(sha1).map(named);
				this.#suffering.delete(sha1);
				yield {
					what: 'file',
					sha1,
					images,
					outcome: step.outcome,
					...(step.problem === undefined ? {} : {problem: step.problem}),
				};
			}
		} finally {
			this.#asked--;
			if (this.#asked === 0) {
				// What the schedule found meanwhile, nobody asks for.
				this.#suffering.clear();
			}
		}
	}

	/** Published images whose file is not here any more. */
	damaged(): ScrubReport['damaged'] {
		const {host, publish, store} = this.#parts;
		const found = publish
			.list()
			.filter(isActive)
			.flatMap(({uuid, name, files}) => {
				const missing = files.find(({sha1}) => sha1 !== undefined && store.stat(sha1) === undefined)?.sha1;
				return missing === undefined ? [] : [{uuid, name, sha1: missing}];
			});
		const damaged = new Set<string>(found.map(({uuid}) => uuid));
		for (const uuid of this.#damagedSince.keys()) {
			if (!damaged.has(uuid)) {
				this.#damagedSince.delete(uuid);
			}
		}
		return found.map(image => {
			const since = this.#damagedSince.get(image.uuid) ?? host.clock.now();
			this.#damagedSince.set(image.uuid, since);
			return {...image, since: new Date(since).toISOString()};
		});
	}

	#filesOf(uuids: readonly Uuid[]): readonly Sha1[] {
		const {catalog, publish, files, store} = this.#parts;
		return uuids.flatMap(uuid => {
			const manifest = publish.get(uuid) ?? catalog.known(uuid)?.manifest;
			if (manifest === undefined) {
				throw new NotFoundError(`there is no image ${uuid}`);
			}
			const sha1s = manifest.files.flatMap((_, index) => files.sha1Of(manifest, index) ?? []);
			const here = sha1s.filter(sha1 => store.stat(sha1) !== undefined);
			if (here.length === 0) {
				throw new NotFoundError(`image ${uuid} (${manifest.name} ${manifest.version}) is not here`);
			}
			return here;
		});
	}

	#imagesWith(sha1: Sha1): readonly Manifest[] {
		const {store, publish, files} = this.#parts;
		const found = new Map<Uuid, Manifest>();
		for (const {manifest} of store.images.with(sha1)) {
			found.set(manifest.uuid, manifest);
		}
		for (const manifest of publish.list()) {
			if (manifest.files.some((_, index) => files.sha1Of(manifest, index) === sha1)) {
				found.set(manifest.uuid, manifest);
			}
		}
		return [...found.values()];
	}

	/** Also those that the store has forgotten with the file. */
	#everyImageWith(sha1: Sha1): readonly Manifest[] {
		const {catalog, files} = this.#parts;
		const found = new Map(this.#imagesWith(sha1).map(manifest => [manifest.uuid, manifest]));
		for (const manifest of catalog.manifests()) {
			if (!found.has(manifest.uuid) && manifest.files.some((_, index) => files.sha1Of(manifest, index) === sha1)) {
				found.set(manifest.uuid, manifest);
			}
		}
		return [...found.values()];
	}

	/** Behind; what comes of it is told by its own events. */
	#fetchAgain(sha1: Sha1, images: readonly Manifest[]): 'refetching' | 'lost' {
		const {catalog, files, flights, host} = this.#parts;
		for (const manifest of images) {
			const index = manifest.files.findIndex((_, at) => files.sha1Of(manifest, at) === sha1);
			const known = catalog.known(manifest.uuid);
			const source = known?.sources.find(name => name !== localName);
			const isSaid = catalog
				.suppliersFor(manifest, index)
				.some(({manifest: theirs, index: at}) => theirs !== manifest && theirs.files[at]?.sha1 === sha1);
			if (index === -1 || (source === undefined && !isSaid)) {
				continue;
			}
			const {wanted, suppliers, onHeld} = files.plan({manifest, source: known?.source ?? source ?? localName}, index);
			const {signal} = this.#stop;
			void flights
				.fetch({wanted, suppliers: () => suppliers({signal}), onStored: onHeld, signal})
				.then(async outcome => {
					await this.#heldAgain(sha1, images);
					host.log.info({image: manifest.uuid, sha1, outcome}, 'a file that was wrong has been fetched again');
				})
				.catch((error: unknown) => {
					host.log.error(
						{image: manifest.uuid, sha1, problem: describe(error)},
						'a file that was wrong could not be fetched again: the next request tries',
					);
				});
			return 'refetching';
		}
		return 'lost';
	}

	/** The transfer was one image's; the file is that of the others as well. */
	async #heldAgain(sha1: Sha1, images: readonly Manifest[]): Promise<void> {
		const {catalog, files, store} = this.#parts;
		for (const manifest of images) {
			const info = store.stat(sha1);
			const known = catalog.known(manifest.uuid);
			const index = manifest.files.findIndex((_, at) => files.sha1Of(manifest, at) === sha1);
			if (info !== undefined && known !== undefined && index !== -1) {
				await files.plan({manifest, source: known.source}, index).onHeld(info);
			}
		}
	}
}

function named({uuid, name, version}: Manifest): NamedImages[number] {
	return {uuid, name, version};
}
