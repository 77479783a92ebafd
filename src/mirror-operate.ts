/**
 * The operator's verbs: what is here, what stays, what is offered, and how the mirror fares.
 *
 * HTTP serves it, and through it the command line and the page. It joins what the catalog, the store and the transfers
 * know; each of them decides for itself.
 */
import type {Flights} from './blobs/flights.js';
import type {PinnedImages} from './blobs/pinned-images.js';
import type {DiskStore} from './blobs/store.js';
import type {Catalog, KnownImage, OperatorHold} from './catalog/catalog.js';
import {NotFoundError, RefusedError} from './errors.js';
import type {EventType, Host, MirrorEvent} from './host.js';
import {isUuid, type Manifest, type Sha1, type Uuid} from './image/manifest.js';
import {originsOf} from './mirror-chain.js';
import {aboutImage, type Files} from './mirror-files.js';
import type {
	EvictOutcome,
	HeldReport,
	HoldReason,
	ImageDetails,
	ImageRow,
	OperateApi,
	Operator,
	PinOutcome,
	SourceReport,
	StorageReport,
	TransferReport,
	VerifyEvent,
} from './mirror-operate-api.js';
import {timeOf, type Rows} from './mirror-rows.js';
import type {Storage} from './mirror-storage.js';
import type {Verification} from './mirror-verify.js';
import type {PublishApi} from './publish/api.js';
import type {Ask, SourceHealth} from './sources/source.js';

/** A source as it was configured, and how it is. */
export interface WatchedSourceInfo {
	readonly name: string;
	/** Without passwords. */
	readonly urls: readonly string[];
	readonly health: SourceHealth;
}

export interface OperateParts {
	readonly host: Host;
	readonly catalog: Catalog;
	readonly store: DiskStore;
	readonly flights: Flights;
	readonly publish: PublishApi;
	readonly files: Files;
	readonly pins: PinnedImages;
	readonly rows: Rows;
	readonly storage: Storage;
	readonly verification: Verification;
	readonly sources: () => readonly WatchedSourceInfo[];
}

const failureTypes: ReadonlySet<EventType> = new Set([
	'transfer.failed',
	'verification.failed',
	'source.down',
	'disk.low',
	'disk.error',
	'webhook.failed',
]);
const shownFailures = 100;
const evictedAtOnce = 1000;
const notHere = 'it is not here';

export class Operate implements OperateApi {
	readonly #parts: OperateParts;

	constructor(parts: OperateParts) {
		this.#parts = parts;
	}

	rows(): Promise<readonly ImageRow[]> {
		return this.#parts.rows.all();
	}

	async details(uuid: Uuid): Promise<ImageDetails> {
		const {catalog, rows, store, storage, files} = this.#parts;
		const known = this.#known(uuid);
		const {manifest} = known;
		const isHere = manifest.files.some((_, index) => rows.hereOf(manifest, index) === 'here');
		const verdicts = new Map(
			isHere ? (await store.keeper.verdictsInSteps()).map(verdict => [verdict.sha1, verdict] as const) : [],
		);
		await catalog.prepareOverview();
		return {
			...rows.of(known),
			manifest: JSON.parse(manifest.text) as object,
			origins: originsOf(known, origin => catalog.known(origin)).map(origin =>
				typeof origin === 'string' ? {uuid: origin} : rows.of(origin),
			),
			dependents: catalog
				.overview()
				.filter(other => other.manifest.origin === uuid)
				.map(other => rows.of(other)),
			files: manifest.files.map(({size}, index) => {
				const sha1 = files.sha1Of(manifest, index);
				const verdict = sha1 === undefined ? undefined : verdicts.get(sha1);
				const storedAt = timeOf(verdict?.storedAtMs);
				const verifiedAt = sha1 === undefined ? undefined : timeOf(storage.verifiedAtMs(sha1));
				return {
					...(sha1 === undefined ? {} : {sha1}),
					size,
					here: rows.hereOf(manifest, index),
					...(storedAt === undefined ? {} : {storedAt}),
					...(verifiedAt === undefined ? {} : {verifiedAt}),
					stays: verdict === undefined ? [] : storage.stays(verdict),
				};
			}),
		};
	}

	transfers(): readonly TransferReport[] {
		const {flights, catalog} = this.#parts;
		return [...flights.status(), ...flights.passing()].map(flight => {
			const {image, file, size, written, resumedFrom, followers, source, waiting, background, bytesPerSecond} = flight;
			const manifest = isUuid(image) ? catalog.known(image)?.manifest : undefined;
			const left = size - written;
			return {
				image: {uuid: image, name: manifest?.name ?? '', version: manifest?.version ?? ''},
				...(file.includes('.') ? {} : {sha1: file}),
				...{size, written, resumedFrom, followers, waiting, background, bytesPerSecond},
				...(flight.passing ? {passing: true} : {}),
				...(source === undefined ? {} : {source}),
				since: new Date(flight.sinceMs).toISOString(),
				...(bytesPerSecond > 0 ? {etaMs: Math.round((left / bytesPerSecond) * 1000)} : {}),
			};
		});
	}

	sources(): readonly SourceReport[] {
		const {catalog, files} = this.#parts;
		const watched = new Map(this.#parts.sources().map(source => [source.name, source]));
		return catalog.status().sources.map(status => {
			const {name, kind, images, held, vanished, skipped, reasons, fetchedAt, ageMs, fresh} = status;
			const found = watched.get(name);
			return {
				...{name, urls: found?.urls ?? [], images, held, vanished, skipped, reasons, fresh},
				...(kind === undefined ? {} : {kind}),
				...(fetchedAt === undefined ? {} : {fetchedAt}),
				...(ageMs === undefined ? {} : {ageMs}),
				...(status.nextTryAt === undefined ? {} : {nextTryAt: status.nextTryAt}),
				...(status.lastError === undefined ? {} : {lastError: status.lastError}),
				...(files.isDistrusted(name) ? {wrongFiles: true} : {}),
				health: healthReport(found?.health, this.#parts.host.clock.now()),
			};
		});
	}

	conflicts(): readonly object[] {
		return this.#parts.catalog.status().conflicts;
	}

	storage(): Promise<StorageReport> {
		return this.#parts.storage.report();
	}

	failures(): readonly MirrorEvent[] {
		return this.#parts.host.events.recent(failureTypes, shownFailures);
	}

	held(): readonly HeldReport[] {
		const {catalog} = this.#parts;
		const known = catalog.heldImages().map(({manifest, reasons, firstSeenMs}) => {
			const {uuid, name, version, publishedAt} = manifest;
			const firstSeenAt = timeOf(firstSeenMs);
			return {
				...{uuid, name, version, reasons},
				...(publishedAt === undefined ? {} : {publishedAt}),
				...(firstSeenAt === undefined ? {} : {firstSeenAt}),
			};
		});
		// What nobody has any more stays held, and can be released.
		const shown = new Set<string>(known.map(({uuid}) => uuid));
		const others = [...catalog.holds.heldByOperators()]
			.filter(([uuid]) => !shown.has(uuid))
			.map(([uuid, hold]) => ({uuid, name: '', version: '', reasons: [operatorsHold(hold)]}));
		return [...known, ...others];
	}

	async pin(uuid: Uuid, by: Operator, ask: Ask): Promise<PinOutcome> {
		const {pins, host, store} = this.#parts;
		const manifest = await this.#find(uuid, ask);
		await this.#findOrigins(manifest, ask);
		const unchanged = !(await pins.pin(uuid, {by: by.name}));
		if (!unchanged) {
			store.keeper.changed();
			host.events.emit('image.pinned', {image: aboutImage(manifest), by: by.name});
		}
		return {uuid, chain: this.#chain(uuid), unchanged};
	}

	async unpin(uuid: Uuid, by: Operator): Promise<PinOutcome> {
		const {pins, host, catalog} = this.#parts;
		const manifest = catalog.known(uuid)?.manifest;
		const unchanged = !(await pins.unpin(uuid));
		if (unchanged && manifest === undefined) {
			throw new NotFoundError(`there is no image ${uuid}`);
		}
		if (!unchanged) {
			const image = manifest === undefined ? {uuid, name: '', version: '', public: false} : aboutImage(manifest);
			host.events.emit('image.unpinned', {image, by: by.name});
		}
		return {uuid, chain: this.#chain(uuid), unchanged};
	}

	async evict(
		uuids: readonly Uuid[],
		{force}: {readonly force: boolean},
		by: Operator,
	): Promise<readonly EvictOutcome[]> {
		const outcomes = new Map<string, EvictOutcome>();
		// What is built upon others first, in whatever order they were named.
		const left = [...this.#childrenFirst(uuids)];
		while (left.length > 0) {
			for (const outcome of await this.#evictSome(left.splice(0, evictedAtOnce), force, by)) {
				outcomes.set(outcome.uuid, outcome);
			}
		}
		return uuids.flatMap(uuid => outcomes.get(uuid) ?? []);
	}

	async hold(uuid: Uuid, note: string | undefined, by: Operator, ask: Ask): Promise<HeldReport> {
		const {catalog, host, publish} = this.#parts;
		if (publish.get(uuid) !== undefined) {
			throw new RefusedError('NotImageOwner', `image ${uuid} was published here: disable it instead`);
		}
		const manifest = await this.#find(uuid, ask);
		await catalog.holds.hold(uuid, {by: by.name, note});
		host.log.info({image: uuid, by: by.name, note}, 'an image is held');
		const {name, version} = manifest;
		return (
			this.held().find(report => report.uuid === uuid) ?? {
				...{uuid, name, version},
				reasons: [operatorsHold({by: by.name, note})],
			}
		);
	}

	async release(uuid: Uuid, by: Operator, ask: Ask): Promise<readonly Uuid[]> {
		const {catalog, host} = this.#parts;
		const known = catalog.known(uuid) ?? (await this.#lookUpUnlessHeld(uuid, ask));
		if (known === undefined) {
			await catalog.holds.release(uuid, {by: by.name});
			return [uuid];
		}
		const origins = originsOf(known, origin => catalog.known(origin)).map(origin =>
			typeof origin === 'string' ? origin : origin.manifest.uuid,
		);
		const released = [uuid, ...origins];
		// What it is built upon first: it is offered when they are.
		for (const each of released.toReversed()) {
			await catalog.holds.release(each, {by: by.name});
		}
		host.log.info({image: uuid, origins, by: by.name}, 'an image is released');
		return released;
	}

	async refresh(source: string | undefined): Promise<readonly {readonly source: string; readonly problem?: string}[]> {
		const outcomes = await this.#parts.catalog.refresh(source);
		return outcomes.map(({source: name, problem}) => ({
			source: name,
			...(problem === undefined ? {} : {problem}),
		}));
	}

	verify(
		options: {readonly uuids: readonly Uuid[]; readonly bytesPerSecond: number},
		signal: AbortSignal,
	): AsyncGenerator<VerifyEvent, void, undefined> {
		return this.#parts.verification.run(options, signal);
	}

	/** Throws NotFoundError. */
	#known(uuid: Uuid): KnownImage {
		const known = this.#parts.catalog.known(uuid);
		if (known === undefined) {
			throw new NotFoundError(`there is no image ${uuid}`);
		}
		return known;
	}

	/** `undefined`: nobody has it any more, but it is held all the same. */
	async #lookUpUnlessHeld(uuid: Uuid, ask: Ask): Promise<KnownImage | undefined> {
		const {catalog} = this.#parts;
		try {
			return await catalog.lookUp(uuid, ask);
		} catch (error) {
			if (catalog.holds.isHeldByOperator(uuid)) {
				return undefined;
			}
			throw error;
		}
	}

	/** Held ones included. */
	async #find(uuid: Uuid, ask: Ask): Promise<Manifest> {
		return (await this.#parts.catalog.lookUp(uuid, ask)).manifest;
	}

	/** So that they are known, and stay as well. */
	async #findOrigins(manifest: Manifest, ask: Ask): Promise<void> {
		const seen = new Set<Uuid>([manifest.uuid]);
		let next = manifest.origin;
		while (next !== undefined && !seen.has(next)) {
			seen.add(next);
			const found: Manifest | undefined = await this.#find(next, ask).catch(() => undefined);
			next = found?.origin;
		}
	}

	#chain(uuid: Uuid): PinOutcome['chain'] {
		const {catalog, files} = this.#parts;
		const known = catalog.known(uuid);
		const entry = (image: KnownImage): PinOutcome['chain'][number] => ({
			uuid: image.manifest.uuid,
			name: `${image.manifest.name} ${image.manifest.version}`,
			here: files.areHere(image.manifest),
		});
		return known === undefined
			? [{uuid, here: false}]
			: [
					entry(known),
					...originsOf(known, origin => catalog.known(origin)).map(origin =>
						typeof origin === 'string' ? {uuid: origin, here: false} : entry(origin),
					),
				];
	}

	#childrenFirst(uuids: readonly Uuid[]): readonly Uuid[] {
		const {catalog} = this.#parts;
		const depth = (uuid: Uuid): number => {
			const known = catalog.known(uuid);
			return known === undefined ? 0 : originsOf(known, origin => catalog.known(origin)).length;
		};
		return [...new Set(uuids)]
			.map(uuid => ({uuid, depth: depth(uuid)}))
			.sort((a, b) => b.depth - a.depth)
			.map(({uuid}) => uuid);
	}

	/** To find out what may go takes a while with many files: once for all of these. */
	async #evictSome(uuids: readonly Uuid[], force: boolean, by: Operator): Promise<readonly EvictOutcome[]> {
		const found = uuids.map(uuid => ({uuid, files: this.#filesToEvict(uuid, force)}));
		const sha1s = new Set(found.flatMap(({files}) => (typeof files === 'string' ? [] : files)));
		const evicted = sha1s.size === 0 ? [] : await this.#parts.store.keeper.evict([...sha1s], {force, by: by.name});
		const left = new Map(evicted.map(outcome => [outcome.sha1, outcome]));
		return found.map(({uuid, files}): EvictOutcome => {
			if (typeof files === 'string') {
				return {uuid, bytes: 0, problem: files};
			}
			// Of two images with one file it goes for the sake of the first.
			const its = files.flatMap(sha1 => left.get(sha1) ?? []);
			const problem = its.length === 0 ? notHere : its.find(outcome => outcome.problem !== undefined)?.problem;
			const bytes = its.reduce((sum, outcome) => sum + outcome.bytes, 0);
			for (const {sha1} of its.filter(outcome => outcome.problem === undefined)) {
				left.delete(sha1);
			}
			return {uuid, bytes, ...(problem === undefined ? {} : {problem})};
		});
	}

	/** Or why none of them may go. */
	#filesToEvict(uuid: Uuid, force: boolean): readonly Sha1[] | string {
		const {catalog, files, publish, store} = this.#parts;
		const known = catalog.known(uuid);
		if (publish.get(uuid) !== undefined) {
			return 'it was published or imported here: "imgmirror help evict" says how to delete it';
		}
		if (known === undefined) {
			return 'there is no such image';
		}
		const {manifest} = known;
		const sha1s = manifest.files
			.map((_, index) => files.sha1Of(manifest, index))
			.filter((sha1): sha1 is Sha1 => sha1 !== undefined && store.stat(sha1) !== undefined);
		if (sha1s.length === 0) {
			return notHere;
		}
		if (!force && (known.sources.length === 0 || known.vanished)) {
			return 'no source offers it any more: it could not be had again';
		}
		return sha1s;
	}
}

function operatorsHold({by, note}: Pick<OperatorHold, 'by' | 'note'>): HoldReason {
	return {source: '', why: 'operator', ...(by === undefined ? {} : {by}), ...(note === undefined ? {} : {note})};
}

function healthReport(health: SourceHealth | undefined, nowMs: number): SourceReport['health'] {
	if (health === undefined) {
		const since = new Date(nowMs).toISOString();
		return {state: 'unknown', since, consecutiveFailures: 0, requests: 0, failures: 0, marks: 0};
	}
	const {state, sinceMs, lastSuccessMs, lastFailureMs, lastError, latencyMs, lastMark} = health;
	const {consecutiveFailures, requests, failures, marks} = health;
	const lastSuccessAt = timeOf(lastSuccessMs);
	const lastFailureAt = timeOf(lastFailureMs);
	return {
		...{state, since: new Date(sinceMs).toISOString(), consecutiveFailures, requests, failures, marks},
		...(lastSuccessAt === undefined ? {} : {lastSuccessAt}),
		...(lastFailureAt === undefined ? {} : {lastFailureAt}),
		...(lastError === undefined ? {} : {lastError}),
		...(latencyMs === undefined ? {} : {latencyMs: Math.round(latencyMs)}),
		...(lastMark === undefined ? {} : {lastMark}),
	};
}
