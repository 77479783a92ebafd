/**
 * What the configuration comes to: plain readonly data, every unit in the name, every path absolute.
 *
 * `assemble.ts` builds the parts from it; nothing here says how any of it is written in a file (`keys.ts` does).
 */
import type {LogLevel} from '../host.js';

export interface ListenConfig {
	/** `HOST:PORT`, `[V6]:PORT` or `unix:PATH`, as written. */
	readonly address: string;
	readonly host: string | undefined;
	readonly port: number | undefined;
	readonly path: string | undefined;
	/** Permissions of a unix socket, e.g. 0o660. */
	readonly mode: number | undefined;
	readonly tls: TlsConfig | undefined;
}

export interface TlsConfig {
	readonly certFile: string;
	readonly keyFile: string;
	readonly minVersion: 'TLSv1.2' | 'TLSv1.3';
}

export type SourceType = 'imgapi' | 'dsapi' | 'auto';
export type Vanished = 'keep' | 'hide' | 'drop';

export interface ImageFilter {
	/** Globs: `*`, `?`, `[a-z]`, `{a,b}`. An empty list matches everything in `include`, nothing in `exclude`. */
	readonly name: readonly string[];
	readonly os: readonly string[];
	readonly type: readonly string[];
	readonly owner: readonly string[];
	readonly uuid: readonly string[];
}

export interface SourceConfig {
	readonly name: string;
	readonly type: SourceType;
	/** Addresses of the same thing, tried in order. Without trailing slash, without `?channel=`. */
	readonly urls: readonly string[];
	readonly channel: string | undefined;
	readonly include: ImageFilter;
	readonly exclude: ImageFilter;
	/** How long a list is fresh. */
	readonly listTtlMs: number;
	/** How long the manifest of an image that is in no list is fresh. */
	readonly imageTtlMs: number;
	/** How long a 404 is remembered. */
	readonly missingTtlMs: number;
	/** How long the last answer is served while the source is down. */
	readonly keepForMs: number;
	readonly connectTimeoutMs: number;
	readonly headerTimeoutMs: number;
	readonly idleTimeoutMs: number;
	/** Further tries of one thing at one source, without progress between them. */
	readonly retries: number;
	/** File transfers at once from this source. */
	readonly transfers: number;
	/** Bytes per second of all file transfers from this source together; 0: no limit. */
	readonly bandwidth: number;
	/** An HTTP proxy's URL; `'env'`: as http_proxy, https_proxy and no_proxy say; `undefined`: none. */
	readonly proxy: string | undefined;
	readonly caFile: string | undefined;
	readonly certFile: string | undefined;
	readonly keyFile: string | undefined;
	/** Do not check the server's certificate. */
	readonly insecure: boolean;
	readonly auth:
		| {readonly kind: 'none'}
		| {
				readonly kind: 'basic';
				readonly user: string;
				readonly password: string;
				/** Where the password was had from, if it is not in the configuration itself. */
				readonly from?: {readonly passwordFile: string} | {readonly passwordEnv: string};
		  }
		| {
				readonly kind: 'signature';
				readonly keyId: string;
				readonly keyFile: string;
				readonly algorithm: 'rsa-sha256' | 'rsa-sha1';
		  };
	readonly headers: Readonly<Record<string, string>>;
	/** `safe`: GET only, http(s) only, never from https to http, never to a private address on another host. */
	readonly redirects: 'none' | 'safe' | 'any';
	/** What to do with an image that is in the source's list no more. */
	readonly vanished: Vanished;
	readonly hold: HoldConfig;
}

/** When images of a source are offered. An image is held back while any of the clocks has not run out. */
export interface HoldConfig {
	/** Since its `published_at`; 0: at once. */
	readonly publishedMs: number;
	/** Since we saw it first; 0: at once. */
	readonly seenMs: number;
	/** Only after an operator released it, however old it is. */
	readonly untilReleased: boolean;
}

/** A part of the day by the machine's own time, in minutes since midnight. `from` after `to`: past midnight. */
export interface DayWindow {
	readonly fromMinute: number;
	readonly toMinute: number;
}

export type ScheduleConfig =
	{readonly kind: 'every'; readonly everyMs: number} | {readonly kind: 'cron'; readonly cron: string};

/** What to hold before anybody asks. Everything that is said must be true of an image. */
export interface PrefetchRuleConfig {
	readonly name: string;
	/** Names of sources; empty: all. */
	readonly sources: readonly string[];
	readonly include: ImageFilter;
	readonly exclude: ImageFilter;
	/** A range as npm has them, or a glob; `undefined`: every version. */
	readonly version: string | undefined;
	/** So many of each name, by date of publication; `undefined`: all. */
	readonly newest: number | undefined;
	/** Not published before; either or both. */
	readonly publishedSinceMs: number | undefined;
	readonly publishedWithinMs: number | undefined;
	/** The newest that fit in, origins included; Infinity: no bound. */
	readonly maxBytes: number;
	readonly schedule: ScheduleConfig;
	/** When it may fetch; `undefined`: at any time. */
	readonly window: DayWindow | undefined;
	/** Bytes per second of all that this rule fetches; 0: no limit. */
	readonly bandwidth: number;
}

export interface WebhookConfig {
	readonly name: string;
	readonly url: string;
	/** Types of events, or the first word of them; empty: all that hooks are told of. */
	readonly events: readonly string[];
	/** Signs what is sent; `undefined`: nothing is signed. */
	readonly secret: string | undefined;
	/** Where the secret was had from, if it is not in the configuration itself. */
	readonly secretFrom?: {readonly secretFile: string} | {readonly secretEnv: string};
	readonly headers: Readonly<Record<string, string>>;
	/** How long to go on trying. */
	readonly retryForMs: number;
	readonly timeoutMs: number;
}

/** As `access/caller.ts` explains them. */
export type RightConfig = 'read' | 'private' | 'publish' | 'operate';

export interface AccessConfig {
	/** What everybody may without a login. */
	readonly anonymous: readonly RightConfig[];
	/** What callers from some networks may besides; `unix` is one, too. */
	readonly networks: readonly {readonly cidrs: readonly string[]; readonly may: readonly RightConfig[]}[];
	/** Networks whose headers about forwarding are believed. */
	readonly trustedProxies: readonly string[];
	/** SSH public keys by user. */
	readonly authKeys: Readonly<Record<string, readonly string[]>>;
	/** What users may of whom nothing but keys is known. */
	readonly keyUsersMay: readonly RightConfig[];
	/** Hashes of passwords by user: bcrypt or scrypt. */
	readonly users: Readonly<Record<string, {readonly password: string; readonly may: readonly RightConfig[]}>>;
	/** Host names, `host:port` or networks that clients may name although they are private. In lower case. */
	readonly fetchFrom: readonly string[];
}

export interface ChannelConfig {
	readonly name: string;
	readonly description: string;
	readonly default?: true;
}

export type ServerMode = 'any' | 'public' | 'private';

export interface ProxyEnvironment {
	readonly httpProxy: string | undefined;
	readonly httpsProxy: string | undefined;
	readonly noProxy: string | undefined;
}

export interface Config {
	/** The file it was read from; `undefined`: built-in defaults. */
	readonly file: string | undefined;
	readonly data: string;
	readonly listen: readonly ListenConfig[];
	/** `''` or `/path`, no trailing slash. */
	readonly basePath: string;
	/** What clients call us, without trailing slash; `undefined`: computed from each request's Host. */
	readonly publicUrl: string | undefined;
	readonly log: {readonly level: LogLevel; readonly format: 'auto' | 'text' | 'json'};
	/** How long SIGTERM lets responses finish. */
	readonly drainTimeoutMs: number;
	readonly sources: readonly SourceConfig[];
	readonly transfers: {
		/** At once, all sources together. */
		readonly concurrent: number;
		/** A transfer that nobody follows any more goes on if less than this is left. Infinity: always; 0: never. */
		readonly finishAbandonedBytes: number;
		/** How long clients wait for a source that cannot be reached any more. */
		readonly patienceMs: number;
	};
	readonly quarantine: {readonly keepForMs: number; readonly maxBytes: number};
	readonly store: {
		/** All files together, published ones included; Infinity: no limit. */
		readonly maxBytes: number;
		/** What the disk must have left; -1: as suits its size. */
		readonly minFreeBytes: number;
		/** Files nobody has used for so long go; `alwaysMs` and more: never. */
		readonly maxUnusedMs: number;
		/** Shares of what files may take altogether: above the high one files go until they take the low one. */
		readonly highMark: number;
		readonly lowMark: number;
		/** Files half-fetched that nobody has gone on with. */
		readonly keepPartialsMs: number;
	};
	readonly scrub: {
		/** Each file is read again so often; `alwaysMs` and more: never. */
		readonly everyMs: number;
		/** Bytes per second; 0: no limit. */
		readonly bytesPerSecond: number;
		readonly window: DayWindow | undefined;
	};
	readonly prefetch: {
		/** Files at once, beside those that clients wait for. */
		readonly concurrent: number;
		readonly rules: readonly PrefetchRuleConfig[];
	};
	readonly webhooks: readonly WebhookConfig[];
	/** Whether the web page is served. */
	readonly page: boolean;
	readonly http: {
		/** How long a login on the page lasts without being used. */
		/** `auto`: files are sent by the system where it can. */
		readonly sendfile: 'auto' | 'off';
		readonly sessionMs: number;
		/** Until the headers of a request must have arrived. */
		readonly headersTimeoutMs: number;
		/** How long an idle connection is kept. */
		readonly keepAliveTimeoutMs: number;
		/** How long a client may send nothing of a request's body before it is cut off; 0: for ever. */
		readonly uploadIdleTimeoutMs: number;
		/** How long a client may take nothing of a response before it is cut off; 0: for ever. */
		readonly clientIdleTimeoutMs: number;
		readonly maxHeaderBytes: number;
	};
	readonly datasets: {
		/** For URNs of images that have none. */
		readonly cloudName: string;
		readonly creatorName: string;
	};
	readonly access: AccessConfig;
	/** Which images are taken: of both kinds, or only `public: true` or `public: false`. */
	readonly mode: ServerMode;
	/** Of our own images; empty: none. In order, at most one is the default. */
	readonly channels: readonly ChannelConfig[];
	readonly publish: {
		readonly maxFileBytes: number;
		/** How long an upload that can be resumed is kept while nobody goes on with it. */
		readonly resumableForMs: number;
		/** Whatever is put there is published. */
		readonly dropFolder: string | undefined;
	};
	readonly bundles: {
		/** OpenSSH lines. */
		readonly trustedKeys: readonly string[];
		readonly allowUnsigned: boolean;
	};
	/** What the environment says about proxies; each with a scheme, `undefined` where nothing is said. */
	readonly environment: ProxyEnvironment;
}
