/**
 * An image's files as the parts below need them: what is wanted, who supplies it, and what follows when it is here.
 *
 * Clients' requests (`mirror.ts`) and what is fetched ahead (`mirror-ahead.ts`) come through here, so that one file
 * has one transfer whoever wants it.
 */
import type {Wanted} from './blobs/partial.js';
import type {BlobInfo, DiskStore} from './blobs/store.js';
import type {Supplier} from './blobs/supply.js';
import type {Catalog} from './catalog/catalog.js';
import {localName} from './catalog/local-images.js';
import {NotFoundError} from './errors.js';
import type {EventImage, Host} from './host.js';
import type {ImageFile, Manifest, Sha1} from './image/manifest.js';
import type {Ask, HealthySource} from './sources/source.js';

/** One file of an image, and all that is known of where it is to come from. */
export interface FilePlan {
	readonly file: ImageFile;
	/** From the manifest, or found out earlier. */
	readonly sha1: Sha1 | undefined;
	readonly wanted: Wanted;
	/** It was published here. */
	readonly isOurs: boolean;
	readonly suppliers: (ask: Ask) => readonly Supplier[];
	/** To be called with the blob whenever it is or becomes ours to serve. */
	readonly onHeld: (info: BlobInfo) => Promise<void>;
}

/** So many files of sources are remembered to have been wrong. */
const keptWrongs = 10_000;
/** A source that sent something wrong for so many files, and nothing right since, is asked after the others for all. */
const tooManyWrongs = 3;
/** It may have been put right meanwhile. */
const distrustMs = 3_600_000;

export class Files {
	readonly #host: Host;
	readonly #catalog: Catalog;
	readonly #store: DiskStore;
	/** Which sources sent something wrong for which file: they are asked after the others for it. */
	readonly #wrongs = new Set<string>();
	/** By source: what of its was wrong since something was right. */
	readonly #distrusted = new Map<string, {readonly offers: ReadonlySet<string>; readonly lastMs: number}>();

	constructor({host, catalog, store}: {host: Host; catalog: Catalog; store: DiskStore}) {
		this.#host = host;
		this.#catalog = catalog;
		this.#store = store;
	}

	/** Throws NotFoundError where the image has no such file. */
	plan({manifest, source}: {readonly manifest: Manifest; readonly source: string}, index: number): FilePlan {
		const file = manifest.files[index];
		if (file === undefined) {
			throw new NotFoundError(`image ${manifest.uuid} has no file ${index}`);
		}
		const sha1 = this.sha1Of(manifest, index);
		const isOurs = source === localName;
		return {
			file,
			sha1,
			// Two images may have one file: with a digest they share its transfer.
			wanted: {
				key: sha1 ?? `${manifest.uuid}.${index}`,
				size: file.size,
				sha1,
				md5: file.md5,
				uuid: manifest.uuid,
				about: aboutImage(manifest),
			},
			isOurs,
			suppliers: ask => this.#suppliers(manifest, index, ask).filter(({size}) => size === file.size),
			onHeld: async info => {
				if (file.sha1 === undefined) {
					await this.#store.images.rememberSha1(manifest.uuid, index, info.sha1);
				}
				// Where only the manifest is another, nothing has come.
				const wasHeld = this.#store.images.with(info.sha1).some(held => held.manifest.uuid === manifest.uuid);
				// Ours has its record, and outlives the file.
				if (isOurs || !(await this.#store.keepManifest({manifest, source, sha1: info.sha1, index}))) {
					return;
				}
				this.#catalog.heldChanged();
				if (!wasHeld) {
					this.#distrusted.delete(info.source);
					this.#host.events.emit('image.cached', {
						image: aboutImage(manifest),
						source: info.source,
						sha1: info.sha1,
						bytes: info.size,
					});
				}
			},
		};
	}

	/** From the manifest, or found out earlier. */
	sha1Of(manifest: Manifest, index: number): Sha1 | undefined {
		return manifest.files[index]?.sha1 ?? this.#store.images.foundSha1(manifest.uuid, index);
	}

	/** All its files are here. */
	areHere(manifest: Manifest): boolean {
		return manifest.files.every((_, index) => {
			const sha1 = this.sha1Of(manifest, index);
			return sha1 !== undefined && this.#store.stat(sha1) !== undefined;
		});
	}

	/** It sends wrong files, and no right one between them: others are asked before it. */
	isDistrusted(source: string): boolean {
		const {offers, lastMs = 0} = this.#distrusted.get(source) ?? {};
		return (offers?.size ?? 0) >= tooManyWrongs && this.#host.clock.now() - lastMs < distrustMs;
	}

	#suppliers(manifest: Manifest, index: number, ask: Ask): readonly (Supplier & {readonly size: number | undefined})[] {
		const onBehalf = {
			...(ask.requestId === undefined ? {} : {requestId: ask.requestId}),
			...(ask.via === undefined ? {} : {via: ask.via}),
		};
		return this.#catalog.suppliersFor(manifest, index).map(({source, manifest: theirs, index: at}) => {
			const offer = `${theirs.uuid}.${at}`;
			const offered = `${source.name} ${offer}`;
			const {state, sinceMs} = isHealthy(source) ? source.health() : {};
			const downSinceMs = state === 'down' ? sinceMs : undefined;
			return {
				name: source.name,
				offer,
				size: theirs.files[at]?.size,
				doubtful: this.#wrongs.has(offered) || this.isDistrusted(source.name) || downSinceMs !== undefined,
				downSinceMs,
				open: (where, signal) => source.openFile(theirs, at, where, {...onBehalf, signal}),
				mark: problem => {
					this.#noteWrong(offered, source.name);
					if (isHealthy(source)) {
						source.mark(problem, theirs.uuid);
					}
				},
			};
		});
	}

	#noteWrong(offered: string, source: string): void {
		const before = this.isDistrusted(source);
		const known = [...(this.#distrusted.get(source)?.offers ?? [])].slice(-tooManyWrongs);
		this.#distrusted.set(source, {offers: new Set([...known, offered]), lastMs: this.#host.clock.now()});
		if (!before && this.isDistrusted(source)) {
			const msg = 'a source sends wrong files, and no right one between them: it is asked after the others';
			this.#host.log.warn({source}, msg);
		}
		this.#wrongs.add(offered);
		const [oldest] = this.#wrongs;
		if (oldest !== undefined && this.#wrongs.size > keptWrongs) {
			this.#wrongs.delete(oldest);
		}
	}
}

/** As much of it as goes into events. */
export function aboutImage({uuid, name, version, public: isPublic}: Manifest): EventImage {
	return {uuid, name, version, public: isPublic};
}

function isHealthy(source: object): source is HealthySource {
	return 'health' in source && 'mark' in source;
}
