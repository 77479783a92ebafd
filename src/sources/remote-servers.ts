/**
 * Servers that a client names: another image server to import from, a URL to have a file from.
 *
 * What the operator has configured is used as configured, with its credentials; everything else is opened for the
 * occasion, guarded (`remote-guard.ts`), and gives up within seconds. Redirects are never followed.
 */
import type {LookupFunction} from 'node:net';
import {InvalidParameterError, SourceUnavailableError} from '../errors.js';
import type {Manifest, Uuid} from '../image/manifest.js';
import {parseAddress, showUrl, type Address} from './address.js';
import {AutoSource} from './auto.js';
import {printable, type FailureDetails, type SourceFailure} from './failure.js';
import {openSource, type SourceDeps, type SourceSettings} from './open-source.js';
import {proxyFor} from './proxy.js';
import {Remote} from './remote.js';
import {RemoteGuard} from './remote-guard.js';
import {Retry} from './retry.js';
import type {Ask, FileAt, FileBody, Icon, ListEnd, RemoteServers, Source} from './source.js';
import {Transport, type TransportSettings} from './transport.js';

export interface ConfiguredSource {
	readonly settings: SourceSettings;
	readonly source: Source;
}

export interface RemoteServersSettings {
	/** Hosts in private networks that clients may send us to: names, addresses, `host:port`, CIDRs. */
	readonly allow: readonly string[];
}

const timeouts = {connectTimeoutMs: 5000, headerTimeoutMs: 10_000, idleTimeoutMs: 30_000};
/** A connection that was kept and is closed meanwhile: worth one more try, at once. */
const retries = 1;

export class ClientNamedServers implements RemoteServers {
	readonly #deps: SourceDeps;
	readonly #configured: () => readonly ConfiguredSource[];
	readonly #lookup: LookupFunction | undefined;
	readonly #ca: string | undefined;
	#settings: RemoteServersSettings;

	constructor(
		options: SourceDeps & {
			readonly settings: RemoteServersSettings;
			/** The sources as they are now: asked each time. */
			readonly configured: () => readonly ConfiguredSource[];
			/** Instead of the system's: for tests. */
			readonly lookup?: LookupFunction;
			/** A further authority (PEM): for tests. */
			readonly ca?: string;
		},
	) {
		const {host, userAgent, instanceId, environment} = options;
		this.#deps = {host, userAgent, instanceId, environment};
		this.#settings = options.settings;
		this.#configured = options.configured;
		this.#lookup = options.lookup;
		this.#ca = options.ca;
	}

	/** For what is opened from now on. */
	setSettings(settings: RemoteServersSettings): void {
		this.#settings = settings;
	}

	open(source: string): Source {
		const configured = this.#configured();
		const named = configured.find(({settings}) => settings.name === source);
		if (named !== undefined) {
			return new BorrowedSource(named.source);
		}
		const url = parseHttp(source);
		if (url === undefined) {
			throw invalid('source', 'neither an http(s) URL nor the name of a configured source');
		}
		const address = parseAddress(url.href);
		return this.#openConfigured(address, configured) ?? this.#openForNow(url, address);
	}

	async fetch(text: string, ask: Ask): Promise<FileBody> {
		const url = parseHttp(text);
		if (url?.protocol !== 'https:') {
			throw invalid('file_url', 'not an https URL');
		}
		const address = parseAddress(url.href);
		const name = shown(url);
		const guard = this.#guard();
		await refuse(guard, url, name, this.#isProxied(url));
		const transport = new DiscreetTransport({
			source: name,
			clock: this.#deps.host.clock,
			addresses: [address],
			settings: this.#transportSettings(guard.lookupFor(url)),
		});
		try {
			url.username = '';
			url.password = '';
			url.hash = '';
			const body = await new Remote(transport).openFile(url.href, {offset: 0}, undefined, ask);
			if (body === undefined) {
				throw transport.failure(url, 'answered 404 Not Found');
			}
			// It may break before anybody reads it; whoever does is told then.
			body.stream.on('error', () => undefined);
			body.stream.once('close', () => void transport.close().catch(() => undefined));
			return body;
		} catch (error) {
			void transport.close().catch(() => undefined);
			throw error;
		}
	}

	/** A source of that very address. With credentials of their own, clients are not given ours. */
	#openConfigured(address: Address, configured: readonly ConfiguredSource[]): Source | undefined {
		const found =
			address.authorization === undefined
				? configured.find(({settings}) => settings.urls.some(url => parseAddress(url).base === address.base))
				: undefined;
		if (found === undefined) {
			return undefined;
		}
		const {settings, source} = found;
		if (address.channel === undefined || address.channel === settings.channel) {
			return new BorrowedSource(source);
		}
		return openSource(
			{...settings, channel: address.channel, retries: Math.min(settings.retries, retries)},
			this.#deps,
		);
	}

	#openForNow(url: URL, address: Address): Source {
		const {host} = this.#deps;
		const name = shown(url);
		const guard = this.#guard();
		if (guard.refuses(url)) {
			throw refused(name);
		}
		const transport = new Transport({
			source: name,
			clock: host.clock,
			addresses: [address],
			settings: this.#transportSettings(guard.lookupFor(url)),
		});
		const retry = new Retry({host, retries});
		const {base, channel} = address;
		const source = new AutoSource({name, base, channel, remote: new Remote(transport), retry});
		const isProxied = this.#isProxied(url);
		return new GuardedSource({source, retry, check: () => refuse(guard, url, name, isProxied)});
	}

	#guard(): RemoteGuard {
		const trusted = this.#configured().flatMap(({settings}) => settings.urls);
		return new RemoteGuard({allow: this.#settings.allow, trusted, lookup: this.#lookup});
	}

	#isProxied(url: URL): boolean {
		return proxyFor(url, 'env', this.#deps.environment) !== undefined;
	}

	#transportSettings(lookup: LookupFunction | undefined): TransportSettings {
		const {environment, userAgent, instanceId} = this.#deps;
		return {
			...timeouts,
			connections: 8,
			proxy: 'env',
			environment,
			ca: this.#ca,
			cert: undefined,
			key: undefined,
			insecure: false,
			headers: {},
			authorize: undefined,
			redirects: 'none',
			userAgent,
			instanceId,
			...(lookup === undefined ? {} : {lookup}),
		};
	}
}

/** A query may hold a signature that opens doors: it is in no message. */
class DiscreetTransport extends Transport {
	override failure(url: URL | string, problem: string, details?: FailureDetails): SourceFailure {
		const without = new URL(url);
		without.search = without.search === '' ? '' : '?…';
		return super.failure(without, problem, details);
	}
}

/** Somebody else's source: closing it is not ours to do. */
class BorrowedSource implements Source {
	readonly #source: Source;

	constructor(source: Source) {
		this.#source = source;
	}

	get name(): string {
		return this.#source.name;
	}

	get kind(): Source['kind'] {
		return this.#source.kind;
	}

	list(ask: Ask): AsyncGenerator<Manifest, ListEnd, undefined> {
		return this.#source.list(ask);
	}

	find(uuid: Uuid, ask: Ask): Promise<Manifest | undefined> {
		return this.#source.find(uuid, ask);
	}

	openFile(image: Manifest, index: number, at: FileAt, ask: Ask): Promise<FileBody> {
		return this.#source.openFile(image, index, at, ask);
	}

	readIcon(image: Manifest, ask: Ask): Promise<Icon | undefined> {
		return this.#source.readIcon(image, ask);
	}

	close(): Promise<void> {
		return Promise.resolve();
	}
}

/** Asks for leave before each request: where a proxy looks names up, no lookup of ours can. */
class GuardedSource extends BorrowedSource {
	readonly #source: Source;
	readonly #retry: Retry;
	readonly #check: () => Promise<void>;

	constructor(options: {readonly source: Source; readonly retry: Retry; readonly check: () => Promise<void>}) {
		super(options.source);
		this.#source = options.source;
		this.#retry = options.retry;
		this.#check = options.check;
	}

	override async *list(ask: Ask): AsyncGenerator<Manifest, ListEnd, undefined> {
		await this.#check();
		return yield* this.#source.list(ask);
	}

	override async find(uuid: Uuid, ask: Ask): Promise<Manifest | undefined> {
		await this.#check();
		return this.#retry.run(ask, () => this.#source.find(uuid, ask));
	}

	override async openFile(image: Manifest, index: number, at: FileAt, ask: Ask): Promise<FileBody> {
		await this.#check();
		return this.#source.openFile(image, index, at, ask);
	}

	override async readIcon(image: Manifest, ask: Ask): Promise<Icon | undefined> {
		await this.#check();
		return this.#retry.run(ask, () => this.#source.readIcon(image, ask));
	}

	override close(): Promise<void> {
		return this.#source.close();
	}
}

async function refuse(guard: RemoteGuard, url: URL, name: string, isProxied: boolean): Promise<void> {
	if (guard.refuses(url) || (isProxied && (await guard.resolvesPrivate(url)))) {
		throw refused(name);
	}
}

function refused(name: string): SourceUnavailableError {
	return new SourceUnavailableError(
		name,
		'is in a private network, where clients may send us only if "access.fetchFrom" names the host',
	);
}

function parseHttp(text: string): URL | undefined {
	const url = text.length <= 4096 && URL.canParse(text) ? new URL(text) : undefined;
	return url?.protocol === 'http:' || url?.protocol === 'https:' ? url : undefined;
}

/** For names of sources, in messages and logs: neither credentials nor what a query may hide. */
function shown(url: URL): string {
	const plain = new URL(url);
	plain.search = '';
	plain.hash = '';
	return printable(showUrl(plain).replace(/\/$/, ''));
}

function invalid(field: string, message: string): InvalidParameterError {
	return new InvalidParameterError(`${field}: ${message}`, [{field, code: 'Invalid', message}]);
}
