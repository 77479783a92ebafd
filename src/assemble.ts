/**
 * The only place that builds the parts: a configuration in, a running mirror out.
 *
 * The CLI calls it once; SIGHUP comes back through `reload`, SIGTERM through `stop`. What a part needs it is given
 * here, so no other file knows more of the house than its neighbours.
 */
import {randomUUID} from 'node:crypto';
import {availableParallelism} from 'node:os';
import {fileURLToPath} from 'node:url';
import {isDeepStrictEqual} from 'node:util';
import {watchLoop} from './blobs/busy-loop.js';
import {Flights, type FlightLimits} from './blobs/flights.js';
import {Hashing} from './blobs/hashing.js';
import {Layout, prepareLayout} from './blobs/layout.js';
import {suitableFloor} from './blobs/disk-room.js';
import {DataLock} from './blobs/lock.js';
import {DiskStore} from './blobs/store.js';
import {controlListener} from './assemble-control.js';
import {Airgap} from './assemble-airgap.js';
import {Housekeeping} from './assemble-housekeeping.js';
import {Operating} from './assemble-operating.js';
import {Publishing} from './assemble-publishing.js';
import {SourceSet} from './assemble-sources.js';
import {Catalog} from './catalog/catalog.js';
import {localName} from './catalog/local-images.js';
import {Memory} from './catalog/memory.js';
import type {Config} from './config.js';
import {NotFoundError, asError} from './errors.js';
import {Events, LogTail, Metrics, createLogger, systemClock, type Host, type Logger} from './host.js';
import {Troubles} from './host-troubles.js';
import {startHttp, type HttpFront, type HttpSettings, type ListenOptions} from './http/server.js';
import type {Manifest, Sha1} from './image/manifest.js';
import {Mirror} from './mirror.js';

export interface AssembleOptions {
	readonly version: string;
	/** Where the log goes. */
	readonly stderr: {write(text: string): unknown; readonly isTTY?: boolean};
	/** Instead of the real one: for tests. */
	readonly host?: Host;
	/** It runs for a command and is gone after it: nothing is begun that nobody asked for. */
	readonly briefly?: boolean;
	/** Called once all that a start reads is read, before anybody is served. */
	readonly onRead?: () => void;
}

export interface RunningMirror {
	/** Of its host. A reload may change its level. */
	readonly log: Logger;
	/** Really bound: `http://127.0.0.1:8080`, `unix:/path`. */
	readonly addresses: readonly string[];
	readonly mirror: Mirror;
	/** Takes over what can be changed while running. Resolves with notes on what cannot. */
	reload(config: Config): Promise<readonly string[]>;
	/** Does now what is otherwise done every minute: numbers brought up to date, what is too old or too much swept. */
	tidy(): Promise<void>;
	/** Stops accepting, lets responses finish for a while, suspends transfers. */
	stop(): Promise<void>;
}

export async function assemble(config: Config, options: AssembleOptions): Promise<RunningMirror> {
	const logTail = new LogTail();
	const host = options.host ?? realHost(config, options.stderr, logTail);
	const undo: (() => Promise<void> | void)[] = [];
	try {
		return await build(config, {
			...{version: options.version, briefly: options.briefly ?? false, onRead: options.onRead},
			countsProcess: options.host === undefined,
			host,
			logTail,
			layout: new Layout(config.data),
			undo,
		});
	} catch (error) {
		// What went wrong first is what is told.
		await runAll(undo.reverse()).catch(() => undefined);
		throw error;
	}
}

function realHost({log}: Config, stderr: AssembleOptions['stderr'], tail: LogTail): Host {
	const events = new Events(systemClock);
	const auto = stderr.isTTY === true ? 'text' : 'json';
	const format = log.format === 'auto' ? auto : log.format;
	const metrics = new Metrics();
	metrics.countEvents(events);
	return {
		clock: systemClock,
		log: createLogger({level: log.level, format, tail, write: line => stderr.write(line)}),
		metrics,
		events,
		troubles: new Troubles(),
		random: Math.random,
	};
}

async function build(
	config: Config,
	parts: {
		version: string;
		briefly: boolean;
		onRead: (() => void) | undefined;
		countsProcess: boolean;
		host: Host;
		logTail: LogTail;
		layout: Layout;
		undo: (() => Promise<void> | void)[];
	},
): Promise<RunningMirror> {
	const {version, host, logTail, layout, undo} = parts;
	host.metrics.buildInfo.set({version, node: process.version}, 1);
	// With more processors it is slower (`hashing.ts`); without sendfile(2), buffers to send from have the memory for it.
	const writes = availableParallelism() <= 2 && config.http.sendfile === 'auto';
	const hashing = new Hashing({writes});
	undo.push(() => hashing.close());
	await prepareLayout(layout);
	const keep = await keepLimits(config, layout.root);
	const isBusy = watchLoop();
	const onSent = (sha1: Sha1): void => {
		flights.came(sha1);
	};
	const store = new DiskStore({layout, host, hashing, quarantine: config.quarantine, keep, isBusy, onSent});
	const flights = new Flights({store, host, limits: flightLimits(config)});
	const lock = await DataLock.take(layout);
	undo.push(() => lock.release());
	await store.load();
	undo.push(() => store.close());
	const memory = await Memory.open({host, directory: layout.memory, file: 'memory.sqlite'});
	undo.push(() => memory.close());

	const instanceId = randomUUID();
	const userAgent = `imgmirror/${version}`;
	const sources = new SourceSet({host, userAgent, instanceId, sharesMemory: writes});
	undo.push(() => sources.close());
	const planned = sources.plan(config).use();
	const publishing: Publishing = new Publishing(config, {
		...{host, layout, store, sources, userAgent, instanceId},
		upstream: {
			async find(uuid, ask) {
				try {
					const found = await catalog.find(uuid, ask);
					return found.source === localName ? undefined : found;
				} catch (error) {
					if (error instanceof NotFoundError) {
						return undefined;
					}
					throw error;
				}
			},
			claimOf: (uuid, ask) => catalog.claimOf(uuid, ask),
			childOf(origin) {
				const isChild = (image: Manifest): boolean => image.origin === origin.uuid && image.local === undefined;
				const child = catalog.snapshot().images.find(isChild);
				return child === undefined || catalog.suppliersFor(origin, 0).length > 0 ? undefined : child.uuid;
			},
		},
		changed: () => catalog.localChanged(),
	});
	const catalog: Catalog = new Catalog({
		host,
		memory,
		sources: planned,
		local: publishing.publisher,
		holds: {
			path: layout.holds,
			read: () => store.readRecord(layout.holds),
			write: text => store.writeRecord(layout.holds, text),
			setAside: () => store.setRecordAside(layout.holds),
		},
		held: {
			list: () => store.images.list(),
			share: known => store.images.share(known),
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
	undo.push(() => publishing.stop());
	await publishing.load();
	await catalog.start();
	undo.push(() => catalog.stop());
	undo.push(() => flights.suspend());
	const {publisher: publish, access} = publishing;
	const mirror = new Mirror({host, version, catalog, store, flights, publish});
	const operating = new Operating(config, {
		...{host, layout, store, hashing, catalog, flights, mirror, sources, version, userAgent, instanceId},
	});
	undo.push(() => operating.stop());
	await operating.start({briefly: parts.briefly});
	const airgap = new Airgap(config, {
		...{host, layout, store, catalog, mirror, sources, publisher: publish, ahead: operating.ahead},
		floorBytes: keep.minFreeBytes,
	});
	await airgap.load();
	const control = await controlListener(config.data);
	parts.onRead?.();
	const front = await startHttp({
		...{mirror, airgap, access, host, version, instanceId, logTail},
		...{operate: operating.operate, prefetch: operating.prefetch, history: operating.history},
		page: config.page ? {directory: fileURLToPath(new URL('page/', import.meta.url))} : undefined,
		listen: [...config.listen, control],
		...httpSettings(config),
		sendfile: config.http.sendfile,
	});
	undo.push(() => front.stop({drainMs: 0}));
	const housekeeping = new Housekeeping({host, mirror, store, publishing, operating});
	housekeeping.start();
	if (parts.countsProcess) {
		// Only now: what it takes to count is much, and nobody waits for it.
		host.metrics.collectProcess();
	}
	undo.push(() => housekeeping.stop());
	return new Running({
		config,
		parts: {
			...{host, store, memory, catalog, flights, mirror, front, control, sources, publishing, operating},
			...{airgap, hashing, lock, housekeeping},
		},
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
	readonly control: ListenOptions;
	readonly sources: SourceSet;
	readonly publishing: Publishing;
	readonly operating: Operating;
	readonly airgap: Airgap;
	readonly hashing: Hashing;
	readonly lock: DataLock;
	readonly housekeeping: Housekeeping;
}

class Running implements RunningMirror {
	readonly #parts: Parts;
	/** What a reload does not change is as it was then. */
	readonly #started: Config;
	#config: Config;
	#stopping: Promise<void> | undefined;

	constructor({config, parts}: {config: Config; parts: Parts}) {
		this.#started = config;
		this.#config = config;
		this.#parts = parts;
	}

	get log(): Logger {
		return this.#parts.host.log;
	}

	get addresses(): readonly string[] {
		return this.#parts.front.addresses;
	}

	get mirror(): Mirror {
		return this.#parts.mirror;
	}

	async reload(config: Config): Promise<readonly string[]> {
		const {host, front, control, catalog, sources, publishing, flights, store, operating, airgap} = this.#parts;
		operating.check(config);
		// What may fail comes first: neither a key that cannot be read nor a port that is taken changes anything.
		const planned = sources.plan(config);
		try {
			await front.setListeners([...config.listen, control]);
		} catch (error) {
			planned.discard();
			throw error;
		}
		await catalog.setSources(planned.use());
		await publishing.configure(config);
		front.setOptions(httpSettings(config, this.#started));
		flights.setLimits(flightLimits(config));
		store.quarantined.setLimits(config.quarantine);
		const keep = await keepLimits(config, this.#started.data);
		operating.configure(config, keep);
		airgap.configure(config, keep.minFreeBytes);
		host.log.level = config.log.level;
		this.#config = config;
		return restartNotes(this.#started, config);
	}

	tidy(): Promise<void> {
		return this.#parts.housekeeping.tidy();
	}

	stop(): Promise<void> {
		this.#stopping ??= this.#stop();
		return this.#stopping;
	}

	async #stop(): Promise<void> {
		const {mirror, front, flights, catalog, publishing, operating, store, memory, sources, hashing, lock} = this.#parts;
		mirror.announceStop();
		const tidied = this.#parts.housekeeping.stop();
		await runAll([
			() => front.stop({drainMs: this.#config.drainTimeoutMs}),
			async () => {
				// A sweep that is under way ends after the file at hand.
				await store.keeper.stop();
				await tidied;
			},
			() => publishing.stop(),
			() => operating.stop(),
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

async function keepLimits({store}: Config, folder: string): Promise<Config['store']> {
	return store.minFreeBytes < 0 ? {...store, minFreeBytes: await suitableFloor(folder)} : store;
}

function flightLimits(config: Config): FlightLimits {
	// One bound for a transfer, which may have several sources: the most patient one's.
	const retries = Math.max(0, ...config.sources.map(source => source.retries));
	return {...config.transfers, background: config.prefetch.concurrent, retries};
}

/** What holds while it runs, with what has to be as it was at the start. */
function httpSettings(config: Config, {basePath, publicUrl, http}: Config = config): HttpSettings {
	return {
		basePath,
		// It ends in the base path.
		publicUrl: config.basePath === basePath ? config.publicUrl : publicUrl,
		datasetNames: config.datasets,
		// Node.js takes the limit on headers when a server is made.
		limits: {...config.http, maxHeaderBytes: http.maxHeaderBytes},
		mode: config.mode,
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
	if (before.basePath !== after.basePath) {
		check('publicUrl', before.publicUrl, after.publicUrl);
	}
	check('log.format', before.log.format, after.log.format);
	check('page', before.page, after.page);
	check('http.maxHeaderSize', before.http.maxHeaderBytes, after.http.maxHeaderBytes);
	check('http.sendfile', before.http.sendfile, after.http.sendfile);
	for (const [index, {address, mode}] of after.listen.entries()) {
		const old = before.listen.find(listener => listener.address === address);
		// What umask says is only known where a socket is made.
		if (mode === undefined && old?.mode !== undefined) {
			check(`listen[${index}].mode`, old.mode, mode);
		}
	}
	return notes;
}
