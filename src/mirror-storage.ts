/**
 * What the disk holds, why each file stays, and what would go next: in words that an operator can act on.
 */
import type {KeptImage, Protection, Verdict} from './blobs/keep-facts.js';
import type {Scrub} from './blobs/scrub.js';
import type {DiskStore} from './blobs/store.js';
import type {Sha1, Uuid} from './image/manifest.js';
import type {ScrubReport, StorageReport, StoredFile} from './mirror-operate-api.js';
import type {Verification} from './mirror-verify.js';

export interface StorageParts {
	readonly store: DiskStore;
	readonly scrub: Scrub;
	readonly verification: Verification;
	readonly nameOf: (uuid: Uuid) => string | undefined;
}

export class Storage {
	readonly #parts: StorageParts;

	constructor(parts: StorageParts) {
		this.#parts = parts;
	}

	async report(): Promise<StorageReport> {
		const {store} = this.#parts;
		const keeping = await store.keeper.report();
		const verdicts = await store.keeper.verdictsInSteps();
		const all = verdicts.map(verdict => this.#file(verdict));
		return {
			files: store.count,
			bytes: store.bytes,
			partials: store.partialCount,
			partialBytes: store.partialBytes,
			reservedBytes: store.reservedBytes,
			...keeping,
			all,
			quarantine: (await store.quarantined.list()).map(({name, size, sinceMs, note}) => ({
				...{name, size, since: new Date(sinceMs).toISOString()},
				...(note === undefined ? {} : {note}),
			})),
			scrub: this.scrub(),
		};
	}

	scrub(): ScrubReport {
		const {scrub, verification} = this.#parts;
		return {...scrub.report(), damaged: verification.damaged()};
	}

	verifiedAtMs(sha1: Sha1): number | undefined {
		return this.#parts.scrub.verifiedAtMs(sha1);
	}

	/** Why a file stays; empty: it may go. */
	stays(verdict: Verdict): readonly string[] {
		return [...new Set(verdict.protections.map(protection => this.#words(protection, verdict.images)))];
	}

	#file(verdict: Verdict): StoredFile {
		const {sha1, size, images, storedAtMs, lastUsedMs} = verdict;
		const verifiedAtMs = this.#parts.scrub.verifiedAtMs(sha1);
		return {
			...{sha1, size},
			images: images.map(({uuid, name, version}) => ({uuid, name, version})),
			storedAt: new Date(storedAtMs).toISOString(),
			lastUsedAt: new Date(lastUsedMs).toISOString(),
			...(verifiedAtMs === undefined ? {} : {verifiedAt: new Date(verifiedAtMs).toISOString()}),
			stays: this.stays(verdict),
		};
	}

	#words(protection: Protection, images: readonly KeptImage[]): string {
		switch (protection.kind) {
			case 'published':
				return `published or imported here${this.#unless(protection.image, images)}`;
			case 'pinned':
				return `pinned${this.#unless(protection.image, images)}`;
			case 'origin':
				return `${this.#name(protection.of)} is built upon it, and stays`;
			case 'wanted':
				return `rule ${protection.rule} wants it`;
			case 'in-use':
				return 'in use just now, or a moment ago';
		}
	}

	/** A file of several images: which of them it is. */
	#unless(uuid: Uuid, images: readonly KeptImage[]): string {
		return images.length > 1 ? ` as ${this.#name(uuid)}` : '';
	}

	#name(uuid: Uuid): string {
		const name = this.#parts.nameOf(uuid);
		return name === undefined ? uuid : `${name} (${uuid.slice(0, 8)})`;
	}
}
