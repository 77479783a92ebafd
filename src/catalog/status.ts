/**
 * The catalog as an operator wants to see it: plain data, made when somebody looks.
 */
import type {SourceKind} from '../sources/source.js';
import type {Conflict, Merged} from './merge.js';
import type {SourceList} from './source-list.js';

export interface SourceStatus {
	readonly name: string;
	readonly kind: SourceKind | undefined;
	/** In our list because of this source. */
	readonly images: number;
	readonly fetchedAt: string | undefined;
	readonly ageMs: number | undefined;
	readonly fresh: boolean;
	/** Entries of its list that could not be used, and the first few reasons. */
	readonly skipped: number;
	readonly reasons: readonly string[];
	/** Images that are in its list no more and known all the same. */
	readonly vanished: number;
	readonly lastError: string | undefined;
	readonly nextTryAt: string | undefined;
	/** As whoever watches it says. */
	readonly health: string | undefined;
}

export interface CatalogStatus {
	readonly merged: number;
	readonly conflictCount: number;
	/** The first of them. */
	readonly conflicts: readonly Conflict[];
	readonly sources: readonly SourceStatus[];
}

const shownConflicts = 100;

export function catalogStatus(lists: readonly SourceList[], merged: Merged, now: number): CatalogStatus {
	return {
		merged: merged.images.length,
		conflictCount: merged.conflicts.length,
		conflicts: merged.conflicts.slice(0, shownConflicts),
		sources: lists.map(list => ({
			name: list.name,
			kind: list.kind,
			images: list.known ? list.images.length : 0,
			fetchedAt: timeOf(list.fetchedAt),
			ageMs: list.fetchedAt === undefined ? undefined : now - list.fetchedAt,
			fresh: list.fresh,
			skipped: list.end.skipped,
			reasons: list.end.reasons,
			vanished: list.goneCount,
			lastError: list.lastError,
			nextTryAt: timeOf(list.nextTryAt),
			health: list.entry.health?.().state,
		})),
	};
}

function timeOf(ms: number | undefined): string | undefined {
	return ms === undefined ? undefined : new Date(ms).toISOString();
}
