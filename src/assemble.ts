/**
 * The only place that builds the parts: a configuration in, a running mirror out.
 *
 * The CLI calls it once; SIGHUP comes back through `reload`, SIGTERM through `stop`. What a part needs it is given
 * here, so no other file knows more of the house than its neighbours.
 */
import {randomUUID} from 'node:crypto';
import {isDeepStrictEqual} from 'node:util';
import {Flights} from './blobs/flights.js';
import {Hashing} from './blobs/hashing.js';
import {Layout, prepareLayout} from './blobs/layout.js';
import {DataLock} from './blobs/lock.js';
import {DiskStore} from './blobs/store.js';
import {Catalog, type CatalogSource} from './catalog/catalog.js';
import {Memory} from './catalog/memory.js';
import type {Config, SourceConfig} from './config.js';
import {asError} from './errors.js';
import {Metrics, createLogger, systemClock, type Host} from './host.js';
import {startHttp, type HttpFront, type HttpSettings} from './http/server.js';
import {Mirror} from './mirror.js';
import {createFilter} from './sources/filter.js';
import {openSource} from './sources/open-source.js';
import type {HealthySource} from './sources/source.js';

export interface AssembleOptions {
	readonly version: string;
	/** Where the log goes. */
	readonly stderr: {write(text: string): unknown; readonly isTTY?: boolean};
	/** Instead of the real one: for tests. */
	readonly host?: Host;
}

export interface RunningMirror {
	/** Really bound: `http://127.0.0.1:8080`, `unix:/path`. */
	readonly addresses: readonly string[];
	readonly mirror: Mirror;
	/** Takes over what can be changed while running. Resolves with notes on what cannot. */
	reload(config: Config): Promise<readonly string[]>;
	/** Stops accepting, lets responses finish for a while, suspends transfers. */
	stop(): Promise<void>;
}

/** How often numbers that change by themselves are brought up to date, and old quarantine is swept. */
const housekeepingMs = 60_000;

export async function assemble(config: Config, options: AssembleOptions): Promise<RunningMirror> {
	const host = options.host ?? realHost(config, options.stderr);
	const undo: (() => Promise<void> | void)[] = [];
	try {
		return await build(config, {version: options.version, host, layout: new Layout(config.data), undo});
	} catch (error) {
		// What went wrong first is what is told.
		await runAll(undo.reverse()).catch(() => undefined);
		throw error;
	}
}

function realHost({log}: Config, stderr: AssembleOptions['stderr']): Host {
	const auto = stderr.isTTY === true ? 'text' : 'json';
	const format = log.format === 'auto' ? auto : log.format;
	const metrics = new Metrics();
	metrics.collectProcess();
	return {
		clock: systemClock,
		log: createLogger({level: log.level, format, write: line => stderr.write(line)}),
		metrics,
		random: Math.random,
	};
}

async function build(
	config: Config,
	parts: {version: string; host: Host; layout: Layout; undo: (() => Promise<void> | void)[]},
): Promise<RunningMirror> {
	const {version, host, layout, undo} = parts;
	const hashing = new Hashing();
	undo.push(() => hashing.close());
	const store = new DiskStore({layout, host, hashing, quarantine: config.quarantine});
	await prepareLayout(layout);
	const lock = await DataLock.take(layout);
	undo.push(() => lock.release());
	await store.load();
	undo.push(() => store.close());
	const memory = await Memory.open({host, directory: layout.memory, file: 'memory.sqlite'});
	undo.push(() => memory.close());

	const instanceId = randomUUID();
	const sources = new SourceSet({host, userAgent: `imgmirror/${version}`, instanceId});
	undo.push(() => sources.close());
	const catalog: Catalog = new Catalog({
		host,
		memory,
		sources: sources.plan(config).use(),
		held: {
			list: () => store.images.list(),
			onDrop: manifest => {
				void store
					.dropImage(manifest.uuid)
					.then(() => {
						catalog.heldChanged();
					})
					.catch((error: unknown) => {
						host.log.error({err: error, image: manifest.uuid}, 'a dropped image could not be deleted');
					});
			},
		},
		instanceId,
	});
	await catalog.start();
	undo.push(() => catalog.stop());
	const flights = new Flights({store, host, limits: flightLimits(config)});
	undo.push(() => flights.suspend());
	const mirror = new Mirror({host, version, catalog, store, flights});
	const front = await startHttp({mirror, host, version, instanceId, listen: config.listen, ...httpSettings(config)});
	undo.push(() => front.stop({drainMs: 0}));
	const housekeeping = startHousekeeping({host, mirror, store});
	undo.push(housekeeping);
	return new Running({
		config,
		parts: {host, store, memory, catalog, flights, mirror, front, sources, hashing, lock, housekeeping},
	});
}

interface Parts {
	readonly host: Host;
	readonly store: DiskStore;
	readonly memory: Memory;
	readonly catalog: Catalog;
	readonly flights: Flights;
	readonly mirror: Mirror;
	readonly front: HttpFront;
	readonly sources: SourceSet;
	readonly hashing: Hashing;
	readonly lock: DataLock;
	readonly housekeeping: () => void;
}

class Running implements RunningMirror {
	readonly #parts: Parts;
	#config: Config;
	#stopping: Promise<void> | undefined;

	constructor({config, parts}: {config: Config; parts: Parts}) {
		this.#config = config;
		this.#parts = parts;
	}

	get addresses(): readonly string[] {
		return this.#parts.front.addresses;
	}

	get mirror(): Mirror {
		return this.#parts.mirror;
	}

	async reload(config: Config): Promise<readonly string[]> {
		const {host, front, catalog, sources, flights, store} = this.#parts;
		// What may fail comes first: neither a key that cannot be read nor a port that is taken changes anything.
		const planned = sources.plan(config);
		try {
			await front.setListeners(config.listen);
		} catch (error) {
			planned.discard();
			throw error;
		}
		await catalog.setSources(planned.use());
		front.setOptions(httpSettings(config));
		flights.setLimits(flightLimits(config));
		store.quarantined.setLimits(config.quarantine);
		host.log.level = config.log.level;
		const notes = restartNotes(this.#config, config);
		this.#config = config;
		return notes;
	}

	stop(): Promise<void> {
		this.#stopping ??= this.#stop();
		return this.#stopping;
	}

	async #stop(): Promise<void> {
		const {mirror, front, flights, catalog, store, memory, sources, hashing, lock, housekeeping} = this.#parts;
		mirror.announceStop();
		housekeeping();
		await runAll([
			() => front.stop({drainMs: this.#config.drainTimeoutMs}),
			() => flights.suspend(),
			() => catalog.stop(),
			() => sources.close(),
			() => memory.close(),
			() => store.close(),
			() => hashing.close(),
			() => lock.release(),
		]);
	}
}

/** One after the other, and all of them: the lock must be let go of even where the database cannot be closed. */
async function runAll(steps: readonly (() => Promise<void> | void)[]): Promise<void> {
	const failures: unknown[] = [];
	for (const step of steps) {
		try {
			await step();
		} catch (error) {
			failures.push(error);
		}
	}
	if (failures.length > 0) {
		throw failures.length === 1 ? asError(failures[0]) : new AggregateError(failures, 'several parts failed');
	}
}

interface OpenSource {
	readonly settings: SourceConfig;
	readonly source: HealthySource;
}

/** The sources that are open. One whose settings do not change stays the same object across a reload. */
class SourceSet {
	readonly #deps: {readonly host: Host; readonly userAgent: string; readonly instanceId: string};
	#open: ReadonlyMap<string, OpenSource> = new Map();

	constructor(deps: {host: Host; userAgent: string; instanceId: string}) {
		this.#deps = deps;
	}

	/** Opens what is new. Nothing else changes until `use`. Throws ConfigError where a file cannot be read. */
	plan(config: Config): {use(): readonly CatalogSource[]; discard(): void} {
		const {environment} = config;
		const before = this.#open;
		const next = new Map<string, OpenSource>();
		for (const settings of config.sources) {
			const open = before.get(settings.name);
			const same = open !== undefined && isDeepStrictEqual(open.settings, settings) && !hasFiles(settings);
			next.set(settings.name, same ? open : {settings, source: openSource(settings, {...this.#deps, environment})});
		}
		return {
			use: () => {
				this.#open = next;
				closeAllBut(before, next);
				return [...next.values()].map(catalogSource);
			},
			discard: () => {
				closeAllBut(next, before);
			},
		};
	}

	async close(): Promise<void> {
		await Promise.all([...this.#open.values()].map(({source}) => source.close()));
	}
}

/** A transfer under way keeps its connection until it ends: nobody waits for that here. */
function closeAllBut(sources: ReadonlyMap<string, OpenSource>, kept: ReadonlyMap<string, OpenSource>): void {
	for (const [name, {source}] of sources) {
		if (kept.get(name)?.source !== source) {
			void source.close().catch(() => undefined);
		}
	}
}

function catalogSource({settings, source}: OpenSource): CatalogSource {
	return {
		source,
		listTtlMs: settings.listTtlMs,
		imageTtlMs: settings.imageTtlMs,
		missingTtlMs: settings.missingTtlMs,
		keepForMs: settings.keepForMs,
		vanished: settings.vanished,
		matches: createFilter(settings.include, settings.exclude),
		health: () => source.health(),
	};
}

/** Files are read when a source is opened: they may have changed where the configuration has not. */
function hasFiles(settings: SourceConfig): boolean {
	const {caFile, certFile, keyFile, auth} = settings;
	return [caFile, certFile, keyFile].some(file => file !== undefined) || auth.kind === 'signature';
}

function flightLimits(config: Config): {concurrent: number; finishAbandonedBytes: number; retries: number} {
	// One bound for a transfer, which may have several sources: the most patient one's.
	const retries = Math.max(0, ...config.sources.map(source => source.retries));
	return {...config.transfers, retries};
}

function httpSettings(config: Config): HttpSettings {
	return {
		basePath: config.basePath,
		publicUrl: config.publicUrl,
		datasetNames: config.datasets,
		limits: config.http,
	};
}

function restartNotes(before: Config, after: Config): readonly string[] {
	const notes: string[] = [];
	const check = (key: string, a: unknown, b: unknown): void => {
		if (!isDeepStrictEqual(a, b)) {
			notes.push(`"${key}" takes effect at the next start`);
		}
	};
	check('data', before.data, after.data);
	check('basePath', before.basePath, after.basePath);
	check('log.format', before.log.format, after.log.format);
	return notes;
}

function startHousekeeping(parts: {host: Host; mirror: Mirror; store: DiskStore}): () => void {
	const {host, mirror, store} = parts;
	let stopped = false;
	let cancel = (): void => undefined;
	const again = (): void => {
		const timer = host.clock.after(housekeepingMs, () => {
			void Promise.all([mirror.updateMetrics(), store.quarantined.sweep(), store.images.writeMissing()])
				.catch((error: unknown) => {
					host.log.warn({err: error}, 'housekeeping failed');
				})
				.finally(() => {
					if (!stopped) {
						again();
					}
				});
		});
		cancel = () => {
			timer.cancel();
		};
	};
	again();
	return () => {
		stopped = true;
		cancel();
	};
}
