/**
 * The catalog as an operator wants to see it: plain data, made when somebody looks.
 */
import type {Host} from '../host.js';
import type {SourceKind} from '../sources/source.js';
import type {Conflict, Merged} from './merge.js';
import type {SourceList} from './source-list.js';

export interface SourceStatus {
	readonly name: string;
	readonly kind: SourceKind | undefined;
	/** In its list, or gone from it and kept. */
	readonly images: number;
	/** In its list, and not offered by it: too young, not released, or held by an operator. */
	readonly held: number;
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

export function catalogStatus(
	lists: readonly SourceList[],
	merged: Merged,
	now: number,
	heldBackBy: (source: string) => number,
): CatalogStatus {
	return {
		merged: merged.images.length,
		conflictCount: merged.conflicts.length,
		conflicts: merged.conflicts.slice(0, shownConflicts),
		sources: lists.map(list => ({
			name: list.name,
			kind: list.kind,
			images: list.known ? list.images.length : 0,
			held: list.known ? heldBackBy(list.name) : 0,
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

/** Sets the gauges, which change by themselves. */
export function updateGauges({metrics, clock}: Host, lists: readonly SourceList[], merged: Merged): void {
	for (const list of lists) {
		const labels = {source: list.name};
		metrics.catalogImages.set(labels, list.known ? list.images.length : 0);
		metrics.catalogSkipped.set(labels, list.end.skipped);
		if (list.fetchedAt !== undefined) {
			metrics.catalogAgeSeconds.set(labels, Math.max(0, clock.now() - list.fetchedAt) / 1000);
		}
	}
	metrics.catalogMerged.set(merged.images.length);
	metrics.catalogConflicts.set(merged.conflicts.length);
}

/** There is no such source any more. */
export function removeGauges({metrics}: Host, source: string): void {
	for (const gauge of [metrics.catalogImages, metrics.catalogAgeSeconds, metrics.catalogSkipped]) {
		gauge.remove({source});
	}
}

function timeOf(ms: number | undefined): string | undefined {
	return ms === undefined ? undefined : new Date(ms).toISOString();
}
