/**
 * What looks after the mirror while it runs, put together: keeping and dropping, reading again, fetching ahead, and
 * telling what happens.
 *
 * `assemble.ts` makes it when catalog, store and transfers are there, starts it before anybody may ask, configures it
 * anew on SIGHUP, and stops it before the store.
 */
import {hostname} from 'node:os';
import type {Flights} from './blobs/flights.js';
import type {Hashing} from './blobs/hashing.js';
import type {Layout} from './blobs/layout.js';
import {PinnedImages} from './blobs/pinned-images.js';
import {Scrub} from './blobs/scrub.js';
import type {DiskStore} from './blobs/store.js';
import {sweepLeftovers} from './blobs/sweep-partials.js';
import type {SourceSet} from './assemble-sources.js';
import type {Catalog} from './catalog/catalog.js';
import type {Config, ProxyEnvironment, WebhookConfig} from './config.js';
import {History} from './history/history.js';
import type {Host, Timer} from './host.js';
import {isSha1, isUuid, type Manifest} from './image/manifest.js';
import {Ahead} from './mirror-ahead.js';
import {Keeping} from './mirror-keeping.js';
import {Operate} from './mirror-operate.js';
import {Vitals, readiness} from './mirror-readiness.js';
import {Rows} from './mirror-rows.js';
import {Storage} from './mirror-storage.js';
import {Verification} from './mirror-verify.js';
import {Wants} from './mirror-wants.js';
import type {Mirror, Readiness} from './mirror.js';
import {Webhooks} from './notify/webhooks.js';
import {Prefetcher} from './prefetch/prefetcher.js';
import {Poster} from './sources/post.js';

export interface OperatingParts {
	readonly host: Host;
	readonly layout: Layout;
	readonly store: DiskStore;
	readonly hashing: Hashing;
	readonly catalog: Catalog;
	readonly flights: Flights;
	readonly mirror: Mirror;
	readonly sources: SourceSet;
	readonly version: string;
	readonly userAgent: string;
	readonly instanceId: string;
}

const heldSettleMs = 500;

export class Operating {
	readonly operate: Operate;
	readonly prefetch: Prefetcher;
	readonly history: History;
	/** Files fetched for nobody in particular. */
	readonly ahead: Ahead;
	readonly #parts: OperatingParts;
	readonly #pins: PinnedImages;
	readonly #keeping: Keeping;
	readonly #scrub: Scrub;
	readonly #verification: Verification;
	readonly #storage: Storage;
	readonly #webhooks: Webhooks;
	readonly #poster: Poster;
	readonly #vitals: Vitals;
	#config: Config;
	#unlisten = (): void => undefined;
	#heldTimer: Timer | undefined;

	constructor(config: Config, parts: OperatingParts) {
		const {host, layout, store, catalog, flights, mirror, hashing, sources, version} = parts;
		const {publish, files} = mirror;
		this.#config = config;
		this.#parts = parts;
		this.#pins = new PinnedImages({layout, host});
		const wants = new Wants();
		const held = {catalog, store, flights, publish, files, pins: this.#pins, wants};
		this.#keeping = new Keeping(held);
		this.#scrub = new Scrub({
			...{host, layout, store, options: config.scrub},
			onWrong: (info, problem) => this.#verification.onWrong(info, problem),
		});
		this.#verification = new Verification({host, ...held, scrub: this.#scrub});
		this.#storage = new Storage({
			...{store, scrub: this.#scrub, verification: this.#verification},
			nameOf: uuid => nameOf(catalog, uuid),
		});
		this.operate = new Operate({
			...{host, ...held, rows: new Rows(held), storage: this.#storage, verification: this.#verification},
			sources: () =>
				sources.list().map(({settings, source}) => ({
					name: settings.name,
					urls: settings.urls,
					health: source.health(),
				})),
		});
		this.ahead = new Ahead(held);
		this.prefetch = new Prefetcher({
			...{host, ahead: this.ahead},
			settings: config.prefetch,
			file: layout.prefetch,
		});
		this.history = new History({host, sources: () => this.#samples(), ...this.#record(layout.history)});
		this.#poster = newPoster(parts, config.environment);
		this.#webhooks = new Webhooks({
			host,
			settings: hooksOf(config.webhooks),
			mirror: {version, host: hostname()},
			post: request => this.#poster.post(request),
			...this.#record(layout.hooks),
			setAside: () => parts.store.setRecordAside(layout.hooks),
		});
		this.#vitals = new Vitals({
			...{host, file: layout.alive},
			sha1Of: async (file, bytes) => {
				const hash = hashing.follow(file, ['sha1']);
				try {
					return (await hash.digests(bytes)).sha1;
				} finally {
					hash.abandon();
				}
			},
		});
		mirror.operating = {
			report: () => this.#report(),
			readiness: facts => this.#readiness(facts),
		};
	}

	/** Before anybody asks anything: what must stay is known before anything may go. */
	async start({briefly}: {readonly briefly: boolean}): Promise<void> {
		const {host, store, catalog} = this.#parts;
		await this.#pins.load();
		await this.history.load();
		await this.#webhooks.load();
		this.#webhooks.start();
		this.history.start();
		this.#unlisten = host.events.listen(({type}) => {
			if (type === 'catalog.changed') {
				this.prefetch.catalogChanged();
			} else if (type === 'image.evicted' || type === 'verification.failed') {
				this.#heldChangedSoon();
			}
		});
		await this.prefetch.start({runs: !briefly});
		store.keeper.setFacts(() => this.#keeping.facts());
		await store.keeper.look();
		await this.#scrub.load();
		if (!briefly) {
			this.#scrub.start();
		}
		host.metrics.pinnedImages.set([...this.#pins.list()].length);
		host.metrics.heldImages.set(catalog.heldImages().length);
	}

	/** Throws ConfigError for what only shows when it is tried. Nothing changes. */
	check({prefetch}: Config): void {
		this.prefetch.check(prefetch);
	}

	configure(config: Config, keep: Config['store']): void {
		this.#config = config;
		const {store} = this.#parts;
		store.keeper.setLimits(keep);
		this.#scrub.setOptions(config.scrub);
		this.prefetch.setSettings(config.prefetch);
		this.#webhooks.setSettings(hooksOf(config.webhooks));
	}

	/** What is to be done every now and then. */
	async tidy(): Promise<void> {
		const {store, catalog, host} = this.#parts;
		const {metrics} = host;
		await store.keeper.sweep();
		await sweepLeftovers({
			...{host, store},
			keepMs: this.#config.store.keepPartialsMs,
			isWanted: key => this.#isWanted(key),
			isOurs: key => isSha1(key) && store.isPinned(key),
			digests: {
				names: () => store.images.foundNames(),
				isKnown: uuid => this.#isKnown(uuid),
				remove: name => store.images.forgetFound(name),
			},
		});
		metrics.pinnedImages.set([...this.#pins.list()].length);
		metrics.heldImages.set(catalog.heldImages().length);
		metrics.damagedImages.set(this.#verification.damaged().length + this.#parts.mirror.publish.unreadable.length);
	}

	async stop(): Promise<void> {
		this.#unlisten();
		this.#heldTimer?.cancel();
		this.#verification.stop();
		await Promise.all([this.prefetch.stop(), this.#scrub.stop(), this.#webhooks.stop(), this.history.stop()]);
		await this.#poster.close();
		this.#vitals.stop();
	}

	/** Files go in heaps, and what only their being here had in the list goes with them. */
	#heldChangedSoon(): void {
		this.#heldTimer ??= this.#parts.host.clock.after(heldSettleMs, () => {
			this.#heldTimer = undefined;
			this.#parts.catalog.heldChanged();
		});
	}

	/** `undefined` while a source has said nothing yet: it may have it. */
	#isKnown(uuid: string): boolean | undefined {
		const {catalog} = this.#parts;
		const isThere = isUuid(uuid) && catalog.known(uuid) !== undefined;
		return isThere || (this.#allSaid() ? false : undefined);
	}

	/** A part whose image nobody has any more will never be a whole. */
	#isWanted(key: string): boolean | undefined {
		if (key.includes('.')) {
			return this.#isKnown(key.slice(0, key.indexOf('.')));
		}
		const {catalog, mirror} = this.#parts;
		const {publish, files} = mirror;
		const has = (manifest: Manifest): boolean =>
			manifest.files.some((_, index) => files.sha1Of(manifest, index) === key);
		const isThere = some(catalog.manifests(), has) || publish.list().some(has);
		return isThere || (this.#allSaid() ? false : undefined);
	}

	#allSaid(): boolean {
		return this.#parts.catalog.status().sources.every(({fetchedAt}) => fetchedAt !== undefined);
	}

	#samples(): ReturnType<ConstructorParameters<typeof History>[0]['sources']> {
		const status = new Map(this.#parts.catalog.status().sources.map(source => [source.name, source]));
		return this.#parts.sources.list().map(({settings, source}) => {
			const {state, latencyMs, lastError} = source.health();
			const ageMs = status.get(settings.name)?.ageMs;
			return {
				...{name: settings.name, state, latencyMs, ageMs},
				...(state === 'down' && lastError !== undefined ? {problem: lastError} : {}),
			};
		});
	}

	/** One small file that is written whole or not at all. */
	#record(file: string): {read: () => Promise<string | undefined>; write: (text: string) => Promise<void>} {
		const {store} = this.#parts;
		return {read: () => store.readRecord(file), write: text => store.writeRecord(file, text)};
	}

	async #report(): Promise<object> {
		const {store, catalog} = this.#parts;
		return {
			held: catalog.heldImages().length,
			pinned: [...this.#pins.list()].length,
			keeping: await store.keeper.report(),
			partials: store.partialCount,
			partialBytes: store.partialBytes,
			scrub: this.#storage.scrub(),
			rules: this.prefetch.rules(),
			webhooks: this.#webhooks.report(),
			failures: this.operate.failures().slice(0, 20),
		};
	}

	async #readiness(stopping: boolean): Promise<Readiness> {
		const {catalog, store} = this.#parts;
		const {sources, merged} = catalog.status();
		return readiness({
			stopping,
			images: merged,
			sources: sources.map(({name, fetchedAt, health}) => ({
				name,
				known: fetchedAt !== undefined,
				down: health === 'down',
				wrong: this.#parts.mirror.files.isDistrusted(name),
			})),
			vitals: await this.#vitals.signs(),
			diskLow: store.keeper.low,
			damaged: this.#verification.damaged(),
			unreadable: this.#parts.mirror.publish.unreadable,
			others: this.#parts.host.troubles.list(),
			failingHooks: this.#webhooks
				.report()
				.filter(({failingSince, gone}) => failingSince !== undefined || gone)
				.map(({name}) => name),
		});
	}
}

function some<T>(values: Iterable<T>, is: (value: T) => boolean): boolean {
	for (const value of values) {
		if (is(value)) {
			return true;
		}
	}
	return false;
}

function nameOf(catalog: Catalog, uuid: Parameters<Catalog['known']>[0]): string | undefined {
	const manifest = catalog.known(uuid)?.manifest;
	return manifest === undefined ? undefined : `${manifest.name} ${manifest.version}`;
}

function newPoster({host, userAgent, instanceId}: OperatingParts, environment: ProxyEnvironment): Poster {
	return new Poster({host, userAgent, instanceId, environment});
}

function hooksOf(webhooks: readonly WebhookConfig[]): ConstructorParameters<typeof Webhooks>[0]['settings'] {
	return webhooks;
}
