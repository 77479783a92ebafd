/**
 * What a catalog is made of, and what it answers with.
 */
import type {SilentSource} from '../errors.js';
import type {Host} from '../host.js';
import type {Manifest, Uuid} from '../image/manifest.js';
import type {CatalogSource} from './catalog-source.js';
import type {HoldsFile} from './holds.js';
import type {HeldImage} from './known.js';
import type {LocalImages} from './local-images.js';
import type {Memory} from './memory.js';

/** Images whose files we hold on disk: what is left to say when the sources are away and the memory was deleted. */
export interface HeldImages {
	list(): Iterable<HeldImage>;
	/** Uses the manifests of lists instead of its own where they say the same. */
	share?(known: (uuid: Uuid) => Iterable<Manifest>): Promise<void>;
	/** The operator wants what vanishes upstream dropped, and this has: its file may go. */
	onDrop?(manifest: Manifest): void;
}

export interface Snapshot {
	/** Another number for every other list. */
	readonly version: number;
	/** Sorted by `compareImages`. */
	readonly images: readonly Manifest[];
	readonly cache: 'hit' | 'stale' | 'miss';
	/** A source whose list is not known: what is not in this one may be there. */
	readonly silent?: SilentSource | undefined;
}

export interface RefreshOutcome {
	readonly source: string;
	/** `undefined`: it went well. */
	readonly problem: string | undefined;
}

export interface CatalogOptions {
	readonly host: Host;
	readonly memory: Memory;
	/** In their order of precedence. */
	readonly sources: readonly CatalogSource[];
	readonly held: HeldImages;
	/** Our own images: before those of all sources. */
	readonly local?: LocalImages;
	/** Where operators' holds and first sights are kept; left out: they last as long as the process. */
	readonly holds?: HoldsFile;
	/** What this mirror adds to `Ask.via`. */
	readonly instanceId?: string;
	/** How long a list that can be given already waits for sources that are asked for theirs for the first time. */
	readonly firstListGraceMs?: number;
	/** How long a source that has an image waits for a slower one that is before it. */
	readonly findGraceMs?: number;
	/** For the lists kept as bytes. */
	readonly maxListBytes?: number;
}
