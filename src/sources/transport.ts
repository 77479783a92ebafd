/**
 * One source's way over HTTP: connections, timeouts, proxies, TLS, credentials and redirects.
 *
 * `remote.ts` reads what comes back; here it is only fetched. `undefined` means that the server answered that it has no
 * such thing, everything else that is no success throws a SourceFailure that names the URL.
 */
import type {LookupFunction, Socket} from 'node:net';
import type {Readable} from 'node:stream';
import {rootCertificates} from 'node:tls';
import {describe} from '../errors.js';
import type {Clock} from '../host.js';
import {showUrl, type Address} from './address.js';
import type {Authorize} from './credentials.js';
import {SourceFailure, printable, type FailureDetails} from './failure.js';
import {publicLookup} from './private-address.js';
import {isTransient, problemOf, retryAfter, statusText, wordsIn, type Timeouts} from './problems.js';
import {proxyFor, type ProxyEnvironment} from './proxy.js';
import {ReadMemory} from './read-memory.js';
import {RedirectRules, locationFrom, type RedirectPolicy} from './redirects.js';
import type {Ask} from './source.js';
import {
	Agent,
	Pool,
	ProxyAgent,
	buildConnector,
	type ConnectOptions,
	type ConnectCallback,
	type Dispatcher,
} from './undici.js';

export interface TransportSettings extends Timeouts {
	/** To one server at once: more than there are file transfers, so that these never starve the rest. */
	readonly connections: number;
	/** A URL, `'env'`, or none. */
	readonly proxy: string | undefined;
	readonly environment: ProxyEnvironment;
	/** PEM texts. */
	readonly ca: string | undefined;
	readonly cert: string | undefined;
	readonly key: string | undefined;
	readonly insecure: boolean;
	/** Go to the source's own origins only, like credentials. */
	readonly headers: Readonly<Record<string, string>>;
	readonly authorize: Authorize | undefined;
	readonly redirects: RedirectPolicy;
	readonly userAgent: string;
	/** Ours, appended to what a request has come through. */
	readonly instanceId: string;
	/** Whether other threads may see what is read; false unless given. */
	readonly sharesMemory?: boolean;
	/** Instead of the system's: for tests. */
	readonly lookup?: LookupFunction;
}

/** Its body must be read to the end or destroyed. */
export interface Answer {
	readonly url: URL;
	/** Of `get`: 200 to 299. */
	readonly status: number;
	readonly header: (name: string) => string | undefined;
	readonly body: Readable;
}

type Received = Dispatcher.ResponseData;

/** Of IMGAPI. */
const version = {'accept-version': '~2'};
const redirectStatuses: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);
/** How much of a body that nobody wants is read to keep its connection. */
const dumpBytes = 64 * 1024;
const maxErrorBytes = 4096;

export class Transport {
	readonly timeouts: Timeouts;
	readonly #clock: Clock;
	readonly #source: string;
	readonly #settings: TransportSettings;
	readonly #addresses: readonly Address[];
	readonly #rules: RedirectRules;
	readonly #dispatchers = new Map<string, Dispatcher>();
	readonly #memory: ReadMemory;
	#closed: Promise<void> | undefined;

	constructor(options: {
		readonly source: string;
		readonly clock: Clock;
		/** All of the source's: what counts as its own host, and which credentials go there. */
		readonly addresses: readonly Address[];
		readonly settings: TransportSettings;
	}) {
		this.#source = options.source;
		this.#clock = options.clock;
		this.#addresses = options.addresses;
		this.#settings = options.settings;
		this.#memory = new ReadMemory({shares: options.settings.sharesMemory ?? false});
		this.timeouts = options.settings;
		this.#rules = new RedirectRules({
			policy: options.settings.redirects,
			isOwnHost: url => this.#isOwnHost(url),
			isProxied: url => this.#proxyFor(url) !== undefined,
			lookup: options.settings.lookup,
		});
	}

	/** The answer after redirects; `undefined` for 404 and 410. A URL on another host is treated as a redirect to it. */
	async get(start: string, headers: Readonly<Record<string, string>>, ask: Ask): Promise<Answer | undefined> {
		let url = new URL(start);
		const refusal = await this.#rules.refuseStart(url);
		if (refusal !== undefined) {
			throw this.failure(url, `is ${refusal}`);
		}
		const visited = new Set<string>();
		for (;;) {
			visited.add(url.href);
			const {statusCode, headers: received, body} = await this.#send(url, {headers: {...version, ...headers}}, ask);
			const header = headerOf(received);
			if (statusCode >= 200 && statusCode < 300) {
				return {url, status: statusCode, header, body};
			}
			const location = header('location');
			if (statusCode === 404 || statusCode === 410) {
				await discard(body);
				return undefined;
			}
			if (location === undefined || !redirectStatuses.has(statusCode)) {
				throw await this.#statusFailure(url, statusCode, header, body, ask);
			}
			await discard(body);
			url = await this.#redirected(url, statusCode, location, visited);
		}
	}

	/** Whatever is answered is the answer, a redirect, too, and its body is read no further than it must be. */
	async post(
		url: string,
		{headers, body}: {readonly headers: Readonly<Record<string, string>>; readonly body: string},
		ask: Ask,
	): Promise<Omit<Answer, 'url' | 'body'>> {
		const received = await this.#send(new URL(url), {headers, body}, ask);
		await discard(received.body);
		return {status: received.statusCode, header: headerOf(received.headers)};
	}

	/** Every failure says which URL and why; `describe` of the cause is part of it. */
	failure(url: URL | string, problem: string, details: FailureDetails = {}): SourceFailure {
		const cause = details.cause === undefined ? '' : printable(describe(details.cause));
		const why = cause === '' || problem.includes(cause) ? problem : `${problem} (${cause})`;
		const at = new URL(url);
		return new SourceFailure(this.#source, `${this.#shown(at)} ${why}`, {...details, elsewhere: !this.#isOwnHost(at)});
	}

	/** A file is read from now on, until what is returned is called. */
	fileBegins(): () => void {
		return this.#memory.fileBegins();
	}

	/** What was had of a body is not needed any more: its memory may be used again. */
	giveBack(chunk: Buffer): void {
		this.#memory.giveBack(chunk);
	}

	/** Resolves once nothing uses the connections any more; nothing new is asked for meanwhile. */
	close(): Promise<void> {
		this.#closed ??= Promise.all([...this.#dispatchers.values()].map(dispatcher => dispatcher.close())).then(
			() => undefined,
		);
		return this.#closed;
	}

	async #send(
		url: URL,
		{headers, body}: {readonly headers: Readonly<Record<string, string>>; readonly body?: string},
		ask: Ask,
	): Promise<Received> {
		ask.signal.throwIfAborted();
		try {
			const received = await this.#dispatcher(url).request({
				origin: url.origin,
				path: `${url.pathname}${url.search}`,
				...(body === undefined ? {method: 'GET'} : {method: 'POST', body}),
				headers: this.#headers(url, headers, ask),
				headersTimeout: this.timeouts.headerTimeoutMs,
				bodyTimeout: this.timeouts.idleTimeoutMs,
				signal: ask.signal,
			});
			// A body that is destroyed before anybody reads it reports that as an error, which nobody else may hear.
			received.body.on('error', () => undefined);
			return received;
		} catch (error) {
			ask.signal.throwIfAborted();
			throw this.failure(url, problemOf(error, this.timeouts), {cause: error, transient: isTransient(error)});
		}
	}

	#headers(url: URL, headers: Readonly<Record<string, string>>, ask: Ask): Record<string, string> {
		const {userAgent, instanceId} = this.#settings;
		return {
			'user-agent': userAgent,
			...this.#ownHeaders(url),
			...headers,
			...(ask.requestId === undefined ? {} : {'x-request-id': safeHeader(ask.requestId)}),
			// Not Via itself: proxies on the way write their own names there, or drop it.
			'x-imgmirror-via': ask.via === undefined ? instanceId : `${safeHeader(ask.via)}, ${instanceId}`,
		};
	}

	/** Extra headers and credentials, for the source's own origins. An address's own credentials win. */
	#ownHeaders(url: URL): Record<string, string> {
		const {headers, authorize} = this.#settings;
		const own = this.#addresses.filter(address => isSameServer(address, url));
		if (own.length === 0) {
			return {};
		}
		const lower = Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]);
		const authorization = own.find(address => address.authorization !== undefined)?.authorization;
		return {
			...(Object.fromEntries(lower) as Record<string, string>),
			...(authorization === undefined ? authorize?.(this.#clock.now()) : {authorization}),
		};
	}

	async #redirected(url: URL, status: number, location: string, visited: ReadonlySet<string>): Promise<URL> {
		const next = locationFrom(location, url);
		const refusal = next === undefined ? 'not a URL' : await this.#rules.refuseStep(url, next, visited);
		if (next === undefined || refusal !== undefined) {
			const to = next === undefined ? printable(location) : this.#shown(next);
			throw this.failure(url, `answered ${statusText(status)}, a redirect to ${to}: ${refusal ?? ''}`, {status});
		}
		return next;
	}

	#isOwnHost(url: URL): boolean {
		return this.#addresses.some(({hostname}) => hostname === url.hostname);
	}

	#proxyFor(url: URL): URL | undefined {
		return proxyFor(url, this.#settings.proxy, this.#settings.environment);
	}

	/** Own hosts are shown our certificate and may be anywhere; other hosts neither. */
	#dispatcher(url: URL): Dispatcher {
		if (this.#closed !== undefined) {
			throw new Error('the source is being closed');
		}
		const proxy = this.#proxyFor(url);
		const own = this.#isOwnHost(url);
		const key = `${own ? 'own' : 'other'} ${proxy?.href ?? ''}`;
		let dispatcher = this.#dispatchers.get(key);
		if (dispatcher === undefined) {
			dispatcher = proxy === undefined ? this.#direct(own) : this.#proxied(proxy, own);
			this.#dispatchers.set(key, dispatcher);
		}
		return dispatcher;
	}

	#direct(own: boolean): Dispatcher {
		const {connectTimeoutMs, connections, redirects, lookup} = this.#settings;
		const checked = own || redirects === 'any' ? lookup : publicLookup(lookup);
		const common = {timeout: connectTimeoutMs, ...(checked === undefined ? {} : {lookup: checked})};
		const encrypted = buildConnector({...common, ...this.#tls(own)});
		return new Agent({
			connections,
			connect: (options, callback) => {
				if (options.protocol === 'https:') {
					encrypted(options, callback);
				} else {
					this.#connectPlain(options, common, callback);
				}
			},
		});
	}

	/** Each connection reads into blocks of its own. */
	#connectPlain(
		options: ConnectOptions,
		common: {readonly timeout: number; readonly lookup?: LookupFunction},
		callback: ConnectCallback,
	): void {
		const onread = this.#memory.forConnection(bytes => socket.push(bytes));
		// undici's types leave out that the connector returns the socket, and that net.connect gets what it does not know.
		const connect = buildConnector({...common, onread});
		const socket = (connect as unknown as (...args: Parameters<typeof connect>) => Socket)(options, callback);
	}

	#proxied(proxy: URL, own: boolean): Dispatcher {
		const {connectTimeoutMs, headerTimeoutMs, connections} = this.#settings;
		return new ProxyAgent({
			uri: proxy.href,
			// Squid lets CONNECT through to port 443 only: what is http goes as a plain proxy request.
			proxyTunnel: false,
			connections,
			proxyTls: {timeout: connectTimeoutMs, ...(proxy.protocol === 'https:' ? this.#tls(false) : {})},
			requestTls: {timeout: connectTimeoutMs, ...this.#tls(own)},
			// The answer to CONNECT is waited for no longer than any other.
			clientFactory: (origin, options) => new Pool(origin, {...options, headersTimeout: headerTimeoutMs}),
		});
	}

	#tls(own: boolean): {ca?: string[]; cert?: string; key?: string; rejectUnauthorized?: boolean} {
		const {ca, cert, key, insecure} = this.#settings;
		return {
			// Beside the authorities that are trusted anyway: one address of a source may have a public certificate.
			...(ca === undefined ? {} : {ca: [...rootCertificates, ca]}),
			...(own && cert !== undefined ? {cert} : {}),
			...(own && key !== undefined ? {key} : {}),
			...(insecure ? {rejectUnauthorized: false} : {}),
		};
	}

	async #statusFailure(
		url: URL,
		status: number,
		header: Answer['header'],
		body: Received['body'],
		ask: Ask,
	): Promise<SourceFailure> {
		const words = await errorWords(header, body);
		ask.signal.throwIfAborted();
		return this.failure(url, `answered ${statusText(status)}${words === '' ? '' : ` (${words})`}`, {
			status,
			retryAfterMs: retryAfter(header('retry-after'), this.#clock.now()),
		});
	}

	/** For errors. Where a source sends us, the query may hold a signature that opens doors. */
	#shown(url: URL): string {
		const shown = new URL(showUrl(url));
		if (shown.search !== '' && !this.#isOwnHost(url)) {
			shown.search = '?…';
		}
		return shown.href.replace(/%E2%80%A6$/, '…');
	}
}

/** The same name by https instead of http is what servers redirect to themselves; another port is another server. */
function isSameServer({origin, hostname}: Address, url: URL): boolean {
	return origin === url.origin || (origin === `http://${hostname}` && url.origin === `https://${hostname}`);
}

function headerOf(received: Received['headers']): Answer['header'] {
	return name => {
		const value = received[name];
		return Array.isArray(value) ? value[0] : value;
	};
}

/** Reads a short rest, so that the connection can be used again, or lets go of it. */
async function discard(body: Received['body']): Promise<void> {
	await body.dump({limit: dumpBytes}).catch(() => undefined);
}

/** What the server itself says about its error, if it is short and JSON. */
async function errorWords(header: Answer['header'], body: Received['body']): Promise<string> {
	const length = Number(header('content-length') ?? NaN);
	if (!/json/i.test(header('content-type') ?? '') || !(length <= maxErrorBytes)) {
		await discard(body);
		return '';
	}
	try {
		return printable(wordsIn(JSON.parse(await body.text())));
	} catch {
		return '';
	}
}

/** What came from a client, or from further down, made fit for a header. */
function safeHeader(value: string): string {
	return value.replace(/[^\t\x20-\x7e]/g, '').slice(0, 4096);
}
