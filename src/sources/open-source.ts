/**
 * A source as configured, put together: addresses, protocol, limits, watch.
 *
 * `assemble.ts` calls it once per source, and again for each whose settings change. Key and certificate files are read
 * here, once: a reload opens the source anew and closes the old one, which then lets its transfers end.
 */
import {readFileSync} from 'node:fs';
import {ConfigError, describe} from '../errors.js';
import type {Host} from '../host.js';
import {parseAddress, type Address} from './address.js';
import {AddressesSource} from './addresses.js';
import {AutoSource} from './auto.js';
import {
	basicAuthorization,
	signatureAuthorization,
	signingKey,
	type Authorize,
	type SignatureAlgorithm,
} from './credentials.js';
import {DsapiSource} from './dsapi.js';
import {ImgapiSource} from './imgapi.js';
import type {ProxyEnvironment} from './proxy.js';
import type {RedirectPolicy} from './redirects.js';
import {Remote} from './remote.js';
import {Retry} from './retry.js';
import {Slots} from './slots.js';
import type {Source} from './source.js';
import {Throttle} from './throttle.js';
import {ThrottledSource} from './throttled.js';
import {Transport} from './transport.js';
import {WatchedSource} from './watched.js';

export type SourceAuth =
	| {readonly kind: 'none'}
	| {readonly kind: 'basic'; readonly user: string; readonly password: string}
	| {
			readonly kind: 'signature';
			readonly keyId: string;
			readonly keyFile: string;
			readonly algorithm: SignatureAlgorithm;
	  };

/** What of a source's configuration concerns how it is asked; the rest is the catalog's. */
export interface SourceSettings {
	readonly name: string;
	readonly type: 'imgapi' | 'dsapi' | 'auto';
	/** Addresses of the same thing, tried in order. */
	readonly urls: readonly string[];
	readonly channel: string | undefined;
	readonly connectTimeoutMs: number;
	readonly headerTimeoutMs: number;
	readonly idleTimeoutMs: number;
	/** Of JSON requests whose connection failed. */
	readonly retries: number;
	/** File bodies at once. */
	readonly transfers: number;
	/** Bytes per second of all file bodies together; 0: no limit. */
	readonly bandwidth: number;
	readonly proxy: string | undefined;
	readonly caFile: string | undefined;
	readonly certFile: string | undefined;
	readonly keyFile: string | undefined;
	readonly insecure: boolean;
	readonly auth: SourceAuth;
	readonly headers: Readonly<Record<string, string>>;
	readonly redirects: RedirectPolicy;
}

export interface SourceDeps {
	readonly host: Host;
	/** `imgmirror/<version>` */
	readonly userAgent: string;
	/** Goes out with every request, so that a circle of mirrors is found out. */
	readonly instanceId: string;
	readonly environment: ProxyEnvironment;
	/** Whether other threads write and hash what is read; false unless given. */
	readonly sharesMemory?: boolean;
}

/** Connections beside those of file transfers: lists and manifests never wait for a file, nor lists for manifests. */
const spareConnections = 8;

/** Asks nothing of the source yet. Throws ConfigError where a file cannot be read or a key cannot be used. */
export function openSource(settings: SourceSettings, deps: SourceDeps): WatchedSource {
	const {host} = deps;
	const addresses = settings.urls.map(parseAddress);
	const transport = new Transport({
		source: settings.name,
		clock: host.clock,
		addresses,
		settings: {
			connectTimeoutMs: settings.connectTimeoutMs,
			headerTimeoutMs: settings.headerTimeoutMs,
			idleTimeoutMs: settings.idleTimeoutMs,
			connections: settings.transfers + spareConnections,
			proxy: settings.proxy,
			environment: deps.environment,
			...readSecrets(settings),
			insecure: settings.insecure,
			headers: settings.headers,
			redirects: settings.redirects,
			userAgent: deps.userAgent,
			instanceId: deps.instanceId,
			sharesMemory: deps.sharesMemory ?? false,
		},
	});
	const remote = new Remote(transport);
	const retry = new Retry({host, retries: settings.retries});
	const sources = addresses.map(address => openAddress(settings, address, remote, retry));
	const [only] = sources;
	const joined =
		sources.length === 1 && only !== undefined
			? only
			: new AddressesSource({name: settings.name, sources, clock: host.clock});
	const source =
		settings.bandwidth > 0
			? new ThrottledSource(joined, new Throttle({bytesPerSecond: settings.bandwidth, clock: host.clock}))
			: joined;
	return new WatchedSource({source, host, retry, slots: new Slots(settings.transfers)});
}

function openAddress(settings: SourceSettings, address: Address, remote: Remote, retry: Retry): Source {
	const {name, type} = settings;
	const {base} = address;
	const channel = settings.channel ?? address.channel;
	switch (type) {
		case 'imgapi':
			return new ImgapiSource({name, base, channel, remote, retry});
		case 'dsapi':
			return new DsapiSource({name, base, remote, retry});
		case 'auto':
			return new AutoSource({name, base, channel, remote, retry});
	}
}

/** All that is on disk, with every fault told at once. */
function readSecrets(settings: SourceSettings): {
	readonly ca: string | undefined;
	readonly cert: string | undefined;
	readonly key: string | undefined;
	readonly authorize: Authorize | undefined;
} {
	const faults: string[] = [];
	const attempt = <T>(path: string, what: string, run: (text: string) => T): T | undefined => {
		try {
			return run(readFileSync(path, 'utf8'));
		} catch (error) {
			faults.push(`source ${settings.name}: ${what} ${path}: ${describe(error)}`);
			return undefined;
		}
	};
	const read = (path: string | undefined, what: string): string | undefined =>
		path === undefined ? undefined : attempt(path, what, text => text);
	const secrets = {
		ca: read(settings.caFile, 'caFile'),
		cert: read(settings.certFile, 'certFile'),
		key: read(settings.keyFile, 'keyFile'),
		authorize: readAuth(settings.auth, attempt),
	};
	if (faults.length > 0) {
		throw new ConfigError(`source ${settings.name} cannot be opened`, faults);
	}
	return secrets;
}

function readAuth(
	auth: SourceAuth,
	attempt: <T>(path: string, what: string, run: (text: string) => T) => T | undefined,
): Authorize | undefined {
	switch (auth.kind) {
		case 'none':
			return undefined;
		case 'basic': {
			const authorization = basicAuthorization(auth.user, auth.password);
			return () => ({authorization});
		}
		case 'signature': {
			const {keyId, algorithm} = auth;
			const key = attempt(auth.keyFile, 'auth.keyFile', signingKey);
			return key === undefined ? undefined : signatureAuthorization({keyId, key, algorithm});
		}
	}
}
