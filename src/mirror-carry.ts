/**
 * The mirror as bundles see it: images handed out whole, and images taken in by hand.
 *
 * The way out reads what everybody reads, ours and the sources'; the way in ends in the publish area. What a bundle
 * looks like is not known here.
 */
import {randomUUID} from 'node:crypto';
import type {FileHandle} from 'node:fs/promises';
import type {DiskStore} from './blobs/store.js';
import type {Catalog} from './catalog/catalog.js';
import {localName} from './catalog/local-images.js';
import {InvalidParameterError, NoSpaceError, NotFoundError, RefusedError, describe} from './errors.js';
import type {Host} from './host.js';
import {prettyJson} from './image/json-text.js';
import {compareImages, isActivated, isActive, type Manifest, type Sha1, type Uuid} from './image/manifest.js';
import type {AheadApi, AheadImage} from './mirror-ahead-api.js';
import type {CarryBlob, CarryImage, CarryIn, CarryOut, IncomingImage, TakenFile} from './mirror-carry-api.js';
import type {Files} from './mirror-files.js';
import type {MirrorApi} from './mirror.js';
import type {Actor, CarriedFile, CarriedImages, PublishApi} from './publish/api.js';
import type {Ask, Icon} from './sources/source.js';

export interface CarryingParts {
	readonly host: Host;
	readonly catalog: Catalog;
	readonly store: DiskStore;
	readonly publish: PublishApi;
	readonly carried: CarriedImages;
	readonly files: Files;
	readonly mirror: Pick<MirrorApi, 'find' | 'readIcon'>;
	readonly ahead: Pick<AheadApi, 'images' | 'image' | 'fetchAhead'>;
	/** The channel that a source is asked for. */
	readonly channelOf: (source: string) => string | undefined;
}

export class Carrying implements CarryOut, CarryIn {
	readonly #parts: CarryingParts;
	readonly #kept = new Map<string, Set<Sha1>>();
	readonly #helds = new WeakMap<TakenFile, CarriedFile>();
	#images: readonly AheadImage[] = [];
	#madeOf: readonly unknown[] = [];

	constructor(parts: CarryingParts) {
		this.#parts = parts;
	}

	/** Resolves when lists are known as far as they will be for now. */
	async ready(ask: Ask): Promise<void> {
		try {
			await this.#parts.catalog.current(ask);
			await this.#parts.catalog.prepareOverview();
		} catch (error) {
			ask.signal.throwIfAborted();
			// What is here can go all the same; what is asked for and unknown is told by its name.
			this.#parts.host.log.warn({problem: describe(error)}, 'images are carried without knowing what sources have');
		}
	}

	images(): readonly AheadImage[] {
		const {ahead, publish} = this.#parts;
		const madeOf = [ahead.images(), publish.list()];
		if (madeOf.some((part, at) => part !== this.#madeOf[at])) {
			const ours = publish.list().filter(isActive);
			const others = ahead.images().filter(({manifest}) => publish.get(manifest.uuid) === undefined);
			this.#images = [...others, ...ours.map(manifest => ({manifest, sources: [localName]}))].sort((a, b) =>
				compareImages(a.manifest, b.manifest),
			);
			this.#madeOf = madeOf;
		}
		return this.#images;
	}

	image(uuid: Uuid): AheadImage | undefined {
		const ours = this.#parts.publish.get(uuid);
		return ours === undefined ? this.#parts.ahead.image(uuid) : {manifest: ours, sources: [localName]};
	}

	inChannel(channel: string): readonly Uuid[] {
		const {publish, catalog, channelOf} = this.#parts;
		const sources = new Set(
			catalog
				.status()
				.sources.map(({name}) => name)
				.filter(name => channelOf(name) === channel),
		);
		if (sources.size === 0 && !publish.channels.some(({name}) => name === channel)) {
			const message = `neither this server nor one of its sources has a channel ${channel}`;
			throw new InvalidParameterError(message, [{field: 'channel', code: 'Invalid', message}]);
		}
		return this.images()
			.filter(
				({manifest, sources: from}) =>
					(manifest.local?.channels.includes(channel) ?? false) || from.some(name => sources.has(name)),
			)
			.map(({manifest}) => manifest.uuid);
	}

	whole(): readonly Uuid[] {
		const {publish, store, catalog, files} = this.#parts;
		const found = new Map<Uuid, Manifest>();
		for (const manifest of publish.list()) {
			found.set(manifest.uuid, manifest);
		}
		for (const {manifest, held} of catalog.overview()) {
			if (held === undefined && !found.has(manifest.uuid)) {
				found.set(manifest.uuid, manifest);
			}
		}
		// Disabled origins are in no list.
		for (const {manifest} of store.images.list()) {
			if (!found.has(manifest.uuid) && catalog.known(manifest.uuid)?.held === undefined) {
				found.set(manifest.uuid, manifest);
			}
		}
		return [...found.values()]
			.filter(manifest => isActivated(manifest) && manifest.files.length > 0 && files.areHere(manifest))
			.map(({uuid}) => uuid)
			.sort();
	}

	async find(uuid: Uuid, ask: Ask): Promise<CarryImage> {
		const {mirror, carried, files, store} = this.#parts;
		const {manifest, source} = await mirror.find(uuid, ask);
		return {
			manifest,
			source,
			text: (source === localName ? carried.text(uuid) : undefined) ?? prettyJson(manifest.text),
			files: manifest.files.map(({size, compression}, index) => {
				const sha1 = files.sha1Of(manifest, index);
				return {sha1, size, compression, here: sha1 !== undefined && store.stat(sha1) !== undefined};
			}),
		};
	}

	async fetch(
		uuid: Uuid,
		how: {readonly onProgress: (bytes: number) => void; readonly signal: AbortSignal},
	): Promise<void> {
		const outcome = await this.#parts.ahead.fetchAhead(uuid, {...how, pace: undefined});
		if (outcome === 'uncached') {
			throw new NoSpaceError(
				`the store has no room for the file of image ${uuid}: see store.maxSize and store.minFree`,
			);
		}
	}

	hold(sha1: Sha1, by: string): CarryBlob | undefined {
		const {store} = this.#parts;
		const blob = this.stored(sha1);
		if (blob !== undefined) {
			store.pin(sha1, by);
			this.#kept.set(by, (this.#kept.get(by) ?? new Set<Sha1>()).add(sha1));
		}
		return blob;
	}

	letGo(by: string): void {
		for (const sha1 of this.#kept.get(by) ?? []) {
			this.#parts.store.unpin(sha1, by);
		}
		this.#kept.delete(by);
	}

	open(sha1: Sha1): Promise<FileHandle | undefined> {
		return this.#parts.store.open(sha1);
	}

	async icon({manifest, source}: CarryImage, ask: Ask): Promise<Icon | undefined> {
		if (!manifest.icon) {
			return undefined;
		}
		try {
			const {bytes, contentType} = await this.#parts.mirror.readIcon({manifest, source, cache: 'hit'}, ask);
			return {bytes, contentType};
		} catch {
			ask.signal.throwIfAborted();
			return undefined;
		}
	}

	async compare(image: IncomingImage): Promise<'new' | 'there' | 'changed' | 'ours'> {
		const standing = this.#parts.carried.compare(image);
		// What sources say now: none is asked, as one that is away would hold up each of ten thousand images.
		const theirs = standing === 'new' ? this.#parts.catalog.known(image.manifest.uuid) : undefined;
		const wrong = theirs?.manifest.files.some(({sha1}, index) => {
			const ours = image.manifest.files[index]?.sha1;
			return sha1 !== undefined && ours !== undefined && ours !== sha1;
		});
		if (theirs !== undefined && wrong === true) {
			throw new RefusedError('ImageUuidAlreadyExists', `source ${theirs.source} has other files under that uuid`);
		}
		return standing;
	}

	async isKnown(uuid: Uuid, ask: Ask): Promise<boolean> {
		const {publish, catalog, mirror} = this.#parts;
		if (publish.get(uuid) !== undefined || catalog.known(uuid) !== undefined) {
			return true;
		}
		// On a site without a line nobody has ever given a list, and to ask would be to wait for nothing.
		if (catalog.status().sources.every(({fetchedAt}) => fetchedAt === undefined)) {
			return false;
		}
		try {
			await mirror.find(uuid, ask);
			return true;
		} catch (error) {
			ask.signal.throwIfAborted();
			if (!(error instanceof NotFoundError)) {
				this.#parts.host.log.info(
					{image: uuid, problem: describe(error)},
					'no source can tell whether it has an origin',
				);
			}
			return false;
		}
	}

	stored(sha1: Sha1): CarryBlob | undefined {
		const info = this.#parts.store.stat(sha1);
		return info === undefined ? undefined : {sha1, sha256: info.sha256, size: info.size};
	}

	async holdStored(sha1: Sha1): Promise<TakenFile | undefined> {
		const held = await this.#parts.carried.holdStored(sha1);
		return held === undefined ? undefined : this.#taken(held);
	}

	async take(
		file: {readonly sha1: Sha1 | undefined; readonly size: number; readonly body: AsyncIterable<Buffer>},
		ask: Ask,
	): Promise<TakenFile> {
		return this.#taken(await this.#parts.carried.take(file, ask));
	}

	async keep(
		image: IncomingImage,
		{files, icon, by}: {readonly files: readonly TakenFile[]; readonly icon: Icon | undefined; readonly by: Actor},
	): Promise<'imported' | 'updated' | 'there'> {
		const {carried, store} = this.#parts;
		const outcome = await carried.keep(image, {files: files.map(file => this.#heldOf(file)), icon, by});
		const {uuid} = image.manifest;
		if (files.some(({sha1}) => store.images.with(sha1).some(({manifest}) => manifest.uuid === uuid))) {
			// It was a source's until now, and a manifest beside its file says so still.
			await store.dropImage(uuid);
		}
		return outcome;
	}

	settled(): Promise<void> {
		return this.#parts.carried.settled();
	}

	#taken(held: CarriedFile): TakenFile {
		const blob = this.stored(held.sha1);
		const taken: TakenFile = {
			sha1: held.sha1,
			sha256: blob?.sha256 ?? '',
			size: blob?.size ?? 0,
			release: () => held.release(),
		};
		this.#helds.set(taken, held);
		return taken;
	}

	#heldOf(file: TakenFile): CarriedFile {
		const held = this.#helds.get(file);
		if (held === undefined) {
			throw new TypeError('a file that was not taken here');
		}
		return held;
	}
}

/** For the names under which files are kept while they are carried out. */
export function carryingName(): string {
	return `carrying ${randomUUID()}`;
}
