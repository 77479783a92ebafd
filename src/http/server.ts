/**
 * The mirror on the wire: listeners in front, fastify's router behind, and one exchange for each request between.
 *
 * `assemble.ts` starts it and hands it new settings on SIGHUP; `stop` lets answers come to their end. What is answered
 * is in the files of routes that are put together here.
 */
import {setMaxListeners} from 'node:events';
import type {IncomingMessage, ServerResponse} from 'node:http';
import {hostname} from 'node:os';
import {fastify, type FastifyInstance} from 'fastify';
import {MirrorError, NotFoundError, StoppingError} from '../errors.js';
import type {Host} from '../host.js';
import {allRoutes, type RouteSettings, type Served} from './all-routes.js';
import {isOwnQuestion} from './client-ask.js';
import type {Connection} from './connection.js';
import {Exchange} from './exchange.js';
import type {Front} from './front.js';
import {HttpDate} from './http-date.js';
import {KnownPaths} from './known-paths.js';
import {Listener, type HttpLimits, type ListenOptions} from './listener.js';
import {loadNativeSend, type NativeSend} from './native-send.js';
import {PageFiles} from './page-files.js';
import {RepeatedAnswer} from './repeated-answer.js';
import {RepeatReader, RepeatedRequest, Repeats, type Repeat} from './repeats.js';
import {RequestError} from './request-error.js';
import {serveRoutes} from './routes.js';
import {bodyNow, StandingAnswer, standingOf} from './standing.js';
import {parseTarget} from './target.js';
import {Together} from './together.js';

export type {TlsFiles} from './certificate.js';
export type {HttpLimits, ListenOptions} from './listener.js';

/** What may change while it runs. */
export interface HttpSettings extends RouteSettings {
	readonly limits: HttpLimits;
}

export interface HttpOptions extends HttpSettings, Served {
	readonly listen: readonly ListenOptions[];
	/** The web page as it was built; `undefined`: none is served. */
	readonly page: {readonly directory: string} | undefined;
	/** `auto`: files are sent by the system where it can. */
	readonly sendfile: 'auto' | 'off';
}

export interface HttpFront {
	/** Really bound, without sockets for control: `http://127.0.0.1:8080`, `https://…`, `unix:/path`. */
	readonly addresses: readonly string[];
	/**
	 * Opens what is new, then closes what is gone; listeners that stay read their TLS files again. Throws UsageError
	 * and leaves all as it was where something new cannot be opened.
	 */
	setListeners(listen: readonly ListenOptions[]): Promise<void>;
	/** Holds for requests from now on. `limits.maxHeaderBytes` holds for new listeners only. */
	setOptions(settings: HttpSettings): void;
	/** Takes nothing new, lets answers run for `drainMs` at most, then cuts them. */
	stop(options: {readonly drainMs: number}): Promise<void>;
}

// A name with a port, an IPv4 address with one, or an IPv6 address in brackets. It goes into URLs that we make.
const hostForm = /^(?:\[[0-9A-Za-z:.%_~-]+\]|[0-9A-Za-z._~-]+)(?::\d{1,5})?$/u;

export async function startHttp(options: HttpOptions): Promise<HttpFront> {
	const {host, page, sendfile} = options;
	const pageFiles = await PageFiles.load(page?.directory, host.log);
	const {native, why} =
		sendfile === 'off' ? {native: undefined, why: 'the configuration says so'} : await loadNativeSend();
	host.log.info(
		{sendfile: native !== undefined, ...(why === undefined ? {} : {why})},
		native === undefined ? 'files are read and written by Node.js' : 'files are sent by the system, without TLS',
	);
	const server = new HttpServer(options, pageFiles, native);
	await server.start(options.listen);
	return server;
}

class HttpServer implements HttpFront {
	readonly #host: Host;
	readonly #front: Front;
	readonly #app: FastifyInstance;
	readonly #exchanges = new WeakMap<IncomingMessage, Exchange>();
	readonly #known = new KnownPaths();
	readonly #repeats = new Repeats();
	readonly #access: HttpOptions['access'];
	#settings: HttpSettings;
	#listeners: readonly Listener[] = [];
	/** Closed, but with answers still running. */
	readonly #leaving = new Set<Listener>();
	readonly #goingDown = new AbortController();
	#stopping: Promise<void> | undefined;

	constructor(options: HttpOptions, page: PageFiles | undefined, native: NativeSend | undefined) {
		const {access, host, version} = options;
		this.#host = host;
		this.#access = access;
		this.#settings = options;
		// Every stream that is open waits for it.
		setMaxListeners(0, this.#goingDown.signal);
		this.#front = {
			...{host, date: new HttpDate(host.clock), together: new Together(), native},
			product: `imgmirror/${version}`,
			...{hostName: hostname(), instanceId: options.instanceId},
			uploadIdleMs: () => this.#settings.limits.uploadIdleTimeoutMs,
		};
		this.#app = fastify({
			exposeHeadRoutes: false,
			// No route has a schema: without these, fastify would load two compilers for them, a third of its weight.
			schemaController: {compilersFactory: {buildValidator: noSchemas, buildSerializer: noSchemas}},
			routerOptions: {caseSensitive: true, ignoreTrailingSlash: false, maxParamLength: 1024 * 1024},
			// Targets are checked before they get here, so this is for what the router alone objects to.
			frameworkErrors: (error, request, reply) => {
				reply.hijack();
				this.#exchangeOf(request.raw).fail(new RequestError('BAD_REQUEST', error.message));
			},
		});
		const routes = allRoutes({
			...options,
			...{page, native, settings: () => this.#settings, stopping: this.#goingDown.signal},
		});
		serveRoutes(this.#app, routes, {access, known: this.#known, exchangeOf: request => this.#exchangeOf(request)});
	}

	async start(listen: readonly ListenOptions[]): Promise<void> {
		await this.#app.ready();
		await this.setListeners(listen);
	}

	get addresses(): readonly string[] {
		return this.#listeners.filter(({options}) => options.control !== true).map(({address}) => address);
	}

	async setListeners(listen: readonly ListenOptions[]): Promise<void> {
		const staying = this.#listeners.filter(listener => listen.some(isSame(listener)));
		const going = this.#listeners.filter(listener => !staying.includes(listener));
		const wanted = listen.filter(options => !staying.some(listener => isSame(listener)(options)));
		// One that takes the place of another has to wait until that is gone.
		const isLate = (options: ListenOptions): boolean =>
			going.some(({options: old}) => (old.path ?? old.port) === (options.path ?? options.port) && old.port !== 0);

		const opened: Listener[] = [];
		try {
			for (const listener of staying) {
				await listener.renew(listen.find(isSame(listener)) ?? listener.options);
			}
			for (const options of wanted.filter(each => !isLate(each))) {
				opened.push(await this.#open(options));
			}
		} catch (error) {
			await Promise.all(opened.map(listener => listener.close()));
			throw error;
		}
		this.#listeners = [...staying, ...opened];
		for (const listener of going) {
			this.#retire(listener);
		}
		for (const options of wanted.filter(isLate)) {
			this.#listeners = [...this.#listeners, await this.#open(options)];
		}
		// In the order of the configuration, as it is shown.
		this.#listeners = [...this.#listeners].sort((a, b) => listen.findIndex(isSame(a)) - listen.findIndex(isSame(b)));
	}

	setOptions(settings: HttpSettings): void {
		this.#settings = settings;
		this.#repeats.forgetAnswers();
		for (const listener of this.#listeners) {
			listener.limit(settings.limits);
		}
	}

	stop({drainMs}: {readonly drainMs: number}): Promise<void> {
		this.#stopping ??= this.#stop(drainMs);
		return this.#stopping;
	}

	async #stop(drainMs: number): Promise<void> {
		this.#goingDown.abort(new StoppingError('the mirror is stopping'));
		for (const listener of this.#listeners) {
			this.#retire(listener);
		}
		const leaving = [...this.#leaving];
		const destroy = (): void => {
			for (const listener of leaving) {
				listener.destroy();
			}
		};
		const timer = this.#host.clock.after(drainMs, destroy);
		if (drainMs <= 0) {
			destroy();
		}
		await Promise.all(leaving.map(listener => listener.close()));
		timer.cancel();
		await this.#app.close();
	}

	/** Closes it, and knows it until the last of its answers is out. */
	#retire(listener: Listener): void {
		this.#leaving.add(listener);
		void listener.close().then(() => this.#leaving.delete(listener));
	}

	#open(options: ListenOptions): Promise<Listener> {
		return Listener.open({
			front: this.#front,
			options,
			limits: this.#settings.limits,
			serve: (connection, request, response) => this.#serve(connection, request, response),
		});
	}

	#serve(connection: Connection, request: IncomingMessage, response: ServerResponse): void {
		if (!connection.takesOne()) {
			return;
		}
		const exchange: Exchange = new Exchange({
			front: this.#front,
			request,
			response,
			peer: connection.peer,
			onDone: () => {
				connection.done(exchange);
				this.#mindRepeats(connection, exchange);
			},
		});
		connection.reader?.heard(request);
		connection.add(exchange, () => this.#start(exchange, request, response));
	}

	/** Who has asked for something that is asked for often may do so again. */
	#mindRepeats(connection: Connection, exchange: Exchange): void {
		const {socket, peer} = connection;
		const isPlain = peer.kind === 'tcp' && !exchange.isEncrypted;
		if (connection.reader === undefined && isPlain && connection.free && this.#known.often(exchange) !== undefined) {
			connection.reader = RepeatReader.attach(socket, {
				connection,
				repeats: this.#repeats,
				learn: request => this.#repeatOf(request),
				serve: (repeat, over) => this.#serveAgain(connection, repeat, over),
			});
		}
	}

	#repeatOf(request: IncomingMessage): Repeat | undefined {
		const {method = '', url = '', headers} = request;
		try {
			this.#check(request);
			const target = parseTarget(url, this.#settings.basePath);
			const answer = this.#known.often({method, target});
			return answer && {method, url, headers, target, answer};
		} catch {
			// It has been told so.
			return undefined;
		}
	}

	#serveAgain(connection: Connection, repeat: Repeat, over: () => void): void {
		const {keepAliveTimeoutMs, clientIdleTimeoutMs} = this.#settings.limits;
		const limits = {keepAliveMs: keepAliveTimeoutMs, idleMs: clientIdleTimeoutMs};
		const {standing} = repeat;
		const {socket, peer} = connection;
		if (standing !== undefined) {
			const caller = this.#access.stranger({headers: repeat.headers, peer});
			const body = bodyNow(standing, caller);
			if (body !== undefined) {
				const onDone = (): void => {
					connection.done(answer);
					over();
				};
				const answer = new StandingAnswer(standing, body, {front: this.#front, socket, peer, caller, limits, onDone});
				connection.add(answer, () => {
					answer.start();
				});
				return;
			}
		}
		const settings = this.#settings;
		const response = new RepeatedAnswer(socket, this.#front.date, limits);
		const exchange: Exchange = new Exchange({
			...{front: this.#front, response, peer},
			request: new RepeatedRequest(repeat, socket),
			onDone: () => {
				this.#repeats.answered(repeat, settings === this.#settings ? standingOf(exchange, response) : undefined);
				connection.done(exchange);
				over();
			},
		});
		exchange.target = repeat.target;
		connection.add(exchange, () => repeat.answer(exchange));
	}

	/** Throws RequestError for what is answered by nobody. */
	#check(request: IncomingMessage): void {
		checkRequest(request);
		if (isOwnQuestion(request.headers, this.#front.instanceId)) {
			throw new RequestError('LOOP', 'this mirror asks itself: one of its sources is its own address');
		}
	}

	#start(exchange: Exchange, request: IncomingMessage, response: ServerResponse): void {
		try {
			this.#check(request);
			// The command line does not know what the server was started with.
			const basePath = exchange.peer.kind === 'control' ? '' : this.#settings.basePath;
			exchange.target = parseTarget(request.url ?? '', basePath);
		} catch (error) {
			exchange.fail(error);
			return;
		}
		const {path, asked} = exchange.target;
		if (path === undefined) {
			exchange.fail(new NotFoundError(`${asked} does not exist`));
			return;
		}
		const known = this.#known.get(exchange);
		if (known !== undefined) {
			known(exchange);
			return;
		}
		this.#exchanges.set(request, exchange);
		// The router gets the path in its one form; the query is the exchange's to read.
		request.url = path;
		this.#app.routing(request, response);
	}

	#exchangeOf(request: IncomingMessage): Exchange {
		const exchange = this.#exchanges.get(request);
		if (exchange === undefined) {
			throw new RequestError('BAD_REQUEST', 'a request that did not come through a listener');
		}
		return exchange;
	}
}

function isSame(listener: Listener): (options: ListenOptions) => boolean {
	const {options: own} = listener;
	return options => options.address === own.address && (options.tls === undefined) === (own.tls === undefined);
}

/** Throws RequestError where RFC 9112 wants a 400. */
function checkRequest(request: IncomingMessage): void {
	const {httpVersion, headers, rawHeaders} = request;
	const {host} = headers;
	// Node's parser lets a request line without version pass for HTTP/0.9, whose answers had no headers.
	if (httpVersion !== '1.1' && httpVersion !== '1.0') {
		throw new RequestError('BAD_REQUEST', 'the request names no version of HTTP that is spoken here');
	}
	if (host === undefined && httpVersion === '1.1') {
		throw new RequestError('BAD_REQUEST', 'the Host header is missing');
	}
	if (host && !hostForm.test(host)) {
		throw new RequestError('BAD_REQUEST', 'the Host header is malformed');
	}
	let hosts = 0;
	for (let at = 0; at < rawHeaders.length; at += 2) {
		const name = rawHeaders[at];
		hosts += name?.length === 4 && name.toLowerCase() === 'host' ? 1 : 0;
	}
	if (hosts > 1) {
		throw new RequestError('BAD_REQUEST', 'there are several Host headers');
	}
}

function noSchemas(): never {
	throw new MirrorError('no route has a schema');
}
