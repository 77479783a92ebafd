/**
 * Whose lists the lists of sources are: what they tell the catalog, and what they ask of it.
 */
import type {Manifest, Uuid} from '../image/manifest.js';
import type {HeldImage, KnownList} from './known.js';
import type {KnownBesides, ListChanges, RefreshedHow} from './news.js';
import type {SourceList} from './source-list.js';

/** What a source list needs of the catalog. */
export interface ListOwner {
	/** The list, or whether it counts, is another than before. */
	changed(): void;
	/** An image was dropped: it is gone from this source, surely and for good. */
	dropped(list: SourceList, manifest: Manifest): void;
	/** Images from this source of which we hold files. */
	heldFrom(source: string): Iterable<HeldImage>;
	/** The same manifest as an object that is there already, if there is one. */
	shared(manifest: Manifest): Manifest;
	remembered(source: string, list: KnownList): void;
	/** One list after the other becomes the one that counts, so that what several have alike becomes one object. */
	inTurn<T>(take: () => Promise<T>): Promise<T>;
	/** A list has been read, and will be told of. */
	prepare(source: string): Promise<void>;
	/** A list was read to its end, and is the one that counts. */
	listed(list: SourceList, changes: ListChanges, besides: KnownBesides): void;
	refreshed(changes: ListChanges, how: RefreshedHow): void;
	/**
	 * After each list, behind whoever waits for it: forgets what was seen of this source and is there no more. Throws nothing.
	 */
	sweep(list: SourceList, unwanted: ReadonlySet<Uuid>, signal: AbortSignal): Promise<void>;
}
