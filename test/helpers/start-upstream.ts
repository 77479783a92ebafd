/**
 * A fake image server: a real one on a port of its own, honest unless it is told to misbehave.
 *
 * It serves whatever images it has at the moment, keeps a record of every request, and lets a test wait for what
 * happens to it. What it can do wrong stands in `upstream-misbehaviour.ts`.
 *
 *   const upstream = await startUpstream(t, {images: [image], holdAfter: 1000});
 *   …
 *   await upstream.reached(1000);
 *   upstream.release();
 */
import {readFileSync} from 'node:fs';
import {once} from 'node:events';
import {createServer as createHttpServer, type IncomingMessage, type Server, type ServerResponse} from 'node:http';
import {createServer as createHttpsServer} from 'node:https';
import {createServer as createNetServer, type AddressInfo, type Server as NetServer, type Socket} from 'node:net';
import {testCertificates} from './certificates.js';
import type {TestManifest} from './make-image.js';
import type {Scope} from './temp-dir.js';
import {answerFor, type Answer, type UpstreamKind} from './upstream-answer.js';
import {RuleBook, type Amount, type Misbehaviour, type MisbehaviourLimits} from './upstream-misbehaviour.js';
import {ReservedPort} from './upstream-port.js';
import {SeenRequest, type Route} from './upstream-request.js';
import {send} from './upstream-send.js';
import {spoil} from './upstream-spoil.js';

export {deadUrl, unreachableUrl} from './upstream-port.js';
export {hostileEntries, type Misbehaviour} from './upstream-misbehaviour.js';
export type {SeenRequest} from './upstream-request.js';

export interface UpstreamOptions {
	/** `imgapi` unless given. */
	readonly kind?: UpstreamKind;
	readonly images?: readonly TestManifest[];
	/** Whether ranges are honoured. By default as the real ones do: `static` and `both` yes, the others no. */
	readonly ranges?: boolean;
	/** Every file stops after so much, until `release`. */
	readonly holdAfter?: Amount;
	/** `/base`: everything is below it. */
	readonly basePath?: string;
	/** With the certificate of `testCertificates`; `'mutual'`: clients must show theirs. */
	readonly tls?: boolean | 'mutual';
	/** `dead`: connections are refused until `start`. `blackhole`: they are accepted, and that is all. */
	readonly state?: 'up' | 'dead' | 'blackhole';
	/** The most that one list holds. */
	readonly maxPage?: number;
	/** Makes it a server with channels: an image is in those that its manifest's `channels` names. */
	readonly channels?: readonly string[];
	readonly defaultChannel?: string;
	/** Basic credentials without which everything is 401. */
	readonly auth?: {readonly user: string; readonly password: string};
	/** DSAPI: `absolute`, `relative`, `none`, `placeholder`, or another server's URL. `absolute` unless given. */
	readonly datasetUrls?: string;
	/** Seconds that an idle connection is kept; for ever unless given. */
	readonly keepAliveSeconds?: number;
}

export async function startUpstream(t: Scope, options: UpstreamOptions = {}): Promise<Upstream> {
	const upstream = new Upstream(options);
	t.teardown(() => upstream.close());
	await upstream.open(options.state ?? 'up');
	return upstream;
}

export class Upstream {
	/** Every request since the start (or `forget`), in the order in which they came. */
	readonly requests: SeenRequest[] = [];
	/** Whether ranges are honoured from now on. */
	ranges: boolean;
	/** The images there are, by uuid. */
	readonly images = new Map<string, TestManifest>();
	readonly #options: UpstreamOptions;
	readonly #rules = new RuleBook();
	readonly #sockets = new Set<Socket>();
	readonly #connectionNumbers = new WeakMap<Socket, number>();
	readonly #extra = new Map<string, Answer>();
	readonly #lists = new Map<string, Answer>();
	readonly #watchers = new Set<() => void>();
	readonly #held = new Set<() => void>();
	#releases = 0;
	#server: NetServer | undefined;
	#reserved: ReservedPort | undefined;
	#port = 0;
	#connectionCount = 0;
	#requestCount = 0;

	constructor(options: UpstreamOptions) {
		this.#options = options;
		this.ranges = options.ranges ?? (options.kind === 'static' || options.kind === 'both');
		this.add(...(options.images ?? []));
		if (options.holdAfter !== undefined) {
			this.misbehave('file', {holdAt: options.holdAfter});
		}
	}

	/** What a mirror is told: no trailing slash. */
	get url(): string {
		return `${this.origin}${this.#options.basePath ?? ''}`;
	}

	get origin(): string {
		return `${this.#options.tls ? 'https' : 'http'}://127.0.0.1:${this.#port}`;
	}

	get port(): number {
		return this.#port;
	}

	/** Connections open now. */
	get connections(): number {
		return this.#sockets.size;
	}

	// What it has.

	/** An image of a uuid that is there already takes its place. */
	add(...images: readonly TestManifest[]): void {
		for (const image of images) {
			this.images.set(image.uuid, image);
		}
		this.#lists.clear();
	}

	remove(...images: readonly (TestManifest | string)[]): void {
		for (const image of images) {
			this.images.delete(typeof image === 'string' ? image : image.uuid);
		}
		this.#lists.clear();
	}

	/** Answers any path (below the base path) with this: where redirects lead, a proxy's own page. */
	serve(path: string, body: Buffer | string, headers: Record<string, string> = {}): void {
		this.#extra.set(path, {status: 200, headers, body: Buffer.from(body), isFile: true});
	}

	// What it does wrong.

	misbehave(route: Route | 'any', how: Misbehaviour, limits: MisbehaviourLimits = {}): void {
		this.#rules.add(route, how, limits);
	}

	/** Forgets what `misbehave` said about that route, or about all. What is held stays held. */
	behave(route: Route | 'any' = 'any'): void {
		this.#rules.clear(route);
	}

	/** Everything held goes on, and nothing is held any more until `misbehave` says so anew. */
	release(): void {
		this.#releases++;
		this.#rules.stopHolding();
		this.releaseHeld();
	}

	/** What is held at the moment goes on; what comes after is held as before. */
	releaseHeld(): void {
		const held = [...this.#held];
		this.#held.clear();
		for (const goOn of held) {
			goOn();
		}
	}

	/** Breaks every connection there is, as a crash or a cable does. */
	cutAll(): void {
		for (const socket of this.#sockets) {
			socket.resetAndDestroy();
		}
	}

	/** Connections are refused from now on; those that are open break. The port stays ours. */
	async stop(): Promise<void> {
		await this.#shut();
		this.#reserved ??= await ReservedPort.open(this.#port);
	}

	/** Listens again, on the same port. */
	async start(): Promise<void> {
		if (this.#server === undefined) {
			await this.#listen(this.#makeServer());
		}
	}

	/** Accepts connections from now on, and that is all. */
	async blackhole(): Promise<void> {
		await this.#shut();
		await this.#listen(createNetServer());
	}

	// What it has seen.

	/** The uuids of the files asked for, in order. */
	get fileRequests(): readonly string[] {
		return this.of('file').map(request => request.uuid ?? '');
	}

	get listRequests(): readonly SeenRequest[] {
		return this.of('list');
	}

	get manifestRequests(): readonly string[] {
		return this.of('manifest').map(request => request.uuid ?? '');
	}

	/** The Range headers of the file requests that had one, in order. */
	get rangeRequests(): readonly string[] {
		return this.of('file').flatMap(request => request.range ?? []);
	}

	/** Bytes of files sent, over all requests. */
	get bytesSent(): number {
		return this.of('file').reduce((sum, request) => sum + request.sentBytes, 0);
	}

	of(route: Route): readonly SeenRequest[] {
		return this.requests.filter(request => request.route === route);
	}

	/** Begins a new record. */
	forget(): void {
		this.requests.length = 0;
	}

	// Waiting for it.

	/** Resolves once a file response has sent `bytes` of its body (of that image, if one is named). */
	async reached(bytes: number, image?: TestManifest): Promise<void> {
		await this.until(() =>
			this.of('file').some(({sentBytes, uuid}) => sentBytes >= bytes && (image === undefined || image.uuid === uuid)),
		);
	}

	/** Resolves with the `count`th request of that route. */
	async asked(route: Route, count = 1): Promise<SeenRequest> {
		return this.until(() => this.of(route)[count - 1]);
	}

	/** Resolves once so many answers are held. */
	async holding(count = 1): Promise<void> {
		await this.until(() => this.#held.size >= count);
	}

	/** Resolves once no answer is under way. */
	async idle(): Promise<void> {
		await this.until(() => this.requests.every(({outcome}) => outcome !== 'open'));
	}

	/** Resolves with what `look` returns once that is neither false nor undefined; it looks whenever something happens. */
	until<T>(find: () => T): Promise<Exclude<T, undefined | false>> {
		return new Promise(resolve => {
			const look = (): void => {
				const found = find();
				if (found !== undefined && found !== false) {
					this.#watchers.delete(look);
					resolve(found as Exclude<T, undefined | false>);
				}
			};
			this.#watchers.add(look);
			look();
		});
	}

	// Its own life.

	async open(state: 'up' | 'dead' | 'blackhole'): Promise<void> {
		if (state === 'dead') {
			this.#reserved = await ReservedPort.open();
			this.#port = this.#reserved.port;
			return;
		}
		await this.#listen(state === 'up' ? this.#makeServer() : createNetServer());
	}

	async close(): Promise<void> {
		await this.#shut();
		await this.#reserved?.close();
		this.#reserved = undefined;
	}

	#makeServer(): Server {
		const {tls} = this.#options;
		const handle = (message: IncomingMessage, response: ServerResponse): void => {
			void this.#answer(message, response);
		};
		const settings = {maxHeaderSize: 64 * 1024, keepAliveTimeout: (this.#options.keepAliveSeconds ?? 0) * 1000};
		const server = tls
			? createHttpsServer(
					{
						...settings,
						cert: readFileSync(testCertificates.certFile),
						key: readFileSync(testCertificates.keyFile),
						...(tls === 'mutual'
							? {requestCert: true, rejectUnauthorized: true, ca: readFileSync(testCertificates.caFile)}
							: {}),
					},
					handle,
				)
			: createHttpServer(settings, handle);
		// Held answers may take as long as their test does.
		server.requestTimeout = 0;
		server.on('clientError', (_error, socket) => socket.destroy());
		return server;
	}

	async #listen(server: NetServer): Promise<void> {
		await this.#reserved?.close();
		this.#reserved = undefined;
		server.on('connection', (socket: Socket) => {
			this.#sockets.add(socket);
			socket.on('error', () => undefined);
			socket.on('close', () => {
				this.#sockets.delete(socket);
				this.#changed();
			});
			this.#changed();
		});
		await this.#bind(server);
		this.#port = (server.address() as AddressInfo).port;
		this.#server = server;
	}

	/** The port is ours, but between letting go of it and listening somebody's connection may have it for a moment. */
	async #bind(server: NetServer): Promise<void> {
		for (;;) {
			server.listen(this.#port, '127.0.0.1', 4096);
			try {
				await once(server, 'listening');
				return;
			} catch (error) {
				if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') {
					throw error;
				}
				await new Promise(resolve => setImmediate(resolve));
			}
		}
	}

	async #shut(): Promise<void> {
		const server = this.#server;
		this.#server = undefined;
		if (server === undefined) {
			return;
		}
		const closed = once(server, 'close');
		server.close();
		this.cutAll();
		this.releaseHeld();
		await closed;
	}

	async #answer(message: IncomingMessage, response: ServerResponse): Promise<void> {
		const {socket} = message;
		// The socket of a TLS request is another than the one that was accepted, so they are numbered here.
		const connection = this.#connectionNumbers.get(socket) ?? ++this.#connectionCount;
		this.#connectionNumbers.set(socket, connection);
		const seen = new SeenRequest(message, this.#options.basePath ?? '', ++this.#requestCount, connection);
		this.requests.push(seen);
		response.once('close', () => {
			if (seen.outcome === 'open') {
				seen.outcome = 'left';
			}
			setImmediate(() => this.#changed());
		});
		message.resume();
		this.#changed();
		const releases = this.#releases;
		const how = this.#rules.take(seen);
		const {kind = 'imgapi'} = this.#options;
		const answer = spoil(this.#honest(seen, how), how, seen, {kind, ranges: this.ranges});
		await send({message, response, seen}, this.#withCommon(answer, seen), how, {
			hold: () => this.#hold(releases, response),
			changed: () => this.#changed(),
		});
	}

	#honest(seen: SeenRequest, how: Misbehaviour): Answer {
		const options = this.#options;
		const key = `${seen.url} ${String(seen.headers['accept-version'])} ${how.paging ?? ''}`;
		const extra = this.#extra.get(seen.path);
		if (extra !== undefined) {
			return extra;
		}
		const basePath = options.basePath ?? '';
		if (basePath !== '' && !seen.url.includes(basePath)) {
			return {status: 404, headers: {}, body: Buffer.alloc(0)};
		}
		const known = seen.route === 'list' && options.auth === undefined ? this.#lists.get(key) : undefined;
		const answer =
			known ??
			answerFor(seen, this.images, {
				kind: options.kind ?? 'imgapi',
				url: this.url,
				datasetUrls: options.datasetUrls ?? 'absolute',
				maxPage: options.maxPage ?? Infinity,
				channels: options.channels,
				defaultChannel: options.defaultChannel,
				auth: options.auth,
				ignoresPaging: how.paging === 'ignored' || how.paging === 'endless',
			});
		// A list of 25,000 is not made twice.
		if (seen.route === 'list') {
			this.#lists.set(key, answer);
		}
		return answer;
	}

	#withCommon(answer: Answer, seen: SeenRequest): Answer {
		const servers = {imgapi: 'imgapi/4.13.1', dsapi: 'dsapi/2.3.1', both: 'dsapid/0.7.2', static: 'nginx/1.22.1'};
		const {kind = 'imgapi'} = this.#options;
		const id = seen.headers['x-request-id'];
		return {
			...answer,
			headers: {
				Server: servers[kind],
				...(kind === 'imgapi' && typeof id === 'string' ? {'x-request-id': id} : {}),
				...answer.headers,
			},
		};
	}

	#hold(releases: number, response: ServerResponse): Promise<void> {
		if (releases !== this.#releases) {
			return Promise.resolve();
		}
		return new Promise(resolve => {
			this.#held.add(resolve);
			// An answer that nobody waits for any more is not a held one.
			response.once('close', () => this.#held.delete(resolve));
			this.#changed();
		});
	}

	#changed(): void {
		for (const look of [...this.#watchers]) {
			look();
		}
	}
}
