/**
 * Telling others something by POST: webhooks are had through here.
 *
 * Goes out as everything does, through the transport and the proxies of the environment, but to where the operator says
 * and nowhere else: no redirect is followed. What is answered beyond the status is of no interest.
 */
import type {Host} from '../host.js';
import {parseAddress} from './address.js';
import type {SourceFailure} from './failure.js';
import {type FailureDetails} from './failure.js';
import {retryAfter} from './problems.js';
import type {ProxyEnvironment} from './proxy.js';
import {Transport} from './transport.js';

export interface PostRequest {
	/** May hold a user and a password. */
	readonly url: string;
	readonly headers: Readonly<Record<string, string>>;
	readonly body: string;
	/** To be connected to, and then to answer. */
	readonly timeoutMs: number;
	readonly signal: AbortSignal;
}

export interface PostAnswer {
	readonly status: number;
	/** How long it wants to be left alone. */
	readonly retryAfterMs: number | undefined;
}

/** To different servers, in different ways; those used longest ago are let go of. */
const mostTransports = 32;

export class Poster {
	readonly #host: Host;
	readonly #environment: ProxyEnvironment;
	readonly #userAgent: string;
	readonly #instanceId: string;
	readonly #transports = new Map<string, Transport>();

	constructor(deps: {
		readonly host: Host;
		/** `imgmirror/<version>` */
		readonly userAgent: string;
		readonly instanceId: string;
		readonly environment: ProxyEnvironment;
	}) {
		this.#host = deps.host;
		this.#environment = deps.environment;
		this.#userAgent = deps.userAgent;
		this.#instanceId = deps.instanceId;
	}

	/** Resolves with whatever is answered. Throws SourceUnavailableError where nothing is. */
	async post({url: text, headers, body, timeoutMs, signal}: PostRequest): Promise<PostAnswer> {
		const url = new URL(text);
		const transport = this.#transport(url, timeoutMs);
		// The transport has them, and sends them as they are to be sent.
		url.username = '';
		url.password = '';
		url.hash = '';
		const {status, header} = await transport.post(url.href, {headers, body}, {signal});
		return {status, retryAfterMs: retryAfter(header('retry-after'), this.#host.clock.now())};
	}

	async close(): Promise<void> {
		await Promise.all([...this.#transports.values()].map(transport => transport.close()));
	}

	#transport(url: URL, timeoutMs: number): Transport {
		const key = `${timeoutMs} ${url.username}:${url.password}@${url.origin}`;
		const found = this.#transports.get(key) ?? this.#open(url, timeoutMs);
		this.#transports.delete(key);
		this.#transports.set(key, found);
		const [oldest] = this.#transports;
		if (oldest !== undefined && this.#transports.size > mostTransports) {
			this.#transports.delete(oldest[0]);
			void oldest[1].close().catch(() => undefined);
		}
		return found;
	}

	#open(url: URL, timeoutMs: number): Transport {
		return new DiscreetTransport({
			source: url.hostname,
			clock: this.#host.clock,
			addresses: [parseAddress(url.href)],
			settings: {
				connectTimeoutMs: timeoutMs,
				headerTimeoutMs: timeoutMs,
				idleTimeoutMs: timeoutMs,
				connections: 4,
				proxy: 'env',
				environment: this.#environment,
				ca: undefined,
				cert: undefined,
				key: undefined,
				insecure: false,
				headers: {},
				authorize: undefined,
				redirects: 'none',
				userAgent: this.#userAgent,
				instanceId: this.#instanceId,
			},
		});
	}
}

/** What is behind the host is often a secret by itself: it is in no message. */
class DiscreetTransport extends Transport {
	override failure(url: URL | string, problem: string, details?: FailureDetails): SourceFailure {
		return super.failure(new URL(url).origin, problem, details);
	}
}
