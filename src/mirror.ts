/**
 * What the product does, one method per verb. HTTP, and later the CLI, the page and the air gap, all come through it.
 *
 * The catalog knows which images there are and who has them, the store holds files, flights fetch them; the mirror
 * joins the three. It knows nothing of HTTP and nothing of configuration.
 */
import type {Flights} from './blobs/flights.js';
import type {DiskStore} from './blobs/store.js';
import type {Catalog, ListBytes} from './catalog/catalog.js';
import {NotFoundError, SourceUnavailableError, asError, type SilentSource} from './errors.js';
import type {Host} from './host.js';
import {localName} from './catalog/local-images.js';
import type {Manifest, Uuid} from './image/manifest.js';
import type {ImageQuery} from './image/query.js';
import {Files} from './mirror-files.js';
import {MirrorFile} from './mirror-file.js';
import {IconCache} from './mirror-icons.js';
import type {PublishApi} from './publish/api.js';
import type {Ask} from './sources/source.js';

/** What a client is told in `x-cache`. */
export type CacheOutcome = 'hit' | 'join' | 'miss' | 'stale' | 'local' | 'pass';

export interface FoundImage {
	readonly manifest: Manifest;
	/** The source whose manifest this is. */
	readonly source: string;
	readonly cache: CacheOutcome;
}

/** Which list it was that something was found in. */
export interface ListState {
	/** Another number for every other list. */
	readonly version: number;
	readonly cache: CacheOutcome;
}

export interface SearchResult extends ListState {
	/** In the order that the query asks for. */
	readonly images: readonly Manifest[];
	/** A source whose list is not known: what has not been found may be there. */
	readonly silent?: SilentSource | undefined;
}

/** A list as it goes out: a JSON array indented by two spaces. */
export interface Listing extends ListBytes {
	readonly cache: CacheOutcome;
}

/** One image's file, here or on its way. Nothing has been asked of a source until `body` is called. */
export interface OpenFile {
	readonly size: number;
	/** Hexadecimal. `undefined`: the manifest has none and the file is not here yet. */
	readonly sha1: string | undefined;
	/** Base64. May become known with `body`. */
	readonly contentMd5: string | undefined;
	/** When the file was stored. */
	readonly storedAtMs: number | undefined;
	/** Who supplies the bytes. Final once `body` has resolved, as is `cache`. */
	readonly source: string;
	readonly cache: CacheOutcome;
	/**
	 * The bytes from `start` up to `end`. Resolves once the first of them may be sent; whatever is wrong until then is
	 * thrown, and an error can still be answered. `ask.signal` ends a wait, never a transfer.
	 */
	body(start: number, end: number, ask: Ask): Promise<FileReader>;
	/** Must be called, whatever happened; also closes readers. */
	close(): void;
}

export interface FileReader {
	/**
	 * The same object for all readers that have the same bytes at the same place, as long as they do; `undefined`: this
	 * one has them for itself.
	 */
	readonly content: object | undefined;
	/**
	 * Fills `into` with what comes next (at least one byte) and resolves with how much; 0 after the last byte.
	 * Throws when the rest will never come or must not be sent: the caller then cuts the connection.
	 */
	read(into: Buffer): Promise<number>;
	/**
	 * The same for what `stretch` has in this tick, waiting for nothing but the disk. 0: it is not to be had like this any
	 * more, and `stretch` or `read` says why.
	 */
	readStretch(into: Buffer): Promise<number>;
	/** Resolves once `stretch` has something, or `read` something to say. */
	ready(): Promise<void>;
	/**
	 * What comes next and is in a file already, to be sent without being read; `undefined`: ask `read`. Good for the tick
	 * in which it was asked for. Throws as `read` does.
	 */
	stretch(): Stretch | undefined;
	/** So much of the stretch is on its way: what comes next is behind it. */
	skip(bytes: number): void;
}

/** Some bytes of an open file; at least one. */
export interface Stretch {
	readonly fd: number;
	readonly position: number;
	readonly length: number;
}

export interface IconFile {
	readonly bytes: Buffer;
	readonly contentType: string;
	/** When it was had from its source. */
	readonly storedAtMs: number;
	readonly source: string;
	readonly cache: CacheOutcome;
}

export interface Readiness {
	readonly ready: boolean;
	/** Why not, in words. */
	readonly problems: readonly string[];
	/** What to look at: clients are served. */
	readonly warnings: readonly string[];
}

/** What looks after the mirror, as far as the mirror itself is asked about it. */
export interface Caretaker {
	/** Plain data for the status. */
	report(): Promise<object>;
	readiness(stopping: boolean): Promise<Readiness>;
}

/** What HTTP (and later the CLI and the page) needs of the mirror. */
export interface MirrorApi {
	/** Our own images, and how they are made. */
	readonly publish: PublishApi;
	/** The merged list, filtered, as bytes ready to send. */
	list(query: ImageQuery, ask: Ask): Promise<Listing>;
	/** What `list` would give without waiting; `undefined`: that cannot be said without. */
	listNow(query: ImageQuery): Listing | undefined;
	/** The same as manifests. */
	search(query: ImageQuery, ask: Ask): Promise<SearchResult>;
	/** Which list both would look at now, without waiting; `undefined`: that cannot be said without. */
	listState(): ListState | undefined;
	/** Throws NotFoundError (nobody has it) or SourceUnavailableError (nobody can tell). */
	find(uuid: Uuid, ask: Ask): Promise<FoundImage>;
	/** What `find` would say without waiting; `undefined`: that cannot be said without. */
	findNow(uuid: Uuid): FoundImage | undefined;
	/** Throws NotFoundError where the image has no such file. */
	openFile(found: FoundImage, index: number): Promise<OpenFile>;
	readIcon(found: FoundImage, ask: Ask): Promise<IconFile>;
	/** Brings the numbers up to date that change by themselves, for whoever is about to read them. */
	updateMetrics(): Promise<void>;
	/** Plain data for `GET /status`. `namesImages` is false for whom some images are not there. */
	status(options?: {readonly namesImages: boolean}): Promise<object>;
	readiness(): Promise<Readiness>;
}

export interface MirrorParts {
	readonly host: Host;
	readonly version: string;
	readonly catalog: Catalog;
	readonly store: DiskStore;
	readonly flights: Flights;
	readonly publish: PublishApi;
}

export class Mirror implements MirrorApi {
	readonly publish: PublishApi;
	/** For what else fetches files. */
	readonly files: Files;
	/** Set once, by whoever puts the parts together; it needs the mirror itself. */
	operating: Caretaker | undefined;
	readonly #host: Host;
	readonly #version: string;
	readonly #catalog: Catalog;
	readonly #store: DiskStore;
	readonly #flights: Flights;
	readonly #icons = new IconCache();
	readonly #startedAtMs: number;
	#stopping = false;

	constructor(parts: MirrorParts) {
		this.publish = parts.publish;
		this.#host = parts.host;
		this.#version = parts.version;
		this.#catalog = parts.catalog;
		this.#store = parts.store;
		this.#flights = parts.flights;
		this.files = new Files(parts);
		this.#startedAtMs = parts.host.clock.now();
	}

	list(query: ImageQuery, ask: Ask): Promise<Listing> {
		return this.#catalog.list(query, ask);
	}

	listNow(query: ImageQuery): Listing | undefined {
		return this.#catalog.listNow(query);
	}

	search(query: ImageQuery, ask: Ask): Promise<SearchResult> {
		return this.#catalog.search(query, ask);
	}

	listState(): ListState | undefined {
		return this.#catalog.state();
	}

	async find(uuid: Uuid, ask: Ask): Promise<FoundImage> {
		const known = this.findNow(uuid);
		if (known !== undefined) {
			return known;
		}
		const found = await this.#catalog.find(uuid, ask).catch((error: unknown) => {
			throw error instanceof NotFoundError && this.publish.unreadable.includes(uuid)
				? new SourceUnavailableError(localName, `image ${uuid} was published here, and its record cannot be read`)
				: error;
		});
		if (found.source !== localName) {
			return found;
		}
		// It was ours until a moment ago.
		await this.#catalog.settled();
		return this.#catalog.find(uuid, ask);
	}

	findNow(uuid: Uuid): FoundImage | undefined {
		// Not through the catalog: what has just been written is not merged yet.
		const ours = this.publish.get(uuid);
		if (ours !== undefined) {
			return {manifest: ours, source: localName, cache: 'local'};
		}
		const found = this.#catalog.findNow(uuid);
		return found?.source === localName ? undefined : found;
	}

	async openFile(found: FoundImage, index: number): Promise<OpenFile> {
		const {manifest} = found;
		const {file, sha1, wanted, isOurs, suppliers, onHeld} = this.files.plan(found, index);
		return new MirrorFile({
			...{found, file, sha1, wanted, isOurs, suppliers, onHeld},
			isStillOurs: () => this.publish.get(manifest.uuid)?.files[index]?.sha1 === file.sha1,
			store: this.#store,
			flights: this.#flights,
		});
	}

	async readIcon(found: FoundImage, ask: Ask): Promise<IconFile> {
		const {manifest} = found;
		if (!manifest.icon) {
			throw new NotFoundError(`image ${manifest.uuid} has no icon`);
		}
		if (found.source === localName) {
			return {...(await this.publish.icon(manifest.uuid)), source: localName, cache: 'local'};
		}
		const kept = this.#icons.get(manifest);
		if (kept !== undefined) {
			return {...kept, cache: 'hit'};
		}
		let failure: unknown;
		for (const {source} of this.#catalog.suppliersFor(manifest, 0)) {
			try {
				const icon = await source.readIcon(manifest, ask);
				if (icon !== undefined) {
					const had: IconFile = {...icon, source: source.name, cache: 'miss', storedAtMs: this.#host.clock.now()};
					this.#icons.keep(manifest, had);
					return had;
				}
			} catch (error) {
				ask.signal.throwIfAborted();
				failure ??= error;
			}
		}
		throw failure === undefined
			? new NotFoundError(`no source has the icon of image ${manifest.uuid}`)
			: asError(failure);
	}

	async status({namesImages} = {namesImages: true}): Promise<object> {
		const {clock} = this.#host;
		const {conflicts, sources, ...catalog} = this.#catalog.status();
		return {
			name: 'imgmirror',
			version: this.#version,
			stopping: this.#stopping,
			startedAt: new Date(this.#startedAtMs).toISOString(),
			uptimeMs: clock.now() - this.#startedAtMs,
			...catalog,
			conflicts: namesImages ? conflicts : [],
			sources: namesImages ? sources : sources.map(source => ({...source, reasons: []})),
			transfers: (namesImages ? [...this.#flights.status(), ...this.#flights.passing()] : []).map(
				({sinceMs, ...transfer}) => ({
					...transfer,
					since: new Date(sinceMs).toISOString(),
					bytesPerSecond: Math.round(
						(transfer.written - transfer.resumedFrom) / Math.max(0.001, (clock.now() - sinceMs) / 1000),
					),
				}),
			),
			store: {
				files: this.#store.count,
				bytes: this.#store.bytes,
				freeBytes: await this.#store.freeBytes(),
				quarantine: namesImages ? await this.#store.quarantined.list() : [],
			},
			...(namesImages ? await this.operating?.report() : {}),
		};
	}

	async readiness(): Promise<Readiness> {
		return (
			(await this.operating?.readiness(this.#stopping)) ?? {
				ready: false,
				problems: ['the mirror is starting'],
				warnings: [],
			}
		);
	}

	async updateMetrics(): Promise<void> {
		const {metrics} = this.#host;
		this.#catalog.updateMetrics();
		await this.#store.updateMetrics();
		const {ready, warnings} = await this.readiness();
		metrics.ready.set(ready ? 1 : 0);
		metrics.warnings.set(warnings.length);
	}

	/** From now on the mirror says that it is going away; what runs goes on. */
	announceStop(): void {
		this.#stopping = true;
	}
}
