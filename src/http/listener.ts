/**
 * One address that clients connect to: TCP, TLS or a unix socket.
 *
 * It keeps the connections, their timeouts and what is no HTTP; requests go to the one `serve` that all listeners
 * share. Closing lets what runs come to its end; `destroy` does not.
 */
import {chmod} from 'node:fs/promises';
import {createServer, type IncomingMessage, type Server, type ServerOptions, type ServerResponse} from 'node:http';
import {createServer as createTlsServer, type Server as TlsServer} from 'node:https';
import type {ServerOpts, Socket} from 'node:net';
import {codeOf, describe, UsageError} from '../errors.js';
import {CertificateWatch, readCertificate, type Certificate, type TlsFiles} from './certificate.js';
import {Connection} from './connection.js';
import {Doors} from './doors.js';
import type {Front} from './front.js';
import {answerAndEnd, answerMalformed} from './malformed.js';
import {RequestError} from './request-error.js';
import {clearSocketPath} from './unix-socket.js';

export interface ListenOptions {
	/** `HOST:PORT`, `[V6]:PORT` or `unix:PATH`: by this name a listener is known again. */
	readonly address: string;
	readonly host: string | undefined;
	readonly port: number | undefined;
	readonly path: string | undefined;
	/** Permissions of a unix socket. */
	readonly mode: number | undefined;
	readonly tls: TlsFiles | undefined;
	/** Whoever can open it may do everything, and nobody needs to be told of it: a socket for the CLI. */
	readonly control?: boolean;
}

export interface HttpLimits {
	/** Until the headers of a request must have arrived. */
	readonly headersTimeoutMs: number;
	/** How long an idle connection is kept. */
	readonly keepAliveTimeoutMs: number;
	/** How long a client may take nothing of an answer before it is cut off; 0: for ever. */
	readonly clientIdleTimeoutMs: number;
	readonly maxHeaderBytes: number;
	/** How long nothing of a request's body may come; 0: for ever. There is no limit on the whole of it. */
	readonly uploadIdleTimeoutMs: number;
}

export type Serve = (connection: Connection, request: IncomingMessage, response: ServerResponse) => void;

/** How connections are taken in. */
const taking: ServerOpts = {
	// Nagle's algorithm joins a file's headers and pieces into full packets, at no cost to lone answers.
	noDelay: false,
	keepAlive: true,
	keepAliveInitialDelay: 60_000,
	highWaterMark: 64 * 1024,
};
/** A whole fleet may knock at once. */
const backlog = 1024;

export class Listener {
	readonly #front: Front;
	readonly #serve: Serve;
	readonly #server: Server | TlsServer;
	readonly #sockets = new Set<Socket>();
	readonly #connections = new Map<Socket, Connection>();
	#options: ListenOptions;
	#doors: Doors | undefined;
	#certificate: CertificateWatch | undefined;
	#closed: Promise<void> | undefined;

	/** Listens once it has resolved. Throws UsageError where that is not possible. */
	static async open(context: {
		readonly front: Front;
		readonly serve: Serve;
		readonly options: ListenOptions;
		readonly limits: HttpLimits;
	}): Promise<Listener> {
		const {options} = context;
		const certificate = options.tls === undefined ? undefined : await readCertificate(options.address, options.tls);
		const listener = new Listener({...context, certificate});
		await listener.#listen();
		listener.#mindCertificate(certificate);
		return listener;
	}

	private constructor(context: {
		readonly front: Front;
		readonly serve: Serve;
		readonly options: ListenOptions;
		readonly limits: HttpLimits;
		readonly certificate: Certificate | undefined;
	}) {
		const {front, serve, options, limits, certificate} = context;
		this.#front = front;
		this.#serve = serve;
		this.#options = options;
		const settings: ServerOptions = {
			...taking,
			maxHeaderSize: limits.maxHeaderBytes,
			// An upload takes as long as it takes.
			requestTimeout: 0,
			headersTimeout: limits.headersTimeoutMs,
			connectionsCheckingInterval: Math.min(5000, Math.max(100, limits.headersTimeoutMs / 4)),
			// We say it in our own words.
			requireHostHeader: false,
		};
		this.#server =
			certificate === undefined
				? createServer(settings)
				: createTlsServer({...settings, ...certificate.secure, handshakeTimeout: limits.headersTimeoutMs || 120_000});
		// Closing would end connections that Node takes for idle; what they are is known here.
		this.#server.closeIdleConnections = () => undefined;
		this.limit(limits);
		this.#watch();
	}

	get options(): ListenOptions {
		return this.#options;
	}

	/** Where it really listens. */
	get address(): string {
		const bound = this.#server.address();
		if (bound === null || typeof bound === 'string') {
			return this.#options.address;
		}
		const host = bound.family === 'IPv6' ? `[${bound.address}]` : bound.address;
		return `${this.#options.tls === undefined ? 'http' : 'https'}://${host}:${bound.port}`;
	}

	/** Timeouts for what comes; the limit on headers holds from the start only. */
	limit({headersTimeoutMs, keepAliveTimeoutMs, clientIdleTimeoutMs}: HttpLimits): void {
		this.#server.headersTimeout = headersTimeoutMs;
		this.#server.keepAliveTimeout = keepAliveTimeoutMs;
		this.#server.timeout = clientIdleTimeoutMs;
	}

	/** The same address with other files, or the same files read again: connections stay. */
	async renew(options: ListenOptions): Promise<void> {
		if (options.tls !== undefined) {
			await this.#certificate?.renew(options.tls);
		}
		if (options.path !== undefined && options.mode !== undefined && options.mode !== this.#options.mode) {
			await chmod(options.path, options.mode);
		}
		this.#options = options;
	}

	/** Takes nobody in any more; resolves when the last connection has ended. */
	close(): Promise<void> {
		this.#closed ??= this.#close();
		return this.#closed;
	}

	async #close(): Promise<void> {
		this.#certificate?.stop();
		// All in one tick, or clients would still come in by one of them.
		const closing = [
			new Promise<void>(resolve => void this.#server.close(() => resolve())),
			this.#doors?.close() ?? Promise.resolve(),
		];
		// In the midst of a TLS handshake there is nothing to finish.
		const secured = new Set([...this.#connections.keys()].map(peerOf));
		for (const socket of this.#sockets) {
			if (!secured.has(peerOf(socket))) {
				socket.destroy();
			}
		}
		for (const connection of this.#connections.values()) {
			connection.close();
		}
		await Promise.all(closing);
	}

	destroy(): void {
		for (const socket of [...this.#connections.keys(), ...this.#sockets]) {
			socket.destroy();
		}
	}

	#mindCertificate(certificate: Certificate | undefined): void {
		const {address, tls} = this.#options;
		const server = this.#server;
		if (certificate !== undefined && tls !== undefined && 'setSecureContext' in server) {
			this.#certificate = new CertificateWatch(certificate, tls, {
				...{host: this.#front.host, address},
				take: secure => {
					server.setSecureContext(secure);
				},
			});
		}
	}

	#watch(): void {
		const server = this.#server;
		const handle = (request: IncomingMessage, response: ServerResponse): void => {
			const connection = this.#connections.get(request.socket);
			if (connection !== undefined) {
				this.#serve(connection, request, response);
			}
		};
		server.on('request', handle);
		// Whoever refuses a body answers without asking for it.
		server.on('checkContinue', handle);
		server.on('checkExpectation', handle);
		server.on('connection', (socket: Socket) => {
			this.#front.host.metrics.connections.inc();
			this.#sockets.add(socket);
			socket.once('close', () => {
				this.#front.host.metrics.connections.dec();
				this.#sockets.delete(socket);
			});
		});
		server.on(this.#options.tls === undefined ? 'connection' : 'secureConnection', (socket: Socket) => {
			const {path, control = false} = this.#options;
			const kind = control ? 'control' : path === undefined ? 'tcp' : 'unix';
			const connection = new Connection(socket, kind, this.#front.host.clock);
			this.#connections.set(socket, connection);
			socket.once('close', () => this.#connections.delete(socket));
			if (this.#closed !== undefined) {
				connection.close();
			}
		});
		server.on('timeout', (socket: Socket) => this.#connections.get(socket)?.timeout());
		server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => {
			const connection = this.#connections.get(socket);
			if (connection === undefined) {
				socket.destroy();
			} else {
				answerMalformed(this.#front, error, socket, connection);
			}
		});
		server.on('connect', (_request, socket) => {
			socket.on('error', () => undefined);
			answerAndEnd(this.#front, new RequestError('METHOD_NOT_ALLOWED', 'this is no proxy'), socket);
		});
		server.on('tlsClientError', (error: Error, socket: Socket) => {
			this.#front.host.log.debug({remote: socket.remoteAddress, problem: error.message}, 'TLS handshake failed');
		});
	}

	async #listen(): Promise<void> {
		const {address, host, port, path, mode, control = false} = this.#options;
		if (path !== undefined) {
			await clearSocketPath(path);
		}
		const where = path === undefined ? {host, port} : {path};
		try {
			await new Promise<void>((resolve, reject) => {
				this.#server.once('error', reject);
				const bound = (): void => {
					this.#server.off('error', reject);
					resolve();
				};
				// Binding happens within this call: nobody else gets in before the socket has its permissions.
				const before = control ? process.umask(0o177) : undefined;
				try {
					this.#server.listen({...where, backlog}, bound);
				} finally {
					if (before !== undefined) {
						process.umask(before);
					}
				}
			});
			if (path !== undefined && mode !== undefined) {
				await chmod(path, mode);
			}
		} catch (error) {
			this.#server.close();
			throw new UsageError(`cannot listen on ${address}: ${explain(error)}`, {cause: error});
		}
		const {
			host: {clock},
			native,
		} = this.#front;
		if (native !== undefined && path === undefined && this.#options.tls === undefined) {
			this.#doors = new Doors(this.#server, {taking, backlog, native, clock});
		}
		this.#server.on('error', error => {
			this.#front.host.log.error({address, problem: error.message}, 'a listener reports an error');
		});
	}
}

/** The same for a TLS socket and the TCP socket below it. */
function peerOf({remoteAddress = '', remotePort = 0}: Socket): string {
	return `${remoteAddress} ${remotePort}`;
}

const explanations: ReadonlyMap<string | undefined, string> = new Map([
	['EADDRINUSE', 'the address is in use'],
	['EACCES', 'permission denied'],
	['EADDRNOTAVAIL', 'this machine does not have that address'],
	['ENOTFOUND', 'there is no such host'],
]);

function explain(error: unknown): string {
	return explanations.get(codeOf(error)) ?? describe(error);
}
